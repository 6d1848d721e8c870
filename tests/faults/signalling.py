"""Rounds of signals: passes that are asked to end at chance and at chosen moments, by one signal or by several at once.

The pass has a line of its own, which three commands raise and drop, and the receiver thinks before it says 250, now and
then for longer than anybody may wait. All that is slow is SCALE times as fast as in earnest: 20 seconds for a verdict,
80 for the hearing of one, 4 for a session to end. After each such pass: it has ended in time, the line is down, and
nothing comes twice but what RFC 1047 excuses (a 250 that came when nobody could wait for it any longer).
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from lib import halt
from tests.faults import books
from tests.faults.books import Books
from tests.faults.killing import AGAIN, FINE, MOST_PASSES, Dice, Moment, Ring, Shape, shape
from tests.faults.mails import CARETAKER, Mail, chance, stock
from tests.faults.world import Letter
from tests.faults.zygote import Ended

SCALE = 20.0
THINKING, HEARING, GRACE = 20.0 / SCALE, halt.HEARING / SCALE, halt.GRACE_WHEN_KILLED / SCALE
TOO_LONG = HEARING * 1.5
LONGEST = GRACE + HEARING + 6.0  # seconds from the first signal to the end of a pass, on a busy machine
MAILS = 10
LATER = (
    13 * 3600
)  # seconds from one pass to the next when all is quiet: a verdict that was lost is not asked for at once
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDS = {0, 65, 69, 75, 76}
UNBEGUN = {-number for number in NUMBERS} | {120}  # what a signal does before anybody listens

HOOKS: tuple[dict[str, Any], ...] = (
    {"hook": "plain_signals"},
    *(
        {"hook": "constant", "module": "lib.halt", "name": name, "value": value}
        for name, value in (("HEARING", HEARING), ("GRACE_WHEN_KILLED", GRACE), ("SLICE", 0.02))
    ),
)


class Burst(NamedTuple):
    """When the first signal comes, which, and how many seconds lie between them."""

    moment: Moment
    numbers: tuple[int, ...]
    gap: float


ATTACKS: dict[str, Callable[[Dice], Moment]] = {
    "at any time": lambda dice: Moment(seconds=dice.uniform(0, 0.5)),
    "before the dial and in it": lambda dice: Moment(seconds=dice.uniform(0, 0.1)),
    "at a login or a listing": lambda dice: Moment(seen=("login", dice.randint(1, 2))),
    "while a body comes in": lambda dice: Moment(seen=("retr", dice.randint(1, MAILS))),
    "at an envelope": lambda dice: Moment(seen=("rcpt", dice.randint(1, MAILS))),
    "at the dot": lambda dice: Moment(seen=("dot", dice.randint(1, MAILS))),
    "while it thinks": lambda dice: Moment(seen=("taken", dice.randint(1, MAILS))),
    "at the 250": lambda dice: Moment(seen=("250 said", dice.randint(1, MAILS))),
    "at DELE or QUIT": lambda dice: Moment(seen=(dice.choice(("dele", "quit", "quit done")), 1)),
}


def burst(dice: Dice, attack: Callable[[Dice], Moment]) -> Burst:
    """Draw one: half of them are pairs or more, most of these closer together than 100 microseconds."""
    numbers = tuple(dice.choice(NUMBERS) for _ in range(dice.choice((1, 1, 2, 2, 2, 4))))
    return Burst(attack(dice), numbers, dice.choice((0.0, 2e-5, 1e-4, 0.02)))


class Line:
    """A line that is up while its file is there."""

    def __init__(self, folder: Path) -> None:
        self.flag = folder / "line"

    @property
    def settings(self) -> tuple[str, ...]:
        touch, test, rm = (f"/bin/sh -c '{words} {self.flag}'" for words in ("touch", "test -e", "rm -f"))
        return f"pf_dial_up {touch}", f"pf_dial_check {test}", f"pf_dial_down {rm}"


def thinking(dice: Dice, mails: Sequence[Mail]) -> Callable[[Letter], float]:
    """Return a receiver that takes its time: mostly none, often THINKING, seldom TOO_LONG."""
    times = {mail.number: dice.choice((0.0,) * 6 + (THINKING,) * 3) for mail in mails}
    if dice.random() < 0.1:
        times[dice.choice(mails).number] = TOO_LONG
    return lambda letter: times[letter.number]


class Signalled:
    """Passes in a ring that are asked to end; `troubles` is what went wrong with them."""

    def __init__(self, ring: Ring, conf: Path, line: Line) -> None:
        self.ring, self.conf, self.line = ring, conf, line
        self.troubles: list[str] = []

    def run(self, what: Burst) -> Ended:
        """Run a pass and send it the signals when their moment comes; it ends by itself when that never comes."""
        ring, struck = self.ring, list[float]()

        def strike() -> None:
            if not struck and ring.zygote.pid:
                struck.append(time.monotonic())
                Thread(target=send, args=(ring.zygote.pid, what), daemon=True).start()

        ring.world.begin((*what.moment.seen, strike))
        ring.zygote.start(["-i", self.conf], [dict(hook) for hook in HOOKS])
        news = ring.zygote.wait(what.moment.seconds)
        if not news and not what.moment.seen[0]:
            strike()
        ended = ring.zygote.end(news)
        took = time.monotonic() - struck[0] if struck else 0.0
        began = any(ring.world.seen.values())
        ring.world.see_out()  # only then is it known what came too late to be heard
        ring.world.end({letter for letter in ring.world.letters if not letter.unheard}, ring.recorded())
        self._look(ended, took, began=began)
        return ended

    def _look(self, ended: Ended, took: float, *, began: bool) -> None:
        if ended.code not in ENDS and (began or ended.code not in UNBEGUN):
            self.troubles.append(f"exit {ended.code}: {ended.err}")
        if took > LONGEST:
            self.troubles.append(f"it ended {took:.1f} s after the signal")
        if self.line.flag.exists():
            self.troubles.append("the line is up")
            self.line.flag.unlink()
        if (self.ring.work / "popfetch.line").exists() and ended.code not in UNBEGUN:
            self.troubles.append("the line is remembered as up")


def send(pid: int, what: Burst) -> None:
    """Send the signals; the pass may have ended by then."""
    for number in what.numbers:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        until = time.perf_counter() + what.gap
        while time.perf_counter() < until:
            pass


def play(ring: Ring, seed: str) -> tuple[str, Books]:
    """Play the round of that *seed*: its first attack, and the books."""
    dice = chance(seed)
    name = dice.choice(list(ATTACKS))
    kind = shape(dice)
    mails = _some(dice)
    ring.clear()
    ring.world.fill(mails, kind.boxes)
    ring.world.uidl, ring.world.lmtp, ring.world.hides = kind.uidl, kind.lmtp, kind.hides
    ring.world.thinks = thinking(dice, mails)
    line = Line(ring.folder)
    more = line.settings if dice.random() < 0.7 else ()
    conf = ring.write_conf(kind, *more)
    signalled, passes = Signalled(ring, conf, line), 0
    for attack in _attacks(dice, ATTACKS[name]):
        signalled.run(burst(dice, attack))
        passes += 1
    ring.world.thinks = lambda _: 0.0
    conf = ring.write_conf(kind)  # over a line of ours what is delivered last is deleted by the pass after that
    troubles = [*signalled.troubles, *dict.fromkeys(drained(ring, conf, kind))]
    told = books.judge(mails, list(_but_warnings(ring.world.letters, mails)), ring.work / "duds.dat")
    heading = [f"round {seed} ({name}, {kind}):"] if told.words or troubles else []
    return name, told._replace(stuck=len(troubles), kills=passes, words=(*heading, *told.words, *troubles))


def drained(ring: Ring, conf: Path, kind: Shape) -> Iterator[str]:
    """Run passes, half a day apart, until there is nothing more to do; yield what was wrong."""
    for turn in range(MOST_PASSES):
        ended = ring.run(conf, {"hook": "later", "seconds": turn * LATER})
        if ended.code not in FINE:
            yield f"exit {ended.code}: {ended.err}"
        if ended.code == 0 and (turn or not kind.keep):
            break
    else:
        yield "never drained"
    if ring.world.left and not kind.keep:
        yield f"left in the mailboxes: {sorted(ring.world.left)}"
    if owed := [path.name for path in ring.work.iterdir() if path.name.startswith("msg")]:
        yield f"left in the spool: {owed}"


def _but_warnings(letters: Sequence[Letter], mails: Sequence[Mail]) -> Iterator[Letter]:
    """Yield the letters, but for what the caretaker is told of mails that may have come already: these are too late."""
    unheard = {letter.number for letter in letters if letter.unheard}
    his = {mail.number for mail in mails if CARETAKER in mail.wanted}
    for letter in letters:
        if not (letter.tells and letter.number in unheard - his):
            yield letter


def _some(dice: Dice) -> list[Mail]:
    """Return a few of the thirty mails, numbered as there."""
    return sorted(dice.sample(list(stock(dice.randrange(1 << 30))), MAILS), key=lambda mail: mail.number)


def _attacks(dice: Dice, first: Callable[[Dice], Moment]) -> Iterator[Callable[[Dice], Moment]]:
    """Yield the attacks of a round."""
    yield first
    while dice.random() < AGAIN:
        yield dice.choice(list(ATTACKS.values()))


def rounds(seed: str, first: int, count: int) -> list[tuple[str, Books]]:
    """Play some rounds in a ring of their own."""
    with Ring() as ring:
        return [play(ring, f"{seed}-{number}") for number in range(first, first + count)]
