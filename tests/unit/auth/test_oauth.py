"""OAuth requests and what answers mean; the requests are read by the standard library, not by oauthlib."""

import base64
import hashlib
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lib.auth import oauth, sasl
from lib.auth.oauth import Browser, Device, InvalidGrantError, Token, Waiting
from lib.config.oauth import Oauth, parse, providers
from lib.errors import AccountError, LoginError, SettingsError
from lib.net.https import HttpReply
from tests import pki

NOW = 1_800_000_000.0
MICROSOFT = parse("work provider=microsoft client_id=abc")
GOOGLE = parse("g provider=google client_id=abc client_secret=def")


def answer(status: int = 200, **said: object) -> HttpReply:
    return HttpReply(status, said)


def query(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_a_browser_login_has_pkce_and_a_state_of_its_own() -> None:
    one, other = (oauth.browser(GOOGLE, "http://127.0.0.1:5/") for _ in range(2))
    asked = query(one.address)
    digest = base64.urlsafe_b64encode(hashlib.sha256(one.verifier.encode()).digest()).rstrip(b"=")
    assert asked["code_challenge"] == digest.decode()
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert (asked["client_id"], asked["redirect_uri"]) == ("abc", "http://127.0.0.1:5/")
    assert (asked["access_type"], asked["scope"]) == ("offline", "https://mail.google.com/")
    assert one.state != other.state
    assert one.verifier != other.verifier
    assert 43 <= len(one.verifier) <= 128


BEGUN = Browser("", "the-state", "the-verifier", "http://127.0.0.1:5/")


def test_the_address_that_came_back_becomes_a_request() -> None:
    form = oauth.exchange(GOOGLE, BEGUN, " http://127.0.0.1:5/?state=the-state&code=4%2Fx&scope=y \n", "def")
    assert form == {
        "grant_type": "authorization_code",
        "client_id": "abc",
        "client_secret": "def",
        "code": "4/x",
        "code_verifier": "the-verifier",
        "redirect_uri": "http://127.0.0.1:5/",
    }


@pytest.mark.parametrize(
    ("came_back", "error", "words"),
    [
        ("http://127.0.0.1:5/?state=other&code=x", AccountError, "state="),
        ("http://127.0.0.1:5/?code=x", AccountError, "state="),
        ("http://127.0.0.1:5/?state=the-state", AccountError, "no code="),
        ("4/0Ax-code-alone", AccountError, "state="),
        ("", AccountError, "state="),
        ("http://127.0.0.1:5/?error=access_denied&error_description=No%1b", LoginError, r"access_denied No\\x1b"),
    ],
)
def test_an_address_that_is_not_the_one_is_refused(came_back: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        oauth.exchange(GOOGLE, BEGUN, came_back, "")


def test_a_device_code_is_asked_for_and_asked_about() -> None:
    assert oauth.device(MICROSOFT) == {"client_id": "abc", "scope": MICROSOFT.scope}
    begun = oauth.code(answer(device_code="d", user_code="U-1", verification_uri="https://x", expires_in="900"))
    assert begun == Device("d", "U-1", "https://x", "", 900, 5)
    assert oauth.poll(MICROSOFT, begun, "") == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "abc",
        "device_code": "d",
    }


def test_google_calls_the_address_of_a_device_code_otherwise() -> None:
    assert oauth.code(answer(device_code="d", user_code="u", verification_url="https://y")).address == "https://y"


POLLED = [
    (answer(400, error="authorization_pending"), Waiting(5)),
    (answer(400, error="slow_down"), Waiting(10)),
    (answer(503), Waiting(10)),
    (answer(access_token="a", expires_in=60, refresh_token="r"), Token("a", NOW + 60, "r", NOW)),
]


@pytest.mark.parametrize(("said", "means"), POLLED)
def test_what_is_heard_while_somebody_types(said: HttpReply, means: Token | Waiting) -> None:
    assert oauth.polled(said, NOW, 5) == means


@pytest.mark.parametrize("error", ["expired_token", "access_denied", "unauthorized_client"])
def test_what_ends_a_device_code(error: str) -> None:
    with pytest.raises(LoginError, match=error):
        oauth.polled(answer(400, error=error), NOW, 5)


def test_a_refresh_asks_for_what_was_granted() -> None:
    form = oauth.refresh(MICROSOFT, Token("", 0, "r/1"), "")
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": "r/1",
        "client_id": "abc",
        "scope": MICROSOFT.scope,
    }
    assert oauth.refresh(GOOGLE, Token("", 0, "r"), "def")["client_secret"] == "def"


