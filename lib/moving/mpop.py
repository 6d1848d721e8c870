"""An mpop configuration file, and what it comes to here. Pure.

As conf.c reads it: `command argument`, one pair of double quotes around the argument taken off and no escapes in it, #
only as the first character of a line; `defaults`, and `account NAME [: OTHER, ...]` that inherits.
"""

import re
from dataclasses import dataclass, field

from lib.moving.draft import NEEDLESS, Draft, Moved, by_shell, literal, without_password
from lib.visible import visible

COMMANDS = {
    "host": "",
    "port": "",
    "user": "",
    "password": "",
    "passwordeval": "",
    "auth": "",
    "tls": "",
    "tls_starttls": "",
    "tls_trust_file": "",
    "tls_fingerprint": "",
    "tls_key_file": "",
    "tls_cert_file": "",
    "tls_certcheck": "",
    "tls_crl_file": "has no counterpart",
    "tls_min_dh_prime_bits": NEEDLESS,
    "tls_priorities": f"{NEEDLESS}: TLS 1.2 or newer is always used",
    "tls_host_override": "has no counterpart: name the server as its certificate does, or use pin=",
    "tls_trust_file_system": NEEDLESS,
    "tls_force_sslv3": NEEDLESS,
    "timeout": "",
    "connect_timeout": "",
    "pipelining": f"{NEEDLESS}: what the server bears is found out",
    "received_header": "has no counterpart: a Received line is always written; it is what finds loops",
    "delivery": "",
    "uidls_file": "is what --import-seen mpop takes",
    "only_new": "",
    "keep": "",
    "killsize": "has no counterpart: what is larger than pf_max_size stays on the server",
    "skipsize": "",
    "filter": "has no counterpart: filter at the receiver",
    "retrieve_batch_size": NEEDLESS,
    "proxy_host": "has no counterpart: connections are direct; a tunnel can be raised by pf_dial_up",
    "proxy_port": "has no counterpart: connections are direct; a tunnel can be raised by pf_dial_up",
    "source_ip": "has no counterpart",
    "socket": "has no counterpart: POP servers are reached by TCP",
    "eval": "has no counterpart: run the command yourself, and write down what it prints",
    "account": "",
    "defaults": "",
}
WAYS = {
    "on": "",
    "user": "user",
    "apop": "apop",
    "plain": "plain",
    "login": "login",
    "cram-md5": "cram-md5",
    "scram-sha-1": "scram-sha-1",
    "scram-sha-256": "scram-sha-256",
    "external": "external",
    "oauthbearer": "oauthbearer",
    "xoauth2": "xoauth2",
}
DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.IGNORECASE)
HOURS = (8760, 168, 24, 1, 1 / 60, 1 / 3600)


@dataclass(slots=True)
class MpopAccount:
    """An account, its own values and those that it inherits, with their lines."""

    name: str
    line: int
    given: dict[str, tuple[str, int]] = field(default_factory=dict)


def read(text: str) -> Moved:
    """Return what the configuration *text* comes to."""
    moved = Moved()
    accounts: dict[str, MpopAccount] = {}
    defaults, entry = MpopAccount("", 0), MpopAccount("", 0)
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip().split(None, 1)
        if not words or words[0].startswith("#"):
            continue
        command, argument = words[0], _unquoted(words[1]) if len(words) > 1 else ""
        if command == "defaults":
            entry = defaults
        elif command == "account":
            entry = _begun(moved, argument, number, accounts, defaults)
            accounts[entry.name] = entry
        elif command in COMMANDS:
            entry.given[command] = (argument, number)
            if COMMANDS[command]:
                moved.remark(number, f"{command} {COMMANDS[command]}")
        else:
            moved.remark(number, f"{visible(command, 40)} is no command that mpop knows")
    for one in accounts.values():
        _account(moved, one)
    if not accounts:
        moved.remark(0, "there is no account")
    without_password(moved, moved.accounts)
    return moved


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _begun(
    moved: Moved, argument: str, line: int, accounts: dict[str, MpopAccount], defaults: MpopAccount
) -> MpopAccount:
    name, _, others = argument.partition(":")
    entry = MpopAccount(name.strip(), line, dict(defaults.given))
    for other in filter(None, re.split(r"[,\s]+", others)):
        if other in accounts:
            entry.given |= accounts[other].given
        else:
            moved.remark(line, f"account {visible(name.strip())} inherits from {visible(other)}, which is not there")
    return entry


