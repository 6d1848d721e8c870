"""The main job, to be seen: two POP accounts, an SMTP server, one pass; then what arrived where.

Real sockets on free ports of loopback, the real program as a child, nothing installed but what it needs itself. Ends
with 0 if everything is where it belongs, else says what is not and ends with 1. Run it: `python tests/demo.py`.
"""

import email
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from tests.embedded import Letter, PopServer, SmtpServer  # noqa: E402 - a script finds its own folder only

REFUSAL = b"550 5.1.1 nobody of that name lives here"
CARETAKER = "caretaker@example.lan"
CONF = """\
# POP accounts: user, password, server. The office's mailbox is everybody's, anna's is hers alone.
pf_user office geheim-office 127.0.0.1:{pop} name=office
pf_user anna geheim-anna 127.0.0.1:{pop} name=anna to=anna@example.lan
# The provider writes the recipient into X-Rcpt-To; here everybody lives in example.lan.
pf_header X-Rcpt-To
pf_domain example.lan
# Who gets what nobody else can have.
pf_dflt_address {caretaker}
# Our own mail server.
pf_smtp_server 127.0.0.1:{smtp}
work_path {work}
"""


class Sample(NamedTuple):
    """A message that waits, and what has to become of it."""

    account: str
    what: str
    mail: bytes
    straight: tuple[str, ...]  # who must get it as it was, in one delivery
    copy: str = ""  # the content type of the caretaker's copy, if there must be one


def lines(*text: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in text)


SAMPLES = (
    Sample(
        "office",
        "to two people",
        lines(b"X-Rcpt-To: anna@provider.example, Ben <ben@provider.example>", b"Subject: Lunch", b"", b"At noon?"),
        ("anna@example.lan", "ben@example.lan"),
    ),
    Sample(
        "office",
        "to two people, one of them gone",
        lines(b"X-Rcpt-To: ben@provider.example, gone@provider.example", b"Subject: Keys", b"", b"Who has them?"),
        ("ben@example.lan",),
        copy="text/plain",
    ),
    Sample(
        "office",
        "multipart, to somebody who is gone",
        lines(
            *(b"X-Rcpt-To: gone@provider.example", b"Subject: Photo", b"MIME-Version: 1.0"),
            *(b'Content-Type: multipart/alternative; boundary="cut-here"', b"", b"--cut-here"),
            *(b"Content-Type: text/plain", b"", b"A photo.", b"--cut-here", b"Content-Type: text/html", b""),
            *(b"<p>A photo.</p>", b"--cut-here--"),
        ),
        (),
        copy="multipart/mixed",
    ),
    Sample("office", "without any header", lines(b"a line that a machine sent, no more"), (CARETAKER,)),
    Sample(
        "office",
        "8-bit, with dots at line starts",
        lines(
            b"X-Rcpt-To: anna@provider.example", b"Subject: Caf\xe9", b"", b".", b"..", b".caf\xe9 \xf1 \xff", b"end"
        ),
        ("anna@example.lan",),
    ),
    Sample("anna", "from a mailbox of one person", lines(b"Subject: Mum", b"", b"Call me."), ("anna@example.lan",)),
)


def program(conf: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "popfetch_batch.py"), "-i", str(conf)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def as_it_was(sample: Sample, letter: Letter) -> bool:
    """Say whether *letter* is the sample with one Received line on top and nothing else changed."""
    field = re.match(rb"Received:[^\r\n]*\r\n([ \t][^\r\n]*\r\n)*", letter.content)
    rest = letter.content[field.end() :] if field else b""
    return rest in (sample.mail, b"\r\n" + sample.mail)


def is_copy(sample: Sample, letter: Letter) -> bool:
    """Say whether *letter* is the caretaker's copy of the sample: a paragraph on top, the body untouched."""
    head, _, body = sample.mail.partition(b"\r\n\r\n")
    (subject,) = re.findall(rb"^Subject: .*$", head, re.MULTILINE)
    copy = email.message_from_bytes(letter.content)
    parts = copy.get_payload()
    paragraph = str(parts[0] if isinstance(parts, list) else parts)
    told = "gone@example.lan" in paragraph and REFUSAL[4:].decode() in " ".join(paragraph.split())
    same = subject in letter.content and body.rstrip(b"\r\n") in letter.content
    return told and same and letter.recipients == (CARETAKER.encode(),) and copy.get_content_type() == sample.copy


