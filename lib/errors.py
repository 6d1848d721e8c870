"""Everything that can go wrong, by scope, and what the process says of it when it ends.

An exception carries the exit code of its scope and one line that a user can act on. Nothing here prints or logs.
"""

from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import ClassVar


class Exit(IntEnum):
    """Exit codes: 0 to 78 as in sysexits.h, 79 of our own. Their order here is their gravity, gravest first."""

    SAFETY_NET = 79
    SETTINGS = 78
    BUG = 70
    STORAGE = 74
    NO_LINE = 69
    DEFERRED = 75
    LOGIN = 77
    ACCOUNT = 76
    DUDS = 65
    USAGE = 64
    OK = 0


GRAVITY = tuple(Exit)


def gravest(exits: Iterable[Exit]) -> Exit:
    """Return the gravest of *exits*; OK when there are none."""
    return min(exits, key=GRAVITY.index, default=Exit.OK)


class PopfetchError(Exception):
    """One line for the user, and the exit code of the scope that failed."""

    exit: ClassVar[Exit] = Exit.BUG


class SettingsError(PopfetchError):
    """dmail.conf, or what it names, is not usable; *problems* holds all that was found, each with its place."""

    exit = Exit.SETTINGS

    def __init__(self, *problems: str) -> None:
        """Keep every problem; the message is all of them, a line each."""
        super().__init__("\n".join(problems))
        self.problems = problems
        self.work_path: Path | None = None  # as far as dmail.conf could be read


class UsageError(PopfetchError):
    """The command line makes no sense."""

    exit = Exit.USAGE


class SafetyNetError(PopfetchError):
    """Too many duds in a row, or a state that cannot be trusted: nothing is touched until --reset."""

    exit = Exit.SAFETY_NET


class StorageError(PopfetchError):
    """Spool, journal, duds.dat or state cannot be read, written, or trusted."""

    exit = Exit.STORAGE


class AnotherPassError(PopfetchError):
    """The lock is held: another pass runs."""

    exit = Exit.DEFERRED


class NoLineError(PopfetchError):
    """The line could not be brought up."""

    exit = Exit.NO_LINE


class ReceiverError(PopfetchError):
    """The SMTP or LMTP server takes nothing now; no message is to blame."""

    exit = Exit.DEFERRED


class BusyError(ReceiverError):
    """It takes no connection at the moment; in another one it may."""


class ThreadError(PopfetchError):
    """The system gives no further thread to deliver or to fetch with."""

    exit = Exit.DEFERRED


class AccountError(PopfetchError):
    """One account could not be drained."""

    exit = Exit.ACCOUNT


class TurnedAwayError(AccountError):
    """The server did not let us in, but may when fewer sessions are open."""


class UnreachableError(TurnedAwayError):
    """No connection to the server came about."""


class LoginError(AccountError):
    """The POP server refused the login."""

    exit = Exit.LOGIN


class StoppedError(PopfetchError):
    """A wait ended before its time: by a signal, a limit, or somebody's trouble; that is told elsewhere.

    Nobody is to blame for it, neither peer nor message: so it is no ConnectionLostError.
    """

    exit = Exit.ACCOUNT


class ProtocolError(PopfetchError):
    """The peer broke the protocol: nothing that it says after this can be believed."""

    exit = Exit.ACCOUNT


class EndlessError(ProtocolError):
    """A reply is longer than it may be."""


class OutOfStepError(ProtocolError):
    """A reply cannot be the one to the command that it came for."""


class ConnectionLostError(PopfetchError, ConnectionError):
    """The connection is gone, or was never there."""

    exit = Exit.ACCOUNT


class PeerTimeoutError(ConnectionLostError, TimeoutError):
    """The peer said nothing for longer than it may."""


class TlsError(ConnectionLostError):
    """TLS was refused or failed."""


class CertificateError(TlsError):
    """The certificate does not prove who the peer is."""
