"""Servers that refuse to give messages: one of them is its own matter, all of them are the server's."""

import socket
from collections.abc import Callable

import pytest

from tests.embedded import PopServer, PopTalk, SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.scenario.mails import mail
from tests.talk import Talk

REFUSED = b"-ERR [SYS/TEMP] you are over your quota"


class Grudging(PopTalk):
    """Gives what its server says."""

    def __init__(self, server: "Quota", sock: socket.socket) -> None:
        super().__init__(sock, None, server.mailboxes)
        self.server = server

    def _capa(self, rest: bytes) -> None:
        if self.server.pipelining:
            super()._capa(rest)
        else:
            self.say(b"-ERR")

    def _retr(self, number: bytes) -> None:
        self.server.asked += 1
        uid = self.uids[int(number) - 1]
        if self.server.gives(uid):
            super()._retr(number)
        else:
            self.say(REFUSED)


class Quota(PopServer):
    """Has so many messages of bob's; *gives* says which, by their number of arrival."""

    def __init__(self, messages: int, gives: Callable[[int], bool], *, pipelining: bool) -> None:
        super().__init__({"bob": ("geheim-bob", [mail(f"Subject: {n}") for n in range(1, messages + 1)])})
        self.gives, self.pipelining, self.asked = gives, pipelining, 0

    def talk(self, sock: socket.socket) -> Talk:
        return Grudging(self, sock)


class Drain:
    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.smtp = conf, run_pass, smtp

    def __call__(self, server: Quota) -> Result:
        server.asked = 0
        return self.run_pass(self.conf(account(server.port, "to=b@example.org"), pf_smtp_server=self.place))

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.smtp.port}"


@pytest.fixture
def drain(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Drain:
    return Drain(conf, run_pass, smtp)


@pytest.mark.parametrize(("pipelining", "most"), [(False, 7), (True, 24)])
@pytest.mark.parametrize("given", [0, 30])
def test_a_server_over_its_quota_is_not_asked_for_the_rest(
    drain: Drain, given: int, pipelining: bool, most: int
) -> None:
    with Quota(400, lambda uid: uid <= given, pipelining=pipelining) as server:
        passed = drain(server)
        assert passed.code == 76
        assert "refuses one message after another" in passed.err
        assert "over your quota" in passed.err
        assert len(drain.smtp.taken) == given
        assert given < server.asked <= given + most + (given and pipelining) * 40  # what was on its way
        server.gives = lambda _uid: True
        assert drain(server) == (0, "", "")
        assert len(drain.smtp.taken) == 400
        assert server.left("bob") == []


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_row_of_messages_that_are_never_given_holds_up_no_other(drain: Drain, pipelining: bool) -> None:
    with Quota(60, lambda uid: not 20 < uid <= 32, pipelining=pipelining) as server:
        for _ in range(2):
            assert drain(server).code == 76
        assert len(drain.smtp.taken) == 48
        assert len(server.left("bob")) == 12


@pytest.mark.parametrize("pipelining", [False, True])
def test_refusals_here_and_there_make_nobody_stop(drain: Drain, pipelining: bool) -> None:
    with Quota(60, lambda uid: uid % 3 == 0, pipelining=pipelining) as server:
        passed = drain(server)
        assert passed.code == 76
        assert "one message after another" not in passed.err
        assert (len(drain.smtp.taken), server.asked) == (20, 60)
