"""What goes out while the line is up: pf_online_command, and ETRN to the server at the far end."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lib.run import outgoing
from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass, account
from tests.peer import nobody, peer
from tests.pki import Pki
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import mail

ONE = mail("X-Rcpt-To: b@example.org")
LINE = {"pf_dial_check": f'"{sys.executable}" -S -c pass'}  # somebody's line is up
GREETED = """
    S: 220 far.example
    C* EHLO *
    S: 250-far.example
"""


@pytest.fixture(autouse=True)
def one(mailbox: Mailbox) -> None:
    mailbox.put(ONE)


def command(code: str) -> str:
    return f'"{sys.executable}" -S -c "{code}"'


class Passed:
    """A pass over bob's mailbox that has fetched his one message, whatever outgoing mail did."""

    def __init__(self, conf: Conf, run_pass: RunPass, mailbox: Mailbox, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.mailbox, self.smtp = conf, run_pass, mailbox, smtp

    def __call__(self, **settings: Any) -> list[str]:
        """Return what popfetch.log says of outgoing mail."""
        user = account(self.mailbox.port, "to=b@example.org")
        more = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", "log_level": "info", **LINE, **settings}
        assert self.run_pass(self.conf(user, **more)) == (0, "", "")
        assert (len(self.smtp.taken), self.mailbox.left) == (1, [])
        lines = (self.conf.work / "popfetch.log").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if " outgoing " in line]


@pytest.fixture
def passed(conf: Conf, run_pass: RunPass, mailbox: Mailbox, smtp: SmtpServer) -> Passed:
    return Passed(conf, run_pass, mailbox, smtp)


def asked(script: str, passed: Passed, tls: Any = None, **settings: Any) -> list[str]:
    """Return the log of a pass that asks the server of *script*, its address left out."""
    with peer(script, tls=tls) as p:
        told = passed(**{"pf_etrn": ["one.example", "two.example"], "ras_smtpip": f"127.0.0.1:{p.port}", **settings})
    return [re.sub(r"127\.0\.0\.1:\d+", "FAR", line) for line in told]


# --- ETRN ----------------------------------------------------------------------------------------------------------


def test_each_domain_is_asked_for(passed: Passed) -> None:
    told = asked(
        f"""{GREETED}
        S: 250 ETRN
        C: ETRN one.example
        S: 250 2.0.0 Queuing started
        C: ETRN two.example
        S: 253 2 pending messages for two.example started
        C: QUIT
        """,
        passed,
    )
    assert told == [
        'info outgoing etrn=FAR asked="ETRN one.example" reply="250 2.0.0 Queuing started"',
        'info outgoing etrn=FAR asked="ETRN two.example" reply="253 2 pending messages for two.example started"',
    ]


def test_all_of_them_at_once_where_pipelining_is_offered(passed: Passed) -> None:
    told = asked(
        f"""{GREETED}
        S: 250-PIPELINING
        S: 250 ETRN
        C: ETRN one.example
        C: ETRN two.example
        S: 250 ok
        S: 251 no messages waiting
        C: QUIT
        """,
        passed,
    )
    assert [line.rpartition("reply=")[2] for line in told] == ['"250 ok"', '"251 no messages waiting"']


def test_a_domain_that_is_refused_does_not_keep_the_next_one_from_being_asked_for(passed: Passed) -> None:
    told = asked(
        f"""{GREETED}
        S: 250 ETRN
        C: ETRN one.example
        S: 459 4.7.1 Node one.example not allowed
        C: ETRN two.example
        S: 250 ok
        C: QUIT
        """,
        passed,
    )
    assert told == [
        'warning outgoing etrn=FAR asked="ETRN one.example" reply="459 4.7.1 Node one.example not allowed"',
        'info outgoing etrn=FAR asked="ETRN two.example" reply="250 ok"',
    ]


def test_over_starttls_where_that_is_offered_whoever_has_signed_the_certificate(passed: Passed, pki: Pki) -> None:
    asked(
        f"""{GREETED}
        S: 250-STARTTLS
        S: 250 ETRN
        C: STARTTLS
        S: 220 go on
        -- starttls
        C* EHLO *
        S: 250-far.example
        S: 250 ETRN
        C: ETRN one.example
        S: 250 ok
        C: QUIT
        """,
        passed,
        tls=pki.stranger,
        pf_etrn="one.example",
    )


