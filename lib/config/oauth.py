"""A pf_oauth line: how tokens are had for the accounts that name it with oauth=. Pure.

No ValueError here quotes a value: any word may be a piece of a secret.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lib.config import values
from lib.config.account import words
from lib.config.values import Account, Secret
from lib.visible import visible

FLOWS = ("device", "browser", "client")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
DATA = Path(__file__).resolve().parents[1] / "auth" / "providers.toml"


class Provider(NamedTuple):
    """Where tokens are had, as providers.toml tells or an issuer does; flows[0] is the usual one."""

    name: str
    scope: str
    flows: tuple[str, ...]
    authorize: str = ""
    token: str = ""
    device: str = ""
    register: str = ""
    tenant: str = ""  # the default of {tenant}
    extra: tuple[tuple[str, str], ...] = ()
    secret: bool = False  # a client_secret is always needed
    each_mailbox: bool = False  # a token is for one mailbox, named in the request
    discover: bool = False  # the endpoints come from issuer=

    @property
    def needs_tenant(self) -> bool:
        """Say whether the endpoints hold a {tenant} that nobody has filled in."""
        return "{tenant}" in self.token and not self.tenant


class Oauth(NamedTuple):
    """One pf_oauth line."""

    name: str
    provider: Provider
    client_id: str = ""
    client_secret: Secret | None = None
    scope: str = ""
    issuer: str = ""
    certificate: Path | None = None
    flow: str = ""
    place: str = ""

    def __str__(self) -> str:
        """Return what may be shown of it."""
        return f"{self.name} provider={self.provider.name}"


class Key(NamedTuple):
    """One key= of a pf_oauth line."""

    parse: Callable[[str], Any]
    allowed: str
    meaning: str


def _url(text: str) -> str:
    if not re.fullmatch(r"https://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError("is not an https:// address without query")
    return text.rstrip("/")


def _tenant(text: str) -> str:
    if not TENANT.fullmatch(text):
        raise ValueError("is not a tenant's id or domain")
    return text


def _text(text: str) -> str:
    return values.plain(text, low=1, high=2000)


KEYS = {
    "provider": Key(_text, "a name of docs/providers.md, or generic", "whose tokens these are"),
    "client_id": Key(_text, "text", "the id under which this program, or your own copy, is registered there"),
    "client_secret": Key(
        lambda text: Secret(values.source(text)), "text, file:PATH, env:NAME, command:LINE …", "the secret of that id"
    ),
    "tenant": Key(_tenant, "an id or a domain", "Microsoft's name of your organisation"),
    "scope": Key(_text, "words in double quotes", "in place of the provider's usual scope"),
    "issuer": Key(_url, "an https:// address", "who gives the tokens, with provider=generic"),
    "certificate": Key(
        values.path, "a file", "a private key and certificate in PEM, or a service account's key in JSON"
    ),
    "flow": Key(lambda text: values.one_of(text, FLOWS), ", ".join(FLOWS), "how to log in, instead of the usual way"),
}


@cache
def providers() -> dict[str, Provider]:
    """Return all that providers.toml knows, by name."""
    import tomllib  # noqa: PLC0415 - only who has a pf_oauth line pays for it

    return {
        name: Provider(
            name,
            **(row | {"flows": tuple(row["flows"]), "extra": tuple(row.get("extra", {}).items())}),
        )
        for name, row in tomllib.loads(DATA.read_text(encoding="utf-8")).items()
    }


def parse(line: str) -> Oauth:
    """Return what a pf_oauth line says: NAME key=value ...; ValueError with a predicate."""
    name, *rest = words(line, plain=1) or [""]
    if not NAME.fullmatch(name):
        raise ValueError("has no name of letters, digits, _ . and - in front")
    given: dict[str, Any] = {}
    for number, word in enumerate(rest, start=2):
        key, value = _key(word, number)
        if key in given:
            raise ValueError(f"has {key}= twice")
        given[key] = value
    provider = providers().get(given.pop("provider", "").lower())
    if provider is None:
        raise ValueError(f"has no provider= that is known; known are {', '.join(providers())}")
    tenant = given.pop("tenant", provider.tenant)
    if tenant:
        urls = {
            field: getattr(provider, field).replace("{tenant}", tenant) for field in ("authorize", "token", "device")
        }
        provider = provider._replace(tenant=tenant, **urls)
    found = Oauth(name, provider, **given)
    why = next((words for broken, words in MISSING if broken(found)), "")
    if why:
        raise ValueError(why)
    return found._replace(flow=found.flow or _usual(found), scope=found.scope or provider.scope)


def _usual(it: Oauth) -> str:
    return "client" if it.certificate and "client" in it.provider.flows else it.provider.flows[0]


MISSING: tuple[tuple[Callable[[Oauth], object], str], ...] = (
    (lambda it: it.provider.discover and not it.issuer, "has no issuer=, which provider=generic needs"),
    (
        lambda it: it.provider.needs_tenant,
        "has no tenant=, which this provider needs: your organisation's id or domain",
    ),
    (
        lambda it: not it.client_id and not it.provider.discover and not it.provider.each_mailbox,
        "has no client_id=: register one with the provider (docs/providers.md)",
    ),
    (
        lambda it: (it.flow or _usual(it)) == "client" and not (it.client_secret or it.certificate),
        "has neither client_secret= nor certificate=, and flow=client needs one",
    ),
    (lambda it: it.provider.each_mailbox and not it.certificate, "has no certificate=: the service account's key file"),
    (lambda it: it.provider.secret and not it.client_secret, "has no client_secret=, which this provider needs"),
    (
        lambda it: it.flow and it.flow not in it.provider.flows,
        "has a flow= that this provider does not know (docs/providers.md)",
    ),
)


def _key(word: str, number: int) -> tuple[str, Any]:
    written, equals, value = word.partition("=")
    key = written.lower()
    if key not in KEYS or not equals:
        near = values.nearest(key, KEYS)
        known = f"did you mean {near}=?" if near else f"known are {', '.join(KEYS)}"
        raise ValueError(f"has a word {number} that is no key ({known}); text with blanks goes into double quotes")
    try:
        return key, KEYS[key].parse(value)
    except ValueError as error:
        raise ValueError(f"has a {key}= that {error}; allowed there: {KEYS[key].allowed}") from error


def contradictions(lines: Iterable[Oauth], accounts: Iterable[Account]) -> Iterator[str]:
    """Yield, with its place, each line whose name was taken before, and each account that names none of them."""
    known: dict[str, Oauth] = {}
    for line in lines:
        first = known.setdefault(line.name.lower(), line)
        if first is not line:  # files are named by it, on systems that do not tell a from A
            yield f"{line.place}: pf_oauth: the name {line.name} is already taken at {first.place}; change it"
    names = {line.name for line in known.values()}
    for account in accounts:
        if account.oauth and account.oauth not in names:
            near = values.nearest(account.oauth, names)
            hint = f"did you mean {near}?" if near else "add a line: pf_oauth NAME provider=... client_id=..."
            yield f"{account.place}: pf_user: oauth={visible(account.oauth)} is the name of no pf_oauth line; {hint}"


def keys_markdown() -> str:
    """Return the documentation's table of the keys: key, value, meaning."""
    lines = ["| key | value | meaning |", "|---|---|---|"]
    lines += [f"| `{name}=` | {key.allowed} | {key.meaning} |" for name, key in KEYS.items()]
    return "\n".join(lines) + "\n"
