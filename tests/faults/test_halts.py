"""Every wait ends when a signal comes, or a limit: whatever a pass waits for, it is gone soon, and the line is down.

Each case is something that never comes. A signal is sent to a real process; a limit runs out in a pass in this one.
"""

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

import popfetch_batch
from lib import halt
from tests.embedded import PopServer, SmtpServer
from tests.faults.lines import DROPS, LOOKS, RAISES, Line, awaited, sh
from tests.passes import Conf, RunPass, StartPass, account
from tests.peer import nobody, peer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and shells of POSIX")

SOON = 8.0  # seconds; what a signal leaves to a session is 4
HUNG_NAME = """
import socket, time
real = socket.getaddrinfo
def silent(host, *words, **more):
    if host in (b"pop.example.test", "pop.example.test"):
        if more.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        open({flag!r}, "w").close()
        time.sleep(60)
    return real(host, *words, **more)
socket.getaddrinfo = silent
"""
MAIL = b"Subject: one\r\n\r\nhello\r\n"
GREETED = "S: 220 mx\nC* EHLO *\nS: 250 mx"


Settings = dict[str, object]


class Case(NamedTuple):
    """What never comes: a dmail.conf, how one knows that it is waited for, and a hook in the pass."""

    account: str
    settings: Settings
    reached: Callable[[], object]
    hook: str = ""


class Stand:
    """What the cases are made of, and who runs passes over them."""

    def __init__(self, folder: Path, conf: Conf, stack: ExitStack) -> None:
        self.folder, self.conf, self.stack = folder, conf, stack
        self.line = Line(folder / "line")
        self.flag = folder / "reached"
        self.smtp = stack.enter_context(SmtpServer())
        self.pop = stack.enter_context(PopServer({"bob": ("geheim-bob", [MAIL])}))

    def hole(self) -> int:
        """Return a port that answers nobody: its queue is full."""
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            caller = self.stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        return int(listener.getsockname()[1])

    def stalls(self, said: str = "") -> int:
        """Return the port of a peer that says so much and then nothing more."""
        script = f"{said}\n-- call reached\n-- stall"
        return self.stack.enter_context(peer(script, given={"reached": self.flag.touch}, wait=30)).port

    def hangs(self, *, then: str = "") -> str:
        """Return a command line that never ends."""
        return sh(f'touch "$0"; sleep 60; {then}', self.flag)

    def bob(self, port: int = 0, *options: str, host: str = "127.0.0.1") -> str:
        return account(port or self.pop.port, "to=b@example.org", *(options or ("tls=off",)), host=host)

    def written(self, account: str, **settings: object) -> Path:
        """Write a dmail.conf with the line and a receiver, unless *settings* know better."""
        return self.conf(account, **{**self.receiver(self.smtp.port), **self.line.settings(), **settings})

    def receiver(self, port: int) -> Settings:
        return {"pf_smtp_server": f"127.0.0.1:{port}"}


def later(seconds: float) -> Callable[[], object]:
    """Return what is true so long after it is asked first; for what cannot be seen from outside."""
    began: list[float] = []

    def over() -> bool:
        began.append(time.monotonic())
        return began[-1] - began[0] > seconds

    return over


def _connection(it: Stand) -> Case:
    waits = later(0.5)
    return Case(it.bob(it.hole()), {}, lambda: it.line.is_up and waits())


def _queue_of_a_unix_socket(it: Stand) -> Case:
    path = it.folder / "full"
    listener = it.stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen(0)
    for _ in range(4):
        caller = it.stack.enter_context(socket.socket(socket.AF_UNIX))
        caller.setblocking(False)
        caller.connect_ex(str(path))
    return Case(it.bob(), {"pf_smtp_server": f"unix:{path}", "pf_smtp_protocol": "lmtp"}, later(1.0))


def _password(it: Stand) -> Case:
    script = it.folder / "pass"
    script.write_text(f'touch "{it.flag}"; sleep 60; printf %s%s gehe im-bob')
    return Case(
        f'pf_user bob "command:sh {script}" 127.0.0.1:{it.pop.port} tls=off to=b@example.org', {}, it.flag.exists
    )


def _password_of_the_receiver(it: Stand) -> Case:
    script = it.folder / "pass"
    script.write_text(f'touch "{it.flag}"; sleep 60; printf %s%s gehe im-bob')
    return Case(it.bob(), {"pf_smtp_user": "bob", "pf_smtp_password": f"command:sh {script}"}, it.flag.exists)


