"""The couriers of a pass: threads that each carry messages to the receiver, and the queue that they share.

One is started with the first message, further ones while many wait. One that is refused ends alone as long as another
one works; a message at which a bug of ours ends one stays in the spool, and blocks no other.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock, Thread

from lib.delivery.queued import Errand, Parcel, Result
from lib.delivery.settle import Clerk
from lib.errors import PopfetchError, ReceiverError, SafetyNetError, StoppedError, ThreadError
from lib.report import log
from lib.run.affinity import Core
from lib.run.ending import Ending
from lib.run.threads import started
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health
from lib.smtp.session import Courier, Way

LOG = logging.getLogger("popfetch.batch")

# Connections to the receiver, and how many messages must wait for each before another one is opened.
COURIERS, BACKLOG = 4, 24
# Bugs that may each end a courier before the pass is ended: the messages that they happen at are left in the spool.
BUGS = 10
TICK = 0.2


@dataclass(slots=True, eq=False, repr=False)
class Pool:
    """The couriers, and the Work that they find and tell of."""

    way: Way
    clerk: Clerk
    ending: Ending
    core: Core
    health: Health = field(default_factory=Health)
    _threads: list[Thread] = field(default_factory=list)
    _greeted: Courier | None = None
    _hired: int = 0
    _bugs: int = 0
    _lock: Lock = field(default_factory=Lock)

    def greet(self) -> None:
        """Open the first connection to the receiver; ReceiverError when it takes no mail now, StoppedError."""
        self._greeted = Courier(self.way, self.ending.halt)
        self._greeted.open()

    def send(self, parcel: Parcel) -> None:
        """Give *parcel* to the couriers; one that is for nobody goes to the duds, and may be one too many."""
        try:
            waiting = [self.ending.outbox.put(errand) for errand in self.clerk.first(parcel)]
        except SafetyNetError as error:
            self.ending.fail(error)
            return
        if waiting and not self.ending.halt.halted:
            self._hire(max(waiting))

    def settle(self) -> None:
        """Wait until all is carried, or the pass is halted."""
        while not self.ending.outbox.settle(TICK) and not self.ending.halt.halted:
            self.ending.look()

    def finish(self) -> None:
        """Deliver what is left, end the couriers; those that wait for a verdict hear it, as far as the halt allows."""
        self.settle()
        self.ending.outbox.close()
        if self.ending.halt.halted:
            self.ending.outbox.stop()
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
        """Start a courier if there is none, or too few for so many messages that wait."""
        with self._lock:
            hired = self._hired
            if hired and (hired >= COURIERS or waiting <= BACKLOG * hired):
                return
            courier = self._new()
        self._start(courier)

    def _new(self) -> Courier:
        courier, self._greeted = self._greeted or Courier(self.way, self.ending.halt), None
        self._hired += 1
        self.health.opens(courier)
        self.ending.outbox.enter()
        return courier

    def _start(self, courier: Courier) -> None:
        try:
            self._threads.append(started(self._carry, courier, name=f"courier-{self._hired}"))
        except ThreadError as error:
            self.health.ended(courier)
            self.ending.outbox.leave()
            if any(thread.is_alive() for thread in self._threads):
                LOG.warning("%s", log.line("courier", note="no thread for another one", why=str(error)))
            else:
                self.ending.fail(error)

    def _carry(self, courier: Courier) -> None:
        try:
            Deliver(courier, self.health, self).run()
        except StoppedError:
            pass  # what it had in hand is in the spool, and why it ended is told by the halt
        except ReceiverError as error:
            if self.health.down():
                self.ending.fail(error)
            else:
                LOG.info("%s", log.line("courier", note="one connection fewer", words=str(error)))
        except PopfetchError as error:
            self.ending.fail(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            self._survive(error)
        finally:
            self.ending.outbox.leave()

    def _survive(self, error: Exception) -> None:
        """Go on without the message at which a bug of ours ended a courier, unless there are too many of them."""
        told = self.ending.bug(error)
        with self._lock:
            self._bugs += 1
            courier = self._new() if self._bugs < BUGS else None
        if courier is None:
            self.ending.fail(told)
        else:
            self.ending.complaints.append(told)
            self._start(courier)

    # --- Work: called by every courier ------------------------------------------------------------------------------

    def take(self) -> Errand | None:
        """See Work."""
        return self.ending.outbox.take()

    def poll(self) -> Errand | None:
        """See Work."""
        return self.ending.outbox.poll()

    def give_back(self, errand: Errand) -> None:
        """See Work."""
        self.ending.outbox.give_back(errand)

    def put_behind(self, errand: Errand) -> None:
        """See Work."""
        self.ending.outbox.put_behind(errand)

    @property
    def stopped(self) -> bool:
        """See Work."""
        return self.ending.outbox.stopped

    def body(self, parcel: Parcel) -> Iterator[bytes]:
        """See Work."""
        self.core.stay(parcel.body is not None)
        if parcel.body is not None:
            return iter((parcel.body[parcel.head.end :],))
        return self.clerk.spool.chunks(parcel.number, parcel.head.end)

    def heard(self, result: Result) -> Iterable[Errand]:
        """See Work."""
        return self.clerk.consider(result)

    def broke(self, parcel: Parcel, why: str) -> None:
        """See Work."""
        self.clerk.blame(parcel, why)
