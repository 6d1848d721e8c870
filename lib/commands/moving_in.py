"""--import: another fetcher's settings as a dmail.conf on stdout, and on stderr what could not be taken over."""

from pathlib import Path
from types import ModuleType

from lib.commands.cli import Wish
from lib.errors import Exit, UsageError
from lib.moving import draft, fdm, fetchmail, getmail, mpop
from lib.moving.draft import MAX_OCTETS
from lib.report import console
from lib.visible import visible

READERS: dict[str, ModuleType] = {"fetchmail": fetchmail, "getmail": getmail, "mpop": mpop, "fdm": fdm}


def show(wish: Wish) -> Exit:
    """Print what the files come to, all in one dmail.conf. UsageError for one that cannot be read."""
    together = draft.Moved()
    for path in wish.paths:
        moved = READERS[wish.text].read(_text(path))
        draft.merge(together, moved)
        console.complain(list(draft.told(moved, str(path))))
    console.say(draft.dmail_conf(together, ", ".join(map(str, wish.paths))).rstrip("\n"))
    return Exit.OK


def _text(path: Path) -> str:
    """Return a file's text; octets that are not UTF-8 are read as Latin-1, as old files have them."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "no such name"
        raise UsageError(f"{visible(str(path))} cannot be read: {why}") from None
    if len(octets) > MAX_OCTETS:
        raise UsageError(f"{visible(str(path))} is larger than {MAX_OCTETS} octets: no settings of a fetcher")
    try:
        return octets.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return octets.decode("latin-1").replace("\r\n", "\n")