def _second_try(it: Stand) -> Case:
    it.line.flag.touch()
    port = it.stack.enter_context(nobody())
    return Case(it.bob(port), {"pf_retry_delay": 60}, later(1.5))


def _etrn(it: Stand) -> Case:
    more: Settings = {"ras_smtpip": f"127.0.0.1:{it.stalls()}", "pf_etrn": "example.org"}
    return Case(it.bob(), more, lambda: it.flag.exists() and it.smtp.taken)


LISTED = """
S: +OK
C* CAPA
S: +OK
S: UIDL
S: .
C* USER *
S: +OK
C* PASS *
S: +OK
C: CAPA
S: +OK
S: UIDL
S: .
C: UIDL
S: +OK
S: 1 a
S: .
C: LIST
S: +OK
S: 1 24
S: .
"""
DELETED = f"""{LISTED}
C: RETR 1
S: +OK
S: Subject: one
S:
S: hello
S: .
C: DELE 1
S: +OK
C: QUIT
"""

WITHOUT_A_LINE: Settings = {"pf_dial_up": None, "pf_dial_check": None, "pf_dial_down": None}

CASES: dict[str, Callable[[Stand], Case]] = {
    "a connection": _connection,
    "a greeting": lambda it: Case(it.bob(it.stalls()), {}, it.flag.exists),
    "a handshake": lambda it: Case(it.bob(it.stalls(), "tls=implicit"), {}, it.flag.exists),
    "capabilities": lambda it: Case(it.bob(it.stalls("S: +OK\nC* CAPA")), {}, it.flag.exists),
    "a listing": lambda it: Case(it.bob(it.stalls(LISTED.partition("S: 1 a")[0])), {}, it.flag.exists),
    "a message": lambda it: Case(it.bob(it.stalls(f"{LISTED}\nC: RETR 1")), {}, it.flag.exists),
    "the answer to QUIT": lambda it: Case(it.bob(it.stalls(DELETED)), WITHOUT_A_LINE, it.flag.exists),
    "a name": lambda it: Case(
        it.bob(110, "tls=off", host="pop.example.test"), {}, it.flag.exists, HUNG_NAME.format(flag=str(it.flag))
    ),
    "a password": _password,
    "the receiver's password": _password_of_the_receiver,
    "the receiver's connection": lambda it: Case(it.bob(), it.receiver(it.hole()), later(1.0)),
    "the queue of a unix socket": _queue_of_a_unix_socket,
    "the receiver's greeting": lambda it: Case(it.bob(), it.receiver(it.stalls()), it.flag.exists),
    "the receiver's handshake": lambda it: Case(
        it.bob(), {**it.receiver(it.stalls()), "pf_smtp_tls": "implicit"}, it.flag.exists
    ),
    "the receiver's EHLO": lambda it: Case(it.bob(), it.receiver(it.stalls("S: 220 mx\nC* EHLO *")), it.flag.exists),
    "the receiver's MAIL": lambda it: Case(it.bob(), it.receiver(it.stalls(f"{GREETED}\nC* MAIL *")), it.flag.exists),
    "the second try": _second_try,
    "the dial": lambda it: Case(it.bob(), {"pf_dial_up": it.hangs()}, it.flag.exists),
    "the check": lambda it: Case(it.bob(), {"pf_dial_check": it.hangs()}, it.flag.exists),
    "the outgoing command": lambda it: Case(it.bob(), {"pf_online_command": it.hangs()}, it.flag.exists),
    "ETRN": _etrn,
}
SIGNALS = [[signal.SIGTERM], [signal.SIGTERM, signal.SIGHUP], [signal.SIGINT, signal.SIGTERM], [signal.SIGHUP]]


@pytest.fixture
def stand(tmp_path: Path, conf: Conf) -> Iterator[Stand]:
    with ExitStack() as stack:
        yield Stand(tmp_path, conf, stack)


