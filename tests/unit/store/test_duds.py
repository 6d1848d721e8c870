import errno
import mailbox
import os
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import StorageError
from lib.store import duds_format, ownfile
from lib.store.duds import Duds

NOON = datetime(2026, 11, 22, 12, 39, tzinfo=UTC)
MESSAGES = (
    b"Subject: one\r\n folded\r\n\r\nFrom here\r\n>From there\r\n\r\n",
    b"",
    b"\r\n",
    b"no header\r\nSubject: none\r\n",
    b"From x\r\nSubject: two\r\n\r\n",
    b"X-POPFetch-Dud-Size: 3\r\n\r\nforged\r\n",
    b"A: b\r\n\r\n" + b"From " * 100_000 + b"\r\n" + b">" * 300_000 + b"From x\r\n" + b"\r\n" * 300_000,
)


@pytest.fixture
def duds(tmp_path: Path) -> Duds:
    return Duds(tmp_path / "duds.dat")


def put(duds: Duds, message: bytes, *, cut: int = 65536, reason: str = "550 no") -> None:
    chunks = (message[at : at + cut] for at in range(0, len(message), cut))
    duds.append(NOON, "bob@x", b"uid\xff", b"a@x", [b"c@x", b"d \x1b@x"], [reason, b"554 \xff"], chunks)


def message(duds: Duds, number: int) -> bytes:
    return b"".join(duds.chunks(number))


def test_what_goes_in_comes_out(duds: Duds) -> None:
    for one in MESSAGES:
        put(duds, one)
    assert [message(duds, number) for number in range(1, len(MESSAGES) + 1)] == list(MESSAGES)


def test_what_is_told_comes_out(duds: Duds) -> None:
    assert duds.list() == []
    for one in MESSAGES:
        put(duds, one, reason="550 no\r\nFrom x")
    listed = duds.list()
    assert [info.number for info in listed] == [1, 2, 3, 4, 5, 6, 7]
    assert [info.subject for info in listed] == ["one folded", "", "", "", "", "", ""]
    for info in listed:
        assert (info.when, info.account, info.uid, info.sender) == (NOON, "bob@x", b"uid\xff", b"a@x")
        assert info.recipients == (b"c@x", b"d \x1b@x")
        assert info.reasons == ("550 no\\x0d\\x0aFrom x", "554 \\xff")
        assert info.whole


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([b"From x", b">From", b"", b"A: b", b"x" * 500]), max_size=9), st.integers(1, 9))
def test_no_cut_of_the_octets_matters(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cut: int) -> None:
    duds = Duds(tmp_path_factory.mktemp("duds") / "duds.dat")
    one = b"".join(line + b"\r\n" for line in lines)
    put(duds, one, cut=cut)
    put(duds, one)
    assert message(duds, 1) == message(duds, 2) == one


def test_pythons_mailbox_reads_it(duds: Duds, tmp_path: Path) -> None:
    for one in MESSAGES[:6]:
        put(duds, one)
    box = mailbox.mbox(tmp_path / "duds.dat", create=False)
    try:
        found = list(box)
        assert len(found) == 6
        assert found[0]["Subject"] == "one\n folded"
        assert found[0].get_from().rstrip() == "MAILER-DAEMON Sun Nov 22 12:39:00 2026"
        assert found[0]["X-POPFetch-Dud-Account"] == "bob@x"
        assert found[0].get_all("X-POPFetch-Dud-For") == ["c@x", "d \\x1b@x"]
        # On Windows that module takes the blank line that ends a message for a part of it: it looks for CRLFs.
        assert found[3].get_payload() == "no header\nSubject: none\n" + "\n" * (os.linesep == "\r\n")
    finally:
        box.close()


def test_removing_leaves_the_others_as_they_were(duds: Duds, tmp_path: Path) -> None:
    for one in MESSAGES:
        put(duds, one)
    duds.remove([1, 3, 4, 99])
    kept = [MESSAGES[number] for number in (1, 4, 5, 6)]
    assert [message(duds, number) for number in range(1, 5)] == kept
    duds.remove(range(1, 5))
    assert (tmp_path / "duds.dat").read_bytes() == b""
    duds.remove([1])
    put(duds, MESSAGES[0])
    assert message(duds, 1) == MESSAGES[0]


def test_a_number_that_is_not_there_is_told(duds: Duds) -> None:
    with pytest.raises(StorageError, match="no message 1"):
        message(duds, 1)
    put(duds, b"A: b\r\n")
    with pytest.raises(StorageError, match="no message 2"):
        message(duds, 2)


