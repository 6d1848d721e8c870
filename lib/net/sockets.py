"""Sockets that do not block, and how they are waited for: names, connections, readiness.

Every wait here is one of lib.halt's: it ends with its Deadline in a TimeoutError, or sooner in a StoppedError. All else
that goes wrong is an OSError; who knows the peer makes words of it.
"""

import math
import os
import select
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, NamedTuple, TypeVar

from lib.aside import aside
from lib.errors import StoppedError
from lib.halt import SLICE, Deadline, Stop

T = TypeVar("T")

# How long an address has to itself before the next one is tried beside it, seconds (RFC 8305 §5).
STAGGER = 0.25
# What TLS waits for before it goes on: to write, or else to read.
TLS_WAITS = {"SSLWantReadError": False, "SSLWantWriteError": True}
# Between two knocks at a unix-domain socket whose queue is full, seconds.
KNOCK = 0.05


class Address(NamedTuple):
    """Where a host may be reached; the fields are those of getaddrinfo."""

    family: int
    kind: int
    protocol: int
    place: Any


def addresses(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return what getaddrinfo knows of *host*, in its order."""
    # As octets, for a name that is text would have Python load its tables for IDNA first.
    name: Any = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name: somebody has to be asked for it, who may be silent
        found = aside(lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM), deadline)
    return [Address(family, kind, protocol, place) for family, kind, protocol, _, place in found]


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return *addresses* with their families taking turns, each in its own order (RFC 8305 §4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    return [one for turn in zip_longest(*families.values()) for one in turn if one is not None]


def raced(addresses: Sequence[Address], patience: float, stop: Stop) -> socket.socket:
    """Return a connection to the address that answers first (RFC 8305 §5).

    A further one is tried when the last one has failed or said nothing for STAGGER; *patience* is for the last.
    """
    with selectors.DefaultSelector() as running:
        try:
            return _first(deque(addresses), running, patience, stop)
        finally:
            for key in list(running.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr] # sockets all


def _first(waiting: deque[Address], running: selectors.BaseSelector, patience: float, stop: Stop) -> socket.socket:
    lost = OSError("it has no address")
    following = end = time.monotonic()
    while waiting or running.get_map():
        now = time.monotonic()
        if stop():
            raise StoppedError("stopped")
        if waiting and (now >= following or not running.get_map()):
            following, end = now + STAGGER, now + patience
            lost = _begin(waiting.popleft(), running) or lost
        elif now >= end and not waiting:
            raise lost if lost.errno else TimeoutError
        won, failed = _answered(running, min(SLICE, max((following if waiting else end) - now, 0)))
        if won is not None:
            return won
        lost = failed or lost
    raise lost


def _begin(address: Address, running: selectors.BaseSelector) -> OSError | None:
    """Begin to connect; return why that cannot be."""
    try:
        attempt = socket.socket(address.family, address.kind, address.protocol)
    except OSError as error:
        return error
    try:
        attempt.setblocking(False)
        with suppress(BlockingIOError):
            attempt.connect(address.place)
    except OSError as error:
        attempt.close()
        return error
    running.register(attempt, selectors.EVENT_WRITE)
    return None


def _answered(running: selectors.BaseSelector, seconds: float) -> tuple[socket.socket | None, OSError | None]:
    """Wait so long for an answer; return the connection that stands, and why another one does not."""
    failed = None
    for key, _ in running.select(seconds) if running.get_map() else ():
        attempt: Any = key.fileobj
        running.unregister(attempt)
        if code := attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            attempt.close()
            failed = OSError(
                code, getattr(socket, "errorTab", {}).get(code) or os.strerror(code)
            )  # Windows has its own
        else:
            return attempt, failed
    return None, failed


def local(path: str, deadline: Deadline) -> socket.socket:
    """Return a connection to a unix-domain socket, where a full queue is no refusal yet."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        for seconds in deadline.slices():
            with suppress(BlockingIOError):
                connection.connect(path)
                return connection
            time.sleep(min(seconds, KNOCK))
    except BaseException:
        connection.close()
        raise
    connection.close()
    raise TimeoutError


def when_ready(connection: socket.socket, act: Callable[[], T], deadline: Deadline, *, writes: bool = False) -> T:
    """Return what *act* does on *connection*, as soon as that is possible.

    It *writes*, or reads, unless TLS says what it waits for.
    """
    while True:
        try:
            return act()
        except BlockingIOError:
            pass
        except OSError as error:
            kind = type(error).__name__  # of the module ssl, which is not imported before it is needed
            if kind not in TLS_WAITS:
                raise
            writes = TLS_WAITS[kind]
        await_socket(connection, deadline, writes=writes)


def await_socket(connection: socket.socket, deadline: Deadline, *, writes: bool) -> None:
    """Wait until *connection* can be written to, or read from."""
    for seconds in deadline.slices():
        if ready(connection, seconds, writes=writes):
            return
    raise TimeoutError


def _ready_by_poll(connection: socket.socket, seconds: float, *, writes: bool) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLOUT if writes else select.POLLIN)
    return bool(poll.poll(math.ceil(seconds * 1000)))


def _ready_by_select(connection: socket.socket, seconds: float, *, writes: bool) -> bool:
    # Windows tells of a connection that was refused in the third list alone.
    either = [connection]
    return any(select.select([] if writes else either, either if writes else [], either, seconds))


# A process with more than 1,024 descriptors cannot use select where there is poll.
ready = _ready_by_poll if hasattr(select, "poll") else _ready_by_select
"""Wait for a socket at most so many seconds; say whether it is ready."""
