"""An OAuth 2 provider for tests: discovery, registration, device code, browser with PKCE, refresh with rotation,
client credentials, introspection. Over TLS; introspection in the clear too, for a Dovecot beside it.
"""

import hashlib
import json
import secrets
import socket
import struct
import time
from base64 import urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.pki import Pki

LINGER = struct.pack("ii", 1, 0)
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Code(NamedTuple):
    """An authorization code: whose redirect and challenge it belongs to."""

    redirect: str
    challenge: str


class Granting:
    """What it gave and what still works; *user* is who approves everything. *trouble* comes first, one a request.

    A refresh token works until the one that took its place is used, as with real providers.
    """

    def __init__(self, user: str = "") -> None:
        self.user = user
        self.life = 3600
        self.now: Callable[[], float] = time.time
        self.trouble: deque[str] = deque()  # of /token: an OAuth error, "503", "lost" (done, and no answer)
        self.asked: Counter[str] = Counter()  # by grant type or path
        self.access: dict[str, float] = {}
        self.refresh: set[str] = set()
        self.clients = {"popfetch": "the-secret-of-it"}
        self.port = self.plain = 0
        self._codes: dict[str, Code] = {}
        self._lock = Lock()

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.port}"

    def revoke(self) -> None:
        """Let nothing work any more."""
        self.access.clear()
        self.refresh.clear()

    def metadata(self) -> dict[str, Any]:
        names = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "device_authorization_endpoint": "device",
            "registration_endpoint": "register",
        }
        return {"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in names.items()}}

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where a browser is sent to, whose person says yes at once."""
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(9)
        self._codes[code] = Code(asked["redirect_uri"], asked["code_challenge"])
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        grant = form["grant_type"].rpartition(":")[2]
        with self._lock:
            self.asked[grant] += 1
            trouble = self.trouble.popleft() if self.trouble else ""
            if trouble == "503":
                return 503, {}
            if trouble and trouble != "lost":
                return 400, {"error": trouble}
            status, said = getattr(self, f"_{grant}")(form)
            return (0 if trouble else status), said

    def introspect(self, form: dict[str, str]) -> dict[str, Any]:
        self.asked["introspect"] += 1
        if self.access.get(form.get("token", ""), 0) <= self.now():
            return {"active": False}
        return {"active": True, "username": self.user}

    def _granted(self, *, renewable: bool) -> tuple[int, dict[str, Any]]:
        access = secrets.token_urlsafe(24)
        self.access[access] = self.now() + self.life
        said: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.life}
        if renewable:
            said["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh.add(said["refresh_token"])
        return 200, said

    def _device_code(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return self._granted(renewable=True) if form["device_code"] == "dev-1" else (400, {"error": "expired_token"})

    def _authorization_code(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        code = self._codes.pop(form["code"], None)
        proof = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if code is None or code != (form["redirect_uri"], proof):
            return 400, {"error": "invalid_grant"}
        return self._granted(renewable=True)

    def _refresh_token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form["refresh_token"] not in self.refresh:
            return 400, {"error": "invalid_grant", "error_description": "revoked"}
        self.refresh = {form["refresh_token"]}
        return self._granted(renewable=True)

    def _client_credentials(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.clients.get(form["client_id"]) != form.get("client_secret"):
            return 401, {"error": "invalid_client"}
        return self._granted(renewable=False)


class _Handler(BaseHTTPRequestHandler):
    granting: Granting

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path == "/.well-known/oauth-authorization-server":
            self._say(200, self.granting.metadata())
        elif place.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.granting.authorize(dict(parse_qsl(place.query))))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._say(404, {})

    def do_POST(self) -> None:
        octets = self.rfile.read(int(self.headers["Content-Length"]))
        form = dict(parse_qsl(octets.decode())) if self.headers["Content-Type"] == FORM else json.loads(octets)
        if self.path == "/token":
            self._say(*self.granting.token(form))
        elif self.path == "/introspect":
            self._say(200, self.granting.introspect(form))
        elif self.path == "/device":
            self._say(200, {"device_code": "dev-1", "user_code": "WXYZ", "verification_uri": "https://x.org/device"})
        elif self.path == "/register":
            self._say(201, {"client_id": "registered"})
        else:
            self._say(404, {})

    def _say(self, status: int, said: dict[str, Any]) -> None:
        if not status:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            self.connection.close()
            return
        octets = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)


@contextmanager
def granting(pki: Pki, user: str = "") -> Iterator[Granting]:
    """Run a provider."""
    found = Granting(user)
    handler = type("Handler", (_Handler,), {"granting": found})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    servers[0].socket = pki.good.wrap_socket(servers[0].socket, server_side=True)
    found.port, found.plain = (server.server_address[1] for server in servers)
    threads = [Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
