"""The logins of one account in one pass: each as the table says (lib.pop.login) of the one before.

The law: a password is sent once a pass, until it was taken; then it may be sent again, a bounded number of times, for
the sessions that follow.
"""

import logging
from dataclasses import dataclass, field

from lib.config.settings import Account, Settings, Tls
from lib.errors import (
    AccountError,
    CertificateError,
    LostError,
    PeerError,
    PopfetchError,
    TurnedAwayError,
    UnreachableError,
)
from lib.halt import Deadline, Stop
from lib.pop import login
from lib.pop.login import Haste, Said, Stage, Then
from lib.pop.session import Mailbox, Terms
from lib.report import log
from lib.store.state import AccountState
from lib.visible import visible

LOG = logging.getLogger("popfetch.fetch")

# Before a second login: a server needs a moment to notice that the first session is over. Seconds.
BREATH = 0.2
# How long is waited, time and again, for a mailbox that is still locked, seconds. A server that has not noticed by then
# that the session before is over takes minutes as a rule: that is for the next pass.
DELAYS = (0.4, 0.9)


@dataclass(slots=True, eq=False, repr=False)
class Entrance:
    """Opens sessions; what it learns of the server goes into *memory*."""

    account: Account
    password: str
    settings: Settings
    memory: AccountState
    stop: Stop
    _broke: str = ""  # why the session before ended, if it did not end well
    _taken: bool = False  # the password was, in this pass
    _lockstep: bool = False
    _without: set[Stage] = field(default_factory=set)

    def open(self, *, lockstep: bool = False) -> Mailbox:
        """Return an open session, *lockstep*: a command at a time.

        Raises LoginError, TurnedAwayError where fewer sessions may help, else AccountError; StoppedError.
        """
        self._lockstep = self._lockstep or lockstep
        if self._taken:
            Deadline.after(BREATH, self.stop).sleep()
        delays = list(DELAYS)
        while (mailbox := self._attempt(delays)) is None:
            pass
        return mailbox

    def note(self, error: PopfetchError) -> None:
        """Take note of what ended a session: it is told with what the next login comes to, and in the log."""
        self._broke = str(error)
        LOG.info("%s", log.line("broken", account=self.account.name, words=str(error)))

    def _attempt(self, delays: list[float]) -> Mailbox | None:
        """Try once; return None when it is to be tried again, now."""
        memory, mailbox = self.memory, Mailbox(self.account, self.password, self._terms())
        memory.bore_ahead, memory.ahead = memory.bore_ahead or bool(memory.ahead), ""  # until it goes well again
        opened = False
        try:
            mailbox.connect()
            mailbox.open()
            opened = True
        except (AccountError, LostError, PeerError) as error:
            self._answer(mailbox, error, delays)
            return None
        finally:
            if not opened:
                mailbox.close()
        self._went_well(mailbox)
        return mailbox

    def _terms(self) -> Terms:
        settings, memory = self.settings, self.memory
        without = self._without | login.shunned(memory.hangs_at)
        if self.account.tls not in (Tls.OFF, Tls.IMPLICIT) and Stage.CAPA not in self._without:
            without.discard(Stage.CAPA)  # it tells of STLS
        lockstep = self._lockstep or self._haste.lockstep
        return Terms(
            settings.pf_timeout,
            settings.pf_tls_ca,
            window=1 if lockstep else settings.pf_window,
            ahead="" if lockstep else memory.ahead,
            without=frozenset(without),
            stop=self.stop,
        )

    @property
    def _haste(self) -> Haste:
        memory = self.memory
        return Haste(memory.window_one, memory.bore_ahead, memory.careful)

    @_haste.setter
    def _haste(self, haste: Haste) -> None:
        memory = self.memory
        memory.window_one, memory.bore_ahead, memory.careful = haste

    def _went_well(self, mailbox: Mailbox) -> None:
        memory, self._taken = self.memory, True
        memory.ahead = mailbox.ahead
        self._haste = self._haste.well(ahead=mailbox.early)
        memory.hangs_at = login.cleared(memory.hangs_at, mailbox.answered)

    def _answer(self, mailbox: Mailbox, error: PopfetchError, delays: list[float]) -> None:
        """Return when there is to be another login; raise what is to be told when there is none in this pass."""
        taken, stage = self._taken, mailbox.stage
        self._taken = taken or stage in login.TAKEN
        said = login.refusal(mailbox.refusal) if mailbox.refusal is not None else login.said(error)
        ours = isinstance(error, CertificateError) or (isinstance(error, AccountError) and mailbox.refusal is None)
        then = Then.FAIL if ours else login.then(stage, said, ahead=mailbox.early, taken=taken)
        if then is Then.WITHOUT and stage is Stage.CAPA and self.account.tls is Tls.AUTO and not mailbox.near:
            then = Then.FAIL  # it may offer STLS: no password goes out in the clear
        if not ours and said in login.BROKEN:
            self._note(mailbox, said)
        mailbox.close()
        LOG.info("%s", log.line("login", account=self.account.name, at=stage.value, words=str(error), then=then.value))
        if then is Then.LOCKSTEP:
            self._lockstep = True
        elif then is Then.WITHOUT and stage not in self._without:
            self._without.add(stage)
        elif then is Then.WAIT and delays:
            Deadline.after(delays.pop(0), self.stop).sleep()
        else:
            refusal = None if mailbox.refusal is None else visible(mailbox.refusal)
            raise self._told(error, stage, then, refusal if taken and stage in login.ASKING else None) from error

    def _note(self, mailbox: Mailbox, said: Said) -> None:
        """Remember at what the server broke off."""
        if mailbox.early:
            self._haste = self._haste.stumbled(said)
        elif mailbox.stage in login.SUSPECT:
            self.memory.hangs_at = login.suspected(self.memory.hangs_at, mailbox.stage)

    def _told(self, error: PopfetchError, stage: Stage, then: Then, again: str | None) -> AccountError:
        """Return *error* as one of the account; *again*: what refused a password that was taken before."""
        words = str(error)
        if then is Then.AWAY:
            return UnreachableError(words) if stage is Stage.CONNECT else TurnedAwayError(words)
        if again is not None:
            words = f"the mailbox is still locked: {again}" if then is Then.WAIT else f"no further login: {again}"
        elif isinstance(error, AccountError) and not self._broke:
            return error
        elif stage is Stage.PASSWORD and not self._broke:
            words += "; the password was out by then, so the login is not tried again in this pass"
        return AccountError(f"{words}; the session before had ended: {self._broke}" if self._broke else words)
