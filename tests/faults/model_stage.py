"""The stage of the models: a folder, a zygote, two servers; and what every play on it does."""

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from tests.faults.killing import USERS, Moment, Ring, Shape
from tests.faults.world import World
from tests.faults.zygote import Ended, HangError

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
BETWEEN = 5 * MINUTE  # from one pass to the next
HURRY = 40.0
QUICK = 10.0  # seconds of every silence; a quarter of one in a hurry
SLOW: tuple[dict[str, Any], ...] = (
    {"hook": "haste", "factor": HURRY},
    {"hook": "constant", "module": "lib.halt", "name": "SLICE", "value": 0.05},
)
CALLS = 250
MOMENTS = ("retr", "retr said", "rcpt", "data", "dot", "taken", "250 said", "dele", "quit", "quit done", "quit said")
PASSED = {0, 65, 75, 76, 77}
W = TypeVar("W", bound=World)
S = TypeVar("S")


class WrongError(AssertionError):
    """A promise was broken."""


class Kill(NamedTuple):
    """When a pass is killed: at what a server sees, or at a call of the system. Nothing: it is not."""

    seen: tuple[str, int] = ("", 0)
    call: tuple[int, str] = (0, "")

    @property
    def hooks(self) -> list[dict[str, Any]]:
        """Return what stops the pass from inside."""
        nth, when = self.call
        return [{"hook": "stop", "call": "any", "nth": nth, "when": when}] if when else []


def kill(dice: random.Random) -> Kill:
    """Draw a moment."""
    if dice.random() < 0.5:
        return Kill(seen=(dice.choice(MOMENTS), dice.choice((1, 1, 2, 3, 5))))
    return Kill(call=(dice.randrange(CALLS), dice.choice(("before", "after"))))


class Play(ABC, Generic[W, S]):
    """A story on its stage."""

    def __init__(self, ring: Ring, world: W, story: S) -> None:
        self.ring, self.world, self.story = ring, world, story
        self.clock = 0.0
        self.count = Counter[str]()
        self.told: list[str] = []  # all that was said

    def begin(self, shape: Shape, *lines: str) -> None:
        """Clear the stage."""
        self.ring.clear()
        self.world.fill(())
        self.world.clear()
        common = (f"pf_timeout {QUICK:.0f}", "pf_retry_delay 0", "log_level info")
        self.conf = self.ring.write_conf(shape, *common, *lines)

    @abstractmethod
    def perform(self) -> None:
        """Play to the end. WrongError."""

    def run(self) -> str:
        """Play to the end; return what was wrong, nothing if nothing was."""
        try:
            self.perform()
        except (WrongError, HangError) as error:
            return f"in pass {self.world.turn}: {error}"
        return ""

    def make_pass(self, kill: Kill, *hooks: dict[str, Any], seconds: float = BETWEEN) -> Ended:
        """Make a pass so long after the last one."""
        self.clock += seconds
        all_hooks = [{"hook": "later", "seconds": self.clock}, *map(dict, hooks), *kill.hooks]
        if kill != Kill():
            ended = self.ring.kill(self.conf, Moment(seen=kill.seen, hooks=tuple(all_hooks)))
        else:
            ended = self.ring.run(self.conf, *all_hooks)
        self._tell(ended)
        self.count["passes"] += 1
        self.count["killed"] += ended.code == -9
        if ended.code not in {*PASSED, -9}:
            raise WrongError(f"exit {ended.code}: {ended.err}")
        return ended

    def _tell(self, ended: Ended) -> None:
        self.told += [f"--- pass {self.world.turn}", *self.world.told]
        self.world.told.clear()
        log = self.ring.work / "popfetch.log"
        if log.exists():
            self.told += [
                f"    log {line}" for line in log.read_text("utf-8").splitlines() if "is set again" not in line
            ]
            log.unlink()
        self.told += [f"    came: {self.named(one)}" for one in self.world.letters if one.turn == self.world.turn]
        self.told += [f"    exit {ended.code}: {ended.err}"]

    def named(self, letter: Any) -> str:
        """Return what a letter is, in a line."""
        return f"{letter.number} to {letter.recipients}, {letter.known}"


class Stage(Generic[W, S]):
    """Where stories are played, one after the other."""

    def __init__(self, world: Callable[[Iterable[str]], W], play: Callable[[Ring, W, S], Play[W, S]]) -> None:
        self._make, self._play = world, play

    def __enter__(self) -> Self:
        world = self._world = self._make(USERS)
        self._ring = Ring(world=lambda _: world).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ring.__exit__(kind, error, where)

    def play(self, story: S, count: Counter[str] | None = None) -> str:
        """Play a story; return what was wrong."""
        self.last = self._play(self._ring, self._world, story)
        try:
            return self.last.run()
        finally:
            if count is not None:
                count.update(self.last.count)
