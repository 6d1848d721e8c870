"""The caretaker's copy of a message that not everybody has received: a paragraph on top says who has and who has not.

A plain-text message gets the paragraph at the top of its body. Any other becomes the second part of a multipart/mixed,
untouched, with its own Content-* fields (RFC 2045, 2046); a message whose header is too large to be read becomes a
message/rfc822 there. Pure; the body is not needed, only passed on between Copy's two ends.
"""

import re
from binascii import b2a_qp
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import NamedTuple

from lib.mail.message import Canon, Field, Head, scan
from lib.mail.received import WIDTH
from lib.visible import visible

SHOWN = 1000  # recipients of either kind that are named; the paragraph counts the others
LONGEST_NAME = 240  # characters of a recipient: four each when escaped, and a line stays below 998
LONGEST_WORDS = 500  # characters of a receiver's words
LONGEST_TOKEN = 32  # of the characters that a boundary may have: 70 (RFC 2046 section 5.1.1)
LONGEST_FIELD = 4096  # octets of a field that is repeated outside an unread header

TEXT_PLAIN = re.compile(rb"text/plain[ \t]*(?:;|\Z)")
CHARSET = re.compile(rb'charset[ \t]*=[ \t]*"?([^ \t";]+)')
ASCII_COMPATIBLE = re.compile(  # what is written in ASCII reads the same in them
    rb"(?:us-)?ascii|utf-?8|iso-?8859-[0-9]{1,2}|latin[0-9]|(?:windows-|cp)(?:125[0-8]|874)|koi8-[ru]|gb2312|gbk|gb18030"
    rb"|big5|euc-(?:jp|kr|tw|cn)|ks_c_5601-1987|shift_jis|iso-2022-jp|tis-620|unknown-8bit"
)
PLAIN_ENCODINGS = (b"7bit", b"8bit", b"binary")
QUOTED_PRINTABLE = b"quoted-printable"
OF_THE_OLD_BODY = (b"content-length", b"content-md5")  # wrong once a paragraph stands in it
RECOGNISABLE = (b"received", b"from", b"date", b"subject", b"message-id")

NOTE = (
    b"This message has not been received by everybody that it is for, so that a copy\r\n"
    b"goes to the caretaker (pf_dflt_address).\r\n"
)


class Copy(NamedTuple):
    """What is sent in place of a message's header, and behind its body."""

    opening: bytes
    closing: bytes


