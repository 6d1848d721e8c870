"""dmail.conf to a Plan: every line through the table, then what the settings say together. All problems at once.

Pure but for read_file(). A problem is one line, `FILE:LINE: name: what is wrong; what is allowed`, and never quotes a
password.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lib.config import account, oauth, settings, values
from lib.config.grammar import MAX_OCTETS, ConfLine, File, Grammar, Read
from lib.config.oauth import Oauth
from lib.config.settings import HostPort, Row, Secret, Settings, Tls, UnixPath
from lib.errors import SettingsError
from lib.visible import visible

DIALS = ("ras_entry", "ras_number")
WINDOWS_ONLY = (*DIALS, "ras_username", "ras_password", "ras_domain")
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
PORTS = {Tls.IMPLICIT: 465}  # RFC 8314; for the others SMTP's
LMTP_PORT = 24  # the usual one; RFC 2033 section 5 forbids 25
LEAST_DIAL = 5  # minutes between passes that dial: the old manual's minimum
SHOWN = 60  # characters of a value in a message


class Configuration(NamedTuple):
    """What dmail.conf asks for, and what is to be said about it; *origins* has the place of each name that is set."""

    settings: Settings
    path: Path
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    origins: Mapping[str, str]


class Contradiction(NamedTuple):
    """What settings say together; the first of *names* is blamed, and nobody if one of them was not understood."""

    names: tuple[str, ...]
    broken: Callable[[Settings], object]
    words: str


def _dials(it: Settings) -> object:
    return it.ras_entry or it.ras_number or it.pf_dial_up


def _has_line(it: Settings) -> object:
    return _dials(it) or it.pf_dial_check


def _goes_far(it: Settings) -> bool:
    return isinstance(it.pf_smtp_server, HostPort) and account.far(it.pf_smtp_server.host)


CONTRADICTIONS = (
    Contradiction(
        ("pf_user",), lambda it: not it.pf_user, "there is no account; add a line: pf_user USER PASSWORD HOST"
    ),
    Contradiction(
        ("ras_timer", "ras_entry", "ras_number", "pf_dial_up"),
        lambda it: it.ras_timer < LEAST_DIAL and _dials(it),
        f"is too small for a program that dials; allowed then: {LEAST_DIAL} minutes and more",
    ),
    Contradiction(
        ("pf_smtp_user", "pf_smtp_password"),
        lambda it: it.pf_smtp_user and not it.pf_smtp_password,
        "has no password; add a line: pf_smtp_password PASSWORD",
    ),
    Contradiction(
        ("pf_smtp_password", "pf_smtp_user"),
        lambda it: it.pf_smtp_password and not it.pf_smtp_user,
        "belongs to nobody; add a line: pf_smtp_user USER",
    ),
    Contradiction(
        ("pf_smtp_tls", "pf_smtp_server"),
        lambda it: it.pf_smtp_tls is not Tls.OFF and isinstance(it.pf_smtp_server, UnixPath),
        "does not go with a unix socket; allowed there: off",
    ),
    Contradiction(
        ("pf_tls_key", "pf_tls_cert"),
        lambda it: it.pf_tls_key and not it.pf_tls_cert,
        "belongs to no certificate; add a line: pf_tls_cert FILE",
    ),
    Contradiction(
        ("pf_user", "pf_tls_cert"),
        lambda it: not it.pf_tls_cert and any(user.auth == "external" for user in it.pf_user),
        "auth=external proves who we are by a certificate; add a line: pf_tls_cert FILE",
    ),
    Contradiction(
        ("pf_etrn", "ras_smtpip"),
        lambda it: it.pf_etrn and not it.ras_smtpip,
        "does not say which server; add a line: ras_smtpip HOST",
    ),
)
DOUBTS = (
    Contradiction(
        ("pf_dial_up", "pf_dial_check"),
        lambda it: it.pf_dial_up and not it.pf_dial_check,
        "takes every line for ours, and hangs up somebody else's; better: add a line pf_dial_check COMMAND",
    ),
    Contradiction(
        ("pf_dial_up", "pf_dial_down"),
        lambda it: it.pf_dial_up and not it.pf_dial_down,
        "raises a line that nothing hangs up; better: add a line pf_dial_down COMMAND",
    ),
    Contradiction(
        ("pf_smtp_user", "pf_smtp_tls", "pf_smtp_server"),
        lambda it: it.pf_smtp_user and it.pf_smtp_tls is Tls.OFF and _goes_far(it),
        "its password goes over the network unencrypted; better: pf_smtp_tls starttls",
    ),
    Contradiction(
        ("pf_smtp_protocol", "pf_smtp_server"),
        lambda it: it.pf_smtp_protocol == "lmtp" and str(it.pf_smtp_server).endswith(":25"),
        "port 25 is not for LMTP (RFC 2033 section 5); better: another port, or unix:/path",
    ),
    Contradiction(
        ("pf_online_command",), lambda it: it.pf_online_command and not _has_line(it), "is idle: no line is configured"
    ),
    Contradiction(("pf_etrn",), lambda it: it.pf_etrn and not _has_line(it), "is idle: no line is configured"),
    Contradiction(
        ("pf_dial_down", "pf_dial_up"), lambda it: it.pf_dial_down and not it.pf_dial_up, "is idle without pf_dial_up"
    ),
    Contradiction(
        ("ras_password", "ras_username"), lambda it: it.ras_password and not it.ras_username, "is idle: no ras_username"
    ),
)


def default_path() -> Path:
    """Return where dmail.conf lies when -i does not say."""
    if os.name == "nt":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "POPFetch" / "dmail.conf"
    return Path("/etc/dmail.conf")


def read_file(path: Path) -> File:
    """Return the file's bytes, at most one more than a dmail.conf may have. Raises OSError."""
    with path.open("rb") as file:
        status, mode = os.fstat(file.fileno()), None
        if os.name == "posix":
            leaks = values.open_to_others(status.st_mode, status.st_uid)
            mode = status.st_mode & ~(0 if leaks else OTHERS_READ)
        return File(file.read(MAX_OCTETS + 1), mode)


