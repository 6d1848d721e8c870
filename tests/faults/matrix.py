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
CLOSING = ("421", "454", "530", "535", "538")
FINE, LATER, NO, STOP, ODD = "fine", "later", "no", "stop", "odd"
TOO_MANY = "552 5.5.3 too many recipients"
OF_SENDER = "553 5.7.1 <picky@sender.example>: Sender address rejected: not yours"
OF_SENDER_LATER = "450 4.1.8 <picky@sender.example>: Sender address rejected: Domain not found"
OF_HELO = "504 5.5.2 <us>: Helo command rejected: need fully-qualified hostname"
ACCEPTED, DEFERRED, REFUSED = "accepted", "owed", "refused"


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
    spare: str = OK  # the answer to MAIL with the sender that is tried last
    told: str = ""  # what every RCPT is told while the sender is the message's own
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
        return STOP
    if word == TOO_MANY:  # although there is nobody else: he waits
        return LATER
    if not re.match(r"[2-5][0-9][0-9]([ -]|$)", word) or word.startswith("503"):
        return ODD
    if word[:3] in CLOSING:
        return STOP
    by_class = {"4": LATER, "5": NO, right: FINE}
    return by_class.get(word[0], ODD)


def expected(case: Case) -> Expected:
    """Work out what must follow."""
    fates = _fates(case)
    if fates is None:
        return Expected(
            75, (DEFERRED,) * len(case.rcpts), 0, 0, stays=True, next_one=False, again=0, copies_again=0, duds_again=0
        )
    if DEFERRED in fates:
        left = REFUSED in fates
        copy = int(left and bool(case.caretaker))
        dud = int(left and not case.caretaker)
        return Expected(75, fates, 0, 0, True, True, 65 if dud else 0, copy, dud)
    if REFUSED not in fates:
        return Expected(0, fates, 0, 0, stays=False, next_one=True, again=0, copies_again=0, duds_again=0)
    said = _to_caretaker(case)
    if said == FINE:
        return Expected(0, fates, 1, 0, stays=False, next_one=True, again=0, copies_again=1, duds_again=0)
    if said == NO:
        return Expected(65, fates, 0, 1, stays=False, next_one=True, again=0, copies_again=0, duds_again=1)
    return Expected(75, fates, 0, 0, stays=True, next_one=True, again=0, copies_again=1, duds_again=0)


def _fates(case: Case) -> tuple[str, ...] | None:
    """Return what each recipient is after the first pass; None: it is the receiver, and nobody has anything."""
    count = len(case.rcpts)
    if not _greeted(case) or case.told == OF_HELO:
        return None
    mail = sense(case.mail, "2")
    if mail == FINE and case.told:
        mail = sense(case.told, "2")
    elif mail not in {FINE, NO}:
        return (DEFERRED,) * count
    told = REFUSED if mail == NO else DEFERRED
    if mail != FINE:  # the sender is refused
        mail = _of_senders(case.null, case.spare)
    if mail == NO:
        return (told,) * count
    if mail != FINE:
        return (DEFERRED,) * count
    return _of_recipients(case)


def _of_senders(*words: str) -> str:
    """Return what the first of these answers to MAIL means that is not a refusal."""
    return next((said for said in (sense(word, "2") for word in words) if said != NO), NO)


def _of_recipients(case: Case) -> tuple[str, ...]:
    """Return what they are when a sender was taken."""
    count = len(case.rcpts)
    rcpts = [FINE if word == CROWD else sense(word, "2") for word in case.rcpts]
    if ODD in rcpts:  # which reply was whose is not known
        return (DEFERRED,) * count
    heard = rcpts.index(STOP) if STOP in rcpts else count  # of the others nothing was
    ends = {at: {LATER: DEFERRED, NO: REFUSED}[said] for at, said in enumerate(rcpts[:heard]) if said != FINE}
    if heard < count:
        return tuple(ends.get(at, DEFERRED) for at in range(count))
    for crowd in _transactions(case.rcpts, rcpts):
        if sense(case.data, "3") == ODD:
            return (DEFERRED,) * count
        taken = _content(case, crowd)
        ends |= taken
        by_recipient = case.lmtp and all(sense(case.dots[at], "2") in {FINE, LATER, NO} for at in crowd)
        if sense(case.data, "3") == FINE and by_recipient:
            continue  # what LMTP says of one recipient is about nobody else
        if DEFERRED in taken.values() and ACCEPTED not in taken.values():
            break  # not taken now: the others are not asked at once
    return tuple(ends.get(at, DEFERRED) for at in range(count))


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


