"""Why a pass ends before its work is done, and by when whoever still works is cut off. The first reason counts."""

import time
from threading import Event, Lock

from lib.errors import AccountError, PopfetchError

# From a halt to the end of a session that does not end by itself, seconds.
GRACE, GRACE_WHEN_KILLED = 30.0, 4.0


class Halt:
    """Nothing, until a signal (*killed*), a deadline, or somebody's trouble makes it one. Thread-safe."""

    def __init__(self, killed: Event) -> None:
        self.killed = killed
        self.halted = False
        self.told: PopfetchError | None = None  # to accounts that it cuts short; None: its reason is told elsewhere
        self.cut_off = 0.0
        self._deadlines: list[tuple[float, str]] = []
        self._lock = Lock()

    def until(self, seconds: float, why: str) -> None:
        """Halt *seconds* from now, if that is more than 0."""
        if seconds:
            self._deadlines.append((time.monotonic() + seconds, why))

    def halt(self, told: PopfetchError | None, grace: float = GRACE) -> None:
        """Begin nothing more; commit what is done, and be gone in *grace* seconds."""
        with self._lock:
            if not self.halted:
                self.told, self.cut_off = told, time.monotonic() + grace
                self.halted = True

    def look(self) -> bool:
        """Notice a signal or a deadline; say whether this is a halt."""
        now = time.monotonic()
        if self.killed.is_set():
            # Also when it is halted already: a second reason may be in more of a hurry.
            self.halt(AccountError("stopped by a signal"), GRACE_WHEN_KILLED)
            self.cut_off = min(self.cut_off, now + GRACE_WHEN_KILLED)
        for deadline, why in self._deadlines:
            if now >= deadline:
                self.halt(AccountError(why))
        return self.halted

    @property
    def overdue(self) -> bool:
        """Say whether the time to end by oneself is over."""
        return self.halted and time.monotonic() >= self.cut_off
