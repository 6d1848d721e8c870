"""What a stranger types before the first pass and after one: --check, --dry-run, -test, --status."""

import sys
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.peer import nobody
from tests.pki import Pki
from tests.scenario.conftest import Receiver, Server
from tests.scenario.mails import mail
from tests.scenario.pop import LOGIN, numbered


def contents(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in work.iterdir()}


# --- --check -------------------------------------------------------------------------------------------------------


def test_check_shows_every_setting_and_touches_nothing(conf: Conf, run_pass: RunPass, work: Path) -> None:
    path = conf(account(110), pf_keep=3, pf_dflt_address="care@example.org", someone_elses="x")
    code, out, err = run_pass(path, "--check")
    assert (code, err) == (0, "")
    assert "pf_dflt_address" in out
    assert "care@example.org" in out
    assert "dmail.conf:3" in out
    assert "geheim" not in out
    assert contents(work) == {}


def test_wrong_settings_are_told_all_at_once_and_nothing_is_touched(conf: Conf, run_pass: RunPass, work: Path) -> None:
    lines = ["pf_user bob geheim-bob", "pf_keep soon", "pf_window 0", "pf_smtp_server [::1"]
    path = conf(*lines)
    for words in ([], ["--check"], ["--dry-run"], ["--scheduled"], ["-test"]):
        code, out, err = run_pass(path, *words)
        assert (code, out) == (78, "")
        assert [f"{path}:{number}" in line for number, line in enumerate(err.splitlines(), 1)] == [True] * 4
        assert "geheim" not in err
    assert contents(work) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_a_password_that_others_can_read_is_refused_with_the_command_to_type(conf: Conf, run_pass: RunPass) -> None:
    path = conf(account(110))
    path.chmod(0o644)
    code, _, err = run_pass(path)
    assert code == 78
    assert f"chmod 600 {path}" in err


def test_no_dmail_conf(conf: Conf, run_pass: RunPass, tmp_path: Path) -> None:
    code, _, err = run_pass(tmp_path / "nothing")
    assert code == 78
    assert str(tmp_path / "nothing") in err
    assert conf.path.exists() is False


# --- --dry-run -----------------------------------------------------------------------------------------------------


def test_dry_run_explains_who_would_get_what_and_changes_nothing(server: Server, work: Path) -> None:
    script = f"""
        {LOGIN}
        C: UIDL
        {numbered({1: "u1", 2: "u2", 3: "u3", 4: "u4"})}
        C: LIST
        {numbered({1: "100", 2: "200", 3: "5000", 4: "300"})}
        C: TOP 1 0
        S: +OK
        S. one
        C: TOP 2 0
        S: +OK
        S. two
        C: TOP 4 0
        S: -ERR not here
        C: QUIT
        S: +OK
    """
    given = {
        "one": mail("To: no@x.example", "X-Rcpt-To: b@example.org, s@far.example"),
        "two": mail("To: c@example.org, \x1b[31md@example.org"),
    }
    code, out, err, *_ = server(
        script, "--dry-run", option="name=bob", given=given, pf_max_size=4000, pf_accept_domain="example.org"
    )
    assert (code, err) == (0, "")
    told = out.splitlines()
    assert told[0] == "bob: 4 messages, no TLS"
    text = "\n".join(told)
    assert "  message 1 (u1, 100 octets): would be fetched\n    -> b@example.org: X-Rcpt-To gave b@example.org" in text
    assert "s@far.example ignored: not in pf_accept_domain" in text
    assert "-> c@example.org: To gave c@example.org" in text
    assert "  message 3 (u3, 5000 octets): is over pf_max_size; would stay on the server" in text
    assert "who would get it cannot be said: the server refuses TOP (not here)" in text
    assert "\x1b" not in out
    assert server.smtp.heard == []
    assert contents(work) == {}


def test_dry_run_says_what_is_delivered_already(conf: Conf, run_pass: RunPass, work: Path, smtp: SmtpServer) -> None:
    with PopServer({"bob": ("geheim-bob", [mail("X-Rcpt-To: b@example.org")])}) as pop:
        server = {"pf_smtp_server": f"127.0.0.1:{smtp.port}"}
        assert run_pass(conf(account(pop.port), pf_keep=7, **server)).code == 0
        before = contents(work)
        assert "would stay as it is" in run_pass(conf(account(pop.port), pf_keep=7, **server), "--dry-run").out
        assert "is delivered already; would be deleted" in run_pass(conf(account(pop.port), **server), "--dry-run").out
        assert contents(work) == before
        assert len(pop.left("bob")) == 1
        assert "DELE" not in pop.heard


