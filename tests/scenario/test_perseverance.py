"""Over several passes: whatever breaks off, each message arrives once, and none holds up the others for ever."""

from pathlib import Path

import pytest

from lib.config.values import Account
from lib.mail import message
from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.played import Given
from tests.scenario.conftest import Receiver, Server
from tests.scenario.mails import mail, spooled
from tests.scenario.pop import LOGIN, end, listing, numbered, retr

MAILS = {name: mail(f"Subject: {name}", "X-Rcpt-To: b@example.org") for name in ("one", "two", "three")}
DELETE = "to=b@example.org name=bob"


@pytest.fixture(autouse=True)
def same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the account be the same from pass to pass although its port changes."""
    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))


def subjects(smtp: SmtpServer) -> list[str]:
    return [letter.content.partition(b"Subject: ")[2].split(b"\r\n")[0].decode() for letter in smtp.taken]


def half(number: int) -> str:
    return f'C: RETR {number}\nS: +OK\nS> "Subject: x\\r\\n\\r\\nhel"\n-- call taken\n-- cut\n'


def test_of_two_messages_that_break_sessions_neither_starves_behind_the_other(server: Server, smtp: SmtpServer) -> None:
    both = listing({1: "a", 2: "b"})
    for number in (1, 2, 1):
        assert server(f"{both}{half(number)}", option=DELETE, given={"taken": server.taken(0)}).code == 76
    sessions = f"{both}{retr(2, 'two')}{half(1)}", f"{both}{end(2)}", f"{listing({1: 'a'})}{half(1)}"
    passed = server("\n== next\n".join(sessions), option=DELETE, given={**MAILS, "taken": server.taken(1)})
    assert subjects(smtp) == ["two"]
    assert passed.code == 76


def test_without_uids_a_session_that_breaks_makes_nothing_come_twice(server: Server, smtp: SmtpServer) -> None:
    listed = f"{LOGIN}C: UIDL\nS: -ERR what?\nC: LIST\n"
    three = f"{listed}{numbered(dict.fromkeys((1, 2, 3), '100'))}\n"
    first = f"{three}{retr(1, 'one')}{retr(2, 'one')}{half(3)}"
    second = f"{three}{retr(1, 'one')}{retr(2, 'one')}{end(1, 2)}"
    third = f"{listed}{numbered({1: '100'})}\n{retr(1, 'two')}{end(1)}"
    given: Given = {**MAILS, "taken": server.taken(2)}
    passed = server(f"{first}== next\n{second}== next\n{third}", option=DELETE, given=given)
    assert passed[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "one", "two"]


def test_a_receiver_that_dies_between_two_messages(receiver: Receiver, work: Path, smtp: SmtpServer) -> None:
    receiver.mailbox.put(*MAILS.values())
    script = """
        S: 220 mx
        C* EHLO *
        S: 250 mx
        C: MAIL FROM:<>
        S: 250 ok
        C: RCPT TO:<b@example.org>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. [one]
        S: 250 taken
        C: MAIL FROM:<>
        S: 421 going down
        C: QUIT
    """
    assert receiver(script + "== next\nS: 421 gone down\nC: QUIT\n" * 4).code == 75
    left, waiting = len(receiver.mailbox.left), len(spooled(work))
    assert left in (2, 3)
    assert waiting in (1, 2)
    downloaded = receiver.mailbox.retrieved()
    assert receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}")) == (0, "", "")
    assert sorted(subjects(smtp)) == ["three", "two"]
    assert (receiver.mailbox.left, receiver.mailbox.retrieved()) == ([], 3)
    assert downloaded in (2, 3)


PIPELINING = f"""
    S: +OK
    C: CAPA
    S: +OK
    S: PIPELINING
    S: .
    C: USER bob
    C: PASS geheim-bob
    C: CAPA
    C: UIDL
    C: LIST
    S: +OK
    S: +OK
    S: +OK
    S: PIPELINING
    S: .
    {numbered({1: "a", 2: "b"})}
    {numbered({1: "100", 2: "100"})}
"""


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall"])
def test_a_server_that_cannot_bear_commands_sent_ahead_is_asked_one_by_one(
    server: Server, smtp: SmtpServer, breaks: str
) -> None:
    login = LOGIN.replace("S: -ERR", "S: +OK\nS: PIPELINING\nS: .", 1)
    slowly = f"""
        {login}
        C: CAPA
        S: +OK
        S: PIPELINING
        S: .
        C: UIDL
        {numbered({1: "a", 2: "b"})}
        C: LIST
        {numbered({1: "100", 2: "100"})}
        {retr(1, "one")}
        {retr(2, "two")}
        {end(1, 2)}
    """
    script = f"{PIPELINING}C: RETR 1\nC: RETR 2\n{breaks}\n== next\n{slowly}"
    assert server(script, option=DELETE, given=MAILS, pf_timeout=1)[:3] == (0, "", "")
    assert subjects(smtp) == ["one", "two"]


def test_a_bug_of_ours_at_one_message_blocks_no_other(
    conf: Conf, run_pass: RunPass, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = message.scan

    def trips(data: bytes) -> object:
        return 1 // (b"Subject: two" not in data) and scan(data)

    with PopServer({"bob": ("geheim-bob", MAILS.values())}) as pop, SmtpServer() as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        with monkeypatch.context() as patch:
            patch.setattr(message, "scan", trips)
            for _ in range(2):
                code, out, err = run_pass(path)
                assert (code, out) == (70, "")
                assert "Traceback" not in err
                assert "a bug of this program (ZeroDivisionError)" in err
        assert sorted(subjects(smtp)) == ["one", "three"]
        assert (len(spooled(work)), len(pop.left("bob"))) == (1, 1)
        assert "ZeroDivisionError" in (work / "popfetch.log").read_text()
        assert run_pass(path) == (0, "", "")
        assert (sorted(subjects(smtp)), pop.left("bob")) == (["one", "three", "two"], [])
