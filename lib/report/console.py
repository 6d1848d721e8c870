"""What a person sees: summaries, complaints, progress. Nothing printed here can move a cursor or end a pass.

Whatever the stream's encoding, and whether its reader has gone or the disk behind it is full: say and the rest return.
Whatever comes from outside, control characters are escaped and secrets masked. rich is imported only when it is used.
"""

import math
import os
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from itertools import chain
from json import dumps
from threading import Lock
from types import TracebackType
from typing import Literal, NamedTuple, Self, TextIO

from lib.errors import PopfetchError
from lib.report.outcome import AccountOutcome, Outcome, Tally, error_lines
from lib.report.status import Overview
from lib.visible import escaped, masked, visible

EVERY = 5.0  # seconds between two plain lines of progress
FRAMES = 8  # of a progress bar in a second
BAR = 40  # characters
LABEL = 60  # characters of an account's label in a table


class Unit(NamedTuple):
    """Of sizes, and the octets from which the next one reads better."""

    name: str
    octets: int
    below: int


UNITS = (Unit("kB", 10**3, 999_950), Unit("MB", 10**6, 999_950_000), Unit("GB", 10**9, 10**18))

HEADINGS = (
    "account",
    "listed",
    "fetched",
    "size",
    "delivered",
    "deferred",
    "refused",
    "duds",
    "deleted",
    "left",
    "seconds",
    "result",
)
WORDS = {"account", "result"}  # columns of words; the others are numbers
NOTHING = {"0", "0 B"}  # a column of which nothing else is in is left out


class Screen:
    """A text stream that takes everything and never raises; None where there is no stream (pythonw)."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Say whether a person is looking."""
        with suppress(ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def write(self, text: str) -> int:
        """Write *text*, what the encoding has no character for as a backslash escape."""
        shown = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        if self._stream is not None:
            try:
                self._stream.write(shown)
            except (OSError, ValueError):
                self._abandon(self._stream)
        return len(text)

    def write_octets(self, octets: bytes) -> None:
        """Write *octets* as they are."""
        if self._stream is not None:
            try:
                self._stream.buffer.write(octets)
            except (OSError, ValueError):
                self._abandon(self._stream)

    def flush(self) -> None:
        """Send what was written."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._abandon(self._stream)

    def _abandon(self, stream: TextIO) -> None:
        """Let what is still buffered go nowhere, or Python exits with 120 because of it."""
        self._stream = None
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print *text* (to stdout) and a line end; of control characters only line ends in it count, tabs become blanks."""
    _put("\n".join(masked(escaped(line.expandtabs())) for line in text.split("\n")), stream)


def pour(octets: Iterable[bytes]) -> None:
    """Print a message (to stdout): as escaped text for a person, octet by octet for a program or a file."""
    screen = Screen(sys.stdout)
    reader = getincrementaldecoder("utf-8")("surrogateescape")
    for piece in chain(octets, (b"",)):
        if screen.isatty():
            lines = reader.decode(piece, final=not piece).split("\r\n")
            screen.write("\n".join(escaped(line.expandtabs()) for line in lines))
        else:
            screen.write_octets(piece)
    screen.flush()


def complain(complaints: Iterable[PopfetchError | str], stream: TextIO | None = None) -> None:
    """Print a line (to stderr) for each complaint; Outcome.why holds those of a pass."""
    for complaint in complaints:
        lines = [visible(complaint)] if isinstance(complaint, str) else error_lines(complaint)
        for line in lines:
            say(f"popfetch: {line}", stream or sys.stderr)


def show(outcome: Outcome, *, now: datetime, json: bool) -> None:
    """Print what the pass that ended *now* achieved: one JSON object, or a table; `complain` tells why it failed."""
    if json:
        _put(dumps(outcome.as_json(now)))
        return
    rows = [_row(account) for account in outcome.accounts]
    if len(rows) > 1:
        rows.append(("all", *_numbers(outcome.total, outcome.seconds), ""))
    table = [column for column in zip(HEADINGS, *rows, strict=True) if not NOTHING.issuperset(column[1:])]
    screen = Screen(sys.stdout)
    if rows and screen.isatty() and find_spec("rich"):
        _draw(screen, table)
    elif rows:
        say("\n".join(aligned(table)))
    duds = f", {outcome.duds_in_a_row} duds in a row" if outcome.duds_in_a_row else ""
    say(f"exit {int(outcome.exit)} after {outcome.seconds:.1f} s, {outcome.spooled} deferred in the spool{duds}")


def status(known: Overview, *, json: bool) -> None:
    """Print what is known between two passes."""
    _put(dumps(known.as_json()) if json else "\n".join(known.lines()))


def _put(text: str, stream: TextIO | None = None) -> None:
    """Print *text*, whose every value is visible: masking it as a whole could break JSON, its keys and numbers."""
    screen = Screen(stream or sys.stdout)
    screen.write(text + "\n")
    screen.flush()


def aligned(table: Iterable[Sequence[str]]) -> list[str]:
    """Return *table*, given as columns with their heading first, as lines: words to the left, numbers to the right."""
    columns = []
    for column in table:
        width = max(map(len, column))
        columns.append([cell.ljust(width) if column[0] in WORDS else cell.rjust(width) for cell in column])
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]


