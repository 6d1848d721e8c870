"""Whether a message that came is the whole message, where its size does not say so: what else is known, weighed. Pure.

Nothing else was owed when it came; but servers that cannot read a message to its end may not say so, scanners send
notices in its place, and numbers may change their meaning. So one of another size than its server's sizes allow is
in doubt: it stays where it is and is fetched again, last of all. Identical octets are accepted on their second arrival.
What comes differently each time is delivered as it comes on the third, and its original stays on the server. No octets
at all are never accepted: late is better than truncated.
"""

import re
from enum import Enum

from lib.pop.plan import IN_DOUBT
from lib.store.journal_facts import Entry
from lib.store.spool_slot import Stored

# Shorter by more than rounding to kilobytes, or by more than any trifle where none was rounded, and by a tenth.
ROUNDED, TRIFLE, LEAST_SHARE = 1024, 128, 0.9
# Arrivals after which a message that differs each time is delivered as it comes.
TRIES = 3
# The reason of a trouble that is a doubt; older versions did not count.
_REASON = re.compile(r"in doubt(?: \(([0-9]{1,9})\))?: ([0-9a-f]{64})")


class Verdict(Enum):
    """What is done with a message that came."""

    WHOLE = "it is delivered"
    EXPLAINED = "it is delivered, for it came like that before: the size was wrong"
    DOUBT = "it is fetched again"
    AS_IT_COMES = "it is delivered, and its original stays on the server"


def weigh(stored: Stored, announced: int, entry: Entry | None, *, knows: bool, lies: bool) -> Verdict:
    """Say what is done with a message whose size does not fit.

    *knows*: the sizes of this server mean something; *lies*: they were found not to.
    """
    if not stored.size:
        return Verdict.DOUBT
    tries, sha = told_before(entry)
    strange = odd(stored, announced, knows=knows)
    if sha == stored.sha and (tries or not strange):
        return Verdict.EXPLAINED
    if not strange or lies:
        return Verdict.WHOLE
    return Verdict.AS_IT_COMES if tries + 1 >= TRIES else Verdict.DOUBT


def odd(stored: Stored, announced: int, *, knows: bool = False) -> bool:
    """Say whether a message has another size than *announced* where sizes are known, or else is far shorter."""
    missing = announced - stored.size
    if knows and announced:
        return bool(missing)
    rounding = ROUNDED if announced % ROUNDED == 0 else TRIFLE
    return missing > rounding and stored.size < announced * LEAST_SHARE


def told(stored: Stored, number: int, announced: int) -> str:
    """Return the complaint about one that is in doubt."""
    if stored.size:
        size = f"has {stored.size} of the {announced} octets announced"
        return f"message {number} {size}, and stays on the server until it comes like that again"
    return f"message {number} of {announced} octets comes without any, and stays on the server"


def told_at_last(stored: Stored, announced: int) -> str:
    """Return the warning about one that is delivered as it comes."""
    return (
        f"a message of {announced} octets came {TRIES} times differently, last with {stored.size}: it is delivered"
        " like that, and its original stays on the server"
    )


def reason(entry: Entry | None, stored: Stored, *, counts: bool) -> str:
    """Return the journal's words for a trouble that is a doubt.

    *counts*: as an arrival of this very message; what came out of step may have been another one.
    """
    return f"{IN_DOUBT} ({told_before(entry)[0] + counts}): {stored.sha}"


def told_before(entry: Entry | None) -> tuple[int, str]:
    """Return how often the message was in doubt, and the hash of what came last."""
    found = _REASON.fullmatch(entry.why) if entry is not None else None
    return (int(found[1] or 1), found[2]) if found else (0, "")
