"""Verdicts about the receiver as a whole: the pass stops, the mail waits in the spool, and nobody's mail is blamed."""

from pathlib import Path

import pytest

from lib.smtp import session
from tests.peer import nobody
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import logged, mail, spooled

ONE = mail("Return-Path: <a@far.example>", "To: b@example.org", "Subject: one")

STILL_DEFERRED = "popfetch: 1 message deferred in the spool; --status shows to whom"

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
    ],
)
def test_what_is_said_before_there_is_any_message_blames_no_mail(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    mailbox.put(ONE)
    result = receiver(f"{script}\nC: QUIT")
    assert result.code == 75
    complaint, owed = result.err.splitlines()
    assert "takes no mail now" in complaint
    assert owed == STILL_DEFERRED
    waits_in_the_spool(receiver, mailbox, work)


QUIT = "C: QUIT"


def only_advice(err: str) -> bool:
    """Say whether a setting is named, in a line before the only other one."""
    *advice, last = err.splitlines()
    assert last == STILL_DEFERRED
    assert all(line.startswith("popfetch: the receiver would not take a message: ") for line in advice)
    assert all(line.endswith(": see pf_smtp_tls and pf_smtp_user") for line in advice)
    return len(advice) == 1


def test_no_setting_is_named_once_another_message_was_taken(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(ONE, ONE.replace(b"Subject: one", b"Subject: two"))
    no = f"S: 530 5.7.0 authentication required\n{QUIT}"
    other = TAKES_IT.replace(QUIT, f"C: MAIL FROM:<a@far.example>\n{no}")
    result = receiver(f"-- call all_fetched\n{ENVELOPE}{no}\n== next\n{other}", given=mailbox.fetched(2))
    assert (result.code, result.err) == (75, f"{STILL_DEFERRED}\n")


@pytest.mark.parametrize(
    ("script", "end"),
    [
        (ENVELOPE + "S: 421 going down", QUIT),
        (RCPT + "S: 421 going down", QUIT),
        (DATA + "S: 421 going down", QUIT),
        (CONTENT + "S: 421 going down", QUIT),
        # replies that make no sense where they are given: nothing more may be said
        (ENVELOPE + "S: 354 go on", ""),
        (RCPT + "S: 354 go on", ""),
        (DATA + "S: 250 ok", ""),
        (ENVELOPE + "S: 503 5.5.1 nested MAIL", ""),
        (DATA + "S: 503 5.5.1 bad sequence", ""),
    ],
)
def test_what_is_said_to_one_message_is_its_own_when_it_is_said_again(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str, end: str
) -> None:
    mailbox.put(ONE)
    result = receiver(f"{script}\n{end}\n== next\n{script}\n{end}")
    assert (result.code, only_advice(result.err)) == (75, "530 " in script or "454 " in script)
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
        "S: 250 ok\nS: 250 ok\nS: 354 go on\nC. [one]\nS: 421 going down",
        # behind a refused MAIL a recipient is accepted: of which transaction?
        "S: 553 no\nS: 250 ok\nS: 354 go on",
        "S: 250 ok\nS: 503 MAIL first\nS: 503 no",
        "S: 250 ok\nS: 250 ok\nS: 354 go on\nS: 250 ok",
    ],
)
def test_in_a_group_as_well(receiver: Receiver, mailbox: Mailbox, work: Path, replies: str) -> None:
    mailbox.put(ONE)
    script = f"{GROUP}{replies}\n-- cut"
    result = receiver(f"{script}\n== next\n{script}")
    assert (result.code, only_advice(result.err)) == (75, "530 " in replies)
    waits_in_the_spool(receiver, mailbox, work)


