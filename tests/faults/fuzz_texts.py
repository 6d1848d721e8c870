"""Fuzz targets: what is read from disk, by whomever it was written: duds.dat, dmail.conf, the state."""

import mailbox
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from lib.config import account, dmail_conf, settings
from lib.config.grammar import File
from lib.errors import SettingsError
from lib.store import duds_format, state
from lib.store.duds import Duds
from tests.arrivals import cut_at
from tests.faults.fuzz_input import LONGEST, Source, ground, target

ALL = 1 << 40
SHA = "0123456789abcdef" * 4
WHEN = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
JOURNAL_WORDS = (
    b"\n",
    b"\0",
    b" ",
    b'["S",',
    b'["D","uid:1","",1.0]',
    b"bob%40x ",
    b"null",
    b"[[[[",
    b'"',
    b"1e999",
    b",",
)


# --- duds.dat ---------------------------------------------------------------------------------------------------------

MAIL_WORDS = (
    b"From ",
    b">From ",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"From: a\r\n",
    b"X-POPFetch-Dud-Size: ",
    b"\xff",
    b"Subject: ",
    b"\0",
)


@target(
    b"\x00\x01\x03uid\x01\x05a@b.c\x03550\x01\x01\xf4\x20Subject: x\r\n\r\nFrom me\r\n>From\r\n",
    b"\x20From a@b Sun\nSubject: y\n\nFrom \n\x02\x00\x00\x00\x00\x00\x0bno header\r\n\x00\x00\x00\x00\x00\x05From ",
    words=MAIL_WORDS,
)
def duds_round_trip(data: bytes) -> None:
    """Duds come back as they were, whatever stood in the file before, and Python's mailbox finds as many."""
    source = Source(data)
    path = ground()() / "duds.dat"
    before = source.octets().replace(b"From ", b"from ")
    path.write_bytes(before)
    duds = Duds(path)
    given = []
    for _ in range(source.number(3)):
        uid, sender, whom, why = source.octets(), source.octets(20), source.octets(20), source.octets(40)
        octets = b"\r\n".join(source.octets().replace(b"\r", b"").split(b"\n"))
        octets += b"" if octets.endswith(b"\r\n") or not octets else b"\r\n"
        length = duds.length()
        pieces = cut_at(octets, source.cuts()) if octets else iter(())
        duds.append(WHEN, "bob@x", uid, sender, [whom], [why], pieces)
        assert duds.has("bob@x", uid, length)
        given.append((uid[: duds_format.LONGEST], sender, whom, octets))
    listed = duds.list()
    assert [(one.uid, one.sender, *one.recipients) for one in listed] == [one[:3] for one in given]
    assert all(one.whole and one.when == WHEN and one.subject.isprintable() for one in listed)
    assert [b"".join(duds.chunks(one.number)) for one in listed] == [one[3] for one in given]
    assert path.read_bytes().startswith(before)
    with closing(mailbox.mbox(path, create=False)) as box:
        assert len(box) == len(given)
        for number, (_, _, _, octets) in enumerate(given):
            assert unquoted(box.get_bytes(box.keys()[number])) == octets
    if given:
        duds.remove([1])
        assert [b"".join(duds.chunks(one.number)) for one in duds.list()] == [one[3] for one in given[1:]]


def unquoted(octets: bytes) -> bytes:
    """Return a message as mailbox has it, without our lines, as it was given to us."""
    lines = octets.replace(os.linesep.encode(), b"\n").split(b"\n")
    last = next(number for number, line in enumerate(lines) if line.startswith(duds_format.OURS + b"Size: "))
    del lines[: last + (2 if lines[last].endswith(b" +") else 1)]
    plain = [line[1:] if line.lstrip(b">").startswith(b"From ") and line.startswith(b">") else line for line in lines]
    return b"\r\n".join(plain)


