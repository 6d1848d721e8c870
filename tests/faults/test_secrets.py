"""Passwords and tokens stand nowhere but in dmail.conf: at the debug level, for every mechanism, whatever goes wrong.

The fixture `secrets` looks after every test of a pass: in each file of its folder but dmail.conf, in their names, in
what was printed; as it is, and in base64. Here the servers do their worst: they repeat what they were told.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.auth import sasl
from lib.pop import session
from tests.embedded import SmtpServer
from tests.faults.parrots import CUT, Parrots, SmtpParrots
from tests.passes import HERE, Conf, RunPass, Secrets
from tests.peer import nobody

PASSWORD, TOKEN = "geheim-pä%ß&wort", "geheim-ya29." + "tokens~are+long/" * 20
MECHANISMS = dict.fromkeys(("user", "apop", "plain", "login", "cram-md5"), PASSWORD)
MECHANISMS |= dict.fromkeys(("xoauth2", "oauthbearer"), TOKEN)
# Where what is shown is cut: half a password is one too many.
PADS = (0, 55, 60, 66, 70, 75, 175, 180, 185, 190, 195, 985, 1985, 1990)
HOWS = ("-ERR %b", "-ERR [AUTH] %b", "-ERR [SYS/TEMP] %b", "%b", "+OK %b", "+ %b", CUT)


class Spy:
    """Runs passes against a POP server that repeats what it was told, and keeps what is told of them."""

    def __init__(self, conf: Conf, run_pass: RunPass, secrets: Secrets, parrots: Parrots) -> None:
        self.conf, self.run_pass, self.secrets, self.parrots = conf, run_pass, secrets, parrots
        self.folder = conf.path.parent

    def write(self, word: str = PASSWORD, *options: str, **settings: object) -> Path:
        """Write dmail.conf, with bob's password in the words of *word*."""
        line = f"pf_user bob {word} 127.0.0.1:{self.parrots.port} to=b@example.org {' '.join(options)}"
        return self.conf(line, **{"log_level": "debug", "pf_timeout": 2, **settings})

    def everything(self, path: Path) -> None:
        """Make a pass that tells all it can, and let every command tell what it left."""
        for words in (["-test"], ["--status"], ["--status", "--json"], ["--duds", "list"], ["--dry-run"]):
            self.run_pass(path, *words)


@pytest.fixture
def spy(conf: Conf, run_pass: RunPass, secrets: Secrets) -> Iterator[Spy]:
    """Return what runs passes against a POP server that repeats what it was told."""
    with Parrots() as parrots:
        yield Spy(conf, run_pass, secrets, parrots)


@pytest.fixture
def smtp_parrots() -> Iterator[SmtpParrots]:
    """Return a receiver that repeats what it was told."""
    with SmtpParrots() as server:
        yield server


@pytest.mark.parametrize("auth", MECHANISMS)
def test_no_login_leaves_a_trace_however_it_fails(spy: Spy, smtp: SmtpServer, auth: str) -> None:
    spy.parrots.stage = "login"
    settings = {"pf_smtp_server": f"127.0.0.1:{smtp.port}", "pf_notify_address": "me@example.org"}
    path = spy.write(MECHANISMS[auth], f"auth={auth}", **settings)
    for how in HOWS:
        spy.parrots.how = how
        spy.everything(path)
    spy.secrets.printed += [letter.content.decode() for letter in smtp.taken]
    assert any(b"keeps failing" in letter.content for letter in smtp.taken)
    words = (spy.conf.work / "popfetch.log").read_text(encoding="utf-8")
    assert words.count("***") > 2  # it was there to be hidden


@pytest.mark.parametrize("stage", ["login", "UIDL", "LIST", "RETR", "DELE", "QUIT"])
def test_no_reply_brings_the_password_back_wherever_it_is_cut(spy: Spy, smtp: SmtpServer, stage: str) -> None:
    spy.parrots.stage = stage
    path = spy.write(pf_smtp_server=f"127.0.0.1:{smtp.port}")
    for pad in PADS:
        for how in ("-ERR ", ""):
            spy.parrots.how = how + "x" * pad + "%b"
            spy.run_pass(path)
            spy.run_pass(path, "--status")


