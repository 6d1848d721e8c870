"""The rules of the line, whatever raises it: own dial, own hang-up; somebody else's line is used and left alone."""

import logging
import os
import re
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from lib.config.settings import Secret, Settings
from lib.errors import NoLineError, SettingsError, StorageError
from lib.halt import Stop, never
from lib.line import dial
from lib.line.backend import NoAnswerError
from lib.line.orphan import COMMAND, Orphan, dump
from lib.store.lock import only_pass

LOG = logging.getLogger("popfetch.dial")
OURS = Orphan(COMMAND, ("hang", "up"), ("look",))


@dataclass
class Memory:
    """A line without an outside: what dial() and hang_up() do is said beforehand."""

    describe: str = "a line of memory"
    orphan: Orphan | None = OURS
    up: bool = False
    outcome: bool | BaseException = True
    hangs_up: bool | BaseException = True
    silent: int = 0  # so many times nobody answers whether it is up
    calls: list[str] = field(default_factory=list)

    def is_up(self, _stop: Stop = never) -> bool:
        self.silent -= 1
        if self.silent >= 0:
            raise NoAnswerError("it says nothing")
        return self.up

    def dial(self, _stop: Stop) -> bool:
        self.calls.append("dial")
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        self.up = True
        return self.outcome

    def hang_up(self) -> bool:
        self.calls.append("hang up")
        if isinstance(self.hangs_up, BaseException):
            raise self.hangs_up
        self.up = self.up and not self.hangs_up
        return self.hangs_up


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "popfetch.line"


def made(backend: Memory | None, marker: Path) -> dial.Line:
    return dial.Line(backend, marker, LOG)


def test_without_a_line_there_is_nothing_to_bring_up_or_to_hang_up(marker: Path) -> None:
    line = made(None, marker)
    line.bring_up(never)
    line.hang_up()
    assert (line.configured, line.describe, line.ours, line.is_up(), line.somebody_elses) == (
        False,
        "none",
        False,
        False,
        False,
    )


def test_a_closed_line_is_dialled_and_hung_up(marker: Path) -> None:
    backend = Memory()
    line = made(backend, marker)
    line.bring_up(never)
    assert (line.ours, line.somebody_elses, line.is_up(), marker.exists()) == (True, False, True, True)
    line.hang_up()
    assert (line.ours, line.is_up(), marker.exists()) == (False, False, False)
    assert backend.calls == ["dial", "hang up"]


def test_an_open_line_is_used_and_left_alone(marker: Path) -> None:
    backend = Memory(up=True)
    line = made(backend, marker)
    line.bring_up(never)
    assert (line.ours, line.somebody_elses, line.up_for) == (False, True, 0.0)
    line.hang_up()
    assert backend.calls == []
    assert backend.up


def test_a_line_that_another_program_is_opening_is_not_hung_up(marker: Path) -> None:
    backend = Memory(outcome=False)
    line = made(backend, marker)
    line.bring_up(never)
    line.hang_up()
    assert (line.ours, line.somebody_elses, marker.exists()) == (False, True, False)
    assert backend.calls == ["dial"]


def test_a_line_that_another_program_failed_to_open_is_dialled_at_the_second_try(marker: Path) -> None:
    backend = Memory(outcome=False)
    line = made(backend, marker)
    line.bring_up(never)
    backend.up, backend.outcome = False, True
    line.bring_up(never)
    assert (line.ours, line.somebody_elses) == (True, False)
    line.hang_up()
    assert backend.calls == ["dial", "dial", "hang up"]


def test_hanging_up_twice_hangs_up_once(marker: Path) -> None:
    backend = Memory()
    line = made(backend, marker)
    line.bring_up(never)
    line.hang_up()
    line.hang_up()
    assert backend.calls == ["dial", "hang up"]


def test_a_line_of_ours_is_brought_up_once(marker: Path) -> None:
    backend = Memory()
    line = made(backend, marker)
    line.bring_up(never)
    line.bring_up(never)
    assert backend.calls == ["dial"]


