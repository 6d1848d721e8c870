r'''The scripted peer: a POP3, SMTP or LMTP server whose dialogue is the text of the test.

    with peer("""
        S: +OK hi
        C: USER bob
        …
    """) as p:
        run_pass(conf(f"pf_user bob geheim-1 127.0.0.1:{p.port}", …))

    S: text         a line to the client; what is said in a row goes out in one write
    S> "bytes"      the same without line end; the text is a bytes literal (write the script as r"""…""")
    S. name         the bytes given under that name, dot-stuffed after CRLF as servers do it, and the lone dot
    C: text         the client must say exactly this line
    C* pattern      … a line like this (fnmatch, case counts)
    C~ regex        … a line that this matches as a whole
    C. [name]       message data up to CRLF . CRLF; un-stuffed in `data[name]` (without a name: "1", "2", …)
    -- tls          server side handshake now: as the first step that is implicit TLS; `-- starttls` is the same
    -- tls-refused  the handshake that the client must break off
    -- cut          close as a good server does (close_notify, FIN)      -- chop   FIN alone
    -- reset        close with RST (the client may lose what was said just before)
    -- stall        say nothing until the client goes                    -- sleep 0.2
    -- endless "x"  say it again and again until the client goes away
    -- call name    call the function given under that name
    -- expect-close the client must go away now, without another word
    -- latency 0.03 hold replies back until the client was silent that long: makes `rounds` exact
    == next         another connection, served when the one above is over; `== also`: served beside it
    # …             a remark

A client that says anything else, anything more, or too little fails the test, with the place in the script. Where the
script of a connection ends, the peer closes it. Each wait ends after *wait* seconds.
'''

import re
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.played import Connection, Given, ScriptError, Stage, Step

STEP = re.compile(r"(S:|S>|S\.|C:|C\*|C~|C\.|==|-- ?[a-z-]+)(?: (.*))?")


class Scene(NamedTuple):
    """What one connection is to be, and whether it comes beside the one before or after it."""

    beside: bool
    steps: list[Step]


def parse(script: str) -> list[Scene]:
    """Read a script; anything that is none of its words is a ScriptError."""
    scenes = [Scene(beside=False, steps=[])]
    for raw in script.split("\n"):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        match = STEP.fullmatch(line)
        if match is None or match[1] not in {"==", *Connection.VERBS}:
            raise ScriptError(f"no step of a script: {line!r}")
        step = Step(match[1], match[2] or "")
        if step.verb == "==":
            scenes.append(Scene(beside=step.text == "also", steps=[]))
        else:
            scenes[-1].steps.append(step)
    return scenes


class Peer:
    """A listening peer: `port` (0 on a unix socket) and, once the client has spoken, `heard`, `data` and `rounds`."""

    def __init__(self, scenes: list[Scene], stage: Stage, unix: Path | None) -> None:
        self.scenes = scenes
        self.stage = stage
        self.data = stage.data
        self.unix = unix
        self.port = 0
        self.connections: list[Connection] = []

    @property
    def heard(self) -> bytes:
        """Everything that the clients sent, one connection after the other."""
        return b"".join(bytes(connection.heard) for connection in self.connections)

    @property
    def rounds(self) -> int:
        """How often the client waited for the peer's words before it went on: the round trips."""
        return sum(connection.rounds for connection in self.connections)

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET)
        self._listener.bind(str(self.unix) if self.unix else ("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = 0 if self.unix else self._listener.getsockname()[1]
        self._bell, self._ring = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="peer", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stage.over.set()
        self._ring.send(b"!")
        self._thread.join()
        for sock in (self._listener, self._bell, self._ring):
            sock.close()
        report = "\n\n".join(self.stage.failures)
        if error is not None and report:
            error.add_note(f"And the scripted peer says: {report}")
        elif report:
            raise ScriptError(report)

    def _serve(self) -> None:
        threads: list[threading.Thread] = []
        for number, scene in enumerate(self.scenes, 1):
            for thread in [] if scene.beside else threads:
                thread.join()
            sock = self._accept()
            if sock is None:
                self.stage.failures.append(f"connection {number} of the script's {len(self.scenes)} never came")
                break
            steps = [Step("-- reset", "")] if self.stage.failures else scene.steps
            self.connections.append(Connection(self.stage, sock, steps))
            threads.append(threading.Thread(target=self.connections[-1].play, name=f"peer {number}", daemon=True))
            threads[-1].start()
        while (sock := self._accept()) is not None:
            self.stage.failures.append(f"more connections than the script's {len(self.scenes)}")
            Connection(self.stage, sock, [Step("-- reset", "")]).play()
        for thread in threads:
            thread.join()

    def _accept(self) -> socket.socket | None:
        """Return the next client, or None when the test is over and nobody knocks."""
        ready, _, _ = select.select([self._listener, self._bell], [], [])
        if self._listener not in ready:
            return None
        sock, _ = self._listener.accept()
        if not self.unix:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def peer(
    script: str,
    *,
    tls: ssl.SSLContext | None = None,
    unix: Path | None = None,
    given: Given | None = None,
    wait: float = 10.0,
) -> Peer:
    """Return a peer for one `with`; *given* holds the mails and functions that the script names."""
    return Peer(parse(script), Stage(tls, given or {}, wait, threading.Event(), {}, []), unix)


@contextmanager
def nobody() -> Iterator[int]:
    """Yield a port of ours where nobody listens: connections to it are refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
