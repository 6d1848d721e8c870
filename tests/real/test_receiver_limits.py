"""Receivers with limits of a connection, of a message, of a minute: every letter arrives once all the same.

An Exim, an OpenSMTPD and Postfixes whose limits are small enough for a mailbox of some dozens to reach them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.passes import Conf, Result, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.exim import exim
from tests.real.mixed import SHARES, Kind, Outcome, Round, kinds
from tests.real.office import NOTHING, pop3
from tests.real.opensmtpd import opensmtpd
from tests.real.receivers import Receiver, moody

COUNT = 50
RATE = {"smtpd_client_event_limit_exceptions": "", "anvil_rate_time_unit": "2s"}
# By name: what it is told, and how it says so in its log.
EXIMS = {
    "eight messages a connection": "smtp_accept_max_per_connection = 8",
    "one connection at a time": "smtp_accept_max = 1",
    "no command but for mail": "smtp_accept_max_nonmail = 0",
}
OPENSMTPDS = {"eight messages a connection": "smtp limit max-mails 8"}
POSTFIXES = {
    "one connection at a time": {**RATE, "smtpd_client_connection_count_limit": "1"},
    "three errors": {"smtpd_hard_error_limit": "3", "smtpd_error_sleep_time": "0"},
    "little junk": {"smtpd_junk_command_limit": "1"},
}
CASES = [
    *(("exim", name) for name in EXIMS),
    *(("opensmtpd", name) for name in OPENSMTPDS),
    *(("postfix", name) for name in POSTFIXES),
]
Run = Callable[[Path], Result]


@pytest.fixture
def a_pass(run_pass: RunPass) -> Run:
    return lambda path: run_pass(path, child=True)


@pytest.fixture(scope="module")
def make(need: Callable[[str], str], unpacked: Callable[[str], Path], pki: Pki) -> Iterator[Callable[..., Receiver]]:
    """Return what starts a receiver: `make("exim", "smtp_accept_max = 1")`."""
    with ExitStack() as running:

        def start(kind: str, *more: str, **settings: str) -> Receiver:
            if kind == "exim":
                return running.enter_context(exim(unpacked(kind), macros="\n".join(more) + "\n"))
            if kind == "opensmtpd":
                return running.enter_context(opensmtpd(unpacked(kind), *more))
            return running.enter_context(moody(need("postfix"), pki, kind, **settings))

        yield start


@pytest.fixture(scope="module", params=CASES, ids=" with ".join)
def narrow(request: pytest.FixtureRequest, make: Callable[..., Receiver]) -> Receiver:
    """Return each receiver of CASES in turn."""
    kind, name = request.param
    if kind == "postfix":
        return make(kind, **POSTFIXES[name])
    return make(kind, {"exim": EXIMS, "opensmtpd": OPENSMTPDS}[kind][name])


@pytest.mark.parametrize("shares", [{}, SHARES], ids=["good", "mixed"])
def test_a_limit_of_a_connection_ends_no_pass(
    narrow: Receiver, dovecot: Dovecot, conf: Conf, a_pass: Run, shares: dict[Kind, int]
) -> None:
    office = Round(dovecot, narrow, conf, kinds(COUNT, shares))
    step = office.carry(a_pass)
    assert step.outcome == office.expected(lifted=False), step.result
    office.lift()
    step = office.carry(a_pass)
    assert (step.result, step.outcome) == (NOTHING, office.expected(lifted=True))


def crowd(count: int, glad: list[str]) -> bytes:
    return b"X-Rcpt-To: " + ",\r\n ".join(glad[:count]).encode() + b"\r\n" + mail.plain(count, 300).sent


CROWDED = {
    "exim": "recipients_max = 5",
    "exim, strictly": "recipients_max = 5\nrecipients_max_reject",
    "opensmtpd": "smtp limit max-rcpt 5",
}


@pytest.mark.parametrize("name", CROWDED)
def test_more_recipients_than_one_transaction_may_have_get_it_once_each(
    make: Callable[..., Receiver], name: str, dovecot: Dovecot, conf: Conf, a_pass: Run
) -> None:
    receiver = make(name.partition(",")[0], CROWDED[name])
    user, people = dovecot.user(), [receiver.address() for _ in range(23)]
    dovecot.fill(user, [crowd(count, people) for count in (23, 1, 6)])
    path = conf(pop3(dovecot, user, "tls=off"), pf_smtp_server=f"127.0.0.1:{receiver.port}")
    assert a_pass(path) == NOTHING
    assert [len(receiver.received(who)) for who in people] == [3] + [2] * 5 + [1] * 17


def test_a_name_that_the_receiver_does_not_like_is_told_and_costs_nobody(
    make: Callable[..., Receiver], dovecot: Dovecot, conf: Conf, a_pass: Run
) -> None:
    receiver = make("postfix", smtpd_helo_restrictions="reject_non_fqdn_helo_hostname", smtpd_helo_required="yes")
    office = Round(dovecot, receiver, conf, kinds(COUNT, SHARES))
    step = office.carry(a_pass, pf_helo_name="vm")
    assert step.result.code == 75
    assert "see pf_helo_name" in step.result.err
    assert step.outcome == Outcome(deferred=step.outcome.deferred, left=COUNT)
    step = office.carry(a_pass, pf_helo_name="office.example.test")
    assert step.outcome == office.expected(lifted=False), step.result


def test_a_limit_of_messages_in_a_while_delays_and_loses_nothing(
    make: Callable[..., Receiver], dovecot: Dovecot, conf: Conf, a_pass: Run
) -> None:
    receiver = make("postfix", **RATE, smtpd_client_message_rate_limit="20")
    office = Round(dovecot, receiver, conf, [Kind.GOOD] * COUNT)
    steps = [office.carry(a_pass)]
    while steps[-1].result != NOTHING and len(steps) < COUNT:
        assert steps[-1].result.code == 75
        steps.append(office.carry(a_pass))
    assert len(steps) > 1
    assert steps[-1].outcome == Outcome(delivered=COUNT)
