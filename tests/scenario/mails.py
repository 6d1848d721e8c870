"""What the scenarios share: mails to write, and what a pass wrote into its log."""

import re
from pathlib import Path

FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)')


def mail(*fields: str, body: str = "hello") -> bytes:
    """Return a message with these header fields, CRLF at every line's end; surrogates are octets as they are."""
    return "\r\n".join([*fields, "", *body.split("\n"), ""]).encode("utf-8", "surrogateescape")


def logged(work: Path, event: str) -> list[dict[str, str]]:
    """Return the fields of every line of popfetch.log that tells of *event*; quotes around a value are gone."""
    lines = (work / "popfetch.log").read_text(encoding="utf-8").splitlines()
    told = [words[2] for line in lines if len(words := line.split(" ", 2)) == 3]
    return [
        {name: value[1:-1] if value.startswith('"') else value for name, value in FIELD.findall(line)}
        for line in told
        if line.startswith(event + " ")
    ]


def warnings(work: Path) -> list[str]:
    """Return what popfetch.log warns of."""
    lines = (work / "popfetch.log").read_text(encoding="utf-8").splitlines()
    return [line.split(" ", 2)[2] for line in lines if line.split(" ", 2)[1] == "warning"]


def spooled(work: Path) -> list[str]:
    """Return the files in which messages wait."""
    return sorted(path.name for path in work.glob("msg*.dat"))
