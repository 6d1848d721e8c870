"""Many stories of a model, in processes side by side, and a table of how they ended."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import NamedTuple

from tests.faults.shorten import kind, shortest

PROMISES = ("lost", "twice", "altered", "stuck", "left", "silent")


class Ended(NamedTuple):
    """How a story ended: what was wrong, nothing if nothing was."""

    seed: str
    wrong: str
    sums: Counter[str]


def play(module: str, seed: str, first: int, number: int) -> list[Ended]:
    """Play some stories of a model on a stage of their own."""
    model = import_module(module)
    ended = []
    with model.Stage() as stage:
        for at in range(first, first + number):
            count = Counter[str]()
            name = f"{seed}-{at}"
            ended.append(Ended(name, stage.play(model.told(name), count), count))
    return ended


def table(ended: Iterator[Ended], say: Callable[[str], object] = print) -> Counter[str]:
    """Print every story that ended badly, then the sums; return how many did, by promise."""
    bad, sums, stories = Counter[str](), Counter[str](), 0
    for seed, wrong, sums_of_it in ended:
        stories += 1
        sums += sums_of_it
        if wrong:
            bad[kind(wrong)] += 1
            say(f"story {seed}: {wrong}")
    others = bad.total() - sum(bad[name] for name in PROMISES)
    say(f"| stories | {' | '.join(sums)} | {' | '.join(PROMISES)} | other |")
    say(f"|{'--:|' * (len(sums) + len(PROMISES) + 2)}")
    cells = [stories, *sums.values(), *(bad[name] for name in PROMISES), others]
    say(f"| {' | '.join(map(str, cells))} |")
    return bad


def main(module: str, words: Sequence[str]) -> int:
    """Play the story of a seed, shortened where --short is said, and tell all that happened in it."""
    model = import_module(module)
    with model.Stage() as stage:
        story = model.told(words[0])
        wrong = stage.play(story)
        if "--short" in words and wrong:
            story = shortest(story, stage.play, model.lighter)
            wrong = stage.play(story)
        print(type(story).__name__)
        for name, value in story._asdict().items():
            rows = value if isinstance(value, tuple) and name == "events" else (value,)
            print("   ", name, *rows, sep="\n        ")
        print("\n".join(stage.last.told))
    print(wrong or "well")
    return int(bool(wrong))
