"""Lines that break: reset, closed, silent, at the end of every line and anywhere: nothing lost, nothing sent twice.

What may come twice is a letter whose 250 did not get through whole (RFC 1047); the world knows to the octet.
"""

import pytest

from tests.faults import cutting, torture
from tests.faults.books import Books
from tests.faults.torture import Job

SEED = "ci"
WORKERS = 4  # most of them wait for somebody to lose patience


def broken(jobs: list[Job]) -> Books:
    told: list[str] = []
    total = torture.table(torture.spread(cutting.at_every_line, jobs, WORKERS), told.append)
    assert total.clean, "\n".join(told)
    return total


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_body_that_is_cut_at_the_end_of_a_line_is_never_taken_for_a_whole_one() -> None:
    total = broken([("pop", first, WORKERS) for first in range(WORKERS)])
    assert total.kills > 60
    assert total.unread == 0  # the receiver's line held: so there is no excuse at all


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_receiver_that_breaks_off_at_the_end_of_any_line_gets_nothing_twice_that_it_confirmed() -> None:
    total = broken([("smtp", first, WORKERS) for first in range(WORKERS)])
    assert total.kills > 60
    assert 0 < total.unread < 40


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_line_that_breaks_anywhere_loses_nothing() -> None:
    told: list[str] = []
    total = torture.table(torture.spread(cutting.at_chance, torture.in_chunks(SEED, 160), WORKERS), told.append)
    assert total.clean, "\n".join(told)
    assert total.kills == 160
