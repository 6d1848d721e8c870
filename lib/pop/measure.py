"""Whether a reply belongs to the command that it is booked under: what LIST announced, weighed against what came. Pure.

Replies carry no name. One that does not end as it should, that a scanner swallowed, or that came twice, books every
later one under another message's UID. What tells is the size: a server that counts rightly, or wrongly in the same way
each time, sends a body of the size that it announced for this message, and for no other one that is on its way.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

KILO = 1024
# Bodies in a row of exactly the announced size after which a server that was found to lie is believed again.
REFORMED = 20
# Status lines (RFC 1939 section 3). No message begins with one, unless it has exactly the announced size.
STATUS_LINES = (b"+OK", b"-ERR")
LONGEST_STATUS = 512


class Place(Enum):
    """What speaks for a body's being that of the message it is booked under."""

    SURE = "it has the announced size, and nothing else that is on its way has"
    LIKELY = "it has the announced size, but so has another one"
    HELD = "nothing tells, until nothing is owed"
    TWIN = "it has the octets of the one before it: another one like it, or a reply that came twice"
    AGAINST = "it has the size of another one, or no right one although the others have, or begins with a status line"


class Came(NamedTuple):
    """A body: octets announced (0 = unknown) and come, its beginning, its hash, and how to have its octets in pieces.

    *alone*: no other message was asked for. *only*: none on its way, nor the last, is announced with the same size.
    *elsewhere*: one of those is announced with the size that came.
    """

    announced: int
    size: int
    beginning: bytes
    sha: str
    octets: Callable[[], Iterable[bytes]]
    alone: bool = False
    only: bool = True
    elsewhere: bool = False


class SizeJudgement(NamedTuple):
    """What is said of a body, and the way in which a server counts that announced it like this ("" for none)."""

    place: Place
    way: str


EXACT, ONE_A_LINE_END, ENDED = "exact", "a line end is one octet", "a last line is ended"
# No accident makes just as many octets too many as there are lines, or two where no other message has that size.
EVIDENT = {ONE_A_LINE_END, ENDED}


class Measure:
    """How one server counts, learned from its bodies; *lies*: it was found not to count at all.

    *counts*: the way that held in earlier sessions. *exact*: every body so far had exactly the announced size. *odd*:
    one since the last certainty fits no way of counting. *twin*: one since then has the octets of the one before it.
    """

    def __init__(self, counts: str = "", *, lies: bool = False) -> None:
        self.counts = counts
        self.lies = lies
        self.exact = True
        self.odd = False
        self.twin = False
        self._known = {counts} - {""}  # the ways of counting that were seen to hold
        self._row = 0  # bodies in a row that had exactly the announced size
        self._guess = ("", 0)  # in which way the last odd body differed, and what was announced for it
        self._last = ""  # the hash of the last body

    @property
    def knows(self) -> bool:
        """Say whether the sizes are known to mean something."""
        return bool(self._known) and not self.lies

    def judge(self, came: Came) -> SizeJudgement:
        """Weigh the next body of the session."""
        again, self._last = came.sha == self._last, came.sha
        way = _way(came)
        self.exact = self.exact and way == EXACT
        self._row = self._row + 1 if way == EXACT else 0
        self.lies = self.lies and self._row < REFORMED
        return SizeJudgement(self._place(came, way, again=again), way)

    def _place(self, came: Came, way: str, *, again: bool) -> Place:
        if not (came.size or came.announced):
            return Place.HELD  # it may be that of a server that counts in kilobytes: it speaks against nothing
        fits = way == EXACT or way in self._known
        if self._speaks_against(came, way, again=again and not fits):
            return Place.AGAINST
        if again and not came.alone:
            self.twin = True
            return Place.TWIN
        if not fits:
            return self._strange(way, came)
        self._learn(way)
        return Place.SURE if came.only else Place.LIKELY

    def _speaks_against(self, came: Came, way: str, *, again: bool) -> bool:
        """Say whether a body cannot be that of its message; *again*: it came before, and does not fit."""
        if way == EXACT:  # so the sizes are right, and an earlier one that was odd is not
            return self.odd and not (came.alone or self.lies)
        if _is_status(came.beginning) or (again and self.knows):
            return True
        if came.alone:
            return False
        fits = way in self._known
        if came.elsewhere and not (fits or self.lies):
            return True
        return way not in EVIDENT and ((self.knows and not fits) or _holds_a_status(came))

    def _learn(self, way: str) -> None:
        self._known.add(way)
        self.counts = way

    def _strange(self, way: str, came: Came) -> Place:
        """Weigh a body that differs as none before it did."""
        if way in EVIDENT:
            if way != ENDED:
                self._learn(way)
            return Place.LIKELY
        guess, announced = self._guess
        # The same difference twice, at two different sizes, is a way of counting.
        if way and not self._known and way == guess and came.announced != announced:
            self._learn(way)
            self.odd = False
            return Place.LIKELY
        self._guess, self.odd = (way, came.announced), True
        return Place.HELD

    def fits(self, way: str) -> bool:
        """Say whether *way* is known by now to be how the server counts."""
        return way in self._known or way in EVIDENT

    def certain(self) -> None:
        """Nothing is owed, and nothing came too much: what came so far is in step."""
        self.odd = self.twin = False


def _way(came: Came) -> str:
    """Name the way in which a server counts that announced this; "" if its size is not known.

    None explains a message without any octet: there is no such message (RFC 5322 section 3.6).
    """
    announced, size = came.announced, came.size
    if not size:
        return ""
    if announced == size:
        return EXACT
    if not announced:
        return ""
    ways = {
        ENDED: size == announced + 2,
        ONE_A_LINE_END: announced < size and size - announced - _lines(came) in {0, 1},
        "rounded": announced % KILO == 0 and abs(announced - size) < KILO,
        "kilobytes": abs(announced * KILO - size) < KILO,
    }
    return next((way for way, fits in ways.items() if fits), f"{announced - size:+d}")


def _lines(came: Came) -> int:
    """Count the line ends."""
    return sum(piece.count(b"\n") for piece in came.octets())


def _holds_a_status(came: Came) -> bool:
    """Say whether a line of a body begins like a status line: two bodies in one have the second one's in them."""
    end = b""
    for piece in came.octets():
        text = end + piece
        if b"\n+OK" in text or b"\r+OK" in text or b"\n-ERR" in text:
            return True
        end = text[-4:]
    return False


def _is_status(beginning: bytes) -> bool:
    """Say whether a message begins with the status line of a reply."""
    line = beginning[:LONGEST_STATUS].partition(b"\r\n")[0]
    return line.partition(b" ")[0].upper() in STATUS_LINES
