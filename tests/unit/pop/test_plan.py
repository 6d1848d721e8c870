"""What a session does with each message of a mailbox, however hostile the UIDs."""

import time
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config.settings import KEEP_FOREVER
from lib.pop.plan import DAY, Listed, Rules, Todo, due, plan
from lib.store.journal_facts import ASKED, IGNORED, PROMISED, Entry, Status, sha_key, uid_key

NOW = 1_700_000_000.0
LONG_AGO = NOW - 100 * DAY


def known(key: str, status: Status = Status.DELIVERED, **more: object) -> Entry:
    entry = Entry(key, status, sha="5ha", settled=NOW)
    for name, value in more.items():
        setattr(entry, name, value)
    return entry


def uid(name: bytes, status: Status = Status.DELIVERED, **more: object) -> Entry:
    return known(uid_key(name), status, **more)


def spooled(key: str) -> Entry:
    return known(key, Status.SPOOLED, number=1)


def planned(
    listed: str | list[Listed], *entries: Entry, keep: int = 0, max_size: int = 0, max_messages: int = 0
) -> Todo:
    """Plan for messages that are named by the words of *listed*, each of 100 octets."""
    if isinstance(listed, str):
        listed = [Listed(number, word.encode(), 100) for number, word in enumerate(listed.split(), 1)]
    return plan(listed, {entry.key: entry for entry in entries}, Rules(keep, max_size, max_messages), NOW)


def numbers(todo: Todo) -> list[int]:
    return [message.number for message in todo.fetch]


# --- new, settled, spooled --------------------------------------------------------------------------------------------


def test_new_messages_are_fetched_in_their_order() -> None:
    todo = planned("c a b")
    assert [(message.number, message.uid, message.size, message.key) for message in todo.fetch] == [
        (1, b"c", 100, uid_key(b"c")),
        (2, b"a", 100, uid_key(b"a")),
        (3, b"b", 100, uid_key(b"b")),
    ]
    assert all(message.named for message in todo.fetch)
    assert todo == Todo(fetch=todo.fetch)


def test_an_empty_mailbox_gives_nothing_to_do() -> None:
    assert planned("") == Todo()


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.DUD])
def test_what_is_settled_but_still_there_is_deleted_and_not_fetched_again(status: Status) -> None:
    todo = planned("a b", uid(b"a", status))
    assert todo.delete == {uid_key(b"a"): 1}
    assert numbers(todo) == [2]
    assert todo.left == 0


def test_what_waits_in_the_spool_is_neither_fetched_nor_deleted_nor_forgotten() -> None:
    assert planned("a", spooled(uid_key(b"a"))) == Todo(waiting={uid_key(b"a"): 1})
    assert planned("", spooled(uid_key(b"a")), spooled(sha_key("5ha", 0))) == Todo()


def test_what_the_journal_calls_spooled_without_a_spool_file_is_fetched() -> None:
    todo = planned("a", uid(b"a", Status.SPOOLED, number=0))
    assert numbers(todo) == [1]


def test_what_is_deleted_is_called_by_its_number_of_today() -> None:
    todo = planned("new a also-new b", uid(b"b"), uid(b"a"))
    assert todo.delete == {uid_key(b"a"): 2, uid_key(b"b"): 4}


@pytest.mark.parametrize("word", [ASKED, PROMISED])
@pytest.mark.parametrize("status", [Status.DELIVERED, Status.DUD])
@pytest.mark.parametrize("keep", [0, 5, KEEP_FOREVER])
def test_what_should_be_gone_but_is_listed_is_looked_at_again(word: str, status: Status, keep: int) -> None:
    # It is still there, or new mail under a UID that is used again: to delete it unseen might lose it.
    todo = planned("a b", uid(b"a", status, deletion=word), keep=keep)
    assert numbers(todo) == [1, 2]
    assert todo.delete == {}


def test_what_the_server_does_not_delete_although_it_says_so_is_not_looked_at_for_ever() -> None:
    assert planned("a", uid(b"a", deletion=IGNORED)).delete == {uid_key(b"a"): 1}


def test_what_is_looked_at_again_may_be_too_large_or_hold_up_the_others() -> None:
    again = uid(b"a", deletion=ASKED)
    assert [message.number for message in planned("a b", again, max_size=99).oversize] == [1, 2]
    again.troubles = 1
    todo = planned("a b", again)
    assert numbers(todo) == [2]
    assert [message.number for message in todo.last] == [1]


# --- hostile UIDs -----------------------------------------------------------------------------------------------------


def test_an_empty_uid_names_nothing() -> None:
    todo = planned([Listed(1, b"", 5), Listed(2, b"", 5), Listed(3, b"a", 5)], uid(b""))
    assert numbers(todo) == [1, 2, 3]
    assert [message.named for message in todo.fetch] == [False, False, True]
    assert todo.delete == {}


