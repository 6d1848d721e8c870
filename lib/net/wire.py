"""The only socket, and the only TLS: connect, speak a dialogue, be silent no longer than agreed.

Every OSError and ssl.SSLError becomes a LostError here and nowhere else. Nothing is ever sent in the clear on a wire
that was asked to be encrypted. A wire may be cut from another thread; whoever waits on it hears LostError.
"""

import hashlib
import logging
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lib.errors import CertificateError, LostError, SilenceError, TlsError
from lib.net.dialogue import Dialogue, Piece
from lib.visible import visible

LOG = logging.getLogger("popfetch.wire")
P = TypeVar("P", bound=Piece)

# One recv; a window of small messages comes in a few of them.
CHUNK = 256 << 10
# An address that does not answer at all is given up sooner than a server that has answered before.
CONNECT_SECONDS = 30.0
# How long an address has to itself before the next one is tried beside it (RFC 8305 §5), and how often is looked
# whether anybody still wants the connection. Both in seconds.
STAGGER, LOOK = 0.25, 0.2
# A peer that lets octets drip: over this many of its allowed silences together a reply must bring so many octets.
DRIP_SILENCES = 5
DRIP_OCTETS = 8192
SHOWN = 200  # characters of a reply in the debug log


class Trust(NamedTuple):
    """How a server proves who it is: by the system's CAs and *authorities*, or by *pin* (SHA-256 of its DER) alone.

    Without *verify* any certificate will do: for a receiver on the loopback interface, whom nobody can impersonate.
    """

    name: str
    authorities: Path | None = None
    pin: bytes | None = None
    verify: bool = True


@lru_cache(maxsize=8)
def _context(authorities: Path | None, *, by_authority: bool) -> Any:
    import ssl  # noqa: PLC0415 - 15 ms that a pass without TLS need not spend

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not by_authority:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if authorities is not None:
        context.load_verify_locations(cafile=authorities)
    return context