@pytest.mark.parametrize("stage", ["AUTH", "MAIL", "RCPT", "DOT"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_the_receiver_cannot_bring_its_password_back(
    spy: Spy, smtp_parrots: SmtpParrots, mechanism: str, stage: str
) -> None:
    smtp_parrots.mechanism, smtp_parrots.stage = mechanism.encode(), stage
    settings = {"pf_smtp_server": f"127.0.0.1:{smtp_parrots.port}", "pf_dflt_address": "care@example.org"}
    settings |= {"pf_smtp_user": "us", "pf_smtp_password": PASSWORD, "pf_max_duds": "99"}
    for how in ("550 5.7.1 %b", "450 4.7.1 %b", "535 5.7.8 %b", "%b", CUT, "550 5.7.1 " + "x" * 980 + "%b"):
        smtp_parrots.how = how
        spy.everything(spy.write("geheim-bob", **settings))
    spy.secrets.printed += [letter.content.decode() for letter in smtp_parrots.taken]


KINDS = {
    "file": "file:{folder}/secret",
    "env": "env:POPFETCH_TEST_WORD",
    "command": '"command:{python} {folder}/tell.py"',
}
WITNESS = """
import os, pathlib, sys
told = pathlib.Path(sys.argv[1])
parent = pathlib.Path(f"/proc/{os.getppid()}/cmdline")
with told.open("ab") as out:
    out.write(b"\\0".join(map(os.fsencode, sys.argv)) + (parent.read_bytes() if parent.exists() else b"") + b"\\n")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_no_child_process_is_told_a_password(spy: Spy, smtp: SmtpServer, kind: str) -> None:
    secret, tell, witness, told = (spy.folder / name for name in ("secret", "tell.py", "witness.py", "told"))
    spy.secrets.plant(PASSWORD, secret)
    spy.secrets.exempt.add(tell)
    secret.touch(0o600)
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    tell.write_text(f"import sys; sys.stdout.buffer.write({PASSWORD.encode()!r})", encoding="utf-8")
    witness.write_text(WITNESS, encoding="utf-8")
    calls = ("pf_dial_up", "pf_dial_check", "pf_dial_down", "pf_online_command")
    settings = {name: f"{sys.executable} {witness} {told} {name}" for name in calls}
    source = KINDS[kind].format(folder=spy.folder, python=sys.executable)
    path = spy.write(source, pf_smtp_server=f"127.0.0.1:{smtp.port}", **settings)
    done = spy.run_pass(path, "-test", child=True, env={"POPFETCH_TEST_WORD": PASSWORD})
    assert (done.code, len(smtp.taken)) == (0, 1), done.err
    assert b"pf_online_command" in told.read_bytes()


BUGS = {
    "a response": (sasl, "respond"),
    "a listing": (session.Session, "_list"),
    "a refusal": (session.Session, "_refused"),
}


@pytest.mark.parametrize("where", BUGS)
@pytest.mark.parametrize("verb", ["-test", "--dry-run"])
def test_no_traceback_shows_a_password(spy: Spy, monkeypatch: pytest.MonkeyPatch, where: str, verb: str) -> None:
    def broken(*found: object) -> None:
        word = PASSWORD.encode()
        held = {"password": PASSWORD, "octets": word}
        raise RuntimeError(f"at {found} with {PASSWORD} {word!r} {held}")

    monkeypatch.setattr(*BUGS[where], broken)
    spy.parrots.stage, spy.parrots.how = "login", "-ERR no" if where == "a refusal" else "+OK"
    with nobody() as port:
        done = spy.run_pass(spy.write(PASSWORD, "auth=plain", pf_smtp_server=f"127.0.0.1:{port}"), verb)
    assert done.code == 70
    told = done.err + "".join(path.read_text(encoding="utf-8") for path in spy.conf.work.glob("popfetch.log"))
    assert "RuntimeError" in told
    assert "***" in told


def test_a_command_that_has_no_log_shows_none_in_its_traceback_either() -> None:
    script = "from lib.report import log; log.hide('geheim-bob'); log.bug(RuntimeError('with geheim-bob'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=HERE, capture_output=True, text=True, check=True)
    assert "RuntimeError: with ***" in done.stderr
    assert "geheim-bob" not in done.stderr


def test_a_login_that_is_printed_shows_nothing() -> None:
    login = sasl.Login(b"bob", b"geheim-bob", b"h", 1)
    assert "geheim" not in f"{login} {login!r} {[login]}"


def test_no_test_with_a_password_goes_unwatched(request: pytest.FixtureRequest) -> None:
    unwatched = {item.path for item in request.session.items if "secrets" not in getattr(item, "fixturenames", ())}
    passes = [path for path in unwatched if path.parent.name in {"scenario", "faults"}]
    assert not [path.name for path in passes if "geheim-" in path.read_text(encoding="utf-8")]
