"""Programs that run beside a test: on free ports of loopback, in a folder of their own, ended by their pid."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

START = 20  # seconds until a server must answer
STOP = 10  # seconds from SIGTERM to SIGKILL
LISTEN = "0A"


class ServerError(Exception):
    """A real peer does not do what it is there for."""


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody had a moment ago, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """Yield a new folder that servers under other users can reach (pytest's own they cannot)."""
    path = Path(tempfile.mkdtemp(prefix=f"pf-{name}-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def listening(port: int, alive: "subprocess.Popen[bytes] | None" = None) -> None:
    """Return as soon as the port takes connections; none is made, for a server with a place for one would count it."""
    end = time.monotonic() + START
    while time.monotonic() < end and (alive is None or alive.poll() is None):
        if port in listened_to():
            return
        time.sleep(0.02)
    raise ServerError(f"nobody listens on port {port}")


def listened_to() -> set[int]:
    """Return the ports that are listened to in this network namespace (proc_net_tcp of the kernel's manual)."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {int(words[1].rpartition(":")[2], 16) for words in lines if words[3] == LISTEN}


@contextmanager
def process(argv: Sequence[str | Path], log: Path, *ports: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in the foreground until the block ends; it has to listen on *ports*."""
    with log.open("ab") as out:
        started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        for port in ports:
            listening(port, started)
        yield started
    except ServerError as error:
        error.add_note(log.read_text(errors="replace")[-2000:])
        raise
    finally:
        started.terminate()
        try:
            started.wait(STOP)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
