"""Connections that take no more: another one at once, over which the same message goes; and how that is remembered."""

from pathlib import Path

import pytest

from lib.store import state
from tests.scenario.conftest import Mailbox, Passed, Receiver
from tests.scenario.mails import logged, mail, spooled

PLAIN = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250-mx.example
    S: 250 8BITMIME
"""
AHEAD = PLAIN.replace("250 8BITMIME", "250 PIPELINING")
NEXT = "\n== next\n"
CUT, QUIT = "-- cut", "C: QUIT"


def letter(name: str, to: str = "b@example.org") -> bytes:
    return mail(f"Return-Path: <{name}@far.example>", f"X-Rcpt-To: {to}", f"Subject: {name}")


def taken(*names: str) -> str:
    """Return transactions in lockstep, each taken."""
    said = ""
    for name in names:
        said += f"C: MAIL FROM:<{name}@far.example>\nS: 250 ok\nC: RCPT TO:<b@example.org>\nS: 250 ok\n"
        said += f"C: DATA\nS: 354 go on\nC. [{name}]\nS: 250 taken\n"
    return said


def asked(name: str, *replies: str) -> str:
    """Return as much of a transaction in lockstep as there are replies."""
    commands = (f"C: MAIL FROM:<{name}@far.example>", "C: RCPT TO:<b@example.org>", "C: DATA")
    return "".join(f"{command}\nS: {reply}\n" for command, reply in zip(commands, replies, strict=False))


@pytest.fixture
def four(mailbox: Mailbox) -> Mailbox:
    mailbox.put(*map(letter, "abcd"))
    return mailbox


def run(receiver: Receiver, script: str, number: int = 4) -> Passed:
    """Run a pass when so many messages wait for the receiver."""
    return receiver(f"-- call all_fetched\n{script}", given=receiver.mailbox.fetched(number))


# --- limits of a connection -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        f"{asked('c', '452 4.5.3 Too many messages sent')}{QUIT}",
        f"{asked('c', '421 too many messages in this connection')}{QUIT}",
        f"{asked('c', '451 4.7.0 enough')}{QUIT}",
        f"{asked('c', '250 ok', '451 4.4.5 enough')}{QUIT}",
        f"{asked('c', '250 ok', '421 enough')}{QUIT}",
        f"{asked('c', '250 ok', '250 ok', '451 4.4.5 Maximum number of messages per session exceeded.')}{QUIT}",
        f"{asked('c', '250 ok', '250 ok', '421 4.4.5 enough')}{QUIT}",
        f"C: MAIL FROM:<c@far.example>\n{CUT}",
        "C: MAIL FROM:<c@far.example>\n-- reset",
    ],
)
def test_a_connection_that_takes_no_more_is_followed_by_another_at_once(
    receiver: Receiver, four: Mailbox, end: str
) -> None:
    passed = run(receiver, f"{PLAIN}{taken('a', 'b')}{end}{NEXT}{PLAIN}{taken('c', 'd')}{QUIT}")
    assert (passed[:3], four.left) == ((0, "", ""), [])
    assert sorted(passed.data) == ["[a]", "[b]", "[c]", "[d]"]


OK = "S: 250 ok\nS: 250 ok\nS: 354 go on\n"


def envelope(name: str) -> str:
    return f"C: MAIL FROM:<{name}@far.example>\nC: RCPT TO:<b@example.org>\nC: DATA\n"


@pytest.mark.parametrize(
    "end",
    [
        "S: 452 4.5.3 Too many messages\nS: 503 no\nS: 503 no\n-- cut",
        "S: 421 enough\n-- cut",
        "S: 250 ok\nS: 421 enough\n-- cut",
        "S: 250 ok\nS: 451 enough\nS: 554 nobody\nC: QUIT",
        "S: 250 ok\nS: 250 ok\nS: 451 4.4.5 enough\nC: QUIT",
        "-- cut",
        "-- sleep 0.1\n-- reset",
    ],
)
def test_an_envelope_that_went_out_with_the_content_before_goes_out_again(
    receiver: Receiver, four: Mailbox, end: str
) -> None:
    first = f"{envelope('a')}{OK}C. [a]\n{envelope('b')}S: 250 taken\n"
    rest = "".join(f"C. [{one}]\n{envelope(two)}S: 250 taken\n{OK}" for one, two in ("bc", "cd"))
    again = f"{envelope('b')}{OK}{rest}C. [d]\nS: 250 taken\n{QUIT}"
    passed = run(receiver, f"{AHEAD}{first}{end}{NEXT}{AHEAD}{again}")
    assert (passed[:3], four.left) == ((0, "", ""), [])
    assert sorted(passed.data) == ["[a]", "[b]", "[c]", "[d]"]


def test_what_a_fresh_connection_does_not_take_either_waits(receiver: Receiver, four: Mailbox, work: Path) -> None:
    later = asked("b", "451 4.3.0 not now")
    passed = run(receiver, f"{PLAIN}{taken('a')}{later}{QUIT}{NEXT}{PLAIN}{later}{taken('c', 'd')}{QUIT}")
    assert (passed.code, four.left, spooled(work)) == (75, [letter("b")], ["msg.2.dat"])


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_greylisting_takes_one_connection_more_and_not_one_a_message(
    receiver: Receiver, mailbox: Mailbox, phase: int
) -> None:
    mailbox.put(*map(letter, "abcdef"))
    replies = ["250 ok"] * phase
    no = {
        one: asked(one, *replies, f"451 4.7.1 <{one}@far.example>: greylisted for {ord(one)} seconds") for one in "bce"
    }
    between = "C: RSET\nS: 250 ok\n" if phase else ""
    second = f"{PLAIN}{no['b']}{between}{no['c']}{between}{taken('d')}{no['e']}{between}{taken('f')}{QUIT}"
    passed = run(receiver, f"{PLAIN}{taken('a')}{no['b']}{QUIT}{NEXT}{second}", 6)
    assert (passed.code, mailbox.left) == (75, list(map(letter, "bce")))


def test_a_limit_with_the_words_of_greylisting_puts_off_one_message_a_connection(
    receiver: Receiver, mailbox: Mailbox
) -> None:
    mailbox.put(*map(letter, "abcdefg"))
    no = {one: asked(one, "451 4.7.1 not now") for one in "adef"}
    first = f"{PLAIN}{no['a']}{taken('b')}{taken('c')}{no['d']}{no['e']}{QUIT}{NEXT}{PLAIN}"
    passed = run(receiver, f"{first}{taken('e')}{taken('f')}{taken('g')}{QUIT}", 7)
    assert (passed.code, mailbox.left) == (75, list(map(letter, "ad")))


def test_another_connection_that_is_refused_ends_the_pass(receiver: Receiver, four: Mailbox) -> None:
    refused = f"{NEXT}S: 421 4.7.0 too many connections\nC: QUIT"
    passed = run(receiver, f"{PLAIN}{taken('a')}{asked('b', '452 enough')}{QUIT}{refused * 4}")
    assert (passed.code, len(four.left)) == (75, 3)
    assert "too many connections" in passed.err.splitlines()[0]


@pytest.mark.parametrize("busy", [f"S: 421 one at a time\n{QUIT}", CUT])
@pytest.mark.parametrize("end", [f"{asked('c', '421 enough')}{QUIT}", f"C: MAIL FROM:<c@far.example>\n{CUT}"])
def test_a_receiver_that_still_counts_a_connection_that_took_mail_is_given_a_moment(
    receiver: Receiver, four: Mailbox, end: str, busy: str
) -> None:
    passed = run(receiver, f"{PLAIN}{taken('a', 'b')}{end}{NEXT}{busy}{NEXT}{PLAIN}{taken('c', 'd')}{QUIT}")
    assert (passed[:3], four.left) == ((0, "", ""), [])
    assert sorted(passed.data) == ["[a]", "[b]", "[c]", "[d]"]


def test_the_log_says_after_how_many(receiver: Receiver, four: Mailbox) -> None:
    run(receiver, f"{PLAIN}{taken('a', 'b')}{asked('c', '452 enough')}{QUIT}{NEXT}{PLAIN}{taken('c', 'd')}{QUIT}")
    (line,) = logged(receiver.work, "delivery")
    assert (line["note"], line["messages"], line["words"]) == ("used up", "2", "452 enough")
    assert four.left == []


# --- how many a connection takes is remembered ------------------------------------------------------------------------


def limited(*pairs: str) -> str:
    """Return connections that are ended before they are used up."""
    return NEXT.join(f"{PLAIN}{taken(*pair)}{QUIT}" for pair in pairs)


def known(work: Path) -> int:
    return state.load(work / "popfetch_state.toml").receiver.limit


def test_a_limit_is_believed_when_two_connections_met_it_and_ends_the_next_ones_before(
    receiver: Receiver, mailbox: Mailbox, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.smtp.session.Receiver.__str__", lambda _: "mx")  # the same one, whatever its port
    mailbox.put(*map(letter, "abcdefghij"))
    full = "".join(
        f"{PLAIN}{taken(*pair)}{asked(more, '452 enough')}{QUIT}{NEXT}"
        for pair, more in (("ab", "c"), ("cd", "e"), ("ef", "g"))
    )
    passed = run(receiver, f"{full}{limited('gh', 'ij')}", 10)
    assert (passed[:3], mailbox.left, known(work)) == ((0, "", ""), [], 2)
    # The first connection of the next pass goes beyond it, to see whether it still holds.
    mailbox.put(*map(letter, "abcde"))
    passed = run(receiver, f"{PLAIN}{taken('a', 'b')}{asked('c', '452 enough')}{QUIT}{NEXT}{limited('cd', 'e')}", 5)
    assert (passed[:3], mailbox.left, known(work)) == ((0, "", ""), [], 2)
    mailbox.put(*map(letter, "abc"))
    passed = run(receiver, f"{PLAIN}{taken('a', 'b', 'c')}{QUIT}", 3)
    assert (passed[:3], mailbox.left, known(work)) == ((0, "", ""), [], 0)


# --- refusals ---------------------------------------------------------------------------------------------------------


def crowd(number: int) -> list[str]:
    return [f"u{one}@example.org" for one in range(number)]


def refusing(who: list[str]) -> str:
    return "".join(f"C: RCPT TO:<{one}>\nS: 550 5.1.1 no such user\n" for one in who)


MAIL = "C: MAIL FROM:<a@far.example>\nS: 250 ok\n"


def test_a_connection_that_has_heard_eight_refusals_is_ended_within_an_envelope(
    receiver: Receiver, mailbox: Mailbox, work: Path
) -> None:
    who = crowd(12)
    mailbox.put(letter("a", ", ".join(who)))
    script = f"{PLAIN}{MAIL}{refusing(who[:8])}{QUIT}{NEXT}{PLAIN}{MAIL}{refusing(who[8:])}{QUIT}"
    assert (receiver(script).code, mailbox.left) == (65, [])
    assert (work / "duds.dat").read_text().count("550 5.1.1 no such user") == 12


def test_with_pipelining_it_does_not_wait_for_the_others(receiver: Receiver, mailbox: Mailbox) -> None:
    who = [*crowd(9), "b@example.org"]
    mailbox.put(letter("a", ", ".join(who)))
    group = "C: MAIL FROM:<a@far.example>\n{}C: DATA\nS: 250 ok\n"
    first = group.format("".join(f"C: RCPT TO:<{one}>\n" for one in who)) + "S: 550 no\n" * 8 + "-- expect-close\n"
    second = group.format("".join(f"C: RCPT TO:<{one}>\n" for one in who[8:]))
    last = "S: 550 no\nS: 250 ok\nS: 354 go on\nC. [a]\nS: 250 taken\nC: QUIT"
    passed = receiver(f"{AHEAD}{first}{NEXT}{AHEAD}{second}{last}")
    assert (passed.code, mailbox.left, list(passed.data)) == (65, [], ["[a]"])


def test_or_between_messages(receiver: Receiver, mailbox: Mailbox) -> None:
    names = "abcdefghi"
    mailbox.put(*map(letter, names))
    no = {name: asked(name, "250 ok", "550 5.1.1 no such user") for name in names}
    first = "C: RSET\nS: 250 ok\n".join(no[name] for name in names[:8])
    passed = run(receiver, f"{PLAIN}{first}{QUIT}{NEXT}{PLAIN}{no['i']}{QUIT}", 9)
    assert (passed.code, mailbox.left) == (65, [])


def test_who_was_accepted_before_it_was_ended_is_asked_again_and_gets_it_once(
    receiver: Receiver, mailbox: Mailbox
) -> None:
    who = ["b@example.org", *crowd(9)]
    mailbox.put(letter("a", ", ".join(who)))
    yes = "C: RCPT TO:<b@example.org>\nS: 250 ok\n"
    first = f"{PLAIN}{MAIL}{yes}{refusing(who[1:9])}{QUIT}"
    second = f"{PLAIN}{MAIL}{yes}{refusing(who[9:])}C: DATA\nS: 354 go on\nC. [a]\nS: 250 taken\n{QUIT}"
    passed = receiver(f"{first}{NEXT}{second}")
    assert (passed.code, mailbox.left, list(passed.data)) == (65, [], ["[a]"])
