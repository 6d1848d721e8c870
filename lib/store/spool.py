"""The spool: messages on disk between the POP server and the receiver, a file each: msg.dat, msg.2.dat and so on.

The law: a message is in the spool once its file holds the last line that proves it whole (spool_format); before
that, and after free(), the file holds nothing. The lowest number is used first. Of a message that comes in no more than
BUFFER is in memory, of all that wait no more than REMEMBERED. Any thread may call anything; the lock is in here.
"""

import contextlib
import heapq
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock

from lib.errors import StorageError
from lib.store import ownfile, spool_format
from lib.store.spool_format import Content, Header
from lib.store.spool_slot import Corrupt, Slot, Stored

__all__ = ["Corrupt", "Incoming", "Spool", "Stored"]

BUFFER = 256 << 10  # octets of a message that are collected before they are written
SMALL = 64 << 10  # a message up to this size stays in memory as well, so that it need not be read again
REMEMBERED = 8 << 20  # octets of small messages that stay in memory, all together
MAX_HEAD = 1 << 20  # octets that are ever searched for header fields
LEAST = 4096  # what the smallest message counts
OPEN_FILES = 128  # files that stay open; a process may have some hundreds

_NAME = re.compile(r"msg(?:\.([2-9]|[1-9][0-9]{1,8}))?\.dat")
_END_OF_HEAD = re.compile(rb"\n\r?\n")


class _Held:
    """A slot in use: by a message that comes in, then (*whole*) by a message."""

    __slots__ = ("counted", "occupying", "remembered", "size", "slot", "start", "synced", "whole")

    def __init__(self, slot: Slot, start: int = 0) -> None:
        self.slot = slot
        self.start = start
        self.size = self.counted = self.occupying = self.remembered = 0
        self.whole = self.synced = False


