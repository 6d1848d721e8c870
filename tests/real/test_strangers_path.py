"""A stranger's path: a dmail.conf for his own account, --check, --dry-run, -test; what fails says what to do next.

Whatever is wrong is one line on stderr that names the account (or the file and its line) and the setting to look at.
"""

from typing import NamedTuple

import pytest

from tests.passes import Conf, Result, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.office import NOTHING, Office, below, pop3, pop3s
from tests.real.people import DOMAIN
from tests.real.postfix import Postfix
from tests.real.running import free_ports


@pytest.fixture
def office(dovecot: Dovecot, postfix: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, postfix, pki, conf, run_pass)


MOST_LINES = 60  # of debug log, for one message: however large it is, a person can read them


class Ports(NamedTuple):
    """Where somebody answers, and where nobody does."""

    pop3: int
    pop3s: int
    smtp: int
    dead: int


@pytest.fixture
def ports(office: Office) -> Ports:
    return Ports(office.dovecot.pop3, office.dovecot.pop3s, office.postfix.port, *free_ports(1))


def told(office: Office, line: str, *arguments: str, **settings: object) -> Result:
    """Run the program as a child; in what it says dmail.conf stands without its folder."""
    path = office.settings(line, **settings)
    result = office.run_pass(path, *arguments, child=True)
    return result._replace(err=result.err.replace(f"{path}:", "dmail.conf:"))


def test_without_a_dmail_conf_one_line_says_how_to_begin(office: Office) -> None:
    result = office.run_pass(office.conf.path.with_name("none.conf"), "--check", child=True)
    assert result == (
        78,
        "",
        f"popfetch: {office.conf.path.with_name('none.conf')}: cannot be read: No such file or directory\n",
    )


def test_a_dmail_conf_that_others_can_read_comes_with_the_command_that_mends_it(office: Office) -> None:
    path = office.settings(pop3(office.dovecot, office.dovecot.user()))
    path.chmod(0o644)
    result = office.run_pass(path, "--check", child=True)
    told = f"popfetch: {path}:1: others can read this file and it holds a password; run: chmod 600 {path}\n"
    assert result == (78, "", told)


def test_every_mistake_in_dmail_conf_is_told_of_at_once(office: Office) -> None:
    wrong = {"pf_smtp_server": "host:99999", "pf_max_duds": 0}
    code, out, err = told(office, "pf_user bob geheim-bob", "--check", **wrong)
    assert (code, out) == (78, "")
    assert [line.split(": ")[1:3] for line in err.splitlines()] == [
        ["dmail.conf:1", "pf_user"],
        ["dmail.conf:4", "pf_smtp_server"],
        ["dmail.conf:5", "pf_max_duds"],
    ]


def test_a_misspelt_setting_is_told_of_with_the_right_name(office: Office) -> None:
    code, out, err = told(office, pop3(office.dovecot, office.dovecot.user()), "--check", pf_dflt_adress=f"a@{DOMAIN}")
    assert (code, err) == (0, "")
    assert "pf_dflt_adress" in out
    assert "pf_dflt_address?" in out


class Wrong(NamedTuple):
    """A pf_user line that does not work, the exit code, and what is said of it."""

    line: str
    code: int
    words: str


WRONG = [
    Wrong(
        "{user} {password} localhost:{ports.dead}",
        76,
        "localhost:{ports.dead}: cannot connect: Connection refused: see host and port of dmail.conf:1",
    ),
    Wrong(
        "{user} {password} nowhere.invalid",
        76,
        "nowhere.invalid:110: cannot connect: Name or service not known: see host and port of dmail.conf:1",
    ),
    Wrong(
        "{user} geheim-no localhost:{ports.pop3}",
        77,
        "login refused ([AUTH] Authentication failed.): check user and password in dmail.conf:1",
    ),
    Wrong(
        "{user} geheim-no localhost:{ports.pop3} auth=login",
        77,
        "login refused ([AUTH] Authentication failed.): check user, password and auth= in dmail.conf:1",
    ),
    Wrong(
        "{user} file:nowhere localhost:{ports.pop3}",
        78,
        "dmail.conf:1: file:{folder}/nowhere cannot be read: No such file or directory",
    ),
    Wrong(
        "{user} {password} localhost:{ports.pop3} tls=implicit",
        76,
        "localhost:{ports.pop3}: TLS failed: wrong version number; it seems not to speak TLS from the start: "
        "see port and tls= of dmail.conf:1",
    ),
    Wrong(
        "{user} {password} localhost:{ports.pop3s}",
        76,
        "localhost:{ports.pop3s}: no answer in time (no greeting; does this port want tls=implicit?) (dmail.conf:1)",
    ),
    Wrong(
        "{user} {password} localhost:{ports.smtp}",
        76,
        "a reply that is none: '220 postfix.example.test ESMTP Postfix': no POP3 server? "
        "see host and port of dmail.conf:1",
    ),
]


