"""Five hundred messages as mailboxes hold them, and what must be left of each when it has arrived in a maildir.

Every sample says for itself what arrives: the same bytes with LF line ends, unless §6 of the design changes them (lone
CR, NUL, a BOM, a "From " line, the Return-Path) or Postfix does (see after_header). Nothing here asks the program's
own code. All bytes are the same in every run.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

KILOBYTE, MEGABYTE = 1000, 1_000_000
COUNT = 500
LONG_LINE = 20_000  # octets; RFC 5321 allows 1000


class Sample(NamedTuple):
    """A message as it lies in the mailbox, and what is *wanted* of it below the Received lines, with LF line ends."""

    what: str
    sent: bytes
    wanted: bytes


def noise(seed: str, octets: int) -> bytes:
    """Return *octets* of anything: all 256 values."""
    return hashlib.shake_256(seed.encode()).digest(octets)


def text(seed: str, octets: int) -> bytes:
    """Return lines of letters, about *octets* in all, CRLF at their ends."""
    return base64.encodebytes(noise(seed, octets * 72 // 100)).replace(b"\n", b"\r\n")


def lf(octets: bytes) -> bytes:
    """Return what the line ends of *octets* come to, a last one added: NULs go, lone CR and CR CR LF are line ends."""
    ended = octets.replace(b"\0", b"").replace(b"\r\n", b"\n")
    ended = re.sub(rb"\r?\n|\r", b"\n", ended) if b"\r" in ended else ended
    return ended if ended.endswith(b"\n") or not ended else ended + b"\n"


def header(number: int, *more: bytes) -> bytes:
    """Return the header of message *number*, the blank line included."""
    fields = [
        b"From: Ren\xc3\xa9 <sender%d@example.org>" % number,
        b"To: everybody@example.com,\r\n\tsomebody else <else@example.com>",
        b"Subject:  two  blanks, and a fold\r\n in the subject of %d" % number,
        b"Date: Mon, 17 Mar 2025 10:%02d:00 +0100" % (number % 60),
        b"Message-ID: <%d@example.org>" % number,
        *more,
    ]
    return b"\r\n".join(fields) + b"\r\n\r\n"


def as_it_is(what: str, sent: bytes) -> Sample:
    """Return a sample of which only line ends change."""
    return Sample(what, sent, lf(sent))


def one_octet(_number: int, _size: int) -> Sample:
    return Sample("one octet, no header", b"x", b"\nx\n")


def plain(number: int, size: int) -> Sample:
    return as_it_is("text", header(number) + text(f"plain {number}", size))


def multipart(number: int, size: int) -> Sample:
    kind = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_%d"' % number
    parts = (
        b"no part\r\n--=_%d\r\nContent-Type: text/plain\r\n\r\nsee the file\r\n" % number,
        b"--=_%d\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" % number,
        text(f"multipart {number}", size),
        b"--=_%d--\r\nafter the last part" % number,
    )
    return as_it_is("multipart", header(number, kind) + b"".join(parts))


def eight_bit(number: int, size: int) -> Sample:
    lines = (b"Gr\xc3\xbc\xc3\x9fe \xe2\x82\xac ", b"Gr\xfc\xdfe \xa4 ", b"\x80\xfe\xff \x7f\x01\x08\x1b[2J ")
    body = b"".join(line * 5 + b"%d\r\n" % at for at in range(size // 200 + 1) for line in lines)
    kind = b"X-Raw: \xfc\xe4\xf6\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"
    return as_it_is("8-bit", header(number, kind) + body)


def pgp_signed(number: int, size: int) -> Sample:
    kind = b'MIME-Version: 1.0\r\nContent-Type: multipart/signed; micalg=pgp-sha256; boundary="s"'
    signed = b"Content-Type: text/plain\r\n\r\n-- \r\ntrailing blanks \t \r\nFrom here on\r\n \r\n\r\n\r\n"
    rest = b"\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n"
    return as_it_is("signed", header(number, kind) + b"--s\r\n" + signed + text(f"pgp {number}", size) + rest)


def headerless(number: int, size: int) -> Sample:
    sent = b"this begins with text %d\r\nSubject: not a header any more\r\n\r\n" % number + text("headerless", size)
    return Sample("headerless", sent, b"\n" + lf(sent))


def blank_first(number: int, size: int) -> Sample:
    return as_it_is("headerless, blank line first", b"\r\nSubject: %d is no header\r\n" % number + text("blank", size))


def bare_lf(number: int, size: int) -> Sample:
    """Dovecot sends every LF as CRLF, as all servers on Unix do; what lies in the mailbox has none."""
    return as_it_is("bare LF", (header(number) + text(f"lf {number}", size)).replace(b"\r\n", b"\n"))


def odd_line_ends(number: int, size: int) -> Sample:
    odd = b"lone CR\rNUL\0NUL\0\0\r\r\n\r\r\ntwo blank lines above\r\rand here\r\0\n"
    return as_it_is("odd line ends", header(number) + odd + text(f"odd {number}", size) + b"\r\r\n.\r\r\n..\r")


def dots(number: int, size: int) -> Sample:
    lines = b".\r\n..\r\n...\r\n.text\r\n.\r\n\r\n.\r\n"
    return as_it_is("dots", header(number) + lines * (size // 100 + 1) + b".")


def long_lines(number: int, size: int) -> Sample:
    line = base64.b64encode(noise(f"long {number}", LONG_LINE * 3 // 4))
    lines = b"".join(line[:-at] + b"\r\n." + line[at:] + b"\r\n" for at in range(1, size // (2 * LONG_LINE) + 2))
    return as_it_is("20,000-octet lines", header(number, b"X-Long: " + line) + lines)


def no_line_at_all(number: int, size: int) -> Sample:
    return as_it_is("one line without end", header(number) + b"y" * size)


def from_line(number: int, size: int) -> Sample:
    message = header(number) + b"From the body\r\n>From the body\r\n" + text(f"from {number}", size)
    return Sample("From line", b"From sender@example.org Mon Mar 17 10:00:00 2025\r\n" + message, lf(message))


def byte_order_mark(number: int, size: int) -> Sample:
    message = header(number) + text(f"bom {number}", size)
    return Sample("BOM", b"\xef\xbb\xbf" + message, lf(message))


def return_path(number: int, size: int) -> Sample:
    first, second = b"Return-Path: <bounce+%d@example.org>\r\n" % number, b"Return-Path: <older@example.org>"
    message = header(number, second) + text(f"path {number}", size)
    return Sample("Return-Path", first + message, lf(message))


def after_header(number: int, _size: int) -> Sample:
    """Postfix ends a header with a blank line where none is, as RFC 5322 wants it."""
    sent = b"Subject: %d\r\nX-Last: field\r\na line without colon\r\n" % number
    return Sample("no blank line", sent, lf(sent).replace(b"a line", b"\na line"))


def header_only(number: int, _size: int) -> Sample:
    return as_it_is("header only", header(number)[:-2])


def binary(number: int, size: int) -> Sample:
    kind = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary"
    octets = noise(f"binary {number}", size).replace(b"\0", b"\1").replace(b"\r", b"\2")
    return as_it_is("binary", header(number, kind) + octets)


KINDS: tuple[Callable[[int, int], Sample], ...] = (
    plain, multipart, eight_bit, pgp_signed, headerless, dots, long_lines, plain, multipart, bare_lf, odd_line_ends,
    no_line_at_all, from_line, byte_order_mark, return_path, after_header, header_only, blank_first, binary, one_octet,
)  # fmt: skip

HEADLESS = (one_octet, headerless, blank_first, after_header)


def mixed(count: int = COUNT) -> Iterator[Sample]:
    """Yield *count* samples of all kinds: most of some kilobytes, a few of megabytes, the largest of twenty."""
    for number in range(count - 1):
        kind = KINDS[number % len(KINDS)]
        place = number // len(KINDS)
        size = 20 * KILOBYTE * (number % 97) // 97
        if place % 5 == 1:
            size = 200 * KILOBYTE * (number % 89) // 89
        if place == 2 and kind is not one_octet:
            size = 2 * MEGABYTE * (number % 19) // 19
        yield kind(number, size)
    yield plain(count, 20 * MEGABYTE)
