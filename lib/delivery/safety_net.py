"""The safety net: duds in a row, and which of them count.

A dud counts when it says that something is wrong with receiver or settings. One that anybody could have written so
counts for nothing: nobody may stop all mail with ten messages.
"""

from collections.abc import Callable
from enum import Enum
from threading import Lock

from lib.errors import SafetyNetError
from lib.store.journal_facts import DudsInARow, Record


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


def ground(*, content: bool, ours: bool) -> Ground:
    """Return why a message with recipients went to the duds; *content*: it was refused for what it contains.

    One of *ours* nobody else can have written, so that whatever it is refused for says something of the receiver.
    """
    return Ground.CONTENT if content and not ours else Ground.RECIPIENTS


class SafetyNet:
    """Duds in a row; any delivery ends it. The safety net trips at *limit*. Thread-safe.

    The journal has every change of the row, together with what made it, so that killed passes count.
    """

    def __init__(self, row: int, limit: int, note: Callable[..., None]) -> None:
        """Begin with a *row* that earlier passes left; *note* notes facts in the journal, all at once."""
        self._lock = Lock()
        self._limit = limit
        self._note = note
        self.row = row
        self.tripped = row >= limit

    def delivered(self) -> None:
        """Note that somebody took a message."""
        with self._lock:
            if self.row and not self.tripped:  # what has tripped stays so, whatever goes on beside it
                self.row = 0
                self._note(DudsInARow(0))

    def dud(self, ground: Ground, *facts: Record) -> None:
        """Note the *facts* that make a dud; whether it was one too many, check() says."""
        with self._lock:
            if COUNTS[ground]:
                self.row += 1
                self.tripped = self.tripped or self.row >= self._limit
                facts = (*facts, DudsInARow(self.row))
            self._note(*facts)

    def check(self) -> None:
        """Raise SafetyNetError when the net has tripped."""
        if self.tripped:
            raise SafetyNetError(f"{self.row} duds in a row: see --duds list, mend the cause, then --reset")
