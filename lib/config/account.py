"""A pf_user line: its words, its options, and the Account that they make. Pure.

No ValueError here quotes the line: any word may be a piece of a password that holds a blank.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lib.config import hosts, values
from lib.config.values import POP_PORT, POPS_PORT, Account, HostPort, Secret, Tls
from lib.visible import visible

AUTH = (
    "auto",
    "user",
    "apop",
    "plain",
    "login",
    "cram-md5",
    "scram-sha-1",
    "scram-sha-256",
    "external",
    "xoauth2",
    "oauthbearer",
)
TOKENS = ("auto", "xoauth2", "oauthbearer")  # what a token can log in by
MODES = tuple(mode.value for mode in Tls)
CLEAR = ("auto", "user", "plain", "login", "xoauth2", "oauthbearer")  # auto may come down to USER
MOST_EVERY = 44640  # minutes: 31 days
HINT = "text with blanks goes into double quotes"

BODY = r'"((?:[^"\\]|\\.)*)"(?=[ \t]|$)'  # what stands in double quotes; then a blank or the end
WORD = r"[ \t]*(?:()" + BODY + r"|([^ \t]+))"
LATER_WORD = r"[ \t]*(?:((?:[A-Za-z]+=)?)" + BODY + r"|([^ \t]+))"


class AccountLine(NamedTuple):
    """A pf_user line as it stands, not yet joined with the settings that its options override; port 0: none given."""

    user: str
    password: str
    at: HostPort
    options: dict[str, Any]


class Option(NamedTuple):
    """An option of a pf_user line."""

    parse: Callable[[str], Any]
    allowed: str
    meaning: str
    many: bool = False


class Standing(NamedTuple):
    """The settings that hold for every account whose options say nothing else."""

    tls: Tls
    headers: tuple[str, ...]
    domain: str | None
    keep: int


OPTIONS = {
    "to": Option(values.address, "an address", "everything goes there, headers unread: one mailbox, one person"),
    "header": Option(
        values.header_place,
        "a header name, and N in quotes with it",
        "in place of pf_header; may be repeated",
        many=True,
    ),
    "domain": Option(values.domain, "a domain", "in place of pf_domain"),
    "keep": Option(values.days, "days, or forever", "in place of pf_keep"),
    "tls": Option(partial(values.tls, modes=MODES), ", ".join(MODES), "in place of pf_tls"),
    "pin": Option(
        values.pin,
        "sha256: and 64 hex digits; several with commas between",
        "the certificate (DER) to be shown, instead of a CA",
    ),
    "auth": Option(partial(values.one_of, words=AUTH), ", ".join(AUTH), "how to log in"),
    "every": Option(partial(values.whole, low=1, high=MOST_EVERY), "minutes", "polled less often than ras_timer says"),
    "oauth": Option(
        partial(values.plain, low=1, high=80), "the name of a pf_oauth line", "tokens take the place of the password"
    ),
    "name": Option(partial(values.plain, low=1, high=80), "1 to 80 characters", "what logs call the account"),
}


def words(line: str, plain: int) -> list[str]:
    r"""Split at blanks; a word may be in double quotes, with \" and \\ inside for the two; other backslashes stay.

    Quotes count only at the start of a word and, after the first *plain* words, behind option=: a password may hold
    them anywhere else.
    """
    if '"' not in line:
        return [word for word in line.replace("\t", " ").split(" ") if word]
    found: list[str] = []
    at = 0
    while match := re.compile(WORD if len(found) < plain else LATER_WORD).match(line, at):
        option, quoted, bare = match.groups()
        if bare and (bare.startswith('"') or (len(found) >= plain and '="' in bare)):
            raise ValueError("has a double quote that is not closed, or text behind it without a blank")
        found.append(bare or option + re.sub(r'\\(["\\])', r"\1", quoted))
        at = match.end()
    return found


def login(line: str) -> AccountLine:
    """Parse a pf_user line: user password host[:port] [option=value ...]."""
    user, password, host, *rest = _at_least_three(words(line, plain=3))
    try:
        at = values.host(host)
    except ValueError as error:
        raise ValueError(f"has a third word, the host, that {error}; {HINT}") from error
    options: dict[str, Any] = {}
    for number, word in enumerate(rest, start=4):
        name, parsed = _option(word, number)
        if name in options and not OPTIONS[name].many:
            raise ValueError(f"has {name}= twice")
        options[name] = (*options.get(name, ()), parsed) if OPTIONS[name].many else parsed
    return AccountLine(user, password, at, options)


def join(login: AccountLine, standing: Standing, place: str, folder: Path) -> Account:
    """Return the account of a pf_user line that stands at *place*, in a file in *folder*."""
    options = login.options
    tls = options.get("tls", standing.tls)
    port = login.at.port or (POPS_PORT if tls is Tls.IMPLICIT else POP_PORT)
    account = Account(
        user=login.user,
        password=Secret(login.password, place, login.user, folder),
        host=login.at.host,
        port=port,
        tls=Tls.IMPLICIT if tls is Tls.AUTO and port == POPS_PORT else tls,
        auth=options.get("auth", "auto"),
        pin=options.get("pin", ()),
        to=options.get("to"),
        headers=options.get("header", standing.headers),
        domain=options.get("domain", standing.domain),
        keep=options.get("keep", standing.keep),
        every=options.get("every", 0),
        oauth=options.get("oauth", ""),
        name=options.get("name", ""),
        named="name" in options,
        place=place,
    )
    return account if account.named else replace(account, name=account.id)


def contradictions(account: Account) -> Iterator[str]:
    """Yield what makes the account unusable."""
    if account.pin and account.tls is Tls.OFF:
        yield "pin= needs TLS, and tls is off; remove one of them"
    if account.auth == "external" and account.tls is Tls.OFF:
        yield "auth=external needs TLS, and tls is off; remove one of them"
    if account.oauth and account.auth not in TOKENS:
        yield f"oauth= goes with auth={' or '.join(TOKENS[1:])} alone; remove one of them"


def doubts(account: Account) -> Iterator[str]:
    """Yield what is probably not meant so."""
    if account.tls is Tls.OFF and account.auth in CLEAR and far(account.host):
        yield "the password goes over the network unencrypted; better: tls=starttls, or port 995"
    if account.port == POPS_PORT and account.tls is not Tls.IMPLICIT:
        yield f"port {POPS_PORT} speaks TLS from the start; better: tls=implicit, or another port"
    if account.port == POP_PORT and account.tls is Tls.IMPLICIT:
        yield f"port {POP_PORT} does not speak TLS from the start; better: tls=starttls, or port {POPS_PORT}"
    if words := hosts.missing(account):
        yield words
    if account.pin and account.tls is Tls.AUTO:
        yield "pin= is looked at only if the server offers STLS; better: tls=starttls, which takes nothing else"


def twins(accounts: Iterable[Account]) -> Iterator[tuple[Account, str]]:
    """Yield every account that has the mailbox or the name of an earlier one, and what is to be said of it."""
    mailboxes: dict[str, Account] = {}
    names: dict[str, Account] = {}
    for account in accounts:
        first = mailboxes.setdefault(account.address, account)
        if first is not account:
            yield account, f"{visible(account.address)} is already set at {first.place}; remove one of the two"
        elif (other := names.setdefault(account.name, account)) is not account:
            yield account, f"the name {visible(account.name)} is already taken at {other.place}; change name="


def far(host: str) -> bool:
    """Say whether *host* is, by its name or number alone, neither this machine nor in a private network."""
    import ipaddress  # noqa: PLC0415 - only who goes without TLS pays for it

    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return host.lower() != "localhost"


def options_markdown() -> str:
    """Return the table of docs/settings.md with pf_user options: option, value, meaning."""
    lines = ["| option | value | meaning |", "|---|---|---|"]
    lines += [f"| `{name}=` | {option.allowed} | {option.meaning} |" for name, option in OPTIONS.items()]
    return "\n".join(lines) + "\n"


def _at_least_three(words: list[str]) -> list[str]:
    if len(words) < 3:
        raise ValueError(f"has {len(words)} of the three words that it needs: user, password, host")
    if not words[0]:
        raise ValueError("has an empty user")
    try:
        values.source(words[1])
    except ValueError as error:
        raise ValueError(f"has a password that {error}") from error
    return words


def _option(word: str, number: int) -> tuple[str, Any]:
    written, equals, value = word.partition("=")
    name = written.lower()
    if name not in OPTIONS or not equals:
        near = values.nearest(name, OPTIONS)
        known = f"did you mean {near}=?" if near else f"known are {', '.join(OPTIONS)}"
        raise ValueError(f"has a word {number} that is no option ({known}); {HINT}")
    try:
        return name, OPTIONS[name].parse(value)
    except ValueError as error:
        raise ValueError(f"has a {name}= that {error}; allowed there: {OPTIONS[name].allowed}") from error
