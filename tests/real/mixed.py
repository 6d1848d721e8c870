"""Mail as a mailbox really holds it, some of it for nobody, put off, refused for its content or for its sender.

`Round` carries it to a receiver, pass after pass, and counts what became of each letter.
"""

import mailbox
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tests.passes import Conf, Result
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.office import pop3
from tests.real.people import BAD, DOMAIN, SPAMMER
from tests.real.receivers import Receiver

NUMBER = re.compile(rb"letter (\d+)\b")
RETURN_PATH = re.compile(rb"^Return-path: <([^>\n]*)>$", re.IGNORECASE | re.MULTILINE)


class Kind(StrEnum):
    """What a receiver thinks of a letter."""

    GOOD = "good"
    UNKNOWN = "unknown"  # there is no such person
    GREY = "grey"  # not before the greylist is lifted
    SPAM = "spam"  # refused for what it contains
    BAD = "bad"  # refused for its sender
    PARTLY = "partly"  # for one who is there and one who is not
    HALF = "half"  # for one who takes it now and one who does not yet


SHARES = {Kind.UNKNOWN: 5, Kind.GREY: 5, Kind.SPAM: 2, Kind.BAD: 2}  # of a hundred


class Letter(NamedTuple):
    """One message of the mailbox."""

    number: int
    kind: Kind
    sender: str
    to: str
    text: bytes

    @property
    def sent(self) -> bytes:
        """Return it as the provider holds it: the envelope on top."""
        envelope = f"Return-Path: <{self.sender}>\r\nX-Rcpt-To: {self.to}\r\n"
        return envelope.encode() + self.text

    @property
    def arrives_from(self) -> str:
        """Return the sender that it arrives with: none where that one is refused."""
        return "" if self.kind is Kind.BAD else self.sender


