"""What all connections together know of the receiver: who works, what it would not take, what it cannot bear.

Thread-safe. Nothing here judges: the verdict table says what a failure means, given what is counted here.
"""

from threading import Lock
from typing import NamedTuple

from lib.delivery.queued import DeliveryRequest
from lib.smtp import verdict
from lib.smtp.verdict import Failure, Next, Then

# So many gists of replies are kept; a receiver that finds new words for everybody costs connections, no memory.
MOST_GISTS = 100
# So many connections that were used up after the same number of messages show where the receiver's limit is.
PROOFS = 2


class Learned(NamedTuple):
    """What a pass remembers of the receiver for the next one."""

    alone: bool = False  # it bears no envelope behind a final dot
    limit: int = 0  # messages that it takes over one connection; 0: no limit is known
    stopped: int = 0  # passes in a row that ended because it would not take several messages in a row


class Health:
    """The receiver as this pass sees it."""

    def __init__(self, learned: Learned = Learned()) -> None:  # noqa: B008 - a tuple
        self._lock = Lock()
        self._learned = learned
        self._alive: set[object] = set()  # connections that are open or being opened
        self._working: set[object] = set()  # those of them that were greeted
        self._row: set[tuple[str, str]] = set()  # messages that failed since one was taken
        self._proofs: dict[int, int] = {}
        self._probed = False
        self._advice = ""
        self._said_afresh: frozenset[bytes] = frozenset()
        self._down = self._told = self._passed = self._stopped = False

    # --- connections ------------------------------------------------------------------------------------------------

    def opens(self, connection: object) -> None:
        """Note that *connection* is being opened: until it is refused, the receiver is not down."""
        with self._lock:
            self._alive.add(connection)

    def works(self, connection: object) -> None:
        """Note that *connection* was opened: the receiver takes mail over it."""
        with self._lock:
            self._working.add(connection)

    def ended(self, connection: object) -> None:
        """Note that *connection* carries nothing any more, whatever the reason."""
        with self._lock:
            self._alive.discard(connection)
            self._working.discard(connection)

    def others(self, connection: object) -> bool:
        """Say whether another connection works; one that is being opened may be refused."""
        with self._lock:
            return bool(self._working - {connection})

    def down(self) -> bool:
        """Say, once, that the receiver is down; asked when a connection was refused: it is when no other one works."""
        with self._lock:
            down = (self._down or not self._alive) and not self._told
            self._told = self._told or down
            return down

    def condemn(self) -> None:
        """Note that the receiver takes nothing now, whoever still works."""
        with self._lock:
            self._down = True

    # --- messages ---------------------------------------------------------------------------------------------------

    @property
    def passed(self) -> bool:
        """Say whether a message was taken in this pass."""
        return self._passed

    def taken(self, request: DeliveryRequest, carried: int) -> None:
        """Note that a message was taken, the *carried*-th over its connection; that may prove a limit, or refute it."""
        if self._passed and not (self._row or request.used_up or self._learned.limit):
            return  # as with most of them
        with self._lock:
            self._passed = True
            if 0 < self._learned.limit < carried:
                self._learned, self._proofs = self._learned._replace(limit=0), {}
            self._row.clear()
            if request.used_up:
                proofs = self._proofs[request.used_up] = self._proofs.get(request.used_up, 0) + 1
                if proofs >= PROOFS:
                    self._learned = self._learned._replace(limit=request.used_up)

    def failed(self, request: DeliveryRequest, then: Then, *, fresh: bool, slow: bool, advice: str = "") -> Next:
        """Note that a message was not taken now, and return what becomes of it; *advice* names a setting that may help.

        A receiver that was silent (*slow*) is not given more chances because the pass before gave it few.
        """
        key = request.queued.account, request.queued.key
        with self._lock:
            self._advice = self._advice or advice
            enough = verdict.ENOUGH if slow else verdict.enough(self._learned.stopped)
            failure = Failure(then, request.tried, fresh, len(self._row - {key}), enough)
            found = verdict.weigh(failure)
            if verdict.counts(failure):
                self._row.add(key)
            if found is Next.STOPS:
                self._down = self._stopped = True
            return found

    @property
    def in_a_row(self) -> int:
        """How many messages have failed since one was taken."""
        return len(self._row)

    @property
    def advice(self) -> str:
        """What to tell of a receiver that took nothing in this pass and yet is not known to be down, "" for nothing."""
        return "" if self._passed or self._down else self._advice

    # --- what is said of messages and not of connections -------------------------------------------------------------

    @property
    def said_afresh(self) -> frozenset[bytes]:
        """See Past."""
        return self._said_afresh

    def heard_afresh(self, gists: set[bytes]) -> None:
        """Note what the first message of a connection was told."""
        with self._lock:
            if len(self._said_afresh) < MOST_GISTS:
                self._said_afresh |= gists

    # --- what it cannot bear ----------------------------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """Say whether nothing may be sent behind a final dot before it is answered."""
        return self._learned.alone

    def stumbled(self) -> None:
        """Note that it lost its step at an envelope that came with a final dot."""
        with self._lock:
            self._learned = self._learned._replace(alone=True)

    def limit(self) -> int:
        """Return how many messages a connection that is opened now may carry, 0 for no limit.

        The first one of a pass shows whether a limit that was remembered still holds.
        """
        with self._lock:
            probed, self._probed = self._probed, True
            return self._learned.limit if probed else 0

    @property
    def learned(self) -> Learned:
        """What to remember after this pass."""
        before = self._learned.stopped
        return self._learned._replace(stopped=before + 1 if self._stopped else 0 if self._passed else before)
