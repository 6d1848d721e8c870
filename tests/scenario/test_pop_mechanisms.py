"""Logins by SCRAM, CRAM-MD5, LOGIN and certificate, and what auto takes; nothing in the clear to far away."""

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.peer import peer
from tests.pki import Pki
from tests.scenario.conftest import Server

INSIDE = """
    C: CAPA
    S: +OK
    S: USER
    S: .
    C: UIDL
    S: +OK
    S: .
    C: LIST
    S: +OK
    S: .
    C: QUIT
    S: +OK
"""
USER = "C: USER bob\nS: +OK\nC: PASS geheim-bob\nS: +OK\n"


def offered(*lines: str) -> str:
    return "C: CAPA\nS: +OK\n" + "".join(f"S: {line}\n" for line in lines) + "S: .\n"


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# The example of RFC 7677 section 3, with bob's password pencil.
NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = coded(f"r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
PROOF = coded(f"c=biws,r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
FINAL = coded("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
BEGUN = f"C: AUTH SCRAM-SHA-256 {coded(f'n,,n=user,r={NONCE}')}\nS: + {FIRST}\nC: {PROOF}\n"
PROVED = f"{BEGUN}S: + {FINAL}\nC: \n"
PENCIL = "pf_user user pencil 127.0.0.1:{port} to=b@example.org"


@pytest.fixture
def nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.auth.scram.secrets.token_bytes", lambda _: base64.b64decode(NONCE))


@pytest.mark.usefixtures("nonce")
@pytest.mark.parametrize("option", ["", " auth=scram-sha-256"])
def test_scram_where_it_is_offered_or_asked_for(server: Server, option: str) -> None:
    capabilities = offered("USER", "SASL PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256")
    passed = server(f"S: +OK\n{capabilities}{PROVED}S: +OK\n{INSIDE}", line=PENCIL + option)
    assert passed[:3] == (0, "", "")
    assert b"pencil" not in passed.heard


@pytest.mark.usefixtures("nonce")
@pytest.mark.parametrize(
    ("ends", "code", "words"),
    [
        (f"{BEGUN}S: -ERR no\n", 77, "login refused (no)"),
        (f"{BEGUN}S: +OK you are in\n", 76, "does not prove that it knows the password"),
        (f"{BEGUN}S: + {coded('v=' + 'A' * 43 + '=')}\n", 76, "does not prove that it knows the password"),
        (f"{BEGUN}S: + {coded('e=invalid-proof')}\nC: *\nS: -ERR cancelled\n", 77, "cancelled; e=invalid-proof"),
        (f"{BEGUN}S: + !!!\n", 76, "not base64"),
        (f"{PROVED}S: -ERR [IN-USE] locked\n", 76, "no login now: [IN-USE] locked"),
        (f"{BEGUN.partition('S:')[0]}S: + {FIRST.replace('cj1y', 'cj1z')}\n", 76, "did not take up our nonce"),
        (f"{BEGUN.partition('S:')[0]}S: +OK\n", 76, "does not prove that it knows the password"),
    ],
)
def test_a_server_that_does_not_prove_itself_gets_no_further(server: Server, ends: str, code: int, words: str) -> None:
    passed = server(f"S: +OK\n{offered('SASL SCRAM-SHA-256')}{ends}-- expect-close", line=PENCIL)
    assert passed.code == code
    assert words in passed.err
    assert b"LIST" not in passed.heard


@pytest.mark.usefixtures("nonce")
def test_scram_with_pipelining_asks_for_the_listing_behind_its_last_line(server: Server) -> None:
    listing = (
        "C: CAPA\nC: UIDL\nC: LIST\nS: +OK\nS: +OK\nS: PIPELINING\nS: .\nS: +OK\nS: .\nS: +OK\nS: .\nC: QUIT\nS: +OK"
    )
    passed = server(f"S: +OK\n{offered('PIPELINING', 'SASL SCRAM-SHA-256')}{PROVED}{listing}", line=PENCIL)
    assert passed[:3] == (0, "", "")


CHALLENGE = coded("<1.2@here>")
CRAM = f"C: AUTH CRAM-MD5\nS: + {CHALLENGE}\nC~ [A-Za-z0-9+/=]+\nS: +OK\n"
LOGIN = f"C: AUTH LOGIN\nS: + VXNlcg==\nC: {coded('bob')}\nS: + UGFzcw==\nC: {coded('geheim-bob')}\nS: +OK\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("SASL CRAM-MD5 LOGIN",), CRAM),
        (("SASL LOGIN GSSAPI",), LOGIN),
        (("USER", "SASL CRAM-MD5 PLAIN"), CRAM),  # in the clear
        (("USER", "SASL LOGIN"), USER),
    ],
)
def test_what_auto_takes_in_the_clear(server: Server, lines: tuple[str, ...], said: str) -> None:
    assert server(f"S: +OK\n{offered(*lines)}{said}{INSIDE}")[:3] == (0, "", "")


def test_where_nothing_is_left_no_password_goes_out(server: Server) -> None:
    passed = server(f"S: +OK\n{offered('SASL XOAUTH2')}-- expect-close")
    assert passed.code == 77
    assert "it offers XOAUTH2 alone; it takes tokens (XOAUTH2): see docs/providers.md" in passed.err
    assert b"geheim" not in passed.heard


def test_a_refusal_of_a_password_by_who_takes_tokens_says_so(server: Server) -> None:
    refused = "C: USER bob\nS: +OK\nC: PASS geheim-bob\nS: -ERR Logon failure\n-- expect-close"
    passed = server(f"S: +OK\n{offered('USER', 'SASL XOAUTH2')}{refused}")
    assert passed.code == 77
    assert "it takes tokens (XOAUTH2): see docs/providers.md" in passed.err


def test_octets_of_a_file_are_sent_as_they_are(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_bytes(b"p\xe4ss \xff\n")
    path.chmod(0o600)
    line = f"pf_user bob file:{path} 127.0.0.1:{{port}} to=b@example.org"
    said = "C: USER bob\nS: +OK\nC~ PASS p.+ss.+\nS: +OK\n"
    passed = server(f"S: +OK\n{offered('USER')}{said}{INSIDE}", line=line)
    assert passed[:3] == (0, "", "")
    assert b"PASS p\xe4ss \xff\r\n" in passed.heard


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(pki: Pki) -> ssl.SSLContext:
    """Return the context of a server that wants a certificate."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca))
    made.load_cert_chain(pki.cert, pki.key)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


LOCALHOST = "pf_user bob - localhost:{port} to=b@example.org tls=implicit"


def test_external_proves_who_we_are_by_the_certificate(server: Server, pki: Pki, asking: ssl.SSLContext) -> None:
    script = f"-- tls\nS: +OK\n{offered('SASL EXTERNAL')}C: AUTH EXTERNAL {coded('bob')}\nS: +OK\n{INSIDE}"
    files: dict[str, Any] = {"pf_tls_ca": pki.ca, "pf_tls_cert": pki.cert, "pf_tls_key": pki.key}
    assert server(script, line=f"{LOCALHOST} auth=external", tls=asking, **files)[:3] == (0, "", "")


def test_a_certificate_is_shown_with_a_password_too(server: Server, pki: Pki, asking: ssl.SSLContext) -> None:
    script = f"-- tls\nS: +OK\n{offered('USER')}{USER}{INSIDE}"
    files: dict[str, Any] = {"pf_tls_ca": pki.ca, "pf_tls_cert": pki.cert, "pf_tls_key": pki.key}
    assert server(script, line=LOCALHOST.replace(" - ", " geheim-bob "), tls=asking, **files)[:3] == (0, "", "")


def test_files_that_tls_cannot_use_are_errors_of_the_settings(
    conf: Conf, run_pass: RunPass, pki: Pki, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no PEM")
    for files, words in (
        ({"pf_tls_ca": wrong}, "pf_tls_ca: "),
        ({"pf_tls_ca": tmp_path / "none.pem"}, "cannot be read: No such file"),
        ({"pf_tls_cert": pki.cert}, "pf_tls_cert: "),  # its key lies elsewhere
        ({"pf_tls_cert": pki.cert, "pf_tls_key": wrong}, "pf_tls_cert: "),
        ({"pf_tls_key": pki.key}, "belongs to no certificate; add a line: pf_tls_cert FILE"),
    ):
        code, _, err = run_pass(conf(account(9), **files))
        assert (code, words in err, len(err.splitlines())) == (78, True, 1), err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("auth=external", "add a line: pf_tls_cert FILE"),
        ("auth=external tls=off", "auth=external needs TLS"),
        ("auth=external oauth=x", "oauth= goes with auth="),
    ],
)
def test_external_without_what_it_needs(conf: Conf, run_pass: RunPass, option: str, words: str) -> None:
    code, _, err = run_pass(conf(account(9, option)))
    assert code == 78
    assert words in err


def test_one_of_several_pins_is_enough(server: Server, pki: Pki) -> None:
    other = "sha256:" + "0" * 64
    script = f"-- tls\nS: +OK\n{offered('USER')}{USER}{INSIDE}"
    option = f"to=b@example.org tls=implicit pin={other},{pki.pin}"
    assert server(script, option=option, tls=pki.good)[:3] == (0, "", "")
    passed = server("-- tls\n-- expect-close", option=option, tls=pki.stranger)
    assert passed.code == 76
    assert "not one of the 2 pinned ones but sha256:" in passed.err


# --- nothing in the clear --------------------------------------------------------------------------------------------


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every server be a far one."""
    monkeypatch.setattr("lib.pop.session.is_near", lambda _: False)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (f"S: +OK\n{offered('USER')}", "the server offers no STLS, and no login crosses"),
        ("S: +OK\nC: CAPA\nS: -ERR\n", "the server offers no STLS, and no login crosses"),
        ("S: +OK\nC: CAPA\nS: +OK\nS: .\n", "the server offers no STLS, and no login crosses"),
        (f"S: +OK\n{offered('SASL SCRAM-SHA-256 CRAM-MD5')}", "or tls=off if it must be"),
        (f"S: +OK\n{offered('STLS')}C: STLS\nS: -ERR not now\n", "STLS refused (not now)"),
    ],
)
def test_no_login_crosses_a_public_network_in_the_clear(server: Server, script: str, words: str) -> None:
    passed = server(f"{script}-- expect-close")
    assert passed.code == 76
    assert words in passed.err
    assert b"USER" not in passed.heard
    assert b"AUTH" not in passed.heard


