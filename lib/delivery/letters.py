"""Mails of our own: each goes into the spool, once, and is from then on delivered, deferred or refused like any other.

A letter's name tells what it is about. Whoever is killed between writing it and doing what it tells of writes it again
under the same name, and the journal knows it.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from lib.delivery.envelope import CARE, PLAIN, Moment, Origin, envelope
from lib.delivery.queued import QueuedMessage
from lib.mail import message
from lib.report.notice import Letterhead, Matter
from lib.store.journal import Journal
from lib.store.journal_facts import Gone, Lasting, Spooled, Vanished, uid_key
from lib.store.spool import Spool


def matter(queued: QueuedMessage, octets: bytes, whom: Sequence[bytes], reasons: Sequence[bytes]) -> Matter:
    """Return what a letter tells of a message that begins with *octets*: whom it is about, and why."""
    fields = message.scan(octets).fields
    subject = next((field.value for field in fields if field.name == b"subject"), b"")
    return Matter(queued.label, queued.sender, whom, subject, reasons)


def name(kind: str, queued: QueuedMessage) -> bytes:
    """Return the name of the letter of that *kind* about a message."""
    return f"{kind} {queued.account} {queued.key} {queued.sha}".encode(errors="surrogatepass")


class Letters(NamedTuple):
    """Writes letters into *spool* and journal; *origin* routes them.

    *command* is what they tell people to type, *sender* from whom they are, *host* what this machine calls itself.
    """

    spool: Spool
    journal: Journal
    origin: Callable[[str], Origin]
    command: str
    sender: str
    host: str

    def put(self, account: str, name: bytes, mail: bytes, now: float) -> QueuedMessage | None:
        """Put *mail* into the spool as one of the pseudo-account *account*; None if *name* was written before.

        Raises StorageError.
        """
        uid = hashlib.sha256(name).hexdigest().encode()
        key = uid_key(uid)
        if key in self.journal.of(account):
            return None
        incoming = self.spool.receive(account, uid, len(mail))
        incoming.write(mail)
        stored = incoming.finish()
        # On no server: it must survive a power cut by itself, and once it is delivered, compaction forgets it in time.
        self.spool.sync([stored.number])
        self.journal.note(
            Spooled(account, key, stored.number, uid, stored.sha, stored.size, now),
            Lasting(account, (stored.number,)),
            Vanished(account, key, now),
        )
        self.journal.flush()
        return envelope(stored, key, self.origin(account), None, Moment(now, time.monotonic()))

    def to_caretaker(
        self, to: bytes, name: bytes, write: Callable[[Letterhead], bytes], now: float, *, plain: bool = False
    ) -> QueuedMessage | None:
        """Put what *write* makes of a Post into the spool for the caretaker; None if *name* was written before.

        A *plain* one holds no word of a stranger.
        """
        host, when = self.host, datetime.fromtimestamp(now, UTC)
        known = f"<{hashlib.sha256(name).hexdigest()[:32]}.popfetch@{host}>"
        head = Letterhead(self.sender, to.decode("utf-8", "replace"), when, known, self.command)
        return self.put(PLAIN if plain else CARE, name, write(head), now)

    def take_back(self, queued: QueuedMessage) -> None:
        """Let a letter not have been written: what it tells of did not come to pass. Raises StorageError."""
        self.journal.note(Gone(queued.account, (queued.key,)))
        self.journal.flush()
        self.spool.free(queued.number)
