"""What lies in the spool goes first, is not downloaded again, and may spare us a call to the POP servers."""

import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, StartPass, account
from tests.peer import nobody, peer
from tests.played import Given
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import logged, mail, spooled
from tests.scenario.pop import end, listing, retr

ONE, TWO = (
    mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org", f"Subject: {name}") for name in ("one", "two")
)
GREETED = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250 mx.example
"""
ENVELOPE = """
    C: MAIL FROM:<a@far.example>
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
    C: DATA
    S: 354 go on
"""


@pytest.fixture
def waiting(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    """Let a message wait in the spool for a receiver that was down."""
    mailbox.put(ONE)
    with nobody() as port:
        assert receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}")).code == 75
    assert (spooled(work), mailbox.retrieved()) == (["msg.dat"], 1)
    end = time.monotonic() + 10
    while "QUIT" not in mailbox.server.heard and time.monotonic() < end:
        time.sleep(0.01)  # nobody waits for its answer
    mailbox.server.heard.clear()


@pytest.mark.usefixtures("waiting")
def test_it_is_sent_before_any_pop_connection(receiver: Receiver, mailbox: Mailbox) -> None:
    order: list[str] = []
    mailbox.put(TWO)
    given: Given = {
        "first": lambda: order.append(f"one is taken, the POP server heard {len(mailbox.server.heard)} words"),
        "second": lambda: order.append("two is taken"),
    }
    script = f"""
        {GREETED}
        {ENVELOPE}
        C. [one]
        -- sleep 0.2
        -- call first
        S: 250 taken
        {ENVELOPE}
        C. [two]
        -- call second
        S: 250 taken
        C: QUIT
    """
    passed = receiver(script, given=given)
    assert passed[:3] == (0, "", "")
    assert order == ["one is taken, the POP server heard 0 words", "two is taken"]
    assert b"Subject: one" in passed.data["[one]"]
    assert b"Subject: two" in passed.data["[two]"]
    assert mailbox.server.heard.count("RETR") == 1  # of the second
    assert mailbox.left == []


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    "script",
    [
        "S: 421 too busy\nC: QUIT",
        "S: 554 no mail here\nC: QUIT",
        "S: 220 mx.example\nC* EHLO *\nS: 421 going down\nC: QUIT",
    ],
)
def test_a_receiver_that_refuses_everybody_spares_the_pop_servers(
    receiver: Receiver, mailbox: Mailbox, work: Path, script: str
) -> None:
    before = (work / "msg.dat").read_bytes()
    passed = receiver(script)
    assert passed.code == 75
    assert mailbox.server.heard == []
    assert (work / "msg.dat").read_bytes() == before


@pytest.mark.usefixtures("waiting")
def test_a_receiver_that_is_not_there_spares_them_too(receiver: Receiver, mailbox: Mailbox) -> None:
    with nobody() as port:
        code, out, err = receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}"))
    assert (code, out) == (75, "")
    assert len(err.splitlines()) == 2
    assert mailbox.server.heard == []


@pytest.mark.usefixtures("waiting")
def test_it_is_sent_even_when_its_server_is_gone(
    receiver: Receiver, mailbox: Mailbox, conf: Conf, smtp: SmtpServer
) -> None:
    mailbox.server.mailboxes["bob"].lock.acquire()  # somebody else reads it
    result = receiver.run_pass(conf(account(mailbox.port), pf_smtp_server=f"127.0.0.1:{smtp.port}"))
    assert result.code == 76
    assert [letter.recipients for letter in smtp.taken] == [(b"b@example.org",)]


@pytest.mark.usefixtures("waiting")
def test_what_waits_of_an_account_that_is_no_longer_set_goes_to_the_caretaker(
    receiver: Receiver, conf: Conf, smtp: SmtpServer
) -> None:
    with PopServer({"ann": ("geheim-ann", [])}) as pop:
        settings = {"pf_smtp_server": f"127.0.0.1:{smtp.port}", "pf_dflt_address": "care@example.org"}
        assert receiver.run_pass(conf(account(pop.port, user="ann"), **settings)) == (0, "", "")
    assert [letter.recipients for letter in smtp.taken] == [(b"care@example.org",)]


@pytest.mark.usefixtures("waiting")
def test_a_mended_setting_mends_what_waits(receiver: Receiver, smtp: SmtpServer) -> None:
    path = receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_domain="in.example")
    assert receiver.run_pass(path) == (0, "", "")
    assert smtp.taken[0].recipients == (b"b@in.example",)


def test_without_anything_to_deliver_the_receiver_is_not_called(receiver: Receiver, mailbox: Mailbox) -> None:
    with nobody() as port:
        assert receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}")) == (0, "", "")
    assert "QUIT" in mailbox.server.heard


def test_a_torn_download_is_dropped_and_fetched_again(receiver: Receiver, work: Path, smtp: SmtpServer) -> None:
    receiver.mailbox.put(ONE)
    with nobody() as port:
        receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}"))
    spool = work / "msg.dat"
    spool.write_bytes(spool.read_bytes()[:-20])
    assert receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}")) == (0, "", "")
    assert (len(smtp.taken), receiver.mailbox.retrieved(), receiver.mailbox.left) == (1, 2, [])
    assert not (work / "duds.dat").exists()


# --- the journal ---------------------------------------------------------------------------------------------------


def test_a_lost_journal_makes_nothing_be_lost(receiver: Receiver, work: Path, smtp: SmtpServer) -> None:
    receiver.mailbox.put(ONE)
    with nobody() as port:
        receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}"))
    (work / "popfetch.journal").unlink()
    assert receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}")) == (0, "", "")
    assert (len(smtp.taken), receiver.mailbox.retrieved(), receiver.mailbox.left) == (1, 1, [])


def test_a_damaged_journal_holds_the_accounts_that_it_may_concern_until_reset(
    conf: Conf, run_pass: RunPass, work: Path, smtp: SmtpServer
) -> None:
    boxes = {user: (f"geheim-{user}", [ONE]) for user in ("bob", "ann")}
    with PopServer(boxes) as pop:
        accounts = account(pop.port), account(pop.port, user="ann")
        path = conf(*accounts, pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_keep="forever")
        assert run_pass(path) == (0, "", "")
        journal = work / "popfetch.journal"
        lines = journal.read_bytes().split(b"\n")
        at = next(number for number, line in enumerate(lines) if line.startswith(b"bob") and b'"D"' in line)
        lines[at] = lines[at].replace(b'"D"', b'"X"')
        journal.write_bytes(b"\n".join(lines))
        for user in boxes:
            pop.mailboxes[user].messages[2] = TWO

        for _ in range(2):
            code, _, err = run_pass(path)
            assert code == 74
            assert f"the journal is damaged in line {at + 1} (bob@127.0.0.1:{pop.port})" in err
            assert "until --reset" in err
            assert len(smtp.taken) == 3  # ann's second came in, bob's did not
        assert "damaged" in run_pass(path, "--status").err

        reset = run_pass(path, "--reset")
        assert (reset.code, "set aside as " in reset.out) == (0, True)
        assert run_pass(path) == (0, "", "")
        assert len(smtp.taken) >= 4  # bob's second at least; rather late than twice was until here
    assert list(work.glob("popfetch.journal.*"))


@pytest.mark.skipif(sys.platform == "win32", reason="wine shows a link of Unix as what it leads to")
@pytest.mark.parametrize("name", ["popfetch.journal", "popfetch_state.toml", "duds.dat", "msg.dat"])
def test_a_planted_link_is_left_alone(conf: Conf, run_pass: RunPass, work: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (work / name).symlink_to(target)
    with PopServer({"bob": ("geheim-bob", [mail("Subject: for nobody")])}) as pop:
        code, out, err = run_pass(conf(account(pop.port), pf_smtp_server="127.0.0.1:1"))
        assert (code, out) == (74, "")
        assert str(work / name) in err
        # Beside a spool file that is not ours the others are used, and the rest goes on.
        assert len(pop.left("bob")) == (name != "msg.dat")
    assert target.read_text() == "precious"
    assert (work / name).is_symlink()


@pytest.mark.parametrize("setting", ["work_path", "log_path"])
@pytest.mark.parametrize("place", ["nothing", "dmail.conf"])
def test_a_folder_that_is_none_is_told_of_before_any_server_is_called(
    receiver: Receiver, tmp_path: Path, setting: str, place: str
) -> None:
    receiver.mailbox.put(ONE)
    settings: dict[str, Any] = {setting: tmp_path / place}
    code, out, err = receiver.run_pass(receiver.write(**settings))
    assert (code, out, len(err.splitlines())) == (74, "", 1)
    assert str(tmp_path / place) in err
    assert setting in err
    assert receiver.mailbox.server.heard == []


# --- the lock ------------------------------------------------------------------------------------------------------


def test_another_pass_holds_the_lock(conf: Conf, run_pass: RunPass, start_pass: StartPass, smtp: SmtpServer) -> None:
    reached, done = Event(), Event()
    script = f"{listing({1: 'a'})}-- call reached\n-- call done\n{retr(1, 'one')}{end(1)}"
    given: Given = {"one": ONE, "reached": reached.set, "done": lambda: done.wait(20)}
    with peer(script, given=given) as p:
        path = conf(account(p.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        running = start_pass(path)
        assert reached.wait(20)
        second = run_pass(path)
        assert (second.code, second.out) == (75, "")
        assert "another pass" in second.err
        assert run_pass(path, "--scheduled") == (0, "", "")
        assert run_pass(path, "--reset").code == 75
        assert run_pass(path, "--status").code == 0
        done.set()
        assert start_pass.finish(running) == (0, "", "")
    assert [line["status"] for line in logged(conf.work, "message")] == ["delivered"]
