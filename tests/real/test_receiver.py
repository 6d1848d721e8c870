"""A Postfix that wants to know who brings the mail, and in private; one that is away, or not what we take it for."""

import os
import pwd
import time
from collections.abc import Callable

import pytest

from lib.smtp import session
from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.office import NOTHING, Office, below, lines_with, pop3s
from tests.real.postfix import Postfix
from tests.real.running import START, free_ports


@pytest.fixture(scope="module")
def guarded(make_postfix: Callable[..., Postfix], dovecot: Dovecot) -> Postfix:
    """Return a Postfix that takes mail after a login behind STARTTLS only; Dovecot knows the passwords."""
    door = dovecot.root / "run" / "auth-client"
    end = time.monotonic() + START
    while not door.exists():  # Dovecot makes it a moment after its ports
        assert time.monotonic() < end
        time.sleep(0.02)
    os.chown(door, pwd.getpwnam("postfix").pw_uid, -1)
    return make_postfix(
        smtpd_tls_security_level="encrypt",
        smtpd_tls_auth_only="yes",
        smtpd_sasl_auth_enable="yes",
        smtpd_sasl_type="dovecot",
        smtpd_sasl_path=door,
        smtpd_relay_restrictions="permit_sasl_authenticated reject",
    )


@pytest.fixture
def office(dovecot: Dovecot, guarded: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, guarded, pki, conf, run_pass)


KNOWN = {"pf_smtp_tls": "starttls", "pf_smtp_user": "alice", "pf_smtp_password": PASSWORD}


def test_mail_goes_out_after_starttls_and_a_login(office: Office) -> None:
    sample = mail.plain(1, 3000)
    (arrived,) = office.carry([sample.sent], **KNOWN)
    assert below(arrived) == sample.wanted
    logs = office.postfix.log.read_text()
    assert "sasl_username=alice" in logs
    assert "sasl_method=PLAIN" in logs
    assert b"with ESMTPSA id" in arrived


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"pf_smtp_password": "geheim-wrong"}, "AUTH: 535 5.7.8 Error: authentication failed"),
        ({"pf_smtp_tls": "off"}, "offers no login that we know: see pf_smtp_user and pf_smtp_tls"),
        ({"pf_smtp_tls": "off", "pf_smtp_user": None, "pf_smtp_password": None}, "530 5.7.0 Must issue a STARTTLS"),
        ({"pf_smtp_tls": "implicit"}, "TLS failed: wrong version number"),
        ({"pf_smtp_protocol": "lmtp"}, "see pf_smtp_protocol"),
    ],
)
def test_a_receiver_that_refuses_us_is_told_of_with_the_setting_and_the_mail_waits(
    office: Office, wrong: dict[str, object], told: str
) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    sample = mail.plain(2, 300)
    office.dovecot.fill(user, [sample.sent])
    line = pop3s(office.dovecot, user, f"to={address}")
    code, out, err = office.run_pass(office.settings(line, **{**KNOWN, **wrong}))
    assert (code, out) == (75, "")
    assert told in err
    assert "pf_smtp_" in err
    assert office.run_pass(office.settings(line, **KNOWN)) == NOTHING
    (arrived,) = office.postfix.received(address)
    assert below(arrived) == sample.wanted
    assert office.dovecot.left(user) == 0


def test_who_may_not_send_here_loses_nothing(office: Office) -> None:
    """Postfix says 554 to every recipient then: they are refused, and the dud waits for a login to be set."""
    user, address = office.dovecot.user(), office.postfix.address()
    sample = mail.plain(3, 300)
    office.dovecot.fill(user, [sample.sent])
    line = pop3s(office.dovecot, user, f"to={address}")
    code, _, _ = office.run_pass(office.settings(line, pf_smtp_tls="starttls"))
    assert code == 65
    assert "Access denied" in office.run_pass(office.settings(line, **KNOWN), "--duds", "list").out
    assert office.run_pass(office.settings(line, **KNOWN), "--duds", "resend", "1").code == 0
    (arrived,) = office.postfix.received(address)
    assert below(arrived) == sample.wanted


def test_a_port_that_speaks_tls_at_once_is_suspected(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SILENCE", 0.5)
    user = office.dovecot.user()
    office.dovecot.fill(user, [mail.plain(4, 300).sent])
    line = pop3s(office.dovecot, user, "to=a@example.test")
    code, _, err = office.run_pass(office.settings(line, pf_smtp_server=f"127.0.0.1:{office.dovecot.pop3s}"))
    assert code == 75
    assert "no greeting; does this port want pf_smtp_tls implicit?" in err


def test_nobody_at_the_port_is_told_of_before_anything_is_fetched_a_second_time(office: Office) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, [mail.plain(5, 300).sent])
    (nowhere,) = free_ports(1)
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"), pf_smtp_server=f"127.0.0.1:{nowhere}")
    for _ in range(2):
        code, out, err = office.run_pass(path)
        assert (code, out) == (75, "")
        assert f"127.0.0.1:{nowhere}: cannot connect: Connection refused: see pf_smtp_server" in err
    assert len(lines_with(office.dovecot.log, f"Login: user=<{user}>", 1)) == 1
