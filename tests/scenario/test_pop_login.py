"""Greeting, capabilities and login: one login a pass, and the exit code says what was refused."""

import sys
from base64 import b64encode
from pathlib import Path

import pytest

from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass, account
from tests.peer import peer
from tests.scenario.conftest import Server
from tests.scenario.mails import mail, warnings

EMPTY = """
    C: UIDL
    S: +OK
    S: .
    C: LIST
    S: +OK
    S: .
    C: QUIT
    S: +OK
"""
PASSWORD = """
    C: USER bob
    S: +OK
    C: PASS geheim-bob
"""


def account_of(server: Server) -> str:
    """Return the place of the account's line, as complaints name it."""
    return f"{server.conf.path}:1"


# --- greeting and CAPA ---------------------------------------------------------------------------------------------


def test_a_greeting_that_refuses_us(server: Server) -> None:
    code, out, err, *_ = server("S: -ERR too many connections")
    assert (code, out) == (76, "")
    assert err.startswith("popfetch: bob@127.0.0.1")
    assert "too many connections" in err
    assert account_of(server) in err
    assert len(err.splitlines()) == 1


def test_a_server_of_another_kind_is_called_once(server: Server) -> None:
    passed = server("S: 220 mx.example ESMTP")
    assert passed.code == 76
    assert "no POP3 server?" in passed.err


@pytest.mark.parametrize("refusal", ["S: -ERR unknown command", "S: -ERR", "S: +OK\nS: ."])
def test_a_server_without_capabilities(server: Server, refusal: str) -> None:
    again = "C: CAPA\nS: +OK\nS: ." if refusal.startswith("S: +OK") else ""
    assert server(f"S: +OK\nC: CAPA\n{refusal}\n{PASSWORD}\nS: +OK\n{again}\n{EMPTY}")[:3] == (0, "", "")


def test_a_server_that_hangs_up_on_capa_is_not_asked_again(server: Server) -> None:
    assert server(f"S: +OK\nC: CAPA\n-- cut\n== next\nS: +OK\n{PASSWORD}\nS: +OK\n{EMPTY}")[:3] == (0, "", "")


def test_capabilities_are_asked_for_again_after_the_login(server: Server) -> None:
    one, two = mail("Subject: one"), mail("Subject: two", body="how are you?")
    script = f"""
        S: +OK
        C: CAPA
        S: +OK
        S: USER
        S: .
        {PASSWORD}
        S: +OK
        C: CAPA
        S: +OK
        S: PIPELINING
        S: .
        C: UIDL
        S: +OK
        S: 1 a
        S: 2 b
        S: .
        C: LIST
        S: +OK
        S: 1 {len(one)}
        S: 2 {len(two)}
        S: .
        C: RETR 1
        C: RETR 2
        S: +OK
        S. one
        S: +OK
        S. two
        C: DELE 1
        C: DELE 2
        C: QUIT
        S: +OK
        S: +OK
        S: +OK
    """
    assert server(script, given={"one": one, "two": two})[:3] == (0, "", "")


def test_with_pipelining_from_the_start_login_and_listing_are_one_group(server: Server) -> None:
    script = """
        -- latency 0.05
        S: +OK
        C: CAPA
        S: +OK
        S: PIPELINING
        S: .
        C: USER bob
        C: PASS geheim-bob
        C: CAPA
        C: UIDL
        C: LIST
        S: +OK
        S: +OK
        S: +OK
        S: PIPELINING
        S: .
        S: +OK
        S: .
        S: +OK
        S: .
        C: QUIT
        S: +OK
    """
    passed = server(script)
    assert (passed[:3], passed.rounds) == ((0, "", ""), 3)


# --- ways to log in ------------------------------------------------------------------------------------------------


def coded(text: str) -> str:
    return b64encode(text.encode()).decode()


LONG = "geheim-" + "x" * 300


@pytest.mark.parametrize(
    ("auth", "greeting", "login"),
    [
        ("user", "hi", f"{PASSWORD}S: +OK"),
        ("apop", "hi <1896.697170952@dbc.mtview.ca.us>", "C: APOP bob 76d7c0155cf452975bfe35b53d3f6d6b\nS: +OK"),
        ("plain", "hi", f"C: AUTH PLAIN {coded(chr(0) + 'bob' + chr(0) + 'geheim-bob')}\nS: +OK"),
        (
            "login",
            "hi",
            f"C: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: {coded('bob')}\nS: + UGFzc3dvcmQ6\nC: {coded('geheim-bob')}\nS: +OK",
        ),
        ("login", "hi", f"C: AUTH LOGIN\nS: + user?\nC: {coded('bob')}\nS: +\nC: {coded('geheim-bob')}\nS: +OK"),
        (  # some say +OK where a challenge is due
            "login",
            "hi",
            f"C: AUTH LOGIN\nS: +OK VXNlcm5hbWU6\nC: {coded('bob')}\nS: +OK\nC: {coded('geheim-bob')}\nS: +OK",
        ),
        (
            "cram-md5",
            "hi",
            "C: AUTH CRAM-MD5\nS: + PHBAeD4=\nC: " + coded("bob 9ee866d0dd6156239b1dc7e497b459a1") + "\nS: +OK",
        ),
        (
            "oauthbearer",
            "hi",
            f"C: AUTH OAUTHBEARER\nS: + \nC~ {coded('n,a=bob,' + chr(1) + 'host=127.0.0.1')[:28]}.*\nS: +OK",
        ),
        (
            "xoauth2",
            "hi",
            f"C: AUTH XOAUTH2\nS: + \nC: {coded('user=bob' + chr(1) + 'auth=Bearer geheim-bob' + chr(1) * 2)}\nS: +OK",
        ),
    ],
)
def test_ways_to_log_in(server: Server, auth: str, greeting: str, login: str) -> None:
    script = f"S: +OK {greeting}\nC: CAPA\nS: -ERR\n{login}\n{EMPTY}"
    assert server(script, option=f"to=b@example.org auth={auth}")[:3] == (0, "", "")


