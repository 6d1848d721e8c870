"""What one run of one command costs: wall time, CPU of the whole process tree, peak memory."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PAUSE = 0.1  # seconds between two looks at the memory, or SHARE times what a look takes
SHARE = 20


class Cost(NamedTuple):
    """Seconds and octets; `sum`: all processes at once, as far as sampling saw it; `failed`: a sentence or empty."""

    wall: float
    cpu: float
    largest: int
    sum: int
    failed: str


class Bounds(NamedTuple):
    """What a run may take before it is ended: seconds and octets of memory."""

    seconds: float
    memory: int


def run(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], fine: frozenset[int], bounds: Bounds
) -> Cost:
    """Run `argv`, which starts with timed and the name of the file it writes, `cost` in that folder."""
    with (folder / "output").open("wb") as out:
        child = subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    watch = _Watch(child.pid, bounds)
    try:
        child.wait()
    finally:
        watch.stop()
        if child.poll() is None:  # Ctrl-C
            _end(child.pid)
            child.wait()
    if watch.ended:
        return Cost(0, 0, 0, watch.peak, watch.ended)
    wall, user, system, largest, status = map(int, (folder / "cost").read_text().split())
    code = os.waitstatus_to_exitcode(status)
    if (dialogue := folder / "dialogue").exists():
        wall = int(dialogue.read_text())
    failed = "" if code in fine else f"exit {code}: {last_line(folder / 'output')}"
    return Cost(wall / 1e9, (user + system) / 1e6, largest * 1024, max(watch.peak, largest * 1024), failed)


class _Watch:
    """Looks at the tree's memory now and then, and ends the tree when it takes more than it may."""

    def __init__(self, pid: int, bounds: Bounds) -> None:
        self.peak = 0
        self.ended = ""
        self._pid = pid
        self._bounds = bounds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        deadline = time.monotonic() + self._bounds.seconds
        pause = PAUSE
        while not self._over.wait(pause):
            before = time.monotonic()
            self.peak = max(self.peak, sum(map(_memory, tree(self._pid))))
            pause = max(PAUSE, SHARE * (time.monotonic() - before))
            if before > deadline:
                self.ended = f"over {self._bounds.seconds:.0f} s"
            if self.peak > self._bounds.memory:
                self.ended = f"over {self._bounds.memory >> 20} MB"
            if self.ended:
                _end(self._pid)
                return


def tree(pid: int) -> Iterator[int]:
    """Give the descendants of a process that are alive."""
    with contextlib.suppress(OSError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from tree(int(child))


def _memory(pid: int) -> int:
    """Give a process's share of memory: private pages whole, shared ones divided."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _end(pid: int) -> None:
    """Kill what a run has started. The first process reaps the others and then ends by itself."""
    while children := list(tree(pid)):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def last_line(path: Path) -> str:
    """Give the last thing that a program said."""
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no words"
