"""After a kill or a power cut within duds.dat: what is whole is known, what is half done goes, all else stays."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lib.store import journal_facts, journal_format, ownfile
from lib.store.duds import Duds
from lib.store.journal_facts import Burying, Delivered, Dud, Record, Spooled, Whole

NOON = datetime(2026, 11, 22, 12, 39, tzinfo=UTC)
BOB, UID, SHA = "bob@x", b"uid\xff", "ab" * 32
MAIL = b"Subject: one\r\n\r\nFrom here\r\n"


def put(duds: Duds, mail: bytes = MAIL, uid: bytes = UID) -> None:
    duds.append(NOON, BOB, uid, b"a@x", [b"c@x"], ["550 no"], iter([mail]))


@pytest.fixture
def duds(tmp_path: Path) -> Duds:
    """Return a duds.dat that holds one dud."""
    duds = Duds(tmp_path / "duds.dat")
    put(duds, uid=b"first")
    return duds


def test_a_dud_that_came_to_its_end_is_known(duds: Duds) -> None:
    length = duds.length()
    put(duds)
    assert duds.has(BOB, UID, length)
    assert [dud.uid for dud in duds.list()] == [b"first", UID]


def test_a_dud_that_came_to_its_end_is_on_disk_before_anybody_hears_of_it(
    tmp_path: Path, duds: Duds, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = duds.length()
    put(duds)
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: told.append(path.name))
    monkeypatch.setattr(ownfile, "sync_folder", lambda _folder: told.append("folder"))
    again = Duds(tmp_path / "duds.dat")
    assert again.has(BOB, UID, length)
    assert told == ["duds.dat", "folder"]  # a pass may have been killed between its last write and the sync
    assert not again.has(BOB, b"another", length)
    assert told == ["duds.dat", "folder"]


def test_a_long_uid_is_known_by_its_beginning(duds: Duds) -> None:
    length = duds.length()
    put(duds, uid=b"u" * 5000)
    assert duds.has(BOB, b"u" * 200, length)


def test_half_a_dud_goes_wherever_it_was_cut(tmp_path: Path, duds: Duds) -> None:
    path, length = tmp_path / "duds.dat", duds.length()
    before = path.read_bytes()
    put(duds)
    after = re.sub(rb"[0-9]{20}", b"unfinished".rjust(20), path.read_bytes()[length:])
    for cut in range(1, len(after) + 1):
        path.write_bytes(before + after[:cut])
        assert not duds.has(BOB, UID, length)
        assert path.read_bytes() == before
        path.write_bytes(before + bytes(cut) + after[cut:])
        assert not duds.has(BOB, UID, length)
        assert path.read_bytes() == before


def test_what_is_not_ours_stays(tmp_path: Path, duds: Duds) -> None:
    path, length = tmp_path / "duds.dat", duds.length()
    put(duds, uid=b"somebody else's")
    content = path.read_bytes()
    for wrong in (0, length - 3, length, len(content), len(content) + 99):
        assert not duds.has(BOB, UID, wrong)
        assert path.read_bytes() == content
    path.write_bytes(content[:length] + b"a note of the user's\n")
    assert not duds.has(BOB, UID, length)
    assert path.read_bytes() == content[:length] + b"a note of the user's\n"


def test_no_file_holds_no_dud(tmp_path: Path) -> None:
    duds = Duds(tmp_path / "duds.dat")
    assert duds.length() == 0
    assert not duds.has(BOB, UID, 0)
    assert not (tmp_path / "duds.dat").exists()


def test_the_journal_keeps_where_a_dud_was_to_be_written() -> None:
    key = journal_facts.uid_key(UID)
    lines: list[Record] = [Spooled(BOB, key, 1, UID, SHA, 27, 1.0), Burying(BOB, key, 471)]
    entry = journal_format.replay(b"".join(map(journal_format.encode, lines))).journal[BOB][key]
    assert entry.burial == 471
    again = journal_format.replay(journal_format.encode(Whole(BOB, entry))).journal[BOB][key]
    assert again == entry
    ends: tuple[Record, ...] = (Burying(BOB, key, None), Dud(BOB, key, SHA, 2.0), Delivered(BOB, key, SHA, 2.0))
    for end in ends:
        assert (
            journal_format.replay(b"".join(map(journal_format.encode, [*lines, end]))).journal[BOB][key].burial is None
        )
