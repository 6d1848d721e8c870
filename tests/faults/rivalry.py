"""What is done to the fetchers of tests/faults/rivals.py, and the table of what it cost each of them.

It counts as knowing of a letter who had read the 250; what popfetch had read, and not yet written down, is counted
apart as always. Nobody can know what became of a letter whose 250 never came: one further copy of it is excused.
"""

import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.faults.books import Books
from tests.faults.mails import Mail, chance
from tests.faults.proxy import DOWN, UP, Break
from tests.faults.rivals import FEW, LIMIT, MANY, NAMES, WITHOUT_SMTP, Place, kill_all, place, plain, stock, wait
from tests.faults.world import Letter

KILLS = ("at any time", "between DELE and QUIT", "inside QUIT")
KILLS_OF_SMTP = (*KILLS, "at the 250")
REFUSALS = 3  # runs during which the receiver is in trouble
FORGED = b"Return-Path: <e@evil.example>\r\nFrom: e@evil.example\r\nSubject: forged\r\nX-World-Id: 99\r\n\r\nforged\r\n"


class Fate(NamedTuple):
    """What became of the mails; how often each was downloaded, on average; whether all was well, if you asked it."""

    books: Books
    downloads: float = 0.0
    content: bool = False


def killed(here: Place, seed: str) -> Fate:
    """Kill a run somewhere, then run until the mailbox is empty."""
    dice = chance(seed)
    attack = dice.choice(KILLS if here.name in WITHOUT_SMTP else KILLS_OF_SMTP)
    mails, world = stock(MANY, dice.randrange(1000)), here.world
    here.begin(mails)
    read: list[tuple[set[Letter], Callable[[Letter], bool]]] = []
    started: list[subprocess.Popen[bytes]] = []

    def strike() -> None:
        while not started:
            time.sleep(0.0002)
        kill_all(started[0], signal.SIGSTOP)
        time.sleep(0.005)
        read.append((world.read_by_now(), here.on_record()))
        kill_all(started[0])

    events = {
        "at the 250": ("250 said", dice.randint(1, MANY)),
        "between DELE and QUIT": ("dele", dice.randint(1, MANY)),
        "inside QUIT": (dice.choice(("quit", "quit done", "quit said")), 1),
    }
    world.begin((*events.get(attack, ("", 0)), strike))
    started.append(here.start())
    if attack == "at any time":
        time.sleep(dice.uniform(0, here.seconds * 1.1))
        strike()
    wait(started[0], LIMIT)
    world.end(*read[0] if read else ())
    return Fate(here.judged(mails, here.drain())._replace(kills=len(read)))


def cut(here: Place, seed: str) -> Fate:
    """Break one connection somewhere, then run until the mailbox is empty."""
    dice = chance(seed)
    mails, world = stock(FEW, dice.randrange(1000)), here.world
    here.begin(mails)
    ends = ("pop",) if here.name in WITHOUT_SMTP else ("pop", "smtp")
    end, way, how = dice.choice(ends), dice.choice((UP, DOWN)), dice.choice(("reset", "close"))
    most = {("pop", DOWN): 7000, ("pop", UP): 200, ("smtp", DOWN): 800, ("smtp", UP): 6500}[end, way]
    broken = Break(way, dice.randrange(most), how, dice.choice((1, 1, 2)) if end == "smtp" else 1)
    pop, smtp = here.lines
    (pop if end == "pop" else smtp).arm(broken)
    world.begin()
    ended = wait(here.start(), LIMIT)
    through = {line.port: len(line.heard[DOWN]) for line in smtp.connections}
    told = {letter for letter in world.letters if 0 < letter.said <= through.get(letter.talk.port, 0)}
    world.end(told, here.on_record())
    for line in here.lines:
        line.arm()
    return Fate(here.judged(mails, [*([] if ended else ["hangs"]), *here.drain()]))


def forging(end: bytes) -> Callable[[Place, str], Fate]:
    """Make the attack of a message that ends itself with *end*, and goes on with what looks like further replies."""

    def play(here: Place, seed: str) -> Fate:
        dice = chance(seed)
        number, replies = dice.randrange(1, FEW), dice.randrange(4)
        more = b"text" + end + b"+OK\r\n" * replies + b"+OK 120 octets\r\n" + FORGED
        mails = [plain(one, 0, more if one == number else b"") for one in range(1, FEW + 1)]
        return drained(here, mails)

    return play


def drained(here: Place, mails: list[Mail]) -> Fate:
    here.begin(mails)
    return Fate(here.judged(mails, here.drain()))


