"""What a pass works with: spool, journal, duds.dat, receiver. Opened under the lock, closed whatever happens."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from lib.config import helo
from lib.config.settings import Settings
from lib.delivery.envelope import CARE, NOTICES, OURS, origins
from lib.delivery.letters import Letters
from lib.delivery.queue import DeliveryQueue
from lib.delivery.safety_net import Ground, SafetyNet, ground
from lib.delivery.settle import Defaults, Settlement
from lib.errors import StorageError
from lib.halt import Halt, Signals
from lib.report import log
from lib.report.outcome import AccountOutcome, Observer, Unobserved
from lib.run.affinity import Core
from lib.run.batch import Batch
from lib.run.ending import Ending
from lib.run.pool import Pool
from lib.smtp.health import Health, Learned
from lib.smtp.session import receiver
from lib.store import recovery
from lib.store.clock import UNMOVED, Shift
from lib.store.duds import Duds
from lib.store.journal import Journal, damage_told
from lib.store.journal_facts import DEFERRED, Dud, DudsInARow, Entry, Spooled, Status, Stepped
from lib.store.spool import Corrupt, Spool, Stored
from lib.store.state import ReceiverState, State

LOG = logging.getLogger("popfetch.spool")


@dataclass(slots=True, eq=False, repr=False)
class Stores:
    """The stores of one pass, and what the spool still holds of earlier ones, each under its name in the journal."""

    settings: Settings
    spool: Spool
    journal: Journal
    duds: Duds
    safety_net: SafetyNet
    found: list[tuple[Stored, str]]
    corrupt: list[Corrupt]
    buried: list[str]  # whose mail a killed pass had written to duds.dat, and not told
    command: str  # how this program is called here

    def batch(self, state: State, observer: Observer, halt: Halt) -> Batch:
        """Return a pass over these stores; what was found damaged in them is its first complaint."""
        settings = self.settings
        origin = origins(settings)
        terms = Defaults(origin(CARE).rules.caretaker or b"", settings.pf_give_up)
        letters = Letters(self.spool, self.journal, origin, self.command, helo.address(settings), helo.name(settings))
        settlement = Settlement(
            self.journal, self.spool, self.duds, terms, self.safety_net, observer, time.time, letters
        )
        accounts = dict(state.accounts)
        while self.buried:
            settlement.tally(self.buried.pop()).duds += 1
        to = receiver(settings, halt.begun)
        known = state.receiver if state.receiver.place == str(to) else ReceiverState()
        learned = Learned(known.alone, known.limit, known.stopped)
        ending = Ending(halt, DeliveryQueue(), self.journal)
        pool = Pool(to, settlement, ending, Core(), Health(learned))
        batch = Batch(settings, settlement, origin, observer, accounts, dict(state.hosts), ending, pool)
        if self.journal.damages:
            batch.complaints.append(StorageError(damage_told(self.journal.damages)))
        batch.complaints.extend(StorageError(one.why) for one in self.corrupt if one.unreadable)
        return batch

    def remembered(self, batch: Batch) -> ReceiverState:
        """Return what the next pass should know of the receiver."""
        return ReceiverState(str(batch.pool.way), *batch.pool.health.learned)

    @property
    def deferred(self) -> int:
        """How many messages wait in the spool, or for room in it."""
        entries = (entry for account in self.journal.entries.values() for entry in account.values())
        return sum(entry.status is Status.SPOOLED and bool(entry.number or _deferred(entry)) for entry in entries)

    def tell(self, mails: Sequence[bytes], state: State, signals: Signals) -> list[AccountOutcome]:
        """Send *mails* to pf_notify_address as any other message: what is not taken now waits in the spool."""
        batch = self.batch(state, Unobserved(), Halt(signals))
        for mail in mails:
            letter = batch.settlement.letters.put(NOTICES, mail, mail, time.time())
            if letter is not None:
                batch.pool.send(letter)
        batch.pool.finish()
        return batch.counted([])

    def bury_corrupt(self, settlement: Settlement) -> None:
        """Write what is damaged in the spool to duds.dat; the messages count as never fetched. SafetyNetError.

        What was never synced is the rest of a power cut, and in nobody's way: its server still has it. What cannot be
        read stays where it is; where its server may have it, it is fetched again.
        """
        if self.journal.damages:
            for one in self.corrupt:
                self.spool.put_off(one.number)
            return
        while self.corrupt:
            one = self.corrupt.pop()
            account, entry = recovery.spooled_as(self.journal, one.number) or ("", None)
            lasting = entry is not None and entry.lasting
            if one.unreadable and lasting:
                continue
            why = f"{one.why}; the message counts as never fetched"
            if lasting:
                when = datetime.fromtimestamp(time.time(), UTC)
                self.duds.append(when, account, one.uid or b"", b"", (), [why], self.spool.chunks(one.number))
            facts = []
            if entry is not None:
                facts.append(Spooled(account, entry.key, 0, entry.uid, entry.sha, entry.size, entry.since))
            if lasting:
                self.safety_net.dud(Ground.DAMAGED, *facts)
            else:
                self.journal.note(*facts)
            self.journal.flush()
            if one.unreadable:
                continue
            self.spool.free(one.number)
            if lasting:
                settlement.tally(account).duds += 1
                LOG.error("%s", log.line("spool", account=account, uid=one.uid, status="duds", words=why))
                self.safety_net.check()


def _deferred(entry: Entry) -> bool:
    """Say whether somebody is owed a message that its server still lists."""
    return entry.vanished is None and any(status == DEFERRED for status, _ in entry.recipients.values())


def _move_times(journal: Journal, shift: Shift) -> None:
    """Let the times that the journal noted by a clock that was wrong stand by today's."""
    for account, entries in list(journal.entries.items()):
        times = (moment for one in entries.values() for moment in one.times)
        if any(shift.of(moment) != moment for moment in times):
            journal.note(Stepped(account, *shift))


def _buried(journal: Journal, duds: Duds, safety_net: SafetyNet) -> Iterator[str]:
    """Settle what a killed pass had written to duds.dat; yield whose it was."""
    for account, entry in list(recovery.buried(journal, duds)):
        why = ground(content=bool(entry.content), ours=account in OURS)
        safety_net.dud(why, Dud(account, entry.key, entry.sha, time.time()))
        yield account


@contextmanager
def opened(settings: Settings, duds_in_a_row: int, command: str, shift: Shift = UNMOVED) -> Iterator[Stores]:
    """Open the stores and match what the spool holds with the journal; noted times move by *shift*. StorageError.

    *command* is how letters tell people to call this program; *duds_in_a_row* counts where the journal has no count.
    """
    work = settings.work_path
    spool, journal = Spool(work, settings.pf_spool_limit), Journal(work / "popfetch.journal")
    try:
        said = journal.load(time.time())
        remembers = bool(said.lines or said.damages)  # or a pass may have been killed when it had made the file
        _move_times(journal, shift)
        duds = Duds(work / "duds.dat")
        if journal.row is None and duds_in_a_row:  # of a journal that is older than such lines
            journal.note(DudsInARow(duds_in_a_row))
        safety_net = SafetyNet(journal.row or 0, settings.pf_max_duds, journal.note)
        buried = list(_buried(journal, duds, safety_net))
        whole, corrupt = spool.recover()
        found = recovery.named(whole, corrupt, journal, spool, remembers=remembers)
        yield Stores(settings, spool, journal, duds, safety_net, found, corrupt, buried, command)
        journal.compact(time.time())
        journal.sync()
    finally:
        spool.close()
        journal.close()
