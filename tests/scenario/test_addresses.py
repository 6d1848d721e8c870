"""A host with several addresses, of which not all answer: nobody waits for those that do not."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from lib.errors import StoppedError
from lib.net import sockets
from lib.net.wire import Wire
from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.peer import nobody
from tests.scenario.mails import mail

pytestmark = pytest.mark.usefixtures("secrets")

HOST = "pop.example.test"
Place = tuple[str, int]


@pytest.fixture
def silent() -> Iterator[Place]:
    """Return a place where nothing answers: it has a queue for one, which is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = ("127.0.0.1", listener.getsockname()[1])
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(place)
        time.sleep(0.1)
        yield place


@pytest.fixture
def refusing() -> Iterator[Place]:
    """Return a place where nobody listens."""
    with nobody() as port:
        yield "127.0.0.1", port


@pytest.fixture
def pop() -> Iterator[PopServer]:
    with PopServer({"bob": ("geheim-bob", [mail("Subject: one")])}) as server:
        yield server


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """Return what HOST resolves to; the test fills it."""
    found: list[Place] = []
    real = socket.getaddrinfo

    def resolve(host: object, *words: object, **more: object) -> Sequence[object]:
        if host not in (HOST, HOST.encode()):
            return real(host, *words, **more)  # type: ignore[arg-type]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place) for place in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return found


class Call:
    """Runs a pass over HOST; tells its exit code, its complaints, how long it took, and what arrived."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.smtp = conf, run_pass, smtp

    def __call__(self, timeout: int = 5) -> tuple[int, str, float]:
        line = account(110, "to=b@example.org tls=off", host=HOST)
        path = self.conf(line, pf_smtp_server=f"127.0.0.1:{self.smtp.port}", pf_timeout=timeout)
        began = time.monotonic()
        code, _, err = self.run_pass(path)
        return code, err, time.monotonic() - began


@pytest.fixture
def call(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Call:
    return Call(conf, run_pass, smtp)


def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(
    call: Call, places: list[Place], silent: Place, pop: PopServer
) -> None:
    places += [silent, ("127.0.0.1", pop.port)]
    code, err, seconds = call()
    assert (code, err, len(call.smtp.taken)) == (0, "", 1)
    assert sockets.STAGGER <= seconds < 4


def test_one_that_refuses_costs_nothing(call: Call, places: list[Place], refusing: Place, pop: PopServer) -> None:
    places += [refusing, refusing, ("127.0.0.1", pop.port)]
    code, err, _ = call()
    assert (code, err, len(call.smtp.taken)) == (0, "", 1)


def test_the_first_one_that_answers_is_taken_and_no_other_is_called(
    call: Call, places: list[Place], pop: PopServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "STAGGER", 5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        places += [("127.0.0.1", pop.port), other.getsockname()]
        assert call()[0] == 0
        with pytest.raises(BlockingIOError):
            other.accept()


def test_several_that_do_not_answer_are_waited_for_side_by_side(call: Call, places: list[Place], silent: Place) -> None:
    places += [silent] * 5
    code, err, seconds = call(timeout=1)
    assert code == 76
    assert "no answer in time" in err
    assert seconds < 1 + 5 * sockets.STAGGER + 2


def test_why_the_last_one_that_said_anything_refused_is_told(
    call: Call, places: list[Place], silent: Place, refusing: Place
) -> None:
    places += [silent, refusing]
    code, err, _ = call(timeout=1)
    assert code == 76
    assert "refused" in err


def test_a_host_without_an_address(call: Call, places: list[Place]) -> None:
    assert places == []
    code, err, _ = call()
    assert code == 76
    assert "it has no address" in err


def test_a_connection_that_nobody_wants_any_more_is_not_waited_for(silent: Place) -> None:
    began = time.monotonic()
    with pytest.raises(StoppedError):
        Wire.connect(*silent, 30, lambda: time.monotonic() - began > 0.3)
    assert time.monotonic() - began < 5
