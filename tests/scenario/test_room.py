"""Room in the spool: what this pass will not deliver is in nobody's way, and pf_spool_limit bounds all the same."""

import pytest

from tests.days import later
from tests.embedded import Mailbox as Box
from tests.embedded import SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.scenario.conftest import Mailbox
from tests.scenario.mails import mail, spooled


class Office:
    """bob's mailbox, and a receiver that puts off whom *later* names."""

    def __init__(self, mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass) -> None:
        self.mailbox, self.smtp, self.conf, self._run = mailbox, smtp, conf, run_pass
        self.work = conf.work

    def put(self, *names: str, size: int = 100) -> None:
        self.mailbox.put(*(mail(f"Subject: {name}", f"X-Rcpt-To: {name}@example.org") + b"x" * size for name in names))

    def __call__(self, *lines: str) -> Result:
        receiver = f"pf_smtp_server 127.0.0.1:{self.smtp.port}"
        return self._run(self.conf(account(self.mailbox.port), receiver, *lines), child=False)

    def later(self, number: int) -> None:
        """Let the first *number* people be put off."""
        self.smtp.refused = {b"b%d@example.org" % one: b"450 4.2.0 later" for one in range(number)}

    @property
    def octets(self) -> int:
        return sum(path.stat().st_size for path in self.work.glob("msg*.dat"))


@pytest.fixture
def office(mailbox: Mailbox, smtp: SmtpServer, conf: Conf, run_pass: RunPass) -> Office:
    return Office(mailbox, smtp, conf, run_pass)


def test_deferred_mail_fills_the_spool_to_its_limit_and_blocks_nobody(office: Office) -> None:
    office.later(30)
    office.put(*(f"b{number}" for number in range(31)), size=10_000)
    done = office("pf_spool_limit 50K", "pf_window 1")
    assert done.code == 75
    assert 30_000 <= office.octets <= 50_000 + 31 * 300
    assert [one.recipients for one in office.smtp.taken] == [(b"b30@example.org",)]  # who comes behind all of them
    assert len(office.mailbox.left) == 30
    office.later(0)
    for _ in range(2):
        office("pf_spool_limit 50K", "pf_window 1")
    assert office.mailbox.left == []
    assert len(office.smtp.taken) == 31


def test_what_was_left_on_its_server_for_want_of_room_keeps_its_verdicts_and_its_age(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.smtp.refused = {b"b%d@example.org" % one: b"450 4.2.0 later" for one in range(9)}
    both = mail("Subject: both", "X-Rcpt-To: b1@example.org, c@example.org")
    office.put("b0", size=20_000)
    office.mailbox.put(both + b"x" * 20_000)
    settings = ("pf_spool_limit 10K", "pf_window 1", "pf_give_up 2", "pf_dflt_address care@example.org")
    assert office(*settings).code == 75
    assert spooled(office.work) == ["msg.dat"]
    assert [one.recipients for one in office.smtp.taken] == [(b"c@example.org",)]
    for _ in range(3):
        later(monkeypatch, 0.9)
        office(*settings)
    told = [one.recipients for one in office.smtp.taken]
    assert told == [(b"c@example.org",), (b"care@example.org",), (b"care@example.org",)]
    assert office.mailbox.left == []


@pytest.mark.parametrize("planted", ["link", "folder"])
def test_a_spool_file_that_cannot_be_read_stops_nobody_and_is_told(office: Office, planted: str) -> None:
    office.work.mkdir(exist_ok=True)
    if planted == "link":
        (office.work / "msg.dat").symlink_to("/etc/passwd")
    else:
        (office.work / "msg.dat").mkdir()
    office.put("b1", "b2")
    done = office()
    assert done.code == 74
    assert f"{office.work / 'msg.dat'}: it is " in done.err
    assert len(office.smtp.taken) == 2
    assert office.mailbox.left == []
    assert (office.work / "msg.dat").is_symlink() == (planted == "link")


def test_a_message_whose_spool_file_cannot_be_read_is_fetched_again(office: Office) -> None:
    office.later(2)
    office.put("b1")
    assert office("pf_keep 0").code == 75
    assert spooled(office.work) == ["msg.dat"]
    octets = (office.work / "msg.dat").read_bytes()
    (office.work / "msg.dat").unlink()
    (office.work / "msg.dat").mkdir()
    office.later(0)
    assert office().code == 74
    assert len(office.smtp.taken) == 1 or office.mailbox.left  # delivered from the server, or still there
    (office.work / "msg.dat").rmdir()
    (office.work / "msg.dat").write_bytes(octets)
    (office.work / "msg.dat").chmod(0o600)
    office()
    assert len(office.smtp.taken) == 1
    assert office.mailbox.left == []


def test_an_account_that_is_held_takes_nobodys_room(office: Office) -> None:
    office.later(120)
    office.put(*(f"b{number}" for number in range(120)))
    assert office().code == 75
    journal = office.work / "popfetch.journal"
    lines = journal.read_bytes().split(b"\n")
    lines[40] = lines[40][:-4] + bytes([lines[40][-4] ^ 1]) + lines[40][-3:]
    journal.write_bytes(b"\n".join(lines))
    office.later(0)
    other = account(office.mailbox.port, "to=ann@example.org", user="ann")
    office.mailbox.server.mailboxes["ann"] = Box(b"geheim-ann", [mail("Subject: for ann")])
    done = office(other)
    assert done.code == 74
    assert [one.recipients for one in office.smtp.taken] == [(b"ann@example.org",)]
