"""Verdicts about one message: it waits in the spool or is refused by all, and the next one goes on."""

from pathlib import Path

import pytest

from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import logged, mail, spooled

LARGE = ("x" * 70 + "\n") * 140_000  # more than fits between two sockets: its dot goes out late


def letter(name: str, body: str = "hello") -> bytes:
    return mail("Return-Path: <a@far.example>", "To: b@example.org", f"Subject: {name}", body=body)


GREETED = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250-mx.example
    S: 250 8BITMIME
"""

PIPELINING = GREETED.replace("250 8BITMIME", "250 PIPELINING")

ENVELOPE = """
    C: MAIL FROM:<a@far.example>
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
    C: DATA
"""

TAKEN = """
    S: 354 go on
    C. [taken]
    S: 250 taken
"""

each_way = pytest.mark.parametrize("greeted", [GREETED, PIPELINING], ids=["lockstep", "PIPELINING"])


def taken(subject: bytes, data: dict[str, bytes]) -> bool:
    return b"Subject: " + subject in data["[taken]"]


# --- the connection is lost before the dot -------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize(
    ("lost", "body"),
    [
        ("C* MAIL *\n-- cut", "hello"),
        ("C* MAIL *\n-- reset", "hello"),
        ("C* MAIL *\nS: 250 ok\nC* RCPT *\n-- cut", "hello"),
        (f"{ENVELOPE}-- reset", "hello"),
        (f"{ENVELOPE}S: 354 go on\nC~ Received: .*\n-- reset", LARGE),
    ],
    ids=["MAIL", "MAIL, RST", "RCPT", "DATA", "content"],
)
def test_a_connection_lost_before_the_dot_is_tried_once_more(
    receiver: Receiver, mailbox: Mailbox, greeted: str, lost: str, body: str
) -> None:
    mailbox.put(letter("one", body))
    code, _, err, data, *_ = receiver(f"{greeted}{lost}\n== next\n{greeted}{ENVELOPE}{TAKEN}C: QUIT")
    assert (code, err, mailbox.left) == (0, "", [])
    assert taken(b"one", data)


STILL_DEFERRED = "popfetch: 1 message deferred in the spool; --status shows to whom\n"
RSET = "C: RSET\nS: 250 ok"
BREAKS_OFF = f"{ENVELOPE}S: 354 go on\nC~ Received: .*\n-- reset\n"


@each_way
def test_lost_again_it_waits_as_the_messages_own_fault(
    receiver: Receiver, mailbox: Mailbox, work: Path, greeted: str
) -> None:
    mailbox.put(letter("one", LARGE))
    result = receiver(f"{greeted}{BREAKS_OFF}== next\n{greeted}{BREAKS_OFF}")
    assert (result.code, result.err) == (75, STILL_DEFERRED)
    assert (len(mailbox.left), spooled(work)) == (1, ["msg.dat"])


@each_way
def test_a_message_at_which_the_receiver_breaks_off_comes_last_and_once_a_pass(
    receiver: Receiver, mailbox: Mailbox, work: Path, greeted: str
) -> None:
    mailbox.put(letter("poison", LARGE))
    assert receiver(f"{greeted}{BREAKS_OFF}== next\n{greeted}{BREAKS_OFF}").code == 75
    mailbox.put(letter("two"))
    passed = receiver(f"{greeted}{BREAKS_OFF}== next\n{greeted}{ENVELOPE}{TAKEN}C: QUIT")
    assert taken(b"two", passed.data)
    assert (passed.code, len(mailbox.left), len(spooled(work))) == (75, 1, 1)
    mended = receiver(f"{greeted}{ENVELOPE}{TAKEN}C: QUIT")
    assert (mended.code, mailbox.left, spooled(work)) == (0, [], [])
    assert taken(b"poison", mended.data)


# --- not now -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "not_now",
    [
        GREETED + "C* MAIL *\nS: 451 not now",
        GREETED + "C* MAIL *\nS: 250 ok\nC* RCPT *\nS: 250 ok\nC: DATA\nS: 451 not now\nC: RSET\nS: 250 ok",
        GREETED
        + "C* MAIL *\nS: 250 ok\nC* RCPT *\nS: 250 ok\nC: DATA\nS: 354 go on\nC. [one]\nS: 452 not now\n"
        + RSET,
        PIPELINING + "C* MAIL *\nC* RCPT *\nC: DATA\nS: 451 not now\nS: 503 no MAIL\nS: 503 no RCPT",
        PIPELINING
        + "C* MAIL *\nC* RCPT *\nC: DATA\nS: 451 not now\nS: 503 no\nS: 354 go on\nC: .\nS: 554 for whom?\n"
        + RSET,
        PIPELINING + "C* MAIL *\nC* RCPT *\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 451 not now\nC: RSET\nS: 250 ok",
        # the envelope of the next is out by then, and needs no RSET: to MAIL within a transaction 503 is said
        PIPELINING + "C* MAIL *\nC* RCPT *\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go on\nC. [one]\nS: 452 not now",
        GREETED + ENVELOPE + "S: 354 go on\nC. [one]\n-- cut\n== next\n" + GREETED,
        GREETED + ENVELOPE + "S: 354 go on\nC. [one]\n-- reset\n== next\n" + GREETED,
        PIPELINING + ENVELOPE + "S: 354 go on\nC. [one]\n-- cut\n== next\n" + PIPELINING,
    ],
)
def test_a_message_that_is_not_taken_now_waits_and_the_next_goes_on(
    receiver: Receiver, mailbox: Mailbox, work: Path, not_now: str
) -> None:
    mailbox.put(letter("one"), letter("two"))
    script = f"-- call all_fetched\n{not_now}\n{ENVELOPE}{TAKEN}C: QUIT"
    code, _, err, data, *_ = receiver(script, given=mailbox.fetched(2))
    assert (code, err) == (75, STILL_DEFERRED)
    assert taken(b"two", data)
    assert (mailbox.left, spooled(work), mailbox.retrieved()) == ([letter("one")], ["msg.dat"], 2)
    assert [line["status"] for line in logged(work, "message")] == ["deferred", "delivered"]
    code, _, err, data, *_ = receiver(f"{GREETED}{ENVELOPE}{TAKEN}C: QUIT")
    assert (code, err, mailbox.left, spooled(work), mailbox.retrieved()) == (0, "", [], [], 2)
    assert taken(b"one", data)


DOT_451 = f"{ENVELOPE}S: 354 go on\nC. [not]\nS: 451 not now\n"
MAIL_451 = "C* MAIL *\nS: 451 not now\n"
DATA_451 = f"{ENVELOPE}S: 451 not now\n"
LOST = f"{ENVELOPE}S: 354 go on\nC. [not]\n-- cut\n== next\n{GREETED}"
BROKEN = f"C* MAIL *\n-- cut\n== next\n{GREETED}"
FRESH = f"C: QUIT\n== next\n{GREETED}"


@pytest.mark.parametrize(
    "three",
    [
        f"{DOT_451}{RSET}\n{DOT_451}{RSET}\n{DOT_451}",
        f"{MAIL_451}{DOT_451}{RSET}\n{DATA_451}",
        f"{LOST}{LOST}{DOT_451}",
        # connections that break count if they are fresh
        f"{BROKEN}{BROKEN}C* MAIL *\n-- cut",
        f"{BROKEN}{BROKEN}C* MAIL *\nS: 421 going down\n",
        f"{BROKEN}{MAIL_451}{ENVELOPE}S: 421 not yet\n{FRESH}{DOT_451}",
    ],
)
def test_three_in_a_row_are_the_receiver(receiver: Receiver, mailbox: Mailbox, work: Path, three: str) -> None:
    mailbox.put(*(letter(str(number)) for number in range(5)))
    end = "" if three.endswith("-- cut") else "C: QUIT"
    result = receiver(f"-- call all_fetched\n{GREETED}{three}{end}", given=mailbox.fetched(5))
    assert result.code == 75
    assert "the receiver would not take 3 messages in a row" in result.err.splitlines()[0]
    assert (len(mailbox.left), len(spooled(work))) == (5, 5)


def test_a_delivery_between_them_resets_the_count(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    mailbox.put(*(letter(str(number)) for number in range(5)))
    two = f"{DOT_451}{RSET}\n{DOT_451}"
    result = receiver(f"{GREETED}{two}{RSET}\n{ENVELOPE}{TAKEN}{two}C: QUIT")
    assert (result.code, len(result.err.splitlines())) == (75, 1)
    assert (len(mailbox.left), len(spooled(work))) == (4, 4)


# --- no ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refused",
    [
        # DATA, and the final dot
        GREETED + ENVELOPE + "S: 554 5.7.1 not here\nC: RSET\nS: 250 ok",
        GREETED + ENVELOPE + "S: 354 go on\nC. [one]\nS: 554 5.7.1 spam\n" + RSET,
        PIPELINING + ENVELOPE + "S: 354 go on\nC. [one]\nS: 554 5.7.1 spam",
        # MAIL with its own sender, with none, and with one of ours
        GREETED
        + "C: MAIL FROM:<a@far.example>\nS: 553 5.7.1 bad sender\nC: MAIL FROM:<>\nS: 550 no senders\n"
        + "C: MAIL FROM:<popfetch@ship.example>\nS: 550 nor you",
        PIPELINING
        + "C: MAIL FROM:<a@far.example>\nC* RCPT *\nC: DATA\nS: 553 5.7.1 bad sender\nS: 503 no\nS: 503 no\n"
        + "C: MAIL FROM:<>\nC* RCPT *\nC: DATA\nS: 550 no senders\nS: 503 no\nS: 503 no\n"
        + "C: MAIL FROM:<popfetch@ship.example>\nC* RCPT *\nC: DATA\nS: 550 nor you\nS: 503 no\nS: 503 no\n"
        + f"C: QUIT\n== next\n{PIPELINING}",
        # 354 although no recipient was accepted: a lone dot, and whatever is said to it counts for nobody
        PIPELINING + "C* MAIL *\nC* RCPT *\nC: DATA\nS: 250 ok\nS: 550 5.7.1 no\nS: 354 go on\nC: .\nS: 250 taken",
        PIPELINING
        + "C* MAIL *\nC* RCPT *\nC: DATA\nS: 250 ok\nS: 550 5.7.1 no\nS: 354 go on\nC: .\nS: 451 what?\n"
        + RSET,
    ],
)
def test_a_message_that_is_refused_goes_to_the_duds_and_the_next_goes_on(
    receiver: Receiver, mailbox: Mailbox, work: Path, refused: str
) -> None:
    mailbox.put(letter("one"), letter("two"))
    script, given = f"-- call all_fetched\n{refused}\n{ENVELOPE}{TAKEN}C: QUIT", mailbox.fetched(2)
    code, _, err, data, *_ = receiver(script, given=given, pf_helo_name="ship.example")
    assert (code, err) == (65, "popfetch: 1 message went to duds.dat; --duds list shows why\n")
    assert taken(b"two", data)
    assert (mailbox.left, spooled(work)) == ([], [])
    dud = (work / "duds.dat").read_text()
    assert "\nX-POPFetch-Dud-For: b@example.org\nX-POPFetch-Dud-Why: <b@example.org>: 55" in dud
    assert " 5.7.1 " in dud
    assert "Subject: one" in dud


@each_way
def test_a_refused_sender_is_followed_by_none_at_once(receiver: Receiver, mailbox: Mailbox, greeted: str) -> None:
    mailbox.put(letter("one"))
    rest = (
        "C* RCPT *\nC: DATA\nS: 553 bad sender\nS: 503 no\nS: 503 no" if greeted == PIPELINING else "S: 553 bad sender"
    )
    null = ENVELOPE.replace("a@far.example", "")
    code, _, err, data, *_ = receiver(f"{greeted}C: MAIL FROM:<a@far.example>\n{rest}\n{null}{TAKEN}C: QUIT")
    assert (code, err, mailbox.left) == (0, "", [])
    assert taken(b"one", data)


def test_a_null_sender_that_is_refused_is_followed_by_the_caretakers(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(mail("To: b@example.org"))
    script = f"{GREETED}C: MAIL FROM:<>\nS: 550 no\n{ENVELOPE}{TAKEN}C: QUIT".replace("a@far", "care@far")
    code, _, err, data, *_ = receiver(script, pf_dflt_address="care@far.example")
    assert (code, err, mailbox.left) == (0, "", [])
    assert data["[taken]"]


@each_way
def test_a_250_counts_whatever_nonsense_follows_it(receiver: Receiver, mailbox: Mailbox, greeted: str) -> None:
    mailbox.put(letter("one"))
    code, _, err, data, *_ = receiver(f"{greeted}{ENVELOPE}{TAKEN}S: what was I saying\n-- cut")
    assert (code, err, mailbox.left) == (0, "", [])
    assert taken(b"one", data)
