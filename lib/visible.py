"""How words from outside may be seen, in the log, on a terminal, in a notice: no control character, no secret, no end.

What a server, a message or a file says is shown with every character that is not printable as a backslash escape:
nobody moves a cursor, starts a new line or reverses the reading order in what we write. Secrets that `hide` was told of
become ***, the last line of defence behind code that never writes them in the first place.
"""

from base64 import b64encode
from collections.abc import Iterator
from threading import Lock

LONGEST = 2000  # characters shown of one value: room for fifty recipients, or any honest reply
SHORTEST_SECRET = 6  # characters; hiding shorter ones would black out dates, sizes and names, and protect nothing
STARS = "***"
PROBE = 4  # characters that are looked up at once when there are many spellings
STRIDE = SHORTEST_SECRET - PROBE + 1  # so that a probe falls wholly into every spelling
MANY = 50  # spellings from which probing costs less than one search for each


class Mask:
    """The secrets of this process in every spelling that a line may hold them in. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spellings: tuple[str, ...] = ()
        self._probes: frozenset[str] = frozenset()

    def hide(self, secret: str) -> None:
        """Turn *secret*, as it stands, escaped, or in base64 (AUTH PLAIN, LOGIN, XOAUTH2), into *** from now on."""
        if len(secret) < SHORTEST_SECRET:
            return
        new = _spellings(secret)
        with self._lock:
            self._probes |= {spelling[at : at + PROBE] for spelling in new for at in range(STRIDE)}
            self._spellings = tuple(sorted(new.union(self._spellings), key=len, reverse=True))

    def masked(self, text: str) -> str:
        """Return *text* without the secrets. With none in it, a line of 200 characters costs 3 µs at most."""
        if len(self._spellings) > MANY and self._probes.isdisjoint(
            [text[at : at + PROBE] for at in range(0, len(text), STRIDE)]
        ):
            return text
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, STARS)
        return text


MASK = Mask()
hide = MASK.hide
masked = MASK.masked


def kept(words: bytes) -> bytes:
    """Return *words* of a peer without secrets, for files: as they are otherwise, and of any length."""
    return masked(words.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def visible(words: str | bytes, limit: int = LONGEST) -> str:
    r"""Return *words* as one printable line without secrets, shortened to *limit* characters and a note of the length.

    Bytes are read as UTF-8; those that are none are shown as \xNN, as is every other character that is not printable.
    """
    return masked(escaped(shortened(words, limit)))


def shortened(words: str | bytes, limit: int = LONGEST) -> str:
    """Return *words* as text, cut to *limit* characters and a note of the length; odd bytes stay as surrogates."""
    text = words if isinstance(words, str) else words.decode("utf-8", "surrogateescape")
    if len(text) <= limit:
        return text
    # Masked before it is cut: the first half of a token is no longer recognised as one.
    return f"{masked(text)[:limit]}...({len(words)} in all)"


def escaped(text: str) -> str:
    """Return *text* with a backslash escape for every character that is not printable."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def quoted(text: str) -> str:
    """Return *text* in double quotes, quotes and backslashes in it escaped by a backslash."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is not UTF-8
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _spellings(secret: str) -> set[str]:
    """Return every spelling of *secret* that a line may hold; none is shorter than SHORTEST_SECRET."""
    try:
        octets = secret.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = secret.encode("utf-8", "backslashreplace")
    return {
        secret,
        escaped(secret),
        quoted(secret)[1:-1],
        escaped(quoted(secret))[1:-1],
        repr(secret)[1:-1],
        repr(octets)[2:-1],
        b64encode(octets).decode("ascii"),
        *_within_base64(octets),
    }


def _within_base64(octets: bytes) -> Iterator[str]:
    """Yield what shows of *octets* in the base64 of anything that holds them (RFC 4648 section 4).

    Three octets make four characters, so there are three ways to be aligned; the characters at either end that also
    hold bits of a neighbour are left out.
    """
    for before, mixed in enumerate((0, 2, 3)):
        coded = b64encode(bytes(before) + octets).decode("ascii")
        yield coded[mixed : (before + len(octets)) * 8 // 6]
