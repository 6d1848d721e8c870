"""When nothing more is asked for: a row each."""

import pytest

from lib.pop.refusals import Asking, Refusals


@pytest.mark.parametrize(
    ("row", "probed", "asking"),
    [
        (0, False, Asking.AHEAD),
        (1, False, Asking.AHEAD),
        (2, False, Asking.SINGLY),
        (4, False, Asking.SINGLY),
        (5, False, Asking.FAR_END),
        (13, False, Asking.FAR_END),  # so many were on their way
        (5, True, Asking.NOT),
        (6, True, Asking.NOT),
    ],
)
def test_how_to_go_on(row: int, probed: bool, asking: Asking) -> None:
    assert Refusals(row, probed).asking is asking


def test_what_comes_in_between_shows_that_it_was_the_messages() -> None:
    refused = Refusals()
    for _ in range(5):
        refused = refused.heard(refused=True)
    assert refused.asking is Asking.FAR_END
    assert refused.probe().heard(refused=True).asking is Asking.NOT
    assert refused.probe().heard(refused=False) == Refusals()
