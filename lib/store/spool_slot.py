"""One spool file on disk, written over again and again, and the message in it.

Overwriting costs a fifth of creating and removing (much less where ext4 must step over many inodes that were freed in
the last minutes), so a slot keeps its file from message to message. Everything raises StorageError.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lib.errors import StorageError
from lib.store import ownfile, spool_format
from lib.store.spool_format import Content, Header

PIECE = 256 << 10  # octets that are read at a time
SPARE = 1 << 20  # octets that a slot without a message may go on occupying


class Stored(NamedTuple):
    """A message that lies whole in the spool."""

    number: int
    account: str
    uid: bytes
    announced: int
    size: int
    sha: str
    eightbit: bool  # some octet is over 127
    clean: bool  # only CRLF line ends, the last line ended, no NUL: it can be passed on unchanged
    body: bytes | None  # the whole message, when it is small and there is room in memory
    beginning: bytes | None  # the same, or its head when that is small
    reread: Callable[[int], bytes]
    header: str = ""  # the hash of its header without the lines that servers write (see likeness), "" if not known
    bare: str = ""  # the SHA-256 of all but these lines, "" where there are none

    @property
    def head(self) -> bytes:
        """The message up to its first blank line or MAX_HEAD, or more of it; read from disk when not in memory."""
        return self.reread(self.number) if self.beginning is None else self.beginning


class Corrupt(NamedTuple):
    """A finished file that is not what was written; chunks() gives its octets. Account and UID where readable.

    An *unreadable* one gives nothing, and stays where it is.
    """

    number: int
    account: str | None
    uid: bytes | None
    size: int
    why: str
    unreadable: bool = False


class Found(NamedTuple):
    """A finished file as it was found: *why* says what is wrong with it, "" nothing."""

    head: Header | None
    start: int
    content: Content
    why: str


class Slot:
    """The file *path*; its *descriptor* is -1 while it is closed, *length* its octets on disk."""

    __slots__ = ("descriptor", "length", "number", "path")

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.path = path
        self.descriptor = -1
        self.length = 0

    def open(self) -> None:
        """Open it, made if need be."""
        self.descriptor = ownfile.open_own(self.path, create=True)
        with ownfile.saying(self.path):
            self.length = os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Close it; twice does no harm."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def begin(self, data: bytes) -> None:
        """Write *data* over the beginning."""
        ownfile.write(self.descriptor, data, self.path, at=0)

    def go_on(self, data: bytes) -> None:
        """Write *data* where the last writing ended."""
        ownfile.write(self.descriptor, data, self.path)

    def end(self, length: int) -> None:
        """Let the file end at *length*, which is what was written."""
        if self.length > length:
            try:
                os.ftruncate(self.descriptor, length)
            except OSError as error:
                raise ownfile.trouble(error, self.path) from error
        self.length = length

    def empty(self) -> None:
        """Make it say that it holds nothing; it stays open, or closed."""
        closed = self.descriptor < 0
        if closed:
            self.open()
        try:
            if self.length > SPARE:
                self.end(0)
            else:
                self.begin(spool_format.FREED)
        finally:
            if closed:
                self.close()

    def remove(self) -> None:
        """Close and remove it."""
        self.close()
        ownfile.remove(self.path)

    def sync(self) -> None:
        """Return when it survives a power cut, through a descriptor of its own: others may close ours meanwhile."""
        try:
            descriptor = ownfile.open_own(self.path, create=False)
        except ownfile.MissingError:
            return  # settled meanwhile
        try:
            ownfile.sync(descriptor, self.path)
        finally:
            os.close(descriptor)

    def read(self, start: int, size: int) -> Iterator[bytes]:
        """Yield *size* octets from *start* on, in large pieces."""
        descriptor = ownfile.open_own(self.path, create=False)
        try:
            with ownfile.saying(self.path):
                os.lseek(descriptor, start, os.SEEK_SET)
                while size > 0:
                    piece = self._piece(descriptor, size)
                    size -= len(piece)
                    yield piece
        finally:
            os.close(descriptor)

    def _piece(self, descriptor: int, most: int) -> bytes:
        piece = os.read(descriptor, min(most, PIECE))
        if not piece:
            raise StorageError(f"{self.path}: somebody cut it short")
        return piece

    def inspect(self) -> Found | None:
        """Read all of what an earlier pass left; None when it holds no message."""
        self.open()
        self.close()
        beginning = b"".join(self.read(0, min(self.length, spool_format.MAX_HEADER)))
        end = max(self.length - spool_format.TRAILER_SIZE, 0)
        last = spool_format.read_trailer(b"".join(self.read(end, self.length - end)))
        head, start = spool_format.read_header(beginning)
        if last is None or spool_format.holds_nothing(beginning, last):
            return None
        content = Content()
        for piece in self.read(start, end - start):
            content.feed(piece)
        return Found(head, start, content, spool_format.fault(head, last, content))