def test_a_uid_that_stands_twice_names_nothing() -> None:
    todo = planned("a b a", uid(b"a"), uid(b"b"))
    assert numbers(todo) == [1, 3]
    assert not any(message.named for message in todo.fetch)
    assert todo.delete == {uid_key(b"b"): 2}


def test_makeshift_names_differ() -> None:
    todo = planned([Listed(number, b"a", 5) for number in range(1, 100)])
    assert len({message.key for message in todo.fetch}) == 99


def test_no_uid_can_pass_for_a_makeshift_name_or_a_hash() -> None:
    todo = planned("at:1:100 sha256:5ha.0 uid:x", known("at:1:100"), known(sha_key("5ha", 0)), known("uid:x"))
    assert numbers(todo) == [1, 2, 3]
    assert todo.delete == {}
    assert all(message.named for message in todo.fetch)


@pytest.mark.parametrize("name", [b"\xff\0\x1b[31m", b" ", b"a b", b"u" * 70, b"u" * 5000, "…".encode()])
def test_uids_may_hold_anything(name: bytes) -> None:
    assert numbers(planned([Listed(1, name, 5)])) == [1]
    assert planned([Listed(1, name, 5)], uid(name)).delete == {uid_key(name): 1}


def test_long_uids_differ_in_their_last_octet() -> None:
    todo = planned([Listed(1, b"u" * 4999 + b"1", 5), Listed(2, b"u" * 4999 + b"2", 5)], uid(b"u" * 4999 + b"1"))
    assert numbers(todo) == [2]


def test_renumbered_messages_keep_their_names() -> None:
    assert planned("b", uid(b"b")).delete == {uid_key(b"b"): 1}


def test_when_all_uids_change_all_are_fetched_and_the_old_ones_remembered() -> None:
    # The bytes tell then that they are the same.
    todo = planned("new1 new2", uid(b"old1"), uid(b"old2"), keep=KEEP_FOREVER)
    assert numbers(todo) == [1, 2]
    assert todo.vanished == [uid_key(b"old1"), uid_key(b"old2")]
    assert todo.forgotten == []


# --- what stays on the server -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "age", "goes"),
    [
        (0, 0.0, True),
        (0, -DAY, True),
        (1, 0.0, False),
        (1, DAY - 3601, False),
        (1, DAY - 1, True),  # a daily pass is some seconds early now and then
        (1, DAY, True),
        (30, 30 * DAY, True),
        (30, 29.9 * DAY, False),
        (1, -DAY, False),  # the clock was ahead when it was delivered
        (KEEP_FOREVER, 10_000 * DAY, False),
    ],
)
@pytest.mark.parametrize("status", [Status.DELIVERED, Status.DUD])
def test_settled_messages_stay_for_the_days_of_pf_keep(keep: int, age: float, goes: bool, status: Status) -> None:
    entry = uid(b"a", status, settled=NOW - age)
    assert due(entry, keep, NOW) is goes
    todo = planned("a", entry, keep=keep)
    assert todo.delete == ({uid_key(b"a"): 1} if goes else {})
    assert todo.left == (0 if goes else 1)
    assert todo.fetch == []


@pytest.mark.parametrize("status", [Status.SPOOLED, Status.TROUBLED, Status.LEFT])
@pytest.mark.parametrize("keep", [0, 1, KEEP_FOREVER])
def test_what_is_not_settled_is_never_due(status: Status, keep: int) -> None:
    assert not due(uid(b"a", status, settled=LONG_AGO), keep, NOW)


def test_larger_messages_than_pf_max_size_stay() -> None:
    todo = planned([Listed(1, b"a", 100), Listed(2, b"b", 101), Listed(3, b"", 102), Listed(4, b"c", 0)], max_size=100)
    assert numbers(todo) == [1, 4]
    assert [message.number for message in todo.oversize] == [2, 3]
    assert todo.left == 2


def test_a_message_that_was_left_is_fetched_when_pf_max_size_allows_it() -> None:
    left = uid(b"a", Status.LEFT, size=100)
    assert planned("a", left, max_size=99).left == 1
    assert numbers(planned("a", left, max_size=100)) == [1]
    assert numbers(planned("a", left)) == [1]


def test_a_settled_message_is_deleted_whatever_its_size() -> None:
    assert planned("a", uid(b"a"), max_size=1).delete == {uid_key(b"a"): 1}


@pytest.mark.parametrize(("most", "fetched", "left"), [(0, 5, 0), (1, 1, 4), (4, 4, 1), (5, 5, 0), (6, 5, 0)])
def test_no_more_than_pf_max_messages_are_fetched(most: int, fetched: int, left: int) -> None:
    todo = planned("a b c d e", max_messages=most)
    assert numbers(todo) == [1, 2, 3, 4, 5][:fetched]
    assert todo.left == left


