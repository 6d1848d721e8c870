"""A POP3 server with a habit: a mailbox of UIDs and messages, and what it does instead of what a good server does.

    office = Odd(…)
    office.box["u1"] = mail(…)
    office.habit = {"RETR": lambda session, uid: CLOSE if uid == "u3" else None}

A habit is called with the session and the UID that the command names ("" for none); it returns the octets to be sent in
place of the reply, CLOSE to hang up without a word, SILENT to say nothing, or None for what a good server says.
"""

import socket
from collections.abc import Callable, Iterable, Mapping

from tests.embedded import SmtpServer
from tests.passes import Argument, Conf, Result, RunPass, account
from tests.talk import Server, Talk, stuffed

CLOSE, SILENT = b"(hang up)", b""
Habit = Callable[["OddTalk", str], bytes | None]
GOOD = b"+OK\r\n"
CAPABILITIES = (b"UIDL", b"USER", b"TOP", b"PIPELINING")


class OddTalk(Talk):
    """One session."""

    server: "Odd"
    greeting = b"+OK ready"
    unknown = b"-ERR what?"

    def play(self, heard: list[str]) -> None:
        self.lines = self.sock.makefile("rb")
        self.say(self.greeting)
        self.view: list[str] = []
        self.marked: list[str] = []
        while line := self.lines.readline():
            word, _, rest = line.strip().decode("latin-1").partition(" ")
            number = rest.split()[0] if rest else ""
            named = word in {"RETR", "TOP", "DELE"}
            uid = self.view[int(number) - 1] if named else ""
            heard.append(word)
            self.server.asked.append((word, uid))
            if not self._answer(word, uid):
                return

    def _answer(self, word: str, uid: str) -> bool:
        """Answer a command; say whether the session goes on."""
        if word == "PASS":
            self.view = list(self.server.box)
        habit = self.server.habit.get(word)
        said = habit(self, uid) if habit else None
        if said is CLOSE:
            return False
        self.sock.sendall(self.usual(word, uid) if said is None else said)
        return word != "QUIT"

    def usual(self, word: str, uid: str) -> bytes:
        """Return what a good server says, and do what it does."""
        box = self.server.box
        if word == "CAPA":
            return GOOD + b"".join(name + b"\r\n" for name in self.server.capabilities) + b".\r\n"
        if word == "UIDL":
            return self.listing(name.encode() for name in self.view)
        if word == "LIST":
            return self.listing(b"%d" % self.server.size(box[name]) for name in self.view)
        if word == "RETR":
            return GOOD + stuffed(box[uid])
        if word == "TOP":
            return GOOD + stuffed(box[uid].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        if word == "DELE":
            self.marked.append(uid)
        if word == "QUIT":
            self.commit()
        return GOOD

    def commit(self) -> None:
        for uid in self.marked:
            self.server.box.pop(uid, None)

    @staticmethod
    def listing(words: Iterable[bytes]) -> bytes:
        return GOOD + b"".join(b"%d %b\r\n" % (n, word) for n, word in enumerate(words, 1)) + b".\r\n"


class Odd(Server):
    """The server, and passes from it into a receiver that takes everything."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        super().__init__(None, implicit=False)
        self.conf, self.run_pass, self.smtp = conf, run_pass, smtp
        self.box: dict[str, bytes] = {}
        self.habit: Mapping[str, Habit] = {}
        self.asked: list[tuple[str, str]] = []
        self.capabilities: tuple[bytes, ...] = CAPABILITIES
        self.size: Callable[[bytes], int] = len

    def talk(self, sock: socket.socket) -> Talk:
        talk = OddTalk(sock, None)
        talk.server = self
        return talk

    def passes(self, count: int = 1, *words: Argument, option: str = "", **settings: object) -> Result:
        """Run so many passes; return what the last one said."""
        given = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", "pf_timeout": 1, **settings}
        line = account(self.port, "to=b@example.org", "name=bob", *([option] if option else []))
        return [self.run_pass(self.conf(line, **given), *words) for _ in range(count)][-1]

    def count(self, word: str) -> int:
        """How often something was asked for."""
        return sum(asked == word for asked, _ in self.asked)

    @property
    def arrived(self) -> list[bytes]:
        """The messages that arrived, without our Received field."""
        return [_plain(letter.content) for letter in self.smtp.taken]


def _plain(content: bytes) -> bytes:
    lines = content.split(b"\r\n")
    end = next(at for at, line in enumerate(lines) if at and not line.startswith((b" ", b"\t")))
    return b"\r\n".join(lines[end:])
