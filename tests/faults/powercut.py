"""Rounds of the power-cut torture: passes are recorded, cut off somewhere, and gone on with from what the disk holds.

The world goes back to the same moment: letters that were taken by then, deletions that were committed by then. A second
copy is excused when the first was not on record in what is certain of the journal, and counted: that is the price of
syncing in groups.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from tests.faults import books, disk
from tests.faults.books import Books
from tests.faults.disk import Disk, Files, Op, PowerCut
from tests.faults.killing import Dice, Ring, Shape, drain
from tests.faults.mails import Mail, chance, stock
from tests.faults.world import READ, RECORDED

FILES = ("popfetch.journal", "msg", "duds.dat", "popfetch_state.toml")
LAST = 2  # records of each file that are cut at every octet
LONG = 300  # octets of a write that are tried one by one; of longer ones some


class Recording(NamedTuple):
    """What a pass did, or two of them one after the other."""

    kind: Shape
    line: bool
    mails: list[Mail]
    ops: list[Op]


class Cut(NamedTuple):
    """A power cut: before which call, and what is lost of the calls before it."""

    name: str
    before: int
    lost: PowerCut


def shape(dice: Dice) -> tuple[Shape, bool]:
    """Draw a world, and whether there is a line of ours: then the session ends before the receiver has everything."""
    keep, hides = dice.choice(((0, False), (0, True), (7, False)))
    uidl, lmtp, boxes = dice.random() < 0.7, dice.random() < 0.2, dice.choice((1, 2))
    return Shape(keep, hides, uidl, lmtp, boxes), dice.random() < 0.5


def settings(ring: Ring, *, line: bool) -> list[str]:
    """Return the settings of a line that a file stands for."""
    up = ring.folder / "line-is-up"
    dial = [f"pf_dial_up touch {up}", f"pf_dial_check test -e {up}", f"pf_dial_down rm -f {up}"]
    return dial if line else []


def record(ring: Ring, seed: str) -> Recording:
    """Run two passes and write down what they did to the disk."""
    dice = chance(seed)
    kind, line = shape(dice)
    mails = list(stock(dice.randrange(1 << 30)))
    ring.clear()
    ring.world.fill(mails, kind.boxes)
    ring.world.uidl, ring.world.lmtp, ring.world.hides = kind.uidl, kind.lmtp, kind.hides
    conf = ring.write_conf(kind, *settings(ring, line=line))
    ops: list[Op] = []
    for turn in range(2):
        path = ring.folder / f"calls-{turn}"
        ring.run(conf, {"hook": "record", "path": str(path), "folder": str(ring.work)})
        ops += disk.read(path, turn)
    recording = Recording(kind, line, mails, ops)
    there = {path.name: path.read_bytes() for path in ring.work.iterdir()}
    assert played(recording, len(ops)).left(disk.EVERYTHING) == there, "a call was not seen"
    return recording


def played(recording: Recording, calls: int) -> Disk:
    """Return the disk after so many calls."""
    after = Disk()
    for op in recording.ops[:calls]:
        after.apply(op)
    return after


def any_cut(recording: Recording, dice: Dice) -> Cut:
    """Draw a power cut."""
    names: dict[str, Callable[[], PowerCut]] = {
        "what was not synced is lost": lambda: disk.NOTHING,
        "nothing is lost": lambda: disk.EVERYTHING,
        "in parts, in any order": lambda: disk.at_chance(dice),
    }
    name = dice.choice([*names, "in parts, in any order"])
    return Cut(name, dice.randrange(len(recording.ops) + 1), names[name]())


def every_octet(recording: Recording) -> Iterator[Cut]:
    """Yield cuts at every octet of the last records of each file."""
    names: dict[int, str] = {}
    writes: dict[str, list[int]] = {file: [] for file in FILES}
    for number, op in enumerate(recording.ops):
        if op.kind in {"create", "exists"}:
            names[op.node] = op.name
        for file in FILES:
            if op.kind == "write" and names[op.node].startswith(file):
                writes[file].append(number)
    for file, numbers in writes.items():
        for number in numbers[-LAST:]:
            op = recording.ops[number]
            step = max(len(op.data) // LONG, 1)
            for octets in range(0, len(op.data), step):
                yield Cut(f"within {file}", number + 1, disk.torn(op, octets))


def play(ring: Ring, recording: Recording, cut: Cut) -> Books:
    """Go on after a power cut, until all is drained, and return the books."""
    kind, world = recording.kind, ring.world
    at = recording.ops[cut.before].at if cut.before < len(recording.ops) else float("inf")
    after = played(recording, cut.before)
    letters, commits, turn = world.letters, world.commits, world.turn
    world.go_back(recording.mails, kind.boxes, at)
    certain = ring.on_record(after.left(disk.NOTHING).get("popfetch.journal", b""))
    for letter in world.letters:
        letter.known = RECORDED if certain(letter) else READ
    write(ring, after.left(cut.lost))
    conf = ring.write_conf(kind, *settings(ring, line=recording.line))
    troubles = list(dict.fromkeys(drain(ring, conf, kind)))
    told = books.judge(recording.mails, world.letters, ring.work / "duds.dat")
    world.letters, world.commits, world.turn = letters, commits, turn
    heading = [f"power cut {cut.name} before call {cut.before} ({kind}, line={recording.line}):"]
    words = (*told.words, *troubles)
    return told._replace(stuck=len(troubles), kills=1, words=(*heading, *words) if words else ())


def write(ring: Ring, files: Files) -> None:
    """Put back what is left of work_path."""
    ring.clear()
    for name, octets in files.items():
        path = ring.work / name
        path.touch(mode=0o600)
        path.write_bytes(octets)


def at_any_call(seed: str, first: int, count: int) -> list[tuple[str, Books]]:
    """Record once, and cut the power so many times, anywhere."""
    with Ring() as ring:
        dice = chance(f"{seed}-{first}")
        recording = record(ring, f"{seed}-{first}")
        return [(cut.name, play(ring, recording, cut)) for cut in (any_cut(recording, dice) for _ in range(count))]


def at_the_last_octets(seed: str, first: int, step: int) -> list[tuple[str, Books]]:
    """Record, and cut the power at every *step*-th octet of the last records, from the *first* on."""
    with Ring() as ring:
        recording = record(ring, seed)
        cuts = islice(every_octet(recording), first, None, step)
        return [(cut.name, play(ring, recording, cut)) for cut in cuts]
