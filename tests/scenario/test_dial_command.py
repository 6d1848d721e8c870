"""Real commands behind pf_dial_up, pf_dial_check and pf_dial_down: what they get, what they may do, how they end."""

import gc
import logging
import os
import sys
import time
from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from lib.errors import NoLineError
from lib.halt import never
from lib.line import command
from lib.line.command import Command, Ended, run

LOG = logging.getLogger("popfetch.dial")
posix = pytest.mark.skipif(sys.platform == "win32", reason="process groups and signals of POSIX")
NOTHING = (sys.executable, "-c", "")


def python(code: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code, *words)


def exits(code: int, says: str = "") -> tuple[str, ...]:
    return python(f"print({says!r}) if {says!r} else None; raise SystemExit({code})")


def touches(path: Path) -> tuple[str, ...]:
    return python("import sys; open(sys.argv[1], 'w').close()", str(path))


def removes(path: Path) -> tuple[str, ...]:
    return python("import os, sys; os.remove(sys.argv[1])", str(path))


def looks_for(path: Path) -> tuple[str, ...]:
    return python("import os, sys; sys.exit(not os.path.exists(sys.argv[1]))", str(path))


def made(folder: Path, up: tuple[str, ...] = (), check: tuple[str, ...] = (), down: tuple[str, ...] = ()) -> Command:
    return Command(up, check, down, folder, LOG)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ASK_EVERY", 0.05)
    monkeypatch.setattr(command, "GRACE", 0.5)
    monkeypatch.setattr(command, "COME_LIMIT", 1.0)
    monkeypatch.setattr(command, "GO_LIMIT", 0.3)


def appears(path: Path) -> bool:
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return path.exists()


# --- what a command gets -------------------------------------------------------------------------------------------


def test_words_reach_the_command_as_they_are_and_no_shell_sees_them(tmp_path: Path) -> None:
    words = ("$HOME", "a b", "; exit 1", "*", '"', "%PATH%")
    ended = run(python("import sys; print('\\n'.join(sys.argv[1:]))", *words), 20, never, tmp_path)
    assert ended == (0, "", words)


def test_a_command_that_reads_gets_nothing(tmp_path: Path) -> None:
    ended = run(python("import sys; print(len(sys.stdin.read()))"), 20, never, tmp_path)
    assert ended.said == ("0",)


@posix
def test_a_command_has_a_session_of_its_own_so_that_ctrl_c_reaches_only_us(tmp_path: Path) -> None:
    ended = run(python("import os; print(os.getsid(0) == os.getpid())"), 20, never, tmp_path)
    assert ended.said == ("True",)


# --- how a command ends --------------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    ended = run(("no-such-program-of-ours",), 20, never, tmp_path)
    assert ended.code is None
    assert ended.told.startswith("cannot be run: ")


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    ended = run(python("import time; print('dialling', flush=True); time.sleep(60)"), 1.0, never, tmp_path)
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
    ended = run(python(code, str(started)), 30, stop.is_set, tmp_path)
    took = time.monotonic() - stopped_at[0]
    timer.join()
    assert ended == (None, "was stopped", ())
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
    ended = run(python(code, str(beats), child), 30.0, stop.is_set, tmp_path)
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
    ended = run(python(code, daemon, str(alive)), 20, never, tmp_path)
    assert ended.code == 0
    assert not alive.exists()
    assert appears(alive)


