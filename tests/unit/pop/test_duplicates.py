"""Mail that we had before is known again under another name, and nobody's delivery thread loses it by that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.pop import plan
from lib.pop.duplicates import Recognition
from lib.pop.plan import Action, Do, Here, Listed, Rules, Wanted, Why
from lib.store.journal import Journal
from lib.store.journal_facts import (
    ACCEPTED,
    ASKED,
    DEFERRED,
    DOUBTED,
    IGNORED,
    KEPT,
    PROMISED,
    Deleting,
    Delivered,
    Entry,
    Gone,
    Renamed,
    Spooled,
    Status,
    Vanished,
    Verdicts,
    sha_key,
    uid_key,
)
from lib.store.spool_slot import Stored

BOB, SHA, OTHER, BARE = "bob@x", "ab" * 32, "cd" * 32, "ef" * 32
OLD, NEW = uid_key(b"old"), uid_key(b"new")
ASIDE = sha_key(SHA, 0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    book = Journal(tmp_path / "popfetch.journal")
    book.load(0.0)
    book.note(Spooled(BOB, OLD, 1, b"old", SHA, 5, 1.0, 5))
    yield book
    book.close()


def listed(journal: Journal, *uids: bytes, busy: tuple[str, ...] = (), keep: bool = False) -> Recognition:
    one = Recognition(BOB, journal)
    messages = [Listed(number, uid, 5) for number, uid in enumerate(uids, 1)]
    one.remember(plan.plan(messages, journal.of(BOB), Rules(), 1.0, Here(busy)), busy, 3.0, kept=keep)
    return one


def stored(sha: str, bare: str = "") -> Stored:
    return Stored(9, BOB, b"", 5, 5, sha, False, True, None, None, lambda _: b"", "", bare)


def met(one: Recognition, uid: bytes, sha: str, bare: str = "") -> Entry | None:
    """Return what is known of the message that came under *uid*."""
    return one.meet(Action(Do.FETCH, Why.NEW, Wanted(1, uid, 5, uid_key(uid))), stored(sha, bare)).entry


def came_without_name(one: Recognition, sha: str, bare: str = "") -> tuple[str, Entry | None]:
    return one.meet(Action(Do.FETCH, Why.NEW, Wanted(1, b"", 5, "at:1:5")), stored(sha, bare))


# --- under another name -----------------------------------------------------------------------------------------------


def test_what_waits_in_the_spool_gets_its_new_name(journal: Journal) -> None:
    known = met(listed(journal, b"new"), b"new", SHA)
    assert known is not None
    assert (known.key, known.status, known.number, list(journal.of(BOB))) == (NEW, Status.SPOOLED, 1, [NEW])


def test_what_a_courier_may_have_is_known_and_keeps_its_name(journal: Journal) -> None:
    one = listed(journal, b"new", busy=(OLD,))
    known = met(one, b"new", SHA)
    assert known is not None
    assert (known.key, list(journal.of(BOB))) == (OLD, [OLD])
    assert met(one, b"new", SHA) is None  # a second message of the same bytes is a second message


def test_what_waits_and_is_listed_is_not_taken_for_another(journal: Journal) -> None:
    assert met(listed(journal, b"old", b"new"), b"new", SHA) is None


def test_what_waits_in_the_spool_is_not_given_up_for_a_message_of_the_same_bytes(journal: Journal) -> None:
    journal.note(Spooled(BOB, NEW, 2, b"new", SHA, 5, 1.0, 5), Delivered(BOB, OLD, SHA, 2.0))
    known = met(listed(journal), b"new", SHA)
    assert known is not None
    assert (known.status, known.number, sorted(journal.of(BOB))) == (Status.SPOOLED, 2, [NEW, OLD])


def test_mail_that_was_had_comes_again_under_a_uid_that_another_one_had(journal: Journal) -> None:
    other = Spooled(BOB, NEW, 2, b"new", OTHER, 5, 1.0, 5)
    journal.note(other, Delivered(BOB, NEW, other.sha, 2.0), Deleting(BOB, (NEW,), ASKED))
    known = met(listed(journal, b"new"), b"new", SHA)
    assert known is not None
    assert (known.key, known.status, known.number) == (NEW, Status.SPOOLED, 1)
    assert sorted(journal.of(BOB)) == [sha_key(OTHER, 0), NEW]


def test_of_what_the_spool_lost_the_verdicts_count_under_the_new_name(journal: Journal) -> None:
    journal.note(Verdicts(BOB, OLD, b"", {b"c@x": (ACCEPTED, b"250"), b"d@x": (DEFERRED, b"450")}, 2.0))
    journal.note(Spooled(BOB, OLD, 0, b"old", SHA, 5, 1.0))
    assert met(listed(journal, b"new"), b"new", SHA) is None  # it is to be spooled again
    assert list(journal.of(BOB)[NEW].recipients) == [b"c@x", b"d@x"]


def test_what_vanished_is_noted_at_once_and_looked_for_until_all_that_is_listed_was_looked_at(journal: Journal) -> None:
    journal.note(Delivered(BOB, OLD, SHA, 2.0))
    listed(journal, b"new")
    assert (journal.of(BOB)[OLD].vanished, journal.of(BOB)[OLD].fresh) == (3.0, True)
    one = listed(journal, b"new")  # the session before was lost
    one.looked_at_all()
    assert (journal.of(BOB)[OLD].vanished, journal.of(BOB)[OLD].fresh) == (3.0, False)
    assert met(listed(journal, b"new"), b"new", SHA) is None  # two messages may well be alike


def test_it_is_looked_for_while_messages_are_left_for_a_later_pass(journal: Journal) -> None:
    journal.note(Delivered(BOB, OLD, SHA, 2.0))
    one = Recognition(BOB, journal)
    messages = [Listed(1, b"a", 5), Listed(2, b"b", 5)]
    one.remember(plan.plan(messages, journal.of(BOB), Rules(max_messages=1), 1.0), (), 3.0, kept=False)
    one.looked_at_all()
    assert journal.of(BOB)[OLD].fresh
    known = met(listed(journal, b"a", b"new"), b"new", SHA)
    assert known is not None
    assert (known.key, known.fresh, known.vanished) == (NEW, False, None)


# --- a UID that stands for something else -----------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["", ASKED, PROMISED, IGNORED, DOUBTED])
def test_other_octets_under_a_uid_are_new_and_what_had_it_is_known_by_its_octets(journal: Journal, word: str) -> None:
    journal.note(Delivered(BOB, OLD, SHA, 2.0), Vanished(BOB, OLD, 3.0), Deleting(BOB, (OLD,), word))
    one = listed(journal, b"old")
    assert met(one, b"old", OTHER) is None
    assert list(journal.of(BOB)) == [ASIDE]
    journal.note(Spooled(BOB, OLD, 2, b"old", OTHER, 5, 4.0, 5))
    known = met(one, b"new", SHA)  # it is there all the same, under another UID
    assert known is not None
    assert (known.key, known.deletion, known.vanished) == (NEW, IGNORED if word in {PROMISED, IGNORED} else "", None)


def test_a_message_that_waits_while_its_uid_goes_to_new_mail_goes_on_waiting(journal: Journal) -> None:
    journal.note(Vanished(BOB, OLD, 3.0))
    assert met(listed(journal, b"old"), b"old", OTHER) is None
    journal.note(Spooled(BOB, OLD, 2, b"old", OTHER, 5, 4.0, 5))
    waiting, new = journal.of(BOB)[ASIDE], journal.of(BOB)[OLD]
    assert (waiting.status, waiting.number, waiting.sha) == (Status.SPOOLED, 1, SHA)
    assert (new.status, new.number, new.sha, new.vanished) == (Status.SPOOLED, 2, OTHER, None)


def test_two_messages_that_had_a_uid_have_two_names(journal: Journal) -> None:
    journal.note(Renamed(BOB, OLD, ASIDE), Spooled(BOB, OLD, 2, b"old", SHA, 5, 1.0, 5), Vanished(BOB, OLD, 3.0))
    assert met(listed(journal, b"old"), b"old", OTHER) is None
    assert sorted(journal.of(BOB)) == [ASIDE, sha_key(SHA, 1)]


def test_replies_that_slipped_by_one_are_put_right_whatever_they_ran_under(journal: Journal) -> None:
    # What was fetched as a is b, what was fetched as b is c; all of them were delivered.
    shas = {name: f"{number:02x}" * 32 for number, name in enumerate("abcd", 1)}
    journal.note(Gone(BOB, (OLD,)))
    for uid, was in (("a", "b"), ("b", "c"), ("c", "d")):
        key = uid_key(uid.encode())
        journal.note(Spooled(BOB, key, 1, b"", shas[was], 5, 1.0, 5, "", "", DOUBTED))
        journal.note(Delivered(BOB, key, shas[was], 2.0))
    one = listed(journal, b"a", b"b", b"c", b"d")
    assert met(one, b"a", shas["a"]) is None  # the only one that nobody has
    journal.note(Spooled(BOB, uid_key(b"a"), 2, b"", shas["a"], 5, 3.0, 5))
    for uid in "bcd":
        known = met(one, uid.encode(), shas[uid])
        assert known is not None
        assert (known.key, known.status, known.deletion) == (uid_key(uid.encode()), Status.DELIVERED, "")
    assert len(journal.of(BOB)) == 4


def test_a_doubted_message_that_a_courier_has_is_known_under_another_uid_and_keeps_its_name(journal: Journal) -> None:
    journal.note(Deleting(BOB, (OLD,), DOUBTED))
    known = met(listed(journal, b"old", b"new", busy=(OLD,)), b"new", SHA)
    assert known is not None
    assert (known.key, sorted(journal.of(BOB))) == (OLD, [OLD])


# --- the same message -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "after"), [("", ""), (ASKED, ""), (PROMISED, IGNORED), (IGNORED, IGNORED), (DOUBTED, ""), (KEPT, KEPT)]
)
def test_the_same_octets_are_the_same_message_and_everything_is_right_again(
    journal: Journal, word: str, after: str
) -> None:
    journal.note(Delivered(BOB, OLD, SHA, 2.0), Vanished(BOB, OLD, 3.0), Deleting(BOB, (OLD,), word))
    one = listed(journal, b"old")
    known = one.confirm(OLD, 17)
    assert (known.deletion, known.vanished, known.announced) == (after, None, 17)
    assert one.ignoring is (word == PROMISED)
    assert one.confirm(OLD, 0).announced == 17  # not known


@pytest.mark.parametrize(
    ("was", "comes"),
    [
        ((SHA, BARE), (OTHER, BARE)),  # Status: O, then RO
        ((SHA, ""), (OTHER, SHA)),  # none, then RO
        ((SHA, OTHER), (OTHER, "")),  # a line that is gone
    ],
)
def test_lines_that_a_server_writes_make_no_other_message(
    journal: Journal, was: tuple[str, str], comes: tuple[str, str]
) -> None:
    journal.note(Spooled(BOB, OLD, 1, b"old", was[0], 5, 1.0, 5, "", was[1]), Delivered(BOB, OLD, was[0], 2.0))
    journal.note(Deleting(BOB, (OLD,), ASKED))
    known = met(listed(journal, b"old"), b"old", *comes)
    assert known is not None
    assert known.key == OLD


def test_they_are_no_hindrance_under_a_new_uid_either(journal: Journal) -> None:
    journal.note(Spooled(BOB, OLD, 1, b"old", SHA, 5, 1.0, 5, "", BARE), Delivered(BOB, OLD, SHA, 2.0))
    journal.note(Vanished(BOB, OLD, 3.0))
    known = met(listed(journal, b"new", keep=True), b"new", OTHER, BARE)
    assert known is not None
    assert known.key == NEW


def test_two_messages_that_have_none_of_it_are_alike_only_if_they_are_the_same(journal: Journal) -> None:
    journal.note(Delivered(BOB, OLD, SHA, 2.0), Deleting(BOB, (OLD,), ASKED))
    assert met(listed(journal, b"old"), b"old", OTHER) is None


# --- without UIDs -----------------------------------------------------------------------------------------------------


def test_without_uids_each_of_two_equal_messages_is_one(journal: Journal) -> None:
    journal.note(Gone(BOB, (OLD,)))
    for turn in (0, 1):
        journal.note(Spooled(BOB, sha_key(SHA, turn), turn + 1, b"", SHA, 5, 1.0, 5))
        journal.note(Delivered(BOB, sha_key(SHA, turn), SHA, 2.0))
    one = listed(journal, b"", b"", b"")
    first, second, third = (came_without_name(one, SHA) for _ in range(3))
    assert {first[0], second[0]} == {sha_key(SHA, 0), sha_key(SHA, 1)}
    assert third == (sha_key(SHA, 2), None)


def test_without_uids_lines_that_a_server_writes_make_no_other_message(journal: Journal) -> None:
    journal.note(Gone(BOB, (OLD,)), Spooled(BOB, ASIDE, 1, b"", SHA, 5, 1.0, 5, "", BARE))
    journal.note(Delivered(BOB, ASIDE, SHA, 2.0))
    key, entry = came_without_name(listed(journal, b""), OTHER, BARE)
    assert (key, entry is not None) == (ASIDE, True)


def test_a_server_that_gives_no_uids_any_more_lists_what_we_know_by_its_octets(journal: Journal) -> None:
    journal.note(Delivered(BOB, OLD, SHA, 2.0))
    key, entry = came_without_name(listed(journal, b""), SHA)
    assert (key, entry is not None, list(journal.of(BOB))) == (ASIDE, True, [ASIDE])
