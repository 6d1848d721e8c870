"""duds.dat on disk: what nobody would take, with the reasons. What stands in it is duds_format's.

The law: when append() returns the dud is on disk; when it fails the file is as it was. After a kill or a power cut
has() says whether an append() came to its end, and takes back what it left half done. Nothing else is ever taken out
but by remove(), which writes the file anew, all or nothing.
"""

import contextlib
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice, pairwise
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

from lib.errors import StorageError
from lib.store import duds_format, ownfile
from lib.store.duds_format import DudHeader, Quoter, Unquoter
from lib.store.journal_facts import UID_KEPT

PIECE = 64 << 10  # octets that are read at a time
LONGEST_LINE = 64 << 10  # octets of a line that are looked at
FOR_A_NAME = 4096  # octets of a message that make its name
MAX_HEADER_LINES = 1000  # in which a Subject is looked for
_BETWEEN = re.compile(rb"(?:\n(?:F(?:rom?|r)?)?\0*\n*)?")  # a blank line, and what a power cut may leave of a separator

_BEGUN = re.compile(rb"\n*(?:F(?:rom?|r)?|\0.*)?", re.DOTALL)  # what stands before the separator of one that was begun


class DudInfo(NamedTuple):
    """One message of duds.dat; *number* counts from 1. Words and subject are printable ASCII."""

    number: int
    when: datetime
    account: str
    uid: bytes
    sender: bytes
    recipients: tuple[bytes, ...]
    reasons: tuple[str, ...]
    size: int
    subject: str
    whole: bool  # a power cut left it half done when not; then its server still has it
    had: tuple[bytes, ...] = ()  # who has it
    id: str = ""  # its name, whatever its number is
    by_version_1: bool = False  # then nobody can tell who has it


class _Place(NamedTuple):
    """Where a message stands in the file: separator, ours, message, end of the message, next separator."""

    start: int
    told: duds_format.ReadHeader
    message: int
    end: int
    next: int


