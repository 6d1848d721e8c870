"""What a test puts into the process of a pass after the fork: stops, faults, another clock, tighter limits.

Each hook is a dict of plain values whose "hook" names a function here. The calls of `os`, and those of sockets, are
replaced where the program looks for them; nothing in lib/ knows of it. What is stopped here is inspected by the test,
and then killed.
"""

import errno
import os
import pickle
import resource
import signal
import socket
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Lock, RLock
from typing import Any, BinaryIO, NoReturn

from lib.store import ownfile
from tests.faults.disk import FOLDER
from tests.faults.zygote import tell

WRITING = ("open", "write", "fdatasync", "fsync", "replace", "unlink", "ftruncate")
Call = Callable[..., Any]


class Names:
    """Which file of *folder* (of any, without one) a descriptor is of."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._by_descriptor: dict[int, str] = {}
        plain = os.open

        def opened(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
            descriptor = plain(path, flags, mode, **more)
            self._by_descriptor[descriptor] = self.of(path)
            return descriptor

        os.open = opened

    def of(self, argument: Any) -> str:
        """Return the name of the file that a call's first *argument* is about; "" for one that is elsewhere."""
        if isinstance(argument, int):
            return self._by_descriptor.get(argument, "")
        path = Path(os.fsdecode(argument))
        return path.name if self._folder in {None, path, path.parent} else ""


def put_in(hook: dict[str, Any]) -> None:
    """Do what *hook* says."""
    HOOKS[hook.pop("hook")](**hook)


def _around(act: Callable[[str, Call, tuple[Any, ...], dict[str, Any]], Any], calls: tuple[str, ...]) -> None:
    """Let *act* stand around these calls of os; fdatasync is what ownfile has taken for itself already."""

    def wrapped(name: str, plain: Call) -> Call:
        return lambda *words, **named: act(name, plain, words, named)

    for name in calls:
        setattr(os, name, wrapped(name, getattr(os, name)))
    if "fdatasync" in calls:
        ownfile._flush_data = os.fdatasync


