"""What an earlier pass left: a journal that remembers nothing frees nothing, and after --reset nobody is forgotten."""

from pathlib import Path

import pytest

from lib.config.settings import Account, Secret, Settings
from lib.delivery.envelope import Moment, envelope, origins
from lib.run.stores import opened
from lib.store import ownfile, recovery
from lib.store.journal import Journal
from lib.store.journal_facts import ACCEPTED, ASKED, REFUSED, Deleting, Delivered, Renamed, Spooled, Verdicts, uid_key
from lib.store.spool import Spool, Stored

BOB = "bob@x"
MAIL = b"To: c@x, d@x\r\n\r\nhello\r\n"
KEY = uid_key(b"1")
ORIGIN = origins(Settings(pf_user=(Account("bob", Secret("x"), "x"),)))(BOB)


def spooled(folder: Path) -> Stored:
    """Leave a whole message in the spool."""
    spool = Spool(folder, 1 << 30)
    incoming = spool.receive(BOB, b"1", len(MAIL))
    incoming.write(MAIL)
    stored = incoming.finish()
    spool.close()
    return stored


def noted(folder: Path, stored: Stored) -> Journal:
    """Return a journal that knows of it, and that one was refused and another one accepted."""
    journal = Journal(folder / "popfetch.journal")
    journal.load(0.0)
    journal.note(Spooled(BOB, KEY, stored.number, b"1", stored.sha, stored.size, 1.0))
    journal.note(Verdicts(BOB, KEY, b"", {b"c@x": (REFUSED, b"550")}, 1.0))
    journal.note(Verdicts(BOB, KEY, b"", {b"d@x": (ACCEPTED, b"250")}, 1.0))
    return journal


@pytest.mark.parametrize("journal", [None, b"", b"bob@x 1"])
def test_a_journal_that_remembers_nothing_frees_nothing(tmp_path: Path, journal: bytes | None) -> None:
    spooled(tmp_path)
    if journal is not None:  # a pass was killed that had just made it
        (tmp_path / "popfetch.journal").write_bytes(journal)
    for _ in range(2):
        with opened(Settings(work_path=tmp_path), 0, "popfetch") as place:
            assert [(stored.number, key) for stored, key in place.found] == [(1, KEY)]


def test_what_counts_as_spooled_again_is_on_disk_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(tmp_path)
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: told.append(path.name))
    with opened(Settings(work_path=tmp_path), 0, "popfetch"):
        assert told == ["popfetch.journal"]


def test_after_a_journal_was_damaged_routing_finds_the_recipients_that_it_forgot(tmp_path: Path) -> None:
    stored = spooled(tmp_path)
    noted(tmp_path, stored).close()
    path = tmp_path / "popfetch.journal"
    path.write_bytes(path.read_bytes().replace(b"550", b"551"))
    journal, spool = Journal(path), Spool(tmp_path, 1 << 30)
    journal.load(0.0)
    assert recovery.reset(journal, spool, 0.0)
    journal.close()
    spool.close()
    again = Journal(path)
    again.load(0.0)
    queued = envelope(stored, KEY, ORIGIN, again.of(BOB)[KEY], Moment(1.0, 1.0))
    assert (queued.recipients, queued.deferred) == ((b"d@x", b"c@x"), (b"c@x",))  # nobody who has it gets it again
    again.close()


def test_after_a_journal_was_damaged_what_is_listed_under_a_settled_uid_is_looked_at_again(tmp_path: Path) -> None:
    stored = spooled(tmp_path)
    journal = noted(tmp_path, stored)
    journal.note(Delivered(BOB, KEY, stored.sha, 2.0), Deleting(BOB, (KEY,), ASKED))
    journal.close()
    path = tmp_path / "popfetch.journal"
    path.write_bytes(path.read_bytes().replace(b"asked", b"Asked"))
    again, spool = Journal(path), Spool(tmp_path, 1 << 30)
    again.load(0.0)
    assert again.of(BOB)[KEY].deletion == ""
    assert recovery.reset(again, spool, 0.0)
    assert again.of(BOB)[KEY].deletion == ASKED
    spool.close()
    again.close()


def test_a_whole_journal_is_not_reset(tmp_path: Path) -> None:
    journal, spool = noted(tmp_path, spooled(tmp_path)), Spool(tmp_path, 1 << 30)
    assert recovery.reset(journal, spool, 0.0) is None
    assert len(journal.of(BOB)[KEY].recipients) == 2
    journal.close()


@pytest.mark.parametrize(("new", "uid"), [("2", b"2"), ("", b""), ("1", b"1")])
def test_a_parcel_goes_by_the_uid_that_the_journal_knows(tmp_path: Path, new: str, uid: bytes) -> None:
    stored = spooled(tmp_path)
    journal = noted(tmp_path, stored)
    key = uid_key(new.encode()) if new else "sha256:ab.0"
    journal.note(Renamed(BOB, KEY, key))
    queued = envelope(stored, key, ORIGIN, journal.of(BOB)[key], Moment(1.0, 1.0))
    assert queued.uid == journal.of(BOB)[key].uid == uid  # or a killed pass's dud is not known again
    journal.close()
