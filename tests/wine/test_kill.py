"""TerminateProcess at chance moments of passes on Windows; fifty rounds by hand: tests/faults/torture.py windows."""

import pytest

from tests.faults import torture
from tests.wine import killing
from tests.wine.windows import Windows

pytestmark = [pytest.mark.wine, pytest.mark.slow, pytest.mark.timeout(300)]

ROUNDS = 2


def test_passes_that_windows_terminates_lose_nothing_and_send_nothing_twice(windows: Windows) -> None:
    assert windows.python.exists()
    told: list[str] = []
    total = torture.table(iter(killing.rounds("ci", 0, ROUNDS)), told.append)
    assert total.kills
    assert total.clean, "\n".join(told)
