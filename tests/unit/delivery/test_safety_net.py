"""Which duds count for the safety net, a row each, and when it trips."""

import pytest

from lib.delivery.safety_net import COUNTS, Ground, SafetyNet, ground
from lib.errors import SafetyNetError
from lib.store.journal_facts import Dud, DudsInARow, Record

FACT = Dud("bob", "uid:1", "", 1.0)


@pytest.mark.parametrize(
    ("why", "counts"),
    [
        (Ground.RECIPIENTS, True),
        (Ground.NOBODY, True),
        (Ground.DAMAGED, True),
        (Ground.CONTENT, False),
        (Ground.CIRCLES, False),
    ],
)
def test_what_anybody_could_have_written_so_counts_for_nothing(why: Ground, counts: bool) -> None:
    noted: list[Record] = []
    safety_net = SafetyNet(0, 9, lambda *facts: noted.extend(facts))
    safety_net.dud(why, FACT)
    assert safety_net.row == counts
    assert noted == [FACT, *([DudsInARow(1)] if counts else [])]


def test_every_ground_has_its_row() -> None:
    assert set(COUNTS) == set(Ground)


@pytest.mark.parametrize(
    ("content", "ours", "expected"),
    [
        (False, False, Ground.RECIPIENTS),
        (True, False, Ground.CONTENT),
        (False, True, Ground.RECIPIENTS),
        (True, True, Ground.RECIPIENTS),
    ],
)
def test_what_we_wrote_ourselves_counts_whatever_it_is_refused_for(content: bool, ours: bool, expected: Ground) -> None:
    assert ground(content=content, ours=ours) is expected


def test_it_trips_at_the_limit_and_any_delivery_ends_the_row() -> None:
    noted: list[Record] = []
    safety_net = SafetyNet(1, 3, lambda *facts: noted.extend(facts))
    safety_net.dud(Ground.RECIPIENTS)
    safety_net.delivered()
    safety_net.delivered()
    assert (safety_net.row, safety_net.tripped, noted) == (0, False, [DudsInARow(2), DudsInARow(0)])
    for _ in range(2):
        safety_net.dud(Ground.RECIPIENTS)
        safety_net.dud(Ground.CONTENT)
        safety_net.check()
    safety_net.dud(Ground.NOBODY)
    safety_net.delivered()
    assert (safety_net.row, safety_net.tripped, noted[2:]) == (3, True, [DudsInARow(1), DudsInARow(2), DudsInARow(3)])
    with pytest.raises(SafetyNetError, match="3 duds in a row"):
        safety_net.check()


@pytest.mark.parametrize(("row", "tripped"), [(2, False), (3, True), (99, True)])
def test_what_a_killed_pass_left_may_be_enough(row: int, tripped: bool) -> None:
    assert SafetyNet(row, 3, print).tripped is tripped
