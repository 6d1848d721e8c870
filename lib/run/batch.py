"""All accounts side by side: who fetches, what goes out meanwhile, and what all of it came to.

A fetcher a thread and account, at most pf_parallel at once; beside them the delivery threads
(lib.run.pool). Whoever fails fails alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread

from lib.config.settings import Account, Settings
from lib.delivery.envelope import Moment, Origin, envelope, tried
from lib.delivery.queued import Receipts
from lib.delivery.settle import Settlement
from lib.errors import PopfetchError, StoppedError, ThreadError, UnreachableError
from lib.halt import Deadline, Halt
from lib.pop.poll import Poll, Shared, share
from lib.report import log
from lib.report.outcome import AccountOutcome, Observer, Tally
from lib.run import due
from lib.run.ending import Ending
from lib.run.outgoing import Outgoing
from lib.run.pool import TICK, Pool
from lib.run.successors import Successors
from lib.run.threads import started
from lib.run.turns import Turns
from lib.store.spool import Stored
from lib.store.state import AccountState, HostState

LOG = logging.getLogger("popfetch.batch")

# How long outgoing mail that is told to stop is waited for, in seconds: the grace of its command, and a moment.
GOING = 3.0


@dataclass(slots=True, eq=False, repr=False)
class Batch:
    """One pass over all accounts, from the first message sent again to the last verdict."""

    settings: Settings
    settlement: Settlement
    origin: Callable[[str], Origin]  # of an account's id
    observer: Observer
    memories: dict[str, AccountState]
    hosts: dict[str, HostState]
    ending: Ending
    pool: Pool
    line_is_ours: bool = False
    line_is_elses: bool = False
    drained: list[AccountOutcome] = field(default_factory=list)  # what the last round over the accounts came to
    _outgoing: Outgoing | None = None
    _kicks: list[Thread] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    fetching: int = 0
    scheduled: bool = False  # accounts with every= have their own time
    _turns: Turns | None = None
    successors: Successors = field(init=False)

    def __post_init__(self) -> None:
        """Find out which accounts are new."""
        self.successors = Successors(self.settings.pf_user, self.settlement.journal)

    @property
    def halt(self) -> Halt:
        """What ends the pass."""
        return self.ending.halt

    @property
    def complaints(self) -> list[PopfetchError]:
        """What concerns no account."""
        return self.ending.complaints

    # --- what is delivered ------------------------------------------------------------------------------------------

    def send_again(self, found: Sequence[tuple[Stored, str]]) -> None:
        """Deliver what the spool still held; return when all is said.

        First goes what was never tried, then what was put off, last at what a connection broke.
        """
        moment = Moment(self.settlement.now(), time.monotonic())
        of = self.settlement.journal.of
        for stored, key in sorted(found, key=lambda one: tried(of(one[0].account).get(one[1]))):
            if self.halt.halted or self.settlement.journal.held(stored.account):
                self.settlement.leave(stored, key)
            else:
                self.take_in(stored, key, self.origin(stored.account), moment)
        self.pool.settle()

    def take_in(self, stored: Stored, key: str, origin: Origin, moment: Moment | None = None) -> None:
        """Take a spooled message to deliver; one at which a bug of ours happens stays in the spool, and blocks none."""
        if moment is None:  # a fetcher has just spooled it
            self.pool.core.stay(stored.body is not None)
            moment = Moment(self.settlement.now(), time.monotonic())
        try:
            self.pool.send(envelope(stored, key, origin, self.settlement.journal.of(stored.account).get(key), moment))
        except PopfetchError:
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence of this message
            self.complaints.append(self.ending.bug(error))
            self.settlement.leave(stored, key)

    def counted(self, outcomes: Sequence[AccountOutcome]) -> list[AccountOutcome]:
        """Return *outcomes* with what was settled, of accounts that were not polled, or are no longer set, as well."""
        polled = {one.account for one in outcomes}
        others = [
            AccountOutcome(account, self.origin(account).label, Tally(), 0.0, judged=False)
            for account in self.settlement.accounts()
            if account not in polled
        ]
        return [one._replace(tally=one.tally + self.settlement.tally(one.account)) for one in (*outcomes, *others)]

    # --- the accounts -----------------------------------------------------------------------------------------------

    def drain(self, *, on_the_way: Callable[[], None]) -> list[AccountOutcome]:
        """Poll every account; *on_the_way* is called as soon as neither a fetcher nor outgoing mail needs the line.

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
            try:
                self._kicks.append(started(self._kick, job, name=job.__name__))
            except ThreadError as error:
                LOG.warning("%s", log.line("outgoing", job=job.__name__, failed=str(error)))

    def _kick(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            self.complaints.append(self.ending.bug(error))

    def _see_out(self) -> None:
        """Wait until outgoing mail is through or has had its time, then end it."""
        if self._outgoing is None:
            return
        for thread in self._kicks:
            while thread.is_alive() and not self.halt.halted and time.monotonic() < self._outgoing.until:
                thread.join(TICK)
                self.ending.look()
        self._outgoing.stop()
        for thread in self._kicks:
            thread.join(GOING)

    def _due(self, account: Account) -> bool:
        if not (self.scheduled and account.every):
            return True
        last = self.memories.get(account.id, AccountState()).last_poll
        return due.due(self.settlement.now(), last, None, account.every, interval=False)

    def _round(self) -> list[AccountOutcome]:
        accounts = [account for account in self.settings.pf_user if self._due(account)]
        turns = self._turns = Turns(accounts, self.hosts, self.halt.begun)
        self.fetching = most = min(self.settings.pf_parallel, len(accounts))
        for number in range(most):
            try:
                started(self._fetcher, turns, name=f"fetcher-{number}")
            except ThreadError as error:
                self._do_with(number, most, error)
                break
        while self.fetching:
            self.ending.changed.wait(TICK)
            self.ending.changed.clear()
            self.ending.look()
        self._learn(turns.learned())
        return [turns.outcomes[account.id] for account in self.settings.pf_user if account.id in turns.outcomes]

    def _learn(self, hosts: dict[str, HostState]) -> None:
        """Remember how many sessions servers take at once."""
        for name, host in hosts.items():
            if host.sessions != self.hosts.get(name, HostState()).sessions:
                LOG.info("%s", log.line("host", host=name, note=f"{host.sessions} sessions at once from now on"))
        self.hosts = hosts

    def _do_with(self, fetchers: int, most: int, error: ThreadError) -> None:
        """Go on with so many fetchers as could be started; without any the pass ends."""
        with self._lock:
            self.fetching -= most - fetchers
        if fetchers:
            LOG.warning("%s", log.line("fetchers", note=f"{fetchers} instead of {most}", words=str(error)))
        else:
            self.ending.fail(error)

    def _fetcher(self, turns: Turns) -> None:
        """Poll one account after another; the last thing it does is to tell the pass that one fewer fetches."""
        try:
            while (account := turns.take()) is not None:
                turns.over(account, self._outcome(account))
        finally:
            with self._lock:
                self.fetching -= 1
            self.ending.changed.set()

    def _outcome(self, account: Account) -> AccountOutcome | None:
        """Return what a poll came to; None where it ended the pass."""
        try:
            return self._poll(account)
        except PopfetchError as error:
            self.ending.fail(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            return AccountOutcome(account.id, account.name, Tally(), 0.0, self.ending.bug(error))
        return None

    def _let_in(self, account: Account) -> None:
        """Take note that the server of *account* has let it in."""
        if self._turns is not None:
            self._turns.let_in(account)

    def _poll(self, account: Account) -> AccountOutcome:
        receipts = self.ending.receipts[account.id] = Receipts()
        self.settlement.expect(account.id, receipts)
        memory = self.memories.setdefault(account.id, AccountState())
        memory.last_poll = self.settlement.now()
        return Poll(account, self._shared(), receipts, memory, self.origin(account.id)).run()

    def _shared(self) -> Shared:
        return Shared(
            self.settings,
            self.settlement,
            self.halt,
            self.observer,
            self.take_in,
            self.successors.adopt,
            self._let_in,
            lambda: share(self.fetching, ours=self.line_is_ours),
            may_linger=not self.line_is_ours,
        )
