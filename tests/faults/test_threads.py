"""The system gives no further thread, from some number on: the pass ends, and nothing is lost or comes twice."""

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, Result, RunPass, account

MAILS = [b"Subject: %d\r\n\r\nhello\r\n" % number for number in range(3)]
Starve = Callable[[str, int], None]


@pytest.fixture
def starve(monkeypatch: pytest.MonkeyPatch) -> Starve:
    """Return what lets so many threads start whose name begins so, and no further one."""
    real = threading.Thread.start

    def refuse(name: str, most: int) -> None:
        left = [most]

        def start(thread: threading.Thread) -> None:
            if thread.name.startswith(name):
                left[0] -= 1
                if left[0] < 0:
                    raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    return refuse


class Town:
    """Runs passes for a few mailboxes."""

    def __init__(self, conf: Conf, run_pass: RunPass, pop: PopServer, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.pop, self.smtp = conf, run_pass, pop, smtp

    def __call__(self, **settings: object) -> Result:
        users = [account(self.pop.port, "tls=off", "to=b@example.org", user=user) for user in ("bob", "eve", "ann")]
        return self.run_pass(self.conf(*users, pf_smtp_server=f"127.0.0.1:{self.smtp.port}", **settings))

    @property
    def left(self) -> int:
        return sum(len(self.pop.left(user)) for user in ("bob", "eve", "ann"))


@pytest.fixture
def town(conf: Conf, run_pass: RunPass) -> Iterator[Town]:
    boxes = {user: (f"geheim-{user}", MAILS) for user in ("bob", "eve", "ann")}
    with PopServer(boxes) as pop, SmtpServer() as smtp:
        yield Town(conf, run_pass, pop, smtp)


@pytest.mark.parametrize("name", ["fetcher", "delivery"])
def test_without_any_the_pass_ends_with_a_complaint_and_the_next_one_does_the_work(
    name: str, town: Town, starve: Starve, monkeypatch: pytest.MonkeyPatch
) -> None:
    starve(name, 0)
    told = town()
    monkeypatch.undo()
    assert (told.code, town.smtp.taken) == (75, [])
    assert [line for line in told.err.splitlines() if "no further thread" in line] == told.err.splitlines()[:1]
    for _ in range(2):
        assert town().code == 0
    assert (len(town.smtp.taken), town.left) == (9, 0)


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("name", ["fetcher", "delivery"])
def test_with_fewer_it_goes_on(name: str, most: int, town: Town, starve: Starve) -> None:
    starve(name, most)
    assert town(pf_parallel=3) == Result(0, "", "")
    assert (len(town.smtp.taken), town.left) == (9, 0)


def test_a_name_is_looked_up_all_the_same(town: Town, starve: Starve, conf: Conf) -> None:
    starve("aside", 0)
    line = account(town.pop.port, "tls=off", "to=b@example.org", host="localhost")
    assert town.run_pass(conf(line, pf_smtp_server=f"127.0.0.1:{town.smtp.port}")) == Result(0, "", "")
    assert len(town.smtp.taken) == 3


def test_outgoing_mail_that_gets_none_is_told_of_and_holds_nobody(town: Town, starve: Starve) -> None:
    starve("run_command", 0)
    assert town(pf_dial_check="true", pf_online_command="true") == Result(0, "", "")
    assert "job=run_command failed=" in (town.conf.work / "popfetch.log").read_text()
    assert len(town.smtp.taken) == 9
