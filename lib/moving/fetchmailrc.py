"""A fetchmail run control file as fetchmail 6.4 reads it (rcfile_l.l, rcfile_y.y): servers, users, options. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lib.moving.draft import Moved
from lib.moving.fetchmail_words import GLOBAL, PLACES, SECTIONS, SERVER, SHORT, USER, Keyword
from lib.visible import visible

TOKEN = re.compile(
    r"""(?P<gap>[ \t\r]+|\\\r?\n) | (?P<end>\n) | (?P<note>\#[^\n]*)
      | (?P<quoted>"[^"]*"|'[^']*')(?=[=;:,\s]|$) | (?P<mark>[=;:,]) | (?P<bare>[^=;:,\s]+)""",
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|0([0-7]{0,3})|([1-9][0-9]{0,2})|(.))", re.DOTALL)
LETTERS = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "\\": "\\"}
NOISE = {"with", "and", "has", "wants", "options"}


class RcToken(NamedTuple):
    """A word or a mark; quoted ones are never keywords."""

    text: str
    line: int
    quoted: bool = False


@dataclass(slots=True)
class Server:
    """A poll or skip entry, or defaults, and the user that is being read; values by keyword, with their lines."""

    name: str
    line: int
    asleep: bool = False
    given: dict[str, tuple[str, int]] = field(default_factory=dict)
    aka: list[str] = field(default_factory=list)
    local_domains: list[str] = field(default_factory=list)


@dataclass(slots=True)
class User:
    """A user entry: the name there, whom its mail is for here, and its options."""

    line: int
    remote: str = ""
    names: list[tuple[str, str]] = field(default_factory=list)  # remote = local
    others: bool = False  # a *: names that stand in no list pass
    given: dict[str, tuple[str, int]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)


# What "no" makes of a flag, where that is not simply what is done here anyway.
REFUSED = {
    "sslcertck": "certificates are always verified here; see pin= and pf_tls_ca",
    "keep": "",
    "dns": "",
    "rewrite": "",
    "envelope": "",
}


def tokens(text: str) -> Iterator[RcToken]:
    """Yield the words of a file, noise left out."""
    line = 1
    for match in TOKEN.finditer(text):
        kind, found = match.lastgroup, match[0]
        if kind == "quoted":
            yield RcToken(unescaped(found[1:-1]), line, quoted=True)
        elif kind == "mark" and found == "=":
            yield RcToken("=", line)
        elif kind == "bare" and found not in NOISE:
            yield RcToken(unescaped(found) if "\\" in found else found, line)
        line += found.count("\n")


def unescaped(text: str) -> str:
    r"""Return *text* with its escapes read: \n \t \b \r \\, \x and hex, \0 and octal, \1 to \9 decimal."""

    def one(match: re.Match[str]) -> str:
        digits, octal, decimal, letter = match.groups()
        if letter is not None:
            return LETTERS.get(letter, letter)
        code = int(digits, 16) if digits else int(decimal) if decimal else int(octal or "0", 8)
        return chr(code % 256)

    return ESCAPE.sub(one, text)


