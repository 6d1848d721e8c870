"""POP3, client side (RFC 1939, 2449, 2595, 5034): commands out, replies in; does no I/O.

Framing: a status line ends in CRLF; a multi-line reply ends at CRLF.CRLF and nowhere else. A lone LF or CR is data,
for servers stuff dots only behind CRLF, and a body that may end its own reply could forge the next one. Bodies come
out in parts as they arrive, unstuffed; no more than four bytes are ever held back.
"""

import re
from typing import NamedTuple

from lib.errors import EndlessError, ProtocolError
from lib.net.dialogue import Command, spoken
from lib.visible import visible

# A status line of RFC 2449 has at most 512 octets; servers that quote message ids or explain themselves send more.
MAX_STATUS = 8192
# 100,000 messages with UIDs of 200 octets are 20 MB; more than this is no listing.
MAX_LISTING = 64 << 20
# Of 64 MB of the shortest lines seven million messages could be made, and more than a gigabyte of what we know of them.
MAX_MESSAGES = 1_000_000
MAX_CAPABILITIES = 64 << 10
SHOWN = 80  # characters of a line that is no reply; it may hold anything, a password that came back included
MAX_HEADER = 8 << 20

END = b"\r\n.\r\n"
# The longest first: what of the end of a part may be the beginning of END, or of a stuffed dot.
HELD_BACK = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")

SHAPES = {b"+OK": True, b"-ERR": False}
RESPONSE_CODE = re.compile(rb"\[([A-Za-z0-9/_.-]{1,64})\]")


class StatusLine(NamedTuple):
    """The first line of a reply: `+OK`, `-ERR`, or the `+` of a challenge."""

    ok: bool
    text: bytes
    last: bool
    challenge: bool = False


class Body(NamedTuple):
    """A part of a multi-line reply, unstuffed, as the server meant it."""

    octets: bytes
    last: bool


class Pop3Framer:
    """Cuts POP3 replies; linear in what arrives, however it arrives."""

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._in_body = False
        self._first = False
        self._length = 0

    @property
    def empty(self) -> bool:
        """Every byte was used."""
        return self._at == len(self._buffer)

    def feed(self, octets: bytes) -> None:
        """Take what the connection brought."""
        self._buffer = self._buffer[self._at :] + octets if self._at < len(self._buffer) else octets
        self._at = 0

    def piece(self, command: Command) -> StatusLine | Body | None:
        """Return the next piece of the reply to *command*; None when more is needed."""
        return self._body(command) if self._in_body else self._status(command)

    def _status(self, command: Command) -> StatusLine | None:
        end = self._buffer.find(b"\r\n", self._at, self._at + MAX_STATUS)
        if end < 0:
            if len(self._buffer) - self._at >= MAX_STATUS:
                raise ProtocolError("a status line without end")
            return None
        line = self._buffer[self._at : end]
        word, _, text = line.partition(b" ")
        challenge = command.challenge and word == b"+"
        ok = True if challenge else SHAPES.get(word.upper())
        if ok is None:
            raise ProtocolError(f"a reply that is none: '{visible(line, SHOWN)}'")
        self._in_body = self._first = ok and command.multiline
        self._length = 0
        self._at = end if self._in_body else end + 2  # a body starts with the CRLF in front of its first line
        return StatusLine(ok, text, not self._in_body, challenge)

    def _body(self, command: Command) -> Body | None:
        buffer, start = self._buffer, self._at
        dot = buffer.find(b".", start)  # next to nothing, and base64 has none
        stuffed = buffer.find(b"\r\n.", max(dot - 2, start)) if dot >= 0 else -1
        end = buffer.find(END, stuffed) if stuffed >= 0 else -1
        if end >= 0:
            part = buffer[start:end] + b"\r\n"
            self._at, self._in_body = end + len(END), False
        else:
            keep = next((len(tail) for tail in HELD_BACK if buffer.endswith(tail, start)), 0)
            if start == len(buffer) - keep:
                return None
            part = buffer[start : len(buffer) - keep]
            self._at = len(buffer) - keep
        if -1 < stuffed != end:
            part = part.replace(b"\r\n..", b"\r\n.")
        if self._first:
            part, self._first = part[2:], False
        self._length += len(part)
        if command.limit and self._length > command.limit:
            raise EndlessError(f"a reply of more than {command.limit} octets")
        return Body(part, end >= 0)


