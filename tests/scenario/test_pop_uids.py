"""Which message is which: UIDs are hostile input, and still nothing is fetched, delivered or deleted wrongly."""

import pytest

from tests.days import later
from tests.embedded import SmtpServer
from tests.scenario.conftest import Server
from tests.scenario.mails import mail
from tests.scenario.pop import LOGIN, end, listing, numbered, retr

MAILS = {name: mail(f"Subject: {name}") for name in ("one", "two", "three")}
KEEP = "to=b@example.org keep=forever name=bob"
DELETE = "to=b@example.org name=bob"


@pytest.fixture(autouse=True)
def same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the account be the same from pass to pass although its port changes."""
    from lib.config.values import Account

    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))


def subjects(smtp: SmtpServer) -> list[str]:
    return [letter.content.partition(b"Subject: ")[2].split(b"\r\n")[0].decode() for letter in smtp.taken]


# --- without UIDs --------------------------------------------------------------------------------------------------


def test_a_server_without_uidl_is_drained(server: Server, smtp: SmtpServer) -> None:
    sizes = numbered({1: "100", 2: "100"})
    script = f"{LOGIN}C: UIDL\nS: -ERR what?\nC: LIST\n{sizes}\n{retr(1, 'one')}{retr(2, 'two')}{end(1, 2)}"
    assert server(script, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


def test_what_is_kept_there_is_known_by_its_bytes(server: Server, smtp: SmtpServer) -> None:
    sizes = numbered({1: "100", 2: "100"})
    script = f"{LOGIN}C: UIDL\nS: -ERR what?\nC: LIST\n{sizes}\n{retr(1, 'one')}{retr(2, 'one')}{end()}"
    assert server(script, option=KEEP, given=MAILS)[:3] == (0, "", "")
    assert server(script, option=KEEP, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "one"]  # two messages of the same bytes are two messages, and come once each


def test_uidl_that_is_refused_although_it_was_there_fails_the_account(server: Server, smtp: SmtpServer) -> None:
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end()}", option=KEEP, given=MAILS)[:3] == (0, "", "")
    sizes = numbered({1: "100"})
    passed = server(f"{LOGIN}C: UIDL\nS: -ERR [SYS/TEMP] no index\nC: LIST\n{sizes}\n-- expect-close", option=KEEP)
    assert passed.code == 76
    assert passed.err.startswith("popfetch: bob: the server gives no UIDs although it did")
    assert server(f"{listing({1: 'a'})}{end()}", option=KEEP)[:3] == (0, "", "")
    assert subjects(smtp) == ["one"]


# --- odd UIDs ------------------------------------------------------------------------------------------------------

EMPTY = {1: "", 2: ""}
DUPLICATE = {1: "same", 2: "same"}
LARGE = {1: "x" * 100_000, 2: "x" * 100_001}
BLANKS = {1: "a  b c", 2: 'a"b\\c#'}
OCTETS = {1: "\udcff\udc80caf\u00e9", 2: "\x01\x7f\t"}
PATHS = {1: "../../etc/passwd", 2: "uid:at:1:100"}


@pytest.mark.parametrize("uids", [EMPTY, DUPLICATE, LARGE, BLANKS, OCTETS, PATHS])
def test_odd_uids_are_fetched_once_and_deleted(server: Server, smtp: SmtpServer, uids: dict[int, str]) -> None:
    fetch = f"{listing(uids)}{retr(1, 'one')}{retr(2, 'two')}"
    assert server(fetch + end(1, 2), given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


@pytest.mark.parametrize("uids", [LARGE, BLANKS, OCTETS, PATHS])
def test_odd_uids_are_known_again(server: Server, smtp: SmtpServer, uids: dict[int, str]) -> None:
    fetch = f"{listing(uids)}{retr(1, 'one')}{retr(2, 'two')}{end()}"
    assert server(fetch, option=KEEP, given=MAILS)[:3] == (0, "", "")
    assert server(f"{listing(uids)}{end()}", option=KEEP)[:3] == (0, "", "")
    assert server(f"{listing(uids)}{end(1, 2)}", option=DELETE)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


@pytest.mark.parametrize("uids", [EMPTY, DUPLICATE])
def test_uids_that_name_nothing_leave_it_to_the_bytes(server: Server, smtp: SmtpServer, uids: dict[int, str]) -> None:
    fetch = f"{listing(uids)}{retr(1, 'one')}{retr(2, 'two')}"
    for last in (end(), end(), end(1, 2)):
        option = DELETE if "DELE" in last else KEEP
        assert server(fetch + last, option=option, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


def test_a_third_message_of_a_duplicate_uid_is_new(server: Server, smtp: SmtpServer) -> None:
    fetch = f"{listing(DUPLICATE)}{retr(1, 'one')}{retr(2, 'two')}{end()}"
    assert server(fetch, option=KEEP, given=MAILS)[:3] == (0, "", "")
    again = f"{listing(dict.fromkeys((1, 2, 3), 'same'))}{retr(1, 'one')}{retr(2, 'two')}{retr(3, 'three')}{end()}"
    assert server(again, option=KEEP, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two", "three"]


# --- the same mail under other numbers and names -------------------------------------------------------------------


def test_numbers_may_change_from_session_to_session(server: Server, smtp: SmtpServer) -> None:
    first = f"{listing({1: 'a', 2: 'b'})}{retr(1, 'one')}{retr(2, 'two')}{end()}"
    assert server(first, option=KEEP, given=MAILS)[:3] == (0, "", "")
    second = f"{listing({1: 'c', 7: 'b', 9: 'a'})}{retr(1, 'three')}{end(7, 9, 1)}"
    assert server(second, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two", "three"]


@pytest.mark.parametrize("keep", ["forever", "30"])
def test_kept_mail_whose_uids_have_all_changed_is_known_by_its_bytes(
    server: Server, smtp: SmtpServer, keep: str
) -> None:
    option = f"to=b@example.org keep={keep} name=bob"
    first = f"{listing({1: 'a', 2: 'b'})}{retr(1, 'one')}{retr(2, 'two')}{end()}"
    assert server(first, option=option, given=MAILS)[:3] == (0, "", "")
    moved = f"{listing({1: 'x', 2: 'y', 3: 'z'})}{retr(1, 'one')}{retr(2, 'two')}{retr(3, 'three')}{end()}"
    assert server(moved, option=option, given=MAILS)[:3] == (0, "", "")
    assert server(f"{listing({1: 'x', 2: 'y', 3: 'z'})}{end()}", option=option)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two", "three"]


def test_uids_that_change_while_the_mailbox_looks_empty_once(server: Server, smtp: SmtpServer) -> None:
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end()}", option=KEEP, given=MAILS).code == 0
    assert server(f"{listing({})}{end()}", option=KEEP).code == 0
    assert server(f"{listing({1: 'x'})}{retr(1, 'one')}{end()}", option=KEEP, given=MAILS).code == 0
    assert server(f"{listing({1: 'x'})}{end()}", option=KEEP).code == 0
    assert subjects(smtp) == ["one"]


def test_mail_that_is_still_owed_is_known_under_a_new_uid(server: Server, smtp: SmtpServer) -> None:
    smtp.refused = {b"b@example.org": b"450 4.2.0 later"}
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end()}", option=DELETE, given=MAILS).code == 75
    assert server(f"{listing({1: 'x'})}{retr(1, 'one')}{end()}", option=DELETE, given=MAILS).code == 75
    assert server(f"{listing({1: 'x'})}{end()}", option=DELETE).code == 75
    smtp.refused = {}
    assert server(f"{listing({1: 'x'})}{end(1)}", option=DELETE).code == 0
    assert subjects(smtp) == ["one"]


def test_uids_that_change_are_compared_until_a_session_has_seen_all_of_them(server: Server, smtp: SmtpServer) -> None:
    both = f"{retr(1, 'one')}{retr(2, 'two')}C: DELE 1\nS: -ERR no\nC: DELE 2\nS: -ERR no\nC: QUIT\nS: +OK\n"
    assert server(f"{listing({1: 'a', 2: 'b'})}{both}", option=DELETE, given=MAILS).code == 76
    cut = f"{listing({1: 'x', 2: 'y'})}C: RETR 1\nS: +OK\n-- cut"
    assert server(cut, option=DELETE).code == 76
    rest = f"{retr(2, 'two')}{end(2)}\n== next\n{listing({1: 'x'})}{retr(1, 'one')}{end(1)}"
    assert server(f"{listing({1: 'x', 2: 'y'})}{rest}", option=DELETE, given=MAILS).code == 0
    assert subjects(smtp) == ["one", "two"]


def test_without_uids_a_message_at_which_a_session_died_is_fetched_when_all_others_were_looked_at(
    server: Server, smtp: SmtpServer
) -> None:
    two = f"{LOGIN}C: UIDL\nS: -ERR what?\nC: LIST\n{numbered({1: '100', 2: '100'})}\n"
    cut = f"{two}{retr(1, 'one')}C: RETR 2\nS: +OK\n-- cut"
    script = f"{cut}\n== next\n{two}{retr(1, 'one')}{end()}\n== next\n{two}{retr(2, 'two')}{end()}"
    assert server(script, option=KEEP, given=MAILS).code == 0
    assert subjects(smtp) == ["one", "two"]


def test_a_quit_speaks_for_what_its_own_session_asked_to_go(server: Server, smtp: SmtpServer) -> None:
    def there(*numbers: int) -> str:
        return f"{LOGIN}C: UIDL\nS: -ERR what?\nC: LIST\n{numbered(dict.fromkeys(numbers, '100'))}\n"

    unanswered = f"{there(1, 2)}{retr(1, 'one')}{retr(2, 'two')}C: DELE 1\nS: +OK\nC: DELE 2\nS: +OK\nC: QUIT\n-- cut"
    cut = f"{there(1, 2)}{retr(1, 'one')}C: RETR 2\nS: +OK\n-- cut"
    first = f"{there(1, 2)}{retr(1, 'one')}{end(1)}"
    server(f"{unanswered}\n== next\n{cut}\n== next\n{first}", option=DELETE, given=MAILS)
    assert server(f"{there(1)}{retr(1, 'two')}{end(1)}", option=DELETE, given=MAILS).code == 0
    assert subjects(smtp) == ["one", "two"]


def test_a_uid_that_comes_again_after_a_committed_quit_is_new_mail(server: Server, smtp: SmtpServer) -> None:
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}", option=DELETE, given=MAILS).code == 0
    assert server(f"{listing({1: 'a'})}{retr(1, 'two')}{end(1)}", option=DELETE, given=MAILS).code == 0
    assert subjects(smtp) == ["one", "two"]


def test_a_server_that_deletes_nothing_is_looked_at_once_and_nothing_is_sent_twice(
    server: Server, smtp: SmtpServer
) -> None:
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}", option=DELETE, given=MAILS).code == 0
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}", option=DELETE, given=MAILS).code == 0
    assert server(f"{listing({1: 'a'})}{end(1)}", option=DELETE).code == 0
    assert server(f"{listing({})}{end()}", option=DELETE).code == 0
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}", option=DELETE, given=MAILS).code == 0
    assert subjects(smtp) == ["one", "one"]  # the listing in between had shown that the first one was gone


# --- how long ------------------------------------------------------------------------------------------------------


def test_kept_mail_goes_when_its_days_are_over(
    server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = "to=b@example.org keep=3 name=bob"
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end()}", option=option, given=MAILS).code == 0
    for days, last in ((2.9, end()), (0.11, end(1))):
        later(monkeypatch, days)
        assert server(f"{listing({1: 'a'})}{last}", option=option)[:3] == (0, "", "")
    assert subjects(smtp) == ["one"]
