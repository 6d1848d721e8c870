"""Rounds of damage by hand: every octet of journal and state is changed once, then passes, --reset, passes.

Until --reset nothing may be lost, or come twice, or crash. With it the user says to go on with what can be believed:
then what a damaged line knew may come twice, which is counted (unwritten), and nothing may be lost.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

from tests.faults import books
from tests.faults.books import Books
from tests.faults.killing import FINE, Ring, Shape, drain
from tests.faults.mails import Mail, chance, stock
from tests.faults.world import READ, RECORDED

FILES = ("popfetch.journal", "popfetch_state.toml")
HELD = {74, 79}
FLIPS = (0x01, 0x20, 0xFF)
GONE = float("inf")


class Office(NamedTuple):
    """Where a pass has been, and what it left: a server that hides what was fetched, and mail that is owed."""

    ring: Ring
    kind: Shape
    mails: list[Mail]
    left: Path


def opened(ring: Ring, seed: str) -> Office:
    """Run a pass, and keep aside what it left in work_path."""
    dice = chance(seed)
    keep, hides = dice.choice(((0, True), (7, False), (0, False)))
    kind = Shape(keep, hides, dice.random() < 0.7, dice.random() < 0.2, 2)
    mails = list(stock(dice.randrange(1 << 30)))
    ring.clear()
    ring.world.fill(mails, kind.boxes)
    ring.world.hides, ring.world.uidl, ring.world.lmtp = kind.hides, kind.uidl, kind.lmtp
    ring.run(ring.write_conf(kind))
    left = ring.folder / "left"
    shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(ring.work, left)
    return Office(ring, kind, mails, left)


def places(office: Office) -> list[tuple[str, int]]:
    """Return every octet that can be changed."""
    return [(name, place) for name in FILES for place in range((office.left / name).stat().st_size)]


def play(office: Office, name: str, place: int, flip: int) -> tuple[str, Books]:
    """Change one octet, run a pass, --reset what is damaged, run passes until all is drained."""
    ring, kind, world = office.ring, office.kind, office.ring.world
    letters, commits, turn = world.letters, world.commits, world.turn
    world.go_back(office.mails, kind.boxes, GONE)
    for letter in world.letters:
        letter.known = RECORDED
    ring.clear()
    shutil.copytree(office.left, ring.work, dirs_exist_ok=True)
    octets = bytearray((ring.work / name).read_bytes())
    octets[place] ^= flip
    (ring.work / name).write_bytes(octets)
    conf = ring.write_conf(kind)
    ended = ring.run(conf)
    troubles = [f"exit {ended.code}: {ended.err}"] if ended.code not in {*FINE, *HELD} else []
    troubles += [f"{word} before --reset" for word in _twice(office)]
    if ended.code in HELD:
        for letter in world.letters:
            letter.known = READ  # the line that knew it may be the damaged one
        world.begin()
        ring.zygote.start(["-i", conf, "--reset"])
        ring.zygote.end()
    troubles += dict.fromkeys(drain(ring, conf, kind))
    told = books.judge(office.mails, world.letters, ring.work / "duds.dat")
    world.letters, world.commits, world.turn = letters, commits, turn
    heading = [f"{name} at {place} ^ {flip:#x} ({kind}), first exit {ended.code}:"] if told.words or troubles else []
    what = f"{name}: {'held until --reset' if ended.code in HELD else 'no harm'}"
    return what, told._replace(stuck=len(troubles), kills=1, words=(*heading, *told.words, *troubles))


def _twice(office: Office) -> list[str]:
    told = books.judge(office.mails, office.ring.world.letters, office.ring.work / "duds.dat")
    return [word for word in told.words if "twice" in word or "altered" in word]


def every_octet(seed: str, first: int, step: int) -> list[tuple[str, Books]]:
    """Change every *step*-th octet, from the *first* on."""
    with Ring() as ring:
        office, dice = opened(ring, f"{seed}-{first}"), chance(f"{seed}-{first}")
        return [play(office, name, place, dice.choice(FLIPS)) for name, place in places(office)[first::step]]
