"""The safety net: duds in a row, and which of them count.

A dud counts when it says that something is wrong with receiver or settings. One that anybody could have written so
counts for nothing: nobody may stop all mail with ten messages.
"""

from enum import Enum
from threading import Lock

from lib.errors import SafetyNetError


class Ground(Enum):
    """Why a message went to the duds."""

    RECIPIENTS = "nobody whom it is for would take it, nor the caretaker"
    NOBODY = "it is for nobody"
    DAMAGED = "its spool file is not what was written"
    CONTENT = "refused for what it contains, while recipients had been accepted"
    CIRCLES = "it goes in circles"


COUNTS = {
    Ground.RECIPIENTS: True,
    Ground.NOBODY: True,
    Ground.DAMAGED: True,
    Ground.CONTENT: False,
    Ground.CIRCLES: False,
}


class Streak:
    """Duds in a row; any delivery ends it. The safety net trips at *limit*. Thread-safe."""

    def __init__(self, row: int, limit: int) -> None:
        self._lock = Lock()
        self._limit = limit
        self.row = row
        self.tripped = False

    def delivered(self) -> None:
        """Note that somebody took a message."""
        with self._lock:
            self.row = 0

    def dud(self, ground: Ground) -> None:
        """Note a dud; SafetyNetError when it is one too many."""
        if not COUNTS[ground]:
            return
        with self._lock:
            self.row += 1
            self.tripped = self.tripped or self.row >= self._limit
            if self.tripped:
                raise SafetyNetError(f"{self.row} duds in a row: see --duds list, mend the cause, then --reset")
