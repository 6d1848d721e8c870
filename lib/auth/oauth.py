"""OAuth 2.0 as values: what is asked of a provider, and what its answers mean. No I/O.

RFC 6749, 7636 (PKCE), 8252 (native apps), 8414 (discovery), 8628 (device code), 7523 (assertions), 7591 (registration).
The words of the requests are oauthlib's; it is asked for only by who has a pf_oauth line.
"""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

from lib.config.oauth import Oauth, Provider
from lib.errors import AccountError, LoginError, SettingsError
from lib.net.https import HttpReply
from lib.visible import visible

LEAST_LEFT = 300  # seconds; with less left an access token is renewed first
USUAL_LIFE = 3600  # seconds, where an answer does not tell
USUAL_INTERVAL, SLOWER = 5, 5  # seconds between the questions for a device code, and what slow_down adds (RFC 8628)
VERIFIER = 64  # characters (RFC 7636 section 4.1 allows 43 to 128)
ASSERTION_LIFE = 600  # seconds
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# What will be otherwise in a moment, whatever the status (RFC 6749 sections 4.1.2.1 and 5.2; temporarily_… by habit).
PASSING = {"temporarily_unavailable", "server_error", "slow_down"}


class Token(NamedTuple):
    """What lets us in; times in seconds since the epoch."""

    access: str
    expires: float
    refresh: str = ""
    obtained: float = 0.0

    def __repr__(self) -> str:
        """Show nothing."""
        return "Token(***)"

    def fresh(self, now: float, left: float = LEAST_LEFT) -> bool:
        """Say whether it is good for *left* more seconds; not one that comes from the future: a clock was set back."""
        return bool(self.access) and self.expires - now >= left and self.obtained <= now + left


class Waiting(NamedTuple):
    """Nobody has typed the device code yet; ask again in *interval* seconds."""

    interval: float


class Device(NamedTuple):
    """A device code: what a person types where, and how we ask for what comes of it."""

    code: str
    user_code: str
    address: str
    complete: str
    seconds: float
    interval: float


class Browser(NamedTuple):
    """An authorization request: the address to open, and what its answer must bring back."""

    address: str
    state: str
    verifier: str
    redirect: str


class InvalidGrantError(LoginError):
    """The provider takes the refresh token no more: somebody must log in again."""


def library() -> ModuleType:
    """Return oauthlib's OAuth 2 clients. SettingsError, with what to type, where it is not installed."""
    try:
        return import_module("oauthlib.oauth2")
    except ImportError:
        raise SettingsError("pf_oauth needs a package that is not installed; run: pip install oauthlib") from None


# --- requests --------------------------------------------------------------------------------------------------------


def browser(it: Oauth, redirect: str) -> Browser:
    """Begin a login in a browser, with PKCE and a state of its own (RFC 8252, RFC 7636)."""
    client = library().WebApplicationClient(it.client_id)
    state, verifier = secrets.token_urlsafe(24), client.create_code_verifier(VERIFIER)
    address = client.prepare_request_uri(
        it.provider.authorize,
        redirect_uri=redirect,
        scope=it.scope,
        state=state,
        code_challenge=client.create_code_challenge(verifier, "S256"),
        code_challenge_method="S256",
        **dict(it.provider.extra),
    )
    return Browser(str(address), state, str(verifier), redirect)


def exchange(it: Oauth, begun: Browser, came_back: str, secret: str) -> dict[str, str]:
    """Return the request that turns the address that one was sent to into a token. AccountError for a wrong address."""
    given = {name: values[0] for name, values in parse_qs(urlsplit(came_back.strip()).query).items()}
    if error := given.get("error"):
        raise LoginError(
            f"the provider refuses: {visible(error)} {visible(given.get('error_description', ''))}".rstrip()
        )
    if not secrets.compare_digest(given.get("state", "").encode(), begun.state.encode()):
        raise AccountError("this address does not belong to the login that was begun here (its state= is another)")
    if not given.get("code"):
        raise AccountError("this address holds no code=: paste the whole address that the browser shows at the end")
    client = library().WebApplicationClient(it.client_id)
    body = client.prepare_request_body(
        code=given["code"], redirect_uri=begun.redirect, code_verifier=begun.verifier, include_client_id=True
    )
    return _form(body) | _secret(secret)


