"""What one session asks for, with RETR and TOP ahead of the replies, and what comes of it.

The law: nothing is made of a reply before something sound, or nothing, follows it.
"""

from collections import deque
from collections.abc import Callable, Iterable

from lib.errors import ConnectionLostError, OutOfStepError, ProtocolError
from lib.net.dialogue import Command
from lib.pop import doubt, plan, pop3
from lib.pop.belief import Belief, Held
from lib.pop.broken import Where
from lib.pop.course import Course, Given
from lib.pop.deletions import Deletions
from lib.pop.flight import Flight, Told
from lib.pop.plan import Action, Plan
from lib.pop.pop3 import Body
from lib.pop.refusals import Asking, Refusals
from lib.pop.session import Session
from lib.visible import visible

# Of the words with which a server refuses a message; it may refuse a million of them.
NOTED = 60


class Retrieval:
    """What one session fetches and compares."""

    def __init__(self, session: Session, given: Given, course: Course, deletions: Deletions) -> None:
        self.session = session
        self.given = given
        self.course = course
        self.deletions = deletions
        self.flight = Flight(session, given.spool, given.limits.window)
        self.belief = Belief(session.account.id, given, course, deletions)
        self._queue: deque[Action] = deque()
        self._refusals = Refusals()
        self.at_rest = False  # nothing was owed when the last reply came

    @property
    def waits(self) -> bool:
        """Say whether something is yet to be asked for."""
        return bool(self._queue) and self._refusals.asking is not Asking.NOT

    @property
    def unread(self) -> bool:
        """Say whether something of the server's may still bring or confirm a message."""
        return self.flight.unread or self.belief.holds

    @property
    def unfinished(self) -> bool:
        """Say whether messages that should be fetched are not."""
        return bool(self._queue) or self.unread

    def begin(self, done: Plan, actions: Iterable[Action]) -> None:
        """Take what is to be asked for."""
        self._queue = deque(actions)
        kept = bool(self.given.rules.keep)
        self.belief.recognition.remember(done, self.course.under_way, self.given.now(), kept=kept)
        self.flight.begin()

    def ask_more(self, may: Callable[[], bool]) -> None:
        """Ask for what the window allows, while *may* says that there is room."""
        while self.waits and not self.belief.full and self.flight.may_ask and may():
            asking = self._refusals.asking
            if asking is not Asking.AHEAD and self.flight.unread:
                return
            if asking is Asking.FAR_END:
                self._refusals = self._refusals.probe()
                action = self._queue.pop()
            else:
                action = self._queue.popleft()
            self.flight.ask(action, hinted=not self.course.sizes_lie)

    def take(self, command: Command, piece: pop3.StatusLine | Body) -> None:
        """Take a piece of a reply. OutOfStepError, ConnectionLostError, StorageError."""
        if isinstance(piece, Body):
            self.given.tally.octets += len(piece.octets)
        else:
            self.land(followed=True)
            if not command.multiline:
                self.deletions.hear(command, piece)
                return
        told = self.flight.take(piece)
        if piece.last:
            self.at_rest = not len(self.flight)
        if told is not None:
            self._hear(told)

    def _hear(self, told: Told) -> None:
        """Take what came instead of a message."""
        message = told.action.message
        if not told.refusal:
            self._refusals = Refusals()
            self.belief.hold(Held(told))
        elif told.action.top:
            self._queue.appendleft(told.action._replace(top=False))
        else:
            words = visible(told.refusal)
            self.course.complain(f"message {message.number} cannot be retrieved: {words}")
            self.belief.trouble(told.action, plan.REFUSED + words[:NOTED])
            self.course.tried.add(message.key)
            self._refusals = self._refusals.heard(refused=True)
            if self._queue and not self.waits:
                left = f"{len(self._queue)} more are not asked for in this pass"
                self.course.complaints.insert(0, f"the server refuses one message after another ({words}): {left}")
                self.course.more = False

    def land(self, *, followed: bool, probed: bool = False) -> None:
        """Weigh what landed last, for a reply follows it, or nothing is owed. OutOfStepError, StorageError."""
        landed, self.flight.landed = self.flight.landed, None
        if landed is not None:
            self._refusals = Refusals()
            self.belief.take(landed)
        if self.at_rest or probed:
            self.at_rest = False
            one_by_one = self.session.dialogue.window == 1
            self.belief.rest(followed=followed and one_by_one, probed=probed)
            self._queue.extendleft(reversed(self.belief.unknown))
            self.belief.unknown.clear()

    # --- when it breaks ---------------------------------------------------------------------------------------------

    @property
    def where(self) -> Where:
        """What of this is owed."""
        action = self.flight.next
        if action is None:
            return Where.NOTHING
        if action.top:
            return Where.TOP
        return Where.BODY if self.flight.begun else Where.RETR

    def break_off(self, error: ConnectionLostError | ProtocolError) -> None:
        """Make of what came whole what can be made of it, and forget the rest. StorageError."""
        try:
            if isinstance(error, ConnectionLostError):
                self.land(followed=False)
            elif self.flight.landed is not None:
                self._behind_nonsense()
        except OutOfStepError:  # and that is written down
            pass
        finally:
            self.belief.drop()
            self.flight.drop()

    def _behind_nonsense(self) -> None:
        """Doubt what nonsense follows, for it may be cut, or two messages: unless it came like that before."""
        landed, self.flight.landed = self.flight.landed, None
        if landed is None:
            return
        stored, size = landed.stored, landed.action.message.size
        self.belief.judge(landed)  # its size tells how the server counts all the same
        entry = self.given.journal.of(self.session.account.id).get(landed.action.message.key)
        if doubt.told_before(entry)[1] == stored.sha and stored.size >= size:
            self.belief.believe(landed, sure=landed.alone)
        else:
            self.belief.doubt(landed, counts=True)
