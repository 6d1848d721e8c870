"""The reply matrix: every code class in every phase, alone and mixed over recipients, and what must follow.

What must follow is worked out here from the design's table of verdicts, by hand and in another way than the program
does it: nothing of lib is imported. A case is one message to one to three people, and a second one behind it; the
receiver says what the case says in the first pass, and takes everything in the second.
"""

import itertools
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

CUT, NONE = "cut", "what do you want"  # no reply at all; a reply that is none
OK, GO = "250 ok", "354 go on"
CROWD = "452 4.5.3 too many recipients"  # said from the second recipient of a transaction on
OF_THE_RECEIVER = ("421", "530", "535", "538")
FINE, LATER, NO, STOP, LOST = "fine", "later", "no", "stop", "lost"
ACCEPTED, OWED, REFUSED = "accepted", "owed", "refused"


class Case(NamedTuple):
    """What the receiver says in the first pass: *dots* by recipient in LMTP, of which SMTP knows the first."""

    lmtp: bool = False
    ahead: bool = True  # it offers PIPELINING
    greeting: str = "220 mx.example"
    hello: str = OK
    helo: str = OK  # the answer to HELO, where EHLO is refused
    auth: str = ""  # "" = no login is configured
    mail: str = OK
    null: str = OK  # the answer to MAIL FROM:<>
    rcpts: tuple[str, ...] = (OK,)
    data: str = GO
    dots: tuple[str, ...] = (OK, OK, OK)
    caretaker: str = ""  # the answer to his RCPT; "" = there is none

    @property
    def mended(self) -> "Case":
        """The same receiver when nothing is wrong with it any more."""
        return Case(self.lmtp, self.ahead, auth="235 welcome" if self.auth else "")

    def __str__(self) -> str:
        """Tell what is not as usual."""
        odd = {name: said for name, said in self._asdict().items() if said != Case._field_defaults[name]}
        return " ".join(f"{name}={said!r}" for name, said in odd.items()) or "as usual"


class Expected(NamedTuple):
    """What must be true after the first pass, and how the second one ends."""

    exit: int
    fates: tuple[str, ...]  # of the message's recipients, in their order
    copies: int  # that the caretaker has
    duds: int
    stays: bool  # on the POP server, and in the spool unless the receiver was never reached
    next_one: bool  # the second message was delivered
    again: int  # the exit code of the second pass
    copies_again: int
    duds_again: int


def sense(word: str, right: str) -> str:
    """Return what *word* means where a reply beginning with *right* is what was hoped for."""
    if word == CUT:
        return LOST
    if not re.match(r"[2-5][0-9][0-9]([ -]|$)", word) or word[:3] in OF_THE_RECEIVER:
        return STOP
    by_class = {"4": LATER, "5": NO, right: FINE}
    return by_class.get(word[0], STOP)


def expected(case: Case) -> Expected:
    """Work out what must follow."""
    fates = _fates(case)
    if fates is None:
        return Expected(
            75, (OWED,) * len(case.rcpts), 0, 0, stays=True, next_one=False, again=0, copies_again=0, duds_again=0
        )
    if OWED in fates:
        left = REFUSED in fates
        copy = int(left and bool(case.caretaker))
        dud = int(left and not case.caretaker)
        return Expected(75, fates, 0, 0, True, True, 65 if dud else 0, copy, dud)
    if REFUSED not in fates:
        return Expected(0, fates, 0, 0, stays=False, next_one=True, again=0, copies_again=0, duds_again=0)
    said = _to_caretaker(case)
    if said == FINE:
        return Expected(0, fates, 1, 0, stays=False, next_one=True, again=0, copies_again=1, duds_again=0)
    if said == LATER:
        return Expected(75, fates, 0, 0, stays=True, next_one=True, again=0, copies_again=1, duds_again=0)
    return Expected(65, fates, 0, 1, stays=False, next_one=True, again=0, copies_again=0, duds_again=1)


def _fates(case: Case) -> tuple[str, ...] | None:
    """Return what each recipient is after the first pass; None: it is the receiver, and nobody has anything."""
    count = len(case.rcpts)
    if not _greeted(case):
        return None
    mail = sense(case.mail, "2")
    mail = sense(case.null, "2") if mail == NO else mail
    if mail in (STOP, LOST):
        return None
    if mail in (LATER, NO):
        return ((OWED if mail == LATER else REFUSED),) * count
    rcpts = [FINE if word == CROWD else sense(word, "2") for word in case.rcpts]
    if STOP in rcpts or LOST in rcpts:
        return None
    ends: dict[int, str] = {at: {LATER: OWED, NO: REFUSED}[said] for at, said in enumerate(rcpts) if said != FINE}
    for crowd in _transactions(case.rcpts, rcpts):
        taken = _content(case, crowd)
        if taken is None:
            return None
        ends |= taken
        if OWED in taken.values() and ACCEPTED not in taken.values():
            break  # not taken now: the others are not asked at once
    return tuple(ends.get(at, OWED) for at in range(count))


def _transactions(words: tuple[str, ...], rcpts: list[str]) -> list[list[int]]:
    """Return who is accepted together: one for whom there are too many already is alone in a transaction behind."""
    first: list[int] = []
    others: list[list[int]] = []
    for at, said in enumerate(rcpts):
        if said == FINE and words[at] == CROWD and first:
            others.append([at])
        elif said == FINE:
            first.append(at)
    return [first, *others] if first else []


def _greeted(case: Case) -> bool:
    if sense(case.greeting, "2") != FINE:
        return False
    hello = sense(case.hello, "2")
    if hello == NO and not case.lmtp:
        return sense(case.helo, "2") == FINE  # an old server, without logins and anything else
    return hello == FINE and (not case.auth or sense(case.auth, "2") == FINE)


