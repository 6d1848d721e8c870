"""What a listing says of the UIDs of its messages, and what that means for the account. Pure.

The law: a server that had UIDs and gives none is not believed at once, for without them kept mail cannot be told from
new mail unless all of it is downloaded. Nor is it disbelieved for ever: nothing may block an account for good.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from lib.pop.plan import Listed

# Passes in a row that may fail for UIDs that are gone before they are taken for gone.
PATIENCE = 3
# Passes in a row after which names that are left out are a habit.
HABIT = 2


class Naming(Enum):
    """How much of a listing its UIDs name."""

    NOTHING_LISTED = "nothing is listed"  # and so nothing is said about UIDs
    ALL = "all"
    SOME = "some"
    NONE = "none"


class Named(NamedTuple):
    """What is remembered of an account's UIDs from pass to pass."""

    had: bool = False  # its server gave UIDs
    gone: int = 0  # passes in a row in which it gave none, although it had
    left_out: int = 0  # passes in a row in which it left some out


class Finding(NamedTuple):
    """What a listing comes to: what to remember, why the account fails ("" if not), what is worth a warning."""

    named: Named
    failure: str = ""
    warning: str = ""


def listed(uids: Mapping[int, bytes] | None, sizes: Mapping[int, int]) -> tuple[list[Listed], Naming]:
    """Return every message that UIDL (None: refused) or LIST names, by number, and how much of it has a name.

    What has no UID gets b"", what has no size 0.
    """
    known = uids or {}
    messages = [Listed(number, known.get(number, b""), sizes.get(number, 0)) for number in sorted({*known, *sizes})]
    if not messages:
        return messages, Naming.NOTHING_LISTED
    if not known:
        return messages, Naming.NONE
    return messages, Naming.ALL if len(known) == len(messages) else Naming.SOME


def judge(before: Named, naming: Naming, *, keeps: bool) -> Finding:
    """Return what a listing means for an account; *keeps*: delivered mail stays on the server for a while."""
    if naming is Naming.NOTHING_LISTED:
        return Finding(before)
    if naming is Naming.ALL:
        return Finding(Named(had=True))
    if naming is Naming.SOME:
        left_out = before.left_out + 1
        habit = "UIDL leaves out some of what LIST lists: that is fetched, and known by its octets"
        return Finding(Named(had=True, left_out=left_out), warning=habit if left_out >= HABIT else "")
    if not before.had:
        return Finding(before)
    return _gone(before, keeps=keeps)


def _gone(before: Named, *, keeps: bool) -> Finding:
    why = "the server gives no UIDs although it did: nothing is fetched, lest it come twice"
    still = before._replace(gone=before.gone + 1)
    if keeps:
        mend = (
            "if they are gone for good, set keep=0 for this account: what it keeps there is then downloaded once more, "
            "known again by its octets, and deleted"
        )
        return Finding(still, failure=f"{why}; {mend}")
    if before.gone < PATIENCE:
        left = PATIENCE - before.gone
        mend = f"after {left} more such passes" if left > 1 else "after one more such pass"
        return Finding(still, failure=f"{why}; {mend} its messages are known by their octets")
    return Finding(Named(), warning="the server gives no UIDs any more: its messages are known by their octets")
