"""Mail addresses in header values, from whoever wrote them. Pure; bytes in, bytes out.

parse() is a scanner, not a validator: it finds what RFC 5322 (section 3.4, and 4.4 for the obsolete forms) calls the
addresses of a list, and what people meant by the usual mistakes. Whether one may be given to a receiver is safe()'s
word alone. The time it takes grows with the length of the value and no faster, whatever stands in it.
"""

import re

from lib.config import idna

MAX_ADDRESSES = 100_000  # of one value; parse() returns one more than that where there are more
MAX_ADDRESS = 254  # octets: RFC 3696 erratum 1690

GAP = b" "
PLAIN = re.compile(rb"[A-Za-z0-9_.=+-]+@[A-Za-z0-9.-]+")  # nearly every envelope header is just this
TOKEN = re.compile(
    rb"""[ \t]+ | =\?[^? \t]+\?[BbQq]\?[^? \t]*\?= | [^ \t"(),:;<>@\[]+ | \[[^\[\]]*\] | [\x00-\xff]""", re.VERBOSE
)
CLOSERS = {b'"': re.compile(rb'\\[\x00-\xff]|"'), b"(": re.compile(rb"\\[\x00-\xff]|[()]")}

# RFC 5321 sections 4.1.2 and 4.1.3, with RFC 6531's octets over 127 and dots wherever people put them. The local part
# has no % and no !, and no @ in quotes: receivers that read them as a route, as Postfix does, would send the mail on
# to wherever a stranger wants it, past pf_accept_domain and pf_domain. < and > stand nowhere.
SAFE = re.compile(
    rb"""(?: [A-Za-z0-9#$&'*+/=?^_`{|}~.\x80-\xff-]+ | "(?: [ #$&-;=?A-\[\]-~\x80-\xff] | \\ [ "-$&-;=?A-~] )*" )
         (?: @ (?: [A-Za-z0-9._\x80-\xff-]+ | \[ [!-;=?A-Z^-~]+ \] ) )?""",
    re.VERBOSE,
)


def safe(address: bytes) -> bool:
    """Say whether *address* can stand in RCPT TO:<...> and leads nowhere but to its own domain; it may have none."""
    return len(address) <= MAX_ADDRESS and SAFE.fullmatch(address) is not None and _printable(address)


def in_ascii(address: bytes) -> bytes:
    """Return *address* with its domain in the xn-- form, as it is where it needs none or has none.

    So only a local part in its own letters needs SMTPUTF8 (RFC 6531 section 3.2).
    """
    if address.isascii():
        return address
    local, at, domain = address.rpartition(b"@")
    return local + at + _xn(domain) if at else address


def domain_in_ascii(domain: bytes) -> bytes:
    """Return what two spellings of a domain have in common: the xn-- form in lower case, no dot at its end."""
    return _xn(domain.lower().removesuffix(b".")).lower()


def _xn(domain: bytes) -> bytes:
    if domain.isascii():
        return domain
    try:
        return idna.to_ascii(domain.decode()).encode()
    except UnicodeError:
        return domain


def mailbox_key(address: bytes) -> bytes:
    """Return what two addresses of one mailbox have in common: domain and local part are compared without case."""
    if address.isascii():
        return address.lower()
    return address.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


def parse(value: bytes) -> list[bytes]:
    """Return the addresses in an unfolded header value, in their order, without names, comments, groups and routes.

    They stand as they were written, bare names included, and may be anything but safe. An encoded word (RFC 2047) is
    part of a name and never read. A quote or bracket that is never closed counts as not there.
    """
    if PLAIN.fullmatch(value):
        return [value]
    reading = _Reading()
    unclosed: set[bytes] = set()
    at = 0
    while (match := TOKEN.match(value, at)) and len(reading.found) <= MAX_ADDRESSES:
        token, at = match[0], match.end()
        if token not in CLOSERS:
            reading.token(token)
        elif token not in unclosed and (end := _closed(value, at, CLOSERS[token])):
            reading.token(value[at - 1 : end] if token == b'"' else GAP)
            at = end
        else:
            unclosed.add(token)
    reading.end()
    return reading.found


class _Reading:
    """A list of addresses as it is read, token by token."""

    def __init__(self) -> None:
        self.found: list[bytes] = []
        self._words: list[bytes] = []
        self._angle = False
        self._had_angle = False
        self._acts = {
            b",": self._comma,
            b";": self.end,
            b":": self._colon,
            b"<": self._open,
            b">": self._close,
            b"@": self._at,
        }

    def token(self, token: bytes) -> None:
        """Take the next token."""
        act = self._acts.get(token)
        if act:
            act()
        elif not token.isspace():
            self._words.append(token)
        elif self._words and self._words[-1] not in (GAP, b"@"):
            self._words.append(GAP)

    def end(self) -> None:
        """Take the end of the list, or of one of its members."""
        if self._angle:
            self._close()
        elif self._words and not self._had_angle:
            self._take_words()
        self._words.clear()
        self._had_angle = False

    def _comma(self) -> None:
        if not self._in_route():
            self.end()

    def _colon(self) -> None:
        if self._in_route() or not self._angle:  # what stood before it was a route, or the name of a group
            self._words.clear()
        else:
            self._words.append(b":")

    def _open(self) -> None:
        self._words.clear()  # what stood before it was a name
        self._angle = True

    def _close(self) -> None:
        if not self._angle:
            return
        address = b"".join(self._words).strip(GAP)
        if address:
            self.found.append(address)
        self._words.clear()
        self._had_angle, self._angle = True, False

    def _at(self) -> None:
        if self._words and self._words[-1] == GAP:
            self._words.pop()
        self._words.append(b"@")

    def _in_route(self) -> bool:
        return self._angle and self._words[:1] == [b"@"]

    def _take_words(self) -> None:
        """Take every word with an @; without one it is a name, or, alone and neither quoted nor encoded, an address."""
        chunks: list[list[bytes]] = [[]]
        for word in self._words:
            if word == GAP:
                chunks.append([])
            else:
                chunks[-1].append(word)
        chunks = [chunk for chunk in chunks if chunk]
        if len(chunks) == 1 and not chunks[0][0].startswith((b'"', b"=?")):
            self.found.append(b"".join(chunks[0]))
        else:
            self.found += [b"".join(chunk) for chunk in chunks if b"@" in chunk]


def _closed(value: bytes, at: int, closer: re.Pattern[bytes]) -> int:
    """Return where the quoted string or the comment that was opened before *at* ends, 0 if it does not."""
    depth = 1
    for match in closer.finditer(value, at):
        if match[0] == b"(":
            depth += 1
        elif len(match[0]) == 1:
            depth -= 1
        if not depth:
            return match.end()
    return 0


def _printable(address: bytes) -> bool:
    """Say whether octets over 127 are UTF-8 (RFC 6531) and no invisible character hides among them."""
    try:
        return address.isascii() or address.decode().isprintable()
    except UnicodeDecodeError:
        return False
