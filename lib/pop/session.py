"""An open POP3 mailbox: connected, encrypted as agreed, logged in, listed.

Opening it costs as few round trips as the server allows: where it announces PIPELINING before the login, the login,
its second CAPA, UIDL and LIST go out together, in later passes right behind the greeting. A password is sent once a
pass, and never in the clear to a server that offered STLS. The network part of every error names the account; its
setting is named where one is to blame.
"""

from collections import deque
from pathlib import Path
from typing import NamedTuple

from lib.auth import sasl
from lib.config import hosts
from lib.config.password import octets
from lib.config.settings import Account, Tls
from lib.errors import (
    AccountError,
    CertificateError,
    ConnectionLostError,
    LoginError,
    PeerTimeoutError,
    ProtocolError,
    TlsError,
)
from lib.halt import Stop, never
from lib.net.dialogue import Command, Dialogue
from lib.net.nearness import is_near
from lib.net.wire import Identity, Trust, Wire
from lib.pop import login, mechanism, naming, pop3
from lib.pop.login import LoginStage
from lib.pop.naming import Naming
from lib.pop.plan import Listed
from lib.pop.pop3 import Body, Capabilities, StatusLine
from lib.visible import visible

# How many commands of a login go out together: USER, PASS, CAPA, UIDL, LIST.
LOGIN_WINDOW = 8
# What the next session may begin with, not asking for capabilities first.
KNOWN = (*mechanism.AT_ONCE, *mechanism.SCRAM)


class SessionTerms(NamedTuple):
    """What a session may do: seconds of silence, further CAs, and how many commands may be sent ahead.

    *ahead* is what Session.ahead was after the session before; *without* are the stages whose command is not sent;
    *stop* ends every wait until the mailbox is open. *stls*: the server took STLS before, so it does now, or fails.
    """

    read_timeout: float
    authorities: Path | None
    window: int = 1
    ahead: str = ""
    without: frozenset[LoginStage] = frozenset()
    stop: Stop = never
    stls: bool = False
    identity: Identity | None = None


