"""What the stories of odd receivers are made of, by dice: a manner, mails with their roles, troubles, passes. Pure.

A story says everything that happens, so that it is the same one whenever it is played, and can be shortened by hand:
leave out a mail, a trouble, a plague, a habit.
"""

import random
from typing import NamedTuple

from tests.faults.killing import USERS
from tests.faults.mails import chance
from tests.faults.model_stage import Kill, kill
from tests.faults.odd_smtp import Manner, Plague, Trouble

Dice = random.Random

ROLES = ("ok", "no", "full", "grey1", "grey2", "dotno", "dotfull", "dotgrey1")
TAKEN_SOME_DAY = ("ok", "grey", "dotgrey")


class Mail(NamedTuple):
    """A mail comes in: its recipients by their roles, its sender (ok, bad, temp, none), its size."""

    number: int
    roles: tuple[str, ...] = ("ok",)
    sender: str = "ok"
    size: int = 120
    user: str = USERS[0]

    @property
    def recipients(self) -> tuple[bytes, ...]:
        """Who must get it."""
        return tuple(b"m%d-%b-%d@world.example" % (self.number, role.encode(), n) for n, role in enumerate(self.roles))

    @property
    def from_(self) -> bytes:
        """Whom it is from."""
        return b"" if self.sender == "none" else b"s%d-%b@sender.example" % (self.number, self.sender.encode())

    @property
    def octets(self) -> bytes:
        """What lies on the server."""
        lines = [
            b"Return-Path: <%b>" % self.from_,
            b"From: <somebody@sender.example>",
            b"X-Rcpt-To: %b" % b", ".join(self.recipients),
            b"Subject: mail %d" % self.number,
            b"X-World-Id: %d" % self.number,
            b"",
            b".",
            b"..dots",
            *(b"line %06d of mail %d" % (at, self.number) for at in range(self.size // 25)),
            b"mail %d ends" % self.number,
            b"",
        ]
        return b"\r\n".join(lines)


class Pass(NamedTuple):
    """A pass, and what goes wrong in it beside everything else."""

    plagues: tuple[Plague, ...] = ()
    kill: Kill = Kill()


Event = Mail | Pass


class Story(NamedTuple):
    """All that happens; *troubles* last as long as the events."""

    manner: Manner
    troubles: tuple[Trouble, ...]
    events: tuple[Event, ...]
    lines: tuple[str, ...] = ()


# What one message may be told, where.
TROUBLES: dict[str, tuple[str, ...]] = {
    "MAIL": ("421 4.7.0 not with you", "451 4.3.0 try again", "530 5.7.0 STARTTLS first", "535 5.7.8 who?", "hang up"),
    "RCPT": (
        "421 4.7.0 too many errors",
        "451 4.3.0 try again",
        "450 4.2.0 rate limit of this recipient",
        "454 4.7.0 TLS not available",
        "hang up",
        "nonsense",
    ),
    "DATA": ("421 4.3.2 going down", "451 4.3.0 try again", "554 5.7.1 no", "hang up", "nonsense"),
    "dot": (
        "421 4.3.2 going down",
        "451 4.7.1 greylisted",
        "452 4.3.1 no space",
        "554 5.7.1 end-of-data: quota of this sender",
        "hang up",
        "530 5.7.0 not like this",
    ),
    "content": ("554 5.7.1 spam", "550 5.6.0 no such words", "552 5.3.4 too much"),
    "first dot": ("421 4.3.2 this mailbox is being moved", "451 4.3.0 locked", "552 5.2.2 over quota", "hang up"),
    "second dot": ("hang up", "451 4.3.0 locked", "nonsense"),
    "taken": ("hang up", "silent", "nonsense"),
}
PLAGUES: dict[str, tuple[str, ...]] = {
    "greeting": ("421 4.3.2 not now", "554 5.3.2 no", "hang up"),
    "MAIL": ("421 4.3.2 going down", "hang up", "503 5.5.1 sequence", "nonsense", "451 4.3.0 not now", "silent"),
    "RCPT": ("421 4.3.2 going down", "hang up", "503 5.5.1 sequence", "451 4.3.0 not now"),
    "DATA": ("421 4.3.2 going down", "hang up", "503 5.5.1 sequence", "451 4.3.0 not now"),
    "dot": ("421 4.3.2 going down", "hang up", "451 4.3.0 not now", "silent"),
    "taken": ("hang up", "silent", "503 5.5.1 sequence", "421 4.3.2 going down"),
}
USED_UP = (
    ("MAIL", "421 4.7.0 too many messages in this connection"),
    ("MAIL", "451 4.7.0 no more from here"),
    ("MAIL", "452 4.5.3 Too many recipients: Too many messages sent"),
    ("MAIL", "hang up"),
    ("RCPT", "421 4.7.0 too many messages"),
    ("RCPT", "451 4.7.1 enough"),
    ("RCPT", "452 4.3.0 enough"),
    ("DATA", "451 4.7.1 enough"),
    ("DATA", "hang up"),
)
CROWDS = (
    "452 4.5.3 Error: too many recipients",
    "452 too many recipients",
    "552 5.5.3 too many recipients",
    "451 4.5.3 Too many recipients",
)


def _manner(dice: Dice) -> Manner:
    return Manner(
        lmtp=dice.random() < 0.35,
        pipelining=dice.random() < 0.7,
        mails=dice.choice((0, 0, 1, 2, 3)),
        used_up=dice.choice(USED_UP),
        errors=dice.choice((0, 0, 0, 0, 4, 10)),
        people=dice.choice((0, 0, 0, 1, 2)),
        crowd=dice.choice(CROWDS),
        most=dice.choice((0, 0, 0, 1, 2)),
        stays_open=dice.random() < 0.4,
        behind=dice.choice(("", "", "503 5.5.1 Bad sequence of commands")),
        polite=dice.random() < 0.3,
        drips=dice.random() < 0.15,
        senders=dice.choice(("MAIL", "RCPT")),
    )


def _mail(dice: Dice, number: int, boxes: int) -> Mail:
    plain = dice.random() < 0.6
    roles = ("ok",) if plain else tuple(dice.choice(ROLES) for _ in range(dice.choice((1, 1, 2, 3))))
    sender = "ok" if plain or dice.random() < 0.6 else dice.choice(("bad", "temp", "none"))
    return Mail(number, roles, sender, dice.choice((120, 120, 120, 3000, 40_000)), dice.choice(USERS[:boxes]))


def _trouble(dice: Dice, number: int, *, lmtp: bool) -> Trouble:
    phases = [phase for phase in TROUBLES if lmtp or phase not in {"first dot", "second dot"}]
    phase = dice.choice(phases)
    return Trouble(number, phase, dice.choice(TROUBLES[phase]))


def _plague(dice: Dice) -> Plague:
    phase = dice.choice(list(PLAGUES))
    return Plague(phase, dice.choice(PLAGUES[phase]), dice.choice((0, 0, 1, 2, 3, 6)), dice.choice((1, 1, 1, 2, 3)))


def told(seed: object) -> Story:
    """Return the story of *seed*."""
    dice = chance(seed)
    manner, boxes = _manner(dice), dice.choice((1, 1, 1, 2))
    mails = [_mail(dice, number, boxes) for number in range(1, 1 + dice.choice((2, 4, 7, 12, 20)))]
    share = dice.choice((0.0, 0.1, 0.3, 0.7))
    # In front of all others stand those that it does harm to, as often as not.
    front = dice.choice((0, 0, 3, 5, 8))
    troubles = [
        _trouble(dice, one.number, lmtp=manner.lmtp) for one in mails if one.number <= front or dice.random() < share
    ]
    events: list[Event] = [*mails]
    for _ in range(dice.randint(0, 3)):
        plagues = tuple(_plague(dice) for _ in range(dice.choice((0, 0, 1, 2))))
        events.append(Pass(plagues, kill(dice) if dice.random() < 0.4 else Kill()))
        if dice.random() < 0.3:
            number = 1 + sum(isinstance(event, Mail) for event in events)
            events += [_mail(dice, number + more, boxes) for more in range(dice.randint(1, 3))]
    return Story(manner, tuple(troubles), tuple(events), tuple(line for line in LINES if dice.random() < 0.1))


LINES = ("pf_window 1", "pf_parallel 1", "pf_spool_limit 1M", "pf_max_messages 5")
