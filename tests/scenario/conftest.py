"""What the scenarios share: one end is a small real server, the other plays the script of the test."""

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lib.delivery.queue import DeliveryQueue
from lib.delivery.queued import DeliveryRequest
from lib.smtp import verdict
from tests import talk
from tests.embedded import PopServer, SmtpServer
from tests.passes import Argument, Conf, Result, RunPass, account
from tests.peer import peer
from tests.played import Given


class Passed(NamedTuple):
    """A pass that has ended, and what its scripted peer heard: message data by name, and everything."""

    code: int
    out: str
    err: str
    data: dict[str, bytes]
    heard: bytes
    rounds: int


class Mailbox:
    """bob's mailbox, in a small POP3 server that keeps its messages from pass to pass."""

    def __init__(self, server: PopServer) -> None:
        self.server = server
        self.port = server.port
        self.handed = 0  # messages that came to wait for the receiver, in passes of this process

    def put(self, *mails: bytes) -> None:
        """Let mail come in; a UID is never used again."""
        box = self.server.mailboxes["bob"]
        for one in mails:
            self._last = getattr(self, "_last", 0) + 1
            box.messages[self._last] = one

    @property
    def left(self) -> list[bytes]:
        """What is still there."""
        return self.server.left("bob")

    def retrieved(self) -> int:
        """How many messages were ever downloaded."""
        return self.server.heard.count("RETR")

    def fetched(self, number: int) -> Given:
        """Return `all_fetched`, with which a script waits until so many more messages wait for the receiver."""
        until = self.handed + number

        def wait() -> None:
            end = time.monotonic() + 10
            while self.handed < until and time.monotonic() < end:
                time.sleep(0.01)

        return {"all_fetched": wait}


class Receiver:
    """Runs a pass over bob's mailbox into a scripted receiver."""

    def __init__(self, conf: Conf, run_pass: RunPass, mailbox: Mailbox) -> None:
        self.conf = conf
        self.work = conf.work
        self.run_pass = run_pass
        self.mailbox = mailbox

    def __call__(
        self,
        script: str,
        *words: Argument,
        option: str = "",
        tls: ssl.SSLContext | None = None,
        unix: Path | None = None,
        given: Given | None = None,
        **settings: object,
    ) -> Passed:
        with peer(script, tls=tls, unix=unix, given=given) as p:
            where = f"unix:{unix}" if unix else f"127.0.0.1:{p.port}"
            result: Result = self.run_pass(self.write(option, **{"pf_smtp_server": where, **settings}), *words)
        if unix:
            unix.unlink()
        return Passed(*result, p.data, p.heard, p.rounds)

    def write(self, option: str = "", **settings: object) -> Path:
        """Write dmail.conf."""
        return self.conf(account(self.mailbox.port, option), **settings)


def taken(smtp: SmtpServer, number: int) -> Callable[[], None]:
    """Return what waits until *smtp* has taken so many messages, and that is written down."""

    def wait() -> None:
        end = time.monotonic() + 10
        while len(smtp.taken) < number and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)

    return wait


class Server:
    """Runs a pass over a scripted POP server into a receiver that takes everything."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf = conf
        self.work = conf.work
        self.work = conf.work
        self.run_pass = run_pass
        self.smtp = smtp

    def taken(self, number: int) -> Callable[[], None]:
        """Return what a script may call to wait until the receiver has taken so many messages."""
        return taken(self.smtp, number)

    def __call__(
        self,
        script: str,
        *words: Argument,
        option: str = "to=b@example.org",
        line: str = "",
        tls: ssl.SSLContext | None = None,
        given: Given | None = None,
        **settings: object,
    ) -> Passed:
        with peer(script, tls=tls, given=given) as p:
            defaults = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", "pf_timeout": 5}
            user = line.format(port=p.port) if line else account(p.port, option)
            path = self.conf(user, **{**defaults, **settings})
            result: Result = self.run_pass(path, *words)
        return Passed(*result, p.data, p.heard, p.rounds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small servers end as soon as a test does, and a busy receiver be given less than a moment."""
    monkeypatch.setattr(talk, "POLL", 0.005)
    monkeypatch.setattr(verdict, "PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """Return bob's mailbox."""
    put = DeliveryQueue.put

    def counted(queue: DeliveryQueue, request: DeliveryRequest) -> int:
        waiting = put(queue, request)
        box.handed += 1
        return waiting

    monkeypatch.setattr(DeliveryQueue, "put", counted)
    with PopServer({"bob": ("geheim-bob", [])}) as server:
        box = Mailbox(server)
        yield box


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """Return a receiver that takes everything."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def receiver(conf: Conf, run_pass: RunPass, mailbox: Mailbox) -> Receiver:
    """Return what runs a pass over bob's mailbox against the script of a receiver."""
    return Receiver(conf, run_pass, mailbox)


@pytest.fixture
def server(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Server:
    """Return what runs a pass against the script of a POP server."""
    return Server(conf, run_pass, smtp)
