"""The only socket, and the only TLS: connect, speak a dialogue, be silent no longer than agreed.

Every OSError and ssl.SSLError becomes a ConnectionLostError here and nowhere else. Nothing is ever sent in the clear
on a wire that was asked to be encrypted. No socket blocks: every wait, for a name, a connection, a handshake, for
octets either way, is one of lib.halt's, which ends in a StoppedError as soon as `stop` says so.
"""

import hashlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lib.errors import CertificateError, ConnectionLostError, PeerTimeoutError, StoppedError, TlsError
from lib.halt import Deadline, Stop, never
from lib.net.dialogue import Dialogue, Piece
from lib.net.sockets import addresses, interleaved, local, raced, when_ready
from lib.visible import visible

LOG = logging.getLogger("popfetch.wire")
P = TypeVar("P", bound=Piece)
T = TypeVar("T")

# One recv; a window of small messages comes in a few of them.
CHUNK = 256 << 10
# An address that does not answer at all is given up sooner than a server that has answered before.
CONNECT_SECONDS = 30.0
# A peer that lets octets drip: over this many of its allowed silences together a reply must bring so many octets.
DRIP_SILENCES = 5
DRIP_OCTETS = 8192
SHOWN = 200  # characters of a reply in the debug log


Identity = tuple[Path, Path | None]


class Trust(NamedTuple):
    """How a server proves who it is: by the system's CAs and *authorities*, or by *pins* (SHA-256 of its DER) alone.

    *identity* is how we do, where a server asks: the file of a certificate, and of its key or none.

    Without *verify* any certificate will do: for a receiver on the loopback interface, whom nobody can impersonate.
    """

    name: str
    authorities: Path | None = None
    pins: tuple[bytes, ...] = ()
    verify: bool = True
    identity: Identity | None = None


@lru_cache(maxsize=8)
def context(authorities: Path | None, identity: Identity | None, *, by_authority: bool) -> Any:
    """Return a TLS context. OSError (ssl.SSLError is one) and ValueError for files that are none, or cannot be read."""
    import ssl  # noqa: PLC0415 - 15 ms that a pass without TLS need not spend

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if identity is not None:
        made.load_cert_chain(*identity, password=_no_passphrase)
    if not by_authority:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    made.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if authorities is not None:
        made.load_verify_locations(cafile=authorities)
    return made


def _no_passphrase() -> str:
    """Answer for a key with a passphrase: OpenSSL would ask the terminal."""
    return ""


