"""Messages at which a receiver breaks off, or that it puts off: whatever stands in front, the others get through."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import days
from tests.embedded import SmtpServer, SmtpTalk
from tests.passes import Conf, RunPass, account
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import mail, spooled

CUT = b"cut"
CLOSING = (b"421", b"454", b"530", b"535")
PHASES = ("MAIL", "RCPT", "DATA", "dot")


class MoodyTalk(SmtpTalk):
    """Says *word* to whoever is called poison, at *phase*, and hangs up where it says so."""

    phase, word = "", b""

    def play(self, heard: list[str]) -> None:
        usual = self.verbs
        self.verbs = {**usual, b"MAIL": self._to_mail, b"RCPT": self._to_rcpt, b"DATA": self._to_data}
        super().play(heard)

    def _odd(self, phase: str, sender: bytes) -> bool:
        return self.phase == phase and b"poison" in sender

    def _answer(self) -> bool:
        if self.word == CUT:
            return False
        return self.say(self.word) and not self.word.startswith(CLOSING)

    def _to_mail(self, rest: bytes) -> bool:
        if self._odd("MAIL", rest):
            return self._answer()
        self._mail(rest)
        return True

    def _to_rcpt(self, rest: bytes) -> bool:
        if self._odd("RCPT", self.sender or b""):
            return self._answer()
        self._rcpt(rest)
        return True

    def _to_data(self, rest: bytes) -> bool:
        if self._odd("DATA", self.sender or b""):
            return self._answer()
        if not self._odd("dot", self.sender or b"") or not self.recipients:
            self._data(rest)
            return True
        self.say(b"354 go on")
        self._content()
        self.sender = None
        return self._answer()


class Moody(SmtpServer):
    """A receiver of that kind; without a word it takes everything."""

    phase, word = "", b""

    def talk(self, sock: socket.socket) -> SmtpTalk:
        talk = MoodyTalk(sock, self.tls, self.refused, self.taken)
        talk.phase, talk.word = self.phase, self.word
        return talk

    def came(self) -> Counter[bytes]:
        return Counter(letter.content.partition(b"Subject: ")[2].split(b"\r\n")[0] for letter in self.taken)


@pytest.fixture
def moody() -> Iterator[Moody]:
    with Moody() as server:
        yield server


class Office:
    """Runs passes over bob's mailbox into a moody receiver."""

    def __init__(self, conf: Conf, run_pass: RunPass, mailbox: Mailbox, moody: Moody) -> None:
        self.run_pass, self.mailbox, self.moody = run_pass, mailbox, moody
        self.path = conf(account(mailbox.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{moody.port}")
        self.work = conf.work

    def put(self, name: str, number: int) -> list[bytes]:
        names = [f"{name} {one}" for one in range(number)]
        sender = f"Return-Path: <{name}@far.example>"
        self.mailbox.put(*(mail(sender, f"Subject: {one}", f"Message-ID: <{one}>") for one in names))
        return [one.encode() for one in names]

    def passes(self, number: int) -> list[int]:
        return [self.run_pass(self.path).code for _ in range(number)]


@pytest.fixture
def office(conf: Conf, run_pass: RunPass, mailbox: Mailbox, moody: Moody) -> Office:
    return Office(conf, run_pass, mailbox, moody)


WORDS = [
    *((phase, word) for phase in PHASES for word in (b"421 4.7.0 too many errors", b"535 5.7.8 ours no more", CUT)),
    *((phase, b"503 5.5.1 bad sequence of commands") for phase in PHASES),
    ("MAIL", b"451 4.1.8 Domain of sender address does not resolve"),
    ("MAIL", b"354 go on"),
    ("RCPT", b"450 4.7.1 greylisted"),
    ("RCPT", b"451 4.7.1 later"),
    ("DATA", b"451 4.3.0 not now"),
    ("DATA", b"250 ok"),
    ("dot", b"451 4.7.1 Ratelimit exceeded"),
    ("dot", b"what do you say"),
]


@pytest.mark.parametrize(("phase", "word"), WORDS)
def test_three_that_stand_in_front_stop_nobody_in_the_second_pass(
    office: Office, moody: Moody, monkeypatch: pytest.MonkeyPatch, phase: str, word: bytes
) -> None:
    moody.phase, moody.word = phase, word
    poison, good = office.put("poison", 3), office.put("good", 5)
    assert set(office.passes(2)) == {75}
    assert moody.came() == Counter(good)
    later = office.put("later", 2)
    assert office.passes(1) == [75]  # what comes later is delivered in the pass after it came
    assert moody.came() == Counter(good + later)
    moody.phase = ""
    days.later(monkeypatch, 0.5)  # what may have been taken is not tried in every pass
    assert office.passes(1) == [0]
    assert moody.came() == Counter(poison + good + later)
    assert (office.mailbox.left, spooled(office.work)) == ([], [])


@pytest.mark.parametrize(("phase", "word"), [("MAIL", CUT), ("RCPT", b"421 no"), ("dot", b"451 4.7.1 later")])
def test_twenty_that_stand_in_front_keep_the_others_waiting_for_three_passes_at_most(
    office: Office, moody: Moody, phase: str, word: bytes
) -> None:
    moody.phase, moody.word = phase, word
    office.put("poison", 20)
    good = office.put("good", 3)
    assert set(office.passes(3)) == {75}
    assert moody.came() == Counter(good)


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA"])
def test_one_of_them_costs_its_neighbours_nothing_in_the_same_pass(office: Office, moody: Moody, phase: str) -> None:
    moody.phase, moody.word = phase, CUT
    before = office.put("before", 4)
    office.put("poison", 1)
    behind = office.put("behind", 4)
    assert office.passes(1) == [75]
    assert moody.came() == Counter(before + behind)


def test_what_broke_a_connection_in_an_earlier_pass_has_one_try_in_the_next(
    office: Office, moody: Moody, work: Path
) -> None:
    moody.phase, moody.word = "RCPT", CUT
    office.put("poison", 1)
    assert office.passes(1) == [75]
    moody.phase, moody.word = "DATA", b"451 not now"
    office.put("poison", 1)  # is put off
    assert office.passes(1) == [75]
    moody.phase, moody.heard[:] = "RCPT", []
    moody.word = CUT
    assert office.passes(1) == [75]
    assert moody.heard.count("RCPT") == 3  # what broke a connection before once, what was put off once more
    moody.phase = ""
    assert (office.passes(1), len(moody.taken), spooled(work)) == ([0], 2, [])


def test_a_crowd_of_strangers_at_whom_a_receiver_hangs_up_keeps_it_from_nobody(
    conf: Conf, run_pass: RunPass, mailbox: Mailbox
) -> None:
    class Hasty(SmtpTalk):
        """Hangs up at the twentieth error."""

        errors = 0

        def _rcpt(self, rest: bytes) -> None:
            self.errors += b"friend" in rest
            if self.errors == 20:
                self.say(b"421 4.7.0 Error: too many errors")
                raise ConnectionAbortedError
            super()._rcpt(rest)

    friends = [f"friend{one}@example.org" for one in range(60)]

    class HastyServer(SmtpServer):
        def talk(self, sock: socket.socket) -> SmtpTalk:
            refused = {who.encode(): b"550 5.1.1 User unknown" for who in friends}
            return Hasty(sock, self.tls, refused, self.taken)

    mailbox.put(mail(f"X-Rcpt-To: {', '.join([*friends, 'anna@example.org'])}"), mail("X-Rcpt-To: anna@example.org"))
    with HastyServer() as hasty:
        server = {"pf_smtp_server": f"127.0.0.1:{hasty.port}", "pf_dflt_address": "care@example.org"}
        assert run_pass(conf(account(mailbox.port), **server)) == (0, "", "")
    assert sorted(who for letter in hasty.taken for who in letter.recipients) == [
        b"anna@example.org",
        b"anna@example.org",
        b"care@example.org",
    ]
    assert mailbox.left == []
