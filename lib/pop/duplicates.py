"""Is a fetched message one that we had before? By its UID where that names it, else by its octets. No I/O.

Whatever UID it ran under: what we had is known by its octets (or by all but the lines that servers write into them,
see likeness) when its own UID has just vanished from the listing (with pf_keep: at any time), when it waits in the
spool and its UID is not listed, when the server has no UIDs or doubles them, and when what is listed under its UID is
looked at because it may be something else. Other mail under a UID that is used again is new; what had the UID is set
aside then, under a name that is made of its octets.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from lib.pop import plan
from lib.pop.plan import Action, Do, Plan, Wanted
from lib.store.journal import Journal
from lib.store.journal_facts import (
    DOUBTED,
    IGNORED,
    KEPT,
    PROMISED,
    SETTLED,
    UID,
    Announced,
    Deleting,
    Entry,
    Gone,
    Looked,
    Record,
    Renamed,
    Seen,
    Vanished,
    sha_key,
)
from lib.store.spool_slot import Stored

IGNORING = "the server lists messages again that it said it had deleted; they are not delivered again"


class Met(NamedTuple):
    """A fetched message: its name in the journal, and what is known of it if it must not be delivered again."""

    key: str
    entry: Entry | None


def alike(entry: Entry, stored: Stored) -> bool:
    """Say whether these are the same message: all octets, or all but the lines that servers write."""
    return entry.sha == stored.sha or (
        bool(entry.sha) and _bare(entry.bare, entry.sha) == _bare(stored.bare, stored.sha)
    )


def _bare(bare: str, sha: str) -> str:
    return bare or sha


class Recognition:
    """What one session knows of the messages of *account*; *ignoring* when the server breaks its word on deletions."""

    def __init__(self, account: str, journal: Journal) -> None:
        self.account = account
        self.journal = journal
        self.ignoring = False
        self._limited = False
        self._elsewhere: dict[str, list[str]] = {}  # hash → keys of what may be listed under another name
        # The same, of what is being delivered: a delivery thread knows it by its key.
        self._busy: dict[str, list[str]] = {}
        # Names that were made of octets in this session: each is one message of the listing.
        self._made: set[str] = set()

    @property
    def _entries(self) -> dict[str, Entry]:
        return self.journal.of(self.account)

    def remember(self, done: Plan, under_way: Collection[str], now: float, *, kept: bool) -> None:
        """Note what vanished, and index by hash what may turn up under another name.

        *under_way*: what is being delivered in this pass. *kept*: what vanished long ago as well.
        """
        self._limited = done.limited
        self.journal.note(*(Vanished(self.account, key, now) for key in done.vanished))
        listed = {one.message.key for one in done.actions}
        keys = {one.message.key for one in done.of(Do.COMPARE)}
        for key, entry in self._entries.items():
            loose = key not in listed or entry.deletion == DOUBTED
            if key in under_way and plan.waits(entry):
                if loose:
                    self._index(self._busy, key, entry)
                continue
            gone = entry.fresh or (kept and entry.vanished is not None)
            if loose and (plan.waits(entry) or entry.deletion == DOUBTED or gone):
                keys.add(key)
            if not key.startswith(UID) and _here(entry):
                keys.add(key)  # nothing else can name it
        for key in keys:
            if key in self._entries:
                self._index(self._elsewhere, key, self._entries[key])

    @staticmethod
    def _index(index: dict[str, list[str]], key: str, entry: Entry) -> None:
        for sha in {entry.sha, _bare(entry.bare, entry.sha)} - {""}:
            index.setdefault(sha, []).append(key)

    def looked_at_all(self) -> None:
        """Note that all that is listed was compared with what had vanished: what may be it is not looked for again."""
        if not self._limited and any(entry.fresh for entry in self._entries.values()):
            self.journal.note(Looked(self.account))

    def confirm(self, key: str, size: int) -> Entry:
        """Note that what is listed with *size* octets under *key* is the message that we know; return its entry."""
        entry = self._entries[key]
        word = entry.deletion
        if word == PROMISED:
            self.ignoring = True
        records: list[Record] = []
        if word and word != KEPT:
            records.append(Deleting(self.account, (key,), IGNORED if word in {PROMISED, IGNORED} else ""))
        if entry.vanished is not None:
            records.append(Seen(self.account, key))
        if size and size != entry.announced:
            records.append(Announced(self.account, (key,), (size,)))
        self.journal.note(*records)
        self._forget(key)
        return entry

    def meet(self, action: Action, stored: Stored) -> Met:
        """Say which message came for *action*."""
        message = action.message
        if not message.named:
            return self._nameless(message, stored)
        key = message.key
        entry = self._entries.get(key)
        if entry is not None and alike(entry, stored):
            known = self.confirm(key, message.size)
            return Met(key, known if _here(known) else None)  # who has it by now is known all the same
        if entry is not None and entry.sha and (_here(entry) or entry.recipients):
            self._set_aside(key, entry)
        if busy := self._find(self._busy, stored):
            return Met(busy, self._entries[busy])  # a later pass calls it by its new name
        if old := self._find(self._elsewhere, stored):
            if key in self._entries:
                self.journal.note(Gone(self.account, (key,)))
            self.journal.note(Renamed(self.account, old, key))
            known = self.confirm(key, message.size)
            return Met(key, known if _here(known) else None)  # its verdicts count also where its spool file is gone
        return Met(key, None)

    def _nameless(self, message: Wanted, stored: Stored) -> Met:
        """Say which message came that no UID names: by its octets, and its turn among equals."""
        if message.key in self._entries:
            self.journal.note(Gone(self.account, (message.key,)))
        if busy := self._find(self._busy, stored):
            return Met(busy, self._entries[busy])
        old = self._find(self._elsewhere, stored)
        key = old if old is not None and not old.startswith(UID) else self._made_of(stored.sha)
        self._made.add(key)
        if old is None:
            return Met(key, None)
        if old != key:  # the server gives no names any more
            self.journal.note(Renamed(self.account, old, key))
        known = self.confirm(key, message.size)
        return Met(key, known if _here(known) else None)

    def _made_of(self, sha: str) -> str:
        turn = 0
        while (key := sha_key(sha, turn)) in self._made or _here(self._entries.get(key)):
            turn += 1
        return key

    def _set_aside(self, key: str, entry: Entry) -> None:
        """Give a message whose UID stands for another one by now a name that is made of its octets."""
        self._forget(key)
        aside = self._made_of(entry.sha)
        self.journal.note(Renamed(self.account, key, aside))
        self._index(self._elsewhere, aside, entry)

    def _find(self, index: dict[str, list[str]], stored: Stored) -> str | None:
        """Return the key of a message with these octets, which is not found again."""
        for sha in (stored.sha, _bare(stored.bare, stored.sha)):
            for key in index.get(sha, ()):
                self._forget(key)
                return key
        return None

    def _forget(self, key: str) -> None:
        entry = self._entries.get(key)
        hashes: Iterable[str] = (entry.sha, _bare(entry.bare, entry.sha)) if entry is not None else ()
        for index in (self._elsewhere, self._busy):
            for sha in hashes:
                if key in index.get(sha, ()):
                    index[sha].remove(key)


def _here(entry: Entry | None) -> bool:
    """Say whether the message was settled or waits in the spool; not if its spool file is gone: a power cut, a hand."""
    return entry is not None and (entry.status in SETTLED or plan.waits(entry))
