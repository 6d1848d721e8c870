"""What an account may have in hand beside the others: its share, and never too little to go on."""

from types import SimpleNamespace
from typing import Any

import pytest

from lib.pop.poll import LEAST_SHARE, Poll


@pytest.mark.parametrize(
    ("fetching", "share"), [(1, 100), (2, 50), (3, 33), (8, 12), (25, LEAST_SHARE), (64, LEAST_SHARE), (0, 100)]
)
def test_accounts_share_what_may_be_in_hand(fetching: int, share: int) -> None:
    around: Any = SimpleNamespace(fetching=fetching)
    visit = Poll.__new__(Poll)
    visit.around = around
    assert visit.share(100) == share