def _content(case: Case, crowd: list[int]) -> dict[int, str] | None:
    """Return what becomes of those who were accepted together; None: it is the receiver."""
    data = sense(case.data, "3")
    if data in (STOP, LOST):
        return None
    if data != FINE:
        return dict.fromkeys(crowd, OWED if data == LATER else REFUSED)
    if not case.lmtp:
        crowds, dots = [crowd], [case.dots[0]]
    else:
        crowds, dots = [[at] for at in crowd], [case.dots[at] for at in crowd]
    ends: dict[int, str] = {}
    for who, dot in zip(crowds, dots, strict=True):
        said = LOST if dot == NONE else sense(dot, "2")
        if said == STOP and ACCEPTED not in ends.values():
            return None
        if said in (STOP, LOST):  # who has it has it; of the others nothing is known, and the receiver hangs up
            return {at: ends.get(at, OWED) for at in crowd}
        ends |= dict.fromkeys(who, {FINE: ACCEPTED, LATER: OWED, NO: REFUSED}[said])
    return ends


def _to_caretaker(case: Case) -> str:
    """Return how the caretaker's copy fares: its sender is asked for again, and its DATA and dot are fine."""
    if not case.caretaker:
        return NO
    sender = sense(case.mail, "2")
    sender = sense(case.null, "2") if sender == NO else sender
    return sender if sender != FINE else sense(case.caretaker, "2")


# --- the cases --------------------------------------------------------------------------------------------------------

BAD = ("450 4.7.1 later", "550 5.7.1 no", "421 4.3.2 going down", NONE, CUT)
MAILS = (
    "450 4.7.1 later",
    "451 4.3.0 later",
    "552 5.3.4 no",
    "421 4.3.2 going down",
    "530 5.7.0 TLS first",
    GO,
    NONE,
    CUT,
)
RCPTS = (OK, "450 4.2.1 later", CROWD, "550 5.1.1 nobody")
RCPTS_ODD = ("421 4.3.2 going down", "530 5.7.0 login first", GO, NONE, CUT, "251 elsewhere", "452 4.2.2 full")
DATAS = ("451 4.3.0 later", "554 5.6.0 no", "421 4.3.2 going down", OK, NONE, CUT)
DOTS = ("451 4.3.0 later", "554 5.7.1 spam", "421 4.3.2 going down", GO, NONE, CUT)
AUTHS = (
    "235 welcome",
    "454 4.7.0 later",
    "535 5.7.8 wrong",
    "534 5.7.9 too weak",
    "504 5.5.4 no",
    "421 going down",
    NONE,
    CUT,
)
CARETAKERS = ("", OK, "450 4.2.1 later", "550 5.1.1 nobody")
WAYS = tuple(itertools.product((False, True), repeat=2))


def greetings(lmtp: bool, ahead: bool) -> Iterator[Case]:
    """Yield everything that can go wrong before the first message."""
    for word in BAD:
        yield Case(lmtp, ahead, greeting=word)
        yield Case(lmtp, ahead, hello=word)
    for word in ("530 5.7.0 TLS first", GO):
        yield Case(lmtp, ahead, hello=word)
    for word in (OK, *BAD):
        yield Case(lmtp, ahead, hello="502 what is EHLO", helo=word)
    for word in AUTHS:
        yield Case(lmtp, ahead, auth=word)


def alone(lmtp: bool, ahead: bool) -> Iterator[Case]:
    """Yield one odd word in one place, for one recipient and for two."""
    for rcpts, caretaker in itertools.product(((OK,), (OK, OK)), CARETAKERS):
        some = Case(lmtp, ahead, rcpts=rcpts, caretaker=caretaker)
        yield some
        yield from (some._replace(mail=word) for word in MAILS)
        yield from (some._replace(mail="550 5.1.8 no", null=word) for word in (OK, *MAILS))
        yield from (some._replace(data=word) for word in DATAS)
        yield from (some._replace(dots=(word, OK, OK)) for word in DOTS)
    for caretaker, word in itertools.product(CARETAKERS, (*RCPTS, *RCPTS_ODD)):
        yield Case(lmtp, ahead, rcpts=(word,), caretaker=caretaker)
        yield Case(lmtp, ahead, rcpts=(OK, word), caretaker=caretaker)
        yield Case(lmtp, ahead, rcpts=(word, OK), caretaker=caretaker)


def mixed(lmtp: bool, ahead: bool) -> Iterator[Case]:
    """Yield recipients of every kind side by side, before every end that a transaction can have."""
    fine = (OK, OK, OK)
    ends: list[tuple[str, tuple[str, ...]]] = [(GO, fine), (DATAS[0], fine), (DATAS[1], fine)]
    ends += [(GO, dots) for dots in itertools.product((OK, *DOTS[:2], CUT), repeat=3)]
    ends += [(GO, (OK, DOTS[2], OK)), (GO, (OK, OK, DOTS[2]))]
    for rcpts in (*itertools.product(RCPTS, repeat=2), *itertools.product(RCPTS, repeat=3)):
        for (data, dots), caretaker in itertools.product(ends, CARETAKERS):
            if CROWD not in rcpts or not any(dot.startswith("421") for dot in dots):
                yield Case(lmtp, ahead, rcpts=rcpts, data=data, dots=dots, caretaker=caretaker)


def chosen(cases: Iterator[Case], count: int, seed: int) -> list[Case]:
    """Return *count* of the cases that differ in what they are (all when there are fewer), always the same ones."""
    different = list(dict.fromkeys(cases))
    return random.Random(seed).sample(different, min(count, len(different)))  # noqa: S311 - to be repeated