def paragraph(received_by: Sequence[bytes], refused: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the lines that name who has received a message, and who has not, with the receiver's words.

    They are printable ASCII whatever the names and words hold, and end in CRLF.
    """
    lines = ["Received by:" if received_by else "Received by: nobody"]
    lines += [f"    {visible(name, LONGEST_NAME)}" for name in received_by[:SHOWN]] + _more(received_by)
    lines += ["Not received by:"]
    for name, words in refused[:SHOWN]:
        lines += [f"    {visible(name, LONGEST_NAME)}", *_words(words)]
    lines += _more(refused)
    return NOTE + b"".join(line.encode("ascii", "backslashreplace") + b"\r\n" for line in lines)


def _words(words: bytes) -> list[str]:
    text = visible(b" ".join(words.split()), LONGEST_WORDS).encode("ascii", "backslashreplace").decode("ascii")
    return wrap(text, WIDTH - 1, initial_indent=" " * 8, subsequent_indent=" " * 8, break_on_hyphens=False)


def _more(everybody: Sequence[object]) -> list[str]:
    return [f"    and {len(everybody) - SHOWN} more"] if len(everybody) > SHOWN else []


def copy(data: bytes, head: Head, opening: bytes, paragraph: bytes, token: str) -> Copy:
    """Return the two ends of the caretaker's copy: Canon of opening + data[head.end:] + closing is the message.

    *opening* is what would be sent in place of data[:head.end]; *token* is text that nobody who wrote the message can
    know, such as its SHA-256. Of *data*, the beginning of the message is enough.
    """
    canon = Canon()
    top = canon.feed(opening) + canon.finish()
    read = scan(top)
    eightbit = not data[head.end :].isascii()
    boundary = b"=_popfetch_" + token[:LONGEST_TOKEN].encode("ascii")
    closing = b"\r\n--%b--\r\n" % boundary
    if not (head.whole and read.whole):
        outer, moved, coding = _enclosed(top, read.fields, eightbit=eightbit or not top.isascii())
        return Copy(outer + _parts(paragraph, boundary, coding) + moved, closing)
    blank = b"" if head.blank else b"\r\n"
    encoding = _text_encoding(read.fields)
    if encoding is None:
        outer, moved, coding = _split(top, read.fields, eightbit=eightbit)
        return Copy(outer + _parts(paragraph, boundary, coding) + moved + blank, closing)
    text = b2a_qp(paragraph) if encoding == QUOTED_PRINTABLE else paragraph
    kept = (field for field in read.fields if field.name not in OF_THE_OLD_BODY)
    return Copy(_raw(top, kept) + b"\r\n" + text + blank, b"")


def _raw(top: bytes, fields: Iterable[Field]) -> bytes:
    return b"".join(top[field.start : field.end] for field in fields)


def _values(fields: Iterable[Field], name: bytes) -> list[bytes]:
    return [field.value.lower() for field in fields if field.name == name]


def _text_encoding(fields: Sequence[Field]) -> bytes | None:
    """Return the transfer encoding of a body that a paragraph of ASCII can stand in; None for any other body.

    A header that says two things, or something unknown, says nothing: None.
    """
    kinds = _values(fields, b"content-type") or [b"text/plain"]
    encodings = _values(fields, b"content-transfer-encoding") or [b"7bit"]
    known = encodings[0] in (*PLAIN_ENCODINGS, QUOTED_PRINTABLE)
    if len(kinds) + len(encodings) > 2 or not known or not TEXT_PLAIN.match(kinds[0]):
        return None
    charsets = CHARSET.findall(kinds[0])
    read = len(charsets) == kinds[0].count(b"charset") and all(map(ASCII_COMPATIBLE.fullmatch, charsets))
    inline = all(value.startswith(b"inline") for value in _values(fields, b"content-disposition"))
    return encodings[0] if read and inline else None


def _split(top: bytes, fields: Sequence[Field], *, eightbit: bool) -> tuple[bytes, bytes, bytes]:
    """Return the fields that stay outside, the Content-* fields that go with the body, and the coding of it all."""
    moved = [field for field in fields if field.name.startswith(b"content-")]
    stay = [field for field in fields if not field.name.startswith((b"content-", b"mime-version"))]
    declared = _values(moved, b"content-transfer-encoding")
    coding = b"binary" if b"binary" in declared else b"8bit" if eightbit or b"8bit" in declared else b"7bit"
    return _raw(top, stay), _raw(top, moved), coding


def _enclosed(top: bytes, fields: Sequence[Field], *, eightbit: bool) -> tuple[bytes, bytes, bytes]:
    """Return our Received field and what a person knows a message by, the message as a part, and its coding."""
    first = {field.name: field for field in reversed(fields) if field.end - field.start <= LONGEST_FIELD}
    coding = b"8bit" if eightbit else b"7bit"
    part = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: %b\r\n\r\n" % coding
    return _raw(top, (first[name] for name in RECOGNISABLE if name in first)), part + top, coding


def _parts(paragraph: bytes, boundary: bytes, coding: bytes) -> bytes:
    """Return everything from MIME-Version to the first line of the second part."""
    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="%b"\r\n' % boundary
        + b"Content-Transfer-Encoding: %b\r\n\r\n--%b\r\n" % (coding, boundary)
        + b"Content-Type: text/plain; charset=us-ascii\r\n\r\n%b\r\n--%b\r\n" % (paragraph, boundary)
    )
