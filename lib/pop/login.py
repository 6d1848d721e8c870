"""What a login that went wrong means: whether there is another one in this pass, and how it goes. Pure: one table.

The law: a password whose fate is unknown is not sent again in the same pass, for some providers lock an account after a
few refusals. One that was taken earlier in the pass is no wrong one: who refuses it then has not yet noticed that the
session before is over, and is asked again a little later.
"""

import re
from enum import Enum
from typing import NamedTuple

from lib.errors import ConnectionLostError, PeerTimeoutError, PopfetchError
from lib.pop import pop3


class LoginStage(Enum):
    """How far a login has come."""

    CONNECT = "connecting"
    TLS = "TLS"
    GREETING = "the greeting"
    CAPA = "CAPA, before the login"
    SECURED = "CAPA, behind STLS"
    NAME = "the login, before the password went out"
    PASSWORD = "the password went out"  # noqa: S105 - is none
    INSIDE = "CAPA, behind the login"
    UIDL = "UIDL"
    LIST = "LIST"
    OPEN = "the mailbox is open"


ASKING = frozenset({LoginStage.NAME, LoginStage.PASSWORD})
"""The stages at which a refusal is one of the login."""
TAKEN = frozenset({LoginStage.INSIDE, LoginStage.UIDL, LoginStage.LIST, LoginStage.OPEN})
"""The stages at which the password was taken."""


class Said(Enum):
    """What came instead of what was hoped for."""

    DENIED = "[AUTH]: it is the password"
    REFUSED = "-ERR, without saying why in a way that a program understands"
    LATER = "[SYS/...]: not now"
    DELAY = "[LOGIN-DELAY]: not so often"
    IN_USE = "[IN-USE]: somebody else has it open"
    CROWDED = "too many connections"
    CLOSED = "the connection ended"
    SILENT = "nothing"
    NONSENSE = "words that are no reply"


class Consequence(Enum):
    """What follows."""

    FAIL = "nothing more in this pass"
    AWAY = "another one when a session with the same host is over; where there is none, nothing more"
    WAIT = "another one, a little later"
    LOCKSTEP = "another one at once, a word at a time"
    WITHOUT = "another one at once, without the command at which it broke"


_FAIL, _AWAY, _WAIT, _WITHOUT = Consequence.FAIL, Consequence.AWAY, Consequence.WAIT, Consequence.WITHOUT

# What was said → when nothing was logged in to in this pass, and when the password was taken earlier in it.
_AT_THE_DOOR = {
    Said.REFUSED: (_AWAY, _WAIT),
    Said.DENIED: (_FAIL, _FAIL),
    Said.LATER: (_AWAY, _WAIT),
    Said.DELAY: (_AWAY, _FAIL),
    Said.IN_USE: (_AWAY, _WAIT),
    Said.CROWDED: (_AWAY, _WAIT),
    Said.CLOSED: (_AWAY, _WAIT),
    Said.SILENT: (_AWAY, _FAIL),  # it cost pf_timeout already
    Said.NONSENSE: (_FAIL, _FAIL),
}
_AT_THE_LOGIN = {
    Said.REFUSED: (_FAIL, _WAIT),
    Said.DENIED: (_FAIL, _FAIL),
    Said.LATER: (_FAIL, _WAIT),
    Said.DELAY: (_FAIL, _FAIL),
    Said.IN_USE: (_FAIL, _WAIT),
    Said.CROWDED: (_AWAY, _WAIT),
    Said.CLOSED: (_FAIL, _WAIT),
    Said.SILENT: (_FAIL, _FAIL),
    Said.NONSENSE: (_FAIL, _FAIL),
}
# The same for both; a refusal is an answer there.
_BEFORE = dict.fromkeys((Said.CLOSED, Said.SILENT, Said.NONSENSE), (_WITHOUT, _WITHOUT))