class Session:
    """One session with one account."""

    def __init__(self, account: Account, password: str, terms: SessionTerms) -> None:
        """Remember; open() does the rest."""
        self.account = account
        self.terms = terms
        self.warnings: list[str] = []
        self.messages: list[Listed] = []
        self.naming = Naming.NOTHING_LISTED
        self.capabilities = Capabilities({})
        self.dialogue: Dialogue[StatusLine | Body] = Dialogue(pop3.Pop3Framer())
        self.wire: Wire
        self.stage = LoginStage.CONNECT
        self.refusal: bytes | None = None  # what the -ERR said that ended it
        # What came behind the pieces that are not yet read.
        self._broken: ConnectionLostError | ProtocolError | None = None
        self._knows_capa = LoginStage.CAPA not in terms.without
        self._heard_capa = False  # before the login
        self._pieces: deque[tuple[Command, StatusLine | Body]] = deque()
        self._how = ""  # by which mechanism it logged in
        self.near = False  # the peer is this machine or in a private network
        self.took_stls = False
        self._login = sasl.Login(account.user.encode(), octets(password), account.host.encode(), account.port)

    @property
    def _listing(self) -> dict[LoginStage, Command]:
        """What is asked right behind the login."""
        asked = {LoginStage.INSIDE: pop3.CAPA, LoginStage.UIDL: pop3.UIDL, LoginStage.LIST: pop3.LIST}
        without = self.terms.without if self._knows_capa else {*self.terms.without, LoginStage.INSIDE}
        return {stage: command for stage, command in asked.items() if stage not in without}

    @property
    def ahead(self) -> str:
        """How the next session may log in without asking for capabilities first: a mechanism; "" if it may not.

        Only where those cannot change what is sent in the clear: with tls=off, or when TLS comes before all words;
        and not where the server offers by now what shows less.
        """
        how, auto = self._how, self.account.auth == "auto"
        certain = self._safe and self.early and LoginStage.INSIDE in self._listing
        better = auto and mechanism.stronger(self.capabilities, how, encrypted=self.wire.encrypted)
        return how if certain and self.pipelining and how in KNOWN and not better else ""

    @property
    def _safe(self) -> bool:
        """Say whether nothing that the server says could change what is sent in the clear."""
        return self.account.tls is Tls.OFF or self.wire.encrypted

    @property
    def early(self) -> bool:
        """Say whether the words of the login are sent ahead of their replies."""
        return self.dialogue.window > 1

    @property
    def answered(self) -> frozenset[LoginStage]:
        """At which stages the server answered the command that belongs there."""
        return frozenset(self._listing) | ({LoginStage.CAPA} if self._heard_capa else set())

    @property
    def pipelining(self) -> bool:
        """Say whether commands may be sent ahead of their replies."""
        return self.terms.window > 1 and b"PIPELINING" in self.capabilities

    def connect(self) -> None:
        """Open the connection; ConnectionLostError when there is none to be had."""
        self.stage = LoginStage.CONNECT
        try:
            self.wire = Wire.connect(self.account.host, self.account.port, self.terms.read_timeout, self.terms.stop)
        except ConnectionLostError as error:
            raise ConnectionLostError(f"{error}: see host and port of {self.account.place}") from error
        self.near = is_near(self.wire.address)

    def open(self) -> None:
        """Log in and list over the connection.

        LoginError, AccountError, ConnectionLostError or ProtocolError when that fails.
        """
        greeting = self._greeted()
        if self.account.tls in (Tls.AUTO, Tls.STARTTLS):
            self._secure()
        else:
            self._learn(LoginStage.CAPA)
        self._warn_of_plaintext()
        self.dialogue.window = min(LOGIN_WINDOW, self.terms.window) if self.pipelining else 1
        self._log_in(greeting)
        self.stage = LoginStage.OPEN

    def _learn(self, stage: LoginStage) -> None:
        """Ask for the capabilities, unless the session before told enough of them."""
        if self._knows_how():
            self.capabilities = Capabilities({b"PIPELINING": ()})  # until the CAPA behind the login tells
        elif self._knows_capa:
            self.stage = stage
            self.capabilities = self._asked_capabilities()

    def _knows_how(self) -> bool:
        asked = self.account.auth in ("auto", self.terms.ahead)
        return asked and not self.account.oauth and bool(self.terms.ahead) and self._safe

    def _greeted(self) -> bytes:
        if self.account.tls is Tls.IMPLICIT:
            self._encrypt()
        self.stage = LoginStage.GREETING
        status = self._greeting()
        if not status.ok:
            self.refusal = status.text
            raise AccountError(f"the server does not greet: {visible(status.text)}")
        return status.text

    def _encrypt(self) -> None:
        """Shake hands; what goes wrong names the settings to look at."""
        account, self.stage = self.account, LoginStage.TLS
        try:
            self.wire.start_tls(Trust(account.host, self.terms.authorities, account.pin, identity=self.terms.identity))
        except CertificateError as error:
            raise CertificateError(f"{error}: see host and pin= of {account.place}, and pf_tls_ca") from error
        except TlsError as error:
            raise TlsError(f"{error}: see port and tls= of {account.place}") from error

    def _greeting(self) -> StatusLine:
        try:
            return self.whole(pop3.GREETING)[0]
        except PeerTimeoutError as error:
            hint = "" if self.wire.encrypted else "; does this port want tls=implicit?"
            raise PeerTimeoutError(f"{error} (no greeting{hint})") from error
        except ProtocolError as error:
            raise ProtocolError(f"{error}: no POP3 server? see host and port of {self.account.place}") from error

    def _asked_capabilities(self) -> Capabilities:
        status, listing = self.whole(pop3.CAPA)
        self._knows_capa, self._heard_capa = status.ok, True
        return pop3.capabilities(listing) if status.ok else Capabilities({})

    def _secure(self) -> None:
        """Have TLS by STLS: at once where the server was seen to take it, else where it is offered or asked for.

        AccountError where there is none, and the password would cross a public network in the clear.
        """
        if not self.terms.stls:
            self._learn(LoginStage.CAPA)
            if self.account.tls is Tls.AUTO and b"STLS" not in self.capabilities:
                self._stay_in_the_clear()
                return
        self.stage = LoginStage.TLS
        status, _ = self.whole(pop3.STLS)
        if self._broken is not None:
            raise self._broken  # what came behind the answer was said in the clear
        if not status.ok:
            before = ", which this server has taken before" if self.terms.stls else ""
            raise AccountError(f"STLS refused{before} ({visible(status.text)}): see tls= of {self.account.place}")
        self._encrypt()
        self.took_stls = True
        self._learn(LoginStage.SECURED)

    def _stay_in_the_clear(self) -> None:
        if not self.near:
            known = "offers no STLS" if self._heard_capa else "does not say whether it offers STLS"
            raise AccountError(
                f"the server {known}, and no login crosses a public network in the clear:"
                f" see tls= of {self.account.place} (port 995, or tls=off if it must be)"
            )

    def _warn_of_plaintext(self) -> None:
        if self.wire.encrypted or self.account.auth in (*mechanism.HIDES, "external"):
            return
        if not self.near:
            self.warnings.append(f"the password of {self.account.name} crosses the network in the clear")

    def _log_in(self, greeting: bytes) -> None:
        account = self.account
        if account.oauth and not (self.wire.encrypted or self.near):
            raise AccountError(f"a token goes to no far server in the clear: see tls= of {account.place}")
        self.stage = LoginStage.NAME
        how = self._how = self.terms.ahead if self._knows_how() else self._chosen()
        if how in mechanism.AT_ONCE:
            self._log_in_at_once(mechanism.at_once(how, self._login, greeting, account.place))
        else:
            self._log_in_by_steps(how)

    def _chosen(self) -> str:
        """Return the mechanism by what the server offers. LoginError where nothing of it is ours."""
        account, encrypted = self.account, self.wire.encrypted
        try:
            return mechanism.choose(account.auth, self.capabilities, token=bool(account.oauth), encrypted=encrypted)
        except LoginError as error:
            raise LoginError(f"{error} of {account.place}") from None

    def _log_in_at_once(self, words: list[Command]) -> None:
        # A window of one sends them one by one, and nothing behind a refusal. What does not fit into the window waits
        # until the login is through: sent behind the first reply, its -ERR would be taken for one to the password
        # where a server has thrown away what came with its first command.
        behind = list(self._listing.values())
        fits = len(words) + len(behind) <= self.dialogue.window
        self.dialogue.ask(*words, *(behind if fits else ()))
        for command in words:
            self.stage = LoginStage.PASSWORD if self.early or command is words[-1] else LoginStage.NAME
            status, _ = self._heard(command)
            if not status.ok:
                self._refused(status.text)
        if not fits:
            self.dialogue.ask(*behind)
        self._list()

    def _log_in_by_steps(self, how: str) -> None:
        """Challenge and response, a step a round trip, none of it sent ahead; behind the last one comes the listing."""
        self.stage = LoginStage.NAME
        window, self.dialogue.window = self.dialogue.window, 1
        attempt = mechanism.Attempt(how, self._login)
        asked = attempt.opening()
        status, _ = self.whole(asked)
        while status.ok and not attempt.over:
            if not status.challenge:
                attempt.believe()
            asked = attempt.answer(status.text)
            self.stage = LoginStage.PASSWORD
            if asked.challenge:
                status, _ = self.whole(asked)
            else:
                self.dialogue.window = window
                self.dialogue.ask(asked, *self._listing.values())
                status, _ = self._heard(asked)
        if status.challenge:
            status, _ = self.whole(attempt.last_words(status.text))
        if not status.ok:
            self._refused(status.text, attempt.told)
        attempt.believe()
        if asked.challenge:
            self.dialogue.window = window
            self.dialogue.ask(*self._listing.values())
        self._list()

    def _refused(self, text: bytes, told: str = "") -> None:
        self.refusal = text
        if login.refusal(text) in login.NOT_NOW:
            raise AccountError(f"no login now: {visible(text)}")
        settings = "user and password" if self.account.auth == "auto" else "user, password and auth="
        if self.account.oauth:
            settings = f"user, and pf_oauth {self.account.oauth},"
        words = visible(text) + (f"; {told}" if told else "")
        hint = "" if self.account.oauth else mechanism.instead(self.capabilities) or hosts.refused(self.account.host)
        if not hint and self._how in mechanism.SCRAM and self.account.auth == "auto" and self.wire.encrypted:
            hint = f" (where the server keeps no {self._how.upper()} for this user, auth=plain helps)"
        raise LoginError(f"login refused ({words}): check {settings} in {self.account.place}{hint}")

    def _list(self) -> None:
        answers: dict[LoginStage, tuple[StatusLine, bytes]] = {}
        for stage, command in self._listing.items():
            self.stage = stage
            answers[stage] = self._heard(command)
        refused = StatusLine(ok=False, text=b"", last=True), b""
        again, words = answers.get(LoginStage.INSIDE, refused)
        self.capabilities = pop3.capabilities(words) if again.ok else self.capabilities
        (named, uids), (sized, sizes) = answers.get(LoginStage.UIDL, refused), answers[LoginStage.LIST]
        if sized.ok:
            known = pop3.uids(uids) if named.ok else None
            self.messages, self.naming = naming.listed(known, pop3.sizes(sizes))
        elif not self._is_empty():
            self.refusal = sized.text
            raise AccountError(f"LIST refused: {visible(sized.text)}")

    def _is_empty(self) -> bool:
        """Ask in another way whether anything is there: some servers refuse to list nothing."""
        status, _ = self.whole(pop3.STAT)
        return status.ok and pop3.count(status.text) == 0

    def whole(self, command: Command) -> tuple[StatusLine, bytes]:
        """Ask *command* and return its status and its whole body."""
        self.dialogue.ask(command)
        return self._heard(command)

    def _heard(self, command: Command) -> tuple[StatusLine, bytes]:
        """Return the whole reply to *command*, the next one that is owed."""
        status, parts = StatusLine(ok=False, text=b"", last=False), []
        while True:
            while not self._pieces:
                self._step()
            asked, piece = self._pieces.popleft()
            if asked is not command:
                raise ProtocolError(f"a reply to {asked.told} where {command.told} was asked")
            if isinstance(piece, StatusLine):
                status = piece
            else:
                parts.append(piece.octets)
            if piece.last:
                return status, b"".join(parts)

    def _step(self) -> None:
        """Wait for further pieces; what breaks the session is raised when those in front of it are read."""
        if self._broken is not None:
            raise self._broken
        try:
            self._pieces.extend(self.wire.step(self.dialogue))
        except (ConnectionLostError, ProtocolError) as error:
            if not self._pieces:
                raise
            self._broken = error

    def close(self) -> None:
        """Drop the connection, if there is one, without QUIT: what was marked for deletion stays."""
        if hasattr(self, "wire"):
            self.wire.close()
