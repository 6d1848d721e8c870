"""The grammar of dmail.conf: files in, lines of `name value` out. Pure: a file's bytes come from the function *read*.

`#` is a comment only at the start of a line (a password may hold one); `#include FILE` is relative to its own file.
The file is shared with other programs, so nothing here judges a line that is not ours.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lib.visible import visible

MAX_OCTETS = 1 << 20  # of one file: ten thousand accounts fit
MAX_FILES = 100  # of one configuration, counted as often as they are included
MAX_DEPTH = 10
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BLANKS = " \t\r"
INCLUDE = "#include"


class File(NamedTuple):
    """A file as it was read: at most MAX_OCTETS + 1 bytes, and its permission bits where they mean something."""

    data: bytes
    mode: int | None = None


class ConfLine(NamedTuple):
    """One `name value`; the name in lower case, undecodable bytes as surrogates, *place* is FILE:LINE."""

    name: str
    text: str
    place: str
    path: Path

    @property
    def odd(self) -> str:
        """Return what no value may hold and this one does, if so."""
        if any("\ud800" <= char <= "\udfff" for char in self.text):
            return "holds octets that are not UTF-8 (save the file as UTF-8)"
        if any((char < " " and char != "\t") or char == "\x7f" for char in self.text):
            return "holds a control character"
        return ""


Read = Callable[[Path], File]
Complain = Callable[[str], None]


class Grammar:
    """Reads one configuration; *files* holds what was read, *complain* hears of what cannot be."""

    def __init__(self, read: Read, complain: Complain) -> None:
        self.files: dict[Path, File] = {}
        self._read = read
        self._complain = complain
        self._count = 0

    def lines(self, path: Path) -> Iterator[ConfLine]:
        """Yield the lines of *path* and of what it includes, where it includes it. Raises OSError for *path* itself."""
        return self._lines(path, self._read(path), (path,))

    def _lines(self, path: Path, file: File, chain: tuple[Path, ...]) -> Iterator[ConfLine]:
        if path not in self.files and (file.mode or 0) & stat.S_IWOTH:
            self._complain(f"{path}: everybody can change it; run: chmod o-w {path}")
        self.files[path] = file
        shown = visible(str(path))
        for number, text in self._texts(path, file):
            place = f"{shown}:{number}"
            name, rest = (*text.split(None, 1), "", "")[:2]
            if name.lower() == INCLUDE:
                yield from self._include(path, rest.strip('"'), place, chain)
            elif name and not name.startswith("#"):
                yield ConfLine(name.lower(), rest, place, path)

    def _texts(self, path: Path, file: File) -> Iterator[tuple[int, str]]:
        if len(file.data) > MAX_OCTETS:
            self._complain(f"{path}: is larger than {MAX_OCTETS} octets: not a dmail.conf")
        elif file.data.startswith(UTF16):
            self._complain(f"{path}: is UTF-16; save it as UTF-8")
        else:
            octets = file.data.removeprefix(b"\xef\xbb\xbf")
            for number, line in enumerate(octets.split(b"\n"), start=1):
                yield number, line.decode("utf-8", "surrogateescape").strip(BLANKS)

    def _include(self, path: Path, name: str, place: str, chain: tuple[Path, ...]) -> Iterator[ConfLine]:
        target = Path(os.path.normpath(path.parent / name))
        why = self._obstacle(target, name, chain)
        if why:
            self._complain(f"{place}: #include: {why}")
            return
        self._count += 1
        try:
            file = self._read(target)
        except (OSError, ValueError) as error:
            words = (error.strerror if isinstance(error, OSError) else None) or "no such name"
            self._complain(f"{place}: #include: {visible(str(target))} cannot be read: {words}")
            return
        yield from self._lines(target, file, (*chain, target))

    def _obstacle(self, target: Path, name: str, chain: tuple[Path, ...]) -> str:
        """Return why *target* is not to be followed, or nothing."""
        if not name:
            return "no file is named; write #include FILE"
        if target in chain or len(chain) > MAX_DEPTH:
            return f"{visible(str(target))} leads back to itself, or deeper than {MAX_DEPTH} files; remove this line"
        if self._count >= MAX_FILES:
            return f"more than {MAX_FILES} files are included; put the accounts into fewer"
        return ""
