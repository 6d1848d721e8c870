"""An open SMTP or LMTP connection: greeted, encrypted and logged in as the settings ask.

Whatever goes wrong while it is opened is the receiver's: a ReceiverError that names the setting to look at.
"""

import re
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lib.auth import sasl
from lib.config import helo, password
from lib.config.settings import HostPort, Settings, Tls, UnixPath
from lib.errors import (
    BusyError,
    ConnectionLostError,
    PeerTimeoutError,
    ProtocolError,
    ReceiverError,
    StoppedError,
    TlsError,
)
from lib.halt import Deadline, Halt, Stop, never
from lib.net.dialogue import Command, Dialogue
from lib.net.wire import Trust, Wire
from lib.smtp import smtp, verdict
from lib.smtp.login import LoginAttempt, mechanisms
from lib.smtp.smtp import Features, Reply
from lib.smtp.verdict import Phase, Then
from lib.visible import visible

# Longest silence outside of the wait for a verdict, seconds; RFC 5321 §4.5.3.2 says five minutes, to a far server.
SILENCE = 60.0
# Commands sent ahead: an envelope of 100 recipients, and the next one.
GROUP = 512
# Where to look when the receiver refuses us before there is any mail.
HINTS = {
    Phase.GREETING: ": see pf_smtp_server",
    Phase.HELLO: ": see pf_smtp_protocol and pf_helo_name",
    Phase.TLS: ": see pf_smtp_tls",
    Phase.AUTH: ": see pf_smtp_user and pf_smtp_password",
}
LOOPBACK = re.compile(r"127\.|::1$|$")


class Receiver(NamedTuple):
    """How to reach the receiver: pf_smtp_*; *patience* is how many seconds a verdict may take."""

    place: HostPort | UnixPath
    lmtp: bool
    tls: Tls
    authorities: Path | None
    login: sasl.Login | None
    patience: float
    helo: str = ""  # "" for the address of our end
    spare: bytes = b""  # the sender to be tried when neither a message's own nor the null one is taken

    def __str__(self) -> str:
        """Name the receiver as pf_smtp_server does."""
        return str(self.place)


def receiver(settings: Settings, stop: Stop = never) -> Receiver:
    """Return how to reach the receiver. SettingsError when its password is not to be had, StoppedError."""
    login = None
    if settings.pf_smtp_user is not None and settings.pf_smtp_password is not None:
        word = password.octets(password.reveal(settings.pf_smtp_password, stop))
        login = sasl.Login(settings.pf_smtp_user.encode(), word, b"", 0)
    lmtp = settings.pf_smtp_protocol == "lmtp"
    server, patience = settings.pf_smtp_server, float(settings.pf_smtp_timeout)
    name = settings.pf_helo_name or helo.full_name()
    spare = settings.pf_dflt_address or helo.address(settings)
    tls, authorities = settings.pf_smtp_tls, settings.pf_tls_ca
    return Receiver(server, lmtp, tls, authorities, login, patience, name, spare.encode())