def half(here: Place, seed: str) -> Fate:
    """Close the connection in good order in the middle of a body, behind the end of a line; once."""
    dice = chance(seed)
    mails = stock(FEW, 0)
    here.begin(mails)
    here.world.halved.add(dice.randint(1, FEW))
    return Fate(here.judged(mails, here.drain()))


def refusing(reply: bytes) -> Callable[[Place, str], Fate]:
    """Make the attack of a receiver that says that to every message, and takes them all some runs later."""

    def play(here: Place, seed: str) -> Fate:
        mails = stock(FEW, int(seed.rpartition("-")[2]))
        here.begin(mails)
        here.world.refuses = reply
        code, *_ = [here.run() for _ in range(REFUSALS)]
        here.world.refuses = b""
        told = here.judged(mails, here.drain())
        return Fate(told, here.world.bodies.total() / FEW, code == 0)

    return play


def dropped(here: Place, seed: str) -> Fate:
    """Take what comes in one run, and hang up instead of saying so."""
    mails = stock(FEW, int(seed.rpartition("-")[2]))
    here.begin(mails)
    here.world.drops = True
    here.world.begin()
    ended = wait(here.start(), LIMIT)
    here.world.end(set())
    here.world.drops = False
    told = here.judged(mails, [*([] if ended else ["hangs"]), *here.drain()])
    copies = Counter(letter.number for letter in here.letters)
    return Fate(told._replace(twice=sum(max(number - 2, 0) for number in copies.values())))


class Attack(NamedTuple):
    """How to play a round, in how many of the rounds asked for, and what it needs."""

    play: Callable[[Place, str], Fate]
    share: float = 0.2
    breakable: bool = False
    smtp: bool = False


ATTACKS = {
    "killed (SIGKILL)": Attack(killed, 1.0),
    "connection broken anywhere": Attack(cut, 1.0, breakable=True),
    r"a message with `\n.\n` and forged replies": Attack(forging(b"\n.\n")),
    r"a message with `\r.\r` and forged replies": Attack(forging(b"\r.\r")),
    "POP connection closed in mid-message": Attack(half),
    "receiver hangs up instead of its 250": Attack(dropped, smtp=True),
    "554 to every message for 3 runs": Attack(refusing(b"554 5.3.0 not now, disk trouble"), 0.1, smtp=True),
    "451 to every message for 3 runs": Attack(refusing(b"451 4.3.0 try again later"), 0.1, smtp=True),
}


def rounds(name: str, attack: str, count: int) -> list[tuple[str, str, Fate]]:
    """Play so many rounds of an attack with one program; none where it does not apply."""
    act = ATTACKS[attack]
    if act.smtp and name in WITHOUT_SMTP:
        return []
    with place(name, breakable=act.breakable) as here:
        return [
            (name, attack, act.play(here, f"rivals-{number}")) for number in range(max(1, round(count * act.share)))
        ]


def cell(fates: list[Fate]) -> str:
    """Say in a few words what an attack cost a program."""
    if not fates:
        return "-"
    sums = [sum(getattr(fate.books, name) for fate in fates) for name in ("lost", "twice", "altered")]
    words = [f"{count} {name}" for count, name in zip(sums, ("lost", "twice", "altered"), strict=True) if count]
    if stuck := sum(fate.books.stuck for fate in fates):
        words.append(f"stuck in {stuck} rounds")
    words = words or ["0"]
    if downloads := sum(fate.downloads for fate in fates) / len(fates):
        words.append(f"downloaded {downloads:.0f} times" if downloads > 1 else "downloaded once")
    if any(fate.content for fate in fates):
        words.append("exit 0")
    return ", ".join(words)


def side_by_side(played: Iterable[tuple[str, str, Fate]], say: Callable[[str], object] = print) -> Books:
    """Print a line an attack and a column a program; return the books of popfetch."""
    fates: defaultdict[tuple[str, str], list[Fate]] = defaultdict(list)
    for name, attack, fate in played:
        fates[attack, name].append(fate)
    say(f"| attack | rounds | {' | '.join(NAMES)} |")
    say(f"|---|--:|{'---|' * len(NAMES)}")
    for attack in ATTACKS:
        count = max(len(fates[attack, name]) for name in NAMES)
        say(f"| {attack} | {count} | {' | '.join(cell(fates[attack, name]) for name in NAMES)} |")
    ours = [fate.books for attack in ATTACKS for fate in fates[attack, "popfetch"]]
    return sum_of(ours)


def sum_of(all_books: Iterable[Books]) -> Books:
    """Add up."""
    total = Books()
    for one in all_books:
        total = total.plus(one._replace(words=()))
    return total
