"""The way to the receiver: TLS, logins, and what happens when either is refused."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from lib.smtp import session
from tests.pki import Pki
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail, spooled

ONE = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org")
TAKEN = """
    C: MAIL FROM:<a@far.example>
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [one]
    S: 250 taken
    C: QUIT
"""
LOGIN: dict[str, Any] = {"pf_smtp_user": "me", "pf_smtp_password": "geheim-smtp"}
PLAIN = b64encode(b"\0me\0geheim-smtp").decode()
GREETED = """
    S: 220 mx.example
    C* EHLO *
    S: 250-mx.example
"""


@pytest.fixture(autouse=True)
def one(mailbox: Mailbox) -> None:
    mailbox.put(ONE)


def test_starttls(receiver: Receiver, mailbox: Mailbox, pki: Pki) -> None:
    passed = receiver(
        f"""
        S: 220 mx.example
        C* EHLO *
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 go on
        -- starttls
        C* EHLO *
        S: 250 mx.example
        {TAKEN}
        """,
        tls=pki.good,
        pf_smtp_tls="starttls",
        pf_tls_ca=pki.ca,
    )
    assert passed[:3] == (0, "", "")
    assert mailbox.left == []


def test_tls_from_the_start(receiver: Receiver, mailbox: Mailbox, pki: Pki) -> None:
    script = f"-- tls\n{GREETED}S: 250 HELP\n{TAKEN}"
    passed = receiver(script, tls=pki.good, pf_smtp_tls="implicit", pf_tls_ca=pki.ca)
    assert passed[:3] == (0, "", "")
    assert mailbox.left == []


def test_on_loopback_any_certificate_will_do(receiver: Receiver, pki: Pki) -> None:
    assert receiver(f"-- tls\n{GREETED}S: 250 HELP\n{TAKEN}", tls=pki.stranger, pf_smtp_tls="implicit").code == 0


@pytest.mark.parametrize(
    ("mechanisms", "dialogue"),
    [
        ("LOGIN PLAIN", f"C: AUTH PLAIN {PLAIN}\nS: 235 welcome"),
        ("LOGIN", "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: bWU=\nS: 334 UGFzc3dvcmQ6\nC: Z2VoZWltLXNtdHA=\nS: 235 ok"),
        (
            "CRAM-MD5",
            "C: AUTH CRAM-MD5\nS: 334 PHBAeD4=\nC: bWUgYjRiNzY3ZWJjNmM5ZTg1NTEwZWQ4YzMzZDQ5MjkzOTE=\nS: 235 welcome",
        ),
    ],
)
def test_logins(receiver: Receiver, mailbox: Mailbox, mechanisms: str, dialogue: str) -> None:
    assert receiver(f"{GREETED}S: 250 AUTH {mechanisms}\n{dialogue}\n{TAKEN}", **LOGIN)[:3] == (0, "", "")
    assert mailbox.left == []


CRAM = "C: AUTH CRAM-MD5\nS: 334 PHBAeD4=\nC: bWUgYjRiNzY3ZWJjNmM5ZTg1NTEwZWQ4YzMzZDQ5MjkzOTE=\n"
NO = "S: 535 5.7.8 authentication failed"


def test_in_the_clear_no_password_is_shown_where_that_can_be_helped(receiver: Receiver) -> None:
    script = f"{GREETED}S: 250 AUTH PLAIN LOGIN CRAM-MD5\n{CRAM}S: 235 ok\n{TAKEN}"
    passed = receiver(script, **LOGIN)
    assert passed[:3] == (0, "", "")
    assert PLAIN.encode() not in passed.heard


def test_over_a_unix_socket_as_well(receiver: Receiver, tmp_path: Path) -> None:
    script = f"{GREETED}S: 250 AUTH PLAIN CRAM-MD5\n{CRAM}S: 235 ok\n{TAKEN}"
    assert receiver(script, unix=tmp_path / "smtp", **LOGIN)[:3] == (0, "", "")


def test_on_this_machine_what_its_database_cannot_serve_is_followed_by_what_it_can(receiver: Receiver) -> None:
    script = f"{GREETED}S: 250 AUTH PLAIN CRAM-MD5\n{CRAM}{NO}\nC: AUTH PLAIN {PLAIN}\nS: 235 ok\n{TAKEN}"
    assert receiver(script, **LOGIN)[:3] == (0, "", "")


def test_over_tls_the_plain_ones_come_first(receiver: Receiver, pki: Pki) -> None:
    script = f"-- tls\n{GREETED}S: 250 AUTH CRAM-MD5 PLAIN\nC: AUTH PLAIN {PLAIN}\nS: 235 ok\n{TAKEN}"
    assert receiver(script, tls=pki.good, pf_smtp_tls="implicit", pf_tls_ca=pki.ca, **LOGIN).code == 0


@pytest.mark.parametrize(
    ("script", "settings", "said"),
    [
        (f"{GREETED}S: 250 SIZE\nC: QUIT", {"pf_smtp_tls": "starttls", **LOGIN}, "pf_smtp_tls"),
        (
            f"{GREETED}S: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\nC: QUIT",
            {"pf_smtp_tls": "starttls", **LOGIN},
            "454 not now",
        ),
        (
            f'{GREETED}S: 250 STARTTLS\nC: STARTTLS\nS> "220 go\\r\\n250-injected\\r\\n"\n-- cut',
            {"pf_smtp_tls": "starttls", **LOGIN},
            "out of turn",
        ),
        ("S: 220 a plain port\n-- cut", {"pf_smtp_tls": "implicit", **LOGIN}, "TLS failed"),
        (f"{GREETED}S: 250 AUTH PLAIN\nC: AUTH PLAIN {PLAIN}\nS: 535 5.7.8 no\nC: QUIT", LOGIN, "pf_smtp_password"),
        (f"{GREETED}S: 250 AUTH PLAIN\nC: AUTH PLAIN {PLAIN}\nS: 454 not now\nC: QUIT", LOGIN, "454 not now"),
        (f"{GREETED}S: 250 AUTH LOGIN\nC: AUTH LOGIN\nS: 504 no\nC: QUIT", LOGIN, "504 no"),
        (f"{GREETED}S: 250 AUTH GSSAPI\nC: QUIT", LOGIN, "pf_smtp_user"),
        (f"{GREETED}S: 250 SIZE\nC: QUIT", LOGIN, "pf_smtp_user"),
    ],
)
def test_tls_or_login_refused_is_the_receiver(
    receiver: Receiver, work: Path, script: str, settings: dict[str, Any], said: str
) -> None:
    result = receiver(script, **settings)
    assert result.code == 75
    assert said in result.err.splitlines()[0]
    assert "pf_smtp_" in result.err.splitlines()[0]
    assert spooled(work) == ["msg.dat"]


def test_a_receiver_that_wants_tls_from_the_start_is_told_of_with_the_setting(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SILENCE", 0.3)
    result = receiver("-- stall")
    assert result.code == 75
    assert "see pf_smtp_server and pf_smtp_tls" in result.err


def test_a_receiver_that_repeats_the_password_is_not_repeated(receiver: Receiver) -> None:
    script = f"{GREETED}S: 250 AUTH PLAIN\nC: AUTH PLAIN {PLAIN}\nS: 535 no geheim-smtp, {PLAIN}\nC: QUIT"
    assert receiver(script, log_level="debug", **LOGIN).code == 75  # the secrets fixture looks for it everywhere