def device(it: Oauth) -> dict[str, str]:
    """Return the request for a device code (RFC 8628 section 3.1)."""
    return {"client_id": it.client_id, "scope": it.scope}


def poll(it: Oauth, begun: Device, secret: str) -> dict[str, str]:
    """Return the question whether somebody has typed the code by now (RFC 8628 section 3.4)."""
    client = library().DeviceClient(it.client_id)
    body = client.prepare_request_body(device_code=begun.code, include_client_id=True, scope="")
    return {"grant_type": DEVICE_GRANT} | _form(body) | _secret(secret)


def refresh(it: Oauth, token: Token, secret: str) -> dict[str, str]:
    """Return the request for a new access token (RFC 6749 section 6)."""
    client = library().WebApplicationClient(it.client_id)
    body = client.prepare_refresh_body(refresh_token=token.refresh, scope=it.scope, client_id=it.client_id)
    return _form(body) | _secret(secret)


def credentials(it: Oauth, secret: str, user: str, now: float) -> dict[str, str]:
    """Return the request of a program that is its own user: by secret, certificate, or as a service account.

    *user* is the mailbox, where a token is for one alone. SettingsError when the certificate is not to be had.
    """
    if it.provider.each_mailbox:
        return {"grant_type": JWT_BEARER, "assertion": _service_account(it, user, now)}
    client = library().BackendApplicationClient(it.client_id)
    form = _form(client.prepare_request_body(scope=it.scope, include_client_id=True))
    if it.certificate is None:
        return form | _secret(secret)
    return form | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": _certified(it, now)}


def registration(redirects: list[str]) -> dict[str, Any]:
    """Return the registration of this program where an issuer takes one from anybody (RFC 7591)."""
    return {
        "client_name": "POPFetch batch",
        "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token", DEVICE_GRANT],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }


def well_known(issuer: str) -> tuple[str, ...]:
    """Return where *issuer* tells of itself: by RFC 8414 section 3, and as OpenID Connect has it."""
    place = urlsplit(issuer)
    root, path = f"https://{place.netloc}", place.path.rstrip("/")
    return (
        f"{root}/.well-known/oauth-authorization-server{path}",
        f"{root}{path}/.well-known/openid-configuration",
    )


def discovered(provider: Provider, issuer: str, answer: HttpReply) -> Provider:
    """Return *provider* with the endpoints that *issuer* told of. AccountError for one that is somebody else's."""
    if answer.text("issuer").rstrip("/") != issuer.rstrip("/"):
        raise AccountError(f"{visible(issuer)} tells of another issuer, {visible(answer.text('issuer'))}: see issuer=")
    found = provider._replace(
        authorize=answer.text("authorization_endpoint"),
        token=answer.text("token_endpoint"),
        device=answer.text("device_authorization_endpoint"),
        register=answer.text("registration_endpoint"),
    )
    if not all(url.startswith("https://") for url in found[3:7] if url) or not found.token:
        raise AccountError(f"{visible(issuer)} tells of no token endpoint behind https://: see issuer=")
    return found


# --- answers ---------------------------------------------------------------------------------------------------------


def told(answer: HttpReply) -> str:
    """Return an error in the provider's own words."""
    words = " ".join(filter(None, (answer.text("error"), answer.text("error_description"))))
    return visible(words or f"HTTP {answer.status}", 200)


def token(answer: HttpReply, now: float, before: Token | None = None) -> Token:
    """Return the token of an answer, the refresh token of *before* where none came.

    InvalidGrantError: log in again. LoginError: refused for another reason. AccountError: out of order for now.
    """
    if access := answer.text("access_token"):
        life = answer.number("expires_in", USUAL_LIFE)
        renewing = answer.text("refresh_token") or (before.refresh if before else "")
        return Token(access, now + life, renewing, now)
    error = answer.text("error")
    if answer.status >= 500 or answer.status in (408, 429) or error in PASSING or not error:
        raise AccountError(f"no token now: {told(answer)}")
    if error == "invalid_grant":
        raise InvalidGrantError(told(answer))
    raise LoginError(f"no token: {told(answer)}")


