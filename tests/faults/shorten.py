"""The shortest story that still shows what is wrong."""

from collections.abc import Callable, Iterable
from typing import TypeVar

S = TypeVar("S")
TRIES = 400


def kind(words: str) -> str:
    """Return which promise a complaint is about: "in pass 3: lost: [7]" is about what is lost."""
    return words.partition(": ")[2].partition(":")[0]


def shortest(story: S, play: Callable[[S], str], lighter: Callable[[S], Iterable[S]], tries: int = TRIES) -> S:
    """Return what of a story that ends badly is needed for that, in so many tries at most."""
    what, going = kind(play(story)), True
    while going:
        going = False
        for less in lighter(story):
            tries -= 1
            if tries < 0:
                return story
            if kind(play(less)) == what:
                story, going = less, True
                break
    return story
