"""All accounts side by side: the only threads, how they end, and what they came to.

A fetcher a thread and account, at most pf_parallel at once; a courier a thread and connection to the receiver, a few
of them. Whoever fails fails alone. One halt ends all: no further message is fetched, what is settled is deleted, the
rest lies fsynced in the spool; whoever does not end by itself then is cut off.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from lib.config.settings import Account, Settings
from lib.delivery.envelope import Moment, Origin, consign, tried
from lib.delivery.parcel import Parcel, Post
from lib.delivery.settle import Clerk
from lib.errors import PopfetchError, SafetyNetError, StoppedError, StorageError, UnreachableError
from lib.halt import GRACE, Deadline, Halt
from lib.pop.poll import Visit
from lib.report import log
from lib.report.outcome import AccountOutcome, Tally, Watch
from lib.run.affinity import Core
from lib.run.outgoing import Outgoing
from lib.run.pool import Pool
from lib.smtp.health import Health, Learned
from lib.smtp.session import Way
from lib.store.spool import Stored
from lib.store.state import AccountState

LOG = logging.getLogger("popfetch.batch")

# How often the journal is synced meanwhile: what a power cut can make arrive twice, in seconds.
SYNC_SECONDS = 1.0
TICK = 0.2
# How long outgoing mail that is told to stop is waited for, in seconds: the grace of its command, and a moment.
GOING = 3.0


@dataclass(slots=True, eq=False, repr=False)
class Batch:
    """One pass over all accounts, from the first message sent again to the last verdict."""

    settings: Settings
    clerk: Clerk
    way: Way
    origin: Callable[[str], Origin]  # of an account's id
    watch: Watch
    memories: dict[str, AccountState]
    halt: Halt
    learned: Learned  # of the receiver, in earlier passes
    complaints: list[PopfetchError] = field(default_factory=list)
    line_is_ours: bool = False
    line_is_elses: bool = False
    pool: Pool = field(init=False)
    _posts: dict[str, Post] = field(default_factory=dict)
    drained: list[AccountOutcome] = field(default_factory=list)  # what the last round over the accounts came to
    _outgoing: Outgoing | None = None
    _kicks: list[Thread] = field(default_factory=list)
    _changed: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _synced: float = 0.0
    _fetching: int = 0

    def __post_init__(self) -> None:
        """Gather the couriers; none is started before there is a message."""
        health = Health(self.learned)
        self.pool = Pool(self.way, self.clerk, self.halt, Core(), self._fail, self._bug, self.complaints.append, health)

    # --- what ends a pass early -------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Wake everybody up to see that the pass is halted."""
        for post in list(self._posts.values()):
            post.nudge()
        self._changed.set()

    def _fail(self, error: PopfetchError) -> None:
        """Halt for a reason that concerns no account: the receiver, the disk, the safety net."""
        self.complaints.append(error)
        LOG.error("%s", log.line("halt", why=str(error)))
        self.pool.stop()
        self.halt.halt(None, hearing=GRACE if isinstance(error, StorageError) else math.inf)
        self.stop()

    def _bug(self, error: Exception) -> PopfetchError:
        log.bug(error)
        return PopfetchError(f"a bug of this program ({type(error).__name__}): its traceback is in popfetch.log")

    def _look(self) -> None:
        """Notice a signal or a limit, keep the journal on disk."""
        if self.halt.begun():
            self.stop()
        if self.halt.signals.came():
            self.pool.stop()
        now = time.monotonic()
        if now - self._synced >= SYNC_SECONDS:
            self._synced = now
            self.clerk.ledger.sync()

    # --- the receiver -----------------------------------------------------------------------------------------------

    def send(self, parcel: Parcel) -> None:
        """Give *parcel* to the couriers; one that is for nobody goes to the duds."""
        try:
            self.pool.send(parcel)
        except SafetyNetError as error:
            self._fail(error)

    def send_again(self, found: Sequence[tuple[Stored, str]]) -> None:
        """Deliver what the spool still held; return when all is said.

        First goes what was never tried, then what was put off, last at what a connection broke.
        """
        moment = Moment(self.clerk.now(), time.monotonic())
        of = self.clerk.ledger.of
        for stored, key in sorted(found, key=lambda one: tried(of(one[0].account).get(one[1]))):
            if self.halt.halted or self.clerk.ledger.held(stored.account):
                self.clerk.leave(stored, key)
            else:
                self.take_in(stored, key, self.origin(stored.account), moment)
        self._settle()

    def take_in(self, stored: Stored, key: str, origin: Origin, moment: Moment | None = None) -> None:
        """Take a spooled message to deliver; one at which a bug of ours happens stays in the spool, and blocks none."""
        if moment is None:  # a fetcher has just spooled it
            self.pool.core.stay(stored.body is not None)
            moment = Moment(self.clerk.now(), time.monotonic())
        try:
            self.send(consign(stored, key, origin, self.clerk.ledger.of(stored.account).get(key), moment))
        except PopfetchError:
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence of this message
            self.complaints.append(self._bug(error))
            self.clerk.leave(stored, key)

    def _settle(self) -> None:
        while not self.pool.settled(TICK) and not self.halt.halted:
            self._look()

    def finish(self) -> None:
        """Deliver what is left, end the couriers; nothing runs after this."""
        self._settle()
        self.pool.close()
        if self.halt.halted:
            self.pool.stop()
        for thread in self.pool.threads:
            while thread.is_alive():
                thread.join(TICK)
                self._look()
        self.pool.leave()

    def counted(self, outcomes: Sequence[AccountOutcome]) -> list[AccountOutcome]:
        """Return *outcomes* with what was settled, of accounts that were not visited, or are no longer set, as well."""
        visited = {one.account for one in outcomes}
        others = [
            AccountOutcome(account, self.origin(account).label, Tally(), 0.0, judged=False)
            for account in self.clerk.accounts()
            if account not in visited
        ]
        return [one._replace(tally=one.tally + self.clerk.tally(one.account)) for one in (*outcomes, *others)]

    # --- the accounts -----------------------------------------------------------------------------------------------

    def drain(self, *, on_the_way: Callable[[], None]) -> list[AccountOutcome]:
        """Visit every account; *on_the_way* is called as soon as neither a fetcher nor outgoing mail needs the line.

        Over a line that is somebody else's, and perhaps still being opened, a round that reached nobody has one more
        try, pf_retry_delay seconds later.
        """
        self.drained = self._round()
        unreached = all(isinstance(one.error, UnreachableError) for one in self.drained)
        if self.line_is_elses and self.drained and unreached and not self.halt.halted:
            with suppress(StoppedError):
                Deadline.after(self.settings.pf_retry_delay, self.halt.begun).sleep()
                self.drained = self._round()
        self._see_out()
        on_the_way()
        return self.drained

    def kick(self, outgoing: Outgoing) -> None:
        """Let outgoing mail use the line, beside the fetching, which does not wait for it."""
        self._outgoing = outgoing
        for job in outgoing.jobs:
            self._kicks.append(Thread(target=self._kick, args=(job,), name=job.__name__, daemon=True))
            self._kicks[-1].start()

    def _kick(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            self.complaints.append(self._bug(error))

    def _see_out(self) -> None:
        """Wait until outgoing mail is through or has had its time, then end it."""
        if self._outgoing is None:
            return
        for thread in self._kicks:
            while thread.is_alive() and not self.halt.halted and time.monotonic() < self._outgoing.until:
                thread.join(TICK)
                self._look()
        self._outgoing.stop()
        for thread in self._kicks:
            thread.join(GOING)

    def _round(self) -> list[AccountOutcome]:
        queue, outcomes = deque(self.settings.pf_user), dict[str, AccountOutcome]()
        self._fetching = min(self.settings.pf_parallel, len(queue))
        for number in range(self._fetching):
            Thread(target=self._fetcher, args=(queue, outcomes), name=f"fetcher-{number}", daemon=True).start()
        while self._fetching:
            self._changed.wait(TICK)
            self._changed.clear()
            self._look()
        return [outcomes[account.id] for account in self.settings.pf_user if account.id in outcomes]

    def _fetcher(self, queue: deque[Account], outcomes: dict[str, AccountOutcome]) -> None:
        while (account := self._next(queue)) is not None:
            try:
                outcomes[account.id] = self._visit(account)
            except PopfetchError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
                outcomes[account.id] = AccountOutcome(account.id, account.name, Tally(), 0.0, self._bug(error))

    def _next(self, queue: deque[Account]) -> Account | None:
        """Return the next account; None, for the last of a fetcher, tells the pass that one fewer fetches."""
        with self._lock:
            if queue:
                return queue.popleft()
            self._fetching -= 1
        self._changed.set()
        return None

    def _visit(self, account: Account) -> AccountOutcome:
        post = self._posts[account.id] = Post()
        self.clerk.expect(account.id, post)
        memory = self.memories.setdefault(account.id, AccountState())
        return Visit(account, self.settings, post, memory, self, self.watch, self.origin(account.id)).run()
