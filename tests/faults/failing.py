"""Rounds of the machine's torture: calls to the system that fail, then passes on a machine that is well again.

A pass that cannot write down what it has heard may have to send that again: such copies are counted as unwritten.
"""

from typing import Any

from tests.faults import books
from tests.faults.books import Books
from tests.faults.killing import FINE, Dice, Ring, Shape, drain
from tests.faults.mails import chance, stock

MOST = 260  # calls of a kind in such a pass, about
CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "the disk is full": (("write",), ("ENOSPC", "EDQUOT", "EFBIG")),
    "the disk fails": (("write", "fdatasync", "fsync", "ftruncate"), ("EIO",)),
    "names cannot be changed": (("open", "replace", "unlink"), ("EACCES", "EROFS", "EIO")),
    "no file can be opened": (("open",), ("EMFILE", "ENFILE")),
}
STORAGE = 74


def shape(dice: Dice) -> Shape:
    """Draw a world."""
    keep, hides = dice.choice(((0, False), (0, True), (7, False)))
    return Shape(keep, hides, dice.random() < 0.7, dice.random() < 0.2, dice.choice((1, 2)))


def fault(dice: Dice, name: str) -> dict[str, Any]:
    """Draw when which call fails, once or from then on."""
    calls, codes = CALLS[name]
    nth = dice.randint(1, MOST if "write" in calls else MOST // 4)
    return {
        "hook": "fail",
        "nth": nth,
        "code": dice.choice(codes),
        "ever_after": dice.random() < 0.6,
        "calls": calls,
    }


def play(ring: Ring, seed: str) -> tuple[str, Books]:
    """Run a pass or two in which calls fail, then passes until all is drained."""
    dice = chance(seed)
    name = dice.choice(list(CALLS))
    kind = shape(dice)
    mails = list(stock(dice.randrange(1 << 30)))
    ring.clear()
    ring.world.fill(mails, kind.boxes)
    ring.world.uidl, ring.world.lmtp, ring.world.hides = kind.uidl, kind.lmtp, kind.hides
    conf = ring.write_conf(kind)
    troubles = []
    for _ in range(dice.choice((1, 1, 2))):
        hook = fault(dice, name)
        ended = ring.try_to_run(conf, {**hook, "folder": str(ring.work)})
        if ended.code not in {*FINE, STORAGE}:
            troubles.append(f"exit {ended.code} with {hook}: {ended.err}")
    troubles += dict.fromkeys(drain(ring, conf, kind))
    told = books.judge(mails, ring.world.letters, ring.work / "duds.dat")
    heading = [f"round {seed} ({name}, {kind}):"] if told.words or troubles else []
    return name, told._replace(stuck=len(troubles), kills=1, words=(*heading, *told.words, *troubles))


def rounds(seed: str, first: int, count: int) -> list[tuple[str, Books]]:
    """Play some rounds in a ring of their own."""
    with Ring() as ring:
        return [play(ring, f"{seed}-{number}") for number in range(first, first + count)]
