"""What a pass works with: spool, journal, duds.dat, receiver. Opened under the lock, closed whatever happens."""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

from lib import log
from lib.batch import Batch
from lib.consign import NOTICES, Moment, consign, origins
from lib.courier import way
from lib.duds import Duds
from lib.errors import StorageError
from lib.facts import SETTLED, Burying, Dud, Entry, Spooled, Status
from lib.halt import Halt
from lib.journal import sha_key, uid_key
from lib.ledger import Ledger, damage_told
from lib.outcome import Unwatched, Watch
from lib.settings import Settings
from lib.settle import Clerk, Streak, Terms
from lib.spool import Corrupt, Spool, Stored
from lib.state import State

LOG = logging.getLogger("popfetch.spool")


@dataclass(slots=True)
class Workplace:
    """The stores of one pass, and what the spool still holds of earlier ones, each under its name in the journal."""

    settings: Settings
    spool: Spool
    ledger: Ledger
    duds: Duds
    streak: Streak
    found: list[tuple[Stored, str]]
    corrupt: list[Corrupt]
    buried: list[str]  # whose mail a killed pass had written to duds.dat, and not told

    def batch(self, state: State, watch: Watch, killed: Event) -> Batch:
        """Return a pass over these stores; what was found damaged in them is its first complaint."""
        settings = self.settings
        terms = Terms((settings.pf_dflt_address or "").encode(), settings.pf_give_up)
        clerk = Clerk(self.ledger, self.spool, self.duds, terms, self.streak, watch, time.time)
        accounts, halt = dict(state.accounts), Halt(killed)
        while self.buried:
            clerk.tally(self.buried.pop()).duds += 1
        batch = Batch(settings, clerk, way(settings), origins(settings), watch, accounts, halt)
        if self.ledger.damages:
            batch.complaints.append(StorageError(damage_told(self.ledger.damages)))
        return batch

    @property
    def owed(self) -> int:
        """How many messages wait in the spool."""
        entries = (entry for account in self.ledger.entries.values() for entry in account.values())
        return sum(entry.status is Status.SPOOLED and bool(entry.number) for entry in entries)

    def tell(self, mails: Sequence[bytes], state: State, killed: Event) -> None:
        """Send *mails* to pf_notify_address as any other message: what is not taken now waits in the spool."""
        batch = self.batch(state, Unwatched(), killed)
        for mail in mails:
            uid = hashlib.sha256(mail).hexdigest().encode()
            incoming = self.spool.receive(NOTICES, uid, len(mail))
            incoming.write(mail)
            stored, key = incoming.finish(), uid_key(uid)
            now, tick = time.time(), time.monotonic()
            self.ledger.note(Spooled(NOTICES, key, stored.number, uid, stored.sha, stored.size, now))
            moment = Moment(datetime.fromtimestamp(now, UTC), tick)
            batch.send(consign(stored, key, batch.origin(NOTICES), None, moment))
        batch.finish()

    def bury_corrupt(self) -> None:
        """Write what is damaged in the spool to duds.dat; the messages count as never fetched. SafetyNetError."""
        while self.corrupt:
            one = self.corrupt.pop()
            when = datetime.fromtimestamp(time.time(), UTC)
            why = f"{one.why}; the message counts as never fetched"
            self.duds.append(when, one.account or "", one.uid or b"", b"", (), [why], self.spool.chunks(one.number))
            self.spool.free(one.number)
            LOG.error(
                "%s", log.line("spool", account=one.account, uid=one.uid, size=one.size, status="duds", words=why)
            )
            self.streak.dud()


@contextmanager
def opened(settings: Settings, duds_in_a_row: int) -> Iterator[Workplace]:
    """Open the stores and match what the spool holds with the journal. StorageError."""
    work = settings.work_path
    spool, ledger = Spool(work, settings.pf_spool_limit), Ledger(work / "popfetch.journal")
    try:
        ledger.load(time.time())
        duds = Duds(work / "duds.dat")
        buried = list(_buried(ledger, duds))
        whole, corrupt = spool.recover()
        found = list(_named(whole, ledger, spool))
        _note_lost(ledger, {(stored.account, key) for stored, key in found})
        streak = Streak(duds_in_a_row + len(buried), settings.pf_max_duds)
        yield Workplace(settings, spool, ledger, duds, streak, found, corrupt, buried)
        ledger.compact(time.time())
        ledger.sync()
    finally:
        spool.close()
        ledger.close()


def _buried(ledger: Ledger, duds: Duds) -> Iterator[str]:
    """Settle what a killed pass had written to duds.dat, undo what it had begun to write; yield whose it was."""
    for account, entries in ledger.entries.items():
        for key, entry in list(entries.items()):
            if entry.burial is None or entry.status in SETTLED:
                continue
            if duds.has(account, entry.uid, entry.burial):
                ledger.note(Dud(account, key, entry.sha, time.time()))
                yield account
            else:
                ledger.note(Burying(account, key, None))


def _named(whole: list[Stored], ledger: Ledger, spool: Spool) -> Iterator[tuple[Stored, str]]:
    """Yield each spooled message with its name; what the journal knows to be settled is left over, and freed."""
    turns: Counter[tuple[str, str]] = Counter()
    for stored in whole:
        entries = ledger.of(stored.account)
        key = uid_key(stored.uid) if stored.uid else _by_content(stored, entries, turns)
        entry = entries.get(key)
        if entry is not None and entry.status in SETTLED and entry.sha == stored.sha:
            spool.free(stored.number)
            continue
        if entry is None or entry.number != stored.number or entry.sha != stored.sha:
            at = time.time()
            ledger.note(Spooled(stored.account, key, stored.number, stored.uid, stored.sha, stored.size, at))
        yield stored, key


def _by_content(stored: Stored, entries: dict[str, Entry], turns: Counter[tuple[str, str]]) -> str:
    """Name a message without UID: as the journal does that knows its file, else by its turn among its equals.

    One that is settled had its file last: the pass was killed before that was free.
    """
    known = [key for key, entry in entries.items() if entry.number == stored.number and entry.sha == stored.sha]
    if known:
        return min(known, key=lambda key: entries[key].status in SETTLED)
    while True:
        turn = turns[stored.account, stored.sha]
        turns[stored.account, stored.sha] += 1
        key = sha_key(stored.sha, turn)
        if key not in entries:
            return key


def _note_lost(ledger: Ledger, found: set[tuple[str, str]]) -> None:
    """Let the journal know which spooled messages have no file any more: their servers still have them."""
    for account, entries in ledger.entries.items():
        for key, entry in list(entries.items()):
            if entry.status is Status.SPOOLED and entry.number and (account, key) not in found:
                ledger.note(Spooled(account, key, 0, entry.uid, entry.sha, entry.size, entry.since))
