"""Who gets a message: its header fields and the account's rules make the envelope's recipients. Pure.

The first header that yields an address decides, and only what it yields is filtered: nobody whom a lower header names
gets a message because the upper one named nobody of ours. Headers are written by strangers: what cannot safely stand
in RCPT TO:<...> is no address.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from lib.config.settings import Account, Settings
from lib.mail.address import MAX_ADDRESSES, domain_in_ascii, in_ascii, mailbox_key, parse, safe
from lib.mail.alias import Rewrite, aliased, rewriting, stripped_of
from lib.mail.message import Field, Head
from lib.mail.trace import for_clause
from lib.visible import visible

STANDARD = ("X-Rcpt-To", "X-Recip-To", "To")  # tried after the account's own, in this order
SHOWN = 5  # addresses that an explanation names; it counts the others
LONGEST = 100  # characters of an address in an explanation


class RoutingRules(NamedTuple):
    """What decides who gets the messages of an account; *accept* holds domains as domain_in_ascii makes them."""

    to: bytes | None
    headers: tuple[str, ...]  # a number behind a name: only the N-th from the top
    accept: frozenset[bytes]
    domain: bytes | None
    caretaker: bytes | None
    strip: tuple[bytes, ...] = ()
    aliases: tuple[Rewrite, ...] = ()


class Route(NamedTuple):
    """Who gets a message, what said so (a header, "to=", "pf_dflt_address", "" for nobody), and why, in a sentence.

    *by_to_unfiltered*: To decided, which names strangers too, and neither pf_accept_domain nor pf_domain is set.
    """

    recipients: tuple[bytes, ...]
    header: str
    why: str
    by_to_unfiltered: bool


class _Sorted(NamedTuple):
    """What the addresses of a header came to: recipients, addresses of other domains, and what is no address.

    *ways*: how those came to be recipients whom pf_strip_prefix or pf_alias changed.
    """

    mine: list[bytes]
    foreign: list[bytes]
    unsafe: list[bytes]
    ways: list[str]


def rules(settings: Settings, account: Account) -> RoutingRules:
    """Return what routes the messages of *account*."""
    headers: dict[str, str] = {}
    for name in (*account.headers, *STANDARD):
        headers.setdefault(name.lower(), name)
    return RoutingRules(
        to=_octets(account.to),
        headers=tuple(headers.values()),
        accept=frozenset(domain_in_ascii(name.encode()) for name in settings.pf_accept_domain),
        domain=_octets(account.domain or settings.pf_domain),
        caretaker=_octets(settings.pf_dflt_address),
        strip=tuple(text.encode() for text in settings.pf_strip_prefix),
        aliases=tuple(map(rewriting, settings.pf_alias)),
    )


def _octets(text: str | None) -> bytes | None:
    return in_ascii(text.encode()) if text else None


def route(head: Head, rules: RoutingRules) -> Route:
    """Return who gets the message that begins with *head*: nobody only where there is no caretaker either."""
    if rules.to:
        return _to(rules.to)
    unsafe: list[bytes] = []
    for header in rules.headers:
        found = _addresses(head, header)
        if len(found) > MAX_ADDRESSES:
            return _to_caretaker(f"{header} holds more than {MAX_ADDRESSES} addresses", rules)
        if any(map(safe, found)):
            return _routed(header, _sorted(found, rules), rules)
        unsafe += found
    return _to_caretaker(f"no address in {', '.join(rules.headers)}{_ignored([], unsafe)}", rules)


@lru_cache(maxsize=128)
def _to(address: bytes) -> Route:
    return Route((address,), "to=", f"to= gives {_named([address])}", by_to_unfiltered=False)


def _addresses(head: Head, header: str) -> list[bytes]:
    """Return what a header holds, safe or not; more than MAX_ADDRESSES is not told apart."""
    word, _, number = header.partition(" ")
    name = word.lower().encode()
    fields = [field for field in head.fields if field.name == name]
    if number:
        fields = fields[int(number) - 1 : int(number)]
    elif name != b"to":
        fields = _topmost_run(fields)
    if name == b"received":
        return next(filter(None, (for_clause(field.value) for field in fields)), [])
    found: list[bytes] = []
    for field in fields:
        found += parse(field.value)
        if len(found) > MAX_ADDRESSES:
            break
    return found


def _topmost_run(fields: list[Field]) -> list[Field]:
    """Return those of *fields* that stand together on top: those below were there before our provider wrote its own."""
    run = fields[:1]
    for field in fields[1:]:
        if field.start != run[-1].end:
            break
        run.append(field)
    return run


def _sorted(found: list[bytes], rules: RoutingRules) -> _Sorted:
    """Filter and rewrite: pf_accept_domain looks at the domain that stands there, pf_domain comes after it."""
    mine: dict[bytes, bytes] = {}
    foreign: list[bytes] = []
    unsafe: list[bytes] = []
    ways: list[str] = []
    for address in found:
        local, at, domain = address.rpartition(b"@") if b"@" in address else (address, b"", b"")
        stripped = stripped_of(local, rules.strip)
        recipient = stripped + at + domain if rules.domain is None else stripped + b"@" + rules.domain
        if not (safe(address) and safe(recipient)):
            unsafe.append(address)
        elif at and rules.accept and domain_in_ascii(domain) not in rules.accept:
            foreign.append(address)
        else:
            _take(mine, unsafe, recipient, rules)
            if rules.strip or rules.aliases:
                ways += _way(address, stripped != local, recipient, rules)
    return _Sorted(list(mine.values()), foreign, unsafe, ways[:SHOWN])


def _take(mine: dict[bytes, bytes], unsafe: list[bytes], recipient: bytes, rules: RoutingRules) -> None:
    for one in map(in_ascii, aliased(recipient, rules.aliases)[0]):
        if safe(one):
            mine.setdefault(mailbox_key(one), one)
        else:
            unsafe.append(one)


def _way(address: bytes, stripped: bool, recipient: bytes, rules: RoutingRules) -> Iterator[str]:
    """Yield the way from an address to its recipients, if it is more than pf_domain's."""
    addresses, alias = aliased(recipient, rules.aliases)
    steps = [visible(address, LONGEST)]
    if recipient != address:
        names = ["pf_strip_prefix"] * stripped + ["pf_domain"] * (rules.domain is not None)
        steps.append(f"{visible(recipient, LONGEST)} by {' and '.join(names)}")
    if alias is not None:
        steps.append(f"{_named(list(addresses))} by pf_alias {visible(alias.pattern, LONGEST)}")
    if stripped or alias is not None:
        yield " becomes ".join(steps)


