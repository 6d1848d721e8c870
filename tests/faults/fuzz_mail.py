"""Fuzz targets: what stands in a message, who gets it, and what is shown of it."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message

from lib import visible
from lib.mail import caretaker, message, received, routing
from lib.mail.address import domain_in_ascii, mailbox_key, parse, safe
from lib.mail.caretaker import paragraph
from lib.mail.message import Canon, Head
from lib.mail.received import Trace
from lib.mail.routing import RoutingRules
from lib.report import log
from lib.smtp import smtp
from tests.arrivals import cut_at, in_steps
from tests.faults.fuzz_input import Source, target

WHEN = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
TRACE, WHOM = Trace("a@b", "b", "::1", "POP3", "c", WHEN), (b"d@e",)
HEADERS = (
    b"From: a@example.org\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\xef\xbb\xbf",
    b"From a@b Sun Nov\r\n",
    b">From ",
    b"Return-Path: <a@b>\r\n",
    b"X-Rcpt-To: b@example.org\r\n",
    b"Received: from x",
    b"To",
)
ADDRESSES = (
    b"a@example.org",
    b"<",
    b">",
    b'"',
    b"\\",
    b"(",
    b")",
    b",",
    b";",
    b":",
    b"@",
    b"=?utf-8?q?x?=",
    b" ",
    b"[",
)
RULES = (
    RoutingRules(None, ("X-Rcpt-To", "To"), frozenset(), None, None),
    RoutingRules(None, ("X-Rcpt-To", "To"), frozenset({b"example.org"}), None, b"caretaker"),
    RoutingRules(None, ("To",), frozenset(), b"here.example", b"caretaker"),
    RoutingRules(None, ("To",), frozenset({b"xn--mnchen-3ya.de", b"example.org"}), b"here.example", None),
)


def canonical(*pieces: bytes) -> bytes:
    canon = Canon()
    return b"".join(map(canon.feed, pieces)) + canon.finish()


def scanned(data: bytes) -> Head:
    """Scan, and assert what holds for any octets: the fields stand one behind the other, and cover all but the rest."""
    head = message.scan(data)
    at = head.start
    for field in head.fields:
        assert field.start == at < field.end <= len(data)
        assert field.name == field.name.lower()
        assert re.fullmatch(rb"[!-9;-~]+", field.name)
        assert not re.search(rb"[\r\n]", field.value)
        at = field.end
    assert at == head.end <= len(data)
    assert not (head.headless and head.fields)
    return head


@target(
    b"\x00\x00Return-Path: <a@b.example>\r\nX-Rcpt-To: b@example.org,\r\n\tc@example.org\r\nSubject: x\r\n\r\nbody\r\n",
    b"\x01\x01\xf4\xef\xbb\xbfFrom a@b Sun\nSubject : x\n y\n\nbody",
    b"\x00no header at all\r\n\r\nX: y\r\n",
    words=HEADERS,
)
def message_scan(data: bytes) -> None:
    """Header fields are found where they are; what goes out is what came, with right line ends, and ours on top."""
    source = Source(data)
    cuts = source.cuts()
    octets = source.rest()
    head = scanned(octets)
    canon = canonical(*cut_at(octets, cuts)) if octets else b""
    assert canon == canonical(octets) == canonical(*in_steps(octets, 1))
    assert canon == canonical(canon)
    assert canon.count(b"\r") == canon.count(b"\n") == canon.count(b"\r\n")
    assert b"\0" not in canon
    assert canon in {b"", canon[:-2] + b"\r\n"}
    line = received.line(TRACE, WHOM)
    sender, used = message.sender(head, "return-path")
    assert not sender or (used and safe(sender))
    opening = message.opening(octets, head, line, used)
    assert opening.startswith(line)
    out = canonical(opening, octets[head.end :])
    # Whoever reads what goes out finds our field, and below it the ones that we found.
    again = scanned(out)
    assert again.start == 0
    assert again.fields[0].name == b"received"
    left = [(field.name, field.value) for field in head.fields if field is not used]
    assert [(field.name, field.value) for field in again.fields[1:]] == left
    assert received.circles(again, "a@b", WHOM)
    assert out.endswith(canonical(octets[head.end :]))


@target(
    b"a@example.org\0b\0POP3\0host\0::1",
    b"\xff\n(\0)\0;\0[\0%",
    words=(b"\0", b"(", b")", b"\r\n", b"\xff", b"%", b";"),
)
def message_received(data: bytes) -> None:
    """Our Received field is printable ASCII whatever the names are, and known again by account and recipients."""
    account, host, ip, protocol, by = [*data.decode("utf-8", "surrogateescape").split("\0"), *[""] * 5][:5]
    whom = [data[:300], host.encode(errors="replace")] if len(data) % 2 else [data[:300]]
    line = received.line(Trace(account, host, ip, "POP3", by, WHEN), whom)
    assert re.fullmatch(rb"Received: [!-~]+(?:(?: |\r\n\t)[!-~]+)*\r\n", line)
    head = scanned(line)
    assert [field.name for field in head.fields] == [b"received"]
    assert received.circles(head, account, whom)
    received.line(Trace(account, host, ip, protocol, by, WHEN), whom)


@target(
    b'"B, ob" <b@example.org>, c@example.org (see (me)), group: d@e, <@r,@s:f@g>;, =?utf-8?q?x?= <h@i>',
    b"undisclosed-recipients:;",
    b"a b@c d",
    words=ADDRESSES,
)
def addresses(data: bytes) -> None:
    """What is called safe can stand in RCPT and leads nowhere but to its own domain."""
    value = data.replace(b"\n", b"").replace(b"\r", b"")
    found = parse(value)
    assert all(found)
    assert sum(map(len, found)) <= len(value) + len(found)
    for one in (*found, value):
        if not safe(one):
            continue
        assert 0 < len(one) <= 254
        assert smtp.rcpt(one).line == b"RCPT TO:<%b>\r\n" % one
        assert not re.search(rb"[<>%!\0-\x1f\x7f]", re.sub(rb'^"[^\r\n]*"@', b"", one))
        assert parse(b"<%b>" % one) == [one], "a receiver that reads it as we do finds the same"


@target(
    b'\x00To: a@example.org, "b c"@example.org, d@elsewhere.example\r\nX-Rcpt-To: e@example.org\r\n\r\n',
    b"\x03To: a@m\xc3\xbcnchen.de, b@EXAMPLE.ORG., c\r\n\r\n",
    b"\x01X-Rcpt-To: \r\nX-Rcpt-To: a@example.org\r\nTo: x@y\r\n",
    words=(*ADDRESSES, b"To: ", b"X-Rcpt-To: ", b"\r\n", b"\r\n ", b"m\xc3\xbcnchen.de", b"xn--", b"example.org"),
)
def routes(data: bytes) -> None:
    """Recipients are safe, ours, and there once; nobody is told what cannot be shown."""
    source = Source(data)
    rules = source.pick(RULES)
    route = routing.route(message.scan(source.rest()), rules)
    assert route.why.isprintable()
    assert bool(route.recipients) or rules.caretaker is None
    assert all(map(safe, route.recipients))
    assert len({mailbox_key(who) for who in route.recipients}) == len(route.recipients)
    if rules.domain and route.header in rules.headers:
        assert all(who.endswith(b"@" + rules.domain) for who in route.recipients)
    elif rules.accept and route.header in rules.headers:
        assert all(
            b"@" not in who or domain_in_ascii(who.rpartition(b"@")[2]) in rules.accept for who in route.recipients
        )


@target(
    b"\x01\x07b@c.org\x01\x03550From: a\r\nSubject: s\r\n\r\ntext\r\n",
    b"\x01\x07b@c.org\x01\x03550From: a\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nPGI+\r\n",
    b"\x00\x00Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n=20\n",
    b"\x00\x00no header\r\n",
    words=(*HEADERS, b"Content-Type: ", b"text/plain; charset=", b"Content-Transfer-Encoding: ", b"quoted-printable"),
)
def caretaker_copy(data: bytes) -> None:
    """The copy has the paragraph where a reader finds it, and the message's own octets behind it."""
    source = Source(data)
    received_by = [source.octets(30) for _ in range(source.number(3))]
    refused = [(source.octets(30), source.octets(30)) for _ in range(source.number(3))]
    octets = source.rest()
    head = message.scan(octets)
    told = paragraph(received_by, refused)
    assert re.fullmatch(rb"(?:[ -~]{0,998}\r\n)+", told)
    ours = received.line(TRACE, WHOM)
    opening = message.opening(octets, head, ours, None)
    copy = caretaker.copy(octets, head, opening, told, "f" * 64)
    out = canonical(copy.opening, octets[head.end :], copy.closing)
    assert out.startswith(ours)
    top = scanned(out)
    assert top.blank
    read = message_from_bytes(out)
    if re.search(rb"^[!-9;-~]+[ \t]+:", out[: top.end], re.MULTILINE):
        pass  # RFC 5322's obsolete fields, with a blank before the colon: Python's email takes them for the body
    elif copy.closing:
        assert read.get_content_type() == "multipart/mixed"
        parts = read.get_payload()
        assert isinstance(parts, list)
        assert len(parts) == 2, "the paragraph, and the message's own"
        assert out.count(b"--=_popfetch_" + b"f" * 32) == 3
        first = parts[0]
        assert isinstance(first, Message)
        assert first.get_payload(decode=True) == told.replace(b"\r\n", b"\n") or told in out
    elif b"quoted-printable" not in out.lower():
        assert out[top.end :].startswith(b"\r\n" + told)
    assert canonical(octets[head.end :])[2 * head.blank :] in out


@target(
    b"a\x1b[31m\r\n\xff\xc2\x85\xe2\x80\xae geheim-1234", words=(b"\x1b[", b"\xe2\x80\xae", b"\xff", b"\r", b"\\", b'"')
)
def shown(data: bytes) -> None:
    """Nothing that is shown or logged holds a control character, a line end, or more than is allowed."""
    text = data.decode("utf-8", "surrogateescape")
    for words in (data, text):
        out = visible.visible(words)
        assert out.isprintable()
        assert len(out) <= 10 * visible.LONGEST + 40
        short = visible.visible(words, 20)
        assert short.isprintable()
        assert len(short) <= 10 * 20 + 40
    assert visible.kept(data) == data
    line = log.line("message", uid=data, words=text, to=(data, data), from_=data, seconds=1.0, size=len(data))
    assert line.isprintable()
    assert line.startswith("message uid=")
    assert line.endswith(f" seconds=1.00 size={len(data)}")
