"""What a way to raise a line must be able to do."""

from typing import Protocol

from lib.errors import NoLineError
from lib.halt import Stop, never
from lib.line.orphan import Orphan


class NoAnswerError(NoLineError):
    """Nobody says whether the line is up. That is no "down": neither to dial over, nor to call a line hung up."""


class Backend(Protocol):
    """One way to raise a line. *orphan* is how it is hung up by a later pass; None where it cannot be hung up.

    *describe* names it in log and complaints, where no command line stands whole.
    """

    describe: str
    orphan: Orphan | None

    def is_up(self, stop: Stop = never) -> bool:
        """Tell whether the line is open, by whomever it was opened. NoAnswerError."""

    def dial(self, stop: Stop) -> bool:
        """Raise it; False when another program has it or is raising it; NoLineError when it does not come up."""

    def hang_up(self) -> bool:
        """Drop what dial() raised, or an orphan; also after a failed dial. Tell whether there is nothing left."""
