"""Mail that we had before is known again under another name, and nobody's courier loses it by that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.pop import plan
from lib.pop.duplicates import Recognition
from lib.pop.plan import Listed, Rules, Wanted
from lib.store.journal import Ledger
from lib.store.journal_facts import ACCEPTED, ASKED, OWED, Deleting, Delivered, Spooled, Status, Verdicts, uid_key

BOB, SHA = "bob@x", "ab" * 32
OLD, NEW = uid_key(b"old"), uid_key(b"new")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger(tmp_path / "popfetch.journal")
    book.load(0.0)
    book.note(Spooled(BOB, OLD, 1, b"old", SHA, 5, 1.0))
    yield book
    book.close()


def listed(ledger: Ledger, *uids: bytes, busy: tuple[str, ...] = ()) -> Recognition:
    one = Recognition(BOB, ledger)
    messages = [Listed(number, uid, 5) for number, uid in enumerate(uids, 1)]
    one.remember(plan.plan(messages, ledger.of(BOB), Rules(), 1.0), busy, kept=False)
    return one


def fetched(uid: bytes) -> Wanted:
    return Wanted(1, uid, 5, uid_key(uid))


def test_what_waits_in_the_spool_gets_its_new_name(ledger: Ledger) -> None:
    known = listed(ledger, b"new").known(NEW, fetched(b"new"), SHA)
    assert known is not None
    assert (known.key, known.status, known.number, list(ledger.of(BOB))) == (NEW, Status.SPOOLED, 1, [NEW])


def test_what_a_courier_may_have_is_known_and_keeps_its_name(ledger: Ledger) -> None:
    one = listed(ledger, b"new", busy=(OLD,))
    known = one.known(NEW, fetched(b"new"), SHA)
    assert known is not None
    assert (known.key, list(ledger.of(BOB))) == (OLD, [OLD])
    assert one.known(NEW, fetched(b"new"), SHA) is None  # a second message of the same bytes is a second message


def test_what_waits_and_is_listed_is_not_taken_for_another(ledger: Ledger) -> None:
    assert listed(ledger, b"old", b"new").known(NEW, fetched(b"new"), SHA) is None


def test_what_waits_in_the_spool_is_not_given_up_for_a_message_of_the_same_bytes(ledger: Ledger) -> None:
    ledger.note(Spooled(BOB, NEW, 2, b"new", SHA, 5, 1.0), Delivered(BOB, OLD, SHA, 2.0))
    known = listed(ledger).known(NEW, fetched(b"new"), SHA)
    assert known is not None
    assert (known.status, known.number, sorted(ledger.of(BOB))) == (Status.SPOOLED, 2, [NEW, OLD])


def test_mail_that_was_had_comes_again_under_a_uid_that_another_one_had(ledger: Ledger) -> None:
    other = Spooled(BOB, NEW, 2, b"new", "cd" * 32, 5, 1.0)
    ledger.note(other, Delivered(BOB, NEW, other.sha, 2.0), Deleting(BOB, (NEW,), ASKED))
    known = listed(ledger, b"new").known(NEW, fetched(b"new"), SHA)
    assert known is not None
    assert (known.key, known.status, known.number, list(ledger.of(BOB))) == (NEW, Status.SPOOLED, 1, [NEW])


def test_of_what_the_spool_lost_the_verdicts_count_under_the_new_name(ledger: Ledger) -> None:
    ledger.note(Verdicts(BOB, OLD, b"", {b"c@x": (ACCEPTED, b"250"), b"d@x": (OWED, b"450")}, 2.0))
    ledger.note(Spooled(BOB, OLD, 0, b"old", SHA, 5, 1.0))
    assert listed(ledger, b"new").known(NEW, fetched(b"new"), SHA) is None  # it is to be spooled again
    assert list(ledger.of(BOB)[NEW].recipients) == [b"c@x", b"d@x"]


def test_what_vanished_is_noted_when_all_that_is_listed_was_looked_at(ledger: Ledger) -> None:
    ledger.note(Delivered(BOB, OLD, SHA, 2.0))
    one = listed(ledger, b"new")
    assert ledger.of(BOB)[OLD].vanished is None
    one.looked_at_all(3.0)
    assert ledger.of(BOB)[OLD].vanished == 3.0


def test_nothing_vanishes_while_messages_are_left_for_a_later_pass(ledger: Ledger) -> None:
    ledger.note(Delivered(BOB, OLD, SHA, 2.0))
    one = Recognition(BOB, ledger)
    messages = [Listed(1, b"a", 5), Listed(2, b"b", 5)]
    one.remember(plan.plan(messages, ledger.of(BOB), Rules(max_messages=1), 1.0), (), kept=False)
    one.looked_at_all(3.0)
    assert ledger.of(BOB)[OLD].vanished is None
