"""The login at the receiver (RFC 4954): which mechanism, and what is said; does no I/O.

Over TLS the plain ones come first: they are what local servers offer behind it. In the clear the one that shows least
comes first, also on loopback: who has taken the port of a server that is down learns no password.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from typing import TYPE_CHECKING

from lib.auth import sasl
from lib.errors import ProtocolError
from lib.net.dialogue import Command
from lib.smtp import smtp

if TYPE_CHECKING:
    from lib.auth.scram import Scram

SCRAM = (b"SCRAM-SHA-256", b"SCRAM-SHA-1")
OVER_TLS = (b"PLAIN", b"LOGIN", b"CRAM-MD5", *SCRAM)
IN_THE_CLEAR = (*SCRAM, b"CRAM-MD5", b"PLAIN", b"LOGIN")


def mechanisms(offered: Collection[bytes], *, encrypted: bool, local: bool) -> list[bytes]:
    """Return those of *offered* (upper case) that are tried, in order; none where none is known.

    Where nobody can listen, a refused one is followed by the next: many a local server offers what its database of
    passwords cannot serve. Elsewhere a refused one is followed by none that shows more.
    """
    known = [name for name in (OVER_TLS if encrypted else IN_THE_CLEAR) if name in offered]
    return known if local and not encrypted else known[:1]


class LoginAttempt:
    """One login by one mechanism."""

    def __init__(self, mechanism: bytes, login: sasl.Login) -> None:
        """Say nothing yet."""
        self._mechanism = mechanism
        self._login = login
        self._steps = list(sasl.MECHANISMS.get(mechanism, ()))
        self._scram = _scram(mechanism, login) if mechanism in SCRAM else None

    @property
    def proved(self) -> bool:
        """Say whether the receiver has proved what this mechanism lets it prove; else its 235 is no login."""
        return self._scram is None or self._scram.proved

    def opening(self) -> Command:
        """Return AUTH, with the initial response where the mechanism begins with one."""
        words = [b"AUTH", self._mechanism]
        if self._scram is not None:
            words.append(b64encode(self._scram.respond(b"")))
        elif self._mechanism == b"PLAIN":
            words.append(sasl.respond(self._steps.pop(0), self._login, b""))
        return smtp.secret(*words, shown=f"AUTH {self._mechanism.decode()} ***")

    def answer(self, challenge: bytes) -> Command:
        """Return what answers *challenge*, base64 as received. ProtocolError for one that nothing answers."""
        if self._scram is not None:
            try:
                heard = b64decode(challenge.strip(), validate=True)
            except (Base64Error, ValueError):
                raise ProtocolError("a challenge that is not base64") from None
            return smtp.secret(b64encode(self._scram.respond(heard)), shown="***")
        if not self._steps:
            raise ProtocolError("a challenge behind the last one")
        return smtp.secret(sasl.respond(self._steps.pop(0), self._login, challenge), shown="***")


def _scram(mechanism: bytes, login: sasl.Login) -> "Scram":
    from lib.auth.scram import Scram  # noqa: PLC0415 - most receivers want no login at all

    return Scram(mechanism, login.user, login.password)
