"""Where a browser comes back to after a login (RFC 8252 section 7.3): a port of ours on 127.0.0.1, for one address.

Beside it a person may type: a browser on another machine cannot come back here, but shows where it was sent to.
"""

import select
import socket
import sys
import time
from contextlib import suppress
from typing import IO, Any

HOST = "127.0.0.1"
LOOK_SECONDS = 0.2
REQUEST_SECONDS = 5.0
MAX_REQUEST = 16 << 10
PAGE = b"""<!DOCTYPE html><html lang="en"><title>POPFetch batch</title>
<p>This window can be closed: the program that asked for the login goes on where it was started.</p></html>
"""
ANSWER = b"HTTP/1.1 %b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"


class Loopback:
    """The port; close() it."""

    def __init__(self) -> None:
        """Listen on a port that the system chooses. OSError."""
        self._listener = socket.create_server((HOST, 0), backlog=8)
        self.address = f"http://{HOST}:{self._listener.getsockname()[1]}/"

    def wait(self, seconds: float, typed: IO[str] | None) -> str:
        """Return where a browser came back to, or the line that was *typed*; "" when neither came in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ready: list[Any] = [self._listener] if typed is None or sys.platform == "win32" else [self._listener, typed]
            found, _, _ = select.select(ready, (), (), LOOK_SECONDS)
            if self._listener in found and (came := self._request()):
                return came
            if typed is not None and (typed in found or _key_was_pressed()):
                line = typed.readline()
                if line.strip():
                    return line.strip()
                typed = typed if line else None  # nobody can type there
        return ""

    def _request(self) -> str:
        """Return the address of a request that brings an answer; browsers ask for pictures, too."""
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):
            connection.settimeout(REQUEST_SECONDS)
            words = _received(connection).split(b"\r\n", 1)[0].split(b" ")
            path = words[1].decode("ascii", "replace") if len(words) == 3 and words[0] == b"GET" else ""
            wanted = "?" in path and ("code=" in path or "error=" in path)
            page, status = (PAGE, b"200 OK") if wanted else (b"", b"404 Not Found")
            connection.sendall(ANSWER % (status, len(page), page))
            return self.address.rstrip("/") + path if wanted else ""
        return ""

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def _received(connection: socket.socket) -> bytes:
    """Return a request's head, or what there was of it."""
    octets = b""
    while b"\r\n\r\n" not in octets and len(octets) < MAX_REQUEST:
        piece = connection.recv(MAX_REQUEST)
        if not piece:
            break
        octets += piece
    return octets


def _key_was_pressed() -> bool:
    if sys.platform != "win32":
        return False
    import msvcrt  # noqa: PLC0415 - Windows alone has it

    return msvcrt.kbhit()