def test_what_is_deleted_or_too_large_does_not_count_for_pf_max_messages() -> None:
    todo = planned(
        [Listed(1, b"a", 5), Listed(2, b"b", 500), Listed(3, b"c", 5)], uid(b"a"), max_size=100, max_messages=1
    )
    assert numbers(todo) == [3]
    assert todo.delete == {uid_key(b"a"): 1}
    assert todo.left == 1


def test_what_only_its_bytes_tell_does_not_keep_new_mail_away_for_ever() -> None:
    # No UIDs, pf_keep, pf_max_messages 2: four messages are known by their hashes, and fetched to be recognised.
    known_ones = [known(sha_key(f"5ha{turn}", 0)) for turn in range(4)]
    listed = [Listed(number, b"", 100) for number in range(1, 9)]
    assert numbers(planned(listed, keep=KEEP_FOREVER, max_messages=2)) == [1, 2]
    todo = planned(listed, *known_ones, keep=KEEP_FOREVER, max_messages=2)
    assert numbers(todo) == [1, 2, 3, 4, 5, 6]
    assert todo.left == 2


def test_what_its_uid_names_counts_for_pf_max_messages_whatever_the_hashes() -> None:
    assert numbers(planned("a b c", known(sha_key("5ha", 0)), max_messages=2)) == [1, 2]


def test_duplicates_do_not_keep_new_mail_away() -> None:
    hashes = [known(sha_key("5ha", turn)) for turn in range(2)]
    assert numbers(planned("a a b c", *hashes, keep=KEEP_FOREVER, max_messages=1)) == [1, 2, 3]


# --- trouble ----------------------------------------------------------------------------------------------------------


def trouble(name: bytes, **more: object) -> Entry:
    return uid(name, Status.TROUBLED, **{"troubles": 1} | more)


def test_messages_at_which_a_session_died_come_last() -> None:
    todo = planned("a b c", trouble(b"a"))
    assert numbers(todo) == [2, 3]
    assert [message.number for message in todo.last] == [1]


def test_of_the_last_those_come_first_at_which_fewer_sessions_died() -> None:
    todo = planned("a b c", trouble(b"a", troubles=3), trouble(b"b", troubles=1), trouble(b"c", troubles=2))
    assert [message.uid for message in todo.last] == [b"b", b"c", b"a"]


def test_a_message_without_a_name_comes_last_as_well() -> None:
    todo = planned([Listed(1, b"", 7), Listed(2, b"", 8)], known("at:1:7", Status.TROUBLED, troubles=1))
    assert numbers(todo) == [2]
    assert [message.number for message in todo.last] == [1]


def test_what_was_only_lost_from_the_spool_is_not_to_blame() -> None:
    assert numbers(planned("a b", uid(b"a", Status.TROUBLED))) == [1, 2]


@pytest.mark.parametrize(("most", "fetch", "last", "left"), [(1, [2], [], 2), (2, [2, 4], [], 1), (3, [2, 4], [1], 0)])
def test_troubled_messages_do_not_use_up_pf_max_messages(
    most: int, fetch: list[int], last: list[int], left: int
) -> None:
    todo = planned("a b c d", trouble(b"a"), uid(b"c"), max_messages=most)
    assert numbers(todo) == fetch
    assert [message.number for message in todo.last] == last
    assert todo.left == left


def test_a_troubled_message_that_is_too_large_now_stays() -> None:
    todo = planned("a", trouble(b"a"), max_size=99)
    assert todo.last == []
    assert todo.left == 1


# --- what is no longer listed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.DUD])
def test_settled_messages_that_are_not_listed_are_noted_once(status: Status) -> None:
    assert planned("", uid(b"a", status)).vanished == [uid_key(b"a")]
    assert planned("", uid(b"a", status, vanished=NOW - 1)).vanished == []


def test_what_was_deleted_and_is_not_listed_is_forgotten() -> None:
    # What comes under its UID later is new.
    todo = planned("", uid(b"a", deletion=PROMISED), uid(b"b", deletion=IGNORED), uid(b"c", deletion=ASKED))
    assert todo.forgotten == [uid_key(b"a"), uid_key(b"b")]
    assert todo.vanished == [uid_key(b"c")]


def test_a_message_that_is_listed_again_is_noted() -> None:
    # Some servers list nothing for a while, and everything again later.
    todo = planned("a", uid(b"a", vanished=NOW - 1))
    assert todo.seen == [uid_key(b"a")]
    assert todo.delete == {uid_key(b"a"): 1}
    assert planned("a", uid(b"a")).seen == []


@pytest.mark.parametrize("entry", [trouble(b"a"), uid(b"a", Status.LEFT), uid(b"a", Status.SPOOLED, number=0)])
def test_what_nobody_got_and_the_server_does_not_list_is_forgotten(entry: Entry) -> None:
    todo = planned("", entry)
    assert todo.forgotten == [entry.key]
    assert todo.vanished == []


