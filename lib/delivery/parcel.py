"""A spooled message on its way: what it is, to whom it is owed, and how its fetcher hears what became of it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from threading import Condition
from typing import NamedTuple, Protocol

from lib.mail.message import Head


class Parcel(NamedTuple):
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
    opening: bytes  # what is sent in place of everything before head.end
    sender: bytes
    recipients: tuple[bytes, ...]  # all that it was routed to
    owed: tuple[bytes, ...]  # those that have not accepted or refused it
    since: float  # when it was first spooled, seconds since the epoch
    began: float  # when its download ended, on the monotonic clock
    fault: str = ""  # why it may go to nobody: a loop, no recipient
    counts: bool = True  # as a dud it is one of those in a row that trip the safety net
    unfiltered: bool = False  # routed by To, which may name strangers
    suspect: bool = False  # in an earlier pass the receiver broke off at it


@dataclass(slots=True)
class Errand:
    """One transaction's work: a parcel, or the caretaker's copy of it, and who is still to be asked."""

    parcel: Parcel
    sender: bytes
    recipients: tuple[bytes, ...]
    opening: bytes
    closing: bytes = b""
    to_caretaker: bool = False
    tries: int = 0

    @property
    def size(self) -> int:
        """About how many octets the receiver will be sent (RFC 1870 asks for no more)."""
        return len(self.opening) + self.parcel.size - self.parcel.head.end + len(self.closing)


class Cause(Enum):
    """What an answer was about; who was accepted needs none."""

    RECIPIENT = "recipient"
    SENDER = "sender"  # whatever sender it was offered with
    CONTENT = "content"  # refused at DATA or the final dot
    MESSAGE = "message"  # the receiver would not take it now, or broke off at it
    DOUBT = "doubt"  # no verdict came to the final dot: it may have been taken


class Answer(NamedTuple):
    """What was heard about one recipient."""

    status: str  # "accepted", "owed", "refused"
    words: bytes
    cause: Cause = Cause.RECIPIENT


class Result(NamedTuple):
    """What one transaction came to; unless it is *final*, others of the errand are still being asked."""

    errand: Errand
    answers: dict[bytes, Answer]
    final: bool


class Feed(Protocol):
    """Where couriers find their errands."""

    def take(self) -> Errand | None:
        """Wait for the next errand; None when no more will come, or none may be delivered."""

    def poll(self) -> Errand | None:
        """Return an errand that is there already, or None."""

    def give_back(self, errand: Errand) -> None:
        """Return an errand that another connection should carry, in front of the others."""


class Post:
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
