"""Which mechanism is taken at the receiver, a row each, and what is said."""

import hashlib
import hmac
from base64 import b64decode, b64encode

import pytest

from lib.auth import sasl
from lib.errors import ProtocolError
from lib.smtp.login import LoginAttempt, mechanisms

ME = sasl.Login(b"me", b"geheim-smtp", b"", 0)
PLAIN, LOGIN, CRAM, SHA1, SHA256 = b"PLAIN", b"LOGIN", b"CRAM-MD5", b"SCRAM-SHA-1", b"SCRAM-SHA-256"
ALL = [PLAIN, LOGIN, CRAM, SHA1, SHA256, b"GSSAPI"]


@pytest.mark.parametrize(
    ("offered", "encrypted", "local", "expected"),
    [
        (ALL, True, False, [PLAIN]),
        (ALL, True, True, [PLAIN]),
        ([CRAM, LOGIN], True, False, [LOGIN]),
        ([CRAM], True, False, [CRAM]),
        ([SHA1], True, False, [SHA1]),
        (ALL, False, False, [SHA256]),
        ([PLAIN, SHA1, CRAM], False, False, [SHA1]),
        ([PLAIN, CRAM, LOGIN], False, False, [CRAM]),
        ([PLAIN, LOGIN], False, False, [PLAIN]),
        ([LOGIN], False, False, [LOGIN]),
        (ALL, False, True, [SHA256, SHA1, CRAM, PLAIN, LOGIN]),
        ([LOGIN, CRAM], False, True, [CRAM, LOGIN]),
        ([b"GSSAPI", b"XOAUTH2"], False, True, []),
        ([], True, True, []),
    ],
)
def test_in_the_clear_what_shows_least_comes_first(
    offered: list[bytes], encrypted: bool, local: bool, expected: list[bytes]
) -> None:
    assert mechanisms(frozenset(offered), encrypted=encrypted, local=local) == expected


def coded(octets: bytes) -> bytes:
    return b64encode(octets)


@pytest.mark.parametrize(
    ("mechanism", "opening", "dialogue"),
    [
        (PLAIN, b"AUTH PLAIN " + coded(b"\0me\0geheim-smtp"), []),
        (LOGIN, b"AUTH LOGIN", [(coded(b"Username:"), coded(b"me")), (coded(b"Password:"), coded(b"geheim-smtp"))]),
        (CRAM, b"AUTH CRAM-MD5", [(b"PHBAeD4=", b"bWUgYjRiNzY3ZWJjNmM5ZTg1NTEwZWQ4YzMzZDQ5MjkzOTE=")]),
    ],
)
def test_each_mechanism_says_what_it_has_to_say(
    mechanism: bytes, opening: bytes, dialogue: list[tuple[bytes, bytes]]
) -> None:
    login = LoginAttempt(mechanism, ME)
    first = login.opening()
    assert first.line == opening + b"\r\n"
    for challenge, response in dialogue:
        command = login.answer(challenge)
        assert (command.line, command.shown) == (response + b"\r\n", "***")
    assert login.proved
    assert "geheim" not in first.shown
    with pytest.raises(ProtocolError, match="behind the last one"):
        login.answer(b"")


def server_says(first: bytes, salt: bytes, hash_name: str) -> tuple[bytes, bytes]:
    """Return what a server that knows the password says first, and its proof (RFC 5802 section 3)."""
    bare = b64decode(first.split()[2]).removeprefix(b"n,,")
    nonce = bare.partition(b"r=")[2] + b"server"
    challenge = b"r=%b,s=%b,i=4096" % (nonce, coded(salt))
    salted = hashlib.pbkdf2_hmac(hash_name, ME.password, salt, 4096)
    said = b",".join((bare, challenge, b"c=biws,r=" + nonce))
    key = hmac.new(salted, b"Server Key", hash_name).digest()
    return challenge, b"v=" + coded(hmac.new(key, said, hash_name).digest())


@pytest.mark.parametrize(("mechanism", "hash_name"), [(SHA1, "sha1"), (SHA256, "sha256")])
def test_scram_proves_both_ends(mechanism: bytes, hash_name: str) -> None:
    login = LoginAttempt(mechanism, ME)
    opening = login.opening()
    challenge, proof = server_says(opening.line, b"salt", hash_name)
    login.answer(coded(challenge))
    assert not login.proved
    assert login.answer(coded(proof)).line == b"\r\n"
    assert login.proved
    assert "***" in opening.shown


@pytest.mark.parametrize("challenge", [b"!", b"AA", coded(b"r=other,s=AAAA,i=4096"), coded(b"")])
def test_a_challenge_that_is_none_ends_it(challenge: bytes) -> None:
    login = LoginAttempt(SHA256, ME)
    login.opening()
    with pytest.raises(ProtocolError):
        login.answer(challenge)
    assert not login.proved