TABLE: dict[LoginStage, dict[Said, tuple[Consequence, Consequence]]] = {
    LoginStage.CONNECT: _AT_THE_DOOR,
    LoginStage.TLS: _AT_THE_DOOR,
    LoginStage.GREETING: _AT_THE_DOOR,
    LoginStage.CAPA: _BEFORE,
    LoginStage.NAME: _AT_THE_LOGIN,
    LoginStage.PASSWORD: _AT_THE_LOGIN,
    LoginStage.INSIDE: _BEFORE,
}
SUSPECT = frozenset({LoginStage.CAPA, LoginStage.INSIDE, LoginStage.UIDL})
"""The stages whose command may be what a server breaks off at, if nothing was sent behind it."""
NOT_NOW = frozenset({Said.LATER, Said.DELAY, Said.IN_USE, Said.CROWDED})
"""What is no refusal of the password (RFC 2449 §8.1, RFC 3206)."""
BROKEN = frozenset(_BEFORE)
"""What ends a session without a word of it being one."""


def then(stage: LoginStage, said: Said, *, ahead: bool, taken: bool) -> Consequence:
    """Return what follows a login that ended at *stage*.

    *ahead*: its words were sent ahead of the replies. *taken*: the password was, earlier in this pass. What is not in
    the table fails the account.
    """
    if ahead and stage in TAKEN and said in BROKEN:
        return Consequence.LOCKSTEP
    first, later = TABLE.get(stage, {}).get(said, (_FAIL, _FAIL))
    return later if taken else first


# Codes of RFC 2449 §8.1 and RFC 3206; what stands behind a slash says no more than we need.
CODES = {
    b"AUTH": Said.DENIED,
    b"SYS": Said.LATER,
    b"LOGIN-DELAY": Said.DELAY,
    b"IN-USE": Said.IN_USE,
}
# Not "too many logins": those may be attempts.
CROWD = re.compile(rb"(?i)(too many|maximum|max\.?|limit)\b.{0,40}\b(connection|session)s?\b|\bconnection limit\b")


def refusal(text: bytes) -> Said:
    """Return what the text behind an -ERR says."""
    found = CODES.get(pop3.response_code(text).partition(b"/")[0], Said.REFUSED)
    return Said.CROWDED if found is not Said.DENIED and CROWD.search(text) else found


def said(error: PopfetchError) -> Said:
    """Return what an error of the network or the protocol says."""
    if isinstance(error, PeerTimeoutError):
        return Said.SILENT
    return Said.CLOSED if isinstance(error, ConnectionLostError) else Said.NONSENSE


# --- what is remembered: whether words may be sent ahead -------------------------------------------------------------


class Haste(NamedTuple):
    """What is known of words sent ahead of the replies to one server."""

    one: bool = False  # it cannot bear them
    bore: bool = False  # it has borne a login sent ahead
    careful: bool = False  # it bore that once, and broke off at the last one: the next goes a word at a time

    @property
    def lockstep(self) -> bool:
        """Say whether the next session goes a word at a time."""
        return self.one or self.careful

    def stumbled(self, said: Said) -> "Haste":
        """Return what is known after a login sent ahead that ended with *said*: lines break, but not twice there."""
        if said is Said.NONSENSE or not self.bore:
            return Haste(one=True)
        return Haste(careful=True)

    def well(self, *, ahead: bool) -> "Haste":
        """Return what is known after a login that went well."""
        return Haste(one=self.one, bore=self.bore or ahead)


# --- what is remembered: at what a server breaks off -----------------------------------------------------------------

_DOUBT = "?"


def suspected(habits: str, stage: LoginStage) -> str:
    """Return the *habits* of a server after another pass in which it broke off at the command of *stage*.

    The first time it may be the line; it is a habit the second time.
    """
    word = stage.name.lower()
    words = set(habits.split())
    new = {word} if words & {word, word + _DOUBT} else {word + _DOUBT}
    return " ".join(sorted(words - {word + _DOUBT} | new))


def cleared(habits: str, stages: frozenset[LoginStage]) -> str:
    """Return the *habits* of a server that answered the commands of *stages*."""
    words = {word + mark for word in (stage.name.lower() for stage in stages) for mark in ("", _DOUBT)}
    return " ".join(word for word in habits.split() if word not in words)


def shunned(habits: str) -> frozenset[LoginStage]:
    """Return the stages whose command is not sent any more."""
    words = set(habits.split())
    return frozenset(stage for stage in SUSPECT if stage.name.lower() in words)
