"""A pass beside another one: it leaves the work to that one, unless that one has hung for hours."""

import time
from pathlib import Path

import pytest

from lib.store import state
from lib.store.lock import only_pass
from lib.store.state import State
from tests.passes import Conf, Result, RunPass, account
from tests.peer import nobody

HOUR = 3600.0


class Beside:
    """Runs a pass while another one that has begun so long ago holds the lock."""

    def __init__(self, conf: Conf, run_pass: RunPass) -> None:
        self.conf, self.run_pass = conf, run_pass

    def __call__(self, *words: str, began: float, ended: float | None = None) -> Result:
        work, now = self.conf.work, time.time()
        last_end = None if ended is None else now - ended * HOUR
        state.save(work / "popfetch_state.toml", State(last_start=now - began * HOUR, last_end=last_end))
        with nobody() as port, only_pass(work / "popfetch.lock"):
            return self.run_pass(self.conf(account(port, "to=b@example.org")), *words)


@pytest.fixture
def beside(conf: Conf, run_pass: RunPass) -> Beside:
    return Beside(conf, run_pass)


def test_the_one_that_runs_is_left_alone(beside: Beside) -> None:
    assert beside("--scheduled", began=5.9) == Result(0, "", "")
    told = beside(began=5.9)
    assert (told.code, len(told.err.splitlines())) == (75, 1)
    assert "another pass runs" in told.err
    assert "hours" not in told.err


@pytest.mark.parametrize("words", [(), ("--scheduled",)])
def test_one_that_has_run_for_more_than_six_hours_is_told_of(words: tuple[str, ...], beside: Beside) -> None:
    told = beside(*words, began=7.2, ended=8.0)
    assert (told.code, told.out, len(told.err.splitlines())) == (75, "", 1)
    assert "and has for 7 hours" in told.err


def test_one_that_has_just_begun_is_not_taken_for_the_one_before(beside: Beside) -> None:
    assert beside("--scheduled", began=30.0, ended=29.0) == Result(0, "", "")


def test_a_damaged_state_says_nothing_of_the_one_that_runs(beside: Beside, work: Path) -> None:
    def damaged(*_: object) -> None:
        (work / "popfetch_state.toml").write_text("last_start = 0 0")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "save", damaged)
        assert beside("--scheduled", began=30.0) == Result(0, "", "")
