"""Fuzz targets: what POP and SMTP servers say, and what is said to a receiver."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from lib.auth import sasl
from lib.delivery.queued import DeliveryRequest, QueuedMessage
from lib.errors import ProtocolError
from lib.mail.message import Canon, Head
from lib.mail.received import Trace
from lib.net.dialogue import Command, Dialogue
from lib.pop import plan, pop3
from lib.pop.plan import Do, Listed, Plan, Rules
from lib.smtp import smtp, verdict
from lib.smtp.content import content
from lib.smtp.verdict import Phase, Then
from lib.store.journal_facts import ASKED, PROMISED, Entry, Status, uid_key
from tests.arrivals import cut_at, in_steps
from tests.faults.fuzz_input import Source, target

POP_WORDS = (b"\r\n", b".", b"\r\n.\r\n", b"\r\n..", b"\n.\n", b"\r.\r", b"\0", b"+OK", b"-ERR", b"+ ", b"[IN-USE]")
ASKABLE = (
    pop3.retr(1, 0),
    pop3.NOOP,
    pop3.retr(2, 40),
    pop3.secret(b"AUTH", shown="AUTH", challenge=True)._replace(alone=False),
    pop3.GREETING._replace(alone=False),
)
SMTP_WORDS = (b"\r\n", b"\n", b"250-", b"250 ", b"354 ", b"421", b"4.5.3", b"SIZE", b"AUTH=", b"PIPELINING", b"5.7.1 ")

Reply = tuple[Command, Any, bytes, bool]


def heard(fresh: Callable[[], Any], commands: Iterable[Command], pieces: Iterable[bytes]) -> tuple[list[Reply], bool]:
    """Return every reply (to what, its first line, its body, whether it is whole), and whether an error ended it."""
    dialogue: Dialogue[Any] = Dialogue(fresh(), window=99)
    dialogue.ask(*commands)
    replies: list[Reply] = []
    open_ = False
    try:
        for octets in pieces:
            dialogue.to_send()
            for command, piece in dialogue.receive(octets):
                if isinstance(piece, pop3.Body):
                    _, first, body, _ = replies.pop()
                    replies.append((command, first, body + piece.octets, piece.last))
                else:
                    assert not open_
                    replies.append((command, piece, b"", piece.last))
                open_ = not piece.last
    except ProtocolError:
        return replies, True
    return replies, False


def same_in_pieces(fresh: Callable[[], Any], commands: list[Command], stream: bytes, cuts: list[int]) -> list[Reply]:
    """Assert that it is no matter how *stream* comes in; return the replies."""
    replies, failed = heard(fresh, commands, [stream] if stream else [])
    for pieces in (in_steps(stream, 1), cut_at(stream, cuts)):
        others, other_failed = heard(fresh, commands, pieces)
        assert other_failed == failed
        count = sum(reply[3] for reply in replies)
        assert [reply for reply in others if reply[3]] == [reply for reply in replies if reply[3]], count
        if not failed:
            assert others == replies
    return replies


@target(
    b"\x01\x00\x01\x02+OK 120 octets\r\nSubject: x\r\n\r\nbody\r\n..dot\r\n.\r\n-ERR no\r\n",
    b"\x03\x01\x02\x03\x00+OK\r\n-ERR [IN-USE] busy\r\n+ YWJj\r\n+OK\r\n\r\n.\r\n",
    words=POP_WORDS,
)
def pop3_replies(data: bytes) -> None:
    """Replies are the same however they are cut, and bodies are what RFC 1939 says."""
    source = Source(data)
    commands = [source.pick(ASKABLE) for _ in range(source.number(5) + 1)]
    cuts, stream = source.cuts(), source.rest()
    replies = same_in_pieces(pop3.Pop3Framer, commands, stream, cuts)
    bodies = [body for command, status, body, whole in replies if command.multiline and status.ok and whole]
    assert bodies == list(rfc_1939(commands[: len(replies)], stream))[: len(bodies)]
    for command, status, body, _ in replies:
        assert status.text in stream
        pop3.response_code(status.text)
        assert not re.search(rb"[^!-~]", pop3.timestamp(status.text))
        assert not command.limit or len(body) <= command.limit


def rfc_1939(commands: list[Command], stream: bytes) -> Iterator[bytes]:
    """Yield the bodies in *stream*, the plain way."""
    for command in commands:
        status, _, stream = stream.partition(b"\r\n")
        if command.multiline and status.upper().startswith(b"+OK"):
            body, _, stream = (b"\r\n" + stream).partition(b"\r\n.\r\n")
            lines = [line[1:] if line.startswith(b"..") else line for line in (body + b"\r\n").split(b"\r\n")]
            yield b"\r\n".join(lines[1:])


@target(
    b"1 uid-1\r\n2 uid-2\r\n3 uid-2\r\n4 \r\n\0001 100\r\n2 200\r\n3 3\r\n4 0\r\n",
    b"+OK 1 a\r\n7 \xff\x80\r\n\0+OK 1 -5\r\n7 99999999999999999999\r\nx\r\n",
    words=(b"\r\n", b"1 ", b" ", b"+OK ", b"9" * 9, b"9" * 10, b"-1", b"\xb2", b"uid", b"\0"),
)
def pop3_listings(data: bytes) -> None:
    """Every listed message is to be fetched, deleted, waited for, or left; once."""
    first, _, second = data.partition(b"\0")
    uids, sizes = pop3.uids(first), pop3.sizes(second)
    assert all(0 <= number < 10**9 for number in (*uids, *sizes))
    assert all(0 <= size < 10**15 for size in sizes.values())
    messages = [Listed(number, uids.get(number, b""), sizes[number]) for number in sorted(sizes)]
    partition(messages, plan.plan(messages, {}, Rules(max_size=150), 0.0), {})
    states = (Entry("", Status.DELIVERED), Entry("", Status.SPOOLED, number=1), Entry("", Status.TROUBLED, troubles=1))
    entries = {}
    for message in messages:
        state = states[message.number % 3]
        word = ("", ASKED, PROMISED)[message.size % 3]
        key = uid_key(message.uid)
        entries[key] = Entry(key, state.status, number=state.number, troubles=state.troubles, deletion=word)
    partition(messages, plan.plan(messages, entries, Rules(), 0.0), entries)


def partition(messages: list[Listed], done: Plan, entries: dict[str, Entry]) -> None:
    assert [one.message.number for one in done.actions] == [one.number for one in messages]
    assert {*done.vanished, *done.forgotten} <= entries.keys()
    assert all(entries[one.message.key].status is Status.DELIVERED for one in done.of(Do.DELETE))


@target(
    b"+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN LOGIN\r\nSTLS\r\nPIPELINING\r\nsasl cram-md5\r\n",
    words=(b"SASL", b" ", b"\r\n", b"PIPELINING", b"\t", b"\0", b"\xff"),
)
def pop3_capabilities(data: bytes) -> None:
    """Any listing has capabilities, upper case, without blanks."""
    told = pop3.capabilities(data)
    for name in (*told.words, *told.mechanisms):
        assert name == name.upper()
        assert name.split() == [name]
        assert name.lower() in data.lower()


@target(
    b"\x00250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-AUTH=LOGIN PLAIN\r\n250 8BITMIME\r\n",
    b"\x01\x00\x10220 hi\r\n452 4.5.3 Too many recipients\r\n354\n250\r\r\n",
    words=SMTP_WORDS,
)
def smtp_replies(data: bytes) -> None:
    """Replies are the same however they are cut; each means something in every phase; EHLO's offers something."""
    source = Source(data)
    cuts, stream = source.cuts(), source.rest()
    commands = [smtp.RSET] * 4
    for _, reply, _, whole in same_in_pieces(smtp.SmtpFramer, commands, stream, cuts):
        assert whole
        assert 200 <= reply.code <= 599
        assert reply.lines
        assert all(line in stream for line in reply.lines)
        for phase in Phase:
            assert isinstance(verdict.judge(phase, reply.code, reply.text), Then)
        offered = smtp.features(reply)
        assert 0 <= offered.size < 10**19
        assert all(word == word.upper() for word in offered.mechanisms)
        said = smtp.parameters(offered, size=10**12, eightbit=True, utf8=True)
        smtp.mail(b"a@example.org", tuple(said))


