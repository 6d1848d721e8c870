"""A line between the program and a server that breaks where a test wants it to: after so many octets, either way."""

import select
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

UP, DOWN = "up", "down"  # to the server, to the client
HOWS = ("reset", "close", "stall")
CHUNK = 1 << 16
LINGER = struct.pack("ii", 1, 0)  # closing sends RST


class Break(NamedTuple):
    """The *nth* connection (0: every one) breaks behind so many octets of one direction."""

    way: str
    octets: int
    how: str
    nth: int = 1


class Connection:
    """One client and its server, and what got through."""

    def __init__(self, client: socket.socket, server: socket.socket, broken: Break | None) -> None:
        self.heard = {UP: bytearray(), DOWN: bytearray()}  # by the server, by the client
        self.port = int(server.getsockname()[1])
        self._client, self._server, self._broken = client, server, broken
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        # One thread: a socket that another one reads from is not closed by close().
        how = "close"
        with suppress(OSError):
            how = self._pass_on()
        if how == "stall":
            self._wait_for_the_client()
        for sock in (self._client, self._server):
            with suppress(OSError):
                if how == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            sock.close()

    def _pass_on(self) -> str:
        """Pass everything on until one of the two ends it, or it is to break; say how."""
        ends = {self._client: (UP, self._server), self._server: (DOWN, self._client)}
        while True:
            for source in select.select(list(ends), [], [])[0]:
                way, sink = ends[source]
                octets = source.recv(CHUNK)
                broken = self._broken if self._broken and self._broken.way == way else None
                left = broken.octets - len(self.heard[way]) if broken else CHUNK
                sink.sendall(octets[:left])
                self.heard[way] += octets[:left]
                if broken and len(octets) >= left:
                    return broken.how
                if not octets:
                    return "close"

    def _wait_for_the_client(self) -> None:
        with suppress(OSError):
            while self._client.recv(CHUNK):
                pass


class Proxy:
    """Listens on a port of its own and passes everything on to *target*."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._breaks: tuple[Break, ...] = ()
        self.connections: list[Connection] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.settle()

    def arm(self, *breaks: Break) -> None:
        """Forget the connections so far; break some of those that come."""
        self.settle()
        self.connections, self._breaks = [], breaks

    def settle(self) -> None:
        """Wait until all are over."""
        for connection in self.connections:
            connection.thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open(client)

    def _open(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = len(self.connections) + 1
        mine = next((one for one in self._breaks if one.nth in {0, number}), None)
        self.connections.append(Connection(client, server, mine))
