"""SMTP and LMTP, client side: commands out, replies in; does no I/O.

RFC 5321 and 2033; 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 4954 (AUTH), 3207 (STARTTLS),
1985 (ETRN).
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from lib.errors import ProtocolError
from lib.net.dialogue import Command, spoken
from lib.visible import visible

# RFC 5321 §4.5.3.1.5 allows 512 octets a line; EHLO lists and milters' words are longer in the field.
MAX_LINE = 8192
MAX_REPLY = 32 << 10
SHOWN = 80  # characters of a line that is no reply; it may hold anything, a password that came back included

REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


class Reply(NamedTuple):
    """A whole reply: its code, and its lines without code."""

    code: int
    lines: tuple[bytes, ...]
    last: bool = True  # it comes in one piece

    @property
    def text(self) -> bytes:
        """The reply as one line, code first."""
        return b"%d %b" % (self.code, b" ".join(self.lines))


class SmtpFramer:
    """Cuts replies; lines may end in a lone LF, for the receiver is ours and old ones do that."""

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def empty(self) -> bool:
        """Every byte was used."""
        return self._at == len(self._buffer)

    def feed(self, octets: bytes) -> None:
        """Take what the connection brought."""
        self._buffer = self._buffer[self._at :] + octets
        self._at = 0

    def piece(self, _command: Command) -> Reply | None:
        """Return the next whole reply; None when more is needed."""
        while (end := self._buffer.find(b"\n", self._at)) >= 0:
            line, length = self._buffer[self._at : end].rstrip(b"\r"), end - self._at
            self._at = end + 1
            if length > MAX_LINE:
                raise _none(line)
            code, more, text = _read(line)
            self._lines.append(text)
            self._size += length
            if self._size > MAX_REPLY:
                break
            if not more:
                lines, self._lines, self._size = tuple(self._lines), [], 0
                return Reply(code, lines)
        if self._size > MAX_REPLY or len(self._buffer) - self._at > MAX_LINE:
            raise ProtocolError("a reply without end")
        return None


@lru_cache(maxsize=64)
def _read(line: bytes) -> tuple[int, bool, bytes]:
    """Return code, whether more lines follow, and words of a reply's line; servers say the same few again and again."""
    match = REPLY_LINE.fullmatch(line)
    if match is None:
        raise _none(line)
    return int(match[1]), match[2] == b"-", match[3] or b""


def _none(line: bytes) -> ProtocolError:
    return ProtocolError(f"a reply that is none: '{visible(line, SHOWN)}'")


CHALLENGE = 334  # the code by which AUTH goes on (RFC 4954 section 4)

GREETING = Command(b"", "(greeting)", alone=True)
STARTTLS = Command(b"STARTTLS\r\n", alone=True)
DATA = Command(b"DATA\r\n")
RSET = Command(b"RSET\r\n")
QUIT = Command(b"QUIT\r\n")
LONE_DOT = Command(b".\r\n", "(no content).")
FURTHER_VERDICT = Command(b"", "(verdict)")


def hello(verb: bytes, name: bytes) -> Command:
    """EHLO, HELO or LHLO; nothing goes with it, for its answer decides what may."""
    return Command(spoken(verb, name), alone=True)


def secret(*words: bytes, shown: str) -> Command:
    """Build a step of AUTH: a transcript shows *shown* in place of its words."""
    return Command(spoken(*words), shown, alone=True)


def etrn(domain: bytes) -> Command:
    """ETRN (RFC 1985): ask the server to send what it holds for *domain*."""
    return Command(spoken(b"ETRN", domain))


def mail(sender: bytes, parameters: tuple[bytes, ...]) -> Command:
    """MAIL FROM; *sender* b"" is the null return path."""
    return Command(spoken(b"MAIL FROM:<%b>" % sender, *parameters))


def rcpt(recipient: bytes) -> Command:
    """RCPT TO; the address was found safe by routing, and a control character is a ValueError all the same."""
    return Command(spoken(b"RCPT TO:<%b>" % recipient))


def content(ending: bytes) -> Command:
    """Build the end of a message: its last stuffed bytes and the final dot; what is owed for it is the verdict."""
    return Command(ending + b".\r\n", "(content).")


class Features:
    """What EHLO or LHLO offered."""

    def __init__(self, words: dict[bytes, tuple[bytes, ...]]) -> None:
        self.words = words

    def __contains__(self, name: bytes) -> bool:
        """Say whether the extension *name* (upper case) was offered."""
        return name in self.words

    @property
    def size(self) -> int:
        """The largest message taken, in octets (RFC 1870); 0 = no limit told."""
        words = self.words.get(b"SIZE", ())
        return int(words[0]) if words and words[0].isdigit() and len(words[0]) < 19 else 0

    @property
    def mechanisms(self) -> frozenset[bytes]:
        """The SASL mechanisms, upper case; `AUTH=` of old servers included."""
        return frozenset(word.upper() for word in self.words.get(b"AUTH", ()))


def features(reply: Reply) -> Features:
    """Read the reply to EHLO, its greeting line left out."""
    words: dict[bytes, tuple[bytes, ...]] = {}
    for line in reply.lines[1:]:
        name, *values = line.upper().replace(b"AUTH=", b"AUTH ", 1).split() or (b"",)
        words[name] = words.get(name, ()) + tuple(values)
    return Features(words)


class Stuffing:
    """Doubles the dots at line starts (RFC 5321 §4.5.2), however the content is cut; it starts at a line start."""

    def __init__(self) -> None:
        self._tail = b"\r\n"

    def feed(self, octets: bytes) -> bytes:
        """Return *octets* stuffed."""
        tail = self._tail
        self._tail = (tail + octets[-2:])[-2:]
        dot = octets.find(b".")  # next to nothing, and base64 has none
        if dot < 0:
            return octets
        # The two bytes sent last stand in front, so that a dot that follows them is seen.
        joined = tail + octets
        stuffed = joined.find(b"\r\n.", dot) >= 0
        return joined.replace(b"\r\n.", b"\r\n..")[len(tail) :] if stuffed else octets


def parameters(offered: Features, *, size: int, eightbit: bool, utf8: bool) -> Iterator[bytes]:
    """Yield the parameters of MAIL that *offered* allows and the message needs."""
    if b"SIZE" in offered:
        yield b"SIZE=%d" % size
    if eightbit and b"8BITMIME" in offered:
        yield b"BODY=8BITMIME"
    if utf8 and b"SMTPUTF8" in offered:
        yield b"SMTPUTF8"
