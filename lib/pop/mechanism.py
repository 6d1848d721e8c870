"""How an account logs in: by which mechanism, and in which words. Pure.

The law: `auto` takes the strongest that the server offers and we can speak. Over TLS that is SCRAM, then what shows the
password to the server alone; in the clear whatever shows it is taken last. A server that offers nothing of ours gets
no password, unless it does not say what it offers: every one of those knows USER.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

from lib.auth import sasl
from lib.auth.sasl import Login
from lib.errors import AccountError, LoginError, ProtocolError
from lib.net.dialogue import Command
from lib.pop import pop3
from lib.pop.pop3 import Capabilities
from lib.visible import visible

if TYPE_CHECKING:
    from lib.auth.scram import Scram

SCRAM = ("scram-sha-256", "scram-sha-1")
OVER_TLS = (*SCRAM, "user", "plain", "cram-md5", "login")
IN_THE_CLEAR = (*SCRAM, "cram-md5", "user", "plain", "login")
HIDES = (*SCRAM, "cram-md5", "apop")
"""The mechanisms that show the password to nobody who listens."""
AT_ONCE = ("user", "apop", "plain", "external")
"""The logins of which no word waits for an answer."""
# A SASL initial response must fit the 255 octets of a POP3 command line (RFC 5034 section 4).
MAX_LINE = 255
CANCEL = pop3.secret(b"*", shown="*", challenge=True)  # RFC 5034 section 4


def choose(asked: str, offered: Capabilities, *, token: bool, encrypted: bool) -> str:
    """Return the mechanism for auth=*asked* where the server says that it has *offered*.

    LoginError when auto finds none; a token or an explicit mechanism is tried whatever is offered.
    """
    if asked != "auto":
        return asked
    if token:
        only = b"XOAUTH2" not in offered.mechanisms and b"OAUTHBEARER" in offered.mechanisms
        return "oauthbearer" if only else "xoauth2"
    found = _best(offered, encrypted=encrypted)
    if found:
        return found
    if not offered.mechanisms:
        return "user"
    names = visible(b" ".join(sorted(offered.mechanisms)), 200)
    raise LoginError(f"the server takes no password: it offers {names} alone{instead(offered)}; see auth= and oauth=")


def instead(offered: Capabilities) -> str:
    """Return a hint at tokens for whom the server took no password, "" where it offers none."""
    tokens = sorted(offered.mechanisms & {b"XOAUTH2", b"OAUTHBEARER"})
    if not tokens:
        return ""
    return f"; it takes tokens ({b', '.join(tokens).decode()}): see docs/providers.md"


def stronger(offered: Capabilities, how: str, *, encrypted: bool) -> bool:
    """Say whether there is something in *offered* that shows less than *how*, which auto took."""
    best = _best(offered, encrypted=encrypted)
    order = OVER_TLS if encrypted else IN_THE_CLEAR
    return best in HIDES and how in order and order.index(best) < order.index(how)


def _best(offered: Capabilities, *, encrypted: bool) -> str:
    has = {name.decode(errors="replace").lower() for name in offered.mechanisms}
    if b"USER" in offered or not offered.words:
        has.add("user")
    else:
        has.discard("user")
    return next((name for name in (OVER_TLS if encrypted else IN_THE_CLEAR) if name in has), "")


def at_once(how: str, login: Login, greeting: bytes, place: str) -> list[Command]:
    """Return the words of a login that waits for no answer. AccountError where APOP is not offered."""
    match how:
        case "apop":
            stamp = pop3.timestamp(greeting)
            if not stamp:
                raise AccountError(f"the server offers no APOP: see auth= of {place}")
            return [pop3.secret(b"APOP", login.user, sasl.digest(stamp, login.password), shown="APOP ***")]
        case "plain" | "external":
            return _with_initial(how.upper().encode(), login)
    return [
        pop3.secret(b"USER", login.user, shown="USER ***"),
        pop3.secret(b"PASS", login.password, shown="PASS ***"),
    ]


def _with_initial(mechanism: bytes, login: Login) -> list[Command]:
    proof = sasl.respond(sasl.MECHANISMS[mechanism][0], login, b"")
    opening, shown = b"AUTH " + mechanism, f"AUTH {mechanism.decode()}"
    if _fits(opening, proof):
        return [pop3.secret(opening, proof, shown=f"{shown} ***")]
    return [pop3.secret(opening, shown=shown, challenge=True), pop3.secret(proof, shown="***")]


def _fits(opening: bytes, proof: bytes) -> bool:
    return len(opening) + len(proof) + len(b" \r\n") <= MAX_LINE


class Attempt:
    """One login by steps: AUTH, then what answers each challenge."""

    def __init__(self, how: str, login: Login) -> None:
        """Say nothing yet."""
        self._name = how.upper().encode()
        self._login = login
        self._steps = list(sasl.MECHANISMS.get(self._name, ()))
        self._scram = _scram(self._name, login) if how in SCRAM else None
        self._held_back = b""  # an initial response that is too long for its line
        self.told = ""  # why the server ends it, where it says so in a challenge

    def opening(self) -> Command:
        """Return AUTH. All but SCRAM say no more in its line: Microsoft's servers want the response in a second one."""
        words, shown = [b"AUTH " + self._name], f"AUTH {self._name.decode()}"
        if self._scram is not None:
            first = b64encode(self._scram.respond(b""))
            if _fits(words[0], first):
                words.append(first)
                shown += " ***"
            else:
                self._held_back = first
        return pop3.secret(*words, shown=shown, challenge=True)

    @property
    def over(self) -> bool:
        """Say whether there is nothing more to answer."""
        return bool(self.told) or (not self._steps if self._scram is None else self._scram.proved)

    def answer(self, challenge: bytes) -> Command:
        """Return what answers *challenge*, base64 as received. ProtocolError for one that nothing answers."""
        if self._scram is None:
            return pop3.secret(sasl.respond(self._steps.pop(0), self._login, challenge), shown="***", challenge=True)
        if self._held_back:
            first, self._held_back = self._held_back, b""
            return pop3.secret(first, shown="***", challenge=True)
        try:
            heard = b64decode(challenge.strip(), validate=True)
        except (Base64Error, ValueError):
            raise ProtocolError("a challenge that is not base64") from None
        if heard.startswith(b"e="):  # RFC 5802 section 7: what is wrong, before its -ERR
            self.told = visible(heard, 200)
            return CANCEL
        # Behind the server's proof the last, empty, line has nothing to wait for but the mailbox.
        words = self._scram.respond(heard)
        return pop3.secret(b64encode(words), shown="***", challenge=not self._scram.proved)

    def believe(self) -> None:
        """ProtocolError when a server says that we are in and has not proved what its mechanism lets it prove."""
        if self._scram is not None and not self._scram.proved:
            raise ProtocolError(f"{self._name.decode()}: the server does not prove that it knows the password")

    def last_words(self, challenge: bytes) -> Command:
        """Return what answers a challenge behind the last one: OAuth tells there what is wrong, before its -ERR."""
        self.told = sasl.challenged(challenge)
        return pop3.secret(sasl.LAST_WORDS.get(self._name, b""), shown="(no more)")


def _scram(name: bytes, login: Login) -> "Scram":
    from lib.auth.scram import Scram  # noqa: PLC0415 - few servers offer it

    return Scram(name, login.user, login.password)
