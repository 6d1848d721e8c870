"""kill -9 while a token is renewed: the refresh token on disk works whatever happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS, SHARE, SEED = 500, 60, "ci"
PROGRAM = Path(__file__).with_name("refreshing.py")


def played(rounds: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(rounds), SEED], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_the_refresh_token_on_disk_works_after_a_kill_at_any_step() -> None:
    sums = played(SHARE)
    assert sums["killed"] > SHARE / 2
    assert sums["renewals"] > SHARE / 5


@pytest.mark.slow
def test_five_hundred_killed_renewals() -> None:
    assert played(ROUNDS)["killed"] > ROUNDS / 2
