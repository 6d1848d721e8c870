"""A POP server that misbehaves as it is told: by habit, and by faults that strike at one message or another.

What it holds, and what it has really sent, is known to the octet: of a reply that was no message, or was another one
than it holds, *sent* tells what a reader who is in step must have made of it.
"""

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import RLock
from typing import NamedTuple

from lib.store.journal_facts import sha_key, uid_key
from tests.faults.ears import Ears
from tests.faults.mails import ident
from tests.faults.world import Letter, Pop, Smtp, World, WorldPop
from tests.talk import Talk, stuffed

STATUS = re.compile(rb"^Status: R?O\r\n")


class Habits(NamedTuple):
    """What a server always does."""

    pipelining: str = "borne"  # none, login (not borne before that), never (announced, and thrown away)
    uidl: str = "plain"  # none, doubled, tabs
    top: bool = True
    sizes: str = "exact"  # or a name in SIZES
    marks: bool = False  # whether a Status line tells what was fetched
    locks: str = ""  # what the first login hears after a session without QUIT
    most: int = 0  # sessions at once, 0: any number


class Fault(NamedTuple):
    """What goes wrong: at a verb, for a mail (0: any), so many times after so many that went well."""

    verb: str
    kind: str
    number: int = 0
    skip: int = 0
    times: int = 1


SIZES: dict[str, Callable[[bytes], int]] = {
    "exact": len,
    "LF once": lambda octets: len(octets) - octets.count(b"\n"),
    "rounded": lambda octets: (len(octets) + 1023) // 1024 * 1024,
    "two more": lambda octets: len(octets) + 2,
    "constant": lambda _: 1024,
    "tiny": lambda octets: len(octets) // 100,
    "huge": lambda octets: len(octets) * 1000,
    "none": lambda _: 0,
}
VAGUE = {"constant", "tiny", "huge", "none"}  # sizes that say nothing of a body

