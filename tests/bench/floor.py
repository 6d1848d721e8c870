"""The floor: what Dovecot, the line and the receiver allow at best. No program can be faster and do the same work.

python floor.py POPHOST:PORT SMTPHOST:PORT PASSWORD SESSIONS CONNECTIONS [CAFILE] < account names

One thread, raw sockets, so many POP sessions at once, each with so many SMTP connections. After the greeting USER,
PASS, UIDL and LIST go out as one group, then RETR up to a window, envelope and content without waiting for any reply
(more than RFC 2920 allows), DELE and QUIT as soon as the verdicts are in. Nothing is looked at, kept on disk or
retried: any surprise ends it. The nanoseconds from the first connection to the last reply go to the file `dialogue`.
"""

import itertools
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

CHUNK = 256 * 1024
AHEAD = 1000  # RETRs that may be owed
GROUP = 100  # verdicts that make a group of DELEs
HIGH = 2 * CHUNK  # octets that may wait for the receiver before POP is no longer read
END = b"\r\n.\r\n"
REPLIES = 4  # to MAIL, RCPT, DATA and the content
Address = tuple[str, int]


class Task(NamedTuple):
    """What the command line says."""

    loop: selectors.BaseSelector
    pop: Address
    smtp: Address
    password: str
    connections: int
    tls: ssl.SSLContext | None


class Peer:
    """A non-blocking connection: what came in, what must go out."""

    def __init__(self, loop: selectors.BaseSelector, address: Address, tls: ssl.SSLContext | None = None) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self._loop = loop
        self._wanted = 0
        self._socket = socket.socket()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket.connect(address)
            self._socket = tls.wrap_socket(self._socket, server_hostname=address[0])
        self._socket.setblocking(False)
        if tls is None:
            self._socket.connect_ex(address)
        self._watch(selectors.EVENT_READ)

    def receive(self) -> None:
        """Take what there is; a TLS socket may hold more than the selector knows of."""
        while True:
            try:
                octets = self._socket.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            if not octets and not self.incoming:
                raise ConnectionError("closed by the peer")
            self.incoming += octets
            if not octets or not isinstance(self._socket, ssl.SSLSocket):
                return

    def flush(self, reading: bool = True) -> None:
        """Send what the socket takes now, and say what to wait for next."""
        if self.outgoing:
            try:
                with memoryview(self.outgoing) as view, view[:CHUNK] as chunk:
                    sent = self._socket.send(chunk)
            except (BlockingIOError, ssl.SSLWantWriteError):
                sent = 0
            del self.outgoing[:sent]
        wanted = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self.outgoing else 0)
        if wanted != self._wanted:
            self._watch(wanted)

    def close(self) -> None:
        self._watch(0)
        self._socket.close()

    def _watch(self, wanted: int) -> None:
        """Tell the selector what to wait for, which may be nothing."""
        if self._wanted:
            self._loop.unregister(self._socket)
        if wanted:
            self._loop.register(self._socket, wanted, self)
        self._wanted = wanted


class Smtp(Peer):
    """A connection to the receiver: everything is sent blindly, every fourth reply is a message's verdict."""

    def __init__(self, loop: selectors.BaseSelector, address: Address) -> None:
        super().__init__(loop, address)
        self.outgoing += b"HELO floor.example\r\n"
        self._replies = -2  # the greeting's and HELO's come first
        self._owed: deque[tuple[list[int], int]] = deque()

    def begin(self, recipient: bytes, number: int, accepted: list[int]) -> None:
        """Announce a message; its number goes to `accepted` when the receiver has taken it."""
        self._owed.append((accepted, number))
        self.outgoing += b"MAIL FROM:<bench@sender.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % recipient

    def receive(self) -> None:
        super().receive()
        *lines, self.incoming = self.incoming.split(b"\r\n")
        for line in lines:
            if not line.startswith((b"2", b"354")):
                raise ConnectionError(line.decode())
            self._replies += 1
            if self._replies > 0 and self._replies % REPLIES == 0:
                accepted, number = self._owed.popleft()
                accepted.append(number)


