"""Everything that a stranger's octets go through, a mill each: octets in, time spent, nothing said.

A mill must take time by the length of what it is given, whatever stands in it; PIECES are what it is given, repeated.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from lib import visible
from lib.errors import ProtocolError
from lib.mail import caretaker, message, received, routing
from lib.mail.address import parse, safe
from lib.mail.routing import RoutingRules
from lib.pop import pop3
from lib.report import log, notice
from lib.smtp import smtp
from lib.store import duds_format
from lib.store.spool_format import Content

Mill = Callable[[bytes], object]
PIECES = (
    b"a", b" ", b"\t", b"\r", b"\n", b"\0", b"\r\n", b"\r\0", b"\n ", b"\r\n\t", b"\n\0 ", b"\r\r\n", b"\r\n\r",
    b"\0\n", b"(", b")", b"()", b"(()", b'"', b'" ', b"\\", b"\\(", b"(\\)", b"[", b"[a", b"[]", b"<", b">", b"<>",
    b"<@a,", b"<a@b>,", b",", b";", b":", b"a:", b":;", b"g:a@b;", b"g:", b"@", b"a@", b"a@b ", b"a@b,", b"a b ",
    b"@a:", b'"a"@b,', b"(a)b@c,", b"=?", b"=?a?", b"=?a?b?", b"=?utf-8?q?=28?= ", b"=?utf-8?q?x?=<a@b>,", b"=", b"%",
    b"\x80", b"\xc3\xa9", b"\xe2\x80\xae", b">", b">F", b"\n>", b"\n>>From ", b"From ", b"\nFrom ", b"From x\r\n",
    b">From x\n", b"From :", b".", b"\r\n.", b"\n.\n", b"a:\r\n", b"A: b\n", b"a\r\n :", b"Received: x\r\n",
    b"To: a@b\r\n", b"To: (\r\n", b"Subject: x\r\n y\r\n", b"charset", b"charset=", b"from a (b) by ", b"from ",
    b"Content-Type: text/plain;\r\n charset=\r\n", b"X-POPFetch-Dud-For: a\n", b"\\x4", b"--=_popfetch_",
)  # fmt: skip
ENOUGH = 0.03  # seconds
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = RoutingRules(None, ("x-rcpt-to", "to"), frozenset({b"example.org"}), b"example.org", b"care@example.org")
POST = notice.Letterhead("a@b", "c@d", NOW, "<e@f>", "popfetch")
IN_FIELDS = (b"", b"To: ", b"X-Rcpt-To: ", b"Received: ", b"Return-Path: ", b"Content-Type: text/plain; ")


def _passed_on(front: bytes, octets: bytes) -> None:
    data = front + octets
    head = message.scan(data)
    received.circles(head, "bob@example.org:110", (b"a@b",))
    message.opening(data, head, b"Received: by us\r\n", message.sender(head, "return-path")[1])


def _routed(front: bytes, octets: bytes) -> None:
    routing.route(message.scan(front + octets), RULES)


def _copied(data: bytes) -> None:
    head = message.scan(data)
    words = caretaker.paragraph([data], [(data, data)])
    caretaker.copy(data, head, data[head.start : head.end], words, "0" * 64)


def _in_pieces(take: Callable[[bytes], object], data: bytes, size: int = 997) -> None:
    for at in range(0, len(data), size):
        take(data[at : at + size])


def _quoted(data: bytes) -> None:
    quoter, unquoter = duds_format.Quoter(), duds_format.Unquoter()
    _in_pieces(lambda piece: unquoter.feed(quoter.feed(piece)), data)
    unquoter.feed(quoter.finish())


def _written(data: bytes) -> None:
    canon, stuffing = message.Canon(), smtp.Stuffing()
    _in_pieces(lambda piece: stuffing.feed(canon.feed(piece)), data)
    stuffing.feed(canon.finish())


def _told(data: bytes) -> None:
    dud = duds_format.DudHeader(NOW, "bob", data, b"", (data,), (data,))
    duds_format.read((duds_format.opening(dud, data)[0]).splitlines(keepends=True))


def _heard(framer: pop3.Pop3Framer | smtp.SmtpFramer, data: bytes) -> None:
    command = pop3.retr(1, 0)
    try:
        for at in range(0, len(data), 997):
            framer.feed(data[at : at + 997])
            while framer.piece(command):
                pass
    except ProtocolError:
        pass


MILLS: Mapping[str, Mill] = {
    **{f"a header that begins with {front!r}": partial(_passed_on, front) for front in IN_FIELDS},
    **{f"routing by {front!r}": partial(_routed, front) for front in IN_FIELDS[1:3]},
    "addresses": lambda data: [safe(one) for one in parse(data)],
    "the caretaker's copy": _copied,
    "line ends and dots": _written,
    "what a spool file holds": lambda data: _in_pieces(Content().feed, data),
    "mbox quoting": _quoted,
    "what is told of a dud": _told,
    "a dud's subject": lambda data: duds_format.subject(data.splitlines(keepends=True)),
    "a line of the log": lambda data: log.line("message", uid=data, words=data, to=(data,) * 3),
    "words to be seen": lambda data: visible.visible(data, len(data)),
    "a notice": lambda data: notice.failing(POST, "l", ProtocolError(data.decode("latin-1")), since=NOW, passes=3),
    "a body from a POP server": lambda data: _heard(pop3.Pop3Framer(), b"+OK\r\n" + data),
    "a reply of a POP server": lambda data: _heard(pop3.Pop3Framer(), data),
    "a reply of a receiver": lambda data: _heard(smtp.SmtpFramer(), b"250-" + data),
}


def fed(piece: bytes, octets: int) -> bytes:
    """Return *piece* over and over."""
    return (piece * (octets // len(piece) + 1))[:octets]


def slow(mill: Mill, octets: int) -> Iterator[str]:
    """Yield each piece of which four times as much takes *mill* more than nine times as long: some twice per doubling.

    What is over in no time is not measured: what takes time by the square of so much does not end there.
    """
    for piece in PIECES:
        much, little = fed(piece, 4 * octets), fed(piece, octets)
        takes = spent(mill, much)
        for _ in range(3):
            if takes <= max(ENOUGH, 9 * spent(mill, little)):
                break
            takes = min(takes, spent(mill, much))
        else:
            yield f"{piece!r}: {takes:.2f} s"


def spent(mill: Mill, data: bytes) -> float:
    """Return the seconds of this thread that *mill* takes."""
    began = time.thread_time()
    mill(data)
    return time.thread_time() - began
