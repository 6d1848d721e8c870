"""The caretaker's copy, as Python's email package reads it, and the paragraph on top."""

import base64
import hashlib
import quopri
from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.mail import caretaker, message
from lib.mail.message import MAX_FIELDS, MAX_HEAD, Canon

RECEIVED = b"Received: from a\r\n\tby b; Mon, 23 Nov 2026 12:00:00 +0100\r\n"
PARAGRAPH = caretaker.paragraph([b"anna@x"], [(b"bob@x", b"550 5.1.1 no such user = gone")])
NOTE = PARAGRAPH.decode("ascii").replace("\r\n", "\n")


def canonical(data: bytes) -> bytes:
    canon = Canon()
    return canon.feed(data) + canon.finish()


def copied(data: bytes, paragraph: bytes = PARAGRAPH) -> bytes:
    """Return the caretaker's message of *data*, as it is sent."""
    head = message.scan(data)
    _, used = message.sender(head, "return-path")
    opening = message.opening(data, head, RECEIVED, used)
    copy = caretaker.copy(data, head, opening, paragraph, hashlib.sha256(data).hexdigest())
    return canonical(copy.opening + data[head.end :] + copy.closing)


def read(data: bytes) -> Message:
    """Return the caretaker's message of *data* as others read it: well-formed, ours on top."""
    parsed = message_from_bytes(copied(data))
    assert not parsed.defects
    assert parsed.keys()[0] == "Received"
    return parsed


def octets(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def text(part: Message) -> str:
    return octets(part).decode(part.get_content_charset("us-ascii"), "surrogateescape").replace("\r\n", "\n")


def members(parsed: Message) -> list[Message]:
    payload = parsed.get_payload()
    assert isinstance(payload, list)
    return [part for part in payload if isinstance(part, Message)]


def parts(parsed: Message) -> tuple[Message, Message]:
    """Return the paragraph's part and the message's own."""
    assert parsed.get_content_type() == "multipart/mixed"
    assert parsed.get_all("MIME-Version") == ["1.0"]
    note, own = members(parsed)
    assert (note.get_content_type(), text(note)) == ("text/plain", NOTE)
    return note, own


# Plain text: the paragraph opens the body

PLAIN_TEXTS = [
    b"",
    b"Content-Type: text/plain\r\n",
    b"Content-Type: TEXT/PLAIN; charset=US-ASCII\r\nMIME-Version: 1.0\r\n",
    b'Content-Type: text/plain;\r\n charset="utf-8"; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n',
    b"Content-Type: text/plain; format=flowed; CharSet = ISO-8859-15\r\nContent-Transfer-Encoding: BINARY\r\n",
    b"Content-Type: text/plain; charset=windows-1252\r\nContent-Disposition: inline\r\n",
    b"Content-Type: text/plain; charset=iso-2022-jp\r\n",
    b"Content-Type: text/plain; charset=koi8-r\r\nContent-Language: ru\r\n",
    b"Content-Transfer-Encoding: 7bit\r\n",
    b"Content-Type : text/plain\r\n",
]


@pytest.mark.parametrize("mime", PLAIN_TEXTS, ids=repr)
@pytest.mark.parametrize(
    "body", [b"Hello\r\nworld\r\n", b"no final line end", b"", b"\r\n\r\n", b"\nbare\nlines\r", b"  text\r\n"], ids=repr
)
def test_the_paragraph_opens_the_body_of_a_plain_text(mime: bytes, body: bytes) -> None:
    header = b"Subject: x\r\n" + mime
    assert copied(header + b"\r\n" + body) == canonical(RECEIVED + header + b"\r\n" + PARAGRAPH + b"\r\n" + body)


@pytest.mark.parametrize(
    ("charset", "words"),
    [("utf-8", "Grüße, 世界"), ("iso-8859-1", "Grüße"), ("gb18030", "世界"), ("iso-2022-jp", "世界")],
)
def test_eight_bit_text_reads_as_before_below_the_paragraph(charset: str, words: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    assert text(read(header.encode() + words.encode(charset))) == f"{NOTE}\n{words}\n"


def test_quoted_printable_text_gets_the_paragraph_in_quoted_printable() -> None:
    body = quopri.encodestring("Grüße = süß \r\n".encode())
    parsed = read(
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n" + body
    )
    assert text(parsed) == NOTE + "\nGrüße = süß \n"
    assert max(map(len, str(parsed.get_payload()).splitlines())) <= 76


@pytest.mark.parametrize("data", [b"just text\r\n", b" text behind a blank\r\n", b"\xef\xbb\xbfwith a BOM\r\n"])
def test_a_message_without_a_header_is_text(data: bytes) -> None:
    parsed = read(data)
    assert parsed.keys() == ["Received"]
    assert text(parsed) == NOTE + "\n" + data.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"Subject: x", b"Subject: x\r\n", b"Subject: x\n\n", b"Subject: x\r\0\n\0\r"]
)
def test_an_empty_message_is_the_paragraph(data: bytes) -> None:
    assert text(read(data)).rstrip("\n") + "\n" == NOTE


