"""Words that would move a cursor, colour, name or fill a terminal, turn the reading order, or hide.

They stand in everything that others write: addresses, subjects, UIDs, a receiver's words, a POP server's words, the
names of files. What is logged or printed shows them as escapes, to a person, to a pipe, to rich, and as JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.hostile import Office, TwistedTalk
from tests.passes import PROGRAM, account
from tests.scenario.mails import mail

# Each as octets; no two share an octet sequence with what rich itself writes.
UGLY = {
    "ESC": b"\x1b[7;9H",
    "OSC 8": b"\x1b]8;;http://evil.example\x1b\\",
    "OSC 52": b"\x1b]52;c;ZXZpbA==\x07",
    "DCS": b"\x1bP+q544e\x1b\\",
    "CSI in one octet": b"\x9b7;9H",
    "CSI in UTF-8": b"\xc2\x9b7;9H",
    "BEL": b"\x07",
    "backspace": b"\x08",
    "DEL": b"\x7f",
    "NEL": b"\xc2\x85",
    "tab": b"a\x0bb",
    "RLO": b"\xe2\x80\xae",
    "LRI": b"\xe2\x81\xa6",
    "ZWSP": b"\xe2\x80\x8b",
    "LS": b"\xe2\x80\xa8",
    "BOM": b"\xef\xbb\xbf",
    "TAG": b"\xf3\xa0\x81\xa5",
    "no UTF-8": b"\xff\xc3(",
    "surrogate": b"\xed\xa0\x80",
    "CR": b"a\rb",
    "NUL": b"a\0b",
}
WORDS = b" ".join(UGLY.values())
NEEDLES = [word.decode("utf-8", "surrogateescape") for word in UGLY.values()]
PERSON = WORDS.replace(b"\r", b"") + b"@example.org"
NAME = "w\u202e\u200b\x9b7;9H"
COMMANDS: tuple[list[str], ...] = (
    [],
    ["--json"],
    ["--test"],
    ["--test", "--json"],
    ["--dry-run"],
    ["--status"],
    ["--check"],
    ["--duds", "list"],
)
"""What a person types; a pass comes first."""


def clean(text: str) -> bool:
    """Say whether there is nothing but printable text and line ends."""
    return all(line.isprintable() for line in text.split("\n"))


def retr(talk: TwistedTalk, number: bytes) -> object:
    """Refuse every other message in ugly words."""
    return talk.say(b"-ERR " + WORDS) if int(number) % 2 else talk.retr(number)


def top(talk: TwistedTalk, rest: bytes) -> object:
    """Refuse every other header in ugly words; the others hold an ugly address."""
    number = int(rest.split()[0])
    return talk.say(b"-ERR " + WORDS) if number % 2 else talk.say(b"+OK", b"X-Rcpt-To: <" + PERSON + b">", b"", b".")


def uidl(talk: TwistedTalk, _: bytes) -> None:
    """Give ugly UIDs."""
    talk.say(b"+OK " + WORDS, *(b"%d u%d%b" % (number, uid, WORDS) for number, uid in enumerate(talk.uids, 1)), b".")


@pytest.fixture
def ugly(office: Office, tmp_path: Path) -> Callable[[], Path]:
    """Let everything be ugly; return what writes dmail.conf."""
    letter = b"Subject: " + WORDS.replace(b"a\rb ", b"") + b"\r\n\r\n" + WORDS + b"\r\n"
    office.put(*[b"X-Rcpt-To: b@example.org, <" + PERSON + b">\r\n" + letter] * 6)
    office.teach(RETR=retr, UIDL=uidl, TOP=top)
    office.smtp.refused = {b"b@example.org": b"550 " + WORDS}
    work = tmp_path / f"logs{NAME}"
    work.mkdir(mode=0o700)
    options = account(office.pop.port, f'"name=bob{NAME}"')
    where = {
        "pf_smtp_server": f"127.0.0.1:{office.smtp.port}",
        "pf_timeout": 5,
        "log_level": "debug",
        "pf_max_duds": 90,
    }

    return lambda: office.conf(options, log_path=work, **where)


def seen(text: str) -> bool:
    """Say whether an escape of ours is in it."""
    return "\\u202e" in text or "\\xe2\\x80\\xae" in text


def logged(tmp_path: Path) -> str:
    return (tmp_path / f"logs{NAME}" / "popfetch.log").read_text(encoding="utf-8", errors="surrogateescape")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pipe_gets_printable_text(ugly: Callable[[], Path], office: Office, tmp_path: Path, words: list[str]) -> None:
    assert office.run_pass(ugly()).code == 76
    done = office.run_pass(ugly(), *words)
    assert seen(done.out + done.err)
    assert clean(done.out), ascii(done.out)
    assert clean(done.err), ascii(done.err)
    assert "\\x1b[7;9H" in logged(tmp_path)
    assert clean(logged(tmp_path))
    if "--json" in words:
        assert json.loads(done.out)["exit"] == 76


def test_a_file_that_cannot_be_used_is_named_in_printable_text(office: Office, tmp_path: Path) -> None:
    for folder in (tmp_path / NAME, tmp_path / f"n\nm{NAME}\x1b[7;9H"):
        done = office.pass_(log_path=folder) if "\n" not in str(folder) else office.run_pass(folder)
        assert (done.code in (74, 78), done.err.count("\n"), clean(done.err)) == (True, 1, True)
    done = office.run_pass(office.conf(account(1)), "--\x1b[7;9H\u202e")
    assert (done.code, clean(done.err)) == (64, True)


# --- a terminal -------------------------------------------------------------------------------------------------------


def on_a_terminal(arguments: list[str]) -> str:
    """Run the program on a terminal; return what the terminal got."""
    ours, theirs = os.openpty()
    command = [sys.executable, str(PROGRAM), *arguments]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    started = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    got = b""
    with suppress(OSError):  # EIO: the last who had it open is gone
        while piece := os.read(ours, 1 << 16):
            got += piece
    os.close(ours)
    started.wait(100)
    return got.decode("utf-8", "surrogateescape")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
@pytest.mark.parametrize("words", [*COMMANDS, ["--duds", "show", "1"]], ids=" ".join)
def test_a_terminal_gets_nothing_that_it_would_obey(
    ugly: Callable[[], Path], office: Office, tmp_path: Path, words: list[str]
) -> None:
    assert office.run_pass(ugly()).code == 76
    told = on_a_terminal(["-i", str(ugly()), *words]).replace("\r\n", "\n")
    assert seen(told)
    assert not [needle for needle in NEEDLES if needle in told]
    assert not [char for char in told if not (char.isprintable() or char in "\n\x1b\r")]
    if words[:1] != ["--test"]:  # rich draws
        assert clean(told), ascii(told)
    assert clean(logged(tmp_path))


def test_a_dud_is_shown_to_a_pipe_octet_by_octet(office: Office) -> None:
    office.smtp.refused = {b"b@example.org": b"550 no"}
    letter = mail("Subject: one", body=f"{NAME}\n\x1b[7;9H\x07 \udcff")
    office.put(letter)
    assert office.pass_().code == 65
    command = [sys.executable, str(PROGRAM), "-i", str(office.conf.path), "--duds", "show", "1"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == letter
