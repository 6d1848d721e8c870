"""ras_timer as a period and as an interval, and everything that a clock and a state file may do to it."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lib.run.due import GRACE, due, overlong, step

NOW = 1_750_000_000.0
moments = st.floats(min_value=0, max_value=4e9)
minutes = st.integers(min_value=1, max_value=100_000)


@pytest.mark.parametrize("interval", [False, True])
def test_a_first_pass_is_due(interval: bool) -> None:
    assert due(NOW, None, None, 5, interval)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, False), (60, False), (269, False), (270, True), (300, True), (9e6, True)]
)
def test_a_period_counts_from_the_start_less_half_a_minute_of_grace(seconds: float, expected: bool) -> None:
    assert due(NOW, NOW - seconds, NOW - seconds / 2, 5, interval=False) is expected


@pytest.mark.parametrize(("seconds", "expected"), [(0, False), (269, False), (270, True), (300, True)])
def test_an_interval_counts_from_the_end_less_half_a_minute_of_grace(seconds: float, expected: bool) -> None:
    assert due(NOW, NOW - seconds - 3600, NOW - seconds, 5, interval=True) is expected


def test_a_long_pass_uses_up_a_period_but_not_an_interval() -> None:
    start, end = NOW - 600, NOW - 10
    assert due(NOW, start, end, 5, interval=False)
    assert not due(NOW, start, end, 5, interval=True)


def test_an_interval_counts_from_the_start_of_a_pass_that_never_ended() -> None:
    assert not due(NOW, NOW - 100, None, 5, interval=True)
    assert not due(NOW, NOW - 100, NOW - 10_000, 5, interval=True)
    assert due(NOW, NOW - 300, None, 5, interval=True)


def test_a_period_does_not_look_at_the_end() -> None:
    assert due(NOW, None, NOW - 1, 5, interval=False)


def test_the_shortest_timer_still_waits() -> None:
    assert not due(NOW, NOW - 29, None, 1, interval=False)
    assert due(NOW, NOW - 30, None, 1, interval=False)


def test_cron_that_is_late_once_does_not_make_the_next_pass_wait_a_whole_period() -> None:
    late, punctual = NOW + 25, NOW + 300 + 1
    assert due(punctual, late, None, 5, interval=False)


@given(moments, moments, minutes, st.booleans())
def test_a_clock_set_back_is_due(now: float, last: float, timer: int, interval: bool) -> None:
    assume(last > now)
    assert due(now, last, last, timer, interval)


@given(st.sampled_from([math.nan, math.inf, -math.inf]), minutes, st.booleans())
def test_a_time_that_is_no_time_is_due(broken: float, timer: int, interval: bool) -> None:
    assert due(NOW, broken, broken, timer, interval)


@given(moments, moments, moments, minutes, st.booleans())
def test_once_due_it_stays_due(start: float, end: float, now: float, timer: int, interval: bool) -> None:
    assume(max(start, end) <= now and due(now, start, end, timer, interval))
    assert due(now + 1, start, end, timer, interval)


@given(moments, minutes, st.booleans())
def test_nothing_is_due_right_after_a_pass_and_everything_is_after_its_time(
    last: float, timer: int, interval: bool
) -> None:
    assert not due(last, last, last, timer, interval)
    assert due(last + 60 * timer, last, last, timer, interval)


@given(moments, minutes)
def test_an_interval_is_never_shorter_than_a_period(start: float, timer: int) -> None:
    end = start + 30
    now = start + 60 * timer - GRACE + 1
    assert due(now, start, end, timer, interval=False)
    assert not due(now, start, end, timer, interval=True)


@pytest.mark.parametrize(
    ("timer", "expected"), [(1, 1), (5, 5), (7, 1), (45, 15), (60, 60), (90, 30), (120, 60), (1440, 60)]
)
def test_a_clock_asks_as_seldom_as_the_period_allows(timer: int, expected: int) -> None:
    assert step(timer, interval=False) == expected


@given(minutes)
def test_a_clock_with_that_step_hits_every_period_and_every_hour(timer: int) -> None:
    assert timer % step(timer, interval=False) == 0
    assert 60 % step(timer, interval=False) == 0


@given(minutes)
def test_an_interval_is_asked_for_every_minute(timer: int) -> None:
    assert step(timer, interval=True) == 1


HOUR = 3600.0


@pytest.mark.parametrize(
    ("last_start", "last_end", "hours"),
    [
        (None, None, 0.0),
        (0.0, None, 7.0),
        (0.0, -1.0, 7.0),
        (0.0, 60.0, 0.0),
        (0.0, 0.0, 0.0),
        (HOUR, 0.0, 0.0),
        (HOUR - 1, 0.0, 6.0),
        (8 * HOUR, None, 0.0),
        (8 * HOUR, 9 * HOUR, 0.0),
    ],
)
def test_a_pass_that_has_held_the_lock_for_six_hours_is_told_of(
    last_start: float | None, last_end: float | None, hours: float
) -> None:
    assert overlong(7 * HOUR, last_start, last_end) // HOUR == hours
