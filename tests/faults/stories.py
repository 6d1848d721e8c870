"""Stories by dice: mail comes, passes run, are killed, the power goes; in the end everything must be where it belongs.

    python tests/faults/stories.py --rounds 20000 --seed 1

What is lost, comes twice or is altered is told with the shortest story that shows it; the exit code is 1 then. In
test_fuzz_passes.py hypothesis tells the same kind of stories; dice tell more different ones in the same time.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults import disk
from tests.faults.disk import PowerCut
from tests.faults.mails import chance
from tests.faults.model import NAMES, PEOPLE, Ways, World

FLAGS = product((False, True), repeat=5)
# Who gives two mails the same UID, one after the other, and hides the first unasked, cannot be told from who has one.
WAYS = [
    Ways(uids, *flags)
    for flags in FLAGS
    for uids in ("plain", "plain", "none", "doubled")
    if not (uids == "doubled" and flags[0])
]
MOODS = (0.0, 0.05, 0.2, 0.5, 1.0)
TAPE = 100
LENGTH = (3, 25)  # events of a story
CALLS = 120  # of the system, after which a pass is killed
STEPS = 30  # replies, after which the line breaks
MEMORY = "/dev/shm"
SHOWN = 3  # stories that are told in full
Event = tuple[Any, ...]


class Story(NamedTuple):
    """What the servers are like, and what happens."""

    ways: Ways
    events: tuple[Event, ...]


def tape(seed: int) -> list[int]:
    """Return what happens in a pass; 0 is a good day."""
    dice = chance(seed)
    mood = MOODS[seed % len(MOODS)]
    return [dice.randrange(16) if dice.random() < mood else 0 for _ in range(TAPE)]


def power_cut(seed: int) -> PowerCut:
    """Return what a power cut leaves: nothing that was not synced, everything, or what it likes."""
    return (disk.NOTHING, disk.EVERYTHING, disk.at_chance(chance(seed)), disk.at_chance(chance(seed)))[seed % 4]


def mail(world: World, name: str, seed: int) -> None:
    """Let some mail come in."""
    dice = chance(seed)
    for _ in range(dice.randint(1, 3)):
        world.put(name, tuple(dice.sample(PEOPLE, dice.randint(1, 3))), dice.choice((0, 0, 300, 70_000)))


def day(world: World) -> None:
    """Let a day go by."""
    world.days += 1


# What may happen, how often, and with what.
ACTS: dict[str, tuple[float, Callable[..., None], Callable[[random.Random], Event]]] = {
    "mail": (4, mail, lambda dice: (dice.choice(NAMES), _seed(dice))),
    "pass": (3, lambda world, tape: world.run(tape), lambda dice: (tape(_seed(dice)),)),
    "line breaks": (
        3,
        lambda world, tape, breaks: world.run(tape, breaks=breaks),
        lambda dice: (tape(_seed(dice)), dice.randrange(STEPS)),
    ),
    "kill": (
        4,
        lambda world, tape, calls: world.run(tape, calls=calls),
        lambda dice: (tape(_seed(dice)), dice.randrange(CALLS)),
    ),
    "power cut in a pass": (
        3,
        lambda world, tape, calls, cut: world.run(tape, calls=calls, cut=power_cut(cut)),
        lambda dice: (tape(_seed(dice)), dice.randrange(CALLS), _seed(dice)),
    ),
    "power cut": (1, lambda world, cut: world.cut(power_cut(cut)), lambda dice: (_seed(dice),)),
    "renumber": (1, World.renumber, lambda dice: (dice.choice(NAMES),)),
    "day": (0.5, day, lambda _: ()),
    "damage": (0.2, World.damage, lambda dice: (dice.randrange(5000), dice.randrange(1, 256))),
    "reset": (0.3, World.reset, lambda _: ()),
}


def _seed(dice: random.Random) -> int:
    return dice.randrange(1 << 30)


def told(seed: object) -> Story:
    """Return the story of *seed*."""
    dice = chance(seed)
    ways = dice.choice(WAYS)
    # With a damaged journal, a file that the power brings back, and a UID used again, nobody can tell two mails apart.
    names = [name for name in ACTS if name != "damage" or not ways.reuse]
    some = dice.choices(names, [ACTS[name][0] for name in names], k=dice.randint(*LENGTH))
    return Story(ways, tuple((name, *ACTS[name][2](dice)) for name in some))


def play(story: Story, count: Counter[str] | None = None) -> str:
    """Play a story to its good end; return what was wrong, nothing if nothing was."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    world = World(folder, story.ways)
    try:
        for name, *words in story.events:
            ACTS[name][1](world, *words)
            world.look()
        world.settle()
    except Exception as error:  # noqa: BLE001 - any bug is found here
        return f"{type(error).__name__}: {error}"
    finally:
        world.end()
        shutil.rmtree(folder)
        if count is not None:
            count.update(world.count)
    return ""


def shortest(story: Story) -> Story:
    """Return what of a story that ends badly is needed for that."""
    kind = play(story).partition(":")[0]

    def shows(other: Story) -> bool:
        return play(other).partition(":")[0] == kind

    before = None
    while story != before:
        before = story
        for at in reversed(range(len(story.events))):
            less = story._replace(events=story.events[:at] + story.events[at + 1 :])
            story = less if shows(less) else story
        for at, event in enumerate(story.events):
            for calmer in _calmer(event):
                other = story._replace(events=(*story.events[:at], calmer, *story.events[at + 1 :]))
                if shows(other):
                    story = other
                    break
    return story


def _calmer(event: Event) -> Sequence[Event]:
    """Return the event with less on its tape, the calmest first."""
    name, *words = event
    if not (words and isinstance(words[0], list)):
        return ()
    row = words[0]
    lengths = [0, *(at + 1 for at, number in enumerate(row) if number)]
    shorter = [row[:length] for length in lengths if length < len(row)]
    quieter = [[*row[:at], 0, *row[at + 1 :]] for at, number in enumerate(row) if number]
    return [(name, less, *words[1:]) for less in (*shorter, *quieter)]


def main() -> int:
    """Play what the command line asks for."""
    parser = argparse.ArgumentParser(description="Play stories of mail, kills and power cuts against a model.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", default="1")
    wish = parser.parse_args()
    began, wrong, count = time.monotonic(), 0, Counter[str]()
    for number in range(wish.rounds):
        story = told(f"{wish.seed} {number}")
        if words := play(story, count):
            wrong += 1
            print(f"story {wish.seed} {number}: {words}", flush=True)
            if wrong <= SHOWN:
                short = shortest(story)
                print(f"  {short.ways}", *short.events, f"  {play(short)}", sep="\n  ", flush=True)
    print(f"{wish.rounds} stories, {wrong} ended badly, seed {wish.seed}, in {time.monotonic() - began:.0f} s")
    print(", ".join(f"{number} {what}" for what, number in count.items()))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
