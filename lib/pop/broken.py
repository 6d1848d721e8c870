"""What a broken session means: whom to blame, and how the next one goes. Pure: one table.

Where it broke, how, what else was asked for, and whether that had gone wrong before, decide. Nobody is blamed on
suspicion: a message is to blame once it was the only thing asked for. Before that the asking ahead is given up.
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
    ENDLESS = "a body was longer than its announced size allows"
    BOUNDLESS = "a body was longer than any may be"


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


class Asked(Enum):
    """What was asked for, and how often before it had gone wrong."""

    AHEAD = "more than what it broke at"
    ALONE = "only that"
    APART = "only that, in a session of its own: it had gone wrong before"


class Meaning(NamedTuple):
    """What follows: whom to blame, and the pace of what is left of this pass.

    *lasting*: the pace of later passes as well. *again*: another session follows, whatever this one has brought.
    """

    blame: Blame
    pace: Pace
    lasting: bool = False
    again: bool = False


_LINE = Meaning(Blame.NOBODY, Pace.AHEAD)
_SUSPECT = Meaning(Blame.SUSPECT, Pace.AHEAD)
_SLOWLY = Meaning(Blame.SUSPECT, Pace.LOCKSTEP)
_HASTE = Meaning(Blame.HASTE, Pace.LOCKSTEP, again=True)
_SIZE = Meaning(Blame.SIZE, Pace.AHEAD, again=True)
_MESSAGE = Meaning(Blame.MESSAGE, Pace.LOCKSTEP, again=True)
_LAST = Meaning(Blame.MESSAGE, Pace.LOCKSTEP)
# Of a server that says what no server says, nothing is believed; it is not asked ahead any more.
_SUSPECT_EVER = Meaning(Blame.SUSPECT, Pace.LOCKSTEP, lasting=True, again=True)
_HASTE_EVER, _MESSAGE_EVER, _LAST_EVER = (one._replace(lasting=True) for one in (_HASTE, _MESSAGE, _LAST))

# (where, how) → when more was asked for, when only that, when only that in a session of its own.
TABLE: dict[tuple[Where, How], tuple[Meaning, Meaning, Meaning]] = {
    (Where.RETR, How.CLOSED): (_HASTE, _MESSAGE, _LAST),
    (Where.RETR, How.SILENT): (_HASTE, _MESSAGE, _LAST),
    (Where.RETR, How.NONSENSE): (_SUSPECT_EVER, _SUSPECT_EVER, _LAST_EVER),
    (Where.BODY, How.CLOSED): (_SUSPECT, _SUSPECT, _SUSPECT),  # a line that breaks, as a rule
    (Where.BODY, How.SILENT): (_SLOWLY, _SLOWLY, _SLOWLY),
    (Where.BODY, How.NONSENSE): (_SUSPECT_EVER, _SUSPECT_EVER, _LAST_EVER),
    (Where.BODY, How.OUT_OF_STEP): (_HASTE, _HASTE, _LAST),
    (Where.BODY, How.ENDLESS): (_SIZE, _SIZE, _SIZE),
    (Where.BODY, How.BOUNDLESS): (_SLOWLY, _MESSAGE, _LAST),
    (Where.TOP, How.CLOSED): (_HASTE, _MESSAGE, _LAST),
    (Where.TOP, How.SILENT): (_HASTE, _MESSAGE, _LAST),
    (Where.TOP, How.NONSENSE): (_SUSPECT_EVER, _MESSAGE_EVER, _LAST_EVER),
    (Where.DELE, How.CLOSED): (_HASTE, _MESSAGE, _LAST),
    (Where.DELE, How.SILENT): (_HASTE, _MESSAGE, _LAST),
    (Where.DELE, How.NONSENSE): (_HASTE_EVER, _MESSAGE_EVER, _LAST_EVER),
    (Where.QUIT, How.CLOSED): (_LINE, _LINE, _LINE),
    (Where.QUIT, How.SILENT): (_LINE, _LINE, _LINE),
    (Where.QUIT, How.NONSENSE): (_HASTE_EVER, _HASTE_EVER, _HASTE_EVER),
    (Where.NOTHING, How.CLOSED): (_LINE, _LINE, _LINE),
    (Where.NOTHING, How.SILENT): (_LINE, _LINE, _LINE),
    (Where.NOTHING, How.NONSENSE): (_HASTE_EVER, _HASTE_EVER, _HASTE_EVER),
}


def meaning(where: Where, how: How, asked: Asked) -> Meaning:
    """Return what it means that a session broke."""
    rows = TABLE.get((where, how)) or TABLE[Where.NOTHING, How.NONSENSE]
    return rows[(Asked.AHEAD, Asked.ALONE, Asked.APART).index(asked)]
