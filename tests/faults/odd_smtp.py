"""A receiver, SMTP or LMTP, that misbehaves as it is told: by habit, by message, by recipient, by connection, by count.

It takes responsibility when a final dot is in, says so after that, and keeps what it took with its envelope.
"""

import re
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import RLock
from typing import NamedTuple

from tests.faults.ears import Ears
from tests.faults.mails import ID
from tests.faults.world import UNREAD, Letter, Pop, Smtp, World, WorldSmtp
from tests.talk import Talk

NUMBERED = re.compile(rb"^[a-z]+(\d+)-")
ROLE = re.compile(rb"^m\d+-([a-z]+)(\d*)-")
EVER = 99
MOMENT = 0.002  # seconds that a receiver thinks over a message; what came by then came too early


class Manner(NamedTuple):
    """What a receiver always does. A reply that is "hang up" is none."""

    lmtp: bool = False
    pipelining: bool = True
    mails: int = 0  # that it takes over a connection, 0: any number
    used_up: tuple[str, str] = (
        "MAIL",
        "421 4.7.0 too many messages in this connection",
    )  # where, and what it says then
    errors: int = 0  # that it bears on a connection
    people: int = 0  # recipients that it takes in a transaction
    crowd: str = "452 4.5.3 Error: too many recipients"
    most: int = 0  # connections at once
    stays_open: bool = False  # a transaction that was refused at the dot
    behind: str = ""  # what is said to what came together with a final dot
    polite: bool = False  # whether DATA is answered with 354 where there is no recipient
    drips: bool = False
    senders: str = "MAIL"  # where a bad sender is refused


class Trouble(NamedTuple):
    """What is said to one message whenever it comes so far: MAIL, RCPT, DATA, dot, first dot (LMTP), taken."""

    number: int
    phase: str
    reply: str


class Plague(NamedTuple):
    """What goes wrong once in a pass: where, after so many times that went well there."""

    phase: str
    reply: str
    skip: int = 0
    times: int = 1


@dataclass(eq=False)
class Sent(Letter):
    """What was taken, with its sender."""

    sender: bytes = b""


