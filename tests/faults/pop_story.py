"""What the stories of odd POP servers are made of, by dice: habits, mails, passes with faults and kills. Pure.

A story says everything that happens, so that it is the same one whenever it is played, and can be shortened by hand:
leave out an event, a fault, a habit. Mails have numbers, which the faults name.
"""

import random
from typing import Any, NamedTuple

from tests.faults import odd_pop
from tests.faults.killing import USERS
from tests.faults.mails import GREY, chance, user
from tests.faults.model_stage import Kill, kill
from tests.faults.odd_pop import BODY, GOODBYE, LINE, LISTING, VAGUE, Fault, Habits

FOREVER = 9999
EVER = 99
DOTS: tuple[list[bytes], ...] = ([], [b".one dot", b"..two dots"], [b"", b".", b"behind a lone dot"])

Dice = random.Random


class Mail(NamedTuple):
    """A mail comes in, under a UID of its own or that of another one."""

    number: int
    user: str
    size: int
    dots: int = 0
    grey: bool = False
    uid_of: int = 0

    @property
    def recipient(self) -> bytes:
        """The one who must get it."""
        return GREY if self.grey else user(self.number)

    @property
    def octets(self) -> bytes:
        """What lies on the server. All lines tell whose they are."""
        lines = [b"From: <s@sender.example>", b"X-Rcpt-To: %b" % self.recipient, b"X-World-Id: %04d" % self.number, b""]
        lines += DOTS[self.dots]
        lines += [b"line %06d of mail %04d" % (at, self.number) for at in range(self.size // 27)]
        return b"\r\n".join([*lines, b"mail %04d ends" % self.number, b""])


class Vanish(NamedTuple):
    """Somebody else deletes a mail, if it is there."""

    number: int


class Renumber(NamedTuple):
    """All UIDs of a mailbox are other ones."""

    user: str


class Days(NamedTuple):
    """Time goes by, with a pass a day."""

    number: int


class Pass(NamedTuple):
    """A pass, and what goes wrong in it."""

    faults: tuple[Fault, ...] = ()
    kill: Kill = Kill()


Event = Mail | Vanish | Renumber | Days | Pass


class Story(NamedTuple):
    """All that happens. *habits* are those of the trouble, *after* those of the time behind it."""

    habits: Habits
    after: Habits
    events: tuple[Event, ...]
    keep: int = 0
    lines: tuple[str, ...] = ()

    @property
    def patience(self) -> int:
        """Passes that it may take until all that can be delivered is."""
        most = [int(line.split()[1]) for line in self.lines if line.startswith("pf_max_messages")]
        mails = sum(isinstance(event, Mail) for event in self.events)
        return 5 + (mails // most[0] if most else 0)


def _habits(dice: Dice) -> Habits:
    def odd(chance: float, *others: Any, plain: Any) -> Any:
        return dice.choice(others) if dice.random() < chance else plain

    return Habits(
        pipelining=odd(0.4, "none", "login", "never", plain="borne"),
        uidl=odd(0.25, "none", "doubled", "tabs", plain="plain"),
        top=odd(0.3, False, plain=True),
        sizes=odd(0.4, *(name for name in odd_pop.SIZES if name != "exact"), plain="exact"),
        marks=odd(0.2, True, plain=False),
        locks=odd(0.1, "[IN-USE] locked by another session", "mailbox is locked", plain=""),
        most=odd(0.1, 1, plain=0),
    )


def _mails(dice: Dice, first: int, boxes: int, most: int) -> list[Event]:
    sizes = (120, 120, 120, 700, 700, 3000, 20_000)
    return [
        Mail(number, dice.choice(USERS[:boxes]), dice.choice(sizes), dice.choice((0, 0, 0, 1, 2)), dice.random() < 0.1)
        for number in range(first, first + dice.randint(1, most))
    ]


# What goes wrong at which verb, and how often.
VERBS = {
    "RETR": (8, BODY),
    "DELE": (3, LINE),
    "QUIT": (3, GOODBYE),
    "TOP": (1.5, BODY),
    "UIDL": (1.5, LISTING),
    "LIST": (1.5, LISTING),
    "listings": (0.5, ("missing",)),
    "PASS": (0.7, LINE),
    "USER": (0.3, LINE),
    "CAPA": (0.3, LISTING[:1]),
    "CAPA inside": (0.4, ("refused", "hangs up", "silent", "no reply")),
    "greeting": (0.3, ("in use", "nonsense", "hangs up", "silent")),
}
ABOUT_ONE = ("RETR", "DELE", "TOP")


def _fault(dice: Dice, numbers: list[int], *, lasts: bool = False) -> list[Fault]:
    names = list(ABOUT_ONE) if lasts else list(VERBS)
    verb = dice.choices(names, [VERBS[name][0] for name in names])[0]
    kind = dice.choice(VERBS[verb][1])
    if kind == "missing":
        number = dice.choice(numbers)
        return [Fault(one, kind, number) for one in (("UIDL", "LIST") if verb == "listings" else (verb,))]
    if lasts or (verb in ABOUT_ONE and dice.random() < 0.5):
        return [Fault(verb, kind, dice.choice(numbers), 0, EVER if lasts else dice.choice((1, 1, 2, 3, EVER)))]
    skip = dice.choice((0, 0, 1, 2, 3, 5, 8)) if verb in ABOUT_ONE else dice.choice((0, 0, 0, 1))
    return [Fault(verb, kind, 0, skip, dice.choice((1, 1, 1, 2, 3)))]


def _pass(dice: Dice, numbers: list[int], lasting: list[Fault]) -> Pass:
    faults = [*lasting]
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        faults += _fault(dice, numbers)
    return Pass(tuple(faults), kill(dice) if dice.random() < 0.35 else Kill())


def _between(dice: Dice, story: list[Event], boxes: int, *, vague: bool, keep: bool) -> list[Event]:
    """Return what other clients do, and what comes in."""
    mails = [event for event in story if isinstance(event, Mail)]
    draw = dice.random()
    if draw < 0.3:
        return _mails(dice, len(mails) + 1, boxes, 3)
    if draw < 0.4:
        return [Renumber(dice.choice(USERS[:boxes]))]
    if draw < 0.5:
        return [Vanish(dice.choice(mails).number)]
    if draw < 0.62 and not vague:
        # A UID used again says so by its size, or nobody can tell what is kept from what is new.
        old = dice.choice(mails)
        size = old.size + 1500 if keep or dice.random() < 0.5 else old.size
        return [Vanish(old.number), Mail(len(mails) + 1, old.user, size, uid_of=old.number)]
    if draw < 0.68:
        return [Days(dice.choice((1, 3)))]
    return []


def told(seed: object) -> Story:
    """Return the story of *seed*."""
    dice = chance(seed)
    habits, boxes = _habits(dice), dice.choice((1, 1, 1, 2))
    after = habits if dice.random() < 0.5 else Habits(marks=habits.marks)
    keep = dice.choice((0, 0, 0, 2, FOREVER))
    events = _mails(dice, 1, boxes, 9)
    numbers = [event.number for event in events if isinstance(event, Mail)]
    lasting = [fault for _ in range(dice.choice((0, 0, 1, 1, 2))) for fault in _fault(dice, numbers, lasts=True)]
    for _ in range(dice.randint(1, 5)):
        numbers = [event.number for event in events if isinstance(event, Mail)]
        events.append(_pass(dice, numbers, lasting))
        vague = habits.sizes in VAGUE or habits.uidl == "doubled"
        events += _between(dice, events, boxes, vague=vague, keep=keep > 0)
    lines = [
        line for line in ("pf_window 1", "pf_window 3", "pf_max_messages 3", "pf_parallel 1") if dice.random() < 0.1
    ]
    return Story(habits, after, tuple(events), keep, tuple(lines))
