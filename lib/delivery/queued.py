"""A spooled message on its way: what it is, to whom it is owed, and how its fetcher hears what became of it."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from itertools import chain
from threading import Condition
from typing import NamedTuple, Protocol

from lib.mail.message import Canon, Head
from lib.mail.received import Trace
from lib.store import journal_facts

# What becomes of a recipient: the words of the journal, from the reply to the disk.
ACCEPTED, DEFERRED, REFUSED = journal_facts.ACCEPTED, journal_facts.DEFERRED, journal_facts.REFUSED


class Tried(IntEnum):
    """What became of earlier attempts at a message: those with the higher number are tried later."""

    NEVER = 0
    PUT_OFF = 1  # somebody is still owed it
    BROKE = 2  # a connection broke at it


class QueuedMessage(NamedTuple):
    """One message in the spool, and what the receiver must be told to take it."""

    account: str  # Account.id
    label: str  # what logs call the account
    key: str  # its name in the journal
    uid: bytes
    number: int  # of its spool file
    size: int
    sha: str
    eightbit: bool
    clean: bool
    body: bytes | None  # the whole message where it is small; else it is read from the spool
    head: Head
    opening: bytes  # what is sent in place of everything before head.end; it begins with
    traced: int  # so many octets of our Received field,
    trace: Trace  # which tells this
    sender: bytes
    recipients: tuple[bytes, ...]  # all that it was routed to
    deferred: tuple[bytes, ...]  # those that have not accepted or refused it
    since: float  # when it was first spooled, seconds since the epoch
    began: float  # when its download ended, on the monotonic clock
    fault: str = ""  # why it can go to nobody: no recipient
    circles: str = ""  # why it goes in circles, if it does
    spent: bool = False  # it does, and the caretaker was sent it before
    unfiltered: bool = False  # routed by To, which may name strangers
    tried: Tried = Tried.NEVER  # in earlier passes


MAX_RECIPIENTS = 100
"""Recipients of a transaction: RFC 5321 §4.5.3.1.8 lets every server take so many."""


@dataclass(slots=True)
class DeliveryRequest:
    """What is still to be done for a message, or for the caretaker's copy of it: who is to be asked, and how."""

    queued: QueuedMessage
    sender: bytes
    recipients: tuple[bytes, ...]
    opening: bytes
    closing: bytes = b""
    to_caretaker: bool = False
    most: int = MAX_RECIPIENTS  # that the receiver bears in one transaction
    senders: tuple[bytes, ...] | None = None  # still to be tried after this one; None: it is the first
    # Of the first sender: they hold if no other helps.
    refusals: "dict[bytes, RecipientStatus]" = field(default_factory=dict)
    broke: bool = False  # a connection broke at it in this pass
    turned_away: bool = False  # a further connection was closed before it was heard
    used_up: int = 0  # messages that a connection had taken which took it no more
    mended: int | None = None  # octets of all of it with its line ends mended, where they must be

    @property
    def size(self) -> int:
        """How many octets the receiver will be sent, doubled dots and the final one left out (RFC 1870 section 3)."""
        if self.mended is not None:
            return self.mended
        return len(self.opening) + self.queued.size - self.queued.head.end + len(self.closing)

    def measured(self, body: Iterable[bytes]) -> "DeliveryRequest":
        """Return it with its exact size; *body*, from the end of the header on, is read where line ends are mended."""
        if self.queued.clean:
            return self
        canon = Canon()
        parts = chain((self.opening,), body, (self.closing,))
        return replace(self, mended=sum(len(canon.feed(part)) for part in parts) + len(canon.finish()))

    @property
    def tried(self) -> Tried:
        """What became of earlier attempts, in this pass as well."""
        return Tried.BROKE if self.broke else self.queued.tried


class Cause(Enum):
    """What an answer was about; who was accepted needs none."""

    RECIPIENT = "recipient"
    SENDER = "sender"  # whatever sender it was offered with
    CONTENT = "content"  # refused at DATA or the final dot
    MESSAGE = "message"  # the receiver would not take it now, or broke off at it
    DOUBT = "doubt"  # no verdict came to the final dot: it may have been taken


class RecipientStatus(NamedTuple):
    """What was heard about one recipient."""

    status: str  # ACCEPTED, DEFERRED or REFUSED
    text: bytes
    cause: Cause = Cause.RECIPIENT


class DeliveryAttempt(NamedTuple):
    """What one attempt came to: each recipient of the request has a status, or is *left* to be asked again."""

    request: DeliveryRequest
    answers: dict[bytes, RecipientStatus]
    left: tuple[bytes, ...] = ()

    @property
    def final(self) -> bool:
        """Say whether the message is decided, for this pass."""
        return not self.left


class Work(Protocol):
    """Where delivery threads find requests, and whom they tell what came of them. Any thread may call anything."""

    def take(self) -> DeliveryRequest | None:
        """Wait for the next delivery request; None when no more will come, or none may be delivered."""

    def poll(self) -> DeliveryRequest | None:
        """Return a delivery request that is there already, or None."""

    def give_back(self, request: DeliveryRequest) -> None:
        """Return a delivery request that another connection should carry, in front of the others."""

    def put_behind(self, request: DeliveryRequest) -> None:
        """Return a delivery request that is to be carried when no other one waits."""

    @property
    def stopped(self) -> bool:
        """Say whether nothing more is to be delivered in this pass."""

    def body(self, queued: QueuedMessage) -> Iterator[bytes]:
        """Return the message from the end of its header on."""

    def heard(self, result: DeliveryAttempt) -> Iterable[DeliveryRequest]:
        """Write down what was heard; return what follows from it at once, such as the caretaker's copy."""

    def broke(self, queued: QueuedMessage, why: str) -> None:
        """Remember that a connection broke at *queued*: it goes last from now on."""


class Receipts:
    """How a fetcher hears what became of the messages that it handed over; any thread may put, one takes."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._news: deque[tuple[str, bool]] = deque()
        self._nudged = False
        self._awaited = 0  # so many news does somebody wait for, if for any

    def put(self, key: str, *, settled: bool) -> None:
        """Tell that the message *key* is settled, or (*settled* false) that it stays in the spool for now."""
        self._news.append((key, settled))
        # Said before the news are looked at: whoever does not see this sees the news.
        if 0 < self._awaited <= len(self._news):
            with self._changed:
                self._changed.notify()

    def nudge(self) -> None:
        """Wake the fetcher, now or when it is about to wait: something else changed that it should look at."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def wait(self, seconds: float, enough: int = 1) -> None:
        """Wait until there are *enough* news, or a nudge, at most *seconds*."""
        with self._changed:
            self._awaited = max(enough, 1)
            if len(self._news) < self._awaited and not self._nudged:
                self._changed.wait(seconds)
            self._awaited, self._nudged = 0, False

    def take(self) -> Iterator[tuple[str, bool]]:
        """Yield the news so far, oldest first."""
        while self._news:
            yield self._news.popleft()
