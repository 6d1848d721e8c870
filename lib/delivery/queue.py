"""What is ready for the receiver, between fetchers that fill it and delivery threads that empty it. Thread-safe.

What broke a connection waits behind all others, and is never offered for the time until another message is answered.
"""

from collections import deque
from threading import Condition, Lock

from lib.delivery.queued import DeliveryRequest, Tried


class DeliveryQueue:
    """A queue of delivery requests; it can be closed (no more will come) and stopped (nothing is delivered now)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._work = Condition(self._lock)  # for delivery threads: a delivery request, or the end
        self._rest = Condition(self._lock)  # for who waits until nothing is left to do
        self._requests: deque[DeliveryRequest] = deque()
        self._behind: deque[DeliveryRequest] = deque()
        self._out = 0
        self._closed = False
        self._stopped = False

    def put(self, request: DeliveryRequest) -> int:
        """Add *request*; return how many wait."""
        with self._lock:
            (self._behind if request.tried is Tried.BROKE else self._requests).append(request)
            self._work.notify()
            return len(self._requests) + len(self._behind)

    def take(self) -> DeliveryRequest | None:
        """Wait for the next delivery request; None when there will be none."""
        with self._lock:
            self._out -= 1
            self._rest.notify_all()
            while not (self._requests or self._behind or self._closed or self._stopped):
                self._work.wait()
            self._out += 1
            if self._stopped or not (self._requests or self._behind):
                return None
            return (self._requests or self._behind).popleft()

    def poll(self) -> DeliveryRequest | None:
        """Return a delivery request that is there already, or None."""
        with self._lock:
            return self._requests.popleft() if self._requests and not self._stopped else None

    def give_back(self, request: DeliveryRequest) -> None:
        """Return a delivery request that another connection should carry, in front of the others."""
        with self._lock:
            (self._behind if request.tried is Tried.BROKE else self._requests).appendleft(request)
            self._work.notify()

    def put_behind(self, request: DeliveryRequest) -> None:
        """Return a delivery request that is to be carried when no other one waits."""
        with self._lock:
            self._behind.append(request)
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
        """Count a delivery thread in; it is busy until it asks for its first delivery request."""
        with self._lock:
            self._out += 1

    def leave(self) -> None:
        """Count a delivery thread out, whatever ended it."""
        with self._lock:
            self._out -= 1
            self._rest.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait at most *seconds* until nothing is left to do; say whether that is so."""
        with self._lock:
            return self._rest.wait_for(
                lambda: self._stopped or not (self._requests or self._behind or self._out), seconds
            )
