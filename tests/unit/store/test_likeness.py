"""Lines that servers write into a header: what of a message stays the same without them."""

import hashlib

import pytest

from lib.store import likeness
from lib.store.spool_format import Content

HEAD = b"Return-Path: <x@far.test>\r\nFrom: x@far.test\r\nSubject: letter 1\r\nMessage-ID: <1@far.test>\r\n"
BODY = b"\r\nStatus: this is text\r\n"
MARKS = [
    b"Status: O\r\n",
    b"X-Status: A\r\n",
    b"X-UID: 17\r\n",
    b"X-UIDL: abc\r\n",
    b"X-Keywords:                     \r\n",
    b"X-Mozilla-Status: 0001\r\n",
    b"X-Mozilla-Status2: 00000000\r\n",
    b"Content-Length: 24\r\n",
    b"STATUS : RO\r\n",
    b"x-keywords: one\r\n two\r\n\tthree\r\n",
]
LOOKALIKES = [
    b"Status-Update: 1\r\n",
    b"X-Statuses: 1\r\n",
    b"UID: 5\r\n",
    b"Keywords: mail, letters\r\n",
    b"X-Content-Length: 5\r\n",
    b"Mozilla-Status: 1\r\n",
    b"Content-Type: text/plain\r\n Status: folded\r\n",
]


def content(message: bytes) -> Content:
    one = Content()
    one.feed(message)
    return one


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("at", ["top", "middle", "end"])
def test_a_line_that_a_server_writes_makes_no_other_message_of_it(mark: bytes, at: str) -> None:
    fields = HEAD.splitlines(keepends=True)
    fields.insert({"top": 0, "middle": 2, "end": len(fields)}[at], mark)
    marked, plain = content(b"".join(fields) + BODY), content(HEAD + BODY)
    assert plain.bare == ""
    assert marked.bare == plain.sha == hashlib.sha256(HEAD + BODY).hexdigest()
    assert marked.sha != plain.sha
    assert marked.header == plain.header != ""


@pytest.mark.parametrize("field", LOOKALIKES)
def test_no_other_line_is_left_out(field: bytes) -> None:
    assert content(HEAD + field + BODY).bare == ""
    assert likeness.unmarked(HEAD + field) == HEAD + field


@pytest.mark.parametrize(
    "reply", [HEAD + b"\r\n", HEAD, HEAD + b"Status: RO\r\n\r\n", HEAD + b"\r\nfirst line of a body\r\n"]
)
def test_top_tells_the_header_that_retr_gave(reply: bytes) -> None:
    assert likeness.top_hash(reply) == content(HEAD + b"Status: O\r\n" + BODY).header


@pytest.mark.parametrize(
    "message", [b"", b"\r\nno header\r\n", b"a: b\r\n\r\nshort\r\n", HEAD + b"no end", b"\r\n\r\n"]
)
def test_a_header_that_is_none_or_says_little_tells_nothing(message: bytes) -> None:
    assert content(message).header == content(message).bare == ""


def test_a_header_without_end_is_not_searched_for_ever() -> None:
    long = content(HEAD + b"x: y\r\n" * 20_000 + b"Status: O\r\n" + BODY)
    assert (long.header, long.bare) == ("", "")


def test_what_comes_in_pieces_has_the_same_hashes() -> None:
    pieces = Content()
    message = HEAD + b"Status: O\r\n" + BODY + b"x" * 100_000
    for piece in (message[:70_000], message[70_000:80_000], b"", message[80_000:]):
        pieces.feed(piece)
    whole = content(message)
    assert (pieces.sha, pieces.bare, pieces.header) == (whole.sha, whole.bare, whole.header)
