"""A line that is really down until pf_dial_up raises it: two network namespaces and a cable between them.

The program runs in the `office`; the provider's servers are reached at ADDRESS, through the cable, and only while that
is up. Whatever listens on loopback outside (a Dovecot, a Postfix, a peer) is let in by a relay: the provider's at
ADDRESS, the office's own on its loopback. A relay can be as slow as a line is. Needs root, and iproute2.
"""

import contextlib
import ctypes
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.passes import PROGRAM, Result

ADDRESS = "10.99.0.1"
OFFICE_ADDRESS = "10.99.0.2"
CLONE_NEWNET = 0x40000000
CHUNK = 1 << 14

UP = """#!/bin/sh
# What pon and nmcli do, in four lines. The time goes to the log first: money runs from here on.
echo "$(date +%s.%N) up" >> "{log}"
sleep {dials}
ip link set line up && ip route replace default via {address}
"""
CHECK = """#!/bin/sh
ip route get {address} > /dev/null 2>&1 && [ "$(cat /sys/class/net/line/operstate)" = up ]
"""
DOWN = """#!/bin/sh
ip link set line down && echo "$(date +%s.%N) down" >> "{log}"
"""


class Event(NamedTuple):
    """What the line did, and when: seconds since the epoch."""

    when: float
    what: str


class DialUp:
    """The office, the provider, and the line between them, which is down."""

    def __init__(self, folder: Path, dials: float = 0.0) -> None:
        self.office = f"pf-office-{os.getpid()}"
        self.provider = f"pf-provider-{os.getpid()}"
        self.log = folder / "line.log"
        self.up, self.check, self.down = (folder / name for name in ("up", "check", "down"))
        for path, text in ((self.up, UP), (self.check, CHECK), (self.down, DOWN)):
            path.write_text(text.format(log=self.log, address=ADDRESS, dials=dials))
            path.chmod(0o755)
        self._relays: list[Relay] = []

    @property
    def settings(self) -> dict[str, object]:
        """Return the three settings that make this the program's line."""
        return {"pf_dial_up": self.up, "pf_dial_check": self.check, "pf_dial_down": self.down}

    def inside(self, *words: str | Path) -> list[str]:
        """Return the command line that runs *words* in the office; signals reach them."""
        return ["ip", "netns", "exec", self.office, *map(str, words)]

    def run(self, *words: str | Path) -> int:
        """Run *words* in the office and return their exit code."""
        return subprocess.run(self.inside(*words), stdin=subprocess.DEVNULL, timeout=60, check=False).returncode

    def passing(self, conf: Path, *words: str) -> list[str]:
        """Return the command line of a pass in the office; a warning in it is an error."""
        return self.inside(sys.executable, "-W", "error", PROGRAM, "-i", conf, *words)

    def fetch(self, conf: Path, *words: str) -> Result:
        """Run a pass in the office to its end."""
        argv = self.passing(conf, *words)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    @property
    def is_up(self) -> bool:
        return self.run(self.check) == 0

    @property
    def story(self) -> list[Event]:
        """Return every up and down so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [Event(float(when), what) for when, what in (line.split() for line in lines)]

    def up_seconds(self) -> float:
        """Return for how long the line was up in all; it has to be down now."""
        times = [event.when for event in self.story]
        return sum(times[1::2]) - sum(times[::2])

    @property
    def carried(self) -> int:
        """Return how many octets the provider's servers have sent through relays that have a rate."""
        return sum(relay.carried for relay in self._relays)

    def provide(self, port: int, *, delay: float = 0.0, rate: float = 0.0) -> int:
        """Let the provider serve what listens on *port* outside, at ADDRESS; return the port there."""
        return self._relay(self.provider, ADDRESS, port, delay, rate)

    def let_in(self, port: int, *, delay: float = 0.0, rate: float = 0.0) -> int:
        """Let the office's loopback have what listens on *port* outside; return the port there."""
        return self._relay(self.office, "127.0.0.1", port, delay, rate)

    def _relay(self, namespace: str, address: str, port: int, delay: float, rate: float) -> int:
        relay = Relay(namespace, address, port, delay, rate)
        self._relays.append(relay)
        return relay.port

    def make(self) -> None:
        for name in (self.office, self.provider):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.provider, "link", "add", "line", "type", "veth", "peer", "name", "line", "netns", self.office)
        ip("-n", self.provider, "address", "add", f"{ADDRESS}/24", "dev", "line")
        ip("-n", self.office, "address", "add", f"{OFFICE_ADDRESS}/24", "dev", "line")
        ip("-n", self.provider, "link", "set", "line", "up")

    def end(self) -> None:
        for relay in self._relays:
            relay.end()
        for name in (self.office, self.provider):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=60, check=False)


class Relay:
    """Takes connections in a namespace and makes them outside, where this process is.

    *delay* is the seconds that octets are under way in either direction, *rate* how many a second come through from
    the server, all connections together; 0 is no limit.
    """

    def __init__(self, namespace: str, address: str, port: int, delay: float = 0.0, rate: float = 0.0) -> None:
        self._target = ("127.0.0.1", port)
        self._delay, self._rate = delay, rate
        with ThreadPoolExecutor(1) as thread:
            self._listener = thread.submit(listener_in, namespace, address).result()
        self.port: int = self._listener.getsockname()[1]
        self.carried = 0  # octets from the server
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def end(self) -> None:
        """Close everything, and wait for it."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            inner = self._listener.accept()[0]
            try:
                outer = socket.create_connection(self._target, timeout=10)
            except OSError:
                inner.close()
                continue
            thread = threading.Thread(target=self._carry, args=(inner, outer))
            self._threads.append(thread)
            thread.start()

    def _carry(self, inner: socket.socket, outer: socket.socket) -> None:
        """Carry octets both ways until one side ends or the relay does; an end is passed on."""
        with inner, outer, contextlib.suppress(OSError):
            other = {inner: outer, outer: inner}
            waiting: list[tuple[float, socket.socket, bytes]] = []
            while not self._ended.is_set() and (other or waiting):
                pause = min(max(waiting[0][0] - time.monotonic(), 0), 0.05) if waiting else 0.05
                for sock in select.select(list(other), [], [], pause)[0] if other else ():
                    octets = sock.recv(CHUNK)
                    to = other[sock]
                    waiting.append((self._due(len(octets) if sock is outer else 0), to, octets))
                    if not octets:
                        del other[sock]
                if not other and pause:
                    time.sleep(pause)
                while waiting and waiting[0][0] <= time.monotonic():
                    _, to, octets = waiting.pop(0)
                    to.sendall(octets) if octets else to.shutdown(socket.SHUT_WR)

    def _due(self, octets: int) -> float:
        """Return when octets that come now are through."""
        now = time.monotonic()
        if self._rate and octets:
            with self._lock:
                self.carried += octets
                self._free_at = max(self._free_at, now) + octets / self._rate
                now = self._free_at
        return now + self._delay


def listener_in(namespace: str, address: str) -> socket.socket:
    """Return a socket that listens in *namespace*; the calling thread stays there, so it must end afterwards."""
    with Path(f"/run/netns/{namespace}").open("rb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND: the line may still be down
    listener.bind((address, 0))
    listener.listen(100)
    return listener


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def dial_up(folder: Path, dials: float = 0.0) -> Iterator[DialUp]:
    """Make the namespaces, and remove them; *dials* is how many seconds pf_dial_up takes."""
    made = DialUp(folder, dials)
    try:
        made.make()
        yield made
    finally:
        made.end()
