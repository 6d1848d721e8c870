"""What can happen to a message, as values, and what is known of it: the words of the journal. Pure."""

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

UID_KEPT = 200  # octets: a longer UID is known by its hash (RFC 1939 allows 70, real servers send more)
WORDS_KEPT = 1000  # octets of a receiver's reply that are kept per recipient
UID = "uid:"
HASHED = UID + "\N{HORIZONTAL ELLIPSIS}"  # no octet of a UID is this character

ACCEPTED, DEFERRED, REFUSED = "accepted", "owed", "refused"
# How a message stands with what its server may do with its UID; "" is: it is listed under it, and may be deleted.
ASKED, PROMISED, IGNORED = "asked", "promised", "ignored"  # DELE and QUIT went out; QUIT got +OK; it is there again
DOUBTED = "doubted"  # its reply may have been another message's: what is listed under its UID is looked at first
HUNG = "hung"  # the server broke off when its DELE was the only thing asked for
KEPT = "kept"  # what came may not have been all of it: it stays on the server whatever pf_keep says
UNSURE = b"caretaker  "  # among the recipients: others may be missing, for a line was damaged; nobody is called so
RecipientVerdict = tuple[str, bytes]  # one of the three, and the receiver's words


class Status(Enum):
    """What is known of a message."""

    TROUBLED = "t"  # sessions died at it; nothing else is known
    LEFT = "l"  # too large: it stays on the server and was reported
    SPOOLED = "s"
    DELIVERED = "d"
    DUD = "x"


SETTLED = (Status.DELIVERED, Status.DUD)


class Loss(NamedTuple):
    """How often the verdict on a message got lost after its final dot, and when last, seconds since the epoch."""

    number: int
    at: float


@dataclass(slots=True)
class Entry:
    """One message of an account, as far as the journal knows it; times in seconds since the epoch."""

    key: str
    status: Status = Status.TROUBLED
    sha: str = ""
    size: int = 0
    number: int = 0  # of the spool file, also when that is free again
    since: float = 0.0  # first spooled: pf_give_up counts from here
    settled: float = 0.0  # delivered, a dud, or left: pf_keep counts from here
    sender: bytes = b""
    recipients: dict[bytes, RecipientVerdict] = field(default_factory=dict)
    troubles: int = 0
    why: str = ""  # the last trouble
    vanished: float | None = None  # since when the server does not list it
    uid_kept: bytes = b""  # the beginning of a UID that the key does not tell
    lasting: bool = False  # its spool file was synced, and may be the only one that there is
    deletion: str = ""  # how it stands with its UID: one of the words above, or nothing was asked
    burial: int | None = None  # octets of duds.dat behind which it was to be written there
    content: tuple[bytes, ...] = ()  # of its recipients, those that were refused it for what it contains
    losses: dict[bytes, Loss] = field(default_factory=dict)  # of its recipients, those that may have it
    announced: int | None = None  # octets that LIST said; None: an older version fetched it
    header: str = ""  # the hash of its header, and that of all its octets, without the lines that servers write
    bare: str = ""  # (see likeness); "" if not known, or if there are no such lines
    fresh: bool = False  # it vanished, and no session since has looked at all that is listed: that may be it

    @property
    def uid(self) -> bytes:
        """The UID; of a very long one the beginning."""
        return self.key[len(UID) :].encode("latin-1", "replace") if tells_uid(self.key) else self.uid_kept

    @property
    def times(self) -> tuple[float, ...]:
        """All times that are noted of it, 0 for none."""
        return (self.since, self.settled, self.vanished or 0.0, *(loss.at for loss in self.losses.values()))


def tells_uid(key: str) -> bool:
    """Say whether *key* holds the whole UID."""
    return key.startswith(UID) and not key.startswith(HASHED)


Entries = dict[str, dict[str, Entry]]  # account -> key -> entry


class Spooled(NamedTuple):
    """The message lies whole in spool file *number*; without *announced* what was known of size and hashes stays."""

    account: str
    key: str
    number: int
    uid: bytes
    sha: str
    size: int
    at: float
    announced: int = -1
    header: str = ""
    bare: str = ""
    word: str = ""  # of Entry.deletion


