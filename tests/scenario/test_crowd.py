"""Servers that take so many sessions at once: every account has its turn in the pass, and later ones know."""

import socket
import ssl
import threading
import time
from contextlib import suppress

import pytest

from lib.run import turns
from lib.store import state
from lib.store.state import HostState
from tests.embedded import PopServer, PopTalk, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.pki import Pki
from tests.scenario.mails import mail
from tests.talk import Talk

USERS = [f"user{number}" for number in range(8)]


class Greets(Talk):
    """Turns away with a word."""

    def play(self, heard: list[str]) -> None:
        heard.append("(turned away)")
        self.say(b"-ERR too many connections from your address")


class Closes(Talk):
    """Turns away without one."""

    def play(self, heard: list[str]) -> None:
        heard.append("(turned away)")


class Slow(PopTalk):
    """Takes its time for a message; at the login it turns away whom the server has no place for."""

    def __init__(self, server: "Crowded", sock: socket.socket, *, counted: bool) -> None:
        super().__init__(sock, server.tls, server.mailboxes)
        self.server = server
        self.counted = counted

    def _retr(self, number: bytes) -> None:
        time.sleep(0.02)
        super()._retr(number)

    def _login(self, user: str, password: bytes) -> None:
        self.counted = self.counted or self.server.enter()
        if self.counted:
            super()._login(user, password)
        else:
            self.server.heard.append("(turned away)")
            self.say(self.server.words)

    def _quit(self, rest: bytes) -> bool:
        self._leave()  # before anybody may hear that there is a place
        return super()._quit(rest)

    def close(self) -> None:
        super().close()
        self._leave()

    def _leave(self) -> None:
        if self.counted:
            self.counted = False
            self.server.leave()


class Crowded(PopServer):
    """Has USERS, who have a few messages each, and takes *most* sessions.

    *how* are the others turned away: by whom right away, or with which words at the login.
    """

    def __init__(self, most: int, how: type[Talk] | bytes, tls: ssl.SSLContext | None = None) -> None:
        boxes = {user: (f"geheim-{user}", [mail(f"Subject: {user} {n}") for n in range(4)]) for user in USERS}
        super().__init__(boxes, tls, implicit=tls is not None)
        self.most, self.how = most, how
        self.words = how if isinstance(how, bytes) else b""
        self.now = self.peak = 0
        self.guard = threading.Lock()

    def talk(self, sock: socket.socket) -> Talk:
        if isinstance(self.how, bytes):
            return Slow(self, sock, counted=False)
        return Slow(self, sock, counted=True) if self.enter() else self.how(sock, self.tls)

    def enter(self) -> bool:
        with self.guard:
            if self.now >= self.most:
                return False
            self.now += 1
            self.peak = max(self.peak, self.now)
            return True

    def leave(self) -> None:
        with self.guard:
            self.now -= 1

    @property
    def turned_away(self) -> int:
        return self.heard.count("(turned away)")

    def put(self) -> None:
        """Let one more message come for everybody."""
        for user, box in self.mailboxes.items():
            box.messages[len(box.messages) + 100] = mail(f"Subject: {user} more")


class Shut(Crowded):
    """Does not even listen while it is full, as behind a firewall that refuses connections."""

    def __init__(self, most: int) -> None:
        super().__init__(most, Closes)
        self.place = ("", 0)

    def _accept(self) -> None:
        self.place = self._listener.getsockname()
        self._listener.close()
        while not self._over.is_set():
            if self.now < self.most:
                self._listen()
            time.sleep(0.002)

    def _listen(self) -> None:
        with socket.create_server(self.place, backlog=0) as self._listener:
            self._listener.settimeout(0.05)
            while self.now < self.most and not self._over.is_set():
                with suppress(TimeoutError):
                    self._start(self._serve, self._listener.accept()[0])
                    time.sleep(0.01)  # until it is counted


class Pass:
    """Runs a pass over all USERS of a server."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.smtp = conf, run_pass, smtp

    def __call__(self, port: int, options: str = "", **settings: object) -> tuple[int, str, str]:
        lines = [account(port, f"to={user}@example.org {options}", user=user) for user in USERS]
        return self.run_pass(self.conf(*lines, pf_smtp_server=f"127.0.0.1:{self.smtp.port}", **settings))

    def known(self, port: int) -> HostState:
        return state.load(self.conf.work / "popfetch_state.toml").hosts.get(f"127.0.0.1:{port}", HostState())


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no server to notice what these do at once."""
    monkeypatch.setattr(turns, "BREATH", 0.02)


@pytest.fixture
def drain(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Pass:
    return Pass(conf, run_pass, smtp)


@pytest.mark.parametrize(
    "how",
    [
        Greets,
        Closes,
        b"-ERR [SYS/TEMP] too many connections",
        b"-ERR Maximum number of connections from user+IP exceeded",
        b"-ERR [IN-USE] too many simultaneous sessions",
    ],
)
@pytest.mark.parametrize("most", [1, 4])
def test_all_are_fetched_in_one_pass_and_the_next_one_knows_the_number(
    drain: Pass, how: type[Talk] | bytes, most: int
) -> None:
    with Crowded(most, how) as server:
        assert drain(server.port) == (0, "", "")
        assert len(drain.smtp.taken) == 4 * len(USERS)
        assert server.turned_away > 0
        assert 1 <= drain.known(server.port).sessions <= most
        server.heard.clear()
        server.put()
        assert drain(server.port) == (0, "", "")
        assert len(drain.smtp.taken) == 5 * len(USERS)
        assert server.turned_away == 0


def test_one_that_hangs_up_before_tls(drain: Pass, pki: Pki) -> None:
    with Crowded(3, Closes, pki.good) as server:
        assert drain(server.port, "tls=implicit", pf_tls_ca=pki.ca) == (0, "", "")
        assert len(drain.smtp.taken) == 4 * len(USERS)
        assert server.turned_away > 0
        assert 1 <= drain.known(server.port).sessions <= 3


def test_one_that_refuses_the_connection(drain: Pass) -> None:
    with Shut(2) as server:
        # Who is in its queue when it shuts hears nothing.
        assert drain(server.port, pf_timeout=1) == (0, "", "")
        assert len(drain.smtp.taken) == 4 * len(USERS)
        assert 1 <= drain.known(server.port).sessions < len(USERS)


def test_who_takes_all_is_asked_for_all_at_once(drain: Pass) -> None:
    with Crowded(len(USERS), Closes) as server:
        assert drain(server.port) == (0, "", "")
        assert (server.turned_away, server.peak > 4) == (0, True)
        assert drain.known(server.port) == HostState()


@pytest.mark.parametrize("how", [Greets, Closes])
def test_who_takes_nobody_is_called_once_by_each(drain: Pass, how: type[Talk]) -> None:
    with Crowded(0, how) as server:
        code, _, err = drain(server.port)
        assert (code, len(err.splitlines())) == (76, len(USERS))
        assert server.turned_away == len(USERS)
        assert drain.known(server.port) == HostState()


def test_words_of_the_mailbox_say_nothing_of_the_server(drain: Pass) -> None:
    with Crowded(4, b"-ERR [SYS/TEMP] no index") as server:
        code, _, err = drain(server.port)
        assert (code, len(err.splitlines())) == (76, server.turned_away)
        assert drain.known(server.port) == HostState()


def test_a_wrong_password_is_sent_once_also_in_a_crowd(drain: Pass) -> None:
    with Crowded(8, Closes) as server:
        for box in server.mailboxes.values():
            box.password = b"another"
        assert drain(server.port)[0] == 77
        assert server.heard.count("PASS") == len(USERS)
