"""What the receiver gets: an envelope, our Received line, and otherwise the message as it was."""

import re

import pytest

from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass, account
from tests.peer import peer
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import logged, mail

POP = """
    S: +OK
    C: CAPA
    S: -ERR
    C: USER bob
    S: +OK
    C: PASS geheim-bob
    S: +OK
    C: UIDL
    S: +OK
    S: 1 u1
    S: .
    C: LIST
    S: +OK
    S: 1 4
    S: .
    C: RETR 1
    S: +OK
    S> {bytes}
    C: DELE 1
    S: +OK
    C: QUIT
    S: +OK
"""


def passed_on(conf: Conf, run_pass: RunPass, octets: str) -> bytes:
    """Let a POP server send these octets, up to its final dot; return what the receiver got, less our Received line."""
    with peer(POP.format(bytes=octets)) as p, SmtpServer() as smtp:
        path = conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path) == (0, "", "")
    received = re.match(rb"Received: from [^\n]+\n(?:\t[^\n]+\n)*", smtp.taken[0].content)
    assert received
    return smtp.taken[0].content[received.end() :]


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        # as it was: dots, odd header fields, 8 bits, long lines, no body
        (rb'"A: 1\r\nb : 2\r\n\r\n..\r\n...x\r\n .\r\n.\r\n"', b"A: 1\r\nb : 2\r\n\r\n.\r\n..x\r\n .\r\n"),
        (rb'"A: caf\xe9\r\n\r\n\x80\xff\r\n.\r\n"', b"A: caf\xe9\r\n\r\n\x80\xff\r\n"),
        (b'"A: 1\\r\\n\\r\\n' + b"x" * 20000 + b'\\r\\n.\\r\\n"', b"A: 1\r\n\r\n" + b"x" * 20000 + b"\r\n"),
        (rb'"A: 1\r\n.\r\n"', b"A: 1\r\n"),
        (rb'"A: 1\r\n\r\n.\r\n"', b"A: 1\r\n\r\n"),
        # what servers put into a header, true or not, and a line in it that is no field
        (
            rb'"Content-Length: 2\r\nStatus: \r\nX-UIDL: 7\r\nDelivered-To: b@example.org\r\n\r\nhello\r\n.\r\n"',
            b"Content-Length: 2\r\nStatus: \r\nX-UIDL: 7\r\nDelivered-To: b@example.org\r\n\r\nhello\r\n",
        ),
        (rb'"A: 1\r\nno field at all\r\nB: 2\r\n\r\nhi\r\n.\r\n"', b"A: 1\r\nno field at all\r\nB: 2\r\n\r\nhi\r\n"),
        # line ends that are none become one
        (rb'"A: 1\r\n\r\na\nb\rc\r\r\nd\n\ne\r\n.\r\n"', b"A: 1\r\n\r\na\r\nb\r\nc\r\nd\r\n\r\ne\r\n"),
        (rb'"A: 1\nB: 2\n\nhi\n.\nMAIL FROM:<x@y>\r\n.\r\n"', b"A: 1\r\nB: 2\r\n\r\nhi\r\n.\r\nMAIL FROM:<x@y>\r\n"),
        # NULs go
        (rb'"A: \x001\r\n\r\na\x00b\r\n.\r\n"', b"A: 1\r\n\r\nab\r\n"),
        # BOM and From line go
        (rb'"\xef\xbb\xbfA: 1\r\n\r\nhi\r\n.\r\n"', b"A: 1\r\n\r\nhi\r\n"),
        (rb'"From a@b Sun Nov 22 2026\r\nA: 1\r\n\r\nhi\r\n.\r\n"', b"A: 1\r\n\r\nhi\r\n"),
        (rb'">From a@b Sun Nov 22 2026\r\nA: 1\r\n\r\nhi\r\n.\r\n"', b"A: 1\r\n\r\nhi\r\n"),
        # of several Return-Paths the topmost, which was used
        (
            rb'"A: 1\r\nReturn-Path: <a@b.example>\r\nB: 2\r\nReturn-Path: <c@d.example>\r\n\r\nhi\r\n.\r\n"',
            b"A: 1\r\nB: 2\r\nReturn-Path: <c@d.example>\r\n\r\nhi\r\n",
        ),
        # without a header
        (rb'"hello there\r\nyou\r\n.\r\n"', b"\r\nhello there\r\nyou\r\n"),
        (rb'"\r\nhello\r\n.\r\n"', b"\r\nhello\r\n"),
        (rb'" folded: first\r\n\r\nhi\r\n.\r\n"', b"\r\n folded: first\r\n\r\nhi\r\n"),
    ],
)
def test_a_message_is_passed_on_as_it_was(conf: Conf, run_pass: RunPass, sent: bytes, got: bytes) -> None:
    assert passed_on(conf, run_pass, sent.decode()) == got


