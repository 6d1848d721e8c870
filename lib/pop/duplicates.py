"""Is a fetched message one that we had before? By its UID where that names it, else by its bytes. No I/O.

Other mail under a UID that is used again is new. Mail is known again by its bytes when its old UID has just vanished
from the listing (with pf_keep: at any time), when it waits in the spool and its UID is not listed, when the server has
no UIDs or doubles them, and when it is listed although its deletion was asked.
"""

from collections import Counter
from collections.abc import Collection

from lib.pop import plan
from lib.pop.plan import Todo, Wanted
from lib.store.journal import Ledger
from lib.store.journal_facts import IGNORED, PROMISED, SETTLED, Deleting, Entry, Gone, Renamed, Vanished, sha_key

IGNORING = "the server lists messages again that it said it had deleted; they are not delivered again"


class Recognition:
    """What one session knows of the messages of *account*; *ignoring* when the server breaks its word on deletions."""

    def __init__(self, account: str, ledger: Ledger) -> None:
        self.account = account
        self.ledger = ledger
        self.ignoring = False
        self._turns: Counter[str] = Counter()
        self._vanished: tuple[str, ...] = ()
        self._absent: dict[str, list[str]] = {}  # hash → keys that are no longer listed
        self._busy: dict[str, list[str]] = {}  # the same, of messages that may be on their way

    @property
    def _entries(self) -> dict[str, Entry]:
        return self.ledger.of(self.account)

    def remember(self, todo: Todo, busy: Collection[str], *, kept: bool) -> None:
        """Index by hash what is no longer listed: what was settled, and what waits in the spool.

        *busy*: what was handed over in this pass. *kept*: what vanished in earlier sessions as well.
        """
        self._vanished = () if todo.limited else tuple(todo.vanished)
        waiting = [key for key, entry in self._entries.items() if plan.waits(entry) and key not in todo.waiting]
        for key in waiting:
            index = self._busy if key in busy else self._absent
            index.setdefault(self._entries[key].sha, []).append(key)
        keys = set(todo.vanished)
        if kept:
            keys.update(key for key, entry in self._entries.items() if entry.vanished is not None)
            keys.difference_update(todo.seen)
        for key in keys:
            self._absent.setdefault(self._entries[key].sha, []).append(key)

    def looked_at_all(self, now: float) -> None:
        """Note what is gone; not before all that is listed was compared with it, lest the next session do not."""
        self.ledger.note(*(Vanished(self.account, key, now) for key in self._vanished))

    def name(self, message: Wanted, sha: str) -> str:
        """Return the journal's name of a fetched message: by its UID, or by its bytes and its turn among equals."""
        if message.named:
            return message.key
        if message.key in self._entries:
            self.ledger.note(Gone(self.account, (message.key,)))
        turn = self._turns[sha]
        self._turns[sha] += 1
        return sha_key(sha, turn)

    def known(self, key: str, message: Wanted, sha: str) -> Entry | None:
        """Return what is known of the message, if it was settled or spooled before and must not be delivered again."""
        entry = self._entries.get(key)
        doubtful = message.named and entry is not None and bool(entry.deletion)
        if doubtful and entry is not None and entry.sha == sha:
            promised = entry.deletion == PROMISED
            self.ignoring = self.ignoring or promised
            self.ledger.note(Deleting(self.account, (key,), IGNORED if promised else ""))
        elif doubtful or not _here(entry):  # new mail, perhaps under a UID that is used again
            return self._under_another_name(key, sha)
        return entry if _here(entry) else None

    def _under_another_name(self, key: str, sha: str) -> Entry | None:
        if old := self._absent.get(sha):
            if key in self._entries:
                self.ledger.note(Gone(self.account, (key,)))
            self.ledger.note(Renamed(self.account, old.pop(), key))
            entry = self._entries.get(key)
            return entry if _here(entry) else None  # its verdicts count also where its spool file is gone
        if old := self._busy.get(sha):
            return self._entries[old.pop()]  # its courier knows it by that name; a later pass renames it
        return None


def _here(entry: Entry | None) -> bool:
    """Say whether the message was settled or waits in the spool; not if its spool file is gone: a power cut, a hand."""
    return entry is not None and (entry.status in SETTLED or plan.waits(entry))