def test_a_line_that_ends_the_header_without_a_blank_line_is_text() -> None:
    assert text(read(b"Subject: x\r\nnonsense\r\n\r\nmore\r\n")) == NOTE + "\nnonsense\n\nmore\n"


def test_what_was_said_of_the_old_body_goes_and_nothing_else() -> None:
    data = b"A:  b\r\n\tc\r\nContent-MD5: x\r\nLines: 1\r\nContent-Length: 3\r\nReturn-Path: <b@x>\r\n\r\nabc"
    assert copied(data).startswith(RECEIVED + b"A:  b\r\n\tc\r\nLines: 1\r\n\r\n" + PARAGRAPH)


# Anything else becomes the second part

BASE64 = base64.encodebytes("Grüße\n".encode() * 20)
OTHERS = [
    b"Content-Type: text/html\r\n",
    b"Content-Type: text/plainer\r\n",
    b"Content-Type: text/plain; charset=utf-16\r\n",
    b'Content-Type: text/plain; charset="utf-7"\r\n',
    b"Content-Type: text/plain; charset*=utf-8''utf-16\r\n",
    b"Content-Type: text/plain; charset=utf-8; charset=utf-16\r\n",
    b"Content-Type: text/plain; charset=unheard-of\r\n",
    b"Content-Type: text/plain\r\nContent-Type: text/html\r\n",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n",
    b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=list.csv\r\n",
    b"Content-Type:\r\n",
    b"Content-Type: ;;;\r\nContent-Description: broken\r\n",
    b"Content-Type: \xff\xfe/plain\r\n",
    b"Content-Transfer-Encoding: quoted-\r\n printable (really)\r\n",
    b"Content-Type: application/pkcs7-mime;\r\n\tsmime-type=enveloped-data\r\nContent-MD5: x\r\n",
]


@pytest.mark.parametrize("mime", OTHERS, ids=repr)
@pytest.mark.parametrize("body", [b"Hello\r\nworld\r\n", b"\r\n", b"--x\r\n", b" Blank: first\r\n"], ids=repr)
def test_any_other_message_becomes_the_second_part_with_its_own_fields(mime: bytes, body: bytes) -> None:
    data = b"Subject: x\r\n" + mime + b"MIME-version: 1.0 (mine)\r\nTo: y\r\n\r\n" + body
    sent = copied(data)
    boundary = sent.partition(b'boundary="')[2].partition(b'"')[0]
    outer, note, own, end = (b"\r\n" + sent).split(b"\r\n--" + boundary)
    assert outer.startswith(b"\r\n" + RECEIVED + b"Subject: x\r\nTo: y\r\nMIME-Version: 1.0\r\n")
    assert note.endswith(b"\r\n\r\n" + PARAGRAPH)
    assert own == b"\r\n" + mime + b"\r\n" + body
    assert end == b"--\r\n"
    assert [line.partition(b":")[0].lower() for line in mime.split(b"\r\n") if line[:1] not in b" \t"] == [
        name.lower().encode()
        for name in parts(message_from_bytes(sent))[1].keys()  # noqa: SIM118 - a Message is no dict
    ]


def test_text_in_base64_reads_as_before_in_its_part() -> None:
    data = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + BASE64
    _, own = parts(read(data))
    assert text(own) == "Grüße\n" * 20


def test_text_in_utf_16_reads_as_before_in_its_part() -> None:
    words = base64.encodebytes("Grüße".encode("utf-16"))
    data = b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n" + words
    _, own = parts(read(data))
    assert octets(own).decode("utf-16") == "Grüße"


