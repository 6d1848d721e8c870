"""--login NAME: have a token for a pf_oauth line, by device code or browser; what needs no login is tried out.

Every wait has a limit. What is printed is what a person must do, and nothing of a token, a code or a secret.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from lib.auth import oauth
from lib.auth.oauth import Device, Token, Waiting
from lib.auth.tokens import ENDPOINTS, FOLDER, StoredToken, Tokens
from lib.config import password
from lib.config.dmail_conf import Configuration
from lib.config.oauth import Oauth
from lib.errors import AccountError, Exit, SettingsError
from lib.net import https
from lib.net.loopback import Loopback
from lib.report import console
from lib.visible import hide, visible

BROWSER_SECONDS = 900.0  # to find a second factor
AGAIN = "the provider gave no refresh token, so this login ends soon; see scope= of pf_oauth {name}"


class Request(NamedTuple):
    """What every request needs: the client's secret, how a form is sent, and anything else."""

    secret: str
    post: Callable[[str, Any], https.HttpReply]
    how: https.Asking


def log_in(plan: Configuration, name: str, command: str) -> Exit:
    """Log in for the pf_oauth line *name*; *command* is how this is called. Raises PopfetchError."""
    it = _line(plan, name)
    how = https.Asking(plan.settings.pf_tls_ca)
    folder = plan.settings.work_path / FOLDER

    def post(url: str, form: Any) -> https.HttpReply:
        return https.post(url, form, how)

    tokens = Tokens(folder, {it.name: it}, post, time.time, command)
    if it.flow == "client":
        if it.provider.discover:
            it = _found_out(it, how)
            tokens.keep(it.name, StoredToken(client_id=it.client_id, endpoints=_endpoints(it)))
        for user in sorted({one.user for one in plan.settings.pf_user if one.oauth == it.name}) or [""]:
            tokens.access(it.name, user, password.reveal)
        console.say(f"{it.name} needs no login: a token was given")
        return Exit.OK
    tokens.room(it.name)
    secret = password.reveal(it.client_secret) if it.client_secret else ""
    asked = Request(secret, post, how)
    it = _found_out(it, how)
    with_browser = it.flow == "browser" or not it.provider.device
    it, token = _by_browser(it, asked) if with_browser else _by_device(it, asked)
    tokens.keep(it.name, StoredToken(token, it.client_id, _endpoints(it)))
    if not token.refresh:
        console.complain([AGAIN.format(name=it.name)])
    console.say(f"logged in for {it.name}; the tokens lie in {folder}")
    return Exit.OK


def _endpoints(it: Oauth) -> tuple[tuple[str, str], ...]:
    """Return what an issuer told of itself, for passes to come."""
    return tuple((one, getattr(it.provider, one)) for one in ENDPOINTS) if it.provider.discover else ()


def _line(plan: Configuration, name: str) -> Oauth:
    known = {it.name: it for it in plan.settings.pf_oauth}
    if name not in known:
        names = ", ".join(known) or "none: add a line pf_oauth NAME provider=... client_id=..."
        raise SettingsError(f"{plan.path}: there is no pf_oauth line {visible(name)}; there is {names}")
    return known[name]


def _found_out(it: Oauth, how: https.Asking) -> Oauth:
    """Return *it* with the endpoints that its issuer tells of."""
    if not it.provider.discover:
        return it
    trouble: AccountError | None = None
    for url in oauth.well_known(it.issuer):
        try:
            answer = https.get(url, how)
            if answer.status == 200:
                return it._replace(provider=oauth.discovered(it.provider, it.issuer, answer))
        except AccountError as error:
            trouble = error
    raise trouble or AccountError(f"{visible(it.issuer)} tells nothing of itself (RFC 8414): see issuer= of {it.place}")


def _registered(it: Oauth, redirects: list[str], how: https.Asking) -> Oauth:
    """Return *it* with a client_id, asked for where the issuer registers anybody (RFC 7591)."""
    if it.client_id:
        return it
    if not it.provider.register:
        raise SettingsError(f"{it.place}: pf_oauth {it.name} has no client_id=, and its issuer registers nobody")
    answer = https.post_json(it.provider.register, oauth.registration(redirects), how)
    if not answer.text("client_id"):
        raise AccountError(f"the issuer does not register this program: {oauth.told(answer)}; see client_id=")
    return it._replace(client_id=answer.text("client_id"))


def _by_device(it: Oauth, asked: Request) -> tuple[Oauth, Token]:
    it = _registered(it, [], asked.how)
    begun = oauth.code(asked.post(it.provider.device, oauth.device(it)))
    hide(begun.code)
    console.say(f"Open {visible(begun.address)} in any browser, on any machine, and type {visible(begun.user_code)}")
    if begun.complete:
        console.say(f"or open {visible(begun.complete)}")
    return it, _polled(it, begun, asked)


def _polled(it: Oauth, begun: Device, asked: Request) -> Token:
    until, interval = time.monotonic() + begun.seconds, max(begun.interval, 1.0)
    while time.monotonic() < until:
        time.sleep(interval)
        try:
            answer = asked.post(it.provider.token, oauth.poll(it, begun, asked.secret))
        except https.ServerUnavailableError:
            interval *= 2  # RFC 8628 section 3.5: a connection that fails is asked less often
            continue
        found = oauth.polled(answer, time.time(), interval)
        if not isinstance(found, Waiting):
            return found
        interval = found.interval
    raise AccountError("nobody typed the code in time: run --login again")


def _by_browser(it: Oauth, asked: Request) -> tuple[Oauth, Token]:
    loopback = Loopback()
    try:
        it = _registered(it, [loopback.address], asked.how)
        begun = oauth.browser(it, loopback.address)
        console.say(f"Open this in a browser:\n\n    {begun.address}\n")
        console.say(f"A browser on another machine ends at an address that begins with {loopback.address}")
        console.say("and shows an error: paste that whole address here, and press Enter.")
        came_back = loopback.wait(BROWSER_SECONDS, sys.stdin)
    finally:
        loopback.close()
    if not came_back:
        raise AccountError("nobody logged in within a quarter of an hour: run --login again")
    answer = asked.post(it.provider.token, oauth.exchange(it, begun, came_back, asked.secret))
    return it, oauth.token(answer, time.time())