def test_dry_run_warns_of_strangers_and_of_nobody(server: Server) -> None:
    script = f"""
        {LOGIN}
        C: UIDL
        {numbered({1: "u1", 2: "u2"})}
        C: LIST
        {numbered({1: "100", 2: "200"})}
        C: TOP 1 0
        S: +OK
        S. one
        C: TOP 2 0
        S: +OK
        S. two
        C: QUIT
        S: +OK
    """
    given = {"one": mail("To: b@example.org"), "two": mail("Subject: for nobody")}
    code, out, err, *_ = server(script, "--dry-run", option="", given=given)
    assert (code, err) == (0, "")
    assert "-> b@example.org: To gave b@example.org; these may be strangers" in out
    assert "-> nobody: it would be a dud: no address in X-Rcpt-To, X-Recip-To, To" in out


# --- what a stranger gets wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--dry-run"], []])
@pytest.mark.parametrize("mistake", ["port", "password", "tls", "plain"])
def test_each_mistake_is_told_in_one_line_that_names_the_account_and_the_setting(
    conf: Conf, run_pass: RunPass, pki: Pki, words: list[str], mistake: str
) -> None:
    password = "geheim-bob" if mistake != "password" else "another"
    with (
        PopServer({"bob": (password, [])}, pki.good, implicit=mistake == "plain") as pop,
        SmtpServer() as smtp,
        nobody() as closed,
    ):
        line = account(closed if mistake == "port" else pop.port, {"tls": "tls=implicit"}.get(mistake, "tls=off"))
        path = conf(line, pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_timeout=1)
        code, _, err = run_pass(path, *words)
    assert code == (77 if mistake == "password" else 76)
    (complaint,) = [text for text in err.splitlines() if text.startswith("popfetch: ")]
    assert "bob@127.0.0.1:" in complaint
    assert f"{path}:1" in complaint
    hint = {"port": "refused", "password": "check user and password", "tls": "tls=", "plain": "tls=implicit"}
    assert hint[mistake] in complaint


@pytest.mark.parametrize("words", [["-test"], []])
def test_a_receiver_that_is_down_is_told_with_its_setting(receiver: Receiver, words: list[str]) -> None:
    receiver.mailbox.put(mail("X-Rcpt-To: b@example.org"))
    with nobody() as port:
        code, _, err = receiver.run_pass(receiver.write(pf_smtp_server=f"127.0.0.1:{port}"), *words)
    assert code == 75
    complaints = [text for text in err.splitlines() if text.startswith("popfetch: ")]
    assert f"127.0.0.1:{port}" in complaints[0]
    assert "pf_smtp_server" in complaints[0]
    assert "deferred in the spool" in complaints[1]


def test_an_unknown_recipient_is_told_where_to_look(receiver: Receiver) -> None:
    receiver.mailbox.put(mail("X-Rcpt-To: b@example.org"))
    with SmtpServer({b"b@example.org": b"550 5.1.1 no such user"}) as smtp:
        path = receiver.write(pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert "--duds list shows why" in receiver.run_pass(path).err
        assert "<b@example.org>: 550 5.1.1 no such user" in receiver.run_pass(path, "--duds", "list").out


# --- -test and --status --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["-test", "--test"])
def test_a_test_shows_the_transcript_and_a_summary(receiver: Receiver, smtp: SmtpServer, word: str) -> None:
    receiver.mailbox.put(mail("X-Rcpt-To: b@example.org"))
    path = receiver.write("name=Bob", pf_smtp_server=f"127.0.0.1:{smtp.port}")
    code, out, err = receiver.run_pass(path, word, child=True)
    assert code == 0
    assert "RETR 1" in err
    assert "RCPT TO:<b@example.org>" in err
    heading, row, last = out.splitlines()
    assert heading.split()[:3] == ["account", "listed", "fetched"]
    assert row.split()[:3] == ["Bob", "1", "1"]
    assert last.startswith("exit 0 after ")


def test_status_tells_of_the_last_pass_the_spool_the_duds_and_the_accounts(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    no = {b"bad@example.org": b"550 no", b"grey@example.org": b"450 later"}
    mails = [mail("X-Rcpt-To: bad@example.org"), mail("X-Rcpt-To: grey@example.org")]
    with PopServer({"bob": ("geheim-bob", mails)}) as pop, SmtpServer(no) as smtp, nobody() as port:
        accounts = account(pop.port, "name=Bob"), account(port, "name=Gone", user="gone")
        path = conf(*accounts, pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert "last pass: none yet" in run_pass(path, "--status").out
        assert contents(work) == {}
        assert run_pass(path).code == 75
        before = contents(work)
        code, out, err = run_pass(path, "--status")
        assert (code, err) == (0, "")
        assert contents(work) == before
    lines = out.splitlines()
    assert lines[0].startswith("last pass: started 20")
    assert "duds in a row: 1 of 10" in lines
    assert "duds.dat: 1 message; --duds list shows why" in lines
    assert [
        line for line in lines if line.startswith("  from account Bob, ") and "deferred for grey@example.org" in line
    ]
    assert [line for line in lines if line.startswith("account Bob: last success 20")]
    assert [line for line in lines if line.startswith("account Gone: failing since ") and "refused" in line]