class Pop(Peer):
    """One POP session: its dialogue is a generator that is resumed whenever something has come in."""

    def __init__(self, task: Task, account: str, receivers: deque[Smtp]) -> None:
        super().__init__(task.loop, task.pop, task.tls)
        self.leaving = False  # QUIT is sent
        self.over = False
        self._task = task
        self._account = account
        self.receivers = receivers
        self._count = -1
        self._asked = self._fetched = self._deleted = 0
        self._accepted: list[int] = []
        self._owed: deque[bool] = deque()  # is it a message?
        self._dialogue = self._session()
        next(self._dialogue)

    def receive(self) -> None:
        super().receive()
        self.over = next(self._dialogue, self) is self

    def ask(self) -> None:
        """Send the RETRs that the window allows and the DELEs that the verdicts allow; at last QUIT."""
        if self._asked < self._count and self._asked - self._fetched <= AHEAD // 2:
            last = min(self._count, self._fetched + AHEAD)
            self.outgoing += b"".join(b"RETR %d\r\n" % number for number in range(self._asked + 1, last + 1))
            self._owed.extend([True] * (last - self._asked))
            self._asked = last
        done = self._deleted + len(self._accepted) == self._count
        if len(self._accepted) >= GROUP or done:
            self._deleted += len(self._accepted)
            self.outgoing += b"".join(b"DELE %d\r\n" % number for number in self._accepted)
            self._owed.extend([False] * len(self._accepted))
            self._accepted.clear()
        if done:
            self.outgoing += b"QUIT\r\n"
            self._owed.append(False)
            self.leaving = True

    def flush(self, reading: bool = True) -> None:
        if self._count >= 0 and not self.leaving:
            self.ask()
        super().flush(reading and not any(len(receiver.outgoing) > HIGH for receiver in self.receivers))

    def _session(self) -> Generator[None, None, None]:
        yield from self._line()
        self.outgoing += f"USER {self._account}\r\nPASS {self._task.password}\r\nUIDL\r\nLIST\r\n".encode()
        yield from self._line()
        yield from self._line()
        yield from self._listing()
        self._count = yield from self._listing()
        self.ask()
        while self._owed or not self.leaving:
            if not self._owed:  # verdicts are awaited
                yield
            elif self._owed.popleft():
                yield from self._message()
            else:
                yield from self._line()

    def _line(self, stays: int = 0) -> Generator[None, None, None]:
        """Take a status line, all but the last `stays` octets of it."""
        while (end := self.incoming.find(b"\r\n")) < 0:
            yield
        if not self.incoming.startswith(b"+OK"):
            raise ConnectionError(self.incoming[:end].decode())
        del self.incoming[: end + 2 - stays]

    def _listing(self) -> Generator[None, None, int]:
        yield from self._line(2)  # so that an empty listing ends in END as well
        while (end := self.incoming.find(END)) < 0:
            yield
        lines = self.incoming.count(b"\r\n", 0, end)
        del self.incoming[: end + len(END)]
        return lines

    def _message(self) -> Generator[None, None, None]:
        """Pass one message on as it comes; POP and SMTP stuff dots alike, so the octets are the same."""
        yield from self._line()
        receiver = self._receiver()
        self._fetched += 1
        receiver.begin(f"{self._account}@bench.example".encode(), self._fetched, self._accepted)
        while (end := self.incoming.find(END)) < 0:
            passed = max(0, len(self.incoming) - len(END))
            receiver.outgoing += self.incoming[:passed]
            del self.incoming[:passed]
            yield
        receiver.outgoing += self.incoming[: end + len(END)]
        del self.incoming[: end + len(END)]
        if self._asked < self._count and self._asked - self._fetched <= AHEAD // 2:
            self.ask()

    def _receiver(self) -> Smtp:
        """Take the connections in turn; they are opened with the first messages."""
        if len(self.receivers) < self._task.connections:
            self.receivers.append(Smtp(self._task.loop, self._task.smtp))
        self.receivers.rotate()
        return self.receivers[0]


def drain(task: Task, accounts: deque[str], sessions: int) -> None:
    """Drain all accounts, so many at once. Who only waits for the reply to QUIT makes room for the next."""
    places: list[deque[Smtp]] = [deque() for _ in range(sessions)]
    live: list[Pop] = []
    while accounts or live:
        taken = [id(pop.receivers) for pop in live if not pop.leaving]
        vacant = [place for place in places if id(place) not in taken]
        live += [Pop(task, accounts.popleft(), place) for place in vacant[: len(accounts)]]
        for key, events in task.loop.select():
            if events & selectors.EVENT_READ:
                key.data.receive()
        for pop in live:
            pop.flush()
        for receiver in itertools.chain(*places):
            receiver.flush()
        for pop in [each for each in live if each.over]:
            pop.close()
            live.remove(pop)
    for receiver in itertools.chain(*places):
        receiver.outgoing += b"QUIT\r\n"
        receiver.flush()
        receiver.close()


def address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main(pop: str, smtp: str, password: str, sessions: str, connections: str, *ca: str) -> None:
    tls = ssl.create_default_context(cafile=ca[0]) if ca else None
    accounts = deque(sys.stdin.read().split())
    with selectors.DefaultSelector() as loop:
        start = time.monotonic_ns()
        drain(Task(loop, address(pop), address(smtp), password, int(connections), tls), accounts, int(sessions))
        Path("dialogue").write_text(f"{time.monotonic_ns() - start}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
