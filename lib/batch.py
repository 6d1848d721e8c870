"""All accounts side by side: the only threads, how they end, and what they came to.

A fetcher a thread and account, at most pf_parallel at once; a courier a thread and connection to the receiver, a few
of them. Whoever fails fails alone. One halt ends all: no further message is fetched, what is settled is deleted, the
rest lies fsynced in the spool; whoever does not end by itself then is cut off.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event, Lock, Thread

from lib import log
from lib.consign import Moment, Origin, consign
from lib.courier import Courier, Way
from lib.deliver import Deliver, Health
from lib.errors import AccountError, PopfetchError, ReceiverError, SafetyNetError
from lib.mailbox import Mailbox
from lib.outbox import Outbox
from lib.outcome import AccountOutcome, Tally, Watch
from lib.parcel import Parcel, Post
from lib.settings import Account, Settings
from lib.settle import Clerk
from lib.spool import Stored
from lib.state import AccountState
from lib.visit import UnreachableError, Visit

LOG = logging.getLogger("popfetch.batch")

# Connections to the receiver, and how many messages must wait for each before another one is opened.
COURIERS, BACKLOG = 4, 24
# How often the journal is synced meanwhile: what a power cut can make arrive twice, in seconds.
SYNC_SECONDS = 1.0
# From a halt to the end of a session that does not end by itself, seconds.
GRACE, GRACE_WHEN_KILLED = 30.0, 4.0
TICK = 0.2


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a pass ends early: what accounts that it cuts short are told (None: it is told elsewhere), and until when."""

    error: PopfetchError | None
    deadline: float


