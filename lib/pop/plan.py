"""What a session does with each message of a mailbox: fetch, compare, delete, leave, report, and why. Pure.

What is known of a UID, and how it is listed now, decide: TABLE, and nothing else. UIDs are hostile input. One that is
empty, or stands twice in the listing, names nothing: such messages are fetched and named by their SHA-256. A UID whose
message may not be the one that we had (its size changed, it was gone for a while, its deletion may have happened, its
reply may have been another's) is looked at before anything is deleted under it, and before new mail under it is missed.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from lib.config.settings import KEEP_FOREVER
from lib.store.journal_facts import (
    ASKED,
    DOUBTED,
    HUNG,
    IGNORED,
    KEPT,
    PROMISED,
    SETTLED,
    UID,
    Entry,
    Status,
    uid_key,
)

DAY = 86400.0
EARLY = 3600.0  # seconds by which a daily pass may be earlier than the day before
MAKESHIFT = "at:"
# Octets by which a message grows when its server marks it as read: with the header we know it is the same one.
MARKED = 512
# How the journal begins the reason of a trouble that broke no session: a refusal, a body that was not believed.
REFUSED, IN_DOUBT = "refused: ", "in doubt"


class Listed(NamedTuple):
    """One message of the mailbox: its number in this session, its UID (b"" = none) and its announced octets."""

    number: int
    uid: bytes
    size: int


class Wanted(NamedTuple):
    """A message of the listing; *key* is its name in the journal, a makeshift one where only its bytes can name it."""

    number: int
    uid: bytes
    size: int
    key: str

    @property
    def named(self) -> bool:
        """Say whether the UID names it."""
        return not self.key.startswith(MAKESHIFT)


class Rules(NamedTuple):
    """pf_keep (days), pf_max_size (octets, 0 = none), pf_max_messages (0 = none)."""

    keep: int = 0
    max_size: int = 0
    max_messages: int = 0


# --- what is known, what is seen, what follows ------------------------------------------------------------------------


class Known(Enum):
    """What the journal knows of a UID."""

    NOTHING = "nobody knows it"
    TROUBLE = "a session broke at it, the server refused it, or what came was not believed"
    UNDER_WAY = "it is being delivered in this pass"
    WAITING = "it waits in the spool"
    SETTLED = "it was delivered, or is a dud"
    DOUBTED = "its reply may have been another message's"
    ASKED = "its deletion was asked, and not answered for"
    PROMISED = "the server said that it is deleted"
    IGNORED = "the server does not delete it"
    HUNG = "the server broke off at its DELE"
    KEPT = "it was delivered as it came, perhaps not whole"


class Sight(Enum):
    """How the UID is listed now."""

    SAME = "as before"
    CHANGED = "with another size"
    BACK = "after it had vanished"


class Do(Enum):
    """What is done with a message."""

    FETCH = "fetch"
    COMPARE = "compare"
    DELETE = "delete"
    LEAVE = "leave"
    REPORT = "report"


class Turn(Enum):
    """When it is done."""

    NOW = "now"
    ALONE = "behind all others, in a session of its own"


class Why(Enum):
    """The reason, in words for a person."""

    NEW = "it is new"
    AGAIN = "it could not be fetched before"
    CHANGED = "its UID is listed with another size"
    BACK = "its UID is listed again"
    DOUBT = "its reply may have been another message's"
    ASKED = "it may have been deleted"
    THERE = "it should have been deleted"
    SETTLED = "it is delivered, or a dud"
    HUNG = "the server broke off at its DELE"
    WAITS = "it waits in the spool"
    YOUNG = "pf_keep"
    KEPT = "it may not have come whole"
    OVERSIZE = "pf_max_size"
    LIMIT = "pf_max_messages"
    TRIED = "it was tried in this pass"


class Step(NamedTuple):
    """What follows from one row of the table."""

    do: Do
    why: Why
    turn: Turn = Turn.NOW


def _rows(known: Known, same: Step, changed: Step, back: Step) -> dict[tuple[Known, Sight], Step]:
    return {(known, Sight.SAME): same, (known, Sight.CHANGED): changed, (known, Sight.BACK): back}


_CHANGED, _BACK = Step(Do.COMPARE, Why.CHANGED), Step(Do.COMPARE, Why.BACK)
TABLE: dict[tuple[Known, Sight], Step] = {
    **_rows(Known.NOTHING, *[Step(Do.FETCH, Why.NEW)] * 3),
    **_rows(Known.TROUBLE, *[Step(Do.FETCH, Why.AGAIN, Turn.ALONE)] * 3),
    **_rows(Known.UNDER_WAY, *[Step(Do.LEAVE, Why.WAITS)] * 3),
    **_rows(Known.WAITING, Step(Do.LEAVE, Why.WAITS), _CHANGED, _BACK),
    **_rows(Known.SETTLED, Step(Do.DELETE, Why.SETTLED), _CHANGED, _BACK),
    **_rows(Known.DOUBTED, *[Step(Do.COMPARE, Why.DOUBT)] * 3),
    **_rows(Known.ASKED, *[Step(Do.COMPARE, Why.ASKED)] * 3),
    **_rows(Known.PROMISED, *[Step(Do.COMPARE, Why.THERE)] * 3),
    **_rows(Known.IGNORED, Step(Do.DELETE, Why.SETTLED), _CHANGED, _BACK),
    **_rows(Known.HUNG, Step(Do.DELETE, Why.HUNG, Turn.ALONE), _CHANGED, _BACK),
    **_rows(Known.KEPT, Step(Do.LEAVE, Why.KEPT), _CHANGED, _BACK),
}

_BY_WORD = {
    "": Known.SETTLED,
    ASKED: Known.ASKED,
    PROMISED: Known.PROMISED,
    IGNORED: Known.IGNORED,
    DOUBTED: Known.DOUBTED,
    HUNG: Known.HUNG,
    KEPT: Known.KEPT,
}


def known(entry: Entry | None, *, under_way: bool) -> Known:
    """Return what *entry* says; *under_way*: it was handed over in this pass, and nobody has said what became of it."""
    if entry is None:
        return Known.NOTHING
    if waits(entry):
        return Known.UNDER_WAY if under_way else Known.DOUBTED if entry.deletion == DOUBTED else Known.WAITING
    if entry.status in SETTLED:
        return _BY_WORD.get(entry.deletion, Known.ASKED)
    return Known.TROUBLE if entry.troubles else Known.NOTHING


def seen(entry: Entry | None, size: int) -> Sight:
    """Return how a UID is listed: with *size* octets now, 0 where that is not known."""
    if entry is None:
        return Sight.SAME
    if entry.vanished is not None:
        return Sight.BACK
    changed = size and entry.announced and size != entry.announced
    return Sight.CHANGED if changed else Sight.SAME


def waits(entry: Entry) -> bool:
    """Say whether the message waits in the spool."""
    return entry.status is Status.SPOOLED and entry.number > 0


def due(entry: Entry, keep: int, now: float) -> bool:
    """Say whether a settled message has been on the server for *keep* days since it was settled, or need not be."""
    if entry.status not in SETTLED or entry.deletion == KEPT or keep == KEEP_FOREVER:
        return False
    return keep == 0 or now - entry.settled >= keep * DAY - EARLY


def alike(entry: Entry, header: str, size: int) -> bool:
    """Say whether what is listed with *size* octets and has this *header* is the message of *entry*: what TOP tells."""
    announced = entry.announced or 0
    return bool(header) and header == entry.header and bool(size) and abs(size - announced) <= MARKED


# --- the plan ---------------------------------------------------------------------------------------------------------


class Action(NamedTuple):
    """One thing to be done, and the reason for it; *top*: TOP may tell what it is."""

    do: Do
    why: Why
    message: Wanted
    turn: Turn = Turn.NOW
    top: bool = False


@dataclass(slots=True)
class Plan:
    """What a session has to do, in the order of the listing; and what the journal knows that is not listed.

    *limited*: pf_max_messages leaves some for a later pass. *learned*: sizes of what an older version fetched.
    """

    actions: list[Action] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    learned: dict[str, int] = field(default_factory=dict)
    limited: bool = False

    def of(self, *kinds: Do, turn: Turn | None = None) -> Iterator[Action]:
        """Yield the actions of these kinds; with *turn*, of that turn."""
        return (one for one in self.actions if one.do in kinds and turn in (None, one.turn))


class Here(NamedTuple):
    """What earlier sessions of this pass leave to this one, by keys; and whether the server offers TOP (RFC 2449).

    *under_way*: what was handed over and not heard of. *tried*: what was tried alone, and broke its session.
    """

    under_way: Collection[str] = ()
    tried: Collection[str] = ()
    top: bool = False


_NOWHERE = Here()


def plan(
    messages: Sequence[Listed], entries: Mapping[str, Entry], rules: Rules, now: float, here: Here = _NOWHERE
) -> Plan:
    """Sort every listed message, and what the journal knows of the ones that are no longer listed."""
    done = Plan()
    times = Counter(message.uid for message in messages)
    keys = set()
    for message in messages:
        unique = message.uid and times[message.uid] == 1
        key = uid_key(message.uid) if unique else f"{MAKESHIFT}{message.number}:{message.size}"
        keys.add(key)
        entry = entries.get(key)
        wanted = Wanted(message.number, message.uid, message.size, key)
        step = TABLE[known(entry, under_way=key in here.under_way), seen(entry, message.size)]
        if key in here.tried and step.do is not Do.LEAVE:
            step = Step(Do.LEAVE, Why.TRIED)
        done.actions.append(_action(step, wanted, entry, (rules, now, here.top)))
        if entry is not None and entry.announced is None and entry.sha and message.size:
            done.learned[key] = message.size
    _limit(done, rules.max_messages, entries)
    _look_for_absent(done, keys, entries)
    return done


def _action(step: Step, message: Wanted, entry: Entry | None, given: tuple[Rules, float, bool]) -> Action:
    """Let pf_keep, pf_max_size, and what happened at the message before have their say."""
    rules, now, top = given
    do, why, turn = step
    over = bool(rules.max_size) and message.size > rules.max_size
    if do is Do.DELETE and entry is not None and not due(entry, rules.keep, now):
        do, why, turn = Do.LEAVE, Why.YOUNG, Turn.NOW
    elif do is Do.COMPARE and entry is not None:
        if entry.troubles:
            turn = Turn.ALONE
        elif top and alike(entry, entry.header, message.size):
            return Action(do, why, message, turn, top=True)
    if do in {Do.FETCH, Do.COMPARE} and over:
        do, why = Do.REPORT, Why.OVERSIZE
    return Action(do, why, message, turn)


def _limit(done: Plan, most: int, entries: Mapping[str, Entry]) -> None:
    """Leave what is more than *most* new messages.

    What is fetched to be recognised does not count, nor what is to blame for a broken session: it comes last anyway.
    """
    if not most:
        return
    counted = [one.message for one in done.of(Do.FETCH, turn=Turn.NOW)]
    if not all(message.named for message in counted):
        most += sum(entry.status in SETTLED and not key.startswith(UID) for key, entry in entries.items())
    late = {message.number for message in counted[most:]}
    if late:
        done.limited = True
        done.actions = [
            one._replace(do=Do.LEAVE, why=Why.LIMIT) if one.message.number in late else one for one in done.actions
        ]


def _look_for_absent(done: Plan, listed: set[str], entries: Mapping[str, Entry]) -> None:
    """Note what is not listed: what somebody has got stays known, by its bytes, for it may come back.

    Where a message is listed without a name, or none at all, one that is known by its bytes alone may still be there.
    """
    named = bool(listed) and not any(key.startswith(MAKESHIFT) for key in listed)
    for key, entry in entries.items():
        if key in listed:
            continue
        waiting = waits(entry)
        nobody_has_it = entry.status not in SETTLED and not entry.recipients and not waiting
        if nobody_has_it or (entry.deletion in {PROMISED, IGNORED} and not waiting):
            done.forgotten.append(key)
        elif entry.vanished is None and (named or key.startswith(UID)):
            done.vanished.append(key)
