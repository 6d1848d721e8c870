"""Fuzz targets: journal and spool on disk, by whomever they were written; what was written by us comes back."""

import io
import json
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lib.store import journal_facts, journal_format, spool_format
from lib.store.journal_facts import (
    ACCEPTED,
    ASKED,
    DEFERRED,
    REFUSED,
    Burying,
    ContentRefused,
    Deleting,
    Delivered,
    Dud,
    Gone,
    Lasting,
    Left,
    Loss,
    Lost,
    Mark,
    Record,
    Renamed,
    Seen,
    Spooled,
    Trouble,
    Vanished,
    Verdicts,
    uid_key,
)
from lib.store.spool import Spool
from lib.store.spool_format import Content
from tests.arrivals import cut_at, in_steps
from tests.faults.fuzz_input import Source, ground, target

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


# --- the journal ------------------------------------------------------------------------------------------------------


def record(source: Source) -> Record:
    """Return any record."""
    name, key, at = source.pick(("bob@x", "eve@x", "\udcff\n @")), uid_key(source.octets(300)), float(source.number(99))
    who = {
        source.octets(20): (source.pick((ACCEPTED, DEFERRED, REFUSED)), source.octets(30))
        for _ in range(source.number(3))
    }
    number, words = source.number(300), source.text(20)
    records: tuple[Record, ...] = (
        Spooled(name, key, number, source.octets(300), SHA, number, at),
        Verdicts(name, key, source.octets(20), who, at),
        Delivered(name, key, SHA, at),
        Burying(name, key, number or None),
        Dud(name, key, SHA, at),
        Left(name, key, number, at),
        Lasting(name, (number, 2)),
        Deleting(name, (key,), ASKED),
        Gone(name, (key,)),
        Trouble(name, key, words, at),
        Renamed(name, key, uid_key(source.octets(3))),
        Vanished(name, key, at),
        Seen(name, key),
        ContentRefused(name, key, tuple(who)),
        Lost(name, key, {one: Loss(number, at) for one in who}),
        Mark(),
    )
    return source.pick(records)


def history(source: Source) -> list[Record]:
    return [record(source) for _ in range(source.number(8))]


@target(
    b"\x02\x00\x00\x011\x05\x00\x00\x00\x00\x00\x01\x00\x011\x05\x01\x03b@c\x00\x00\x00\x00\x00\x01",
    bytes(range(60)),
    words=(b"\x08", b"\0\0", b"\xff" * 9),
)
def journal_round_trip(data: bytes) -> None:
    """What was noted is what is read; compacted it says the same, and goes on as the long one would."""
    source = Source(data)
    before, after = history(source), history(source)
    known: journal_facts.Entries = {}
    for one in before:
        journal_format.apply(known, one)
    written = b"".join(map(journal_format.encode, before))
    said = journal_format.replay(written)
    assert said == journal_format.Replay(known, (), 0, 0, len(before))
    short = journal_format.compact(known, 0.0)
    behind = b"".join(map(journal_format.encode, after))
    long_one, short_one = journal_format.replay(written + behind), journal_format.replay(short + behind)
    assert full(long_one.journal) == full(short_one.journal)
    assert short_one.damages == ()


def full(journal: journal_facts.Entries) -> journal_facts.Entries:
    return {name: entries for name, entries in journal.items() if entries}


@target(bytes(range(40)) + b"\x03\x00\x10\x41\x00\x30\x42\x00\x20\x00", words=(b"\x08", b"\0", b"\n", b"\xff"))
def journal_damage(data: bytes) -> None:
    """Of a journal in which octets were changed every line that was not is believed, and nothing that was not noted."""
    source = Source(data)
    records = history(source)
    lines = [journal_format.encode(one) for one in records]
    octets = bytearray(b"".join(lines))
    changed = set()
    for _ in range(source.number(4) if octets else 0):
        place = source.number(len(octets) - 1)
        octets[place] = source.number(255)
        changed.add(place)
    said = journal_format.replay(bytes(octets))
    known: journal_facts.Entries = {}
    start, whole = 0, 0
    for one, line in zip(records, lines, strict=True):
        same = octets[start : start + len(line)] == line and (not start or octets[start - 1 : start] == b"\n")
        start += len(line)
        if same:
            whole += 1
            journal_format.apply(known, one)
    assert said.lines == whole
    assert full(said.journal) == full(known)


@target(b"bob%40x 1f 00000000 00000000 []\n", b"\0\0\0\n= 1\n", words=JOURNAL_WORDS)
def journal_octets(data: bytes) -> None:
    """Any octets are a journal."""
    said = journal_format.replay(data)
    assert len(said.damages) + said.holes <= data.count(b"\n") >= said.lines
    assert 0 <= said.torn <= len(data)
    assert journal_format.replay(data[: len(data) - said.torn]).damages == said.damages


@target(
    b'["S","uid:1",1,"","00",5,1.0]',
    b'["V","uid:1","s",{"a@b":["accepted","250"]},1.0]\0["D","uid:1","00",2.0]',
    b'["E","uid:1","s","00",0.0,1.0,5,1,"s",{"a@b":["owed","450"]},1,"why",[1.0],"u",[7],"asked",1]',
    b'["Q","asked",["uid:1"]]\0["G",["uid:1"]]\0["F",[1,2]]\0["B","uid:1",[3]]\0["R","a","b"]\0["T","a","b",1.0]',
    words=JOURNAL_WORDS,
)
def journal_lines(data: bytes) -> None:
    """A line with right checksums is a record or damage, and what it says can be written and read again."""
    said = journal_format.replay(b"".join(map(checked, data.replace(b"\n", b" ").split(b"\0"))))
    again = journal_format.replay(journal_format.compact(said.journal, 0.0))
    assert again.damages == ()
    assert repr(full(again.journal)) == repr(full(said.journal))  # NaN is not equal to itself


