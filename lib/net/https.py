"""HTTPS, for tokens alone: one request, one answer. Verified, bounded in time and size; no redirect is followed.

It goes over a Wire, so a signal or a limit ends its waits like all others. Everything that is no answer becomes a
ServerUnavailableError here: whoever asks goes on with what he has. StoppedError when *stop* says so.
"""

import http.client
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from lib.errors import (
    AccountError,
    CertificateError,
    ConnectionLostError,
    PeerTimeoutError,
    ProtocolError,
    StoppedError,
)
from lib.halt import GRACE_WHEN_KILLED, Stop, never
from lib.net.dialogue import Command, Dialogue
from lib.net.wire import Trust, Wire
from lib.visible import visible

SECONDS = 30.0  # for one request, all of it
MAX_ANSWER = 1 << 20  # octets
PORT = 443


class Asking(NamedTuple):
    """How requests are sent: further CAs, what ends their waits, and how many seconds one may take."""

    authorities: Path | None = None
    stop: Stop = never
    seconds: float = SECONDS


class ServerUnavailableError(AccountError):
    """No answer came, or one that says that the server is out of order: nothing is known, and nothing has changed."""


class HttpReply(NamedTuple):
    """What a server said: its status, and the members of the JSON object that it sent, none for anything else."""

    status: int
    said: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return the member *name* if it is text, else ""."""
        value = self.said.get(name, "")
        return value if isinstance(value, str) else ""

    def number(self, name: str, default: int) -> int:
        """Return the member *name* if it is a number, or text that is one, else *default*."""
        value = self.said.get(name, default)
        text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
        whole = text.partition(".")[0]
        return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 16 else default


def get(url: str, how: Asking) -> HttpReply:
    """Ask for *url*; ServerUnavailableError, StoppedError."""
    return _ask("GET", url, b"", "", how)


def post(url: str, form: Mapping[str, str], how: Asking) -> HttpReply:
    """Send *form* to *url*; ServerUnavailableError, StoppedError."""
    body = urlencode(form, errors="surrogateescape").encode()
    return _ask("POST", url, body, "application/x-www-form-urlencoded", how)


def post_json(url: str, said: Mapping[str, Any], how: Asking) -> HttpReply:
    """Send *said* as JSON to *url*; ServerUnavailableError, StoppedError."""
    return _ask("POST", url, json.dumps(said).encode(), "application/json", how)


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    octets: bytes
    last: bool = True

    def __repr__(self) -> str:
        """Keep tokens out of the log."""
        return f"HTTP {self.status}, {len(self.octets)} octets"


class HttpFramer:
    """Cuts one answer to one request; what tells its end by closing the connection is told so by closed()."""

    def __init__(self) -> None:
        self._octets = b""
        self.empty = True
        """Say whether every byte was used: an answer takes all, for nothing is asked behind it."""

    def feed(self, octets: bytes) -> None:
        """Take what the connection brought. ProtocolError for an answer without end."""
        self._octets += octets
        if len(self._octets) > MAX_ANSWER:
            raise ProtocolError(f"an answer of more than {MAX_ANSWER} octets")

    def piece(self, _command: Command) -> Answer | None:
        """Return the answer once it is whole. ProtocolError for what is no HTTP."""
        return self._parsed(whole=False)

    def closed(self) -> Answer | None:
        """Return the answer if it was whole when the connection was closed."""
        return self._parsed(whole=True)

    def _parsed(self, *, whole: bool) -> Answer | None:
        if b"\r\n\r\n" not in self._octets and b"\n\n" not in self._octets:
            return None
        answer = http.client.HTTPResponse(_Heard(self._octets))  # type: ignore[arg-type] # wants makefile() alone
        try:
            answer.begin()
            if not (whole or answer.chunked or answer.length is not None):
                return None
            return Answer(answer.status, answer.read())
        except http.client.IncompleteRead:
            return None
        except (http.client.HTTPException, ValueError) as error:
            raise ProtocolError(f"no HTTP ({type(error).__name__})") from None


class _Heard:
    """What HTTPResponse reads from in place of a socket."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, _mode: str) -> io.BytesIO:
        """Return what was heard so far."""
        return io.BytesIO(self._octets)


def _ask(verb: str, url: str, body: bytes, kind: str, how: Asking) -> HttpReply:
    place = urlsplit(url)
    try:
        host, port = place.hostname or "", place.port or PORT
    except ValueError:
        host, port = "", PORT
    if place.scheme != "https" or not host:
        raise ServerUnavailableError(f"{visible(url)}: not an https:// address")
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    head = [f"{verb} {path} HTTP/1.1", f"Host: {place.netloc.rpartition('@')[2]}", "Accept: application/json"]
    head += ["User-Agent: POPFetch", "Connection: close"]
    head += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if kind else []
    request = "\r\n".join(head)
    if not request.isascii() or " " in path or not request.replace("\r\n", "").isprintable():
        raise ServerUnavailableError(f"{visible(url)}: not an https:// address")
    until = time.monotonic() + how.seconds
    try:
        answer = _answered(host, port, request.encode() + b"\r\n\r\n" + body, until, how)
    except StoppedError:
        if how.stop():
            raise
        raise ServerUnavailableError(f"{host}:{port}: no answer in time") from None
    except (ConnectionLostError, ProtocolError) as error:
        hint = " (see pf_tls_ca)" if isinstance(error, CertificateError) else ""
        raise ServerUnavailableError(f"{error}{hint}") from error
    return HttpReply(answer.status, _object(answer.octets))


class _Patience:
    """Ends a wait for an answer: when the time is over, or a while after *stop*.

    A refresh token that was sent may be the last use of it: what comes in its place is worth a moment.
    """

    def __init__(self, until: float, stop: Stop) -> None:
        self._until = until
        self._stop = stop

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._stop():
            self._until = min(self._until, now + GRACE_WHEN_KILLED)
            self._stop = never
        return now >= self._until


def _answered(host: str, port: int, request: bytes, until: float, how: Asking) -> Answer:
    wire = Wire.connect(host, port, how.seconds, lambda: how.stop() or time.monotonic() >= until)
    try:
        wire.start_tls(Trust(host, how.authorities))
        wire.stop = _Patience(until, how.stop)
        framer = HttpFramer()
        dialogue = Dialogue(framer)
        dialogue.ask(Command(request, "(a request for a token)"))
        while (answer := _heard(wire, dialogue, framer)) is None:
            pass
        return answer
    finally:
        wire.close()


def _heard(wire: Wire, dialogue: Dialogue[Answer], framer: HttpFramer) -> Answer | None:
    """Return the answer if it is there after one more wait."""
    try:
        return next((answer for _, answer in wire.step(dialogue)), None)
    except PeerTimeoutError:
        raise
    except ConnectionLostError:
        answer = framer.closed()
        if answer is None:
            raise
        return answer


def _object(octets: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
