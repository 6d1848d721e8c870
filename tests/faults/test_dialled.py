"""Whole passes over a line of ours: every rule of the line, with commands that raise and drop a flag file."""

import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.faults.lines import DROPS, PATIENCE, RAISES, Line, awaited, sh
from tests.passes import Conf, Result, RunPass, StartPass, account
from tests.peer import nobody, peer
from tests.scenario.pop import LOGIN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the line's commands are a POSIX shell's")

NOTHING = Result(0, "", "")
ONE, TWO = (b"X-Rcpt-To: b@example.org\r\nSubject: %b\r\n\r\nhello\r\n" % subject for subject in (b"one", b"two"))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path / "line")


@pytest.fixture
def pop() -> Iterator[PopServer]:
    with PopServer({"bob": ("geheim-bob", [ONE, TWO])}) as server:
        yield server


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


class Write:
    """Writes a dmail.conf with the line, bob's mailbox and the receiver."""

    def __init__(self, conf: Conf, line: Line, pop: PopServer, smtp: SmtpServer) -> None:
        self.conf, self.line, self.pop, self.smtp = conf, line, pop, smtp

    def __call__(self, port: int = 0, up: str = RAISES, down: str = DROPS, **settings: Any) -> Path:
        more = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", **self.line.settings(up, down), **settings}
        return self.conf(account(port or self.pop.port, "to=b@example.org"), **more)

    @property
    def log(self) -> str:
        return (self.conf.work / "popfetch.log").read_text()

    @property
    def marked(self) -> bool:
        return (self.conf.work / "popfetch.line").exists()


@pytest.fixture
def write(conf: Conf, line: Line, pop: PopServer, smtp: SmtpServer) -> Write:
    return Write(conf, line, pop, smtp)


# --- own dial, own hang-up -------------------------------------------------------------------------------------------


def test_a_line_that_is_open_is_used_and_left_alone(
    write: Write, line: Line, smtp: SmtpServer, run_pass: RunPass
) -> None:
    line.flag.touch()
    assert run_pass(write()) == NOTHING
    assert (len(smtp.taken), line.is_up, line.story) == (2, True, [])
    assert 'ours=no note="found open"' in write.log


def test_ours_is_hung_up_after_success_and_the_log_tells_what_it_was_good_for(
    write: Write, line: Line, smtp: SmtpServer, run_pass: RunPass
) -> None:
    assert run_pass(write()) == NOTHING
    assert (len(smtp.taken), line.is_up, line.story) == (2, False, ["up", "down"])
    (told,) = [row for row in write.log.splitlines() if "line=down" in row]
    assert f" messages=2 octets={len(ONE) + len(TWO)} seconds_each=" in told
    assert told.endswith('ended="all fetched"')
    assert not write.marked


def test_ours_is_hung_up_after_every_account_has_failed(write: Write, line: Line, run_pass: RunPass) -> None:
    with nobody() as port:
        result = run_pass(write(port))
    assert result.code == 76
    assert line.story == ["up", "down"]
    assert 'messages=0 octets=0 ended="1 of 1 accounts failed"' in write.log


