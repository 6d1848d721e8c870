"""Our Received field (RFC 5321 section 4.4), and how a message shows by it that it goes in circles. Pure.

The field tells the account, and whom the message was for: one recipient in a `for` clause; several (RFC 5321 section
7.2 wants them out of it) as short digests behind the account, so that each of them is known again.

    Received: from pop.example by mail.example (popfetch bob@pop.example) with POP3 for <anna@example.org>; Mon, ...
    Received: from pop.example by mail.example (popfetch bob@pop.example 0f3a9c21 77e0b1d4) with POP3; Mon, ...
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from lib.mail.address import MAX_ADDRESS, mailbox_key
from lib.mail.message import Head
from lib.mail.trace import for_clause

MAX_RECEIVED = 100  # RFC 5321 section 6.3: a loop is a count of Received fields, "normally at least 100"
MAX_OWN = 4  # fields of ours, whoever they are for; one more is a loop
MAX_UNTOLD = 1  # fields of ours of the same account that do not tell whom they are for; one more is a loop
MAX_TOLD = 20  # recipients that a field tells; where there are more it tells none
MAX_WORD = 400  # octets of a word of ours: an account of 64 + @ + 255 fits, a line stays below 998
WIDTH = 78  # columns of a line of ours: RFC 5322 section 2.1.1
TAB = 8

FOREIGN_TO_WORDS = re.compile(rb"[^!#$&'*+,\-./0-9:=?@A-Z^_`a-z{|}~]")
IN_FOR = re.compile(rb"[A-Za-z0-9!#$&'*+/=?^_`{|}~.-]+@[A-Za-z0-9._-]+")  # an address that needs no quotes
IPV4 = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
LITERAL = re.compile(r"\[[0-9A-Za-z:.]+\]")
OWN_RECEIVED = re.compile(
    rb"""from[ \t]+[^ \t]+[ \t]+(?:\([^ \t()]+\)[ \t]+)?
         by[ \t]+[^ \t]+[ \t]+\(popfetch[ \t]+([^ \t()]+)((?:[ \t]+[0-9a-f]{8})*)\)[ \t]+with[ \t]+POP3""",
    re.IGNORECASE | re.VERBOSE,
)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Trace(NamedTuple):
    """What our field tells, but for whom; a *when* without offset gives -0000.

    What was fetched by an earlier pass has no *ip* any more: rather none than a word that is no address.
    """

    account: str
    host: str
    ip: str
    protocol: str
    by: str
    when: datetime


class Own(NamedTuple):
    """A field of ours: its account as it stands there, in lower case, and the digests of whom it was for."""

    account: bytes
    told: frozenset[bytes]


def line(trace: Trace, recipients: Sequence[bytes]) -> bytes:
    """Return our Received field with its line ends.

    Whatever the names hold, it is one field of printable ASCII with one comment, and circles() knows account and
    recipients again.
    """
    single = len(recipients) == 1 and len(recipients[0]) <= MAX_ADDRESS and IN_FOR.fullmatch(recipients[0])
    digests = () if single or len(recipients) > MAX_TOLD else tuple(digest(one) for one in recipients)
    comment = [b"(popfetch", _word(trace.account), *digests]
    words = [
        b"Received: from",
        _host(trace.host),
        *([b"(%b)" % _literal(trace.ip)] if trace.ip else []),
        b"by",
        _host(trace.by),
        *comment[:-1],
        comment[-1] + b")",
        b"with",
        _word(trace.protocol) + (b"" if single else b";"),
        *([b"for", b"<%b>;" % recipients[0]] if single else []),
        _date(trace.when),
    ]
    return _folded(words)


def _folded(words: Sequence[bytes]) -> bytes:
    parts, width = [words[0]], len(words[0])
    for word in words[1:]:
        width += 1 + len(word)
        if width > WIDTH:
            parts.append(b"\r\n\t")
            width = TAB + len(word)
        else:
            parts.append(b" ")
        parts.append(word)
    return b"".join(parts) + b"\r\n"


@lru_cache(maxsize=1024)
def digest(recipient: bytes) -> bytes:
    """Return what tells a recipient from others where his address shall not stand."""
    return hashlib.sha256(mailbox_key(recipient)).hexdigest()[:8].encode()


def circles(head: Head, account: str, recipients: Collection[bytes]) -> str:
    """Say why a message of *account* for *recipients* is going in circles, "" if it is not.

    Who resends a message to a colleague lets it come again, for somebody else: that is none. Fields of ours that do
    not tell whom they are for, as older ones do not, may stem from that once.
    """
    values = [field.value for field in head.fields if field.name == b"received"]
    if len(values) > MAX_RECEIVED:
        return f"it goes in circles: it has more than {MAX_RECEIVED} Received lines"
    own = list(_own(values))
    if len(own) > MAX_OWN:
        return f"it goes in circles: it has been fetched by this program {len(own)} times before"
    same = _of_account(own, account)
    if _covered(same, recipients) or sum(not one.told for one in same) > MAX_UNTOLD:
        return "it goes in circles: it has been fetched from this account before, for the same recipients"
    return ""


def had(head: Head, account: str, recipient: bytes) -> bool:
    """Say whether *recipient* was sent this message of *account* before."""
    values = [field.value for field in head.fields if field.name == b"received"]
    return _covered(_of_account(_own(values), account), (recipient,))


def _own(values: Sequence[bytes]) -> Iterator[Own]:
    """Yield what those of *values* tell that are ours."""
    for value in values:
        match = OWN_RECEIVED.match(value)
        if match:
            told = match[2].lower().split() or [digest(one) for one in for_clause(value)]
            yield Own(match[1].lower(), frozenset(told))


def _of_account(own: Iterable[Own], account: str) -> list[Own]:
    name = _word(account).lower()
    return [one for one in own if one.account == name]


def _covered(own: Sequence[Own], recipients: Collection[bytes]) -> bool:
    """Say whether there are recipients, and all of them were told."""
    told = frozenset[bytes]().union(*(one.told for one in own))
    return bool(told) and bool(recipients) and all(digest(who) in told for who in recipients)


def _word(text: str) -> bytes:
    """Return *text* as one word; what might end a word, a comment or the line becomes %XX, so two never become one."""
    octets = text.encode("utf-8", "backslashreplace")
    return FOREIGN_TO_WORDS.sub(lambda odd: b"%%%02X" % odd[0][0], octets)[:MAX_WORD] or b"unknown"


def _host(host: str) -> bytes:
    if LITERAL.fullmatch(host):
        return host.encode()
    return _literal(host) if ":" in host or IPV4.fullmatch(host) else _word(host)


def _literal(ip: str) -> bytes:
    """Return an address literal: RFC 5321 section 4.1.3."""
    return b"[%b%b]" % (b"IPv6:" if ":" in ip else b"", _word(ip))


def _date(when: datetime) -> bytes:
    """Return a date as in RFC 5322 section 3.3, whatever the locale."""
    offset = when.utcoffset()
    sign = "-" if offset is None or offset < timedelta(0) else "+"
    hours, minutes = divmod(abs(offset or timedelta(0)) // timedelta(minutes=1), 60)
    day = f"{DAYS[when.weekday()]}, {when.day} {MONTHS[when.month - 1]} {when.year:04}"
    return f"{day} {when.hour:02}:{when.minute:02}:{when.second:02} {sign}{hours:02}{minutes:02}".encode()
