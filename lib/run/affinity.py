"""One core for the threads that pass small messages to each other, where the system lets us choose (Linux).

Python runs one thread at a time, so a second core does not make them faster, and waking each other across cores costs
more than their work: with 2,000 messages of 4 KB between local servers, a third of all CPU time. Large messages are
another matter: reading, hashing and writing them goes on beside Python.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import local

_PROCESSOR = 36  # among the fields of /proc/self/stat behind the name: the core that the process ran on last (proc(5))


class Core:
    """The core that this process is on, and who stays there. Thread-safe; never raises."""

    def __init__(self) -> None:
        self._mine = local()
        self._one = _here()
        self._any: set[int] = os.sched_getaffinity(0) if self._one else set()  # type: ignore[attr-defined,unused-ignore]

    def stay(self, yes: bool) -> None:
        """Keep the calling thread on the one core, or let it go wherever this process may."""
        if self._one and yes is not getattr(self._mine, "stays", None):
            self._mine.stays = yes
            with suppress(OSError):
                os.sched_setaffinity(0, self._one if yes else self._any)  # type: ignore[attr-defined,unused-ignore]


def _here() -> set[int]:
    """Return the core, as a set; an empty one where that is not to be known."""
    if not hasattr(os, "sched_setaffinity"):
        return set()
    try:
        return {int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[_PROCESSOR])}
    except (OSError, ValueError, IndexError):
        return set()
