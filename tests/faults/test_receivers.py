"""Receivers that say anything at all: what follows is what the design's table of verdicts says, and nothing else."""

import os
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lib.pop import fetch
from tests import talk
from tests.embedded import PopServer, SmtpServer, SmtpTalk
from tests.faults import matrix
from tests.faults.matrix import ACCEPTED, Case
from tests.faults.picky import CARETAKER, SENDER, Picky, user
from tests.passes import Conf, RunPass, account
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail, spooled

Cases = Callable[[bool, bool], Iterator[Case]]


class Bench:
    """Runs one case after the other, each in a folder of its own."""

    def __init__(self, conf: Conf, run_pass: RunPass, pop: PopServer, picky: Picky) -> None:
        self.conf, self.run_pass, self.pop, self.picky = conf, run_pass, pop, picky
        self.count = 0

    def wrong(self, case: Case) -> Iterator[str]:
        """Yield what is not as it must be, in words."""
        self.count += 1
        work = self.conf.work / str(self.count)
        work.mkdir()
        people = [user(number).decode() for number in range(len(case.rcpts))]
        one = mail(f"Return-Path: <{SENDER.decode()}>", f"X-Rcpt-To: {', '.join(people)}", "Subject: one")
        two = mail("Return-Path: <other@sender.example>", "X-Rcpt-To: other@case.example", "Subject: two")
        self.pop.mailboxes["bob"].messages.update({1: one, 2: two})
        self.picky.begin(case)
        settings = {
            "work_path": work,
            "pf_smtp_server": f"127.0.0.1:{self.picky.port}",
            "pf_smtp_protocol": "lmtp" if case.lmtp else "smtp",
            "pf_dflt_address": CARETAKER.decode() if case.caretaker else None,
            "pf_smtp_user": "us" if case.auth else None,
            "pf_smtp_password": "geheim-us" if case.auth else None,
        }
        path = self.conf(account(self.pop.port), **settings)
        must = matrix.expected(case)
        yield from self._first(case, must, self._pass(path), work)
        self.picky.case = None
        yield from self._second(must, self._pass(path), work)

    def _pass(self, path: Path) -> int:
        """Run a pass when the mailbox is free: the one before may have left without waiting for the answer to QUIT."""
        with self.pop.mailboxes["bob"].lock:
            pass
        return self.run_pass(path).code

    def _fates(self, count: int) -> list[int]:
        return [self.picky.came["one", user(number)] for number in range(count)]

    def _duds(self, work: Path) -> int:
        path = work / "duds.dat"
        return path.read_bytes().count(b"\nX-POPFetch-Dud-When") if path.exists() else 0

    def _first(self, case: Case, must: matrix.Expected, code: int, work: Path) -> Iterator[str]:
        came, left = self.picky.came, self.pop.mailboxes["bob"].messages
        facts = {
            "exit code": (code, must.exit),
            "deliveries": (self._fates(len(case.rcpts)), [int(fate == ACCEPTED) for fate in must.fates]),
            "caretaker's copies": (came["one", CARETAKER], must.copies),
            "duds": (self._duds(work), must.duds),
            "on the POP server": (1 in left, must.stays),
            "next one delivered": (bool(came["two", b"other@case.example"]), must.next_one),
            "next one deleted": (2 not in left, must.next_one),
        }
        yield from (f"{name} is {is_}, not {right}" for name, (is_, right) in facts.items() if is_ != right)

    def _second(self, must: matrix.Expected, code: int, work: Path) -> Iterator[str]:
        came = self.picky.came
        facts = {
            "second exit code": (code, must.again),
            "deliveries in the end": (
                self._fates(len(must.fates)),
                [int(fate != matrix.REFUSED) for fate in must.fates],
            ),
            "copies in the end": (came["one", CARETAKER], must.copies_again),
            "duds in the end": (self._duds(work), must.duds_again),
            "next one in the end": (came["two", b"other@case.example"], 1),
            "left in the end": (list(self.pop.mailboxes["bob"].messages), []),
            "spool in the end": (spooled(work), []),
        }
        yield from (f"{name} is {is_}, not {right}" for name, (is_, right) in facts.items() if is_ != right)