def _content(case: Case, crowd: list[int]) -> dict[int, str]:
    """Return what becomes of those who were accepted together."""
    data = sense(case.data, "3")
    if data != FINE:
        return dict.fromkeys(crowd, REFUSED if data == NO else DEFERRED)
    if not case.lmtp:
        crowds, dots = [crowd], [case.dots[0]]
    else:
        crowds, dots = [[at] for at in crowd], [case.dots[at] for at in crowd]
    ends: dict[int, str] = {}
    for who, dot in zip(crowds, dots, strict=True):
        said = sense(dot, "2")
        if said in (STOP, ODD):  # who has it has it; of the others nothing is known, and the receiver hangs up
            return {at: ends.get(at, DEFERRED) for at in crowd}
        ends |= dict.fromkeys(who, {FINE: ACCEPTED, LATER: DEFERRED, NO: REFUSED}[said])
    return ends


def _to_caretaker(case: Case) -> str:
    """Return how the caretaker's copy fares: its sender is null, or the last one, and its DATA and dot are fine."""
    if not case.caretaker:
        return NO
    sender = _of_senders(case.null, case.spare)
    return sender if sender != FINE else sense(case.caretaker, "2")


# --- the cases --------------------------------------------------------------------------------------------------------

BAD = ("450 4.7.1 later", "550 5.7.1 no", "421 4.3.2 going down", NONE, CUT)
MAILS = (
    "450 4.7.1 later",
    "451 4.3.0 later",
    "552 5.3.4 no",
    "421 4.3.2 going down",
    "454 4.7.0 TLS is not to be had",
    "503 5.5.1 nested MAIL",
    "530 5.7.0 TLS first",
    GO,
    NONE,
    CUT,
)
RCPTS = (OK, "450 4.2.1 later", CROWD, "550 5.1.1 nobody")
RCPTS_ODD = (
    "421 4.3.2 going down",
    "530 5.7.0 login first",
    "503 5.5.1 MAIL first",
    TOO_MANY,
    GO,
    NONE,
    CUT,
    "251 elsewhere",
    "452 4.2.2 full",
)
DATAS = ("451 4.3.0 later", "554 5.6.0 no", "421 4.3.2 going down", "503 5.5.1 RCPT first", OK, NONE, CUT)
DOTS = ("451 4.3.0 later", "554 5.7.1 spam", "421 4.3.2 going down", "503 5.5.1 what?", GO, NONE, CUT)
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
        yield from (some._replace(mail="550 5.1.8 no", null="550 nor you", spare=word) for word in (OK, *MAILS))
        yield from (some._replace(data=word) for word in DATAS)
        yield from (some._replace(dots=(word, OK, OK)) for word in DOTS)
    for caretaker, word in itertools.product(CARETAKERS, (*RCPTS, *RCPTS_ODD)):
        yield Case(lmtp, ahead, rcpts=(word,), caretaker=caretaker)
        yield Case(lmtp, ahead, rcpts=(OK, word), caretaker=caretaker)
        yield Case(lmtp, ahead, rcpts=(word, OK), caretaker=caretaker)


def senders(lmtp: bool, ahead: bool) -> Iterator[Case]:
    """Yield senders that are refused where Postfix does it, at RCPT, and a name of ours that is."""
    words = (OK, "550 5.1.7 no", "450 4.7.1 later", "421 4.3.2 going down", CUT)
    for rcpts, caretaker in itertools.product(((OK,), (OK, OK), (OK, RCPTS[3])), CARETAKERS):
        some = Case(lmtp, ahead, rcpts=rcpts, caretaker=caretaker)
        yield some._replace(told=OF_HELO)
        for told, null in itertools.product((OF_SENDER, OF_SENDER_LATER), words):
            yield some._replace(told=told, null=null)
        for told, spare in itertools.product((OF_SENDER, OF_SENDER_LATER), words):
            yield some._replace(told=told, null=words[1], spare=spare)


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
