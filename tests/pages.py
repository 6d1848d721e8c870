"""Write what pages take from the program's tables: those of docs/settings.md, and the manual pages in docs/man.

    .venv/bin/python tests/pages.py

A test (tests/unit/test_docs.py) tells when that has been forgotten.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from lib.commands.cli import VERSION  # noqa: E402 - found by the line above
from lib.config import account, settings  # noqa: E402

DATE = "2026-11-27"  # of VERSION
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")

POPFETCH = """\
.SH NAME
popfetch \\- drain POP3 mailboxes into a local SMTP server
.SH SYNOPSIS
.B popfetch_batch.py
.RI [ verb ]
.RB [ \\-i
.IR FILE ]
.RB [ \\-\\-json ]
.SH DESCRIPTION
One run is one pass.
It takes a lock, raises the line where one is configured, drains every POP3
account of
.BR dmail.conf (5)
into the SMTP or LMTP server that is set there, hangs up, writes down what it
knows, and exits.
.BR cron (8),
systemd or the Windows Task Scheduler call it again.
.PP
A message leaves the POP server only after the receiver has taken it for every
recipient, or after it lies in duds.dat.
A pass that was killed at any moment is taken up by the next one, which does
not send again what was accepted.
.PP
A pass that has nothing to complain about prints nothing.
"""
FILES = """\
.SH FILES
.TP
.I /etc/dmail.conf
the settings; on Windows %ProgramData%\\ePOPFetch\\edmail.conf
.TP
.IR work_path /msg.dat ", msg.2.dat and so on"
messages in hand
.TP
.IR work_path /popfetch.journal
what was spooled, accepted, delivered and deleted
.TP
.IR work_path /duds.dat
an mbox of what nobody would take
.TP
.IR work_path /popfetch_state.toml
what a pass must know of those before
.TP
.IR log_path /popfetch.log
a line a message, session and pass
.SH SEE ALSO
.BR dmail.conf (5),
.BR cron (8),
.BR mbox (5)
"""
CONF = """\
.SH NAME
dmail.conf \\- settings of popfetch(8)
.SH DESCRIPTION
"""
EXAMPLE = """\
.SH SEE ALSO
.BR popfetch (8)
"""


def table(page: str, title: str) -> Iterator[list[str]]:
    """Yield the rows of all tables of *page* whose first heading is *title*."""
    inside = False
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if line.startswith(f"| {title} |"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|--"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def roff(text: str) -> str:
    """Return a sentence of a page as roff: nothing in it is a request, code is bold."""
    text = LINK.sub(r"\1", text).replace("\\", "\\e").replace("-", "\\-").replace("**", "").replace("…", "...")
    text = CODE.sub(r"\\fB\1\\fR", text)
    lines = textwrap.wrap(text, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def entry(head: str, *paragraphs: str) -> str:
    return "\n".join((".TP", f"\\fB{roff(head)}\\fR", *map(roff, paragraphs))) + "\n"


def title(name: str, section: int) -> str:
    return f'.\\" Written by tests/pages.py.\n.TH {name} {section} {DATE} "POPFetch batch {VERSION}"\n'


def popfetch_8() -> str:
    verbs = [entry(call.replace("`", ""), what or "print that") for call, what in table("docs/command-line.md", "call")]
    codes = [entry(code, f"{meaning}") for code, _, meaning in table("docs/failures.md", "code")]
    gravest = "The gravest thing that happened decides, in this order.\n"
    parts = (POPFETCH, ".SH OPTIONS\n", *verbs, ".SH EXIT STATUS\n", gravest, *codes, FILES)
    return title("POPFETCH", 8) + "".join(parts)


def dmail_conf_5() -> str:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    grammar = text[: text.index("| name |")].split("\n", 2)[2].strip()
    body = [entry(f"{row.name} {row.allowed}", f"{meaning(row)} Default: {row.default}.") for row in settings.rows()]
    options = [entry(f"{name}=", f"{option.allowed}: {option.meaning}") for name, option in account.OPTIONS.items()]
    parts = (CONF, roff(grammar), "\n.SH SETTINGS\n", *body, ".SH OPTIONS OF A PF_USER LINE\n", *options, EXAMPLE)
    return title("DMAIL.CONF", 5) + "".join(parts)


def meaning(row: settings.Row) -> str:
    old = f" An older name is {', '.join(row.old)}." if row.old else ""
    start = row.meaning if "_" in row.meaning.split()[0] else row.meaning[:1].upper() + row.meaning[1:]
    return f"{start}.{' May be repeated.' if row.many else ''}{old}"


def settings_md() -> str:
    """Return docs/settings.md with the tables as they are now."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for now in (settings.table_markdown(), account.options_markdown()):
        head = now[: now.index("\n")]
        text = re.sub(rf"{re.escape(head)}\n(\|.*\n)+", now.replace("\\", r"\\"), text)
    return text


PAGES = {
    "docs/settings.md": settings_md,
    "docs/man/popfetch.8": popfetch_8,
    "docs/man/dmail.conf.5": dmail_conf_5,
}


def main() -> None:
    for name, written in PAGES.items():
        path = ROOT / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(written(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
