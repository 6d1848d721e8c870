"""A line that commands raise and drop: it is up while a file is there, and remembers what was done to it."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 20  # seconds
RAISES = 'echo up >> "$0.story"; touch "$0"'
DROPS = 'echo down >> "$0.story"; rm -f "$0"'
LOOKS = 'test -e "$0"'


def sh(text: str, flag: Path) -> str:
    return shlex.join(["/bin/sh", "-c", text, str(flag)])


class Line:
    """A line that is up while its flag file is there."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def settings(self, up: str = RAISES, down: str = DROPS) -> dict[str, str]:
        return {
            "pf_dial_up": sh(up, self.flag),
            "pf_dial_check": sh(LOOKS, self.flag),
            "pf_dial_down": sh(down, self.flag),
        }

    @property
    def is_up(self) -> bool:
        return self.flag.exists()

    @property
    def story(self) -> list[str]:
        """Return every up and down that our commands have made."""
        told = self.flag.with_name(f"{self.flag.name}.story")
        return told.read_text().split() if told.exists() else []


def awaited(what: Callable[[], object]) -> None:
    """Return as soon as *what* is true."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)
