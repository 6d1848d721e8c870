"""In step with the receiver, or nothing: where it is not known what a reply belongs to, no dot follows."""

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


def letter(name: str) -> bytes:
    return mail(f"Return-Path: <{name}@far.example>", "To: b@example.org", f"Subject: {name}")


def envelope(name: str) -> str:
    return f"C: MAIL FROM:<{name}@far.example>\nC: RCPT TO:<b@example.org>\nC: DATA\n"


def asked(name: str, mail: str = "250 ok", rcpt: str = "250 ok", data: str = "354 go on") -> str:
    """Return an envelope in lockstep, up to the first refusal."""
    said = f"C: MAIL FROM:<{name}@far.example>\nS: {mail}\n"
    said += f"C: RCPT TO:<b@example.org>\nS: {rcpt}\n" if mail.startswith("2") else ""
    return said + (f"C: DATA\nS: {data}\n" if rcpt.startswith("2") and mail.startswith("2") else "")


def content(name: str, verdict: str = "250 taken") -> str:
    return f"C. [{name}]\nS: {verdict}\n"


OK = "S: 250 ok\nS: 250 ok\nS: 354 go on\n"
ALONE = f"{AHEAD}{envelope('two')}{OK}{content('two')}{envelope('three')}{OK}{content('three')}C: QUIT"


@pytest.fixture
def three(mailbox: Mailbox) -> Mailbox:
    mailbox.put(*map(letter, ("one", "two", "three")))
    return mailbox


def run(receiver: Receiver, script: str) -> Passed:
    """Run a pass when all three wait for the receiver."""
    return receiver(f"-- call all_fetched\n{script}", given=receiver.mailbox.fetched(3))


def subjects(passed: Passed) -> dict[str, str]:
    """Return under which name of the script each letter came."""
    return {
        name.strip("[]"): data.partition(b"\r\nSubject: ")[2].split(b"\r\n")[0].decode()
        for name, data in passed.data.items()
    }


EACH_ONCE = {name: name for name in ("one", "two", "three")}


# --- a transaction that the receiver has not closed -------------------------------------------------------------------


@pytest.mark.parametrize("no", ["452 4.2.2 over quota", "552 5.2.2 over quota", "451 4.7.1 rate limit"])
def test_an_envelope_behind_a_refused_dot_that_joins_the_old_transaction_is_left_without_a_dot(
    receiver: Receiver, three: Mailbox, no: str
) -> None:
    script = f"""
        {AHEAD}
        {envelope("one")}
        {OK}
        C. [one]
        {envelope("two")}
        S: {no}
        S: 503 5.5.1 nested MAIL command
        S: 250 2.1.5 ok
        S: 354 go on
        -- expect-close
        {NEXT}
        {ALONE}
    """
    passed = run(receiver, script)
    assert (passed.code, subjects(passed)) == (75 if no.startswith("4") else 65, EACH_ONCE)
    assert len(three.left) == (no.startswith("4"))


@pytest.mark.parametrize("where", ["DATA", "dot"])
@pytest.mark.parametrize("no", ["451 4.3.0 later", "554 5.7.1 no"])
def test_without_pipelining_rset_goes_before_the_next_mail(
    receiver: Receiver, three: Mailbox, where: str, no: str
) -> None:
    refused = asked("one", data=no) if where == "DATA" else asked("one") + content("one", no)
    rest = asked("two") + content("two") + asked("three") + content("three")
    passed = run(receiver, f"{PLAIN}{refused}C: RSET\nS: 250 ok\n{rest}C: QUIT")
    assert passed.code == (75 if no.startswith("4") else 65)
    assert {"two", "three"} <= subjects(passed).keys()
    assert len(three.left) == (no.startswith("4"))


def test_with_pipelining_rset_goes_in_the_same_group(receiver: Receiver, three: Mailbox) -> None:
    script = f"""
        {AHEAD}
        {envelope("one")}
        S: 250 ok
        S: 250 ok
        S: 451 4.3.0 later
        C: RSET
        {envelope("two")}
        S: 250 flushed
        {OK}
        C. [two]
        {envelope("three")}
        S: 250 taken
        {OK}
        {content("three")}
        C: QUIT
    """
    passed = run(receiver, script)
    assert (passed.code, len(three.left)) == (75, 1)
    assert subjects(passed) == {"two": "two", "three": "three"}


@pytest.mark.parametrize("answer", ["500 5.5.1 what?", "451 not now", "354 go on"])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_refused_rset_ends_the_connection_and_costs_the_message_nothing(
    receiver: Receiver, three: Mailbox, answer: str, ahead: bool
) -> None:
    group = f"{envelope('one')}S: 250 ok\nS: 250 ok\nS: 554 5.6.0 no\nC: RSET\n{envelope('two')}"
    first = f"{AHEAD}{group}" if ahead else f"{PLAIN}{asked('one', data='554 5.6.0 no')}C: RSET\n"
    passed = run(
        receiver, f"{first}S: {answer}\n-- expect-close\n{NEXT}{ALONE if not ahead else again('two', 'three')}"
    )
    assert (passed.code, three.left) == (65, [])
    assert subjects(passed) == {"two": "two", "three": "three"}


