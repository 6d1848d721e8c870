"""What a fuzz target is, how values are made of fuzz octets, and what holds for every target.

A target takes any octets and asserts its one invariant: a value, or an error of ours (which it names), never anything
else. The first octet of an input says whether the rest is taken as it stands or grown (its middle third repeated). One
that takes longer than LINEAR seconds for so few octets has found what grows faster than its length.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")
Act = Callable[[bytes], None]

GROWN = 0xF0  # first octets from here on
GROWN_TO = 20_000  # octets
LINEAR = 3.0  # seconds of CPU for an input; instrumented, and on a busy machine, a linear one takes a tenth of that
LONGEST = 4096  # octets of a mutated input


class Target(NamedTuple):
    """Something to attack: seeds are inputs that it knows, words are what its language is made of."""

    act: Act
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...]


TARGETS: dict[str, Target] = {}


def target(*seeds: bytes, words: Sequence[bytes] = ()) -> Callable[[Act], Act]:
    """Put a function into TARGETS under its name."""

    def enter(act: Act) -> Act:
        TARGETS[act.__name__] = Target(act, tuple(b"\0" + seed for seed in seeds), tuple(words))
        return act

    return enter


def attack(act: Act, octets: bytes) -> None:
    """Let *act* have *octets*, as they stand or grown, and see to the time that it takes."""
    data = grown(octets[1:]) if octets[:1] >= bytes([GROWN]) else octets[1:]
    began = time.process_time()
    act(data)
    spent = time.process_time() - began
    assert spent < LINEAR, f"{spent:.1f} s for {len(data)} octets"


def grown(data: bytes) -> bytes:
    """Return *data* with its middle third again and again."""
    third = len(data) // 3
    middle = data[third : len(data) - third]
    return data[:third] + middle * (GROWN_TO // max(len(middle), 1)) + data[len(data) - third :]


class Source:
    """Values made of fuzz octets, front first; when these are used up, everything is empty, 0, or the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def octets(self, most: int = 255) -> bytes:
        """Return some octets: one octet says how many, two where there may be many."""
        length = self.number(most)
        found = self._data[self._at : self._at + length]
        self._at += length
        return found

    def number(self, most: int) -> int:
        """Return a number from 0 to *most*."""
        width = (most.bit_length() + 7) // 8
        found = int.from_bytes(self._data[self._at : self._at + width], "big")
        self._at += width
        return found % (most + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return choices[self.number(len(choices) - 1)] if len(choices) > 1 else choices[0]

    def text(self, most: int = 255) -> str:
        """Return text; octets that are no UTF-8 become surrogates, as in what comes from a file."""
        return self.octets(most).decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        """Return what is left."""
        found, self._at = self._data[self._at :], len(self._data)
        return found

    @property
    def dry(self) -> bool:
        """Say whether nothing is left."""
        return self._at >= len(self._data)

    def cuts(self) -> list[int]:
        """Return a few places, each a share of a thousand of a whole (tests/arrivals.py)."""
        return [self.number(1000) for _ in range(self.number(5))]


def mutated(target: Target, dice: random.Random) -> bytes:
    """Return a seed, or something near one: what attacks a target where nothing guides the fuzzing."""
    data = bytearray(dice.choice(target.seeds or (b"\0",)))
    words = target.words or (b"",)
    for _ in range(dice.choice((0, 1, 1, 2, 3, 5, 8))):
        at, end = sorted(dice.randrange(len(data) + 1) for _ in range(2))
        act = dice.randrange(6)
        if act == 0:
            data[at:at] = dice.choice(words)
        elif act == 1:
            data[at:end] = dice.choice(words)
        elif act == 2:
            del data[at : min(end, at + 8)]
        elif act == 3:
            data[at:at] = data[at:end] * dice.choice((1, 2, 10))
        elif act == 4:
            data[at : at + 1] = dice.randbytes(1)
        else:
            other = dice.choice(target.seeds or (b"\0",))
            data[at:end] = other[dice.randrange(len(other) + 1) :]
    kind = dice.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, GROWN))
    return bytes([kind, *data[1:LONGEST]])


@lru_cache(maxsize=1)
def ground() -> Callable[[], Path]:
    """Return what gives an empty folder again and again, in memory where there is such a place."""
    memory = "/dev/shm"
    place = tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)

    def cleared() -> Path:
        for path in Path(place.name).iterdir():
            path.unlink()
        return Path(place.name)

    return cleared
