"""Messages that a server refuses, one after another: when nothing more is asked for. Pure.

One that is refused is its own matter; a server that is over its quota refuses whatever it is asked for, and some lock
out who does not stop asking. The two are told apart by asking for the message at the far end.
"""

from enum import Enum
from typing import NamedTuple

# Refusals in a row after which one message is asked for at a time, and after which only the far end is.
SLOWER, DOUBTFUL = 2, 5


class Asking(Enum):
    """How the next message is asked for."""

    AHEAD = "as far as the window allows"
    SINGLY = "when nothing is owed"
    FAR_END = "when nothing is owed, from the far end"
    NOT = "not at all"


class Refusals(NamedTuple):
    """How many messages were refused in a row, and whether the far end was asked for because of that."""

    row: int = 0
    probed: bool = False

    def heard(self, *, refused: bool) -> "Refusals":
        """Return what is known after one more message came, or was refused."""
        return self._replace(row=self.row + 1) if refused else Refusals()

    def probe(self) -> "Refusals":
        """Return what is known when the far end is asked for."""
        return self._replace(probed=True)

    @property
    def asking(self) -> Asking:
        """Say how to go on."""
        if self.row < SLOWER:
            return Asking.AHEAD
        if self.row < DOUBTFUL:
            return Asking.SINGLY
        return Asking.NOT if self.probed else Asking.FAR_END
