"""Mail that comes again: somebody resent it, or it goes in circles."""

from pathlib import Path

import pytest

from tests.embedded import Letter, SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import logged, mail

CIRCLES = b"it goes in circles: it has been fetched from this account before, for the same recipients"
ANN, BEN, CHEF = b"ann@example.org", b"ben@example.org", b"chef@example.org"


class Office:
    """A mailbox that everybody shares: X-Original-To says who gets a message."""

    def __init__(self, conf: Conf, run_pass: RunPass, mailbox: Mailbox, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.mailbox, self.smtp = conf, run_pass, mailbox, smtp

    def __call__(self, **settings: object) -> Result:
        known = {
            "pf_smtp_server": f"127.0.0.1:{self.smtp.port}",
            "pf_header": "X-Original-To",
            "pf_accept_domain": "example.org",
            "pf_dflt_address": "chef@example.org",
            "pf_max_duds": 1,
            **settings,
        }
        return self.run_pass(self.conf(account(self.mailbox.port), **known))

    def send(self, *to: bytes, octets: bytes = b"") -> None:
        """Let *octets*, or a new mail, come for *to*."""
        lines = b"".join(b"X-Original-To: %b\r\n" % one for one in to)
        self.mailbox.put(lines + (octets or mail("Subject: one")))

    @property
    def last(self) -> Letter:
        return self.smtp.taken[-1]

    def went_to(self) -> list[tuple[bytes, ...]]:
        return [letter.recipients for letter in self.smtp.taken]


@pytest.fixture
def office(conf: Conf, run_pass: RunPass, mailbox: Mailbox, smtp: SmtpServer) -> Office:
    return Office(conf, run_pass, mailbox, smtp)


def test_who_resends_a_message_to_a_colleague_lets_him_have_it(office: Office) -> None:
    office.send(ANN)
    assert office() == (0, "", "")
    assert b" with POP3 for <ann@example.org>; " in b" ".join(office.last.content.split())
    office.send(BEN, octets=b"Resent-To: ben@example.org\r\n" + office.last.content)
    assert office() == (0, "", "")
    assert office.went_to() == [(ANN,), (BEN,)]


@pytest.mark.parametrize("to", [(ANN,), (ANN, BEN)])
def test_what_comes_again_for_the_same_goes_to_the_caretaker_once(
    office: Office, work: Path, to: tuple[bytes, ...]
) -> None:
    office.send(*to)
    office()
    office.send(*to, octets=office.last.content)
    assert office() == (0, "", "")
    assert office.went_to() == [to, (CHEF,)]
    copy = office.last
    assert copy.sender == b""
    assert b"Not received by:\r\n    ann@example.org\r\n" in copy.content
    assert CIRCLES in b" ".join(copy.content.split())
    office.send(*to, octets=copy.content)  # the caretaker's mail comes by this account as well
    assert office().code == 65
    assert len(office.smtp.taken) == 2
    assert b"Dud-Why: <ann@example.org>: " + CIRCLES in (work / "duds.dat").read_bytes()
    assert office() == (0, "", "")  # it counts for nothing


def test_without_a_caretaker_it_is_a_dud_that_counts_for_nothing(office: Office, work: Path) -> None:
    office.send(ANN)
    office(pf_dflt_address=None)
    for number in range(1, 3):
        office.send(ANN, octets=office.last.content)
        assert office(pf_dflt_address=None).code == 65
        assert (work / "duds.dat").read_bytes().count(b"Dud-Why: ") == number
    assert office.went_to() == [(ANN,)]


def test_whatever_comes_by_five_accounts_of_ours_goes_to_the_caretaker(office: Office) -> None:
    office.send(b"p0@example.org")
    for number in range(1, 6):
        office()
        assert office.went_to()[-1] == (b"p%d@example.org" % (number - 1),)
        office.send(b"p%d@example.org" % number, octets=office.last.content)
    assert office() == (0, "", "")
    assert office.went_to()[-1] == (CHEF,)
    assert b"by this program 5 times before" in b" ".join(office.last.content.split())


def test_a_copy_that_cannot_be_taken_now_waits_and_nobody_else_is_asked(office: Office, work: Path) -> None:
    office.send(ANN)
    office()
    office.send(ANN, octets=office.last.content)
    office.smtp.refused = {CHEF: b"450 4.2.0 not now"}
    assert office().code == 75
    office.smtp.refused = {}
    assert office() == (0, "", "")
    assert office.went_to() == [(ANN,), (CHEF,)]
    assert [line["status"] for line in logged(work, "message")] == ["delivered", "deferred", "refused"]
