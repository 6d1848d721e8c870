"""Several connections to the receiver: what one of them hears is its own, unless none works."""

from pathlib import Path
from threading import Event

import pytest

from lib.run import pool
from tests.passes import Conf, RunPass, account
from tests.peer import peer
from tests.played import Given
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail, spooled

POP = """
    S: +OK
    C: CAPA
    S: -ERR
    C: USER bob
    S: +OK
    C: PASS geheim-bob
    S: +OK
    C: UIDL
    S: +OK
    S: 1 u1
    S: 2 u2
    S: .
    C: LIST
    S: +OK
    S: 1 100
    S: 2 100
    S: .
    C: RETR 1
    -- call first_is_asked
    S: +OK
    S. one
    C: RETR 2
    S: +OK
    -- call first_is_busy
    S. two
"""

GREETED = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250 mx.example
"""

ENVELOPE = """
    C: MAIL FROM:<>
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
"""


class Signals:
    """What the two peers tell each other."""

    def __init__(self) -> None:
        self.busy, self.refused = Event(), Event()

    def given(self) -> Given:
        return {
            "one": mail("Subject: one"),
            "two": mail("Subject: two"),
            "first_is_asked": lambda: None,
            "first_is_busy": lambda: self.busy.wait(10),
            "busy": self.busy.set,
            "refused": self.refused.set,
            "second_is_refused": lambda: self.refused.wait(10),
        }


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second message be enough for a second connection."""
    monkeypatch.setattr(pool, "BACKLOG", 0)


@pytest.mark.parametrize(
    "refusal",
    [
        "S: 421 too many connections from you\nC: QUIT",
        "S: 554 go away\nC: QUIT",
        GREETED + "C* MAIL *\nS: 421 too many messages at once\nC: QUIT",
    ],
)
def test_a_further_connection_that_is_refused_stops_nobody(
    conf: Conf, run_pass: RunPass, work: Path, refusal: str
) -> None:
    given = Signals().given()
    smtp = f"""
        {GREETED}
        {ENVELOPE}
        C: DATA
        S: 354 go on
        C. [one]
        -- call busy
        -- call second_is_refused
        S: 250 taken
        {ENVELOPE}
        C: DATA
        S: 354 go on
        C. [two]
        S: 250 taken
        C: QUIT
        == also
        {refusal}
        -- call refused
    """
    pop = f"{POP}\nC: DELE 1\nS: +OK\nC: DELE 2\nS: +OK\nC: QUIT\nS: +OK"
    with peer(pop, given=given) as p, peer(smtp, given=given) as mx:
        path = conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{mx.port}")
        assert run_pass(path) == (0, "", "")
    assert b"Subject: one" in mx.data["[one]"]
    assert b"Subject: two" in mx.data["[two]"]
    assert spooled(work) == []