def test_our_received_line_says_where_it_comes_from(mailbox: Mailbox, smtp: SmtpServer, receiver: Receiver) -> None:
    mailbox.put(mail("X-Rcpt-To: b@example.org"))
    receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_helo_name="ship.example.org"))
    line = re.sub(rb"\r\n[ \t]+", b" ", smtp.taken[0].content).split(b"\r\n")[0].decode()
    here = r"ship\.example\.org"
    account = rf"bob@127\.0\.0\.1:{mailbox.port}"
    when = r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"
    host, whom = r"\[127\.0\.0\.1\] \(\[127\.0\.0\.1\]\)", r"<b@example\.org>"
    known = rf"Received: from {host} by {here} \(popfetch {account}\) with POP3 for {whom}; {when}"
    assert re.fullmatch(known, line), line


TOP = "Return-Path: <a@far.example>"


@pytest.mark.parametrize(
    ("field", "rule", "sender"),
    [
        (TOP, "return-path", "a@far.example"),
        ("Return-Path: a@far.example", "return-path", "a@far.example"),
        ("Return-Path: <>", "return-path", ""),
        ("From: a@far.example", "return-path", ""),
        ("Return-Path: <a@far.example> SIZE=1", "return-path", ""),
        ("Return-Path: <a b@far.example>", "return-path", ""),
        ("Return-Path: <root>", "return-path", ""),
        ("Return-Path: nonsense, more nonsense", "return-path", ""),
        (TOP, "null", ""),
        (TOP, "me@example.org", "me@example.org"),
    ],
)
def test_the_envelope_sender(receiver: Receiver, smtp: SmtpServer, field: str, rule: str, sender: str) -> None:
    receiver.mailbox.put(mail(field, "X-Rcpt-To: b@example.org"))
    path = receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_mail_from=rule)
    assert receiver.run_pass(path) == (0, "", "")
    assert smtp.taken[0].sender.decode() == sender


def test_a_return_path_that_is_not_used_stays(receiver: Receiver, smtp: SmtpServer) -> None:
    receiver.mailbox.put(mail(TOP, "X-Rcpt-To: b@example.org"))
    path = receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_mail_from="null")
    assert receiver.run_pass(path) == (0, "", "")
    assert TOP.encode() in smtp.taken[0].content


GREETED = """
    S: 220 mx.example
    C* EHLO *
    S: 250-mx.example
"""
ONE = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org")
UTF8 = mail("Return-Path: <a@far.example>", "X-Rcpt-To: bö@example.org")


def envelope(mail_from: str, rcpt: str = "b@example.org") -> str:
    return f"""
    C~ {mail_from}
    S: 250 ok
    C: RCPT TO:<{rcpt}>
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [one]
    S: 250 taken
    C: QUIT
"""


@pytest.mark.parametrize(
    ("offered", "message", "script"),
    [
        ("HELP", ONE, envelope("MAIL FROM:<a@far.example>")),
        ("SIZE", ONE, envelope(r"MAIL FROM:<a@far.example> SIZE=1\d\d")),
        ("SIZE 100000", ONE, envelope(r"MAIL FROM:<a@far.example> SIZE=1\d\d")),
        ("8BITMIME", ONE, envelope("MAIL FROM:<a@far.example>")),
        ("8BITMIME", ONE + b"caf\xe9\r\n", envelope("MAIL FROM:<a@far.example> BODY=8BITMIME")),
        ("HELP", ONE + b"caf\xe9\r\n", envelope("MAIL FROM:<a@far.example>")),
        ("SMTPUTF8", ONE + b"caf\xe9\r\n", envelope("MAIL FROM:<a@far.example>")),
        ("SMTPUTF8", UTF8, envelope("MAIL FROM:<a@far.example> SMTPUTF8", "bö@example.org")),
    ],
)
def test_parameters_of_mail_that_are_offered_and_needed(
    receiver: Receiver, mailbox: Mailbox, offered: str, message: bytes, script: str
) -> None:
    mailbox.put(message)
    assert receiver(f"{GREETED}S: 250 {offered}\n{script}")[:3] == (0, "", "")


def test_a_message_that_is_larger_than_the_receiver_takes_is_refused_without_sending_it(
    receiver: Receiver, mailbox: Mailbox
) -> None:
    mailbox.put(mail("X-Rcpt-To: b@example.org", body="x" * 5000), ONE)
    passed = receiver(f"{GREETED}S: 250 SIZE 4000\n{envelope('MAIL FROM:<a@far.example> SIZE=.*')}")
    assert (passed.code, mailbox.left) == (65, [])
    assert "552 5.3.4 larger than the 4000 octets" in (receiver.work / "duds.dat").read_text()


def test_an_address_that_needs_smtputf8_is_refused_where_it_is_not_offered(
    receiver: Receiver, mailbox: Mailbox
) -> None:
    mailbox.put(mail("Return-Path: <a@far.example>", "X-Rcpt-To: bö@example.org, b@example.org"))
    passed = receiver(f"{GREETED}S: 250 HELP\n{envelope('MAIL FROM:<a@far.example>')}")
    assert passed.code == 65
    assert "553 5.6.7" in logged(receiver.work, "message")[0]["words"]
