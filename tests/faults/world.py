"""A small world around the program: mailboxes and a receiver that know, to the octet, what the client has heard.

The receiver takes responsibility for a letter when the final dot is in, as real ones do, and says 250 after that. When
a client is killed it is stopped first, then looked at through /proc, then killed: so it is known of each letter whether
its 250 had been read. What became of the mails is judged in tests/faults/books.py.
"""

import hashlib
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Condition, RLock
from types import TracebackType
from typing import Any, Self

from lib.store.journal_facts import sha_key, uid_key
from tests.embedded import PopServer, PopTalk, SmtpServer, SmtpTalk
from tests.faults.mails import CARETAKER, GREY, POISON, REFUSED, TOLD, Mail, ident
from tests.faults.still import unread_octets
from tests.talk import Talk, stuffed

UNREAD, READ, RECORDED = "unread", "read", "recorded"
PASSWORD = "geheim-world"


@dataclass(eq=False)
class Letter:
    """What the receiver took; *known* is what the client knew of that when its pass ended."""

    turn: int
    talk: "WorldSmtp"
    recipients: tuple[bytes, ...]
    content: bytes
    at: float = field(default_factory=time.monotonic)
    said: int = 0  # octets said on its connection when its 250 was out; 0 before
    known: str = ""
    unheard: bool = False  # the client was gone when its 250 was due

    @property
    def number(self) -> int:
        """The number of the mail that it is, or is a copy of."""
        return ident(self.content)

    @property
    def tells(self) -> bool:
        """Say whether it is no mail, but a letter to the caretaker about one."""
        return TOLD.search(self.content) is not None

    @property
    def sha_key(self) -> str:
        """What the journal calls the mail where there are no UIDs; the mails of these tests are all different."""
        return sha_key(self.talk.world.shas.get(self.number, ""), 0)