def test_a_handshake_that_fails_is_followed_by_a_try_in_the_clear(passed: Passed) -> None:
    told = asked(
        f"""{GREETED}
        S: 250-STARTTLS
        S: 250 ETRN
        C: STARTTLS
        S: 220 go on
        -- chop
        == next
        {GREETED}
        S: 250-STARTTLS
        S: 250 ETRN
        C: ETRN one.example
        S: 250 ok
        C: QUIT
        """,
        passed,
        pf_etrn="one.example",
    )
    assert "TLS failed" in told[0]
    assert told[0].endswith('once more without TLS"')
    assert told[1].endswith('reply="250 ok"')


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("S: 554 go away\n-- expect-close", "(greeting) was refused: 554 go away"),
        ("S: 220 far.example\nC* EHLO *\nS: 502 what\n-- expect-close", "was refused: 502 what"),
        ("S: 220 far.example\n-- chop", "the server closed the connection"),
        ("S: hello there\n-- expect-close", "a reply that is none"),
        (f"{GREETED}\nS: 250-STARTTLS\nS: 250 ETRN\nC: STARTTLS\nS: 454 not now\n-- expect-close", "454 not now"),
    ],
)
def test_what_fails_is_a_line_in_the_log_and_nothing_more(script: str, why: str, passed: Passed) -> None:
    (told,) = asked(script, passed)
    assert told.startswith("warning outgoing etrn=FAR failed=")
    assert why in told


def test_a_server_that_is_not_there_is_told_of(passed: Passed) -> None:
    with nobody() as port:
        (told,) = passed(pf_etrn="one.example", ras_smtpip=f"127.0.0.1:{port}")
    assert "cannot connect" in told


def test_a_silent_server_does_not_keep_the_fetching_waiting(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "LIMIT", 1.0)
    began = time.monotonic()
    (told,) = asked("-- stall", passed)
    assert "failed=" in told
    assert time.monotonic() - began < 5


# --- pf_online_command ---------------------------------------------------------------------------------------------


def test_the_command_runs_once_and_its_words_are_in_the_log(passed: Passed, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    code = f"open(r'{flag}', 'a').write('x'); print('flushed')"
    assert passed(pf_online_command=command(code)) == [
        "info outgoing command=pf_online_command says=flushed",
        'info outgoing command=pf_online_command ended="exit code 0"',
    ]
    assert flag.read_text() == "x"


def test_a_command_that_fails_is_a_line_in_the_log_and_nothing_more(passed: Passed) -> None:
    assert passed(pf_online_command=command("raise SystemExit(3)")) == [
        'warning outgoing command=pf_online_command ended="exit code 3"'
    ]


def test_a_command_that_is_not_there_is_told_of(passed: Passed) -> None:
    (told,) = passed(pf_online_command="no-such-program-of-ours")
    assert "cannot be run" in told


def test_a_command_that_does_not_end_is_ended(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "LIMIT", 1.0)
    (told,) = passed(pf_online_command=command("import time; time.sleep(60)"))
    assert "did not end within 1 s" in told or "was stopped" in told


def test_the_fetching_does_not_wait_for_the_command(passed: Passed, tmp_path: Path) -> None:
    """The command ends only when the message has been delivered."""
    flag = tmp_path / "delivered"
    script = tmp_path / "wait.py"
    script.write_text(f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.05)\n")
    taken = passed.smtp.taken

    class Telling(list[Any]):
        def append(self, letter: Any) -> None:
            super().append(letter)
            flag.touch()

    passed.smtp.taken = Telling(taken)
    told = passed(pf_online_command=f'"{sys.executable}" -S "{script}"')
    assert told == ['info outgoing command=pf_online_command ended="exit code 0"']


def test_where_no_line_is_configured_nothing_goes_out(passed: Passed) -> None:
    with nobody() as port:
        settings = {"pf_etrn": "one.example", "ras_smtpip": f"127.0.0.1:{port}"}
        assert passed(pf_dial_check=None, pf_online_command="no-such-program-of-ours", **settings) == []
