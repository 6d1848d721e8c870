"""What the mechanisms say, by the examples of their RFCs."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.auth.sasl import MECHANISMS, Login, digest, respond
from lib.errors import ProtocolError
from tests.arrivals import soup

TIM = Login(b"tim", b"tanstaaftanstaaf", b"postoffice.reston.mci.net", 110)


def said(mechanism: bytes, login: Login, *challenges: bytes) -> list[bytes]:
    """Return what is said to *challenges*, neither in base64."""
    responses = MECHANISMS[mechanism]
    return [
        b64decode(respond(response, login, b64encode(challenge)), validate=True)
        for response, challenge in zip(responses, challenges, strict=True)
    ]


def test_plain_as_in_rfc_4616() -> None:
    assert said(b"PLAIN", TIM, b"") == [b"\0tim\0tanstaaftanstaaf"]


def test_plain_takes_other_alphabets_as_utf_8() -> None:
    login = Login("\N{CYRILLIC SMALL LETTER EM}".encode(), b"pass\xc3\xa9", b"", 0)
    assert said(b"PLAIN", login, b"") == [b"\0\xd0\xbc\0pass\xc3\xa9"]


def test_cram_md5_as_in_rfc_2195() -> None:
    challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    (response,) = MECHANISMS[b"CRAM-MD5"]
    assert respond(response, TIM, challenge) == b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
    assert said(b"CRAM-MD5", TIM, b64decode(challenge)) == [b"tim b913a602c7eda7a495b4e6e7334d3890"]


def test_cram_md5_hashes_a_password_longer_than_a_block_first() -> None:
    # RFC 2104, as RFC 2202's sixth test case for HMAC-MD5.
    login = Login(b"tim", b"\xaa" * 80, b"", 0)
    challenge = b"Test Using Larger Than Block-Size Key - Hash Key First"
    assert said(b"CRAM-MD5", login, challenge) == [b"tim 6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"]


def test_oauthbearer_as_in_rfc_7628() -> None:
    token = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    login = Login(b"user@example.com", token, b"server.example.com", 143)
    (response,) = MECHANISMS[b"OAUTHBEARER"]
    assert respond(response, login, b"") == (
        b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
        b"HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )


def test_oauthbearer_names_hold_no_comma_and_no_equals_sign() -> None:
    # RFC 5801 section 4: saslname.
    login = Login(b"a=b,c=2C", b"t", b"h", 1)
    assert said(b"OAUTHBEARER", login, b"") == [b"n,a=a=3Db=2Cc=3D2C,\1host=h\1port=1\1auth=Bearer t\1\1"]


def test_xoauth2_as_its_inventor_shows_it() -> None:
    token = b"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    (response,) = MECHANISMS[b"XOAUTH2"]
    assert respond(response, Login(b"someuser@example.com", token, b"", 0), b"") == (
        b"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJo"
        b"ZG1semRHRXVZMjl0Q2cBAQ=="
    )


@pytest.mark.parametrize("prompts", [(b"Username:", b"Password:"), (b"", b""), (b"User Name\0", b"Password\0")])
def test_login_says_user_and_password_whatever_it_is_asked(prompts: tuple[bytes, bytes]) -> None:
    assert said(b"LOGIN", TIM, *prompts) == [b"tim", b"tanstaaftanstaaf"]


def test_apop_as_in_rfc_1939() -> None:
    assert digest(b"<1896.697170952@dbc.mtview.ca.us>", b"tanstaaf") == b"c4c9334bac560ecc979e58001b3e22fb"


@pytest.mark.parametrize("challenge", [b"!", b"YQ", b"YQ===", b"Y\0Q=", b"\xff"])
def test_only_cram_md5_minds_a_challenge_that_is_no_base64(challenge: bytes) -> None:
    with pytest.raises(ProtocolError, match="not base64"):
        respond(MECHANISMS[b"CRAM-MD5"][0], TIM, challenge)
    assert respond(MECHANISMS[b"LOGIN"][0], TIM, challenge) == b64encode(b"tim")


def test_blanks_around_a_challenge_do_not_matter() -> None:
    (response,) = MECHANISMS[b"CRAM-MD5"]
    assert respond(response, TIM, b" YQ== ") == respond(response, TIM, b"YQ==")


@settings(deadline=None)
@given(soup(b"YQ==", b"=", b" ", b"\r", b"\0", b"AAAA"), st.sampled_from(sorted(MECHANISMS)))
def test_any_challenge_gives_one_line_or_a_peer_error(challenge: bytes, mechanism: bytes) -> None:
    for response in MECHANISMS[mechanism]:
        try:
            line = respond(response, TIM, challenge)
        except ProtocolError:
            continue
        assert b64decode(line, validate=True)
        assert b"\r" not in line
        assert b"\n" not in line


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_long_password_still_makes_one_line(user: bytes, password: bytes) -> None:
    for mechanism, responses in MECHANISMS.items():
        for response in responses:
            line = respond(response, Login(user, password, b"h", 1), b"")
            assert line.isascii(), mechanism
            assert b"\n" not in line


def test_a_login_shows_no_password() -> None:
    assert "tanstaaf" not in f"{TIM} {TIM!r} {TIM!s} {[TIM]}"
