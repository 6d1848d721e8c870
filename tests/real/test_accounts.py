"""Accounts side by side: whoever fails fails alone, is named once, and makes the exit code."""

import poplib
import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.office import NOTHING, Office, below, lines_with, pop3, pop3s
from tests.real.postfix import Postfix
from tests.real.running import free_ports


@pytest.fixture
def office(dovecot: Dovecot, postfix: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, postfix, pki, conf, run_pass)


@pytest.fixture
def mute() -> Iterator[int]:
    """Return a port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def filled(office: Office, messages: int) -> tuple[str, str]:
    """Return a mailbox with *messages*, and whom they are for."""
    user, address = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, [mail.plain(number, 2000).sent for number in range(messages)])
    return user, address


def test_twenty_accounts_are_drained_four_at_a_time(office: Office) -> None:
    boxes = [filled(office, number % 7) for number in range(20)]
    lines = [pop3s(office.dovecot, user, f"to={address}") for user, address in boxes]
    assert office.run_pass(office.settings(*lines, pf_parallel=4)) == NOTHING
    assert not any(office.dovecot.left(user) for user, _ in boxes)
    assert [len(office.postfix.received(address)) for _, address in boxes] == [number % 7 for number in range(20)]


def test_a_wrong_password_a_dead_port_and_a_mute_server_stop_nobody_else(office: Office, mute: int) -> None:
    (dead,) = free_ports(1)
    good = [filled(office, 3) for _ in range(3)]
    wrong, address = filled(office, 2)
    lines = [
        pop3s(office.dovecot, wrong, f"to={address}", "name=wrong-password", password="geheim-no"),
        f"pf_user bob {PASSWORD} localhost:{dead} to={address} name=dead-port",
        f"pf_user bob {PASSWORD} 127.0.0.1:{mute} to={address} name=mute",
        *(pop3s(office.dovecot, user, f"to={address}") for user, address in good),
    ]
    path = office.settings(*lines, pf_timeout=1)
    began = time.monotonic()
    code, out, err = office.run_pass(path, child=True)
    assert (code, out) == (77, "")
    assert time.monotonic() - began < 15
    words = "no answer in time (no greeting; does this port want tls=implicit?)"
    login = "login refused ([AUTH] Authentication failed.): check user and password in dmail.conf:1"
    assert err.replace(str(path), "dmail.conf").splitlines() == [
        f"popfetch: wrong-password: {login}",
        f"popfetch: dead-port: localhost:{dead}: cannot connect: Connection refused: see host and port of dmail.conf:2",
        f"popfetch: mute: 127.0.0.1:{mute}: {words} (dmail.conf:3)",
    ]
    assert not any(office.dovecot.left(user) for user, _ in good)
    assert [len(office.postfix.received(address)) for _, address in good] == [3, 3, 3]
    assert office.dovecot.left(wrong) == 2


def test_a_wrong_password_is_tried_once_a_pass(office: Office) -> None:
    user = office.dovecot.user()
    path = office.settings(pop3s(office.dovecot, user, "to=a@example.test", password="geheim-no"))
    assert office.run_pass(path).code == 77
    (failure,) = lines_with(office.dovecot.log, f"user=<{user}>", 1)
    assert "auth failed, 1 attempts" in failure


@pytest.mark.parametrize("auth", ["user", "apop", "plain", "login", "cram-md5"])
def test_every_way_to_log_in_works_and_is_refused_with_a_wrong_password(office: Office, auth: str) -> None:
    user, address = filled(office, 1)
    line = pop3(office.dovecot, user, f"to={address}", f"auth={auth}", password="geheim-no")
    path = office.settings(line)
    code, _, err = office.run_pass(path)
    assert code == 77
    assert f"check user, password and auth= in {path}:1" in err
    line = pop3(office.dovecot, user, f"to={address}", f"auth={auth}")
    assert office.run_pass(office.settings(line)) == NOTHING
    assert len(office.postfix.received(address)) == 1
    method = {"user": "PLAIN", "apop": "APOP"}.get(auth, auth.upper())
    assert lines_with(office.dovecot.log, f"Login: user=<{user}>, method={method}", 1)


@pytest.mark.slow  # Dovecot waits ten seconds for the other session
def test_a_mailbox_that_somebody_else_reads_is_drained_by_the_next_pass(
    make_dovecot: Callable[..., Dovecot], office: Office
) -> None:
    locking = make_dovecot(pop3_lock_session="yes", mailbox_idle_check_interval="1s")
    user, address = locking.user(), office.postfix.address()
    locking.fill(user, [mail.plain(1, 300).sent])
    other = poplib.POP3("127.0.0.1", locking.pop3, timeout=10)
    other.user(user)
    other.pass_(PASSWORD)
    path = office.settings(pop3(locking, user, f"to={address}"))
    try:
        code, _, err = office.run_pass(path)
    finally:
        other.quit()
    assert code == 76
    assert "[IN-USE]" in err
    assert office.run_pass(path) == NOTHING
    assert len(office.postfix.received(address)) == 1


def test_a_certificate_that_does_not_verify_gets_no_password(office: Office) -> None:
    user, pin = office.dovecot.user(), f"pin=sha256:{'0' * 64}"
    wrong: list[tuple[str, dict[str, object], str]] = [
        (pop3s(office.dovecot, user, "to=a@example.test"), {"pf_tls_ca": None}, "the certificate does not verify"),
        (pop3(office.dovecot, user, "to=a@example.test"), {"pf_tls_ca": None}, "the certificate does not verify"),
        (
            pop3s(office.dovecot, user, "to=a@example.test", pin),
            {},
            "the certificate is not the pinned one but sha256:",
        ),
        (pop3(office.dovecot, user, "to=a@example.test", pin), {}, "the certificate is not the pinned one but sha256:"),
    ]
    for line, settings, told in wrong:
        code, _, err = office.run_pass(office.settings(line, **settings))
        assert code == 76
        assert f"popfetch: {user}@localhost:" in err
        assert told in err
        assert "TLS failed" not in err
    assert f"user=<{user}>" not in office.dovecot.log.read_text()


def test_a_pinned_certificate_needs_no_ca(office: Office, pki: Pki) -> None:
    user, address = filled(office, 1)
    line = pop3s(office.dovecot, user, f"to={address}", f"pin={pki.pin}")
    assert office.run_pass(office.settings(line, pf_tls_ca=None)) == NOTHING
    (arrived,) = office.postfix.received(address)
    assert below(arrived) == mail.plain(0, 2000).wanted


def test_sessions_are_told_of_in_the_log(office: Office) -> None:
    user, address = filled(office, 3)
    path = office.settings(pop3s(office.dovecot, user, f"to={address}", "name=the-label"))
    assert office.run_pass(path) == NOTHING
    log = (path.parent / "work" / "popfetch.log").read_text()
    assert re.search(r" session account=the-label listed=3 fetched=3 deleted=3 .*tls=yes pipelining=yes", log)
    messages = [line for line in log.splitlines() if " message account=the-label " in line]
    assert len(messages) == 3
    assert all(re.search(rf"uid=\S+ size=\d+ from=<> to=<{address}> status=delivered", line) for line in messages)
    assert all("250 2.0.0 Ok: queued as" in line for line in messages)
