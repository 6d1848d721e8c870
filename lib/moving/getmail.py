"""A getmail rc file (getmail 4 to 6), and what it comes to here. Pure.

It is read as Python's RawConfigParser reads it: no interpolation, and # only at the start of a line.
"""

import ast
import configparser
import shlex
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lib.moving.draft import NEEDLESS, Draft, Moved, literal, without_password
from lib.visible import visible

POP, POPS = 110, 995
RETRIEVERS = {  # whether it speaks TLS, whether it is multidrop
    "SimplePOP3Retriever": (False, False),
    "SimplePOP3SSLRetriever": (True, False),
    "BrokenUIDLPOP3Retriever": (False, False),
    "BrokenUIDLPOP3SSLRetriever": (True, False),
    "MultidropPOP3Retriever": (False, True),
    "MultidropPOP3SSLRetriever": (True, True),
    "MultidropSDPSRetriever": (False, True),
}
IMAP = {"SimpleIMAPRetriever", "SimpleIMAPSSLRetriever", "MultidropIMAPRetriever", "MultidropIMAPSSLRetriever"}
DESTINATIONS = {
    "Maildir": "has no counterpart: mail goes to an SMTP or LMTP server, and Dovecot's writes Maildirs",
    "Mboxrd": "has no counterpart: mail goes to an SMTP or LMTP server (pf_smtp_server)",
    "MDA_external": "has no counterpart: mail goes to an SMTP or LMTP server (pf_smtp_server)",
    "MDA_qmaillocal": "has no counterpart: mail goes to an SMTP or LMTP server (pf_smtp_server)",
    "MDA_lmtp": "",
    "MDA_smtp": "",
    "MultiDestination": "has no counterpart: let the receiver copy, or use pf_alias",
    "MultiSorter": "",
    "MultiGuesser": "has no counterpart: say with to= or header= whose mail it is",
    "MultiSorterBase": "has no counterpart: say with to= or header= whose mail it is",
}
PLACED = ("server", "port", "username", "password", "password_command", "type", "envelope_recipient")
RETRIEVER = dict.fromkeys(PLACED, "") | {
    "use_apop": "",
    "use_xoauth2": "",
    "ca_certs": "",
    "certfile": "",
    "keyfile": "",
    "ssl_fingerprints": "",
    "timeout": "",
    "delete_dup_msgids": "has no counterpart: the same message under two UIDs is two messages",
    "use_cram_md5": "",
    "use_kerberos": "has no counterpart: there is no Kerberos here; see auth=",
    "use_peek": NEEDLESS,
    "ssl_version": f"{NEEDLESS}: TLS 1.2 or newer is always used",
    "ssl_ciphers": NEEDLESS,
    "ssl_cert_hostname": "has no counterpart: name the server as its certificate does, or use pin=",
    "keyring": "",
    "fallback_recipient": "",
    "mailboxes": "has no counterpart: POP has no folders",
    "use_cram": "",
    "record_mailbox": NEEDLESS,
    "imap_on_delete": NEEDLESS,
    "imap_search": NEEDLESS,
    "move_on_delete": "has no counterpart: POP has no folders",
}
OPTIONS = {
    "delete": "",
    "delete_after": "",
    "delete_bigger_than": "has no counterpart: what is larger than pf_max_size stays on the server",
    "read_all": "",
    "max_message_size": "",
    "max_messages_per_session": "",
    "max_bytes_per_session": "has no counterpart; see pf_max_messages and pf_time_limit",
    "delivered_to": "has no counterpart: no Delivered-To line is added; the receiver may",
    "received": "has no counterpart: a Received line is always written; it is what finds loops",
    "message_log": "has no counterpart: the log is popfetch.log in log_path",
    "message_log_syslog": "has no counterpart: the log is popfetch.log in log_path",
    "message_log_verbose": "has no counterpart; see log_level",
    "logfile": "has no counterpart: the log is popfetch.log in log_path",
    "verbose": "has no counterpart; see log_level",
    "use_netrc": "has no counterpart: write the password into a file (file:PATH)",
    "netrc_file": "has no counterpart: write the password into a file (file:PATH)",
    "to_oldmail_on_each_mail": f"{NEEDLESS}: each message is journaled when it is delivered",
    "only_oldmail_file": "has no counterpart; see --catch-up",
    "mark_read": NEEDLESS,
    "skip_imap_fetch_size": NEEDLESS,
    "fingerprint": NEEDLESS,
    "allow_root_commands": NEEDLESS,
}
FLAGS = (("use_apop", "apop"), ("use_xoauth2", "xoauth2"), ("use_cram_md5", "cram-md5"))
DESTINATION = {
    "type": "",
    "host": "",
    "port": "",
    "override": "",
    "recipient": "",
    "username": "",
    "password": "",
    "path": "",
    "user": "",
    "arguments": "",
    "default": "",
    "locals": "",
    "unixfrom": NEEDLESS,
    "sender": "",
    "destinations": "",
}
TRUE = {"1", "yes", "true", "on"}


