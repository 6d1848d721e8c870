"""The tortures by hand: many rounds, and a table of what they cost.

    python tests/faults/torture.py kill --rounds 5000 --seed 1
    python tests/faults/torture.py windows --rounds 50
    python tests/faults/torture.py signals --rounds 1200
    python tests/faults/torture.py power --rounds 2000
    python tests/faults/torture.py octets
    python tests/faults/torture.py rivals --rounds 50
    python tests/faults/torture.py pop-model --stories 2000
    python tests/faults/torture.py receiver-model --stories 2000

A line a round at which a promise was broken, then the table; the exit code is 1 if there was any.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TypeVar

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults import cutting, damage, failing, model_run, powercut, signalling
from tests.faults.books import Books
from tests.faults.killing import Ring, play

CHUNK = 20
COLUMNS = ("lost", "twice", "altered", "stuck", "kills", "unread", "unwritten")
HEADS = ("lost", "twice", "altered", "stuck", "kills", "250 not read", "250 not written")

WORKERS = 2
STEPS = 40
STORIES = 5

Round = TypeVar("Round")
Played = tuple[str, Books]
Job = tuple[str, int, int]


def kill(seed: str, first: int, rounds: int) -> list[Played]:
    """Play some rounds in a ring of their own."""
    with Ring() as ring:
        return [play(ring, f"{seed}-{number}") for number in range(first, first + rounds)]


def spread(
    act: Callable[..., list[Round]], jobs: Sequence[tuple[object, ...]], workers: int = WORKERS
) -> Iterator[Round]:
    """Yield what *act* makes of the jobs, in processes side by side."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done in [pool.apply_async(act, job) for job in jobs]:
            yield from done.get()


def in_chunks(seed: str, rounds: int) -> list[Job]:
    """Return jobs that are so many rounds together."""
    return [(seed, first, min(CHUNK, rounds - first)) for first in range(0, rounds, CHUNK)]


def table(played: Iterator[Played], say: Callable[[str], object] = print) -> Books:
    """Print every round that broke a promise, then a line an attack; return the sum."""
    rounds, sums = Counter[str](), defaultdict[str, Books](Books)
    for name, books in played:
        rounds[name] += 1
        sums[name] = sums[name].plus(books._replace(words=()))
        if books.words:
            say("\n    ".join(books.words))
    total = reduce(Books.plus, sums.values(), Books())
    width = max(map(len, sums), default=0)
    say(f"| {'attack':{width}} | rounds | {' | '.join(HEADS)} |")
    say(f"|{'-' * (width + 2)}|{'--:|' * (len(HEADS) + 1)}")
    for name, books in [*sorted(sums.items()), ("all", total)]:
        cells = [rounds[name] if name != "all" else sum(rounds.values())]
        cells += [getattr(books, column) for column in COLUMNS]
        say(f"| {name:{width}} | {' | '.join(map(str, cells))} |")
    return total


def octets(seed: str, _: int) -> list[Job]:
    """Return jobs that are every octet together."""
    return [(seed, first, CHUNK) for first in range(CHUNK)]


def places(_: str, rounds: int) -> list[Job]:
    """Return jobs that are every place at which a line can break; fewer of them when *rounds* is not 0."""
    return [(which, first, STEPS * max(rounds, 1)) for which in ("", "lmtp", "tls") for first in range(STEPS)]


def windows_rounds(seed: str, first: int, count: int) -> list[Played]:
    """Play some rounds of kills on the Windows that tests/wine puts together."""
    from tests.wine import killing

    return killing.rounds(seed, first, count)


def rivals(rounds: int, workers: int) -> Books:
    """Print what became of other programs; return the books of popfetch. What that needs is imported here alone."""
    from tests.faults import rivalry
    from tests.faults.rivals import NAMES

    jobs = [(name, attack, rounds) for attack in rivalry.ATTACKS for name in NAMES]
    return rivalry.side_by_side(spread(rivalry.rounds, jobs, workers))


TORTURES: dict[str, tuple[Callable[[str, int, int], list[Played]], Callable[[str, int], list[Job]]]] = {
    "kill": (kill, in_chunks),
    "signals": (signalling.rounds, in_chunks),
    "windows": (windows_rounds, in_chunks),
    "power": (powercut.at_any_call, in_chunks),
    "octets": (powercut.at_the_last_octets, octets),
    "machine": (failing.rounds, in_chunks),
    "damage": (damage.every_octet, octets),
    "lines": (cutting.at_chance, in_chunks),
    "places": (cutting.at_every_octet, places),
}


MODELS = {"pop-model": "tests.faults.pop_model", "receiver-model": "tests.faults.receiver_model"}


def stories(model: str, seed: str, first: int, number: int, workers: int) -> int:
    """Play so many stories of a model, from the *first* on; return how many ended badly."""
    chunk = min(STORIES, -(-number // workers))
    starts = range(first, first + number, chunk)
    jobs = [(MODELS[model], seed, at, min(chunk, first + number - at)) for at in starts]
    return model_run.table(spread(model_run.play, jobs, workers)).total()


def main() -> int:
    """Play what the command line asks for."""
    parser = argparse.ArgumentParser(description="Break passes off; count what was lost, came twice, was altered.")
    parser.add_argument("attack", nargs="?", choices=[*TORTURES, "rivals", *MODELS], default="kill")
    parser.add_argument("--rounds", "--stories", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the number of the first story of a model")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--workers", type=int, default=WORKERS)
    wish = parser.parse_args()
    began = time.monotonic()
    if wish.attack in MODELS:
        bad = stories(wish.attack, wish.seed, wish.first, wish.rounds, wish.workers)
        print(f"\n{wish.rounds} stories, seed {wish.seed}, in {time.monotonic() - began:.0f} s")
        return int(bad > 0)
    if wish.attack == "rivals":
        total = rivals(wish.rounds, wish.workers)
    else:
        act, jobs = TORTURES[wish.attack]
        total = table(spread(act, jobs(wish.seed, wish.rounds), wish.workers))
    print(f"\n{wish.rounds} rounds, seed {wish.seed}, in {time.monotonic() - began:.0f} s")
    return 0 if total.clean else 1


if __name__ == "__main__":
    sys.exit(main())
