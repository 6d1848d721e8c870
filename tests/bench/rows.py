"""What is measured. A row is one work, over one line, into one receiver; POP may run over TLS."""

import math
import random
from collections.abc import Mapping
from typing import NamedTuple

KIB = 1024
MIB = 1024 * KIB
SMALL = 600  # octets; about the least that a real message has


class Work(NamedTuple):
    """So many accounts, each of which holds messages of these sizes (octets as POP sends them, CRLF)."""

    accounts: int
    sizes: tuple[int, ...]

    @property
    def messages(self) -> int:
        return self.accounts * len(self.sizes)

    @property
    def octets(self) -> int:
        return self.accounts * sum(self.sizes)


class Line(NamedTuple):
    """Rates in bits a second, the delay one way in milliseconds, the queues in octets (what may wait at the sender)."""

    down: int
    up: int
    delay: int
    down_queue: int
    up_queue: int


class Row(NamedTuple):
    """One line of the tables; `peers` says whether the other programs run in it unless they are asked for."""

    work: str
    line: str
    receiver: str
    tls: bool = False
    peers: bool = True

    @property
    def name(self) -> str:
        return f"{self.work}@{self.line}/{self.receiver}" + ("+tls" if self.tls else "")


def lognormal(count: int, median: int, sigma: float) -> tuple[int, ...]:
    """Sizes as mail has them: most are small, a few are very large. Always the same ones."""
    draw = random.Random(5)  # noqa: S311 - sizes, not secrets
    return tuple(min(4 * MIB, max(SMALL, int(draw.lognormvariate(math.log(median), sigma)))) for _ in range(count))


def line(down: float, up: float, round_trip: int) -> Line:
    """Mbit/s and ms; each direction's queue is what the line holds in one round trip, or 64 KiB if that is more."""
    queues = [max(64 * KIB, int(rate * 1e6 / 8 * round_trip / 1000)) for rate in (down, up)]
    return Line(int(down * 1e6), int(up * 1e6), round_trip // 2, *queues)


WORKS: Mapping[str, Work] = {
    "empty": Work(1, ()),
    "200x4k": Work(1, (4 * KIB,) * 200),
    "2000x4k": Work(1, (4 * KIB,) * 2000),
    "100x75k": Work(1, (75 * KIB,) * 100),
    "500x75k": Work(1, (75 * KIB,) * 500),
    "20x10m": Work(1, (10 * MIB,) * 20),
    "lognormal": Work(1, lognormal(300, 6 * KIB, 1.5)),
    "50acc": Work(50, (4 * KIB,) * 3),
    "1000acc": Work(1000, (4 * KIB,) * 3),
    "small1k": Work(1, (SMALL,) * 1000),
    "small10k": Work(1, (SMALL,) * 10_000),
    "small100k": Work(1, (SMALL,) * 100_000),
}

LINES: Mapping[str, Line | None] = {
    "loop": None,
    "20m30": line(20, 20, 30),
    "1m200": line(1, 1, 200),
    "10m600": line(10, 2, 600),
    "56k150": line(0.056, 0.056, 150),
}

RECEIVERS = ("sink", "postfix")  # servers.RECEIVERS

ROWS: tuple[Row, ...] = (
    Row("empty", "loop", "sink"),
    Row("2000x4k", "loop", "sink"),
    Row("2000x4k", "loop", "postfix"),
    Row("2000x4k", "loop", "sink", tls=True),
    Row("500x75k", "loop", "sink"),
    Row("20x10m", "loop", "sink"),
    Row("lognormal", "loop", "sink"),
    Row("1000acc", "loop", "sink"),
    Row("small1k", "loop", "sink"),
    Row("small10k", "loop", "sink", peers=False),
    Row("small100k", "loop", "sink", peers=False),
    Row("empty", "20m30", "sink"),
    Row("200x4k", "20m30", "sink"),
    Row("100x75k", "20m30", "sink"),
    Row("lognormal", "20m30", "sink"),
    Row("empty", "1m200", "sink"),
    Row("200x4k", "1m200", "sink"),
    Row("200x4k", "1m200", "sink", tls=True),
    Row("100x75k", "1m200", "sink"),
    Row("50acc", "1m200", "sink"),
    Row("empty", "10m600", "sink"),
    Row("200x4k", "10m600", "sink"),
    Row("100x75k", "10m600", "sink"),
    Row("50acc", "10m600", "sink"),
    Row("empty", "56k150", "sink"),
    Row("200x4k", "56k150", "sink"),
    Row("100x75k", "56k150", "sink", peers=False),
)


def parse(name: str) -> Row:
    """Give the row that is written work@line/receiver[+tls], in the table or not; ValueError if a word is unknown."""
    rest, plus, _ = name.partition("+tls")
    work, _, rest = rest.partition("@")
    route, _, receiver = rest.partition("/")
    if work not in WORKS or route not in LINES or receiver not in RECEIVERS:
        raise ValueError(f"no such row: {name!r} (work@line/receiver[+tls]; see --list)")
    return Row(work, route, receiver, bool(plus))
