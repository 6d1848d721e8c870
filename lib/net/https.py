"""HTTPS, for tokens alone: one request, one answer. Verified, bounded in time and size; no redirect is followed.

Every OSError and every answer that is no HTTP becomes an UnreachableError here: whoever asks goes on with what he has.
"""

import http.client
import json
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from lib.errors import AccountError
from lib.visible import visible

SECONDS = 30.0  # for one request, all of it
MAX_ANSWER = 1 << 20  # octets
PIECE = 16 << 10


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


def get(url: str, authorities: Path | None, seconds: float = SECONDS) -> HttpReply:
    """Ask for *url*; UnreachableError."""
    return _ask("GET", url, b"", "", authorities, seconds)


def post(url: str, form: Mapping[str, str], authorities: Path | None, seconds: float = SECONDS) -> HttpReply:
    """Send *form* to *url*; UnreachableError."""
    return _ask(
        "POST",
        url,
        urlencode(form, errors="surrogateescape").encode(),
        "application/x-www-form-urlencoded",
        authorities,
        seconds,
    )


def post_json(url: str, said: Mapping[str, Any], authorities: Path | None, seconds: float = SECONDS) -> HttpReply:
    """Send *said* as JSON to *url*; UnreachableError."""
    return _ask("POST", url, json.dumps(said).encode(), "application/json", authorities, seconds)


def _ask(verb: str, url: str, body: bytes, kind: str, authorities: Path | None, seconds: float) -> HttpReply:  # noqa: PLR0913, PLR0917
    place = urlsplit(url)
    if place.scheme != "https" or not place.hostname:
        raise ServerUnavailableError(f"{visible(url)}: not an https:// address")
    headers = {"Accept": "application/json", "Connection": "close"} | ({"Content-Type": kind} if kind else {})
    deadline = time.monotonic() + seconds
    host = place.netloc.rpartition("@")[2]
    connection = http.client.HTTPSConnection(host, timeout=seconds, context=_context(authorities))
    try:
        connection.request(verb, place.path + (f"?{place.query}" if place.query else ""), body or None, headers)
        answer = connection.getresponse()
        octets = _body(answer, connection, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServerUnavailableError(f"{host}: {_told(error)}") from error
    finally:
        connection.close()
    return HttpReply(answer.status, _object(octets))


def _body(answer: http.client.HTTPResponse, connection: http.client.HTTPSConnection, deadline: float) -> bytes:
    octets = b""
    while piece := answer.read1(PIECE):
        octets += piece
        left = deadline - time.monotonic()
        if len(octets) > MAX_ANSWER or left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
    return octets


def _object(octets: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(error: Exception) -> str:
    import ssl  # noqa: PLC0415 - loaded by then

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not verify: {error.verify_message} (see pf_tls_ca)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return str(error.strerror or error)
    return f"no HTTP ({type(error).__name__})"


@lru_cache(maxsize=4)
def _context(authorities: Path | None) -> Any:
    import ssl  # noqa: PLC0415 - only who has tokens pays for it

    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(cafile=authorities)
    return context
