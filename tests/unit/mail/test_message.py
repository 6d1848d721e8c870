"""The header's fields, what is sent in their place, and the line ends."""

import re
from email import message_from_bytes
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.mail import message
from lib.mail.message import MAX_FIELDS, MAX_HEAD, Canon, Head

OURS = b"Received: from pop.example by mail.example (popfetch\r\n\tbob@pop.example) with POP3; x\r\n"

# What hostile and sloppy headers are made of.
PIECES = st.sampled_from(
    [b"A", b"To", b": ", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0", b"x@y", b"\xff", b"From ", b"\n\n"]
)
SOUP = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=30).map(b"".join))


def canonical(data: bytes) -> bytes:
    canon = Canon()
    return canon.feed(data) + canon.finish()


def names_and_values(head: Head) -> list[tuple[bytes, bytes]]:
    return [(field.name, field.value) for field in head.fields]


# The scan


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"A: b\r\n\r\nC: d\r\n", [(b"a", b"b")]),
        (b"A: b\nC: d\n\nE: f\n", [(b"a", b"b"), (b"c", b"d")]),
        (b"A: b\rC: d\r\rE: f\r", [(b"a", b"b"), (b"c", b"d")]),
        (b"A: b\r\r\nC: d\r\r\n\r\r\nE: f\r\r\n", [(b"a", b"b"), (b"c", b"d")]),
        (b"A: b\r\r\r\nC: d\r\n", [(b"a", b"b")]),  # CR, then CR CR LF: two line ends
        (b"A: b\r\nC: d\n\rE: f", [(b"a", b"b"), (b"c", b"d")]),
        (b"A: b", [(b"a", b"b")]),
        (b"A: b\r", [(b"a", b"b")]),
        (b"A:b\r\nc:\r\n", [(b"a", b"b"), (b"c", b"")]),
        (b"X-Rcpt-To \t : bob\r\n", [(b"x-rcpt-to", b"bob")]),
        (b"A: b: c\r\n", [(b"a", b"b: c")]),
        (b"A: b\r\n\tc\r\n  d: e \r\nF: g\r\n", [(b"a", b"b\tc  d: e"), (b"f", b"g")]),
        (b"A:\n b\r c\r\r\n d\n", [(b"a", b"b c d")]),
        (b"A: b\r\n \r\n\t\r\nC: d\r\n\r\n", [(b"a", b"b"), (b"c", b"d")]),  # blanks alone continue
        (b"A: b\r\nnonsense\r\nC: d\r\n\r\n", [(b"a", b"b")]),
        (b"A: b\r\ntwo words: c\r\n", [(b"a", b"b")]),
        (b"A: b\r\n: c\r\n", [(b"a", b"b")]),
        (b"A: b\r\n : c\r\nD: e\r\n", [(b"a", b"b : c"), (b"d", b"e")]),
        (b"A: b\r\nK\xe4se: c\r\n", [(b"a", b"b")]),
        (b"A: K\xe4se\r\n", [(b"a", b"K\xe4se")]),
        (b" first line continues nothing: x\r\nA: b\r\n", []),
        (b"\0A\0: \0b\0\r\0\n\0 c\r\nD: e\r\0\r\0\n\0\r\nF: g", [(b"a", b"b c"), (b"d", b"e")]),
        (b"A: b\n\0\nC: d\n", [(b"a", b"b")]),
    ],
)
def test_fields_are_found_whatever_ends_a_line(data: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    assert names_and_values(message.scan(data)) == fields


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (b"A: b\r\n\r\nbody", b"\r\nbody"),
        (b"A: b\n\nbody", b"\nbody"),
        (b"A: b\r\0\n\0\nbody", b"\0\nbody"),
        (b"A: b\r\nnonsense\r\n\r\nbody", b"nonsense\r\n\r\nbody"),
        (b"A: b\r\n", b""),
        (b"A: b", b""),
        (b"\r\nbody", b"\r\nbody"),
        (b"text\r\n", b"text\r\n"),
        (b"", b""),
    ],
)
def test_what_follows_the_fields_is_not_touched(data: bytes, rest: bytes) -> None:
    assert data[message.scan(data).end :] == rest


