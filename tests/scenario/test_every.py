"""every=MINUTES: a scheduled pass leaves out an account whose time has not come; one by hand does not."""

import pytest

from tests.days import later
from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass, account
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import mail

HOUR = 1 / 24


def test_an_account_is_polled_in_its_own_time(
    mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = conf(account(mailbox.port, "to=b@x.org", "every=120"), pf_smtp_server=f"127.0.0.1:{smtp.port}", ras_timer=5)
    came = []
    for hours, words in (
        (0, ["--scheduled"]),
        (1, ["--scheduled"]),
        (0.5, []),
        (1.9, ["--scheduled"]),
        (0.2, ["--scheduled"]),
    ):
        later(monkeypatch, hours * HOUR)
        mailbox.put(mail("Subject: x"))
        assert run_pass(path, *words) == (0, "", "")
        came.append(len(smtp.taken))
    assert came == [1, 1, 3, 3, 5]


def test_the_others_are_polled_all_the_same(
    mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.server.mailboxes["ann"] = type(mailbox.server.mailboxes["bob"])(b"geheim-ann", [])
    lines = (account(mailbox.port, "to=b@x.org", "every=120"), account(mailbox.port, "to=a@x.org", user="ann"))
    path = conf(*lines, pf_smtp_server=f"127.0.0.1:{smtp.port}", ras_timer=5)
    assert run_pass(path, "--scheduled").code == 0
    later(monkeypatch, HOUR)
    mailbox.put(mail("Subject: for bob"))
    mailbox.server.mailboxes["ann"].messages[1] = mail("Subject: for ann")
    assert run_pass(path, "--scheduled").code == 0
    assert [one.recipients for one in smtp.taken] == [(b"a@x.org",)]