@pytest.mark.parametrize("argument", ["--dry-run", "-test"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_an_account_is_one_line_that_names_it_and_what_to_look_at(
    office: Office, ports: Ports, wrong: Wrong, argument: str
) -> None:
    facts = {"user": office.dovecot.user(), "password": PASSWORD, "ports": ports, "folder": office.conf.path.parent}
    result = told(office, f"pf_user {wrong.line.format(**facts)} name=mine", argument, pf_timeout=1)
    complaints = [line for line in result.err.splitlines() if line.startswith("popfetch: ")]
    assert complaints == [f"popfetch: mine: {wrong.words.format(**facts)}"]
    assert result.code == wrong.code


def test_a_pass_that_fails_says_no_more_than_its_one_line(office: Office, ports: Ports) -> None:
    code, out, err = told(office, f"pf_user bob {PASSWORD} localhost:{ports.dead}")
    assert (code, out) == (76, "")
    (line,) = err.splitlines()
    assert line.startswith(f"popfetch: bob@localhost:{ports.dead}: ")


def test_a_certificate_of_an_unknown_ca_names_the_settings_that_make_it_known(office: Office) -> None:
    for line in (pop3s, pop3):
        result = told(office, line(office.dovecot, "bob", "name=mine"), "--dry-run", pf_tls_ca=None)
        assert result.code == 76
        assert "popfetch: mine: localhost:" in result.err
        assert "the certificate does not verify: unable to get local issuer certificate" in result.err
        assert "see host and pin= of dmail.conf:1, and pf_tls_ca" in result.err


def test_the_whole_path_without_a_stumble(office: Office) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    sample = mail.plain(1, mail.MEGABYTE)
    office.dovecot.fill(user, [b"X-Rcpt-To: %b\r\n" % address.encode() + sample.sent])
    line = pop3s(office.dovecot, user, "name=mine")
    checked = told(office, line, "--check")
    assert checked.code == 0
    assert "strangers too" in checked.out
    better = {"pf_accept_domain": DOMAIN, "pf_dflt_address": f"caretaker@{DOMAIN}"}
    checked = told(office, line, "--check", **better)
    assert (checked.code, checked.err) == (0, "")
    assert "1 account, 0 warnings" in checked.out
    planned = told(office, line, "--dry-run", **better)
    assert (planned.code, planned.err) == (0, "")
    assert "mine: 1 messages, TLS\n" in planned.out
    assert f"-> {address}: X-Rcpt-To gave {address}\n" in planned.out
    assert office.dovecot.left(user) == 1
    tested = told(office, line, "-test", **better)
    assert tested.code == 0
    assert "status=delivered" in tested.err
    assert len(tested.err.splitlines()) < MOST_LINES
    assert tested.out.splitlines()[-1].startswith("exit 0 after ")
    (arrived,) = office.postfix.received(address)
    assert below(arrived).endswith(sample.wanted)
    assert told(office, line, **better) == NOTHING


def test_a_receiver_that_is_down_is_told_of_and_the_next_pass_mends_it(office: Office, ports: Ports) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, [mail.plain(1, 300).sent])
    line = pop3s(office.dovecot, user, f"to={address}")
    code, _, err = told(office, line, "-test", pf_smtp_server=f"127.0.0.1:{ports.dead}")
    assert code == 75
    receiver, spool = [line for line in err.splitlines() if line.startswith("popfetch: ")]
    assert f"127.0.0.1:{ports.dead}: cannot connect: Connection refused: see pf_smtp_server" in receiver
    assert spool == "popfetch: 1 message deferred in the spool; --status shows to whom"
    assert told(office, line) == NOTHING
    assert len(office.postfix.received(address)) == 1


def test_an_unknown_recipient_is_a_dud_whose_reason_names_what_to_set(office: Office) -> None:
    user, address = office.dovecot.user(), f"nobody.here@{DOMAIN}"
    office.dovecot.fill(user, [mail.plain(1, 300).sent])
    line = pop3s(office.dovecot, user, f"to={address}")
    assert f"-> {address}: to= gives {address}\n" in told(office, line, "--dry-run").out
    code, _, err = told(office, line, "-test")
    assert code == 65
    assert err.splitlines()[-1] == "popfetch: 1 message went to duds.dat; --duds list shows why"
    listed = told(office, line, "--duds", "list").out
    assert f"550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table" in listed


def test_a_message_without_recipient_names_the_setting_of_the_caretaker(office: Office) -> None:
    user = office.dovecot.user()
    office.dovecot.fill(user, [mail.headerless(1, 300).sent])
    line = pop3s(office.dovecot, user)
    assert "nobody: it would be a dud" in told(office, line, "--dry-run").out
    assert told(office, line).code == 65
    assert "no pf_dflt_address is set" in told(office, line, "--duds", "list").out
