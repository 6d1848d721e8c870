"""Postfix goes away and comes back: nothing is downloaded twice, what waits goes first, nothing is lost."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.passes import Conf, RunPass, StartPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.office import NOTHING, Office, below, lines_with, pop3s, read
from tests.real.postfix import Postfix
from tests.real.running import listening, process

COUNT = 30
FLOOD = 400  # messages
CONNECTIONS = 4  # of whose messages the verdict may be lost when a server dies: RFC 1047


@pytest.fixture(scope="module")
def mortal(make_postfix: Callable[..., Postfix]) -> Postfix:
    """Return a Postfix that may be stopped."""
    return make_postfix()


@pytest.fixture
def office(dovecot: Dovecot, mortal: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Iterator[Office]:
    """Return an office whose Postfix runs again when the test ends."""
    office = Office(dovecot, mortal, pki, conf, run_pass)
    yield office
    if not office.running():
        start(office)


def start(office: Office) -> None:
    office.control("start")
    listening(office.postfix.port)


def filled(office: Office, count: int) -> tuple[str, str]:
    user, address = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, [mail.plain(number, 2000).sent for number in range(count)])
    return user, address


def arrived(office: Office, address: str) -> Counter[str]:
    """Count what arrived, by its Message-ID; the bytes are looked at as well."""
    messages = [below(message) for message in office.postfix.received(address)]
    numbers = {f"<{number}@example.org>": mail.plain(number, 2000).wanted for number in range(FLOOD)}
    assert all(numbers[read(message)["Message-ID"]] == message for message in messages)
    return Counter(str(read(message)["Message-ID"]) for message in messages)


def test_what_was_downloaded_while_postfix_was_down_goes_first_and_is_not_downloaded_again(office: Office) -> None:
    user, address = filled(office, COUNT)
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"))
    office.control("stop")
    code, out, err = office.run_pass(path)
    assert (code, out) == (75, ""), err
    assert "see pf_smtp_server" in err
    assert "deferred in the spool" in err
    assert office.dovecot.left(user) == COUNT
    (session,) = lines_with(office.dovecot.log, f"pop3({user})", 1)
    downloaded = int(session.partition("retr=")[2].partition("/")[0])
    assert downloaded >= 1
    assert office.run_pass(path).code == 75
    assert len(lines_with(office.dovecot.log, f"Login: user=<{user}>", 1)) == 1
    start(office)
    assert office.run_pass(path) == NOTHING
    assert office.dovecot.left(user) == 0
    assert arrived(office, address) == {f"<{number}@example.org>": 1 for number in range(COUNT)}
    *_, last = lines_with(office.dovecot.log, f"pop3({user})", 2)
    assert f"retr={COUNT - downloaded}/" in last


def test_what_waits_in_the_spool_is_sent_even_if_the_pop_server_is_down(
    office: Office, make_dovecot: Callable[..., Dovecot], need: Callable[[str], str]
) -> None:
    moody, address = make_dovecot(), office.postfix.address()
    user, settings = moody.user(), moody.root / "dovecot.conf"
    moody.fill(user, [mail.plain(0, 2000).sent])
    path = office.settings(pop3s(moody, user, f"to={address}"))
    office.control("stop")
    assert office.run_pass(path).code == 75
    start(office)
    subprocess.run([need("doveadm"), "-c", settings, "stop"], check=True)
    code, _, err = office.run_pass(path)
    assert code == 76
    assert "owed" not in err
    assert sum(arrived(office, address).values()) == 1
    with process([need("dovecot"), "-F", "-c", settings], moody.root / "out", moody.pop3, moody.pop3s):
        assert office.run_pass(path) == NOTHING
        assert moody.left(user) == 0
    assert sum(arrived(office, address).values()) == 1


def test_what_waits_for_an_account_that_is_no_more_goes_to_the_caretaker_and_not_to_strangers(office: Office) -> None:
    user, address = filled(office, 1)
    other, caretaker = office.dovecot.user(), office.postfix.address()
    office.control("stop")
    assert office.run_pass(office.settings(pop3s(office.dovecot, user, f"to={address}"))).code == 75
    start(office)
    line = pop3s(office.dovecot, other, f"to={address}")
    assert office.run_pass(office.settings(line, pf_dflt_address=caretaker)) == NOTHING
    assert sum(arrived(office, caretaker).values()) == 1
    (message,) = office.postfix.received(caretaker)
    assert b"Received: from localhost by " in message
    assert "else@example.com" not in office.postfix.log.read_text()


def some_arrived(folder: Path, running: Callable[[], bool]) -> bool:
    """Wait until mail is delivered; say whether the pass still runs then."""
    while running() and not (folder.exists() and any(folder.iterdir())):
        time.sleep(0.005)
    return running()


def test_a_postfix_that_dies_in_the_middle_costs_no_message(office: Office, start_pass: StartPass) -> None:
    user, address = filled(office, FLOOD)
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"))
    started = start_pass(path)
    assert some_arrived(office.postfix.root / "mail" / address / "new", lambda: started.poll() is None)
    office.control("abort")
    code, out, err = start_pass.finish(started)
    assert (code, out) == (75, ""), err
    assert err
    start(office)
    assert office.run_pass(path) == NOTHING
    assert office.dovecot.left(user) == 0
    came = arrived(office, address)
    assert len(came) == FLOOD
    assert sum(came.values()) - FLOOD <= CONNECTIONS


def test_a_pass_that_is_killed_in_the_middle_costs_no_message_and_doubles_few(
    office: Office, start_pass: StartPass
) -> None:
    user, address = filled(office, FLOOD)
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"))
    started = start_pass(path)
    assert some_arrived(office.postfix.root / "mail" / address / "new", lambda: started.poll() is None)
    started.kill()
    start_pass.finish(started)
    assert office.run_pass(path) == NOTHING
    assert office.dovecot.left(user) == 0
    came = arrived(office, address)
    assert len(came) == FLOOD
    assert sum(came.values()) - FLOOD <= CONNECTIONS
