"""The kill torture on a real Windows Python: its passes end by TerminateProcess, and its passes pick up what is left.

What is killed is stopped first, as always (tests/faults/killing.py), by Linux underneath; hooks there are none.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.faults import killing
from tests.faults.books import Books
from tests.faults.killing import Dice, Moment, Ring, Shape
from tests.faults.mails import stock
from tests.faults.zygote import Ended, Zygote
from tests.wine.windows import HERE, ROOT, Windows, build, path

TERMINATED = 1  # what Popen.kill() lets a Windows process exit with; none of our own codes
START = 30.0  # seconds in which Linux must know the process
SOCKETS = 1.0  # seconds after which wine is not waited for: it may hold a socket open that a killed process read from
PLAIN = Shape(0, hides=False, uidl=True, lmtp=False, boxes=2)


class Launcher(Zygote):
    """Passes under Windows (tests/wine/launcher.py). Its pid is the one that Linux knows."""

    def __init__(self, folder: Path, windows: Windows) -> None:
        super().__init__(folder)
        self._windows = windows

    def open(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["wine", str(self._windows.python), path(HERE / "launcher.py"), path(self.errors)],
            cwd=ROOT,
            env=self._windows.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, argv: Sequence[str | Path], hooks: Sequence[dict[str, Any]] = ()) -> int:
        assert not hooks
        self.tell("next")
        self.pid = self._known_to_linux(self.line())
        self.tell(json.dumps({"argv": [path(word) if isinstance(word, Path) else word for word in argv]}))
        return self.pid

    def end(self, news: str = "") -> Ended:
        ended = super().end(news)
        return ended._replace(code=-9) if ended.code == TERMINATED else ended

    def kill(self) -> None:
        """TerminateProcess; who stands still is let go, and does nothing any more but end."""
        if pid := self.pid:
            self.tell("kill")
            # wine ends each thread by a signal, which waits for a process that stands still.
            time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)

    def _known_to_linux(self, number: str) -> int:
        words = [path(self.errors).encode(), number.encode()]
        end = time.monotonic() + START
        while time.monotonic() < end:
            for process in Path("/proc").glob("[0-9]*"):
                if _words(process)[-2:] == words:
                    return int(process.name)
        raise AssertionError("no such process")


def _words(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


def attacks(longest: float) -> dict[str, Callable[[Dice], Moment]]:
    """Return what needs no hook: at any time within a pass that takes so long, and what the servers see."""
    known = {name: attack for name, attack in killing.ATTACKS.items() if not attack(Dice(0)).hooks}
    return {**known, "at any time": lambda dice: Moment(seconds=dice.uniform(0, longest))}


def length_of_a_pass(ring: Ring) -> float:
    """Return how many seconds an undisturbed one takes; the first one waits for its Python and does not count."""
    seconds = 0.0
    for _ in range(2):
        ring.clear()
        ring.world.fill(stock(0), PLAIN.boxes)
        began = time.monotonic()
        ring.run(ring.write_conf(PLAIN))
        seconds = time.monotonic() - began
    return seconds


def rounds(seed: str, first: int, count: int) -> list[tuple[str, Books]]:
    """Play so many rounds."""
    windows = build()
    with Ring(lambda folder: Launcher(folder, windows), path) as ring:
        ring.world.patience = SOCKETS
        known = attacks(length_of_a_pass(ring))
        played = [killing.play(ring, f"{seed}-{number}", known) for number in range(first, first + count)]
    return [(f"Windows: {name}", books) for name, books in played]
