"""The octets of a queued message, from memory where it is small, else from the spool."""

from collections.abc import Iterable

from lib.delivery.queued import QueuedMessage
from lib.store.spool import Spool

# Octets of a large message from which the caretaker's copy is made: its header, as far as that was scanned.
MAX_BEGINNING = 64 << 10


def whole(spool: Spool, queued: QueuedMessage) -> Iterable[bytes]:
    """Return the message as it was fetched. Raises StorageError."""
    return spool.chunks(queued.number) if queued.body is None else (queued.body,)


def body(spool: Spool, queued: QueuedMessage) -> Iterable[bytes]:
    """Return it from the end of its header on. Raises StorageError."""
    end = queued.head.end
    return spool.chunks(queued.number, end) if queued.body is None else (queued.body[end:],)


def beginning(spool: Spool, queued: QueuedMessage) -> bytes:
    """Return all of it where it is small, else its header and a little more. Raises StorageError."""
    octets = b""
    for chunk in whole(spool, queued):
        octets += chunk
        if len(octets) >= queued.head.end and queued.body is None:
            return octets[: max(queued.head.end, MAX_BEGINNING)]
    return octets
