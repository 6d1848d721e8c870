"""What a record of the journal changes in what is known: a rule a kind of record. Pure."""

from lib.store import journal_facts as facts
from lib.store.clock import Shift
from lib.store.journal_facts import (
    ACCEPTED,
    ASKED,
    IGNORED,
    SETTLED,
    UID_KEPT,
    WORDS_KEPT,
    Entries,
    Entry,
    Loss,
    Status,
    tells_uid,
)


def spooled(entries: dict[str, Entry], record: facts.Spooled) -> None:
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


def verdicts(entries: dict[str, Entry], record: facts.Verdicts) -> None:
    """Later words win, but what was accepted stays accepted."""
    entry = _entry(entries, record.key)
    if entry.status in SETTLED:
        return
    entry.status, entry.sender, entry.since = Status.SPOOLED, record.sender, entry.since or record.at
    for who, (status, words) in record.recipients.items():
        if entry.recipients.get(who, ("", b""))[0] != ACCEPTED:
            entry.recipients[who] = (status, words[:WORDS_KEPT])


def settle(entries: dict[str, Entry], record: facts.Delivered | facts.Dud) -> None:
    """Nothing of the envelope is needed any more; a pass that was killed may have left the spool file."""
    entry = _entry(entries, record.key)
    entry.status = Status.DUD if type(record) is facts.Dud else Status.DELIVERED
    entry.sha, entry.settled, entry.sender, entry.recipients = record.sha, record.at, b"", {}
    entry.burial, entry.content, entry.losses = None, (), {}


def burying(entries: dict[str, Entry], record: facts.Burying) -> None:
    """Remember where in duds.dat it goes."""
    _entry(entries, record.key).burial = record.length


def lasting(entries: dict[str, Entry], record: facts.Lasting) -> None:
    """Take note that these files are on disk."""
    files = set(record.files)
    for entry in entries.values():
        entry.lasting = entry.lasting or (entry.status is Status.SPOOLED and entry.number in files)


def left(entries: dict[str, Entry], record: facts.Left) -> None:
    """Take note that it stays on the server, unless it was fetched."""
    entry = _entry(entries, record.key)
    if entry.status in {Status.TROUBLED, Status.LEFT}:
        entry.status, entry.size, entry.settled = Status.LEFT, record.size, entry.settled or record.at


def gone(entries: dict[str, Entry], record: facts.Gone) -> None:
    """Forget these: whatever comes under their keys is new."""
    for key in record.keys:
        entries.pop(key, None)


def deleting(entries: dict[str, Entry], record: facts.Deleting) -> None:
    """Take over the word, but for a server that does not delete: it is asked again and again, and known for it."""
    keys = record.keys or [key for key, entry in entries.items() if entry.deletion == ASKED]
    for key in keys:
        entry = entries.get(key)
        if entry is not None and not (entry.deletion == IGNORED and record.word == ASKED):
            entry.deletion = record.word


def trouble(entries: dict[str, Entry], record: facts.Trouble) -> None:
    """Count it; the message comes behind the others from now on."""
    entry = _entry(entries, record.key)
    entry.troubles, entry.why = entry.troubles + 1, record.why[:WORDS_KEPT]


def renamed(entries: dict[str, Entry], record: facts.Renamed) -> None:
    """Keep what is settled under the new name already."""
    entry = entries.pop(record.old, None)
    if entry is None:
        return
    other = entries.get(record.new)
    if other is None or entry.status in SETTLED or other.status not in SETTLED:
        entry.key, entry.uid_kept = record.new, b""
        entries[record.new] = entry


def vanished(entries: dict[str, Entry], record: facts.Vanished) -> None:
    """Take over the time, if it is the first."""
    entry = entries.get(record.key)
    if entry is not None and entry.vanished is None:
        entry.vanished, entry.fresh = record.at, True


def looked(entries: dict[str, Entry], _: facts.Looked) -> None:
    """Take note that what vanished before was looked for."""
    for entry in entries.values():
        entry.fresh = False


def announced(entries: dict[str, Entry], record: facts.Announced) -> None:
    """Take over the sizes of what is known."""
    for key, size in zip(record.keys, record.sizes, strict=False):
        entry = entries.get(key)
        if entry is not None:
            entry.announced = size


def seen(entries: dict[str, Entry], record: facts.Seen) -> None:
    """Forget that it had vanished."""
    entry = entries.get(record.key)
    if entry is not None:
        entry.vanished, entry.fresh = None, False


def adopt(journal: Entries, record: facts.Adopted) -> None:
    """Keep what is known under the new name already."""
    mine = journal.setdefault(record.account, {})
    for key, entry in journal.pop(record.old, {}).items():
        mine.setdefault(key, entry)


def stepped(entries: dict[str, Entry], record: facts.Stepped) -> None:
    """Let the times that were noted stand by the clock of today."""
    shift = Shift(*record[1:])
    for entry in entries.values():
        entry.since, entry.settled = shift.of(entry.since), shift.of(entry.settled)
        if entry.vanished is not None:
            entry.vanished = shift.of(entry.vanished)
        entry.losses = {who: Loss(loss.number, shift.of(loss.at)) for who, loss in entry.losses.items()}


def whole(entries: dict[str, Entry], record: facts.Whole) -> None:
    """Take over all that is told of a message."""
    entries[record.entry.key] = record.entry


def content(entries: dict[str, Entry], record: facts.ContentRefused) -> None:
    """Remember who refused for the content, until it is settled."""
    entry = _entry(entries, record.key)
    if entry.status not in SETTLED:
        entry.content = tuple(dict.fromkeys((*entry.content, *record.recipients)))


def lost(entries: dict[str, Entry], record: facts.Lost) -> None:
    """Count lost verdicts, until it is settled."""
    entry = _entry(entries, record.key)
    if entry.status not in SETTLED:
        entry.losses |= record.losses


def _entry(entries: dict[str, Entry], key: str) -> Entry:
    entry = entries.get(key)
    if entry is None:
        entry = entries[key] = Entry(key)
    return entry