def test_a_further_connection_that_is_refused_before_the_first_is_greeted_stops_nobody(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    given = Signals().given()
    smtp = f"""
        -- call busy
        -- call second_is_refused
        {GREETED}
        {ENVELOPE}
        C: DATA
        S: 354 go on
        C. [one]
        S: 250 taken
        {ENVELOPE}
        C: DATA
        S: 354 go on
        C. [two]
        S: 250 taken
        C: QUIT
        == also
        S: 421 too many connections from you
        C: QUIT
        -- call refused
        -- sleep 0.2
    """
    pop = f"{POP}\nC: DELE 1\nS: +OK\nC: DELE 2\nS: +OK\nC: QUIT\nS: +OK"
    with peer(pop, given=given) as p, peer(smtp, given=given) as mx:
        path = conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{mx.port}")
        assert run_pass(path) == (0, "", "")
    assert spooled(work) == []


def test_a_message_at_which_the_only_one_is_closed_goes_behind_the_others(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    given = Signals().given()
    taken = "C: DATA\nS: 354 go on\nC. [{}]\nS: 250 taken\n"
    smtp = f"""
        {GREETED}
        C: MAIL FROM:<>
        -- call busy
        -- call second_is_refused
        S: 421 too many errors
        C: QUIT
        == also
        S: 421 too many connections from you
        C: QUIT
        -- call refused
        == next
        S: 421 too many connections from you
        C: QUIT
        == next
        {GREETED}
        {ENVELOPE}
        {taken.format("two")}
        {ENVELOPE}
        {taken.format("one")}
        C: QUIT
    """
    pop = f"{POP}\nC* DELE *\nS: +OK\nC* DELE *\nS: +OK\nC: QUIT\nS: +OK"
    with peer(pop, given=given) as p, peer(smtp, given=given) as mx:
        path = conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{mx.port}")
        assert run_pass(path) == (0, "", "")
    assert spooled(work) == []


def test_when_no_connection_works_any_more_it_is_the_receiver(conf: Conf, run_pass: RunPass, work: Path) -> None:
    given = Signals().given()
    smtp = f"""
        {GREETED}
        {ENVELOPE}
        C: DATA
        -- call busy
        -- call second_is_refused
        S: 421 I am going down
        C: QUIT
        == also
        S: 421 too many connections from you
        C: QUIT
        -- call refused
    """
    smtp += "== next\nS: 421 I am going down\nC: QUIT\n" * 4
    with peer(f"{POP}\nC: QUIT\nS: +OK", given=given) as p, peer(smtp, given=given) as mx:
        path = conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{mx.port}")
        code, _, err = run_pass(path)
    assert code == 75
    assert err.count("takes no mail now") == 1
    assert spooled(work) == ["msg.2.dat", "msg.dat"]


def test_a_connection_that_the_receiver_closed_meanwhile_is_opened_again(
    conf: Conf, run_pass: RunPass, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "BACKLOG", 24)
    given = Signals().given()
    smtp = f"""
        {GREETED}
        {ENVELOPE}
        C: DATA
        S: 354 go on
        C. [one]
        S: 250 taken
        S: 421 you say nothing
        -- call refused
        -- cut
        == next
        {GREETED}
        {ENVELOPE}
        C: DATA
        S: 354 go on
        C. [two]
        S: 250 taken
        C: QUIT
    """
    pop = POP.replace("-- call first_is_busy", "-- call second_is_refused\n-- sleep 0.2")
    with (
        peer(f"{pop}\nC: DELE 1\nS: +OK\nC: DELE 2\nS: +OK\nC: QUIT\nS: +OK", given=given) as p,
        peer(smtp, given=given) as mx,
    ):
        path = conf(account(p.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{mx.port}")
        assert run_pass(path) == (0, "", "")
    assert spooled(work) == []


NOBODY = mail("X-Rcpt-To: " + ", ".join(f"n{number}@example.org" for number in range(9)))
REFUSALS = "".join(f"C: RCPT TO:<n{number}@example.org>\nS: 550 5.1.1 nobody\n" for number in range(8))
THE_LAST = GREETED + "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<n8@example.org>\nS: 550 5.1.1 nobody\nC: QUIT"
BUSY = "S: 421 one connection at a time\nC: QUIT\n== next\n"


@pytest.mark.parametrize("busy", ["", BUSY, BUSY * 3, "-- cut\n== next\n", BUSY + "-- cut\n== next\n"])
def test_a_receiver_that_counts_the_connection_before_is_given_a_moment(
    receiver: Receiver, mailbox: Mailbox, busy: str
) -> None:
    mailbox.put(NOBODY)
    first = f"{GREETED}\nC: MAIL FROM:<>\nS: 250 ok\n{REFUSALS}\nC: QUIT\n== next\n"
    passed = receiver(first + busy + THE_LAST)
    assert (passed.code, mailbox.left) == (65, [])


@pytest.mark.parametrize("greeting", ["S: 554 not you\nC: QUIT", BUSY * 3 + "S: 421 one at a time\nC: QUIT"])
def test_one_that_goes_on_refusing_is_the_receiver(receiver: Receiver, mailbox: Mailbox, greeting: str) -> None:
    mailbox.put(NOBODY)
    first = f"{GREETED}\nC: MAIL FROM:<>\nS: 250 ok\n{REFUSALS}\nC: QUIT\n== next\n"
    passed = receiver(first + greeting)
    assert (passed.code, len(mailbox.left)) == (75, 1)
    assert passed.err.count("takes no mail now (GREETING: ") == 1
