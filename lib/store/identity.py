"""Whose mailbox it is: an account with another name today is known by its user, and by the UIDs that it lists. Pure.

A host that is respelt, a port that changes, a login that gains its domain, a name= that is added: the mailbox is the
same, and what is known of it moves along. Two accounts that merely look alike are never taken for one: where the other
one has messages on its server, the listing must show them.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from lib.store.journal_facts import UID, Entry, Status, uid_key

LEAST_STRANGERS = 3  # UIDs that must agree, and more than half, where not even the user's name is the same


class Who(NamedTuple):
    """An account of dmail.conf: its id, its user, and the id that user, host and port alone would give it."""

    id: str
    user: str
    address: str


class Claim(NamedTuple):
    """That an account is an earlier one, and why."""

    old: str
    why: str


def orphans(known: Iterable[str], accounts: Iterable[Who]) -> list[str]:
    """Return the accounts that the journal knows and dmail.conf does not name; notices and the like are none."""
    named = {who.id for who in accounts}
    return [account for account in known if account not in named and not account.startswith("(")]


def strangers(known: Collection[str], accounts: Iterable[Who]) -> list[Who]:
    """Return the accounts that the journal does not know."""
    return [who for who in accounts if who.id not in known]


def same_user(old: str, who: Who) -> bool:
    """Say whether the id *old* has the user of *who*, with or without a domain on either side."""
    if old == who.address:
        return True
    user, mine = old.rpartition("@")[0].casefold(), who.user.casefold()
    return user == mine or (bool(user) and ("@" in user) != ("@" in mine) and _local(user) == _local(mine))


def _local(user: str) -> str:
    return user.partition("@")[0]


def claim(
    who: Who, listed: Mapping[bytes, int], known: Mapping[str, Mapping[str, Entry]], accounts: Collection[Who]
) -> Claim | None:
    """Return which earlier account *who* is, now that it *listed* UIDs and sizes; None for a new one.

    Several that would do, or another new account that has as good a claim by its user's name: none is taken.
    """
    if known.get(who.id):
        return None
    rivals = [
        other for other in strangers([name for name, entries in known.items() if entries], accounts) if other != who
    ]
    found = []
    for old in orphans((name for name, entries in known.items() if entries), accounts):
        why = _why(old, who, listed, known[old])
        contested = any(same_user(old, rival) for rival in rivals) and not why.startswith("its")
        if why and not contested:
            found.append(Claim(old, why))
    exact = [one for one in found if one.old == who.address]
    best = exact or [one for one in found if one.why.startswith("its")] or found
    return best[0] if len(best) == 1 else None


def _why(old: str, who: Who, listed: Mapping[bytes, int], entries: Mapping[str, Entry]) -> str:
    """Return why *who* is *old*, "" where it is not."""
    keys = {uid_key(uid): size for uid, size in listed.items()}
    must = [key for key, entry in entries.items() if key.startswith(UID) and _must_be_listed(entry)]
    met = [key for key in entries.keys() & keys.keys() if not entries[key].deletion]
    if same_user(old, who):
        if any(entries[key].deletion for key in entries.keys() & keys.keys()):
            return ""  # what was deleted there and is listed here was never in that mailbox
        if not met:
            return "" if must else "the user is the same"
        return "its UIDs are the same" if 2 * len(met) >= min(len(must), len(keys)) else ""
    alike = [key for key in met if entries[key].size in (0, keys[key])]
    if len(alike) >= LEAST_STRANGERS and 2 * len(alike) > len(keys):
        return "its UIDs and sizes are the same"
    return ""


def _must_be_listed(entry: Entry) -> bool:
    """Say whether the message should still be listed: kept, too large, or not yet settled."""
    return entry.vanished is None and not entry.deletion and (entry.status is not Status.SPOOLED or not entry.lasting)
