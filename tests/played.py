"""One connection of a scripted peer, played step by step. The language is told in tests/peer.py."""

import ast
import fnmatch
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import ClassVar, NamedTuple

from tests.talk import stuffed

LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
Given = Mapping[str, bytes | Callable[[], object]]


class ScriptError(AssertionError):
    """The client did not keep to the script, or the script is none."""


class Step(NamedTuple):
    verb: str
    text: str


class Stage(NamedTuple):
    """What the connections of one peer share."""

    tls: ssl.SSLContext | None
    given: Given
    wait: float
    over: threading.Event
    data: dict[str, bytes]
    failures: list[str]


def literal(text: str) -> bytes:
    try:
        return bytes(ast.literal_eval("b" + text))
    except (SyntaxError, ValueError) as error:
        raise ScriptError(f"no bytes literal (is the script a raw string?): {text}") from error


class Connection:
    def __init__(self, stage: Stage, sock: socket.socket, steps: list[Step]) -> None:
        self.stage = stage
        self.sock = sock
        self.steps = steps
        self.heard = bytearray()
        self.rounds = 0
        self._place = 0
        self._unread = bytearray()
        self._unsaid = bytearray()
        self._spoke = False
        self._latency = 0.0
        self._ended = False

    def play(self) -> None:
        try:
            for step in self.steps:
                self.VERBS[step.verb](self, step.text)
                self._place += 1
            if not self._ended:
                self._close(tolerant=False)
        except OSError as error:
            self.stage.failures.append(self._report(f"{type(error).__name__}: {error}"))
        except AssertionError as error:
            self.stage.failures.append(self._report(str(error)))
            self._reset("")
        finally:
            self.sock.close()

    def _report(self, what: str) -> str:
        at = self._place
        steps = [*self.steps, Step("", "(end of the script)")]
        shown = [f"  {'>' if n == at else ' '} {step.verb} {step.text[:200]}" for n, step in enumerate(steps)]
        return "\n".join([what, *shown[max(0, at - 15) : at + 5]])

    # what the client says

    def _sip(self, seconds: float) -> bytes | None:
        """Return what came, b"" when the client is gone, None when nothing came."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1 << 18)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return None
        except ConnectionError:
            return b""
        self.heard += data
        self._unread += data
        return data

    def _more(self) -> bytes:
        """Wait for the client. If it says nothing before it hears what is still unsaid, that is a round trip."""
        data = self._sip(self._latency) if self._unsaid or self._spoke else None
        if data is None:
            self._flush()
            self.rounds += self._spoke
            self._spoke = False
            data = self._sip(self.stage.wait)
        if data is None:
            raise ScriptError(f"heard nothing more for {self.stage.wait} s, after {bytes(self._unread)!r}")
        return data

    def _until(self, mark: bytes) -> bytes:
        """Take what the client says up to *mark*, which goes as well."""
        start = 0
        while (found := self._unread.find(mark, start)) < 0:
            start = max(0, len(self._unread) - len(mark) + 1)
            if not self._more():
                raise ScriptError(f"the client went away, after {bytes(self._unread)!r}")
        taken = bytes(self._unread[:found])
        del self._unread[: found + len(mark)]
        return taken

    def _line(self) -> str:
        return self._until(b"\r\n").decode("utf-8", "surrogateescape")

    def _expect(self, text: str) -> None:
        if (heard := self._line()) != text:
            raise ScriptError(f"expected {text!r}\n   heard {heard!r}")

    def _expect_like(self, text: str) -> None:
        if not fnmatch.fnmatchcase(heard := self._line(), text):
            raise ScriptError(f"expected {text!r} (pattern)\n   heard {heard!r}")

    def _expect_match(self, text: str) -> None:
        if not re.fullmatch(text, heard := self._line()):
            raise ScriptError(f"expected {text!r} (regex)\n   heard {heard!r}")

    def _expect_mail(self, text: str) -> None:
        self._unread[:0] = b"\r\n"  # so that an empty message ends as any other
        mail = self._until(b"\r\n.\r\n") + b"\r\n"
        self.stage.data[text or str(len(self.stage.data) + 1)] = mail.replace(b"\r\n..", b"\r\n.")[2:]

    def _expect_close(self, _: str) -> None:
        if self._unread or self._more():
            raise ScriptError(f"expected the client to go away\n   heard {bytes(self._unread)!r}")
        self._ended = True

    # what the peer says

    def _flush(self) -> None:
        self._spoke = self._spoke or bool(self._unsaid)
        self.sock.settimeout(self.stage.wait)
        with suppress(ConnectionError):  # a client that went away early is noticed by what it does not say
            self.sock.sendall(self._unsaid)
        self._unsaid.clear()

    def _say(self, text: str) -> None:
        self._unsaid += text.encode("utf-8", "surrogateescape") + b"\r\n"

    def _say_raw(self, text: str) -> None:
        self._unsaid += literal(text)

    def _say_mail(self, text: str) -> None:
        mail = self.stage.given[text]
        assert isinstance(mail, bytes)
        self._unsaid += stuffed(mail)

    def _endless(self, text: str) -> None:
        said = literal(text) * 1000
        end = time.monotonic() + self.stage.wait
        with suppress(ConnectionError, ssl.SSLError):
            self._flush()
            while time.monotonic() < end:
                self.sock.sendall(said)
            raise ScriptError(f"the client still listens after {self.stage.wait} s")
        self._ended = True

    # acts

    def _tls(self, _: str) -> None:
        self._flush()
        assert self.stage.tls is not None, "no tls= given"
        if self._unread:
            raise ScriptError(f"the client speaks before the handshake: {bytes(self._unread)!r}")
        self.sock = self.stage.tls.wrap_socket(self.sock, server_side=True)

    def _tls_refused(self, text: str) -> None:
        with suppress(ssl.SSLError, ConnectionError):
            self._tls(text)
            if self._sip(self.stage.wait) != b"":
                raise ScriptError(f"the client trusts us: {bytes(self._unread)!r}")
        self._ended = True

    def _latency_is(self, text: str) -> None:
        self._latency = float(text)

    def _sleep(self, text: str) -> None:
        self._flush()
        time.sleep(float(text))

    def _call(self, text: str) -> None:
        self._flush()
        act = self.stage.given[text]
        assert callable(act)
        act()

    def _stall(self, _: str) -> None:
        while self._more():
            pass
        self._ended = True

    def _cut(self, _: str) -> None:
        self._close(tolerant=True)

    def _chop(self, _: str) -> None:
        self._flush()
        self.sock.shutdown(socket.SHUT_WR)  # without close_notify on TLS
        self._drain()
        self._ended = True

    def _reset(self, _: str) -> None:
        with suppress(OSError):
            self._flush()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        self.sock.close()
        self._ended = True

    def _close(self, *, tolerant: bool) -> None:
        """Say goodbye; what the client still says is an error unless *tolerant*."""
        self._flush()
        late = ""
        try:
            self._sip(0)
            if isinstance(self.sock, ssl.SSLSocket):
                with suppress(ssl.SSLWantReadError):  # says close_notify and does not wait for the client's
                    self.sock = self.sock.unwrap()
            socket.socket.shutdown(self.sock, socket.SHUT_WR)  # SSLSocket's own would forget the keys
            self._drain()
        except OSError as error:  # mostly that the client went away before we did
            late = getattr(error, "reason", "")
        self._ended = True
        if not tolerant and (self._unread or late == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):
            raise ScriptError(f"the client said more than the script has: {bytes(self._unread)!r}")

    def _drain(self) -> None:
        while (data := self._sip(0.05)) or (data is None and not self.stage.over.is_set()):
            pass

    VERBS: ClassVar[dict[str, Callable[["Connection", str], None]]] = {
        "S:": _say,
        "S>": _say_raw,
        "S.": _say_mail,
        "C:": _expect,
        "C*": _expect_like,
        "C~": _expect_match,
        "C.": _expect_mail,
        "-- call": _call,
        "-- chop": _chop,
        "-- cut": _cut,
        "-- endless": _endless,
        "-- expect-close": _expect_close,
        "-- latency": _latency_is,
        "-- reset": _reset,
        "-- sleep": _sleep,
        "-- stall": _stall,
        "-- starttls": _tls,
        "-- tls": _tls,
        "-- tls-refused": _tls_refused,
    }
