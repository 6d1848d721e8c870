"""When a message is tried again whose verdict got lost, a row each."""

import pytest

from lib.delivery.retry import due
from lib.store.journal_facts import Loss

NOW = 2e9
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.mark.parametrize(
    ("losses", "waited", "expected"),
    [
        (0, 0.0, True),
        (1, 0.0, True),  # one loss is an accident
        (1, MINUTE, True),
        (2, 0.0, False),
        (2, HOUR - 1, False),
        (2, HOUR, True),
        (3, HOUR, False),
        (3, 4 * HOUR - 1, False),
        (3, 4 * HOUR, True),
        (4, 4 * HOUR, False),
        (4, DAY - 1, False),
        (4, DAY, True),
        (99, DAY - 1, False),
        (99, DAY, True),
        (99, -1.0, True),  # the clock was set back
        (99, 1e9, True),
    ],
)
def test_it_waits_longer_each_time(losses: int, waited: float, expected: bool) -> None:
    assert due(Loss(losses, NOW - waited), NOW) is expected


def test_who_never_had_a_loss_is_always_asked() -> None:
    assert due(None, NOW)
