"""Servers that repeat what they were told, passwords included, in whatever they say next. They keep everything else."""

import base64
import socket
from collections.abc import Callable

from tests.embedded import SmtpServer, SmtpTalk
from tests.talk import Server, Talk

CUT = "cut"
CHALLENGES = {b"LOGIN": 2}  # the others have one


class Parrot(Talk):
    """A POP3 server with one message that knows every login, and lets everybody in."""

    server: "Parrots"
    greeting = b"+OK <1896.697170952@parrot.example>"
    unknown = b"-ERR what?"

    def play(self, heard: list[str]) -> None:
        self.told: list[bytes] = []
        self.lines = self.sock.makefile("rb")
        self.say(self.greeting)
        going = True
        while going and (line := self._line()):
            verb, _, rest = line.strip().partition(b" ")
            heard.append(verb.decode("latin-1").upper())
            going = self._answer(verb.upper(), rest)

    def _line(self) -> bytes:
        line = self.lines.readline()
        self.told.append(line.strip())
        return line

    def _answer(self, verb: bytes, rest: bytes) -> bool:
        """Answer one line; say whether the session goes on."""
        if verb == b"CAPA":
            return self.say(b"+OK", b"USER", b"UIDL", b"SASL PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER", b".")
        if verb == b"USER":
            return self.say(b"+OK")
        if verb == b"AUTH":
            mechanism, _, initial = rest.partition(b" ")
            for _ in range(0 if initial else CHALLENGES.get(mechanism, 1)):
                self.say(b"+ " + base64.b64encode(b"<1@parrot.example>"))
                self._line()
        stage = "login" if verb in (b"AUTH", b"PASS", b"APOP") else verb.decode("latin-1")
        if stage == self.server.stage:
            return self._repeat()
        mail = (b"To: x@y", b"", b"hello", b".")
        more = {b"UIDL": (b"1 parrot", b"."), b"LIST": (b"1 10", b"."), b"RETR": mail, b"TOP": mail}
        return self.say(b"+OK", *more.get(verb, ())) and verb != b"QUIT"

    def _repeat(self) -> bool:
        return self.server.how != CUT and self.say(self.server.how.encode().replace(b"%b", repeated(self.told)))


def repeated(told: list[bytes]) -> bytes:
    """Return in one line all that was told, and what of it was base64 in the clear as well."""
    clear = []
    for word in b" ".join(told).split():
        try:
            clear.append(base64.b64decode(word, validate=True).replace(b"\0", b"|").replace(b"\1", b"|"))
        except ValueError:
            continue
    return b" ".join([*clear, *told])


class Parrots(Server):
    """At *stage* (login, UIDL, LIST, RETR, DELE, QUIT) it says *how*, `%b` being all it was told."""

    def __init__(self) -> None:
        super().__init__(None, implicit=False)
        self.stage, self.how = "", ""

    def talk(self, sock: socket.socket) -> Talk:
        talk = Parrot(sock, None)
        talk.server = self
        return talk


class SmtpParrot(SmtpTalk):
    """Knows every login, lets everybody in, and repeats the password at the stage that its server says."""

    server: "SmtpParrots"

    def play(self, heard: list[str]) -> None:
        self.told: list[bytes] = []
        self.verbs = {
            **self.verbs,
            b"EHLO": lambda _: self.say(b"250-mx.example", b"250 AUTH " + self.server.mechanism),
            b"AUTH": self._login,
            **{verb.encode(): self._kept(verb, self.verbs[verb.encode()]) for verb in ("MAIL", "RCPT")},
        }
        super().play(heard)

    def _login(self, rest: bytes) -> bool:
        mechanism, _, initial = rest.partition(b" ")
        self.told.append(rest)
        for _ in range(0 if initial else CHALLENGES.get(mechanism, 1)):
            self.say(b"334 " + base64.b64encode(b"<1@parrot.example>"))
            self.told.append(self.lines.readline().strip())
        return self._repeat() if self.server.stage == "AUTH" else self.say(b"235 welcome")

    def _kept(self, verb: str, act: Callable[[bytes], object]) -> Callable[[bytes], object]:
        return lambda rest: self._repeat() if self.server.stage == verb else act(rest)

    def _repeat(self) -> bool:
        return self.server.how != CUT and self.say(self.server.how.encode().replace(b"%b", repeated(self.told)))

    def say(self, *lines: bytes) -> bool:
        if self.server.stage == "DOT" and lines[0].startswith(b"250 2.0.0 taken"):
            self.taken.pop()
            return self._repeat()
        return super().say(*lines)


class SmtpParrots(SmtpServer):
    """At *stage* (AUTH, MAIL, RCPT, DOT) it says *how*, `%b` being what it was told at the login by *mechanism*."""

    def __init__(self) -> None:
        super().__init__()
        self.mechanism, self.stage, self.how = b"PLAIN", "", ""

    def talk(self, sock: socket.socket) -> Talk:
        talk = SmtpParrot(sock, self.tls, self.refused, self.taken)
        talk.server = self
        return talk