@pytest.mark.parametrize(
    "error", [NoLineError("busy"), SettingsError("no such file"), KeyboardInterrupt(), RuntimeError("a bug")]
)
def test_a_dial_that_failed_is_hung_up_whatever_the_failure(error: BaseException, marker: Path) -> None:
    backend = Memory(outcome=error)
    line = made(backend, marker)
    with pytest.raises(type(error)):
        line.bring_up(never)
    assert backend.calls == ["dial", "hang up"]
    assert (line.ours, marker.exists()) == (False, False)


def test_a_dial_that_failed_is_not_repeated_in_the_same_pass(marker: Path) -> None:
    backend = Memory(outcome=NoLineError("wrong password"))
    line = made(backend, marker)
    for _ in range(2):
        with pytest.raises(NoLineError, match="wrong password"):
            line.bring_up(never)
    assert backend.calls == ["dial", "hang up"]


def test_nothing_is_dialled_after_a_stop(marker: Path) -> None:
    backend, stop = Memory(), Event()
    stop.set()
    with pytest.raises(NoLineError, match="stopped"):
        made(backend, marker).bring_up(stop.is_set)
    assert backend.calls == []


def test_nothing_is_dialled_when_the_marker_cannot_be_written(tmp_path: Path) -> None:
    backend, work = Memory(), tmp_path / "work"
    work.mkdir()
    line = made(backend, work / "popfetch.line")
    work.rmdir()
    with pytest.raises(StorageError):
        line.bring_up(never)
    assert backend.calls == []


# --- what earlier passes left up -------------------------------------------------------------------------------------


@pytest.fixture
def raisers(monkeypatch: pytest.MonkeyPatch) -> dict[Orphan, Memory]:
    """Return who hangs up which orphan; the test fills it."""
    known: dict[Orphan, Memory] = {}
    monkeypatch.setattr(dial, "_raiser", lambda one, _: known.get(one))
    return known


OTHER = Orphan(COMMAND, ("another", "hang up"))


def killed(marker: Path, *orphans: Orphan) -> None:
    for one in orphans or (OURS,):
        made(Memory(orphan=one), marker).bring_up(never)


def test_an_orphan_is_hung_up_as_the_marker_says_and_forgotten(marker: Path, raisers: dict[Orphan, Memory]) -> None:
    killed(marker)
    raisers[OURS] = Memory(up=True)
    dial.hang_up_left(marker, LOG)
    assert (raisers[OURS].calls, marker.exists()) == (["hang up"], False)
    line = made(Memory(), marker)
    line.bring_up(never)
    assert line.ours


def test_without_an_orphan_nothing_is_hung_up(marker: Path, caplog: pytest.LogCaptureFixture) -> None:
    dial.hang_up_left(marker, LOG)
    assert (marker.exists(), caplog.text) == (False, "")


def test_an_orphan_that_cannot_be_hung_up_is_kept_and_the_next_pass_tries_again(
    marker: Path, raisers: dict[Orphan, Memory]
) -> None:
    killed(marker)
    raisers[OURS] = Memory(up=True, hangs_up=False)
    dial.hang_up_left(marker, LOG)
    assert marker.exists()
    raisers[OURS].hangs_up = True
    dial.hang_up_left(marker, LOG)
    assert not marker.exists()


def test_an_orphan_that_cannot_be_hung_up_at_the_start_is_ours_until_the_end(
    marker: Path, raisers: dict[Orphan, Memory]
) -> None:
    killed(marker)
    raisers[OURS] = Memory(up=True, hangs_up=False)
    dial.hang_up_left(marker, LOG)
    backend = Memory(up=True)
    line = made(backend, marker)
    line.bring_up(never)
    assert (line.ours, line.somebody_elses) == (True, False)
    line.hang_up()
    assert (backend.calls, marker.exists()) == (["hang up"], False)