@pytest.mark.parametrize("key", [uid_key(b"a"), sha_key("5ha", 0)])
@pytest.mark.parametrize("status", [Status.TROUBLED, Status.SPOOLED])
def test_who_has_a_message_already_is_never_forgotten(key: str, status: Status) -> None:
    # Its spool file was damaged, so it will be fetched again: those who accepted it must not get it twice.
    entry = known(key, status, recipients={b"x@y": ("accepted", b"250")})
    assert planned("", entry).forgotten == []
    assert planned("b", entry).forgotten == []
    assert planned([Listed(1, b"", 5)], entry).forgotten == []


def test_what_somebody_has_and_the_server_does_not_list_is_known_by_its_bytes() -> None:
    entry = trouble(b"a", recipients={b"x@y": ("accepted", b"250")})
    assert planned("b", entry).vanished == [entry.key]


def test_makeshift_names_are_forgotten_with_their_session() -> None:
    entry = known("at:1:7", Status.TROUBLED, troubles=1)
    assert planned([Listed(1, b"", 8)], entry).forgotten == ["at:1:7"]


def test_what_only_its_bytes_name_may_still_be_there() -> None:
    hashed = known(sha_key("5ha", 0))
    assert planned([Listed(1, b"", 5)], hashed) == Todo(fetch=planned([Listed(1, b"", 5)]).fetch)
    assert planned("a a", hashed).vanished == []
    assert planned("", hashed).vanished == []


def test_a_server_that_gives_names_now_has_changed_them_all() -> None:
    hashed = known(sha_key("5ha", 0))
    assert planned("a b", hashed, keep=KEEP_FOREVER).vanished == [hashed.key]


def test_a_name_that_has_become_ambiguous_is_not_listed_any_more() -> None:
    assert planned("a a", uid(b"a")).vanished == [uid_key(b"a")]


# --- all of it --------------------------------------------------------------------------------------------------------

MESSAGES = st.lists(st.tuples(st.sampled_from([b"", b"a", b"b", b"c", b"\xff" * 300]), st.integers(0, 9)), max_size=8)
ENTRIES = st.dictionaries(
    st.sampled_from([uid_key(b"a"), uid_key(b"b"), uid_key(b"\xff" * 300), sha_key("5ha", 0), "at:1:5"]),
    st.builds(
        lambda status, number, troubles, gone, word: known(
            "", status, number=number, troubles=troubles, vanished=gone, deletion=word
        ),
        st.sampled_from(Status),
        st.integers(0, 1),
        st.integers(0, 1),
        st.sampled_from([None, NOW]),
        st.sampled_from(["", ASKED, PROMISED, IGNORED]),
    ),
)
RULES = st.builds(Rules, st.sampled_from([0, 1, KEEP_FOREVER]), st.integers(0, 5), st.integers(0, 3))


@settings(deadline=None, max_examples=300)
@given(MESSAGES, ENTRIES, RULES)
def test_every_message_has_one_fate(
    messages: list[tuple[bytes, int]], entries: Mapping[str, Entry], rules: Rules
) -> None:
    for key, entry in entries.items():
        entry.key = key
    listed = [Listed(number, *message) for number, message in enumerate(messages, 1)]
    todo = plan(listed, entries, rules, NOW)
    fates = [
        *todo.delete.values(),
        *(message.number for message in (*todo.fetch, *todo.last, *todo.oversize)),
    ]
    waiting = sum(entry.status is Status.SPOOLED and entry.number > 0 for entry in entries.values())
    assert len(fates) == len(set(fates))
    assert len(listed) - waiting <= len(fates) - len(todo.oversize) + todo.left <= len(listed)
    assert not set(todo.vanished) & set(todo.forgotten)
    hashed = sum(key.startswith(("sha256", "at:")) for key in entries)
    assert not rules.max_messages or len(todo.fetch) + len(todo.last) <= rules.max_messages + hashed
    assert all(entries[key].status in (Status.DELIVERED, Status.DUD) for key in todo.delete)
    assert all(message.named == (message.key == uid_key(message.uid)) for message in todo.fetch)


def test_a_hundred_thousand_messages_are_sorted_in_a_moment() -> None:
    listed = [Listed(number, b"%d" % number, number) for number in range(1, 100_001)]
    entries = {uid_key(b"%d" % number): uid(b"%d" % number) for number in range(50_000, 150_001)}
    began = time.process_time()
    todo = plan(listed, entries, Rules(max_messages=10), NOW)
    assert time.process_time() - began < 10  # 0.3 s as a rule; what is quadratic here takes hours
    assert len(todo.delete) == 50_001
    assert len(todo.vanished) == 50_000
    assert len(todo.fetch) == 10
