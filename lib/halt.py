"""What ends a pass before its work is done, and how whoever waits hears of it: the one way of waiting.

A signal's handler sets a number and does nothing else: it may come while the handler of another one runs, or while its
thread holds any lock. So nobody is woken. Whoever waits, for a socket, a command, a name or a moment, waits until a
Deadline, a slice of a fifth of a second at a time, and looks between slices whether it is still wanted.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, current_thread, main_thread
from typing import NamedTuple

from lib.errors import AccountError, PopfetchError, StoppedError

SLICE = 0.2
"""Seconds between two looks of somebody who waits."""

GRACE, GRACE_WHEN_KILLED = 30.0, 4.0
"""Seconds from a halt to the end of a session that does not end by itself."""

HEARING = 80.0
"""Seconds from a signal, or the end of pf_time_limit, in which a verdict is still waited for: over a minute, and less
than the three that our service's unit gives, or the one and a half that others have."""

# SIGHUP and SIGBREAK are not everywhere; a closed console on Windows comes as SIGBREAK.
ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK") if hasattr(signal, name))

Stop = Callable[[], bool]
"""Says whether a wait must end. Asked by any thread, a few times a second."""


def never() -> bool:
    """Stop nothing."""
    return False


class Deadline(NamedTuple):
    """When a wait ends (*at*, of the monotonic clock), or sooner: as soon as *stop* says so."""

    at: float
    stop: Stop = never

    @classmethod
    def after(cls, seconds: float, stop: Stop = never) -> "Deadline":
        """Return the deadline that is *seconds* from now."""
        return cls(time.monotonic() + seconds, stop)

    def within(self, seconds: float) -> "Deadline":
        """Return the sooner one: this, or *seconds* from now."""
        return Deadline(min(self.at, time.monotonic() + seconds), self.stop)

    @property
    def left(self) -> float:
        """Seconds until then, 0 when it is over."""
        return max(0.0, self.at - time.monotonic())

    def slices(self) -> Iterator[float]:
        """Yield for how long to wait next, until the time is over; StoppedError once it must end sooner.

        The wait for anything is a loop: look whether it is there, and sleep for what this yields, in a call that ends
        when it comes where there is one.
        """
        while True:
            if self.stop():
                raise StoppedError("stopped")
            left = self.at - time.monotonic()
            if left <= 0:
                return
            yield min(left, SLICE)

    def sleep(self) -> None:
        """Wait for nothing but the time; StoppedError."""
        for seconds in self.slices():
            time.sleep(seconds)


class Signals:
    """The signal that asked this process to end: 0 while none did."""

    def __init__(self) -> None:
        self.number = 0

    def note(self, number: int, _frame: object = None) -> None:
        """Be the handler."""
        self.number = number

    def came(self) -> bool:
        """Say whether there was one."""
        return self.number != 0


@contextmanager
def ended_by() -> Iterator[Signals]:
    """Yield what notes the signals that ask this process to end; the old handlers come back.

    Signals that are ignored (nohup) stay ignored. Outside of the main thread nothing is changed.
    """
    signals = Signals()
    before = {}
    if current_thread() is main_thread():
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, signals.note)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Limit(NamedTuple):
    """A moment (of the monotonic clock) at which a pass is halted, why, and how long verdicts are heard after it."""

    at: float
    why: str
    hearing: float


class Halt:
    """Nothing, until a signal, a time limit, or somebody's trouble makes it one; the first reason counts. Thread-safe.

    Its three questions are each a Stop: for who has nothing to lose (`begun`), for a session that may commit what it
    has done (`overdue`), and for who waits for a verdict (`deaf`).
    """

    def __init__(self, signals: Signals | None = None) -> None:
        self.signals = signals or Signals()
        self.halted = False
        self.told: PopfetchError | None = None  # to accounts that it cuts short; None: its reason is told elsewhere
        self._cut_off = self._deaf = math.inf
        self._limits: list[Limit] = []
        self._killed = False
        self._lock = Lock()

    def until(self, seconds: float, why: str, hearing: float = math.inf) -> None:
        """Halt *seconds* from now, if that is more than 0."""
        if seconds:
            self._limits.append(Limit(time.monotonic() + seconds, why, hearing))

    def halt(self, told: PopfetchError | None, grace: float = GRACE, hearing: float = math.inf) -> None:
        """Begin nothing more; commit what is done, and be gone in *grace* seconds, with a verdict owed in *hearing*.

        A second reason may be in more of a hurry.
        """
        now = time.monotonic()
        with self._lock:
            if not self.halted:
                self.told = told
            self._cut_off, self._deaf = min(self._cut_off, now + grace), min(self._deaf, now + hearing)
            self.halted = True

    def begun(self) -> bool:
        """Notice a signal or a limit; say whether this is a halt."""
        if self.signals.number and not self._killed:
            self._killed = True
            self.halt(AccountError("stopped by a signal"), GRACE_WHEN_KILLED, HEARING)
        now = time.monotonic()
        for limit in self._limits:
            if now >= limit.at:
                self.halt(AccountError(limit.why), limit.at + GRACE - now, limit.at + limit.hearing - now)
        return self.halted

    def overdue(self) -> bool:
        """Say whether the time to end by oneself is over."""
        return self.begun() and time.monotonic() >= self._cut_off

    def deaf(self) -> bool:
        """Say whether not even a verdict is waited for any more."""
        return self.begun() and time.monotonic() >= self._deaf