class Section(NamedTuple):
    """The values of a section, and the line of each."""

    values: Mapping[str, str]
    lines: Mapping[str, int]

    def get(self, name: str, default: str = "") -> str:
        """Return a value."""
        return self.values.get(name, default)

    def on(self, name: str) -> bool:
        """Say whether a flag is set."""
        return self.get(name).lower() in TRUE


def read(text: str) -> Moved:
    """Return what the rc file *text* comes to."""
    moved = Moved()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        moved.remark(getattr(error, "lineno", 0) or 0, f"this is no getmail rc file ({type(error).__name__})")
        return moved
    lines = _lines(text)
    sections = {name: Section(dict(parser.items(name)), lines.get(name, {})) for name in parser.sections()}
    retriever = sections.get("retriever")
    if retriever is None:
        moved.remark(0, "there is no [retriever], which every getmail rc file has")
        return moved
    options = sections.get("options", Section({}, {}))
    for name in sections:
        if name.startswith("filter"):
            line = min(lines.get(name, {}).values(), default=0)
            moved.remark(line, f"[{visible(name, 40)}] has no counterpart: filter at the receiver")
    draft = _retriever(moved, retriever)
    if draft is not None:
        _destination(moved, draft, sections)
        _options(moved, draft, options)
        moved.accounts.append(draft)
        without_password(moved, [draft])
    for name, section, table in (("retriever", retriever, RETRIEVER), ("options", options, OPTIONS)):
        _report(moved, name, section, table)
    return moved


def _lines(text: str) -> dict[str, dict[str, int]]:
    """Return where each key of each section stands."""
    found: dict[str, dict[str, int]] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("["):
            section = line[1:].partition("]")[0]
        elif line[:1].strip() and line[0] not in "#;":
            key = line.replace(":", "=", 1).partition("=")[0].strip().lower()
            found.setdefault(section, {}).setdefault(key, number)
    return found


def _report(moved: Moved, name: str, section: Section, table: Mapping[str, str]) -> None:
    for key in section.values:
        remark = table.get(key)
        if remark is None:
            moved.remark(section.lines.get(key, 0), f"[{name}] {visible(key, 40)} is unknown, and left out")
        elif remark:
            moved.remark(section.lines.get(key, 0), f"[{name}] {key} {remark}")


def _retriever(moved: Moved, it: Section) -> Draft | None:
    kind, line = it.get("type"), it.lines.get("type", 0)
    if kind in IMAP:
        moved.remark(line, f"{kind} speaks IMAP: only POP3 is fetched here")
        return None
    if kind not in RETRIEVERS:
        moved.remark(line, f"[retriever] type {visible(kind, 40)} is unknown")
        return None
    encrypted, multidrop = RETRIEVERS[kind]
    port = it.get("port")
    where = int(port) if port.isdigit() else POPS if encrypted else POP
    draft = Draft(it.get("username"), it.get("server"), it.lines.get("server", 0), where)
    if encrypted:
        draft.options["tls"] = "implicit"
    else:
        moved.remark(line, f"{kind} sent its password in the clear; here only where tls=off says so: see tls=")
    if kind.startswith("BrokenUIDL"):
        moved.remark(line, f"{kind} kept no UIDs: here UIDs are used if the server has any, else octets")
    if kind == "MultidropSDPSRetriever":
        moved.remark(line, "SDPS has no counterpart: see pf_header for where the recipient stands")
    _password(moved, draft, it)
    _tls(moved, draft, it)
    if multidrop and "envelope_recipient" in it.values:
        header, _, number = it.get("envelope_recipient").partition(":")
        draft.headers.append(f"{header} {number}" if number.isdigit() and number != "1" else header)
    if it.get("timeout").isdigit():
        moved.set("pf_timeout", it.get("timeout"), it.lines.get("timeout", 0))
    return draft


def _password(moved: Moved, draft: Draft, it: Section) -> None:
    if "password_command" in it.values:
        words = _tuple(it.get("password_command"))
        if words:
            draft.password = f"command:{shlex.join(words)}"
        else:
            moved.remark(it.lines.get("password_command", 0), 'password_command is not ("program", "word", …)')
    elif it.get("password"):
        draft.password = literal(it.get("password"))
    elif it.on("keyring"):
        draft.password = f"keyring:{it.get('server')}"
    for flag, way in FLAGS:
        if it.on(flag):
            draft.options["auth"] = way


def _tls(moved: Moved, draft: Draft, it: Section) -> None:
    for key, name in (("ca_certs", "pf_tls_ca"), ("certfile", "pf_tls_cert"), ("keyfile", "pf_tls_key")):
        if it.get(key):
            moved.set(name, it.get(key), it.lines.get(key, 0))
    prints = _tuple(it.get("ssl_fingerprints")) or ()
    pins = [f"sha256:{one}" for one in prints if len(one.replace(":", "")) == 64]
    if pins:
        draft.options["pin"] = ",".join(pins)
    if len(pins) < len(prints):
        line = it.lines.get("ssl_fingerprints", 0)
        moved.remark(line, "ssl_fingerprints: pin= takes SHA-256 alone; --check of a wrong pin tells the right one")