def load(path: Path | None, program_folder: Path, *, read: Read = read_file, system: str = os.name) -> Configuration:
    """Return what dmail.conf asks for; None: the one in its usual place. Raises SettingsError with all problems.

    *system* is os.name: a setting that does nothing there gets a note.
    """
    where = path or default_path()
    found = _Findings()
    grammar = Grammar(read, found.problems.append)
    try:
        lines = grammar.lines(where)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "no such name"
        advice = "" if path else "; create it with a line: pf_user USER PASSWORD HOST, or name another: -i FILE"
        raise SettingsError(f"{where}: cannot be read: {why}{advice}") from None
    for line in lines:
        found.take(line)
    result = found.settings(program_folder)
    found.look_over(result, where, system)
    found.problems += [
        f"{place}: others can read this file and it holds a password; {values.chmod(file)}"
        for file, place in found.passwords.items()
        if (grammar.files[file].mode or 0) & OTHERS_READ
    ]
    if found.problems:
        refusal = SettingsError(*found.problems)
        refusal.work_path = result.work_path
        raise refusal
    return Configuration(result, where, tuple(found.warnings), tuple(found.notes), found.origins)


class _Findings:
    """What is learnt while the lines come by: values, their places, and everything that is to be said."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.origins: dict[str, str] = {}
        self.passwords: dict[Path, str] = {}  # file: the first place in it where a password itself stands
        self._values: dict[str, Any] = {}
        self._logins: list[tuple[account.AccountLine, ConfLine]] = []
        self._misread: set[str] = set()

    def take(self, line: ConfLine) -> None:
        """Put one line through the table."""
        row = settings.BY_NAME.get(line.name)
        if row is None:
            self._take_stranger(line)
            return
        if line.name != row.name:
            self.notes.append(f"{line.place}: {line.name}: is an old name of {row.name}")
        if row.name in self.origins and not row.many:
            self.warnings.append(f"{line.place}: {row.name}: is set again; {self.origins[row.name]} no longer counts")
        self.origins[row.name] = self.origins.get(row.name, line.place) if row.many else line.place
        try:
            self._keep(row, line)
        except ValueError as error:
            self._misread.add(row.name)
            subject = "the line" if row.secret else f"'{visible(line.text, SHOWN)}'" if line.text else "an empty value"
            self.problems.append(f"{line.place}: {line.name}: {subject} {error}; allowed: {row.allowed}")

    def settings(self, program_folder: Path) -> Settings:
        """Return the settings; in place of what was misread stands the default."""
        given = dict(self._values)
        given["work_path"] = given.get("work_path") or program_folder
        given["log_path"] = given.get("log_path") or given["work_path"]
        given.setdefault("pf_smtp_server", HostPort("127.0.0.1", 0))
        for password, user in (("pf_smtp_password", "pf_smtp_user"), ("ras_password", "ras_username")):
            if given.get(password):
                given[password] = replace(given[password], user=given.get(user) or "")
        result = Settings(**given)
        standing = account.Standing(result.pf_tls, result.pf_header, result.pf_domain, result.pf_keep)
        users = (account.join(login, standing, line.place, _folder(line)) for login, line in self._logins)
        return result._replace(pf_user=tuple(users), pf_smtp_server=_with_port(result))

    def look_over(self, result: Settings, path: Path, system: str) -> None:
        """Say what does not go together."""
        self.problems += self._broken(CONTRADICTIONS, result, path)
        self.warnings += self._broken(DOUBTS, result, path)
        self.problems += [f"{twin.place}: pf_user: {words}" for twin, words in account.twins(result.pf_user)]
        self.problems += oauth.contradictions(result.pf_oauth, result.pf_user)
        for user in result.pf_user:
            self.problems += [f"{user.place}: pf_user: {words}" for words in account.contradictions(user)]
            self.warnings += [f"{user.place}: pf_user: {words}" for words in account.doubts(user)]
        if system == "nt" and isinstance(result.pf_smtp_server, UnixPath):
            self.problems.append(f"{self.origins['pf_smtp_server']}: pf_smtp_server: Windows has no unix sockets here")
        for name in WINDOWS_ONLY if system != "nt" else ():
            if getattr(result, name):
                say = self.warnings if name in DIALS else self.notes
                say.append(f"{self.origins[name]}: {name}: does nothing on this system, only on Windows")

    def _broken(self, rules: tuple[Contradiction, ...], result: Settings, path: Path) -> Iterator[str]:
        for rule in rules:
            if self._misread.isdisjoint(rule.names) and rule.broken(result):
                yield f"{self.origins.get(rule.names[0], path)}: {rule.names[0]}: {rule.words}"

    def _take_stranger(self, line: ConfLine) -> None:
        words = settings.misspelt(line.name)
        if words:
            known = words.partition(":")[0] in settings.BY_NAME
            (self.problems if known else self.warnings).append(f"{line.place}: {words}")

    def _keep(self, row: Row, line: ConfLine) -> None:
        if line.odd:
            raise ValueError(line.odd)
        value = row.parse(line.text)
        secret = value
        if row.name == "pf_user":
            login = account.login(line.text)
            self._logins.append((login, line))
            secret = Secret(login.password)
        elif row.many:
            secret = value.client_secret if isinstance(value, Oauth) else value
            self._values[row.name] = (*self._values.get(row.name, ()), _placed(value, line))
        else:
            self._values[row.name] = _placed(value, line)
        if isinstance(secret, Secret) and secret.kind == "literal":
            self.passwords.setdefault(line.path, line.place)


def _folder(line: ConfLine) -> Path:
    return line.path.parent.absolute()


def _placed(value: object, line: ConfLine) -> object:
    """Return what depends on where it stands with its place; everything else as it is."""
    match value:
        case Secret():
            return replace(value, place=line.place, folder=_folder(line))
        case Path():
            return _folder(line) / value
        case Oauth():
            secret, certificate = value.client_secret, value.certificate
            return value._replace(
                place=line.place,
                client_secret=secret and replace(secret, place=line.place, folder=_folder(line)),
                certificate=certificate and _folder(line) / certificate,
            )
    return value


def _with_port(it: Settings) -> HostPort | UnixPath:
    """Return the receiver, its port chosen by protocol and TLS where none is written."""
    server = it.pf_smtp_server
    if isinstance(server, UnixPath) or server.port:
        return server
    return HostPort(
        server.host, LMTP_PORT if it.pf_smtp_protocol == "lmtp" else PORTS.get(it.pf_smtp_tls, settings.SMTP_PORT)
    )
