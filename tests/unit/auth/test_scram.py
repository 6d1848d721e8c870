"""SCRAM against the RFCs' own examples, against another implementation, and against servers that cheat."""

from base64 import b64encode

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from lib.auth.scram import HASHES, LEAST_ITERATIONS, MOST_ITERATIONS, Scram, ScramStep, prepared
from lib.errors import ProtocolError

# RFC 5802 section 5 and RFC 7677 section 3: mechanism, nonce, the four messages.
EXAMPLES = [
    (
        b"SCRAM-SHA-1",
        b"fyko+d2lbbFgONRv9qkxdawL",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        b"SCRAM-SHA-256",
        b"rOprNGfwEbeRWgbNEkqO",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[0].decode())
def test_the_rfcs_example(example: tuple[bytes, ...]) -> None:
    mechanism, nonce, first, challenge, final, proof = example
    scram = Scram(mechanism, b"user", b"pencil", nonce)
    assert scram.respond(b"") == first
    assert scram.respond(challenge) == final
    assert not scram.proved
    assert scram.respond(proof) == b""
    assert scram.proved


def begun(mechanism: bytes = b"SCRAM-SHA-256") -> Scram:
    scram = Scram(mechanism, b"bob", b"geheim", b"nonce")
    scram.respond(b"")
    return scram


SALT = b64encode(b"salt")


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=nonce,s=%b,i=4096" % SALT,  # nothing of the server's own
        b"r=other-nonce,s=%b,i=4096" % SALT,
        b"r=nonceX,s=%b,i=%d" % (SALT, LEAST_ITERATIONS - 1),
        b"r=nonceX,s=%b,i=%d" % (SALT, MOST_ITERATIONS + 1),
        b"r=nonceX,s=%b,i=999999999" % SALT,
        b"r=nonceX,s=%b,i=-1" % SALT,
        b"r=nonceX,s=%b,i=04096" % SALT,
        b"r=nonceX,s=,i=4096",
        b"r=nonceX,s=a,i=4096",
        b"m=must,r=nonceX,s=%b,i=4096" % SALT,  # a mandatory extension that we do not know
        b"r=nonce%b,s=%b,i=4096" % (b"x" * 2000, SALT),
        b"e=other-error",
    ],
)
def test_a_first_message_that_cheats_is_refused(challenge: bytes) -> None:
    with pytest.raises(ProtocolError, match="SCRAM"):
        begun().respond(challenge)


@pytest.mark.parametrize("final", [b"", b"v=", b"v=AAAA", b"e=invalid-proof", b"v=!", b"x=1"])
def test_a_server_that_does_not_know_the_password_is_refused(final: bytes) -> None:
    scram = begun()
    scram.respond(b"r=nonceX,s=%b,i=4096" % SALT)
    with pytest.raises(ProtocolError, match="SCRAM"):
        scram.respond(final)
    assert not scram.proved


def test_nothing_follows_the_proof() -> None:
    scram = begun()
    scram.turn = ScramStep.PROVED
    with pytest.raises(ProtocolError):
        scram.respond(b"more")


def test_an_extension_behind_the_iterations_does_no_harm() -> None:
    assert begun().respond(b"r=nonceX,s=%b,i=4096,x=whatever" % SALT).startswith(b"c=biws,r=nonceX,p=")


def test_commas_and_equal_signs_in_a_name_are_escaped() -> None:
    assert Scram(b"SCRAM-SHA-1", b"a=b,c", b"x", b"n").respond(b"") == b"n,,n=a=3Db=2Cc,r=n"


# RFC 4013 section 3, and what stays as it is for it may not be prepared.
PREPARED = [
    ("I\u00adX", "IX"),
    ("user", "user"),
    ("\u00aa", "a"),
    ("\u2168", "IX"),
    ("a\u00a0b", "a b"),
    ("\u0007\u00e4", "\u0007\u00e4"),
    ("\u0627\u0031", "\u0627\u0031"),
    ("\u06271\u0628", "\u06271\u0628"),
    ("\u00ad", "\u00ad"),
]


@pytest.mark.parametrize(("text", "asked"), PREPARED)
def test_passwords_are_prepared_as_rfc_4013_says(text: str, asked: str) -> None:
    assert prepared(text.encode()) == asked.encode()


def test_octets_that_are_no_utf8_stay_as_they_are() -> None:
    assert prepared(b"\xe4\xff") == b"\xe4\xff"


@pytest.mark.parametrize("mechanism", HASHES)
@given(user=st.text(min_size=1).filter(str.isprintable), password=st.text(min_size=1).filter(str.isprintable))
def test_it_is_understood_by_scramp(mechanism: bytes, user: str, password: str) -> None:
    name = mechanism.decode()
    try:
        known = scramp.ScramMechanism(mechanism=name).make_auth_info(password, iteration_count=LEAST_ITERATIONS)
        server = scramp.ScramMechanism(mechanism=name).make_server(lambda _: known)
        ours = Scram(mechanism, user.encode(), password.encode())
        server.set_client_first(ours.respond(b"").decode())
    except scramp.ScramException:
        return  # what SASLprep forbids
    server.set_client_final(ours.respond(server.get_server_first().encode()).decode())
    ours.respond(server.get_server_final().encode())
    assert ours.proved


@given(st.binary(max_size=200))
def test_any_challenge_is_answered_or_refused(challenge: bytes) -> None:
    try:
        begun().respond(challenge)
    except ProtocolError as error:
        assert "SCRAM" in str(error)  # noqa: PT017 - most inputs are refused, which is what is looked at
