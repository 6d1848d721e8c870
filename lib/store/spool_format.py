"""What stands in a spool file: whose message it is, the message, and a last line that proves it whole. Pure.

    POPFetch-Spool: 1 NONCE
    Account: bob%40example.org
    UID: 0001a2b3
    Size: 4096
    Check: CRC-OF-THE-LINES-ABOVE

    (the message as the server meant it)
    POPFetch-End: NONCE LENGTH SHA-256 CRC-OF-THIS-LINE

The law: files are written over old ones, and a power cut may leave any mixture of old, new and nothing. Header and last
line name the same nonce, which is used once, and the hash covers what is between, so no mixture passes for a message.
"""

import hashlib
import re
import zlib
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote, unquote_to_bytes

from lib.store import likeness

MAGIC = b"POPFetch-Spool: 1 "
FREED = b"POPFetch-Freed"  # over the beginning of MAGIC: this file holds no message
MAX_HEADER = 1 << 20  # a UID is a piece of a line of a POP reply, which is far shorter
TRAILER = re.compile(rb"(POPFetch-End: ([0-9a-f]{16}) ([0-9]{20}) ([0-9a-f]{64}) )([0-9a-f]{8})\n")
TRAILER_SIZE = 126
SLICE = 32 << 10  # octets whose line ends are looked at together: what is made of them stays in the cache
HEADER = re.compile(
    rb"(POPFetch-Spool: 1 ([0-9a-f]{16})\nAccount: ([!-~]*)\nUID: ([!-~]*)\nSize: ([0-9]{1,20})\n)"
    rb"Check: ([0-9a-f]{8})\n\n"
)


class Header(NamedTuple):
    """The head of a spool file; *nonce* is 16 hexadecimal digits that were never used before."""

    nonce: bytes
    account: str
    uid: bytes
    announced: int


class Trailer(NamedTuple):
    """The last line of a spool file."""

    nonce: bytes
    size: int
    sha: str


@lru_cache(maxsize=4096)
def _quoted(account: str) -> str:
    return quote(account, safe="", errors="surrogatepass")


def header(head: Header) -> bytes:
    """Return *head* as it stands in the file."""
    uid = quote_from_bytes(head.uid, safe="")
    told = f"Account: {_quoted(head.account)}\nUID: {uid}\nSize: {max(head.announced, 0)}\n"
    lines = b"%b%b\n%b" % (MAGIC, head.nonce, told.encode())
    return b"%bCheck: %08x\n\n" % (lines, zlib.crc32(lines))


def read_header(data: bytes) -> tuple[Header | None, int]:
    """Return the head that *data* begins with and where it ends; None and 0 when it is not whole and right."""
    found = HEADER.match(data)
    if found is None or int(found[6], 16) != zlib.crc32(found[1]):
        return None, 0
    try:
        account = unquote(found[3].decode(), errors="surrogatepass")
    except UnicodeDecodeError:  # nobody whom we know wrote this
        return None, 0
    return Header(found[2], account, unquote_to_bytes(found[4]), int(found[5])), found.end()


def trailer(nonce: bytes, size: int, sha: str) -> bytes:
    """Return the last line of a spool file."""
    line = b"POPFetch-End: %b %020d %b " % (nonce, size, sha.encode())
    return b"%b%08x\n" % (line, zlib.crc32(line))


def read_trailer(data: bytes) -> Trailer | None:
    """Return the last line of a file that ends with *data*, None when there is none: the download was torn."""
    found = TRAILER.fullmatch(data[-TRAILER_SIZE:])
    if found is None or int(found[5], 16) != zlib.crc32(found[1]):
        return None
    return Trailer(found[2], int(found[3]), found[4].decode())


def holds_nothing(beginning: bytes, last: Trailer | None) -> bool:
    """Say whether a file was freed, never finished, or is what a power cut left of two: nothing was lost with it."""
    return last is None or not beginning.startswith(MAGIC + last.nonce)


def fault(head: Header | None, last: Trailer, content: "Content") -> str:
    """Say what is wrong with a finished file, "" for nothing."""
    if head is None:
        return "the head of the spool file is damaged"
    if last.size != content.size:
        return f"the spool file holds {content.size} octets of a message of {last.size}"
    return "" if last.sha == content.sha else "the spool file is damaged: its SHA-256 is wrong"


class Content:
    """What must be known of a message's octets, fed in pieces of any size.

    *header* and *bare* (see likeness) are known where the first piece holds all of the header.
    """

    __slots__ = ("_hash", "_held", "_last", "_regular", "_unmarked", "eightbit", "header", "size")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._unmarked: Any = None  # the hash of all but what servers write into the header, where there is any of that
        self.header = ""
        self._regular = True  # no NUL so far, and no line end but CRLF
        self._held = b""  # a CR whose LF is yet to come
        self._last = b""
        self.size = 0
        self.eightbit = False

    def feed(self, piece: bytes) -> None:
        """Take the next octets."""
        if not piece:
            return
        self._hash.update(piece)
        if not self.size:
            self._look(piece)
        elif self._unmarked is not None:
            self._unmarked.update(piece)
        self.size += len(piece)
        self.eightbit = self.eightbit or not piece.isascii()
        self._last = piece[-1:]
        if not self._regular:
            return
        self._regular = 0 not in piece
        for start in range(0, len(piece), SLICE):
            part = self._held + piece[start : start + SLICE]
            self._held = b"\r" if part.endswith(b"\r") else b""
            part = part.removesuffix(b"\r")
            # A third of the time of counting the line ends.
            self._regular = self._regular and part.replace(b"\r", b"").replace(b"\n", b"\r\n") == part

    def _look(self, piece: bytes) -> None:
        """Look at the header in the first *piece*; a second hash is worth its time only where the two differ."""
        end = likeness.head_end(piece)
        head = piece[:end]
        bare = likeness.unmarked(head)
        self.header = likeness.header_hash(bare)
        if bare is not head:
            self._unmarked = hashlib.sha256(bare)
            self._unmarked.update(memoryview(piece)[end:])

    @property
    def bare(self) -> str:
        """The SHA-256 so far of all but the lines that servers write into the header; "" where there are none."""
        return "" if self._unmarked is None else str(self._unmarked.hexdigest())

    @property
    def sha(self) -> str:
        """The SHA-256 so far, in hexadecimal digits."""
        return self._hash.hexdigest()

    @property
    def clean(self) -> bool:
        """Whether it can be passed on unchanged: only CRLF line ends, the last line ended, no NUL."""
        return self._regular and self._last == b"\n"
