"""Real commands behind pf_dial_up, pf_dial_check and pf_dial_down: what they get, what they may do, how they end."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer

import pytest

from lib import child
from lib.errors import NoLineError
from lib.halt import never
from lib.line import command
from lib.line.backend import NoAnswerError
from lib.line.command import LineCommands
from lib.line.orphan import COMMAND, Orphan

LOG = logging.getLogger("popfetch.dial")
posix = pytest.mark.skipif(sys.platform == "win32", reason="descriptors and limits of POSIX")


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


def made(up: tuple[str, ...] = (), check: tuple[str, ...] = (), down: tuple[str, ...] = ()) -> LineCommands:
    return LineCommands(up, check, down, LOG)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ASK_EVERY", 0.05)
    monkeypatch.setattr(child, "GRACE", 0.5)
    monkeypatch.setattr(command, "COME_LIMIT", 1.0)
    monkeypatch.setattr(command, "GO_LIMIT", 0.3)


# --- the log -------------------------------------------------------------------------------------------------------


def test_what_a_command_says_is_logged_line_by_line_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    code = "import os; os.write(1, b'one\\n\\x1b[31mtwo\\xff\\r\\n\\n' + b'y' * 1000 + b'\\n')"
    made(python(code)).dial(never)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == 'dial: command=pf_dial_up says="one"'
    assert told[1] == r'dial: command=pf_dial_up says="\\x1b[31mtwo\\xff"'
    assert len(told) == 3
    assert len(told[2]) < child.SHOWN_WIDTH + 100


def test_only_the_end_of_a_long_story_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made(python("print('\\n'.join(map(str, range(1000))))")).dial(never)
    assert len(caplog.records) == child.SHOWN_LINES
    assert caplog.records[-1].getMessage().endswith('says="999"')


def test_what_the_check_says_is_only_for_who_looks_for_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert made(check=exits(0, "up")).is_up()
    assert caplog.records == []


# --- the line ------------------------------------------------------------------------------------------------------


def test_the_check_tells_whether_the_line_is_up() -> None:
    assert made(check=exits(0)).is_up()
    assert not made(check=exits(1)).is_up()


NO_ANSWERS = {
    "the program is not there": ("no-such-program-of-ours",),
    "it crashed": python("import os; os.abort()" if os.name == "posix" else "import os; os._exit(0xC0000005 - 2**32)"),
    "a shell did not find it": exits(127),
    "a shell may not run it": exits(126),
    "a shell saw it killed": exits(128 + 9),
    "it is too slow": python("import time; time.sleep(60)"),
}
if os.name == "posix":
    NO_ANSWERS["it was killed"] = python("import os; os.kill(os.getpid(), 9)")


@pytest.mark.parametrize("check", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_no_answer_is_neither_yes_nor_no(check: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "CHECK_LIMIT", 1.0)
    with pytest.raises(NoAnswerError, match=r"pf_dial_check .* gives no answer"):
        made(check=check).is_up()


@pytest.mark.parametrize("code", [1, 2, 3, 10, 69, 125, 193, 255])
def test_every_other_exit_code_says_no(code: int) -> None:
    assert not made(check=exits(code)).is_up()


@pytest.mark.parametrize("check", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_no_answer_does_not_make_a_failed_hang_up_a_good_one(
    check: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(command, "CHECK_LIMIT", 0.5)
    assert not made(exits(0), check, exits(1)).hang_up()
    assert "look whether the line is down" in caplog.text


def test_a_hang_up_that_ended_well_is_believed_where_nobody_answers_but_not_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert made(exits(0), exits(127), exits(0)).hang_up()
    assert "gives no answer" in caplog.text


def test_a_line_comes_although_the_check_gives_no_answer_at_first(tmp_path: Path) -> None:
    there = tmp_path / "up"
    code = "import os, sys; os.path.exists(sys.argv[1]) or os.abort()"
    dialled = "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', sys.argv[1], sys.argv[2]])"
    later = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w')"
    assert made(python(dialled, later, str(there)), python(code, str(there))).dial(never)


@pytest.mark.parametrize("setting", ["up", "check", "down"])
def test_a_command_line_may_hold_a_secret_and_is_shown_nowhere(setting: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = ("/opt/bin/no-such-program", "--password", "hunter2")
    line = made(**{"up": exits(3), "check": (), "down": exits(3), setting: secret})
    told = [line.describe]
    acts: tuple[Callable[[], bool], ...] = (line.is_up, lambda: line.dial(never), line.hang_up)
    for act in acts:
        try:
            act()
        except NoLineError as error:
            told.append(str(error))
    told.append(caplog.text)
    assert "hunter2" not in "".join(told)
    assert "no-such-program" in "".join(told)


class Short:
    """Stands in for child.run: the machine cannot run anything the first few times."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0

    def __call__(self, *_words: object) -> child.Ended:
        self.calls += 1
        if self.calls <= self.times:
            return child.Ended(None, "cannot be run: Too many open files", lacking=True)
        return child.Ended(0, "")


