"""What an account may have in hand beside the others: its share, and never too little to go on."""

import pytest

from lib.pop.poll import IN_HAND_OURS, LEAST_SHARE, share


@pytest.mark.parametrize(
    ("fetching", "each"), [(1, 100), (2, 50), (3, 33), (8, 12), (25, LEAST_SHARE), (64, LEAST_SHARE), (0, 100)]
)
def test_accounts_share_what_may_be_in_hand(fetching: int, each: int) -> None:
    assert share(fetching, ours=False) == each


def test_a_line_of_ours_waits_for_nobody() -> None:
    assert share(1, ours=True) == share(64, ours=True) == IN_HAND_OURS
