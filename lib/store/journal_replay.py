"""What a record of the journal changes in what is known: apply(), and a rule a kind of record. Pure."""

from collections.abc import Callable
from typing import Any

from lib.store.clock import Shift
from lib.store.journal_facts import (
    ACCEPTED,
    ASKED,
    IGNORED,
    SETTLED,
    UID_KEPT,
    WORDS_KEPT,
    Adopted,
    Announced,
    Burying,
    ContentRefused,
    Deleting,
    Delivered,
    Dud,
    DudsInARow,
    Entries,
    Entry,
    Gone,
    Lasting,
    Left,
    Looked,
    Loss,
    Lost,
    Mark,
    Record,
    Renamed,
    Seen,
    Spooled,
    Status,
    Stepped,
    Trouble,
    Vanished,
    Verdicts,
    Whole,
    tells_uid,
)


def apply(journal: Entries, record: Record) -> None:
    """Let *journal* know of *record*."""
    if type(record) is Adopted:
        _adopt(journal, record)
    elif type(record) not in {Mark, DudsInARow}:
        _RULES[type(record)](journal.setdefault(record.account, {}), record)


# --- what a record changes -------------------------------------------------------------------------------------------


def _spooled(entries: dict[str, Entry], record: Spooled) -> None:
    """Other content is another message; the same content keeps its verdicts, and stays settled if it is."""
    entry = entries.get(record.key)
    if entry is None or entry.sha not in ("", record.sha):
        entry = entries[record.key] = Entry(record.key)
    if entry.status in SETTLED:
        return
    entry.lasting = entry.lasting and entry.number == record.number
    entry.status, entry.sha, entry.size, entry.number = Status.SPOOLED, record.sha, record.size, record.number
    entry.since = entry.since or record.at
    entry.uid_kept = b"" if tells_uid(record.key) else record.uid[:UID_KEPT]
    if record.announced >= 0:
        entry.announced, entry.header, entry.bare = record.announced, record.header, record.bare
        entry.deletion, entry.vanished, entry.fresh = record.word, None, False


def _verdicts(entries: dict[str, Entry], record: Verdicts) -> None:
    """Later words win, but what was accepted stays accepted."""
    entry = _entry(entries, record.key)
    if entry.status in SETTLED:
        return
    entry.status, entry.sender, entry.since = Status.SPOOLED, record.sender, entry.since or record.at
    for who, (status, words) in record.recipients.items():
        if entry.recipients.get(who, ("", b""))[0] != ACCEPTED:
            entry.recipients[who] = (status, words[:WORDS_KEPT])


def _settle(entries: dict[str, Entry], record: Delivered | Dud) -> None:
    """Nothing of the envelope is needed any more; a pass that was killed may have left the spool file."""
    entry = _entry(entries, record.key)
    entry.status = Status.DUD if type(record) is Dud else Status.DELIVERED
    entry.sha, entry.settled, entry.sender, entry.recipients = record.sha, record.at, b"", {}
    entry.burial, entry.content, entry.losses = None, (), {}


def _burying(entries: dict[str, Entry], record: Burying) -> None:
    _entry(entries, record.key).burial = record.length


def _lasting(entries: dict[str, Entry], record: Lasting) -> None:
    files = set(record.files)
    for entry in entries.values():
        entry.lasting = entry.lasting or (entry.status is Status.SPOOLED and entry.number in files)


def _left(entries: dict[str, Entry], record: Left) -> None:
    entry = _entry(entries, record.key)
    if entry.status in {Status.TROUBLED, Status.LEFT}:
        entry.status, entry.size, entry.settled = Status.LEFT, record.size, entry.settled or record.at


def _gone(entries: dict[str, Entry], record: Gone) -> None:
    for key in record.keys:
        entries.pop(key, None)


def _deleting(entries: dict[str, Entry], record: Deleting) -> None:
    keys = record.keys or [key for key, entry in entries.items() if entry.deletion == ASKED]
    for key in keys:
        entry = entries.get(key)
        if entry is not None and not (entry.deletion == IGNORED and record.word == ASKED):
            entry.deletion = record.word  # a server that does not delete is asked again and again, and known for it


def _trouble(entries: dict[str, Entry], record: Trouble) -> None:
    entry = _entry(entries, record.key)
    entry.troubles, entry.why = entry.troubles + 1, record.why[:WORDS_KEPT]


def _renamed(entries: dict[str, Entry], record: Renamed) -> None:
    """Keep what is settled under the new name already."""
    entry = entries.pop(record.old, None)
    if entry is None:
        return
    other = entries.get(record.new)
    if other is None or entry.status in SETTLED or other.status not in SETTLED:
        entry.key, entry.uid_kept = record.new, b""
        entries[record.new] = entry


def _vanished(entries: dict[str, Entry], record: Vanished) -> None:
    entry = entries.get(record.key)
    if entry is not None and entry.vanished is None:
        entry.vanished, entry.fresh = record.at, True


def _looked(entries: dict[str, Entry], _: Looked) -> None:
    for entry in entries.values():
        entry.fresh = False


def _announced(entries: dict[str, Entry], record: Announced) -> None:
    for key, size in zip(record.keys, record.sizes, strict=False):
        entry = entries.get(key)
        if entry is not None:
            entry.announced = size


def _seen(entries: dict[str, Entry], record: Seen) -> None:
    entry = entries.get(record.key)
    if entry is not None:
        entry.vanished, entry.fresh = None, False


def _adopt(journal: Entries, record: Adopted) -> None:
    """Keep what is known under the new name already."""
    mine = journal.setdefault(record.account, {})
    for key, entry in journal.pop(record.old, {}).items():
        mine.setdefault(key, entry)


def _stepped(entries: dict[str, Entry], record: Stepped) -> None:
    shift = Shift(*record[1:])
    for entry in entries.values():
        entry.since, entry.settled = shift.of(entry.since), shift.of(entry.settled)
        if entry.vanished is not None:
            entry.vanished = shift.of(entry.vanished)
        entry.losses = {who: Loss(loss.number, shift.of(loss.at)) for who, loss in entry.losses.items()}


def _whole(entries: dict[str, Entry], record: Whole) -> None:
    entries[record.entry.key] = record.entry


def _content(entries: dict[str, Entry], record: ContentRefused) -> None:
    entry = _entry(entries, record.key)
    if entry.status not in SETTLED:
        entry.content = tuple(dict.fromkeys((*entry.content, *record.recipients)))


def _lost(entries: dict[str, Entry], record: Lost) -> None:
    entry = _entry(entries, record.key)
    if entry.status not in SETTLED:
        entry.losses |= record.losses


def _entry(entries: dict[str, Entry], key: str) -> Entry:
    entry = entries.get(key)
    if entry is None:
        entry = entries[key] = Entry(key)
    return entry


_RULES: dict[type, Callable[[dict[str, Entry], Any], None]] = {
    Spooled: _spooled,
    Verdicts: _verdicts,
    Delivered: _settle,
    Burying: _burying,
    Dud: _settle,
    Left: _left,
    Lasting: _lasting,
    Deleting: _deleting,
    Gone: _gone,
    Trouble: _trouble,
    Renamed: _renamed,
    Vanished: _vanished,
    Looked: _looked,
    Seen: _seen,
    Stepped: _stepped,
    Announced: _announced,
    Whole: _whole,
    ContentRefused: _content,
    Lost: _lost,
}
