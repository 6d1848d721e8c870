"""duds.dat as octets: an mbox with mboxrd quoting, which mutt and Python's mailbox open, and the way back. Pure.

    From MAILER-DAEMON Sun Nov 22 12:39:00 2026
    X-POPFetch-Dud-When: 2026-11-22T12:39:00+00:00
    X-POPFetch-Dud-Account: bob@example.org
    X-POPFetch-Dud-UID: 0001a2b3
    X-POPFetch-Dud-Sender: alice@example.net
    X-POPFetch-Dud-For: carol@example.org             (one for each recipient)
    X-POPFetch-Dud-Received-By: dave@example.org      (one for each who has it)
    X-POPFetch-Dud-Why: 550 5.1.1 no such user        (one for each reason)
    X-POPFetch-Dud-Id: 5f0c2a9be1d34477               (duds of version 1.0 have none)
    X-POPFetch-Dud-Size: 00000000000000004711
    (the message, LF line ends; a line that begins with `From `, or `>`s and then that, gets one `>` more)

The law: what goes in with CRLF line ends, the last line ended, comes out octet for octet. The Size line is always the
last of ours. It says `unfinished` until the message is on disk: such a message is still on its server. A message that
does not begin with a header field or a blank line gets a blank line first, and a Size line with a `+`.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from time import asctime
from typing import NamedTuple

OURS = b"X-POPFetch-Dud-"
SEPARATOR = b"From "
UNFINISHED = b"unfinished".rjust(20)
FIRST_LINE = 1000  # octets that tell whether a message begins with a header field
LONGEST = 1000  # octets of a UID, a reason or a Subject that are told
NEVER = datetime.fromtimestamp(0, UTC)

_SEPARATOR = SEPARATOR + b"MAILER-DAEMON "
_ADDED = b" +"

_SIZE = OURS + b"Size: "
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:|\r?\n")  # RFC 5322, 2.2; obsolete blanks before the colon
_SIZED = re.compile(rb"0{0,20}[0-9]{1,18}")  # a hand that wrote in the file may have left more than a file can hold
_ID = re.compile(rb"[!-\[\]-~]{1,80}")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_UNSAFE = re.compile(rb"[^ -\[\]-~]|^ | $")
_QUOTABLE = re.compile(rb"^(>*From )", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_MAYBE_FROM = re.compile(rb">*(F(?:r(?:o(?:m)?)?)?)?")
_MAYBE_QUOTED = re.compile(rb"(?:>*(>(?:F(?:r(?:o(?:m)?)?)?)?))?")


class DudHeader(NamedTuple):
    """What is told of a dud in front of it."""

    when: datetime
    account: str
    uid: bytes
    sender: bytes
    recipients: tuple[bytes, ...]
    reasons: tuple[bytes, ...]
    had: tuple[bytes, ...] = ()  # who has it; of a dud without an id that is not known
    id: str = ""


def opening(dud: DudHeader, beginning: bytes) -> tuple[bytes, int]:
    """Return what stands before a message that begins with *beginning*, and where in it size() goes in the end."""
    separator = b"%b%b\n" % (_SEPARATOR, asctime(dud.when.astimezone(UTC).timetuple()).encode())
    front = separator + lines(dud) + _SIZE
    headless = bool(beginning) and not _FIELD.match(beginning)
    return front + UNFINISHED + (_ADDED + b"\n\n" if headless else b"\n"), len(front)


def lines(dud: DudHeader) -> bytes:
    """Return what stands between the separator and the Size line."""
    when = dud.when.astimezone(UTC)
    told = [
        ("When", when.isoformat(timespec="seconds").encode()),
        ("Account", dud.account.encode("utf-8", "replace")),
        ("UID", dud.uid[:LONGEST]),
        ("Sender", dud.sender),
        *(("For", recipient) for recipient in dud.recipients),
        *(("Received-By", who) for who in dud.had),
        *(("Why", reason[:LONGEST]) for reason in dud.reasons),
        *([("Id", dud.id.encode())] if dud.id else []),
    ]
    return b"".join(b"%b%b: %b\n" % (OURS, name.encode(), escape(value)) for name, value in told)


def size(octets: int) -> bytes:
    """Return what takes the place of UNFINISHED when *octets* of the message are in the file."""
    return b"%020d" % octets


def escape(octets: bytes) -> bytes:
    r"""Return *octets* as printable ASCII of one line, with the rest as \xNN."""
    return _UNSAFE.sub(lambda found: b"\\x%02x" % ord(found[0]), octets)


def unescape(text: bytes) -> bytes:
    """Return what escape() made *text* of."""
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), text)


class ReadHeader(NamedTuple):
    """What was read in front of a message: *size* octets of it must follow the *length* octets of separator and ours.

    Size is None when the message was never finished, 0 when somebody else put it into the file.
    """

    dud: DudHeader
    size: int | None
    length: int
    ours: tuple[int, int] = (0, 0)  # where the lines between the separator and the Size line stand


def read(lines: Iterable[bytes]) -> ReadHeader:
    """Return what the *lines* from the separator on tell; any lines give something."""
    rows = iter(lines)
    separator = next(rows, b"")
    ours = separator.startswith(_SEPARATOR) or _SEPARATOR.startswith(separator.rstrip(b"\0\n"))
    told: dict[bytes, list[bytes]] = {}
    begin = length = len(separator)
    for row in rows:
        if not row.startswith(OURS):
            break
        at, length = length, length + len(row)
        name, _, value = row[len(OURS) :].rstrip(b"\n").partition(b":")
        value = value.removeprefix(b" ")
        if name == b"Size":
            octets = value.removesuffix(_ADDED)
            found = int(octets) if _SIZED.fullmatch(octets) else None
            return ReadHeader(_dud(told), found, length + value.endswith(_ADDED), (begin, at))
        told.setdefault(name, []).append(unescape(value))
    return ReadHeader(_dud(told), None if ours else 0, length, (begin, length))


def _dud(told: dict[bytes, list[bytes]]) -> DudHeader:
    """Return what *told* tells; a hand that wrote in the file may have left anything."""
    when, account, uid, sender = (told.get(name, [b""])[0] for name in (b"When", b"Account", b"UID", b"Sender"))
    try:
        moment = datetime.fromisoformat(when.decode())
    except ValueError:
        moment = NEVER
    name = told.get(b"Id", [b""])[0]
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return DudHeader(
        moment,
        account.decode("utf-8", "replace"),
        uid,
        sender,
        tuple(told.get(b"For", ())),
        tuple(told.get(b"Why", ())),
        tuple(told.get(b"Received-By", ())),
        name.decode() if _ID.fullmatch(name) else "",
    )


def subject(lines: Iterable[bytes]) -> bytes:
    """Return the beginning of the unfolded Subject in the header that *lines* begin with, b"" when there is none."""
    found: list[bytes] = []
    for line in lines:
        text = line.strip()
        if text and line[:1] in {b" ", b"\t"}:
            found += [text[:LONGEST]] if found else []
        elif found or not text or not _FIELD.match(line):
            break
        elif line[:8].lower() == b"subject:":
            found.append(line[8:].strip())
    return b" ".join(found)[:LONGEST]


class Quoter:
    """The octets of one message as they stand in the file, piece by piece; holds back no more than five octets."""

    def __init__(self) -> None:
        self._cr = b""
        self._lines = _Lines(_QUOTABLE, rb">\1", _MAYBE_FROM)
        self._ended = True

    def feed(self, piece: bytes) -> bytes:
        """Return what is sure after *piece*."""
        data = self._cr + piece
        self._cr = data[-1:] if data.endswith(b"\r") else b""
        return self._told(self._lines.feed(data[: len(data) - len(self._cr)].replace(b"\r\n", b"\n")))

    def finish(self) -> bytes:
        """Return the rest; the last line is ended."""
        rest = self._told(self._lines.feed(self._cr) + self._lines.finish())
        return rest if self._ended else rest + b"\n"

    def _told(self, data: bytes) -> bytes:
        if data:
            self._ended = data.endswith(b"\n")
        return data


class Unquoter:
    """The way back."""

    def __init__(self) -> None:
        self._lines = _Lines(_QUOTED, rb"\1", _MAYBE_QUOTED)

    def feed(self, piece: bytes) -> bytes:
        """Return what is sure after *piece*."""
        return self._lines.feed(piece).replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """Return the rest."""
        return self._lines.finish().replace(b"\n", b"\r\n")


class _Lines:
    """Replaces *pattern* at the beginning of lines, piece by piece; what may become one of these waits (*maybe*).

    Of a run of `>` only the last ever waits, for it is the same wherever in the run one comes or goes: so nothing that
    stands in a message makes this hold much.
    """

    def __init__(self, pattern: re.Pattern[bytes], new: bytes, maybe: re.Pattern[bytes]) -> None:
        self._pattern, self._new, self._maybe = pattern, new, maybe
        self._held = b""
        self._inside = False  # in a line that cannot match any more

    def feed(self, piece: bytes) -> bytes:
        data = self._held + piece
        self._held = b""
        start = data.find(b"\n") + 1 if self._inside else 0
        if self._inside and not start:
            return data
        maybe = self._maybe.fullmatch(data, max(data.rfind(b"\n") + 1, start))
        self._inside = maybe is None
        self._held = (maybe[1] or b"") if maybe else b""
        end = len(data) - len(self._held)
        return data[:start] + self._pattern.sub(self._new, data[start:end])

    def finish(self) -> bytes:
        rest, self._held = self._held, b""
        return rest
