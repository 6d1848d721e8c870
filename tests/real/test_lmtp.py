"""Dovecot's LMTP as the receiver: a verdict for every recipient, over TCP and over a unix socket."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import DOMAIN, Dovecot
from tests.real.office import NOTHING, pop3, pop3s, read

ROOM = 20_000  # octets that a mailbox takes


@pytest.fixture(scope="module")
def strict(make_dovecot: Callable[..., Dovecot]) -> Dovecot:
    """Return a Dovecot that gives nobody more room than ROOM, and says so after the dot."""
    quota = {"plugin/quota": "maildir:User quota", "plugin/quota_rule": f"*:bytes={ROOM}"}
    return make_dovecot(mail_plugins="quota", **quota)


@pytest.fixture(params=["tcp", "unix"])
def place(request: pytest.FixtureRequest, strict: Dovecot) -> str:
    """Return pf_smtp_server, by either way."""
    return f"127.0.0.1:{strict.lmtp}" if request.param == "tcp" else f"unix:{strict.lmtp_socket}"


def settings(conf: Conf, pki: Pki, place: str, *lines: str, **more: object) -> Path:
    return conf(*lines, pf_tls_ca=pki.ca, pf_smtp_server=place, pf_smtp_protocol="lmtp", **more)


def to(*users: str) -> bytes:
    return b"X-Rcpt-To: " + ", ".join(f"{user}@{DOMAIN}" for user in users).encode() + b"\r\n"


def kept(message: bytes) -> bytes:
    """Return what lies below the Received lines."""
    return message[message.index(b"From: Ren") :]


def test_mixed_messages_arrive_once_with_the_bytes_that_they_had(
    dovecot: Dovecot, pki: Pki, conf: Conf, run_pass: RunPass, place: str
) -> None:
    user, friend = dovecot.user(), dovecot.user()
    place = f"unix:{dovecot.lmtp_socket}" if place.startswith("unix:") else f"127.0.0.1:{dovecot.lmtp}"
    samples = [kind(number, 9000) for number, kind in enumerate(mail.KINDS * 2) if kind not in mail.HEADLESS]
    dovecot.fill(user, [sample.sent for sample in samples])
    path = settings(conf, pki, place, pop3s(dovecot, user, f"to={friend}@{DOMAIN}"))
    assert run_pass(path) == NOTHING
    assert dovecot.left(user) == 0
    assert sorted(map(kept, dovecot.received(friend))) == sorted(sample.wanted for sample in samples)


def test_everybody_has_a_verdict_and_the_caretaker_is_told_of_each(
    strict: Dovecot, pki: Pki, conf: Conf, run_pass: RunPass, place: str
) -> None:
    user, glad, full, caretaker = (strict.user() for _ in range(4))
    strict.fill(full, [b"Subject: old\n\n" + mail.text("full", ROOM - 1000)])
    strict.fill(user, [to(glad, full, "stranger") + mail.plain(1, 3000).sent])
    path = settings(conf, pki, place, pop3(strict, user), pf_dflt_address=f"{caretaker}@{DOMAIN}")
    assert run_pass(path) == NOTHING
    assert strict.left(user) == 0
    (delivered,) = strict.received(glad)
    assert kept(delivered) == mail.plain(1, 3000).wanted
    assert len(strict.received(full)) == 1
    (copy,) = strict.received(caretaker)
    told = read(copy).get_content()
    by, _, not_by = told.partition("Not received by:")
    assert f"{glad}@{DOMAIN}" in by
    assert f"{full}@{DOMAIN}\n" in not_by
    assert "Quota exceeded" in not_by
    assert f"stranger@{DOMAIN}\n" in not_by
    assert "User doesn't exist" in not_by


def test_without_a_caretaker_those_who_were_refused_get_a_dud(
    strict: Dovecot, pki: Pki, conf: Conf, run_pass: RunPass, place: str
) -> None:
    user, glad = strict.user(), strict.user()
    strict.fill(user, [to(glad, "stranger") + mail.plain(2, 300).sent])
    path = settings(conf, pki, place, pop3(strict, user))
    code, out, err = run_pass(path)
    assert (code, out) == (65, "")
    assert "duds.dat" in err
    assert len(strict.received(glad)) == 1
    listed = run_pass(path, "--duds", "list")
    assert f"to stranger@{DOMAIN}\n" in listed.out
    assert f"   received by {glad}@{DOMAIN}\n" in listed.out
    assert listed.code == 0


def test_who_is_full_now_is_owed_where_the_receiver_says_so(
    make_dovecot: Callable[..., Dovecot], pki: Pki, conf: Conf, run_pass: RunPass
) -> None:
    quota = {"plugin/quota": "maildir:User quota", "plugin/quota_rule": f"*:bytes={ROOM}"}
    patient = make_dovecot(mail_plugins="quota", quota_full_tempfail="yes", **quota)
    user, glad, full = (patient.user() for _ in range(3))
    patient.fill(full, [b"Subject: old\n\n" + mail.text("full", ROOM - 1000)])
    patient.fill(user, [to(glad, full) + mail.plain(3, 3000).sent])
    path = settings(conf, pki, f"127.0.0.1:{patient.lmtp}", pop3(patient, user))
    code, out, err = run_pass(path)
    assert (code, out) == (75, "")
    assert "1 message deferred in the spool" in err
    assert len(patient.received(glad)) == 1
    assert f"deferred for {full}@{DOMAIN}\n" in run_pass(path, "--status").out
    for old in (*patient._files(full), patient._maildir(full) / "maildirsize"):
        old.unlink()
    assert run_pass(path) == NOTHING
    (late,) = patient.received(full)
    assert kept(late) == mail.plain(3, 3000).wanted
    assert len(patient.received(glad)) == 1
    assert patient.left(user) == 0


def test_a_socket_that_is_not_there_is_named(
    strict: Dovecot, pki: Pki, conf: Conf, run_pass: RunPass, tmp_path: Path
) -> None:
    user = strict.user()
    strict.fill(user, [mail.plain(4, 300).sent])
    nowhere = tmp_path / "nowhere"
    path = settings(conf, pki, f"unix:{nowhere}", pop3(strict, user, f"to=a@{DOMAIN}"))
    code, out, err = run_pass(path)
    assert (code, out) == (75, "")
    assert f"unix:{nowhere}: cannot connect: No such file or directory: see pf_smtp_server" in err
    assert strict.left(user) == 1


def test_smtp_spoken_to_an_lmtp_server_is_told_of_as_the_receivers(
    strict: Dovecot, pki: Pki, conf: Conf, run_pass: RunPass
) -> None:
    user = strict.user()
    strict.fill(user, [mail.plain(5, 300).sent])
    line = pop3(strict, user, f"to=a@{DOMAIN}")
    result = run_pass(conf(line, pf_tls_ca=pki.ca, pf_smtp_server=f"127.0.0.1:{strict.lmtp}"))
    assert result.code == 75
    assert "pf_smtp_protocol" in result.err
    assert strict.left(user) == 1


def test_mail_that_comes_back_to_where_it_was_fetched_from_is_stopped_at_once(
    dovecot: Dovecot, pki: Pki, conf: Conf, run_pass: RunPass
) -> None:
    user = dovecot.user()
    dovecot.fill(user, [mail.plain(6, 300).sent])
    path = settings(conf, pki, f"unix:{dovecot.lmtp_socket}", pop3s(dovecot, user, f"to={user}@{DOMAIN}"))
    assert run_pass(path) == NOTHING
    assert dovecot.left(user) == 1
    assert run_pass(path).code == 65
    assert dovecot.left(user) == 0
    assert "it goes in circles: it has been fetched from this account before" in run_pass(path, "--duds", "list").out