@pytest.mark.parametrize(
    ("data", "headless", "blank"),
    [
        (b"", True, False),
        (b"\r\nbody", True, True),
        (b"\0", True, False),
        (b"\r\n text", True, True),
        (b"\n\ttext", True, True),
        (b"\r text", True, True),
        (b"\0\n text", True, True),
        (b"A: b\r\r text", False, True),
        (b"A: b\r\n\r\n text", False, True),
        (b"\0\r\nbody", True, True),
        (b"text\r\n", True, False),
        (b" text\r\n", True, False),
        (b"A: b", False, False),
        (b"A: b\r\n", False, False),
        (b"A: b\r\n\r\n", False, True),
        (b"A: b\r\n\n", False, True),
        (b"A: b\r\ntext\r\n", False, False),
    ],
)
def test_a_message_without_a_header_or_without_a_blank_line_is_known(data: bytes, headless: bool, blank: bool) -> None:
    head = message.scan(data)
    assert (head.headless, head.blank, head.whole) == (headless, blank, True)


@pytest.mark.parametrize(
    ("front", "rest"),
    [
        (b"\xef\xbb\xbf", b"A: b\r\n\r\nbody"),
        (b"\xef\xbb\xbf", b"text"),
        (b"From bob@x Mon Nov 23 12:00:00 2026\n", b"A: b\n\nbody"),
        (b"From bob@x\r\n>From carl@y\r\n", b"A: b\r\n\r\n"),
        (b">From bob@x\r", b"A: b\r"),
        (b"\xef\xbb\xbfFrom bob@x\r\r\n", b"A : b\r\n"),
        (b"From bob@x\r\n", b"\r\nbody"),
        (b"From bob@x\r\n", b""),
        (b"", b"From here on it is text.\r\nMore of it.\r\n"),
        (b"", b"From bob"),
        (b"", b"From : bob@x\r\nTo: carl@y\r\n"),
        (b"", b"From\r\n"),
    ],
)
def test_a_bom_and_from_lines_are_left_out_but_never_text(front: bytes, rest: bytes) -> None:
    head = message.scan(front + rest)
    assert head.start == len(front)
    assert names_and_values(head) == names_and_values(message.scan(rest))


def test_every_octet_of_a_field_belongs_to_it() -> None:
    data = b"\xef\xbb\xbfA: b\r\n\tc\r\nD : \0e\n\nbody"
    fields = message.scan(data).fields
    assert [data[field.start : field.end] for field in fields] == [b"A: b\r\n\tc\r\n", b"D : \0e\n"]


@given(SOUP)
def test_any_bytes_have_a_head_without_gaps(data: bytes) -> None:
    head = message.scan(data)
    edges = [head.start, *(field.end for field in head.fields)]
    assert edges == sorted(set(edges))
    assert [field.start for field in head.fields] == edges[:-1]
    assert edges[-1] == head.end <= len(data)
    assert not any(set(field.name + field.value) & set(b"\r\n\0") for field in head.fields)


@given(SOUP)
def test_the_header_is_the_one_that_will_be_sent(data: bytes) -> None:
    raw, sent = message.scan(data), message.scan(canonical(data))
    if not raw.start and not sent.start:
        assert names_and_values(sent) == names_and_values(raw)
        assert canonical(data)[sent.end :] == canonical(data[raw.end :])
        assert (sent.headless, sent.blank) == (raw.headless, raw.blank)


# Headers without end


@pytest.mark.parametrize(
    "beginning", [b"A: b\r\n", b"A: b\r\nB: c\r\n", b"", b"X-Rcpt-To: a@b\n"], ids=["one", "two", "none", "recipient"]
)
@pytest.mark.parametrize("line", [b"A: %b\r\n", b"A: %b", b"A: b\r\n \t%b", b"A: %b\r"], ids=repr)
def test_a_field_that_the_limit_cuts_is_passed_on_unread(beginning: bytes, line: bytes) -> None:
    head = message.scan(beginning + line % (b"x" * MAX_HEAD))
    assert names_and_values(head) == names_and_values(message.scan(beginning))
    assert (head.whole, head.blank, head.headless, head.end) == (False, False, False, len(beginning))


@pytest.mark.parametrize("over", range(8))
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\0\n"], ids=repr)
@pytest.mark.parametrize("after", [b"C: d", b" d", b"\r\nC: d", b"nonsense"], ids=repr)
def test_the_limit_may_cut_at_any_octet(over: int, end: bytes, after: bytes) -> None:
    """What is seen of a header that is cut is the beginning of what is seen of the same header when it is short."""
    tail = end + after + end + b"y" * 10
    spare = MAX_HEAD - 4 - over
    head, short = message.scan(b"A: x" + b"x" * spare + tail), message.scan(b"A: x" + tail)
    assert head.end in (0, *(field.end + spare for field in short.fields))
    assert head.end <= MAX_HEAD
    assert head.blank <= (short.blank and head.end == short.end + spare)
    assert head.whole <= (head.end == short.end + spare)


