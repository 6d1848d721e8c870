"""What a person sees, on whatever stream."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import LoginError, ReceiverError, SettingsError, StorageError
from lib.report import console
from lib.report.outcome import AccountOutcome, Outcome, Tally
from lib.report.status import Overview
from lib.visible import MASK, Mask

NOW = datetime(2026, 11, 22, 12, 39, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
TWO = Outcome(
    accounts=(
        AccountOutcome("bob@pop.example", "bob", Tally(30, 30, 123_456, 28, 1, 1), 1.25),
        AccountOutcome("eve@pop.example", "eve[red]\x1b[2J", Tally(), 0.5, LoginError("no")),
    ),
    spooled=1,
    duds_in_a_row=2,
    seconds=2.0,
)


class Paper(io.StringIO):
    """A stream that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._written = Condition()

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def wait_for(self, words: str) -> None:
        with self._written:
            assert self._written.wait_for(lambda: words in self.getvalue(), timeout=30)


class Terminal(Paper):
    """A stream that a person seems to look at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal()


@given(st.text())
def test_no_raw_control_character_is_printed(text: str) -> None:
    stream = io.StringIO()
    console.say(text, stream)
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))


def test_lines_of_ours_stay_lines_and_tabs_become_blanks() -> None:
    stream = io.StringIO()
    console.say("a\n\tb\r\n", stream)
    assert stream.getvalue() == "a\n        b\\x0d\n\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252", "utf-8", "utf-16"])
def test_any_encoding_will_do(encoding: str) -> None:
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding, errors="strict")
    console.say("Grüße 日本 \udce9", stream)
    stream.flush()
    assert "Gr" in octets.getvalue().decode(encoding)


def test_secrets_are_masked() -> None:
    MASK.hide("planted-on-the-console")
    stream = io.StringIO()
    console.say("wrong: planted-on-the-console", stream)
    assert stream.getvalue() == "wrong: ***\n"


def test_a_password_that_is_a_word_of_ours_does_not_break_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = Mask()
    mask.hide("spooled")
    monkeypatch.setattr(console, "masked", mask.masked)
    console.show(TWO, now=NOW, json=True)
    assert json.loads(capsys.readouterr().out)["spooled"] == 1


def broken(error: Exception) -> TextIO:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise error

    return Broken()


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    "make",
    [lambda: broken(BrokenPipeError()), lambda: broken(OSError(28, "full")), closed],
    ids=["pipe", "disk", "closed"],
)
def test_a_stream_that_is_gone_is_no_trouble(make: Callable[[], TextIO]) -> None:
    console.say("x", make())
    screen = console.Screen(make())
    screen.write("x")
    screen.write("x")
    screen.flush()
    console.Screen(closed()).flush()
    assert not console.Screen(closed()).isatty()


def test_what_is_buffered_for_a_full_disk_is_forgotten(tmp_path: Path) -> None:
    with (tmp_path / "disk").open("w") as disk:
        screen = console.Screen(disk)
        disk.flush = lambda: (_ for _ in ()).throw(OSError(28, "full"))  # type: ignore[method-assign]
        screen.write("lost")
        screen.flush()
        del disk.flush
    assert (tmp_path / "disk").read_text() == ""


def test_no_stream_at_all_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    console.show(TWO, now=NOW, json=False)
    console.complain(TWO.why)
    clock = Clock()
    with console.Progress(clock=clock) as observer:
        observer.account_started("bob", 1, 1)
        clock.now += console.EVERY
        observer.message_fetched("bob", 1)


def test_a_reader_that_has_gone_does_not_change_the_exit_code() -> None:
    program = "from lib.report import console\nfor _ in range(9999): console.say('x' * 99)\nraise SystemExit(65)"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 65


def test_complaints_go_to_stderr_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain((ReceiverError("127.0.0.1:25 said\n554 \x07no"), SettingsError("one", "two"), "three\nfour"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        r"popfetch: 127.0.0.1:25 said\x0a554 \x07no",
        "popfetch: one",
        "popfetch: two",
        r"popfetch: three\x0afour",
    ]


def test_a_pass_with_nothing_to_complain_about_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain(Outcome().why)
    assert capsys.readouterr() == ("", "")


def test_the_summary_is_an_aligned_table_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    console.show(TWO, now=NOW, json=False)
    told = capsys.readouterr().out.splitlines()
    assert told == [
        r"account          listed  fetched      size  delivered  deferred  refused  seconds  result",
        r"bob                  30       30  123.5 kB         28         1        1      1.2  ok",
        r"eve[red]\x1b[2J       0        0       0 B          0         0        0      0.5  failed",
        r"all                  30       30  123.5 kB         28         1        1      2.0",
        r"exit 75 after 2.0 s, 1 deferred in the spool, 2 duds in a row",
    ]


def test_the_summary_of_no_account_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.show(Outcome(complaints=(StorageError("full"),)), now=NOW, json=False)
    assert capsys.readouterr().out.splitlines() == ["exit 74 after 0.0 s, 0 deferred in the spool"]


def test_the_summary_is_one_json_object_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    console.show(TWO, now=NOW, json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(TWO.as_json(NOW)))


def test_a_terminal_gets_a_drawn_table(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "stdout", terminal)
    console.show(TWO, now=NOW, json=False)
    drawn = terminal.getvalue()
    assert "────" in drawn
    assert r"eve[red]\x1b[2J" in drawn
    assert "\x1b[2J" not in drawn


def test_without_rich_a_terminal_gets_plain_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(console, "find_spec", lambda _name: None)
    console.show(TWO, now=NOW, json=False)
    assert terminal.getvalue().startswith("account          listed  fetched")


MESSAGE = (b"Subject: \x1b[31mcaf\xc3", b"\xa9\xff\r\n\tbidi \xe2\x80\xae\r\nend\xc3")


def test_a_person_is_shown_a_message_as_escaped_text(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    console.pour(MESSAGE)
    assert terminal.getvalue() == "Subject: \\x1b[31mcaf\u00e9\\xff\n        bidi \\u202e\nend\\xc3"


def test_a_program_gets_a_message_octet_by_octet(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console.pour(MESSAGE)
    assert capfdbinary.readouterr().out == b"".join(MESSAGE)


def test_nothing_imports_rich_before_it_is_used() -> None:
    program = "import sys\nfrom lib.report import console\nconsole.say('x')\nraise SystemExit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True).returncode == 0


def test_status_is_told_as_lines_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.status(Overview(max_duds=3), json=False)
    assert capsys.readouterr().out.splitlines() == list(Overview(max_duds=3).lines())
    console.status(Overview(max_duds=3), json=True)
    assert json.loads(capsys.readouterr().out)["max_duds"] == 3


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5 * 10**12, "5000.0 GB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_people_use(octets: int, shown: str) -> None:
    assert console.size(octets) == shown


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_is_a_line_now_and_then_for_each_account_that_has_come_on() -> None:
    told, clock = io.StringIO(), Clock()
    with console.Progress(told, clock) as observer:
        observer.account_started("bob\x1b", 2, 1000)
        observer.account_started("eve", 1, 10)
        observer.message_fetched("bob\x1b", 1500)
        assert told.getvalue() == ""
        clock.now += console.EVERY
        observer.message_settled("bob\x1b", "delivered")
        observer.message_settled("bob\x1b", "delivered")
        assert told.getvalue().splitlines() == [
            r"bob\x1b: 1 of 2 messages, 1.5 kB of 1.5 kB, 1 settled",
            "eve: 0 of 1 messages, 0 B of 10 B, 0 settled",
        ]
        clock.now += console.EVERY
        observer.message_fetched("bob\x1b", 1)
        observer.account_ended("bob\x1b", None)
        clock.now += console.EVERY
        observer.message_fetched("eve", 10)
    assert told.getvalue().splitlines()[2:] == [
        r"bob\x1b: 2 of 2 messages, 1.5 kB of 1.5 kB, 2 settled",
        "eve: 1 of 1 messages, 10 B of 10 B, 0 settled",
    ]


def test_who_would_have_to_wait_to_tell_does_not() -> None:
    clock = Clock()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            clock.now += console.EVERY
            observer.message_fetched("bob", 1)
            return super().write(text)

    told = Slow()
    observer = console.Progress(told, clock)
    observer.account_started("bob", 2, 1000)
    clock.now += console.EVERY
    observer.message_fetched("bob", 1)
    assert told.getvalue() == "bob: 1 of 2 messages, 1 B of 1.0 kB, 0 settled\n"


def test_progress_of_an_account_that_never_started_is_no_trouble() -> None:
    told, clock = io.StringIO(), Clock()
    observer = console.Progress(told, clock)
    clock.now += console.EVERY
    observer.message_fetched("bob", 1)
    observer.message_settled("bob", "duds")
    observer.account_ended("bob", LoginError("no"))
    assert told.getvalue() == ""


def test_a_terminal_gets_a_bar_for_each_account_that_runs(terminal: Terminal) -> None:
    pytest.importorskip("rich")
    with console.Progress(terminal) as observer:
        observer.account_started("bob\x1b[2J", 2, 1000)
        observer.account_started("eve", 2, 1000)
        observer.account_ended("eve", None)
        observer.message_fetched("bob\x1b[2J", 500)
        terminal.wait_for("1 of 2 messages")
        print("a line between")
    drawn = terminal.getvalue()
    assert r"bob\x1b[2J" in drawn
    assert "━" in drawn
    assert "a line between" in drawn
    assert "\x1b[2J" not in re.sub(r"\\x1b\[2J", "", drawn)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_a_terminal_that_hangs_up_ends_nothing() -> None:
    pytest.importorskip("rich")
    program = (
        "import sys\nfrom lib.report import console\n"
        "with console.Progress() as watch:\n"
        "    watch.account_started('bob', 2, 1000)\n"
        "    sys.stdin.readline()\n"
        "    watch.message_fetched('bob', 500)\n"
        "raise SystemExit(65)"
    )
    ours, theirs = os.openpty()
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    with run:
        assert os.read(ours, 1)
        os.close(ours)
        run.communicate(b"\n", timeout=30)
    assert run.returncode == 65