@pytest.mark.parametrize(("times", "down", "calls"), [(0, True, 1), (4, True, 5), (5, False, 5)])
def test_the_hang_up_is_tried_again_while_nothing_can_be_run(
    times: int, down: bool, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Short(times)
    monkeypatch.setattr(child, "run", short)
    assert made(exits(0), (), exits(0)).hang_up() is down
    assert short.calls == calls


@posix
def test_the_hang_up_needs_no_descriptor_that_is_not_kept_for_it(tmp_path: Path) -> None:
    import resource

    there = tmp_path / "up"
    line = made(touches(there), looks_for(there), removes(there))
    assert line.dial(never)
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        assert line.hang_up()
        assert not there.exists()
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_without_a_check_no_line_is_known_to_be_up() -> None:
    assert not made(exits(0)).is_up()


def test_without_a_check_the_exit_code_of_up_decides() -> None:
    assert made(exits(0)).dial(never)
    with pytest.raises(NoLineError, match=r"pf_dial_up \(.*\) ended with exit code 4: no carrier"):
        made(exits(4, "no carrier")).dial(never)


def test_with_a_check_alone_somebody_else_has_to_raise_the_line() -> None:
    with pytest.raises(NoLineError, match="there is no pf_dial_up"):
        made(check=exits(1)).dial(never)


def test_a_line_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    there = tmp_path / "up"
    code = (
        "import subprocess, sys;"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import sys, time; time.sleep(0.3); open(sys.argv[1], \"w\")',"
        "sys.argv[1]])"
    )
    line = made(python(code, str(there)), looks_for(there))
    assert line.dial(never)
    assert there.exists()


def test_a_line_that_never_comes_is_given_up() -> None:
    with pytest.raises(NoLineError, match="pf_dial_check saw no line within 1 s"):
        made(exits(0), exits(1)).dial(never)


def test_a_stop_ends_the_wait_for_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "COME_LIMIT", 60.0)
    stop = Event()
    timer = Timer(1.0, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(NoLineError, match="stopped"):
        made(exits(0), exits(1)).dial(stop.is_set)
    timer.join()
    assert time.monotonic() - began < 2.5


def test_a_line_is_raised_and_dropped(tmp_path: Path) -> None:
    there = tmp_path / "up"
    line = made(touches(there), looks_for(there), removes(there))
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
    check: tuple[str, ...], down: tuple[str, ...], expected: bool
) -> None:
    assert made(exits(0), check, down).hang_up() is expected


def test_a_check_that_still_sees_a_line_after_the_hang_up_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert made(exits(0), exits(0), exits(0)).hang_up()
    assert "still says that a line is up" in caplog.text


def test_a_hang_up_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DOWN_LIMIT", 0.3)
    began = time.monotonic()
    assert not made(exits(0), (), python("import time; time.sleep(60)")).hang_up()
    assert time.monotonic() - began < 10


def test_an_orphan_is_hung_up_and_looked_for_as_it_was_when_it_was_raised() -> None:
    assert made(("a", "b"), ("x",), ("c", "d")).orphan == Orphan(COMMAND, ("c", "d"), ("x",))
    assert made(("a",)).orphan is None, "nothing hangs it up"
    assert made(check=("x",), down=("c",)).orphan is None, "nothing raises it"