def _account(moved: Moved, entry: MpopAccount) -> None:
    given = entry.given
    if "host" not in given or "user" not in given:
        moved.remark(entry.line, f"account {visible(entry.name)} has no host or no user")
        return
    port = given.get("port", ("", 0))[0]
    draft = Draft(given["user"][0], given["host"][0], entry.line, int(port) if port.isdigit() else 0)
    if "passwordeval" in given:
        draft.password = by_shell(given["passwordeval"][0])
    elif "password" in given:
        draft.password = literal(given["password"][0])
    _tls(moved, draft, given)
    way, line = given.get("auth", ("on", 0))
    if way.lower() not in WAYS:
        moved.remark(line, f"auth {visible(way, 20)} has no counterpart; see auth= and docs/providers.md")
    elif WAYS[way.lower()]:
        draft.options["auth"] = WAYS[way.lower()]
    _kept(moved, draft, given)
    for command, name in (("timeout", "pf_timeout"), ("skipsize", "pf_max_size")):
        if given.get(command, ("",))[0].isdigit() and given[command][0] != "0":
            moved.set(name, *given[command])
    if given.get("only_new", ("on",))[0] == "off":
        moved.remark(given["only_new"][1], "only_new off has no counterpart: each message is fetched once")
    _delivery(moved, draft, given)
    if entry.name:
        draft.options["name"] = entry.name
    moved.accounts.append(draft)


def _tls(moved: Moved, draft: Draft, given: dict[str, tuple[str, int]]) -> None:
    encrypted = given.get("tls", ("off", 0))[0] == "on"
    by_command = given.get("tls_starttls", ("on", 0))[0] == "on"
    if encrypted:
        draft.options["tls"] = "starttls" if by_command else "implicit"
        draft.port = draft.port or (110 if by_command else 995)
    else:
        draft.options["tls"] = "off"
        moved.remark(
            draft.line, f"the password of {visible(draft.name)} goes over the network in the clear, as before (tls=off)"
        )
    if given.get("tls_certcheck", ("on",))[0] == "off":
        moved.remark(
            given["tls_certcheck"][1],
            "tls_certcheck off has no counterpart: certificates are always verified; see pin=",
        )
    for command, name in (
        ("tls_trust_file", "pf_tls_ca"),
        ("tls_cert_file", "pf_tls_cert"),
        ("tls_key_file", "pf_tls_key"),
    ):
        value, line = given.get(command, ("", 0))
        if value and value != "system":
            moved.set(name, value, line)
    value, line = given.get("tls_fingerprint", ("", 0))
    digits = value.replace(":", "")
    if len(digits) == 64:
        draft.options["pin"] = f"sha256:{digits}"
    elif digits:
        moved.remark(line, "tls_fingerprint is no SHA-256; --check of a wrong pin=sha256:… tells the right one")


def _kept(moved: Moved, draft: Draft, given: dict[str, tuple[str, int]]) -> None:
    value, line = given.get("keep", ("off", 0))
    match = DURATION.fullmatch(value)
    if value == "on":
        draft.options["keep"] = "forever"
    elif match and any(match.groups()):
        hours = sum(int(number or 0) * factor for number, factor in zip(match.groups(), HOURS, strict=True))
        days = max(round(hours / 24), 1)
        draft.options["keep"] = str(days)
        if days * 24 != hours:
            moved.remark(line, f"keep {visible(value, 20)} becomes keep={days}: whole days are counted here")
    elif value != "off":
        moved.remark(line, f"keep {visible(value, 20)} is not understood: delivered mail will be deleted; see keep=")


def _delivery(moved: Moved, draft: Draft, given: dict[str, tuple[str, int]]) -> None:
    words, line = given.get("delivery", ("", 0))
    method, _, place = words.partition(" ")
    local = draft.user.partition("@")[0]
    draft.options["to"] = local
    why = f"delivery {visible(method, 20) or 'is missing'}"
    told = f"{why}: mail goes to an SMTP or LMTP server (pf_smtp_server), to={visible(local)}; change it if need be"
    if method == "mda" and "%F" in place:
        told += "; the sender goes along by itself"
    moved.remark(line, told)
