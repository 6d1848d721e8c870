"""A Postfix with limits and moods: too many recipients, too large, not now, and errors that it counts."""

from collections.abc import Callable

import pytest

from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.office import NOTHING, Office, below, lines_with, pop3s
from tests.real.people import DOMAIN
from tests.real.postfix import Postfix

GREY = f"grey@{DOMAIN}"
LATER = f"{{ {GREY} = 450 4.2.0 come back later }}"
LARGEST = 60_000


@pytest.fixture(scope="module")
def picky(make_postfix: Callable[..., Postfix]) -> Postfix:
    return make_postfix(
        smtpd_recipient_limit=10,
        smtpd_hard_error_limit=20,  # as everywhere
        message_size_limit=LARGEST,
        virtual_mailbox_limit=LARGEST,
        smtpd_recipient_restrictions=f"check_recipient_access inline:{{{LATER}}}",
    )


@pytest.fixture
def office(dovecot: Dovecot, picky: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, picky, pki, conf, run_pass)


def to(*people: str) -> bytes:
    return b"X-Rcpt-To: " + ",\r\n ".join(people).encode() + b"\r\n"


def test_more_recipients_than_postfix_takes_at_once_get_it_once_each(office: Office) -> None:
    user, people = office.dovecot.user(), [office.postfix.address() for _ in range(35)]
    sample = mail.plain(1, 500)
    office.dovecot.fill(user, [to(*people) + sample.sent])
    assert office.run_pass(office.settings(pop3s(office.dovecot, user))) == NOTHING
    arrived = [office.postfix.received(who) for who in people]
    assert [len(messages) for messages in arrived] == [1] * 35
    assert all(below(message).endswith(sample.wanted) for (message,) in arrived)
    assert len(lines_with(office.postfix.log, "nrcpt=10 (queue active)", 3)) == 3
    assert len(lines_with(office.postfix.log, "nrcpt=5 (queue active)", 1)) == 1


def test_a_message_that_is_too_large_for_postfix_is_a_dud_until_its_limit_is_raised(office: Office) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    samples = [mail.plain(1, 500), mail.plain(2, 2 * LARGEST), mail.plain(3, 500)]
    office.dovecot.fill(user, [sample.sent for sample in samples])
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"))
    assert office.run_pass(path).code == 65
    assert len(office.postfix.received(address)) == 2
    assert f"larger than the {LARGEST} octets that the receiver takes" in office.run_pass(path, "--duds", "list").out
    settings = office.postfix.root / "etc" / "main.cf"
    settings.write_text(settings.read_text().replace(f" {LARGEST}\n", f" {10 * LARGEST}\n"))
    office.control("reload")
    assert office.run_pass(path, "--duds", "resend", "1").code == 0
    assert sorted(map(below, office.postfix.received(address))) == sorted(sample.wanted for sample in samples)


def test_who_is_told_to_come_back_later_gets_it_later_and_the_others_now(office: Office) -> None:
    user, glad = office.dovecot.user(), office.postfix.address()
    office.admit(GREY)
    samples = [mail.plain(1, 500), mail.plain(2, 500)]
    office.dovecot.fill(user, [to(GREY, glad) + sample.sent for sample in samples])
    path = office.settings(pop3s(office.dovecot, user))
    for _ in range(2):
        code, out, err = office.run_pass(path)
        assert (code, out) == (75, "")
        assert "2 messages deferred in the spool" in err
    assert len(office.postfix.received(glad)) == 2
    status = office.run_pass(path, "--status").out
    assert status.count(f"deferred for {GREY}") == 2
    settings = office.postfix.root / "etc" / "main.cf"
    settings.write_text(settings.read_text().replace("come back later", "").replace("450 4.2.0", "OK"))
    office.control("reload")
    assert office.run_pass(path) == NOTHING
    assert office.dovecot.left(user) == 0
    late = [below(message) for message in office.postfix.received(GREY)]
    assert sorted(message[-500:] for message in late) == sorted(sample.wanted[-500:] for sample in samples)
    assert len(office.postfix.received(glad)) == 2


def test_postfix_is_never_brought_to_hang_up_after_twenty_errors(office: Office) -> None:
    user, glad = office.dovecot.user(), office.postfix.address()
    strangers = [to(f"stranger{number}@{DOMAIN}") + mail.plain(number, 100).sent for number in range(60)]
    office.dovecot.fill(user, [*strangers, *(to(glad) + mail.plain(number, 100).sent for number in range(60, 65))])
    path = office.settings(pop3s(office.dovecot, user), pf_max_duds=1000)
    code, _, err = office.run_pass(path)
    assert (code, err) == (65, "popfetch: 60 messages went to duds.dat; --duds list shows why\n")
    assert "too many errors after" not in office.postfix.log.read_text()
    assert len(office.postfix.received(glad)) == 5
    assert office.dovecot.left(user) == 0


def test_mail_that_went_round_in_circles_elsewhere_is_a_dud_and_no_more(office: Office) -> None:
    """Postfix counts to fifty, we to a hundred."""
    user, address = office.dovecot.user(), office.postfix.address()
    hop = b"Received: from a.example by b.example; Mon, 17 Mar 2025 10:00:00 +0100\r\n"
    office.dovecot.fill(user, [hop * count + mail.plain(count, 100).sent for count in (1, 60, 101, 2)])
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"), pf_dflt_address=office.postfix.address())
    assert office.run_pass(path).code == 65
    assert len(office.postfix.received(address)) == 2
    listed = office.run_pass(path, "--duds", "list").out
    assert "too many hops" in listed
    assert "more than 100 Received lines" in listed
    assert office.dovecot.left(user) == 0
