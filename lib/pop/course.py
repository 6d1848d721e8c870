"""What a session is given, and what the sessions of one account in one pass hand on from one to the next."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from lib.delivery.queued import Receipts
from lib.pop.broken import Pace
from lib.pop.plan import Limits, Turn
from lib.report.outcome import Observer, Tally
from lib.store.journal import Journal
from lib.store.spool import Spool, Stored

TOLD = 10  # words of a server that are kept; it may refuse a million messages


class Desk(Protocol):
    """What a fetcher needs of the pass around it."""

    def hand_over(self, stored: Stored, key: str) -> None:
        """Take a spooled message to deliver; its fate comes by the post."""

    def halted(self) -> bool:
        """Say whether no further message is to be fetched: commit and leave."""

    def may_linger(self) -> bool:
        """Say whether the session may wait for verdicts; not over a line of ours."""

    def share(self, most: int) -> int:
        """Return how many of *most* messages this account may have in hand beside the others that are fetched."""

    def now(self) -> float:
        """Return seconds since the epoch."""


class Given(NamedTuple):
    """What every session of a pass uses; *label*: what logs call the account."""

    label: str
    journal: Journal
    spool: Spool
    post: Receipts
    desk: Desk
    observer: Observer
    tally: Tally
    limits: Limits


@dataclass(slots=True)
class Course:
    """How the sessions of one account went so far in this pass, and how the next one goes.

    *complaints* tell what could not be done, *remarks* what was not meant to be.
    """

    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    under_way: dict[str, int] = field(default_factory=dict)  # handed over, and not heard of: key → spool file
    tried: set[str] = field(default_factory=set)  # what need not be tried again in this pass: keys
    pace: Pace = Pace.AHEAD
    turn: Turn = Turn.NOW
    sizes_lie: bool = False  # what LIST announces was found to mean nothing
    stumbles: bool = False  # its server is to be asked one thing at a time in later passes as well
    unfinished: bool = False  # messages that should have been fetched were not
    more: bool = False  # some of them wait for a session of their own
    again: bool = False  # a session broke, but another one may do better

    def complain(self, words: str) -> None:
        """Tell once, TOLD things at most, what could not be done."""
        tell(self.complaints, words)

    def remark(self, words: str) -> None:
        """Tell once, TOLD things at most, what was not meant to be."""
        tell(self.remarks, words)


def tell(told: list[str], words: str) -> None:
    """Add *words* unless they stand there, or too much does."""
    if words not in told and len(told) < TOLD:
        told.append(words)