def stop(call: str, nth: int, file: str = "", when: str = "before") -> None:
    """Stop before or after the *nth* such call, "any" of them, on a file whose name begins so; or "half" through it."""
    names, lock = Names(), Lock()
    seen = 0

    def halt() -> NoReturn:
        tell("stopped")
        os.kill(os.getpid(), signal.SIGSTOP)
        while True:  # the other threads may be stopped first
            time.sleep(1)

    def act(name: str, plain: Call, words: tuple[Any, ...], named: dict[str, Any]) -> Any:
        nonlocal seen
        if call in {"any", name} and (not file or names.of(words[0]).startswith(file)):
            with lock:
                seen += 1
                now = seen == nth
            if now and when == "half" and name == "write":
                plain(words[0], words[1][: max(len(words[1]) // 2, 1)])
                halt()
            elif now and when == "before":
                halt()
            elif now:
                plain(*words, **named)
                halt()
        return plain(*words, **named)

    _around(act, WRITING if call == "any" else (call,))
    if call == "any":
        _around_sockets(lambda: act("socket", lambda _: None, ("",), {}))


def _around_sockets(look: Callable[[], Any]) -> None:
    """Call *look* before and behind every sending and receiving."""

    def wrapped(plain: Call) -> Call:
        def call(*words: Any) -> Any:
            look()
            result = plain(*words)
            look()
            return result

        return call

    for name in ("sendall", "recv", "recv_into"):
        setattr(socket.socket, name, wrapped(getattr(socket.socket, name)))


def fail(nth: int, code: str, folder: str, calls: list[str], *, ever_after: bool) -> None:
    """Let the *nth* of these calls on files in *folder* fail with the errno of that name; *ever_after*: all behind."""
    names, lock = Names(Path(folder)), Lock()
    seen = 0

    def act(_: str, plain: Call, words: tuple[Any, ...], named: dict[str, Any]) -> Any:
        nonlocal seen
        if names.of(words[0]):
            with lock:
                seen += 1
                now = seen == nth or (ever_after and seen > nth)
            if now:
                raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), *words[:1])
        return plain(*words, **named)

    _around(act, tuple(calls))


def record(path: str, folder: str) -> None:
    """Write down every call that changes or syncs a file in *folder*; tests/faults/disk.py reads it."""
    Recorder(Path(path).open("wb"), Path(folder)).start()  # noqa: SIM115 - open until the process ends


class Recorder:
    """Stands around the calls, one at a time. Files go by a number that a new name does not change."""

    def __init__(self, out: BinaryIO, folder: Path) -> None:
        self._out, self._folder, self._lock = out, folder, RLock()
        self._last = 0
        self._nodes: dict[str, int] = {}
        self._open: dict[int, tuple[int, bool]] = {}

    def start(self) -> None:
        """Tell what is there, then listen."""
        for path in sorted(self._folder.iterdir()):
            self._say("exists", self._new(path.name), path.name, data=path.read_bytes())
        _around(self._act, ("open", *WRITING[1:], "close"))

    def _say(self, kind: str, node: int, name: str = "", place: int = 0, data: bytes = b"") -> None:
        pickle.dump((time.monotonic(), kind, node, name, place, data), self._out)
        self._out.flush()

    def _new(self, name: str) -> int:
        self._last += 1
        self._nodes[name] = self._last
        return self._last

    def _act(self, call: str, plain: Call, words: tuple[Any, ...], named: dict[str, Any]) -> Any:
        with self._lock:
            before = getattr(self, f"_{call}", None)
            if before and call != "open":
                before(*words)
            result = plain(*words, **named)
            if call in {"fsync", "fdatasync"} and words[0] in self._open:
                self._say("sync", self._open[words[0]][0])
            if call == "open":
                self._opened(result, words[0], words[1])
            return result

    def _opened(self, descriptor: int, path: Any, flags: int) -> None:
        """Note whose descriptor it is; a file that was not known was made by this call."""
        where = Path(os.fsdecode(path))
        self._open.pop(descriptor, None)
        if where == self._folder:
            self._open[descriptor] = (FOLDER, False)
        elif where.parent == self._folder:
            if where.name not in self._nodes:
                self._say("create", self._new(where.name), where.name)
            self._open[descriptor] = (self._nodes[where.name], bool(flags & os.O_APPEND))

    def _close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def _write(self, descriptor: int, data: bytes) -> None:
        if descriptor in self._open:
            node, append = self._open[descriptor]
            place = os.fstat(descriptor).st_size if append else os.lseek(descriptor, 0, os.SEEK_CUR)
            self._say("write", node, place=place, data=bytes(data))

    def _ftruncate(self, descriptor: int, length: int) -> None:
        if descriptor in self._open:
            self._say("truncate", self._open[descriptor][0], place=length)

    def _replace(self, old: Any, new: Any) -> None:
        names = [Path(os.fsdecode(path)).name for path in (old, new)]
        self._nodes[names[1]] = self._nodes.pop(names[0])
        self._say("replace", FOLDER, "/".join(names))

    def _unlink(self, path: Any) -> None:
        name = Path(os.fsdecode(path)).name
        if self._nodes.pop(name, None):
            self._say("unlink", FOLDER, name)


def clock(seconds: float) -> None:
    """Set the calendar off by so much."""
    plain = time.time
    time.time = lambda: plain() + seconds


def later(seconds: float) -> None:
    """Let so much time have gone by: for the calendar, and since the machine was started."""
    clock(seconds)
    plain = time.clock_gettime
    time.clock_gettime = lambda which: plain(which) + seconds


def haste(factor: float) -> None:
    """Let the time of every wait go by so much faster: silence costs a test little."""
    plain, first = time.monotonic, time.monotonic()
    time.monotonic = lambda: first + (plain() - first) * factor


def limit(name: str, value: int) -> None:
    """Set a limit of the process (resource.RLIMIT_*); SIGXFSZ is ignored, as Python does."""
    number = getattr(resource, name)
    resource.setrlimit(number, (value, resource.getrlimit(number)[1]))


def user(number: int) -> None:
    """Run as another user."""
    os.setgroups([])
    os.setgid(number)
    os.setuid(number)


def constant(module: str, name: str, value: float) -> None:
    """Give a constant of the program another value: the waits of a test are short."""
    setattr(import_module(module), name, value)


def plain_signals() -> None:
    """Let SIGINT end the process like any other signal, until the program knows better.

    Python makes an exception of it, which is lost where it comes in the middle of an import.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


HOOKS: dict[str, Callable[..., None]] = {
    "stop": stop,
    "fail": fail,
    "record": record,
    "clock": clock,
    "later": later,
    "plain_signals": plain_signals,
    "haste": haste,
    "limit": limit,
    "user": user,
    "constant": constant,
}