class WorldPop(PopTalk):
    """Says what it is asked, and what it has done."""

    world: "World"

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.fetched: set[int] = set()
        asked = {b"LIST": self._list, b"UIDL": self._uidl, b"TOP": self._top, b"RSET": self._rset, b"LAST": self._last}
        self.inside = {**self.inside, **asked}

    def close(self) -> None:
        super().close()
        self.world.leave(self)

    def _login(self, user: str, password: bytes) -> None:
        self.world.at("login")
        if not self.world.uidl:
            del self.inside[b"UIDL"]
        super()._login(user, password)
        self.uids = [uid for uid in self.uids if uid not in self.world.hidden]

    def _list(self, number: bytes) -> None:
        rows = [(n, size) for n, _, size in self._there() if not number or n == int(number)]
        lines = [b"%d %d" % row for row in rows]
        self.say(b"+OK " + lines[0]) if number and lines else self.say(b"+OK", *lines, b".")

    def _uidl(self, number: bytes) -> None:
        lines = [b"%d embedded-%d" % (n, uid) for n, uid, _ in self._there() if not number or n == int(number)]
        self.say(b"+OK " + lines[0]) if number and lines else self.say(b"+OK", *lines, b".")

    def _top(self, words: bytes) -> None:
        """Other fetchers ask for all lines, or for none."""
        number, _, lines = words.partition(b" ")
        if int(lines):
            self._retr(number)
        elif self.mailbox and (uid := self._uid(number)):
            head = self.mailbox.messages[uid].partition(b"\r\n\r\n")[0]
            self.say(b"+OK", *head.split(b"\r\n"), b"", b".")

    def _rset(self, _: bytes) -> None:
        self.gone.clear()
        self.say(b"+OK")

    def _last(self, _: bytes) -> None:
        self.say(b"+OK 0")

    def _retr(self, number: bytes) -> None:
        self.world.at("retr")
        uid = self.uids[int(number) - 1]
        self.fetched.add(uid)
        self.world.bodies[uid] += 1
        if uid in self.world.halved:
            self._break_off(uid)
        super()._retr(number)
        self.world.at("retr said")

    def _break_off(self, uid: int) -> None:
        """Say half of a body, up to the end of a line, and close in good order; once."""
        self.world.halved.discard(uid)
        assert self.mailbox
        body = stuffed(self.mailbox.messages[uid])
        self.sock.sendall(b"+OK\r\n" + body[: body.index(b"\r\n", len(body) // 2) + 2])
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(1)
        while self.lines.readline():  # what is unread when a socket is closed makes it a reset
            pass
        raise ConnectionAbortedError

    def _dele(self, number: bytes) -> None:
        self.world.at("dele")
        super()._dele(number)

    def _quit(self, rest: bytes) -> bool:
        self.world.at("quit")
        self.world.commits.append((time.monotonic(), set(self.gone), set(self.fetched)))
        for uid in self.gone:
            if self.mailbox:
                del self.mailbox.messages[uid]
        self.gone.clear()
        if self.world.hides:
            self.world.hidden |= self.fetched
        self.world.at("quit done")
        super()._quit(rest)
        self.world.at("quit said")
        return False


class WorldSmtp(SmtpTalk):
    """Refuses, greylists, takes; counts what it says."""

    world: "World"

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.said = 0
        self.saying = RLock()
        self.port = int(self.sock.getpeername()[1])  # the client's

        self.verbs = {**self.verbs, b"LHLO": self.verbs[b"EHLO"]}

    def close(self) -> None:
        super().close()
        self.world.leave(self)

    def say(self, *lines: bytes) -> bool:
        with self.saying:
            self.said += sum(len(line) + 2 for line in lines)
            return super().say(*lines)

    def _rcpt(self, rest: bytes) -> None:
        self.world.at("rcpt")
        who, sender = rest.partition(b"<")[2].partition(b">")[0], self.sender or b""
        if who == REFUSED:
            self.say(b"550 5.1.1 nobody of that name")
        elif who == GREY and not self.world.asked_before(sender, who):
            self.say(b"450 4.7.1 come back later")
        else:
            super()._rcpt(rest)

    def _data(self, _: bytes) -> None:
        if self.sender is None or not self.recipients:
            self.say(b"554 5.5.1 nobody to deliver to")
            return
        self.world.at("data")
        self.say(b"354 go on")
        letter = Letter(self.world.turn, self, tuple(self.recipients), self._content())
        self.world.at("dot")
        self.sender, self.recipients = None, []
        if CARETAKER in letter.recipients and b"\nFrom: <%b>" % POISON in letter.content:
            self.say(b"554 5.7.1 no such words")
        elif self.world.refuses:
            self.say(self.world.refuses)
        elif self.world.drops:
            self.world.letters.append(letter)
            raise ConnectionAbortedError
        elif self.world.lmtp:
            for who in letter.recipients:
                self._take(Letter(letter.turn, self, (who,), letter.content))
        else:
            self._take(letter)

    def _take(self, letter: Letter) -> None:
        self.world.letters.append(letter)
        self.world.at("taken")
        self._think(letter)
        with self.saying:
            self.say(b"250 2.0.0 taken")
            letter.said = self.said
        self.world.at("250 said")

    def _think(self, letter: Letter) -> None:
        """Take as long for the 250 as the world says, and see whether anybody still waits for it."""
        seconds = self.world.thinks(letter)
        if seconds:
            time.sleep(seconds)
            spoke, _, _ = select.select([self.sock], [], [], 0)
            letter.unheard = bool(spoke) and not self.sock.recv(1, socket.MSG_PEEK)


class Pop(PopServer):
    """The mailboxes."""

    world: "World"

    def talk(self, sock: socket.socket) -> Talk:
        talk = WorldPop(sock, self.tls, self.mailboxes)
        talk.world = self.world
        return self.world.enter(talk)


class Smtp(SmtpServer):
    """The receiver."""

    world: "World"

    def talk(self, sock: socket.socket) -> Talk:
        talk = WorldSmtp(sock, self.tls, self.refused, self.taken)
        talk.world = self.world
        return self.world.enter(talk)


Trigger = tuple[str, int, Callable[[], object]]  # what happens, for the how-manieth time, and what is done then


class World:
    """Both servers, and what they know together."""

    def __init__(self, users: Iterable[str] = ("bob",), password: str = PASSWORD) -> None:
        self.pop, self.smtp = self.servers(dict.fromkeys(users, (password, ())))
        self.pop.world = self.smtp.world = self
        self._changed = Condition()
        self._talks: set[Talk] = set()
        self._asked: set[tuple[bytes, bytes, int]] = set()
        self._trigger: Trigger | None = None
        self.seen: Counter[str] = Counter()
        self.letters: list[Letter] = []
        self.commits: list[tuple[float, set[int], set[int]]] = []  # when, what was deleted, what had been fetched
        self.turn = 0
        self.shas: dict[int, str] = {}
        self.uidl = True  # whether the mailboxes know UIDL
        self.hides = False  # whether they list nothing again that was fetched before a QUIT
        self.hidden: set[int] = set()
        self.lmtp = False  # whether the receiver speaks LMTP
        self.bodies: Counter[int] = Counter()  # how often each was retrieved
        self.halved: set[int] = set()  # whose bodies break off, once each
        self.thinks: Callable[[Letter], float] = lambda _: 0.0  # how many seconds the receiver takes for a 250
        self.refuses = b""  # what is said to every final dot, if anything but the best
        self.drops = False  # whether the receiver takes what comes, and hangs up instead of saying so
        self.told: list[str] = []  # what was said, where somebody notes it
        self.patience = 30.0  # seconds that a session may outlive its pass before the servers end it

    def clear(self) -> None:
        """Begin anew, where that is more than filling the mailboxes."""

    def servers(self, accounts: Mapping[str, tuple[str, Iterable[bytes]]]) -> tuple[Pop, Smtp]:
        """Return who serves these accounts, and who takes the mail."""
        return Pop(accounts), Smtp()

    def keys(self, letter: Letter) -> list[str]:
        """Return what the journal may call the mail that a letter is."""
        return [uid_key(b"embedded-%d" % letter.number), letter.sha_key]

    def __enter__(self) -> Self:
        with ExitStack() as servers:
            servers.enter_context(self.pop)
            servers.enter_context(self.smtp)
            self._servers = servers.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._servers.close()

    def fill(self, mails: Iterable[Mail], boxes: int = 1) -> None:
        """Begin anew, with *mails* dealt out to the first *boxes* mailboxes."""
        self.letters, self.commits, self.turn = [], [], 0
        self._asked.clear()
        self.hidden.clear()
        self.bodies.clear()
        self.halved.clear()
        self.refuses, self.drops = b"", False
        for box in self.pop.mailboxes.values():
            box.messages.clear()
        users = list(self.pop.mailboxes.values())[:boxes]
        self.shas.clear()
        for mail in mails:
            self.shas[mail.number] = hashlib.sha256(mail.octets).hexdigest()
            users[mail.number % len(users)].messages[mail.number] = mail.octets

    def go_back(self, mails: Iterable[Mail], boxes: int, moment: float) -> None:
        """Let everything be as it was at that *moment* (of the monotonic clock)."""
        letters, turn = [replace(letter, known="") for letter in self.letters if letter.at < moment], self.turn
        commits = [commit for commit in self.commits if commit[0] < moment]
        gone = {number for _, numbers, _ in commits for number in numbers}
        self.fill((mail for mail in mails if mail.number not in gone), boxes)
        self.letters, self.commits, self.turn = letters, commits, turn
        self.hidden = {number for _, _, numbers in commits for number in numbers if self.hides}

    @property
    def left(self) -> set[int]:
        """The numbers of the mails that can still be fetched."""
        return {number for box in self.pop.mailboxes.values() for number in box.messages} - self.hidden

    def begin(self, trigger: Trigger | None = None) -> None:
        """Let the next pass come."""
        self.turn += 1
        self.seen.clear()
        self._trigger = trigger

    def end(self, read: set[Letter] | None = None, recorded: Callable[[Letter], bool] = lambda _: True) -> None:
        """Note what the client knew of the letters of a pass: all that it had *read*, or everything if it ended."""
        self.see_out()
        for letter in self.letters:
            if not letter.known and (read is None or letter in read):
                letter.known = RECORDED if recorded(letter) else READ
            letter.known = letter.known or UNREAD

    def see_out(self) -> None:
        """Wait until the sessions of a pass have ended."""
        self._trigger = None
        with self._changed:
            if not self._changed.wait_for(lambda: not self._talks, self.patience):
                for talk in self._talks:
                    talk.sock.shutdown(socket.SHUT_RDWR)
            assert self._changed.wait_for(lambda: not self._talks, 30), "a session does not end"

    def at(self, name: str) -> None:
        """Something happens."""
        act = None
        with self._changed:
            self.seen[name] += 1
            if self._trigger and self._trigger[:2] == (name, self.seen[name]):
                act = self._trigger[2]
        if act:
            act()

    def enter(self, talk: Talk) -> Talk:
        """Count a session in."""
        with self._changed:
            self._talks.add(talk)
        return talk

    def leave(self, talk: Talk) -> None:
        """Count it out."""
        with self._changed:
            self._talks.discard(talk)
            self._changed.notify_all()

    def asked_before(self, sender: bytes, recipient: bytes) -> bool:
        """Say whether a greylisted recipient was asked for in an earlier pass."""
        self._asked.add((sender, recipient, self.turn))
        return any((sender, recipient, turn) in self._asked for turn in range(self.turn))

    def read_by_now(self) -> set[Letter]:
        """Return the letters whose 250 the client has read; it stands still."""
        with ExitStack() as still:
            for letter in self.letters:
                still.enter_context(letter.talk.saying)
            waiting = unread_octets()
            return {
                one for one in self.letters if one.said and one.said <= one.talk.said - waiting.get(one.talk.port, 0)
            }