@pytest.fixture
def bench(conf: Conf, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return what runs cases; nothing here is about power cuts, so nobody waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with PopServer({"bob": ("geheim-bob", [])}) as pop, Picky() as picky:
        yield Bench(conf, run_pass, pop, picky)


GROUPS = {
    "greetings": (matrix.greetings, 30),
    "alone": (matrix.alone, 30),
    "mixed": (matrix.mixed, 30),
    "senders": (matrix.senders, 20),
}


@pytest.mark.parametrize("ahead", [True, False], ids=["pipelining", "lockstep"])
@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_reply_has_the_consequence_that_the_design_says(
    bench: Bench, group: str, lmtp: bool, ahead: bool
) -> None:
    cases, count = GROUPS[group]
    found = {case: list(bench.wrong(case)) for case in matrix.chosen(cases(lmtp, ahead), count, 2 * lmtp + ahead)}
    wrong = [f"{case!s}: {'; '.join(words)}" for case, words in found.items() if words]
    assert not wrong, f"{len(wrong)} of {len(found)}:\n" + "\n".join(wrong[:10])


# --- receivers that want to be asked again, or take their time --------------------------------------------------------


class Grey(SmtpServer):
    """Takes mail for a recipient from the pass on that his name says: `p3@…` from the third."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0

    def talk(self, sock: socket.socket) -> SmtpTalk:
        asked = (b"p%d@grey.example" % number for number in range(self.turn + 1, 9))
        return SmtpTalk(sock, self.tls, dict.fromkeys(asked, b"450 4.7.1 greylisted"), self.taken)


def test_greylisting_over_many_passes_delivers_to_each_once_and_downloads_once(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    people = [f"p{number}@grey.example" for number in (3, 1, 5, 2, 1)] + ["now@grey.example"]
    post = mail("Return-Path: <a@far.example>", f"X-Rcpt-To: {', '.join(people)}", "Subject: for many")
    with PopServer({"bob": ("geheim-bob", [post])}) as pop, Grey() as grey:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{grey.port}")
        for turn in range(1, 6):
            grey.turn = turn
            assert run_pass(path).code == (0 if turn == 5 else 75)
            came = Counter(who for letter in grey.taken for who in letter.recipients)
            assert came == dict.fromkeys([who.encode() for who in people if who < f"p{turn + 1}"], 1)
            assert (len(pop.left("bob")), len(spooled(work))) == ((0, 0) if turn == 5 else (1, 1))
        assert pop.heard.count("RETR") == 1


UNHURRIED = """
    S: 220 mx.example
    C* EHLO *
    S: 250 mx.example
    C* MAIL *
    S: 250 ok
    C* RCPT *
    S: 250 ok
    C: DATA
    S: 354 go on
    C.
    -- sleep 1
    S: 250 taken at last
"""
LONE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def test_the_pop_server_hears_from_us_while_the_receiver_thinks(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A virus scanner takes minutes for the verdict; many a POP server hangs up after one minute of silence.
    monkeypatch.setattr(fetch, "NOOP_SECONDS", 0.1)
    monkeypatch.setattr(talk, "IDLE", 0.4)
    mailbox.put(mail("Subject: slow"))
    assert receiver(f"{UNHURRIED}C: QUIT", option="to=b@example.org")[:3] == (0, "", "")
    assert mailbox.server.heard.count("NOOP") >= 5
    assert (mailbox.server.heard.count("USER"), mailbox.left) == (1, [])


def test_a_pop_server_that_hangs_up_while_the_receiver_thinks_costs_neither_the_message_nor_a_second_copy(
    receiver: Receiver, mailbox: Mailbox, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "IDLE", 0.4)  # and no NOOP of ours comes in time
    mailbox.put(mail("Subject: slow"))
    assert receiver(f"{UNHURRIED}C: QUIT", option="to=b@example.org")[:3] == (0, "", "")
    assert (mailbox.left, mailbox.server.heard.count("USER")) == ([], 2)
    path = receiver.write("to=b@example.org", pf_smtp_server=f"127.0.0.1:{smtp.port}")
    assert receiver.run_pass(path) == (0, "", "")
    assert smtp.taken == []


class Sendmail(SmtpTalk):
    """Hangs up at a lone CR or LF, as sendmail 8.18 does with the code of a temporary trouble."""

    def _content(self) -> bytes:
        content = super()._content()
        if LONE.search(content):
            self.say(b"421 4.5.0 Bare linefeed (LF) not allowed")
            raise ConnectionAbortedError
        return content


class SendmailServer(SmtpServer):
    """A receiver of that kind."""

    def talk(self, sock: socket.socket) -> SmtpTalk:
        return Sendmail(sock, self.tls, self.refused, self.taken)


def test_lone_line_ends_reach_a_receiver_that_hangs_up_at_them(conf: Conf, run_pass: RunPass) -> None:
    ragged = b"Subject: ragged\n\nlone\nline\rends\r\r\nof all kinds\n.\n\r"
    with PopServer({"bob": ("geheim-bob", [ragged, mail("Subject: two")])}) as pop, SendmailServer() as sendmail:
        path = conf(account(pop.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{sendmail.port}")
        assert run_pass(path) == (0, "", "")
        assert (len(sendmail.taken), pop.left("bob")) == (2, [])
