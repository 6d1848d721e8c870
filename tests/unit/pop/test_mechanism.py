"""How an account logs in: the table of what auto takes, and the steps of each mechanism."""

import base64

import pytest

from lib.auth.sasl import Login
from lib.errors import AccountError, LoginError, ProtocolError
from lib.pop import mechanism, pop3
from lib.pop.mechanism import Attempt

BOB = Login(b"bob", b"geheim", b"pop.example", 110)
EVERYTHING = "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN EXTERNAL XOAUTH2 OAUTHBEARER SCRAM-SHA-256-PLUS"


def offer(sasl: str, *, user: bool = False) -> pop3.Capabilities:
    lines = [f"SASL {sasl}"] if sasl else []
    return pop3.capabilities("\r\n".join([*lines, "TOP", *(["USER"] if user else [])]).encode())


@pytest.mark.parametrize(
    ("sasl", "user", "over_tls", "clear"),
    [
        (EVERYTHING, True, "scram-sha-256", "scram-sha-256"),
        ("plain scram-sha-1", True, "scram-sha-1", "scram-sha-1"),
        ("PLAIN LOGIN CRAM-MD5", True, "user", "cram-md5"),
        ("PLAIN LOGIN CRAM-MD5", False, "plain", "cram-md5"),
        ("LOGIN CRAM-MD5", False, "cram-md5", "cram-md5"),
        ("LOGIN", False, "login", "login"),
        ("LOGIN", True, "user", "user"),
        ("GSSAPI NTLM", True, "user", "user"),
        ("", True, "user", "user"),
        ("", False, "user", "user"),  # says nothing of logins
        ("SCRAM-SHA-256-PLUS SCRAM-SHA-512 PLAIN", False, "plain", "plain"),
    ],
)
def test_auto_takes_the_strongest(sasl: str, user: bool, over_tls: str, clear: str) -> None:
    offered = offer(sasl, user=user)
    assert mechanism.choose("auto", offered, token=False, encrypted=True) == over_tls
    assert mechanism.choose("auto", offered, token=False, encrypted=False) == clear


def test_auto_says_user_to_who_knows_no_capa() -> None:
    assert mechanism.choose("auto", pop3.Capabilities({}), token=False, encrypted=True) == "user"


@pytest.mark.parametrize(
    ("sasl", "words"),
    [
        ("GSSAPI NTLM", "it offers GSSAPI NTLM alone; see auth="),
        ("XOAUTH2", "it offers XOAUTH2 alone; it takes tokens (XOAUTH2): see docs/providers.md"),
        ("EXTERNAL", "it offers EXTERNAL alone"),
    ],
)
def test_where_nothing_is_left_the_complaint_names_what_is_offered(sasl: str, words: str) -> None:
    with pytest.raises(LoginError) as told:
        mechanism.choose("auto", offer(sasl), token=False, encrypted=True)
    assert words in str(told.value)


@pytest.mark.parametrize("asked", ["login", "apop", "external", "scram-sha-1"])
def test_what_is_asked_for_is_tried_whatever_is_offered(asked: str) -> None:
    assert mechanism.choose(asked, offer("PLAIN", user=True), token=False, encrypted=True) == asked


@pytest.mark.parametrize(
    ("sasl", "how"), [("", "xoauth2"), ("OAUTHBEARER XOAUTH2", "xoauth2"), ("OAUTHBEARER", "oauthbearer")]
)
def test_a_token_has_two_mechanisms(sasl: str, how: str) -> None:
    assert mechanism.choose("auto", offer(sasl), token=True, encrypted=True) == how


