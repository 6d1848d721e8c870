"""The delivery threads of a pass: threads that each carry messages to the receiver, and the queue that they share.

One is started with the first message, further ones while many wait. One that is refused ends alone as long as another
one works; a message at which a bug of ours ends one stays in the spool, and blocks no other.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock, Thread

from lib.delivery.queued import DeliveryAttempt, DeliveryRequest, QueuedMessage
from lib.delivery.settle import Settlement
from lib.errors import PopfetchError, ReceiverError, SafetyNetError, StoppedError, ThreadError
from lib.report import log
from lib.run.affinity import Core
from lib.run.ending import Ending
from lib.run.threads import started
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health
from lib.smtp.session import Receiver, Session

LOG = logging.getLogger("popfetch.batch")

# Connections to the receiver, and how many messages must wait for each before another one is opened.
CONNECTIONS, BACKLOG = 4, 24
# Bugs that may each end a delivery thread before the pass is ended: their messages are left in the spool.
BUGS = 10
TICK = 0.2


@dataclass(slots=True, eq=False, repr=False)
class Pool:
    """The delivery threads, and the Work that they find and tell of."""

    way: Receiver
    settlement: Settlement
    ending: Ending
    core: Core
    health: Health = field(default_factory=Health)
    _threads: list[Thread] = field(default_factory=list)
    _greeted: Session | None = None
    _hired: int = 0
    _bugs: int = 0
    _lock: Lock = field(default_factory=Lock)

    def greet(self) -> None:
        """Open the first connection to the receiver; ReceiverError when it takes no mail now, StoppedError."""
        self._greeted = Session(self.way, self.ending.halt)
        self._greeted.open()

    def send(self, queued: QueuedMessage) -> None:
        """Give *queued* to the delivery threads; one that is for nobody goes to the duds, and may be one too many."""
        try:
            waiting = [self.ending.queue.put(request) for request in self.settlement.first(queued)]
        except SafetyNetError as error:
            self.ending.fail(error)
            return
        if waiting and not self.ending.halt.halted:
            self._hire(max(waiting))

    def settle(self) -> None:
        """Wait until all is carried, or the pass is halted."""
        while not self.ending.queue.settle(TICK) and not self.ending.halt.halted:
            self.ending.look()

    def finish(self) -> None:
        """Deliver what is left, end the threads; those that wait for a verdict hear it, as far as the halt allows."""
        self.settle()
        self.ending.queue.close()
        if self.ending.halt.halted:
            self.ending.queue.stop()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(TICK)
                self.ending.look()
        if self._greeted is not None:
            self._greeted.close()
        if self.health.advice and not self.ending.halt.halted:
            self.ending.complaints.append(ReceiverError(self.health.advice))

    # --- the threads ------------------------------------------------------------------------------------------------

    def _hire(self, waiting: int) -> None:
        """Start a delivery thread if there is none, or too few for so many messages that wait."""
        with self._lock:
            hired = self._hired
            if hired and (hired >= CONNECTIONS or waiting <= BACKLOG * hired):
                return
            session = self._new()
        self._start(session)

    def _new(self) -> Session:
        session, self._greeted = self._greeted or Session(self.way, self.ending.halt), None
        self._hired += 1
        self.health.opens(session)
        self.ending.queue.enter()
        return session

    def _start(self, session: Session) -> None:
        try:
            self._threads.append(started(self._carry, session, name=f"delivery-{self._hired}"))
        except ThreadError as error:
            self.health.ended(session)
            self.ending.queue.leave()
            if any(thread.is_alive() for thread in self._threads):
                LOG.warning("%s", log.line("delivery", note="no thread for another one", why=str(error)))
            else:
                self.ending.fail(error)

    def _carry(self, session: Session) -> None:
        try:
            Deliver(session, self.health, self).run()
        except StoppedError:
            pass  # what it had in hand is in the spool, and why it ended is told by the halt
        except ReceiverError as error:
            if self.health.down():
                self.ending.fail(error)
            else:
                LOG.info("%s", log.line("delivery", note="one connection fewer", words=str(error)))
        except PopfetchError as error:
            self.ending.fail(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            self._survive(error)
        finally:
            self.ending.queue.leave()

    def _survive(self, error: Exception) -> None:
        """Go on without the message at which a bug of ours ended a thread, unless there are too many of them."""
        told = self.ending.bug(error)
        with self._lock:
            self._bugs += 1
            session = self._new() if self._bugs < BUGS else None
        if session is None:
            self.ending.fail(told)
        else:
            self.ending.complaints.append(told)
            self._start(session)

    # --- Work: called by every delivery thread ----------------------------------------------------------------------

    def take(self) -> DeliveryRequest | None:
        """See Work."""
        return self.ending.queue.take()

    def poll(self) -> DeliveryRequest | None:
        """See Work."""
        return self.ending.queue.poll()

    def give_back(self, request: DeliveryRequest) -> None:
        """See Work."""
        self.ending.queue.give_back(request)

    def put_behind(self, request: DeliveryRequest) -> None:
        """See Work."""
        self.ending.queue.put_behind(request)

    @property
    def stopped(self) -> bool:
        """See Work."""
        return self.ending.queue.stopped

    def body(self, queued: QueuedMessage) -> Iterator[bytes]:
        """See Work."""
        self.core.stay(queued.body is not None)
        if queued.body is not None:
            return iter((queued.body[queued.head.end :],))
        return self.settlement.spool.chunks(queued.number, queued.head.end)

    def heard(self, result: DeliveryAttempt) -> Iterable[DeliveryRequest]:
        """See Work."""
        return self.settlement.consider(result)

    def broke(self, queued: QueuedMessage, why: str) -> None:
        """See Work."""
        self.settlement.blame(queued, why)
