"""What a power cut may leave on a disk, worked out from what a pass asked the system to write and to sync.

A pass is recorded (hooks.Recorder) call by call. Only what an fsync had confirmed is certain afterwards. Of a file that
was written since, every sector holds what the file held at some moment since then, each sector of a moment of its own,
and so does its length; what the length covers and nothing was written to is NUL. A name that was made, exchanged or
removed since the last fsync of the folder may be so or not. Every file and the folder are on their own, whatever order
the calls had.
"""

import pickle
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
FOLDER = -1
MOST = 1 << 20  # files that a pass may touch


class Op(NamedTuple):
    """A call that changed something, or synced: *at* is when it began, on the monotonic clock."""

    at: float
    kind: str  # exists, create, write, truncate, sync, replace, unlink
    node: int  # of the file; FOLDER
    name: str = ""
    place: int = 0
    data: bytes = b""


@dataclass
class Node:
    """A file: what is certainly on disk, and what was done to it since."""

    safe: bytes = b""
    since: list[Op] = field(default_factory=list)

    def states(self, last: int | None = None) -> Iterator[bytes]:
        """Yield what it held when it was safe, and after each call since; of the last one only so many octets."""
        octets = bytearray(self.safe)
        yield self.safe
        for op in self.since:
            data = op.data[:last] if op is self.since[-1] else op.data
            if op.kind == "truncate":
                del octets[op.place :]
            octets.extend(bytes(max(op.place - len(octets), 0)))
            octets[op.place : op.place + len(data)] = data
            yield bytes(octets)

    def now(self, last: int | None = None) -> bytes:
        """Return what it holds."""
        return deque(self.states(last), 1)[0]


Files = dict[str, bytes]


class Disk:
    """The folder and its files, as they are after some calls."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._safe: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self._since: list[Op] = []

    def apply(self, op: Op) -> None:
        """Let *op* happen."""
        if op.kind == "exists":
            self._adopt(op)
        elif op.kind == "sync" and op.node == FOLDER:
            self._safe, self._since = dict(self._now), []
        elif op.kind == "sync":
            node = self.nodes[op.node]
            node.safe, node.since = node.now(), []
        elif op.kind in {"write", "truncate"}:
            self.nodes[op.node].since.append(op)
        else:
            if op.kind == "create":
                self.nodes[op.node] = Node()
            self._since.append(op)
            _rename(self._now, op)

    def _adopt(self, op: Op) -> None:
        """Know a file of an earlier pass under its new number."""
        if op.name in self._now:
            node = self.nodes[self._now[op.name]]
            assert node.now() == op.data, f"{op.name} was changed unseen"
        else:
            node = Node(op.data)
        self.nodes[op.node] = node
        for names in (self._now, self._safe):
            if names is self._now or op.name in names or node.safe == op.data:
                names[op.name] = op.node

    def left(self, cut: "PowerCut") -> Files:
        """Return what is there after that power cut."""
        names = dict(self._safe)
        for op in self._since:
            if cut.keeps(op):
                _rename(names, op)
        return {name: cut.octets(self.nodes[node]) for name, node in names.items()}


class PowerCut(NamedTuple):
    """Which of the unsafe changes of names are kept, and what is left of a file."""

    keeps: Callable[[Op], bool]
    octets: Callable[[Node], bytes]


def _rename(names: dict[str, int], op: Op) -> None:
    if op.kind == "create":
        names[op.name] = op.node
    elif op.kind == "unlink":
        names.pop(op.name, None)
    else:
        old, _, new = op.name.partition("/")
        if old in names:
            names[new] = names.pop(old)


def read(path: Path, turn: int) -> Iterator[Op]:
    """Yield what was recorded in the pass of that *turn*, which gave the files numbers of its own."""
    with path.open("rb") as file:
        while file.peek(1):
            op = Op(*pickle.load(file))  # noqa: S301 - we wrote it
            yield op if op.node == FOLDER else op._replace(node=op.node + turn * MOST)


EVERYTHING = PowerCut(lambda _: True, Node.now)
NOTHING = PowerCut(lambda _: False, lambda node: node.safe)


def torn(last: Op, octets: int) -> PowerCut:
    """Return a power cut that kept everything, but of the *last* call, a write, only so many octets."""
    return PowerCut(lambda _: True, lambda node: node.now(octets if node.since and node.since[-1] is last else None))


def at_chance(dice: random.Random) -> PowerCut:
    """Return a power cut that keeps what it likes."""
    return PowerCut(lambda _: dice.random() < 0.5, lambda node: _sectors(list(node.states()), dice))


def _sectors(states: list[bytes], dice: random.Random) -> bytes:
    """Mix what a file held at different moments; often few of them, for that is what happens."""
    some = [dice.choice(states) for _ in range(dice.randint(1, 3))]
    length = len(dice.choice(some))
    pieces = (dice.choice(some)[start : start + SECTOR] for start in range(0, length, SECTOR))
    return b"".join(piece.ljust(SECTOR, b"\0") for piece in pieces)[:length]