@target(
    b"From MAILER-DAEMON Sun Nov 22 16:00:00 2026\nX-POPFetch-Dud-Size: 00000000000000000005\nabc\n\n\n",
    b"From MAILER-DAEMON x\nX-POPFetch-Dud-When: 0001-01-01T00:00:00+23:59\nX-POPFetch-Dud-Size: unfinished\nx",
    words=(
        *MAIL_WORDS,
        b"X-POPFetch-Dud-When: ",
        b"2026-11-22",
        b"+23:59",
        b"From MAILER-DAEMON ",
        b"\\x00",
        b"9" * 30,
    ),
)
def duds_octets(data: bytes) -> None:
    """Any file may be duds.dat: it is listed, shown, and another dud fits behind it."""
    path = ground()() / "duds.dat"
    path.write_bytes(data)
    duds = Duds(path)
    listed = duds.list()
    for one in listed:
        assert one.subject.isprintable()
        assert len(f"{one.when:%Y-%m-%d %H:%M}") > len(" 00:00")
    for one in (*listed[:1], *listed[-1:]):
        assert sum(map(len, duds.chunks(one.number))) >= 0
    duds.has("bob@x", b"1", len(data) // 2)
    path.write_bytes(data)
    mail = b"Subject: y\r\n\r\nz\r\n"
    duds.append(WHEN, "bob@x", b"1", b"", [b"a@b"], ["why"], [mail])
    assert duds.has("bob@x", b"1", len(data))
    last = duds.list()[-1]
    assert b"".join(duds.chunks(last.number)) == mail
    duds.remove([last.number])
    assert path.read_bytes().rstrip(b"\n") == data.rstrip(b"\n")


# --- dmail.conf and the state -----------------------------------------------------------------------------------------

NAMES = tuple(b"\n" + row.name.encode() + b" " for row in settings.rows())


@target(
    b"pf_user bob geheim-1 mail.example.org tls=off keep=7\npf_domain example.org\nwork_path .\n",
    b'\xef\xbb\xbfpf_user "b b" "ge\\"heim" [::1]:995 name=x\r\n#include other\r\npf_smtp_server unix:/x\r\n',
    b"pf_user b literal:x h pin=sha256:"
    + b"0" * 64
    + b"\npf_smtp_password file:x\npf_spool_limit 5K\npf_dial_up a 'b c'\n",
    words=(
        *NAMES,
        b"\n",
        b"#include a\n",
        b'"',
        b"\xff",
        b"\t",
        b"0",
        b"1K",
        b"forever",
        b"tls=off",
        b"m\xc3\xbc",
        b"[",
        b":",
    ),
)
def conf(data: bytes) -> None:
    """Any file is settings, or problems, a line each; what is said can be shown, and shows no password."""
    first, _, second = data[:LONGEST].partition(b"\x1e")
    files = {Path("/etc/dmail.conf"): File(first, 0o600), Path("/etc/other"): File(second, 0o644)}

    def read(path: Path) -> File:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return files[path]

    for system in ("posix", "nt"):
        try:
            plan = dmail_conf.load(Path("/etc/dmail.conf"), Path("/opt"), read=read, system=system)
        except SettingsError as error:
            said = error.problems
            assert said
        else:
            said = (*plan.warnings, *plan.notes)
            assert plan.settings.pf_user
        assert all(words.isprintable() for words in said), said


@target(
    b"bob geheim-word h:110 to=a@b", b'"a b" "c\\"d" [::1] name="x y"', words=(b'"', b"\\", b" ", b"=", b"to=", b"\t")
)
def pf_user_lines(data: bytes) -> None:
    """A pf_user line is a login, or a ValueError that says nothing of it."""
    text = data.decode("utf-8", "surrogateescape").strip(" \t\r")
    why = ""
    try:
        login = account.login(text)
    except ValueError as error:
        why = str(error)
    else:
        assert login.user
        assert 0 <= login.at.port <= 65535
        assert "\n" not in login.at.host
    assert why.isprintable()
    assert "geheim" not in why


@target(
    b"0",
    b"5K",
    b"true",
    b"a@example.org",
    b"unix:/x",
    b"[::1]:25",
    b"'a' b",
    b"file:x",
    words=(b":", b"[", b"\xc3\xbc"),
)
def values_of_rows(data: bytes) -> None:
    """Any text is a value of a setting, or a ValueError in words; shown, and read again, it is the same."""
    text = data[:LONGEST].decode("utf-8", "surrogateescape").strip(" \t\r")
    said = []
    for row in settings.rows():
        try:
            value = row.parse(text)
        except ValueError as error:
            said.append(str(error))
            continue
        if row.low is not None and row.high is not None and not row.name.startswith("pf_keep"):
            assert row.low <= value <= row.high
        if isinstance(value, str | int) and not row.secret and value != "":
            assert row.parse(row.show(value)) == value
    assert all(map(str.isprintable, said))


@target(
    b'tripped = true\nduds_in_a_row = 3\nlast_start = 1.5\n[accounts."a@b"]\nfailures = 2\nhad_uidl = true\n'
    b"[end]\nwhole = true\n",
    words=(
        b"\n[end]\nwhole = true\n",
        b"[accounts.x]\n",
        b"= ",
        b"nan",
        b"inf",
        b"-1",
        b"[[",
        b"9" * 30,
        b"1979-05-27",
        b"{}",
    ),
)
def states(data: bytes) -> None:
    """Any file is a state that comes back as it was written, or is damaged and trips the safety net."""
    path = ground()() / "popfetch_state.toml"
    path.write_bytes(data)
    known = state.load(path)
    if known.damaged:
        assert known.tripped
        assert "\n" not in known.damaged
        return
    assert repr(state.parse(state.dump(known))) == repr(known)
