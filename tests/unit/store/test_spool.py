import errno
import os
import shutil
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import StorageError
from lib.store import ownfile, spool, spool_format, spool_slot
from lib.store.spool import Corrupt, Incoming, Spool, Stored
from lib.store.spool_format import Content, Header

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX links and /proc")

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"
LIMIT = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path, LIMIT)
    assert opened.recover() == ([], [])
    yield opened
    opened.close()


def put(store: Spool, message: bytes = MESSAGE, uid: bytes = b"uid1", piece: int = 1 << 16) -> Stored:
    incoming = store.receive("bob@example.org", uid, 99)
    for at in range(0, len(message), piece):
        incoming.write(message[at : at + piece])
    return incoming.finish()


def fill(incoming: Incoming, size: int) -> None:
    for _ in range(0, size, 1000):
        incoming.write(b"x" * min(size, 1000))
    incoming.finish()


def octets(store: Spool, number: int, start: int = 0) -> bytes:
    return b"".join(store.chunks(number, start))


def recovered(folder: Path) -> tuple[list[Stored], list[Corrupt]]:
    again = Spool(folder, LIMIT)
    found = again.recover()
    again.close()
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# --- what is told of a message ---------------------------------------------------------------------------------------


def test_a_message_is_told_as_it_was_given(store: Spool) -> None:
    stored = put(store, MESSAGE + b"\xff\r\n", b"uid \xff\n1")
    assert (stored.number, stored.account, stored.uid, stored.announced) == (1, "bob@example.org", b"uid \xff\n1", 99)
    assert (stored.size, stored.sha) == (len(MESSAGE) + 3, sha256(MESSAGE + b"\xff\r\n").hexdigest())
    assert (stored.eightbit, stored.clean) == (True, True)
    assert stored.body == stored.head == octets(store, 1) == MESSAGE + b"\xff\r\n"
    assert octets(store, 1, 5) == (MESSAGE + b"\xff\r\n")[5:]


def test_a_message_is_found_again_by_the_next_pass(store: Spool, tmp_path: Path) -> None:
    stored = put(store)
    store.close()
    again = Spool(tmp_path, LIMIT)
    (found,), corrupt = again.recover()
    assert corrupt == []
    assert (found.number, found.account, found.uid, found.announced) == (1, "bob@example.org", b"uid1", 99)
    assert (found.size, found.sha, found.clean, found.eightbit) == (stored.size, stored.sha, True, False)
    assert found.body is None
    assert found.head == b"Subject: hi\r\n\r\n"
    assert octets(again, 1) == MESSAGE
    assert again.waiting == spool.LEAST
    again.free(1)
    again.close()
    assert files(tmp_path) == []


def test_the_file_can_be_read_by_people(store: Spool, tmp_path: Path) -> None:
    put(store, b"A: b\r\n", b"a b")
    text = (tmp_path / "msg.dat").read_bytes().decode()
    nonce = text[18:34]
    assert text.startswith(f"POPFetch-Spool: 1 {nonce}\nAccount: bob%40example.org\nUID: a%20b\nSize: 99\nCheck: ")
    sha = sha256(b"A: b\r\n").hexdigest()
    assert f"\n\nA: b\r\nPOPFetch-End: {nonce} 00000000000000000006 {sha} " in text
    assert len(text) == text.index("POPFetch-End") + spool_format.TRAILER_SIZE


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a", b"\xe4", b"From "]), max_size=12))
def test_flags_do_not_depend_on_how_octets_arrive(parts: list[bytes]) -> None:
    data = b"".join(parts)
    whole, single = Content(), Content()
    whole.feed(data)
    for at in range(len(data)):
        single.feed(data[at : at + 1])
    rest = data.replace(b"\r\n", b"")
    clean = data.endswith(b"\r\n") and not {*rest} & {*b"\r\n\0"}
    for content in (whole, single):
        assert (content.clean, content.eightbit) == (clean, not data.isascii())
        assert (content.size, content.sha) == (len(data), sha256(data).hexdigest())


@given(st.text(), st.binary(max_size=200), st.integers(0, 1 << 60))
def test_a_header_comes_back(account: str, uid: bytes, announced: int) -> None:
    head = Header(b"0123456789abcdef", account, uid, announced)
    data = spool_format.header(head)
    assert spool_format.read_header(data + b"rest") == (head, len(data))


