"""Where passwords come from, and that nothing of them is seen when they do not come."""

import base64
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib import child
from lib.child import Ended
from lib.config import password, values
from lib.config.settings import Secret
from lib.errors import SettingsError, StoppedError
from lib.halt import Stop
from lib.visible import masked, visible

PLACE = "dmail.conf:3"


def refused(secret: Secret) -> str:
    """Return what is said, after a look at everything that the exception carries."""
    with pytest.raises(SettingsError) as raised:
        password.reveal(secret)
    seen = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(raised.value.problems)
    assert "hunter2" not in seen.replace(repr(__file__), "")
    assert str(raised.value).startswith(f"{PLACE}: ")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def secret(source: str, folder: Path = Path()) -> Secret:
    return Secret(source, PLACE, "bob", folder)


def private(path: Path, octets: bytes) -> Path:
    path.write_bytes(octets)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("s3cret", "s3cret"),
        ("literal:file:x", "file:x"),
        ("literal:", ""),
        ("a:b c", "a:b c"),
        ("p\u00e4ss", "p\u00e4ss"),
    ],
)
def test_a_password_may_stand_there_itself(source: str, plain: str) -> None:
    if plain:
        assert password.reveal(secret(source)) == plain
    else:
        assert "the password is empty" in refused(secret(source))


@pytest.mark.parametrize("odd", ["hunter2\r\nDELE 1", "hunter2\0", "hunter2\x7f", "hunter2\udc80", "hunter2\t"])
def test_what_would_break_the_protocol_is_no_password(odd: str) -> None:
    assert "control character or broken text" in refused(secret(f"literal:{odd}"))


def test_every_password_that_was_revealed_is_hidden_from_then_on() -> None:
    password.reveal(secret("literal:correct horse battery"))
    assert masked("PASS correct horse battery") == "PASS ***"


@pytest.mark.parametrize("octets", [b"s3cret", b"s3cret\n", b"s3cret\r\nsecond line\n", b"\xef\xbb\xbfs3cret\n\xff"])
def test_a_file_gives_its_first_line(tmp_path: Path, octets: bytes) -> None:
    path = private(tmp_path / "pw", octets)
    assert password.reveal(secret(f"file:{path}")) == "s3cret"
    assert password.reveal(secret("file:pw", tmp_path)) == "s3cret", "relative to the folder of dmail.conf"


def test_blanks_at_the_end_of_a_password_stay(tmp_path: Path) -> None:
    path = private(tmp_path / "pw", b" s3 cret \n")
    assert password.reveal(secret(f"file:{path}")) == " s3 cret "


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(secret("file:gone", tmp_path)) == (
        f"{PLACE}: file:{tmp_path / 'gone'} cannot be read: No such file or directory"
    )
    assert "no such name" in refused(secret("file:a\0b", tmp_path))


def test_an_empty_file_is_no_password(tmp_path: Path) -> None:
    assert "empty" in refused(secret(f"file:{private(tmp_path / 'a', b'')}"))


@pytest.mark.parametrize("octets", [b"p\xe4ssword", b"\xff\xfe", b"p\xc3\xa4ss", b" \xa0 ", b"\xed\xb2\x80hunter"])
def test_what_a_file_gives_is_octets(tmp_path: Path, octets: bytes) -> None:
    found = password.reveal(secret(f"file:{private(tmp_path / 'b', octets)}"))
    assert password.octets(found) == octets


def test_octets_that_are_no_text_are_hidden_too(tmp_path: Path) -> None:
    found = password.reveal(secret(f"file:{private(tmp_path / 'b', b'very-s' + bytes([233, 233]) + b'cret')}"))
    assert visible(b"PASS very-s\xe9\xe9cret") == "PASS ***"
    assert masked(base64.b64encode(password.octets(found)).decode()) == "***"


@pytest.mark.skipif(os.name != "posix", reason="permission bits mean nothing on Windows")
@pytest.mark.parametrize(
    ("mode", "owner", "leaks"),
    [
        (0o400, 1000, False),
        (0o440, 0, False),
        (0o640, 0, False),
        (0o640, 1000, True),
        (0o440, 1000, True),
        (0o644, 0, True),
        (0o604, 1000, True),
        (0o600, 0, False),
    ],
)
def test_the_group_that_root_gave_a_file_to_may_read_it(mode: int, owner: int, leaks: bool) -> None:
    assert values.open_to_others(0o100000 | mode, owner) is leaks