def test_a_server_that_announces_only_plain_gets_plain(server: Server) -> None:
    plain = coded("\0bob\0geheim-bob")
    capa = "C: CAPA\nS: +OK\nS: SASL PLAIN\nS: UIDL\nS: .\n"
    assert server(f"S: +OK\n{capa}C: AUTH PLAIN {plain}\nS: +OK\n{capa}{EMPTY}")[:3] == (0, "", "")


def test_apop_without_a_timestamp_sends_nothing(server: Server) -> None:
    passed = server("S: +OK hi\nC: CAPA\nS: -ERR", option="to=b@example.org auth=apop")
    assert passed.code == 76
    assert "APOP" in passed.err
    assert account_of(server) in passed.err


@pytest.mark.parametrize(("mechanism", "answer"), [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
def test_what_oauth_says_is_wrong_is_answered_and_told(server: Server, mechanism: str, answer: str) -> None:
    script = f"""
        S: +OK
        C: CAPA
        S: -ERR
        C: AUTH {mechanism}
        S: +
        C* *
        S: + {coded('{"status":"400","schemes":"Bearer"}')}
        C: {answer}
        S: -ERR Authentication failure: the token has expired
    """
    passed = server(script, option=f"to=b@example.org auth={mechanism.lower()}")
    assert passed.code == 77
    assert "the token has expired" in passed.err


# --- refused logins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("-ERR [AUTH] wrong password", 77),
        ("-ERR invalid password", 77),
        ("-ERR", 77),
        ("-ERR [IN-USE] somebody else reads this mailbox", 76),
        ("-ERR [LOGIN-DELAY] not that often", 76),
        ("-ERR [SYS/TEMP] try later", 76),
        ("-ERR [SYS/PERM] call us", 76),
        ("-ERR [in-use] locked", 76),
    ],
)
def test_a_refused_login_is_tried_once_and_the_exit_code_says_why(
    server: Server, smtp: SmtpServer, refusal: str, code: int
) -> None:
    passed = server(f"S: +OK\nC: CAPA\nS: -ERR\n{PASSWORD}\nS: {refusal}")
    assert (passed.code, passed.out, smtp.heard) == (code, "", [])
    (line,) = passed.err.splitlines()
    assert line.startswith("popfetch: bob@127.0.0.1")
    assert refusal[5:] in line
    assert account_of(server) in line


def test_a_refused_user_gets_no_password(server: Server) -> None:
    passed = server("S: +OK\nC: CAPA\nS: -ERR\nC: USER bob\nS: -ERR [AUTH] no such mailbox")
    assert passed.code == 77
    assert b"geheim" not in passed.heard


def test_a_server_that_closes_on_a_wrong_password(server: Server) -> None:
    passed = server(f"S: +OK\nC: CAPA\nS: -ERR\n{PASSWORD}\n-- cut")
    assert passed.code == 76
    assert "closed the connection" in passed.err


@pytest.mark.parametrize(
    "password",
    [
        "file:secret",
        "env:SECRET",
        pytest.param("command:cat {folder}/secret", marks=pytest.mark.skipif(sys.platform == "win32", reason="no cat")),
        "literal:geheim-bob",
    ],
)
def test_a_password_may_stand_elsewhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim-bob\n")
    secret.chmod(0o600)
    server.conf.secrets.plant("geheim-bob", secret)
    monkeypatch.setenv("SECRET", "geheim-bob")
    line = f'pf_user bob "{password.format(folder=tmp_path)}" 127.0.0.1:{{port}} to=b@example.org'
    assert server(f"S: +OK\nC: CAPA\nS: -ERR\n{PASSWORD}\nS: +OK\n{EMPTY}", line=line)[:3] == (0, "", "")


def test_a_password_that_is_not_to_be_had(server: Server, tmp_path: Path) -> None:
    path = server.conf(f"pf_user bob file:{tmp_path}/nothing 127.0.0.1:1", pf_smtp_server="127.0.0.1:1")
    code, _, err = server.run_pass(path)
    assert code == 78
    assert str(tmp_path / "nothing") in err


