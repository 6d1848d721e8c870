"""pf_notify_address: told when an account keeps failing, when it recovers, when the safety net trips; once each."""

from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.embedded import Letter, PopServer, SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.peer import nobody
from tests.scenario.mails import mail, spooled

ADMIN = b"admin@example.org"


class Office(NamedTuple):
    """One account whose password can be made wrong and right again, one that always works."""

    pop: PopServer
    smtp: SmtpServer
    conf: Conf
    run_pass: RunPass

    def __call__(self, *, works: bool, receiver: int = 0, **settings: object) -> Result:
        self.pop.mailboxes["bob"].password = b"geheim-bob" if works else b"another"
        accounts = account(self.pop.port, "name=Bob"), account(self.pop.port, "name=Ann", user="ann")
        where = f"127.0.0.1:{receiver or self.smtp.port}"
        told = {"pf_smtp_server": where, "pf_notify_address": ADMIN.decode(), **settings}
        path = self.conf(*accounts, **told)
        return self.run_pass(path)

    @property
    def notices(self) -> list[Letter]:
        return [letter for letter in self.smtp.taken if letter.recipients == (ADMIN,)]

    def subjects(self) -> list[str]:
        return [message_from_bytes(letter.content)["Subject"] for letter in self.notices]


@pytest.fixture
def office(conf: Conf, run_pass: RunPass) -> Iterator[Office]:
    boxes: dict[str, tuple[str, list[bytes]]] = {"bob": ("geheim-bob", []), "ann": ("geheim-ann", [])}
    with PopServer(boxes) as pop, SmtpServer() as smtp:
        yield Office(pop, smtp, conf, run_pass)


def test_an_account_that_fails_three_times_in_a_row_is_told_of_once_and_once_when_it_recovers(office: Office) -> None:
    told = []
    for works in (False, False, True, False, False, False, False, False, True, True):
        assert office(works=works).code == (0 if works else 77)
        told.append(len(office.notices))
    assert told == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert office.subjects() == ["POPFetch: account Bob keeps failing", "POPFetch: account Bob works again"]


def test_the_notice_says_what_is_wrong_and_what_to_do(office: Office) -> None:
    for _ in range(3):
        office(works=False)
    (letter,) = office.notices
    notice = message_from_bytes(letter.content)
    assert notice["To"] == "<admin@example.org>"
    assert notice["Auto-Submitted"] == "auto-generated"
    text = " ".join(str(notice.get_payload()).split())
    assert "wrong user or password" in text
    assert "in the last 3 passes" in text
    assert "--dry-run" in text
    assert "geheim" not in text


def test_a_pass_that_ends_before_an_account_was_visited_says_nothing_of_it(office: Office) -> None:
    for _ in range(3):
        office(works=False)
    office.pop.mailboxes["ann"].messages[1] = mail("X-Rcpt-To: b@example.org")
    with nobody() as port:
        assert office(works=False, receiver=port).code == 75
        for _ in range(2):
            assert office(works=True, receiver=port).code == 75  # no POP connection: ann's mail waits in the spool
    assert office(works=False).code == 77
    assert office.subjects() == ["POPFetch: account Bob keeps failing"]
    assert office(works=True).code == 0
    assert office.subjects()[1:] == ["POPFetch: account Bob works again"]


def test_an_account_that_a_dead_receiver_cut_short_has_not_recovered(office: Office) -> None:
    for _ in range(3):
        office(works=False)
    office.pop.mailboxes["bob"].messages.update(dict.fromkeys(range(1, 40), mail("X-Rcpt-To: b@example.org")))
    with nobody() as port:
        assert office(works=True, receiver=port, pf_window=1).code == 75
    assert office(works=False).code == 77  # the receiver is there again, and what waits for it is sent
    assert office.subjects() == ["POPFetch: account Bob keeps failing"]


def test_mail_of_an_account_that_was_sent_from_the_spool_does_not_mean_that_it_works(office: Office) -> None:
    office.pop.mailboxes["bob"].messages[1] = mail("X-Rcpt-To: b@example.org")
    office.smtp.refused = {b"b@example.org": b"450 later"}
    assert office(works=True).code == 75
    for _ in range(3):
        office(works=False)
    office.smtp.refused = {}
    assert office(works=False, pf_dial_up="false").code == 69
    assert [letter.recipients for letter in office.smtp.taken] == [(ADMIN,), (b"b@example.org",)]
    assert office.subjects() == ["POPFetch: account Bob keeps failing"]


def test_when_the_safety_net_trips(office: Office, work: Path) -> None:
    office.smtp.refused = {b"b@example.org": b"550 no"}
    office.pop.mailboxes["bob"].messages.update(dict.fromkeys((1, 2), mail("X-Rcpt-To: b@example.org")))
    assert office(works=True, pf_max_duds=2).code == 79
    assert office(works=True, pf_max_duds=2).code == 79
    assert office.subjects() == ["POPFetch: stopped by the safety net"]
    text = str(message_from_bytes(office.notices[0].content).get_payload())
    assert str(work / "duds.dat") in text
    assert "--reset" in text


def test_a_notice_that_cannot_be_sent_now_waits_in_the_spool(office: Office, work: Path) -> None:
    office(works=False)
    office(works=False)
    with nobody() as port:
        code, _, err = office(works=False, receiver=port)
    assert code == 75
    assert "1 message deferred in the spool" in err
    assert spooled(work) == ["msg.dat"]
    assert office(works=True).code == 0
    assert office.subjects() == ["POPFetch: account Bob keeps failing", "POPFetch: account Bob works again"]
    assert spooled(work) == []


def test_a_notice_that_is_refused_is_a_dud_that_is_told_of(office: Office, work: Path) -> None:
    office.smtp.refused = {ADMIN: b"550 no such user"}
    office(works=False)
    office(works=False)
    code, _, err = office(works=False)
    assert code == 77
    assert len(err.splitlines()) == 2
    assert "1 message went to duds.dat" in err
    assert b"keeps failing" in (work / "duds.dat").read_bytes()


def test_without_pf_notify_address_nobody_is_told(office: Office) -> None:
    for _ in range(3):
        office(works=False, pf_notify_address=None)
    assert office.smtp.taken == []
