"""What a reply of the receiver means, by scope, phase and history: the table, and nothing that acts on it. Pure.

The scopes are Postfix's: the receiver as a whole, one connection, one message, its sender, its content, one recipient.
A word is the receiver's only if it was said before there was any message, or if other messages prove it; what it says
to one message is that message's until then. The digits of a reply are looked at here and nowhere else.
"""

import re
from collections.abc import Callable
from enum import Enum, IntEnum, auto
from typing import NamedTuple

from lib.delivery.queued import Tried


class Phase(IntEnum):  # whose hash costs nothing: it is looked up four times a message
    """Where in the conversation a reply was heard."""

    GREETING = auto()
    HELLO = auto()
    TLS = auto()
    AUTH = auto()
    RSET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    DOT = auto()  # for all recipients together
    LMTP_DOT = auto()  # for one of them (RFC 2033 §4.2)


class Then(IntEnum):
    """What follows from it; the comment is its scope."""

    GO = auto()  # as asked
    RECEIVER_DOWN = auto()  # receiver: it takes nothing now, and nobody's mail is blamed
    USED_UP = auto()  # connection: it takes no more; another one at once, for the same message
    TURNED_AWAY = auto()  # connection: one too many; the others go on
    OUT_OF_STEP = auto()  # connection: which reply was whose is not known; the same message on a new one
    BREAK_OFF = auto()  # message, until others prove it the receiver: the connection is closed
    DEFER_MESSAGE = auto()  # message: it stays in the spool
    IN_DOUBT = auto()  # message: it may have been taken, so it is not sent again in this pass (RFC 1047)
    NEXT_SENDER = auto()  # sender: once more with the next one
    REFUSE_CONTENT = auto()  # content: refused by all who had been accepted
    DEFER_RECIPIENT = auto()  # recipient: tried again in a later pass
    REFUSE_RECIPIENT = auto()  # recipient: for good
    ANOTHER_TRANSACTION = auto()  # recipient: at once, with fewer others (RFC 5321 §4.5.3.1.10)


class Past(NamedTuple):
    """What came before a reply."""

    fresh: bool = True  # nothing was asked for another message over this connection
    took: bool = False  # this connection has taken a message
    accepted: int = 0  # recipients in this transaction
    passed: bool = False  # the receiver has taken a message in this pass
    others: bool = False  # another connection works
    behind: bool = False  # the envelope went out with the final dot of the message before
    unreset: bool = False  # the receiver may still hold the transaction of that one
    crowded: bool = False  # recipients of this transaction were too many beside those accepted
    said_afresh: frozenset[bytes] = frozenset()  # gists of what was said to the first message of some connection


# --- by phase and class -----------------------------------------------------------------------------------------------

_OURS = {2: Then.GO, 3: Then.RECEIVER_DOWN, 4: Then.RECEIVER_DOWN, 5: Then.RECEIVER_DOWN}

# What a 2xx, 3xx, 4xx and 5xx mean where no rule below says otherwise.
TABLE: dict[Phase, dict[int, Then]] = {
    Phase.GREETING: _OURS,
    Phase.HELLO: _OURS,
    Phase.TLS: _OURS,
    Phase.AUTH: _OURS | {3: Then.GO},
    Phase.RSET: {2: Then.GO, 3: Then.OUT_OF_STEP, 4: Then.OUT_OF_STEP, 5: Then.OUT_OF_STEP},
    Phase.MAIL: {2: Then.GO, 3: Then.OUT_OF_STEP, 4: Then.DEFER_MESSAGE, 5: Then.NEXT_SENDER},
    Phase.RCPT: {2: Then.GO, 3: Then.OUT_OF_STEP, 4: Then.DEFER_RECIPIENT, 5: Then.REFUSE_RECIPIENT},
    Phase.DATA: {2: Then.OUT_OF_STEP, 3: Then.GO, 4: Then.DEFER_MESSAGE, 5: Then.REFUSE_CONTENT},
    Phase.DOT: {2: Then.GO, 3: Then.IN_DOUBT, 4: Then.DEFER_MESSAGE, 5: Then.REFUSE_CONTENT},
    Phase.LMTP_DOT: {2: Then.GO, 3: Then.IN_DOUBT, 4: Then.DEFER_RECIPIENT, 5: Then.REFUSE_CONTENT},
}

