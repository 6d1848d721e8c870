"""Moving in: what another fetcher's settings come to, as a dmail.conf and remarks. Pure.

The law: nothing is guessed in silence. What has no counterpart is a remark with file and line that says what to do
instead; what this program does anyway is no remark.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lib.config.account import OPTIONS
from lib.config.values import POP_PORT, POPS_PORT, SOURCES, HostPort
from lib.visible import visible

MAX_OCTETS = 4 << 20  # of a file that is read
NEEDLESS = "is not needed here, and left out"
LISTS = {"pf_accept_domain", "pf_alias", "pf_strip_prefix", "pf_header"}
COMMAND_SHELL = "command:sh -c "


class Remark(NamedTuple):
    """Something that could not be taken over, or not as it stood, and what to do."""

    line: int  # 0: the whole file
    words: str


@dataclass(slots=True)
class Draft:
    """One pf_user line to be; *password* as dmail.conf has it, "" when the other program did not know it either."""

    user: str
    host: str
    line: int
    port: int = 0
    password: str = ""
    options: dict[str, str] = field(default_factory=dict)
    headers: list[str] = field(default_factory=list)
    asleep: bool = False  # written as a comment: the other program did not fetch it by itself

    @property
    def name(self) -> str:
        """What the person knows the account by."""
        return f"{self.user}@{self.host}"


@dataclass(slots=True)
class Moved:
    """All that was understood of one file."""

    accounts: list[Draft] = field(default_factory=list)
    settings: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def remark(self, line: int, words: str) -> None:
        """Say something about *line*, once."""
        if (found := Remark(line, words)) not in self.remarks:
            self.remarks.append(found)

    def set(self, name: str, value: str, line: int) -> None:
        """Set what can be set once; another value is a remark."""
        known = self.settings.setdefault(name, [value])
        if known != [value]:
            told = f"{name} is {visible(known[0])} already and can be set once; {visible(value)} is left out"
            self.remark(line, f"{told}: a second dmail.conf with a work_path of its own can have it")

    def add(self, name: str, value: str) -> None:
        """Add to a setting that is a list."""
        values = self.settings.setdefault(name, [])
        if value not in values:
            values.append(value)


def merge(whole: Moved, further: Moved) -> None:
    """Take *further*, of another file, into *whole*; what cannot be set twice becomes a remark of *further*."""
    whole.accounts += further.accounts
    for name, values in further.settings.items():
        for value in values:
            if name in LISTS:
                whole.add(name, value)
            elif whole.settings.setdefault(name, [value]) != [value]:
                further.set(name, whole.settings[name][0], 0)


def told(moved: Moved, path: str) -> Iterator[str]:
    """Yield each remark as a line, in the order of the file."""
    for line, words in sorted(moved.remarks, key=lambda remark: remark.line):
        yield f"{visible(path)}:{line}: {words}" if line else f"{visible(path)}: {words}"


def dmail_conf(moved: Moved, origin: str) -> str:
    """Return the dmail.conf."""
    lines = [f"# Moved in from {visible(origin)}. Look it over, then: popfetch_batch.py -i THIS_FILE --check"]
    if moved.settings:
        lines += ["", *(f"{name} {value}" for name, values in moved.settings.items() for value in values)]
    lines += ["", *(pf_user(draft) for draft in moved.accounts)]
    return "\n".join(lines) + "\n"


def pf_user(draft: Draft) -> str:
    """Return the line of *draft*, its words quoted where they must be."""
    port = 0 if draft.port == (POPS_PORT if draft.options.get("tls") == "implicit" else POP_PORT) else draft.port
    words = [draft.user, draft.password or f"file:{secret_file(draft)}", str(HostPort(draft.host, port))]
    options = [(name, draft.options[name]) for name in OPTIONS if name in draft.options]
    options += [("header", header) for header in draft.headers]
    line = " ".join(["pf_user", *map(quoted, words), *(f"{name}={quoted(value)}" for name, value in options)])
    return f"# {line}" if draft.asleep else line


def secret_file(draft: Draft) -> str:
    """Return the file that a password may be put into, which the other program asked a person for."""
    name = "".join(char if char.isalnum() or char in "._-" else "_" for char in draft.name)
    return f"/etc/popfetch/{name}.secret"


def quoted(word: str) -> str:
    """Return a word as a pf_user line may hold it."""
    if word and not word.startswith('"') and not set(word) & set(" \t"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(password: str) -> str:
    """Return a password that stands in a file as dmail.conf has it: one that looks like a place is told apart."""
    kind, colon, _ = password.partition(":")
    return f"literal:{password}" if colon and kind in (*SOURCES, "credential", "literal") else password


def by_shell(line: str) -> str:
    """Return a password command that the other program gave to a shell."""
    import shlex  # noqa: PLC0415 - only who moves in pays for it

    return COMMAND_SHELL + shlex.quote(line)


def without_password(moved: Moved, drafts: Iterable[Draft]) -> None:
    """Say of each draft whose password is not known where to put it."""
    for draft in drafts:
        if not draft.password and not draft.options.get("oauth"):
            where = secret_file(draft)
            moved.remark(
                draft.line, f"no password of {visible(draft.name)} stands here: write it into {where}, mode 0600"
            )
