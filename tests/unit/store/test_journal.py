import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lib.errors import StorageError
from lib.store import journal, journal_facts, journal_format, ownfile
from lib.store.journal import Journal
from lib.store.journal_facts import Delivered, Gone, Mark, Record, Spooled, Status, Verdicts

BOB, ANN = "bob@example.org", "ann@example.net"
SHA = "a" * 64


def spooled(number: int, account: str = BOB) -> Spooled:
    uid = b"%d" % number
    return Spooled(account, journal_facts.uid_key(uid), number, uid, SHA, 100, 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "popfetch.journal"


@pytest.fixture
def book(path: Path) -> Iterator[Journal]:
    opened = Journal(path)
    opened.load(0.0)
    yield opened
    opened.close()


def read(path: Path) -> journal_format.Replay:
    return journal_format.replay(path.read_bytes())


def keys(found: journal_facts.Entries, account: str = BOB) -> list[str]:
    return list(found.get(account, {}))


def test_what_is_noted_is_known_at_once_and_on_disk_after_flush(book: Journal, path: Path) -> None:
    entries = book.of(BOB)
    book.note(spooled(1), spooled(2))
    assert list(entries) == ["uid:1", "uid:2"]
    assert path.read_bytes() == b""
    book.flush()
    assert keys(read(path).journal) == ["uid:1", "uid:2"]


def test_the_next_pass_knows_it(book: Journal, path: Path) -> None:
    book.note(spooled(1), Delivered(BOB, "uid:1", SHA, 2.0), spooled(2))
    book.close()
    again = Journal(path)
    said = again.load(0.0)
    assert said.lines == 3
    assert [entry.status for entry in again.of(BOB).values()] == [Status.DELIVERED, Status.SPOOLED]
    again.close()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: told.append(path.name))
    monkeypatch.setattr(ownfile, "sync_folder", lambda _folder: told.append("folder"))
    return told


