"""pf_strip_prefix and pf_alias: one address becomes another, or several. Pure.

Both are compared without case, as addresses are. What a * of a pattern stood for is put where a * of an address stands;
whether the outcome may be given to a receiver is for the caller to look at.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lib.config.values import Alias
from lib.mail.address import mailbox_key


class Rewrite(NamedTuple):
    """One pf_alias line: what must stand before and behind the *, or (*exact*) all of it."""

    pattern: str
    before: bytes
    behind: bytes
    exact: bool
    addresses: tuple[bytes, ...]


def rewriting(alias: Alias) -> Rewrite:
    """Return a pf_alias line as it is compared."""
    before, star, behind = alias.pattern.partition("*")
    return Rewrite(
        alias.pattern,
        mailbox_key(before.encode()),
        mailbox_key(behind.encode()),
        not star,
        tuple(one.encode() for one in alias.addresses),
    )


def stripped_of(local: bytes, prefixes: Sequence[bytes]) -> bytes:
    """Return *local* without the longest of *prefixes* that it begins with; never an empty one."""
    key = mailbox_key(local)
    found = [one for one in prefixes if len(key) > len(one) and key.startswith(mailbox_key(one))]
    longest = max(map(len, found), default=0)
    return local[longest:] if len(key) == len(local) else local


def aliased(recipient: bytes, rewrites: Sequence[Rewrite]) -> tuple[tuple[bytes, ...], Rewrite | None]:
    """Return who stands in the place of *recipient* by the first line that fits it, and that line."""
    if not rewrites:
        return (recipient,), None
    key = mailbox_key(recipient)
    for one in rewrites:
        if one.exact:
            if key == one.before:
                return one.addresses, one
        elif len(key) >= len(one.before) + len(one.behind) and key.startswith(one.before) and key.endswith(one.behind):
            star = recipient[len(one.before) : len(recipient) - len(one.behind)]
            return tuple(address.replace(b"*", star) for address in one.addresses), one
    return (recipient,), None
