"""Passes against receivers that misbehave at random, and a model that knows what must have become of every mail.

    python tests/faults/torture.py receiver-model --stories 2000 --seed 1
    python tests/faults/receiver_model.py 1-77 [--short]      one story, and all that was said in it

The program is the real one (tests/faults/zygote.py), the POP server an honest one. Of each mail the model asks after
every pass that everybody has got it who should, or that it is still there, lies in the spool or in duds.dat, or that
the caretaker was told; that nobody got it twice, but for the copy whose 250 was not heard, or whose pass was killed
before it was written down; that it came unaltered, with its own sender or, where the receiver refuses that, the null
sender. What the receiver would take must be taken in three passes, whatever stands before it; and everything, in the
end, when nothing is wrong any more.
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
from tests.faults.mails import CARETAKER, DUDS, TOLD, canonical, ident
from tests.faults.model_stage import BETWEEN, DAY, HOUR, SLOW, Kill, Play, WrongError
from tests.faults.odd_smtp import Manner, OddReceivers, Sent
from tests.faults.receiver_story import Event, Mail, Pass, Story, told
from tests.faults.world import READ, UNREAD, Letter

__all__ = ["Stage", "lighter", "told"]

SOON = 3  # passes in which what would be taken is taken
# A verdict that was lost is asked for again after an hour, four, and then every day.
GAPS = (BETWEEN, 2 * HOUR, 5 * HOUR, DAY + HOUR, DAY + HOUR, DAY + HOUR)
QUICKLY = ({"hook": "constant", "module": "lib.smtp.session", "name": "SILENCE", "value": 10.0},)


class ReceiverPlay(Play[OddReceivers, Story]):
    """A story of an odd receiver."""

    def __init__(self, ring: Ring, world: OddReceivers, story: Story) -> None:
        super().__init__(ring, world, story)
        self.mails: dict[int, Mail] = {}
        self.calm: dict[int, int] = {}  # how many passes without plague or kill each mail has seen

    def perform(self) -> None:
        mails = [event for event in self.story.events if isinstance(event, Mail)]
        boxes = max((USERS.index(mail.user) + 1 for mail in mails), default=1)
        shape = Shape(0, hides=False, uidl=True, lmtp=self.story.manner.lmtp, boxes=boxes)
        self.begin(shape, "pf_smtp_timeout 10", "pf_give_up 30", *self.story.lines)
        self.world.manner, self.world.troubles = self.story.manner, list(self.story.troubles)
        for event in self.story.events:
            self._happen(event)
        for _ in range(SOON):
            self._pass(Pass())
        self._settle()

    # --- what happens -----------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        if isinstance(event, Pass):
            self._pass(event)
            return
        self.mails[event.number] = event
        self.calm[event.number] = 0
        self.world.pop.mailboxes[event.user].messages[event.number] = event.octets

    def _pass(self, event: Pass, seconds: float = BETWEEN) -> None:
        self.world.plagues = list(event.plagues)
        replies = {*(one.reply for one in event.plagues), *(one.reply for one in self.world.troubles)}
        silent = bool(replies & {"silent", "nothing"})
        ended = self.make_pass(event.kill, *((*SLOW, *QUICKLY) if silent else ()), seconds=seconds)
        self._look()
        if event == Pass():
            self._look_for_the_late()
        if ended.code == 0 and (waits := self._in_spool()):
            raise WrongError(f"silent: exit 0, and {sorted(waits)} wait in the spool")

    def _settle(self) -> None:
        """Nothing is wrong with any message any more, but for what it contains."""
        self.world.troubles = [one for one in self.story.troubles if one.phase == "content"]
        for gap in GAPS:
            self._pass(Pass(), gap)
            if not (self.world.left - self._put_off or any(map(self._wait, self.mails.values()))):
                break
        late = {mail.number: sorted(self._wait(mail)) for mail in self.mails.values() if self._wait(mail)}
        if late:
            raise WrongError(f"stuck: {late} not taken although nothing is wrong any more")
        if there := self.world.left - self._put_off:
            raise WrongError(f"left: {sorted(there)} still on the POP server")

    @property
    def _put_off(self) -> set[int]:
        """The mails that the receiver never takes, and never refuses."""
        full = {mail.number for mail in self.mails.values() if any(role.endswith("full") for role in mail.roles)}
        return full | {mail.number for mail in self.mails.values() if self._temporary(mail)}

    def _temporary(self, mail: Mail) -> bool:
        """Say whether a sender is put off for ever: said at RCPT, it is asked for under another one."""
        return mail.sender == "temp" and self.story.manner.senders == "MAIL"

    # --- the books --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        came: dict[tuple[int, bytes, bool], list[str]] = defaultdict(list)
        for letter in self.world.letters:
            self._check(letter)
            for who in letter.recipients:
                came[letter.number, who, letter.tells].append(letter.known)
        for (number, who, tells), known in came.items():
            if not tells and any(state not in {UNREAD, READ} for state in known[:-1]):
                raise WrongError(f"twice: {number} to {who.decode()}, {known}")
        self._count_copies(came)
        there = self.world.left | self._in_spool() | self._buried() | self._told_of()
        for mail in self.mails.values():
            if mail.number not in there and (gone := set(mail.recipients) - self._got(mail.number)):
                raise WrongError(f"lost: {mail.number} for {sorted(gone)}")

    def _count_copies(self, came: dict[tuple[int, bytes, bool], list[str]]) -> None:
        """Assert that a receiver that takes a mail and does not say so does not get it without end."""
        if self.clock > HOUR:
            return
        excused = self.count["killed"] + len(
            [one for e in self.story.events if isinstance(e, Pass) for one in e.plagues]
        )
        for (number, who, _), known in came.items():
            if len(known) > 2 + excused:
                raise WrongError(f"copies: {len(known)} of {number} to {who.decode()} within an hour")

    def _check(self, letter: Letter) -> None:
        """Assert that a letter is what it should be, from whom, to whom."""
        assert isinstance(letter, Sent)
        mail = self.mails.get(letter.number)
        told = f"{letter.number} to {letter.recipients} from {letter.sender!r}"
        if mail is None:
            raise WrongError(f"altered: {told} is no mail: {letter.content[:200]!r}")
        if letter.recipients == (CARETAKER,):
            self._check_copy(letter, mail, told)
            return
        received, rest = _first_field(letter.content)
        if not received.startswith(b"Received: from ") or rest != canonical(mail.octets).partition(b"\r\n")[2]:
            raise WrongError(f"altered: {told}: {letter.content[:300]!r}")
        if strange := set(letter.recipients) - set(mail.recipients):
            raise WrongError(f"altered: {told}: not for {strange}")
        others = {b"", CARETAKER} if mail.sender in {"bad", "temp"} else set()
        if letter.sender not in {mail.from_, *others}:
            raise WrongError(f"sender: {told}, not {mail.from_!r}")

    @staticmethod
    def _check_copy(letter: Sent, mail: Mail, told: str) -> None:
        body = canonical(mail.octets).partition(b"\r\n\r\n")[2]
        if not (letter.tells or letter.content.endswith(body)):
            raise WrongError(f"altered: the copy of {told}: {letter.content[:300]!r}")
        if letter.sender:
            raise WrongError(f"sender: the copy of {told} has one")

    def _look_for_the_late(self) -> None:
        for mail in self.mails.values():
            self.calm[mail.number] += 1
            if late := {who for who in self._wait(mail) if self._patience(mail, who) <= self.calm[mail.number]}:
                raise WrongError(f"late: {mail.number} for {sorted(late)}, after {self.calm[mail.number]} passes")

    def _patience(self, mail: Mail, who: bytes) -> int:
        """Return in how many passes somebody must have got a mail."""
        if any(one.number == mail.number for one in self.story.troubles) or mail.sender == "temp":
            return 99
        role = mail.roles[mail.recipients.index(who)]
        grey = max((int(one[-1]) for one in mail.roles if one[-1].isdigit()), default=0)
        most = [int(line.split()[1]) for line in self.story.lines if line.startswith("pf_max_messages")]
        return SOON + grey + (len(self.mails) // most[0] if most else 0) + (0 if role == "ok" else 1)

    def _wait(self, mail: Mail) -> set[bytes]:
        """Return who has not got a mail, and could have."""
        final = any(one.number == mail.number and one.reply.startswith("5") for one in self.story.troubles)
        if self._temporary(mail) or mail.number in self._told_of() | self._buried():
            return set()
        if final and mail.number in self._put_off:
            return set()  # the copy that tells of the refusal goes out when nobody is owed any more
        roles = zip(mail.recipients, mail.roles, strict=True)
        willing = {who for who, role in roles if role.rstrip("123") in {"ok", "grey", "dotgrey"}}
        return willing - self._got(mail.number)

    def _got(self, number: int) -> set[bytes]:
        return {who for one in self.world.letters if one.number == number for who in one.recipients}

    def _told_of(self) -> set[int]:
        """Return the mails of which the caretaker has a copy, or a letter."""
        return {one.number for one in self.world.letters if one.recipients == (CARETAKER,)}

    def _in_spool(self) -> set[int]:
        files = [path for path in self.ring.work.iterdir() if path.name.startswith("msg")]
        return {ident(path.read_bytes()) for path in files} - {0}

    def _buried(self) -> set[int]:
        path = self.ring.work / DUDS.decode()
        told = path.read_bytes() if path.exists() else b""
        return {ident(one) for one in told.split(b"From MAILER-DAEMON")[1:]}

    def named(self, letter: Letter) -> str:
        assert isinstance(letter, Sent)
        what = "letter about " if TOLD.search(letter.content) else ""
        return f"{what}{letter.number} from {letter.sender!r} to {letter.recipients}, {letter.known}"


def Stage() -> model_stage.Stage[OddReceivers, Story]:  # noqa: N802 - every model has its Stage
    """Return where these stories are played."""
    return model_stage.Stage(OddReceivers, ReceiverPlay)


def lighter(story: Story) -> Iterator[Story]:
    """Yield what is a little less of a story."""
    events, troubles = story.events, story.troubles
    for at in reversed(range(len(events))):
        yield story._replace(events=events[:at] + events[at + 1 :])
    for at in range(len(troubles)):
        yield story._replace(troubles=troubles[:at] + troubles[at + 1 :])
    for field, plain in Manner()._asdict().items():
        if getattr(story.manner, field) != plain:
            yield story._replace(manner=story.manner._replace(**{field: plain}))
    for at, event in enumerate(events):
        for less in _lighter_event(event):
            yield story._replace(events=(*events[:at], less, *events[at + 1 :]))
    for at in range(len(story.lines)):
        yield story._replace(lines=story.lines[:at] + story.lines[at + 1 :])


def _lighter_event(event: Event) -> Iterator[Event]:
    if isinstance(event, Pass):
        if event.kill != Kill():
            yield Pass(event.plagues)
        for at in range(len(event.plagues)):
            yield event._replace(plagues=event.plagues[:at] + event.plagues[at + 1 :])
        return
    for at in range(len(event.roles) if len(event.roles) > 1 else 0):
        yield event._replace(roles=event.roles[:at] + event.roles[at + 1 :])
    for at, role in enumerate(event.roles):
        if role != "ok":
            yield event._replace(roles=(*event.roles[:at], "ok", *event.roles[at + 1 :]))
    if event.sender != "ok":
        yield event._replace(sender="ok")
    if event.size > 120:
        yield event._replace(size=120)


if __name__ == "__main__":
    sys.exit(model_run.main("tests.faults.receiver_model", sys.argv[1:]))
