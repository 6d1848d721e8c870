"""LMTP: a verdict for each recipient, over TCP and over a unix socket."""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.scenario.conftest import Mailbox, Passed, Receiver
from tests.scenario.mails import logged, mail, spooled

THREE = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org, c@example.org, d@example.org", "Subject: one")
GREETED = """
    S: 220 mx.example LMTP
    C* LHLO *
    S: 250-mx.example
    S: 250 8BITMIME
"""
PIPELINING = GREETED.replace("250 8BITMIME", "250 PIPELINING")
ENVELOPE = """
    C: MAIL FROM:<a@far.example>
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
    C: RCPT TO:<c@example.org>
    S: 250 ok
    C: RCPT TO:<d@example.org>
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [taken]
"""
each_way = pytest.mark.parametrize("greeted", [GREETED, PIPELINING], ids=["lockstep", "PIPELINING"])


@pytest.fixture
def place() -> Iterator[Path]:
    """Return where a unix socket may be: the path of one is short."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "lmtp"


unix_sockets = pytest.mark.skipif(sys.platform == "win32", reason="unix sockets")


@pytest.fixture(params=["tcp", pytest.param("unix", marks=unix_sockets)])
def lmtp(request: pytest.FixtureRequest, receiver: Receiver, place: Path) -> "Lmtp":
    return Lmtp(receiver, place if request.param == "unix" else None)


class Lmtp:
    """Runs a pass against the script of an LMTP receiver."""

    def __init__(self, receiver: Receiver, unix: Path | None) -> None:
        self.receiver = receiver
        self.unix = unix

    def __call__(self, script: str) -> Passed:
        return self.receiver(script, unix=self.unix, pf_smtp_protocol="lmtp")


@each_way
def test_everybody_has_it(lmtp: Lmtp, mailbox: Mailbox, work: Path, greeted: str) -> None:
    mailbox.put(THREE)
    passed = lmtp(f"{greeted}{ENVELOPE}S: 250 b has it\nS: 250 c has it\nS: 250 d has it\nC: QUIT")
    assert (passed.code, passed.err, mailbox.left, spooled(work)) == (0, "", [], [])
    assert b"Subject: one\r\n\r\nhello\r\n" in passed.data["[taken]"]
    (line,) = logged(work, "message")
    assert line["words"] == "250 b has it | 250 c has it | 250 d has it"


@each_way
def test_each_has_a_verdict_and_only_who_is_owed_it_is_asked_again(
    lmtp: Lmtp, mailbox: Mailbox, work: Path, greeted: str
) -> None:
    mailbox.put(THREE)
    passed = lmtp(f"{greeted}{ENVELOPE}S: 250 ok\nS: 451 4.2.0 busy\nS: 552 5.2.2 full\nC: QUIT")
    assert (passed.code, len(mailbox.left), spooled(work)) == (75, 1, ["msg.dat"])
    assert not (work / "duds.dat").exists()  # when all verdicts are in, and not before
    again = f"""
        {greeted}
        C: MAIL FROM:<a@far.example>
        S: 250 ok
        C: RCPT TO:<c@example.org>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. [taken]
        S: 250 ok
        C: QUIT
    """
    assert (lmtp(again).code, mailbox.left, spooled(work)) == (65, [], [])
    dud = (work / "duds.dat").read_text()
    assert "\nX-POPFetch-Dud-For: d@example.org\nX-POPFetch-Dud-Why: <d@example.org>: 552 5.2.2 full\n" in dud


@each_way
@pytest.mark.parametrize("end", ["-- cut", "-- sleep 0.1\n-- reset", "S: 421 going down\n-- cut", "S: 4\n-- cut"])
def test_who_accepted_before_the_connection_was_lost_is_not_asked_again(
    lmtp: Lmtp, mailbox: Mailbox, work: Path, greeted: str, end: str
) -> None:
    mailbox.put(THREE)
    passed = lmtp(f"{greeted}{ENVELOPE}S: 250 ok\n{end}")
    assert (passed.code, len(mailbox.left), spooled(work)) == (75, 1, ["msg.dat"])
    again = f"""
        {greeted}
        C: MAIL FROM:<a@far.example>
        S: 250 ok
        C: RCPT TO:<c@example.org>
        S: 250 ok
        C: RCPT TO:<d@example.org>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. [taken]
        S: 250 ok
        S: 250 ok
        C: QUIT
    """
    assert lmtp(again)[:3] == (0, "", "")
    assert (mailbox.left, spooled(work)) == ([], [])


@each_way
def test_further_verdicts_and_the_next_message_are_not_confused(lmtp: Lmtp, mailbox: Mailbox, greeted: str) -> None:
    mailbox.put(THREE, THREE.replace(b"Subject: one", b"Subject: two"))
    verdicts = "S: 250 b\nS: 250 c\nS: 250 d\n"
    second = ENVELOPE.replace("[taken]", "[two]")
    passed = lmtp(f"{greeted}{ENVELOPE}{verdicts}{second}{verdicts}C: QUIT")
    assert (passed.code, passed.err, mailbox.left) == (0, "", [])
    assert b"Subject: two" in passed.data["[two]"]


def test_a_receiver_that_knows_no_lhlo_is_told_of(lmtp: Lmtp, mailbox: Mailbox) -> None:
    mailbox.put(THREE)
    passed = lmtp("S: 220 mx.example ESMTP\nC* LHLO *\nS: 500 5.5.1 what?\nC: QUIT")
    assert passed.code == 75
    assert "500 5.5.1 what?" in passed.err


@unix_sockets
def test_a_unix_socket_that_is_not_there(receiver: Receiver, mailbox: Mailbox, place: Path) -> None:
    mailbox.put(THREE)
    path = receiver.write(pf_smtp_server=f"unix:{place}", pf_smtp_protocol="lmtp")
    result = receiver.run_pass(path)
    assert result.code == 75
    assert f"unix:{place}" in result.err
    assert "pf_smtp_server" in result.err
