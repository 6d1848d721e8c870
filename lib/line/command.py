"""A line that command lines raise and drop: pf_dial_up, pf_dial_check, pf_dial_down.

No shell, no terminal, no input; each command is a process group of its own, so that Ctrl-C reaches only us and nothing
of a command outlives its deadline. A daemon that a command leaves behind is the line itself and lives on. What a
command says goes to the log, never further. Every wait has a limit, and `stop` ends the waits for a line that comes.
"""

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple

from lib.errors import NoLineError, StoppedError
from lib.halt import Deadline, Stop, never
from lib.visible import quoted, visible

UP_LIMIT = 180.0
"""Seconds that pf_dial_up may run: modems and VPNs have 60 to 90 of their own before they give up."""

COME_LIMIT = 60.0
"""Seconds after pf_dial_up in which pf_dial_check must see the line."""

CHECK_LIMIT = 20.0
"""Seconds that pf_dial_check may run; it only looks."""

DOWN_LIMIT = 60.0
"""Seconds that pf_dial_down may run."""

GO_LIMIT = 10.0
"""Seconds after pf_dial_down in which pf_dial_check must see that the line is gone."""

ASK_EVERY = 1.0
"""Seconds between two calls of pf_dial_check."""

GRACE = 2.0
"""Seconds between the request to end and the end by force."""

TICK = 0.05
"""Seconds between two looks at a command that runs."""

MOST_OUTPUT = 1 << 20
"""Octets; a command that says more has lost its mind and is ended."""

SHOWN_LINES = 50
"""Lines of one command that go to the log: the last ones, where the reason stands."""

SHOWN_WIDTH = 300
"""Characters shown of one line."""


class Ended(NamedTuple):
    """How a command ended: its exit code, or None and why it has none; what it said last."""

    code: int | None
    why: str
    said: tuple[str, ...]

    @property
    def told(self) -> str:
        """Return it as the end of a sentence."""
        reason = self.why or f"ended with exit code {self.code}"
        return f"{reason}: {self.said[-1]}" if self.said else reason


class Command:
    """The line that the three command lines make; each of them may be missing."""

    def __init__(
        self, up: tuple[str, ...], check: tuple[str, ...], down: tuple[str, ...], folder: Path, log: logging.Logger
    ) -> None:
        self.describe = f"pf_dial_up {shlex.join(up)}" if up else f"pf_dial_check {shlex.join(check)}"
        # What cannot be hung up leaves nothing that a later pass could.
        self.identity = shlex.join((*up, "|", *down)) if up and down else ""
        self._up, self._check, self._down = up, check, down
        self._folder = folder
        self._log = log

    def is_up(self, stop: Stop = never) -> bool:
        """Tell whether pf_dial_check says that the line is up; without it nobody knows, and so it is not."""
        return bool(self._check) and self._run("pf_dial_check", self._check, CHECK_LIMIT, stop).code == 0

    def dial(self, stop: Stop) -> bool:
        """Raise the line and wait until it is there; NoLineError when it does not come."""
        if not self._up:
            raise NoLineError("the line is down (says pf_dial_check), and there is no pf_dial_up to raise it")
        ended = self._run("pf_dial_up", self._up, UP_LIMIT, stop)
        if ended.code != 0:
            raise NoLineError(f"pf_dial_up ({shlex.join(self._up)}) {ended.told}")
        if self._check:
            self._await_line(stop)
        return True

    def hang_up(self) -> bool:
        """Drop the line; tell whether it is down, as far as anybody can know."""
        if not self._down:
            self._log.info("dial: the line is left to itself, there is no pf_dial_down")
            return True
        ended = self._run("pf_dial_down", self._down, DOWN_LIMIT, never)
        gone = not self._check or self._await_silence()
        if ended.code == 0 and not gone:
            self._log.warning("dial: pf_dial_down ended well, but pf_dial_check still says that a line is up")
        if ended.code == 0 or (self._check and gone):
            return True
        self._log.error("dial: pf_dial_down (%s) %s; look whether the line is down", shlex.join(self._down), ended.told)
        return False

    def _await_line(self, stop: Stop) -> None:
        deadline = Deadline.after(COME_LIMIT, stop)
        try:
            while not self.is_up(stop):
                deadline.within(ASK_EVERY).sleep()
                if not deadline.left:
                    raise NoLineError(
                        f"pf_dial_up ({shlex.join(self._up)}) ended well, but pf_dial_check saw no line within "
                        f"{COME_LIMIT:.0f} s"
                    )
        except StoppedError:
            raise NoLineError("stopped while the line was coming up") from None

    def _await_silence(self) -> bool:
        deadline = time.monotonic() + GO_LIMIT
        while self.is_up():
            if time.monotonic() >= deadline:
                return False
            time.sleep(ASK_EVERY)
        return True

    def _run(self, setting: str, words: tuple[str, ...], limit: float, stop: Stop) -> Ended:
        began = time.monotonic()
        ended = run(words, limit, stop, self._folder)
        looks = setting == "pf_dial_check"  # once a second: only who looks for a fault wants to read it
        for text in ended.said:
            self._log.log(logging.DEBUG if looks else logging.INFO, "dial: command=%s says=%s", setting, quoted(text))
        self._log.debug("dial: command=%s %s seconds=%.2f", setting, ended.told, time.monotonic() - began)
        return ended


