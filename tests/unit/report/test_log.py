"""popfetch.log: what a line looks like, and what becomes of the file."""

import logging
import os
import re
import stat
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import StorageError
from lib.report import log
from lib.visible import LONGEST

LOG = logging.getLogger("popfetch.deliver")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's kinds of file")


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    log.stop()


def lines(folder: Path) -> list[str]:
    return (folder / "popfetch.log").read_text("utf-8").splitlines()


def test_a_line_is_grepped_like_postfix_ones() -> None:
    shown = log.line(
        "",
        account="bob@pop.example",
        uid=b"UID-1",
        size=12345,
        from_=b"<alice@example.com>",
        to=(b"a@example.org", b"b@example.org"),
        status="sent",
        words=b"250 2.0.0 Ok: queued as 4F",
        seconds=0.1234,
    )
    assert shown == (
        "account=bob@pop.example uid=UID-1 size=12345 from=<alice@example.com> to=<a@example.org>,<b@example.org>"
        ' status=sent words="250 2.0.0 Ok: queued as 4F" seconds=0.12'
    )


def test_the_event_stands_in_front() -> None:
    assert log.line("dialling", entry="ISP", tries=None) == "dialling entry=ISP"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        (b"a b", '"a b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("C:\\mail", r'"C:\\mail"'),
        ("\\x1b", r'"\\x1b"'),
        ("\x1b", r'"\x1b"'),
        (b"\xe9\r\n", r'"\xe9\x0d\x0a"'),
        ((), '""'),
        (("a@b", b"c@d"), "<a@b>,<c@d>"),
        (Path("file"), "file"),
        (True, "True"),
    ],
)
def test_values_are_quoted_so_that_it_can_be_undone(value: object, shown: str) -> None:
    assert log.line("", key=value) == f"key={shown}"


VALUES = st.one_of(st.text(), st.binary(), st.tuples(st.binary(), st.text()), st.integers(), st.floats(), st.none())


@given(st.dictionaries(st.sampled_from(["uid", "to", "words"]), VALUES))
def test_no_raw_control_character_leaves_a_line(fields: dict[str, object]) -> None:
    assert log.line("event", **fields).isprintable()


@given(st.text(), st.text())
def test_no_value_forges_a_further_key(uid: str, words: str) -> None:
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", log.line("", uid=uid, words=words))
    assert re.findall(r"(?:^| )(\w+)=", outside) == ["uid", "words"]


def test_endless_values_are_shortened_and_their_length_told() -> None:
    assert len(log.line("", uid=b"x" * 102_400)) < LONGEST + 50
    assert log.line("", uid=b"x" * 102_400).endswith('...(102400 in all)"')
    assert log.line("", to=(b"a@example.org",) * 100_000).endswith('...(100000 in all)"')


def test_the_file_says_when_how_grave_and_what(tmp_path: Path) -> None:
    log.start(tmp_path, "info", console=False)
    LOG.info(log.line("", account="bob", status="sent"))
    LOG.warning("take care")
    LOG.error("bad")
    said = lines(tmp_path)
    assert [line.split(" ", 1)[1] for line in said] == [
        "info account=bob status=sent",
        "warning take care",
        "error bad",
    ]
    stamp = datetime.fromisoformat(said[0].split()[0])
    assert stamp.tzinfo is not None
    assert abs((datetime.now(stamp.tzinfo) - stamp).total_seconds()) < 60


@pytest.mark.parametrize(("level", "count"), [("error", 1), ("info", 3), ("debug", 4)])
def test_the_level_decides_what_is_written(tmp_path: Path, level: str, count: int) -> None:
    log.start(tmp_path, level, console=False)
    LOG.error("x")
    LOG.warning("x")
    LOG.info("x")
    LOG.debug("x")
    assert len(lines(tmp_path)) == count


def test_the_console_gets_everything_and_the_file_its_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.start(tmp_path, "error", console=True)
    LOG.debug("peer says \x1b[31m")
    assert lines(tmp_path) == []
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("debug peer says \\x1b[31m\n")


def test_a_console_that_is_gone_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.start(tmp_path, "info", console=True)
    monkeypatch.setattr(sys, "stderr", None)
    LOG.info("still written")
    assert lines(tmp_path)[0].endswith("still written")
    assert log.stop() is None


@given(st.text())
def test_no_raw_control_character_gets_through_any_logger(text: str) -> None:
    record = logging.LogRecord("popfetch.wire", logging.DEBUG, "", 0, "%s", (text,), None)
    assert log._Layout().format(record).isprintable()


def test_secrets_are_masked_in_every_spelling(tmp_path: Path) -> None:
    log.start(tmp_path, "debug", console=False)
    log.hide('pla"nted\\pässword')
    LOG.debug('PASS pla"nted\\pässword')
    LOG.debug("reply=%r", 'pla"nted\\pässword'.encode())
    LOG.info(log.line("", words='-ERR pla"nted\\pässword is wrong'))
    LOG.debug("AUTH PLAIN AGJvYgBwbGEibnRlZFxww6Rzc3dvcmQ=")
    written = "\n".join(lines(tmp_path))
    assert written.count("***") == 4
    assert "nted" not in written
    assert "bnRlZ" not in written


