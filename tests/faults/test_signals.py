"""Signals at chance and at chosen moments, one or several at once: no hang, no line up, nothing lost or twice."""

import pytest

from tests.faults import signalling, torture

ROUNDS, SEED = 40, "ci"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_sixty_signalled_passes_end_hang_up_lose_nothing_and_send_nothing_twice() -> None:
    told: list[str] = []
    total = torture.table(torture.spread(signalling.rounds, torture.in_chunks(SEED, ROUNDS)), told.append)
    assert total.kills >= ROUNDS
    assert total.clean, "\n".join(told)
    assert not total.unwritten, "\n".join(told)
