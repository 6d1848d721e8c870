"""What a setting's text may be: one function a kind, text in, value out.

Every function raises ValueError with a predicate ("is not a whole number") that never quotes the text: it may be a
password that slipped into the wrong column. Pure: nothing is looked up, opened or resolved.
"""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lib.config import idna

SOURCES = ("file", "env", "command", "keyring", "credential")  # where a secret may stand instead of in dmail.conf
KEEP_FOREVER = 10**6  # days; a number, so that comparing needs no special case, and still a date that Python can hold
POP_PORT, POPS_PORT = 110, 995
MAX_DAYS = 36500
MAX_ADDRESS = 254  # octets: RFC 5321 4.5.3.1.3, the path less its <>
MAX_HOST = 253  # octets: RFC 1035 2.3.4, as text
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

BLANKS = " \t"
LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class Tls(Enum):
    """How a connection is encrypted; AUTO: implicit on port 995, else STLS when the server offers it."""

    AUTO = "auto"
    OFF = "off"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


class HostPort(NamedTuple):
    """A TCP server; the host without brackets, port 0 while none is chosen."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return host:port as dmail.conf writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


class Alias(NamedTuple):
    """One pf_alias line: the recipients that *pattern* fits get what stands in *addresses*; a * stands for any text."""

    pattern: str
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        """Return the line as dmail.conf writes it."""
        return " ".join((self.pattern, *self.addresses))


class UnixPath(NamedTuple):
    """A server behind a unix socket."""

    path: str

    def __str__(self) -> str:
        """Return unix:PATH as dmail.conf writes it."""
        return f"unix:{self.path}"


@dataclass(frozen=True)
class Secret:
    """A password, or where it is to be had; whoever prints or logs it prints three stars.

    *user* is the login that it belongs to (keyring asks for it), *folder* is where a relative file: starts.
    """

    source: str
    place: str = ""
    user: str = ""
    folder: Path = Path()

    def __repr__(self) -> str:
        """Show nothing."""
        return "***"

    @property
    def kind(self) -> str:
        """Return file, env, command, keyring, credential, or literal when the source holds the password itself."""
        kind, colon, _ = self.source.partition(":")
        return kind if colon and kind in SOURCES else "literal"


@dataclass(frozen=True)
class Account:
    """One POP account, the settings that its options override already joined; *name* is what logs call it."""

    user: str
    password: Secret
    host: str
    port: int = POP_PORT
    tls: Tls = Tls.AUTO
    auth: str = "auto"
    pin: tuple[bytes, ...] = ()  # SHA-256 of the certificates that may be shown
    to: str | None = None
    headers: tuple[str, ...] = ()
    domain: str | None = None
    keep: int = 0
    every: int = 0  # minutes between two polls; 0: in every pass
    oauth: str = ""  # the pf_oauth line whose tokens take the place of the password
    name: str = ""
    named: bool = False  # by name=
    place: str = ""

    @cached_property
    def id(self) -> str:
        """Return what journal and state call the mailbox: name= where there is one, else its address."""
        return self.name if self.named else self.address

    @cached_property
    def address(self) -> str:
        """Return user@host, the port only where it is an unusual one."""
        return f"{self.user}@{HostPort(self.host.lower(), 0 if self.port in (POP_PORT, POPS_PORT) else self.port)}"


def whole(text: str, low: int, high: int) -> int:
    """Return a whole number in ASCII digits between *low* and *high*, both allowed."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("is not a whole number")
    significant = text.lstrip("0") or "0"
    if len(significant) > len(str(high)) or int(significant) > high:
        raise ValueError("is too large")
    if int(significant) < low:
        raise ValueError("is too small")
    return int(significant)


def size(text: str, low: int, high: int) -> int:
    """Return octets: a whole number, K, M or G behind it."""
    factor = UNITS.get(text[-1:].upper(), 1)
    octets = factor * whole(text if factor == 1 else text[:-1], 0, high)
    return whole(str(octets), low, high)


def days(text: str) -> int:
    """Return days, or KEEP_FOREVER for the word forever."""
    return KEEP_FOREVER if text.lower() == "forever" else whole(text, 0, MAX_DAYS)


