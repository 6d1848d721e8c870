"""What a client says: a line at a time, and what stands behind it counted, or thrown away."""

import select
import socket


class Ears:
    """Reads the lines of a client."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._heard = sock, b""

    def readline(self, _: int = 0) -> bytes:
        """Return the next line, with its end. ConnectionAbortedError."""
        while b"\n" not in self._heard:
            self._hear()
        end = self._heard.index(b"\n") + 1
        line, self._heard = self._heard[:end], self._heard[end:]
        return line

    def _hear(self) -> None:
        more = self._sock.recv(1 << 16)
        if not more:
            raise ConnectionAbortedError
        self._heard += more

    def line(self) -> bytes:
        """Return the next line, without its end. ConnectionAbortedError."""
        return self.readline().strip()

    def waiting(self) -> int:
        """Return how many lines have come that nobody has read."""
        while select.select([self._sock], [], [], 0)[0]:
            self._hear()
        return self._heard.count(b"\n")

    def forget(self) -> None:
        """Throw away what came together with the last line."""
        self._heard = b""

    def close(self) -> None:
        """Do nothing: the socket is somebody else's."""