def again(*names: str) -> str:
    """Return a connection over which envelopes go out with the content before."""
    first, *others = names
    said = f"{AHEAD}{envelope(first)}{OK}"
    for before, name in zip(names, others, strict=False):
        said += f"C. [{before}]\n{envelope(name)}S: 250 taken\n{OK}"
    return f"{said}{content(names[-1])}C: QUIT"


# --- a receiver that bears nothing behind a final dot -----------------------------------------------------------------

STUMBLES = f"""
    {AHEAD}
    {envelope("one")}
    {OK}
    C. [one]
    {envelope("two")}
    S: 250 taken
    S: 503 5.5.1 pipelined after end of DATA
    S: 503 5.5.1 pipelined after end of DATA
    S: 503 5.5.1 pipelined after end of DATA
    -- cut
    {NEXT}
"""


def test_it_gets_the_same_message_with_the_same_sender_and_no_envelope_behind_a_dot_any_more(
    receiver: Receiver, three: Mailbox
) -> None:
    passed = run(receiver, f"{STUMBLES}{ALONE}")
    assert (passed[:3], subjects(passed), three.left) == ((0, "", ""), EACH_ONCE, [])


@pytest.mark.parametrize(
    "behind",
    [
        # a 250 more than commands: all replies are one late
        "S: 250 taken\nS: 250 really\nS: 250 ok\nS: 250 ok\nS: 354 go on",
        "S: 250 taken\nS: 250 really\nS: 250 ok\nS: 550 no\nS: 554 nobody",
        # the recipient of another transaction
        "S: 250 taken\nS: 451 later\nS: 250 ok\nS: 354 go on",
        "S: 250 taken\nS: 250 ok\nS: 503 MAIL first\nS: 503 no",
        "S: 250 taken\nS: 250 ok\nS: 250 ok\nS: 250 ok",
    ],
)
def test_whatever_does_not_fit_is_of_no_account(receiver: Receiver, three: Mailbox, behind: str) -> None:
    script = f"{AHEAD}{envelope('one')}{OK}C. [one]\n{envelope('two')}{behind}\n-- cut\n{NEXT}{ALONE}"
    passed = run(receiver, script)
    assert (passed[:3], subjects(passed), three.left) == ((0, "", ""), EACH_ONCE, [])


def test_that_is_remembered(receiver: Receiver, three: Mailbox, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(receiver, f"{STUMBLES}{ALONE}")
    known = state.load(work / "popfetch_state.toml")
    assert known.receiver.alone
    state.save(work / "popfetch_state.toml", known._replace(receiver=known.receiver._replace(place="unix:/mx")))
    three.put(*map(letter, ("one", "two", "three")))
    monkeypatch.setattr("lib.smtp.session.Receiver.__str__", lambda _: "unix:/mx")  # the same one, whatever its port
    passed = run(receiver, f"{AHEAD}{envelope('one')}{OK}{content('one')}{ALONE.removeprefix(AHEAD)}")
    assert (passed[:3], subjects(passed), three.left) == ((0, "", ""), EACH_ONCE, [])


def test_of_another_receiver_nothing_is_remembered(receiver: Receiver, three: Mailbox) -> None:
    run(receiver, f"{STUMBLES}{ALONE}")
    three.put(*map(letter, ("one", "two", "three")))
    assert run(receiver, again("one", "two", "three"))[:3] == (0, "", "")


# --- words that nobody asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", ["250 taken", "421 you say nothing", "what was I saying", "500 what?"])
def test_a_second_reply_to_the_dot_is_followed_by_another_connection(
    receiver: Receiver, three: Mailbox, more: str
) -> None:
    first = f"{PLAIN}{asked('one')}C. [one]\nS: 250 taken\nS: {more}\n-- expect-close\n"
    passed = run(
        receiver, f"{first}{NEXT}{PLAIN}{asked('two')}{content('two')}{asked('three')}{content('three')}C: QUIT"
    )
    assert (passed[:3], subjects(passed), three.left) == ((0, "", ""), EACH_ONCE, [])


def test_words_before_the_content_are_no_verdict_on_it(receiver: Receiver, three: Mailbox, work: Path) -> None:
    odd = f"{envelope('one')}{OK}S: 250 taken\n-- expect-close\n"
    others = again("two", "three").removesuffix("C: QUIT")  # then once more, and at once over a fresh connection
    passed = run(receiver, f"{AHEAD}{odd}{NEXT}{others}{odd}{NEXT}{AHEAD}{odd}")
    assert (passed.code, subjects(passed)) == (75, {"two": "two", "three": "three"})
    assert (three.left, spooled(work)) == ([letter("one")], ["msg.dat"])


@pytest.mark.usefixtures("three")
def test_every_connection_that_is_closed_so_has_its_line_in_the_log(receiver: Receiver) -> None:
    run(receiver, f"{STUMBLES}{ALONE}")
    (line,) = logged(receiver.work, "delivery")
    assert (line["note"], line["messages"]) == ("out of step", "1")
    assert line["words"].startswith("503 5.5.1")
