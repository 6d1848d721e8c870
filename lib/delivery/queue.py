"""What is ready for the receiver, between the fetchers that fill it and the couriers that empty it. Thread-safe.

What broke a connection waits behind all others, and is never offered for the time until another message is answered.
"""

from collections import deque
from threading import Condition, Lock

from lib.delivery.queued import Errand, Tried


class Outbox:
    """A queue of errands that can be closed (no more will come) and stopped (nothing is to be delivered now)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._work = Condition(self._lock)  # for couriers: an errand, or the end
        self._rest = Condition(self._lock)  # for who waits until nothing is left to do
        self._errands: deque[Errand] = deque()
        self._behind: deque[Errand] = deque()
        self._out = 0
        self._closed = False
        self._stopped = False

    def put(self, errand: Errand) -> int:
        """Add *errand*; return how many wait."""
        with self._lock:
            (self._behind if errand.tried is Tried.BROKE else self._errands).append(errand)
            self._work.notify()
            return len(self._errands) + len(self._behind)

    def take(self) -> Errand | None:
        """Wait for the next errand; None when there will be none."""
        with self._lock:
            self._out -= 1
            self._rest.notify_all()
            while not (self._errands or self._behind or self._closed or self._stopped):
                self._work.wait()
            self._out += 1
            if self._stopped or not (self._errands or self._behind):
                return None
            return (self._errands or self._behind).popleft()

    def poll(self) -> Errand | None:
        """Return an errand that is there already, or None."""
        with self._lock:
            return self._errands.popleft() if self._errands and not self._stopped else None

    def give_back(self, errand: Errand) -> None:
        """Return an errand that another connection should carry, in front of the others."""
        with self._lock:
            (self._behind if errand.tried is Tried.BROKE else self._errands).appendleft(errand)
            self._work.notify()

    def put_behind(self, errand: Errand) -> None:
        """Return an errand that is to be carried when no other one waits."""
        with self._lock:
            self._behind.append(errand)
            self._work.notify()

    @property
    def stopped(self) -> bool:
        """Say whether nothing more is to be delivered in this pass."""
        return self._stopped

    def close(self) -> None:
        """No more will come; what is there is still delivered."""
        with self._lock:
            self._closed = True
            self._work.notify_all()

    def stop(self) -> None:
        """Nothing more is to be delivered in this pass."""
        with self._lock:
            self._stopped = True
            self._work.notify_all()
            self._rest.notify_all()

    def enter(self) -> None:
        """Count a courier in; it is busy until it asks for its first errand."""
        with self._lock:
            self._out += 1

    def leave(self) -> None:
        """Count a courier out, whatever ended it."""
        with self._lock:
            self._out -= 1
            self._rest.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait at most *seconds* until nothing is left to do; say whether that is so."""
        with self._lock:
            return self._rest.wait_for(
                lambda: self._stopped or not (self._errands or self._behind or self._out), seconds
            )
