"""The command line: words in, one Wish out. It prints nothing and touches nothing.

argparse is imported only for what a person types: what cron calls (nothing, --scheduled, -i FILE) is read by hand, for
start-up is most of what an idle pass costs.
"""

import re
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from lib.errors import UsageError
from lib.visible import visible

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

PROGRAM = "popfetch_batch.py"
VERSION = "1.0.0"

ABOUT = "Drain POP accounts into the local SMTP server: one run, one pass. Without a verb: a pass now."
EPILOG = """\
exit codes: 0 everything delivered, or nothing to do; 65 at least one dud; 69 no line; 70 a bug; 74 spool, journal or
state not writable; 75 something stays owed, or another pass runs; 76 an account could not be drained; 77 a login was
refused; 78 settings; 79 stopped by the safety net; 64 usage.
"""


class Verb(Enum):
    """What is wished for."""

    PASS = "a pass now"  # noqa: S105 - a run, no password
    SCHEDULED = "a pass if one is due"
    TEST = "a pass now, shown on the console"
    CHECK = "show the settings"
    STATUS = "show the state"
    RESET = "set the safety net and a damaged journal back"
    DRY_RUN = "show who would get what"
    DUDS_LIST = "list duds.dat"
    DUDS_SHOW = "show one message of duds.dat"
    DUDS_RESEND = "send one or all messages of duds.dat again"
    DUDS_DROP = "throw one message of duds.dat away"
    PRINT_SCHEDULE = "print a definition for the scheduler"
    LOGIN = "have a token for a pf_oauth line"
    IMPORT = "print the dmail.conf that another fetcher's settings come to"
    SAY = "print Wish.text: help or version"


class Wish(NamedTuple):
    """One verb and its arguments."""

    verb: Verb = Verb.PASS
    conf: Path | None = None  # -i; None: the usual places
    json: bool = False  # the summary as one JSON object on stdout
    number: int | None = None  # of the dud, from 1; None with DUDS_RESEND: all of them
    to: tuple[str, ...] = ()  # whom DUDS_RESEND sends to; none: whom it was meant for
    scheduler: str = ""  # cron, systemd or task
    text: str = ""  # what SAY prints; the name behind LOGIN, the other fetcher's behind IMPORT
    paths: tuple[Path, ...] = ()  # the files behind IMPORT


PASSES = (Verb.PASS, Verb.SCHEDULED, Verb.TEST)
FLAGS = {  # option: its verb
    "--scheduled": Verb.SCHEDULED,
    "--check": Verb.CHECK,
    "--status": Verb.STATUS,
    "--reset": Verb.RESET,
    "--dry-run": Verb.DRY_RUN,
}
DUDS = {"show": Verb.DUDS_SHOW, "resend": Verb.DUDS_RESEND, "drop": Verb.DUDS_DROP}  # what takes a number
PLAIN_WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)  # what needs no quotes in a shell
SCHEDULERS = ("cron", "systemd", "task")
TOOLS = ("fetchmail", "getmail", "mpop", "fdm")  # whose settings IMPORT reads


def parse(words: Sequence[str]) -> Wish:
    """Return what *words*, the arguments behind the program's name, ask for. Raises UsageError."""
    return _by_hand(list(words)) or _by_argparse(list(words))


def called(conf: Path) -> str:
    """Return how this program is called for the dmail.conf *conf*, for what people are told to type."""
    words = (sys.executable, str(Path(sys.argv[0]).resolve()), "-i", str(conf.resolve()))
    if all(PLAIN_WORD.fullmatch(word) for word in words):
        return " ".join(words)
    import shlex  # noqa: PLC0415 - most paths need no quotes

    return shlex.join(words)


def _by_hand(words: list[str]) -> Wish | None:
    """Return the wish of a scheduler's call, or None for anything else."""
    conf = None
    if "-i" in words[:-1]:
        at = words.index("-i")
        conf = Path(words[at + 1])
        if words[at + 1].startswith("-") or not words[at + 1]:
            return None
        del words[at : at + 2]
    verb = {(): Verb.PASS, ("--scheduled",): Verb.SCHEDULED}.get(tuple(words))
    return None if verb is None else Wish(verb, conf)


