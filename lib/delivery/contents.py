"""The octets of a queued message, from memory where it is small, else from the spool."""

from collections.abc import Iterable

from lib.delivery.queued import Parcel
from lib.store.spool import Spool

# Octets of a large message from which the caretaker's copy is made: its header, as far as that was scanned.
MAX_BEGINNING = 64 << 10


def whole(spool: Spool, parcel: Parcel) -> Iterable[bytes]:
    """Return the message as it was fetched. Raises StorageError."""
    return spool.chunks(parcel.number) if parcel.body is None else (parcel.body,)


def body(spool: Spool, parcel: Parcel) -> Iterable[bytes]:
    """Return it from the end of its header on. Raises StorageError."""
    end = parcel.head.end
    return spool.chunks(parcel.number, end) if parcel.body is None else (parcel.body[end:],)


def beginning(spool: Spool, parcel: Parcel) -> bytes:
    """Return all of it where it is small, else its header and a little more. Raises StorageError."""
    octets = b""
    for chunk in whole(spool, parcel):
        octets += chunk
        if len(octets) >= parcel.head.end and parcel.body is None:
            return octets[: max(parcel.head.end, MAX_BEGINNING)]
    return octets
