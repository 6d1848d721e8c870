"""A disk that may be cut off at any call, in this process: what the calls have left of it is known to the octet."""

import io
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lib.store import ownfile
from tests.faults import hooks
from tests.faults.disk import Disk, Files, Op, PowerCut

JOURNAL = "popfetch.journal"
CALLS = ("open", "write", "fdatasync", "fsync", "replace", "unlink", "ftruncate", "close")


class KilledError(BaseException):
    """The process is no more: whatever catches it can do nothing to the disk."""


class Brittle(hooks.Recorder):
    """Stands around the calls of os on *folder*, keeps a model of the disk, and may let any of them be the last."""

    def __init__(self, folder: Path) -> None:
        super().__init__(io.BytesIO(), folder)
        self.disk = Disk()
        self.left: int | None = None  # calls until the end
        self.dead = False
        self.synced = 0  # times that the journal was
        self._away = True
        self._plain = {name: getattr(os, name) for name in CALLS}, ownfile._flush_data

    def enter(self) -> None:
        """Begin."""
        self._away = False
        self.start()

    def leave(self) -> None:
        """Put back what stood there before."""
        calls, ownfile._flush_data = self._plain
        for name, call in calls.items():
            setattr(os, name, call)

    def _say(self, kind: str, node: int, name: str = "", place: int = 0, data: bytes = b"") -> None:
        self.disk.apply(Op(0.0, kind, node, name, place, data))
        journal = self._nodes.get(JOURNAL) == node or (kind == "replace" and name.endswith("/" + JOURNAL))
        self.synced += journal and kind in {"sync", "replace"}

    def _act(self, call: str, plain: Any, words: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._away or not self._ours(words[0]):
            return plain(*words, **named)
        if call != "close":
            self._count(call, words)
        return super()._act(call, plain, words, named)

    def _ours(self, first: Any) -> bool:
        if isinstance(first, int):
            return first in self._open
        path = Path(os.fsdecode(first))
        return self._folder in {path, path.parent}

    def _count(self, call: str, words: tuple[Any, ...]) -> None:
        if self.dead:
            raise KilledError
        if self.left == 0:
            self.dead = True
            if call == "write":
                half = words[1][: len(words[1]) // 2]
                super()._act(call, self._plain[0][call], (words[0], half), {})
            raise KilledError
        if self.left is not None:
            self.left -= 1

    def revive(self) -> None:
        """Let the next process run."""
        for descriptor in list(self._open):
            with suppress(OSError):
                os.close(descriptor)
        self._open.clear()
        self.dead, self.left = False, None

    def cut(self, cut: PowerCut, more: Files | None = None) -> None:
        """Leave of the disk what a power cut leaves; *more* is put there by hand."""
        left = self.disk.left(cut) | (more or {})
        self._away = True
        for path in self._folder.iterdir():
            path.unlink()
        self._nodes.clear()
        self.disk = Disk()
        for name, octets in left.items():
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(octets)
            self._say("exists", self._new(name), name, data=octets)
        self._away = False


class Tape:
    """Small numbers that decide; 0, for all goes well, when it has run out."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = deque(numbers)

    def next(self, below: int) -> int:
        """Return a number from 0 on."""
        return self._numbers.popleft() % below if self._numbers else 0

    @property
    def out(self) -> bool:
        """Say whether it has run out."""
        return not self._numbers
