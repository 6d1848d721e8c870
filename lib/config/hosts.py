"""What is known of the POP servers of large providers: what a login there needs, and what a refusal means. Pure.

Facts with their sources stand in docs/providers.md. Only what would keep a login out is said, and only where dmail.conf
shows that it is missing.
"""

import re
from typing import NamedTuple

from lib.config.values import Account

APP_PASSWORD = re.compile(r"[A-Za-z]{16}")
SEE = "docs/providers.md says how"


class Host(NamedTuple):
    """A provider: the ends of its POP servers' names, and whether it takes tokens alone or app passwords too."""

    provider: str
    names: tuple[str, ...]
    needs: str
    password: bool  # an app password is 16 letters there, and others are refused


MICROSOFT = (
    "outlook.office365.com outlook.office.com outlook.live.com pop-mail.outlook.com pop3.live.com partner.outlook.cn"
)
HOSTS = (
    Host("Microsoft", tuple(MICROSOFT.split()), "a token: oauth=NAME, and a pf_oauth line", password=False),
    Host(
        "Google",
        ("pop.gmail.com", "pop.googlemail.com"),
        "an app password (16 letters) or a token (oauth=NAME)",
        password=True,
    ),
    Host(
        "Yahoo",
        ("pop.mail.yahoo.com", "pop.aol.com", "inbound.att.net", "pop.verizon.net"),
        "an app password (16 letters)",
        password=True,
    ),
)
WITHOUT_POP = {"mail.me.com": "iCloud", "protonmail.com": "Proton", "proton.me": "Proton"}


def known(name: str) -> Host | None:
    """Return whose server *name* is."""
    return next((host for host in HOSTS if any(_is_in(name, one) for one in host.names)), None)


def missing(account: Account) -> str:
    """Return what the account lacks to be let in, "" if nothing is known to be missing."""
    for end, provider in WITHOUT_POP.items():
        if _is_in(account.host, end):
            return f"{provider} has no POP3 servers; {SEE} its mail can be had"
    host = known(account.host)
    if host is None or account.oauth or (host.password and not _is_other_password(account)):
        return ""
    return f"{host.provider} takes no account passwords: it wants {host.needs}; {SEE}"


def refused(name: str) -> str:
    """Return what a refused password at *name* means, "" if nothing is known of it."""
    host = known(name)
    return "" if host is None else f"; {host.provider} wants {host.needs}: see docs/providers.md"


def _is_in(name: str, end: str) -> bool:
    name = name.lower()
    return name == end or name.endswith("." + end)


def _is_other_password(account: Account) -> bool:
    """Say whether a password that stands in dmail.conf itself is no app password."""
    if account.password.kind != "literal":
        return False
    text = account.password.source.removeprefix("literal:").replace(" ", "")
    return not APP_PASSWORD.fullmatch(text)