MEANS = [
    (answer(400, error="invalid_grant", error_description="AADSTS70000"), InvalidGrantError, "AADSTS70000"),
    (answer(401, error="invalid_client"), LoginError, "invalid_client"),
    (answer(400, error="invalid_scope"), LoginError, "invalid_scope"),
    (answer(400, error="temporarily_unavailable"), AccountError, "no token now"),
    (answer(500, error="invalid_grant"), AccountError, "no token now"),
    (answer(503), AccountError, "HTTP 503"),
    (answer(429), AccountError, "HTTP 429"),
    (answer(200), AccountError, "HTTP 200"),  # a page of a captive portal
    (answer(200, access_token=5), AccountError, "HTTP 200"),
    (answer(302), AccountError, "HTTP 302"),
]


@pytest.mark.parametrize(("said", "error", "words"), MEANS)
def test_what_an_answer_without_token_means(said: HttpReply, error: type[AccountError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        oauth.token(said, NOW)
    assert type(caught.value) is error


def test_a_refresh_token_that_is_not_renewed_goes_on() -> None:
    before = Token("old", 0, "r1")
    assert oauth.token(answer(access_token="a"), NOW, before) == Token("a", NOW + 3600, "r1", NOW)
    assert oauth.token(answer(access_token="a", refresh_token="r2"), NOW, before).refresh == "r2"


FRESH = [
    (Token("a", NOW + 301, "", NOW), True),
    (Token("a", NOW + 299, "", NOW - 3300), False),
    (Token("", NOW + 3600, "", NOW), False),
    (Token("a", NOW + 90_000, "", NOW + 86_400), False),  # had tomorrow: the clock was set back
]


@pytest.mark.parametrize(("token", "fresh"), FRESH)
def test_when_a_token_is_renewed(token: Token, fresh: bool) -> None:
    assert token.fresh(NOW) is fresh


def test_a_token_shows_nothing() -> None:
    assert "geheim" not in repr(Token("geheim-1", 0, "geheim-2"))


# --- programs that are their own users --------------------------------------------------------------------------------


def part(token: str, number: int) -> dict[str, object]:
    found = token.split(".")[number]
    return dict(json.loads(base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))))


def verify(token: str, key: rsa.RSAPublicKey) -> None:
    unsigned, _, signature = token.rpartition(".")
    octets = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.verify(octets, unsigned.encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def app(**more: object) -> Oauth:
    line = parse("app provider=microsoft-app tenant=t.org client_id=abc client_secret=x")
    return line._replace(client_secret=None, place="f:3", **more)  # type: ignore[arg-type] # fields of it


def test_a_secret_is_sent_as_it_is() -> None:
    form = oauth.credentials(app(), "geheim", "", NOW)
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "abc",
        "client_secret": "geheim",
        "scope": "https://outlook.office365.com/.default",
    }