def test_an_orphan_of_settings_that_were_edited_since_is_not_forgotten(
    marker: Path, raisers: dict[Orphan, Memory]
) -> None:
    killed(marker, OTHER)
    raisers[OTHER] = Memory(up=True, hangs_up=False)
    dial.hang_up_left(marker, LOG)
    line = made(Memory(), marker)
    line.bring_up(never)
    line.hang_up()
    raisers[OTHER].hangs_up = True
    dial.hang_up_left(marker, LOG)
    assert (raisers[OTHER].calls, marker.exists()) == (["hang up", "hang up"], False)


def test_of_several_orphans_each_is_hung_up_and_those_that_stay_are_kept(
    marker: Path, raisers: dict[Orphan, Memory]
) -> None:
    killed(marker, OTHER, OURS)
    raisers |= {OTHER: Memory(hangs_up=NoLineError("Windows does not say")), OURS: Memory()}
    dial.hang_up_left(marker, LOG)
    assert [one.calls for one in raisers.values()] == [["hang up"], ["hang up"]]
    assert marker.read_bytes() == dump([OTHER])


def test_an_orphan_that_nothing_here_can_hang_up_is_told_of_once(
    marker: Path, raisers: dict[Orphan, Memory], caplog: pytest.LogCaptureFixture
) -> None:
    killed(marker, OTHER)
    assert raisers == {}
    dial.hang_up_left(marker, LOG)
    assert "look whether it is still up" in caplog.text
    caplog.clear()
    dial.hang_up_left(marker, LOG)
    assert caplog.text == ""


def test_a_planted_marker_hangs_up_nothing_and_is_told_of(marker: Path, caplog: pytest.LogCaptureFixture) -> None:
    marker.mkdir()
    dial.hang_up_left(marker, LOG)
    assert "look whether a line is still up" in caplog.text


@pytest.mark.parametrize("held", [False, True])
def test_where_a_pass_cannot_begin_the_line_is_hung_up_unless_another_one_runs(
    held: bool, marker: Path, raisers: dict[Orphan, Memory]
) -> None:
    killed(marker)
    raisers[OURS] = Memory(up=True)
    lock = marker.with_name("popfetch.lock")
    with only_pass(lock) if held else nullcontext():
        dial.hang_up_all_the_same(marker, lock, LOG)
    assert raisers[OURS].calls == ([] if held else ["hang up"])


def test_where_a_pass_cannot_begin_and_nothing_is_left_nothing_is_touched(tmp_path: Path) -> None:
    dial.hang_up_all_the_same(tmp_path / "popfetch.line", tmp_path / "popfetch.lock", LOG)
    assert list(tmp_path.iterdir()) == []


def test_a_line_whose_hang_up_holds_a_secret_is_remembered_where_nobody_else_reads(marker: Path) -> None:
    killed(marker)
    assert os.name != "posix" or marker.stat().st_mode & 0o777 == 0o600


# --- nobody says whether there is a line -----------------------------------------------------------------------------


@pytest.fixture
def asks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "ASK_EVERY", 0.0)


@pytest.mark.usefixtures("asks_at_once")
@pytest.mark.parametrize("up", [False, True])
def test_what_is_not_known_is_asked_again(up: bool, marker: Path) -> None:
    backend = Memory(up=up, silent=dial.ASKED - 1)
    line = made(backend, marker)
    line.bring_up(never)
    assert (line.ours, line.somebody_elses) == (not up, up)


@pytest.mark.usefixtures("asks_at_once")
def test_nothing_is_dialled_over_what_is_not_known_and_nothing_is_hung_up(marker: Path) -> None:
    backend = Memory(up=True, silent=dial.ASKED)
    line = made(backend, marker)
    with pytest.raises(NoLineError, match="it says nothing; nothing is dialled"):
        line.bring_up(never)
    line.hang_up()
    assert (backend.calls, line.ours, marker.exists()) == ([], False, False)


def test_who_does_not_know_says_that_the_line_is_not_up(marker: Path) -> None:
    assert not made(Memory(up=True, silent=1), marker).is_up()


def test_a_stop_ends_the_asking(marker: Path) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    backend = Memory(silent=99)
    with pytest.raises(NoLineError, match="stopped before the line was up"):
        made(backend, marker).bring_up(stop)
    assert backend.calls == []


