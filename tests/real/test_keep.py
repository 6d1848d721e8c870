"""Mail that stays on a real Dovecot, and what its UIDs may look like: nothing is downloaded or delivered twice."""

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.office import NOTHING, Office, lines_with, pop3s
from tests.real.postfix import Postfix

COUNT = 12


@pytest.fixture
def office(dovecot: Dovecot, postfix: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, postfix, pki, conf, run_pass)


def downloads(dovecot: Dovecot, user: str, sessions: int) -> list[int]:
    """Return how many messages each session of *user* has downloaded, as Dovecot tells it."""
    said = [line for line in lines_with(dovecot.log, f"pop3({user})", sessions) if "retr=" in line]
    return [int(line.partition("retr=")[2].partition("/")[0]) for line in said]


def wait_for_uids(dovecot: Dovecot, user: str, prefix: bytes) -> int:
    """Return when Dovecot gives such UIDs, after how many sessions; reloading, it may cut some or give old ones."""
    end, sessions = time.monotonic() + 20, 0
    words = f"USER {user}\r\nPASS {PASSWORD}\r\nUIDL\r\nQUIT\r\n".encode()
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", dovecot.pop3), timeout=10) as session:
            session.sendall(words)
            with session.makefile("rb") as replies:
                told = replies.read()
            sessions += b"\n1 " in told
            if b"\n1 " + prefix in told:
                return sessions
        assert time.monotonic() < end, "Dovecot does not give such UIDs"
        time.sleep(0.1)


def filled(dovecot: Dovecot, postfix: Postfix) -> tuple[str, str]:
    user, address = dovecot.user(), postfix.address()
    dovecot.fill(user, [mail.plain(number, 1000).sent for number in range(COUNT)])
    return user, address


def test_kept_mail_is_fetched_once_new_mail_as_well_and_all_goes_when_its_days_are_over(office: Office) -> None:
    dovecot, (user, address) = office.dovecot, filled(office.dovecot, office.postfix)
    line = pop3s(dovecot, user, f"to={address}")
    keeping = office.settings(line, pf_keep="forever")
    for _ in range(3):
        assert office.run_pass(keeping) == NOTHING
    dovecot.fill(user, [mail.plain(COUNT, 1000).sent])
    assert office.run_pass(keeping) == NOTHING
    assert downloads(dovecot, user, 4) == [COUNT, 0, 0, 1]
    assert dovecot.left(user) == COUNT + 1
    assert office.run_pass(office.settings(line, pf_keep=1)) == NOTHING
    assert dovecot.left(user) == COUNT + 1
    assert office.run_pass(office.settings(line)) == NOTHING
    assert dovecot.left(user) == 0
    assert downloads(dovecot, user, 6) == [COUNT, 0, 0, 1, 0, 0]
    assert len(office.postfix.received(address)) == COUNT + 1


def test_one_uid_for_all_messages_loses_and_doubles_none(make_dovecot: Callable[..., Dovecot], office: Office) -> None:
    same = make_dovecot(pop3_uidl_format="%v", pop3_uidl_duplicates="allow")
    user, address = filled(same, office.postfix)
    same.fill(user, [mail.plain(0, 1000).sent])  # the first one once more: a message of its own
    keeping = office.settings(pop3s(same, user, f"to={address}"), pf_keep="forever")
    for _ in range(2):
        assert office.run_pass(keeping) == NOTHING
    assert same.left(user) == COUNT + 1
    assert len(office.postfix.received(address)) == COUNT + 1
    assert office.run_pass(office.settings(pop3s(same, user, f"to={address}"))) == NOTHING
    assert same.left(user) == 0
    assert len(office.postfix.received(address)) == COUNT + 1


def test_kept_mail_whose_uids_have_all_changed_is_known_by_its_bytes(
    make_dovecot: Callable[..., Dovecot], office: Office
) -> None:
    changing = make_dovecot(pop3_uidl_format="%08Xu%08Xv")
    user, address = filled(changing, office.postfix)
    keeping = office.settings(pop3s(changing, user, f"to={address}"), pf_keep="forever")
    assert office.run_pass(keeping) == NOTHING
    settings = changing.root / "dovecot.conf"
    settings.write_text(settings.read_text().replace("%08Xu%08Xv", "new-%u"))
    subprocess.run(["doveadm", "-c", settings, "reload"], check=True)
    looks = wait_for_uids(changing, user, b"new-")
    for _ in range(2):
        assert office.run_pass(keeping) == NOTHING
    assert [count for count in downloads(changing, user, 3 + looks) if count] == [COUNT, COUNT]
    assert len(office.postfix.received(address)) == COUNT
    assert changing.left(user) == COUNT


def test_what_is_too_large_stays_and_is_told_of_once(office: Office, work: Path) -> None:
    dovecot, (user, address) = office.dovecot, filled(office.dovecot, office.postfix)
    dovecot.fill(user, [mail.plain(99, 50_000).sent])
    path = office.settings(pop3s(dovecot, user, f"to={address}"), pf_max_size="20K")
    for _ in range(2):
        assert office.run_pass(path) == NOTHING
    assert (work / "popfetch.log").read_text().count("over pf_max_size and stays on the server") == 1
    assert dovecot.left(user) == 1
    assert len(office.postfix.received(address)) == COUNT
    assert office.run_pass(office.settings(pop3s(dovecot, user, f"to={address}"))) == NOTHING
    assert len(office.postfix.received(address)) == COUNT + 1


def test_no_more_than_pf_max_messages_are_fetched_in_a_pass(office: Office) -> None:
    dovecot, (user, address) = office.dovecot, filled(office.dovecot, office.postfix)
    path = office.settings(pop3s(dovecot, user, f"to={address}"), pf_max_messages=5)
    left = []
    for _ in range(3):
        assert office.run_pass(path) == NOTHING
        left.append(dovecot.left(user))
    assert left == [7, 2, 0]
    assert len(office.postfix.received(address)) == COUNT