@target(
    b"\x00PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2U+", b"\x02VXNlcm5hbWU6\r\n", b"\x03=", words=(b"=", b"==", b"AA", b"\0")
)
def sasl_challenges(data: bytes) -> None:
    """Every challenge is answered in base64 that can stand in a line, or is the peer's error."""
    source = Source(data)
    steps = sasl.MECHANISMS[source.pick(sorted(sasl.MECHANISMS))]
    login = sasl.Login(source.octets(20), source.octets(20), b"example.org", 110)
    challenge = source.rest()
    for response in steps:
        try:
            said = sasl.respond(response, login, challenge)
        except ProtocolError:
            continue
        b64decode(said, validate=True)
        pop3.secret(said, shown="***")
        smtp.secret(said, shown="***")


@target(
    b"\x02\x01\xf4\x00\x64From: a\r\n\r\n.\r\n..\r\nFrom b\r\n",
    b"\x00a\n.\nb\r.\rc\r\n.\n\r\n.\r\r\n.\r\n\0\r\n",
    words=(b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\0", b".", b"\r\r\n", b"\r\n\0.\r\n", b"\r\0\n"),
)
def smtp_content(data: bytes) -> None:
    """What goes out behind DATA is the message with right line ends, and only its end can be taken for its end."""
    source = Source(data)
    cuts = source.cuts()
    opening, closing, body = source.octets(40), source.octets(10), source.rest()
    whole = opening + body + closing
    sent = b"".join(content(request(opening, closing, clean=False), cut_at(body, cuts) if body else [])) + b".\r\n"
    assert (b"\r\n" + sent).find(b"\r\n.\r\n") == len(sent) - 3
    assert sent.count(b"\r") == sent.count(b"\n") == sent.count(b"\r\n")
    assert b"\0" not in sent
    lines = sent[:-3].split(b"\r\n")
    assert all(line[:2] != b"." for line in lines)
    received = b"\r\n".join(line.removeprefix(b".") for line in lines)
    canon = Canon()
    assert received == canon.feed(whole) + canon.finish()
    stuffing = smtp.Stuffing()
    assert sent[:-3] == b"".join(stuffing.feed(piece) for piece in in_steps(received, 1))


def request(opening: bytes, closing: bytes, *, clean: bool) -> DeliveryRequest:
    head = Head(0, (), 0, headless=False, blank=False, whole=True)
    queued = QueuedMessage(
        account="a@b",
        label="a",
        key="uid:1",
        uid=b"1",
        number=1,
        size=0,
        sha="",
        eightbit=True,
        clean=clean,
        body=None,
        head=head,
        opening=opening,
        traced=0,
        trace=Trace("bob", "pop.example", "", "POP3", "mx.example", datetime.fromtimestamp(0, UTC)),
        sender=b"",
        recipients=(b"a@b",),
        deferred=(b"a@b",),
        since=0.0,
        began=0.0,
    )
    return DeliveryRequest(queued, b"", (b"a@b",), opening, closing)