def one_of(text: str, words: tuple[str, ...]) -> str:
    """Return the one of *words* that *text* is, whatever its case."""
    if text.lower() not in words:
        raise ValueError("is none of the allowed words")
    return text.lower()


def tls(text: str, modes: tuple[str, ...]) -> Tls:
    """Return the one of *modes* that *text* names."""
    return Tls(one_of(text, modes))


def flag(text: str) -> bool:
    """Return true or false."""
    return one_of(text, ("true", "false")) == "true"


def plain(text: str, low: int, high: int) -> str:
    """Return the text, if it has *low* to *high* characters."""
    if not low <= len(text) <= high:
        raise ValueError("is empty" if not text else f"is longer than {high} characters")
    return text


def name_of_host(text: str) -> str:
    """Return a host name or IPv4 address in ASCII; names of other scripts become their xn-- form."""
    if not text.isascii() and len(text) <= MAX_HOST:
        try:
            text = idna.to_ascii(text)
        except UnicodeError as error:
            raise ValueError("is not a host name") from error
    text = text.removesuffix(".")
    labels = text.split(".")
    if len(text) > MAX_HOST or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("is not a host name")
    if labels[-1].isdigit() and (len(labels) != 4 or not all(part.isdigit() and int(part) < 256 for part in labels)):
        raise ValueError("is not an IPv4 address")
    return text


def helo(text: str) -> str:
    """Return what EHLO may say: a host name, or an address literal such as [192.0.2.5] (RFC 5321 4.1.3)."""
    if not (text.startswith("[") and text.endswith("]")):
        return name_of_host(text)
    inside = text[1:-1]
    if inside.lower().startswith("ipv6:"):
        return f"[IPv6:{_ipv6(inside[len('ipv6:') :])}]"
    if not inside.rpartition(".")[2].isdigit():
        raise ValueError("is no address in brackets ([192.0.2.5] or [IPv6:2001:db8::5])")
    return f"[{name_of_host(inside)}]"


def host(text: str, port: int = 0) -> HostPort:
    """Return host[:port]; an IPv6 address stands in brackets. *port* is taken when none is written."""
    inside, bracket, behind = text[1:].partition("]") if text.startswith("[") else ("", "", "")
    if bracket and behind[:1] in ("", ":"):
        return HostPort(_ipv6(inside), _port(behind[1:]) if behind else port)
    name, colon, written = text.partition(":")
    if ":" in written:
        raise ValueError("has more than one colon (an IPv6 address stands in brackets, [2001:db8::5]:110)")
    return HostPort(name_of_host(name), _port(written) if colon else port)


def server(text: str) -> HostPort | UnixPath:
    """Return host[:port], or the socket behind unix:/path."""
    if not text.lower().startswith("unix:"):
        return host(text)
    path = text[len("unix:") :]
    if not path.startswith("/"):
        raise ValueError("is not a whole path (unix:/path)")
    return UnixPath(path)


def domain(text: str) -> str:
    """Return a mail domain in ASCII."""
    try:
        name = name_of_host(text)
    except ValueError as error:
        raise ValueError("is not a domain") from error
    if name.rpartition(".")[2].isdigit():
        raise ValueError("is an IP address, not a domain")
    return name


def address(text: str) -> str:
    """Return an address that can stand in RCPT TO:<...>; a bare local name is one too."""
    if not text or text.startswith("@") or text.endswith("@"):
        raise ValueError("is not a mail address")
    if any(char in "<>,;" or char.isspace() or not char.isprintable() for char in text):
        raise ValueError("is not one plain mail address (no name, no <>, no list)")
    if len(text.encode(errors="replace")) > MAX_ADDRESS:
        raise ValueError(f"is longer than {MAX_ADDRESS} octets")
    return text


def sender(text: str) -> str:
    """Return return-path, null, or the address to stand in MAIL FROM."""
    return text.lower() if text.lower() in ("return-path", "null") else address(text)


def header(text: str) -> str:
    """Return the name of a header field (RFC 5322 3.6.8), without the colon that it may carry."""
    name = text.removesuffix(":").rstrip(BLANKS)
    if not name or len(name) > 100 or not all("!" <= char <= "~" and char != ":" for char in name):
        raise ValueError("is not the name of a header field")
    return name


