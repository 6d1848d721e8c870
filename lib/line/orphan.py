"""popfetch.line: the lines that passes of ours have raised and not hung up, and how each of them is hung up. Pure.

A line of JSON each. What is remembered is enough to hang up without dmail.conf, which may have been edited since, or
be broken. The file is 0600: a command line may hold a secret. Programs before the second round wrote one line of text,
`UP '|' DOWN` in a shell's words, or RAS with its entry and number; that is still read.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

COMMAND, RAS = "command", "ras"

OLD_RAS = re.compile(r'RAS (?:entry "(?P<entry>.*)")?(?:, )?(?:number (?P<number>.*))?')


class Orphan(NamedTuple):
    """A line that was raised: by pf_dial_up, to be hung up by *down* and looked for by *check*, or by RAS.

    *kind* is empty where the file says what nobody understands.
    """

    kind: str
    down: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    entry: str = ""
    number: str = ""


def dump(orphans: Iterable[Orphan]) -> bytes:
    """Return the file that remembers *orphans*, each once."""
    import json  # noqa: PLC0415 - for who raises a line, or finds one

    rows = ({name: value for name, value in one._asdict().items() if value} for one in dict.fromkeys(orphans))
    # Escaped: a word of a command line may be no text (surrogates), and must come back as it was.
    return b"".join(json.dumps(row).encode("ascii") + b"\n" for row in rows)


def parse(octets: bytes) -> list[Orphan]:
    """Return what dump() was given, or an older program wrote."""
    return list(_parsed(octets.decode("utf-8", "backslashreplace")))


def _parsed(text: str) -> Iterator[Orphan]:
    import json  # noqa: PLC0415 - see dump

    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            yield _row(json.loads(line)) if line.startswith("{") else _old(line)
        except (ValueError, TypeError, RecursionError):
            yield Orphan("")


def _row(row: dict[str, Any]) -> Orphan:
    """Return what a line of ours says; fields that a later program has added are none of our business."""
    kind, down, check = row.get("kind"), row.get("down", []), row.get("check", [])
    words = [kind, *down, *check, entry := row.get("entry", ""), number := row.get("number", "")]
    if not all(isinstance(word, str) for word in words) or not (down if kind == COMMAND else kind == RAS):
        raise ValueError
    return Orphan(str(kind), tuple(down), tuple(check), entry, number)


def _old(line: str) -> Orphan:
    if match := OLD_RAS.fullmatch(line):
        return Orphan(RAS, entry=match["entry"] or "", number=match["number"] or "")
    import shlex  # noqa: PLC0415 - see dump

    words = shlex.split(line)
    down = words[words.index("|") + 1 :]  # ValueError where there is none
    if not down or "|" in down:
        raise ValueError
    return Orphan(COMMAND, tuple(down))
