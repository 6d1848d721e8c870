"""Which message a body is, whether it is whole, and what is done with it then.

The law: a body is handed over once something sound, or nothing, follows it, and its size speaks for its being the one
that was asked for (measure); where sizes say nothing it waits until nothing is owed. What may yet turn out to be
another message's is spooled as doubted, so that no later pass, however this one ends, deletes anything under its UID
unseen. And nothing is concluded from a comparison before the reply is known to be in step.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from lib.errors import OutOfStepError
from lib.pop import doubt, plan
from lib.pop.course import Course, Given
from lib.pop.deletions import Deletions
from lib.pop.doubt import Verdict
from lib.pop.duplicates import IGNORING, Met, Recognition
from lib.pop.flight import Landed, Told
from lib.pop.measure import Came, Measure, Place, SizeJudgement
from lib.pop.plan import Action, Do
from lib.store.journal_facts import DOUBTED, KEPT, Deleting, Entry, Spooled, Trouble
from lib.store.spool import Stored

# Octets and messages that wait for the moment at which nothing is owed; nothing more is asked for then.
HELD_OCTETS, HELD_MOST = 4 << 20, 500


class Certainty(Enum):
    """When what came so far is known to be in step."""

    AT_REST = "when nothing is owed"
    AT_THE_END = "when a later command is answered as it should be"
    PROBED = "when something short is answered as it should be: a reply may have come twice"


class Ready(NamedTuple):
    """A message that was handed over: its number in this session, and its spool file."""

    number: int
    file: int


class Held(NamedTuple):
    """What waits until nothing is owed, and the way of counting in which its size would fit."""

    came: Landed | Told
    way: str = ""
    twin: bool = False


class Belief:
    """What one session makes of what it is given."""

    def __init__(self, account: str, given: Given, course: Course, deletions: Deletions) -> None:
        self.account = account
        self.given = given
        self.course = course
        self.deletions = deletions
        self.measure = Measure(course.counts, lies=course.sizes_lie)
        self.recognition = Recognition(account, given.journal)
        self.pending: dict[str, Ready] = {}  # handed over in this session, and not heard of
        self.spooled: list[int] = []  # spool files that may not be on disk yet, and whose server may forget them
        self.doubted: set[str] = set()  # what was handed over, and may yet turn out to be another message
        self.unknown: list[Action] = []  # what TOP did not tell, and RETR must
        self._held: list[Held] = []
        self._held_octets = 0

    @property
    def _entries(self) -> dict[str, Entry]:
        return self.given.journal.of(self.account)

    @property
    def holds(self) -> bool:
        """Say whether something waits until nothing is owed."""
        return bool(self._held)

    @property
    def held(self) -> int:
        """How many messages wait until nothing is owed."""
        return sum(isinstance(one.came, Landed) for one in self._held)

    @property
    def full(self) -> bool:
        """Say whether so much waits that nothing more should be asked for."""
        return len(self._held) >= HELD_MOST or self._held_octets >= HELD_OCTETS

    @property
    def certainty(self) -> Certainty:
        """When what came so far is known to be in step."""
        if self.measure.twin:
            return Certainty.PROBED
        return Certainty.AT_REST if self.measure.exact else Certainty.AT_THE_END

    # --- weighed ----------------------------------------------------------------------------------------------------

    def take(self, landed: Landed) -> None:
        """Weigh a message that came, and that something sound, or nothing, follows. OutOfStepError, StorageError."""
        place, way = self.judge(landed)
        if place is Place.AGAINST:
            self._against(landed)
        sure = place is Place.SURE or (place is Place.LIKELY and landed.alone and self.measure.exact)
        if place in {Place.HELD, Place.TWIN} or (landed.action.do is Do.COMPARE and not sure):
            self.hold(Held(landed, way, place is Place.TWIN))
            return
        if self._held and not self.measure.odd:
            self._let_go(twins=False)  # how this server counts is known by now
        self.believe(landed, sure=sure)
        if sure:
            self.prove()

    def judge(self, landed: Landed) -> SizeJudgement:
        """Say what the size of a body speaks for, and learn from it how the server counts."""
        stored = landed.stored
        beginning = stored.beginning or b""
        size = landed.action.message.size
        seen = (landed.alone, landed.only, landed.elsewhere)
        judged = self.measure.judge(Came(size, stored.size, beginning, stored.sha, lambda: self._octets(stored), *seen))
        self.course.counts, self.course.sizes_lie = self.measure.counts, self.measure.lies
        return judged

    def _octets(self, stored: Stored) -> Iterable[bytes]:
        return self.given.spool.chunks(stored.number) if stored.body is None else (stored.body,)

    def _against(self, landed: Landed) -> None:
        """Drop what cannot be the message that it is booked under, and the session with it. OutOfStepError.

        That one is to be looked at which came first of those that do not fit.
        """
        odd = (one.came for one in self._held if isinstance(one.came, Landed) and not self.measure.fits(one.way))
        wrong = next(odd, landed)
        if wrong is not landed:
            self.given.spool.free(landed.stored.number)
            self._held = [one for one in self._held if one.came is not wrong]
        self.doubt(wrong, counts=False)
        size = f"{wrong.stored.size} octets came where {wrong.action.message.size} were announced"
        raise OutOfStepError(f"replies are out of step: message {wrong.action.message.number}: {size}")

    def doubt(self, landed: Landed, *, counts: bool) -> None:
        """Let a message stay on its server; it is fetched again, behind the others."""
        key = landed.action.message.key
        self.given.spool.free(landed.stored.number)
        self.trouble(landed.action, doubt.reason(self._entries.get(key), landed.stored, counts=counts))

    def hold(self, held: Held) -> None:
        """Let it wait until nothing is owed."""
        self._held.append(held)
        if isinstance(held.came, Landed):
            self._held_octets += held.came.stored.size

    def drop(self) -> None:
        """Forget what waits: the session ends before that is known to be in step."""
        held, self._held, self._held_octets = self._held, [], 0
        for came, *_ in held:
            if isinstance(came, Landed):
                self.given.spool.free(came.stored.number)

    def rest(self, *, followed: bool, probed: bool = False) -> None:
        """Let go of what waited: nothing was owed when the last reply came.

        *followed*: it was asked for alone, and something sound follows. *probed*: something short was answered since.
        """
        twins = probed or not self.measure.twin
        if twins:
            self.measure.certain()
        self._let_go(twins=twins)
        if not twins:
            return
        if followed or probed or self.certainty is Certainty.AT_REST:
            self.prove()

    def prove(self) -> None:
        """Note that what was handed over is what it was taken for."""
        if self.doubted:
            entries, doubted = self._entries, self.doubted
            keys = tuple(key for key in doubted if key in entries and entries[key].deletion == DOUBTED)
            self.doubted = set()
            if keys:
                self.given.journal.note(Deleting(self.account, keys, ""))
            self.deletions.trust()

    # --- believed ---------------------------------------------------------------------------------------------------

    def _let_go(self, *, twins: bool) -> None:
        held, self._held, self._held_octets = self._held, [], 0
        for one in held:
            came, way, twin = one
            if twin and not twins:
                self.hold(one)
            elif isinstance(came, Told):
                self._tell(came)
            elif self.measure.fits(way):
                self.believe(came, sure=False)
            else:
                self._whole(came)

    def _tell(self, told: Told) -> None:
        """Take what TOP told of a message."""
        action, message = told.action, told.action.message
        entry = self._entries.get(message.key)
        rules = self.given.rules
        if entry is not None and plan.alike(entry, told.header, message.size):
            self._known(Met(message.key, self.recognition.confirm(message.key, message.size)), action)
        elif rules.max_size and message.size > rules.max_size:
            self.given.tally.left += 1
        else:
            self.unknown.append(action._replace(top=False))

    def _whole(self, landed: Landed) -> None:
        """Take one whose size does not fit, unless it may not be the whole message."""
        action, stored = landed.action, landed.stored
        announced, entry = action.message.size, self._entries.get(action.message.key)
        verdict = doubt.weigh(stored, announced, entry, knows=self.measure.knows, lies=self.course.sizes_lie)
        if verdict is Verdict.DOUBT:
            self.course.complain(doubt.told(stored, action.message.number, announced))
            self.doubt(landed, counts=True)
            self.course.tried.add(action.message.key)  # the next arrival is to be another pass's
            return
        if verdict is Verdict.EXPLAINED:
            self.course.sizes_lie = self.measure.lies = True
        if verdict is Verdict.AS_IT_COMES:
            self.course.remark(doubt.told_at_last(stored, announced))
        self.believe(landed, sure=False, kept=verdict is Verdict.AS_IT_COMES)

    def believe(self, landed: Landed, *, sure: bool, kept: bool = False) -> None:
        """Hand a message over, unless we had it before; *kept*: its original stays on the server."""
        action, stored, given = landed.action, landed.stored, self.given
        given.tally.fetched += 1
        given.observer.message_fetched(given.label, stored.size)
        tries, sha = doubt.told_before(self._entries.get(action.message.key))
        if landed.alone and sha not in {"", stored.sha} and not tries:
            self.course.stumbles = True  # it was another message's reply that came under this name
        met = self.recognition.meet(action, stored)
        if met.entry is not None:
            given.spool.free(stored.number)
            self._known(met, action)
            return
        word = KEPT if kept else "" if sure else DOUBTED
        if word == DOUBTED:
            self.doubted.add(met.key)
        what = (stored.number, stored.uid, stored.sha, stored.size, given.now())
        given.journal.note(Spooled(self.account, met.key, *what, action.message.size, stored.header, stored.bare, word))
        self.pending[met.key] = Ready(action.message.number, stored.number)
        self.course.under_way[met.key] = stored.number
        given.intake(stored, met.key)

    def _known(self, met: Met, action: Action) -> None:
        """Delete or leave a message that we had before."""
        entry = met.entry
        if self.recognition.ignoring:
            self.course.remark(IGNORING)
        if entry is not None and plan.due(entry, self.given.rules.keep, self.given.now()):
            self.deletions.add(entry.key, action.message.number)
        else:
            self.given.tally.left += 1
        if entry is not None and plan.waits(entry):
            self.spooled.append(entry.number)  # of an earlier session, and perhaps not on disk yet

    def trouble(self, action: Action, why: str) -> None:
        """Remember that something went wrong at a message: it comes behind the others from now on. StorageError."""
        self.given.journal.note(Trouble(self.account, action.message.key, why, self.given.now()))
        self.given.journal.flush()