@pytest.mark.parametrize(
    ("sasl", "how", "encrypted", "expected"),
    [
        ("SCRAM-SHA-256 PLAIN", "user", True, True),
        ("SCRAM-SHA-256 SCRAM-SHA-1", "scram-sha-1", True, True),
        ("SCRAM-SHA-256", "scram-sha-256", True, False),
        ("PLAIN CRAM-MD5", "user", False, True),
        ("PLAIN CRAM-MD5", "user", True, False),
        ("PLAIN", "plain", True, False),  # with USER beside it: neither shows less
        ("", "scram-sha-256", True, False),
        ("SCRAM-SHA-256", "apop", False, False),  # was asked for
    ],
)
def test_what_shows_less_than_what_was_taken(sasl: str, how: str, encrypted: bool, expected: bool) -> None:
    assert mechanism.stronger(offer(sasl, user=True), how, encrypted=encrypted) is expected


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        ("user", [b"USER bob\r\n", b"PASS geheim\r\n"]),
        ("plain", [b"AUTH PLAIN " + base64.b64encode(b"\0bob\0geheim") + b"\r\n"]),
        ("external", [b"AUTH EXTERNAL Ym9i\r\n"]),
        ("apop", [b"APOP bob 9c1d2ad7ab1d19b6e5ec6a2bd1f0f0d9\r\n"]),
    ],
)
def test_what_is_said_at_once(how: str, lines: list[bytes]) -> None:
    said = [command.line for command in mechanism.at_once(how, BOB, b"ready <1.2@here>", "dmail.conf:1")]
    if how == "apop":
        assert said[0].startswith(b"APOP bob ")
        assert len(said[0]) == len(lines[0])
    else:
        assert said == lines


def test_apop_needs_a_timestamp() -> None:
    with pytest.raises(AccountError, match="offers no APOP: see auth="):
        mechanism.at_once("apop", BOB, b"ready", "dmail.conf:1")


def test_a_response_that_is_too_long_for_its_line_comes_in_a_second_one() -> None:
    long = BOB._replace(password=b"x" * 300)
    first, second = mechanism.at_once("plain", long, b"", "")
    assert (first.line, first.challenge, second.challenge) == (b"AUTH PLAIN\r\n", True, False)
    attempt = Attempt("scram-sha-256", BOB._replace(user=b"u" * 300))
    assert attempt.opening().line == b"AUTH SCRAM-SHA-256\r\n"
    assert base64.b64decode(attempt.answer(b"").line).startswith(b"n,,n=uuu")


def test_microsofts_two_lines() -> None:
    attempt = Attempt("xoauth2", BOB)
    assert attempt.opening().line == b"AUTH XOAUTH2\r\n"
    assert attempt.answer(b"").line == base64.b64encode(b"user=bob\1auth=Bearer geheim\1\1") + b"\r\n"
    assert attempt.over


def test_scram_ends_in_an_empty_line_that_waits_for_no_challenge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.auth.scram.secrets.token_bytes", lambda _: base64.b64decode("rOprNGfwEbeRWgbNEkqO"))
    attempt = Attempt("scram-sha-256", BOB._replace(user=b"user", password=b"pencil"))  # of RFC 7677 section 3
    assert base64.b64decode(attempt.opening().line.split()[2]) == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = attempt.answer(base64.b64encode(first))
    assert base64.b64decode(proof.line).endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    with pytest.raises(ProtocolError, match="does not prove"):
        attempt.believe()
    last = attempt.answer(base64.b64encode(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
    assert (last.line, last.challenge, attempt.over) == (b"\r\n", False, True)
    attempt.believe()


@pytest.mark.parametrize("challenge", [b"!", b"e"])
def test_a_challenge_that_is_none(challenge: bytes) -> None:
    attempt = Attempt("scram-sha-1", BOB)
    attempt.opening()
    with pytest.raises(ProtocolError, match="not base64"):
        attempt.answer(challenge)


def test_an_error_in_place_of_a_proof_is_cancelled_and_told() -> None:
    attempt = Attempt("scram-sha-1", BOB)
    attempt.opening()
    assert attempt.answer(base64.b64encode(b"e=unknown-user")).line == b"*\r\n"
    assert attempt.told == "e=unknown-user"
    assert attempt.over
