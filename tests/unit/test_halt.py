"""What ends a pass, and what ends a wait; the clock is one that the test turns."""

import math
import signal
from collections.abc import Callable

import pytest

from lib import halt
from lib.errors import AccountError, StoppedError
from lib.halt import Deadline, Halt, Signals


class Clock:
    """Stands in for the module time: who sleeps moves it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(halt, "time", made)
    return made


def after(clock: Clock, seconds: float) -> Callable[[], bool]:
    at = clock.now + seconds
    return lambda: clock.now >= at


# --- a wait --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "slices"),
    [(0.0, []), (-1.0, []), (0.1, [0.1]), (0.2, [0.2]), (0.5, [0.2, 0.2, 0.1])],
)
def test_a_wait_is_cut_into_slices(clock: Clock, seconds: float, slices: list[float]) -> None:
    Deadline.after(seconds).sleep()
    assert clock.slept == pytest.approx(slices)


def test_a_wait_ends_a_slice_after_it_is_not_wanted_any_more(clock: Clock) -> None:
    with pytest.raises(StoppedError):
        Deadline.after(3600, after(clock, 0.3)).sleep()
    assert clock.slept == pytest.approx([0.2, 0.2])


def test_a_wait_that_is_not_wanted_does_not_begin(clock: Clock) -> None:
    with pytest.raises(StoppedError):
        Deadline.after(3600, lambda: True).sleep()
    assert clock.slept == []


def test_a_wait_that_is_over_and_not_wanted_is_not_wanted(clock: Clock) -> None:
    with pytest.raises(StoppedError):
        Deadline(clock.now - 1, lambda: True).sleep()


@pytest.mark.parametrize(("within", "left"), [(1.0, 1.0), (10.0, 5.0), (-1.0, 0.0)])
def test_the_sooner_of_two_deadlines_counts(within: float, left: float) -> None:
    sooner = Deadline.after(5.0, halt.never).within(within)
    assert (sooner.left, sooner.stop) == (left, halt.never)


# --- the end of a pass -----------------------------------------------------------------------------------------------


def asked(one: Halt) -> tuple[bool, bool, bool]:
    return one.begun(), one.overdue(), one.deaf()


def test_a_pass_goes_on_while_nothing_ends_it(clock: Clock) -> None:
    one = Halt()
    one.until(0, "no limit is set")
    clock.now += 1e9
    assert asked(one) == (False, False, False)
    assert not one.halted


@pytest.mark.parametrize(
    ("seconds", "begun", "overdue", "deaf"),
    [(0, True, False, False), (3.9, True, False, False), (4, True, True, False), (79, True, True, False)],
)
def test_after_a_signal_sessions_commit_and_verdicts_are_heard(
    clock: Clock, seconds: float, begun: bool, overdue: bool, deaf: bool
) -> None:
    signals = Signals()
    one = Halt(signals)
    assert asked(one) == (False, False, False)
    signals.note(signal.SIGTERM)
    assert one.begun()
    clock.now += seconds
    assert asked(one) == (begun, overdue, deaf)


def test_after_hearing_nothing_is_heard_any_more(clock: Clock) -> None:
    one = Halt(Signals())
    one.signals.note(signal.SIGINT)
    one.begun()
    clock.now += halt.HEARING
    assert asked(one) == (True, True, True)


def test_the_first_reason_is_the_one_that_is_told(clock: Clock) -> None:
    one = Halt()
    one.until(10, "cut short by pf_time_limit", 90)
    one.until(20, "cut short by ras_timeout")
    clock.now += 30
    assert one.begun()
    one.signals.note(signal.SIGINT)
    assert one.begun()
    assert str(one.told) == "cut short by pf_time_limit"


def test_a_limit_that_is_noticed_late_counts_from_when_it_was(clock: Clock) -> None:
    one = Halt()
    one.until(10, "limit", 90)
    clock.now += 10 + halt.GRACE
    assert asked(one) == (True, True, False)


def test_a_limit_of_the_line_does_not_stop_the_hearing(clock: Clock) -> None:
    one = Halt()
    one.until(10, "cut short by ras_timeout")
    clock.now += 1e6
    assert asked(one) == (True, True, False)


@pytest.mark.parametrize("late", [False, True])
def test_a_second_reason_may_be_in_more_of_a_hurry_and_never_in_less(clock: Clock, late: bool) -> None:
    one = Halt()
    one.halt(None)
    clock.now += 20 if not late else 29
    one.signals.note(signal.SIGTERM)
    one.begun()
    clock.now += 4 if not late else 1
    assert one.overdue()
    assert one.told is None


def test_trouble_of_nobody_in_particular_blames_no_account() -> None:
    one = Halt()
    one.halt(None, hearing=math.inf)
    one.halt(AccountError("too late"))
    assert (one.halted, one.told) == (True, None)


def test_a_handler_only_sets_a_number() -> None:
    signals = Signals()
    assert not signals.came()
    assert signals.note.__code__.co_names == ("number",)
    signals.note(15)
    signals.note(1)
    assert (signals.came(), signals.number) == (True, 1)