def test_a_bug_is_told_with_its_traceback_and_without_secrets(tmp_path: Path) -> None:
    log.start(tmp_path, "error", console=False)
    log.hide("planted-token")

    def stumble(password: str) -> None:
        raise RuntimeError(f"no way with {password}\x1b")

    with pytest.raises(RuntimeError) as caught:
        stumble("planted-token")
    log.bug(caught.value)
    written = lines(tmp_path)
    assert written[-1].endswith(r"error bug: RuntimeError: no way with ***\x1b")
    assert any("in stumble" in line for line in written)
    assert "planted-token" not in "\n".join(written)


def test_an_endless_traceback_ends(tmp_path: Path) -> None:
    log.start(tmp_path, "error", console=False)
    log.bug(RuntimeError("\n" * 10_000))
    assert len(lines(tmp_path)) == log.LONGEST_TRACEBACK


def test_a_full_file_is_turned_and_five_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGEST", 1000)
    log.start(tmp_path, "info", console=False)
    for number in range(1000):
        LOG.info("number=%d %s", number, "x" * 50)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["popfetch.log", *(f"popfetch.log.{number}" for number in range(1, 6))]
    assert all(path.stat().st_size < 1200 for path in tmp_path.iterdir())
    assert "number=999" in lines(tmp_path)[-1]
    written = "".join((tmp_path / name).read_text() for name in [*names[:0:-1], names[0]])
    numbers = [int(number) for number in re.findall(r"number=(\d+)", written)]
    assert numbers == list(range(numbers[0], 1000))


@posix
def test_a_file_that_another_process_has_turned_is_not_turned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "LARGEST", 1000)
    log.start(tmp_path, "info", console=False)
    LOG.info("x" * 1000)
    (tmp_path / "popfetch.log").rename(tmp_path / "popfetch.log.1")
    LOG.info("after")
    assert len(lines(tmp_path)) == 1
    assert not (tmp_path / "popfetch.log.2").exists()


def test_a_file_that_cannot_be_turned_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGEST", 1000)

    def in_use(_path: Path, _target: Path) -> Path:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "replace", in_use)
    log.start(tmp_path, "info", console=False)
    for _ in range(100):
        LOG.info("x" * 50)
    assert len(lines(tmp_path)) == 100
    assert log.stop() is None


def test_a_file_that_somebody_reads_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGEST", 1000)
    log.start(tmp_path, "info", console=False)
    LOG.info("x" * 50)
    with (tmp_path / "popfetch.log").open("rb"):  # Windows will not rename it now
        for _ in range(19):
            LOG.info("x" * 50)
    for _ in range(20):
        LOG.info("x" * 50)
    assert sum(len(path.read_bytes().splitlines()) for path in tmp_path.iterdir()) == 40
    assert (tmp_path / "popfetch.log.1").exists()
    assert log.stop() is None


@posix
def test_the_log_is_for_its_owner_only(tmp_path: Path) -> None:
    log.start(tmp_path, "info", console=False)
    assert stat.S_IMODE((tmp_path / "popfetch.log").stat().st_mode) == 0o600


@posix
def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (tmp_path / "popfetch.log").symlink_to(victim)
    with pytest.raises(StorageError, match=r"popfetch\.log"):
        log.start(tmp_path, "info", console=False)
    LOG.info("nowhere")
    assert victim.read_text() == "mine\n"


@posix
def test_a_planted_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "popfetch.log")
    with pytest.raises(StorageError, match="regular"):
        log.start(tmp_path, "info", console=False)


@posix
def test_a_planted_link_among_the_turned_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGEST", 1000)
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (tmp_path / "popfetch.log.1").symlink_to(victim)
    log.start(tmp_path, "info", console=False)
    for _ in range(100):
        LOG.info("x" * 50)
    assert victim.read_text() == "mine\n"


@posix
def test_a_link_planted_while_we_run_costs_lines_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGEST", 1000)
    log.start(tmp_path, "info", console=False)
    LOG.info("x" * 1000)
    path = tmp_path / "popfetch.log"
    path.rename(tmp_path / "kept")
    path.symlink_to(tmp_path / "victim")
    LOG.info("lost")
    LOG.info("lost")
    path.unlink()
    LOG.info("written again")
    assert [line.split()[-2:] for line in lines(tmp_path)] == [["written", "again"]]
    assert not (tmp_path / "victim").exists()
    assert "symbolic link" in str(log.stop())


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        log.start(tmp_path / "nowhere", "info", console=False)


@posix
def test_a_log_that_cannot_be_written_is_told_at_the_end_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.start(tmp_path, "info", console=False)

    def full(_descriptor: int, _octets: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        LOG.info("lost")
    LOG.info("there is room again")
    assert lines(tmp_path)[-1].endswith("there is room again")
    assert "disk is full" in str(log.stop())


def test_a_second_start_leaves_no_second_writer(tmp_path: Path) -> None:
    log.start(tmp_path, "info", console=False)
    log.start(tmp_path, "info", console=False)
    LOG.info("once")
    assert len(lines(tmp_path)) == 1
