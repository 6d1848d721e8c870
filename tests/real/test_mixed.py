"""A mailbox with good mail and mail that is refused or put off, before the receivers that offices have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.passes import Conf, Result, RunPass
from tests.real.dovecot import Dovecot
from tests.real.mixed import SHARES, Kind, Outcome, Round, kinds
from tests.real.office import NOTHING
from tests.real.receivers import Receiver

COUNT = 100
# Of a hundred: as much of everything as no mailbox should hold.
MORE = dict.fromkeys((Kind.UNKNOWN, Kind.GREY, Kind.SPAM, Kind.BAD, Kind.PARTLY, Kind.HALF), 12)
# What nobody wants comes first, in rows: longer than what trips the safety net or makes Postfix hang up.
IN_FRONT = [kind for kind in MORE for _ in range(12)] + [Kind.GOOD] * 10
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


@pytest.mark.parametrize("drawn", [kinds(COUNT, SHARES), kinds(COUNT, MORE), IN_FRONT], ids=["few", "many", "in front"])
def test_every_letter_ends_where_it_should(fill: Fill, a_pass: Callable[[Path], Result], drawn: list[Kind]) -> None:
    office = fill(drawn)
    step = office.carry(a_pass)
    assert (step.result.code, step.outcome) == (75, office.expected(lifted=False))
    office.lift()
    step = office.carry(a_pass)
    assert (step.result, step.outcome) == (NOTHING, office.expected(lifted=True))
