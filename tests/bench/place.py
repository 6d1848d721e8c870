"""Where things run: on this machine's loopback, or in two network namespaces with a line of ours between them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.rows import Line

NETNS = Path("/run/netns")
PREFIX = "popfetch-bench"
NEAR, FAR = "192.0.2.1", "192.0.2.2"  # RFC 5737: nobody's
START = 20  # seconds in which a server or the line must be ready
STOP = 10  # seconds a process has to end by itself
TUNING = (  # /proc/sys/net/ipv4, in both namespaces
    "echo 1 > tcp_no_metrics_save",  # no run may learn from the one before it
    # What most senders use, whatever this machine prefers; some kernels allow only the first in a namespace.
    "echo cubic > tcp_congestion_control || echo reno > tcp_congestion_control",
)


class BenchError(Exception):
    """The bench itself cannot go on; the text says why."""


class Place(NamedTuple):
    """The words in front of a command that make it run there; none for loopback."""

    name: str
    enter: tuple[str, ...] = ()

    def argv(self, *command: str | Path) -> list[str]:
        return [*self.enter, *map(str, command)]

    def run(self, *command: str | Path) -> None:
        subprocess.run(self.argv(*command), check=True)


LOOPBACK = Place("loopback")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def compiled(source: Path, folder: Path) -> Path:
    """Compile one of our small C programs."""
    binary = folder / source.stem
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", binary, source], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"gcc could not compile {source.name}: {error}") from error
    return binary


def answers(place: Place, host: str, port: int) -> None:
    """Wait until a server greets; BenchError if it does not in START seconds."""
    probe = Path(__file__).with_name("warm.py")
    if subprocess.run(place.argv(sys.executable, "-S", probe, host, str(port), str(START), ""), check=False).returncode:
        raise BenchError(f"nothing answers on {host}:{port}")


@contextlib.contextmanager
def process(argv: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server in a session of its own (Ctrl-C is ours to hear) and end it, by its pid, in the end."""
    with log.open("ab") as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def namespaces() -> Iterator[tuple[Place, Place]]:
    """Make the near and the far namespace; they go again in the end. Needs root."""
    if os.geteuid() != 0:
        raise BenchError("lines need root, for the network namespaces")
    _sweep()
    places = tuple(_place(f"{PREFIX}-{os.getpid()}-{end}") for end in ("near", "far"))
    try:
        for place in places:
            subprocess.run(["ip", "netns", "add", place.name], check=True)
            subprocess.run(["ip", "-n", place.name, "link", "set", "lo", "up"], check=True)
            for line in TUNING:
                place.run("sh", "-c", f"cd /proc/sys/net/ipv4; {{ {line}; }} 2>/dev/null")
        yield places[0], places[1]
    finally:
        for place in places:
            subprocess.run(["ip", "netns", "del", place.name], check=False)


def _place(name: str) -> Place:
    return Place(name, ("ip", "netns", "exec", name))


def _sweep() -> None:
    """Remove the namespaces of benches that were killed."""
    for path in NETNS.glob(f"{PREFIX}-*"):
        if not Path("/proc", path.name.split("-")[2]).exists():
            subprocess.run(["ip", "netns", "del", path.name], check=False)


@contextlib.contextmanager
def link(near: Place, far: Place, line: Line, binary: Path, log: Path) -> Iterator[None]:
    """Let packets pass between the two, as slowly as the line says."""
    numbers = [
        f"{number}"
        for rate, queue in ((line.down, line.down_queue), (line.up, line.up_queue))
        for number in (rate, line.delay * 1_000_000, queue)
    ]
    log.unlink(missing_ok=True)
    with process([binary, NETNS / near.name, NETNS / far.name, *numbers], log) as emulator:
        deadline = time.monotonic() + START
        while b"ready" not in log.read_bytes():
            if emulator.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"no line: {log.read_text()}")
            time.sleep(0.01)
        for place, ours, theirs in ((near, NEAR, FAR), (far, FAR, NEAR)):
            subprocess.run(["ip", "-n", place.name, "addr", "add", ours, "peer", theirs, "dev", "line0"], check=True)
            subprocess.run(["ip", "-n", place.name, "link", "set", "line0", "up"], check=True)
        yield


@contextlib.contextmanager
def relay(ports: Sequence[int], line: Line, log: Path) -> Iterator[list[int]]:
    """Do as well as one can without being root: give ports from which a slow relay leads to those."""
    ours = [free_port() for _ in ports]
    pairs = [f"{ours_}:{theirs}" for ours_, theirs in zip(ours, ports, strict=True)]
    program = Path(__file__).with_name("proxy.py")
    with process([sys.executable, "-S", program, *map(str, line), *pairs], log):
        answers(LOOPBACK, "127.0.0.1", ours[0])
        yield ours


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C (in a background job, too) and SIGTERM end the bench, so that everything is cleaned up."""
    old = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