ALTERNATIVE = b"""Subject: both\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary="=_inner"\r
\r
preamble\r
--=_inner\r
Content-Type: text/plain\r
\r
plain\r
--=_inner\r
Content-Type: text/html\r
\r
<p>html\r
--=_inner--\r
epilogue"""

SIGNED = b"""From: anna@x\r
Content-Type: multipart/signed; protocol="application/pgp-signature";\r
  micalg=pgp-sha256; boundary=sig\r
Mime-Version: 1.0\r
\r
--sig\r
Content-Type:   text/plain;\r
\t  charset=us-ascii\r
\r
signed text  \r
\t\r
--sig\r
Content-Type: application/pgp-signature\r
\r
-----BEGIN PGP SIGNATURE-----\r
-----END PGP SIGNATURE-----\r
--sig--\r
"""


def test_a_multipart_stays_whole_in_its_part() -> None:
    _, own = parts(read(ALTERNATIVE))
    assert own.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in own.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert (own.preamble, own.epilogue) == ("preamble", "epilogue")


def test_what_was_signed_is_the_same_octets() -> None:
    kind = b"".join(SIGNED.splitlines(keepends=True)[1:3])
    sent = copied(SIGNED)
    assert parts(read(SIGNED))[1].get_content_type() == "multipart/signed"
    assert kind in SIGNED
    assert kind + b"\r\n" + SIGNED.partition(b"\r\n\r\n")[2] in sent


@pytest.mark.parametrize(
    ("header", "body", "coding"),
    [
        (b"", b"text", "7bit"),
        (b"Content-Transfer-Encoding: 8bit\r\n", b"text", "8bit"),
        (b"Content-Transfer-Encoding: Binary\r\n", b"\xff", "binary"),
        (b"", "Grüße".encode(), "8bit"),
        (b"Content-Transfer-Encoding: base64\r\n", b"eA==", "7bit"),
    ],
)
def test_the_whole_declares_what_its_part_holds(header: bytes, body: bytes, coding: str) -> None:
    parsed = read(b"Content-Type: text/html\r\n" + header + b"\r\n" + body)
    assert parsed["Content-Transfer-Encoding"] == coding


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r\n", b"\r\nno field\r\n"], ids=repr)
def test_a_part_begins_with_one_blank_line_however_the_header_ended(end: bytes) -> None:
    _, own = parts(read(b"Subject: x\r\nContent-Type: text/html" + end))
    assert octets(own).strip() == end.strip()
    assert own.keys() == ["Content-Type"]


def test_only_the_beginning_of_the_message_is_needed() -> None:
    data = ALTERNATIVE + b"x" * 1000
    head = message.scan(data)
    opening = message.opening(data, head, RECEIVED, None)
    assert caretaker.copy(data, head, opening, PARAGRAPH, "ab") == caretaker.copy(
        data[: head.end], head, opening, PARAGRAPH, "ab"
    )


def test_the_boundary_comes_from_the_message_and_stays_short() -> None:
    sent = copied(SIGNED)
    boundary = message_from_bytes(sent).get_boundary()
    assert boundary == "=_popfetch_" + hashlib.sha256(SIGNED).hexdigest()[:32]
    assert len(boundary) <= 70


# A header that was not read to its end

LONG = b"X-Long: " + b"x" * MAX_HEAD + b"\r\n"
MANY = b"A: b\r\n" * MAX_FIELDS


@pytest.mark.parametrize("unread", [LONG, MANY], ids=["long", "many"])
def test_a_message_whose_header_is_too_large_is_enclosed(unread: bytes) -> None:
    data = b"From: anna@x\r\nSubject: big\r\nTo: a@x\r\n" + unread + b"Content-Type: text/html\r\n\r\n<p>body\r\n"
    parsed = read(data)
    assert (parsed["From"], parsed["Subject"]) == ("anna@x", "big")
    assert parsed.get_all("Content-Type") == [parsed["Content-Type"]]
    _, own = parts(parsed)
    assert own.get_content_type() == "message/rfc822"
    assert RECEIVED + data in copied(data)
    assert members(own)[0].get_content_type() == "text/html"


def test_fields_of_any_length_are_not_repeated_outside() -> None:
    data = b"Subject: " + b"x" * 5000 + b"\r\nFrom: anna@x\r\n" + LONG + b"\r\nbody"
    parsed = read(data)
    assert parsed.keys()[:2] == ["Received", "From"]
    assert parsed["Subject"] is None
    assert parsed["Content-Transfer-Encoding"] == parts(parsed)[1]["Content-Transfer-Encoding"] == "7bit"


