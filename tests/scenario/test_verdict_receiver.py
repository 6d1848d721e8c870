"""Verdicts about the receiver as a whole: the pass stops, the mail waits in the spool, and nobody's mail is blamed."""

from pathlib import Path

import pytest

from lib.smtp import session
from tests.peer import nobody
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail, spooled

ONE = mail("Return-Path: <a@far.example>", "To: b@example.org", "Subject: one")

ENVELOPE = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250 mx.example
    C: MAIL FROM:<a@far.example>
"""

TAKES_IT = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250 mx.example
    C: MAIL FROM:<a@far.example>
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [one]
    S: 250 taken
    C: QUIT
"""


def waits_in_the_spool(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    """The one message was downloaded once, waits, is sent in the next pass, and only then leaves its server."""
    assert (len(mailbox.left), spooled(work), mailbox.retrieved()) == (1, ["msg.dat"], 1)
    assert not (work / "duds.dat").exists()
    assert receiver(TAKES_IT)[:3] == (0, "", "")
    assert (mailbox.left, spooled(work), mailbox.retrieved()) == ([], [], 1)


def test_no_connection(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    mailbox.put(ONE)
    with nobody() as port:
        result = receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}"))
    assert result.code == 75
    assert "pf_smtp_server" in result.err
    assert f"127.0.0.1:{port}" in result.err
    waits_in_the_spool(receiver, mailbox, work)


RCPT = (
    ENVELOPE
    + """
    S: 250 ok
    C: RCPT TO:<b@example.org>
"""
)

DATA = (
    RCPT
    + """
    S: 250 ok
    C: DATA
"""
)

CONTENT = (
    DATA
    + """
    S: 354 go on
    C. [one]
"""
)


@pytest.mark.parametrize(
    "script",
    [
        # a greeting that is none
        "S: 421 too busy",
        "S: 554 mx.example does not take mail",
        # HELO refused too
        """
        S: 220 mx.example
        C* EHLO *
        S: 500 what?
        C* HELO *
        S: 501 no
        """,
        """
        S: 220 mx.example
        C* EHLO *
        S: 450 not now
        """,
        # 421, and 530, anywhere
        ENVELOPE + "S: 421 going down",
        ENVELOPE + "S: 530 5.7.0 Must issue a STARTTLS command first",
        RCPT + "S: 421 going down",
        RCPT + "S: 530 authentication required",
        DATA + "S: 421 going down",
        CONTENT + "S: 421 going down",
        # replies that make no sense where they are given
        RCPT + "S: 354 go on",
        DATA + "S: 250 ok",
    ],
)
def test_what_is_said_of_the_receiver_blames_no_mail(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    mailbox.put(ONE)
    result = receiver(f"{script}\nC: QUIT")
    assert result.code == 75
    complaint, owed = result.err.splitlines()
    assert "takes no mail now" in complaint
    assert owed == "popfetch: 1 message still owed in the spool; --status shows to whom"
    waits_in_the_spool(receiver, mailbox, work)


GROUP = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250-mx.example
    S: 250 PIPELINING
    C: MAIL FROM:<a@far.example>
    C: RCPT TO:<b@example.org>
    C: DATA
"""


@pytest.mark.parametrize(
    "replies",
    [
        "S: 421 going down",
        "S: 421 going down\nS: 503 no\nS: 503 no",
        "S: 250 ok\nS: 421 going down",
        "S: 250 ok\nS: 250 ok\nS: 421 going down",
        "S: 530 login first\nS: 530 login first\nS: 530 login first",
        "S: 250 ok\nS: 250 ok\nS: 354 go on\nC. [one]\nS: 421 going down",
        "S: 250 ok\nS: 550 no\nS: 421 going down",
        "S: 451 not now\nS: 503 no\nS: 421 going down",
    ],
)
def test_in_a_group_as_well(receiver: Receiver, mailbox: Mailbox, work: Path, replies: str) -> None:
    mailbox.put(ONE)
    result = receiver(f"{GROUP}{replies}\n-- cut")
    assert result.code == 75
    assert "takes no mail now" in result.err.splitlines()[0]
    waits_in_the_spool(receiver, mailbox, work)


def test_a_receiver_that_knows_helo_alone(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(ONE)
    helo = "C* EHLO *\nS: 502 what?\nC* HELO *\nS: 250-mx\nS: 250 PIPELINING\n"
    assert receiver(TAKES_IT.replace("C* EHLO *\n    S: 250 mx.example\n", helo))[:3] == (0, "", "")
    assert mailbox.left == []


@pytest.mark.parametrize(
    "script",
    [
        "S: +OK this is a POP3 server",
        "S: 220 mx.example\nC* EHLO *\nS: 250-mx.example\nS: what do you say",
        # in the middle of a conversation: once more, on a new connection
        f"{ENVELOPE}S: OK\n== next\n{ENVELOPE}S: OK",
        f"{RCPT}S: 25\n== next\n{RCPT}S: 25",
    ],
)
def test_a_reply_that_is_none(receiver: Receiver, mailbox: Mailbox, work: Path, script: str) -> None:
    mailbox.put(ONE)
    result = receiver(script)
    assert result.code == 75
    assert "the receiver" in result.err.splitlines()[0]
    waits_in_the_spool(receiver, mailbox, work)


@pytest.mark.parametrize(
    "script",
    [
        "-- stall",
        "S: 220 mx.example\n-- stall",
        f"{ENVELOPE}-- stall\n== next\n{ENVELOPE}-- stall",
        f"{DATA}-- stall\n== next\n{DATA}-- stall",
    ],
)
def test_a_time_out(
    receiver: Receiver, mailbox: Mailbox, work: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(session, "SILENCE", 0.3)
    mailbox.put(ONE)
    result = receiver(script)
    assert result.code == 75
    assert "no answer in time" in result.err
    waits_in_the_spool(receiver, mailbox, work)
