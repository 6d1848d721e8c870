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
    assert "\nX-POPFetch-Dud-For: d@example.org\nX-POPFetch-Dud-Received-By: b@example.org\n" in dud
    assert "\nX-POPFetch-Dud-Why: <d@example.org>: 552 5.2.2 full\n" in dud


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


def envelope_for(*who: str) -> str:
    rcpts = "".join(f"C: RCPT TO:<{one}@example.org>\nS: 250 ok\n" for one in who)
    return f"C: MAIL FROM:<a@far.example>\nS: 250 ok\n{rcpts}C: DATA\nS: 354 go on\nC. [taken]\n"


@each_way
@pytest.mark.parametrize("pause", ["", "-- sleep 0.2\n"], ids=["one piece", "apart"])
@pytest.mark.parametrize(
    ("verdicts", "owed"),
    [
        (("421 4.3.2 this mailbox is being moved", "250 c", "250 d"), "b"),
        (("250 b", "421 4.3.2 going down", "250 d"), "c"),
        (("530 5.7.0 log in first", "250 c", "451 4.2.0 busy"), "bd"),
        (("421 no", "421 no", "250 d"), "bc"),
        (("250 b", "454 4.7.0 no TLS", "421 no"), "dc"),  # first whom no reply told of himself
    ],
)
def test_every_verdict_is_heard_whatever_the_first_one_says(  # noqa: PLR0913, PLR0917 - two ways of each of five
    lmtp: Lmtp, mailbox: Mailbox, greeted: str, pause: str, verdicts: tuple[str, ...], owed: str
) -> None:
    mailbox.put(THREE)
    said = pause.join(f"S: {verdict}\n" for verdict in verdicts)
    assert lmtp(f"{greeted}{ENVELOPE}{said}-- cut").code == 75
    taken = "".join(f"S: 250 {one}\n" for one in owed)
    assert lmtp(f"{greeted}{envelope_for(*owed)}{taken}C: QUIT")[:3] == (0, "", "")
    assert mailbox.left == []


@each_way
@pytest.mark.parametrize("odd", ["354 go on", "503 what?", "what was I saying"])
def test_who_is_behind_a_verdict_that_does_not_fit_is_in_doubt(
    lmtp: Lmtp, mailbox: Mailbox, work: Path, greeted: str, odd: str
) -> None:
    mailbox.put(THREE)
    assert lmtp(f"{greeted}{ENVELOPE}S: 250 b\nS: {odd}\n-- cut").code == 75
    (line,) = logged(work, "message")
    assert (line["status"], line["to"]) == ("deferred", "<c@example.org>,<d@example.org>")
    assert "it may have been taken" in line["words"]
    assert lmtp(f"{greeted}{envelope_for('c', 'd')}S: 250 c\nS: 250 d\nC: QUIT")[:3] == (0, "", "")
    assert mailbox.left == []


def test_a_connection_over_which_it_said_that_it_closes_carries_nothing_more(lmtp: Lmtp, mailbox: Mailbox) -> None:
    mailbox.put(THREE, THREE.replace(b"Subject: one", b"Subject: two"))
    second = ENVELOPE.replace("[taken]", "[two]")
    script = f"{GREETED}{ENVELOPE}S: 421 no\nS: 250 c\nS: 250 d\nC: QUIT"
    passed = lmtp(f"{script}\n== next\n{GREETED}{second}S: 250 b\nS: 250 c\nS: 250 d\nC: QUIT")
    assert (passed.code, len(mailbox.left)) == (75, 1)


def test_after_a_refusal_by_all_of_them_rset_goes_before_the_next_mail(lmtp: Lmtp, mailbox: Mailbox) -> None:
    mailbox.put(THREE, THREE.replace(b"Subject: one", b"Subject: two"))
    no, yes = "S: 554 5.7.1 spam\n" * 3, "S: 250 ok\n" * 3
    second = ENVELOPE.replace("[taken]", "[two]")
    passed = lmtp(f"{GREETED}{ENVELOPE}{no}C: RSET\nS: 250 ok\n{second}{yes}C: QUIT")
    assert (passed.code, mailbox.left) == (65, [])


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