def test_a_first_line_without_end_is_no_header() -> None:
    head = message.scan(b" " + b"x" * MAX_HEAD)
    assert (head.headless, head.whole, head.end) == (True, False, 0)


def test_the_end_of_the_header_is_seen_before_the_limit() -> None:
    assert message.scan(b"A: b\r\n\r\n" + b"x" * MAX_HEAD).whole
    assert message.scan(b"A: b\r\ntext\r\n" + b"x" * MAX_HEAD).whole


def test_no_more_than_the_limit_of_fields_is_told_apart() -> None:
    head = message.scan(b"A:\r\n" * (MAX_FIELDS + 1) + b"\r\n")
    assert len(head.fields) == MAX_FIELDS
    assert (head.whole, head.blank, head.end) == (False, False, 4 * MAX_FIELDS)
    head = message.scan(b"A:\r\n" * (MAX_FIELDS - 1) + b"\r\nbody")
    assert (len(head.fields), head.whole, head.blank) == (MAX_FIELDS - 1, True, True)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece",
    [
        b"A: b\r\n",
        b"\n ",
        b"\n\0 ",
        b"\r\r\n ",
        b"\r",
        b"\r\0",
        b"\n\0",
        b"\0",
        b"A",
        b"A ",
        b":",
        b"From \n",
        b"\r \0",
    ],
    ids=repr,
)
def test_fifty_megabytes_of_header_take_no_more_time_than_one(piece: bytes) -> None:
    head = message.scan(b"A:" + piece * (50_000_000 // len(piece)))
    assert head.end <= MAX_HEAD


# The sender


@pytest.mark.parametrize(
    ("value", "sender"),
    [
        (b"<bob@x.example>", b"bob@x.example"),
        (b" < bob@x.example > ", b"bob@x.example"),
        (b"bob@x.example", b"bob@x.example"),
        (b"<b..ob.@docomo.example>", b"b..ob.@docomo.example"),
        (b'<"b ob"@x.example>', b'"b ob"@x.example'),
        (b"<bob@[192.0.2.1]>", b"bob@[192.0.2.1]"),
        (b"<j\xc3\xbcrgen@x.example>", b"j\xc3\xbcrgen@x.example"),
        (b"<>", b""),
        (b"< >", b""),
        (b"\r\n <bob@x.example>", b"bob@x.example"),
    ],
)
def test_the_topmost_return_path_is_the_sender_and_goes(value: bytes, sender: bytes) -> None:
    data = b"A: b\r\nReturn-path:" + value + b"\r\nReturn-Path: <other@x.example>\r\n\r\n"
    head = message.scan(data)
    assert message.sender(head, "return-path") == (sender, head.fields[1])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"<bob>",
        b"<bob@>",
        b"<@x>",
        b"<b ob@x>",
        b"<bob@x",
        b"bob@x>",
        b"<bob@x> (comment)",
        b"<bob@x><carl@y>",
        b"<@a,@b:bob@x>",
        b"<bob@x\x07>",
        b"<bob@x\x7f>",
        b"<j\xfcrgen@x>",
        b"<j\xc2\x9bm@x>",
        b"<" + b"b" * 253 + b"@x>",
    ],
)
def test_a_broken_return_path_makes_the_null_sender_and_stays(value: bytes) -> None:
    head = message.scan(b"Return-Path: " + value + b"\r\nReturn-Path: <other@x>\r\n\r\n")
    assert message.sender(head, "return-path") == (b"", None)


@pytest.mark.parametrize(
    ("rule", "sender"), [("null", b""), ("fetcher@x.example", b"fetcher@x.example"), ("return-path", b"")]
)
def test_without_a_return_path_or_use_for_it_nothing_goes(rule: str, sender: bytes) -> None:
    data = b"A: b\r\n\r\n" if rule == "return-path" else b"Return-Path: <bob@x>\r\n\r\n"
    assert message.sender(message.scan(data), rule) == (sender, None)