class Spool:
    """The spool files of *folder*; fetchers should pause while *limit* octets wait."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.waiting = 0  # octets that a connection to the receiver has yet to deal with
        self.messages = 0  # how many messages these are
        self.occupied = 0  # octets of all messages that lie here, those included that wait for a later pass
        self._folder = folder
        self._limit = limit
        self._changing = Lock()
        self._held: dict[int, _Held] = {}
        self._spare: dict[int, Slot] = {}
        self._free: list[int] = []
        self._last = 0
        self._nonce = int.from_bytes(os.urandom(8), "big")
        self._naming = Lock()
        self._new_names = True  # set once a file is made, so before its message is whole; found ones may be new as well
        self._remembered = 0

    @property
    def full(self) -> bool:
        """Whether fetchers should pause."""
        return self.waiting >= self._limit

    @property
    def space(self) -> int:
        """How many octets the disk has left; where that is not to be known, more than anybody needs. Never raises."""
        import shutil  # noqa: PLC0415 - only large messages make anybody ask

        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return sys.maxsize

    def recover(self) -> tuple[list[Stored], list[Corrupt]]:
        """Return what earlier passes left, by number; files that hold no message go. To be called first."""
        try:
            names = [_NAME.fullmatch(path.name) for path in self._folder.iterdir()]
        except OSError as error:
            raise ownfile.trouble(error, self._folder) from error
        whole: list[Stored] = []
        corrupt: list[Corrupt] = []
        for number in sorted(int(name[1] or 1) for name in names if name):
            slot = Slot(number, self._path(number))
            try:
                found = slot.inspect()
            except StorageError as error:
                slot.close()
                self._held[number] = held = _Held(slot)
                held.whole = True  # perhaps: nobody may use its number, and nobody removes it
                corrupt.append(Corrupt(number, None, None, 0, str(error), unreadable=True))
                continue
            if found is None:
                slot.remove()
                continue
            self._held[number] = held = _Held(slot, found.start)
            message = self.arrived(held, found.head or Header(b"", "", b"", 0), found.content)
            if found.why:
                account, uid = (found.head.account, found.head.uid) if found.head else (None, None)
                corrupt.append(Corrupt(number, account, uid, held.size, found.why))
            else:
                whole.append(message)
        return whole, corrupt

    def receive(self, account: str, uid: bytes, announced: int) -> "Incoming":
        """Begin a message. Raises StorageError."""
        with self._changing:
            number = self._lowest()
            slot = self._spare.pop(number, None) or Slot(number, self._path(number))
            self._held[number] = held = _Held(slot)
            self._nonce = (self._nonce + 1) % (1 << 64)
            nonce = b"%016x" % self._nonce
        if slot.descriptor < 0:
            try:
                slot.open()
            except StorageError:
                self._release(held, spare=False)
                raise
            self._new_names = True
        return Incoming(self, held, Header(nonce, account, uid, announced))

    def chunks(self, number: int, start: int = 0) -> Iterator[bytes]:
        """Yield the message from offset *start* on, in large pieces. Raises StorageError."""
        held = self._held[number]
        return held.slot.read(held.start + start, held.size - start)

    def sync(self, numbers: Iterable[int]) -> None:
        """Return when these survive a power cut; those that were freed meanwhile are no matter. Raises StorageError."""
        for number in numbers:
            held = self._held.get(number)
            if held is not None and held.whole and not held.synced:
                held.slot.sync()
                held.synced = True
        with self._naming:
            if self._new_names:
                self._new_names = False
                try:
                    ownfile.sync_folder(self._folder)
                except StorageError:
                    self._new_names = True
                    raise

    def has_place_for(self, number: int) -> bool:
        """Say whether a message may wait here for a later pass: what does so is no more than the limit, or it alone."""
        with self._changing:
            put_off = self.occupied - self.waiting
            return not put_off or put_off + self._held[number].counted <= self._limit

    def put_off(self, number: int) -> None:
        """Let a message wait for a later pass: nobody pauses for what will not go in this one."""
        with self._changing:
            self._count_out(self._held[number])

    def free(self, number: int) -> None:
        """Forget a message: its file is never again taken for one. Raises StorageError."""
        held = self._held[number]
        held.slot.empty()
        self._release(held, spare=True)

    def make_room(self) -> None:
        """Let files that hold no message go; never raises."""
        with self._changing:
            useless, self._spare = list(self._spare.values()), {}
        for slot in useless:
            with contextlib.suppress(StorageError):  # the next pass tries again
                slot.remove()

    def close(self) -> None:
        """Close everything; files that hold no message go."""
        with self._changing:
            for held in self._held.values():
                held.slot.close()
            self._spare.update((number, held.slot) for number, held in self._held.items() if not held.whole)
            self._held.clear()
        self.make_room()

    def arrived(self, held: _Held, head: Header, content: Content, beginning: bytes | None = None) -> Stored:
        """Count a message that is whole on disk (for Incoming), and remember its *beginning* if there is room."""
        if held.slot.number > OPEN_FILES:
            held.slot.close()
        size = content.size
        with self._changing:
            if beginning is None or self._remembered + len(beginning) > REMEMBERED:
                beginning = None
            else:
                held.remembered = len(beginning)
                self._remembered += held.remembered
            held.size, held.whole, held.counted = size, True, max(size, LEAST)
            held.occupying = held.counted
            self.waiting += held.counted
            self.occupied += held.counted
            self.messages += 1
        body = beginning if beginning is not None and len(beginning) == size else None
        told = (held.slot.number, head.account, head.uid, head.announced, size, content.sha)
        kinds = (content.eightbit, content.clean)
        return Stored(*told, *kinds, body, beginning, self._reread, content.header, content.bare)

    def abandon(self, held: _Held) -> None:
        """Take back a file that will not be whole (for Incoming); without its last line it holds nothing anyway."""
        with contextlib.suppress(StorageError):
            held.slot.remove()
        self._release(held, spare=False)

    def _reread(self, number: int) -> bytes:
        """Return the message up to its first blank line, or MAX_HEAD of it."""
        head = bytearray()
        for piece in self.chunks(number):
            searched = max(len(head) - 2, 0)
            head += piece
            end = _END_OF_HEAD.search(head, searched)
            if end or len(head) >= MAX_HEAD:
                return bytes(head[: min(end.end() if end else MAX_HEAD, MAX_HEAD)])
        return bytes(head)

    def _release(self, held: _Held, *, spare: bool) -> None:
        """Let others have its number, and its file if it is *spare*: that says by now that it holds nothing."""
        slot = held.slot
        with self._changing:
            del self._held[slot.number]
            if spare:
                self._spare[slot.number] = slot
            if slot.number <= self._last:
                heapq.heappush(self._free, slot.number)
            self._remembered -= held.remembered
            self.occupied -= held.occupying
            self._count_out(held)

    def _count_out(self, held: _Held) -> None:
        if held.counted:
            self.waiting -= held.counted
            self.messages -= 1
            held.counted = 0

    def _lowest(self) -> int:
        """Return the lowest number that is not in use."""
        if self._free:
            return heapq.heappop(self._free)
        self._last += 1
        while self._last in self._held:
            self._last += 1
        return self._last

    def _path(self, number: int) -> Path:
        return self._folder / ("msg.dat" if number == 1 else f"msg.{number}.dat")


class Incoming:
    """A message that comes in: write() its octets, then finish(), or drop() it. For one thread."""

    __slots__ = ("_beginning", "_buffered", "_content", "_head", "_held", "_pieces", "_spool")

    def __init__(self, spool: Spool, held: _Held, head: Header) -> None:
        self._spool = spool
        self._held = held
        self._head = head
        self._content = Content()
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._beginning: bytes | None = None

    def write(self, chunk: bytes) -> None:
        """Take the next octets. Raises StorageError."""
        self._pieces.append(chunk)
        self._buffered += len(chunk)
        if self._buffered >= BUFFER:
            self._flush()

    def finish(self) -> Stored:
        """End the message: from now on it is in the spool (a power cut apart, see Spool.sync). Raises StorageError."""
        self._flush(last=True)
        return self._spool.arrived(self._held, self._head, self._content, self._beginning)

    def drop(self) -> None:
        """Forget what came so far; never raises."""
        self._spool.abandon(self._held)

    def _flush(self, *, last: bool = False) -> None:
        """Write what was collected, with the head before the first of it."""
        held, slot, content = self._held, self._held.slot, self._content
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        content.feed(data)
        end = spool_format.trailer(self._head.nonce, content.size, content.sha) if last else b""
        if held.start:
            slot.go_on(data + end)
        else:
            head = spool_format.header(self._head)
            held.start = len(head)
            self._beginning = _beginning(data)
            slot.begin(head + data + end)
        if last:
            slot.end(held.start + content.size + len(end))


def _beginning(data: bytes) -> bytes | None:
    """Return what is worth remembering of a message that begins with *data*: all of it, its head, or nothing."""
    if len(data) <= SMALL:
        return data
    end = _END_OF_HEAD.search(data, 0, SMALL)
    return data[: end.end()] if end else None