class FetchmailReader:
    """The tokens as they are read; servers with their users."""

    def __init__(self, found: list[RcToken]) -> None:
        self.moved = Moved()
        self.servers: list[tuple[Server, list[User]]] = []
        self.defaults = Server("", 0)
        self.default_user = User(0)
        self.daemon = 0
        self._tokens = found
        self._at = 0
        self._server: Server | None = None
        self._user: User | None = None

    def all(self) -> None:
        """Read to the end; what is no keyword is a remark."""
        sections: dict[str, Callable[[RcToken], None]] = {
            "set": self._set,
            "poll": self._poll,
            "skip": self._poll,
            "defaults": self._defaults,
        }
        while (token := self._next()) is not None:
            word = self._keyword(token)
            if word in sections:
                sections[word](token)
            elif self._server is None:
                self.moved.remark(token.line, f"'{visible(token.text, 40)}' is no word that fetchmail knows here")
            else:
                self._option(token, word)

    def _next(self) -> RcToken | None:
        if self._at == len(self._tokens):
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def _value(self, line: int) -> RcToken:
        """Return the next word, an = in front of it passed over."""
        token = self._next()
        if token is not None and token.text == "=" and not token.quoted:
            token = self._next()
        if token is None:
            self.moved.remark(line, "the file ends where a value should stand")
            return RcToken("", line)
        return token

    @staticmethod
    def _keyword(token: RcToken) -> str:
        return "" if token.quoted else SHORT.get(token.text, token.text)

    def _set(self, token: RcToken) -> None:
        word = self._value(token.line)
        name = self._keyword(word)
        if name == "no":
            self._value(token.line)
            return
        keyword = GLOBAL.get(name)
        if keyword is None:
            self.moved.remark(token.line, f"set {visible(word.text, 40)} is unknown")
            return
        value = self._value(token.line).text if keyword.takes else ""
        if keyword.remark:
            self.moved.remark(token.line, f"set {name} {keyword.remark}")
        elif name == "postmaster":
            self.moved.set("pf_dflt_address", value, token.line)
        elif value.isdigit():
            self.daemon = int(value)
            self.moved.set("ras_timer", str(max(round(self.daemon / 60), 1)), token.line)

    def _poll(self, token: RcToken) -> None:
        name = self._value(token.line).text
        self._server, self._user = Server(name, token.line, asleep=token.text == "skip"), None
        self.servers.append((self._server, []))

    def _defaults(self, token: RcToken) -> None:
        self._server, self._user = self.defaults, self.default_user
        self.defaults.line = token.line

    def _option(self, token: RcToken, word: str) -> None:
        assert self._server is not None  # noqa: S101 - who calls has looked
        if word == "user":
            self._new_user(token)
        elif word == "no":
            self._no(token)
        elif word in ("is", "to", "here", "there"):
            self._names(token, word)
        elif word in SERVER:
            self._take(token, word, SERVER[word], self._server.given)
        elif word in USER:
            user = self._user if self._user is not None else self.default_user
            self._take(token, word, USER[word], user.given)
        else:
            self.moved.remark(token.line, f"'{visible(token.text, 40)}' is no word that fetchmail knows here")

    def _no(self, token: RcToken) -> None:
        name = self._keyword(self._value(token.line))
        given = self._server.given if self._server is not None else {}
        if name not in SERVER and self._user is not None:
            given = self._user.given
        given[f"no {name}"] = ("", token.line)
        given.pop(name, None)
        words = REFUSED.get(name)
        if words:
            self.moved.remark(token.line, f"no {name}: {words}")

    def _take(self, token: RcToken, name: str, keyword: Keyword, given: dict[str, tuple[str, int]]) -> None:
        if keyword.takes == "list":
            self._take_list(token, name)
        elif keyword.takes == "envelope":
            first = self._value(token.line)
            numbered = first.text.isdigit() and not first.quoted
            name_of = self._value(token.line).text if numbered else first.text
            given[name] = (f"{name_of} {int(first.text) + 1}" if numbered else name_of, token.line)
        else:
            given[name] = (self._value(token.line).text if keyword.takes else "", token.line)
        if keyword.remark:
            self.moved.remark(token.line, f"{name} {keyword.remark}")

    def _take_list(self, token: RcToken, name: str) -> None:
        assert self._server is not None  # noqa: S101 - as above
        words = [one.text for one in self._words()]
        if name == "aka":
            self._server.aka += words
        elif name == "localdomains":
            self._server.local_domains += words
        else:
            user = self._user if self._user is not None else self.default_user
            user.lists[name] = words
            user.given[name] = (" ".join(words), token.line)

    def _words(self) -> Iterator[RcToken]:
        """Yield words up to the next keyword."""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            word = self._keyword(token)
            if word and (word in SECTIONS or word in PLACES or word in SERVER or word in USER or word == "no"):
                return
            self._at += 1
            yield token

    def _new_user(self, token: RcToken) -> None:
        name = self._value(token.line)
        here = self._at < len(self._tokens) and self._keyword(self._tokens[self._at]) == "here"
        self._user = User(token.line)
        if here:
            self._user.names.append((name.text, name.text))
        else:
            self._user.remote = name.text
        if self._server is self.defaults:
            self.default_user = self._user
        else:
            self.servers[-1][1].append(self._user)

    def _names(self, token: RcToken, word: str) -> None:
        """Read `is a b c=d * here`, or `is NAME there`."""
        if word in ("here", "there"):
            return
        user = self._user if self._user is not None else self.default_user
        names: list[tuple[str, str]] = []
        others = False
        found = list(self._words())
        while found:
            one = found.pop(0)
            if one.text == "*" and not one.quoted:
                others = True
            elif len(found) > 1 and found[0].text == "=" and not found[0].quoted:
                names.append((one.text, found[1].text))
                del found[:2]
            elif one.text != "=":
                names.append((one.text, one.text))
        after = self._keyword(self._tokens[self._at]) if self._at < len(self._tokens) else ""
        if after == "there" and len(names) == 1:
            user.remote = names[0][0]
            return
        if not names and not others:
            self.moved.remark(token.line, f"{word} names nobody")
        user.names += names
        user.others = user.others or others