@given(st.binary(max_size=400))
def test_any_bytes_are_some_file(data: bytes) -> None:
    assert spool_format.read_header(data) == (None, 0)
    assert spool_format.read_header(spool_format.MAGIC + data) == (None, 0)
    assert spool_format.read_trailer(data) is None


def test_a_hostile_uid_is_kept_whole(store: Spool, tmp_path: Path) -> None:
    uid = b"\n\nPOPFetch-End: " + b"\xff" * 100_000
    put(store, MESSAGE, uid)
    store.close()
    assert [found.uid for found in recovered(tmp_path)[0]] == [uid]


@pytest.mark.parametrize(
    "size", [0, 1, spool.SMALL, spool.SMALL + 1, spool.BUFFER - 1, spool.BUFFER, 3 * spool.BUFFER + 7]
)
@pytest.mark.parametrize("piece", [1000, 70_001, 1 << 20])
def test_every_size_arrives_whole(store: Spool, tmp_path: Path, size: int, piece: int) -> None:
    message = (b"0123456789" * 7 + b"\r\n") * (size // 72 + 1)
    stored = put(store, message[:size], piece=piece)
    assert octets(store, 1) == message[:size]
    assert (stored.body is not None) == (size <= spool.SMALL)
    store.close()
    ((found,), _) = recovered(tmp_path)
    assert (found.size, found.sha) == (size, stored.sha)


def test_of_a_large_message_the_head_is_told(store: Spool) -> None:
    head = b"Subject: x\r\nTo: y\r\n\r\n"
    stored = put(store, head + b"x" * 3 * spool.BUFFER)
    assert (stored.body, stored.head) == (None, head)
    late = b"X: " + b"y" * spool.SMALL + b"\n\n"
    assert put(store, late + b"z" * spool.BUFFER).head == late
    endless = b"X: " + b"y" * 2 * spool.MAX_HEAD
    assert put(store, endless).head == endless[: spool.MAX_HEAD]
    short = b"X: " + b"y" * spool.SMALL
    assert put(store, short).head == short


def test_memory_for_small_messages_is_bounded(store: Spool) -> None:
    message = MESSAGE + b"x" * (spool.SMALL - len(MESSAGE))
    kept = [put(store, message) for _ in range(spool.REMEMBERED // spool.SMALL)]
    assert {stored.body for stored in kept} == {message}
    further = put(store, message)
    assert further.body is None
    assert further.head == b"Subject: hi\r\n\r\n"
    store.free(kept[0].number)
    assert put(store, message).body == message


def test_a_large_message_takes_little_memory(store: Spool) -> None:
    piece = b"x" * 65536
    incoming = store.receive("bob", b"1", 0)
    incoming.write(piece * 4)
    tracemalloc.start()
    for _ in range(400):
        incoming.write(piece)
    stored = incoming.finish()
    assert sum(map(len, store.chunks(stored.number))) == stored.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * spool.BUFFER


# --- which files -----------------------------------------------------------------------------------------------------


def test_the_lowest_free_file_is_used_first(store: Spool, tmp_path: Path) -> None:
    assert [put(store).number for _ in range(4)] == [1, 2, 3, 4]
    assert files(tmp_path) == ["msg.2.dat", "msg.3.dat", "msg.4.dat", "msg.dat"]
    for number in (3, 1, 4):
        store.free(number)
    assert [put(store).number for _ in range(4)] == [1, 3, 4, 5]


def test_files_of_an_earlier_pass_keep_their_numbers(store: Spool, tmp_path: Path) -> None:
    for _ in range(5):
        put(store)
    for number in (1, 2, 4):
        store.free(number)
    store.close()
    assert files(tmp_path) == ["msg.3.dat", "msg.5.dat"]
    again = Spool(tmp_path, LIMIT)
    assert [found.number for found in again.recover()[0]] == [3, 5]
    assert [put(again).number for _ in range(4)] == [1, 2, 4, 6]
    again.free(5)
    again.free(3)
    assert [put(again).number for _ in range(3)] == [3, 5, 7]
    assert sorted({put(again).number for _ in range(80)}) == [*range(8, 88)]
    again.close()


def test_other_files_are_none_of_ours(store: Spool, tmp_path: Path) -> None:
    store.close()
    names = ["msg.1.dat", "msg.0.dat", "msg.02.dat", "msg.x.dat", "msg.dat.bak", "a.msg.dat", "msg.9999999999.dat"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    assert recovered(tmp_path) == ([], [])
    assert files(tmp_path) == sorted(names)


def test_a_shorter_message_in_a_used_file_is_whole(store: Spool, tmp_path: Path) -> None:
    store.free(put(store, MESSAGE * 500).number)
    put(store, MESSAGE, b"uid2")
    ((found,), _) = recovered(tmp_path)
    assert (found.uid, found.size) == (b"uid2", len(MESSAGE))


@posix
def test_many_waiting_messages_take_few_descriptors(store: Spool) -> None:
    before = open_descriptors()
    numbers = [put(store).number for _ in range(spool.OPEN_FILES + 50)]
    assert open_descriptors() - before <= spool.OPEN_FILES
    assert {octets(store, number) for number in numbers} == {MESSAGE}
    for number in numbers:
        store.free(number)
    assert open_descriptors() - before <= spool.OPEN_FILES
    store.close()
    assert open_descriptors() == before


def test_closing_leaves_what_holds_a_message_and_nothing_else(store: Spool, tmp_path: Path) -> None:
    kept, freed = put(store), put(store)
    store.free(freed.number)
    half = store.receive("bob", b"3", 0)
    half.write(MESSAGE)
    store.close()
    assert files(tmp_path) == ["msg.dat"]
    assert [found.number for found in recovered(tmp_path)[0]] == [kept.number]


# --- what a kill or a power cut leaves -------------------------------------------------------------------------------


def laid(folder: Path, data: bytes) -> tuple[list[Stored], list[Corrupt]]:
    (folder / "msg.dat").write_bytes(data)
    return recovered(folder)


def file_of(store: Spool, folder: Path, message: bytes, uid: bytes) -> bytes:
    stored = put(store, message, uid)
    data = (folder / "msg.dat").read_bytes()
    store.free(stored.number)
    return data


def test_a_file_cut_at_any_byte_holds_nothing_and_goes(store: Spool, tmp_path: Path) -> None:
    data = file_of(store, tmp_path, MESSAGE, b"uid1")
    store.close()
    for cut in range(len(data)):
        for tail in (b"", b"\0" * 50, b"\0" * (len(data) - cut)):
            assert laid(tmp_path, data[:cut] + tail) == ([], [])
            assert files(tmp_path) == []
    assert len(laid(tmp_path, data)[0]) == 1


def test_no_mixture_of_an_old_and_a_new_message_passes_for_one(store: Spool, tmp_path: Path) -> None:
    old = file_of(store, tmp_path, b"Old: one\r\n\r\n" + b"old line\r\n" * 10, b"uid1")
    messages = (b"New: one\r\n\r\n" + b"new line\r\n" * 10, b"x\r\n", b"y" * 500)
    news = [file_of(store, tmp_path, message, b"uid2") for message in messages]
    store.close()
    for new in news:
        for cut in range(1, max(len(old), len(new))):
            for mixed in (new[:cut] + old[cut:], old[:cut] + new[cut:], b"\0" * cut + new[cut:]):
                whole, corrupt = laid(tmp_path, mixed)
                assert corrupt == []
                assert mixed in {old, new} or not whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_never_taken_for_the_message(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    store = Spool(folder, LIMIT)
    file = bytearray(file_of(store, folder, MESSAGE, b"uid1"))
    store.close()
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= 1 << data.draw(st.integers(0, 7))
    assert laid(folder, bytes(file))[0] == []


def test_a_damaged_message_is_given_out_for_the_duds(store: Spool, tmp_path: Path) -> None:
    data = file_of(store, tmp_path, MESSAGE, b"uid1")
    store.close()
    (tmp_path / "msg.dat").write_bytes(data.replace(b"body", b"bodu"))
    again = Spool(tmp_path, LIMIT)
    whole, (corrupt,) = again.recover()
    assert whole == []
    assert (corrupt.number, corrupt.account, corrupt.uid) == (1, "bob@example.org", b"uid1")
    assert "SHA-256" in corrupt.why
    assert octets(again, 1) == MESSAGE.replace(b"body", b"bodu")
    again.free(1)
    again.close()
    assert files(tmp_path) == []


def test_a_damaged_head_and_a_wrong_length_are_told(store: Spool, tmp_path: Path) -> None:
    data = file_of(store, tmp_path, MESSAGE, b"uid1")
    store.close()
    _, (corrupt,) = laid(tmp_path, data.replace(b"Account: bob", b"Account: rob"))
    assert (corrupt.account, corrupt.uid) == (None, None)
    assert "head" in corrupt.why
    _, (corrupt,) = laid(tmp_path, data.replace(b"body", b"bod"))
    assert f"{len(MESSAGE) - 1} octets" in corrupt.why


def test_a_pass_killed_at_any_write_leaves_whole_messages_or_none(
    store: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pictures: list[Path] = []
    write, truncate = os.write, os.ftruncate

    def picture() -> None:
        pictures.append(tmp_path_factory.mktemp("killed") / "spool")
        shutil.copytree(tmp_path, pictures[-1])

    def wrote(descriptor: int, data: bytes) -> int:
        done = write(descriptor, bytes(data)[: max(len(data) // 2, 1)])
        picture()
        return done

    def cut(descriptor: int, length: int) -> None:
        truncate(descriptor, length)
        picture()

    first = put(store, b"first" * 1000, b"1")
    big = put(store, b"second" * spool_slot.SPARE, b"2")
    monkeypatch.setattr(os, "write", wrote)
    monkeypatch.setattr(os, "ftruncate", cut)
    store.free(first.number)
    third = put(store, b"third" * 100, b"3")
    store.free(big.number)
    fourth = put(store, b"fourth" * spool.BUFFER, b"4")
    monkeypatch.undo()
    contents = {stored.uid: stored.sha for stored in (first, big, third, fourth)}
    seen = set()
    for folder in pictures:
        whole, corrupt = recovered(folder)
        assert corrupt == []
        assert {found.uid: found.sha for found in whole}.items() <= contents.items()
        seen.add(tuple(sorted(found.uid for found in whole)))
    assert (b"2",) in seen
    assert (b"2", b"3") in seen
    assert (b"3",) in seen
    assert len(pictures) > 20


# --- what the disk does ----------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("size", [100, 5 * spool.BUFFER])
@pytest.mark.parametrize("room", [0, 50, 2 * spool.BUFFER])
def test_a_full_disk_costs_the_message_that_came_in_and_nothing_else(
    store: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, room: int
) -> None:
    put(store, MESSAGE, b"kept")
    before, left, real = open_descriptors(), [room], os.write

    def write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        done = real(descriptor, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)
    incoming = store.receive("bob", b"lost", size)
    if size > room:
        with pytest.raises(StorageError, match="disk is full"):
            fill(incoming, size)
    incoming.drop()
    monkeypatch.undo()
    assert (store.waiting, open_descriptors()) == (spool.LEAST, before)
    assert put(store, MESSAGE, b"next").number == 2
    store.close()
    assert [found.uid for found in recovered(tmp_path)[0]] == [b"kept", b"next"]


@posix
def test_what_is_planted_is_refused(store: Spool, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "msg.dat").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="symbolic link"):
        store.receive("bob", b"1", 0)
    again = Spool(tmp_path, LIMIT)
    whole, (planted,) = again.recover()
    assert (whole, planted.number, planted.unreadable) == ([], 1, True)
    assert "symbolic link" in planted.why
    assert put(again).number == 2  # the others go on beside it
    again.close()
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert (tmp_path / "msg.dat").is_symlink()
    assert store.waiting == 0


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="work_path"):
        Spool(tmp_path / "no", LIMIT).recover()


def test_a_file_that_somebody_cut_short_is_told(store: Spool, tmp_path: Path) -> None:
    number = put(store).number
    with (tmp_path / "msg.dat").open("r+b") as file:
        file.truncate(20)
    with pytest.raises(StorageError, match="cut it short"):
        octets(store, number)


def test_sync_reaches_the_disk_once(store: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: told.append(path.name))
    monkeypatch.setattr(ownfile, "sync_folder", lambda _folder: told.append("folder"))
    numbers = [put(store).number for _ in range(3)]
    half = store.receive("bob", b"4", 0)
    store.sync([*numbers, half.finish().number])
    store.sync(numbers)
    assert told == ["msg.dat", "msg.2.dat", "msg.3.dat", "msg.4.dat", "folder"]
    store.free(2)
    assert put(store).number == 2
    told.clear()
    store.sync([1, 2, 99])
    assert told == ["msg.2.dat"]


def test_what_a_killed_pass_left_is_synced_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(Spool(tmp_path, LIMIT))
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: told.append(path.name))
    monkeypatch.setattr(ownfile, "sync_folder", lambda _folder: told.append("folder"))
    again = Spool(tmp_path, LIMIT)
    again.recover()
    again.sync([1])
    assert told == ["msg.dat", "folder"]


def test_a_message_that_is_still_coming_in_is_not_called_synced(store: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: told.append(path.name))
    incoming = store.receive("bob", b"1", 0)
    store.sync([1])
    incoming.finish()
    store.sync([1])
    assert told == ["msg.dat"]


def test_a_folder_that_could_not_be_synced_is_synced_the_next_time(
    store: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Path] = []

    def fails(folder: Path) -> None:
        told.append(folder)
        raise StorageError("no")

    put(store)
    monkeypatch.setattr(ownfile, "sync_folder", fails)
    for _ in range(2):
        with pytest.raises(StorageError):
            store.sync([1])
    assert len(told) == 2


@posix
def test_a_message_freed_while_it_is_synced_is_no_matter(store: Spool, tmp_path: Path) -> None:
    number = put(store).number
    (tmp_path / "msg.dat").unlink()
    store.sync([number])


# --- how much waits --------------------------------------------------------------------------------------------------


def test_every_message_counts_and_small_ones_count_a_block(store: Spool) -> None:
    put(store, b"x")
    assert store.waiting == spool.LEAST
    put(store, b"x" * 10_000)
    assert store.waiting == spool.LEAST + 10_000
    incoming = store.receive("bob", b"3", 0)
    incoming.write(b"x" * 2 * spool.BUFFER)
    assert store.waiting == spool.LEAST + 10_000  # what is not whole waits for nobody, and may never be whole
    incoming.write(b"x" * 10)
    third = incoming.finish()
    assert (store.waiting, store.messages) == (spool.LEAST + 10_000 + 2 * spool.BUFFER + 10, 3)
    for number in (1, 2, third.number):
        store.free(number)
    assert (store.waiting, store.messages) == (0, 0)


def test_what_waits_for_a_later_pass_makes_nobody_pause_but_takes_its_place(tmp_path: Path) -> None:
    store = Spool(tmp_path, 2 * spool.LEAST)
    numbers = [put(store).number for _ in range(2)]
    assert store.full
    for number in (*numbers, *numbers):
        assert store.has_place_for(number)
        store.put_off(number)
    assert (store.full, store.waiting, store.messages) == (False, 0, 0)
    third = put(store).number
    assert not store.has_place_for(third)
    store.free(numbers[0])
    assert store.has_place_for(third)
    store.free(third)
    assert (store.full, store.waiting, store.messages) == (False, 0, 0)
    store.close()


def test_the_space_on_the_disk_is_known_or_taken_for_endless(tmp_path: Path) -> None:
    (store, nowhere) = (Spool(tmp_path, 0), Spool(tmp_path / "nowhere", 0))
    assert 0 <= store.space < sys.maxsize == nowhere.space


def test_many_threads_share_a_spool(store: Spool, tmp_path: Path) -> None:
    wrong: list[str] = []

    def work(name: int) -> None:
        for turn in range(40):
            message = b"%d %d\r\n" % (name, turn) * (1 + 977 * (turn % 9))
            stored = put(store, message, b"%d.%d" % (name, turn))
            if octets(store, stored.number) != message or stored.sha != sha256(message).hexdigest():
                wrong.append(f"{name} {turn}")
            if turn % 10 < 9:
                store.free(stored.number)

    workers = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    store.close()
    whole, corrupt = recovered(tmp_path)
    assert corrupt == []
    assert sorted(found.uid for found in whole) == sorted(
        b"%d.%d" % (name, turn) for name in range(6) for turn in (9, 19, 29, 39)
    )