class Session:
    """One connection; asks and hears, and knows nothing of messages."""

    def __init__(self, receiver: Receiver, halt: Halt | None = None) -> None:
        """Remember; open() connects. *halt* ends its waits, but for a verdict not at once."""
        self.way = receiver
        self._halt = halt or Halt()
        self.features = Features({})
        self.dialogue: Dialogue[Reply] = Dialogue(smtp.SmtpFramer())
        self.wire: Wire | None = None
        self.broken: ProtocolError | None = None  # by words that nobody asked for, or that are none
        self.begun = self.taken = self.refusals = 0  # transactions, messages and refused commands of this connection
        self.just_taken = False  # the message before this one
        self.unreset = False  # the receiver may still hold a transaction
        self._heard: deque[tuple[Command, Reply]] = deque()
        self._greeting = False  # it was heard

    @property
    def connected(self) -> bool:
        """Say whether there is a connection."""
        return self.wire is not None

    @property
    def spoilt(self) -> bool:
        """Say whether the receiver has spoken or left while nothing was owed."""
        return self.broken is not None or self.wire is None or self.wire.stale

    @property
    def pipelining(self) -> bool:
        """Say whether commands may be sent ahead of their replies (RFC 2920)."""
        return b"PIPELINING" in self.features

    def open(self) -> None:
        """Connect, greet, encrypt, log in; ReceiverError when any of it fails, StoppedError.

        BusyError when it takes no connection now.
        """
        self._greeting = False
        try:
            self._open()
        except (ConnectionLostError, ProtocolError, TlsError) as error:
            self.close()
            told = f"the receiver does not take mail: {error}: see pf_smtp_server and pf_smtp_tls"
            left = type(error) is ConnectionLostError and not self._greeting
            raise (BusyError if left else ReceiverError)(told) from error
        except (ReceiverError, StoppedError):
            self.close()
            raise

    def reopen(self) -> None:
        """Open one behind another that worked, like open(); a receiver that is busy is given a moment or two."""
        for pause in verdict.PAUSES:
            try:
                self.open()
            except BusyError:
                Deadline.after(pause, self._halt.begun).sleep()
            else:
                return
        self.open()

    def _open(self) -> None:
        place = self.way.place
        if isinstance(place, UnixPath):
            self.wire = Wire.connect_local(str(place.path), SILENCE, self._halt.begun)
        else:
            self.wire = Wire.connect(place.host, place.port, SILENCE, self._halt.begun)
        self.wire.whole = True
        self._heard.clear()
        self.broken, self.unreset, self.just_taken = None, False, False
        self.begun = self.taken = self.refusals = 0
        if self.way.tls is Tls.IMPLICIT:
            self.wire.start_tls(self._trust())
        self.dialogue = Dialogue(smtp.SmtpFramer())
        self._greeted()
        self._greeting = True
        self._hello()
        if self.way.tls is Tls.STARTTLS:
            self._start_tls()
        if self.way.login is not None:
            self._log_in(self.way.login)
        self.dialogue.window = GROUP if self.pipelining else 1
        self.wire.stop = self._halt.overdue

    def _greeted(self) -> None:
        try:
            self._must(Phase.GREETING, smtp.GREETING)
        except PeerTimeoutError as error:
            hint = "" if self.way.tls is Tls.IMPLICIT else "; does this port want pf_smtp_tls implicit?"
            raise PeerTimeoutError(f"{error} (no greeting{hint})") from error

    def _trust(self) -> Trust:
        place = self.way.place
        address = self.wire.address if self.wire else ""
        name = place.host if isinstance(place, HostPort) else "localhost"
        return Trust(name, self.way.authorities, verify=not LOOPBACK.match(address))

    def _hello(self) -> None:
        assert self.wire is not None  # noqa: S101 - it has just answered
        name = own_name(self.way.helo, self.wire)
        reply = self.ask(smtp.hello(b"LHLO" if self.way.lmtp else b"EHLO", name))
        if verdict.knows_no_ehlo(reply.code) and not self.way.lmtp:
            reply = self._must(Phase.HELLO, smtp.hello(b"HELO", name))
            self.features = Features({})
            return
        self._check(Phase.HELLO, reply)
        self.features = smtp.features(reply)

    def _start_tls(self) -> None:
        if b"STARTTLS" not in self.features:
            raise ReceiverError(f"{self.way} offers no STARTTLS: see pf_smtp_tls")
        self._must(Phase.TLS, smtp.STARTTLS)
        assert self.wire is not None  # noqa: S101 - it has just answered
        self.wire.start_tls(self._trust())
        self._hello()

    def _log_in(self, login: sasl.Login) -> None:
        assert self.wire is not None  # noqa: S101 - it has just answered
        encrypted, local = self.wire.encrypted, bool(LOOPBACK.match(self.wire.address))
        names = mechanisms(self.features.mechanisms, encrypted=encrypted, local=local)
        if not names:
            raise ReceiverError(f"{self.way} offers no login that we know: see pf_smtp_user and pf_smtp_tls")
        reply = self._try(LoginAttempt(names[0], login))
        for name in names[1:]:
            if verdict.refuses_this_login(reply.code):
                reply = self._try(LoginAttempt(name, login))
        self._check(Phase.AUTH, reply)
        if verdict.asks_on(reply.code):
            raise ReceiverError(f"{self.way} does not end the login: see pf_smtp_user")

    def _try(self, login: LoginAttempt) -> Reply:
        """Log in by one mechanism; return the last reply."""
        reply = self.ask(login.opening())
        while reply.code == smtp.CHALLENGE:
            reply = self.ask(login.answer(reply.lines[0]))
        if verdict.fine(Phase.AUTH, reply.code) and not (verdict.asks_on(reply.code) or login.proved):
            raise ReceiverError(f"{self.way} does not prove that it knows the password: see pf_smtp_user")
        return reply

    def _must(self, phase: Phase, command: Command) -> Reply:
        return self._check(phase, self.ask(command))

    def _check(self, phase: Phase, reply: Reply) -> Reply:
        if verdict.judge(phase, reply.code, reply.text) is not Then.GO:
            kind = BusyError if phase is Phase.GREETING and verdict.busy(reply.code) else ReceiverError
            raise kind(f"{self.way} takes no mail now ({phase.name}: {visible(reply.text)}){HINTS[phase]}")
        return reply

    def ask(self, command: Command) -> Reply:
        """Ask one command and return its reply; nothing else may be owed, and nothing may follow it."""
        self.dialogue.ask(command)
        reply = self.hear()[1]
        self.must_be_in_step()
        return reply

    def hear(self) -> tuple[Command, Reply]:
        """Return the next reply and what it answers, in order; ConnectionLostError, PeerTimeoutError, ProtocolError.

        What was said before the receiver broke the protocol counts: it may be the 250 for a message.
        """
        if self.wire is None:
            raise ConnectionLostError(f"{self.way}: not connected")
        while not self._heard:
            self.must_be_in_step()
            try:
                self._heard.extend(self.wire.step(self.dialogue))
            except ProtocolError as error:
                self.broken = error
        command, reply = self._heard.popleft()
        self.refusals += verdict.refused(reply.code)
        return command, reply

    def must_be_in_step(self) -> None:
        """Raise ProtocolError if the receiver has said what nobody asked for."""
        if self.broken is not None:
            raise self.broken

    def send(self, octets: bytes) -> None:
        """Send content. ConnectionLostError, StoppedError."""
        if self.wire is None:
            raise ConnectionLostError(f"{self.way}: not connected")
        self.wire.send(octets)

    def be_patient(self, seconds: float) -> None:
        """Wait so long for whatever is owed next."""
        if self.wire is not None:
            self.wire.read_timeout = seconds

    def await_verdict(self, yes: bool) -> None:
        """Be as patient as the wait for a verdict asks, for a copy more may hang on it; or no longer."""
        if self.wire is not None:
            self.wire.read_timeout = self.way.patience if yes else SILENCE
            self.wire.stop = self._halt.deaf if yes else self._halt.overdue

    def close(self) -> None:
        """Close; a QUIT is sent if nothing is owed, its answer not waited for. Never raises."""
        if self.wire is not None and self.dialogue.idle and self.broken is None:
            with suppress(ConnectionLostError, StoppedError):
                self.wire.send(smtp.QUIT.line)
        self.abandon()

    def abandon(self) -> None:
        """Close without a word: what the receiver would take it for is not known. Never raises."""
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close()


def own_name(name: str, wire: Wire) -> bytes:
    """Return what EHLO says: *name*, or where there is none the address of our end (RFC 5321 §4.1.3)."""
    address = wire.own_address
    literal = f"[{'IPv6:' if ':' in address else ''}{address}]" if address else helo.LITERAL
    return (name or literal).encode()