# The server closes (421), or wants TLS or a login (454, 530), or ours counts no more (535, 538): no more of this
# connection.
CLOSING = frozenset((421, 454, 530, 535, 538))

NEEDS_TLS = 530

# Settings of ours that can help against some words, whatever the phase.
HINTS = dict.fromkeys((454, 530, 535, 538), ": see pf_smtp_tls and pf_smtp_user")
HELO_HINT = ": see pf_helo_name"

# --- by words ---------------------------------------------------------------------------------------------------------

NUMBERS = re.compile(rb"\d+")
LOOKED_AT = 1000  # octets of a reply in which words are looked for
ENHANCED = re.compile(rb"\d{3} ([245])\.(\d{1,3}\.\d{1,3})(?: |$)")  # RFC 3463
ADDRESSES = re.compile(rb'<[^<>]*>|"[^"]*"(?:@\S*)?|\S*@\S*')  # which strangers choose, and their words with them
HELO = re.compile(
    rb"\d{3} (?:[45]\.\d{1,3}\.\d{1,3} )?[ :]*(?:(?:helo|ehlo|lhlo) command rejected|need fully-qualified hostname)"
)
CROWD = re.compile(rb"too many (?:recip|rcpt|addressee|envelope)")
GREYLIST = re.compile(rb"gr[ae]y-?\s?list")
SENDER_CODES = (b"1.7", b"1.8")
CROWD_CODE = b"5.3"
OF_RECIPIENTS = (b"1.", b"2.")  # an address, a mailbox


def _plain(words: bytes) -> bytes:
    """Return *words* in lower case and without the addresses in them: what is left is the receiver's own."""
    return ADDRESSES.sub(b"", words[:LOOKED_AT]).lower()


def _subject(words: bytes) -> bytes:
    """Return subject and detail of an enhanced status code, b"" where there is none."""
    match = ENHANCED.match(words)
    return match[2] if match else b""


def _of_helo(words: bytes) -> bool:
    return HELO.match(_plain(words)) is not None


def _of_sender(words: bytes) -> bool:
    if _subject(words) in SENDER_CODES:
        return True
    plain = _plain(words)
    return b"sender" in plain and not GREYLIST.search(plain)


def _of_a_crowd(words: bytes) -> bool:
    return _subject(words) == CROWD_CODE or CROWD.search(_plain(words)) is not None


def _of_some_crowd(words: bytes) -> bool:
    """Say the same of a 452, which without a code means too many of something."""
    return _of_a_crowd(words) or (not _subject(words) and b"too many" in _plain(words))


def _of_recipient(words: bytes) -> bool:
    return _subject(words).startswith(OF_RECIPIENTS)


def _any(_: bytes) -> bool:
    return True


# --- the rules: phase, codes, words and what came before; the first that fits -----------------------------------------


class Rule(NamedTuple):
    """One row: what a refusal in one of *phases* means."""

    phases: tuple[Phase, ...]
    codes: frozenset[int] | None  # None: any 4xx and 5xx
    words: Callable[[bytes], bool]
    past: Callable[[Past], bool]
    then: Then


_ENVELOPE = (Phase.MAIL, Phase.RCPT, Phase.DATA)
_MESSAGE = (*_ENVELOPE, Phase.DOT)


def _ever(_: Past) -> bool:
    return True


def _codes(*codes: int) -> frozenset[int]:
    return frozenset(codes)


_FIVE = frozenset(range(500, 600))

# Limits of a connection are told so, and much else.
SAID_OF_MUCH = _codes(451, 452)