@dataclass(slots=True)
class Batch:
    """One pass over all accounts, from the first message sent again to the last verdict."""

    settings: Settings
    clerk: Clerk
    way: Way
    origin: Callable[[str], Origin]  # of an account's id
    reveal: Callable[[Account], str]
    watch: Watch
    memories: dict[str, AccountState]
    killed: Event
    complaints: list[PopfetchError] = field(default_factory=list)
    line_is_ours: bool = False
    line_is_elses: bool = False
    _health: Health = field(default_factory=Health)
    _outbox: Outbox = field(default_factory=Outbox)
    _couriers: list[Thread] = field(default_factory=list)
    _greeted: Courier | None = None
    _halt: Halt | None = None
    _posts: dict[str, Post] = field(default_factory=dict)
    opened: dict[str, Mailbox] = field(default_factory=dict)
    _deadlines: list[tuple[float, str]] = field(default_factory=list)
    _changed: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _synced: float = 0.0
    _fetching: int = 0

    # --- what ends a pass early -------------------------------------------------------------------------------------

    def until(self, seconds: float, why: str) -> None:
        """Halt *seconds* from now, if that is more than 0; the accounts that are not drained by then say *why*."""
        if seconds:
            self._deadlines.append((time.monotonic() + seconds, why))

    @property
    def halted(self) -> bool:
        """Say whether nothing more is to be begun."""
        return self._halt is not None

    @property
    def cut_short(self) -> PopfetchError | None:
        """What an account is told that was not drained because of the halt; None when it is told elsewhere."""
        return self._halt.error if self._halt is not None else None

    def halt(self, error: PopfetchError | None, grace: float = GRACE) -> None:
        """End the pass: fetch nothing more, commit, leave."""
        with self._lock:
            if self._halt is None:
                self._halt = Halt(error, time.monotonic() + grace)
        for post in list(self._posts.values()):
            post.nudge()
        self._changed.set()

    def _fail(self, error: PopfetchError) -> None:
        """Halt for a reason that concerns no account: the receiver, the disk, the safety net, a bug of ours."""
        with self._lock:
            self.complaints.append(error)
        LOG.error("%s", log.line("halt", why=str(error)))
        self._outbox.stop()
        self.halt(None)

    def _bug(self, error: Exception) -> PopfetchError:
        log.bug(error)
        return PopfetchError(f"a bug of this program ({type(error).__name__}): its traceback is in popfetch.log")

    def _look(self) -> None:
        """Notice a signal or a deadline, cut off who does not end, keep the journal on disk."""
        now = time.monotonic()
        if self.killed.is_set():
            self.halt(AccountError("stopped by a signal"), GRACE_WHEN_KILLED)
            self._outbox.stop()
        for deadline, why in self._deadlines:
            if now >= deadline:
                self.halt(AccountError(why))
        if self._halt is not None and now >= self._halt.deadline:
            for mailbox in list(self.opened.values()):
                mailbox.wire.cut()
        if now - self._synced >= SYNC_SECONDS:
            self._synced = now
            self.clerk.ledger.sync()

    # --- the receiver -----------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Open the first connection to the receiver; ReceiverError when it takes no mail now."""
        self._greeted = Courier(self.way)
        self._greeted.open()

    def send(self, parcel: Parcel) -> None:
        """Give *parcel* to the couriers; one that is for nobody goes to the duds."""
        try:
            for errand in self.clerk.first(parcel):
                waiting = self._outbox.put(errand)
                with self._lock:
                    few = len(self._couriers) < COURIERS and waiting > BACKLOG * len(self._couriers)
                    if few or not self._couriers:
                        self._hire()
        except SafetyNetError as error:
            self._fail(error)

    def send_again(self, found: Sequence[tuple[Stored, str]]) -> None:
        """Deliver what the spool still held, those last at which the receiver broke off; return when all is said."""
        moment = Moment(datetime.fromtimestamp(self.clerk.now(), UTC), time.monotonic())
        entries = [(stored, key, self.clerk.ledger.of(stored.account).get(key)) for stored, key in found]
        for stored, key, entry in sorted(entries, key=lambda one: one[2].troubles if one[2] else 0):
            if not self.halted and not self.clerk.ledger.held(stored.account):
                self.send(consign(stored, key, self.origin(stored.account), entry, moment))
        self._settle()

    def _settle(self) -> None:
        while not self._outbox.settle(TICK) and not self.halted:
            self._look()

    def finish(self) -> None:
        """Deliver what is left, end the couriers; nothing runs after this."""
        self._settle()
        self._outbox.close()
        if self.halted:
            self._outbox.stop()
        for thread in self._couriers:
            while thread.is_alive():
                thread.join(TICK)
                self._look()
                if self._halt is not None and time.monotonic() > self._halt.deadline + SYNC_SECONDS:
                    return  # it waits for a verdict that may yet take ten minutes; the journal has what was said
        if self._greeted is not None:
            self._greeted.close()

    def _hire(self) -> None:
        courier, self._greeted = self._greeted or Courier(self.way), None
        self._outbox.enter()
        thread = Thread(target=self._courier, args=(courier,), name=f"courier-{len(self._couriers)}", daemon=True)
        self._couriers.append(thread)
        thread.start()

    def _courier(self, courier: Courier) -> None:
        try:
            Deliver(courier, self._health, self._body, self.clerk.blame).run(self._outbox, self.clerk.consider)
        except ReceiverError as error:
            if self._health.failed(courier, error):
                self._fail(error)
            else:
                LOG.info("%s", log.line("courier", note="one connection fewer", words=str(error)))
        except PopfetchError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            self._fail(self._bug(error))
        finally:
            self._outbox.leave()

    def _body(self, parcel: Parcel) -> Iterator[bytes]:
        if parcel.body is not None:
            return iter((parcel.body[parcel.head.end :],))
        return self.clerk.spool.chunks(parcel.number, parcel.head.end)

    def counted(self, outcomes: Sequence[AccountOutcome]) -> list[AccountOutcome]:
        """Return *outcomes* with what the couriers settled, of accounts that were not visited as well."""
        visited = {one.account for one in outcomes}
        others = [
            AccountOutcome(account.id, account.name, Tally(), 0.0)
            for account in self.settings.pf_user
            if account.id not in visited and any(self.clerk.tally(account.id).counts())
        ]
        return [replace(one, tally=one.tally + self.clerk.tally(one.account)) for one in (*outcomes, *others)]

    # --- the accounts -----------------------------------------------------------------------------------------------

    def drain(self, *, on_the_way: Callable[[], None]) -> list[AccountOutcome]:
        """Visit every account; *on_the_way* is called as soon as no fetcher needs the line any more.

        Over a line that is somebody else's, and perhaps still being opened, a round that reached nobody has one more
        try, pf_retry_delay seconds later.
        """
        outcomes = self._round()
        unreached = all(isinstance(one.error, UnreachableError) for one in outcomes)
        if self.line_is_elses and outcomes and unreached and not self.halted:
            self.killed.wait(self.settings.pf_retry_delay)
            self._look()
            outcomes = self._round()
        on_the_way()
        return outcomes

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
        clerk = self.clerk
        visit = Visit(
            account,
            self.settings,
            clerk.ledger,
            clerk.spool,
            post,
            _Host(self, account),
            self.watch,
            memory,
            lambda: self.reveal(account),
        )
        try:
            return visit.run()
        finally:
            self.opened.pop(account.id, None)


@dataclass(slots=True)
class _Host:
    """What one account sees of the pass."""

    batch: Batch
    account: Account
    _mailbox: Mailbox | None = None
    _origin: Origin | None = None

    def hand_over(self, stored: Stored, key: str) -> None:
        """See Desk."""
        now = self.now()
        moment = Moment(datetime.fromtimestamp(now, UTC), time.monotonic())
        entry = self.batch.clerk.ledger.of(stored.account).get(key)
        self.batch.send(consign(stored, key, self._where(), entry, moment))

    def _where(self) -> Origin:
        if self._origin is None:
            wire = self._mailbox.wire if self._mailbox else None
            protocol = "POP3S" if wire and wire.encrypted else "POP3"
            self._origin = replace(
                self.batch.origin(self.account.id), ip=wire.address if wire else "", protocol=protocol
            )
        return self._origin

    def halted(self) -> bool:
        """See Desk."""
        return self.batch.halted

    def may_linger(self) -> bool:
        """See Desk."""
        return not self.batch.line_is_ours

    def now(self) -> float:
        """See Desk."""
        return self.batch.clerk.now()

    def opened(self, mailbox: Mailbox) -> None:
        """See Host."""
        self._mailbox, self._origin = mailbox, None
        self.batch.opened[self.account.id] = mailbox

    def cut_short(self) -> PopfetchError | None:
        """See Host."""
        return self.batch.cut_short
