"""What a pass finds that an earlier one left: whole messages in the spool, half a burial, files that belong to nobody.

The journal says what a file is. One that it does not call spooled was settled, or never finished, before a power cut
brought it back: it is freed, for its server still has it if it is owed to anybody. Where the journal cannot say, for
there is none or it is damaged, nothing is freed: rather twice than lost.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lib.store.duds import Duds
from lib.store.journal import Journal
from lib.store.journal_facts import SETTLED, Burying, DudsInARow, Entry, Spooled, Status, sha_key, uid_key
from lib.store.spool import Corrupt, Spool, Stored


def buried(journal: Journal, duds: Duds) -> Iterator[tuple[str, Entry]]:
    """Yield what a killed pass had written to duds.dat, and whose it is; undo what it had begun to write."""
    for account, entries in journal.entries.items():
        for key, entry in list(entries.items()):
            if entry.burial is None or entry.status in SETTLED:
                continue
            if duds.has(account, entry.uid, entry.burial):
                yield account, entry
            else:
                journal.note(Burying(account, key, None))


def named(
    whole: Iterable[Stored], corrupt: Iterable[Corrupt], journal: Journal, spool: Spool, *, remembers: bool
) -> list[tuple[Stored, str]]:
    """Return each spooled message with its name in the journal, which also learns which files are gone.

    Messages of accounts that are held stay where they are, and so do those that are *corrupt*. Unless the journal
    *remembers*, for it is new, everything that is whole counts as spooled.
    """
    if not remembers:
        adopt(whole := list(whole), journal)
        journal.sync()
    names = _names(journal)
    found = []
    for one in whole:
        stored = one._replace(account=_owner(one, names, journal))
        key = names.pop((stored.account, stored.number, stored.sha), None)
        if journal.held(stored.account):
            spool.put_off(stored.number)  # nobody waits for what this pass will not deliver
            continue
        if key is None:
            spool.free(stored.number)
        else:
            found.append((stored, key))
    there = {one.number for one in corrupt}
    for (account, number, _), key in names.items():
        entry = journal.of(account)[key]
        if number not in there and not journal.held(account):
            journal.note(Spooled(account, key, 0, entry.uid, entry.sha, entry.size, entry.since))
    return found


def _owner(stored: Stored, names: Iterable[tuple[str, int, str]], journal: Journal) -> str:
    """Return whose a spooled message is: the file still names the account as it was called when it was written."""
    if journal.entries.get(stored.account):
        return stored.account
    others = (account for account, number, sha in names if (number, sha) == (stored.number, stored.sha))
    return next(others, stored.account)


def reset(journal: Journal, spool: Spool, now: float) -> Path | None:
    """Let no duds be in a row, and set a damaged journal aside.

    What is whole counts as spooled then, for the damaged lines may have said so.
    """
    journal.note(DudsInARow(0))
    aside = journal.reset_damage(now)
    if aside is not None:
        adopt(spool.recover()[0], journal)
        journal.sync()
    return aside


def adopt(whole: Iterable[Stored], journal: Journal) -> None:
    """Let every whole message that the journal knows nothing of count as spooled."""
    names, turns = _names(journal), Counter[tuple[str, str]]()
    for one in whole:
        stored = one._replace(account=_owner(one, names, journal))
        if (stored.account, stored.number, stored.sha) in names:
            continue
        turn = turns[stored.account, stored.sha]
        turns[stored.account, stored.sha] += 1
        key = uid_key(stored.uid) if stored.uid else sha_key(stored.sha, turn)
        at = time.time()
        journal.note(Spooled(stored.account, key, stored.number, stored.uid, stored.sha, stored.size, at))


def spooled_as(journal: Journal, number: int) -> tuple[str, Entry] | None:
    """Return the message that the journal says lies in spool file *number*, and whose it is."""
    found = (
        (account, journal.of(account)[key]) for (account, file, _), key in _names(journal).items() if file == number
    )
    return next(found, None)


def _names(journal: Journal) -> dict[tuple[str, int, str], str]:
    return {
        (account, entry.number, entry.sha): key
        for account, entries in journal.entries.items()
        for key, entry in entries.items()
        if entry.status is Status.SPOOLED and entry.number
    }
