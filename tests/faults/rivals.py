"""Other fetchers in the same world: fetchmail, getmail6, mpop with msmtp, fdm, cs.pop3; popfetch beside them.

A smaller world, for none of them does all that popfetch does: one mailbox of plain mails, one recipient, every program
with the settings of tests/bench/clients.py. cs.pop3 knows no SMTP: it fills a Maildir, and what is in there it has
delivered. A program is killed together with all that it started.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lib.store import journal_format
from lib.store.journal_facts import SETTLED, uid_key
from tests.bench.clients import CLIENTS, Client, Job, write
from tests.bench.place import BenchError
from tests.bench.servers import PASSWORD
from tests.faults import books
from tests.faults.books import Books
from tests.faults.mails import DUDS, Mail, canonical
from tests.faults.proxy import Proxy
from tests.faults.world import RECORDED, Letter, World, WorldSmtp

ACCOUNT = "u0000"
ALL = f"{ACCOUNT}@bench.example".encode()
MANY, FEW = 30, 4  # mails of a kill, of anything else
RUNS = 6  # after which a program that has not emptied the mailbox is stuck
PATIENCE, LIMIT = 5, 15.0  # seconds that all programs wait for a silent server, and that a run may take
TRACE = (b"return-path:", b"received:")
SETTINGS = ("*rc*", "dmail.conf", "fdm.conf")
CS_POP3 = "cs.pop3==20260531"
CS_POP3_VENV = Path(tempfile.gettempdir()) / "popfetch-rival-cs.pop3"


def fetchmail(job: Job) -> list[str]:
    """With forcecr, which its manual knows for receivers that insist on CRLF: ours does."""
    words = CLIENTS["fetchmail"].prepare(job)
    settings = Path(words[-1])
    settings.write_text(settings.read_text(encoding="ascii").replace(" nokeep", " nokeep forcecr"), encoding="ascii")
    return words


def cs_pop3(job: Job) -> list[str]:
    """Fill a Maildir."""
    maildir = job.folder / "maildir"
    for folder in ("", "tmp", "new", "cur"):
        (maildir / folder).mkdir(exist_ok=True)
    host, port = job.pop
    machine = f"{ACCOUNT}@{host}:{port}"
    write(job.folder / ".netrc", f"machine {machine} login {ACCOUNT} password {PASSWORD}")
    return [str(CS_POP3_VENV / "bin" / "pop3"), "dl", f"tcp:{machine}", str(maildir)]


def cs_pop3_version() -> str:
    """Install it, if it is not there yet, into a folder of its own."""
    if not (CS_POP3_VENV / "bin" / "pop3").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", CS_POP3_VENV], check=True)
            subprocess.run([CS_POP3_VENV / "bin" / "pip", "install", CS_POP3], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            raise BenchError(f"{CS_POP3} cannot be installed: {error}") from error
    return CS_POP3


NAMES = ("popfetch", "fetchmail", "getmail6", "mpop+msmtp", "fdm", "cs.pop3")
PROGRAMS: dict[str, Client] = {
    **{name: CLIENTS[name] for name in NAMES if name in CLIENTS},
    "fetchmail": CLIENTS["fetchmail"]._replace(prepare=fetchmail),
    "cs.pop3": Client(cs_pop3, cs_pop3_version),
}
WITHOUT_SMTP = {"cs.pop3"}


class Place(NamedTuple):
    """Where one program runs, and how long that takes."""

    name: str
    world: World
    folder: Path
    lines: tuple[Proxy, Proxy]  # in front of POP and SMTP, for those who break them
    ports: tuple[int, int]
    seconds: float = 1.0

    def begin(self, mails: list[Mail]) -> None:
        """Forget everything; fill the mailbox."""
        for path in self.folder.rglob("*"):
            if path.is_file() or path.is_symlink():
                path.unlink()
        self.world.fill(mails)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, with a folder that stays from run to run."""
        for path in [path for pattern in SETTINGS for path in self.folder.glob(pattern)]:
            path.unlink()
        pop, smtp = (("127.0.0.1", port) for port in self.ports)
        argv = PROGRAMS[self.name].prepare(Job(self.folder, [ACCOUNT], pop, smtp, None, PATIENCE))
        home = {"HOME": str(self.folder), "FETCHMAILHOME": str(self.folder)}
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            argv, env={**os.environ, **home}, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )

    def run(self) -> int | None:
        """Run it to its end; return its exit code, None if it came to no end by itself."""
        self.world.begin()
        started = self.start()
        ended = wait(started, LIMIT)
        self.world.end()
        return started.returncode if ended else None

    def drain(self) -> list[str]:
        """Run it until the mailbox is empty, and once more; return what was wrong."""
        for _ in range(RUNS):
            if self.run() is None:
                return ["a run does not end"]
            if not self.world.left:
                self.run()
                return []
        return [f"never empties the mailbox: {sorted(self.world.left)}"]

    @property
    def letters(self) -> list[Letter]:
        """What was delivered."""
        found = sorted(path for folder in ("new", "cur") for path in (self.folder / "maildir" / folder).glob("*"))
        if self.name not in WITHOUT_SMTP:
            return self.world.letters
        nobody = WorldSmtp.__new__(WorldSmtp)
        return [Letter(0, nobody, (ALL,), path.read_bytes(), known=RECORDED) for path in found]

    def on_record(self) -> Callable[[Letter], bool]:
        """Return what says whether popfetch's journal knows of a letter; of the others we only know what they read."""
        if self.name != "popfetch":
            return lambda _: True
        path = self.folder / "popfetch.journal"
        journal = journal_format.replay(path.read_bytes() if path.exists() else b"").journal
        entries = {key: entry for known in journal.values() for key, entry in known.items()}
        settled = {key for key, entry in entries.items() if entry.status in SETTLED}
        left = self.world.left
        return lambda letter: letter.number not in left or uid_key(b"embedded-%d" % letter.number) in settled

    def judged(self, mails: list[Mail], troubles: list[str]) -> Books:
        """Return the books; what is still in its mailbox is not lost, and what is a dud was not to be delivered."""
        duds = self.folder / "duds.dat"
        buried = {number for number, _ in books.buried(duds, {mail.number: mail for mail in mails})}
        mails = [one._replace(wanted=frozenset({DUDS if one.number in buried else ALL})) for one in mails]
        told = books.judge(mails, self.letters, duds, right)
        gone = [mail for mail in mails if mail.number not in self.world.left]
        lost = books.judge(gone, self.letters, duds, right).lost
        return told._replace(lost=lost, stuck=min(len(troubles), 1), words=())


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
    PROGRAMS[name].version()  # installs it, if need be
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
    return [plain(number, seed) for number in range(1, count + 1)]


def plain(number: int, seed: int, more: bytes = b"") -> Mail:
    """Return a plain mail, in whose midst there may be something more."""
    text = "".join(f"{line} {seed} {number} {'.' * (line % 5)}\r\n.{line}\r\n" for line in range(10)).encode()
    lines = ["Return-Path: <s@sender.example>", "From: s@sender.example", f"To: {ALL.decode()}"]
    lines += [f"Subject: mail {number}", f"Message-ID: <{seed}.{number}@x>", f"X-World-Id: {number}", "", ""]
    return Mail(number, "\r\n".join(lines).encode() + text + more + text, frozenset({ALL}))


def right(mail: Mail, letter: Letter) -> bool:
    """Say whether the body is the same, the end of the last line aside, and every header line that is not a trace."""
    head, _, body = canonical(letter.content).partition(b"\r\n\r\n")
    own = mail.octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = set(head.split(b"\r\n"))
    return body.rstrip() == mail.body.rstrip() and all(one in kept for one in own if not one.lower().startswith(TRACE))