def test_a_certificate_signs_an_assertion(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    certificate = pki.self_signed(key)
    path = tmp_path / "app.pem"
    path.write_bytes(pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    form = oauth.credentials(app(certificate=path), "", "", NOW)
    token = form["client_assertion"]
    verify(token, key.public_key())
    fingerprint = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - what x5t is
    thumbprint = base64.urlsafe_b64encode(fingerprint).rstrip(b"=").decode()
    assert part(token, 0) == {"alg": "RS256", "typ": "JWT", "x5t": thumbprint}
    claims = part(token, 1)
    assert (claims["iss"], claims["sub"]) == ("abc", "abc")
    assert claims["aud"] == "https://login.microsoftonline.com/t.org/oauth2/v2.0/token"
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 600)
    assert "client_secret" not in form


def test_a_service_account_speaks_for_one_mailbox(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    path = tmp_path / "key.json"
    said = {"private_key": pem(key).decode(), "client_email": "bot@x.iam", "private_key_id": "k1"}
    path.write_text(json.dumps(said))
    it = parse("w provider=google-workspace certificate=x")._replace(certificate=path)
    form = oauth.credentials(it, "", "anna@example.org", NOW)
    verify(form["assertion"], key.public_key())
    assert part(form["assertion"], 0)["kid"] == "k1"
    claims = part(form["assertion"], 1)
    assert (claims["iss"], claims["sub"]) == ("bot@x.iam", "anna@example.org")
    assert claims["aud"] == "https://oauth2.googleapis.com/token"


@pytest.mark.parametrize("octets", [b"", b"{}", b"[]", b"no key", b'{"private_key": 5, "client_email": "x"}'])
def test_a_key_that_is_none_is_said_with_its_place(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(octets)
    workspace = parse("w provider=google-workspace certificate=x")._replace(certificate=path, place="f:3")
    for it in (workspace, app(certificate=path)):
        with pytest.raises(SettingsError, match=r"^f:3: certificate="):
            oauth.credentials(it, "", "", NOW)


def test_a_key_that_is_not_there_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        oauth.credentials(app(certificate=tmp_path / "none"), "", "", NOW)


def test_a_certificate_without_key_is_said(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    path = tmp_path / "app.pem"
    path.write_bytes(pki.self_signed(key).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(SettingsError, match="no private key"):
        oauth.credentials(app(certificate=path), "", "", NOW)


# --- issuers ----------------------------------------------------------------------------------------------------------


def test_where_an_issuer_tells_of_itself() -> None:
    assert oauth.well_known("https://id.example.org/realm/") == (
        "https://id.example.org/.well-known/oauth-authorization-server/realm",
        "https://id.example.org/realm/.well-known/openid-configuration",
    )


def test_what_an_issuer_tells_is_taken_if_it_is_its_own() -> None:
    generic = providers()["generic"]
    said = answer(issuer="https://i.org/", token_endpoint="https://i.org/t", registration_endpoint="https://i.org/r")
    found = oauth.discovered(generic, "https://i.org", said)
    assert (found.token, found.register, found.device) == ("https://i.org/t", "https://i.org/r", "")


@pytest.mark.parametrize(
    "said",
    [
        answer(issuer="https://evil.org", token_endpoint="https://i.org/t"),
        answer(issuer="https://i.org"),
        answer(issuer="https://i.org", token_endpoint="http://i.org/t"),
        answer(
            issuer="https://i.org", token_endpoint="https://i.org/t", device_authorization_endpoint="http://i.org/d"
        ),
        answer(),
    ],
)
def test_what_an_issuer_may_not_tell(said: HttpReply) -> None:
    with pytest.raises(AccountError, match="issuer="):
        oauth.discovered(providers()["generic"], "https://i.org", said)


CHALLENGES = [
    (b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}', "status=400 schemes=Bearer"),
    (b'{"status":"invalid_token"}', "status=invalid_token"),
    (b"[1]", ""),
    (b"no json", ""),
]


@pytest.mark.parametrize(("said", "words"), CHALLENGES)
def test_an_error_challenge_is_told_in_words(said: bytes, words: str) -> None:
    assert sasl.challenged(base64.b64encode(said)).startswith(words)
    assert bool(sasl.challenged(base64.b64encode(said))) == bool(words)


def test_an_error_challenge_that_is_no_base64_says_nothing() -> None:
    assert sasl.challenged(b"*") == ""