GREETING = Command(b"", "(greeting)", alone=True)
CAPA = Command(b"CAPA\r\n", multiline=True, limit=MAX_CAPABILITIES)
STLS = Command(b"STLS\r\n", alone=True)
UIDL = Command(b"UIDL\r\n", multiline=True, limit=MAX_LISTING)
LIST = Command(b"LIST\r\n", multiline=True, limit=MAX_LISTING)
STAT = Command(b"STAT\r\n")
NOOP = Command(b"NOOP\r\n")
QUIT = Command(b"QUIT\r\n")


def retr(number: int, limit: int) -> Command:
    """RETR: the message, streamed; a body longer than *limit* octets is an EndlessError (0: none is)."""
    return Command(b"RETR %d\r\n" % number, multiline=True, limit=limit)


def top(number: int) -> Command:
    """TOP: the header alone, to recognise a message; servers cut and change it: nothing is delivered from it."""
    return Command(b"TOP %d 0\r\n" % number, multiline=True, limit=MAX_HEADER)


def dele(number: int) -> Command:
    """DELE: a fact only after the +OK of QUIT."""
    return Command(b"DELE %d\r\n" % number, light=True)


def secret(*words: bytes, shown: str, challenge: bool = False) -> Command:
    """Build a command of the login: a transcript shows *shown* in place of its words."""
    return Command(spoken(*words), shown, alone=challenge, challenge=challenge)


class Capabilities:
    """What CAPA told; nothing at all from a server that does not know the command."""

    def __init__(self, words: dict[bytes, tuple[bytes, ...]]) -> None:
        self.words = words

    def __contains__(self, name: bytes) -> bool:
        """Say whether the capability *name* (upper case) was listed."""
        return name in self.words

    @property
    def mechanisms(self) -> frozenset[bytes]:
        """The SASL mechanisms, upper case."""
        return frozenset(word.upper() for word in self.words.get(b"SASL", ()))


def capabilities(listing: bytes) -> Capabilities:
    """Read a CAPA listing, tolerantly: blank lines do no harm, and what stands behind a repeated name adds up."""
    words: dict[bytes, list[bytes]] = {}
    for line in listing.split(b"\r\n"):
        name, *values = line.split() or (b"",)
        if name:
            words.setdefault(name.upper(), []).extend(values)
    return Capabilities({name: tuple(values) for name, values in words.items()})


def _lines(listing: bytes) -> list[bytes]:
    """Return the lines of *listing*, MAX_MESSAGES at most: what is listed behind them waits for a later pass."""
    return listing.split(b"\r\n", MAX_MESSAGES)[:MAX_MESSAGES]


def uids(listing: bytes) -> dict[int, bytes]:
    """Read a UIDL listing: message number to UID, any bytes up to white space of any kind.

    Lines that name no number are passed over; a number without a UID has b"".
    """
    found = {}
    for line in _lines(listing):
        number, uid, *_ = (*line.removeprefix(b"+OK ").split(None, 2), b"", b"")
        if number.isdigit() and len(number) < 10:
            found[int(number)] = uid
    return found


def sizes(listing: bytes) -> dict[int, int]:
    """Read a LIST listing: message number to announced octets; a size that is none (negative, absent) is 0."""
    found = {}
    for line in _lines(listing):
        words = line.removeprefix(b"+OK ").split()
        if words and words[0].isdigit() and len(words[0]) < 10:
            size = words[1] if len(words) > 1 else b""
            found[int(words[0])] = int(size) if size.isdigit() and len(size) < 16 else 0
    return found


def count(text: bytes) -> int | None:
    """Return how many messages the text of a reply to STAT counts (RFC 1939 §5), None if it does not say."""
    word = text.split(None, 1)[:1]
    return int(word[0]) if word and word[0].isdigit() and len(word[0]) < 10 else None


def response_code(text: bytes) -> bytes:
    """Return the extended response code of a status text (RFC 2449 §8: `[IN-USE]`), upper case, b"" if none."""
    match = RESPONSE_CODE.match(text.lstrip())
    return match[1].upper() if match else b""


def timestamp(greeting: bytes) -> bytes:
    """Return the APOP timestamp of a greeting (RFC 1939 §7), angle brackets included, b"" if there is none."""
    match = re.search(rb"<[!-;=?-~]{1,512}@[!-;=?-~]{1,512}>", greeting)
    return match[0] if match else b""