@pytest.mark.parametrize(
    "script",
    [
        ENVELOPE + "S: 530 5.7.0 Must issue a STARTTLS command first\nC: QUIT",
        RCPT + "S: 454 4.7.0 TLS not available\nC: QUIT",
        DATA + "S: 535 5.7.8 authentication required\nC: QUIT",
        GROUP + "S: 530 5.7.0 login first\nS: 530 5.7.0 login first\nS: 530 5.7.0 login first\n-- cut",
    ],
)
def test_who_is_told_to_log_in_is_told_which_setting_to_look_at(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    mailbox.put(ONE)
    result = receiver(f"{script}\n== next\n{script}")
    complaint, owed = result.err.splitlines()
    assert (result.code, owed) == (75, STILL_DEFERRED)
    assert "the receiver would not take a message: " in complaint
    assert complaint.endswith(": see pf_smtp_tls and pf_smtp_user")
    waits_in_the_spool(receiver, mailbox, work)


@pytest.mark.parametrize(
    ("replies", "code"),
    [("S: 250 ok\nS: 550 no\nS: 421 going down", 65), ("S: 451 not now\nS: 503 no\nS: 421 going down", 75)],
)
def test_a_421_that_comes_when_all_is_decided_changes_nothing(
    receiver: Receiver, mailbox: Mailbox, replies: str, code: int
) -> None:
    mailbox.put(ONE)
    result = receiver(f"{GROUP}{replies}\n-- cut")
    assert (result.code, len(mailbox.left)) == (code, code == 75)


def test_three_messages_that_are_told_to_log_in_show_which_setting_to_look_at(
    receiver: Receiver, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(*(ONE.replace(b"Subject: one", b"Subject: %d" % number) for number in range(4)))
    turn = f"{ENVELOPE}S: 530 5.7.0 authentication required\n{QUIT}"
    result = receiver(f"-- call all_fetched\n{turn}\n== next\n{turn}\n== next\n{turn}", given=mailbox.fetched(4))
    assert result.code == 75
    complaint = result.err.splitlines()[0]
    assert "would not take 3 messages in a row: 530 5.7.0 authentication required" in complaint
    assert complaint.endswith("see pf_smtp_tls and pf_smtp_user")
    assert len(spooled(work)) == 4


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
    ],
)
def test_a_reply_that_is_none(receiver: Receiver, mailbox: Mailbox, work: Path, script: str) -> None:
    mailbox.put(ONE)
    result = receiver(script)
    assert result.code == 75
    assert "the receiver does not take mail" in result.err.splitlines()[0]
    waits_in_the_spool(receiver, mailbox, work)


@pytest.mark.parametrize("script", [f"{ENVELOPE}S: OK", f"{RCPT}S: 25"])
def test_a_reply_that_is_none_in_the_middle_is_tried_once_more_and_then_the_messages_own(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    mailbox.put(ONE)
    result = receiver(f"{script}\n== next\n{script}")
    assert (result.code, result.err) == (75, f"{STILL_DEFERRED}\n")
    waits_in_the_spool(receiver, mailbox, work)


@pytest.mark.parametrize("script", ["-- stall", "S: 220 mx.example\n-- stall"])
def test_a_time_out(
    receiver: Receiver, mailbox: Mailbox, work: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(session, "SILENCE", 0.3)
    mailbox.put(ONE)
    result = receiver(script)
    assert result.code == 75
    assert "no answer in time" in result.err
    waits_in_the_spool(receiver, mailbox, work)


@pytest.mark.parametrize("script", [f"{ENVELOPE}-- stall", f"{DATA}-- stall"])
def test_a_time_out_in_the_middle_is_tried_once_more_and_then_the_messages_own(
    receiver: Receiver, mailbox: Mailbox, work: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(session, "SILENCE", 0.3)
    mailbox.put(ONE)
    result = receiver(f"{script}\n== next\n{script}")
    assert (result.code, result.err) == (75, f"{STILL_DEFERRED}\n")
    assert any("no answer in time" in line["words"] for line in logged(work, "delivery"))
    waits_in_the_spool(receiver, mailbox, work)