def test_what_other_programs_left_in_the_file_stays(duds: Duds, tmp_path: Path) -> None:
    path = tmp_path / "duds.dat"
    path.write_bytes(b"junk\nFrom somebody Sun Nov 22 12:39:00 2026\nSubject: theirs\n\nbody")
    put(duds, MESSAGES[0])
    theirs, ours = duds.list()
    assert (theirs.subject, theirs.whole, theirs.recipients) == ("theirs", True, ())
    assert ours.subject == "one folded"
    assert message(duds, 1) == b"Subject: theirs\r\n\r\nbody\r\n"
    duds.remove([2])
    assert path.read_bytes().startswith(b"junk\nFrom somebody")


@pytest.mark.parametrize("end", [b"", b"x", b"x\n", b"x\n\n", b"\0\0\0"])
def test_a_dud_begins_after_a_blank_line_whatever_is_in_front(duds: Duds, tmp_path: Path, end: bytes) -> None:
    (tmp_path / "duds.dat").write_bytes(end)
    put(duds, MESSAGES[0])
    assert message(duds, 1) == MESSAGES[0]
    data = (tmp_path / "duds.dat").read_bytes()
    assert data.startswith(b"From ") if not end else b"\n\nFrom MAILER" in data


def test_a_dud_is_synced_before_it_says_that_it_is_whole(duds: Duds, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, bool, bool]] = []

    def sync(_descriptor: int, path: Path) -> None:
        data = path.read_bytes()
        told.append((path.name, MESSAGES[3].replace(b"\r\n", b"\n") in data, b"unfinished" in data))

    monkeypatch.setattr(ownfile, "sync", sync)
    monkeypatch.setattr(ownfile, "sync_folder", lambda _folder: told.append(("folder", True, False)))
    put(duds, MESSAGES[3])
    assert told == [("folder", True, False), ("duds.dat", True, True), ("duds.dat", True, False)]
    put(duds, MESSAGES[3])
    assert len(told) == 5


def test_a_dud_that_a_power_cut_left_half_done_is_known_and_harms_nobody(
    duds: Duds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, _path: None)
    put(duds, MESSAGES[0])
    path = tmp_path / "duds.dat"
    start = len(path.read_bytes())
    size_at = start + duds_format.opening(duds_told(), MESSAGES[4])[1]
    put(duds, MESSAGES[4])
    whole = path.read_bytes()
    unfinished = whole[:size_at] + duds_format.UNFINISHED + whole[size_at + len(duds_format.UNFINISHED) :]
    for cut in range(start + 1, len(whole)):
        for tail in (b"", b"\0" * 30):
            path.write_bytes(unfinished[:cut] + tail)
            put(duds, MESSAGES[5])
            listed = duds.list()
            assert [listed[0].whole, listed[-1].whole] == [True, True]
            assert all(not info.whole for info in listed[1:-1])
            assert message(duds, 1) == MESSAGES[0]
            assert message(duds, len(listed)) == MESSAGES[5]
    assert len(duds.list()) == 3


def duds_told() -> duds_format.DudHeader:
    return duds_format.DudHeader(NOON, "bob@x", b"uid\xff", b"a@x", (b"c@x", b"d \x1b@x"), (b"550 no", b"554 \xff"))


