"""A mailbox with good mail and mail that is refused or put off, before the receivers that offices have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.passes import Conf, Result, RunPass
from tests.real.dovecot import Dovecot
from tests.real.mixed import Kind, Outcome, Round, kinds
from tests.real.office import NOTHING
from tests.real.receivers import Receiver

COUNT = 100
Fill = Callable[[list[Kind]], Round]


@pytest.fixture
def fill(dovecot: Dovecot, receiver: Receiver, conf: Conf) -> Fill:
    """Return what fills a mailbox with letters of the kinds that are given."""
    return lambda drawn: Round(dovecot, receiver, conf, drawn)


@pytest.fixture
def a_pass(run_pass: RunPass) -> Callable[[Path], Result]:
    return lambda path: run_pass(path, child=True)


def test_good_mail_arrives_once_in_one_pass(fill: Fill, a_pass: Callable[[Path], Result]) -> None:
    step = fill([Kind.GOOD] * COUNT).carry(a_pass)
    assert (step.result, step.outcome) == (NOTHING, Outcome(delivered=COUNT))


def test_who_is_unknown_or_put_off_holds_nobody_up(fill: Fill, a_pass: Callable[[Path], Result]) -> None:
    office = fill(kinds(COUNT, {Kind.UNKNOWN: 5, Kind.GREY: 5}))
    step = office.carry(a_pass)
    assert (step.result.code, step.outcome) == (75, Outcome(delivered=90, deferred=5, caretaker=5, left=5))
    office.lift()
    step = office.carry(a_pass)
    assert (step.result, step.outcome) == (NOTHING, Outcome(delivered=95, caretaker=5))
