"""What a session is given, and what the sessions of one account in one pass hand on from one to the next."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from lib.delivery.queued import Receipts
from lib.halt import Halt
from lib.pop.broken import Pace
from lib.pop.plan import Rules, Turn
from lib.report.outcome import Observer, Tally
from lib.store.journal import Journal
from lib.store.spool import Spool, Stored

TOLD = 10  # words of a server that are kept; it may refuse a million messages


class Limits(NamedTuple):
    """What one session of many may take: pf_window, pf_smtp_timeout in seconds, and its share of what is in hand."""

    window: int
    patience: float
    in_hand: Callable[[], int]  # messages, at this moment
    may_linger: bool  # wait for verdicts; not over a line of ours


class Given(NamedTuple):
    """What every session of a pass uses; *label*: what logs call the account.

    *intake* takes a spooled message and its key, to be delivered; what becomes of it comes by *receipts*.
    *halt* says when no further message is to be fetched; *now* returns seconds since the epoch.
    """

    label: str
    journal: Journal
    spool: Spool
    receipts: Receipts
    intake: Callable[[Stored, str], None]
    halt: Halt
    now: Callable[[], float]
    observer: Observer
    tally: Tally
    rules: Rules
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
    counts: str = ""  # how LIST counts, where that was seen to hold
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