@pytest.mark.parametrize("room", [0, 10, 500, 70_000])
def test_a_full_disk_leaves_the_file_as_it_was(
    duds: Duds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    put(duds, MESSAGES[0])
    before, real, left = (tmp_path / "duds.dat").read_bytes(), os.write, [room]

    def write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        done = real(descriptor, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StorageError, match="disk is full"):
        put(duds, MESSAGES[6])
    monkeypatch.undo()
    assert (tmp_path / "duds.dat").read_bytes() == before
    put(duds, MESSAGES[3])
    assert message(duds, 2) == MESSAGES[3]


def test_a_message_that_cannot_be_read_to_its_end_leaves_the_file_as_it_was(duds: Duds, tmp_path: Path) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"A: b\r\n\r\n" + b"x" * 100_000
        raise StorageError("the spool broke")

    put(duds, MESSAGES[0])
    before = (tmp_path / "duds.dat").read_bytes()
    with pytest.raises(StorageError, match="the spool broke"):
        duds.append(NOON, "bob@x", b"", b"", [], [], breaks())
    assert (tmp_path / "duds.dat").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_what_is_planted_is_refused(duds: Duds, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "duds.dat").symlink_to(tmp_path / "victim")
    for act in (duds.list, lambda: put(duds, b""), lambda: message(duds, 1), lambda: duds.remove([1])):
        with pytest.raises(StorageError, match="symbolic link"):
            act()
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_large_dud_takes_little_memory(duds: Duds) -> None:
    tracemalloc.start()
    duds.append(NOON, "bob@x", b"", b"", [], [], (b"From x\r\n" + b"x" * 65000 + b"\r\n" for _ in range(100)))
    assert sum(map(len, duds.chunks(1))) == 65010 * 100
    assert len(duds.list()) == 1
    duds.remove([2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_the_name_is_synced_also_of_a_file_that_a_killed_pass_made(
    duds: Duds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(ownfile.open_own(tmp_path / "duds.dat", create=True))
    told: list[Path] = []
    monkeypatch.setattr(ownfile, "sync_folder", told.append)
    put(duds, b"A: b\r\n\r\n")
    put(duds, b"A: c\r\n\r\n")
    assert told == [tmp_path]


def test_several_threads_may_bury(duds: Duds) -> None:
    workers = [threading.Thread(target=put, args=(duds, b"A: %d\r\n\r\n" % name * 5)) for name in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(message(duds, number) for number in range(1, 9)) == [b"A: %d\r\n\r\n" % name * 5 for name in range(8)]


def test_they_are_counted_as_they_come_and_go(tmp_path: Path) -> None:
    duds, other = Duds(tmp_path / "duds.dat"), Duds(tmp_path / "duds.dat")
    assert duds.count() == 0
    for number in range(1, 4):
        other.append(NOON, "bob", b"%d" % number, b"", [], [], iter([b"From here\r\n>From there\r\n"]))
        assert duds.count() == number
    other.remove([2, 3])
    assert duds.count() == 1
    other.append(NOON, "bob", b"4", b"", [], [], iter([b""]))
    assert (duds.count(), Duds(tmp_path / "duds.dat").count()) == (2, 2)


def test_one_is_changed_where_it_lies_and_all_else_stays(tmp_path: Path) -> None:
    path, duds = tmp_path / "duds.dat", Duds(tmp_path / "duds.dat")
    for number, octets in enumerate((b"A: b\r\n\r\nFrom x\r\n", b"no header\r\n", b"")):
        duds.append(NOON, "bob", b"%d" % number, b"s@y", [b"a@x", b"b@x"], ["550 no"], iter([octets]), [b"c@x"])
    before, lines = duds.list(), path.read_bytes().split(b"\n")
    duds.change(2, [b"b@x"], [b"c@x", b"a@x"], before[1].id)
    after = duds.list()
    assert after == [before[0], before[1]._replace(recipients=(b"b@x",), had=(b"c@x", b"a@x")), before[2]]
    assert [b"".join(duds.chunks(number)) for number in (1, 2, 3)] == [b"A: b\r\n\r\nFrom x\r\n", b"no header\r\n", b""]
    changed = [line for line in path.read_bytes().split(b"\n") if line not in lines]
    assert changed == [b"X-POPFetch-Dud-Received-By: a@x"]
    assert len({dud.id for dud in after}) == 3


def test_one_of_version_1_has_a_name_and_keeps_it_when_it_is_changed(tmp_path: Path) -> None:
    path, duds = tmp_path / "duds.dat", Duds(tmp_path / "duds.dat")
    front = b"From MAILER-DAEMON Sun Nov 22 12:39:00 2026\nX-POPFetch-Dud-When: 2026-11-22T12:39:00+00:00\n"
    old = (
        front
        + b"X-POPFetch-Dud-For: a@x\nX-POPFetch-Dud-For: b@x\nX-POPFetch-Dud-Size: 00000000000000000006\nhello\n\n"
    )
    other = b"From alice@far.example Sun Nov 22 12:39:00 2026\nSubject: from another program\n\nhi\n"
    path.write_bytes(old + other)
    path.chmod(0o600)
    one, two = duds.list()
    assert (one.by_version_1, two.by_version_1, one.id == two.id) == (True, True, False)
    assert duds.list() == [one, two]
    duds.change(1, [b"b@x"], [b"a@x"], one.id)
    duds.change(2, [b"d@x"], [], two.id)
    assert [(dud.id, dud.recipients, dud.had) for dud in duds.list()] == [
        (one.id, (b"b@x",), (b"a@x",)),
        (two.id, (b"d@x",), ()),
    ]
    assert b"".join(duds.chunks(1)) == b"hello\r\n"
    assert b"".join(duds.chunks(2)).endswith(b"Subject: from another program\r\n\r\nhi\r\n")