@pytest.mark.parametrize(
    "data", [b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n" + LONG, LONG + b"\r\nGr\xc3\xbc\xc3\x9fe"], ids=["head", "body"]
)
def test_octets_over_127_are_declared_for_an_enclosed_message(data: bytes) -> None:
    parsed = read(data)
    assert parsed["Content-Transfer-Encoding"] == parts(parsed)[1]["Content-Transfer-Encoding"] == "8bit"


def test_our_own_line_may_make_a_header_too_large() -> None:
    data = b"X-Long: " + b"x" * (MAX_HEAD - 40) + b"\r\n\r\nbody\r\n"
    assert message.scan(data).whole
    assert parts(read(data))[1].get_content_type() == "message/rfc822"


# The paragraph


def test_the_paragraph_names_who_has_received_it_and_who_has_not() -> None:
    assert caretaker.paragraph([b"anna@x", b"carl@x"], [(b"bob@x", b"550 no such user"), (b"dora@x", b"552 full")]) == (
        b"This message has not been received by everybody that it is for, so that a copy\r\n"
        b"goes to the caretaker (pf_dflt_address).\r\n"
        b"Received by:\r\n"
        b"    anna@x\r\n"
        b"    carl@x\r\n"
        b"Not received by:\r\n"
        b"    bob@x\r\n"
        b"        550 no such user\r\n"
        b"    dora@x\r\n"
        b"        552 full\r\n"
    )


def test_the_paragraph_says_so_when_nobody_has_received_it() -> None:
    assert b"\r\nReceived by: nobody\r\n" in caretaker.paragraph([], [(b"bob@x", b"")])


def test_hostile_words_are_shown_and_do_nothing() -> None:
    lines = caretaker.paragraph(
        [], [(b"b\xff\r\nBcc: x@y", b"550 \x1b[2J\x07\r\n.\r\n\0 Gr\xc3\xbc\xc3\x9fe \xff")]
    ).split(b"\r\n")
    assert lines[-3:] == [
        b"    b\\xff\\x0d\\x0aBcc: x@y",
        b"        550 \\x1b[2J\\x07 . \\x00 Gr\\xfc\\xdfe \\xff",
        b"",
    ]


def test_long_words_are_wrapped_and_endless_ones_cut() -> None:
    said = caretaker.paragraph([], [(b"bob@x", b"550 " + b"word " * 40 + b"x" * 100000)])
    lines = said.split(b"\r\n")
    assert max(map(len, lines)) <= 78
    assert len(said) < 1500
    assert b"100204 in all" in said.replace(b"\r\n        ", b" ")


def test_of_very_many_recipients_some_are_named_and_the_others_counted() -> None:
    said = caretaker.paragraph([b"a@x"] * 1003, [(b"b@x", b"550 no")] * 1002)
    assert (said.count(b"a@x"), said.count(b"b@x")) == (1000, 1000)
    assert b"\r\n    and 3 more\r\nNot received by:\r\n" in said
    assert said.endswith(b"\r\n    and 2 more\r\n")


@given(st.lists(st.binary(max_size=300)), st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=600))))
def test_the_paragraph_is_printable_lines_whatever_it_tells(
    names: list[bytes], refused: list[tuple[bytes, bytes]]
) -> None:
    said = caretaker.paragraph(names, refused)
    assert said.endswith(b"\r\n")
    assert said.replace(b"\r\n", b"").decode("ascii").isprintable()
    assert max(map(len, said.split(b"\r\n"))) <= 998


# Any message

PIECES = [
    *PLAIN_TEXTS,
    *OTHERS,
    b"A: b\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\0",
    b"text",
    b"\xff",
    b"--x",
    ALTERNATIVE,
    SIGNED,
]


@given(st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)))
def test_any_message_reaches_the_caretaker_with_its_body(data: bytes) -> None:
    head, sent = message.scan(data), copied(data)
    body = canonical(data[head.end :])
    assert PARAGRAPH in sent or b"=3D" in sent
    assert (body if body.endswith(b"\r\n") else body + b"\r\n").strip() in sent
    parsed = message_from_bytes(sent)
    assert parsed["Received"]
    assert len(parsed.get_all("MIME-Version", [])) <= 1 or parsed.get_content_maintype() == "text"
