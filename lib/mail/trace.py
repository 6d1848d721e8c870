"""What a Received field tells of the envelope: its for clause (RFC 5321 section 4.4). Pure."""

import re

from lib.mail.address import parse

COMMENT = re.compile(rb"\([^()]*\)")
FOR = re.compile(rb"(?:^|\s)for\s+(<[^<>\s]{1,320}>|[^\s<>;]{1,320})(?=\s|;|$)", re.IGNORECASE)
MAX_VALUE = 4096  # octets that are looked at: nobody writes longer ones for an honest reason
DEPTH = 3  # of comments within comments


def for_clause(value: bytes) -> list[bytes]:
    """Return the address of the for clause of an unfolded Received value, in a list; an empty one where there is none.

    A clause that names nobody by a whole address (`for some reason`) is none.
    """
    text = value[:MAX_VALUE].partition(b";")[0]
    for _ in range(DEPTH):
        text = COMMENT.sub(b" ", text)
    match = FOR.search(text)
    found = parse(match[1]) if match else []
    return found if len(found) == 1 and b"@" in found[0] else []
