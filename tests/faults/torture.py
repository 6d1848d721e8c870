"""The tortures by hand: many rounds, and a table of what they cost.

    python tests/faults/torture.py --rounds 5000 --seed 1
    python tests/faults/torture.py --rounds 200 --rivals

A line a round at which a promise was broken, then the table; the exit code is 1 if there was any.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import starmap
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.books import Books
from tests.faults.killing import Ring, play

CHUNK = 20
COLUMNS = ("lost", "twice", "altered", "stuck", "kills", "unread", "unwritten")
HEADS = ("lost", "twice", "altered", "stuck", "kills", "250 not read", "250 not written")

Played = tuple[str, Books]


def chunk(seed: str, first: int, rounds: int) -> list[Played]:
    """Play some rounds in a ring of their own."""
    with Ring() as ring:
        return [play(ring, f"{seed}-{number}") for number in range(first, first + rounds)]


def kill_rounds(rounds: int, seed: str, workers: int) -> Iterator[Played]:
    """Yield the rounds of the kill torture as they end."""
    jobs = [(seed, first, min(CHUNK, rounds - first)) for first in range(0, rounds, CHUNK)]
    if workers == 1:
        for played in starmap(chunk, jobs):
            yield from played
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done in [pool.apply_async(chunk, job) for job in jobs]:
            yield from done.get()


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


def main() -> int:
    """Play what the command line asks for."""
    parser = argparse.ArgumentParser(description="Kill passes; count what was lost, came twice, was altered.")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--workers", type=int, default=2)
    wish = parser.parse_args()
    began = time.monotonic()
    total = table(kill_rounds(wish.rounds, wish.seed, wish.workers))
    print(f"\n{wish.rounds} rounds, seed {wish.seed}, in {time.monotonic() - began:.0f} s")
    return 0 if total.clean else 1


if __name__ == "__main__":
    sys.exit(main())
