"""One account in one pass: its password, its sessions, what came of it. Whatever fails here fails nobody else.

A session that breaks is followed by another, one command at a time if it was the server's words that broke it; messages
at which a session died get a session of their own, when all others are through. A refused login is never repeated.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from lib import log
from lib.errors import AccountError, Exit, LostError, PeerError, PopfetchError, StorageError
from lib.fetch import Desk, Fetch, Limits
from lib.ledger import Ledger
from lib.listing import Rules
from lib.mailbox import Mailbox, Terms
from lib.outcome import AccountOutcome, Tally, Watch
from lib.parcel import Post
from lib.settings import Account, Settings
from lib.spool import Spool
from lib.state import AccountState

LOG = logging.getLogger("popfetch.fetch")
SESSIONS = 3


class UnreachableError(AccountError):
    """No connection to the server came about."""


class Host(Desk, Protocol):
    """What a visit needs of the pass around it."""

    def opened(self, mailbox: Mailbox) -> None:
        """Know a session that may have to be cut; what runs out of time is cut at once."""

    def cut_short(self) -> PopfetchError | None:
        """Return why the visit ends before its mailbox is drained; None when that is told elsewhere."""


@dataclass(slots=True)
class Visit:
    """One account's turn."""

    account: Account
    settings: Settings
    ledger: Ledger
    spool: Spool
    post: Post
    host: Host
    watch: Watch
    memory: AccountState
    reveal: Callable[[], str]
    tally: Tally = field(default_factory=Tally)
    warnings: list[str] = field(default_factory=list)
    _complaints: list[str] = field(default_factory=list)
    _unfinished: bool = False

    def run(self) -> AccountOutcome:
        """Drain the account; every PopfetchError ends in the outcome, none comes out."""
        began = time.monotonic()
        error: PopfetchError | None = None
        try:
            if self.ledger.held(self.account.id):
                raise StorageError(f"{self.account.name}: held until --reset: the journal is damaged and may concern it")
            self._sessions(self.reveal())
            if self._complaints:
                error = self._told(AccountError("; ".join(self._complaints[:3])))
            elif self._unfinished:
                error = self._cut_short()
        except PopfetchError as trouble:
            cut = isinstance(trouble, LostError) and self.host.halted()
            error = self._cut_short() if cut else self._told(trouble)
        for warning in self.warnings:
            LOG.warning("%s", log.line("account", account=self.account.name, warning=warning))
        self.watch.account_ended(self.account.name, error)
        seconds = time.monotonic() - began
        return AccountOutcome(
            self.account.id, self.account.name, self.tally, seconds, error, warnings=tuple(self.warnings)
        )

    def _cut_short(self) -> PopfetchError | None:
        why = self.host.cut_short()
        return why and AccountError(f"{self.account.name}: {why}")

    def _told(self, error: PopfetchError) -> PopfetchError:
        """Return *error* with the account's name in front, and where to look behind."""
        if error.exit not in (Exit.ACCOUNT, Exit.LOGIN):
            return error
        kind = type(error) if isinstance(error, AccountError) else AccountError
        place = "" if self.account.place in str(error) else f" ({self.account.place})"
        return kind(f"{self.account.name}: {error}{place}")

    def _sessions(self, password: str) -> None:
        if self.host.halted():
            self._unfinished = True
            return
        more = True
        for turn in range(SESSIONS):
            before = self.tally.fetched
            try:
                more = self._session(password)
            except PeerError:
                self.memory.window_one = True
                if turn == SESSIONS - 1 or self.host.halted():
                    raise
            except UnreachableError:
                raise
            except LostError:
                if turn == SESSIONS - 1 or self.tally.fetched == before or self.host.halted():
                    raise
            if not more or self.host.halted():
                return

    def _session(self, password: str) -> bool:
        settings = self.settings
        terms = Terms(settings.pf_timeout, settings.pf_tls_ca, lockstep=self.memory.window_one)
        mailbox = Mailbox(self.account, password, terms)
        try:
            self._enter(mailbox)
        except BaseException:
            mailbox.close()
            raise
        rules = Rules(self.account.keep, settings.pf_max_size, settings.pf_max_messages)
        limits = Limits(settings.pf_window, settings.pf_smtp_timeout, rules)
        fetch = Fetch(
            mailbox, self.ledger, self.spool, self.post, self.host, self.watch, self.tally, limits, self._complaints
        )
        try:
            fetch.drain()
        finally:
            self._unfinished = fetch.unfinished
            self.warnings.extend(fetch.remarks)
            self._log(mailbox)
        return fetch.more

    def _enter(self, mailbox: Mailbox) -> None:
        try:
            mailbox.connect()
        except LostError as error:
            raise UnreachableError(str(error)) from error
        self.host.opened(mailbox)
        mailbox.open()
        self.warnings.extend(one for one in mailbox.warnings if one not in self.warnings)
        if self.memory.had_uidl and not mailbox.has_uids:
            raise AccountError("the server gives no UIDs although it did: nothing is fetched, lest it come twice")
        self.memory.had_uidl = mailbox.has_uids

    def _log(self, mailbox: Mailbox) -> None:
        wire, tally = mailbox.wire, self.tally
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
                pipelining="yes" if mailbox.pipelining else "no",
            ),
        )