def code(answer: HttpReply) -> Device:
    """Return the device code of an answer. AccountError, LoginError as token()."""
    if not answer.text("device_code"):
        token(answer._replace(said={**answer.said, "access_token": ""}), 0.0)
    address = answer.text("verification_uri") or answer.text("verification_url")
    return Device(
        answer.text("device_code"),
        answer.text("user_code"),
        address,
        answer.text("verification_uri_complete"),
        answer.number("expires_in", 900),
        answer.number("interval", USUAL_INTERVAL),
    )


def polled(answer: HttpReply, now: float, interval: float) -> Token | Waiting:
    """Return the token, or how long to wait; errors as token()."""
    match answer.text("error"):
        case "authorization_pending":
            return Waiting(interval)
        case "slow_down":
            return Waiting(interval + SLOWER)
        case "":
            return token(answer, now) if answer.status < 500 else Waiting(interval * 2)  # RFC 8628 section 3.5
    return token(answer, now)


# --- signatures ------------------------------------------------------------------------------------------------------


def _form(body: object) -> dict[str, str]:
    return dict(parse_qsl(str(body), keep_blank_values=True))


def _secret(secret: str) -> dict[str, str]:
    return {"client_secret": secret} if secret else {}


def _cryptography(name: str) -> Any:
    try:
        return import_module(f"cryptography.{name}")
    except ImportError:
        raise SettingsError(
            "certificate= needs a package that is not installed; run: pip install cryptography"
        ) from None


def _read(it: Oauth) -> bytes:
    path = it.certificate or Path()
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{it.place}: certificate={visible(str(path))}: {error.strerror or error}") from None


def _service_account(it: Oauth, user: str, now: float) -> str:
    """Return Google's assertion of a service account that speaks for *user* (RFC 7523)."""
    try:
        said = json.loads(_read(it))
        key, issuer = said["private_key"].encode(), str(said["client_email"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SettingsError(f"{it.place}: certificate= is not the JSON key of a service account") from None
    claims = {"iss": issuer, "sub": user, "scope": it.scope, "aud": it.provider.token}
    head = {"kid": str(said["private_key_id"])} if "private_key_id" in said else {}
    return _signed(it, key, head, claims, now)


def _certified(it: Oauth, now: float) -> str:
    """Return Microsoft's client assertion: signed with the key, naming the certificate by its thumbprint."""
    octets = _read(it)
    hashes = _cryptography("hazmat.primitives.hashes")
    try:
        certificate = _cryptography("x509").load_pem_x509_certificate(octets)
    except ValueError:
        raise SettingsError(f"{it.place}: certificate= holds no certificate in PEM beside its key") from None
    thumbprint = _base64(certificate.fingerprint(hashes.SHA1()))  # what x5t is by RFC 7515 section 4.1.7
    claims = {"iss": it.client_id, "sub": it.client_id, "aud": it.provider.token, "jti": secrets.token_urlsafe(16)}
    return _signed(it, octets, {"x5t": thumbprint}, claims | {"nbf": int(now)}, now)


def _signed(it: Oauth, key: bytes, head: Mapping[str, str], claims: Mapping[str, Any], now: float) -> str:
    """Return a JWT, signed by RS256 (RFC 7515)."""
    hashes = _cryptography("hazmat.primitives.hashes")
    padding = _cryptography("hazmat.primitives.asymmetric.padding")
    try:
        private = _cryptography("hazmat.primitives.serialization").load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        raise SettingsError(f"{it.place}: certificate= holds no private key in PEM without passphrase") from None
    parts = (
        {"alg": "RS256", "typ": "JWT", **head},
        {**claims, "iat": int(now), "exp": int(now) + ASSERTION_LIFE},
    )
    unsigned = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{unsigned}.{_base64(private.sign(unsigned.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
