"""A small real POP3 server and a small real SMTP server, of the standard library only.

The demo's two ends, and those of quick tests of whole passes. Both listen on a free port of loopback, serve each client
in a thread of its own, and keep what they know in memory. Neither is fit for anything else.
"""

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tests.talk import Server, Talk, stuffed

LIMIT = 100_000_000  # octets of a message, as SIZE says
MOST_LINES = 5_000_000


class Letter(NamedTuple):
    """What the SMTP server took responsibility for."""

    sender: bytes
    recipients: tuple[bytes, ...]
    content: bytes


class Mailbox:
    """One account's messages by number of arrival, from 1; a number is never used again."""

    def __init__(self, password: bytes, messages: Iterable[bytes]) -> None:
        self.password = password
        self.messages = dict(enumerate(messages, 1))
        self.lock = threading.Lock()


class PopTalk(Talk):
    """RFC 1939 with UIDL, RFC 2449 CAPA and PIPELINING, STLS, AUTH PLAIN."""

    greeting = b"+OK embedded POP3 server"
    unknown = b"-ERR not here"

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None, mailboxes: Mapping[str, Mailbox]) -> None:
        super().__init__(sock, tls)
        self.mailboxes = mailboxes
        self.mailbox: Mailbox | None = None
        self.user = ""
        self.uids: list[int] = []
        self.gone: set[int] = set()
        self.verbs = {
            b"CAPA": self._capa,
            b"STLS": lambda _: self.encrypt(b"+OK go on"),
            b"USER": self._user,
            b"PASS": lambda word: self._login(self.user, word),
            b"AUTH": self._auth,
            b"QUIT": self._quit,
        }
        self.inside = {
            b"STAT": lambda _: self.say(b"+OK %d %d" % (len(self._there()), sum(size for _, _, size in self._there()))),
            b"LIST": lambda _: self.say(b"+OK", *(b"%d %d" % (n, size) for n, _, size in self._there()), b"."),
            b"UIDL": lambda _: self.say(b"+OK", *(b"%d embedded-%d" % (n, uid) for n, uid, _ in self._there()), b"."),
            b"NOOP": lambda _: self.say(b"+OK"),
            b"RETR": self._retr,
            b"DELE": self._dele,
        }

    def close(self) -> None:
        if self.mailbox:
            self.mailbox.lock.release()
        super().close()

    def _capa(self, _: bytes) -> None:
        stls = [b"STLS"] if self.tls and not isinstance(self.sock, ssl.SSLSocket) else []
        self.say(b"+OK", b"UIDL", b"USER", b"SASL PLAIN", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", *stls, b".")

    def _user(self, name: bytes) -> None:
        self.user = name.decode("latin-1")
        self.say(b"+OK")

    def _auth(self, rest: bytes) -> None:
        coded = rest.partition(b" ")[2]
        if not coded:
            self.say(b"+ ")
            coded = self.lines.readline()
        _, user, password = base64.b64decode(coded).split(b"\0")
        self._login(user.decode("latin-1"), password)

    def _login(self, user: str, password: bytes) -> None:
        mailbox = self.mailboxes.get(user)
        if mailbox is None or mailbox.password != password:
            self.say(b"-ERR [AUTH] wrong user or password")
        elif not mailbox.lock.acquire(blocking=False):
            self.say(b"-ERR [IN-USE] somebody else reads this mailbox")
        else:
            self.mailbox = mailbox
            self.uids = sorted(mailbox.messages)
            self.verbs = {**self.verbs, **self.inside}
            self.say(b"+OK %d messages" % len(self.uids))

    def _there(self) -> list[tuple[int, int, int]]:
        """Return number, UID and size of what is not deleted."""
        assert self.mailbox
        sizes = ((n, uid, len(self.mailbox.messages[uid])) for n, uid in enumerate(self.uids, 1))
        return [row for row in sizes if row[1] not in self.gone]

    def _uid(self, number: bytes) -> int:
        """Return the UID that a number of the client's stands for; 0, and a complaint, if it stands for none."""
        at = int(number) - 1 if number.isdigit() else -1
        uid = self.uids[at] if 0 <= at < len(self.uids) else 0
        if uid and uid not in self.gone:
            return uid
        self.say(b"-ERR no such message")
        return 0

    def _retr(self, number: bytes) -> None:
        if self.mailbox and (uid := self._uid(number)):
            self.sock.sendall(b"+OK\r\n" + stuffed(self.mailbox.messages[uid]))

    def _dele(self, number: bytes) -> None:
        if uid := self._uid(number):
            self.gone.add(uid)
            self.say(b"+OK")

    def _quit(self, _: bytes) -> bool:
        for uid in self.gone:
            if self.mailbox:
                del self.mailbox.messages[uid]
        self.say(b"+OK bye")
        return False


class PopServer(Server):
    """Serves `{user: (password, messages)}`; `left(user)` is what is still there."""

    def __init__(
        self,
        accounts: Mapping[str, tuple[str, Iterable[bytes]]],
        tls: ssl.SSLContext | None = None,
        *,
        implicit: bool = False,
    ) -> None:
        super().__init__(tls, implicit=implicit)
        self.mailboxes = {user: Mailbox(word.encode(), messages) for user, (word, messages) in accounts.items()}

    def talk(self, sock: socket.socket) -> Talk:
        return PopTalk(sock, self.tls, self.mailboxes)

    def left(self, user: str) -> list[bytes]:
        return list(self.mailboxes[user].messages.values())


class SmtpTalk(Talk):
    """RFC 5321 with PIPELINING, 8BITMIME, SIZE and STARTTLS."""

    greeting = b"220 embedded.example ESMTP"
    unknown = b"502 5.5.1 not here"

    def __init__(
        self, sock: socket.socket, tls: ssl.SSLContext | None, refused: Mapping[bytes, bytes], taken: list[Letter]
    ) -> None:
        super().__init__(sock, tls)
        self.refused = refused
        self.taken = taken
        self.judge: Callable[[bytes], bytes] = lambda _: b""
        self.sender: bytes | None = None
        self.recipients: list[bytes] = []
        self.verbs = {
            b"EHLO": self._ehlo,
            b"HELO": lambda _: self.say(b"250 embedded.example"),
            b"STARTTLS": lambda _: self.encrypt(b"220 2.0.0 go on"),
            b"MAIL": self._mail,
            b"RCPT": self._rcpt,
            b"DATA": self._data,
            b"RSET": self._rset,
            b"NOOP": lambda _: self.say(b"250 2.0.0 ok"),
            b"QUIT": lambda _: self.say(b"221 2.0.0 bye") and False,
        }

    def _ehlo(self, _: bytes) -> None:
        more = [b"250-STARTTLS"] if self.tls and not isinstance(self.sock, ssl.SSLSocket) else []
        offers = [b"250-PIPELINING", b"250-8BITMIME", b"250-ENHANCEDSTATUSCODES", *more]
        self.say(b"250-embedded.example", *offers, b"250 SIZE %d" % LIMIT)

    def _rset(self, _: bytes) -> None:
        self.sender, self.recipients = None, []
        self.say(b"250 2.0.0 ok")

    def _mail(self, rest: bytes) -> None:
        self.sender, self.recipients = _path(rest), []
        self.say(b"250 2.1.0 ok")

    def _rcpt(self, rest: bytes) -> None:
        recipient = _path(rest)
        reply = self.refused.get(recipient, b"250 2.1.5 ok") if self.sender is not None else b"503 5.5.1 MAIL first"
        if reply.startswith(b"2"):
            self.recipients.append(recipient)
        self.say(reply)

    def _data(self, _: bytes) -> None:
        if self.sender is None or not self.recipients:
            self.say(b"554 5.5.1 nobody to deliver to")
            return
        self.say(b"354 go on")
        content = self._content()
        if refusal := self.judge(content):
            self.sender, self.recipients = None, []
            self.say(refusal)
            return
        self.taken.append(Letter(self.sender, tuple(self.recipients), content))
        self.sender, self.recipients = None, []
        self.say(b"250 2.0.0 taken as %d" % len(self.taken))

    def _content(self) -> bytes:
        """Take lines up to CRLF . CRLF, without the dots put in front of dots; of what has no end, only so much."""
        content: list[bytes] = []
        last = b"\r\n"
        while (line := self.lines.readline()) != b".\r\n" or not last.endswith(b"\r\n"):
            if not line:
                raise ConnectionError("the client broke off")
            if len(content) < MOST_LINES:
                content.append(line[1:] if line.startswith(b".") and last.endswith(b"\r\n") else line)
            last = line
        return b"".join(content)


def _path(rest: bytes) -> bytes:
    return rest.partition(b"<")[2].rpartition(b">")[0]


class SmtpServer(Server):
    """Takes all mail but that for *refused*, a table from address to reply; `taken` holds it.

    *judge* looks at a message's content and returns what refuses it, b"" for nothing.
    """

    def __init__(
        self,
        refused: Mapping[bytes, bytes] | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        implicit: bool = False,
        judge: Callable[[bytes], bytes] = lambda _: b"",
    ) -> None:
        super().__init__(tls, implicit=implicit)
        self.judge = judge
        self.refused = refused or {}
        self.taken: list[Letter] = []

    def talk(self, sock: socket.socket) -> Talk:
        talk = SmtpTalk(sock, self.tls, self.refused, self.taken)
        talk.judge = self.judge
        return talk
