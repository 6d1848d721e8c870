"""A clock that is wrong: kept mail stays, deferred mail waits, until the time is sure. And days that are just days."""

import pytest

from tests.days import later, set_clock, start_anew
from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass, account
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import mail


@pytest.fixture
def kept(mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass) -> "Kept":
    return Kept(mailbox, smtp, conf, run_pass)


class Kept:
    """A mailbox with one kept message, delivered today."""

    def __init__(self, mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass) -> None:
        self.mailbox = mailbox
        self._path = conf(account(mailbox.port, "to=anna", "keep=3"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        self._run = run_pass
        mailbox.put(mail("Subject: one"))
        assert self.after_a_pass() == 1

    def after_a_pass(self) -> int:
        """Make a pass and return how many messages are left on the server."""
        assert self._run(self._path)[:3] == (0, "", "")
        return len(self.mailbox.left)


@pytest.mark.parametrize("days", [40.0, 3650.0])
def test_a_clock_set_forward_deletes_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    set_clock(monkeypatch, days)
    assert kept.after_a_pass() == 1
    later(monkeypatch, 1)
    assert kept.after_a_pass() == 1  # one day old, by either clock
    set_clock(monkeypatch, -days)
    assert kept.after_a_pass() == 1
    later(monkeypatch, 2.1)
    assert kept.after_a_pass() == 0  # three days, whatever the wall said meanwhile


def test_a_machine_that_wakes_in_1970_deletes_nothing_when_it_learns_the_time(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = -20_000.0
    start_anew(monkeypatch, "another boot")
    set_clock(monkeypatch, back)
    kept.mailbox.put(mail("Subject: two"))
    assert kept.after_a_pass() == 2
    set_clock(monkeypatch, -back)
    assert kept.after_a_pass() == 2
    later(monkeypatch, 0.1)
    assert kept.after_a_pass() == 2
    later(monkeypatch, 3)
    assert kept.after_a_pass() == 0


def test_a_clock_40_days_behind_until_the_network_is_there(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    start_anew(monkeypatch, "another boot")
    set_clock(monkeypatch, -40)
    assert kept.after_a_pass() == 1
    set_clock(monkeypatch, 40)
    assert kept.after_a_pass() == 1
    later(monkeypatch, 0.1)
    assert kept.after_a_pass() == 1
    later(monkeypatch, 3)
    assert kept.after_a_pass() == 0


def test_after_ten_days_without_a_pass_a_second_one_confirms_the_time(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch, 10)
    assert kept.after_a_pass() == 1
    later(monkeypatch, 0.03)
    assert kept.after_a_pass() == 1
    later(monkeypatch, 0.03)
    assert kept.after_a_pass() == 0


def test_a_daily_pass_deletes_on_the_day(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """cron is some seconds early now and then; that is no day more."""
    for left in (1, 1, 0):
        later(monkeypatch, 0.9999)
        assert kept.after_a_pass() == left
