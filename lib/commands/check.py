"""--check: a Plan for a person, in lines of at most WIDTH columns. Pure; a secret is three stars."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap

from lib.config import settings
from lib.config.dmail_conf import Configuration
from lib.config.settings import KEEP_FOREVER, Account, HostPort, Row, Secret, Settings
from lib.visible import visible

WIDTH = 100
NAME, ORIGIN = 20, 22  # columns
FALLBACK = ("X-Rcpt-To", "X-Recip-To", "To")  # the headers that are looked at after pf_header


def report(plan: Configuration) -> str:
    """Return every setting with its value, origin, meaning and bounds, then the accounts, warnings and notes."""
    warnings = [*plan.warnings, *strangers(plan.settings)]
    notes = [*plan.notes, *_advice(plan.settings)]
    count = f"{_counted(len(plan.settings.pf_user), 'account')}, {_counted(len(warnings), 'warning')}"
    parts = [
        [f"{visible(str(plan.path))}: {count}"],
        ["SETTINGS", *(line for row in settings.rows() for line in _setting(row, plan))],
        ["ACCOUNTS", *(line for account in plan.settings.pf_user for line in _account(account))],
        ["WARNINGS", *_listed(warnings)],
        ["NOTES", *_listed(notes)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if len(part) > 1 or part is parts[0]) + "\n"


def strangers(it: Settings) -> Iterator[str]:
    """Yield a warning for each account whose mail may be sent back out to strangers, because `To` names them too."""
    for account in it.pf_user:
        if not (account.to or account.domain or it.pf_accept_domain):
            headers = ", ".join((*account.headers, *FALLBACK[:-1]))
            yield (
                f"{account.place}: pf_user: {account.name}: a message with none of {headers} goes to everybody in To, "
                "strangers too, so it may be sent back out; better: pf_accept_domain, pf_domain or to="
            )


def _advice(it: Settings) -> Iterator[str]:
    if not it.pf_dflt_address:
        yield "pf_dflt_address is not set: what is refused or has no recipient goes to duds.dat"


def _setting(row: Row, plan: Configuration) -> Iterator[str]:
    origin = Path(plan.origins[row.name]).name if row.name in plan.origins else "default"
    first, *more = _wrapped(_value(row, plan.settings), WIDTH - NAME - ORIGIN - 2)
    yield f"{row.name:<{NAME}} {first:<{WIDTH - NAME - ORIGIN - 2}} {origin:>{ORIGIN}}"
    for text in (
        *more,
        *_wrapped(row.meaning, WIDTH - NAME - 1),
        *_wrapped(f"allowed: {row.allowed}", WIDTH - NAME - 1),
    ):
        yield f"{'':<{NAME}} {text}"


def _value(row: Row, it: Settings) -> str:
    value = getattr(it, row.name)
    if row.name == "pf_user":
        return f"{_counted(len(value), 'account')}, see below"
    if isinstance(value, Secret):
        return _stars(value)
    return visible(row.show(value)) or row.default


def _stars(secret: Secret) -> str:
    """Return what may be seen of a password: where it comes from."""
    return "***" if secret.kind == "literal" else f"*** from {secret.kind}:"


def _proof(account: Account) -> str:
    return f"a token of {account.oauth}" if account.oauth else f"password {_stars(account.password)}"


def _account(account: Account) -> Iterator[str]:
    headers = ", ".join((*account.headers, *FALLBACK))
    recipients = account.to or f"named in the first of {headers}"
    domain = f"; their domain becomes {account.domain}" if account.domain and not account.to else ""
    pin = ", certificate pinned" if account.pin else ""
    kept = "for ever" if account.keep == KEEP_FOREVER else _counted(account.keep, "day")
    yield f"{visible(account.name)} ({Path(account.place).name})"
    facts = {
        "server": f"{HostPort(account.host, account.port)}, tls={account.tls.value}{pin}",
        "login": f"{account.user}, auth={account.auth}, {_proof(account)}",
        "recipients": recipients + domain,
        "kept": f"{kept} after delivery" if account.keep else "not at all: deleted once delivered",
    }
    for name, fact in facts.items():
        first, *more = _wrapped(visible(fact), WIDTH - 16)
        yield f"    {name:<11} {first}"
        yield from (f"{'':<16}{text}" for text in more)


def _listed(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        first, *more = _wrapped(line, WIDTH - 2)
        yield f"- {first}"
        yield from (f"  {text}" for text in more)


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, break_on_hyphens=False) or [""]


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