# What greets, or closes: no answer to anything that is said of a message, and least of all to its final dot.
STRANGE = _codes(220, 221)

RULES = (
    Rule((*_ENVELOPE, Phase.RSET), STRANGE, _any, _ever, Then.OUT_OF_STEP),
    Rule((Phase.DOT, Phase.LMTP_DOT), STRANGE, _any, _ever, Then.IN_DOUBT),
    Rule(_MESSAGE, None, _of_helo, lambda past: not past.passed, Then.RECEIVER_DOWN),
    Rule(_ENVELOPE, _codes(421), _any, lambda past: past.took, Then.USED_UP),
    Rule((Phase.MAIL,), _codes(421), _any, lambda past: past.fresh and past.others, Then.TURNED_AWAY),
    Rule((*_MESSAGE, Phase.RSET), CLOSING, _any, _ever, Then.BREAK_OFF),
    Rule((Phase.LMTP_DOT,), CLOSING, _any, _ever, Then.DEFER_RECIPIENT),
    Rule(_ENVELOPE, _codes(503), _any, _ever, Then.OUT_OF_STEP),
    Rule((Phase.DOT, Phase.LMTP_DOT), _codes(503), _any, _ever, Then.IN_DOUBT),
    Rule((Phase.RCPT,), _codes(452), _of_some_crowd, lambda past: past.accepted > 0, Then.ANOTHER_TRANSACTION),
    Rule((Phase.RCPT,), _codes(451, 552), _of_a_crowd, lambda past: past.accepted > 0, Then.ANOTHER_TRANSACTION),
    Rule((Phase.MAIL, Phase.DATA), SAID_OF_MUCH, _any, lambda past: past.took, Then.USED_UP),
    Rule((Phase.RCPT,), SAID_OF_MUCH, _any, lambda past: past.took and not past.accepted, Then.USED_UP),
    Rule((Phase.DATA,), None, _of_a_crowd, lambda past: past.accepted > 1 or past.crowded, Then.ANOTHER_TRANSACTION),
    Rule((Phase.RCPT,), _codes(552), _of_a_crowd, _ever, Then.DEFER_RECIPIENT),
    Rule((Phase.RCPT,), None, _of_sender, lambda past: not past.accepted, Then.NEXT_SENDER),
    Rule((Phase.DATA,), None, _of_sender, _ever, Then.NEXT_SENDER),
    Rule((Phase.LMTP_DOT,), _FIVE, _of_recipient, _ever, Then.REFUSE_RECIPIENT),
)


