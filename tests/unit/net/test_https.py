"""Where an answer of HTTP ends, however it comes."""

import pytest

from lib.errors import ProtocolError
from lib.net.dialogue import Command
from lib.net.https import Answer, Asking, HttpFramer, ServerUnavailableError, get

ASKED = Command(b"GET / HTTP/1.1\r\n\r\n")
SIZED = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
CHUNKED = b'HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
UNTIL_CLOSED = b'HTTP/1.0 503 Busy\r\n\r\n{"a":1}'
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(("octets", "status"), [(SIZED, 200), (CHUNKED, 400), (NOTHING, 204)])
def test_an_answer_is_whole_when_its_last_octet_is_there(octets: bytes, status: int) -> None:
    framer = HttpFramer()
    for at in range(len(octets)):
        if at < len(octets) - len(b"\r\n\r\n"):
            assert framer.piece(ASKED) is None
            assert framer.closed() is None
        framer.feed(octets[at : at + 1])
    assert framer.piece(ASKED) == Answer(status, b"" if status == 204 else b'{"a":1}')


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    framer = HttpFramer()
    framer.feed(UNTIL_CLOSED)
    assert framer.piece(ASKED) is None
    assert framer.closed() == Answer(503, b'{"a":1}')


@pytest.mark.parametrize(
    "octets",
    [b"+OK POP3 ready\r\n\r\n", b"HTTP/1.1 banana\r\n\r\n", b"SSH-2.0\r\n\r\n"],
)
def test_what_is_no_http(octets: bytes) -> None:
    framer = HttpFramer()
    framer.feed(octets)
    with pytest.raises(ProtocolError, match="no HTTP"):
        assert framer.piece(ASKED) is not None


def test_an_answer_without_end_is_given_up() -> None:
    framer = HttpFramer()
    for _ in range(16):
        framer.feed(b"x" * (1 << 16))
    with pytest.raises(ProtocolError, match="more than 1048576 octets"):
        framer.feed(b"x")


def test_an_answer_shows_no_token() -> None:
    assert "secret" not in repr(Answer(200, b'{"access_token": "secret"}'))


@pytest.mark.parametrize(
    "url", ["http://x.org/t", "https:///t", "https://x.org:99999/", "https://x.org/a b", "ftp://x"]
)
def test_no_other_address_is_asked(url: str) -> None:
    with pytest.raises(ServerUnavailableError, match="not an https:// address"):
        get(url, Asking())
