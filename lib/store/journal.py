"""The journal on disk: replayed once, appended to, synced in groups. What stands in it is journal_format's.

The law: note() changes what is known and remembers the lines; flush() hands them to the system (they survive a kill);
sync() returns when they are on disk (they survive a power cut). Any thread may call these; the locks are in here. A
line that could not be written whole is cut off again, or nothing more is ever written.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from lib.errors import StorageError
from lib.store import journal_facts, journal_format, ownfile
from lib.store.journal_facts import ASKED, REFUSED, SETTLED, UNSURE, DudsInARow, Entry, Mark, Record
from lib.store.journal_format import Damage, Replay

TOLD = 5  # damaged lines that are named
_MARK = journal_format.encode(Mark())
WORTH_COMPACTING = 1000  # lines that say nothing new; below that a rewrite costs more than it saves


class Journal:
    """The journal file *path*, and what it says: *entries* by account and key. Others only read the entries."""

    def __init__(self, path: Path) -> None:
        self.entries: journal_facts.Entries = {}
        self.damages: tuple[Damage, ...] = ()
        self.row: int | None = None  # duds in a row; None where it was never noted
        self._path = path
        self._descriptor = -1
        self._changing = Lock()  # entries, lines, writing
        self._syncing = Lock()  # taken before the other; one sync at a time, for all who wait
        self._lines: list[bytes] = []
        self._length = 0  # octets of the file that are whole lines
        self._count = 0  # lines in the file
        self._noted = 0  # notes ever made
        self._synced = 0  # of these, on disk
        self._mark = False  # something was synced since the last mark
        self._new = False  # the name is not on disk yet
        self._broken = False

    def load(self, now: float) -> Replay:
        """Read the journal, cut off what a kill or a power cut left unfinished. Raises StorageError."""
        self._open()
        said = self._read()
        if said.holes and not said.damages:
            self._rewrite(journal_format.compact(said.journal, now))
        elif said.torn:
            self._cut()
        return said

    def of(self, account: str) -> dict[str, Entry]:
        """Return what is known of the messages of *account*, by key; the same dict every time."""
        return self.entries.setdefault(account, {})

    def held(self, account: str) -> bool:
        """Say whether a damaged line may be about *account*: then nothing of it may be fetched or delivered."""
        return any(damage.account in {None, account} for damage in self.damages)

    def note(self, *records: Record) -> None:
        """Let it be known, here and now; on disk it is after flush() or sync()."""
        lines = [journal_format.encode(record) for record in records]
        with self._changing:
            for record in records:
                journal_format.apply(self.entries, record)
                if type(record) is DudsInARow:
                    self.row = record.duds
            self._lines += lines
            self._noted += len(lines)

    def flush(self) -> None:
        """Return when all that was noted survives the end of this process. Raises StorageError."""
        with self._changing:
            self._write()

    def sync(self) -> None:
        """Return when all that was noted survives a power cut. Raises StorageError."""
        noted = self._noted
        with self._syncing:
            if self._synced >= noted:
                return  # somebody else's sync took ours along
            with self._changing:
                self._write()
                noted = self._noted
            try:
                ownfile.sync(self._descriptor, self._path)
            except StorageError:
                self._broken = True  # a second try would succeed without having written what the first one lost
                raise
            if self._new:
                ownfile.sync_folder(self._path.parent)
                self._new = False
            self._synced, self._mark = noted, True

    def compact(self, now: float) -> None:
        """Rewrite the journal when much in it is of no use any more, but not while it is damaged."""
        with self._syncing, self._changing:
            self._write()
            known = sum(map(len, self.entries.values()))
            if not self.damages and self._count > 2 * known + WORTH_COMPACTING:
                self._rewrite(journal_format.compact(self.entries, now))

    def close(self) -> None:
        """Flush and close; twice does no harm. Raises StorageError."""
        with self._syncing, self._changing:
            if self._descriptor < 0:
                return
            try:
                self._write()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def reset_damage(self, now: float) -> Path | None:
        """Set a damaged journal aside and go on with what can be believed; return where it lies now, None if whole."""
        if not self.damages:
            return None
        with self._syncing, self._changing:
            aside = ownfile.aside(self._path)
            ownfile.replace(aside, ownfile.read(self._path) or b"")
            for account in filter(self.held, self.entries):
                for entry in self.entries[account].values():
                    _doubt(entry)
            self._rewrite(journal_format.compact(self.entries, now))
            self.damages = ()
        return aside

    def _open(self) -> None:
        self._descriptor = ownfile.open_own(self._path, create=True, append=True)

    def _read(self) -> Replay:
        data = ownfile.read(self._path) or b""
        said = journal_format.replay(data)
        self.entries, self.damages, self.row = said.journal, said.damages, said.row
        self._count, self._length = said.lines + len(said.damages), len(data) - said.torn
        self._new = _MARK not in data  # or a pass may have been killed when it had made the file
        self._noted = 1  # a killed pass may have left lines that are not on disk yet: the first sync() takes them along
        return said

    def _write(self) -> None:
        """Append what was noted; either all of it is in the file, or nothing."""
        if self._broken:
            raise StorageError(f"{self._path}: an earlier write failed, so nothing more is written to it")
        if not self._lines:
            return
        lines = [_MARK, *self._lines] if self._mark else self._lines
        data = b"".join(lines)
        try:
            ownfile.write(self._descriptor, data, self._path)
        except StorageError:
            self._cut()
            raise
        self._length += len(data)
        self._count += len(lines)
        self._lines, self._mark = [], False

    def _cut(self) -> None:
        """Let the file end after its last whole line; when even that fails, never write again."""
        self._broken = True
        with ownfile.saying(self._path):
            os.ftruncate(self._descriptor, self._length)
        self._broken = False

    def _rewrite(self, data: bytes) -> None:
        """Put *data* in the place of the journal, which is never empty again: that is one that remembers nothing."""
        row = b"" if self.row is None else journal_format.encode(DudsInARow(self.row))
        data = data + row or _MARK
        os.close(self._descriptor)  # Windows replaces no open file
        self._descriptor = -1
        try:
            ownfile.replace(self._path, data)
            self._length, self._count, self._mark, self._new = len(data), data.count(b"\n"), True, False
            self._synced = self._noted
        finally:
            self._open()


def _doubt(entry: Entry) -> None:
    """Let it be known that lines may be missing: who else is to get a message, that it was to be deleted."""
    if entry.recipients:
        entry.recipients[UNSURE] = (REFUSED, b"the journal was damaged")
    elif entry.status in SETTLED:
        entry.deletion = entry.deletion or ASKED  # what is listed under its UID is looked at again


def damage_told(damages: Sequence[Damage]) -> str:
    """Say in one line where a journal is damaged and whom it concerns."""
    told = ", ".join(f"line {damage.line} ({damage.account or 'any account'})" for damage in damages[:TOLD])
    more = f" and {len(damages) - TOLD} more" if len(damages) > TOLD else ""
    return f"the journal is damaged in {told}{more}; the accounts concerned are held until --reset"
