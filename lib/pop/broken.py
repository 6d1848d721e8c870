"""What a broken session means: whom to blame, and how the next one goes. Pure: one table.

Where it broke, whether something else was asked ahead, and how it broke, decide. Nobody is blamed on suspicion: a
message is to blame once it was the only thing asked for. Before that it is the asking ahead that is given up.
"""

from enum import Enum
from typing import NamedTuple


class Where(Enum):
    """What was owed when it broke."""

    RETR = "at RETR, before a word of the reply"
    BODY = "in a body"
    TOP = "at TOP"
    DELE = "at DELE"
    QUIT = "at QUIT"
    NOTHING = "while nothing of a message was owed"


class How(Enum):
    """What happened."""

    CLOSED = "the connection ended"
    SILENT = "the server fell silent"
    NONSENSE = "the server said what is no reply"
    OUT_OF_STEP = "a reply was not that to its command"
    ENDLESS = "a body was longer than its size allows"


class Blame(Enum):
    """Whom to blame."""

    NOBODY = "nobody: lines break"
    SUSPECT = "perhaps the message: it comes behind the others from now on"
    MESSAGE = "the message: it gets a session of its own from now on"
    HASTE = "asking ahead"
    SIZE = "the size in LIST: it limits nothing any more"


class Pace(Enum):
    """How a session asks."""

    AHEAD = "ahead of the replies, as far as the window allows"
    LOCKSTEP = "one thing at a time"


class Meaning(NamedTuple):
    """What follows: whom to blame, and the pace of what is left of this pass; *lasting*: of later passes as well."""

    blame: Blame
    pace: Pace
    lasting: bool = False


_LINE = Meaning(Blame.NOBODY, Pace.AHEAD)
_HASTE = Meaning(Blame.HASTE, Pace.LOCKSTEP)
_MESSAGE = Meaning(Blame.MESSAGE, Pace.LOCKSTEP)
_SUSPECT = Meaning(Blame.SUSPECT, Pace.AHEAD)
_SLOWLY = Meaning(Blame.SUSPECT, Pace.LOCKSTEP)
_FOR_GOOD = Meaning(Blame.SUSPECT, Pace.LOCKSTEP, lasting=True)
_SIZE = Meaning(Blame.SIZE, Pace.AHEAD)

# (where, how) → when others were asked ahead, and when it was the only thing asked for.
TABLE: dict[tuple[Where, How], tuple[Meaning, Meaning]] = {
    (Where.RETR, How.CLOSED): (_HASTE, _MESSAGE),
    (Where.RETR, How.SILENT): (_HASTE, _MESSAGE),
    (Where.RETR, How.NONSENSE): (_FOR_GOOD, _FOR_GOOD),
    (Where.BODY, How.CLOSED): (_SUSPECT, _SUSPECT),  # a line that breaks, as a rule
    (Where.BODY, How.SILENT): (_SLOWLY, _SLOWLY),
    (Where.BODY, How.NONSENSE): (_FOR_GOOD, _FOR_GOOD),
    (Where.BODY, How.ENDLESS): (_SIZE, _SIZE),
    (Where.BODY, How.OUT_OF_STEP): (_HASTE, _HASTE),
    (Where.TOP, How.CLOSED): (_HASTE, _MESSAGE),
    (Where.TOP, How.SILENT): (_HASTE, _MESSAGE),
    (Where.TOP, How.NONSENSE): (_FOR_GOOD, _MESSAGE._replace(lasting=True)),
    (Where.DELE, How.CLOSED): (_HASTE, _MESSAGE),
    (Where.DELE, How.SILENT): (_HASTE, _MESSAGE),
    (Where.DELE, How.NONSENSE): (_HASTE._replace(lasting=True), _MESSAGE._replace(lasting=True)),
    (Where.QUIT, How.CLOSED): (_LINE, _LINE),
    (Where.QUIT, How.SILENT): (_LINE, _LINE),
    (Where.QUIT, How.NONSENSE): (_HASTE._replace(lasting=True), _HASTE._replace(lasting=True)),
    (Where.NOTHING, How.CLOSED): (_LINE, _LINE),
    (Where.NOTHING, How.SILENT): (_LINE, _LINE),
    (Where.NOTHING, How.NONSENSE): (_HASTE._replace(lasting=True), _HASTE._replace(lasting=True)),
}


def meaning(where: Where, how: How, *, ahead: bool) -> Meaning:
    """Return what it means that a session broke; *ahead*: more was asked for than what it broke at."""
    rows = TABLE.get((where, how)) or TABLE[Where.NOTHING, How.NONSENSE]
    return rows[0] if ahead else rows[1]
