"""An account with another name today: nothing comes twice, and what waits goes to whom it is owed."""

import pytest

from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass, account
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import mail

KEPT = ("to=anna@example.org", "keep=30")


class Renamed:
    """bob's mailbox, with kept mail in it, and another way to name it."""

    def __init__(self, mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass) -> None:
        self.mailbox, self.smtp, self._conf, self._run = mailbox, smtp, conf, run_pass

    def __call__(self, *lines: str) -> int:
        return self._run(self._conf(*lines, pf_smtp_server=f"127.0.0.1:{self.smtp.port}")).code

    @property
    def came(self) -> int:
        return len(self.smtp.taken)


@pytest.fixture
def renamed(mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass) -> Renamed:
    mailbox.put(*(mail(f"Subject: {number}") for number in range(5)))
    return Renamed(mailbox, smtp, conf, run_pass)


@pytest.mark.parametrize("option", ["name=work", ""])
def test_kept_mail_of_a_host_respelt_or_a_name_that_is_new_comes_once(renamed: Renamed, option: str) -> None:
    port = renamed.mailbox.port
    assert renamed(account(port, *KEPT)) == 0
    for _ in range(2):
        assert renamed(account(port, *KEPT, option, host="127.0.0.1" if option else "localhost")) == 0
    assert (renamed.came, len(renamed.mailbox.left)) == (5, 5)
    renamed.mailbox.put(mail("Subject: new"))
    assert renamed(account(port, *KEPT, host="localhost")) == 0  # and a name that is gone again
    assert renamed.came == 6


def test_what_waits_meanwhile_goes_to_its_recipient_and_not_to_the_caretaker(renamed: Renamed) -> None:
    port = renamed.mailbox.port
    renamed.smtp.refused = {b"anna@example.org": b"450 4.2.0 later"}
    assert renamed(account(port, *KEPT), "pf_dflt_address care@example.org") == 75
    renamed.smtp.refused = {}
    assert renamed(account(port, *KEPT, host="localhost"), "pf_dflt_address care@example.org") == 0
    assert [one.recipients for one in renamed.smtp.taken] == [(b"anna@example.org",)] * 5


def test_what_waits_stays_while_the_new_account_cannot_be_asked(renamed: Renamed) -> None:
    port = renamed.mailbox.port
    renamed.smtp.refused = {b"anna@example.org": b"450 4.2.0 later"}
    assert renamed(account(port, *KEPT), "pf_dflt_address care@example.org") == 75
    renamed.smtp.refused = {}
    assert renamed(account(1, *KEPT, host="localhost"), "pf_dflt_address care@example.org") in {75, 76}
    assert renamed.came == 0
    assert renamed(account(port, *KEPT, host="localhost"), "pf_dflt_address care@example.org") == 0
    assert [one.recipients for one in renamed.smtp.taken] == [(b"anna@example.org",)] * 5


def test_mail_of_an_account_that_is_no_more_waits_for_no_other(renamed: Renamed) -> None:
    port = renamed.mailbox.port
    renamed.smtp.refused = {b"anna@example.org": b"450 4.2.0 later"}
    ann = account(port, *KEPT, user="ann")
    renamed.mailbox.server.mailboxes["ann"] = type(renamed.mailbox.server.mailboxes["bob"])(b"geheim-ann", [])
    assert renamed(account(port, *KEPT), ann, "pf_dflt_address care@example.org") == 75
    renamed.smtp.refused = {}
    renamed.mailbox.server.mailboxes["ann"].messages[1] = mail("Subject: for ann")
    renamed(ann, "pf_dflt_address care@example.org")
    assert renamed.came == 6
