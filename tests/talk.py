"""The skeleton of a small line-by-line server on loopback, a thread a client, of the standard library only."""

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

IDLE = 30  # seconds of silence after which a client is dropped
POLL = 0.05  # seconds between two looks at whether the server is to end


def stuffed(mail: bytes) -> bytes:
    """Return *mail* as a POP3 server sends it: a dot in front of dots after CRLF, the lone dot at the end."""
    ended = mail if mail.endswith(b"\r\n") or not mail else mail + b"\r\n"
    return (b"\r\n" + ended).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


class Talk:
    """One client: lines in, lines out. A verb is a method by its name; it returns False to end the session."""

    greeting: bytes
    unknown: bytes

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.tls = tls
        self.verbs: Mapping[bytes, Callable[[bytes], object]] = {}

    def play(self, heard: list[str]) -> None:
        """Serve until the client goes or has said goodbye; *heard* gets the verbs."""
        self.lines = self.sock.makefile("rb")
        self.say(self.greeting)
        going = True
        while going and (line := self.lines.readline(1 << 16)):
            verb, _, rest = line.strip().partition(b" ")
            heard.append(verb.decode("latin-1").upper())
            act = self.verbs.get(verb.upper())
            going = act(rest.strip()) is not False if act else self.say(self.unknown)

    def say(self, *lines: bytes) -> bool:
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        return True

    def encrypt(self, agreed: bytes) -> None:
        if self.tls is None:
            self.say(self.unknown)
            return
        self.say(agreed)
        self.lines.close()
        self.sock = self.tls.wrap_socket(self.sock, server_side=True)
        self.lines = self.sock.makefile("rb")

    def close(self) -> None:
        with suppress(AttributeError, OSError):
            self.lines.close()
        self.sock.close()


class Server:
    """Accepts clients until the `with` ends; `heard` holds every verb that came."""

    def __init__(self, tls: ssl.SSLContext | None, *, implicit: bool) -> None:
        self.tls = tls
        self.implicit = implicit
        self.heard: list[str] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def talk(self, sock: socket.socket) -> Talk:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(POLL)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(IDLE)
        self._listener.close()

    def _start(self, act: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, sock: socket.socket) -> None:
        talk = self.talk(sock)
        sock.settimeout(IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.implicit and self.tls:
                talk.sock = self.tls.wrap_socket(sock, server_side=True)
            talk.play(self.heard)
        except (OSError, ValueError):
            pass  # a client that breaks off or talks nonsense: whoever runs the server sees what did not arrive
        finally:
            talk.close()
