"""A receiver, SMTP or LMTP, that says of one message what a case of the matrix says, and takes everything else."""

import re
import socket
from collections import Counter

from tests.embedded import SmtpServer, SmtpTalk
from tests.faults.matrix import CROWD, CUT, GO, NONE, OK, Case
from tests.talk import Talk

SENDER, OTHER, CARETAKER = b"picky@sender.example", b"other@sender.example", b"caretaker@case.example"
SUBJECT = re.compile(rb"^Subject: ([a-z]+)", re.MULTILINE)


def user(number: int) -> bytes:
    """Return the case's recipient of that place."""
    return b"r%d@case.example" % number


class PickyTalk(SmtpTalk):
    """Keeps to the case of its server while there is one."""

    server: "Picky"
    greeting = b""

    def play(self, heard: list[str]) -> None:
        case = self.case
        picky = {
            b"EHLO": self._to_ehlo,
            b"LHLO": self._to_ehlo,
            b"HELO": self._to_helo,
            b"AUTH": self._to_auth,
            b"MAIL": self._to_mail,
            b"RCPT": self._to_rcpt,
            b"DATA": self._to_data,
        }
        self.verbs = {**self.verbs, **picky}
        self.mine = False  # whether this transaction is the case's
        if case.greeting != CUT:
            self.greeting = case.greeting.encode()
            super().play(heard)

    @property
    def case(self) -> Case:
        return self.server.case or self.server.last.mended

    def _reply(self, word: str) -> bool:
        """Say *word*, or nothing where the case has it cut; say whether the session goes on, which 421 ends."""
        if word == CUT:
            return False
        self.say(word.encode())
        return not word.startswith("421")

    def _to_ehlo(self, _: bytes) -> bool:
        if self.case.hello != OK:
            return self._reply(self.case.hello)
        offers = [b"250-mx.example", b"250-8BITMIME"]
        offers += [b"250-PIPELINING"] if self.case.ahead else []
        offers += [b"250-AUTH PLAIN"] if self.case.auth else []
        return self.say(*offers, b"250 ENHANCEDSTATUSCODES")

    def _to_helo(self, _: bytes) -> bool:
        return self._reply(self.case.helo)

    def _to_auth(self, _: bytes) -> bool:
        return self._reply(self.case.auth or "235 welcome")

    def _to_mail(self, rest: bytes) -> bool:
        sender = rest.partition(b"<")[2].partition(b">")[0]
        self.mine = sender != OTHER
        words = {SENDER: self.case.mail, b"": self.case.null, OTHER: OK}
        word = words.get(sender, self.case.spare)
        if word == OK:
            self.sender, self.recipients = sender, []
        return self._reply(word)

    def _to_rcpt(self, rest: bytes) -> bool:
        who = rest.partition(b"<")[2].partition(b">")[0]
        word = self._of_recipient(who) if self.sender is not None else "503 5.5.1 MAIL first"
        if self.sender == SENDER and self.case.told:
            word = self.case.told
        if word == CROWD and not self.recipients:
            word = OK
        if word.startswith("25"):
            self.recipients.append(who)
        return self._reply(word)

    def _of_recipient(self, who: bytes) -> str:
        if who == CARETAKER:
            return self.case.caretaker or OK
        places = {user(number): word for number, word in enumerate(self.case.rcpts)}
        return places.get(who, OK) if self.mine else OK

    def _to_data(self, _: bytes) -> bool:
        if self.sender is None or not self.recipients:
            return self.say(b"554 5.5.1 nobody to deliver to")
        picky = self.mine and CARETAKER not in self.recipients
        word = self.case.data if picky else GO
        if word != GO:
            return self._reply(word)
        self.say(GO.encode())
        content = self._content()
        found = SUBJECT.search(content)
        name = found[1].decode() if found else ""
        everybody, self.sender, self.recipients = self.recipients, None, []
        if not self.server.lmtp:
            return self._verdict(self.case.dots[0] if picky else OK, name, everybody)
        return all(self._verdict(self._dot_of(who) if picky else OK, name, [who]) for who in everybody)

    def _dot_of(self, who: bytes) -> str:
        return dict(zip(map(user, range(3)), self.case.dots, strict=True))[who]

    def _verdict(self, word: str, name: str, who: list[bytes]) -> bool:
        if word.startswith("250"):
            self.server.came.update((name, one) for one in who)
        return self._reply(word) and word[:3] not in {NONE[:3], GO[:3], "503"}


class Picky(SmtpServer):
    """`came` counts what was taken, by subject and recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.case: Case | None = None
        self.last = Case()
        self.lmtp = False
        self.came: Counter[tuple[str, bytes]] = Counter()

    def begin(self, case: Case) -> None:
        """Keep to *case* from now on."""
        self.case = self.last = case
        self.lmtp = case.lmtp
        self.came.clear()

    def talk(self, sock: socket.socket) -> Talk:
        talk = PickyTalk(sock, self.tls, self.refused, self.taken)
        talk.server = self
        return talk