def plainly(phase: Phase, code: int) -> Then:
    """Return what the class of *code* means in *phase*, without its words and what came before."""
    return TABLE[phase][code // 100]


def gist(words: bytes) -> bytes:
    """Return *words* without addresses and numbers (behind the code): what a receiver says alike of many messages."""
    return words[:3] + NUMBERS.sub(b"#", _plain(words)[3:])


def judge(phase: Phase, code: int, words: bytes, past: Past = Past()) -> Then:  # noqa: B008 - a tuple
    """Return what a reply of *code* and *words* (code first) means in *phase*, after *past*.

    What a connection says that has taken mail does not mean that it is used up where a fresh one said the same: such is
    greylisting.
    """
    if past.took and past.said_afresh and code in SAID_OF_MUCH and gist(words) in past.said_afresh:
        past = past._replace(took=False)
    if code >= 400 or code in STRANGE:
        for phases, codes, fit, before, then in RULES:
            if phase in phases and (code in codes if codes else code >= 400) and before(past) and fit(words):
                return then
    return plainly(phase, code)


# The replies that were asked for, by phase.
FINE = {phase: frozenset(code for code in range(200, 400) if judge(phase, code, b"") is Then.GO) for phase in Phase}


def fine(phase: Phase, code: int) -> bool:
    """Say whether a reply of *code* is the one that was asked for in *phase*, whatever its words."""
    return code in FINE[phase]


def closing(code: int) -> bool:
    """Say whether a connection over which *code* was heard takes no more mail, whatever else it meant."""
    return code in CLOSING


def busy(code: int) -> bool:
    """Say whether a greeting of *code* may be another one in a moment."""
    return code // 100 == 4


def knows_no_ehlo(code: int) -> bool:
    """Say whether a server that answers EHLO so may yet know HELO (RFC 5321 §3.2); one that wants TLS first does."""
    return code // 100 == 5 and code not in CLOSING


def asks_on(code: int) -> bool:
    """Say whether a server that answers AUTH so waits for a further response (RFC 4954 §4)."""
    return code // 100 == 3


def refuses_this_login(code: int) -> bool:
    """Say whether another mechanism may yet be taken: not where TLS is wanted first, whatever the mechanism."""
    return code // 100 == 5 and code != NEEDS_TLS


def refused(code: int) -> bool:
    """Say whether a receiver counts *code* as an error of ours."""
    return code >= 400


def hint(code: int, words: bytes) -> str:
    """Return which setting to look at after such a reply, "" for none."""
    return HELO_HINT if _of_helo(words) else HINTS.get(code, "")


# --- a connection that breaks -----------------------------------------------------------------------------------------


class Stage(Enum):
    """How far a transaction had come."""

    BETWEEN = auto()  # nothing was heard of it
    WITHIN = auto()
    DOTTED = auto()  # its final dot went out


def lost(stage: Stage, past: Past, *, nonsense: bool) -> Then:
    """Return what it means that a connection broke at *stage*: it hung up, or (*nonsense*) said what is no reply."""
    if stage is Stage.DOTTED:
        return Then.IN_DOUBT
    if nonsense:
        return Then.OUT_OF_STEP
    return Then.USED_UP if stage is Stage.BETWEEN and past.took else Then.BREAK_OFF


PAUSES = (0.2, 0.8, 2.0)
"""Seconds after which a receiver is asked again that takes no connection right behind one of ours.

It may still count that one (Exim's smtp_accept_max), or be starting again.
"""


# --- a message that was not taken, and what that says of the receiver -------------------------------------------------

ENOUGH = 3
"""Messages in a row that make it the receiver."""

PATIENCE_FACTOR, MOST_STOPS = 4, 5


class Next(Enum):
    """What becomes of a message that the receiver did not take."""

    AT_ONCE = auto()  # once more on a new connection, in front of the others
    BEHIND = auto()  # once more in this pass, when all others are through
    WAITS = auto()  # for a later pass
    STOPS = auto()  # so does it, and the receiver takes nothing now


class Failure(NamedTuple):
    """What is known of a message that was not taken, and of those before it."""

    then: Then
    tried: Tried  # in earlier passes, or in this one
    fresh: bool  # it was the first one of its connection
    row: int  # other messages in a row that failed like it
    enough: int  # so many, this one included, are the receiver


def enough(stopped: int) -> int:
    """Return how many messages in a row are the receiver, after so many passes in a row that ended by just that.

    Four times as many each time, lest those that stand in front keep all others waiting for weeks.
    """
    factor: int = PATIENCE_FACTOR ** min(stopped, MOST_STOPS)
    return ENOUGH * factor


def counts(failure: Failure) -> bool:
    """Say whether a failure tells of the receiver: not if the message had failed before, nor if its connection had."""
    if failure.tried is not Tried.NEVER:
        return False
    return failure.then is not Then.BREAK_OFF or failure.fresh


def weigh(failure: Failure) -> Next:
    """Return what becomes of the message."""
    if failure.then is Then.OUT_OF_STEP and not failure.fresh:
        return Next.AT_ONCE
    if counts(failure) and failure.row + 1 >= failure.enough:
        return Next.STOPS
    breaks = failure.then in {Then.BREAK_OFF, Then.OUT_OF_STEP}
    return Next.BEHIND if breaks and failure.tried is not Tried.BROKE else Next.WAITS
