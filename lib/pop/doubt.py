"""Whether a message that came in is the whole message: what else its server said, weighed. Pure.

Sizes in LIST are hints, and what follows a reply is the next one. So a message is in doubt when it is far shorter than
was announced (servers that cannot read it to its end may not say so), or when nonsense follows it (two bodies run
together, or a dot in it was not doubled). It then stays where it is and is fetched again, last of all. The same octets
a second time are believed, behind nonsense only if none is missing; no octets at all are not: rather late than cut.
"""

from lib.store.journal_facts import Entry
from lib.store.spool_slot import Stored

# Shorter by more than rounding, and by more than any line ends that were counted or not.
ROUNDED, LEAST_SHARE = 1024, 0.9
# Announced octets up to which a message may be empty.
NOTHING = 4


def short(stored: Stored, announced: int) -> bool:
    """Say whether a message is far shorter than *announced*."""
    empty = not stored.size and announced > NOTHING
    return empty or (announced - stored.size > ROUNDED and stored.size < announced * LEAST_SHARE)


def told(stored: Stored, number: int, announced: int) -> str:
    """Return the complaint about one that is."""
    if stored.size:
        size = f"has {stored.size} of the {announced} octets announced"
        return f"message {number} {size}, and stays on the server until it comes like that again"
    return f"message {number} of {announced} octets comes without any, and stays on the server"


def reason(stored: Stored) -> str:
    """Return the journal's words for a trouble that is a doubt."""
    return f"in doubt: {stored.sha}"


def cleared(entry: Entry | None, stored: Stored) -> bool:
    """Say whether the same octets were in doubt when they came last."""
    return stored.size > 0 and entry is not None and entry.why == reason(stored)