def kinds(count: int, shares: dict[Kind, int]) -> list[Kind]:
    """Return a kind for each of *count* letters, always the same ones."""
    odd = [kind for kind, share in shares.items() for _ in range(count * share // 100)]
    drawn = [*odd, *[Kind.GOOD] * (count - len(odd))]
    random.Random(7).shuffle(drawn)  # noqa: S311 - mail, not secrets
    return drawn


def letters(drawn: list[Kind], glad: str, grey: str) -> Iterator[Letter]:
    """Yield a letter of each kind that was *drawn*, for *glad* who takes mail and *grey* who does not yet."""
    for number, kind in enumerate(drawn):
        sender = {Kind.SPAM: f"{SPAMMER}{number}@example.org", Kind.BAD: f"s{number}@{BAD}"}
        nobody = f"nobody{number}@{DOMAIN}"
        to = {Kind.UNKNOWN: nobody, Kind.GREY: grey, Kind.PARTLY: f"{nobody}, {glad}", Kind.HALF: f"{grey}, {glad}"}
        fields = [
            b"From: sender%d@example.org" % number,
            b"Subject: letter %d" % number,
            b"Date: Mon, 17 Mar 2025 10:00:00 +0100",
            b"Message-ID: <%d@example.org>" % number,
            *([b"X-Spam: yes"] if kind is Kind.SPAM else []),
        ]
        text = b"\r\n".join(fields) + b"\r\n\r\n" + mail.text(f"letter {number}", 500 + 7919 * number % 7000)
        yield Letter(number, kind, sender.get(kind, f"s{number}@example.org"), to.get(kind, glad), text)


class Outcome(NamedTuple):
    """How many letters ended where, and how often something went wrong with one."""

    delivered: int = 0  # a copy for each who was to have it
    deferred: int = 0
    caretaker: int = 0  # who has a copy, or a notice of what is a dud
    duds: int = 0
    left: int = 0  # still at the provider
    twice: int = 0
    lost: int = 0
    wrong: int = 0  # altered, or with another's sender


class Step(NamedTuple):
    """What a pass came to."""

    result: Result
    seconds: float
    outcome: Outcome


class Round:
    """A mailbox full of letters, and the passes that carry them to *receiver*."""

    def __init__(self, dovecot: Dovecot, receiver: Receiver, conf: Conf, drawn: list[Kind]) -> None:
        self._dovecot = dovecot
        self._receiver = receiver
        self._conf = conf
        self._user = dovecot.user()
        self.glad, self.grey, self.caretaker = (receiver.address() for _ in range(3))
        self.letters = list(letters(drawn, self.glad, self.grey))
        dovecot.fill(self._user, [letter.sent for letter in self.letters])
        receiver.grey(self.grey)

    def conf(self, **settings: object) -> Path:
        """Write the dmail.conf of this round."""
        ours = {"pf_smtp_server": f"127.0.0.1:{self._receiver.port}", "pf_dflt_address": self.caretaker}
        return self._conf(pop3(self._dovecot, self._user, "tls=off"), **{**ours, **settings})

    def carry(self, run_pass: Callable[[Path], Result], **settings: object) -> Step:
        """Run a pass, and count."""
        path = self.conf(**settings)
        begun = time.monotonic()
        result = run_pass(path)
        seconds = time.monotonic() - begun
        return Step(result, seconds, self.outcome())

    def lift(self) -> None:
        """Let the greylist go."""
        self._receiver.grey()

    def outcome(self) -> Outcome:
        """Look everywhere a letter can be."""
        arrived = [(who, letter, one) for who in (self.glad, self.grey) for letter, one in self._named(who)]
        delivered = Counter((letter.number, who) for who, letter, _ in arrived)
        told = Counter(letter.number for letter, _ in self._named(self.caretaker))
        duds, deferred = Counter(self._duds()), Counter(self._spooled())
        left = self._dovecot.left(self._user)
        anywhere = {*(number for number, _ in delivered), *told, *duds, *deferred}
        return Outcome(
            delivered=len(delivered),
            deferred=len(deferred),
            caretaker=len(told),
            duds=len(duds),
            left=left,
            twice=sum(count - 1 for count in (*delivered.values(), *told.values(), *duds.values())),
            lost=max(0, len(self.letters) - len(anywhere) - left),
            wrong=sum(not intact(letter, one) for _, letter, one in arrived),
        )

    def expected(self, *, lifted: bool) -> Outcome:
        """Return what has to come of the letters, before the greylist is lifted and after."""
        count = Counter(letter.kind for letter in self.letters)
        late = count[Kind.GREY] + count[Kind.HALF]
        there = count[Kind.GOOD] + count[Kind.BAD] + count[Kind.PARTLY] + count[Kind.HALF]
        return Outcome(
            delivered=there + late * lifted,
            deferred=late * (not lifted),
            caretaker=count[Kind.UNKNOWN] + count[Kind.PARTLY] + count[Kind.SPAM],
            duds=count[Kind.SPAM] * self._receiver.reads,
            left=late * (not lifted),
        )

    def _named(self, address: str) -> Iterator[tuple[Letter, bytes]]:
        for one in self._receiver.received(address):
            match = NUMBER.search(one)
            assert match, one[:500]
            yield self.letters[int(match[1])], one

    def _duds(self) -> Iterator[int]:
        path = self._conf.work / "duds.dat"
        if not path.exists():
            return
        with closing(mailbox.mbox(path, create=False)) as duds:
            for dud in duds:
                match = NUMBER.search(dud.as_bytes())
                assert match, dud
                yield int(match[1])

    def _spooled(self) -> Iterator[int]:
        for path in self._conf.work.glob("msg*.dat"):
            octets = path.read_bytes()
            match = NUMBER.search(octets)
            if match and octets.startswith(b"POPFetch-Spool:"):
                yield int(match[1])


def intact(letter: Letter, arrived: bytes) -> bool:
    """Say whether what arrived is the letter, for whom and from whom it was."""
    written = RETURN_PATH.search(arrived.partition(b"\n\n")[0])
    sender = written[1].decode() if written else ""  # OpenSMTPD writes no line for the null sender
    whole = arrived.endswith(b"\n" + mail.lf(letter.text))
    right = letter.kind is not Kind.UNKNOWN and letter.kind is not Kind.SPAM
    return sender == letter.arrives_from and whole and right
