"""A message as bytes: where its header fields are, and what is sent in their place. Pure.

Nothing is decoded and written anew. What goes out is the message's own bytes less a leading BOM or "From " line, the
Return-Path that was used, NULs and line ends that are none, with our Received field on top. Every function gives a
value for any bytes, in time and memory that grow with their number and no faster.
"""

import re
from typing import NamedTuple

from lib.mail.address import in_ascii, safe

MAX_HEAD = 1 << 20  # octets of a message that are ever scanned for header fields; Postfix reads 100 KiB
MAX_FIELDS = 10_000  # header fields that are told apart; what follows them is passed on unread

BOM = b"\xef\xbb\xbf"
FROM_LINES = re.compile(rb"(?:>?From (?![ \t]*:)[^\r\n]*(?:\r{0,2}\n|\r)){1,8}")  # mbox has one, UUCP left several
AFTER_FROM_LINES = re.compile(rb"[!-9;-~]+[ \t]*:|[\r\n]|\Z")
NAME_OCTETS = bytes(octet for octet in range(33, 127) if octet != ord(":"))  # RFC 5322 section 3.6.8
USUAL_NAMES = {
    name: name.lower()
    for name in b"""
    ARC-Authentication-Results ARC-Message-Signature ARC-Seal Authentication-Results Cc Content-Transfer-Encoding
    Content-Type DKIM-Signature Date Delivered-To Envelope-To From In-Reply-To List-Id List-Unsubscribe MIME-Version
    Message-ID Received Received-SPF References Reply-To Return-Path Sender Subject To User-Agent X-Mailer X-Rcpt-To
    """.split()
}  # half of reading a header is to make sure of its names
LINE_ENDS = (b"\r\r\n", b"\r\n", b"\n", b"\r")
LONE_CR = re.compile(rb"\r(?!\0*(?:\r\0*)?\n)")
ODD_BLANK_LINE = re.compile(rb"(?:\A|\n)[\r\0]*\n")
FOLD_WITH_NUL = re.compile(rb"\n(?=\0+[ \t])")


class Field(NamedTuple):
    """A header field: its name in lower case, its value unfolded and stripped; it is all of data[start:end]."""

    name: bytes
    value: bytes
    start: int
    end: int


class Head(NamedTuple):
    """What stands before the body of a message.

    *start*: octets that are left out in front (BOM, "From " lines). *end*: the first octet that is not part of the
    fields: the blank line (then *blank*), the first line that is no field, or the end. *headless*: there is no field,
    and what comes first is none. *whole*: the fields were seen to their end; else more of them may follow at *end*.
    """

    start: int
    fields: tuple[Field, ...]
    end: int
    headless: bool
    blank: bool
    whole: bool


def scan(data: bytes) -> Head:
    """Find the header fields at the top of *data*, of which at least the first MAX_HEAD octets are given.

    CRLF, LF, CR and CR CR LF end a line and NULs do not count, as Canon will have it. A line that begins with blank or
    tab continues the field above it, whatever it holds; any other that is no field ends the fields, as it does for
    Postfix and Python's email package. A field that MAX_HEAD cuts is none.
    """
    cut = len(data) >= MAX_HEAD
    window = data[:MAX_HEAD].rstrip(b"\r\0") if cut else data
    start = at = _start(window)
    flat = _flat(window, start)
    lines = flat.split(b"\n", MAX_FIELDS)
    texts = flat.translate(None, b"\r\0").split(b"\n", MAX_FIELDS)
    fields: list[Field] = []
    headless, blank, whole = False, False, len(lines) <= MAX_FIELDS
    unseen = len(window) if cut else len(window) + 2
    for line, text in zip(lines[:MAX_FIELDS], texts, strict=False):
        end = at + len(line) + 1
        written, colon, value = text.partition(b":")
        name = USUAL_NAMES.get(written) or _name(written)
        if not colon or not name:
            headless, blank, whole = not fields, not text and end <= len(window), end < unseen
            break
        if end >= unseen:
            whole = False
            break
        fields.append(Field(name, value.strip(b" \t"), at, end))
        at = end
    if at > len(window):  # the last line has no end
        at = len(window)
        fields[-1] = fields[-1]._replace(end=at)
    return Head(start, tuple(fields), at, headless, blank, whole)