def _by_argparse(words: list[str]) -> Wish:
    parser = _parser()
    found = parser.parse_args(words)
    if found.help or found.version:
        return Wish(Verb.SAY, text=parser.format_help() if found.help else f"{PROGRAM} {VERSION}\n")
    if found.conf == "":
        parser.error("-i: the file's name is empty")
    wish = _wish(found)
    if found.json and wish.verb not in PASSES:
        parser.error("--json goes with a pass: alone, with --scheduled or with --test")
    if found.to and wish.verb is not Verb.DUDS_RESEND:
        parser.error("--to goes with --duds resend")
    return wish._replace(conf=found.conf and Path(found.conf), json=found.json, to=tuple(found.to))


def _parser() -> "ArgumentParser":
    import argparse  # noqa: PLC0415 - see above

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError(f"{visible(message)} (see {PROGRAM} --help)")

    usage = f"{PROGRAM} [VERB] [-i FILE] [--json]"
    parser = Parser(PROGRAM, usage, ABOUT, EPILOG, add_help=False, allow_abbrev=False)
    add = parser.add_mutually_exclusive_group().add_argument
    add("-test", "--test", dest="verb", action="store_const", const=Verb.TEST, help=Verb.TEST.value)
    for option, verb in FLAGS.items():
        add(option, dest="verb", action="store_const", const=verb, help=verb.value)
    words = "list | show N | resend N | resend all | drop N: what lies in duds.dat"
    add("--duds", nargs="+", metavar="WORD", help=words)
    add("--print-schedule", choices=SCHEDULERS, help=Verb.PRINT_SCHEDULE.value)
    add("--login", metavar="NAME", help=Verb.LOGIN.value)
    settings = f"{' | '.join(TOOLS)}, FILE ...: {Verb.IMPORT.value}"
    add("--import", dest="imported", nargs="+", metavar="WORD", help=settings)
    add("--version", action="store_true", help="print the version")
    add("-h", "--help", action="store_true", help="print this")
    others = "with --duds resend: to these, in place of whom it was meant for"
    parser.add_argument("--to", nargs="+", metavar="ADDRESS", default=(), help=others)
    parser.add_argument("-i", dest="conf", metavar="FILE", help="the dmail.conf to read, in place of the usual one")
    parser.add_argument("--json", action="store_true", help="with a pass: the summary as one JSON object on stdout")
    return parser


def _wish(found: "Namespace") -> Wish:
    """Return what the one verb that was found wishes for."""
    if found.duds:
        return _duds(found.duds)
    if found.print_schedule:
        return Wish(Verb.PRINT_SCHEDULE, scheduler=found.print_schedule)
    if found.login is not None:
        return Wish(Verb.LOGIN, text=found.login)
    if found.imported:
        return _import(found.imported)
    return Wish(found.verb or Verb.PASS)


def _import(words: list[str]) -> Wish:
    tool, *paths = words
    if tool not in TOOLS or not paths:
        raise UsageError(f"--import takes {', '.join(TOOLS[:-1])} or {TOOLS[-1]}, and the files to read")
    return Wish(Verb.IMPORT, text=tool, paths=tuple(map(Path, paths)))


def _duds(words: list[str]) -> Wish:
    verb, *numbers = words
    if verb == "list" and not numbers:
        return Wish(Verb.DUDS_LIST)
    if verb == "resend" and numbers == ["all"]:
        return Wish(Verb.DUDS_RESEND)
    if verb in DUDS and len(numbers) == 1 and re.fullmatch("0*[1-9][0-9]{0,8}", numbers[0]):
        return Wish(DUDS[verb], number=int(numbers[0]))
    raise UsageError("--duds takes list, show N, resend N, resend all or drop N; N counts from 1, as list shows it")
