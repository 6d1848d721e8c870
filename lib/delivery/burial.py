"""A message of the spool goes into duds.dat, so that a killed pass is told by the journal where to look for it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from lib.delivery import contents
from lib.delivery.fate import Fate
from lib.delivery.queued import QueuedMessage
from lib.errors import StorageError
from lib.mail.message import Canon
from lib.store.duds import Duds
from lib.store.journal import Journal
from lib.store.journal_facts import Burying
from lib.store.spool import Spool


class Burial(NamedTuple):
    """Writes duds. One at a time: the caller sees to that."""

    journal: Journal
    spool: Spool
    duds: Duds

    def write(self, queued: QueuedMessage, ends: Fate, reasons: Sequence[bytes], now: float) -> None:
        """Write a dud for who refused it, fsynced; that it is settled is still to be noted. Raises StorageError."""
        length = self.duds.length()
        self.journal.note(Burying(queued.account, queued.key, length))
        self.journal.sync()
        whom = [who for who, _ in ends.refused]
        told = (datetime.fromtimestamp(now, UTC), queued.account, queued.uid, queued.sender, whom, reasons)
        try:
            self.duds.append(*told, self._mended(queued), ends.accepted)
        except StorageError:
            if self.duds.length() == length:
                self.journal.note(Burying(queued.account, queued.key, None))
            raise

    def _mended(self, queued: QueuedMessage) -> Iterator[bytes]:
        """Yield the message with its line ends made right."""
        canon = Canon()
        yield from map(canon.feed, contents.whole(self.spool, queued))
        yield canon.finish()