def run(words: tuple[str, ...], limit: float, stop: Stop, folder: Path) -> Ended:
    """Run a command for at most *limit* seconds, or until *stop*; what it says lies in *folder* meanwhile."""
    try:
        # A file, not a pipe: a daemon that is left behind can neither hold us nor die of SIGPIPE when we end.
        with tempfile.TemporaryFile(dir=folder) as output:
            process, group = _start(words, output)
            try:
                why = _watch(process, output, limit, stop)
            finally:
                _end(process, group)
            return Ended(None if why else process.returncode, why, _said(output))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Ended(None, f"cannot be run: {reason or error}", ())


def _start(words: tuple[str, ...], output: IO[bytes]) -> tuple[subprocess.Popen[bytes], "_Group"]:
    process = subprocess.Popen(  # noqa: S603 - the words are the administrator's own, from dmail.conf
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    return process, _Group(process.pid)


def _watch(process: subprocess.Popen[bytes], output: IO[bytes], limit: float, stop: Stop) -> str:
    """Wait for the end; return "", or why the command must not go on."""
    deadline = time.monotonic() + limit
    while process.poll() is None:
        if stop():
            return "was stopped"
        if time.monotonic() >= deadline:
            return f"did not end within {limit:.0f} s"
        if os.fstat(output.fileno()).st_size > MOST_OUTPUT:
            return f"said more than {MOST_OUTPUT >> 10} KiB"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TICK)
    return ""


def _end(process: subprocess.Popen[bytes], group: "_Group") -> None:
    """End the command, if it still runs, and all that it has started."""
    if process.poll() is None:
        group.end()
        # Only another user's program (sudo) can still be there, and it does not hold us.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    group.let_go()


if sys.platform == "win32":
    import ctypes

    class _Group:
        """A command and all that it starts: a job of Windows. Its process group is for Ctrl-C only."""

        def __init__(self, pid: int) -> None:
            handle = ctypes.c_void_p
            self._kernel = ctypes.WinDLL("kernel32")
            self._kernel.CreateJobObjectW.restype = self._kernel.OpenProcess.restype = handle
            self._job = handle(self._kernel.CreateJobObjectW(None, None))
            process = handle(self._kernel.OpenProcess(0x0101, 0, pid))  # PROCESS_SET_QUOTA, PROCESS_TERMINATE
            self._kernel.AssignProcessToJobObject(self._job, process)
            self._kernel.CloseHandle(process)

        def end(self) -> None:
            """End them at once: what asks politely here, a console event, does not reach a task without a console."""
            self._kernel.TerminateJobObject(self._job, 1)

        def let_go(self) -> None:
            """Leave those that live on to themselves."""
            self._kernel.CloseHandle(self._job)

else:

    class _Group:
        """A command and all that it starts: a process group of POSIX, whose number is the leader's."""

        def __init__(self, pid: int) -> None:
            self._pid = pid

        def end(self) -> None:
            """Ask, wait, and end them for good.

            The leader is not reaped meanwhile, so that the number still means this group and nobody else's.
            """
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE
            while time.monotonic() < deadline:
                if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                    break
                time.sleep(TICK)
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)

        def let_go(self) -> None:
            """Leave those that live on to themselves."""


def _said(output: IO[bytes]) -> tuple[str, ...]:
    """Return the last lines of what was said, printable."""
    output.seek(0)
    lines = output.read(MOST_OUTPUT).splitlines()
    return tuple(visible(line.strip(), SHOWN_WIDTH) for line in lines[-SHOWN_LINES:] if line.strip())