def _name(written: bytes) -> bytes:
    """Return the name of a field in lower case, b"" if what stands before the colon is none."""
    name = written.rstrip(b" \t")
    return b"" if name.translate(None, NAME_OCTETS) else name.lower()


def _start(window: bytes) -> int:
    """Return how much to leave out in front: a BOM, and "From " lines unless they begin the text of a message."""
    start = len(BOM) if window.startswith(BOM) else 0
    lines = FROM_LINES.match(window, start)
    return lines.end() if lines and AFTER_FROM_LINES.match(window, lines.end()) else start


def _flat(window: bytes, start: int) -> bytes:
    """Return the fields in *window* from *start* on, every octet in its place, one field a line that ends in LF.

    What continues a field is joined to it by NUL for LF; NUL and the CRs that are left do not count. It ends with the
    fields or in the lines that follow them, but never beyond a blank line.
    """
    if window.startswith((b"\n", b"\r\n"), start):
        return b""
    stop = window.find(b"\n\r\n", start)
    stop = stop if stop >= 0 else len(window)
    nearer = window.find(b"\n\n", start, stop)
    flat = window[start : (nearer if nearer >= 0 else stop) + 1]
    if b"\0" in flat or flat.count(b"\r") != flat.count(b"\r\n"):
        flat = LONE_CR.sub(b"\n", flat)
        blank = ODD_BLANK_LINE.search(flat)
        flat = FOLD_WITH_NUL.sub(b"\0", flat[: blank.start() + 1] if blank else flat)
    return flat.replace(b"\n ", b"\0 ").replace(b"\n\t", b"\0\t")


def sender(head: Head, rule: str) -> tuple[bytes, Field | None]:
    """Return the envelope sender by pf_mail_from, b"" for null, and the Return-Path field that it was taken from.

    Only the topmost Return-Path counts. One that is not an address with a domain, or <>, is not used: null.
    """
    if rule != "return-path":
        return (b"" if rule == "null" else in_ascii(rule.encode())), None
    for field in head.fields:
        if field.name == b"return-path":
            return _return_path(field)
    return b"", None


def _return_path(field: Field) -> tuple[bytes, Field | None]:
    path = field.value
    if path.startswith(b"<") and path.endswith(b">"):
        path = path[1:-1].strip(b" \t")
        if not path:
            return b"", field
    path = in_ascii(path)
    return (path, field) if b"@" in path and safe(path) else (b"", None)


def opening(data: bytes, head: Head, received: bytes, used: Field | None) -> bytes:
    """Return what is sent in place of data[:head.end]: *received*, then the fields as they stand, less *used*.

    Where there is no header, a blank line follows, lest the text be taken for one.
    """
    end, begin = (used.start, used.end) if used else (head.end, head.end)
    line = b"\r\n" if head.headless and not head.blank else b""
    return received + data[head.start : end] + data[begin : head.end] + line


def _crlf(data: bytes) -> bytes:
    """Return *data*, in which no NUL is, with every line end made right; a pattern would take six times as long."""
    for end in LINE_ENDS:
        data = data.replace(end, b"\0")
    return data.replace(b"\0", b"\r\n")


class Canon:
    """Line ends made right, however the bytes arrive: lone CR, lone LF and CR CR LF become one CRLF, and NULs go."""

    def __init__(self) -> None:
        self._held = b""  # one or two CRs whose line end is not yet seen
        self._open = False  # the last line has not ended

    def feed(self, data: bytes) -> bytes:
        """Return what can be sent of all that came so far."""
        if b"\0" in data:
            data = data.replace(b"\0", b"")
        if self._held:
            data, self._held = self._held + data, b""
        pairs = data.count(b"\r\n")
        if data.count(b"\r") == pairs:
            bare = data.count(b"\n") != pairs
            return self._sent(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if bare else data)
        tail = data[-2:]
        if held := len(tail) - len(tail.rstrip(b"\r")):
            data, self._held = data[:-held], data[-held:]
        return self._sent(_crlf(data))

    def finish(self) -> bytes:
        """Return what was held back, and end the last line; a message without an octet stays so."""
        rest = self._sent(_crlf(self._held))
        self._held = b""
        if not self._open:
            return rest
        self._open = False
        return rest + b"\r\n"

    def _sent(self, data: bytes) -> bytes:
        if data:
            self._open = not data.endswith(b"\n")
        return data
