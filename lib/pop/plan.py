"""What is to be done with each message of a mailbox: fetch it, delete it, leave it. Pure.

UIDs are hostile input. One that is empty, or stands twice in the listing, names nothing: such messages are fetched
and named by their SHA-256. A message that is settled but still listed is deleted (or kept, as pf_keep says) and never
fetched again. A message at which a session died before comes last, so that it can hold up nobody.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lib.config.settings import KEEP_FOREVER
from lib.store.journal_facts import ASKED, IGNORED, PROMISED, SETTLED, UID, Entry, Status, uid_key

DAY = 86400.0
EARLY = 3600.0  # seconds by which a daily pass may be earlier than the day before
# Settled messages that should be gone: one that is listed is either still there, or new mail under a UID used again.
# Only its bytes can tell.
LOOK_AGAIN = {ASKED, PROMISED}
MAKESHIFT = "at:"


class Listed(NamedTuple):
    """One message of the mailbox: its number in this session, its UID (b"" = none) and its announced octets."""

    number: int
    uid: bytes
    size: int


class Wanted(NamedTuple):
    """A message to fetch; *key* is its name in the journal, or a makeshift one where only its bytes can name it."""

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


class Limits(NamedTuple):
    """pf_window, pf_smtp_timeout (seconds) and the rules of what is left on the server."""

    window: int
    patience: float
    rules: Rules


@dataclass(slots=True)
class Todo:
    """What a session has to do; *left* counts what stays on the server by the settings."""

    delete: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    fetch: list[Wanted] = field(default_factory=list)
    last: list[Wanted] = field(default_factory=list)
    oversize: list[Wanted] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    left: int = 0
    limited: bool = False  # some of these are there for pf_max_messages


def due(entry: Entry, keep: int, now: float) -> bool:
    """Say whether a settled message has been on the server for *keep* days since it was settled, or need not be."""
    if entry.status not in SETTLED or keep == KEEP_FOREVER:
        return False
    return keep == 0 or now - entry.settled >= keep * DAY - EARLY


def waits(entry: Entry) -> bool:
    """Say whether the message waits in the spool."""
    return entry.status is Status.SPOOLED and entry.number > 0


def plan(messages: Sequence[Listed], entries: Mapping[str, Entry], rules: Rules, now: float) -> Todo:
    """Sort every listed message, and what the journal knows of the ones that are no longer listed."""
    todo = Todo()
    times = Counter(message.uid for message in messages)
    keys = set()
    for message in messages:
        unique = message.uid and times[message.uid] == 1
        key = uid_key(message.uid) if unique else f"{MAKESHIFT}{message.number}:{message.size}"
        keys.add(key)
        _sort(todo, Wanted(message.number, message.uid, message.size, key), entries.get(key), rules, now)
    todo.last.sort(key=lambda message: entries[message.key].troubles)  # lest one starve behind another
    if rules.max_messages:
        _limit(todo, rules.max_messages, entries)
    _look_for_absent(todo, keys, entries)
    return todo


def _limit(todo: Todo, most: int, entries: Mapping[str, Entry]) -> None:
    """Leave what is more than *most*; what must be fetched again to be recognised does not count."""
    if not all(message.named for message in todo.fetch):
        most += sum(entry.status in SETTLED and not key.startswith(UID) for key, entry in entries.items())
    left = len(todo.fetch) + len(todo.last) - most
    if left > 0:
        room = max(most - len(todo.fetch), 0)
        todo.left, todo.limited = todo.left + left, True
        todo.fetch, todo.last = todo.fetch[:most], todo.last[:room]


def _sort(todo: Todo, message: Wanted, entry: Entry | None, rules: Rules, now: float) -> None:
    if entry is not None and entry.vanished is not None:
        todo.seen.append(message.key)
    if entry is not None and entry.status in SETTLED and entry.deletion not in LOOK_AGAIN:
        if due(entry, rules.keep, now):
            todo.delete[message.key] = message.number
        else:
            todo.left += 1
    elif entry is not None and waits(entry):
        todo.waiting[message.key] = message.number  # not fetched again, deleted when the receiver has it
    elif rules.max_size and message.size > rules.max_size:
        todo.left += 1
        todo.oversize.append(message)
    elif entry is not None and entry.troubles:
        todo.last.append(message)
    else:
        todo.fetch.append(message)


def _look_for_absent(todo: Todo, listed: set[str], entries: Mapping[str, Entry]) -> None:
    """Note what is not listed: what somebody has got stays known, by its bytes, for it may come back.

    Where a message is listed without a name, or none at all, one that is known by its bytes alone may still be there.
    """
    named = bool(listed) and not any(key.startswith(MAKESHIFT) for key in listed)
    for key, entry in entries.items():
        if key in listed or waits(entry):
            continue
        if entry.deletion in {PROMISED, IGNORED} or (entry.status not in SETTLED and not entry.recipients):
            todo.forgotten.append(key)
        elif entry.vanished is None and (named or key.startswith(UID)):
            todo.vanished.append(key)
