"""The journal: what happened to every message, a line a fact; replay is a pure function.

A line is `ACCOUNT LENGTH CRC CRC JSON`: the first checksum covers account and length, the second the whole line. So of
a damaged line of the length it should have, the account can still be named, and the damage concerns nobody else.

The law of replay: any bytes give a Replay. Lines stand for themselves, so those after a damaged one count. What a power
cut leaves is no damage: a last line without its newline, and sectors of NULs after the last Mark (a Mark says that all
before it was on disk when it was written).
"""

import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate
from json import JSONDecoder, JSONEncoder
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from lib.store import journal_facts as facts
from lib.store import journal_replay as rules
from lib.store.journal_facts import (
    ACCEPTED,
    DEFERRED,
    REFUSED,
    UID_KEPT,
    WORDS_KEPT,
    Entries,
    Entry,
    Loss,
    RecipientVerdict,
    Record,
    Status,
    finite,
    tells_uid,
)

DAY = 86400.0
SECTOR = 512  # octets that a disk writes whole or not at all
_NULS = re.compile(rb"\0+")


class Damage(NamedTuple):
    """A line that cannot be believed: its number, from 1, and the account that it concerns, None when it may be any."""

    line: int
    account: str | None


class Replay(NamedTuple):
    """What a journal says."""

    journal: Entries
    damages: tuple[Damage, ...]
    torn: int  # bytes at the end that a power cut or a kill left unfinished: cut them off before appending
    holes: int  # lines inside that a power cut left unwritten: rewrite the file before appending
    lines: int  # lines that were believed
    row: int | None = None  # duds in a row, as the last facts.DudsInARow says


def encode(record: Record) -> bytes:
    """Return the line of *record*."""
    kind = _BY_RECORD[type(record)]
    body = _line([kind.letter, *kind.fields(record)]).encode()
    account, crc = _account(record.account)
    length = b"%x " % len(body)
    crc = zlib.crc32(length, crc)
    return b"%b%b%08x %08x %b\n" % (account, length, crc, zlib.crc32(body, crc), body)


def replay(data: bytes) -> Replay:
    """Return what the journal *data* says; never raises."""
    *lines, rest = data.split(b"\n")
    torn, mark, row = len(rest), 0, None
    journal: Entries = {}
    bad: dict[int, str | None] = {}
    for number, line in enumerate(lines, 1):
        account, record = _decode(line)
        if record is None:
            bad[number] = account
        elif type(record) is facts.Mark:
            mark = number
        elif type(record) is facts.DudsInARow:
            row = record.duds
        else:
            apply(journal, record)
    cut = _unwritten(lines, [number for number in bad if number > mark and 0 in lines[number - 1]])
    damages = tuple(Damage(number, account) for number, account in bad.items() if number not in cut)
    end = len(lines)
    while end in cut:
        torn += len(lines[end - 1]) + 1
        end -= 1
    return Replay(journal, damages, torn, sum(number <= end for number in cut), len(lines) - len(bad), row)


def apply(journal: Entries, record: Record) -> None:
    """Let *journal* know of *record*."""
    rule = _BY_RECORD[type(record)].rule
    if type(record) is facts.Adopted:
        rules.adopt(journal, record)
    elif rule is not None:
        rule(journal.setdefault(record.account, {}), record)


def compact(journal: Entries, now: float, *, forget_vanished_after_days: int = 60) -> bytes:
    """Return the shortest journal that says the same, less what left its server long ago and is not in the spool."""
    horizon = now - forget_vanished_after_days * DAY
    return b"".join(
        b"".join(map(encode, _told(account, entry)))
        for account, entries in journal.items()
        for entry in entries.values()
        if entry.status is Status.SPOOLED or entry.vanished is None or entry.vanished > horizon
    )


def _told(account: str, entry: Entry) -> Iterator[Record]:
    """Yield all that is known of a message."""
    yield facts.Whole(account, entry)
    if entry.content:
        yield facts.ContentRefused(account, entry.key, entry.content)
    if entry.losses:
        yield facts.Lost(account, entry.key, entry.losses)


def _unwritten(lines: list[bytes], suspects: list[int]) -> set[int]:
    """Return those lines in which a power cut left NULs: up to the end of a sector, where written data goes on."""
    if not suspects:
        return set()
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    return {
        number
        for number in suspects
        if not any((starts[number - 1] + run.end()) % SECTOR for run in _NULS.finditer(lines[number - 1]))
    }


# --- lines ----------------------------------------------------------------------------------------------------------

_json = JSONEncoder(separators=(",", ":")).encode
_parse = JSONDecoder(parse_float=finite, parse_constant=finite).decode
_SIMPLE: dict[type, Callable[[Any], str]] = {str: encode_basestring_ascii, int: int.__repr__, float: float.__repr__}