def _routed(header: str, addresses: _Sorted, rules: RoutingRules) -> Route:
    mine, foreign, unsafe, ways = addresses
    if not mine:
        return _to_caretaker(f"{header} gave nobody of ours{_ignored(foreign, unsafe)}", rules)
    why = "; ".join((f"{header} gave {_named(mine)}{_ignored(foreign, unsafe)}", *ways))
    unfiltered = header.lower() == "to" and not rules.accept and rules.domain is None
    return Route(tuple(mine), header, why, unfiltered)


def _to_caretaker(why: str, rules: RoutingRules) -> Route:
    if rules.caretaker is None:
        return Route((), "", f"{why}; pf_dflt_address is not set", by_to_unfiltered=False)
    why = f"{why}; pf_dflt_address gives {_named([rules.caretaker])}"
    return Route((rules.caretaker,), "pf_dflt_address", why, by_to_unfiltered=False)


def _ignored(foreign: list[bytes], unsafe: list[bytes]) -> str:
    said = f"; {_named(foreign)} ignored: not in pf_accept_domain" if foreign else ""
    return said + (f"; {_named(unsafe)} ignored: cannot stand in RCPT TO" if unsafe else "")


def _named(addresses: list[bytes]) -> str:
    shown: Iterable[str] = (visible(address, LONGEST) for address in addresses[:SHOWN])
    more = len(addresses) - SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
