"""The logins of one account in one pass: each as the table says (lib.pop.login) of the one before.

The law: a password is sent once a pass, until it was taken; then it may be sent again, a bounded number of times, for
the sessions that follow.
"""

import logging
from dataclasses import dataclass, field

from lib.config.settings import Account, HostPort, Settings, Tls
from lib.errors import (
    AccountError,
    CertificateError,
    ConnectionLostError,
    PopfetchError,
    ProtocolError,
    TurnedAwayError,
    UnreachableError,
)
from lib.halt import Deadline, Stop
from lib.pop import login
from lib.pop.login import Consequence, Haste, LoginStage, Said
from lib.pop.session import Session, SessionTerms
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
    _without: set[LoginStage] = field(default_factory=set)

    def open(self, *, lockstep: bool = False) -> Session:
        """Return an open session, *lockstep*: a command at a time.

        Raises LoginError, TurnedAwayError where fewer sessions may help, else AccountError; StoppedError.
        """
        self._lockstep = self._lockstep or lockstep
        if self._taken:
            Deadline.after(BREATH, self.stop).sleep()
        delays = list(DELAYS)
        while (session := self._attempt(delays)) is None:
            pass
        return session

    def note(self, error: PopfetchError) -> None:
        """Take note of what ended a session: it is told with what the next login comes to, and in the log."""
        self._broke = str(error)
        LOG.info("%s", log.line("broken", account=self.account.name, words=str(error)))

    def _attempt(self, delays: list[float]) -> Session | None:
        """Try once; return None when it is to be tried again, now."""
        memory, session = self.memory, Session(self.account, self.password, self._terms())
        memory.bore_ahead, memory.ahead = memory.bore_ahead or bool(memory.ahead), ""  # until it goes well again
        opened = False
        try:
            session.connect()
            session.open()
            opened = True
        except (AccountError, ConnectionLostError, ProtocolError) as error:
            self._answer(session, error, delays)
            return None
        finally:
            if session.took_stls:
                memory.stls = self._place
            if not opened:
                session.close()
        self._went_well(session)
        return session

    def _terms(self) -> SessionTerms:
        settings, memory = self.settings, self.memory
        without = self._without | login.shunned(memory.hangs_at)
        if self.account.tls not in (Tls.OFF, Tls.IMPLICIT) and LoginStage.CAPA not in self._without:
            without.discard(LoginStage.CAPA)  # it tells of STLS
        if memory.had_uidl and LoginStage.UIDL not in self._without:
            without.discard(LoginStage.UIDL)  # it could once: asked no more, it could never say so again
        lockstep = self._lockstep or self._haste.lockstep
        return SessionTerms(
            settings.pf_timeout,
            settings.pf_tls_ca,
            window=1 if lockstep else settings.pf_window,
            ahead="" if lockstep else memory.ahead,
            without=frozenset(without),
            stop=self.stop,
            identity=(settings.pf_tls_cert, settings.pf_tls_key) if settings.pf_tls_cert else None,
            stls=memory.stls == self._place and self.account.tls in (Tls.AUTO, Tls.STARTTLS),
        )

    @property
    def _place(self) -> str:
        return str(HostPort(self.account.host.lower(), self.account.port))

    @property
    def _haste(self) -> Haste:
        memory = self.memory
        return Haste(memory.window_one, memory.bore_ahead, memory.careful)

    @_haste.setter
    def _haste(self, haste: Haste) -> None:
        memory = self.memory
        memory.window_one, memory.bore_ahead, memory.careful = haste

    def _went_well(self, session: Session) -> None:
        memory, self._taken = self.memory, True
        memory.ahead = session.ahead
        self._haste = self._haste.well(ahead=session.early)
        memory.hangs_at = login.cleared(memory.hangs_at, session.answered)

    def _answer(self, session: Session, error: PopfetchError, delays: list[float]) -> None:
        """Return when there is to be another login; raise what is to be told when there is none in this pass."""
        taken, stage = self._taken, session.stage
        self._taken = taken or stage in login.TAKEN
        said = login.refusal(session.refusal) if session.refusal is not None else login.said(error)
        ours = isinstance(error, CertificateError) or (isinstance(error, AccountError) and session.refusal is None)
        then = Consequence.FAIL if ours else login.then(stage, said, ahead=session.early, taken=taken)
        if (
            then is Consequence.WITHOUT
            and stage is LoginStage.CAPA
            and self.account.tls is Tls.AUTO
            and not session.near
        ):
            then = Consequence.FAIL  # it may offer STLS: no password goes out in the clear
        if not ours and said in login.BROKEN:
            self._note(session, said)
        session.close()
        LOG.info("%s", log.line("login", account=self.account.name, at=stage.value, words=str(error), then=then.value))
        if then is Consequence.LOCKSTEP:
            self._lockstep = True
        elif then is Consequence.WITHOUT and stage not in self._without:
            self._without.add(stage)
        elif then is Consequence.WAIT and delays:
            Deadline.after(delays.pop(0), self.stop).sleep()
        else:
            refusal = None if session.refusal is None else visible(session.refusal)
            raise self._told(error, stage, then, refusal if taken and stage in login.ASKING else None) from error

    def _note(self, session: Session, said: Said) -> None:
        """Remember at what the server broke off."""
        if session.early:
            self._haste = self._haste.stumbled(said)
        elif session.stage in login.SUSPECT:
            self.memory.hangs_at = login.suspected(self.memory.hangs_at, session.stage)

    def _told(self, error: PopfetchError, stage: LoginStage, then: Consequence, again: str | None) -> AccountError:
        """Return *error* as one of the account; *again*: what refused a password that was taken before."""
        words = str(error)
        if then is Consequence.AWAY:
            return UnreachableError(words) if stage is LoginStage.CONNECT else TurnedAwayError(words)
        if again is not None:
            words = (
                f"the mailbox is still locked: {again}" if then is Consequence.WAIT else f"no further login: {again}"
            )
        elif isinstance(error, AccountError) and not self._broke:
            return error
        elif stage is LoginStage.PASSWORD and not self._broke:
            words += "; the password was out by then, so the login is not tried again in this pass"
        return AccountError(f"{words}; the session before had ended: {self._broke}" if self._broke else words)
