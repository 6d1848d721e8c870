"""Refused for what it contains: the caretaker hears of it all the same, and nobody can stop all mail with ten of it."""

import re
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.embedded import Letter, SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import logged, mail, spooled

GREETED = "S: 220 mx.example ESMTP\nC* EHLO *\nS: 250-mx.example\n"
FEATURES = "S: 250 8BITMIME\n"
HEAD = ("Return-Path: <a@far.example>", "Subject: caf\xe9 \x1b[31m")
NO = "550 maximum allowed line length is 998 octets"
SPAM = b"554 5.7.1 spam"


def offered(sender: str, who: str, answer: str, data: str = "") -> str:
    return f"""
        C* MAIL FROM:<{sender}>*
        S: 250 ok
        C: RCPT TO:<{who}>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. {data or "*"}
        S: {answer}
    """


def refused_at_data(sender: str, who: str, answer: str) -> str:
    return offered(sender, who, answer).partition("S: 354")[0] + f"S: {answer}\n"


LETTER = offered("", "care@example.org", "250 taken", "[letter]")
RSET = "C: RSET\nS: 250 ok\n"


def text(data: bytes) -> str:
    payload = message_from_bytes(data).get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def check_letter(octets: bytes) -> None:
    letter = message_from_bytes(octets)
    assert (letter["To"], letter["Auto-Submitted"]) == ("<care@example.org>", "auto-generated")
    assert letter.get_content_type() == "text/plain"
    told = text(octets)
    for line in (
        "from: <a@far.example>",
        "for: b@example.org",
        "subject: café \\x1b[31m",
        "reason: <b@example.org>: 55",
    ):
        assert f"\r\n    {line}" in told
    assert re.search(r"popfetch_batch\.py -i \S+ --duds show 1\r\n|-i \S+ --duds show 1\r\n", told)
    assert b"x" * 100 not in octets


@pytest.mark.parametrize(
    "script",
    [
        FEATURES
        + refused_at_data("a@far.example", "b@example.org", NO)
        + RSET
        + refused_at_data("", "care@example.org", NO)
        + RSET,
        "S: 250 SIZE 4000\n",  # what is too large is not even offered
    ],
)
def test_the_caretaker_gets_a_letter_that_says_which_and_why(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    mailbox.put(mail(*HEAD, body="x" * 5000))
    passed = receiver(
        f"{GREETED}{script}{LETTER}C: QUIT", option="to=b@example.org", pf_dflt_address="care@example.org"
    )
    assert (passed.code, mailbox.left, spooled(work)) == (65, [], [])
    check_letter(passed.data["[letter]"])
    assert b"x" * 5000 in (work / "duds.dat").read_bytes()


class Office:
    """Runs passes over bob's mailbox, all for b, into a receiver that looks at what is in a message."""

    def __init__(self, conf: Conf, run_pass: RunPass, mailbox: Mailbox) -> None:
        self.conf, self.run_pass, self.mailbox = conf, run_pass, mailbox
        self.taken: list[Letter] = []

    def __call__(
        self, judge: Callable[[bytes], bytes] = lambda _: b"", caretaker: str | None = "care@example.org", net: int = 2
    ) -> Result:
        with SmtpServer(judge=judge) as smtp:
            path = self.conf(
                account(self.mailbox.port, "to=b@example.org"),
                pf_smtp_server=f"127.0.0.1:{smtp.port}",
                pf_dflt_address=caretaker,
                pf_max_duds=net,
            )
            result = self.run_pass(path)
        self.taken += smtp.taken
        return result

    def went_to(self, who: bytes) -> list[bytes]:
        return [letter.content for letter in self.taken if letter.recipients == (who,)]


@pytest.fixture
def office(conf: Conf, run_pass: RunPass, mailbox: Mailbox) -> Office:
    return Office(conf, run_pass, mailbox)


def refusing(*words: bytes) -> Callable[[bytes], bytes]:
    """Return what refuses all that holds one of *words*."""
    return lambda content: SPAM if any(word in content for word in words) else b""


def test_what_is_refused_at_the_dot_is_told_as_well(office: Office, mailbox: Mailbox, work: Path) -> None:
    mailbox.put(mail(*HEAD, body="XXX"))
    assert office(refusing(b"XXX")).code == 65
    (letter,) = office.went_to(b"care@example.org")
    check_letter(letter)
    assert (office.taken[0].sender, mailbox.left, spooled(work)) == (b"", [], [])


def test_who_it_was_for_may_be_the_caretaker(office: Office, mailbox: Mailbox) -> None:
    mailbox.put(mail(*HEAD, body="XXX"))
    assert office(refusing(b"XXX"), caretaker="b@example.org").code == 65
    (letter,) = office.went_to(b"b@example.org")
    assert "for: b@example.org" in text(letter)


def test_a_letter_that_is_refused_for_a_strangers_words_goes_without_them(
    office: Office, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(mail("Subject: XXX"))
    assert office(refusing(b"XXX")).code == 65
    (letter,) = office.went_to(b"care@example.org")
    assert "--duds list" in text(letter)
    assert b"b@example.org" not in letter
    assert ((work / "duds.dat").read_bytes().count(b"X-POPFetch-Dud-When:"), spooled(work)) == (1, [])


def test_a_letter_that_is_not_taken_now_waits_in_the_spool_and_is_written_once(
    office: Office, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(mail(*HEAD, body="XXX"))
    assert office(lambda content: SPAM if b"XXX" in content else b"451 not now").code == 75
    assert (len(spooled(work)), mailbox.left, office.taken) == (1, [], [])
    assert office() == (0, "", "")
    (letter,) = office.went_to(b"care@example.org")
    assert ("--duds show 1" in text(letter), spooled(work)) == (True, [])
    assert office() == (0, "", "")
    assert len(office.taken) == 1


def letters(number: int) -> list[bytes]:
    return [mail(f"Subject: letter {one}", body="XXX") for one in range(number)]


@pytest.mark.parametrize("caretaker", ["care@example.org", None])
def test_ten_of_them_stop_nobody(office: Office, mailbox: Mailbox, work: Path, caretaker: str | None) -> None:
    mailbox.put(*letters(5))
    assert office(refusing(b"XXX"), caretaker).code == 65
    mailbox.put(mail("Subject: good"))
    assert office(refusing(b"XXX"), caretaker) == (0, "", "")
    assert len(office.went_to(b"b@example.org")) == 1
    assert len(office.went_to(b"care@example.org")) == (5 if caretaker else 0)
    assert [line["status"] for line in logged(work, "message")].count("duds") == 5


def test_a_receiver_that_refuses_whatever_it_is_sent_still_trips_the_net(office: Office, mailbox: Mailbox) -> None:
    mailbox.put(*letters(9))
    assert office(lambda _: b"554 broken").code == 79
    assert mailbox.left
    assert office.taken == []
