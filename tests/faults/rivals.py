"""The same kills and broken lines for other fetchers: fetchmail, getmail6, mpop with msmtp, fdm; popfetch beside them.

A smaller world, for none of them does all that popfetch does: one mailbox of plain mails, one recipient, every program
with the settings of tests/bench/clients.py. A program is killed together with all that it started. It counts as knowing
of a letter when it had read the 250; what popfetch had read, and not yet written down, is counted apart as always.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lib import journal
from lib.facts import SETTLED, uid_key
from tests.bench.clients import CLIENTS, Job
from tests.bench.servers import PASSWORD
from tests.faults import books
from tests.faults.books import Books
from tests.faults.mails import Mail, canonical, chance
from tests.faults.proxy import DOWN, UP, Break, Proxy
from tests.faults.world import Letter, World

ACCOUNT = "u0000"
ALL = f"{ACCOUNT}@bench.example".encode()
MANY, FEW = 30, 4  # mails of a kill, of a broken line
RUNS = 6  # after which a program that has not emptied the mailbox is stuck
LIMIT = 15.0  # seconds that a run may take
NAMES = ("popfetch", "fetchmail", "getmail6", "mpop+msmtp", "fdm")
KILLS = ("at any time", "at the 250", "between DELE and QUIT", "inside QUIT")
TRACE = (b"return-path:", b"received:")


class Place(NamedTuple):
    """Where one program runs, and how long that takes."""

    name: str
    world: World
    folder: Path
    lines: tuple[Proxy, Proxy]  # in front of POP and SMTP, for those who break them
    ports: tuple[int, int]
    seconds: float = 1.0

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, with a folder that stays from run to run."""
        with suppress(FileNotFoundError):
            for path in self.folder.glob("*rc*"):
                path.unlink()
            (self.folder / "dmail.conf").unlink(missing_ok=True)
            (self.folder / "fdm.conf").unlink(missing_ok=True)
        pop, smtp = (("127.0.0.1", port) for port in self.ports)
        argv = CLIENTS[self.name].prepare(Job(self.folder, [ACCOUNT], pop, smtp, None))
        home = {"HOME": str(self.folder), "FETCHMAILHOME": str(self.folder)}
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            argv, env={**os.environ, **home}, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )

    def run(self) -> bool:
        """Run it to its end; say whether it came to one by itself."""
        self.world.begin()
        ended = wait(self.start(), LIMIT)
        self.world.end()
        return ended

    def drain(self) -> list[str]:
        """Run it until the mailbox is empty, and once more; return what was wrong."""
        for _ in range(RUNS):
            if not self.run():
                return ["a run does not end"]
            if not self.world.left:
                self.run()
                return []
        return [f"never empties the mailbox: {sorted(self.world.left)}"]

    def on_record(self) -> Callable[[Letter], bool]:
        """Return what says whether popfetch's journal knows of a letter; of the others we only know what they read."""
        if self.name != "popfetch":
            return lambda _: True
        path = self.folder / "popfetch.journal"
        ledger = journal.replay(path.read_bytes() if path.exists() else b"").ledger
        entries = {key: entry for known in ledger.values() for key, entry in known.items()}
        settled = {key for key, entry in entries.items() if entry.status in SETTLED}
        left = self.world.left
        return lambda letter: letter.number not in left or uid_key(b"embedded-%d" % letter.number) in settled


def wait(running: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait for the end of a run; after so many seconds it is killed. Say whether it ended."""
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_all(running)
        return False
    return True


def kill_all(running: "subprocess.Popen[bytes]", sign: int = signal.SIGKILL) -> None:
    """Send a signal to a program and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, sign)
    if sign == signal.SIGKILL:
        running.wait(LIMIT)


@contextmanager
def place(name: str, *, breakable: bool) -> Iterator[Place]:
    """Yield a place for that program; how long an undisturbed run takes is measured."""
    CLIENTS[name].version()  # installs it, if need be
    with ExitStack() as stack:
        world = stack.enter_context(World((ACCOUNT,), PASSWORD))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pf-rival-")))
        lines = stack.enter_context(Proxy(world.pop.port)), stack.enter_context(Proxy(world.smtp.port))
        ports = (lines[0].port, lines[1].port) if breakable else (world.pop.port, world.smtp.port)
        here = Place(name, world, folder, lines, ports)
        world.fill(stock(MANY, 0))
        began = time.monotonic()
        here.run()
        yield here._replace(seconds=time.monotonic() - began)


def stock(count: int, seed: int) -> list[Mail]:
    """Return plain mails; no line begins with "From ", which some change."""
    mails = []
    for number in range(1, count + 1):
        text = "".join(f"{line} {seed} {number} {'.' * (line % 5)}\r\n.{line}\r\n" for line in range(20))
        lines = ["Return-Path: <s@sender.example>", "From: s@sender.example", f"To: {ALL.decode()}"]
        lines += [f"Subject: mail {number}", f"Message-ID: <{seed}.{number}@x>", f"X-World-Id: {number}", "", text]
        mails.append(Mail(number, "\r\n".join(lines).encode(), frozenset({ALL})))
    return mails


def right(mail: Mail, letter: Letter) -> bool:
    """Say whether the body is the same, the end of the last line aside, and every header line that is not a trace."""
    head, _, body = canonical(letter.content).partition(b"\r\n\r\n")
    own = mail.octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = set(head.split(b"\r\n"))
    return body.rstrip() == mail.body.rstrip() and all(one in kept for one in own if not one.lower().startswith(TRACE))


def begin(here: Place, mails: list[Mail]) -> None:
    for path in here.folder.iterdir():
        if path.is_file():
            path.unlink()
    here.world.fill(mails)


def killed(here: Place, seed: str) -> tuple[str, Books]:
    """Kill a run somewhere, then run until the mailbox is empty."""
    dice = chance(seed)
    attack, mails, world = dice.choice(KILLS), stock(MANY, dice.randrange(1000)), here.world
    begin(here, mails)
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
    return f"{here.name}: kill", judged(here, mails, here.drain())._replace(kills=len(read))


def cut(here: Place, seed: str) -> tuple[str, Books]:
    """Break one connection somewhere, then run until the mailbox is empty."""
    dice = chance(seed)
    mails, world = stock(FEW, dice.randrange(1000)), here.world
    begin(here, mails)
    end, way, how = dice.choice(("pop", "smtp")), dice.choice((UP, DOWN)), dice.choice(("reset", "close"))
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
    troubles = [*([] if ended else ["hangs"]), *here.drain()]
    return f"{here.name}: broken line", judged(here, mails, troubles)._replace(kills=1)


def judged(here: Place, mails: list[Mail], troubles: list[str]) -> Books:
    """Return the books; what is still in its mailbox is not lost, but its program is stuck."""
    duds = here.folder / "duds.dat"
    told = books.judge(mails, here.world.letters, duds, right)
    gone = [mail for mail in mails if mail.number not in here.world.left]
    lost = books.judge(gone, here.world.letters, duds, right).lost
    return told._replace(lost=lost, stuck=len(troubles), words=())


def rounds(name: str, first: int, count: int) -> list[tuple[str, Books]]:
    """Play so many kills and so many broken lines with one program."""
    with place(name, breakable=False) as here:
        played = [killed(here, f"{first}-{number}") for number in range(count)]
    with place(name, breakable=True) as here:
        return played + [cut(here, f"{first}-{number}") for number in range(count)]
