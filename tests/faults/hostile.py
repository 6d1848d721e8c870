"""POP servers that do not keep to the rules: the beginning of a script up to where it goes wrong, and one that lives
from pass to pass.
"""

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from tests.embedded import PopServer, PopTalk, SmtpServer
from tests.passes import Argument, Conf, Result, RunPass, account
from tests.scenario.mails import mail
from tests.talk import IDLE

CAPABILITIES = "S: +OK\nS: UIDL\nS: PIPELINING\nS: .\n"
LOGIN = "C: USER bob\nC: PASS geheim-bob\nC: CAPA\nC: UIDL\nC: LIST\n"
LOCKSTEP = "S: +OK\nC: CAPA\nS: -ERR\nC: USER bob\nS: +OK\nC: PASS geheim-bob\nS: +OK\n"

# What a careless reader takes for the end of a message; a server stuffs dots behind CRLF only.
FALSE_ENDS = {
    "LF.LF": b"\n.\n",
    "CR.CR": b"\r.\r",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "LF.CR": b"\n.\r",
    "CR.LF": b"\r.\n",
    "CRLF.NUL": b"\r\n.\0\r\n",
    "NUL.CRLF": b"\r\n\0.\r\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\r\n",
    "CRLF..LF": b"\r\n..\n",
}


class Row(NamedTuple):
    """A line of UIDL and a line of LIST; None where the server leaves it out."""

    number: int
    uid: str | None
    size: str | None


def opened(*rows: Row) -> str:
    """Return the script of a session up to its listing, commands sent ahead."""
    return f"S: +OK\nC: CAPA\n{CAPABILITIES}{LOGIN}S: +OK\nS: +OK\n{CAPABILITIES}{_uidl(rows)}{_list(rows)}"


def in_lockstep(*rows: Row) -> str:
    """Return the same for a server that is asked one thing at a time."""
    return f"{LOCKSTEP}C: UIDL\n{_uidl(rows)}C: LIST\n{_list(rows)}"


def _uidl(rows: Iterable[Row]) -> str:
    return "S: +OK\n" + "".join(f"S: {row.number} {row.uid}\n" for row in rows if row.uid is not None) + "S: .\n"


def _list(rows: Iterable[Row]) -> str:
    return "S: +OK\n" + "".join(f"S: {row.number} {row.size}\n" for row in rows if row.size is not None) + "S: .\n"


def letters(count: int) -> list[bytes]:
    """Return messages that differ."""
    return [mail(f"Subject: number {number}", body=f"This is number {number}.") for number in range(1, count + 1)]


Trick = Callable[["TwistedTalk", bytes], object]


class TwistedTalk(PopTalk):
    """Does what it was taught in place of what a good server does."""

    tricks: Mapping[bytes, Trick]
    retr = PopTalk._retr
    leave = PopTalk._quit

    def play(self, heard: list[str]) -> None:
        self._learn()
        super().play(heard)

    def _login(self, user: str, password: bytes) -> None:
        super()._login(user, password)
        self._learn()

    def ahead(self) -> int:
        """Return how many commands have come that are not answered yet."""
        self.sock.setblocking(False)
        try:
            return self.lines.peek(1).count(b"\n")
        finally:
            self.sock.settimeout(IDLE)

    def _learn(self) -> None:
        may = self.tricks if self.mailbox else self.tricks.keys() & self.verbs
        self.verbs = {**self.verbs, **{verb: self._taught(self.tricks[verb]) for verb in may}}

    def _taught(self, trick: Trick) -> Callable[[bytes], object]:
        return lambda rest: trick(self, rest)


class Twisted(PopServer):
    """A good server, but for its *tricks*: from verb to what it does instead."""

    tricks: Mapping[bytes, Trick] = {}

    def talk(self, sock: socket.socket) -> TwistedTalk:
        talk = TwistedTalk(sock, self.tls, self.mailboxes)
        talk.tricks = self.tricks
        return talk


class Office:
    """bob's mailbox, a receiver, and the passes between them."""

    def __init__(self, conf: Conf, run_pass: RunPass, pop: Twisted, smtp: SmtpServer | None = None) -> None:
        self.conf = conf
        self.work = conf.work
        self.pop = pop
        self.box = pop.mailboxes["bob"]
        self.run_pass = run_pass
        self.smtp = smtp or SmtpServer()

    def __enter__(self) -> Self:
        self.smtp.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.smtp.__exit__(kind, error, at)

    def put(self, *mails: bytes) -> None:
        """Let mail come in; a number of arrival is never used again."""
        for one in mails:
            self._last = getattr(self, "_last", 0) + 1
            self.box.messages[self._last] = one

    def teach(self, **tricks: Trick) -> None:
        """Let the server do these in place of what a good one does."""
        self.pop.tricks = {verb.encode(): trick for verb, trick in tricks.items()}

    def pass_(self, *words: Argument, option: str = "to=b@example.org", **settings: object) -> Result:
        """Run a pass."""
        defaults = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", "pf_timeout": 5}
        done = self.run_pass(self.conf(account(self.pop.port, option), **{**defaults, **settings}), *words)
        with self.box.lock:  # QUIT is not always waited for
            return done

    @property
    def bodies(self) -> list[bytes]:
        """What the receiver took, without our Received line."""
        return [body_of(letter.content) for letter in self.smtp.taken]


def body_of(content: bytes) -> bytes:
    """Return a letter without the Received field on its top."""
    lines = content.split(b"\r\n")
    assert lines.pop(0).startswith(b"Received: from ")
    while lines[0].startswith((b" ", b"\t")):
        lines.pop(0)
    return b"\r\n".join(lines)


def mended(octets: bytes) -> bytes:
    """Return *octets* as a receiver may see them: every line end CRLF, no NUL."""
    return re.sub(rb"\r{0,2}\n|\r", b"\r\n", octets.replace(b"\0", b""))
