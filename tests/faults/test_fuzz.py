"""A short run of every fuzz target, the same inputs every time; the long one is tests/faults/fuzz.py, by hand."""

import pytest

from tests.faults import fuzz, fuzz_input
from tests.faults.fuzz_input import TARGETS
from tests.faults.mails import chance

SEED = "ci"
INPUTS = 200


@pytest.mark.parametrize("name", fuzz.targets())
def test_what_nobody_would_send_is_read_or_refused(name: str) -> None:
    target, dice = TARGETS[name], chance(f"{SEED} {name}")
    for octets in (*target.seeds, *(fuzz_input.mutated(target, dice) for _ in range(INPUTS))):
        try:
            fuzz_input.attack(target.act, octets)
        except BaseException as error:
            error.add_note(f"{name}: {octets!r}")
            raise
