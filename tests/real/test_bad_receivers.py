"""Receivers that fail at every command in every way, played by smtp-sink: nothing is lost and nothing doubled."""

import itertools
from collections.abc import Callable

import pytest

from tests.days import later
from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.office import NOTHING, Office, below, pop3s
from tests.real.postfix import Postfix

COUNT = 8  # fewer than trip the safety net
WAYS = {"-f": "hard error", "-r": "soft error", "-q": "hang-up", "-Q": "421 and hang-up"}
COMMANDS = ("CONNECT", "EHLO,HELO", "MAIL", "RCPT", "DATA", ".")
# Where a hard error is the message's: it becomes a dud.
BLAMED = {("-f", command) for command in ("MAIL", "RCPT", "DATA", ".")}

# Where it may have been taken: from the second time on an hour passes before the next try.
IN_DOUBT = {("-q", ".")}


@pytest.fixture
def office(dovecot: Dovecot, postfix: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, postfix, pki, conf, run_pass)


@pytest.mark.parametrize(("way", "command"), list(itertools.product(WAYS, COMMANDS)))
def test_a_receiver_that_fails_costs_no_message(
    office: Office, sink: Callable[..., int], monkeypatch: pytest.MonkeyPatch, way: str, command: str
) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    samples = [mail.plain(number, 3000) for number in range(COUNT)]
    office.dovecot.fill(user, [sample.sent for sample in samples])
    line = pop3s(office.dovecot, user, f"to={address}")
    bad = office.settings(line, pf_smtp_server=f"127.0.0.1:{sink(way, command)}")
    for _ in range(1 if (way, command) in IN_DOUBT else 2):
        code, out, err = office.run_pass(bad)
        assert (code, out) == (75, "") or (way, command) in BLAMED
        assert err or code == 0
        assert "bug" not in err
    later(monkeypatch, 1)  # what may have been taken is sent again at growing intervals
    good = office.settings(line)
    if (way, command) in BLAMED:
        assert office.run_pass(good, "--duds", "resend", "all").code == 0
    assert office.run_pass(good) == NOTHING
    assert office.dovecot.left(user) == 0
    assert sorted(map(below, office.postfix.received(address))) == sorted(sample.wanted for sample in samples)


def test_a_refusal_in_the_middle_of_the_content_is_heard(office: Office, sink: Callable[..., int]) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    large = mail.plain(1, 5 * mail.MEGABYTE)
    office.dovecot.fill(user, [large.sent])
    line = pop3s(office.dovecot, user, f"to={address}")
    code, _, err = office.run_pass(office.settings(line, pf_smtp_server=f"127.0.0.1:{sink('-A', '1')}"))
    assert (code, err) == (65, "popfetch: 1 message went to duds.dat; --duds list shows why\n")
    assert office.run_pass(office.settings(line), "--duds", "resend", "1").code == 0
    (arrived,) = office.postfix.received(address)
    assert below(arrived) == large.wanted


@pytest.mark.parametrize(
    "options",
    [("-e",), ("-p",), ("-8",), ("-E",), ("-P",), ("-N", "-C", "-F", "-a"), ("-e", "-p"), ("-L",), ("-L", "-p")],
)
def test_a_receiver_that_offers_little_gets_everything(
    office: Office, sink: Callable[..., int], options: tuple[str, ...]
) -> None:
    user = office.dovecot.user()
    samples = [kind(number, 3000) for number, kind in enumerate(mail.KINDS)]
    office.dovecot.fill(user, [sample.sent for sample in samples])
    protocol = "lmtp" if "-L" in options else "smtp"
    path = office.settings(
        pop3s(office.dovecot, user, "to=a@example.test"),
        pf_smtp_server=f"127.0.0.1:{sink(*options)}",
        pf_smtp_protocol=protocol,
    )
    assert office.run_pass(path) == NOTHING
    assert office.dovecot.left(user) == 0
