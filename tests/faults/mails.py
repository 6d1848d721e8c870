"""The mails that the tortures send through the program, and what must have become of each in the end.

Each carries its number in X-World-Id. The copy of one from POISON is refused for what it contains, so that the
caretaker gets a letter about it. `wanted` are those who must have it exactly once; the caretaker's copies and the duds
are counted the same way, as deliveries to CARETAKER and to DUDS.
"""

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

CARETAKER, DUDS = b"caretaker@world.example", b"duds.dat"
REFUSED, GREY, POISON = b"refused@world.example", b"grey@world.example", b"poison@sender.example"
ID = re.compile(rb"^X-World-Id: (\d+)\r?$", re.MULTILINE)
TOLD = re.compile(rb"^    subject: mail (\d+)\r$", re.MULTILINE)  # in a letter to the caretaker
TO = b"X-Rcpt-To"
LARGE = 300_000  # octets: more than is read, or written, at once


class Mail(NamedTuple):
    """One mail as it lies in its mailbox, and who must get it."""

    number: int
    octets: bytes
    wanted: frozenset[bytes]

    @property
    def body(self) -> bytes:
        """The body as it must arrive."""
        return canonical(self.octets).partition(b"\r\n\r\n")[2]

    @property
    def arrives(self) -> bytes:
        """What must arrive under our Received line: the same without the Return-Path that was used."""
        return canonical(self.octets).partition(b"\r\n")[2]


def chance(seed: object) -> random.Random:
    """Return the dice of a seed: the same seed, the same mails and kills."""
    return random.Random(str(seed))  # noqa: S311 - chance, not a secret


def canonical(octets: bytes) -> bytes:
    """Return *octets* with CRLF at every line's end, the long way round: nothing of lib may judge lib."""
    lines = re.split(rb"\r\n|\r|\n", octets)
    return b"\r\n".join(lines if not lines[-1] else [*lines, b""])


def ident(octets: bytes) -> int:
    """Return the number that a mail carries, or that of the mail that it tells of; 0 when it carries none."""
    found = ID.search(octets) or TOLD.search(octets)
    return int(found[1]) if found else 0


def user(number: int) -> bytes:
    return b"u%d@world.example" % number


def _mail(number: int, to: tuple[bytes, ...], body: bytes, *, sender: bytes = b"s@sender.example") -> bytes:
    lines = [
        b"Return-Path: <%b>" % sender,
        b"From: <%b>" % sender,
        b"%b: %b" % (TO, b", ".join(to)),
        b"Subject: mail %d" % number,
        b"X-World-Id: %d" % number,
        b"",
        body,
    ]
    return b"\r\n".join(lines)


def _text(dice: random.Random, size: int) -> bytes:
    """Return about *size* octets of text in lines, with dots to stuff."""
    words = dice.randbytes(size // 2).hex().encode()
    lines = [words[at : at + 72] for at in range(0, len(words), 72)]
    return b"\r\n".join([b".", b"..dots", *lines, b"From here on", b"."]) + b"\r\n"


def plain(number: int, seed: int, size: int) -> Mail:
    """Return a mail to one user."""
    who = user(number)
    return Mail(number, _mail(number, (who,), _text(chance(f"{seed} {number}"), size)), frozenset({who}))


def crowd(number: int, people: int) -> Mail:
    """Return a mail to so many users."""
    everybody = tuple(map(user, range(people)))
    return Mail(number, _mail(number, everybody, b"hello\r\n"), frozenset(everybody))


def stock(seed: int) -> Iterator[Mail]:
    """Yield thirty mails: twenty plain ones, and ten that are something special."""
    dice = chance(seed)
    for number in range(1, 21):
        yield plain(number, seed, dice.choice((80, 600, 3000)))
    text = _text(dice, 200)

    def special(number: int, *to: bytes, wanted: tuple[bytes, ...] = (), sender: bytes = b"s@sender.example") -> Mail:
        return Mail(number, _mail(number, to, text, sender=sender), frozenset(wanted or to))

    yield special(21, user(1), user(2), user(3))
    yield special(22, user(4), user(5))
    yield special(23, user(6), REFUSED, wanted=(user(6), CARETAKER))
    yield special(24, REFUSED, wanted=(CARETAKER,))
    yield special(25, GREY)
    yield special(26, user(7), GREY)
    yield special(27, user(8), REFUSED, GREY, wanted=(user(8), GREY, CARETAKER))
    yield special(28, user(9), REFUSED, sender=POISON, wanted=(user(9), DUDS, CARETAKER))
    yield Mail(29, _mail(29, (user(10),), _text(dice, LARGE)), frozenset({user(10)}))
    ragged = b"bare\nline\nends, \xe4\xf6\xfc and no end"
    yield Mail(30, _mail(30, (user(11),), ragged), frozenset({user(11)}))