class OddSmtpTalk(WorldSmtp):
    """One connection."""

    world: "OddReceivers"

    def __init__(self, *words: object) -> None:
        super().__init__(*words)
        self.took = self.errors = 0
        self.number = 0  # the message that is on its way
        self.early = 0  # lines that came together with the final dot before them

    def play(self, heard: list[str]) -> None:
        self.lines = self.ears = Ears(self.sock)  # type: ignore[assignment] # a reader of lines
        if self.world.too_many():
            self.say(b"421 4.7.0 too many connections from your address")
            self._part()
        self._go_wrong("greeting", 0)
        self.say(b"220 odd.example ESMTP")
        going = True
        while going:
            line = self.ears.line()
            verb, _, rest = line.partition(b" ")
            heard.append(verb.decode("latin-1"))
            self.world.note(self, line)
            act = self.verbs.get(verb.upper())
            if self.early:
                self.early -= 1
                if verb.upper() in {b"MAIL", b"RCPT", b"DATA"}:
                    self.say(self.world.manner.behind.encode())
                    continue
            going = act(rest.strip()) is not False if act else self.say(b"502 5.5.2 what?")
        self._part()

    def say(self, *lines: bytes) -> bool:
        self.world.note(self, b"< " + lines[-1])
        if not self.world.manner.drips:
            super().say(*lines)
        else:
            with self.saying:
                for line in lines:
                    for part in (line[:5], line[5:] + b"\r\n"):
                        self.said += len(part)
                        self.sock.sendall(part)
                        time.sleep(0.0005)
        if lines[-1][:1] in b"45":
            self._count_error(lines[-1])
        return True

    def _count_error(self, line: bytes) -> None:
        self.errors += 1
        if line.startswith(b"421 "):
            self._part()
        if 0 < self.world.manner.errors <= self.errors:
            self.errors = -1 << 30
            self.say(b"421 4.7.0 Error: too many errors")

    def _part(self) -> None:
        """Close in good order: what is unread when a socket is closed makes it a reset."""
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(1)
        while self.sock.recv(1 << 16):
            pass
        raise ConnectionAbortedError

    def _go_wrong(self, phase: str, number: int) -> bool:
        """Say what goes wrong here, if anything does; say whether that was all."""
        reply = self.world.strike(phase, number)
        return bool(reply) and self._do(reply)

    def _do(self, reply: str) -> bool:
        if reply == "hang up":
            self._part()
        if reply == "silent":
            while self.sock.recv(1 << 16):
                pass
            self._part()
        if reply != "nothing":
            self.say(reply.encode())
        return True

    # --- the dialogue -----------------------------------------------------------------------------------------------

    def _ehlo(self, _: bytes) -> None:
        offers = [b"250-PIPELINING"] if self.world.manner.pipelining else []
        self.say(b"250-odd.example", *offers, b"250-ENHANCEDSTATUSCODES", b"250 8BITMIME")

    def _mail(self, rest: bytes) -> None:
        sender = rest.partition(b"<")[2].rpartition(b">")[0]
        if self.sender is not None:
            self.say(b"503 5.5.1 Error: nested MAIL command")
            return
        self.number = numbered(sender)
        if self._used_up("MAIL") or self._go_wrong("MAIL", self.number):
            return
        if (refusal := self._bad(sender)) and self.world.manner.senders == "MAIL":
            self.say(refusal)
            return
        self.sender, self.recipients = sender, []
        self.say(b"250 2.1.0 ok")

    @staticmethod
    def _bad(sender: bytes) -> bytes:
        if b"-bad@" in sender:
            return b"550 5.1.8 <%b>: Sender address rejected: Domain not found" % sender
        return b"450 4.1.8 <%b>: Sender address rejected: Domain not found" % sender if b"-temp@" in sender else b""

    def _used_up(self, phase: str) -> bool:
        mails, (where, reply) = self.world.manner.mails, self.world.manner.used_up
        return 0 < mails <= self.took and phase == where and self._do(reply)

    def _rcpt(self, rest: bytes) -> None:
        who = rest.partition(b"<")[2].rpartition(b">")[0]
        self.world.at("rcpt")
        if self.sender is None:
            self.say(b"503 5.5.1 need MAIL command")
            return
        if self._used_up("RCPT") or self._go_wrong("RCPT", numbered(who)):
            return
        if (refusal := self._bad(self.sender)) or (refusal := self.world.refusal(who, "RCPT")):
            self.say(refusal)
        elif 0 < self.world.manner.people <= len(self.recipients):
            self.say(self.world.manner.crowd.encode())
        else:
            self.recipients.append(who)
            self.say(b"250 2.1.5 ok")

    def _data(self, _: bytes) -> None:
        if self.sender is None:
            self.say(b"503 5.5.1 need MAIL command")
            return
        if not self.recipients and not self.world.manner.polite:
            self.say(b"554 5.5.1 Error: no valid recipients")
            return
        self.world.at("data")
        number = numbered(self.recipients[0]) if self.recipients else 0
        if self._used_up("DATA") or self._go_wrong("DATA", number):
            return
        self.say(b"354 go on")
        content = self._content()
        self.world.at("dot")
        self._hear_what_is_early()
        if not self.recipients:
            self.sender = None
            self.say(b"554 5.5.1 Error: no valid recipients")
            return
        self._judge(content)

    def _hear_what_is_early(self) -> None:
        if self.world.manner.behind:
            time.sleep(MOMENT)
            self.early = self.ears.waiting()

    def _judge(self, content: bytes) -> None:
        found = ID.search(content)  # a letter about a mail holds another word
        number = int(found[1]) if found else 0
        for phase in ("dot", "content"):
            if self._go_wrong(phase, number):
                if not self.world.manner.stays_open:
                    self._over()
                return
        if self.world.manner.lmtp:
            self._judge_each(number, content)
        else:
            self._take(number, tuple(self.recipients), content)
        self._over()

    def _judge_each(self, number: int, content: bytes) -> None:
        """Say what becomes of each recipient; a 421 closes when all is said."""
        closing = False
        for at, who in enumerate(self.recipients):
            reply = self.world.strike("first dot", number) if not at else ""
            if at == 1 and self._go_wrong("second dot", number):
                continue
            if reply.startswith("421"):
                closing = True
                self.world.note(self, b"< " + reply.encode())
                WorldSmtp.say(self, reply.encode())
            elif reply:
                self._do(reply)
            elif refusal := self.world.refusal(who, "dot"):
                self.say(refusal)
            else:
                self._take(number, (who,), content)
        if closing:
            self._part()

    def _take(self, number: int, recipients: tuple[bytes, ...], content: bytes) -> None:  # type: ignore[override]
        letter = Sent(self.world.turn, self, recipients, content, sender=self.sender or b"")
        self.world.letters.append(letter)
        self.took += 1
        self.world.at("taken")
        letter.known = UNREAD  # nobody can know of it before its 250 is out (RFC 1047)
        if self._go_wrong("taken", number):
            return
        letter.known = ""
        with self.saying:
            self.say(b"250 2.0.0 taken")
            letter.said = self.said
        self.world.at("250 said")

    def _over(self) -> None:
        self.sender, self.recipients = None, []


