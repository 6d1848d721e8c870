"""SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and nobody who listens learns it. No I/O.

One Scram is one login. It refuses a server that cannot prove itself, that changes our nonce, or that asks for fewer
iterations than RFC 7677 section 4 allows, which would make a guess at the password cheap, or for so many that a login
would take a minute of computing. Channel binding (-PLUS) is not offered: Python does not export what TLS 1.3 needs.
"""

import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from enum import Enum, auto

from lib.errors import ProtocolError

HASHES = {b"SCRAM-SHA-256": "sha256", b"SCRAM-SHA-1": "sha1"}
LEAST_ITERATIONS, MOST_ITERATIONS = 4096, 1_000_000
NONCE_OCTETS = 18
MAX_SERVER_NONCE, MAX_SALT = 1024, 1024  # octets
HEADER = b"n,,"  # no channel binding, no authorization identity

FIRST = re.compile(rb"r=([!-+\--~]+),s=([A-Za-z0-9+/]+=*),i=([1-9][0-9]{0,8})(?:,.*)?", re.DOTALL)
PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class ScramStep(Enum):
    """What Scram.respond() waits for."""

    START = auto()
    FIRST = auto()  # server-first-message: nonce, salt, iterations
    FINAL = auto()  # server-final-message: the server's proof
    PROVED = auto()


class Scram:
    """One login as *user* with *password*, both as octets; *nonce* is for tests alone."""

    def __init__(self, mechanism: bytes, user: bytes, password: bytes, nonce: bytes = b"") -> None:
        """Say nothing yet."""
        self.turn = ScramStep.START
        self._hash = HASHES[mechanism]
        self._password = prepared(password)
        self._nonce = nonce or b64encode(secrets.token_bytes(NONCE_OCTETS))
        name = prepared(user).replace(b"=", b"=3D").replace(b",", b"=2C")
        self._bare = b"n=%b,r=%b" % (name, self._nonce)
        self._proof_of_server = b""

    @property
    def proved(self) -> bool:
        """Say whether the server has proved that it knows the password; a login without that is no login."""
        return self.turn is ScramStep.PROVED

    def respond(self, challenge: bytes) -> bytes:
        """Return what answers *challenge*, both without base64. ProtocolError if the server cannot be trusted."""
        match self.turn:
            case ScramStep.START:
                self.turn = ScramStep.FIRST
                return HEADER + self._bare
            case ScramStep.FIRST:
                self.turn = ScramStep.FINAL
                return self._final(challenge)
            case ScramStep.FINAL:
                self._verify(challenge)
                self.turn = ScramStep.PROVED
                return b""
        raise ProtocolError("SCRAM: a challenge behind the last one")

    def _final(self, first: bytes) -> bytes:
        """Return client-final-message: the proof that we know the password (RFC 5802 section 3)."""
        match = FIRST.fullmatch(first)
        if match is None:
            raise ProtocolError("SCRAM: the server's first message is none")
        nonce, salt, iterations = match[1], _decoded(match[2]), int(match[3])
        if not nonce.startswith(self._nonce) or not len(self._nonce) < len(nonce) <= MAX_SERVER_NONCE:
            raise ProtocolError("SCRAM: the server did not take up our nonce")
        if not LEAST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            bounds = f"{LEAST_ITERATIONS} to {MOST_ITERATIONS} are taken"
            raise ProtocolError(f"SCRAM: the server asks for {iterations} iterations; {bounds}")
        if not 0 < len(salt) <= MAX_SALT:
            raise ProtocolError("SCRAM: the server's salt is empty, or too long")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        client = self._hmac(salted, b"Client Key")
        without_proof = b"c=%b,r=%b" % (b64encode(HEADER), nonce)
        said = b",".join((self._bare, first, without_proof))
        signature = self._hmac(hashlib.new(self._hash, client).digest(), said)
        self._proof_of_server = self._hmac(self._hmac(salted, b"Server Key"), said)
        proof = bytes(one ^ other for one, other in zip(client, signature, strict=True))
        return b"%b,p=%b" % (without_proof, b64encode(proof))

    def _verify(self, final: bytes) -> None:
        word, _, rest = final.partition(b",")[0].partition(b"=")
        if word != b"v" or not hmac.compare_digest(_decoded(rest), self._proof_of_server):
            raise ProtocolError("SCRAM: the server does not prove that it knows the password")

    def _hmac(self, key: bytes, words: bytes) -> bytes:
        return hmac.new(key, words, self._hash).digest()


def prepared(octets: bytes) -> bytes:
    """Return *octets* as SASLprep has them (RFC 4013), as they are where they are no UTF-8 or may not be prepared."""
    if octets.isascii():
        return octets
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return octets
    spaced = (" " if stringprep.in_table_c12(char) else char for char in text)
    text = unicodedata.normalize("NFKC", "".join(char for char in spaced if not stringprep.in_table_b1(char)))
    return text.encode() if text and not _prohibited(text) else octets


def _prohibited(text: str) -> bool:
    """Say whether RFC 4013 sections 2.3 and 2.4 forbid *text*."""
    if any(table(char) for table in PROHIBITED for char in text):
        return True
    right_to_left = [stringprep.in_table_d1(char) for char in text]
    if not any(right_to_left):
        return False
    return any(map(stringprep.in_table_d2, text)) or not (right_to_left[0] and right_to_left[-1])


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise ProtocolError("SCRAM: what should be base64 is none") from None
