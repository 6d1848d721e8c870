"""A receiver that takes every end of a message for one that any server was ever found to take (SMTP smuggling).

What it takes for the end is more than any single server does, so that a message which passes it as one message passes
all of them. It speaks SMTP or LMTP, and keeps every envelope command as it came.
"""

import re
import socket
from collections import Counter

from tests.embedded import Letter, SmtpServer, SmtpTalk
from tests.talk import Talk

END = re.compile(rb"(?:\r\n|\n|\r|\0)[\0 ]*\.[\0 ]*(?:\r\n|\n|\r(?=[^\n])|\0)")
LONGEST_END = 64  # octets of it that are looked for again when more has come


class CarelessTalk(SmtpTalk):
    """Ends a message where END is found first, and takes what follows for commands."""

    server: "Careless"

    def play(self, heard: list[str]) -> None:
        self.verbs = {**self.verbs, b"LHLO": self.verbs[b"EHLO"]}
        super().play(heard)

    def _mail(self, rest: bytes) -> None:
        self.server.commands.append(b"MAIL " + rest)
        super()._mail(rest)

    def _rcpt(self, rest: bytes) -> None:
        self.server.commands.append(b"RCPT " + rest)
        super()._rcpt(rest)

    def _content(self) -> bytes:
        data = bytearray(b"\r\n")
        while piece := self.lines.peek():
            known = len(data)
            data += piece
            if end := END.search(data, max(known - LONGEST_END, 0)):
                self.lines.read(end.end() - known)
                return bytes(data[2 : end.start() + 2]).replace(b"\r\n..", b"\r\n.")
            self.lines.read(len(piece))
        raise ConnectionError("the client broke off")


class Careless(SmtpServer):
    """`commands` holds MAIL and RCPT as they came, of all clients together."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[bytes] = []

    def talk(self, sock: socket.socket) -> Talk:
        talk = CarelessTalk(sock, self.tls, self.refused, self.taken)
        talk.server = self
        return talk

    def envelopes(self) -> Counter[tuple[bytes, tuple[bytes, ...]]]:
        """Return how often a message came from whom and for whom."""
        return Counter((letter.sender, letter.recipients) for letter in self.taken)

    def only(self) -> Letter:
        """Return the one message that came."""
        (letter,) = self.taken
        return letter
