"""What of a message stays the same however its POP server marks it. Pure.

Some servers write lines into a header to remember what was read: a message that was `Status: O` is `Status: RO` when it
is fetched again. So a message has two hashes, of all its octets and of all but these lines, and its header has one of
its own, with which the answer to TOP (RFC 1939 section 7) is compared. Only a header that ends in CRLF CRLF within
HEAD_MOST octets is looked at: of any other message nothing but all octets counts.
"""

import hashlib
import re

HEAD_MOST = 64 << 10  # octets in which a header must end; servers' marks stand in ordinary mail
# What must stand in a header that is to tell its message from all others.
LEAST_HEADER = 40
END_OF_HEAD = b"\r\n\r\n"

# A field of these with its folded lines; a server may write any of them anew.
_MARKS = re.compile(
    rb"(?:\A|(?<=\n))(?:X-)?(?:Status|UIDL?|Keywords|Mozilla-Status2?|Content-Length)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE,
)
# Those of them that count: UID and UIDL, Keywords and Mozilla-Status have an X- in front, Content-Length has none.
_WRITTEN = {
    b"status",
    b"x-status",
    b"x-uid",
    b"x-uidl",
    b"x-keywords",
    b"x-mozilla-status",
    b"x-mozilla-status2",
    b"content-length",
}


def head_end(beginning: bytes) -> int:
    """Return where the header of a message ends that begins like this, its last CRLF included; 0 if that is unknown."""
    end = beginning.find(END_OF_HEAD, 0, HEAD_MOST)
    return end + 2 if end >= 0 else 0


def unmarked(head: bytes) -> bytes:
    """Return *head* without the lines that servers write; the same object where it has none."""
    low = head.lower()
    if b"status" in low or b"x-uid" in low or b"x-keywords" in low or b"content-length" in low:
        bare = _MARKS.sub(_without, head)
        return bare if len(bare) != len(head) else head
    return head


def _without(field: re.Match[bytes]) -> bytes:
    name = field[0].partition(b":")[0].strip().lower()
    return b"" if name in _WRITTEN else field[0]


def header_hash(bare: bytes) -> str:
    """Return what tells a header (unmarked, without the empty line behind it) from others; "" if it is too short."""
    return hashlib.sha256(bare).hexdigest()[:24] if len(bare) >= LEAST_HEADER else ""


def top_hash(reply: bytes) -> str:
    """Return the same of what TOP n 0 gave, which ends in an empty line, or (some servers) in none."""
    end = reply.find(END_OF_HEAD)
    return header_hash(unmarked(reply[: end + 2] if end >= 0 else reply))