@pytest.mark.parametrize("name", CASES)
def test_a_signal_ends_the_wait(name: str, stand: Stand, start_pass: StartPass, tmp_path: Path) -> None:
    case, numbers = CASES[name](stand), SIGNALS[list(CASES).index(name) % len(SIGNALS)]
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(case.hook)
    was_up = stand.line.is_up
    started = start_pass(stand.written(case.account, **case.settings), env={"PYTHONPATH": str(hooks)})
    awaited(case.reached)
    began = time.monotonic()
    for number in numbers:
        started.send_signal(number)
    told = start_pass.finish(started)
    assert time.monotonic() - began < SOON
    assert told.code in {0, 69, 75, 76}, told
    assert told.code == 0 or told.err.startswith("popfetch: ")
    assert "bug" not in told.err
    assert stand.line.is_up is was_up
    assert stand.line.story in ([], ["up", "down"], ["down"])


def in_time(setting: str, name: str) -> bool:
    """Say whether the limit is there while the case waits."""
    return setting == "pf_time_limit" or name not in WITHOUT_A_LINE_OF_OURS


WITHOUT_A_LINE_OF_OURS = {
    "the answer to QUIT",
    "the receiver's password",
    "the receiver's connection",
    "the queue of a unix socket",
    "the receiver's greeting",
    "the receiver's handshake",
    "the receiver's EHLO",
    "the second try",
    "the dial",
    "the check",
}


@pytest.mark.parametrize(
    ("setting", "name"),
    [(setting, name) for setting in ("pf_time_limit", "ras_timeout") for name in CASES if in_time(setting, name)],
)
def test_a_limit_ends_the_wait(
    setting: str, name: str, stand: Stand, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(popfetch_batch, "MINUTE", 1.0)
    monkeypatch.setattr(halt, "GRACE", 0.3)
    case = CASES[name](stand)
    if case.hook:
        monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)  # given back afterwards
        exec(case.hook, {})  # noqa: S102 - the same hook as in a process of its own
    began = time.monotonic()
    told = run_pass(stand.written(case.account, **{**case.settings, setting: 1}))
    assert time.monotonic() - began < SOON + 1
    assert told.code in {0, 69, 75, 76}, told
    assert stand.line.story in ([], ["up", "down"], ["down"])


def test_a_password_command_that_leaves_a_daemon_behind_costs_nothing(
    stand: Stand, run_pass: RunPass, tmp_path: Path
) -> None:
    script, alive = tmp_path / "agent", tmp_path / "alive"
    script.write_text(f"(sleep 3; touch '{alive}') & printf %s%s gehe im-bob")
    user = f'pf_user bob "command:sh {script}" 127.0.0.1:{stand.pop.port} tls=off to=b@example.org'
    began = time.monotonic()
    assert run_pass(stand.written(user)).code == 0
    assert time.monotonic() - began < 2.5
    assert len(stand.smtp.taken) == 1
    awaited(alive.exists)


def test_a_hang_up_is_not_cut_short_by_a_signal(stand: Stand, start_pass: StartPass) -> None:
    down = f'echo down >> "$0.story"; sleep 2; {DROPS}'
    started = start_pass(stand.written(stand.bob(), **stand.line.settings(RAISES, down)))
    awaited(lambda: "down" in stand.line.story)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        started.send_signal(number)
        time.sleep(0.1)
    start_pass.finish(started)
    assert (stand.line.is_up, stand.line.story) == (False, ["up", "down", "down"])


@pytest.mark.parametrize("gone", ["hangs", "is killed", "is not there"])
def test_a_check_that_goes_away_in_mid_pass_does_not_keep_the_line_up(
    gone: str, stand: Stand, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.line import command

    monkeypatch.setattr(command, "CHECK_LIMIT", 0.5)
    monkeypatch.setattr(command, "GO_LIMIT", 0.5)
    monkeypatch.setattr(command, "ASK_EVERY", 0.1)
    check = stand.folder / "check"
    words = {"hangs": "sleep 60", "is killed": r"kill -9 \$\$", "is not there": ""}[gone]
    check.write_text(f"#!/bin/sh\n{LOOKS.replace('$0', str(stand.line.flag))}\n")
    check.chmod(0o755)
    spoils = f'rm "{check}"' if not words else f'printf "#!/bin/sh\\n{words}\\n" > "{check}"'
    told = run_pass(stand.written(stand.bob(), pf_dial_check=check, pf_online_command=sh(spoils, check)))
    assert (told.code, len(stand.smtp.taken)) == (0, 1)
    assert (stand.line.is_up, stand.line.story) == (False, ["up", "down"])
    assert "gives no answer" in (stand.conf.work / "popfetch.log").read_text()