# What is sent in place of the header


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"A:  b\r\n\t c\r\nd : e\r\n\r\nbody", b"+A:  b\r\n\t c\r\nd : e\r\n\r\nbody"),
        (b"\xef\xbb\xbfFrom x\nA: b\n\nbody", b"+A: b\n\nbody"),
        (b"A: b\r\nReturn-Path:\r\n <b@x>\r\nC: d\r\n\r\n", b"+A: b\r\nC: d\r\n\r\n"),
        (b"Return-Path: <>\r\nReturn-Path: <b@x>\r\n\r\n", b"+Return-Path: <b@x>\r\n\r\n"),
        (b"Return-Path: <b@x>", b"+"),
        (b"text", b"+\r\ntext"),
        (b" text", b"+\r\n text"),
        (b"\xef\xbb\xbftext", b"+\r\ntext"),
        (b"\r\ntext", b"+\r\ntext"),
        (b"A: b\r\ntext", b"+A: b\r\ntext"),
        (b"", b"+\r\n"),
    ],
)
def test_the_header_is_sent_octet_by_octet_below_our_line(data: bytes, sent: bytes) -> None:
    head = message.scan(data)
    _, used = message.sender(head, "return-path")
    assert message.opening(data, head, b"+", used) + data[head.end :] == sent


@given(SOUP)
def test_no_text_is_taken_for_header_behind_our_line(data: bytes) -> None:
    head = message.scan(data)
    sent = canonical(message.opening(data, head, OURS, None) + data[head.end :])
    after = message.scan(sent)
    assert names_and_values(after)[1:] == names_and_values(head)
    assert sent[after.end :] == canonical(data[head.end :]) or head.headless


def test_python_reads_the_same_message_behind_our_line() -> None:
    data = b"Subject: x\r\nTo: a@b\r\n\r\nbody\r\n"
    head = message.scan(data)
    parsed = message_from_bytes(message.opening(data, head, OURS, None) + data[head.end :])
    assert parsed.keys() == ["Received", "Subject", "To"]
    assert parsed.get_payload() == "body\r\n"


# Line ends


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"", b""),
        (b"\0", b""),
        (b"a", b"a\r\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb", b"a\r\nb\r\n"),
        (b"a\r\r\r\nb", b"a\r\n\r\nb\r\n"),
        (b"a\n\r\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\r\n\rb", b"a\r\n\r\nb\r\n"),
        (b"\r\r\r", b"\r\n\r\n\r\n"),
        (b"a\0\r\0\r\0\nb\0", b"a\r\nb\r\n"),
        (b"a\n.\nb\r.\rc\r\n", b"a\r\n.\r\nb\r\n.\r\nc\r\n"),
    ],
)
def test_line_ends_become_crlf_and_nuls_go(data: bytes, sent: bytes) -> None:
    whole, byte_wise = Canon(), Canon()
    assert whole.feed(data) + whole.finish() == sent
    assert b"".join(byte_wise.feed(bytes([octet])) for octet in data) + byte_wise.finish() == sent


ENDS = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a", b"\r\n"]), max_size=30).map(b"".join)


@given(ENDS, st.lists(st.integers(0, 40), max_size=6))
def test_line_ends_do_not_depend_on_how_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    canon = Canon()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert b"".join(canon.feed(data[a:b]) for a, b in pairwise(edges)) + canon.finish() == canonical(data)


@given(ENDS)
def test_what_was_made_right_is_right(data: bytes) -> None:
    sent = canonical(data)
    assert sent.count(b"\r") == sent.count(b"\n") == sent.count(b"\r\n")
    assert b"\0" not in sent
    assert sent.endswith(b"\r\n") or not sent
    assert canonical(sent) == sent
    assert sent.replace(b"\r\n", b"") == data.translate(None, b"\r\n\0")


@given(st.text("a\r\n\0", max_size=12).map(str.encode))
def test_any_row_of_line_ends_is_read_from_the_left(data: bytes) -> None:
    canon = Canon()
    mended = re.sub(rb"\r{0,2}\n|\r", b"\r\n", data.replace(b"\0", b""))
    assert canon.feed(data) + canon.finish() == mended + b"\r\n" * (mended[-1:] == b"a")


def test_nothing_is_held_back_after_the_end() -> None:
    canon = Canon()
    assert canon.feed(b"a\r") == b"a"
    assert canon.finish() == b"\r\n"
    assert canon.finish() == b""
