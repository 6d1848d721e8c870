"""Which clock can be believed: a row a case, in days since a Monday in 2026."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.store import clock
from lib.store.clock import ClockMemory, Doubt, Reading, Shift, ended, judge

DAY, HOUR = 86400.0, 3600.0
MONDAY = 1_800_000_000.0


def at(days: float, up: float, boot: str = "b1") -> Reading:
    return Reading(MONDAY + days * DAY, up * DAY, boot)


def seen(days: float, up: float, boot: str = "b1", doubtful: float | None = None) -> ClockMemory:
    return ClockMemory(at(days, up, boot), None if doubtful is None else MONDAY + doubtful * DAY)


NIGHTFALL = Reading(1000.0, 1000.0, "b1")  # a machine without a clock of its own
JUDGED = [
    # what the last pass saw, what is read now, what is thought of it
    (None, at(0, 1), Doubt.NONE),
    (None, NIGHTFALL, Doubt.EARLY),
    (seen(0, 1), at(1, 2), Doubt.NONE),
    (seen(0, 1), at(0.04, 1), Doubt.NONE),  # NTP corrects by less than an hour
    (seen(0, 1), at(1 + 1 / 24, 2), Doubt.NONE),  # and summer time is no step: epochs know none
    (seen(0, 1), at(40, 1), Doubt.STEPPED),
    (seen(0, 1), at(-40, 1), Doubt.STEPPED),
    (seen(0, 1), at(3650, 1.1), Doubt.STEPPED),
    (seen(0, 1), at(2, 1.5), Doubt.STEPPED),  # half a day too far
    (seen(0, 1), at(6.9, 7.9), Doubt.NONE),
    (seen(0, 1), at(7.1, 8.1), Doubt.GAP),  # suspended, or nobody called it
    (seen(0, 1), at(3, 0, "b2"), Doubt.NONE),
    (seen(0, 1), at(8, 0, "b2"), Doubt.GAP),
    (seen(0, 1), at(-0.01, 0, "b2"), Doubt.NONE),
    (seen(0, 1), at(-2, 0, "b2"), Doubt.BACK),
    (seen(0, 1), NIGHTFALL._replace(boot="b2"), Doubt.EARLY),
    (ClockMemory(NIGHTFALL), at(0, 1000 / DAY + 0.01, "b1"), Doubt.STEPPED),
    (ClockMemory(NIGHTFALL), at(0, 0, "b2"), Doubt.GAP),
    (seen(0, 1, ""), at(40, 1.1, ""), Doubt.GAP),  # where no boot has a name
    (seen(0, 1, ""), at(-40, 1.1, ""), Doubt.BACK),
    (seen(0, 1), at(1, 0.5, "b1"), Doubt.NONE),  # a name that is used again: another boot
    # doubt lasts until a later pass, an hour on at least, confirms the time
    (seen(0, 1, doubtful=0), at(0.02, 1.02), Doubt.PENDING),
    (seen(0, 1, doubtful=0), at(0.05, 1.05), Doubt.NONE),
    (seen(0.03, 1.03, doubtful=0), at(0.05, 1.05), Doubt.NONE),
    (seen(0, 1, doubtful=0), at(0.05, 0, "b2"), Doubt.NONE),
    (seen(0, 1, doubtful=0), at(40, 1.05), Doubt.STEPPED),
    (seen(0, 1, doubtful=0), at(9, 0, "b2"), Doubt.GAP),
]


@pytest.mark.parametrize(("before", "now", "doubt"), JUDGED)
def test_what_is_thought_of_the_time(before: ClockMemory | None, now: Reading, doubt: Doubt) -> None:
    judged = judge(before, now)
    assert judged.doubt is doubt
    assert judged.trusted == (doubt is Doubt.NONE)
    assert judged.seen.reading == now
    assert (judged.seen.doubtful_since is None) == judged.trusted


def test_doubt_counts_from_where_it_began() -> None:
    first = judge(seen(0, 1), at(40, 1))
    second = judge(first.seen, at(40.02, 1.02))
    third = judge(second.seen, at(40.045, 1.045))
    assert [one.doubt for one in (first, second, third)] == [Doubt.STEPPED, Doubt.PENDING, Doubt.NONE]


def moved(before: ClockMemory, now: Reading, *days: float) -> list[float]:
    """Return where the days of notes stand after a pass that read *now*."""
    shift = judge(before, now).shift
    return [round((shift.of(MONDAY + day * DAY) - MONDAY) / DAY, 3) for day in days]


MOVED = [
    # the machine was up for one day when the last pass read day 0
    (seen(0, 1), at(40, 1), (-2.0, -0.5, 0.0), (-2.0, 39.5, 40.0)),  # set forward: what this boot noted goes along
    (seen(40, 1), at(0, 1), (-3.0, 39.5, 40.0), (-3.0, -0.5, 0.0)),  # and back
    (seen(0, 1), at(1, 2), (-2.0, 0.0), (-2.0, 0.0)),  # nothing was set
    (seen(3650, 0.1), at(0, 0, "b2"), (3650.0, -3.0), (0.0, -3.0)),  # noted in the future, in another boot
]


@pytest.mark.parametrize(("before", "now", "noted", "stands"), MOVED)
def test_where_noted_times_stand(
    before: ClockMemory, now: Reading, noted: tuple[float, ...], stands: tuple[float, ...]
) -> None:
    assert moved(before, now, *noted) == list(stands)


def test_a_time_of_1970_counts_from_the_first_pass_that_can_be_believed() -> None:
    night = judge(None, NIGHTFALL)
    assert night.shift.of(500.0) == 500.0  # not yet
    day = judge(night.seen, Reading(MONDAY, 2000.0, "b1"))
    assert day.shift.of(900.0) == pytest.approx(MONDAY - 1100.0)  # noted in this boot: it goes along
    other = judge(night.seen, Reading(MONDAY, 10.0, "b2"))
    assert other.shift.of(900.0) == MONDAY
    assert other.shift.of(MONDAY - DAY) == MONDAY - DAY


def test_no_time_is_no_time() -> None:
    assert Shift(0.0, 9e9, 5.0, 9e9).of(0.0) == 0.0


def test_a_step_in_mid_pass_is_the_next_ones_matter() -> None:
    judged = judge(seen(0, 1), at(0.1, 1.1))
    assert ended(judged, at(0.2, 1.2)).reading == at(0.2, 1.2)
    assert ended(judged, at(40, 1.2)).reading == at(0.1, 1.1)
    assert judge(ended(judged, at(40, 1.2)), at(40.1, 1.3)).doubt is Doubt.STEPPED


numbers = st.floats(-1e12, 1e12)
readings = st.builds(Reading, numbers, st.floats(0, 1e10), st.sampled_from(["", "b1", "b2"]))


@given(st.none() | st.builds(ClockMemory, readings, st.none() | numbers), readings, numbers)
def test_any_clock_is_judged(before: ClockMemory | None, now: Reading, moment: float) -> None:
    judged = judge(before, now)
    shifted = judged.shift.of(moment)
    if moment and now.wall >= clock.EARLIEST:
        assert clock.EARLIEST <= shifted <= now.wall + clock.STEP


def test_this_machine_has_both_clocks() -> None:
    one, other = clock.read(), clock.read()
    assert other.up >= one.up > 0
    assert one.boot == other.boot
    assert one.wall > MONDAY - 10 * 365 * DAY