def checked(body: bytes) -> bytes:
    start = b"bob%%40x %x " % len(body)
    return start + b"%08x %08x %b\n" % (zlib.crc32(start), zlib.crc32(start + body), body)


@target(b'{"a": [1, 2.0, null, "x"]}', words=(b"{", b"[", b'"', b"1e999", b"NaN"))
def journal_fields(data: bytes) -> None:
    """Any JSON may stand behind any letter."""
    with suppress(ValueError, RecursionError):
        value: Any = json.load(io.BytesIO(data))
        fields = value if isinstance(value, list) else [value]
        for letter in "SVDBXLFQGTR-+E=":
            said = journal_format.replay(checked(json.dumps([letter, *fields]).encode()))
            assert journal_format.replay(journal_format.compact(said.journal, 0.0)).damages == ()


# --- the spool --------------------------------------------------------------------------------------------------------


@target(
    b"POPFetch-Spool: 1 0123456789abcdef\nAccount: a%40b\nUID: %ff\nSize: 5\nCheck: 00000000\n\n",
    words=(b"\n", b"%", b"0" * 16, b"Check: "),
)
def spool_headers(data: bytes) -> None:
    """A header that is believed is one that we could have written; so is a last line."""
    checksum = b"Check: %08x\n\n" % zlib.crc32(data)
    for octets in (data, data + checksum):
        head, end = spool_format.read_header(octets)
        if head is not None:
            assert spool_format.read_header(spool_format.header(head)) == (head, len(spool_format.header(head)))
            assert end <= len(octets)
    line = b"POPFetch-End: " + data[:101]
    last = spool_format.read_trailer(b"%b%08x\n" % (line, zlib.crc32(line)))
    assert last is None or spool_format.trailer(*last).startswith(line)
    assert spool_format.holds_nothing(data, last) or data.startswith(spool_format.MAGIC)


@target(
    b"\x01\x01\xf4\x03uid\x00\x00\x00Subject: x\r\n\r\nbody\r\n",
    words=(b"\r\n", b"\n", b"\r", b"\0", b"POPFetch-End: "),
)
def spool_facts(data: bytes) -> None:
    """What is told of a message's octets does not depend on how they came in."""
    source = Source(data)
    cuts, octets = source.cuts(), source.rest()
    told = []
    for pieces in ([octets], cut_at(octets, cuts), in_steps(octets, 1)):
        content = Content()
        for piece in pieces:
            content.feed(piece)
        told.append((content.size, content.sha, content.eightbit, content.clean))
    assert told[0] == told[1] == told[2]
    lines = octets.split(b"\r\n")
    clean = (
        lines[-1] == b""
        and len(lines) > 1
        and not any(char in line for line in lines for char in (b"\r", b"\n", b"\0"))
    )
    assert told[0][2:] == (not octets.isascii(), clean)


@target(
    b"\x01\x01\xf4\x03uid\x00\x00\x00Subject: x\r\n\r\nbody\r\n",
    b"\x00\x00\x01\x00\x20\x01\x00Subject: x\r\n\r\nbody\r\n",
    b"\x00\x00\x02\x00\x50\x00\x00Subject: x\r\n\r\nbody\r\n",
    words=(b"\r\n", b"\0", b"POPFetch-End: ", b"POPFetch-Freed"),
)
def spool_files(data: bytes) -> None:
    """What was spooled is found again; of a file that was cut or changed nothing comes that was not written."""
    source = Source(data)
    cuts, uid, act, place, change, octets = (
        source.cuts(),
        source.octets(),
        source.number(2),
        *many(source),
        source.rest(),
    )
    folder = ground()()
    spool = Spool(folder, ALL)
    incoming = spool.receive("bob@\udcffx", uid, 5)
    for piece in cut_at(octets, cuts):
        incoming.write(piece)
    stored = incoming.finish()
    assert b"".join(spool.chunks(stored.number)) == octets
    spool.close()
    path = folder / "msg.dat"
    written = path.read_bytes()
    if act == 1:
        path.write_bytes(written[: place % len(written)])
    elif act == 2:
        changed = bytearray(written)
        changed[place % len(written)] ^= change or 1
        path.write_bytes(changed)
    spool = Spool(folder, ALL)
    whole, corrupt = spool.recover()
    if act == 0:
        assert [(one.account, one.uid, one.sha, one.size) for one in whole] == [
            ("bob@\udcffx", uid, stored.sha, len(octets))
        ]
    else:
        assert not whole, "cut or changed"
        assert act == 2 or not corrupt
    for one in whole:
        assert b"".join(spool.chunks(one.number)) == octets
    spool.close()


def many(source: Source) -> tuple[int, int]:
    return source.number(0xFFFF), source.number(255)


@target(b"\x00POPFetch-Spool: 1 ", words=(b"POPFetch-Spool: 1 ", b"POPFetch-End: ", b"\n", b"0" * 16))
def spool_octets(data: bytes) -> None:
    """Any file may lie where a spool file lies."""
    folder = ground()()
    (folder / "msg.dat").write_bytes(data)
    spool = Spool(folder, ALL)
    whole, _ = spool.recover()
    assert not whole
    spool.close()
