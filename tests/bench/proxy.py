"""A line for those who are not root: a relay that holds octets back. No real TCP runs over it: only nearly the same.

python proxy.py DOWN UP DELAY DOWN_QUEUE UP_QUEUE LISTEN:TARGET...

Rates in bits a second, the delay one way in milliseconds, queues in octets; LISTEN and TARGET are ports of 127.0.0.1.
All connections share one rate in each direction. A full queue holds the sender up; nothing is lost, and nothing has to
find the rate first. The first octet to the client waits for two round trips, as it does for a handshake and a greeting.
"""

import queue
import socket
import sys
import threading
import time
from collections.abc import Sequence

PACKET = 1460


class Way:
    """One direction of the line, shared by all connections."""

    def __init__(self, rate: int, delay: float, room: int) -> None:
        self._rate = rate
        self._delay = delay
        self._room = room * 8 / rate  # seconds of sending that may wait
        self._free_at = 0.0
        self._lock = threading.Lock()

    def send(self, octets: int) -> float:
        """Take so many octets, as soon as the queue has room for them; give the time at which they arrive."""
        with self._lock:
            time.sleep(max(0.0, self._free_at - time.monotonic() - self._room))
            self._free_at = max(self._free_at, time.monotonic()) + octets * 8 / self._rate
            return self._free_at + self._delay


def relay(source: socket.socket, target: socket.socket, way: Way, open_at: float) -> None:
    """Pass on what one side says until it has no more to say."""
    underway: queue.Queue[tuple[float, bytes]] = queue.Queue()
    threading.Thread(target=arrive, args=(underway, target), daemon=True).start()
    octets = b"first"
    while octets:
        try:
            octets = source.recv(PACKET)
        except OSError:
            octets = b""
        underway.put((max(open_at, way.send(len(octets))), octets))


def arrive(underway: queue.Queue[tuple[float, bytes]], target: socket.socket) -> None:
    """Hand over each packet when it is due; an empty one is the end."""
    octets = b"first"
    while octets:
        due, octets = underway.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            target.sendall(octets)
        except OSError:
            return
    target.shutdown(socket.SHUT_WR)


def listen(port: int, target: int, ways: tuple[Way, Way], opening: float) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", target))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            open_at = time.monotonic() + opening
            threading.Thread(target=relay, args=(far, near, ways[0], open_at), daemon=True).start()
            threading.Thread(target=relay, args=(near, far, ways[1], 0.0), daemon=True).start()


def main(words: Sequence[str]) -> None:
    down, up, delay, down_queue, up_queue = map(int, words[:5])
    ways = (Way(down, delay / 1000, down_queue), Way(up, delay / 1000, up_queue))
    for pair in words[5:]:
        ports = map(int, pair.split(":"))
        threading.Thread(target=listen, args=(*ports, ways, 4 * delay / 1000)).start()


if __name__ == "__main__":
    main(sys.argv[1:])