def numbered(address: bytes) -> int:
    """Return the number of the mail whose sender or recipient this is, 0 for anybody else's."""
    found = NUMBERED.match(address)
    return int(found[1]) if found else 0


class OddSmtp(Smtp):
    """The receiver."""

    world: "OddReceivers"

    def talk(self, sock: socket.socket) -> Talk:
        talk = OddSmtpTalk(sock, self.tls, self.refused, self.taken)
        talk.world = self.world
        return self.world.enter(talk)


class OddReceivers(World):
    """An honest POP server, and a receiver that is as it is told to be."""

    def servers(self, accounts: Mapping[str, tuple[str, Iterable[bytes]]]) -> tuple[Pop, Smtp]:
        self.clear()
        return Pop(accounts), OddSmtp()

    def clear(self) -> None:
        """Begin anew."""
        self.manner = Manner()
        self.troubles: list[Trouble] = []
        self.plagues: list[Plague] = []
        self.told = []
        self.passes: dict[bytes, set[int]] = {}  # in which somebody was asked for
        self.struck: Counter[str] = Counter()
        self.connections: dict[int, int] = {}
        self._strikes = RLock()

    def note(self, talk: OddSmtpTalk, line: bytes) -> None:
        """Note what was said."""
        with self._strikes:
            name = self.connections.setdefault(id(talk), len(self.connections) + 1)
            self.told.append(f"{name}> {line.decode('latin-1')}")

    def strike(self, phase: str, number: int) -> str:
        """Return what goes wrong now, "" if nothing does."""
        with self._strikes:
            for trouble in self.troubles:
                if trouble.number == number and trouble.phase == phase:
                    return trouble.reply
            for at, plague in enumerate(self.plagues):
                if plague.phase == phase and plague.times:
                    if plague.skip:
                        self.plagues[at] = plague._replace(skip=plague.skip - 1)
                        continue
                    self.plagues[at] = plague._replace(times=plague.times - 1)
                    self.struck[phase] += 1
                    return plague.reply
        return ""

    def refusal(self, who: bytes, phase: str) -> bytes:
        """Return what refuses a recipient, b"" if nothing does."""
        found = ROLE.match(who)
        role, times = (found[1], int(found[2] or 0)) if found else (b"ok", 0)
        late = self.manner.lmtp and role.startswith(b"dot")
        if late != (phase == "dot"):
            return b""
        role = role.removeprefix(b"dot")
        if role == b"grey":
            asked = self.passes.setdefault(who, set())
            asked.add(self.turn)
            return b"450 4.7.1 come back later" if len(asked) <= times else b""
        return {b"no": b"550 5.1.1 nobody of that name", b"full": b"452 4.2.2 mailbox full"}.get(role, b"")

    def too_many(self) -> bool:
        """Say whether there are more connections than may be."""
        with self._changed:
            there = sum(isinstance(talk, OddSmtpTalk) for talk in self._talks)
        return 0 < self.manner.most < there
