"""How a pass ends before its time: who may end it, who hears of that, and what is complained of.

One halt ends all: no further message is fetched, what is settled is deleted, the rest lies fsynced in the spool.
Whoever waits notices by himself (lib.halt); here they are only told to look sooner.
"""

import logging
import math
import time
from dataclasses import dataclass, field
from threading import Event

from lib.delivery.queue import DeliveryQueue
from lib.delivery.queued import Receipts
from lib.errors import PopfetchError, StorageError
from lib.halt import GRACE, Halt
from lib.report import log
from lib.store.journal import Journal

LOG = logging.getLogger("popfetch.batch")

# How often the journal is synced meanwhile: what a power cut can make arrive twice, in seconds.
SYNC_SECONDS = 1.0


@dataclass(slots=True, eq=False, repr=False)
class Ending:
    """What ends a pass early; any thread may call it."""

    halt: Halt
    queue: DeliveryQueue
    journal: Journal
    complaints: list[PopfetchError] = field(default_factory=list)
    receipts: dict[str, Receipts] = field(default_factory=dict)  # of the fetchers, by account
    changed: Event = field(default_factory=Event)  # something that the first thread should look at
    _synced: float = 0.0

    def fail(self, error: PopfetchError) -> None:
        """Halt for a reason that concerns no account: the receiver, the disk, the safety net, the machine."""
        self.complaints.append(error)
        LOG.error("%s", log.line("halt", why=str(error)))
        self.queue.stop()
        # Where nothing can be written down, a verdict is of no use.
        self.halt.halt(None, hearing=GRACE if isinstance(error, StorageError) else math.inf)
        self.wake()

    def bug(self, error: Exception) -> PopfetchError:
        """Log the traceback of a bug of ours; return what is to be said of it."""
        log.bug(error)
        return PopfetchError(f"a bug of this program ({type(error).__name__}): its traceback is in popfetch.log")

    def look(self) -> None:
        """Notice a signal or a limit, keep the journal on disk; for the first thread, a few times a second."""
        if self.halt.begun():
            self.wake()
        if self.halt.signals.came():
            self.queue.stop()
        now = time.monotonic()
        if now - self._synced >= SYNC_SECONDS:
            self._synced = now
            try:
                self.journal.sync()
            except PopfetchError as error:  # the others have to end first, each by himself
                self.fail(error)

    def wake(self) -> None:
        """Have everybody look whether the pass is halted."""
        for one in list(self.receipts.values()):
            one.nudge()
        self.changed.set()
