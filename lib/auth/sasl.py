"""SASL as both POP3 (RFC 5034) and SMTP (RFC 4954) speak it: what a mechanism says, in bytes, nothing sent.

A mechanism is a function from the challenges heard so far to the next response, so that both protocols drive the
same table. OAuth tokens take the place of the password.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import NamedTuple

from lib.errors import ProtocolError
from lib.visible import visible


class Login(NamedTuple):
    """Who logs in where; the password, or the OAuth 2 bearer token."""

    user: bytes
    password: bytes
    host: bytes
    port: int

    def __repr__(self) -> str:
        """Keep the password out of every log and traceback."""
        return "Login(***)"


def _plain(login: Login, _: bytes) -> bytes:
    return b"\0%b\0%b" % (login.user, login.password)


def _user(login: Login, _: bytes) -> bytes:
    return login.user


def _password(login: Login, _: bytes) -> bytes:
    return login.password


def _cram_md5(login: Login, challenge: bytes) -> bytes:
    return login.user + b" " + hmac.new(login.password, challenge, hashlib.md5).hexdigest().encode()


def _xoauth2(login: Login, _: bytes) -> bytes:
    return b"user=%b\1auth=Bearer %b\1\1" % (login.user, login.password)


def _oauthbearer(login: Login, _: bytes) -> bytes:
    name = login.user.replace(b"=", b"=3D").replace(b",", b"=2C")
    place = b"host=%b\1port=%d\1" % (login.host, login.port)
    return b"n,a=%b,\1%bauth=Bearer %b\1\1" % (name, place, login.password)


Response = Callable[[Login, bytes], bytes]

# What is said after each challenge, by mechanism (RFC 4616, 2195, 7628; LOGIN and XOAUTH2 as the servers do it).
MECHANISMS: dict[bytes, tuple[Response, ...]] = {
    b"PLAIN": (_plain,),
    b"LOGIN": (_user, _password),
    b"CRAM-MD5": (_cram_md5,),
    b"EXTERNAL": (_user,),  # RFC 4422 appendix A: who we are was proved by the certificate
    b"XOAUTH2": (_xoauth2,),
    b"OAUTHBEARER": (_oauthbearer,),
}


# What answers a challenge behind the last one: of OAUTHBEARER a lone %x01 (RFC 7628 section 3.2.3), else nothing.
LAST_WORDS = {b"OAUTHBEARER": b"AQ=="}


def respond(response: Response, login: Login, challenge: bytes) -> bytes:
    """Return the base64 line that answers *challenge* (base64 as received); ProtocolError if that is no base64."""
    try:
        heard = b64decode(challenge.strip(), validate=True)
    except (Base64Error, ValueError):
        if response is _cram_md5:
            raise ProtocolError("a challenge that is not base64") from None
        heard = b""
    return b64encode(response(login, heard))


def digest(timestamp: bytes, password: bytes) -> bytes:
    """Return the APOP digest of RFC 1939 §7, lower-case hexadecimal."""
    return hashlib.md5(timestamp + password).hexdigest().encode()  # noqa: S324 - the protocol says MD5


def challenged(text: bytes) -> str:
    """Return what the error challenge of XOAUTH2 or OAUTHBEARER says, in words (RFC 7628 section 3.2.2), "" if none."""
    import json  # noqa: PLC0415 - only who was refused pays for it

    try:
        said = json.loads(b64decode(text.strip(), validate=True))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    return visible(" ".join(f"{name}={value}" for name, value in said.items() if isinstance(value, str)), 200)