def test_a_credential_is_what_systemd_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private(tmp_path / "anna.pop", b"s3cret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert password.reveal(secret("credential:anna.pop")) == "s3cret"
    assert "cannot be read: No such file" in refused(secret("credential:bob"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert "there is no $CREDENTIALS_DIRECTORY" in refused(secret("credential:anna.pop"))


@pytest.mark.parametrize("name", ["", "a/b", "..", "../x", "a b", "x" * 256])
def test_a_credential_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.source(f"credential:{name}")


@pytest.mark.skipif(os.name != "posix", reason="permission bits mean nothing on Windows")
@pytest.mark.parametrize("mode", [0o604, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_command_to_type(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "my pw", b"hunter2")
    path.chmod(mode)
    assert refused(secret(f"file:{path}")).endswith(f"others can read it; run: chmod 600 '{path}'")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "is not a regular file" in refused(secret("file:fifo", tmp_path))
    assert refused(secret("file:.", tmp_path)).endswith("cannot be read: Is a directory")


def test_the_environment_gives_a_password_or_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POP_PASSWORD", "s3cret")
    assert password.reveal(secret("env:POP_PASSWORD")) == "s3cret"
    monkeypatch.delenv("POP_PASSWORD")
    assert "the environment has no POP_PASSWORD (cron passes on almost nothing" in refused(secret("env:POP_PASSWORD"))


class Ran:
    """Stands in for child.run."""

    def __init__(self, output: bytes = b"", code: int | None = 0, why: str = "") -> None:
        self.ended = Ended(code, why, output)
        self.calls: list[tuple[tuple[str, ...], float, bool]] = []

    def __call__(self, words: tuple[str, ...], seconds: float, _stop: Stop, *, secret: bool) -> Ended:
        self.calls.append((words, seconds, secret))
        return self.ended


def ran(monkeypatch: pytest.MonkeyPatch, **ended: Any) -> Ran:
    run = Ran(**ended)
    monkeypatch.setattr(child, "run", run)
    return run


def test_a_command_gives_the_first_line_that_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ran(monkeypatch, output=b"s3cret\nurl: example.com\n")
    assert password.reveal(secret("command:pass show 'mail/my isp'")) == "s3cret"
    assert run.calls == [(("pass", "show", "mail/my isp"), 60, True)]


def test_a_real_command_is_run_without_a_shell() -> None:
    line = f"'{sys.executable}' -c \"import sys; print(sys.argv[1] + '$HOME;' + sys.stdin.read())\" x"
    assert password.reveal(secret(f"command:{line}")) == "x$HOME;"


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        ({"output": b"hunter2", "code": 2}, "command:pass ended with exit code 2; run it by hand"),
        ({"output": b"hunter2", "code": -9}, "command:pass was killed by signal 9; run it by hand"),
        (
            {"output": b"hunter2", "code": None, "why": "did not end within 60 s"},
            "command:pass did not end within 60 s",
        ),
        ({"code": None, "why": "cannot be run: No such file or directory"}, "cannot be run: No such file"),
        ({"output": b"\nhunter2"}, "the password is empty"),
    ],
)
def test_a_command_that_fails_is_named_but_never_what_it_printed(
    ended: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(monkeypatch, **ended)
    assert why in refused(secret("command:pass show x"))


def test_a_command_that_was_stopped_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    ran(monkeypatch, code=None, why="was stopped", output=b"hunter2")
    with pytest.raises(StoppedError, match="stopped while command:pass ran"):
        password.reveal(secret("command:pass show x"), lambda: True)


class LockedError(Exception):
    """Stands in for keyring.errors.KeyringError."""


def keyring(answer: str | None, *, locked: bool = False) -> SimpleNamespace:
    def get_password(service: str, user: str) -> str | None:
        assert (service, user) == ("my isp", "bob")
        if locked:
            raise LockedError("hunter2")
        return answer

    return SimpleNamespace(get_password=get_password, errors=SimpleNamespace(KeyringError=LockedError))


def test_the_keyring_is_asked_for_the_accounts_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", keyring("s3cret"))
    assert password.reveal(secret("keyring:my isp")) == "s3cret"


def test_a_keyring_without_the_password_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", keyring(None))
    assert "keyring:my isp has no password for 'bob'; run: keyring set" in refused(secret("keyring:my isp"))


def test_a_locked_keyring_is_said_to_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", keyring(None, locked=True))
    assert "cannot be opened" in refused(secret("keyring:my isp"))


def test_without_the_keyring_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert refused(secret("keyring:my isp")).endswith("run: pip install keyring")
