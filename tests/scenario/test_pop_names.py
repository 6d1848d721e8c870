"""Servers that name their messages badly, or not any more: none of them blocks an account, and no mail stays unseen."""

from pathlib import Path

import pytest

from lib.config.values import Account
from tests.embedded import SmtpServer
from tests.scenario.conftest import Server
from tests.scenario.mails import mail, warnings
from tests.scenario.pop import LOGIN, end, listing, numbered, retr

MAILS = {name: mail(f"Subject: {name}") for name in ("one", "two", "three")}
KEEP = "to=b@example.org keep=forever name=bob"
DELETE = "to=b@example.org name=bob"
REFUSED = "S: -ERR no"


@pytest.fixture(autouse=True)
def same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the account be the same from pass to pass although its port changes."""
    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))


def subjects(smtp: SmtpServer) -> list[str]:
    return [letter.content.partition(b"Subject: ")[2].split(b"\r\n")[0].decode() for letter in smtp.taken]


def lists(uidl: str, sizes: dict[int, str] | str) -> str:
    return f"{LOGIN}C: UIDL\n{uidl}\nC: LIST\n{sizes if isinstance(sizes, str) else numbered(sizes)}\n"


# --- what ends a UID, and what has none ----------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["1\ta", "1   a", "1 a\t", "1 \t a 120 seen", "+OK 1 a"])
def test_white_space_of_any_kind_ends_a_uid(server: Server, smtp: SmtpServer, line: str) -> None:
    fetch = f"{lists('S: +OK' + chr(10) + 'S: ' + line + chr(10) + 'S: .', {1: '100'})}{retr(1, 'one')}{end()}"
    assert server(fetch, option=KEEP, given=MAILS)[:3] == (0, "", "")
    assert server(f"{listing({1: 'a'})}{end(1)}", option=DELETE)[:3] == (0, "", "")
    assert subjects(smtp) == ["one"]


def test_what_only_one_of_the_listings_names_is_fetched(server: Server, smtp: SmtpServer, work: Path) -> None:
    both = lists(numbered({1: "a", 2: "b"}), {2: "-1", 3: "100"})
    script = f"{both}{retr(1, 'one')}{retr(2, 'two')}{retr(3, 'three')}{end(1, 2, 3)}"
    assert server(script, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two", "three"]
    assert not list(work.glob("msg*"))


def test_names_left_out_are_warned_of_from_the_second_pass_on(server: Server, smtp: SmtpServer, work: Path) -> None:
    left_out = f"{lists(numbered({1: 'a'}), {1: '100', 2: '100'})}"
    first = f"{left_out}{retr(1, 'one')}{retr(2, 'two')}{end()}"
    assert server(first, option=KEEP, given=MAILS)[:3] == (0, "", "")
    assert warnings(work) == []
    assert server(f"{left_out}{retr(2, 'two')}{end()}", option=KEEP, given=MAILS)[:3] == (0, "", "")
    (warning,) = warnings(work)
    assert "UIDL leaves out some" in warning
    assert subjects(smtp) == ["one", "two"]


def test_names_left_out_once_are_no_habit(server: Server, smtp: SmtpServer, work: Path) -> None:
    left_out = f"{lists(numbered({1: 'a'}), {1: '100', 2: '100'})}"
    assert server(f"{left_out}{retr(1, 'one')}{retr(2, 'two')}{end()}", option=KEEP, given=MAILS).code == 0
    again = f"{listing({1: 'a', 2: 'b'})}{retr(2, 'two')}{end()}"  # known by its octets under its new name
    assert server(again, option=KEEP, given=MAILS).code == 0
    assert server(f"{listing({1: 'a', 2: 'b'})}{end()}", option=KEEP).code == 0
    assert (subjects(smtp), warnings(work)) == (["one", "two"], [])


# --- an empty mailbox ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uidl", "sizes", "stat"),
    [
        (REFUSED, "S: +OK\nS: .", ""),
        ("S: +OK\nS: .", REFUSED, "C: STAT\nS: +OK 0 0\n"),
        (REFUSED, "S: -ERR [SYS/PERM] nothing here", "C: STAT\nS: +OK 0 0\n"),
        (REFUSED, REFUSED, "C: STAT\nS: +OK 0\n"),
    ],
)
def test_who_refuses_to_list_nothing_has_nothing(
    server: Server, smtp: SmtpServer, uidl: str, sizes: str, stat: str
) -> None:
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end(1)}", option=DELETE, given=MAILS)[:3] == (0, "", "")
    for _ in range(5):  # and that is not taken for UIDs that are gone
        assert server(f"{lists(uidl, sizes)}{stat}{end()}", option=DELETE)[:3] == (0, "", "")
    assert server(f"{listing({1: 'b'})}{retr(1, 'two')}{end(1)}", option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


@pytest.mark.parametrize("stat", ["+OK 2 900", "-ERR", "+OK"])
@pytest.mark.parametrize("uidl", [numbered({1: "a", 2: "b"}), "S: +OK\nS: .", REFUSED])
def test_a_listing_that_is_refused(server: Server, uidl: str, stat: str) -> None:
    passed = server(f"{lists(uidl, 'S: -ERR [SYS/TEMP] no index')}C: STAT\nS: {stat}", option=DELETE)
    assert passed.code == 76
    assert "LIST refused: [SYS/TEMP] no index" in passed.err


# --- UIDs that are gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uidl", [REFUSED, "S: -ERR [SYS/TEMP] no index", "S: +OK\nS: ."])
def test_a_server_that_has_no_uids_any_more_is_taken_at_its_word_in_the_end(
    server: Server, smtp: SmtpServer, work: Path, uidl: str
) -> None:
    # The first mail could not be deleted, so that it is listed without its name, and must not come again.
    stays = f"{retr(1, 'one')}C: DELE 1\nS: -ERR no\nC: QUIT\nS: +OK\n"
    assert server(f"{listing({1: 'a'})}{stays}", option=DELETE, given=MAILS).code == 76
    gone = lists(uidl, {1: "100", 2: "100"})
    for _ in range(3):
        passed = server(f"{gone}-- expect-close", option=DELETE)
        assert passed.code == 76
        assert "gives no UIDs although it did" in passed.err
    assert server(f"{gone}{retr(1, 'one')}{retr(2, 'two')}{end(1, 2)}", option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert "no UIDs any more" in warnings(work)[-1]
    last = f"{lists(uidl, {1: '100'})}{retr(1, 'three')}{end(1)}"
    assert server(last, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two", "three"]


def test_uids_that_come_back_begin_the_count_again(server: Server, smtp: SmtpServer) -> None:
    there = f"{listing({1: 'a'})}{retr(1, 'one')}C: DELE 1\nS: -ERR no\nC: QUIT\nS: +OK\n"
    assert server(there, option=DELETE, given=MAILS).code == 76
    gone = f"{lists(REFUSED, {1: '100'})}-- expect-close"
    for _ in range(2):
        assert [server(gone, option=DELETE).code for _ in range(3)] == [76, 76, 76]
        back = f"{listing({1: 'a'})}C: DELE 1\nS: -ERR no\nC: QUIT\nS: +OK\n"
        assert server(back, option=DELETE).code == 76
    assert subjects(smtp) == ["one"]


def test_where_mail_is_kept_the_complaint_says_what_to_do_and_that_helps(server: Server, smtp: SmtpServer) -> None:
    assert server(f"{listing({1: 'a'})}{retr(1, 'one')}{end()}", option=KEEP, given=MAILS).code == 0
    gone = lists(REFUSED, {1: "100", 2: "100"})
    for _ in range(5):
        passed = server(f"{gone}-- expect-close", option=KEEP)
        assert passed.code == 76
        assert "set keep=0 for this account" in passed.err
    script = f"{gone}{retr(1, 'one')}{retr(2, 'two')}{end(1, 2)}"
    assert server(script, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]
