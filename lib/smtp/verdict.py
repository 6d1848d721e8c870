"""What a reply of the receiver means, by scope: the table, and nothing that acts on it.

The scopes are Postfix's: the receiver as a whole, one connection, one message, one recipient. The digits of a reply
are looked at here and nowhere else.
"""

import re
from enum import IntEnum, auto


class Phase(IntEnum):  # whose hash costs nothing: it is looked up four times a message
    """Where in the conversation a reply was heard."""

    GREETING = auto()
    HELLO = auto()
    TLS = auto()
    AUTH = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    DOT = auto()


class Then(IntEnum):
    """What follows from it."""

    GO = auto()  # as asked
    RECEIVER = auto()  # the receiver takes nothing now; nobody's mail is blamed
    LATER = auto()  # the message stays in the spool
    OWED = auto()  # this recipient is tried again in a later pass
    ANOTHER = auto()  # this recipient at once, in another transaction (RFC 5321 §4.5.3.1.10)
    REFUSED = auto()  # this recipient, or at DATA and the dot all of them, for good
    NO_SENDER = auto()  # the sender is refused: once more with the null one


# By phase: what a 2xx or 3xx, a 4xx and a 5xx mean.
TABLE: dict[Phase, dict[int, Then]] = {
    Phase.GREETING: {2: Then.GO, 4: Then.RECEIVER, 5: Then.RECEIVER},
    Phase.HELLO: {2: Then.GO, 4: Then.RECEIVER, 5: Then.RECEIVER},
    Phase.TLS: {2: Then.GO, 4: Then.RECEIVER, 5: Then.RECEIVER},
    Phase.AUTH: {2: Then.GO, 3: Then.GO, 4: Then.RECEIVER, 5: Then.RECEIVER},
    Phase.MAIL: {2: Then.GO, 4: Then.LATER, 5: Then.NO_SENDER},
    Phase.RCPT: {2: Then.GO, 4: Then.OWED, 5: Then.REFUSED},
    Phase.DATA: {3: Then.GO, 4: Then.LATER, 5: Then.REFUSED},
    Phase.DOT: {2: Then.GO, 4: Then.LATER, 5: Then.REFUSED},
}

# Wherever they are heard: the server closes (421), or wants TLS or a login first (530), or ours counts no more.
ANYWHERE = {421: Then.RECEIVER, 530: Then.RECEIVER, 535: Then.RECEIVER, 538: Then.RECEIVER}

# Of these, the ones that settings of ours can help, and which.
HINTS = dict.fromkeys((530, 535, 538), ": see pf_smtp_tls and pf_smtp_user")

ENHANCED = re.compile(rb"\d{3} ([245]\.\d{1,3}\.\d{1,3})(?: |$)")
TOO_MANY_RECIPIENTS = b"4.5.3"


def fine(phase: Phase, code: int) -> bool:
    """Say whether a reply of *code* is the one that was asked for in *phase*, whatever its words."""
    return TABLE[phase].get(code // 100) is Then.GO


def judge(phase: Phase, code: int, words: bytes) -> Then:
    """Return what a reply of *code* and *words* (code first) means in *phase*.

    A class that makes no sense there (a 250 for DATA, a 354 for RCPT) means that the receiver is not well.
    """
    if code in ANYWHERE:
        return ANYWHERE[code]
    if phase is Phase.RCPT and code == 452 and _too_many(words):
        return Then.ANOTHER
    return TABLE[phase].get(code // 100, Then.RECEIVER)


def _too_many(words: bytes) -> bool:
    match = ENHANCED.match(words)
    return match[1] == TOO_MANY_RECIPIENTS if match else b"too many" in words.lower()
