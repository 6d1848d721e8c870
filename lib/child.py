"""Programs that this one runs: for a password, the line, outgoing mail. No shell, no terminal, no input.

Each is a process group of its own (a job, on Windows), so that Ctrl-C reaches only us and nothing of it outlives its
deadline. A daemon that it leaves behind is none of our business and lives on: it holds us by no pipe, for what is said
goes to a file in memory that takes so much and no more, and needs no disk. It may run on every core, whichever thread
of ours asks for it.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from lib.errors import StoppedError
from lib.halt import Deadline, Stop, never
from lib.visible import visible

GRACE = 2.0
"""Seconds between the request to end and the end by force."""

TICK = 0.05
"""Seconds between two looks at a program that runs."""

MOST_OUTPUT = 1 << 20
"""Octets; a program that says more has lost its mind and is ended."""

ROOM = MOST_OUTPUT * 4
"""Octets that a file in memory has room for, if it comes to that between two looks. A daemon that writes on hears that
it is full."""

LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC})
"""What says that no program could be run now: no descriptors, processes or memory."""

SHOWN_LINES = 50
"""Lines that are worth to be shown: the last ones, where the reason stands."""

SHOWN_WIDTH = 300
"""Characters shown of one line."""


class Ended(NamedTuple):
    """How a program ended: its exit code (a signal's number, negative), or None and why it has none; what it said."""

    code: int | None
    why: str
    output: bytes = b""
    lacking: bool = False  # the machine was short of what it takes to run anything

    @property
    def said(self) -> tuple[str, ...]:
        """Return the last lines of what was said, printable."""
        lines = self.output.splitlines()
        return tuple(visible(line.strip(), SHOWN_WIDTH) for line in lines[-SHOWN_LINES:] if line.strip())

    @property
    def reason(self) -> str:
        """Return how it ended, as the end of a sentence, without a word of its own."""
        if self.code is not None and self.code < 0:
            return f"was killed by signal {-self.code}"
        return self.why or f"ended with exit code {self.code}"

    @property
    def told(self) -> str:
        """Return how it ended with its last words."""
        return f"{self.reason}: {said[-1]}" if (said := self.said) else self.reason


def run(words: tuple[str, ...], seconds: float, stop: Stop = never, *, secret: bool = False) -> Ended:
    """Run a program for at most *seconds*, or until *stop*, and return how it ended; never raises for its sake.

    With *secret* its output is a secret: what it complains of beside that is not kept, and no disk sees either.
    """
    output: IO[bytes] | None = None
    try:
        output = _output(secret=secret)
        with _on_every_core():
            process = _start(words, output, secret=secret)
        group, said = _Group(process.pid), _Said(process, output)
        try:
            why = _observer(process, said, Deadline.after(seconds, stop), seconds)
        finally:
            _end(process, group)
        return Ended(None if why else process.returncode, why, said.all())
    except (OSError, ValueError) as error:
        # The system's words alone: str(error) would repeat what was run.
        reason = error.strerror if isinstance(error, OSError) else "no such name"
        lacking = isinstance(error, OSError) and error.errno in LACKING
        return Ended(None, f"cannot be run: {reason or type(error).__name__}", lacking=lacking)
    finally:
        if output is not None:
            output.close()


def _output(*, secret: bool) -> IO[bytes] | None:
    """Return a file for what is said: in memory, on a disk, or none; None for a pipe, where a disk must not see it."""
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            return _memory()
    if secret and sys.platform == "win32":
        return None
    import tempfile  # noqa: PLC0415 - where there are no files in memory

    try:
        return tempfile.TemporaryFile()
    except OSError:
        if secret:
            raise
        return Path(os.devnull).open("r+b")  # it runs all the same


def _memory() -> IO[bytes]:
    """Return a file in memory that cannot grow (Linux). OSError."""
    import fcntl  # noqa: PLC0415 - Windows has none

    descriptor = os.memfd_create("said", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, ROOM)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        return os.fdopen(descriptor, "r+b", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


@contextlib.contextmanager
def _on_every_core() -> Iterator[None]:
    """Let what is started inside run wherever this process may, although the calling thread is kept on one core.

    The first thread, which is never kept, has the process's own set.
    """
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    mine, every = os.sched_getaffinity(0), os.sched_getaffinity(os.getpid())
    if mine == every:
        yield
        return
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, every)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, mine)


def _start(words: tuple[str, ...], output: IO[bytes] | None, *, secret: bool) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - the words are the administrator's own, from dmail.conf
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.DEVNULL if secret else subprocess.STDOUT,
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _observer(process: "subprocess.Popen[bytes]", said: "_Said", deadline: Deadline, seconds: float) -> str:
    """Wait for the end; return "", or why the program must not go on."""
    try:
        for slice_ in deadline.slices():
            ended = process.poll() is not None
            if said.size() >= MOST_OUTPUT:
                return f"said more than {MOST_OUTPUT >> 10} KiB"
            if ended:
                return ""
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(slice_, TICK))
    except StoppedError:
        return "was stopped"
    return "" if process.poll() is not None else f"did not end within {seconds:.0f} s"


def _end(process: "subprocess.Popen[bytes]", group: "_Group") -> None:
    """End the program, if it still runs, and all that it has started."""
    if process.poll() is None:
        group.end()
        # Only another user's program (sudo) can still be there, and it does not hold us.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    group.let_go()


class _Said:
    """What a program says, in a file, or on Windows in a pipe."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: IO[bytes] | None) -> None:
        self._file = output
        self._pipe = process.stdout
        self._heard = bytearray()

    def size(self) -> int:
        """Return how many octets were said by now."""
        if self._file is None:
            self._listen()
            return len(self._heard)
        # Where the program writes, it has left the offset that it shares with us; a file in memory has its full size
        # from the beginning.
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR)

    def all(self) -> bytes:
        """Return what was said, when that is over."""
        size = self.size()
        if self._file is None:
            if self._pipe is not None:
                self._pipe.close()
            return bytes(self._heard[:MOST_OUTPUT])
        self._file.seek(0)
        return self._file.read(min(size, MOST_OUTPUT))

    def _listen(self) -> None:
        """Take what lies in the pipe and wait for nothing: a daemon may hold its other end."""
        if sys.platform == "win32" and self._pipe is not None:
            while len(self._heard) < MOST_OUTPUT and (waiting := _lying_in(self._pipe.fileno())):
                self._heard += os.read(self._pipe.fileno(), waiting)


if sys.platform == "win32":
    import ctypes
    import msvcrt

    def _lying_in(descriptor: int) -> int:
        """Return how many octets can be read from a pipe at once; 0 when nobody can write to it any more."""
        waiting = ctypes.c_uint32()
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        peek = ctypes.WinDLL("kernel32").PeekNamedPipe
        return waiting.value if peek(handle, None, 0, None, ctypes.byref(waiting), None) else 0

    class _Group:
        """A program and all that it starts: a job of Windows. Its process group is for Ctrl-C only."""

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
        """A program and all that it starts: a process group of POSIX, whose number is the leader's."""

        def __init__(self, pid: int) -> None:
            self._pid = pid

        def end(self) -> None:
            """Ask, wait, and end them for good.

            The leader is not reaped meanwhile, so that the number still means this group and nobody else's.
            """
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGTERM)
            for seconds in Deadline.after(GRACE).slices():
                if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                    break
                Deadline.after(min(seconds, TICK)).sleep()
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)

        def let_go(self) -> None:
            """Leave those that live on to themselves."""