def arrivals(sample: Sample, taken: Sequence[Letter]) -> Iterator[tuple[str, str]]:
    """Yield who got the sample, and how."""
    for letter in taken:
        people = ", ".join(recipient.decode() for recipient in letter.recipients)
        if as_it_was(sample, letter):
            yield people, "as it was"
        elif sample.copy and is_copy(sample, letter):
            yield people, f"a {sample.copy} copy that tells who did not get it"


def wanted(sample: Sample) -> list[tuple[str, str]]:
    straight = [(", ".join(sample.straight), "as it was")] if sample.straight else []
    return [*straight, *([(CARETAKER, f"a {sample.copy} copy that tells who did not get it")] if sample.copy else [])]


def show(title: str, *rows: Sequence[str]) -> None:
    print(f"\n{title}")
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))] if rows else []
    for row in rows:
        print("   " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


def judge(taken: Sequence[Letter]) -> Iterator[str]:
    """Show what arrived where; yield what should have been otherwise."""
    rows = []
    for sample in SAMPLES:
        came = sorted(arrivals(sample, taken))
        rows += [(sample.what, f"-> {people}", how) for people, how in came]
        if came != sorted(wanted(sample)):
            yield f"the message {sample.what}: wanted {sorted(wanted(sample))}, came {came}"
    show("What arrived where:", *rows)
    copies = [
        letter for letter in taken for sample in SAMPLES if sample.copy == "text/plain" and is_copy(sample, letter)
    ]
    for copy in copies:
        body = copy.content.partition(b"\r\n\r\n")[2].decode("ascii", "replace")
        show("What the caretaker reads in the text/plain copy:", *([line] for line in body.splitlines()))
    if len(taken) != len(rows):
        yield f"{len(taken)} messages arrived, {len(rows)} of them known"


def one_pass(conf: Path, name: str) -> Iterator[str]:
    """Run a pass; yield what it should not have done."""
    ended = program(conf)
    printed = ended.stdout + ended.stderr
    print(f"\n{name}: exit code {ended.returncode}, printed {printed or 'nothing'}")
    if ended.returncode or printed:
        yield f"{name} should print nothing and end with 0"


def demonstrate(folder: Path) -> Iterator[str]:
    """Play it all in *folder*; yield everything that is not as it should be."""
    conf = folder / "dmail.conf"
    boxes = {user: (f"geheim-{user}", [s.mail for s in SAMPLES if s.account == user]) for user in ("office", "anna")}
    with PopServer(boxes) as pop, SmtpServer({b"gone@example.lan": REFUSAL}) as smtp:
        conf.touch(0o600)
        conf.write_text(CONF.format(pop=pop.port, smtp=smtp.port, caretaker=CARETAKER, work=folder), encoding="utf-8")
        show("dmail.conf:", *([line] for line in conf.read_text(encoding="utf-8").splitlines()))
        show("What waits at the POP server:", *((sample.account, sample.what) for sample in SAMPLES))
        yield from one_pass(conf, "The first pass")
        yield from judge(smtp.taken)
        left = {user: len(pop.left(user)) for user in boxes}
        show(
            "What is left at the POP server:",
            *((user, str(count) if count else "nothing") for user, count in left.items()),
        )
        if any(left.values()):
            yield f"the mailboxes are not empty: {left}"
        first = len(smtp.taken)
        yield from one_pass(conf, "The second pass, with nothing to do")
        if len(smtp.taken) != first:
            yield "something arrived twice"
    log = folder / "popfetch.log"
    told = log.read_text(encoding="utf-8") if log.exists() else "(there is none)"
    show("popfetch.log:", *([line] for line in told.splitlines()))
    if "anna" not in told:
        yield "popfetch.log does not tell of the pass"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="popfetch-demo-") as folder:
        wrong = list(demonstrate(Path(folder)))
    for complaint in wrong:
        print(f"\nWRONG: {complaint}")
    print("\nThe demo failed." if wrong else "\nEverything is where it belongs, once.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
