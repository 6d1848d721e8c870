"""Senders and names of ours that a receiver does not like: tried again as somebody else, or told whom to ask."""

from pathlib import Path

import pytest

from tests.scenario.conftest import Mailbox, Passed, Receiver
from tests.scenario.mails import mail, spooled

PLAIN = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250-mx.example
    S: 250 8BITMIME
"""
AHEAD = PLAIN.replace("250 8BITMIME", "250 PIPELINING")
CARE = "care@example.org"
RSET = "C: RSET\nS: 250 ok\n"

NOT_OURS = "553 5.7.1 <a@far.example>: Sender address rejected: not logged in"
NOT_FULL = "504 5.5.2 <a@far.example>: Sender address rejected: need fully-qualified address"
NO_DOMAIN = "450 4.1.8 <a@far.example>: Sender address rejected: Domain not found"
NO_NULL = "550 5.7.1 <>: Sender address rejected: no bounces here"
NO_USER = "550 5.1.1 <b@example.org>: Recipient address rejected: User unknown"

each_sender = pytest.mark.parametrize("no", [NOT_OURS, NOT_FULL, NO_DOMAIN])


def letter(name: str = "one", to: str = "b@example.org") -> bytes:
    return mail("Return-Path: <a@far.example>", f"X-Rcpt-To: {to}", f"Subject: {name}")


def asked(sender: str, *rcpts: str) -> str:
    said = f"C: MAIL FROM:<{sender}>\nS: 250 ok\n"
    return said + "".join(
        f"C: RCPT TO:<{who}@example.org>\nS: {reply}\n" for who, reply in zip("bcd", rcpts, strict=False)
    )


def taken(sender: str, *rcpts: str) -> str:
    return asked(sender, *(rcpts or ("250 ok",))) + "C: DATA\nS: 354 go on\nC. [taken]\nS: 250 taken\nC: QUIT"


def group(sender: str, *replies: str) -> str:
    return f"C: MAIL FROM:<{sender}>\nC: RCPT TO:<b@example.org>\nC: DATA\n" + "".join(f"S: {one}\n" for one in replies)


def run(receiver: Receiver, script: str, caretaker: str | None = CARE) -> Passed:
    return receiver(script, pf_dflt_address=caretaker, pf_helo_name="ship.example.org")


# --- refused at RCPT, where Postfix does it --------------------------------------------------------------------------


@each_sender
def test_a_sender_that_is_refused_at_rcpt_is_followed_by_none(receiver: Receiver, mailbox: Mailbox, no: str) -> None:
    mailbox.put(letter())
    passed = run(receiver, f"{PLAIN}{asked('a@far.example', no)}{RSET}{taken('')}")
    assert (passed[:3], mailbox.left, list(passed.data)) == ((0, "", ""), [], ["[taken]"])


@each_sender
def test_with_pipelining_too(receiver: Receiver, mailbox: Mailbox, no: str) -> None:
    mailbox.put(letter())
    refused = group("a@far.example", "250 ok", no, "554 5.5.1 no valid recipients")
    again = group("", "250 flushed", "250 ok", "250 ok", "354 go on") + "C. [taken]\nS: 250 taken\nC: QUIT"
    passed = run(receiver, f"{AHEAD}{refused}C: RSET\n{again}")
    assert (passed[:3], mailbox.left, list(passed.data)) == ((0, "", ""), [], ["[taken]"])


@pytest.mark.parametrize(("caretaker", "last"), [(CARE, CARE), (None, "popfetch@ship.example.org")])
@each_sender
def test_and_then_by_one_of_ours(
    receiver: Receiver, mailbox: Mailbox, no: str, caretaker: str | None, last: str
) -> None:
    mailbox.put(letter())
    twice = f"{asked('a@far.example', no)}{RSET}{asked('', NO_NULL)}{RSET}"
    passed = run(receiver, f"{PLAIN}{twice}{taken(last)}", caretaker)
    assert (passed[:3], mailbox.left, list(passed.data)) == ((0, "", ""), [], ["[taken]"])


def test_refused_by_whatever_sender_it_is_refused_for_the_first_ones_words(
    receiver: Receiver, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(letter())
    thrice = RSET.join(
        asked(sender, no) for sender, no in (("a@far.example", NOT_OURS), ("", NO_NULL), (CARE, NOT_FULL))
    )
    copy = f"C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<{CARE}>\nS: 250 ok\nC: DATA\nS: 354 go on\nC. [copy]\nS: 250 ok\n"
    passed = run(receiver, f"{PLAIN}{thrice}{RSET}{copy}C: QUIT")
    assert (passed[:3], mailbox.left, (work / "duds.dat").exists()) == ((0, "", ""), [], False)
    assert b"553 5.7.1 <a@far.example>: Sender address rejected" in passed.data["[copy]"]


def test_put_off_by_whatever_sender_it_is_owed(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    mailbox.put(letter())
    thrice = RSET.join(
        asked(sender, no) for sender, no in (("a@far.example", NO_DOMAIN), ("", NO_NULL), (CARE, NOT_FULL))
    )
    assert run(receiver, f"{PLAIN}{thrice}C: QUIT").code == 75
    assert (mailbox.left, spooled(work)) == ([letter()], ["msg.dat"])
    # In the next pass its own sender is the first again.
    assert run(receiver, f"{PLAIN}{taken('a@far.example')}")[:3] == (0, "", "")


def test_a_verdict_on_the_recipient_behind_another_sender_holds(
    receiver: Receiver, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(letter())
    passed = run(receiver, f"{PLAIN}{asked('a@far.example', NOT_OURS)}{RSET}{asked('', NO_USER)}C: QUIT", None)
    assert (passed.code, mailbox.left) == (65, [])
    assert "5.1.1 <b@example.org>: Recipient address rejected" in (work / "duds.dat").read_text()


def test_only_who_refused_the_sender_is_asked_again(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(letter(to="b@example.org, c@example.org, d@example.org"))
    first = asked("a@far.example", NOT_OURS, NO_USER, NOT_FULL)
    again = "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<b@example.org>\nS: 250 ok\nC: RCPT TO:<d@example.org>\nS: 250 ok\n"
    passed = run(receiver, f"{PLAIN}{first}{RSET}{again}C: DATA\nS: 354 go on\nC. [taken]\nS: 250 ok\nC: QUIT", None)
    assert (passed.code, mailbox.left, list(passed.data)) == (65, [], ["[taken]"])


def test_a_sender_that_one_of_them_takes_stays(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(letter(to="b@example.org, c@example.org"))
    passed = run(receiver, f"{PLAIN}{taken('a@far.example', NOT_OURS, '250 ok')}", None)
    assert (passed.code, mailbox.left, list(passed.data)) == (65, [], ["[taken]"])


def test_a_sender_may_be_refused_at_data(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(letter())
    refused = f"{asked('a@far.example', '250 ok')}C: DATA\nS: 554 5.7.1 Sender rejected\n"
    passed = run(receiver, f"{PLAIN}{refused}{RSET}{taken('')}")
    assert (passed[:3], mailbox.left) == ((0, "", ""), [])


# --- our own name -----------------------------------------------------------------------------------------------------

HELO = "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname"


@pytest.mark.parametrize(
    "script",
    [
        f"{PLAIN}C* MAIL *\nS: {HELO}\nC: QUIT",
        f"{PLAIN}{asked('a@far.example', HELO)}C: QUIT",
        f"{PLAIN}{asked('a@far.example', '450 4.7.1 <vm>: Helo command rejected: Host not found')}C: QUIT",
        f"{PLAIN}{asked('a@far.example', '250 ok')}C: DATA\nS: {HELO}\nC: QUIT",
        f"S: 220 mx\nC* EHLO *\nS: {HELO}\nC* HELO *\nS: {HELO}\nC: QUIT",
    ],
)
def test_a_name_that_is_refused_is_the_receivers_and_the_setting_is_named(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    mailbox.put(letter())
    passed = run(receiver, script)
    assert passed.code == 75
    assert "pf_helo_name" in passed.err.splitlines()[0]
    assert (mailbox.left, spooled(work)) == ([letter()], ["msg.dat"])
    assert run(receiver, f"{PLAIN}{taken('a@far.example')}")[:3] == (0, "", "")


@pytest.mark.parametrize("name", ["ship.example.org", "[192.0.2.5]", "vm"])
def test_ehlo_says_pf_helo_name(receiver: Receiver, mailbox: Mailbox, name: str) -> None:
    mailbox.put(letter())
    passed = receiver(PLAIN.replace("C* EHLO *", f"C: EHLO {name}") + taken("a@far.example"), pf_helo_name=name)
    assert passed[:3] == (0, "", "")
    shown = name.encode()
    assert b" by %b (popfetch" % shown in b" ".join(passed.data["[taken]"].partition(b";")[0].split())


def test_a_machine_without_a_name_says_its_address(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.config.helo.full_name", lambda: "")
    mailbox.put(letter())
    passed = receiver(PLAIN.replace("C* EHLO *", "C: EHLO [127.0.0.1]") + taken("a@far.example"))
    assert passed[:3] == (0, "", "")
    assert b" by [127.0.0.1] (popfetch" in b" ".join(passed.data["[taken]"].partition(b";")[0].split())


# --- too many recipients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "too_many", ["552 5.5.3 Too many recipients", "552 too many recipients", "451 4.5.3 Too many recipients"]
)
def test_552_and_451_for_too_many_are_followed_by_another_transaction(
    receiver: Receiver, mailbox: Mailbox, too_many: str
) -> None:
    mailbox.put(letter(to="b@example.org, c@example.org"))
    first = taken("a@far.example", "250 ok", too_many).removesuffix("C: QUIT")
    again = "C: MAIL FROM:<a@far.example>\nS: 250 ok\nC: RCPT TO:<c@example.org>\nS: 250 ok\n"
    passed = run(receiver, f"{PLAIN}{first}{again}C: DATA\nS: 354 go on\nC. [c]\nS: 250 taken\nC: QUIT")
    assert (passed[:3], mailbox.left, list(passed.data)) == ((0, "", ""), [], ["[taken]", "[c]"])


def test_a_receiver_that_then_refuses_all_of_them_at_data_gets_them_in_parts(
    receiver: Receiver, mailbox: Mailbox
) -> None:
    mailbox.put(letter(to="b@example.org, c@example.org, d@example.org"))
    over = (
        asked("a@far.example", "250 ok", "250 ok", "552 too many recipients") + "C: DATA\nS: 554 Too many recipients\n"
    )
    first = taken("a@far.example", "250 ok", "250 ok").removesuffix("C: QUIT")
    again = "C: MAIL FROM:<a@far.example>\nS: 250 ok\nC: RCPT TO:<d@example.org>\nS: 250 ok\n"
    passed = run(receiver, f"{PLAIN}{over}{RSET}{first}{again}C: DATA\nS: 354 go on\nC. [d]\nS: 250 taken\nC: QUIT")
    assert (passed[:3], mailbox.left, list(passed.data)) == ((0, "", ""), [], ["[taken]", "[d]"])