def test_sync_syncs_file_and_name_once(book: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    told = counted(monkeypatch)
    book.note(spooled(1))
    book.sync()
    book.sync()
    assert told == ["popfetch.journal", "folder"]
    book.note(spooled(2))
    book.sync()
    assert told == ["popfetch.journal", "folder", "popfetch.journal"]


def test_what_a_killed_pass_left_is_synced_before_anything_is_built_on_it(
    book: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.note(spooled(1))
    book.close()
    told = counted(monkeypatch)
    again = Journal(path)
    again.load(0.0)
    again.sync()
    again.sync()
    again.close()
    assert told == ["popfetch.journal", "folder"]  # it may have been killed when it had made the file


def test_a_name_that_was_synced_once_is_not_synced_again(
    book: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.sync()
    book.note(spooled(1))
    book.sync()
    book.note(spooled(2))
    book.close()
    told = counted(monkeypatch)
    again = Journal(path)
    again.load(0.0)
    again.sync()
    again.close()
    assert told == ["popfetch.journal"]


def test_a_mark_says_what_was_synced(book: Journal, path: Path) -> None:
    book.note(spooled(1))
    book.sync()
    book.sync()
    book.note(spooled(2))
    book.flush()
    book.note(spooled(3))
    book.flush()
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines == [journal_format.encode(record) for record in (spooled(1), Mark(), spooled(2), spooled(3))]


def test_those_who_wait_share_one_sync(book: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    first, go = threading.Event(), threading.Event()

    def slow(descriptor: int, _path: Path) -> None:
        told.append(descriptor)
        first.set()
        go.wait(10)

    monkeypatch.setattr(ownfile, "sync", slow)
    workers = []
    for number in range(8):
        book.note(spooled(number))
        worker = threading.Thread(target=book.sync)
        worker.start()
        workers.append(worker)
        first.wait(10)
    go.set()
    for worker in workers:
        worker.join()
    assert len(told) == 2


def test_a_torn_tail_is_cut_off_before_anything_is_added(book: Journal, path: Path) -> None:
    book.note(spooled(1))
    book.close()
    whole = path.read_bytes()
    for tail in (whole[:30], b"\0" * 4000, whole[:30] + b"\0" * 100):
        path.write_bytes(whole + tail)
        again = Journal(path)
        assert again.load(0.0).torn == len(tail)
        assert path.read_bytes() == whole
        again.note(spooled(2))
        again.close()
        said = read(path)
        assert (keys(said.journal), said.damages) == (["uid:1", "uid:2"], ())
        path.write_bytes(whole)


def test_holes_of_a_power_cut_are_gone_after_loading(book: Journal, path: Path) -> None:
    book.note(*(spooled(number) for number in range(20)))
    book.close()
    data = path.read_bytes()
    path.write_bytes(data[:512] + b"\0" * 512 + data[1024:])
    again = Journal(path)
    assert again.load(0.0).holes == 1
    known = again.of(BOB)
    again.note(spooled(99))
    again.sync()
    again.note(spooled(98))
    again.close()
    said = read(path)
    assert (said.damages, said.holes, said.torn) == ((), 0, 0)
    assert said.journal[BOB] == known
    assert {"uid:0", "uid:19", "uid:98", "uid:99"} <= known.keys()
    assert len(known) < 20


def damaged(book: Journal, path: Path) -> bytes:
    book.note(spooled(1), spooled(2, ANN), spooled(3))
    book.close()
    data = path.read_bytes().replace(b"ann", b"amn")
    path.write_bytes(data)
    return data


def test_accounts_that_a_damage_may_concern_are_held(book: Journal, path: Path) -> None:
    data = damaged(book, path)
    again = Journal(path)
    again.load(0.0)
    assert (again.held(BOB), again.held(ANN)) == (True, True)
    path.write_bytes(data.replace(b"amn", b"ann").replace(b'"uid:2",2', b'"uid:2",7'))
    again.close()
    again = Journal(path)
    again.load(0.0)
    assert (again.held(BOB), again.held(ANN)) == (False, True)
    assert journal.damage_told(again.damages) == (
        f"the journal is damaged in line 2 ({ANN}); the accounts concerned are held until --reset"
    )
    again.close()


def test_many_damages_are_told_in_one_short_line() -> None:
    told = journal.damage_told([journal_format.Damage(number, None) for number in range(1, 1000)])
    assert told.startswith("the journal is damaged in line 1 (any account), line 2 (any account)")
    assert "and 994 more" in told
    assert len(told) < 250


def test_a_damaged_journal_is_never_compacted_and_goes_on(book: Journal, path: Path) -> None:
    data = damaged(book, path)
    again = Journal(path)
    again.load(0.0)
    for _ in range(600):
        again.note(spooled(4), Gone(BOB, ("uid:4",)))
    again.compact(0.0)
    again.close()
    assert path.read_bytes().startswith(data)


def test_reset_sets_the_damaged_journal_aside_and_goes_on_with_the_rest(book: Journal, path: Path) -> None:
    data = damaged(book, path)
    path.with_name("popfetch.journal.damaged-1").write_bytes(b"an older one")
    again = Journal(path)
    again.load(0.0)
    aside = again.reset_damage(0.0)
    assert aside == path.with_name("popfetch.journal.damaged-2")
    assert aside.read_bytes() == data
    assert (again.held(BOB), again.damages) == (False, ())
    again.note(spooled(5))
    again.close()
    said = read(path)
    assert (keys(said.journal), said.damages) == (["uid:1", "uid:3", "uid:5"], ())


def test_reset_of_a_whole_journal_changes_nothing(book: Journal, path: Path) -> None:
    book.note(spooled(1))
    assert book.reset_damage(0.0) is None
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_journal_of_many_dead_lines_is_compacted(book: Journal, path: Path) -> None:
    book.note(spooled(1))
    for number in range(journal.WORTH_COMPACTING):
        book.note(spooled(2), Delivered(BOB, "uid:2", SHA, float(number)), Gone(BOB, ("uid:2",)))
    long = len(journal_format.encode(spooled(1))) * 1000
    book.flush()
    assert path.stat().st_size > long
    book.compact(0.0)
    assert path.stat().st_size < 300
    book.note(spooled(3))
    book.sync()
    assert keys(read(path).journal) == keys(book.entries) == ["uid:1", "uid:3"]


def test_a_short_journal_is_left_as_it_is(book: Journal, path: Path) -> None:
    book.note(spooled(1), Gone(BOB, ("uid:1",)))
    book.compact(0.0)
    assert read(path).lines == 2


def failing(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    real, left = os.write, [room]

    def write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        done = real(descriptor, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_leaves_no_half_line_and_the_lines_for_later(
    book: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    book.note(spooled(1))
    book.flush()
    before = path.read_bytes()
    failing(monkeypatch, room)
    book.note(spooled(2))
    with pytest.raises(StorageError, match="disk is full"):
        book.flush()
    assert path.read_bytes() == before
    monkeypatch.undo()
    book.note(spooled(3))
    book.sync()
    assert keys(read(path).journal) == ["uid:1", "uid:2", "uid:3"]


def test_when_half_a_line_cannot_be_cut_off_nothing_is_written_after_it(
    book: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, 10)

    def no(_descriptor: int, _length: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "ftruncate", no)
    book.note(spooled(1))
    with pytest.raises(StorageError):
        book.flush()
    monkeypatch.undo()
    with pytest.raises(StorageError, match="nothing more"):
        book.sync()
    assert len(path.read_bytes()) == 10
    with pytest.raises(StorageError, match="nothing more"):
        book.close()


def test_after_a_failed_sync_no_later_one_pretends(book: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_descriptor: int, _path: Path) -> None:
        raise StorageError("the disk failed")

    book.note(spooled(1))
    monkeypatch.setattr(ownfile, "sync", fails)
    with pytest.raises(StorageError):
        book.sync()
    monkeypatch.undo()
    with pytest.raises(StorageError, match="nothing more"):
        book.sync()
    with pytest.raises(StorageError, match="nothing more"):
        book.close()


def test_many_threads_note_and_sync(book: Journal, path: Path) -> None:
    def work(account: str) -> None:
        for number in range(50):
            key = f"uid:{number}"
            verdicts = Verdicts(account, key, b"", {b"x": (journal_facts.DEFERRED, b"450")}, 1.0)
            book.note(spooled(number, account), verdicts)
            book.flush()
            book.note(Delivered(account, key, SHA, 2.0))
            if number % 10 == 0:
                book.sync()

    names = [f"user{number}@x" for number in range(6)]
    workers = [threading.Thread(target=work, args=(name,)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    book.sync()
    said = read(path)
    assert said.damages == ()
    assert said.journal == book.entries
    assert {entry.status for name in names for entry in said.journal[name].values()} == {Status.DELIVERED}


class Machine(RuleBasedStateMachine):
    """A journal that is noted in, flushed, synced, compacted, killed and power-cut, against what must be known."""

    accounts = st.sampled_from([BOB, ANN])
    numbers = st.integers(1, 4)

    @initialize()
    def begin(self) -> None:
        self.path = FOLDER[0] / f"journal-{len(list(FOLDER[0].iterdir()))}"
        self.book = Journal(self.path)
        self.book.load(0.0)
        self.all: list[Record] = []
        self.synced = 0
        self.flushed = 0

    def note(self, record: Record) -> None:
        self.book.note(record)
        self.all.append(record)

    @rule(account=accounts, number=numbers)
    def spool(self, account: str, number: int) -> None:
        self.note(spooled(number, account))

    @rule(account=accounts, number=numbers)
    def deliver(self, account: str, number: int) -> None:
        self.note(Delivered(account, f"uid:{number}", SHA, 2.0))

    @rule(account=accounts, number=numbers)
    def delete(self, account: str, number: int) -> None:
        self.note(Gone(account, (f"uid:{number}",)))

    @rule()
    def flush(self) -> None:
        self.book.flush()
        self.flushed = len(self.all)

    @rule()
    def sync(self) -> None:
        self.book.sync()
        self.flushed = self.synced = len(self.all)

    @rule()
    def rewrite(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "WORTH_COMPACTING", -100)
            self.book.compact(0.0)
        self.flushed = self.synced = len(self.all)

    def again(self, kept: int, data: bytes) -> None:
        os.close(self.book._descriptor)
        self.path.write_bytes(data)
        self.book = Journal(self.path)
        said = self.book.load(0.0)
        assert said.damages == ()
        del self.all[kept:]
        self.flushed = min(self.flushed, kept)

    @rule()
    def kill(self) -> None:
        self.again(self.flushed, self.path.read_bytes())

    @rule(data=st.data())
    def cut_power(self, data: st.DataObject) -> None:
        """Cut anywhere behind what was synced; whole lines before the cut may count."""
        old = self.path.read_bytes()
        ends = [len(old)]
        for record in reversed(self.all[self.synced : self.flushed]):
            ends.append(ends[-1] - len(journal_format.encode(record)))
        ends.reverse()
        cut = data.draw(st.integers(ends[0], ends[-1]))
        kept = self.synced + max(count for count, end in enumerate(ends) if end <= cut)
        self.again(kept, old[:cut] + b"\0" * data.draw(st.sampled_from([0, 7, len(old) - cut])))

    @invariant()
    def knows_what_was_noted(self) -> None:
        model: journal_facts.Entries = {}
        for record in self.all:
            journal_format.apply(model, record)
        for account in (BOB, ANN):
            assert self.book.entries.get(account, {}) == model.get(account, {})

    def teardown(self) -> None:
        self.book.close()


FOLDER: list[Path] = []


def test_nothing_that_was_synced_is_ever_lost(tmp_path: Path) -> None:
    FOLDER[:] = [tmp_path]
    run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