class Duds:
    """The file *path*. Any thread may call anything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._named = False  # its name is on disk
        self._counted = (0, 0)  # octets of the file when it was last counted, and how many messages these were

    def append(  # noqa: PLR0913, PLR0917 - so many things are to be told of a dud
        self,
        when: datetime,
        account: str,
        uid: bytes,
        sender: bytes,
        recipients: Sequence[bytes],
        reasons: Sequence[str | bytes],
        chunks: Iterable[bytes],
        had: Sequence[bytes] = (),
    ) -> None:
        """Write a dud; *chunks* is the message with CRLF line ends, *had* is who has it. Raises StorageError."""
        told = tuple(reason.encode() if isinstance(reason, str) else reason for reason in reasons)
        dud = DudHeader(when, account, uid, sender, tuple(recipients), told, tuple(had), os.urandom(8).hex())
        with self._lock:
            descriptor = ownfile.open_own(self._path, create=True)
            try:
                if not self._named:  # also where it was there: a pass may have been killed when it had made it
                    ownfile.sync_folder(self._path.parent)
                    self._named = True
                self._append(descriptor, dud, iter(chunks))
            finally:
                os.close(descriptor)

    def length(self) -> int:
        """Return how many octets are in the file. Raises StorageError."""
        with self._lock, self._reading() as file:
            return file.seek(0, os.SEEK_END)

    def count(self) -> int:
        """Return how many messages are in the file; it is read again only behind what was counted. StorageError."""
        with self._lock, self._reading() as file:
            length, count = self._counted
            end = file.seek(0, os.SEEK_END)
            if end < length:  # somebody took some out
                length, count = 0, 0
            self._counted = (end, count + sum(1 for _ in _separators(file, length)))
            return self._counted[1]

    def has(self, account: str, uid: bytes, length: int) -> bool:
        """Say whether an append() of that message to a file of *length* octets came to its end; undo what it began.

        What does not look like a beginning of ours is left as it is: somebody may have been in the file meanwhile.
        Raises StorageError.
        """
        with self._lock:
            with self._reading() as file:
                whole, begun = _behind(file, length, account, uid)
            if begun:
                self._cut(length)
            elif whole:
                self._make_sure()
            return whole

    def list(self) -> list[DudInfo]:
        """Return what is in the file. Raises StorageError."""
        with self._lock, self._reading() as file:
            return [_info(number, place, file) for number, place in enumerate(_places(file), 1)]

    def chunks(self, number: int) -> Iterator[bytes]:
        """Yield the message as it was given, without what append() put in front. Raises StorageError."""
        with self._reading() as file:
            place = self._place(file, number)
            unquoter = Unquoter()
            for piece in _pieces(file, place.message, place.end):
                yield unquoter.feed(piece)
            yield unquoter.finish()

    def remove(self, numbers: Iterable[int]) -> None:
        """Take these out, all at once. Raises StorageError."""
        gone = set(numbers)
        with self._lock:
            with self._reading() as file:
                places = list(_places(file))
            kept = [place for number, place in enumerate(places, 1) if number not in gone]
            spans = [(0, places[0].start if places else 0), *((place.start, place.next) for place in kept)]
            ownfile.replace(self._path, self._copied(spans))

    def change(self, number: int, recipients: Sequence[bytes], had: Sequence[bytes], name: str) -> None:
        """Let a dud be for *recipients* from now on, *had* by those, and be called *name*. Raises StorageError."""
        with self._lock:
            with self._reading() as file:
                place = self._place(file, number)
                end = file.seek(0, os.SEEK_END)
            dud = place.told.dud._replace(recipients=tuple(recipients), had=tuple(had), id=name)
            begin, behind = (place.start + at for at in place.told.ours)
            ownfile.replace(self._path, self._copied([(0, begin), duds_format.lines(dud), (behind, end)]))

    def _append(self, descriptor: int, dud: DudHeader, chunks: Iterator[bytes]) -> None:
        with ownfile.saying(self._path):
            length = os.fstat(descriptor).st_size
        try:
            self._write(descriptor, length, dud, chunks)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, length)
            raise

    def _make_sure(self) -> None:
        """Sync what a pass that was killed may have left to the system alone."""
        descriptor = ownfile.open_own(self._path, create=False)
        try:
            ownfile.sync(descriptor, self._path)
        finally:
            os.close(descriptor)
        ownfile.sync_folder(self._path.parent)
        self._named = True

    def _cut(self, length: int) -> None:
        descriptor = ownfile.open_own(self._path, create=False)
        try:
            with ownfile.saying(self._path):
                os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, length: int, dud: DudHeader, chunks: Iterator[bytes]) -> None:
        """Write the dud as an unfinished one, sync, and only then say that it is finished."""
        path, quoter = self._path, Quoter()
        gap = _gap(descriptor, length)
        beginning = _first_line(chunks)
        opening, size_at = duds_format.opening(dud, beginning)
        ownfile.write(descriptor, gap + opening, path)
        octets = 0
        for chunk in chain((beginning,), chunks):
            quoted = quoter.feed(chunk)
            octets += len(quoted)
            ownfile.write(descriptor, quoted, path)
        rest = quoter.finish()
        ownfile.write(descriptor, rest + b"\n", path)
        ownfile.sync(descriptor, path)
        ownfile.write(descriptor, duds_format.size(octets + len(rest)), path, at=length + len(gap) + size_at)
        ownfile.sync(descriptor, path)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        """Open the file to read; an empty one when there is none."""
        try:
            descriptor = ownfile.open_own(self._path, create=False)
        except ownfile.MissingError:
            yield io.BytesIO()
            return
        with ownfile.saying(self._path), os.fdopen(descriptor, "rb") as file:
            yield file

    def _place(self, file: BinaryIO, number: int) -> _Place:
        for count, place in enumerate(_places(file), 1):
            if count == number:
                return place
        raise StorageError(f"{self._path}: there is no message {number}; --duds list shows them")

    def _copied(self, parts: Iterable[tuple[int, int] | bytes]) -> Iterator[bytes]:
        """Yield these *parts*, octets or places in the file; it is closed when the last is out, for Windows' sake."""
        with self._reading() as file:
            for part in parts:
                yield from (part,) if isinstance(part, bytes) else _pieces(file, *part)


