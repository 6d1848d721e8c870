"""Real programs that we run: what they get, what they may do, how they end, what is kept of what they say."""

import gc
import os
import sys
import time
from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from lib import child
from lib.child import Ended, run

posix = pytest.mark.skipif(sys.platform == "win32", reason="process groups and signals of POSIX")


def python(code: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code, *words)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE", 0.5)


def appears(path: Path) -> bool:
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return path.exists()


# --- what a command gets -------------------------------------------------------------------------------------------


def test_words_reach_the_command_as_they_are_and_no_shell_sees_them() -> None:
    words = ("$HOME", "a b", "; exit 1", "*", '"', "%PATH%")
    ended = run(python("import sys; print('\\n'.join(sys.argv[1:]))", *words), 20)
    assert (ended.code, ended.why, ended.said) == (0, "", words)


def test_a_command_that_reads_gets_nothing() -> None:
    ended = run(python("import sys; print(len(sys.stdin.read()))"), 20)
    assert ended.said == ("0",)


@posix
def test_a_command_has_a_session_of_its_own_so_that_ctrl_c_reaches_only_us() -> None:
    ended = run(python("import os; print(os.getsid(0) == os.getpid())"), 20)
    assert ended.said == ("True",)


# --- how a command ends --------------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_told_of() -> None:
    ended = run(("no-such-program-of-ours",), 20)
    assert ended.code is None
    assert ended.told.startswith("cannot be run: ")


def test_a_command_that_does_not_end_is_ended() -> None:
    began = time.monotonic()
    ended = run(python("import time; print('dialling', flush=True); time.sleep(60)"), 1.0)
    assert time.monotonic() - began < 10
    assert ended.code is None
    assert ended.told == "did not end within 1 s: dialling"


def test_a_stop_ends_a_command_within_a_fifth_of_a_second(tmp_path: Path) -> None:
    stop, started = Event(), tmp_path / "started"
    code = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(60)"
    stopped_at: list[float] = []

    def stop_once_started() -> None:
        appears(started)
        stopped_at.append(time.monotonic())
        stop.set()

    timer = Timer(0, stop_once_started)
    timer.start()
    ended = run(python(code, str(started)), 30, stop.is_set)
    took = time.monotonic() - stopped_at[0]
    timer.join()
    assert ended == Ended(None, "was stopped")
    assert took < (0.2 if sys.platform != "win32" else 1.0)


@pytest.mark.parametrize("stubborn", [False, True])
def test_the_whole_group_of_a_command_is_ended(tmp_path: Path, stubborn: bool) -> None:
    beats = tmp_path / "beats"
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    child = f"{ignore}import time\nwhile True: print('alive', flush=True); time.sleep(0.05)"
    code = (
        f"{ignore}import subprocess, sys, time;"
        "file = open(sys.argv[1], 'w'); subprocess.Popen([sys.executable, '-S', '-c', sys.argv[2]], stdout=file);"
        "time.sleep(60)"
    )
    stop = Event()

    def stop_once_it_beats() -> None:
        while not (beats.exists() and beats.read_text()) and not stop.wait(0.05):
            pass
        stop.set()

    thread = Thread(target=stop_once_it_beats)
    thread.start()
    ended = run(python(code, str(beats), child), 30.0, stop.is_set)
    stop.set()
    thread.join()
    assert ended.code is None
    heard = beats.read_text()
    assert heard
    time.sleep(0.3)
    assert beats.read_text() == heard


def test_a_daemon_that_a_command_leaves_behind_is_the_line_and_lives_on(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    daemon = "import sys, time; time.sleep(1.0); print('still here', flush=True); open(sys.argv[1], 'w').close()"
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', *sys.argv[1:]])"
    ended = run(python(code, daemon, str(alive)), 20)
    assert ended.code == 0
    assert not alive.exists()
    assert appears(alive)


def test_a_command_that_never_stops_talking_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MOST_OUTPUT", 1 << 16)
    ended = run(python("while True: print('x' * 1000)"), 30)
    assert ended.why == "said more than 64 KiB"
    assert len(ended.said) <= child.SHOWN_LINES


@posix
def test_a_command_of_another_user_that_cannot_be_ended_does_not_hold_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pid"
    real = os.killpg

    def forbidden(pid: int, number: int) -> None:
        pids.write_text(str(pid))
        raise PermissionError(pid, number)

    monkeypatch.setattr(os, "killpg", forbidden)
    began = time.monotonic()
    with pytest.warns(ResourceWarning, match="still running"):
        ended = given_up()
    assert ended.code is None
    assert time.monotonic() - began < 5
    real(int(pids.read_text()), 9)


def given_up() -> Ended:
    ended = run(python("import time; time.sleep(60)"), 0.2)
    gc.collect()
    return ended