def header_place(text: str) -> str:
    """Return the name of a header field, and a number behind it where only the N-th from the top counts."""
    name, _, number = text.strip(BLANKS).rpartition(" ")
    if not name or not number.isdigit():
        return header(text)
    return f"{header(name.rstrip(BLANKS))} {whole(number, 1, 1000)}"


def prefix(text: str) -> str:
    """Return text that a local part may begin with."""
    if not text or any(char in "<>,;@" or char.isspace() or not char.isprintable() for char in text):
        raise ValueError("is not what a local part may begin with")
    return plain(text, 1, 64)


def alias(text: str) -> Alias:
    """Return PATTERN ADDRESS...: one * in the pattern at most, and none in the addresses unless there is one in it."""
    pattern, *addresses = text.split() or [""]
    if not addresses:
        raise ValueError("names nobody behind its pattern")
    for word in (pattern, *addresses):
        if word != "*":
            address(word.replace("*", "x"))
    if pattern.count("*") > 1:
        raise ValueError("has a pattern with more than one *")
    if any(word.count("*") > pattern.count("*") for word in addresses):
        raise ValueError("has an address with a * that stands for nothing")
    return Alias(pattern, tuple(addresses))


def path(text: str) -> Path:
    """Return a path, quotes around it removed; a relative one is still relative."""
    text = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if text.startswith("~"):
        raise ValueError("starts with ~, which only a shell understands (write the whole path)")
    if not text:
        raise ValueError("is not a path")
    return Path(text)


def pin(text: str) -> tuple[bytes, ...]:
    """Return the octets of each sha256:HEX, comma-separated; its digits may have colons between, as of openssl."""
    return tuple(map(_one_pin, text.split(",")))


def _one_pin(text: str) -> bytes:
    kind, _, digits = text.partition(":")
    digits = digits.replace(":", "")
    if kind.lower() != "sha256" or not re.fullmatch("[0-9A-Fa-f]{64}", digits):
        raise ValueError("is not sha256: and 64 hex digits")
    return bytes.fromhex(digits)


def argv(text: str) -> tuple[str, ...]:
    """Split a command line like a shell would; on Windows a backslash is part of a path, not an escape."""
    import shlex  # noqa: PLC0415 - only who has a command line pays for it

    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = "" if os.name == "nt" else "\\"
    try:
        words = tuple(lexer)
    except ValueError as error:
        raise ValueError("has a quote that is not closed") from error
    if words and not words[0]:
        raise ValueError("starts with an empty word, which is no program")
    return words


def source(text: str) -> str:
    """Return a password, or the words that say where it is to be had."""
    kind, colon, rest = text.partition(":")
    check = {"file": path, "command": argv, "credential": _credential}.get(kind, str) if colon else str
    if not text or (kind in (*SOURCES, "literal") and colon and not (rest.strip() and check(rest))):
        raise ValueError("is empty, or names no place behind its colon")
    return text


def _credential(text: str) -> str:
    """Return the name of a systemd credential: of a file, so no path (systemd.exec(5), LoadCredential=)."""
    if not re.fullmatch(r"[A-Za-z0-9_:@.-]{1,255}", text) or text in (".", ".."):
        raise ValueError("names no credential: letters, digits and _ : @ . - alone")
    return text


def open_to_others(mode: int, owner: int) -> bool:
    """Say whether a file's *mode* lets in others than its owner, or than the group that root gave it to."""
    return bool(mode & stat.S_IROTH or (mode & stat.S_IRGRP and owner != 0))


def chmod(name: Path) -> str:
    """Return the words that say how to hide a file from the others."""
    import shlex  # noqa: PLC0415 - see argv

    return f"run: chmod 600 {shlex.quote(str(name))}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *name* was probably meant to be."""
    import difflib  # noqa: PLC0415 - only who mistypes pays for it

    return next(iter(difflib.get_close_matches(name[:MAX_HOST], known, 1)), None)


def _port(text: str) -> int:
    try:
        return whole(text, 1, 65535)
    except ValueError as error:
        raise ValueError("has a port that is not 1 to 65535") from error


def _ipv6(text: str) -> str:
    import ipaddress  # noqa: PLC0415 - only who writes an IPv6 address pays for it

    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise ValueError("has no IPv6 address in its brackets") from error