def _gap(descriptor: int, length: int) -> bytes:
    """Return what must come first so that the next separator stands after a blank line; go to the end."""
    end = b""
    if length:
        os.lseek(descriptor, max(length - 2, 0), os.SEEK_SET)
        end = os.read(descriptor, 2)
    os.lseek(descriptor, length, os.SEEK_SET)
    return b"" if end in {b"", b"\n\n"} else b"\n" if end.endswith(b"\n") else b"\n\n"


def _first_line(chunks: Iterator[bytes]) -> bytes:
    """Return as much of the message as tells whether it begins with a header field."""
    beginning = b""
    for chunk in chunks:
        beginning += chunk
        if b"\n" in chunk or len(beginning) >= duds_format.FIRST_LINE:
            break
    return beginning


def _separators(file: BinaryIO, start: int = 0) -> Iterator[int]:
    """Yield where lines begin with a separator, from *start* on, where a line begins."""
    tail, offset = b"\n", start - 1  # as if a line ended before it
    file.seek(start)
    while piece := file.read(PIECE):
        data = tail + piece
        found = data.find(b"\n" + duds_format.SEPARATOR)
        while found >= 0:
            yield offset + found + 1
            found = data.find(b"\n" + duds_format.SEPARATOR, found + 1)
        tail = data[-len(duds_format.SEPARATOR) :]
        offset += len(data) - len(tail)


def _places(file: BinaryIO) -> Iterator[_Place]:
    """Yield where every message stands."""
    starts = list(_separators(file))
    end = file.seek(0, os.SEEK_END)
    for start, after in pairwise([*starts, end]):
        file.seek(start)
        told = duds_format.read(_lines(file))
        message = min(start + told.length, after)
        yield _Place(start, told, message, _end(file, message, told.size or 0, after), after)


def _end(file: BinaryIO, message: int, size: int, after: int) -> int:
    """Return where a message of *size* octets ends, before the blank line; other programs may have made it longer."""
    left = after - message - size
    file.seek(message + size)
    if 0 <= left <= LONGEST_LINE and _BETWEEN.fullmatch(file.read(left)):
        return message + size
    file.seek(after - 2)
    return max(after - (file.read(2) == b"\n\n"), message)


def _behind(file: BinaryIO, length: int, account: str, uid: bytes) -> tuple[bool, bool]:
    """Say what stands behind *length* octets: that dud, and whole; or nothing but what was begun of one."""
    places = [place for place in _places(file) if place.start >= length]
    if places and places[0].told.size is not None:
        dud = places[0].told.dud
        return (dud.account, dud.uid[:UID_KEPT]) == (account, uid[:UID_KEPT]), False
    file.seek(length)
    gap = file.read(places[0].start - length if places else LONGEST_LINE)
    begun = bool(gap or places) and len(places) < 2
    return False, begun and _BEGUN.fullmatch(gap) is not None


def _info(number: int, place: _Place, file: BinaryIO) -> DudInfo:
    dud, size = place.told.dud, place.told.size
    file.seek(place.message)
    subject = duds_format.subject(islice(_lines(file), MAX_HEADER_LINES))
    reasons = tuple(duds_format.escape(reason).decode() for reason in dud.reasons)
    octets = place.end - place.message
    whole = size is not None and octets >= size
    told = (dud.when, dud.account, dud.uid, dud.sender, dud.recipients, reasons)
    name = dud.id or _name(file, place)
    shown = duds_format.escape(subject).decode()
    return DudInfo(number, *told, octets, shown, whole, dud.had, name, by_version_1=not dud.id)


def _name(file: BinaryIO, place: _Place) -> str:
    """Return what a dud that brings no name is called: two of the same octets and second are the same."""
    file.seek(place.start)
    beginning = file.read(place.message - place.start + FOR_A_NAME)
    return "sha-" + hashlib.sha256(b"%d " % (place.end - place.message) + beginning).hexdigest()[:32]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(LONGEST_LINE), b"")


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield the octets from *start* to *end*, fewer when the file is shorter by now."""
    file.seek(start)
    while start < end and (piece := file.read(min(end - start, PIECE))):
        start += len(piece)
        yield piece
