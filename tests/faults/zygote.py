"""The program without its start-up: a process that has imported it and forks once for every pass.

Five thousand killed passes would spend most of their time starting Python. What is forked is the real program, called
as its last line calls it; what a test wants to happen inside of it (tests/faults/hooks.py) is put in after the fork.
"""

import codecs
import gc
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

HERE = Path(__file__).resolve().parents[2]
LIMIT = 60.0  # seconds: a pass of these tests that takes longer hangs


class HangError(Exception):
    """A pass did not end."""


class Ended(NamedTuple):
    """How a pass ended: its exit code, -9 when it was killed, and what it printed."""

    code: int
    err: str


class Zygote:
    """The process that forks. One pass at a time; its pid stays its own until the next one starts."""

    def __init__(self, folder: Path) -> None:
        self.errors = folder / "stderr"
        self.pid = 0

    def __enter__(self) -> Self:
        self._process = self.open()
        return self

    def open(self) -> "subprocess.Popen[bytes]":
        """Start the process that forks."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.faults.zygote", str(self.errors)],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        self._process.wait(LIMIT)

    def start(self, argv: Sequence[str | Path], hooks: Sequence[dict[str, Any]] = ()) -> int:
        """Start a pass with *hooks* (see tests/faults/hooks.py) and return its pid."""
        self.tell(json.dumps({"argv": [str(word) for word in argv], "hooks": list(hooks)}))
        self.pid = int(self.line())
        return self.pid

    def wait(self, seconds: float) -> str:
        """Wait for news of the pass: "stopped" (by a hook), "ended CODE", or "" when there is none in time."""
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], max(seconds, 0))
        return self.line() if ready else ""

    def end(self, news: str = "") -> Ended:
        """Wait until the pass has ended; *news* is what is known of it already."""
        while not news.startswith("ended"):
            news = self.wait(LIMIT)
            if not news:
                self.kill()
                raise HangError(f"the pass did not end: {self.errors.read_text(errors='replace')[-500:]}")
        self.pid = 0
        told = self.errors.read_text(errors="replace") if self.errors.exists() else ""  # killed before it had one
        return Ended(int(news.split()[1]), told)

    def kill(self) -> None:
        """SIGKILL, if a pass is running; news of its end come as always."""
        if pid := self.pid:  # another thread may hear of its end just now
            os.kill(pid, signal.SIGKILL)

    def tell(self, line: str) -> None:
        """Tell the process that forks."""
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """Hear a line of it."""
        assert self._process.stdout
        # The pipe is read octet by octet: what is buffered here would be unseen by select.
        line = b""
        while not line.endswith(b"\n"):
            octet = os.read(self._process.stdout.fileno(), 1)
            if not octet:
                raise HangError("the zygote is gone")
            line += octet
        return line.decode().strip()


def tell(news: str) -> None:
    """Say something to whoever waits for the pass."""
    os.write(1, f"{news}\n".encode())


def _child(job: dict[str, Any], errors: Path) -> int:
    from popfetch_batch import main
    from tests.faults import hooks

    out = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 2)
    os.close(out)
    sys.argv = ["popfetch_batch.py", *job["argv"]]
    for hook in job["hooks"]:
        hooks.put_in(hook)
    code = int(main(job["argv"]))
    sys.stderr.flush()
    return code


def _serve(errors: Path) -> None:
    last = 0
    for line in sys.stdin:
        if last:
            os.waitpid(last, 0)
        last = os.fork()
        if not last:
            code = 120
            try:
                tell(str(os.getpid()))  # before anything that a hook may have to tell
                code = _child(json.loads(line), errors)
            finally:
                os._exit(code)
        ended = os.waitid(os.P_PID, last, os.WEXITED | os.WNOWAIT)
        assert ended
        tell(f"ended {ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status}")


def _import_all() -> None:
    """Import what a pass imports in its course; most of it costs more than the pass."""
    import ipaddress  # noqa: F401
    import tomllib  # noqa: F401

    import filelock  # noqa: F401
    import tomli_w  # noqa: F401

    import popfetch_batch  # noqa: F401
    from lib.commands import verbs  # noqa: F401
    from lib.line import command  # noqa: F401

    for name in ("ascii", "latin-1", "idna"):  # a pass under another user may not be able to read Python's files
        codecs.lookup(name)

    gc.freeze()  # what no pass will ever free need not be copied when a pass looks through it


if __name__ == "__main__":
    _import_all()
    _serve(Path(sys.argv[1]))