def size(octets: int) -> str:
    """Return *octets* in the unit that people would use."""
    if octets < 1000:
        return f"{octets} B"
    unit = next((unit for unit in UNITS if octets < unit.below), UNITS[-1])
    return f"{octets / unit.octets:.1f} {unit.name}"


def _row(account: AccountOutcome) -> tuple[str, ...]:
    result = "ok" if account.error is None else "failed"
    return (visible(account.label, LABEL), *_numbers(account.tally, account.seconds), result)


def _numbers(tally: Tally, seconds: float) -> tuple[str, ...]:
    counts = (tally.delivered, tally.deferred, tally.refused, tally.duds, tally.deleted, tally.left)
    return (str(tally.listed), str(tally.fetched), size(tally.octets), *map(str, counts), f"{seconds:.1f}")


def _draw(screen: Screen, table: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - optional, and slow to import
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=SIMPLE_HEAD, padding=0)
    columns = list(table)
    for heading, *_cells in columns:
        justify: Literal["left", "right"] = "left" if heading in WORDS else "right"
        drawn.add_column(heading, justify=justify, no_wrap=heading != "account", overflow="fold")
    for row in list(zip(*columns, strict=True))[1:]:
        drawn.add_row(*map(Text, row), style="red" if row[-1] == "failed" else "")
    Console(file=screen).print(drawn)  # type: ignore[arg-type]
    screen.flush()


@dataclass(slots=True)
class _Bar:
    messages: int
    octets: int
    fetched: int = 0
    fetched_octets: int = 0
    settled: int = 0

    def words(self) -> str:
        got, due = size(self.fetched_octets), size(max(self.octets, self.fetched_octets))
        return f"{self.fetched} of {self.messages} messages, {got} of {due}, {self.settled} settled"


class Progress:
    """An Observer for a person: a bar for each running account where rich and a terminal are, else a line now and then.

    To be told costs a few counts; rich draws from a thread of its own, and of several who could tell one does.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._bars: dict[str, _Bar] = {}
        self._told: dict[str, str] = {}
        self._next = clock() + EVERY
        self._telling = Lock()
        self._life = ExitStack()

    def __enter__(self) -> Self:
        """Begin to draw."""
        screen = Screen(self._stream)
        if screen.isatty() and find_spec("rich"):
            self._next = math.inf
            self._life.enter_context(self._drawing(screen))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End drawing; the bars are wiped."""
        self._life.close()

    def account_started(self, label: str, messages: int, octets: int) -> None:
        """Begin the bar of *label*."""
        self._bars[label] = _Bar(messages, octets)

    def message_fetched(self, label: str, octets: int) -> None:
        """Lengthen the bar of *label*."""
        if bar := self._bars.get(label):
            bar.fetched += 1
            bar.fetched_octets += octets
        self._tell()

    def message_settled(self, label: str, how: str) -> None:  # noqa: ARG002 - every way counts the same here
        """Count one message that needs no more."""
        if bar := self._bars.get(label):
            bar.settled += 1
        self._tell()

    def account_ended(self, label: str, error: PopfetchError | None) -> None:  # noqa: ARG002 - the summary tells it
        """End the bar of *label*."""
        self._bars.pop(label, None)

    def _tell(self) -> None:
        """Print a line for each running account that has come on, when it is time."""
        if self._clock() < self._next or not self._telling.acquire(blocking=False):
            return
        told = {label: bar.words() for label, bar in list(self._bars.items())}
        for label, words in told.items():
            if self._told.get(label) != words:
                say(f"{visible(label, LABEL)}: {words}", self._stream)
        self._told = told
        self._next = self._clock() + EVERY
        self._telling.release()

    def _drawing(self, screen: Screen) -> AbstractContextManager[object]:
        from rich.console import Console  # noqa: PLC0415 - optional, and slow to import
        from rich.live import Live  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        def draw() -> Table:
            grid = Table.grid(padding=(0, 1))
            for label, bar in list(self._bars.items()):
                full = ProgressBar(max(bar.octets, bar.fetched_octets, 1), bar.fetched_octets, width=BAR)
                grid.add_row(Text(visible(label, LABEL)), full, Text(bar.words()))
            return grid

        console = Console(file=screen)  # type: ignore[arg-type]
        return Live(get_renderable=draw, console=console, refresh_per_second=FRAMES, transient=True)
