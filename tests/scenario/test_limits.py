"""What a pass waits for, and for how long: slow receivers, full spools, time limits, signals."""

import signal
import sys
import time
from pathlib import Path
from threading import Event

import pytest

import popfetch_batch
from lib import halt
from lib.config.values import Account
from lib.pop import fetch
from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, StartPass, account
from tests.peer import peer
from tests.played import Given
from tests.scenario.conftest import Mailbox, Receiver, Server, taken
from tests.scenario.mails import mail, spooled
from tests.scenario.pop import end, listing, retr

ONE = {"one": mail("Subject: one")}
SLOW = """
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
    -- sleep 0.7
    S: 250 taken
"""


def test_while_the_receiver_thinks_the_pop_server_hears_noop(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "NOOP_SECONDS", 0.2)
    mailbox.put(ONE["one"])
    assert receiver(f"{SLOW}C: QUIT", option="to=b@example.org")[:3] == (0, "", "")
    assert 1 <= mailbox.server.heard.count("NOOP") <= 3
    assert mailbox.left == []


def test_a_full_spool_holds_fetching_up_until_there_is_room(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "NOOP_SECONDS", 0.2)
    mailbox.put(*(mail(f"Subject: {number}", body="x" * 6000) for number in range(12)))
    seen: list[int] = []
    greeted, first = SLOW.replace("-- sleep 0.7", "-- sleep 0.2\n-- call look").split("    C: MAIL")
    given: Given = {"look": lambda: seen.append(mailbox.retrieved())}
    script = f"{greeted}" + f"    C: MAIL{first}" * 12 + "C: QUIT"
    passed = receiver(script, option="to=b@example.org", given=given, pf_spool_limit=5000)
    assert passed[:3] == (0, "", "")
    assert seen[0] <= 8  # eight were asked for before the first had come
    assert mailbox.left == []


def test_who_waits_longer_for_a_verdict_than_pf_smtp_timeout_goes_on(
    receiver: Receiver, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(ONE["one"])
    script = SLOW.replace("-- sleep 0.7\n    S: 250 taken", "-- stall")
    began = time.monotonic()
    assert receiver(script, option="to=b@example.org", pf_smtp_timeout=1).code == 75
    assert time.monotonic() - began < 5
    assert (len(mailbox.left), spooled(work)) == (1, ["msg.dat"])


def test_a_pass_is_cut_short_by_pf_time_limit_and_the_next_one_goes_on(
    server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))
    monkeypatch.setattr(popfetch_batch, "MINUTE", 1.0)
    monkeypatch.setattr(halt, "GRACE", 0.3)
    both = listing({1: "a", 2: "b"})
    option = "to=b@example.org name=bob"
    passed = server(f"{both}{retr(1, 'one')}C: RETR 2\n-- stall", option=option, given=ONE, pf_time_limit=1)
    assert (passed.code, passed.out) == (76, "")
    assert passed.err.startswith("popfetch: bob: cut short by pf_time_limit")
    assert len(passed.err.splitlines()) == 1
    assert b"QUIT" not in passed.heard
    monkeypatch.undo()
    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))
    assert server(f"{both}{retr(2, 'one')}{end(1, 2)}", option=option, given=ONE)[:3] == (0, "", "")
    assert len(smtp.taken) == 2


def test_a_time_limit_commits_what_is_done(
    conf: Conf, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch, smtp: SmtpServer
) -> None:
    """One account stalls, the other is long since drained and its mail gone."""
    monkeypatch.setattr(popfetch_batch, "MINUTE", 1.0)
    monkeypatch.setattr(halt, "GRACE", 0.3)
    with peer("-- stall") as p, PopServer({"bob": ("geheim-bob", [ONE["one"]])}) as pop:
        accounts = account(p.port, user="slow"), account(pop.port, "to=b@example.org")
        path = conf(*accounts, pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_time_limit=1)
        code, _, err = run_pass(path)
        assert (code, len(err.splitlines())) == (76, 1)
        assert pop.left("bob") == []
    assert len(smtp.taken) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_commits_what_is_done_and_ends_the_pass(
    conf: Conf, start_pass: StartPass, smtp: SmtpServer, number: int
) -> None:
    reached = Event()
    script = f"""
        {listing({1: "a", 2: "b", 3: "c"})}
        {retr(1, "one")}
        C: RETR 2
        S: +OK
        -- call taken
        -- call reached
        -- sleep 0.8
        S. one
        {end(1)}
    """
    with peer(script, given={**ONE, "reached": reached.set, "taken": taken(smtp, 1)}) as p:
        running = start_pass(conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}"))
        assert reached.wait(20)
        running.send_signal(number)
        code, out, err = start_pass.finish(running)
    assert (code, out) == (75, "")
    assert "stopped by a signal" in err
    assert (len(smtp.taken), len(spooled(conf.work))) == (1, 1)