class Address(NamedTuple):
    """Where a host may be reached; the fields are those of getaddrinfo."""

    family: int
    kind: int
    protocol: int
    place: Any


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return *addresses* with their families taking turns, each in its own order (RFC 8305 §4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    return [one for turn in zip_longest(*families.values()) for one in turn if one is not None]


def _addresses(host: str, port: int) -> list[Address]:
    # As octets, for a name that is text would have Python load its tables for IDNA first.
    name: Any = host.encode() if host.isascii() else host
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [Address(family, kind, protocol, place) for family, kind, protocol, _, place in found]


def _raced(addresses: Sequence[Address], patience: float, halted: Callable[[], bool]) -> socket.socket:
    """Return a connection to the address that answers first (RFC 8305 §5); OSError when none does.

    A further one is tried when the last one has failed or said nothing for STAGGER; *patience* is for the last.
    """
    with selectors.DefaultSelector() as running:
        try:
            return _first(deque(addresses), running, patience, halted)
        finally:
            for key in list(running.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr] # sockets all


def _first(
    waiting: deque[Address], running: selectors.BaseSelector, patience: float, halted: Callable[[], bool]
) -> socket.socket:
    lost = OSError("it has no address")
    following = end = time.monotonic()
    while waiting or running.get_map():
        now = time.monotonic()
        if halted():
            raise OSError("cut off")
        if waiting and (now >= following or not running.get_map()):
            following, end = now + STAGGER, now + patience
            lost = _begin(waiting.popleft(), running) or lost
        elif now >= end and not waiting:
            raise lost if lost.errno else TimeoutError
        won, failed = _answered(running, min(LOOK, max((following if waiting else end) - now, 0)))
        if won is not None:
            return won
        lost = failed or lost
    raise lost


def _begin(address: Address, running: selectors.BaseSelector) -> OSError | None:
    """Begin to connect; return why that cannot be."""
    try:
        attempt = socket.socket(address.family, address.kind, address.protocol)
    except OSError as error:
        return error
    try:
        attempt.setblocking(False)
        with suppress(BlockingIOError):
            attempt.connect(address.place)
    except OSError as error:
        attempt.close()
        return error
    running.register(attempt, selectors.EVENT_WRITE)
    return None


def _answered(running: selectors.BaseSelector, seconds: float) -> tuple[socket.socket | None, OSError | None]:
    """Wait so long for an answer; return the connection that stands, and why another one does not."""
    failed = None
    for key, _ in running.select(seconds) if running.get_map() else ():
        attempt: Any = key.fileobj
        running.unregister(attempt)
        if code := attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            attempt.close()
            failed = OSError(
                code, getattr(socket, "errorTab", {}).get(code) or os.strerror(code)
            )  # Windows has its own
        else:
            return attempt, failed
    return None, failed


class Wire:
    """A connection to one peer."""

    def __init__(self, connection: socket.socket, peer: str, silence: float) -> None:
        """Take over *connection*; *silence* is how many seconds the peer may say nothing."""
        self._socket = connection
        self._peer = peer
        self.silence = silence
        self.encrypted = False
        self.severed = False  # by cut()
        self.octets_in = 0
        self.octets_out = 0
        self._waited = 0.0
        self._dripped = 0
        self._open = True
        # Used again and again: recv(CHUNK) would make room for CHUNK and give most of it back every time, and of the
        # holes that leaves the memory of a pass doubles over a large message.
        self._landing = memoryview(bytearray(CHUNK))
        self._timeout = -1.0  # what the socket was told last

    @classmethod
    def connect(cls, host: str, port: int, silence: float, halted: Callable[[], bool] = bool) -> "Wire":
        """Open a TCP connection to whichever address of *host* answers first. LostError when none does.

        None is waited for longer than *silence* or CONNECT_SECONDS, nor once *halted* says that nobody wants it.
        """
        peer = f"{host}:{port}"
        try:
            connection = _raced(interleaved(_addresses(host, port)), min(silence, CONNECT_SECONDS), halted)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise _told(peer, error, "cannot connect: ") from error
        return cls(connection, peer, silence)

    @classmethod
    def connect_local(cls, path: str, silence: float) -> "Wire":
        """Open a unix-domain connection. LostError where there is none, or no such sockets."""
        family = getattr(socket, "AF_UNIX", None)
        if family is None:
            raise LostError(f"unix:{path}: this system has no unix-domain sockets")
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(silence)
            connection.connect(path)
        except OSError as error:
            connection.close()
            raise _told(f"unix:{path}", error, "cannot connect: ") from error
        return cls(connection, f"unix:{path}", silence)

    @property
    def address(self) -> str:
        """The peer's IP address, or "" on a unix-domain socket."""
        try:
            name = self._socket.getpeername()
        except OSError:
            return ""
        return str(name[0]) if isinstance(name, tuple) else ""

    def start_tls(self, trust: Trust) -> None:
        """Encrypt from here on; TlsError when the certificate does not prove what *trust* asks."""
        import ssl  # noqa: PLC0415 - see _context

        try:
            self._wait_as_agreed()
            context = _context(trust.authorities, by_authority=trust.verify and trust.pin is None)
            self._socket = context.wrap_socket(self._socket, server_hostname=trust.name)
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(f"{self._peer}: the certificate does not verify: {error.verify_message}") from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            hint = "; it seems not to speak TLS from the start" if "wrong version number" in reason else ""
            raise TlsError(f"{self._peer}: TLS failed: {reason}{hint}") from error
        except (OSError, ValueError) as error:
            raise TlsError(f"{self._peer}: TLS failed: {error}") from error
        if trust.pin is not None:
            self._check_pin(trust.pin)
        self.encrypted = True

    def _check_pin(self, pin: bytes) -> None:
        certificate = self._socket.getpeercert(binary_form=True)  # type: ignore[attr-defined] # an SSLSocket by now
        found = hashlib.sha256(certificate or b"").digest()
        if found != pin:
            raise CertificateError(f"{self._peer}: the certificate is not the pinned one but sha256:{found.hex()}")

    def send(self, octets: bytes) -> None:
        """Send all of *octets*, in no more than the allowed silence a call."""
        if not octets:
            return
        try:
            self._wait_as_agreed()
            self._socket.sendall(octets)
        except OSError as error:
            raise _told(self._peer, error) from error
        self.octets_out += len(octets)

    def step(self, dialogue: Dialogue[P]) -> Iterator[tuple[Any, P]]:
        """Send what may be sent, wait for something once, and yield the pieces that it brought.

        Raises LostError, SilenceError, PeerError. Nothing is waited for when nothing is owed.
        """
        self.send(dialogue.to_send())
        if not dialogue.owed:
            return
        octets, debug = self._receive(), LOG.isEnabledFor(logging.DEBUG)
        for command, piece in dialogue.receive(octets):
            if piece.last:
                self._waited, self._dripped = 0.0, 0  # short answers from afar are no drip
                if debug:  # a line a reply, however many pieces
                    # Made visible before it is cut: half a password would not be known as one.
                    LOG.debug("peer=%s command=%r reply=%s", self._peer, command.told, visible(repr(piece), SHOWN))
            yield command, piece

    def _receive(self) -> bytes:
        began = time.monotonic()
        try:
            self._wait_as_agreed()
            octets = bytes(self._landing[: self._socket.recv_into(self._landing)])
        except OSError as error:
            raise _told(self._peer, error) from error
        if not octets:
            raise LostError(f"{self._peer}: the server closed the connection")
        self.octets_in += len(octets)
        self._waited += time.monotonic() - began
        self._dripped += len(octets)
        if self._waited > DRIP_SILENCES * self.silence:
            if self._dripped < DRIP_OCTETS:
                raise SilenceError(f"{self._peer}: only {self._dripped} octets in {self._waited:.0f} s")
            self._waited, self._dripped = 0.0, 0
        return octets

    def _wait_as_agreed(self) -> None:
        if self._timeout != self.silence:
            self._timeout = self.silence
            self._socket.settimeout(self.silence)

    @property
    def stale(self) -> bool:
        """Say whether the peer has spoken or left while nothing was owed: an idle time-out, as a rule."""
        try:
            self._timeout = 0.0
            self._socket.settimeout(0)
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def cut(self) -> None:
        """End the connection under whoever uses it, from any thread; never raises."""
        self.severed = True
        with suppress(OSError):
            # The plain socket's shutdown: that of an SSLSocket would take the TLS state from under its reader.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close; never raises."""
        if self._open:
            self._open = False
            with suppress(OSError):
                self._socket.close()


def _told(peer: str, error: OSError, doing: str = "") -> LostError:
    """Return in our words what the operating system or OpenSSL raised."""
    if isinstance(error, TimeoutError):
        return SilenceError(f"{peer}: {doing}no answer in time")
    return LostError(f"{peer}: {doing}{error.strerror or error}")