def _literal(text: str) -> object:
    """Return what Python makes of *text*, as getmail has it, or None; odd backslashes do no harm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found: object = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return found


def _tuple(text: str) -> tuple[str, ...]:
    """Return ("a", "b") as getmail reads it, () for what is none."""
    found = _literal(text)
    found = (found,) if isinstance(found, str) else found
    return tuple(map(str, found)) if isinstance(found, tuple | list) else ()


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return (("pattern", "[section]"), …) as getmail reads it; of what is no pair nothing."""
    found = _literal(text)
    pairs = found if isinstance(found, tuple | list) else ()
    return [(str(one[0]), str(one[1])) for one in pairs if isinstance(one, tuple | list) and len(one) == 2]


def _destination(moved: Moved, draft: Draft, sections: Mapping[str, Section]) -> None:
    it = sections.get("destination", Section({}, {}))
    kind, line = it.get("type"), it.lines.get("type", 0)
    if kind not in DESTINATIONS:
        moved.remark(line, f"[destination] type {visible(kind, 40) or 'is missing'}: say with to= whose mail it is")
        return
    if DESTINATIONS[kind]:
        moved.remark(line, f"{kind} {DESTINATIONS[kind]}")
    for key in it.values:
        if key not in DESTINATION:
            moved.remark(it.lines.get(key, 0), f"[destination] {visible(key, 40)} is unknown, and left out")
    acts: dict[str, Callable[[Moved, Draft, Mapping[str, Section]], None]] = {
        "MDA_lmtp": _lmtp,
        "MDA_smtp": _smtp,
        "MultiSorter": _sorter,
    }
    if kind in acts:
        acts[kind](moved, draft, sections)
    elif not draft.headers:
        local = it.get("user") or draft.user.partition("@")[0]
        draft.options["to"] = local
        moved.remark(line, f"this mail goes to={visible(local)} now: change it if that is not its address here")


def _lmtp(moved: Moved, draft: Draft, sections: Mapping[str, Section]) -> None:
    it = sections["destination"]
    host, port, line = it.get("host"), it.get("port"), it.lines.get("host", 0)
    moved.set("pf_smtp_protocol", "lmtp", line)
    moved.set("pf_smtp_server", host if host.startswith("unix:") else f"{host}:{port or 24}", line)
    if it.get("override"):
        draft.options["to"] = it.get("override")
    elif not draft.headers and it.get("recipient"):
        draft.options["to"] = it.get("recipient")


def _smtp(moved: Moved, draft: Draft, sections: Mapping[str, Section]) -> None:
    it = sections["destination"]
    moved.set("pf_smtp_server", f"{it.get('host', 'localhost')}:{it.get('port') or 25}", it.lines.get("host", 0))
    for key, name in (("username", "pf_smtp_user"), ("password", "pf_smtp_password")):
        if it.get(key):
            moved.set(name, it.get(key), it.lines.get(key, 0))
    if it.get("recipient"):
        draft.options["to"] = it.get("recipient")


def _sorter(moved: Moved, draft: Draft, sections: Mapping[str, Section]) -> None:
    """`locals`: patterns of recipients, each with the section that they go to."""
    it = sections["destination"]
    line = it.lines.get("locals", 0)
    if not draft.headers:
        draft.headers.append("Delivered-To")
        moved.remark(line, "MultiSorter without envelope_recipient: see header= for where the recipient stands")
    for pattern, section in _pairs(it.get("locals")):
        name = section.strip().strip("[]")
        user = sections.get(name, Section({}, {})).get("user") or name
        plain = pattern.replace("\\.", ".").removeprefix("^").removesuffix("$")
        if "@" not in plain or set(plain) & set("\\[](){}^$|?+*"):
            what = f"the pattern {visible(pattern, 80)} is a regular expression"
            moved.remark(line, f"{what}: write it as pf_alias PATTERN {visible(user)}")
        else:
            moved.add("pf_alias", f"{plain} {user}")
            what = f"{visible(plain)} goes to {visible(user)} (pf_alias)"
            moved.remark(line, f"{what}: change that if it is no address here")
    rest = it.get("default").strip("[]")
    if rest:
        user = sections.get(rest, Section({}, {})).get("user") or rest
        moved.set("pf_dflt_address", user, it.lines.get("default", 0))


def _options(moved: Moved, draft: Draft, it: Section) -> None:
    """Getmail leaves mail on the server unless it is told to delete."""
    after = it.get("delete_after", "0")
    if not it.on("delete"):
        draft.options["keep"] = after if after.isdigit() and after != "0" else "forever"
    for key, name in (("max_message_size", "pf_max_size"), ("max_messages_per_session", "pf_max_messages")):
        if it.get(key).isdigit() and it.get(key) != "0":
            moved.set(name, it.get(key), it.lines.get(key, 0))
    if it.get("read_all", "true").lower() in TRUE:
        line = it.lines.get("read_all", 0)
        moved.remark(line, "read_all fetched kept mail again in every run; here each message is fetched once")
