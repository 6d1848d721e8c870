"""An fdm.conf: its POP3 accounts are taken over, all other commands are reported. Pure.

fdm's grammar (parse.y) is a language with macros, conditions and filters; what is read here are its words.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from lib.moving.draft import Draft, Moved, by_shell, literal, without_password
from lib.visible import visible

TOKEN = re.compile(
    r"""(?P<gap>[ \t\r]+|\\\r?\n) | (?P<end>\n) | (?P<note>\#[^\n]*) | (?P<quoted>"(?:[^"\\]|\\.)*"|'[^']*')
      | (?P<command>\$\([^)]*\)) | (?P<mark>[{}()=,;]) | (?P<word>[^\s{}()=,;"']+) | (?P<rest>["'])""",
    re.VERBOSE | re.DOTALL,
)
MACRO = re.compile(r"[$%][A-Za-z_][A-Za-z0-9_]*|[$%]\{[A-Za-z_][A-Za-z0-9_]*\}")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
MORE = 20  # remarks of one kind that are written out
POP = {"pop3": "auto", "pop3s": "implicit"}
REPORTED = {  # what else begins a command, and what to do
    "action": "has no counterpart: mail goes to an SMTP or LMTP server; see pf_smtp_server",
    "match": "has no counterpart: filter at the receiver",
    "cache": "has no counterpart: duplicates are known by UID and octets",
    "include": "is not followed: give that file as well",
}
SET = {
    "timeout": "",
    "maximum-size": "",
    "verify-certificates": "is needless: certificates are always verified",
    "no-received": "has no counterpart: a Received line is always written; it is what finds loops",
    "no-create": "is not needed here, and left out",
    "lock-types": "is not needed here, and left out",
    "lock-file": "is not needed here, and left out",
    "lock-wait": "is not needed here, and left out",
    "lock-timeout": "is not needed here, and left out",
    "default-user": "has no counterpart: run the passes as a user of their own",
    "command-user": "has no counterpart: run the passes as a user of their own",
    "unmatched-mail": "has no counterpart: see pf_dflt_address",
    "queue-high": "is not needed here, and left out",
    "queue-low": "is not needed here, and left out",
    "parallel-accounts": "",
    "delete-oversized": "has no counterpart: what is larger than pf_max_size stays on the server",
    "allow-multiple": "is not needed here, and left out",
    "file-group": "has no counterpart",
    "file-umask": "has no counterpart",
    "proxy": "has no counterpart: connections are direct; a tunnel can be raised by pf_dial_up",
    "purge-after": "is not needed here, and left out",
    "strip-characters": "has no counterpart",
    "ignore-errors": "is not needed here, and left out",
    "lookup-order": "has no counterpart: mail goes to an SMTP or LMTP server; see pf_smtp_server",
}


class FdmToken(NamedTuple):
    """A word, a mark or a string, its macros not yet put in."""

    text: str
    line: int
    quoted: bool = False
    command: bool = False  # $(...): what it prints is meant
    first: bool = False  # of its line


def tokens(text: str) -> Iterator[FdmToken]:
    """Yield the words of a file."""
    line, last = 1, 0
    for match in TOKEN.finditer(text):
        kind, found = match.lastgroup, match[0]
        first = line != last
        last = last if kind in ("gap", "end", "note") else line
        if kind == "quoted":
            inner = found[1:-1]
            if found[0] == '"':
                inner = re.sub(r"\\(.)", lambda one: ESCAPES.get(one[1], one[1]), inner, flags=re.DOTALL)
            yield FdmToken(inner, line, quoted=True)
        elif kind == "command":
            yield FdmToken(found[2:-1].strip(), line, command=True)
        elif kind in ("word", "mark"):
            yield FdmToken(found, line, first=first)
        line += found.count("\n")


def read(text: str) -> Moved:
    """Return what the fdm.conf *text* comes to."""
    reading = _Reading(list(tokens(text)))
    reading.all()
    if not reading.moved.accounts:
        reading.moved.remark(0, "there is no account that speaks POP3")
    without_password(reading.moved, reading.moved.accounts)
    return reading.moved


class _Reading:
    """The tokens as they are read."""

    def __init__(self, found: list[FdmToken]) -> None:
        self.moved = Moved()
        self._tokens = found
        self._at = 0
        self._macros: dict[str, str] = {}
        self._told: dict[str, int] = {}

    def all(self) -> None:
        """Read to the end."""
        acts: dict[str, Callable[[FdmToken], None]] = {"account": self._account, "set": self._set}
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.quoted or token.command or not token.first:
                continue
            if token.text in acts:
                acts[token.text](token)
            elif token.text in REPORTED:
                self._tell(token.line, f"{token.text} {REPORTED[token.text]}", token.text)
            elif MACRO.fullmatch(token.text) and self._peek() == "=":
                self._at += 1
                self._macros[token.text.strip("$%{}")] = self._text()

    def _tell(self, line: int, words: str, kind: str) -> None:
        """Say something; of many alike the first ones."""
        self._told[kind] = self._told.get(kind, 0) + 1
        if self._told[kind] <= MORE:
            self.moved.remark(line, words)
        elif self._told[kind] == MORE + 1:
            self.moved.remark(line, f"{words}; and so do all further ones")

    def _peek(self) -> str:
        token = self._tokens[self._at] if self._at < len(self._tokens) else FdmToken("", 0, quoted=True)
        return "" if token.quoted else token.text

    def _text(self) -> str:
        """Return the next word or string, macros put in."""
        if self._at == len(self._tokens):
            return ""
        token = self._tokens[self._at]
        self._at += 1
        if token.command or "$(" in token.text:
            self.moved.remark(token.line, "$(command) is not run here: write down what it prints")
            return ""
        return MACRO.sub(lambda one: self._macros.get(one[0].strip("$%{}"), one[0]), token.text)

    def _set(self, token: FdmToken) -> None:
        name = self._text()
        remark = SET.get(name)
        if remark is None:
            self._tell(token.line, f"set {visible(name, 40)} is unknown, and left out", "set")
        elif remark:
            self._tell(token.line, f"set {name} {remark}", name)
        else:
            value = self._text()
            setting = {"timeout": "pf_timeout", "maximum-size": "pf_max_size", "parallel-accounts": "pf_parallel"}[name]
            self.moved.set(setting, value.upper().removesuffix("B"), token.line)

    def _account(self, token: FdmToken) -> None:
        name = self._text()
        asleep = self._peek() == "disabled"
        self._at += asleep
        kind = self._text()
        if kind not in POP:
            self.moved.remark(token.line, f"account {visible(name)} is {visible(kind, 20)}: only POP3 is fetched here")
            return
        draft = Draft("", "", token.line, asleep=asleep, options={"name": name})
        self._words(draft)
        if POP[kind] == "implicit":
            draft.options["tls"], draft.port = "implicit", draft.port or 995
        elif "tls" not in draft.options:
            told = "STLS is used, and refused where there is none: see tls="
            self.moved.remark(token.line, f"account {visible(name)}: {told}")
        if not draft.host:
            self.moved.remark(token.line, f"account {visible(name)} runs a program instead of a server: no counterpart")
            return
        if not draft.user:
            self.moved.remark(token.line, f"account {visible(name)} takes its login from ~/.netrc: write it down")
            draft.user = name
        local = draft.user.partition("@")[0]
        draft.options["to"] = local
        self.moved.remark(token.line, f"the mail of {visible(name)} goes to={visible(local)} now: change it if need be")
        self.moved.accounts.append(draft)

    def _words(self, draft: Draft) -> None:
        """Read what stands behind the kind of an account, up to a word that is none of an account's."""
        acts: dict[str, Callable[[Draft, int], None]] = {
            "server": lambda it, _: setattr(it, "host", self._text()),
            "port": self._port,
            "user": lambda it, _: setattr(it, "user", self._text()),
            "pass": self._password,
            "passwordcmd": lambda it, _: setattr(it, "password", by_shell(self._text())),
            "keep": lambda it, _: it.options.update(keep="forever"),
            "no-apop": lambda it, _: it.options.update(auth="user"),
            "starttls": lambda it, _: it.options.update(tls="starttls"),
            "no-verify": lambda _, line: self.moved.remark(line, "no-verify has no counterpart: see pin="),
            "no-tls1": lambda *_: None,
            "no-uidl": lambda *_: None,
            "new-only": lambda *_: None,
            "old-only": lambda _, line: self.moved.remark(line, "old-only has no counterpart"),
            "cache": self._cache,
            "poll": lambda *_: None,
        }
        while (word := self._peek()) in acts:
            line = self._tokens[self._at].line
            self._at += 1
            acts[word](draft, line)

    def _password(self, draft: Draft, _line: int) -> None:
        if self._at < len(self._tokens) and self._tokens[self._at].command:
            draft.password = by_shell(self._tokens[self._at].text)
            self._at += 1
        else:
            draft.password = literal(self._text())

    def _port(self, draft: Draft, line: int) -> None:
        port = self._text()
        if port.isdigit():
            draft.port = int(port)
        else:
            self.moved.remark(line, f"the service {visible(port, 40)} is no number: write its port behind the host")

    def _cache(self, _draft: Draft, line: int) -> None:
        self.moved.remark(line, f"cache {visible(self._text())} is what --import-seen fdm takes")