def test_a_command_that_never_stops_talking_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_OUTPUT", 1 << 16)
    ended = run(python("while True: print('x' * 1000)"), 30, never, tmp_path)
    assert ended.why == "said more than 64 KiB"
    assert len(ended.said) <= command.SHOWN_LINES


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    run(exits(0, "hello"), 20, never, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    assert run(NOTHING, 20, never, tmp_path / "missing").told.startswith("cannot be run: ")


# --- the log -------------------------------------------------------------------------------------------------------


def test_what_a_command_says_is_logged_line_by_line_and_harmless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    code = "import os; os.write(1, b'one\\n\\x1b[31mtwo\\xff\\r\\n\\n' + b'y' * 1000 + b'\\n')"
    made(tmp_path, python(code)).dial(never)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == 'dial: command=pf_dial_up says="one"'
    assert told[1] == r'dial: command=pf_dial_up says="\\x1b[31mtwo\\xff"'
    assert len(told) == 3
    assert len(told[2]) < command.SHOWN_WIDTH + 100


def test_only_the_end_of_a_long_story_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made(tmp_path, python("print('\\n'.join(map(str, range(1000))))")).dial(never)
    assert len(caplog.records) == command.SHOWN_LINES
    assert caplog.records[-1].getMessage().endswith('says="999"')


def test_what_the_check_says_is_only_for_who_looks_for_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert made(tmp_path, check=exits(0, "up")).is_up()
    assert caplog.records == []


# --- the line ------------------------------------------------------------------------------------------------------


def test_the_check_tells_whether_the_line_is_up(tmp_path: Path) -> None:
    assert made(tmp_path, check=exits(0)).is_up()
    assert not made(tmp_path, check=exits(1)).is_up()
    assert not made(tmp_path, check=("no-such-program-of-ours",)).is_up()


def test_without_a_check_no_line_is_known_to_be_up(tmp_path: Path) -> None:
    assert not made(tmp_path, exits(0)).is_up()


def test_without_a_check_the_exit_code_of_up_decides(tmp_path: Path) -> None:
    assert made(tmp_path, exits(0)).dial(never)
    with pytest.raises(NoLineError, match=r"pf_dial_up \(.*\) ended with exit code 4: no carrier"):
        made(tmp_path, exits(4, "no carrier")).dial(never)


def test_with_a_check_alone_somebody_else_has_to_raise_the_line(tmp_path: Path) -> None:
    with pytest.raises(NoLineError, match="there is no pf_dial_up"):
        made(tmp_path, check=exits(1)).dial(never)


def test_a_line_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    there = tmp_path / "up"
    code = (
        "import subprocess, sys;"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import sys, time; time.sleep(0.3); open(sys.argv[1], \"w\")',"
        "sys.argv[1]])"
    )
    line = made(tmp_path, python(code, str(there)), looks_for(there))
    assert line.dial(never)
    assert there.exists()


def test_a_line_that_never_comes_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(NoLineError, match="pf_dial_check saw no line within 1 s"):
        made(tmp_path, exits(0), exits(1)).dial(never)


def test_a_stop_ends_the_wait_for_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "COME_LIMIT", 60.0)
    stop = Event()
    timer = Timer(1.0, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(NoLineError, match="stopped"):
        made(tmp_path, exits(0), exits(1)).dial(stop.is_set)
    timer.join()
    assert time.monotonic() - began < 2.5


def test_a_line_is_raised_and_dropped(tmp_path: Path) -> None:
    there = tmp_path / "up"
    line = made(tmp_path, touches(there), looks_for(there), removes(there))
    assert not line.is_up()
    assert line.dial(never)
    assert line.is_up()
    assert line.hang_up()
    assert not there.exists()


@pytest.mark.parametrize(
    ("check", "down", "expected"),
    [
        ((), exits(0), True),
        ((), exits(1), False),
        ((), (), True),
        (exits(1), exits(0), True),
        (exits(1), exits(10, "not active"), True),
        (exits(0), exits(0), True),
        (exits(0), exits(1), False),
        (exits(0), ("no-such-program-of-ours",), False),
    ],
)
def test_a_line_counts_as_down_when_down_or_the_check_says_so(
    check: tuple[str, ...], down: tuple[str, ...], expected: bool, tmp_path: Path
) -> None:
    assert made(tmp_path, exits(0), check, down).hang_up() is expected


def test_a_check_that_still_sees_a_line_after_the_hang_up_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert made(tmp_path, exits(0), exits(0), exits(0)).hang_up()
    assert "still says that a line is up" in caplog.text


def test_a_hang_up_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DOWN_LIMIT", 0.3)
    began = time.monotonic()
    assert not made(tmp_path, exits(0), (), python("import time; time.sleep(60)")).hang_up()
    assert time.monotonic() - began < 10


def test_an_orphan_is_known_by_how_it_is_raised_and_dropped(tmp_path: Path) -> None:
    assert made(tmp_path, ("a", "b"), (), ("c",)).identity != made(tmp_path, ("a",), (), ("b", "c")).identity
    assert made(tmp_path, ("a",), ("x",), ("c",)).identity == made(tmp_path, ("a",), ("y",), ("c",)).identity
    assert made(tmp_path, ("a",)).identity == ""


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
        ended = given_up(tmp_path)
    assert ended.code is None
    assert time.monotonic() - began < 5
    real(int(pids.read_text()), 9)


def given_up(folder: Path) -> Ended:
    ended = run(python("import time; time.sleep(60)"), 0.2, never, folder)
    gc.collect()
    return ended