@pytest.mark.usefixtures("far")
def test_only_tls_off_sends_it_there(server: Server) -> None:
    option = "to=b@example.org tls=off"
    assert server(f"S: +OK\n{offered('USER')}{USER}{INSIDE}", option=option)[:3] == (0, "", "")


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("breaks", ["-- cut", "-- reset", "S: what?\n-- expect-close", "-- stall"])
def test_a_capa_that_is_lost_is_followed_by_no_login(
    conf: Conf, run_pass: RunPass, smtp: SmtpServer, breaks: str
) -> None:
    with peer(
        "== next\n".join([f"S: +OK\nC: CAPA\n{breaks}\n", *[f"S: +OK\n{offered('USER')}-- expect-close\n"] * 2])
    ) as p:
        path = conf(account(p.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_timeout=1)
        assert [run_pass(path).code for _ in range(3)] == [76, 76, 76]
    assert b"geheim" not in p.heard


class Days:
    """Runs one pass after another, over sessions of one server that takes STLS."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer, pki: Pki) -> None:
        self.conf, self.run_pass, self.smtp, self.pki = conf, run_pass, smtp, pki
        self.rounds: list[int] = []  # round trips a session, without handshakes

    def __call__(self, *sessions: str, tls: str = "auto") -> list[Result]:
        with peer("== next\n".join(sessions), tls=self.pki.good) as p:
            user = f"pf_user bob geheim-bob localhost:{p.port} to=b@example.org tls={tls}"
            path = self.conf(user, pf_smtp_server=f"127.0.0.1:{self.smtp.port}", pf_tls_ca=self.pki.ca)
            done = [self.run_pass(path) for _ in sessions]
        self.rounds = [connection.rounds for connection in p.connections]
        return done


@pytest.fixture
def days(conf: Conf, run_pass: RunPass, smtp: SmtpServer, pki: Pki) -> Days:
    return Days(conf, run_pass, smtp, pki)


TAKEN = f"S: +OK\n{offered('USER', 'STLS')}C: STLS\nS: +OK\n-- starttls\n{offered('USER')}{USER}{INSIDE}"
REMEMBERED = f"S: +OK\nC: STLS\nS: +OK\n-- starttls\n{offered('USER')}{USER}{INSIDE}"


@pytest.mark.parametrize("tls", ["auto", "starttls"])
def test_stls_that_was_taken_is_asked_for_behind_the_greeting(days: Days, tls: str) -> None:
    assert [one.code for one in days(TAKEN, REMEMBERED, REMEMBERED, tls=tls)] == [0, 0, 0]


@pytest.mark.parametrize("answer", ["-ERR unknown command", "-ERR [SYS/TEMP] no TLS at the moment"])
def test_stls_that_is_gone_fails_the_account_however_near_it_is(days: Days, answer: str) -> None:
    first, *later = days(TAKEN, *[f"S: +OK\nC: STLS\nS: {answer}\n-- expect-close\n"] * 2, REMEMBERED)
    assert [first.code, *(one.code for one in later)] == [0, 76, 76, 0]
    assert "STLS refused, which this server has taken before" in later[0].err


def test_with_pipelining_a_later_pass_knows_how_to_log_in_too(days: Days) -> None:
    login = "C: USER bob\nC: PASS geheim-bob\nC: CAPA\nC: UIDL\nC: LIST\nS: +OK\nS: +OK\nS: +OK\nS: PIPELINING\nS: .\n"
    rest = f"{login}S: +OK\nS: .\nS: +OK\nS: .\nC: QUIT\nS: +OK\n"
    capable = offered("USER", "PIPELINING", "STLS")
    first = f"S: +OK\n{capable}C: STLS\nS: +OK\n-- starttls\n{capable}{rest}"
    later = f"S: +OK\nC: STLS\nS: +OK\n-- starttls\n{rest}"
    assert [one.code for one in days(first, later, later)] == [0, 0, 0]


def test_who_offers_scram_by_now_is_asked_again(days: Days) -> None:
    login = "C: USER bob\nC: PASS geheim-bob\nC: CAPA\nC: UIDL\nC: LIST\nS: +OK\nS: +OK\nS: +OK\nS: PIPELINING\n"
    rest = "S: .\nS: +OK\nS: .\nS: +OK\nS: .\nC: QUIT\nS: +OK\n"
    capable = offered("USER", "PIPELINING", "STLS")
    first = f"S: +OK\n{capable}C: STLS\nS: +OK\n-- starttls\n{capable}{login}S: SASL SCRAM-SHA-256\n{rest}"
    now = offered("USER", "PIPELINING", "SASL SCRAM-SHA-256")
    later = f"S: +OK\nC: STLS\nS: +OK\n-- starttls\n{now}C* AUTH SCRAM-SHA-256 *\nS: -ERR no\n-- expect-close\n"
    assert [one.code for one in days(first, later)] == [0, 77]


CAPABLE = "C: CAPA\nS: +OK\nS: PIPELINING\nS: STLS\nS: .\n"
ENTERED = (
    "C: USER bob\nC: PASS geheim-bob\nC: CAPA\nC: UIDL\nC: LIST\nS: +OK\nS: +OK\nS: +OK\nS: PIPELINING\nS: .\n"
    "S: +OK\nS: .\nS: +OK\nS: .\nC: QUIT\nS: +OK\n"
)
SLOW, SECURED = "-- latency 0.05\n", "C: STLS\nS: +OK\n-- starttls\n"


@pytest.mark.parametrize(
    ("tls", "first", "later", "rounds"),
    [  # QUIT is one of them, STLS belongs to the handshake; without memory of STLS a later pass takes four, too
        ("implicit", f"-- tls\n{SLOW}S: +OK\n{CAPABLE}{ENTERED}", f"-- tls\n{SLOW}S: +OK\n{ENTERED}", [3, 2]),
        ("auto", f"{SLOW}S: +OK\n{CAPABLE}{SECURED}{CAPABLE}{ENTERED}", f"{SLOW}S: +OK\n{SECURED}{ENTERED}", [4, 2]),
        ("off", f"{SLOW}S: +OK\n{CAPABLE}{ENTERED}", f"{SLOW}S: +OK\n{ENTERED}", [3, 2]),
    ],
)
def test_round_trips_of_a_first_and_of_a_later_pass(
    days: Days, tls: str, first: str, later: str, rounds: list[int]
) -> None:
    assert [one.code for one in days(first, later, tls=tls)] == [0, 0]
    assert days.rounds == rounds
