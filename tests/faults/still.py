"""A process that is made to stand still, and what it has not read yet: Linux tells, in /proc."""

import os
import signal
import time
from pathlib import Path

STOPPING = 5.0  # seconds that a process may take to stand still


def unread_octets() -> dict[int, int]:
    """Return by local port of 127.0.0.1 how many octets wait in the kernel for the process to read them."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    return {int(row[1][-4:], 16): int(row[4].partition(":")[2], 16) for row in rows if row[3] != "0A"}


def stand_still(pid: int) -> None:
    """Stop a process, and return when all of its threads stand still (or are gone)."""
    assert pid > 0, "that would be the whole group of the one who asks"
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + STOPPING
    while not all(state in "TtZX" for state in _states(pid)):
        assert time.monotonic() < end, "a process does not stop"
        time.sleep(0.0005)


def _states(pid: int) -> list[str]:
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            states.append((task / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0])
        except OSError:
            states.append("X")
    return states