class Wire:
    """A connection to one peer.

    *silence* is for how many seconds the peer may say nothing; with *whole*, in how many a reply must be there that is
    waited for, however its octets drip. *stop* ends every wait.
    """

    def __init__(self, connection: socket.socket, peer: str, read_timeout: float, stop: Stop = never) -> None:
        """Take over *connection*."""
        connection.setblocking(False)
        self._socket = connection
        self._peer = peer
        self.read_timeout = read_timeout
        self.whole = False
        self.stop = stop
        self.encrypted = False
        self.octets_in = 0
        self.octets_out = 0
        self._waited = 0.0
        self._dripped = 0
        self._open = True
        # Used again and again: recv(CHUNK) would make room for CHUNK and give most of it back every time, and of the
        # holes that leaves the memory of a pass doubles over a large message.
        self._landing = memoryview(bytearray(CHUNK))

    @classmethod
    def connect(cls, host: str, port: int, read_timeout: float, stop: Stop = never) -> "Wire":
        """Open a TCP connection to whichever address of *host* answers first.

        ConnectionLostError when none does, StoppedError.

        None is waited for longer than *silence* or CONNECT_SECONDS.
        """
        peer = f"{host}:{port}"
        try:
            found = interleaved(addresses(host, port, Deadline.after(read_timeout, stop)))
            connection = raced(found, min(read_timeout, CONNECT_SECONDS), stop)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise _told(peer, error, "cannot connect: ") from error
        return cls(connection, peer, read_timeout, stop)

    @classmethod
    def connect_local(cls, path: str, read_timeout: float, stop: Stop = never) -> "Wire":
        """Open a unix-domain connection. ConnectionLostError where there is none, or no such sockets; StoppedError."""
        if not hasattr(socket, "AF_UNIX"):
            raise ConnectionLostError(f"unix:{path}: this system has no unix-domain sockets")
        try:
            return cls(local(path, Deadline.after(read_timeout, stop)), f"unix:{path}", read_timeout, stop)
        except OSError as error:
            raise _told(f"unix:{path}", error, "cannot connect: ") from error

    @property
    def address(self) -> str:
        """The peer's IP address, or "" on a unix-domain socket."""
        return self._address(socket.socket.getpeername)

    @property
    def own_address(self) -> str:
        """The IP address of our end, or ""."""
        return self._address(socket.socket.getsockname)

    def _address(self, end: Callable[[socket.socket], Any]) -> str:
        try:
            name = end(self._socket)
        except OSError:
            return ""
        return str(name[0]).partition("%")[0] if isinstance(name, tuple) else ""

    def start_tls(self, trust: Trust) -> None:
        """Encrypt from here on; TlsError when the certificate does not prove what *trust* asks. StoppedError."""
        import ssl  # noqa: PLC0415 - see context

        try:
            by_authority = trust.verify and not trust.pins
            agreed = context(trust.authorities, trust.identity, by_authority=by_authority)
            encrypted = self._socket = agreed.wrap_socket(
                self._socket, server_hostname=trust.name, do_handshake_on_connect=False
            )
            self._when_ready(encrypted.do_handshake, Deadline.after(self.read_timeout, self.stop))
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(f"{self._peer}: the certificate does not verify: {error.verify_message}") from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            hint = "; it seems not to speak TLS from the start" if "wrong version number" in reason else ""
            raise TlsError(f"{self._peer}: TLS failed: {reason}{hint}") from error
        except (OSError, ValueError) as error:
            raise TlsError(f"{self._peer}: TLS failed: {error}") from error
        if trust.pins:
            self._check_pins(trust.pins)
        self.encrypted = True

    def _check_pins(self, pins: tuple[bytes, ...]) -> None:
        certificate = self._socket.getpeercert(binary_form=True)  # type: ignore[attr-defined] # an SSLSocket by now
        found = hashlib.sha256(certificate or b"").digest()
        if found not in pins:
            one = "the pinned one" if len(pins) == 1 else f"one of the {len(pins)} pinned ones"
            raise CertificateError(f"{self._peer}: the certificate is not {one} but sha256:{found.hex()}")

    def send(self, octets: bytes) -> None:
        """Send all of *octets*, in no more than the allowed silence a call. ConnectionLostError, StoppedError."""
        if not octets:
            return
        self._go_on()
        left, deadline = memoryview(octets), Deadline.after(self.read_timeout, self.stop)
        try:
            while left:
                left = left[self._when_ready(partial(self._socket.send, left), deadline, writes=True) :]
        except OSError as error:
            raise _told(self._peer, error) from error
        self.octets_out += len(octets)

    def step(self, dialogue: Dialogue[P]) -> Iterator[tuple[Any, P]]:
        """Send what may be sent, wait for something once, and yield the pieces that it brought.

        Nothing is waited for when nothing is owed. ConnectionLostError, PeerTimeoutError, ProtocolError, StoppedError.
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
        self._go_on()
        began = time.monotonic()
        patience = max(self.read_timeout - self._waited, 0.0) if self.whole else self.read_timeout
        try:
            took = self._when_ready(lambda: self._socket.recv_into(self._landing), Deadline.after(patience, self.stop))
        except OSError as error:
            raise _told(self._peer, error) from error
        if not took:
            raise ConnectionLostError(f"{self._peer}: the server closed the connection")
        self.octets_in += took
        self._waited += time.monotonic() - began
        self._dripped += took
        self._look_for_a_drip()
        return bytes(self._landing[:took])

    def _look_for_a_drip(self) -> None:
        if self.whole and self._waited >= self.read_timeout:
            raise PeerTimeoutError(f"{self._peer}: no whole answer within {self.read_timeout:.0f} s")
        if self._waited > DRIP_SILENCES * self.read_timeout:
            if self._dripped < DRIP_OCTETS:
                raise PeerTimeoutError(f"{self._peer}: only {self._dripped} octets in {self._waited:.0f} s")
            self._waited, self._dripped = 0.0, 0

    def _go_on(self) -> None:
        if self.stop():  # a peer that always has something to say is never waited for
            raise StoppedError(f"{self._peer}: stopped")

    def _when_ready(self, act: Callable[[], T], deadline: Deadline, *, writes: bool = False) -> T:
        return when_ready(self._socket, act, deadline, writes=writes)

    @property
    def stale(self) -> bool:
        """Say whether the peer has spoken or left while nothing was owed: an idle time-out, as a rule."""
        try:
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close; never raises."""
        if self._open:
            self._open = False
            with suppress(OSError):
                self._socket.close()


def _told(peer: str, error: OSError, doing: str = "") -> ConnectionLostError:
    """Return in our words what the operating system or OpenSSL raised."""
    if isinstance(error, TimeoutError):
        return PeerTimeoutError(f"{peer}: {doing}no answer in time")
    return ConnectionLostError(f"{peer}: {doing}{error.strerror or error}")
