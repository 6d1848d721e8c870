"""Rounds of the kill torture: thirty mails, passes that are killed, passes until all is drained, and the books.

The attacks say when a pass is killed. Some are moments of the dialogue, seen by the servers; some are calls to the
system, seen by a hook in the process that is killed (tests/faults/hooks.py); one is blind chance. Whoever is to be
killed is stopped first: so what it knew is known.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, NamedTuple, Self

from lib.delivery.envelope import CARE
from lib.store import journal_format
from lib.store.journal_facts import ACCEPTED, SETTLED
from tests.faults import books
from tests.faults.books import Books
from tests.faults.mails import CARETAKER, chance, stock
from tests.faults.still import stand_still
from tests.faults.world import PASSWORD, Letter, World
from tests.faults.zygote import Ended, Zygote

USERS = ("bob", "eve")
LONGEST = 0.12  # seconds: blind kills come within that time, which is about what a pass takes
CALLS = 700  # calls to the system in such a pass, about
MOST_PASSES = 12
AGAIN = 0.4  # how likely it is that the next pass is killed as well
FINE = {0, 65, 75}

Dice = random.Random


class Moment(NamedTuple):
    """When to kill: after so many seconds, at the n-th time that a server sees something, or where hooks say."""

    seconds: float = 60.0
    seen: tuple[str, int] = ("", 0)
    hooks: tuple[dict[str, Any], ...] = ()


def _call(dice: Dice, call: str, most: int, file: str = "", whens: Sequence[str] = ("before", "after")) -> Moment:
    hook = {"hook": "stop", "call": call, "nth": dice.randint(1, most), "file": file, "when": dice.choice(whens)}
    return Moment(hooks=(hook,))


def _state(dice: Dice) -> Moment:
    call = dice.choice(("open", "write", "fdatasync", "replace"))
    return _call(dice, call, 2, "popfetch_state.toml", ("before", "half", "after"))


ATTACKS: dict[str, Callable[[Dice], Moment]] = {
    "at any time": lambda dice: Moment(seconds=dice.uniform(0, LONGEST)),
    "at any call to the system": lambda dice: _call(dice, "any", CALLS),
    "while a body comes in": lambda dice: Moment(seen=("retr said", dice.randint(1, 30))),
    "while the spool is written": lambda dice: _call(dice, "write", 60, "msg", ("before", "half", "after")),
    "before the 250": lambda dice: Moment(seen=("taken", dice.randint(1, 33))),
    "between 250 and journal": lambda dice: _call(dice, "write", 30, "popfetch.journal", ("before",)),
    "at the 250": lambda dice: Moment(seen=("250 said", dice.randint(1, 33))),
    "within the journal's line": lambda dice: _call(dice, "write", 30, "popfetch.journal", ("half",)),
    "between journal and spool": lambda dice: _call(dice, "write", 30, "popfetch.journal", ("after",)),
    "while a dud is written": lambda dice: _call(
        dice, dice.choice(("write", "fdatasync")), 4, "duds.dat", ("before", "half", "after")
    ),
    "between journal and DELE": lambda dice: _call(dice, "fdatasync", 3, "popfetch.journal"),
    "between DELE and QUIT": lambda dice: Moment(seen=("dele", dice.randint(1, 28))),
    "inside QUIT": lambda dice: Moment(seen=(dice.choice(("quit", "quit done", "quit said")), dice.randint(1, 2))),
    "while the state is written": _state,
}


class Shape(NamedTuple):
    """What kind of world a round takes place in."""

    keep: int
    hides: bool
    uidl: bool
    lmtp: bool
    boxes: int


def shape(dice: Dice) -> Shape:
    """Draw one: half of them are the plain one."""
    if dice.random() < 0.5:
        return Shape(0, hides=False, uidl=True, lmtp=False, boxes=2)
    keep, hides = dice.choice(((0, False), (0, True), (7, False)))
    uidl, lmtp = dice.random() < 0.7, dice.random() < 0.4
    return Shape(keep, hides, uidl, lmtp, dice.choice((1, 2)))


class Ring:
    """Where rounds take place: a world, a zygote, a folder, and what its passes call a path of ours."""

    def __init__(
        self,
        passes: Callable[[Path], Zygote] = Zygote,
        named: Callable[[Path], str] = str,
        world: Callable[[Iterable[str]], World] = World,
    ) -> None:
        self._passes, self._named, self._world = passes, named, world

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Where an fsync costs nothing: a kill takes nothing back that was written (power cuts are test_power's).
            memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pf-ring-", dir=memory)))
            self.work = self.folder / "work"
            self.work.mkdir(mode=0o700)
            self.world = stack.enter_context(self._world(USERS))
            self.zygote = stack.enter_context(self._passes(self.folder))
            self.ports = (self.world.pop.port, self.world.smtp.port)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.close()

    def write_conf(self, shape: Shape, *more: str) -> Path:
        """Write a dmail.conf for this world."""
        conf = self.folder / "dmail.conf"
        conf.touch(mode=0o600)
        pop, smtp = self.ports
        lines = [f"pf_user {user} {PASSWORD} 127.0.0.1:{pop}" for user in USERS[: shape.boxes]]
        lines += [
            f"pf_smtp_server 127.0.0.1:{smtp}",
            f"pf_smtp_protocol {'lmtp' if shape.lmtp else 'smtp'}",
            f"pf_dflt_address {CARETAKER.decode()}",
            "pf_header X-Rcpt-To",
            f"pf_keep {shape.keep}",
            f"work_path {self._named(self.work)}",
            "log_level error",
            *more,
        ]
        conf.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        return conf

    def clear(self) -> None:
        """Empty work_path."""
        for path in self.work.iterdir():
            path.unlink()

    def run(self, conf: Path, *hooks: dict[str, Any]) -> Ended:
        """Run a pass to its end."""
        self.world.begin()
        self.zygote.start(["-i", conf], hooks)
        ended = self.zygote.end()
        self.world.end()
        return ended

    def try_to_run(self, conf: Path, *hooks: dict[str, Any]) -> Ended:
        """Run a pass to its end that may not be able to write down what it has heard."""
        self.world.begin()
        self.zygote.start(["-i", conf], hooks)
        ended = self.zygote.end()
        self.world.end(set(self.world.letters), self.recorded())
        return ended

    def kill(self, conf: Path, moment: Moment) -> Ended:
        """Run a pass and kill it when its moment comes; it ends by itself when that never comes."""
        struck: list[tuple[set[Letter], Callable[[Letter], bool]]] = []
        started = Event()

        def strike() -> None:
            started.wait(60)  # the servers may hear of a pass before its pid is told here
            pid = self.zygote.pid
            if not pid:
                return  # it has ended by itself
            stand_still(pid)
            struck.append((self.world.read_by_now(), self.recorded()))  # at once: the pass may just have ended
            self.zygote.kill()

        self.world.begin((*moment.seen, strike))
        self.zygote.start(["-i", conf], moment.hooks)
        started.set()
        news = self.zygote.wait(moment.seconds)
        if news in {"", "stopped"}:
            strike()
            news = ""
        ended = self.zygote.end(news)
        self.world.end(*(struck[0] if struck else ()))
        return ended

    def recorded(self) -> Callable[[Letter], bool]:
        """Return what says whether the journal, as it is on disk now, knows who has got a letter."""
        path = self.work / "popfetch.journal"
        return self.on_record(path.read_bytes() if path.is_file() else b"")

    def on_record(self, octets: bytes) -> Callable[[Letter], bool]:
        """Return the same of a journal that holds these *octets*."""
        journal, left = journal_format.replay(octets).journal, self.world.left
        entries = journal.values()

        def known(letter: Letter) -> bool:
            if letter.tells:
                return any(entry.status in SETTLED for entry in journal.get(CARE, {}).values())
            found = [box[key] for box in entries for key in self.world.keys(letter) if key in box]
            if not found:
                return letter.number not in left
            said = {who.removeprefix(b"caretaker "): status for who, (status, _) in found[0].recipients.items()}
            return found[0].status in SETTLED or all(said.get(who) == ACCEPTED for who in letter.recipients)

        return known


def play(ring: Ring, seed: str, attacks: Mapping[str, Callable[[Dice], Moment]] = ATTACKS) -> tuple[str, Books]:
    """Play the round of that *seed*: its first attack, and the books."""
    dice = chance(seed)
    name = dice.choice(list(attacks))
    kind = shape(dice)
    mails = list(stock(dice.randrange(1 << 30)))
    ring.clear()
    ring.world.fill(mails, kind.boxes)
    ring.world.uidl, ring.world.lmtp, ring.world.hides = kind.uidl, kind.lmtp, kind.hides
    conf = ring.write_conf(kind)
    troubles, kills = [], 0
    attack = attacks[name]
    for _ in range(4):
        ended = ring.kill(conf, attack(dice))
        kills += ended.code == -9
        if ended.code not in {*FINE, -9}:
            troubles.append(f"exit {ended.code}: {ended.err}")
        if dice.random() > AGAIN:
            break
        attack = attacks[dice.choice(list(attacks))]
    troubles += dict.fromkeys(drain(ring, conf, kind))
    told = books.judge(mails, ring.world.letters, ring.work / "duds.dat")
    heading = [f"round {seed} ({name}, {kind}):"] if told.words or troubles else []
    return name, told._replace(stuck=len(troubles), kills=kills, words=(*heading, *told.words, *troubles))


def drain(ring: Ring, conf: Path, kind: Shape) -> Iterable[str]:
    """Run passes until there is nothing more to do, and one more where mail stays; yield what was wrong."""
    quiet = 0
    for _ in range(MOST_PASSES):
        ended = ring.run(conf)
        if ended.code not in FINE:
            yield f"exit {ended.code}: {ended.err}"
        quiet = quiet + 1 if ended.code == 0 else 0
        if quiet == (2 if kind.keep else 1):
            break
    else:
        yield "never drained"
    if ring.world.left and not kind.keep:
        yield f"left in the mailboxes: {sorted(ring.world.left)}"
    if owed := [path.name for path in ring.work.iterdir() if path.name.startswith("msg")]:
        yield f"left in the spool: {owed}"