def test_ours_is_hung_up_after_a_bug(
    write: Write, line: Line, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.run import batch

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(batch.Batch, "drain", broken)
    result = run_pass(write())
    assert (result.code, line.story) == (70, ["up", "down"])
    assert not write.marked


def test_a_session_that_a_signal_has_cut_is_not_opened_again(write: Write, line: Line, start_pass: StartPass) -> None:
    with peer("S: +OK\nC: CAPA\n-- stall") as p:
        started = start_pass(write(p.port))
        awaited(lambda: b"CAPA" in p.heard)
        started.terminate()
        assert start_pass.finish(started).code == 76
    assert line.story == ["up", "down"]


def test_a_wrong_password_is_said_once_and_the_line_is_hung_up(write: Write, line: Line, run_pass: RunPass) -> None:
    with peer(LOGIN.rstrip().removesuffix("+OK") + "-ERR [AUTH] no\n-- expect-close") as p:
        result = run_pass(write(p.port))
    assert (result.code, line.story) == (77, ["up", "down"])


# --- signals and deadlines -------------------------------------------------------------------------------------------

SLOW = f"""
    {LOGIN}
    C: UIDL
    -- stall
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ours_is_hung_up_when_a_signal_ends_the_pass(
    number: signal.Signals, write: Write, line: Line, start_pass: StartPass
) -> None:
    with peer(SLOW) as p:
        started = start_pass(write(p.port))
        awaited(lambda: b"UIDL" in p.heard)
        assert line.is_up
        began = time.monotonic()
        started.send_signal(number)
        result = start_pass.finish(started)
    assert time.monotonic() - began < 10
    assert (result.code, line.story, write.marked) == (76, ["up", "down"], False)
    assert 'ended="stopped by a signal"' in write.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_dialling_ends_the_dial_and_hangs_up(
    number: signal.Signals, write: Write, line: Line, start_pass: StartPass
) -> None:
    began = time.monotonic()
    started = start_pass(write(up=f"{RAISES}; sleep 60"))
    awaited(lambda: line.is_up)
    started.send_signal(number)
    result = start_pass.finish(started)
    assert time.monotonic() - began < 20
    assert (result.code, line.story, write.marked) == (69, ["up", "down"], False)


@pytest.mark.parametrize("setting", ["ras_timeout", "pf_time_limit"])
def test_ours_is_hung_up_when_its_time_is_over(
    setting: str, write: Write, line: Line, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    import popfetch_batch
    from lib import halt

    monkeypatch.setattr(popfetch_batch, "MINUTE", 0.5)
    monkeypatch.setattr(halt, "GRACE", 0.3)
    with peer(SLOW) as p:
        result = run_pass(write(p.port, RAISES, DROPS, **{setting: 1}))
    assert (result.code, line.story, write.marked) == (76, ["up", "down"], False)
    assert setting in result.err
    assert f'ended="cut short by {setting}"' in write.log


def test_ras_timeout_does_not_count_for_somebody_elses_line(
    write: Write, line: Line, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    import popfetch_batch

    monkeypatch.setattr(popfetch_batch, "MINUTE", 0.000_001)
    line.flag.touch()
    assert run_pass(write(ras_timeout=1)) == NOTHING


# --- when there is no use in a line, or none to be had ---------------------------------------------------------------


def test_nothing_is_dialled_while_the_receiver_is_down(write: Write, line: Line, run_pass: RunPass) -> None:
    with nobody() as port:
        result = run_pass(write(pf_smtp_server=f"127.0.0.1:{port}"))
    assert (result.code, line.story) == (75, [])
    assert write.pop.heard == []


def test_nothing_is_dialled_while_the_receiver_refuses_everybody(write: Write, line: Line, run_pass: RunPass) -> None:
    with peer("S: 421 too busy\nC: QUIT\n-- expect-close") as p:
        result = run_pass(write(pf_smtp_server=f"127.0.0.1:{p.port}"))
    assert (result.code, line.story) == (75, [])


def test_a_dial_that_fails_is_said_and_hung_up(write: Write, line: Line, run_pass: RunPass) -> None:
    result = run_pass(write(up=f"{RAISES}; echo no carrier; exit 3"))
    assert (result.code, line.story, write.marked) == (69, ["up", "down"], False)
    assert "no carrier" in result.err
    assert write.pop.heard == []


def test_a_line_that_does_not_come_is_given_up_and_hung_up(
    write: Write, line: Line, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.line import command

    monkeypatch.setattr(command, "COME_LIMIT", 0.5)
    monkeypatch.setattr(command, "ASK_EVERY", 0.1)
    result = run_pass(write(up='echo up >> "$0.story"'))
    assert (result.code, line.story) == (69, ["up", "down"])
    assert "pf_dial_check saw no line" in result.err


def test_without_a_command_that_raises_it_a_line_that_is_down_is_no_line(write: Write, run_pass: RunPass) -> None:
    result = run_pass(write(pf_dial_up=None, pf_dial_down=None))
    assert result.code == 69
    assert "there is no pf_dial_up" in result.err


def test_a_line_that_cannot_be_hung_up_is_told_of_and_remembered(write: Write, line: Line, run_pass: RunPass) -> None:
    from lib.line import command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "GO_LIMIT", 0.2)
        assert run_pass(write(down="exit 1")).code == 0
    assert line.is_up
    assert write.marked
    assert "it could not be hung up" in write.log


# --- somebody else is bringing it up ---------------------------------------------------------------------------------


class Late(PopServer):
    """Has its port from the beginning, and listens there only inside its `with`."""

    def __init__(self, accounts: Mapping[str, tuple[str, Iterable[bytes]]]) -> None:
        super().__init__(accounts)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._listener.listen()
        self._listener.settimeout(0.05)
        self._start(self._accept)
        return self


def test_a_line_that_somebody_else_is_bringing_up_gets_a_second_try(
    write: Write, line: Line, smtp: SmtpServer, start_pass: StartPass
) -> None:
    line.flag.touch()
    late = Late({"bob": ("geheim-bob", [ONE])})
    started = start_pass(write(late.port, pf_retry_delay=2))
    awaited(lambda: (write.conf.work / "popfetch.log").exists() and "found open" in write.log)
    time.sleep(0.7)
    with late:
        assert start_pass.finish(started) == NOTHING
    assert (len(smtp.taken), line.is_up, line.story) == (1, True, [])


def test_over_a_line_of_ours_nobody_waits_for_a_second_try(write: Write, line: Line, run_pass: RunPass) -> None:
    began = time.monotonic()
    with nobody() as port:
        result = run_pass(write(port, pf_retry_delay=60))
    assert (result.code, line.story) == (76, ["up", "down"])
    assert time.monotonic() - began < 30


def test_without_a_line_nobody_waits_for_a_second_try(conf: Conf, smtp: SmtpServer, run_pass: RunPass) -> None:
    began = time.monotonic()
    with nobody() as port:
        path = conf(account(port, "to=b@x"), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_retry_delay=60)
        assert run_pass(path).code == 76
    assert time.monotonic() - began < 30


# --- the line is down while the receiver still swallows --------------------------------------------------------------

HELD = """
    S: 220 mx.example
    C* EHLO *
    S: 250 mx.example
    C* MAIL FROM:*
    S: 250 ok
    C* RCPT TO:*
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [one]
    -- call held
    S: 250 taken
    C* MAIL FROM:*
    S: 250 ok
    C* RCPT TO:*
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [two]
    S: 250 taken
    C: QUIT
"""


def test_the_line_is_down_before_the_last_messages_are_delivered(write: Write, line: Line, run_pass: RunPass) -> None:
    seen: list[list[str]] = []

    def held() -> None:
        awaited(lambda: line.story == ["up", "down"])
        seen.append(line.story)

    with peer(HELD, given={"held": held}, wait=PATIENCE + 5) as p:
        path = write(pf_smtp_server=f"127.0.0.1:{p.port}")
        assert run_pass(path) == NOTHING
        assert len(p.data) == 2
    assert seen == [["up", "down"]]
    assert len(write.pop.left("bob")) == 2  # their deletion is for the next pass
    assert run_pass(write()) == NOTHING
    assert (write.pop.left("bob"), write.smtp.taken, line.story) == ([], [], ["up", "down"] * 2)


# --- an orphan -------------------------------------------------------------------------------------------------------


@pytest.fixture
def orphan(write: Write, line: Line, start_pass: StartPass) -> Line:
    """Return a line that a pass has raised which was then killed."""
    with peer(SLOW) as p:
        started = start_pass(write(p.port))
        awaited(lambda: b"UIDL" in p.heard)
        started.kill()
        start_pass.finish(started)
    assert (line.is_up, write.marked, line.story) == (True, True, ["up"])
    return line


def test_the_line_of_a_killed_pass_is_hung_up_before_anything_else(
    orphan: Line, write: Write, run_pass: RunPass
) -> None:
    assert run_pass(write()) == NOTHING
    assert (len(write.smtp.taken), orphan.story, write.marked) == (2, ["up", "down", "up", "down"], False)
    assert "left over from an earlier pass" in write.log


def test_it_is_hung_up_although_no_pass_is_due(orphan: Line, write: Write, run_pass: RunPass) -> None:
    assert run_pass(write(), "--scheduled") == NOTHING
    assert (write.smtp.taken, orphan.story, write.marked) == ([], ["up", "down"], False)


def test_it_is_hung_up_although_the_receiver_is_down(orphan: Line, write: Write, run_pass: RunPass) -> None:
    with nobody() as port:
        run_pass(write(pf_smtp_server=f"127.0.0.1:{port}"))
    assert (orphan.story, write.marked) == (["up", "down"], False)


def test_it_is_hung_up_although_the_safety_net_has_tripped(orphan: Line, write: Write, run_pass: RunPass) -> None:
    (write.conf.work / "popfetch_state.toml").write_text("damaged = = yes")
    assert run_pass(write()).code == 79
    assert (write.smtp.taken, orphan.story, write.marked) == ([], ["up", "down"], False)


def test_it_is_left_alone_when_it_has_gone_by_itself(orphan: Line, write: Write, run_pass: RunPass) -> None:
    orphan.flag.unlink()
    assert run_pass(write()) == NOTHING
    assert (len(write.smtp.taken), orphan.is_up, write.marked) == (2, False, False)


@pytest.mark.parametrize(
    "more", [["pf_user"], ["pf_parallel many"], ["pf_no_such_setting_of_ours 1", "pf_window 0"]], ids=str
)
def test_it_is_hung_up_although_dmail_conf_is_broken(
    more: list[str], orphan: Line, write: Write, run_pass: RunPass
) -> None:
    path = write()
    path.write_text(path.read_text() + "\n".join(more) + "\n")
    assert run_pass(path).code == 78
    assert (write.smtp.taken, orphan.story, write.marked) == ([], ["up", "down"], False)


@pytest.mark.parametrize("broken", ["popfetch.lock", "popfetch.journal", "popfetch_state.toml", "msg.dat"])
def test_it_is_hung_up_although_a_file_of_ours_is_none(
    broken: str, orphan: Line, write: Write, run_pass: RunPass
) -> None:
    path = write.conf.work / broken
    path.unlink(missing_ok=True)
    path.mkdir()
    assert run_pass(write()).code == 74
    assert (orphan.story[:2], orphan.is_up, write.marked) == (["up", "down"], False, False)


def test_it_is_hung_up_although_there_can_be_no_log(
    orphan: Line, write: Write, run_pass: RunPass, tmp_path: Path
) -> None:
    assert run_pass(write(log_path=tmp_path / "no such folder")).code == 74
    assert (write.smtp.taken, orphan.story, write.marked) == ([], ["up", "down"], False)


def test_it_is_left_to_the_pass_that_runs(write: Write, line: Line, start_pass: StartPass, run_pass: RunPass) -> None:
    with peer(SLOW) as p:
        started = start_pass(write(p.port))
        awaited(lambda: b"UIDL" in p.heard)
        path = write(p.port)
        assert run_pass(path).code == 75
        path.write_text(path.read_text() + "pf_parallel many\n")
        assert run_pass(path).code == 78
        assert (line.is_up, line.story, write.marked) == (True, ["up"], True)
        started.terminate()
        start_pass.finish(started)
    assert (line.is_up, line.story, write.marked) == (False, ["up", "down"], False)


def test_with_other_settings_it_is_hung_up_as_it_was_when_it_was_raised(
    orphan: Line, write: Write, run_pass: RunPass
) -> None:
    assert run_pass(write(pf_dial_up=None, pf_dial_check=None, pf_dial_down=None)) == NOTHING
    assert (orphan.is_up, orphan.story, write.marked) == (False, ["up", "down"], False)


def test_a_marker_of_the_first_round_is_understood(orphan: Line, write: Write, run_pass: RunPass) -> None:
    up, down = (shlex.split(sh(text, orphan.flag)) for text in (RAISES, DROPS))
    (write.conf.work / "popfetch.line").write_text(shlex.join([*up, "|", *down]) + "\n")
    assert run_pass(write(), "--scheduled") == NOTHING
    assert (orphan.story, write.marked) == (["up", "down"], False)


def test_a_line_that_stays_up_is_tried_by_every_pass(orphan: Line, write: Write, run_pass: RunPass) -> None:
    (write.conf.work / "popfetch.line").write_text(
        (write.conf.work / "popfetch.line").read_text().replace("rm -f", "exit 1; rm -f")
    )
    for _ in range(2):
        run_pass(write(pf_dial_up=None, pf_dial_check=None, pf_dial_down=None), "--scheduled")
        assert (orphan.is_up, write.marked) == (True, True)
    assert orphan.story == ["up", "down", "down"]
    assert "it could not be hung up" in write.log


# --- outgoing mail ---------------------------------------------------------------------------------------------------


def test_ours_is_held_until_the_outgoing_command_has_ended(write: Write, line: Line, run_pass: RunPass) -> None:
    command = sh('sleep 1; test -e "$0" && echo out >> "$0.story"', line.flag)
    assert run_pass(write(pf_online_command=command)) == NOTHING
    assert line.story == ["up", "out", "down"]


def test_a_signal_ends_the_outgoing_command_and_the_line(write: Write, line: Line, start_pass: StartPass) -> None:
    started = start_pass(write(pf_online_command=sh('echo out >> "$0.story"; exec sleep 50', line.flag)))
    awaited(lambda: "out" in line.story and len(write.smtp.taken) == 2)
    began = time.monotonic()
    started.terminate()
    start_pass.finish(started)
    assert time.monotonic() - began < 10
    assert line.story == ["up", "out", "down"]
