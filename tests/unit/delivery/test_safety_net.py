"""Which duds count for the safety net, a row each, and when it trips."""

import pytest

from lib.delivery.safety_net import COUNTS, Ground, Streak
from lib.errors import SafetyNetError


@pytest.mark.parametrize(
    ("ground", "counts"),
    [
        (Ground.RECIPIENTS, True),
        (Ground.NOBODY, True),
        (Ground.DAMAGED, True),
        (Ground.CONTENT, False),
        (Ground.CIRCLES, False),
    ],
)
def test_what_anybody_could_have_written_so_counts_for_nothing(ground: Ground, counts: bool) -> None:
    streak = Streak(0, 9)
    streak.dud(ground)
    assert streak.row == counts


def test_every_ground_has_its_row() -> None:
    assert set(COUNTS) == set(Ground)


def test_it_trips_at_the_limit_and_any_delivery_ends_the_row() -> None:
    streak = Streak(1, 3)
    streak.dud(Ground.RECIPIENTS)
    streak.delivered()
    assert (streak.row, streak.tripped) == (0, False)
    for _ in range(2):
        streak.dud(Ground.RECIPIENTS)
        streak.dud(Ground.CONTENT)
    with pytest.raises(SafetyNetError, match="3 duds in a row"):
        streak.dud(Ground.NOBODY)
    assert streak.tripped
