"""Sessions that break, lie, or end badly: nothing is lost, nothing comes twice, and one message holds up no other."""

from pathlib import Path

import pytest

from lib.config.values import Account
from tests.embedded import SmtpServer
from tests.played import Given
from tests.scenario.conftest import Server
from tests.scenario.mails import logged, mail, spooled, warnings
from tests.scenario.pop import LOGIN, end, listing, numbered, retr

MAILS = {name: mail(f"Subject: {name}") for name in ("one", "two", "three")}
DELETE = "to=b@example.org name=bob"


@pytest.fixture(autouse=True)
def same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the account be the same from pass to pass although its port changes."""
    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))


def subjects(smtp: SmtpServer) -> list[str]:
    return [letter.content.partition(b"Subject: ")[2].split(b"\r\n")[0].decode() for letter in smtp.taken]


# --- what a server does not give -----------------------------------------------------------------------------------


def test_a_message_that_cannot_be_retrieved_holds_up_no_other(server: Server, smtp: SmtpServer) -> None:
    script = f"{listing({1: 'a', 2: 'b'})}C: RETR 1\nS: -ERR Message expunged\n{retr(2, 'two')}{end(2)}"
    passed = server(script, option=DELETE, given=MAILS)
    assert passed.code == 76
    assert passed.err.startswith("popfetch: bob: message 1 cannot be retrieved: Message expunged")
    assert len(passed.err.splitlines()) == 1
    assert subjects(smtp) == ["two"]


def test_messages_over_pf_max_size_stay_and_are_reported_once(server: Server, smtp: SmtpServer, work: Path) -> None:
    script = f"{LOGIN}C: UIDL\n{numbered({1: 'a', 2: 'b'})}\nC: LIST\n{numbered({1: '5000', 2: '100'})}\n"
    keep = f"{DELETE} keep=1"
    first = server(f"{script}{retr(2, 'two')}{end()}", option=keep, given=MAILS, pf_max_size=4000)
    assert first[:3] == (0, "", "")
    assert subjects(smtp) == ["two"]
    (warning,) = warnings(work)
    assert "a message of 5000 octets is over pf_max_size" in warning
    assert server(f"{script}{end()}", option=keep, pf_max_size=4000)[:3] == (0, "", "")
    assert warnings(work) == [warning]
    large = {"one": mail("Subject: one", body="x" * 4900)}
    assert server(f"{script}{retr(1, 'one')}{end()}", option=keep, given=large, pf_max_size=6000)[:3] == (0, "", "")
    assert subjects(smtp) == ["two", "one"]


def test_no_more_than_pf_max_messages_in_a_pass(server: Server, smtp: SmtpServer) -> None:
    script = f"{listing({1: 'a', 2: 'b', 3: 'c'})}{retr(1, 'one')}{retr(2, 'two')}{end(1, 2)}"
    assert server(script, option=DELETE, given=MAILS, pf_max_messages=2)[:3] == (0, "", "")
    script = f"{listing({1: 'c'})}{retr(1, 'three')}{end(1)}"
    assert server(script, option=DELETE, given=MAILS, pf_max_messages=2)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two", "three"]


# --- the session is lost -------------------------------------------------------------------------------------------

HALF = 'C: RETR 1\nS: +OK\nS> "Subject: one\\r\\n\\r\\nhel"\n'


@pytest.mark.parametrize("lost", ["-- cut", "-- reset", "-- chop", "-- stall"])
def test_a_session_cut_in_a_body_leaves_no_half_message_and_that_message_comes_last(
    server: Server, smtp: SmtpServer, lost: str
) -> None:
    passed = server(f"{listing({1: 'a', 2: 'b'})}{HALF}{lost}", option=DELETE, given=MAILS, pf_timeout=1)
    assert passed.code == 76
    assert passed.err.startswith("popfetch: bob: ")
    assert b"QUIT" not in passed.heard
    assert (smtp.taken, spooled(server.work)) == ([], [])

    # next time the other one first, in a session of its own, then that message again
    last = f"{listing({1: 'a'})}{HALF}{lost}"
    script = f"{listing({1: 'a', 2: 'b'})}{retr(2, 'two')}{end(2)}\n== next\n{last}"
    assert server(script, option=DELETE, given=MAILS, pf_timeout=1).code == 76
    assert subjects(smtp) == ["two"]

    script = f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}"
    assert server(script, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["two", "one"]


def test_what_came_before_the_cut_is_delivered_once_and_deleted_later(server: Server, smtp: SmtpServer) -> None:
    cut = HALF.replace("RETR 1", "RETR 2") + "-- call taken\n"
    three = {1: "a", 2: "b", 3: "c"}
    sessions = (
        f"{listing(three)}{retr(1, 'one')}{cut}-- cut",
        f"{listing(three)}{retr(3, 'three')}{end(1, 3)}",
        f"{listing({2: 'b'})}{retr(2, 'two')}{end(2)}",
    )
    given: Given = {**MAILS, "taken": server.taken(1)}
    assert server("\n== next\n".join(sessions), option=DELETE, given=given)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "three", "two"]


def test_a_session_that_breaks_in_the_listing(server: Server, smtp: SmtpServer) -> None:
    passed = server(f"{LOGIN}C: UIDL\nS: +OK\nS: 1 a\n-- cut", option=DELETE)
    assert passed.code == 76
    assert smtp.heard == []


# --- a server whose words cannot be believed -----------------------------------------------------------------------

FORGED = r'"Subject: one\r\n\r\nhi\n.\n+OK\nSubject: forged\n\nbuy\n.\r\n.\r\n"'


def test_a_forged_reply_inside_a_message_is_part_of_it(server: Server, smtp: SmtpServer) -> None:
    script = f"{listing({1: 'a', 2: 'b'})}C: RETR 1\nS: +OK\nS> {FORGED}\n{retr(2, 'two')}{end(1, 2)}"
    assert server(script, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]
    assert b"hi\r\n.\r\n+OK\r\nSubject: forged\r\n\r\nbuy\r\n.\r\n" in smtp.taken[0].content


@pytest.mark.parametrize("forged", ["\\n.\\n", "\\r.\\r", "\\n.\\r\\n", "\\r\\n.\\n", "\\r.\\r\\n"])
def test_nothing_but_crlf_dot_crlf_ends_a_message(server: Server, smtp: SmtpServer, forged: str) -> None:
    body = f'"Subject: one\\r\\n\\r\\nhi{forged}-ERR\\r\\n.\\r\\n"'
    script = f"{listing({1: 'a', 2: 'b'})}C: RETR 1\nS: +OK\nS> {body}\n{retr(2, 'two')}{end(1, 2)}"
    assert server(script, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


def test_after_a_reply_that_is_none_nothing_is_committed(server: Server, smtp: SmtpServer) -> None:
    # Nor is what came right before it believed: it may be two messages run together, or one that is cut.
    nonsense = f"{listing({1: 'a', 2: 'b'})}{retr(1, 'one')}C: RETR 2\nS: what?\n-- expect-close"
    again = f"{listing({1: 'a', 2: 'b'})}{retr(1, 'one')}{retr(2, 'two')}{end(1, 2)}"
    passed = server(f"{nonsense}\n== next\n{again}", option=DELETE, given=MAILS)
    assert passed[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


def test_a_server_that_speaks_out_of_turn(server: Server, smtp: SmtpServer) -> None:
    # The same octets a second time, and all that were announced: this server answers twice, and that is all.
    once = listing({1: "a"}, len(MAILS["one"]))
    twice = f"{once}C: RETR 1\nS: +OK\nS. one\nS: +OK\n-- expect-close\n"
    given: Given = {**MAILS, "taken": server.taken(1)}
    passed = server(f"{twice}== next\n{twice}-- call taken\n== next\n{once}{end(1)}", option=DELETE, given=given)
    assert passed.code == 0
    assert subjects(smtp) == ["one"]


def test_a_body_without_end_is_given_up(server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # The second time its announced size limits nothing: sizes are hints, and this one has lied.
    monkeypatch.setattr("lib.pop.flight.BODY_EXTRA", 1 << 20)
    monkeypatch.setattr("lib.pop.flight.BODY_MOST", 4 << 20)
    endless = f'{listing({1: "a"})}C: RETR 1\nS: +OK\n-- endless "{"x" * 100}"'
    assert server("\n== next\n".join([endless] * 2), option=DELETE).code == 76
    assert (smtp.taken, spooled(server.work)) == ([], [])


# --- the end -------------------------------------------------------------------------------------------------------


def test_deletions_are_no_fact_before_quit_is_answered_with_ok(server: Server, smtp: SmtpServer) -> None:
    refused = end(1, reply="-ERR [SYS/TEMP] disk full")
    passed = server(f"{listing({1: 'a'})}{retr(1, 'one')}{refused}", option=DELETE, given=MAILS)
    assert passed.code == 76
    assert "QUIT refused" in passed.err
    assert logged(server.work, "session")[0]["deleted"] == "0"
    # Some may be gone all the same, and the UID another message's: nothing is deleted unseen.
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}", option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert server(f"{listing({1: 'a'})}{retr(1, 'two')}{end(1)}", option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


@pytest.mark.parametrize("unanswered", ["-- cut", "-- reset", "-- stall"])
def test_a_quit_that_is_not_answered_means_looking_again_and_deleting_what_is_still_there(
    server: Server, smtp: SmtpServer, unanswered: str
) -> None:
    fetch = f"{listing({1: 'a'})}{retr(1, 'one')}C: DELE 1\nS: +OK\nC: QUIT\n{unanswered}"
    again = f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}"
    passed = server(f"{fetch}\n== next\n{again}", option=DELETE, given=MAILS, pf_timeout=1)
    assert passed[:3] == (0, "", "")
    assert subjects(smtp) == ["one"]


@pytest.mark.parametrize("unanswered", ["-- cut", "-- reset", "-- stall"])
def test_a_quit_that_is_not_answered_loses_no_new_mail_under_an_old_uid(
    server: Server, smtp: SmtpServer, unanswered: str
) -> None:
    fetch = f"{listing({1: '1'})}{retr(1, 'one')}C: DELE 1\nS: +OK\nC: QUIT\n{unanswered}"
    again = f"{listing({1: '1'})}{retr(1, 'two')}{end(1)}"
    passed = server(f"{fetch}\n== next\n{again}", option=DELETE, given=MAILS, pf_timeout=1)
    assert passed[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


def test_a_deletion_that_is_refused_is_tried_again(server: Server, smtp: SmtpServer) -> None:
    script = f"{listing({1: 'a'})}{retr(1, 'one')}C: DELE 1\nS: -ERR no\nC: QUIT\nS: +OK"
    passed = server(script, option=DELETE, given=MAILS)
    assert (passed.code, "deletions refused" in passed.err) == (76, True)
    assert server(f"{listing({1: 'a'})}{end(1)}", option=DELETE)[:3] == (0, "", "")
    assert subjects(smtp) == ["one"]
