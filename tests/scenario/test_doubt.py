"""A receiver that takes a message, or not, and breaks off instead of saying so: no copies without end."""

import re
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes

import pytest

from tests.days import later, set_clock
from tests.embedded import SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail, spooled

HOUR = 1 / 24
SUBJECT = re.compile(rb"^Subject: (.*)\r$", re.MULTILINE)
CRASHES, FINE, LETTER = b"crashes", b"fine", b"POPFetch: a message may have come more than once"


class Crashing(SmtpServer):
    """Queues a message whose Subject is in *crashes* and hangs up instead of its 250."""

    def __init__(self) -> None:
        super().__init__(judge=self._look)
        self.crashes = {CRASHES}
        self.spares_copies = False
        self.copies: Counter[bytes] = Counter()

    def _look(self, content: bytes) -> bytes:
        found = SUBJECT.search(content)
        subject = found[1] if found else b""
        self.copies[subject] += 1
        if subject in self.crashes and not (self.spares_copies and b"Not received by:" in content):
            raise ConnectionAbortedError
        return b""


class Office:
    """Runs passes over bob's mailbox, all for b, into such a receiver."""

    def __init__(self, conf: Conf, run_pass: RunPass, mailbox: Mailbox, smtp: Crashing) -> None:
        self.conf, self.run_pass, self.mailbox, self.smtp = conf, run_pass, mailbox, smtp

    def __call__(self, **settings: object) -> Result:
        where = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", "pf_dflt_address": "care@example.org", **settings}
        return self.run_pass(self.conf(account(self.mailbox.port, "to=b@example.org"), **where))

    def copies(self, subject: bytes = CRASHES) -> int:
        return self.smtp.copies[subject]


@pytest.fixture
def office(conf: Conf, run_pass: RunPass, mailbox: Mailbox) -> Iterator[Office]:
    with Crashing() as smtp:
        mailbox.put(mail("Subject: crashes"), mail("Subject: fine"))
        yield Office(conf, run_pass, mailbox, smtp)


def test_it_is_tried_at_growing_intervals_and_all_others_go_on(
    office: Office, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    for hours in (0, 0, 0, 0.9, 0.2, 3.9, 0.2, 23.9, 0.2, 23.9, 0.2):
        later(monkeypatch, hours * HOUR)
        mailbox.put(mail(f"Subject: of pass {len(copies)}"))
        assert office().code == 75
        copies.append(office.copies())
    assert copies == [1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    assert (office.copies(FINE), mailbox.retrieved()) == (1, 2 + len(copies))
    assert all(office.copies(b"of pass %d" % number) == 1 for number in range(len(copies)))


def test_the_caretaker_is_told_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    for told in (0, 1, 1):
        assert office().code == 75
        assert office.copies(LETTER) == told
    later(monkeypatch, 1)
    assert office().code == 75
    assert (office.copies(), office.copies(LETTER)) == (3, 1)
    (letter,) = [one for one in office.smtp.taken if one.recipients == (b"care@example.org",)]
    text = message_from_bytes(letter.content).get_payload(decode=True)
    assert isinstance(text, bytes)
    assert b"2 times a message was sent whole" in text
    assert b"    for: b@example.org\r\n    subject: crashes\r\n" in text
    assert letter.sender == b""


def test_one_loss_is_an_accident(office: Office, mailbox: Mailbox) -> None:
    assert office().code == 75
    office.smtp.crashes.clear()
    assert office() == (0, "", "")
    assert (office.copies(), office.copies(LETTER), mailbox.left) == (2, 0, [])


def test_what_is_given_up_goes_to_the_caretaker(
    office: Office, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.smtp.spares_copies = True
    for days in (0, 0, 0.5, 0.6):
        later(monkeypatch, days)
        assert office().code == 75
    later(monkeypatch, 4.5)
    assert (office().code, office.copies(), mailbox.left) == (0, 6, [])  # five to b, and the caretaker's
    assert office.smtp.taken[-1].recipients == (b"care@example.org",)
    assert b"Not received by:" in office.smtp.taken[-1].content


def test_the_copy_of_the_caretaker_is_no_better_off(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.smtp.refused = {b"b@example.org": b"550 5.1.1 no such user"}
    office.smtp.crashes = {FINE}
    copies = []
    for hours in (0, 0, 0, 0.9, 0.2, 3.9, 0.2):
        later(monkeypatch, hours * HOUR)
        office()
        copies.append(office.copies(FINE))
    assert copies == [1, 2, 2, 2, 3, 3, 4]
    assert (office.copies(), office.copies(LETTER)) == (1, 0)


@pytest.mark.parametrize("days", [-1.0, -20 * 365.0, 400.0])
def test_a_clock_that_is_set_costs_no_more_than_a_copy(
    office: Office, monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    for _ in range(3):
        office()
    assert office.copies() == 2
    set_clock(monkeypatch, days)
    for _ in range(5):
        assert office().code == 75
    assert office.copies() <= 3


def test_who_is_greylisted_does_not_wait_with_the_one_whose_verdict_gets_lost(
    receiver: Receiver, mailbox: Mailbox
) -> None:
    mailbox.put(mail("X-Rcpt-To: b@example.org, c@example.org, d@example.org", "Subject: crashes"))
    hello = "S: 220 mx ESMTP\nC* LHLO *\nS: 250 mx\nC: MAIL FROM:<>\nS: 250 ok\n"
    grey = "C: RCPT TO:<d@example.org>\nS: 450 4.2.0 greylisted\n"
    content = "C: DATA\nS: 354 go on\nC. *\n"
    taken = "S: 250 taken\n"

    def rcpt(who: str) -> str:
        return f"C: RCPT TO:<{who}@example.org>\nS: 250 ok\n"

    both = f"{hello}{rcpt('b')}{rcpt('c')}{grey}{content}{taken}-- cut"
    assert receiver(both, pf_smtp_protocol="lmtp").code == 75
    second = f"{hello}{rcpt('c')}{grey}{content}-- cut"
    assert receiver(second, pf_smtp_protocol="lmtp").code == 75
    third = f"{hello}{rcpt('d')}{content}{taken}C: QUIT"
    assert receiver(third, pf_smtp_protocol="lmtp").code == 75
    assert spooled(receiver.work) == ["msg.dat"]