def _line(values: list[Any]) -> str:
    """Return *values* as JSON; an encoder that is set up anew each time costs more than all else."""
    try:
        return f"[{','.join([_SIMPLE[type(value)](value) for value in values])}]"
    except KeyError:
        return _json(values)


@lru_cache(maxsize=4096)
def _account(account: str) -> tuple[bytes, int]:
    """Return how *account* stands in front of a line, and the checksum so far."""
    name = quote(account, safe="@:", errors="surrogatepass").encode() + b" "
    return name, zlib.crc32(name)


@lru_cache(maxsize=4096)
def _name(account: bytes) -> str:
    return unquote(account.decode(), errors="surrogatepass")


def _decode(line: bytes) -> tuple[str | None, Record | None]:
    """Return whom *line* concerns and what it says, None for what cannot be believed."""
    name = None
    try:
        account, length, started, whole, body = line.split(b" ", 4)
        crc = zlib.crc32(line[: len(account) + len(length) + 2])
        if started != b"%08x" % crc or int(length, 16) != len(body):
            return None, None
        name = _name(account)
        if whole != b"%08x" % zlib.crc32(body, crc):
            return name, None
        letter, *fields = _parse(body.decode())
        kind = _BY_LETTER[letter]
        if [type(value) for value in fields] != kind.shape[: len(fields)]:
            return name, None
        return name, kind.build(name, *fields)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return name, None


# --- what stands in the JSON of a line: the fields but the account; octets as Latin-1, for JSON knows none ------------


class _Kind(NamedTuple):
    """One kind of line: its letter, its record, that one's fields as JSON, their types, the way back, and its rule."""

    letter: str
    record: type[Record]
    fields: Callable[[Any], list[Any]]
    shape: list[type]
    build: Callable[..., Record]
    rule: Callable[[dict[str, Entry], Any], None] | None  # what it changes; None: it concerns no message of one account


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


_VERDICTS = {ACCEPTED: ACCEPTED, DEFERRED: DEFERRED, REFUSED: REFUSED}


def _said(recipients: dict[bytes, RecipientVerdict]) -> dict[str, list[str]]:
    return {_text(who): [status, _text(words[:WORDS_KEPT])] for who, (status, words) in recipients.items()}


def _heard(said: dict[str, list[str]]) -> dict[bytes, RecipientVerdict]:
    return {_octets(who): (_VERDICTS[status], _octets(words)) for who, (status, words) in said.items()}


def _kept_uid(record: facts.Spooled) -> str:
    """Return what the key does not say of the UID."""
    return "" if tells_uid(record.key) else _text(record.uid[:UID_KEPT])


# What a short line of an entry leaves out.
_UNSAID: tuple[Any, ...] = ("", 0.0, 0.0, 0, 0, "", {}, 0, "", [], "", [], "", 0, [], "", "", 0)


def _dump(record: facts.Whole) -> list[Any]:
    """Return the fields of an entry up to the last that is worth a word."""
    entry = record.entry
    times = (float(entry.settled), float(entry.since))
    envelope = (_text(entry.sender), _said(entry.recipients))
    vanished = [] if entry.vanished is None else [float(entry.vanished)]
    burial = [] if entry.burial is None else [entry.burial]
    fields: list[Any] = [entry.key, entry.status.value, entry.sha, *times, entry.size, entry.number, *envelope]
    fields += [entry.troubles, entry.why, vanished, _text(entry.uid_kept), burial, entry.deletion, int(entry.lasting)]
    fields += [[] if entry.announced is None else [entry.announced], entry.header, entry.bare, int(entry.fresh)]
    while not fields[-1]:
        fields.pop()
    return fields


def _load(account: str, key: str, status: str, *fields: Any) -> facts.Whole:
    told: tuple[Any, ...] = (*fields, *_UNSAID[len(fields) :])
    sha, settled, since, size, number, sender, said, troubles, why, vanished, uid, burial, deletion, *more = told
    lasting, announced, header, bare, fresh = more
    gone, length = float(vanished[0]) if vanished else None, int(burial[0]) if burial else None
    envelope = (_octets(sender), _heard(said))
    entry = Entry(key, Status(status), sha, size, number, since, settled, *envelope, troubles, why, gone)
    entry.uid_kept, entry.burial, entry.deletion, entry.lasting = _octets(uid), length, str(deletion), lasting == 1
    entry.announced, entry.header, entry.bare = int(announced[0]) if announced else None, header, bare
    entry.fresh = fresh == 1
    return facts.Whole(account, entry)


def _loss(number: int, at: float) -> Loss:
    return Loss(int(number), float(at))


def _key_sha_at(record: facts.Delivered | facts.Dud) -> list[Any]:
    return [record.key, record.sha, float(record.at)]


