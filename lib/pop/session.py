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
from lib.auth.sasl import challenged
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
from lib.net.wire import Trust, Wire
from lib.pop import login, naming, pop3
from lib.pop.login import LoginStage
from lib.pop.naming import Naming
from lib.pop.plan import Listed
from lib.pop.pop3 import Body, Capabilities, StatusLine
from lib.visible import visible

# How many commands of a login go out together: USER, PASS, CAPA, UIDL, LIST.
LOGIN_WINDOW = 8
# The logins of which no word waits for an answer.
AT_ONCE = ("user", "apop", "plain")
# A SASL initial response must fit the 255 octets of a POP3 command line (RFC 5034 §4).
MAX_INITIAL = 255 - len(b"AUTH PLAIN \r\n")


class SessionTerms(NamedTuple):
    """What a session may do: seconds of silence, further CAs, and how many commands may be sent ahead.

    *ahead* is what Session.ahead was after the session before; *without* are the stages whose command is not sent;
    *stop* ends every wait until the mailbox is open.
    """

    read_timeout: float
    authorities: Path | None
    window: int = 1
    ahead: str = ""
    without: frozenset[LoginStage] = frozenset()
    stop: Stop = never


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
        self._broken: ConnectionLostError | ProtocolError | None = (
            None  # what came behind the pieces that are not yet read
        )
        self._knows_capa = LoginStage.CAPA not in terms.without
        self._heard_capa = False  # before the login
        self._pieces: deque[tuple[Command, StatusLine | Body]] = deque()
        self._login = sasl.Login(account.user.encode(), password.encode(), account.host.encode(), account.port)

    @property
    def _listing(self) -> dict[LoginStage, Command]:
        """What is asked right behind the login."""
        asked = {LoginStage.INSIDE: pop3.CAPA, LoginStage.UIDL: pop3.UIDL, LoginStage.LIST: pop3.LIST}
        without = self.terms.without if self._knows_capa else {*self.terms.without, LoginStage.INSIDE}
        return {stage: command for stage, command in asked.items() if stage not in without}

    @property
    def ahead(self) -> str:
        """How the next session may log in without asking for capabilities first: user, apop, plain; "" if it may not.

        Only where those cannot change what is sent in the clear: with tls=off, or when TLS comes before all words.
        """
        certain = self.account.tls in (Tls.OFF, Tls.IMPLICIT) and self.early and LoginStage.INSIDE in self._listing
        how = self._mechanism()
        return how if certain and self.pipelining and how in AT_ONCE else ""

    @property
    def near(self) -> bool:
        """Say whether the peer is this machine or in a private network."""
        return _is_near(self.wire.address)

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

    def open(self) -> None:
        """Log in and list over the connection.

        LoginError, AccountError, ConnectionLostError or ProtocolError when that fails.
        """
        greeting = self._greeted()
        if self._knows_how():
            self.capabilities = Capabilities({b"PIPELINING": ()})  # until the CAPA behind the login tells
        elif self._knows_capa:
            self.stage = LoginStage.CAPA
            self.capabilities = self._asked_capabilities()
        if self.account.tls in (Tls.AUTO, Tls.STARTTLS):
            self._start_tls()
        self._warn_of_plaintext()
        self.dialogue.window = min(LOGIN_WINDOW, self.terms.window) if self.pipelining else 1
        self._log_in(greeting)
        self.stage = LoginStage.OPEN

    def _knows_how(self) -> bool:
        asked = self.account.auth in ("auto", self.terms.ahead)
        return (
            asked and not self.account.oauth and bool(self.terms.ahead) and self.account.tls in (Tls.OFF, Tls.IMPLICIT)
        )

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
            self.wire.start_tls(Trust(account.host, self.terms.authorities, account.pin))
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

    def _start_tls(self) -> None:
        asked = self.account.tls is Tls.STARTTLS
        if not asked and b"STLS" not in self.capabilities:
            return
        self.stage = LoginStage.TLS
        status, _ = self.whole(pop3.STLS)
        if self._broken is not None:
            raise self._broken  # what came behind the answer was said in the clear
        if not status.ok:
            raise AccountError(f"STLS refused ({visible(status.text)}): see tls= of {self.account.place}")
        self._encrypt()
        self.stage = LoginStage.SECURED
        self.capabilities = self._asked_capabilities()

    def _warn_of_plaintext(self) -> None:
        if self.wire.encrypted or self.account.auth in ("apop", "cram-md5"):
            return
        if not self.near:
            self.warnings.append(f"the password of {self.account.name} crosses the network in the clear")

    def _log_in(self, greeting: bytes) -> None:
        how = self._mechanism()
        if self.account.oauth and not (self.wire.encrypted or self.near):
            raise AccountError(f"a token goes to no far server in the clear: see tls= of {self.account.place}")
        if how in AT_ONCE:
            self._log_in_at_once(getattr(self, f"_{how}_words")(greeting))
        else:
            self._log_in_by_steps(how.upper().encode())
            self.dialogue.ask(*self._listing.values())
            self._list()

    def _mechanism(self) -> str:
        if self.account.oauth and self.account.auth == "auto":
            only = b"XOAUTH2" not in self.capabilities.mechanisms and b"OAUTHBEARER" in self.capabilities.mechanisms
            return "oauthbearer" if only else "xoauth2"
        if self.account.auth != "auto":
            return self.account.auth
        if self._knows_how():
            return self.terms.ahead
        without_user = self.capabilities.words and b"USER" not in self.capabilities
        return "plain" if without_user and b"PLAIN" in self.capabilities.mechanisms else "user"

    def _user_words(self, _greeting: bytes) -> list[Command]:
        user, password = self._login.user, self._login.password
        return [pop3.secret(b"USER", user, shown="USER ***"), pop3.secret(b"PASS", password, shown="PASS ***")]

    def _apop_words(self, greeting: bytes) -> list[Command]:
        stamp = pop3.timestamp(greeting)
        if not stamp:
            raise AccountError(f"the server offers no APOP: see auth= of {self.account.place}")
        proof = sasl.digest(stamp, self._login.password)
        return [pop3.secret(b"APOP", self._login.user, proof, shown="APOP ***")]

    def _plain_words(self, _greeting: bytes) -> list[Command]:
        proof = sasl.respond(sasl.MECHANISMS[b"PLAIN"][0], self._login, b"")
        if len(proof) <= MAX_INITIAL:
            return [pop3.secret(b"AUTH PLAIN", proof, shown="AUTH PLAIN ***")]
        return [
            pop3.secret(b"AUTH PLAIN", shown="AUTH PLAIN", challenge=True),
            pop3.secret(proof, shown="***"),
        ]

    def _log_in_at_once(self, words: list[Command]) -> None:
        # A window of one sends them one by one, and nothing behind a refusal.
        self.dialogue.ask(*words, *self._listing.values())
        for command in words:
            self.stage = LoginStage.PASSWORD if self.early or command is words[-1] else LoginStage.NAME
            status, _ = self._heard(command)
            if not status.ok:
                self._refused(status.text)
        self._list()

    def _log_in_by_steps(self, mechanism: bytes) -> None:
        """Challenge and response, a step a round trip; the two-step form is what every server takes."""
        self.stage = LoginStage.NAME
        window, self.dialogue.window = self.dialogue.window, 1  # nothing of this is sent ahead
        opening = pop3.secret(b"AUTH", mechanism, shown=f"AUTH {mechanism.decode()}", challenge=True)
        status, _ = self.whole(opening)
        for response in sasl.MECHANISMS[mechanism]:
            if not status.ok:
                break
            proof = sasl.respond(response, self._login, status.text)
            self.stage = LoginStage.PASSWORD
            status, _ = self.whole(pop3.secret(proof, shown="***", challenge=True))
        told = ""
        if status.challenge:  # OAuth tells what is wrong in a challenge, and wants an answer before its -ERR
            told = challenged(status.text)
            status, _ = self.whole(pop3.secret(sasl.LAST_WORDS.get(mechanism, b""), shown="(no more)"))
        if not status.ok:
            self._refused(status.text, told)
        self.dialogue.window = window

    def _refused(self, text: bytes, told: str = "") -> None:
        self.refusal = text
        if login.refusal(text) in login.NOT_NOW:
            raise AccountError(f"no login now: {visible(text)}")
        settings = "user and password" if self.account.auth == "auto" else "user, password and auth="
        if self.account.oauth:
            settings = f"user, and pf_oauth {self.account.oauth},"
        words = visible(text) + (f"; {told}" if told else "")
        raise LoginError(f"login refused ({words}): check {settings} in {self.account.place}")

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


def _is_near(address: str) -> bool:
    import ipaddress  # noqa: PLC0415 - only for logins in the clear

    try:
        place = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return place.is_loopback or place.is_private or place.is_link_local