def test_a_line_that_cannot_be_hung_up_at_all_leaves_no_marker(marker: Path) -> None:
    line = made(Memory(orphan=None), marker)
    line.bring_up(never)
    assert line.ours
    assert not marker.exists()


@pytest.mark.parametrize("trouble", [False, NoLineError("Windows does not say")])
def test_a_hang_up_that_failed_is_told_of_and_tried_again(
    trouble: bool | BaseException, marker: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Memory(hangs_up=trouble)
    line = made(backend, marker)
    line.bring_up(never)
    line.hang_up()
    assert line.ours
    assert marker.exists()
    assert [record.levelname for record in caplog.records if record.levelno >= logging.ERROR] == ["ERROR"]
    backend.hangs_up = True
    line.hang_up()
    assert not line.ours
    assert not marker.exists()


def test_hanging_up_does_not_raise_when_the_marker_cannot_be_removed(
    marker: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = made(Memory(), marker)
    line.bring_up(never)
    marker.unlink()
    marker.mkdir()
    line.hang_up()
    assert not line.ours
    assert "not a regular file" in caplog.text


def test_a_planted_marker_is_refused(marker: Path) -> None:
    marker.mkdir()
    with pytest.raises(StorageError):
        made(Memory(), marker)


def test_the_time_that_costs_money_runs_while_the_line_is_ours(marker: Path) -> None:
    line = made(Memory(), marker)
    assert line.up_for == 0.0
    line.bring_up(never)
    assert 0.0 <= line.up_for < 60.0
    line.hang_up()
    assert line.up_for == 0.0


def test_the_log_tells_the_story_of_the_line(marker: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    line = made(Memory(), marker)
    line.bring_up(never)
    line.hang_up()
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == 'dial line=dialling by="a line of memory"'
    assert told[1].startswith("dial line=up ours=yes seconds=")
    assert re.fullmatch(r"dial line=down up_at=[-0-9]{10}T\S+ seconds=0\.\d\d", told[2])


def test_the_hang_up_tells_where_the_money_went(marker: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    line = made(Memory(), marker)
    line.bring_up(never)
    line.hang_up(dial.Spent(messages=2, octets=3000, ended="cut short by ras_timeout"))
    story = (
        r"dial line=down up_at=[-0-9]{10}T\S+ seconds=0\.\d\d messages=2 octets=3000 seconds_each=0\.\d\d "
        r'ended="cut short by ras_timeout"'
    )
    assert re.fullmatch(story, caplog.records[-1].getMessage())


def test_no_message_takes_no_time(marker: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    line = made(Memory(), marker)
    line.bring_up(never)
    line.hang_up(dial.Spent())
    assert caplog.records[-1].getMessage().endswith('messages=0 octets=0 ended="all fetched"')


# --- the table of backends -----------------------------------------------------------------------------------------


def revealed(_secret: Secret) -> str:
    raise AssertionError("no password is needed before the dial")


def chosen(settings: Settings, marker: Path) -> dial.Line:
    return dial.line(settings, marker=marker, logger=LOG, reveal=revealed)


def test_no_line_is_configured_by_default(marker: Path) -> None:
    assert not chosen(Settings(), marker).configured


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(pf_dial_up=("pon", "my isp")), "pf_dial_up pon"),
        (Settings(pf_dial_check=("ip", "route")), "pf_dial_check ip"),
    ],
)
def test_command_lines_make_a_line(settings: Settings, expected: str, marker: Path) -> None:
    line = chosen(settings, marker)
    assert line.configured
    assert line.describe == expected


def test_a_phone_book_entry_makes_a_line_on_windows_only(marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(ras_entry="Büro", ras_number="0123", ras_username="u", ras_password=Secret("x", "dmail.conf:1"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert not chosen(settings, marker).configured
    monkeypatch.setattr(sys, "platform", "win32")
    line = chosen(settings, marker)
    assert line.configured
    assert line.describe == 'RAS entry "Büro", number 0123'


def test_pf_dial_down_alone_makes_no_line(marker: Path) -> None:
    assert not chosen(Settings(pf_dial_down=("poff",)), marker).configured