# --- hostile words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "[AUTH] no user bob with password geheim-bob",
        f"[AUTH] cannot decode {coded(chr(0) + 'bob' + chr(0) + 'geheim-bob')}",
        "\x1b]0;owned\x07\x1b[2J no",
    ],
)
def test_a_server_that_repeats_the_password_or_moves_the_cursor_does_neither_here(server: Server, words: str) -> None:
    passed = server(f"S: +OK\nC: CAPA\nS: -ERR\n{PASSWORD}\nS: -ERR {words}", log_level="debug")
    assert passed.code == 77
    assert not set(passed.err) & {"\x1b", "\x07"}  # and the secrets fixture looks for the password everywhere


def test_a_password_in_the_clear_to_far_away_is_warned_of_once_a_pass(
    server: Server, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.pop.session.is_near", lambda _: False)
    script = f"S: +OK\nC: CAPA\nS: -ERR\n{PASSWORD}\nS: +OK\n{EMPTY}"
    assert server(script, option="to=b@example.org name=bob tls=off")[:3] == (0, "", "")
    (warning,) = warnings(work)
    assert "the password of bob crosses the network in the clear" in warning


# --- what an earlier pass learned --------------------------------------------------------------------------------

CAPABLE = """
    C: CAPA
    S: +OK
    S: PIPELINING
    S: .
"""
AT_ONCE = """
    C: USER bob
    C: PASS geheim-bob
    C: CAPA
    C: UIDL
    C: LIST
    S: +OK
    S: +OK
    S: +OK
    S: PIPELINING
    S: .
    S: +OK
    S: .
    S: +OK
    S: .
    C: QUIT
    S: +OK
"""
FIRST = f"S: +OK\n{CAPABLE}{AT_ONCE}"
LATER = f"S: +OK\n{AT_ONCE}"


class Days:
    """Runs one pass after another over sessions of one server; returns their exit codes."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.smtp = conf, run_pass, smtp

    def __call__(self, *sessions: str, option: str = "tls=off") -> list[int]:
        with peer("== next\n".join(sessions)) as p:
            path = self.conf(account(p.port, option), pf_smtp_server=f"127.0.0.1:{self.smtp.port}")
            return [self.run_pass(path)[0] for _ in sessions]


@pytest.fixture
def days(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Days:
    return Days(conf, run_pass, smtp)


@pytest.mark.parametrize("option", ["tls=off", "tls=off auth=user"])
def test_who_took_a_login_at_once_is_not_asked_again_what_it_can_do(days: Days, option: str) -> None:
    assert days(FIRST, LATER, LATER, option=option) == [0, 0, 0]


def test_before_a_password_in_the_clear_stls_is_always_looked_for(days: Days) -> None:
    assert days(FIRST, FIRST, option="tls=auto") == [0, 0]


def test_a_server_without_pipelining_is_asked_every_time(days: Days) -> None:
    lockstep = f"S: +OK\nC: CAPA\nS: -ERR\n{PASSWORD}\nS: +OK\n{EMPTY}"
    assert days(lockstep, lockstep) == [0, 0]


SURPRISED = """
    S: +OK
    C: USER bob
    C: PASS geheim-bob
    C: CAPA
    C: UIDL
    C: LIST
"""


SLOWLY = f"S: +OK\n{CAPABLE}{PASSWORD}\nS: +OK\n{CAPABLE}{EMPTY}"


def test_who_refuses_a_login_at_once_is_asked_again_in_the_next_pass_what_it_can_do(days: Days) -> None:
    assert days(FIRST, f"{SURPRISED}S: -ERR no\n-- expect-close\n", FIRST, LATER) == [0, 77, 0, 0]


def test_who_breaks_off_at_a_login_at_once_that_it_bore_before_is_spared_once(days: Days) -> None:
    assert days(FIRST, f"{SURPRISED}-- cut\n", SLOWLY, FIRST, LATER) == [0, 76, 0, 0, 0]


def test_who_does_so_again_is_spared_from_then_on(days: Days) -> None:
    asked = f"S: +OK\n{CAPABLE}{SURPRISED.replace('S: +OK', '')}-- cut\n"
    assert days(FIRST, f"{SURPRISED}-- cut\n", SLOWLY, asked, SLOWLY, SLOWLY) == [0, 76, 0, 76, 0, 0]


def test_nonsense_in_answer_to_a_login_at_once_makes_it_a_command_at_a_time(days: Days) -> None:
    assert days(FIRST, f"{SURPRISED}S: hello\n-- expect-close\n", SLOWLY, SLOWLY) == [0, 76, 0, 0]


def test_pipelining_that_is_gone_is_not_relied_on(days: Days) -> None:
    gone = AT_ONCE.replace("    S: PIPELINING\n", "")
    assert days(FIRST, f"S: +OK\n{gone}", FIRST) == [0, 0, 0]