# What is said to RETR and TOP instead of a body.
SLIPS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda octets: b"+OK\r\n" + stuffed(octets),
    "no last LF": lambda octets: b"+OK\r\n" + stuffed(octets)[:-1],
    "no CRLF before the dot": lambda octets: b"+OK\r\n" + stuffed(octets)[:-5] + b".\r\n",
    "no dot": lambda octets: b"+OK\r\n" + stuffed(octets)[:-3],
    "two OK": lambda octets: b"+OK\r\n+OK\r\n" + stuffed(octets),
    "no reply": lambda _: b"",
    "only OK": lambda _: b"+OK\r\n",
    "no status line": stuffed,
    "two dots": lambda octets: b"+OK\r\n" + stuffed(octets) + b".\r\n",
    "dots not doubled": lambda octets: b"+OK\r\n" + octets + b".\r\n",
    "shorter": lambda octets: b"+OK\r\n" + stuffed(octets[: octets.rindex(b"\r\n", 0, len(octets) * 2 // 3) + 2]),
    "empty": lambda _: b"+OK\r\n.\r\n",
    "refused": lambda _: b"-ERR no such message\r\n",
    "busy": lambda _: b"-ERR [SYS/TEMP] try again\r\n",
}
# What is said where one line is due.
LINES: dict[str, bytes] = {
    "": b"+OK\r\n",
    "no last LF": b"+OK\r",
    "two OK": b"+OK\r\n+OK\r\n",
    "no reply": b"",
    "nonsense": b"* what did you say?\r\n",
    "refused": b"-ERR no\r\n",
    "in use": b"-ERR [IN-USE] somebody else reads this\r\n",
}
ENDS = ("hangs up", "silent", "half, hangs up", "half, silent")
# Of a body, of a line, of the listings, and of QUIT: everything that may go wrong.
BODY = (*[kind for kind in SLIPS if kind], "a notice", *ENDS)
LINE = (*[kind for kind in LINES if kind], *ENDS[:2])
LISTING = ("refused", "missing", "no reply", "no last LF", *ENDS)
GOODBYE = ("done, hangs up", "done, silent", "half done", "refused", "two OK", *ENDS[:2])


@dataclass(eq=False)
class Held:
    """A mail in a mailbox."""

    number: int
    uid: bytes
    octets: bytes
    fetched: bool = False


def understood(reply: bytes) -> bytes | None:
    """Return the message that a reply to RETR is, to who takes it as RFC 1939 says; None for a reply that is none."""
    status, _, rest = (reply.partition(b"\r\n")[0], b"", b"\r\n" + reply.partition(b"\r\n")[2])
    end = rest.find(b"\r\n.\r\n")
    if not status.startswith(b"+OK") or end < 0:
        return None
    return (rest[:end] + b"\r\n").replace(b"\r\n..", b"\r\n.")[2:]


class OddTalk(WorldPop):
    """One session."""

    world: "OddWorld"
    listed: list[Held]

    def __init__(self, *words: object) -> None:
        super().__init__(*words)
        self.listed, self.marked = [], list[Held]()
        self.clean = False

    def play(self, heard: list[str]) -> None:
        self.ears = Ears(self.sock)
        self.world.sessions += 1
        self.session = self.world.sessions
        if self.world.too_many():
            self.say(b"-ERR too many connections from your address")
            self._part()
        self.line("greeting")
        while True:
            line = self.ears.line()
            verb, _, rest = line.partition(b" ")
            heard.append(verb.decode("latin-1"))
            self.world.told.append(f"{self.session}> {line.decode('latin-1')}")
            pipelining = self.world.habits.pipelining
            if pipelining == "never" or (pipelining == "login" and self.mailbox is None):
                self.ears.forget()
            act = self.verbs.get(verb.upper())
            if act(rest.strip()) is False if act else not self.say(self.unknown):
                return

    def close(self) -> None:
        if self.mailbox and not self.clean:
            self.world.locked[self.user] = bool(self.world.habits.locks)
        super().close()

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def line(self, verb: str, number: int = 0) -> bool:
        """Say +OK, or what goes wrong; say whether it was +OK."""
        kind = self.world.strike(verb, number)
        if kind in ENDS:
            self._end(kind, b"")
        self.sock.sendall(LINES[kind])
        return LINES[kind].startswith(b"+OK") or not LINES[kind]

    def body(self, verb: str, number: int, octets: bytes) -> bytes:
        """Say these octets, or what goes wrong; return what was said."""
        kind = self.world.strike(verb, number)
        if kind == "a notice":
            self.world.notices += 1
            octets, kind = b"Subject: a virus was found\r\n\r\nnotice %d\r\n" % self.world.notices, ""
        if kind in ENDS:
            self._end(kind, SLIPS[""](octets))
        said = SLIPS[kind](octets)
        self.sock.sendall(said)
        return said

    def _listing(self, verb: str, line: Callable[[int, Held], bytes]) -> None:
        rows = [(at, held) for at, held in enumerate(self.listed, 1) if held not in self.marked]
        missing = self.world.missing(verb)
        octets = b"".join(line(at, held) + b"\r\n" for at, held in rows if held.number not in missing)
        self.body(verb, 0, octets)

    def _end(self, kind: str, said: bytes) -> None:
        if kind.startswith("half"):
            self.sock.sendall(said[: said.index(b"\n", len(said) // 2) + 1])
        if kind.endswith("silent"):
            while self.sock.recv(1 << 16):
                pass
        self._part()

    def _part(self) -> None:
        """Close in good order: what is unread when a socket is closed makes it a reset."""
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(1)
        while self.sock.recv(1 << 16):
            pass
        raise ConnectionAbortedError

    # --- what is asked ----------------------------------------------------------------------------------------------

    def _capa(self, _: bytes) -> None:
        habits = self.world.habits
        words = [b"USER", b"RESP-CODES"]
        words += [b"UIDL"] if habits.uidl != "none" else []
        words += [b"TOP"] if habits.top else []
        words += [b"PIPELINING"] if habits.pipelining != "none" else []
        self.body("CAPA" if self.mailbox is None else "CAPA inside", 0, b"".join(word + b"\r\n" for word in words))

    def _user(self, name: bytes) -> None:
        self.user = name.decode("latin-1")
        self.line("USER")

    def _login(self, user: str, password: bytes) -> None:
        mailbox = self.mailboxes[user]
        assert mailbox.password == password
        if self.world.locked.pop(user, False):
            self.say(b"-ERR " + self.world.habits.locks.encode())
        elif not mailbox.lock.acquire(blocking=False):
            self.say(b"-ERR [IN-USE] somebody else reads this mailbox")
        else:
            self.mailbox = mailbox
            self.listed = list(self.world.boxes[user])
            self.verbs = {**self.verbs, **self.inside, b"STAT": self._stat}
            self.line("PASS")

    def _stat(self, _: bytes) -> None:
        there = [held for held in self.listed if held not in self.marked]
        self.say(b"+OK %d %d" % (len(there), sum(map(self.world.size, there))))

    def _list(self, _: bytes) -> None:
        self._listing("LIST", lambda at, held: b"%d %d" % (at, self.world.size(held)))

    def _uidl(self, _: bytes) -> None:
        form = {"none": b"", "tabs": b"%d\t%b", "plain": b"%d %b", "doubled": b"%d %b"}[self.world.habits.uidl]
        if not form:
            self.say(b"-ERR not here")
        else:
            self._listing("UIDL", lambda at, held: form % (at, self.world.uid(held)))

    def _top(self, words: bytes) -> None:
        held = self._held(words.split()[0])
        if not self.world.habits.top:
            self.say(b"-ERR not here")
        elif held:
            head, _, rest = self.world.octets(held).partition(b"\r\n\r\n")
            self.body("TOP", held.number, head + b"\r\n\r\n")
            assert rest

    def _retr(self, number: bytes) -> None:
        self.world.at("retr")
        if held := self._held(number):
            octets = self.world.octets(held)
            self.world.bodies[held.number] += 1
            self.world.note(held, self.body("RETR", held.number, octets))
            self.world.at("retr said")

    def _dele(self, number: bytes) -> None:
        self.world.at("dele")
        if (held := self._held(number)) and self.line("DELE", held.number):
            self.marked.append(held)

    def _held(self, number: bytes) -> Held | None:
        held = self.listed[int(number) - 1]
        if held not in self.marked:
            return held
        self.say(b"-ERR no such message")
        return None

    def _quit(self, _: bytes) -> bool:
        self.world.at("quit")
        kind = self.world.strike("QUIT", 0)
        if kind == "half done":
            self._commit(self.marked[::2])
            self.say(b"-ERR [SYS/TEMP] some deleted messages not removed")
        elif kind in LINES and LINES[kind].startswith(b"-"):
            self.sock.sendall(LINES[kind])
        elif kind in ENDS:
            self._end(kind, b"")
        else:
            self._commit(self.marked)
            self.world.at("quit done")
            if kind.startswith("done, "):
                self._end(kind.removeprefix("done, "), b"")
            self.sock.sendall(LINES[kind])
        self.clean = True
        self.world.at("quit said")
        self._part()
        return False

    def _commit(self, marked: list[Held]) -> None:
        if self.mailbox is not None:
            self.world.remove(self.user, marked)


class OddPop(Pop):
    """The mailboxes."""

    world: "OddWorld"

    def talk(self, sock: socket.socket) -> Talk:
        talk = OddTalk(sock, self.tls, self.mailboxes)
        talk.world = self.world
        return self.world.enter(talk)


class OddWorld(World):
    """What is where, what goes wrong, and what was really said."""

    def servers(self, accounts: Mapping[str, tuple[str, Iterable[bytes]]]) -> tuple[Pop, Smtp]:
        self.clear()
        return OddPop(accounts), Smtp()

    def clear(self) -> None:
        """Begin anew."""
        self.habits = Habits()
        self.boxes: dict[str, list[Held]] = {}
        self.faults: list[Fault] = []
        self.uids: dict[int, set[bytes]] = {}
        self.sent: dict[int, Counter[bytes]] = {}
        self.right = 0  # bodies that were right
        self.first: dict[bytes, int] = {}  # how many had been when a body was first said
        self.locked: dict[str, bool] = {}
        self.notices = self.sessions = 0
        self.told = []
        self._lock = RLock()

    @property
    def left(self) -> set[int]:
        return {held.number for box in self.boxes.values() for held in box}

    def put(self, user: str, number: int, uid: bytes, octets: bytes) -> None:
        """Let a mail come in."""
        self.boxes[user].append(Held(number, uid, octets))
        self.sent[number] = Counter()
        self.uids[number] = set()

    def remove(self, user: str, gone: list[Held]) -> None:
        """Let mails go."""
        with self._lock:
            self.boxes[user] = [held for held in self.boxes[user] if held not in gone]

    def octets(self, held: Held) -> bytes:
        """Return a mail as it is shown today."""
        mark = (b"Status: RO\r\n" if held.fetched else b"Status: O\r\n") if self.habits.marks else b""
        return mark + held.octets

    def size(self, held: Held) -> int:
        """Return what LIST says of it."""
        return SIZES[self.habits.sizes](self.octets(held))

    def uid(self, held: Held) -> bytes:
        """Return what UIDL says of it."""
        uid = b"same" if self.habits.uidl == "doubled" else held.uid
        self.uids[held.number].add(uid)
        return uid

    def note(self, held: Held, reply: bytes) -> None:
        """Note what was said to its RETR."""
        content = understood(reply)
        with self._lock:
            held.fetched = True
            if content is not None:
                content = STATUS.sub(b"", content)
                self.sent[held.number][content] += 1
                self.first.setdefault(content, self.right)
                self.right += content == held.octets

    def strike(self, verb: str, number: int) -> str:
        """Return what goes wrong now, "" if nothing does."""
        with self._lock:
            for at, fault in enumerate(self.faults):
                if fault.kind != "missing" and fault.verb == verb and fault.number in {0, number} and fault.times:
                    if fault.skip:
                        self.faults[at] = fault._replace(skip=fault.skip - 1)
                        continue
                    self.faults[at] = fault._replace(times=fault.times - 1)
                    self.told.append(f"    {fault.kind}")
                    return fault.kind
        return ""

    def missing(self, verb: str) -> set[int]:
        """Return whom a listing leaves out."""
        return {fault.number for fault in self.faults if (fault.verb, fault.kind) == (verb, "missing")}

    def too_many(self) -> bool:
        """Say whether there are more sessions than may be."""
        with self._changed:
            there = sum(isinstance(talk, OddTalk) for talk in self._talks)
        return 0 < self.habits.most < there

    def keys(self, letter: Letter) -> list[str]:
        number = ident(letter.content)
        names = [uid_key(uid) for uid in self.uids.get(number, ())]
        return [*names, *(sha_key(sha, 0) for sha in (self.shas.get(number, ""),))]
