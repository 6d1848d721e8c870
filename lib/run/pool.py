"""The couriers of a pass: threads that each carry messages to the receiver, and the queue that they share.

One is started with the first message, further ones while many wait. One that is refused ends alone as long as another
one works; a message at which a bug of ours ends one stays in the spool, and blocks no other.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock, Thread

from lib.delivery.outbox import Outbox
from lib.delivery.parcel import Errand, Parcel, Result
from lib.delivery.settle import Clerk
from lib.errors import PopfetchError, ReceiverError, StoppedError
from lib.halt import Halt
from lib.report import log
from lib.run.affinity import Core
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health
from lib.smtp.session import Courier, Way

LOG = logging.getLogger("popfetch.batch")

# Connections to the receiver, and how many messages must wait for each before another one is opened.
COURIERS, BACKLOG = 4, 24
# Bugs that may each end a courier before the pass is ended: the messages that they happen at are left in the spool.
BUGS = 10


@dataclass(slots=True, eq=False, repr=False)
class Pool:
    """The couriers, and the Work that they find and tell of."""

    way: Way
    clerk: Clerk
    halt: Halt
    core: Core
    fail: Callable[[PopfetchError], None]  # ends the pass
    bug: Callable[[Exception], PopfetchError]  # writes down a traceback
    complain: Callable[[PopfetchError], None]
    health: Health = field(default_factory=Health)
    threads: list[Thread] = field(default_factory=list)
    _outbox: Outbox = field(default_factory=Outbox)
    _greeted: Courier | None = None
    _hired: int = 0
    _bugs: int = 0
    _lock: Lock = field(default_factory=Lock)

    def greet(self) -> None:
        """Open the first connection to the receiver; ReceiverError when it takes no mail now."""
        self._greeted = Courier(self.way, self.halt)
        self._greeted.open()

    def send(self, parcel: Parcel) -> None:
        """Give *parcel* to the couriers. SafetyNetError when it is a dud, and one too many."""
        waiting = [self._outbox.put(errand) for errand in self.clerk.first(parcel)]
        if waiting:
            self._hire(max(waiting))

    def settled(self, seconds: float) -> bool:
        """Wait at most *seconds* until nothing is left to do; say whether that is so."""
        return self._outbox.settle(seconds)

    def close(self) -> None:
        """No more will come; what is there is still delivered."""
        self._outbox.close()

    def stop(self) -> None:
        """Nothing more is to be delivered in this pass."""
        self._outbox.stop()

    def leave(self) -> None:
        """Close a connection that nobody used."""
        if self._greeted is not None:
            self._greeted.close()

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
        courier, self._greeted = self._greeted or Courier(self.way, self.halt), None
        self._hired += 1
        self.health.opens(courier)
        self._outbox.enter()
        return courier

    def _start(self, courier: Courier) -> None:
        thread = Thread(target=self._carry, args=(courier,), name=f"courier-{self._hired}", daemon=True)
        try:
            thread.start()
            self.threads.append(thread)
        except RuntimeError as error:  # no room for another one
            self.health.ended(courier)
            self._outbox.leave()
            if self.threads:
                LOG.warning("%s", log.line("courier", note="no thread for another one", why=str(error)))
            else:
                self.fail(ReceiverError(f"no thread can be started that delivers: {error}"))

    def _carry(self, courier: Courier) -> None:
        try:
            Deliver(courier, self.health, self).run()
        except StoppedError:
            pass  # what it had in hand is in the spool, and why it ended is told by the halt
        except ReceiverError as error:
            if self.health.down():
                self.fail(error)
            else:
                LOG.info("%s", log.line("courier", note="one connection fewer", words=str(error)))
        except PopfetchError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence of this thread
            self._survive(error)
        finally:
            self._outbox.leave()

    def _survive(self, error: Exception) -> None:
        """Go on without the message at which a bug of ours ended a courier, unless there are too many of them."""
        told = self.bug(error)
        with self._lock:
            self._bugs += 1
            courier = self._new() if self._bugs < BUGS else None
        if courier is None:
            self.fail(told)
        else:
            self.complain(told)
            self._start(courier)

    # --- Work: called by every courier ------------------------------------------------------------------------------

    def take(self) -> Errand | None:
        """See Work."""
        return self._outbox.take()

    def poll(self) -> Errand | None:
        """See Work."""
        return self._outbox.poll()

    def give_back(self, errand: Errand) -> None:
        """See Work."""
        self._outbox.give_back(errand)

    def put_behind(self, errand: Errand) -> None:
        """See Work."""
        self._outbox.put_behind(errand)

    @property
    def stopped(self) -> bool:
        """See Work."""
        return self._outbox.stopped

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
