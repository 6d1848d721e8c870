"""One account in one pass: its password, its sessions, what came of it. Whatever fails here fails nobody else.

A session that breaks is followed by another, one command at a time if it was the server's words that broke it, or if
it broke off when several messages were asked for ahead; messages at which a session died get a session of their own,
when all others are through. A refused login is never repeated.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lib.auth import proof
from lib.config.settings import Account, Settings
from lib.delivery.envelope import Origin
from lib.delivery.queued import Receipts
from lib.delivery.settle import Settlement
from lib.errors import (
    AccountError,
    ConnectionLostError,
    Exit,
    LoginError,
    PopfetchError,
    ProtocolError,
    StoppedError,
    StorageError,
)
from lib.halt import Halt
from lib.pop import naming
from lib.pop.broken import Pace
from lib.pop.course import Course, Given, Limits
from lib.pop.entrance import Entrance
from lib.pop.fetch import Fetch
from lib.pop.naming import Named, Naming
from lib.pop.plan import Rules, Turn
from lib.pop.session import Session
from lib.report import log
from lib.report.outcome import AccountOutcome, Observer, Tally
from lib.store.spool import Stored
from lib.store.state import AccountState

LOG = logging.getLogger("popfetch.fetch")
SESSIONS = 3
# Messages in hand at which fetching pauses until half are through; a line of ours waits for nobody.
IN_HAND, IN_HAND_OURS = 100, 20_000
LEAST_SHARE = 4  # messages that an account may have in hand, however many others are fetched


class Shared(NamedTuple):
    """What all polls of a pass use. *intake* takes a spooled message, its key and origin, to be delivered."""

    settings: Settings
    settlement: Settlement
    halt: Halt
    observer: Observer
    intake: Callable[[Stored, str, Origin], None]
    adopt: Callable[[Account, Mapping[bytes, int]], None]  # lets it be the earlier account that its listing shows
    let_in: Callable[[Account], None]  # its server has let it in
    in_hand: Callable[[], int]  # messages that one account may have in hand at this moment
    may_linger: bool  # sessions may wait for verdicts


def share(fetching: int, *, ours: bool) -> int:
    """Return how many messages each of *fetching* accounts may have in hand; a line of *ours* waits for nobody."""
    return IN_HAND_OURS if ours else max(IN_HAND // max(fetching, 1), LEAST_SHARE)


@dataclass(slots=True, eq=False, repr=False)
class Poll:
    """One account's turn."""

    account: Account
    shared: Shared
    receipts: Receipts
    memory: AccountState
    origin: Origin
    tally: Tally = field(default_factory=Tally)
    warnings: list[str] = field(default_factory=list)
    _course: Course = field(default_factory=Course)
    _named: Named | None = None  # what was known of its UIDs when the pass began
    _entered: bool = False  # its server was asked

    @property
    def _command(self) -> str:
        return self.shared.settlement.letters.command

    def run(self) -> AccountOutcome:
        """Drain the account; every PopfetchError ends in the outcome, none comes out."""
        began = time.monotonic()
        error: PopfetchError | None = None
        try:
            if self.shared.settlement.journal.held(self.account.id):
                raise StorageError(f"{self.account.name}: held until --reset, for the journal is damaged")
            self._sessions(proof.reveal(self.account, self.shared.settings, self._command, self.shared.halt.begun))
            if self._course.complaints:
                error = self._told(AccountError("; ".join(self._course.complaints[:3])))
            elif self._course.unfinished:
                error = self._cut_short()
        except PopfetchError as trouble:
            if isinstance(trouble, LoginError) and self._entered:
                proof.refused(self.account, self.shared.settings, self._command)
            cut = self._course.unfinished = (
                isinstance(trouble, ConnectionLostError | StoppedError) and self.shared.halt.halted
            )
            error = self._cut_short() if cut else self._told(trouble)
        for warning in self.warnings:
            LOG.warning("%s", log.line("account", account=self.account.name, warning=warning))
        self.shared.observer.account_ended(self.account.name, error)
        return AccountOutcome(
            self.account.id,
            self.account.name,
            self.tally,
            time.monotonic() - began,
            error,
            warnings=tuple(self.warnings),
            judged=error is not None or not self._course.unfinished,
        )

    def _cut_short(self) -> PopfetchError | None:
        why = self.shared.halt.told
        return why and AccountError(f"{self.account.name}: {why}")

    def _told(self, error: PopfetchError) -> PopfetchError:
        """Return *error* with the account's name in front, and where to look behind."""
        if error.exit not in (Exit.ACCOUNT, Exit.LOGIN):
            return error
        kind = type(error) if isinstance(error, AccountError) else AccountError
        place = "" if self.account.place in str(error) else f" ({self.account.place})"
        return kind(f"{self.account.name}: {error}{place}")

    def _sessions(self, word: str) -> None:
        course, memory = self._course, self.memory
        course.unfinished = self.shared.halt.halted
        course.sizes_lie, course.counts = memory.sizes_lie, memory.counts
        self._entered = True
        entrance = Entrance(self.account, word, self.shared.settings, memory, self.shared.halt.begun)
        for left in reversed(range(SESSIONS)):
            if self.shared.halt.halted:
                return
            before = self._gains
            try:
                self._session(entrance)
            except (ConnectionLostError, ProtocolError) as error:
                entrance.note(error)
                promising = course.again or self._gains > before
                if not left or not promising or self.shared.halt.halted:
                    raise
                course.turn = Turn.NOW
            else:
                if not course.more:
                    return
                course.turn = Turn.ALONE
            finally:
                memory.sizes_lie, memory.counts = course.sizes_lie, course.counts
                memory.window_one = memory.window_one or course.stumbles
        course.complain("messages at which a session broke wait for the next pass")

    @property
    def _gains(self) -> int:
        return self.tally.fetched + self.tally.deleted

    def _session(self, entrance: Entrance) -> None:
        course = self._course
        course.more = course.again = False
        session = entrance.open(lockstep=course.pace is Pace.LOCKSTEP)
        self.shared.let_in(self.account)
        try:
            self._enter(session)
        except BaseException:
            session.close()
            raise
        try:
            Fetch(session, self._given(), course).drain()
        finally:
            self.warnings.extend(one for one in course.remarks if one not in self.warnings)
            self._log(session)

    def _given(self) -> Given:
        shared, settings = self.shared, self.shared.settings
        stores, origin = shared.settlement, self.origin
        return Given(
            self.account.name,
            stores.journal,
            stores.spool,
            self.receipts,
            lambda stored, key: shared.intake(stored, key, origin),
            shared.halt,
            stores.now,
            shared.observer,
            self.tally,
            Rules(self.account.keep, settings.pf_max_size, settings.pf_max_messages),
            Limits(settings.pf_window, settings.pf_smtp_timeout, shared.in_hand, shared.may_linger),
        )

    def _enter(self, session: Session) -> None:
        session.wire.stop = self.shared.halt.overdue  # from here on there may be something to commit
        protocol = "POP3S" if session.wire.encrypted else "POP3"
        self.origin = self.origin._replace(ip=session.wire.address, protocol=protocol)
        self.warnings.extend(one for one in session.warnings if one not in self.warnings)
        self._look_at_names(session.naming)
        self.shared.adopt(self.account, {one.uid: one.size for one in session.messages if one.uid})

    def _look_at_names(self, names: Naming) -> None:
        """Remember what the first listing says of UIDs; AccountError where nothing may be fetched without."""
        memory, first = self.memory, self._named is None
        if self._named is None:
            self._named = Named(memory.had_uidl, memory.uids_gone, memory.names_left_out)
        found = naming.judge(self._named, names, keeps=bool(self.account.keep))
        if first:
            memory.had_uidl, memory.uids_gone, memory.names_left_out = found.named
        if found.failure:
            raise AccountError(found.failure)
        if found.warning and found.warning not in self.warnings:
            self.warnings.append(found.warning)

    def _log(self, session: Session) -> None:
        wire, tally = session.wire, self.tally
        LOG.info(
            "%s",
            log.line(
                "session",
                account=self.account.name,
                listed=tally.listed,
                fetched=tally.fetched,
                deleted=tally.deleted,
                octets=wire.octets_in,
                tls="yes" if wire.encrypted else "no",
                pipelining="yes" if session.pipelining else "no",
            ),
        )
