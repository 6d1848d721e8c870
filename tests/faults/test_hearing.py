"""The final dot is out when a signal or a limit comes: the line goes down, and the verdict is heard all the same."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import popfetch_batch
from lib import halt
from lib.smtp import session
from tests.embedded import PopServer, SmtpServer
from tests.faults.lines import Line, awaited
from tests.passes import Conf, RunPass, StartPass, account
from tests.peer import Peer, peer

MAIL = b"Subject: one\r\n\r\nhello\r\n"
THINKING = 3.0  # seconds that the receiver thinks about the message
ENVELOPE = """
    S: 220 mx
    C* ?HLO *
    S: 250 mx
    C* MAIL *
    S: 250 ok
    C* RCPT *
    S: 250 ok
    C* RCPT *
    S: 250 ok
"""
DOTTED = "C: DATA\nS: 354 go on\nC. mail\n"
SMTP = f"{ENVELOPE}{DOTTED}-- call dotted\n"
LMTP = f"{ENVELOPE}{DOTTED}S: 250 taken\n-- call dotted\n"
TAKEN = f"-- sleep {THINKING}\nS: 250 taken\n-- stall"
DRIPS = "S> '250-no hurry\\r\\n'\n-- sleep 0.4\n" * 20


class Office:
    """Runs passes for bob's one message, over a line, into a scripted receiver."""

    def __init__(self, conf: Conf, line: Line, pop: PopServer) -> None:
        self.conf, self.line, self.pop = conf, line, pop
        self.dotted = conf.work / "dotted"

    def receiver(self, script: str) -> Peer:
        return peer(script, given={"dotted": self.dotted.touch}, wait=20)

    def written(self, port: int, **settings: object) -> Path:
        user = account(self.pop.port, "tls=off", "header=X-To")
        more = {"pf_smtp_server": f"127.0.0.1:{port}", **self.line.settings(), **settings}
        return self.conf(user, pf_dflt_address="boss@example.org", **more)

    def sent_again(self, run_pass: RunPass) -> int:
        """Return how many messages the next pass sends; it leaves nothing."""
        with SmtpServer() as smtp:
            assert run_pass(self.written(smtp.port, pf_dial_up=None, pf_dial_check=None, pf_dial_down=None)).code == 0
            assert self.pop.left("bob") == []
            return len(smtp.taken)


@pytest.fixture
def office(conf: Conf, tmp_path: Path) -> Iterator[Office]:
    boxes = {"bob": ("geheim-bob", [b"X-To: a@example.org, b@example.org\r\n" + MAIL])}
    with PopServer(boxes) as pop:
        yield Office(conf, Line(tmp_path / "line"), pop)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGHUP], [signal.SIGINT] * 3])
def test_after_a_signal(
    protocol: str, numbers: list[int], office: Office, start_pass: StartPass, run_pass: RunPass
) -> None:
    with office.receiver((LMTP if protocol == "lmtp" else SMTP) + TAKEN) as server:
        started = start_pass(office.written(server.port, pf_smtp_protocol=protocol))
        awaited(office.dotted.exists)
        for number in numbers:
            started.send_signal(number)
        began = time.monotonic()
        awaited(lambda: not office.line.is_up)
        assert time.monotonic() - began < THINKING - 0.5, "the line waits for the verdict"
        told = start_pass.finish(started)
    assert told.code in {0, 76}
    assert office.line.story == ["up", "down"]
    assert office.sent_again(run_pass) == 0


@pytest.mark.parametrize("setting", ["pf_time_limit", "ras_timeout"])
def test_after_a_limit(setting: str, office: Office, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popfetch_batch, "MINUTE", 1.0)
    monkeypatch.setattr(halt, "GRACE", 0.3)
    with office.receiver(LMTP + TAKEN) as server:
        path = office.written(server.port, pf_smtp_protocol="lmtp", **{setting: 1})
        assert run_pass(path).code in {0, 76}
    assert office.line.story == ["up", "down"]
    assert office.sent_again(run_pass) == 0


def test_a_verdict_that_does_not_come_is_not_waited_for_for_ever(
    office: Office, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(popfetch_batch, "MINUTE", 1.0)
    monkeypatch.setattr(popfetch_batch, "HEARING", 2.0)
    monkeypatch.setattr(halt, "GRACE", 0.3)
    began = time.monotonic()
    with office.receiver(f"{LMTP}-- stall") as server:
        told = run_pass(office.written(server.port, pf_smtp_protocol="lmtp", pf_time_limit=1))
    assert 2.5 < time.monotonic() - began < 8
    assert told.code in {75, 76}
    assert office.line.story == ["up", "down"]
    journal = (office.conf.work / "popfetch.journal").read_bytes()
    assert b"a@example.org" in journal, "the verdict that did come is written down"


def test_a_signal_before_the_dot_sends_none(office: Office, start_pass: StartPass, run_pass: RunPass) -> None:
    with office.receiver(f"{ENVELOPE}C: DATA\n-- call dotted\n-- stall") as server:
        started = start_pass(office.written(server.port))
        awaited(office.dotted.exists)
        began = time.monotonic()
        started.terminate()
        told = start_pass.finish(started)
    assert time.monotonic() - began < 8
    assert (told.code, office.line.story) == (75, ["up", "down"])
    assert office.sent_again(run_pass) == 1


@pytest.mark.parametrize("script", [DRIPS, f"S: 220 mx\nC* EHLO *\n{DRIPS}", f"{SMTP}{DRIPS}"])
def test_a_reply_that_drips_has_no_more_time_than_one_that_does_not(
    script: str, office: Office, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SILENCE", 2.0)
    began = time.monotonic()
    with office.receiver(f"{script}\n-- cut") as server:
        told = run_pass(office.written(server.port, pf_smtp_timeout=2))
        assert time.monotonic() - began < 5
    assert told.code == 75
