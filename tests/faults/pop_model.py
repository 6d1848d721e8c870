"""Passes against POP servers that misbehave at random, and a model that knows what must have become of every mail.

    python tests/faults/torture.py pop-model --rounds 2000 --seed 1
    python tests/faults/pop_model.py "1-77" [--short]      one story, and all that was said in it

The program is the real one (tests/faults/zygote.py), the receiver an honest one. Of each mail that was put into a
mailbox the model asks after every pass that it has arrived, or is still there, lies in the spool or in duds.dat; that
it has not come twice, but for the copy whose 250 a killed pass had not heard, or not written down; that what arrived is
what the server held, or what it really said, where it said something else. Of the latter only what was said twice, or
wrong three times, may be taken for the mail, unless the server's sizes tell nothing. When the trouble is over, all must
arrive in five passes.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults import model_run, model_stage
from tests.faults.books import _first_field
from tests.faults.killing import USERS, Ring, Shape
from tests.faults.mails import DUDS, ID
from tests.faults.model_stage import DAY, SLOW, Kill, Play, WrongError
from tests.faults.odd_pop import STATUS, VAGUE, Habits, OddWorld
from tests.faults.pop_story import Days, Event, Mail, Pass, Renumber, Story, Vanish, told
from tests.faults.world import READ, UNREAD, Letter
from tests.faults.zygote import Ended

__all__ = ["Stage", "lighter", "told"]

ENOUGH = 2  # right bodies behind which a server's sizes are known to be right


class PopPlay(Play[OddWorld, Story]):
    """A story of an odd POP server."""

    def __init__(self, ring: Ring, world: OddWorld, story: Story) -> None:
        super().__init__(ring, world, story)
        self.mails: dict[int, Mail] = {}
        self.owed: set[int] = set()  # the mails that nobody else has deleted
        self._names = 0
        self._killed = False
        self._uid: dict[int, bytes] = {}

    def perform(self) -> None:
        boxes = max((USERS.index(event.user) + 1 for event in self.story.events if isinstance(event, Mail)), default=1)
        self.begin(Shape(self.story.keep, hides=False, uidl=True, lmtp=False, boxes=boxes), *self.story.lines)
        self.world.habits = self.story.habits
        self.world.boxes = {user: [] for user in USERS}
        for event in self.story.events:
            self._happen(event)
        self._settle()

    # --- what happens -----------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        match event:
            case Mail():
                self._come(event)
            case Vanish(number):
                self._vanish(number)
            case Renumber(user):
                for held in self.world.boxes[user]:
                    held.uid = self._new_uid(held.number)
            case Days(number):
                for _ in range(number):
                    self.clock += DAY
                    self._pass(Pass())
            case Pass():
                self._pass(event)

    def _new_uid(self, number: int) -> bytes:
        self._names += 1
        self._uid[number] = b"uid%d-%d" % (self._names, number)
        return self._uid[number]

    def _come(self, mail: Mail) -> None:
        self.mails[mail.number] = mail
        self.owed.add(mail.number)
        uid = self._uid.get(mail.uid_of) or self._new_uid(mail.number)
        self._uid[mail.number] = uid
        if not any(held.uid == uid for box in self.world.boxes.values() for held in box):
            self.world.put(mail.user, mail.number, uid, mail.octets)
        else:  # its UID is another one's still: somebody was shortening
            self.world.put(mail.user, mail.number, self._new_uid(mail.number), mail.octets)

    def _vanish(self, number: int) -> None:
        for user, box in self.world.boxes.items():
            gone = [held for held in box if held.number == number]
            self.world.remove(user, gone)
            # A killed pass leaves downloads that are torn, or in no journal: those are not in hand yet.
            safe = self._arrived() | (set() if self._killed else self._in_hand())
            if gone and number not in safe:
                self.owed.discard(number)

    def _pass(self, event: Pass) -> None:
        before = self.world.left & self.owed
        self.world.faults = list(event.faults)
        slow = event.faults or self.world.habits.pipelining in {"login", "never"}
        ended = self.make_pass(event.kill, *(SLOW if slow else ()))
        self._killed = ended.code == -9
        self._look(ended, before)
        self.world.faults = []

    def _settle(self) -> None:
        """The trouble is over."""
        self.world.habits = self.story.after
        for _ in range(self.story.patience):
            self._pass(Pass())
            if not self._missing() and (self.story.keep or not self._to_delete()):
                break
        if missing := self._missing():
            raise WrongError(f"stuck: {sorted(missing)} not delivered {self.story.patience} passes after the trouble")
        if not self.story.keep and (there := self._to_delete()):
            raise WrongError(
                f"left: {sorted(there)} still on the server {self.story.patience} passes after the trouble"
            )

    # --- the books --------------------------------------------------------------------------------------------------

    def _look(self, ended: Ended, before: set[int]) -> None:
        self._letters()
        lost = self.owed - self._arrived() - self.world.left - self._in_hand()
        if lost:
            raise WrongError(f"lost: {sorted(lost)}")
        silent = before - self._arrived() - self._in_hand() - self.world.missing("LIST")
        limited = any(line.startswith("pf_max_messages") for line in self.story.lines)
        if ended.code == 0 and silent and not limited:
            raise WrongError(f"silent: exit 0, and {sorted(silent)} stays where it was")

    def _letters(self) -> None:
        """Compare what has arrived with what was there."""
        came: dict[tuple[bytes, bytes], list[str]] = defaultdict(list)
        for letter in self.world.letters:
            content = self._content(letter)
            self._check(letter, content)
            for who in letter.recipients:
                came[content, who].append(letter.known)
        for (content, who), known in came.items():
            if any(state not in {UNREAD, READ} for state in known[:-1]):
                raise WrongError(f"twice: {self._name(content)} to {who.decode()}, {known}")

    def named(self, letter: Letter) -> str:
        return f"{self._name(self._content(letter))} to {letter.recipients}, {letter.known}"

    @staticmethod
    def _name(content: bytes) -> str:
        return f"{[int(one) for one in ID.findall(content)]} ({len(content)} octets)"

    @staticmethod
    def _content(letter: Letter) -> bytes:
        return STATUS.sub(b"", _first_field(letter.content)[1])

    def _check(self, letter: Letter, content: bytes) -> None:
        """Assert that a letter may be what it is."""
        numbers = [int(one) for one in ID.findall(content)]
        if len(numbers) == 1 and content == self.mails[numbers[0]].octets:
            if letter.recipients != (self.mails[numbers[0]].recipient,):
                raise WrongError(f"altered: {numbers} went to {letter.recipients}")
            return
        vague = self._vague or self.world.first.get(content, 0) < ENOUGH
        sent = [(n, times[content]) for n, times in self.world.sent.items() if content in times]
        for number, times in sent:
            wrong = sum(t for octets, t in self.world.sent[number].items() if octets != self.mails[number].octets)
            if vague or times > 1 or wrong >= 3:
                return
        if len(numbers) > 1 and self._vague:
            return  # two mails in one: neither the octets nor the sizes tell
        why = "taken at first sight" if sent else "nobody sent that"
        raise WrongError(f"altered: {self._name(content)}, {why}: {content[:300]!r} ... {content[-60:]!r}")

    @property
    def _vague(self) -> bool:
        return self.story.habits.sizes in VAGUE

    def _arrived(self) -> set[int]:
        """Return the mails that came, as they are or as the server showed them."""
        came = set[int]()
        for letter in self.world.letters:
            content = self._content(letter)
            came.update(n for n, times in self.world.sent.items() if content in times)
            came.update(int(one) for one in ID.findall(content))
        return came

    def _whole(self) -> set[int]:
        contents = {self._content(letter) for letter in self.world.letters}
        return {number for number, mail in self.mails.items() if mail.octets in contents}

    def _in_hand(self) -> set[int]:
        """Return the mails that lie in the spool or in duds.dat."""
        files = [path for path in self.ring.work.iterdir() if path.name.startswith("msg") or path.name == DUDS.decode()]
        return {int(one) for path in files for one in ID.findall(path.read_bytes())}

    def _missing(self) -> set[int]:
        return self.owed - self._arrived()

    def _to_delete(self) -> set[int]:
        """Return what should not be on the server any more: what arrived as it was."""
        return self.world.left & (self._whole() | self._missing())


def Stage() -> model_stage.Stage[OddWorld, Story]:  # noqa: N802 - every model has its Stage
    """Return where these stories are played."""
    return model_stage.Stage(OddWorld, PopPlay)


def lighter(story: Story) -> Iterator[Story]:
    """Yield what is a little less of a story."""
    events = story.events
    for at in reversed(range(len(events))):
        yield story._replace(events=events[:at] + events[at + 1 :])
    for at, event in enumerate(events):
        for less in _lighter_event(event):
            yield story._replace(events=(*events[:at], less, *events[at + 1 :]))
    for field, plain in Habits()._asdict().items():
        if getattr(story.habits, field) != plain:
            yield story._replace(habits=story.habits._replace(**{field: plain}))
        if getattr(story.after, field) != plain:
            yield story._replace(after=story.after._replace(**{field: plain}))
    for at in range(len(story.lines)):
        yield story._replace(lines=story.lines[:at] + story.lines[at + 1 :])
    if story.keep:
        yield story._replace(keep=0)


def _lighter_event(event: Event) -> Iterator[Event]:
    match event:
        case Pass():
            yield from _lighter_pass(event)
        case Mail():
            yield from {event._replace(grey=False), event._replace(dots=0), event._replace(size=120)} - {event}
        case Days(number) if number > 1:
            yield Days(1)


def _lighter_pass(event: Pass) -> Iterator[Pass]:
    faults = event.faults
    if event.kill != Kill():
        yield Pass(faults)
    for at in range(len(faults)):
        yield event._replace(faults=faults[:at] + faults[at + 1 :])
    for at, fault in enumerate(faults):
        if fault.times > 1:
            yield event._replace(faults=(*faults[:at], fault._replace(times=1), *faults[at + 1 :]))


if __name__ == "__main__":
    sys.exit(model_run.main("tests.faults.pop_model", sys.argv[1:]))