class Verdicts(NamedTuple):
    """What the receiver said of these recipients; adds to what it said before."""

    account: str
    key: str
    sender: bytes
    recipients: dict[bytes, RecipientVerdict]
    at: float


class Delivered(NamedTuple):
    """Nobody is owed this message any more."""

    account: str
    key: str
    sha: str
    at: float


class Burying(NamedTuple):
    """It will be written to duds.dat behind the *length* octets that are there now; None: it was not after all."""

    account: str
    key: str
    length: int | None


class Dud(NamedTuple):
    """The message lies in duds.dat."""

    account: str
    key: str
    sha: str
    at: float


class Left(NamedTuple):
    """Too large: it stays on the server."""

    account: str
    key: str
    size: int
    at: float


class Lasting(NamedTuple):
    """These spool files were synced: from here on the server need not have their messages any more."""

    account: str
    files: tuple[int, ...]


class Deleting(NamedTuple):
    """How these stand with their UIDs (Entry.deletion); without *keys*: all whose deletion was asked."""

    account: str
    keys: tuple[str, ...]
    word: str


class Gone(NamedTuple):
    """Nothing need be known of these any more: whatever comes under their names is new."""

    account: str
    keys: tuple[str, ...]


class Trouble(NamedTuple):
    """A session died at this message."""

    account: str
    key: str
    why: str
    at: float


class Renamed(NamedTuple):
    """The server calls it something else now."""

    account: str
    old: str
    new: str


class Vanished(NamedTuple):
    """The server does not list it."""

    account: str
    key: str
    at: float


class Announced(NamedTuple):
    """The server lists these, which are known, with so many octets now."""

    account: str
    keys: tuple[str, ...]
    sizes: tuple[int, ...]


class Looked(NamedTuple):
    """A session has looked at all that is listed: what had vanished is not there under another UID."""

    account: str


class Seen(NamedTuple):
    """The server lists it again."""

    account: str
    key: str


class Adopted(NamedTuple):
    """The account is the one that was called *old*: what was known of that is known of this."""

    account: str
    old: str


class Stepped(NamedTuple):
    """The clock was set: the times noted of this account move (lib/store/clock.py, Shift)."""

    account: str
    began: float
    until: float
    by: float
    now: float


class Whole(NamedTuple):
    """All that is known of a message: what compaction writes."""

    account: str
    entry: Entry


class ContentRefused(NamedTuple):
    """To these it was refused for what it contains, or because it goes in circles; adds to those of before."""

    account: str
    key: str
    recipients: tuple[bytes, ...]


class Lost(NamedTuple):
    """The verdict on it got lost for these after the final dot, so often by now."""

    account: str
    key: str
    losses: dict[bytes, Loss]


class DudsInARow(NamedTuple):
    """So many duds in a row are there now that count for the safety net. Of no account."""

    duds: int
    account: str = ""


class Mark(NamedTuple):
    """All before this line was on disk when it was written."""

    account: str = ""


Fact = Spooled | Verdicts | Delivered | Burying | Dud | Left | Lasting | Deleting | Gone | Trouble
Record = (
    Fact
    | Renamed
    | Vanished
    | Looked
    | Seen
    | Announced
    | Adopted
    | Stepped
    | Whole
    | ContentRefused
    | Lost
    | DudsInARow
    | Mark
)


def uid_key(uid: bytes) -> str:
    """Return the name of the message with *uid*: any octets, any length."""
    if len(uid) > UID_KEPT:
        return HASHED + hashlib.sha256(uid).hexdigest()
    return UID + uid.decode("latin-1")


def sha_key(sha: str, ordinal: int) -> str:
    """Return the name of the *ordinal*-th message with this content, where no UID names it."""
    return f"sha256:{sha}.{ordinal}"


def finite(text: str) -> float:
    """Return a number as a clock may show it; ValueError for others, whatever their words are."""
    number = float(text)
    if number - number:  # also of what is not a number
        raise ValueError("not a number of seconds")
    return number