def _dump_spooled(record: facts.Spooled) -> list[Any]:
    """Return the fields up to the last that is worth a word; what an older version wrote ends with the time."""
    fields = [record.key, record.number, _kept_uid(record), record.sha, record.size, float(record.at)]
    if record.announced >= 0:
        fields += [record.announced, record.header, record.bare, record.word]
        while not fields[-1] and type(fields[-1]) is str:
            fields.pop()
    return fields


def _load_spooled(account: str, key: str, number: int, uid: str, *fields: Any) -> facts.Spooled:
    return facts.Spooled(account, key, number, _octets(uid), *fields)


_ENTRY = [str, str, str, float, float, int, int, str, dict, int, str, list, str, list, str, int, list, str, str, int]
_KINDS = (
    _Kind(
        "S",
        facts.Spooled,
        _dump_spooled,
        [str, int, str, str, int, float, int, str, str, str],
        _load_spooled,
        rules.spooled,
    ),
    _Kind(
        "V",
        facts.Verdicts,
        lambda r: [r.key, _text(r.sender), _said(r.recipients), float(r.at)],
        [str, str, dict, float],
        lambda account, key, sender, said, at: facts.Verdicts(account, key, _octets(sender), _heard(said), at),
        rules.verdicts,
    ),
    _Kind("D", facts.Delivered, _key_sha_at, [str, str, float], facts.Delivered, rules.settle),
    _Kind(
        "B",
        facts.Burying,
        lambda r: [r.key, [] if r.length is None else [r.length]],
        [str, list],
        lambda account, key, length: facts.Burying(account, key, int(length[0]) if length else None),
        rules.burying,
    ),
    _Kind("X", facts.Dud, _key_sha_at, [str, str, float], facts.Dud, rules.settle),
    _Kind("L", facts.Left, lambda r: [r.key, r.size, float(r.at)], [str, int, float], facts.Left, rules.left),
    _Kind(
        "F",
        facts.Lasting,
        lambda r: [list(r.files)],
        [list],
        lambda account, files: facts.Lasting(account, tuple(map(int, files))),
        rules.lasting,
    ),
    _Kind(
        "Q",
        facts.Deleting,
        lambda r: [r.word, list(r.keys)],
        [str, list],
        lambda account, word, keys: facts.Deleting(account, tuple(map(str, keys)), word),
        rules.deleting,
    ),
    _Kind(
        "G",
        facts.Gone,
        lambda r: [list(r.keys)],
        [list],
        lambda account, keys: facts.Gone(account, tuple(map(str, keys))),
        rules.gone,
    ),
    _Kind(
        "T",
        facts.Trouble,
        lambda r: [r.key, r.why[:WORDS_KEPT], float(r.at)],
        [str, str, float],
        facts.Trouble,
        rules.trouble,
    ),
    _Kind("R", facts.Renamed, lambda r: [r.old, r.new], [str, str], facts.Renamed, rules.renamed),
    _Kind("-", facts.Vanished, lambda r: [r.key, float(r.at)], [str, float], facts.Vanished, rules.vanished),
    _Kind(
        "A",
        facts.Announced,
        lambda r: [list(r.keys), list(r.sizes)],
        [list, list],
        lambda account, keys, sizes: facts.Announced(account, tuple(map(str, keys)), tuple(map(int, sizes))),
        rules.announced,
    ),
    _Kind("~", facts.Looked, lambda _: [], [], facts.Looked, rules.looked),
    _Kind("+", facts.Seen, lambda r: [r.key], [str], facts.Seen, rules.seen),
    _Kind("N", facts.Adopted, lambda r: [r.old], [str], facts.Adopted, None),
    _Kind("C", facts.Stepped, lambda r: list(map(float, r[1:])), [float] * 4, facts.Stepped, rules.stepped),
    _Kind("E", facts.Whole, _dump, _ENTRY, _load, rules.whole),
    _Kind(
        "!",
        facts.ContentRefused,
        lambda r: [r.key, list(map(_text, r.recipients))],
        [str, list],
        lambda account, key, recipients: facts.ContentRefused(account, key, tuple(map(_octets, recipients))),
        rules.content,
    ),
    _Kind(
        "?",
        facts.Lost,
        lambda r: [r.key, {_text(who): [loss.number, float(loss.at)] for who, loss in r.losses.items()}],
        [str, dict],
        lambda account, key, said: facts.Lost(account, key, {_octets(who): _loss(*loss) for who, loss in said.items()}),
        rules.lost,
    ),
    _Kind("#", facts.DudsInARow, lambda r: [r.duds], [int], lambda _, duds: facts.DudsInARow(max(duds, 0)), None),
    _Kind("=", facts.Mark, lambda _: [], [], facts.Mark, None),
)
_BY_LETTER = {kind.letter: kind for kind in _KINDS}
_BY_RECORD = {kind.record: kind for kind in _KINDS}
