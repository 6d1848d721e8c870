"""THE table: every setting of dmail.conf, declared once as a field of Settings. Pure.

A field's name is the setting's name; its row says how text becomes a value, what is allowed, the default and, in a
sentence, what it is for. The parser, --check, the docs and the tests walk the same rows.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lib.config import oauth, values
from lib.config.oauth import Oauth
from lib.config.values import KEEP_FOREVER, Account, Alias, HostPort, Secret, Tls, UnixPath

__all__ = ["KEEP_FOREVER", "Account", "Alias", "HostPort", "Row", "Secret", "Settings", "Tls", "UnixPath", "rows"]

T = TypeVar("T")

SMTP_PORT = 25
DAY = 1440  # minutes
TERA = 1 << 40  # octets
TLS_MODES = tuple(mode.value for mode in Tls)


def shown(value: object) -> str:
    """Return a value as dmail.conf would write it; "none" for what is absent."""
    match value:
        case None | ():
            return "none"
        case bool():
            return str(value).lower()
        case Tls():
            return value.value
        case HostPort() | UnixPath() | Alias() | Oauth():
            return str(value)
        case tuple():
            return ", ".join(map(shown, value))
    return str(value)


def shown_command(command: tuple[str, ...]) -> str:
    """Return a command line as dmail.conf would write it."""
    return " ".join(word if word and not set(word) & set(" \t'\"\\") else repr(word) for word in command) or "none"


def shown_size(octets: int) -> str:
    """Return a size as dmail.conf would write it: 268435456 is 256M."""
    for unit, factor in reversed(values.UNITS.items()):
        if octets and octets % factor == 0:
            return f"{octets // factor}{unit}"
    return str(octets)


def shown_days(number: int) -> str:
    """Return days as dmail.conf would write them."""
    return "forever" if number >= KEEP_FOREVER else str(number)


class Row(NamedTuple):
    """One setting: its meaning in a sentence, and its texts as a person reads them.

    *parse* raises ValueError with a predicate about the text; *old* are names that mean the same; *many* says that it
    may be repeated; *low* and *high* are the bounds of a number, both allowed; *show* gives a value back as text.
    """

    meaning: str
    allowed: str
    default: str
    parse: Callable[[str], Any]
    name: str = ""
    old: tuple[str, ...] = ()
    many: bool = False
    secret: bool = False
    low: int | None = None
    high: int | None = None
    show: Callable[[Any], str] = shown


_ROWS: list[Row] = []  # in the order of the fields of Settings: the call that gives a field its default adds its row


def _row(default: T, parse: Callable[[str], Any], allowed: str, meaning: str, *, said: str = "", **more: Any) -> T:
    """Declare one setting; *said* is its default in words where the value does not tell, *more* is for its Row."""
    _ROWS.append(Row(meaning, allowed, said or more.get("show", shown)(default), parse, **more))
    return default


def _count(default: int, low: int, high: int, unit: str, meaning: str, *old: str) -> int:
    parse = partial(values.whole, low=low, high=high)
    return _row(default, parse, f"{low} to {high} {unit}".rstrip(), meaning, old=old, low=low, high=high)


def _size(default: int, low: int, meaning: str) -> int:
    parse = partial(values.size, low=low, high=TERA)
    allowed = f"{low} to {shown_size(TERA)} octets; K, M or G may follow"
    return _row(default, parse, allowed, meaning, low=low, high=TERA, show=shown_size)


def _days(meaning: str) -> int:
    high = values.MAX_DAYS
    allowed = f"0 to {high} days, or forever"
    return _row(0, values.days, allowed, meaning, low=0, high=high, show=shown_days)


def _flag(meaning: str) -> bool:
    return _row(default=False, parse=values.flag, allowed="true or false", meaning=meaning)


def _choice(default: str, words: tuple[str, ...], meaning: str) -> str:
    return _row(default, partial(values.one_of, words=words), ", ".join(words), meaning)


def _tls(default: Tls, modes: tuple[str, ...], meaning: str) -> Tls:
    return _row(default, partial(values.tls, modes=modes), ", ".join(modes), meaning)


def _text(high: int, meaning: str) -> str:
    parse = partial(values.plain, low=0, high=high)
    return _row("", parse, f"text of at most {high} characters", meaning, said="empty")


def _optional(parse: Callable[[str], T], allowed: str, meaning: str) -> T | None:
    absent: T | None = None
    return _row(absent, lambda text: parse(text) if text else None, allowed, meaning)


def _secret(meaning: str) -> Secret | None:
    allowed = "text, file:PATH, env:NAME, command:LINE, keyring:SERVICE, credential:NAME, or literal:TEXT"
    absent: Secret | None = None
    return _row(absent, lambda text: Secret(values.source(text)) if text else None, allowed, meaning, secret=True)


def _list(parse: Callable[[str], T], allowed: str, meaning: str) -> tuple[T, ...]:
    return _row((), parse, allowed, meaning, many=True)


def _accounts(meaning: str) -> tuple[Account, ...]:
    allowed = "user password host[:port] [option=value ...]"
    return _row((), str, allowed, meaning, many=True, secret=True)  # account.py parses the line


def _oauths(meaning: str) -> tuple[Oauth, ...]:
    return _row((), oauth.parse, "NAME key=value ...", meaning, many=True, secret=True)


def _folder(default: str, meaning: str, *old: str) -> Path:
    return _row(Path(), _path_or_none, "a folder", meaning, said=default, old=old)


def _path_or_none(text: str) -> Path | None:
    return values.path(text) if text else None


def _receiver(meaning: str) -> HostPort | UnixPath:
    default: HostPort | UnixPath = HostPort("127.0.0.1", SMTP_PORT)
    return _row(default, values.server, "host[:port] or unix:/path", meaning)


def _sender(meaning: str) -> str:
    return _row("return-path", values.sender, "return-path, null, or an address", meaning)


def _helo(meaning: str) -> str:
    default = "the machine's full name, else an address literal"
    return _row("", lambda text: values.helo(text) if text else "", "a host name", meaning, said=default)


def _command(meaning: str) -> tuple[str, ...]:
    return _row((), values.argv, "a command line", meaning, show=shown_command, secret=True)


class Settings(NamedTuple):
    """What dmail.conf says, or does not say; without any argument: the defaults."""

    pf_user: tuple[Account, ...] = _accounts(
        "one POP account; at least one is needed; its options: to header domain keep tls pin auth every oauth name"
    )
    pf_header: tuple[str, ...] = _list(
        values.header_place,
        "a header name [N], colon optional",
        "where the envelope recipient stands; tried in order; N: only the N-th from the top; Received: its for clause",
    )
    pf_domain: str | None = _optional(
        values.domain, "a domain", "replaces the domain of every recipient; appended to bare names"
    )
    pf_accept_domain: tuple[str, ...] = _list(
        values.domain, "a domain", "recipients of other domains are ignored, before pf_domain applies; none: any domain"
    )
    pf_strip_prefix: tuple[str, ...] = _list(
        values.prefix,
        "text",
        "taken off the front of a local part that begins with it, as qmail's virtual domains have",
    )
    pf_alias: tuple[Alias, ...] = _list(
        values.alias,
        "PATTERN ADDRESS ...",
        "after all else: who fits PATTERN (one * in it) is replaced; the first that fits; not applied twice",
    )
    pf_dflt_address: str | None = _optional(
        values.address, "an address", "the caretaker: gets what has no recipient or is refused; used as it stands"
    )
    pf_max_duds: int = _count(10, 1, 10**6, "messages", "duds in a row that trip the safety net", "max_duds")
    pf_retry_delay: int = _count(
        40,
        0,
        3600,
        "seconds",
        "the wait before the second and last try when no server answers over a line that another program opened",
        "pf_wait",
    )
    pf_isinterval: bool = _flag("ras_timer counts from the end of a pass instead of its start")
    ras_timer: int = _count(5, 1, 7 * DAY, "minutes", "how often a pass is due; at least 5 when this program dials")
    ras_entry: str = _text(256, "the Windows phone-book entry to dial")
    ras_number: str = _text(128, "the number to dial, in place of the entry's own")
    ras_username: str = _text(256, "the login at the far end of the Windows dial-up line")
    ras_password: Secret | None = _secret("the password that goes with ras_username")
    ras_domain: str = _text(15, "the Windows domain of that login")
    ras_smtpip: HostPort | None = _optional(
        partial(values.host, port=SMTP_PORT), "host[:port]", "the mail server at the far end of the line, for pf_etrn"
    )
    ras_timeout: int = _count(
        0, 0, DAY, "minutes", "how long a line of ours may stay up; then the pass commits and hangs up; 0: no limit"
    )
    work_path: Path = _folder(
        "the program's own folder", "where spool, journal, duds.dat, lock and state lie", "work_dir"
    )
    log_path: Path = _folder("work_path", "where popfetch.log lies")
    log_level: str = _choice("info", ("error", "info", "debug"), "how much goes to popfetch.log")
    pf_smtp_server: HostPort | UnixPath = _receiver(
        "the receiver; without a port: 25, for LMTP 24, for implicit TLS 465"
    )
    pf_smtp_protocol: str = _choice("smtp", ("smtp", "lmtp"), "what the receiver speaks")
    pf_smtp_tls: Tls = _tls(
        Tls.OFF, ("off", "starttls", "implicit"), "TLS to the receiver; its certificate is verified unless loopback"
    )
    pf_smtp_user: str | None = _optional(str, "text", "the login at the receiver")
    pf_smtp_password: Secret | None = _secret("the password that goes with pf_smtp_user")
    pf_helo_name: str = _helo("what EHLO, Received lines and the Message-IDs of our own mails call this machine")
    pf_mail_from: str = _sender("the envelope sender; return-path: the topmost one, null where there is none")
    pf_tls: Tls = _tls(
        Tls.AUTO,
        TLS_MODES,
        "TLS to the POP servers, always verified; auto: implicit on port 995, else STLS; "
        "off: the one way to log in over a public network in the clear",
    )
    pf_tls_ca: Path | None = _optional(values.path, "a file", "further trusted CAs, in PEM")
    pf_tls_cert: Path | None = _optional(
        values.path, "a file", "a client certificate in PEM, for servers that ask for one and for auth=external"
    )
    pf_tls_key: Path | None = _optional(
        values.path, "a file", "its private key in PEM, without passphrase; none: it lies in pf_tls_cert too"
    )
    pf_keep: int = _days("how long delivered messages stay on the POP server")
    pf_max_size: int = _size(0, 0, "larger messages stay on the POP server and are reported, once each; 0: no limit")
    pf_max_messages: int = _count(0, 0, 10**6, "messages", "per account and pass; 0: no limit")
    pf_parallel: int = _count(8, 1, 64, "accounts", "how many are drained at once")
    pf_window: int = _count(100, 1, 500, "commands", "POP commands sent ahead of their replies")
    pf_timeout: int = _count(60, 1, 3600, "seconds", "longest silence of a POP server")
    pf_smtp_timeout: int = _count(
        600, 1, 3600, "seconds", "longest wait for the verdict after the final dot; 60 seconds elsewhere"
    )
    pf_time_limit: int = _count(0, 0, DAY, "minutes", "longest pass; 0: no limit")
    pf_spool_limit: int = _size(256 << 20, 1, "fetchers pause while this much waits for the receiver")
    pf_give_up: int = _count(
        5, 0, 365, "days", "how long a deferred message is retried before it goes to the caretaker, then to the duds"
    )
    pf_dial_up: tuple[str, ...] = _command("raises the line, on systems without RAS")
    pf_dial_check: tuple[str, ...] = _command("ends with exit code 0 while the line is up")
    pf_dial_down: tuple[str, ...] = _command("hangs the line up")
    pf_online_command: tuple[str, ...] = _command("run once when the line is up, such as postqueue -f")
    pf_etrn: tuple[str, ...] = _list(values.domain, "a domain", "ETRN for it goes to ras_smtpip when the line is up")
    pf_notify_address: str | None = _optional(
        values.address, "an address", "told when an account keeps failing, when it recovers, when the safety net trips"
    )

    pf_oauth: tuple[Oauth, ...] = _oauths("how the tokens are had for the accounts that name this line with oauth=")

    @property
    def tls_files(self) -> tuple[Path | None, Path | None, Path | None]:
        """The CAs, the certificate and the key of TLS to POP servers."""
        return self.pf_tls_ca, self.pf_tls_cert, self.pf_tls_key


def without_aging(it: Settings) -> Settings:
    """Return *it* for a pass whose clock is in doubt: nothing is deleted for its age, and nothing is given up."""
    users = tuple(replace(user, keep=KEEP_FOREVER) if user.keep else user for user in it.pf_user)
    return it._replace(pf_user=users, pf_give_up=KEEP_FOREVER)


def rows() -> Iterator[Row]:
    """Walk the table in its order."""
    for name, row in zip(Settings._fields, _ROWS, strict=True):
        yield row._replace(name=name)


BY_NAME = {name: row for row in rows() for name in (row.name, *row.old)}


def misspelt(name: str) -> str:
    """Return what is wrong with a *name* in lower case that is no setting; nothing if it is another program's.

    Only its first letters are shown: a password may hang on it (pf_smtp_password=secret).
    """
    start = re.match("[a-z0-9_]*", name)
    word = start[0] if start else ""
    if word in BY_NAME:
        return f"{word}: a blank must stand between name and value"
    if not word.startswith(("pf_", "ras_")):
        return ""
    near = values.nearest(word, BY_NAME)
    return f"{word[:40]}: no such setting" + (f"; did you mean {near}?" if near else "")


def table_markdown() -> str:
    """Return the table of docs/settings.md of settings: name, value, default, meaning."""
    lines = ["| name | value | default | meaning |", "|---|---|---|---|"]
    for row in rows():
        name = row.name + "".join(f" ({old})" for old in row.old) + (", a line each" if row.many else "")
        lines.append(f"| {name} | `{row.allowed}` | {row.default} | {row.meaning} |")
    return "\n".join(lines) + "\n"
