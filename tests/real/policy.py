"""A policy service for Postfix (SMTPD_POLICY_README): greylisting, and quotas that are found at the final dot."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import cast

GREYLISTED = b"450 4.2.0 Greylisted, come back later"
AT_THE_DOT = b"554 5.7.1 Quota of this sender used up"


class Policy:
    """What is answered: *grey* are recipients that are put off; *spent* begins the senders refused at the dot."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.grey: set[str] = set()
        self.spent: str | None = None

    @property
    def check(self) -> str:
        """Return the restriction that asks here."""
        return f"check_policy_service inet:127.0.0.1:{self.port}"

    def answer(self, asked: dict[str, str]) -> bytes:
        """Return what Postfix has to do."""
        state = asked.get("protocol_state")
        if state == "RCPT" and asked.get("recipient") in self.grey:
            return GREYLISTED
        if state == "END-OF-MESSAGE" and self.spent and asked.get("sender", "").startswith(self.spent):
            return AT_THE_DOT
        return b"DUNNO"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    policy: Policy


class _Client(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        policy = cast(_Server, self.server).policy
        asked: dict[str, str] = {}
        for line in self.rfile:
            name, equals, value = line.decode().rstrip("\n").partition("=")
            if equals:
                asked[name] = value
            else:
                self.wfile.write(b"action=" + policy.answer(asked) + b"\n\n")
                asked = {}


@contextmanager
def policy_service() -> Iterator[Policy]:
    """Run a service on a port of loopback."""
    with _Server(("127.0.0.1", 0), _Client) as server:
        server.policy = Policy(server.server_address[1])
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.policy
        finally:
            server.shutdown()
