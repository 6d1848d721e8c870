"""Verdicts about one recipient: the others get it now, this one later, or never; nobody gets it twice."""

from pathlib import Path

import pytest

from tests.days import later
from tests.scenario.conftest import Mailbox, Passed, Receiver
from tests.scenario.mails import logged, mail, spooled

DAY = 86400.0
THREE = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org, c@example.org, d@example.org")
GREETED = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250-mx.example
    S: 250 8BITMIME
    C: MAIL FROM:<a@far.example>
    S: 250 ok
"""
PIPELINING = GREETED.replace("250 8BITMIME", "250 PIPELINING")
TAKEN = """
    C: DATA
    S: 354 go on
    C. [taken]
    S: 250 taken
    C: QUIT
"""
NOBODY = "C: QUIT\n"

each_way = pytest.mark.parametrize("greeted", [GREETED, PIPELINING], ids=["lockstep", "PIPELINING"])


def rcpt(who: str, reply: str) -> str:
    return f"C: RCPT TO:<{who}@example.org>\nS: {reply}\n"


@each_way
@pytest.mark.parametrize("not_now", ["450 4.2.0 greylisted", "451 try later", "452 4.2.2 mailbox full"])
def test_greylisted_recipients_are_asked_again_and_who_accepted_is_not(
    receiver: Receiver, mailbox: Mailbox, work: Path, greeted: str, not_now: str
) -> None:
    mailbox.put(THREE)
    first = receiver(greeted + rcpt("b", "250 ok") + rcpt("c", not_now) + rcpt("d", "250 ok") + TAKEN)
    assert (first.code, first.err) == (75, "popfetch: 1 message deferred in the spool; --status shows to whom\n")
    assert (len(mailbox.left), spooled(work)) == (1, ["msg.dat"])
    (line,) = logged(work, "message")
    assert (line["status"], line["to"]) == ("deferred", "<c@example.org>")
    assert not_now in line["words"]

    again = receiver(greeted + rcpt("c", not_now) + (NOBODY if greeted == GREETED else "C: DATA\nS: 503 no\n" + NOBODY))
    assert (again.code, len(mailbox.left), spooled(work)) == (75, 1, ["msg.dat"])

    last = receiver(greeted + rcpt("c", "250 ok") + TAKEN)
    assert (last.code, last.err, mailbox.left, spooled(work)) == (0, "", [], [])
    assert first.data["[taken]"].partition(b"\r\nX-Rcpt")[2] == last.data["[taken]"].partition(b"\r\nX-Rcpt")[2]
    assert mailbox.retrieved() == 1


@each_way
@pytest.mark.parametrize("words", ["452 4.5.3 too many recipients", "452 Too many recipients"])
def test_those_that_are_too_many_get_it_at_once_in_another_transaction(
    receiver: Receiver, mailbox: Mailbox, greeted: str, words: str
) -> None:
    mailbox.put(THREE)
    passed = receiver(f"""
        {greeted}
        C: RCPT TO:<b@example.org>
        S: 250 ok
        C: RCPT TO:<c@example.org>
        S: {words}
        C: RCPT TO:<d@example.org>
        S: {words}
        C: DATA
        S: 354 go on
        C. [b]
        S: 250 taken
        C: MAIL FROM:<a@far.example>
        S: 250 ok
        C: RCPT TO:<c@example.org>
        S: 250 ok
        C: RCPT TO:<d@example.org>
        S: 250 ok
        {TAKEN}
    """)
    assert (passed.code, passed.err, mailbox.left) == (0, "", [])
    assert passed.data["[b]"] == passed.data["[taken]"]


def people(count: int) -> list[str]:
    return [f"u{number}" for number in range(count)]


def for_all(who: list[str]) -> bytes:
    return mail("Return-Path: <a@far.example>", "X-Rcpt-To: " + ", ".join(f"{one}@example.org" for one in who))


def rcpts(who: list[str], reply: str) -> str:
    return "".join(rcpt(one, reply) for one in who)


def crowded(who: list[str], limit: int, words: str, *, ahead: bool) -> str:
    """Return an envelope of which so many are accepted, and that is left when eight more were too many."""
    if not ahead:
        return f"{rcpts(who[:limit], '250 ok')}{rcpts(who[limit : limit + 8], words)}C: QUIT\n"
    asked = "".join(f"C: RCPT TO:<{one}@example.org>\n" for one in who)
    return f"{asked}C: DATA\n" + "S: 250 ok\n" * limit + f"S: {words}\n" * 8 + "-- expect-close\n"


@each_way
@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("words", ["452 too many recipients", "552 5.5.3 Too many recipients"])
def test_a_crowd_gets_it_in_parts_of_what_the_receiver_takes(
    receiver: Receiver, mailbox: Mailbox, greeted: str, limit: int, words: str
) -> None:
    who = people(5 * limit + 10)
    mailbox.put(for_all(who))
    part = "C: DATA\nS: 354 go on\nC. [part]\nS: 250 taken\n"
    script = f"{greeted}{crowded(who, limit, words, ahead=greeted is PIPELINING)}== next\n{greeted}"
    parts = [rcpts(who[at : at + limit], "250 ok") + part for at in range(0, len(who), limit)]
    passed = receiver(script + "C: MAIL FROM:<a@far.example>\nS: 250 ok\n".join(parts) + "C: QUIT")
    assert (passed.code, passed.err, mailbox.left) == (0, "", [])


@pytest.mark.parametrize("reply", ["550 5.1.8 Sender address rejected", "450 4.1.8 <a@far.example>: no such domain"])
def test_a_sender_that_is_refused_at_many_recipients_is_followed_by_none(
    receiver: Receiver, mailbox: Mailbox, reply: str
) -> None:
    who = people(30)
    mailbox.put(for_all(who))
    null = GREETED.replace("a@far.example", "")
    passed = receiver(GREETED + rcpts(who[:8], reply) + "C: QUIT\n== next\n" + null + rcpts(who, "250 ok") + TAKEN)
    assert (passed.code, passed.err, mailbox.left) == (0, "", [])


@each_way
def test_when_even_one_is_too_many_it_is_owed(receiver: Receiver, mailbox: Mailbox, greeted: str) -> None:
    mailbox.put(mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org"))
    data = "" if greeted == GREETED else "C: DATA\nS: 503 no\n"
    passed = receiver(greeted + rcpt("b", "452 4.5.3 too many recipients") + data + NOBODY)
    assert (passed.code, len(mailbox.left)) == (75, 1)


@each_way
def test_more_than_a_hundred_recipients_take_several_transactions(
    receiver: Receiver, mailbox: Mailbox, greeted: str
) -> None:
    who = [f"u{number}" for number in range(150)]
    mailbox.put(mail("Return-Path: <a@far.example>", "X-Rcpt-To: " + ", ".join(f"{one}@example.org" for one in who)))
    first, second = ("".join(rcpt(one, "250 ok") for one in some) for some in (who[:100], who[100:]))
    data = "C: DATA\nS: 354 go on\nC. [first]\nS: 250 taken\nC: MAIL FROM:<a@far.example>\nS: 250 ok\n"
    passed = receiver(greeted + first + data + second + TAKEN)
    assert (passed.code, passed.err, mailbox.left) == (0, "", [])
    assert passed.data["[first]"] == passed.data["[taken]"]


@each_way
def test_who_is_refused_does_not_keep_it_from_the_others(
    receiver: Receiver, mailbox: Mailbox, work: Path, greeted: str
) -> None:
    mailbox.put(THREE)
    passed = receiver(greeted + rcpt("b", "250 ok") + rcpt("c", "550 5.1.1 no such user") + rcpt("d", "250 ok") + TAKEN)
    assert (passed.code, mailbox.left, spooled(work)) == (65, [], [])
    dud = (work / "duds.dat").read_text()
    assert "\nX-POPFetch-Dud-Why: <c@example.org>: 550 5.1.1 no such user\n" in dud
    assert "Dud-For: b" not in dud


# --- owed for too long ---------------------------------------------------------------------------------------------


ONE = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org")


@pytest.mark.parametrize(("days", "code"), [(4.99, 75), (5.01, 65)])
def test_who_is_owed_it_for_longer_than_pf_give_up_is_refused(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, days: float, code: int
) -> None:
    mailbox.put(ONE)
    greylisted = GREETED + rcpt("b", "450 4.2.0 greylisted") + NOBODY
    assert receiver(greylisted).code == 75
    later(monkeypatch, days)
    assert receiver(greylisted).code == code
    assert len(mailbox.left) == (code == 75)
    if code == 65:
        assert "Dud-Why: <b@example.org>: 450 4.2.0 greylisted" in (receiver.work / "duds.dat").read_text()


def test_who_accepts_it_on_the_last_day_has_it(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.put(ONE)
    assert receiver(GREETED + rcpt("b", "450 4.2.0 greylisted") + NOBODY).code == 75
    later(monkeypatch, 30)
    assert receiver(GREETED + rcpt("b", "250 ok") + TAKEN)[:3] == (0, "", "")


@pytest.mark.parametrize(("caretaker", "code"), [("250 ok\n" + TAKEN, 0), ("450 not now\n" + NOBODY, 65)])
def test_what_is_too_old_goes_to_the_caretaker_and_only_then_to_the_duds(
    receiver: Receiver, mailbox: Mailbox, work: Path, caretaker: str, code: int
) -> None:
    mailbox.put(ONE)
    script = f"""
        {GREETED}
        C: RCPT TO:<b@example.org>
        S: 450 4.2.0 greylisted
        C: RSET
        S: 250 ok
        C: MAIL FROM:<>
        S: 250 ok
        C: RCPT TO:<care@example.org>
        S: {caretaker}
    """
    passed = receiver(script, pf_give_up=0, pf_dflt_address="care@example.org")
    assert (passed.code, mailbox.left, (work / "duds.dat").exists()) == (code, [], code == 65)
    if code == 65:
        reasons = [line for line in (work / "duds.dat").read_text().splitlines() if "Dud-Why" in line]
        assert [reason.partition(": ")[2] for reason in reasons] == [
            "<b@example.org>: 450 4.2.0 greylisted",
            "the caretaker <care@example.org>: 450 not now",
        ]


NOT_TAKEN = GREETED + rcpt("b", "250 ok") + "C: DATA\nS: 354 go on\nC. [b]\nS: 451 4.7.1 see qmail's smtplf.html\n"


@pytest.mark.parametrize("not_now", [GREETED + rcpt("b", "450 4.2.0 greylisted") + NOBODY, NOT_TAKEN + "C: QUIT"])
@pytest.mark.parametrize(("caretaker", "code"), [("250 ok\n" + TAKEN, 0), ("550 5.1.1 gone\n" + NOBODY, 65)])
def test_what_is_put_off_pass_after_pass_is_downloaded_once_and_goes_to_the_caretaker_then_to_the_duds(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, not_now: str, caretaker: str, code: int
) -> None:
    mailbox = receiver.mailbox
    mailbox.put(ONE)

    def deliver(script: str) -> Passed:
        return receiver(script, pf_dflt_address="care@example.org", pf_give_up=3)

    for days in (0, 1, 1, 0.9):  # later than the pass before
        later(monkeypatch, days)
        assert deliver(not_now).code == 75
        assert (len(mailbox.left), spooled(receiver.work)) == (1, ["msg.dat"])
    later(monkeypatch, 0.2)
    copy = f"C: RSET\nS: 250 ok\nC: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<care@example.org>\nS: {caretaker}"
    passed = deliver(not_now.removesuffix("C: QUIT").removesuffix(NOBODY) + copy)
    assert (passed.code, mailbox.left, spooled(receiver.work)) == (code, [], [])
    assert mailbox.retrieved() == 1
    assert (receiver.work / "duds.dat").exists() == (code == 65)
    assert code or b"\r\nNot received by:\r\n    b@example.org\r\n        45" in passed.data["[taken]"]
