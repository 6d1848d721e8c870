"""One request for a token, one answer: bounded, verified, cut short by a signal, and no redirect followed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lib.errors import StoppedError
from lib.net import https
from lib.net.https import Asking, HttpReply, ServerUnavailableError
from tests.peer import peer
from tests.pki import Pki

REQUEST = """
    C: GET /token HTTP/1.1
    C* Host: localhost:*
    C: Accept: application/json
    C: User-Agent: POPFetch
    C: Connection: close
    C:
"""
HEAD = "S: HTTP/1.1 200 OK\nS: Content-Length: 9\nS:\n"


@contextmanager
def served(script: str, pki: Pki) -> Iterator[str]:
    with peer(script, tls=pki.good) as p:
        yield f"https://localhost:{p.port}/token"


def asked(script: str, pki: Pki, how: Asking) -> HttpReply:
    with served(script, pki) as url:
        return https.get(url, how)


def test_an_object_comes_back(pki: Pki) -> None:
    script = f'-- tls\n{REQUEST}{HEAD}S: {{"x":1}}'
    assert asked(script, pki, Asking(pki.ca)) == HttpReply(200, {"x": 1})


@pytest.mark.parametrize("status", ["302 Found", "307 Moved"])
def test_a_redirect_is_an_answer_like_others(pki: Pki, status: str) -> None:
    script = f"-- tls\n{REQUEST}S: HTTP/1.1 {status}\nS: Location: https://evil.example/\nS: Content-Length: 0\nS:\n"
    assert asked(script, pki, Asking(pki.ca)).status == int(status[:3])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("-- tls-refused", "does not verify"),
        (f"-- tls\n{REQUEST}-- cut", "closed the connection"),
        (f"-- tls\n{REQUEST}-- reset", "reset|closed"),
        (f"-- tls\n{REQUEST}S: HTTP/1.1 200 OK\nS: Content-Length: 90\nS:\nS: half\n-- cut", "closed the connection"),
        (f"-- tls\n{REQUEST}-- stall", "in time"),
        (f"-- tls\n{REQUEST}{HEAD}-- stall", "in time"),
        (f"-- tls\n{REQUEST}S: +OK\nS:\n-- expect-close", "no HTTP"),
        ("S: HTTP/1.1 400 plain\n-- cut", "TLS failed"),
    ],
)
def test_what_is_no_answer(pki: Pki, script: str, words: str) -> None:
    how = Asking(None if "refused" in script else pki.ca, seconds=0.4)
    with pytest.raises(ServerUnavailableError, match=words):
        asked(script, pki, how)


def later(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def test_a_signal_ends_the_wait_for_a_connection_at_once(pki: Pki) -> None:
    began = time.monotonic()
    with pytest.raises(StoppedError):
        asked("-- stall", pki, Asking(pki.ca, later(0.1)))
    assert time.monotonic() - began < 3


def test_an_answer_to_what_was_sent_is_worth_a_moment(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'-- tls\n{REQUEST}-- sleep 0.3\n{HEAD}S: {{"x":1}}'
    assert asked(script, pki, Asking(pki.ca, later(0.1))) == HttpReply(200, {"x": 1})
    monkeypatch.setattr("lib.net.https.GRACE_WHEN_KILLED", 0.2)
    with pytest.raises(StoppedError):
        asked(f"-- tls\n{REQUEST}-- stall", pki, Asking(pki.ca, later(0.1)))
