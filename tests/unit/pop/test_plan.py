"""What a session does with each message of a mailbox, however hostile the UIDs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config.settings import KEEP_FOREVER
from lib.pop.plan import (
    DAY,
    MARKED,
    TABLE,
    Action,
    Do,
    Here,
    Known,
    Listed,
    Plan,
    Rules,
    Sight,
    Turn,
    Wanted,
    Why,
    due,
    plan,
)
from lib.store.journal_facts import (
    ASKED,
    DOUBTED,
    HUNG,
    IGNORED,
    KEPT,
    PROMISED,
    Entry,
    Status,
    sha_key,
    uid_key,
)

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


@dataclass
class Todo:
    """The actions of a plan, sorted: *left* counts what stays on the server, too large or not."""

    delete: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    fetch: list[Wanted] = field(default_factory=list)
    last: list[Wanted] = field(default_factory=list)
    oversize: list[Wanted] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    left: int = 0


def sorted_(done: Plan) -> Todo:
    todo = Todo(vanished=done.vanished, forgotten=done.forgotten)
    for do, why, message, turn, _ in done.actions:
        if do is Do.DELETE:
            todo.delete[message.key] = message.number
        elif do in {Do.FETCH, Do.COMPARE}:
            (todo.last if turn is Turn.ALONE else todo.fetch).append(message)
        elif why is Why.WAITS:
            todo.waiting[message.key] = message.number
        else:
            todo.left += 1
        if do is Do.REPORT:
            todo.oversize.append(message)
    return todo


def planned(
    listed: str | list[Listed], *entries: Entry, keep: int = 0, max_size: int = 0, max_messages: int = 0
) -> Todo:
    """Plan for messages that are named by the words of *listed*, each of 100 octets."""
    if isinstance(listed, str):
        listed = [Listed(number, word.encode(), 100) for number, word in enumerate(listed.split(), 1)]
    known_ones = {entry.key: entry for entry in entries}
    return sorted_(plan(listed, known_ones, Rules(keep, max_size, max_messages), NOW))


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
    gone = planned("", spooled(uid_key(b"a")), spooled(sha_key("5ha", 0)))
    assert gone == Todo(vanished=[uid_key(b"a")])  # but what is listed under its UID later is looked at


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


def test_a_message_without_a_name_comes_last_as_well() -> None:
    todo = planned([Listed(1, b"", 7), Listed(2, b"", 8)], known("at:1:7", Status.TROUBLED, troubles=1))
    assert numbers(todo) == [2]
    assert [message.number for message in todo.last] == [1]


def test_what_was_only_lost_from_the_spool_is_not_to_blame() -> None:
    assert numbers(planned("a b", uid(b"a", Status.TROUBLED))) == [1, 2]


@pytest.mark.parametrize(("most", "fetch", "left"), [(1, [2], 1), (2, [2, 4], 0), (3, [2, 4], 0)])
def test_pf_max_messages_does_not_count_what_is_to_blame_for_broken_sessions(
    most: int, fetch: list[int], left: int
) -> None:
    todo = planned("a b c d", trouble(b"a"), uid(b"c"), max_messages=most)
    assert numbers(todo) == fetch
    assert [message.number for message in todo.last] == [1]
    assert todo.left == left


def test_pf_max_messages_does_not_count_what_is_looked_at_again() -> None:
    todo = planned("a b c d", uid(b"a", deletion=ASKED), uid(b"c", deletion=DOUBTED), max_messages=1)
    assert numbers(todo) == [1, 2, 3]
    assert todo.left == 1


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


def test_a_message_that_is_listed_again_is_looked_at() -> None:
    # Some servers list nothing for a while, and everything again later; others use the UID again.
    todo = planned("a", uid(b"a", vanished=NOW - 1))
    assert (numbers(todo), todo.delete) == ([1], {})


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
WORDS = ["", ASKED, PROMISED, IGNORED, DOUBTED, HUNG, KEPT]
ENTRIES = st.dictionaries(
    st.sampled_from([uid_key(b"a"), uid_key(b"b"), uid_key(b"\xff" * 300), sha_key("5ha", 0), "at:1:5"]),
    st.builds(
        lambda status, number, troubles, gone, word, announced: known(
            "", status, number=number, troubles=troubles, vanished=gone, deletion=word, announced=announced, header="h"
        ),
        st.sampled_from(Status),
        st.integers(0, 1),
        st.integers(0, 1),
        st.sampled_from([None, NOW]),
        st.sampled_from(WORDS),
        st.sampled_from([None, 0, 5]),
    ),
)
RULES = st.builds(Rules, st.sampled_from([0, 1, KEEP_FOREVER]), st.integers(0, 5), st.integers(0, 3))
KEYS = st.sets(st.sampled_from([uid_key(b"a"), uid_key(b"b")]))


@settings(deadline=None, max_examples=300)
@given(MESSAGES, ENTRIES, RULES, st.builds(Here, KEYS, KEYS, st.booleans()))
def test_every_message_has_one_fate(
    messages: list[tuple[bytes, int]], entries: Mapping[str, Entry], rules: Rules, here: Here
) -> None:
    for key, entry in entries.items():
        entry.key = key
    listed = [Listed(number, *message) for number, message in enumerate(messages, 1)]
    done = plan(listed, entries, rules, NOW, here)
    assert [one.message.number for one in done.actions] == [message.number for message in listed]
    assert not set(done.vanished) & set(done.forgotten)
    hashed = sum(key.startswith(("sha256", "at:")) for key in entries)
    fetched = sum(one.turn is Turn.NOW for one in done.of(Do.FETCH))
    assert not rules.max_messages or fetched <= rules.max_messages + hashed
    for one in done.actions:
        message = one.message
        assert message.named == (message.key == uid_key(message.uid))
        assert message.key not in here.tried or one.do is Do.LEAVE
        assert not (rules.max_size and message.size > rules.max_size and one.do in {Do.FETCH, Do.COMPARE}) or one.top
    for one in done.of(Do.DELETE):  # nothing is deleted unseen whose UID may stand for something else
        entry = entries[one.message.key]
        assert entry.status in (Status.DELIVERED, Status.DUD)
        assert entry.deletion in {"", IGNORED, HUNG}
        assert entry.vanished is None
        assert not (entry.announced and one.message.size and one.message.size != entry.announced)


def test_a_hundred_thousand_messages_are_sorted_in_a_moment() -> None:
    listed = [Listed(number, b"%d" % number, number) for number in range(1, 100_001)]
    entries = {uid_key(b"%d" % number): uid(b"%d" % number) for number in range(50_000, 150_001)}
    began = time.process_time()
    todo = sorted_(plan(listed, entries, Rules(max_messages=10), NOW))
    assert time.process_time() - began < 10  # 0.5 s as a rule; what is quadratic here takes hours
    assert len(todo.delete) == 50_001
    assert len(todo.vanished) == 50_000
    assert len(todo.fetch) == 10


# --- the table: what is known of a UID, how it is listed, what follows ------------------------------------------------

ROWS = [
    # known, with the same size, with another size, after it had vanished
    (Known.NOTHING, Do.FETCH, Do.FETCH, Do.FETCH),
    (Known.TROUBLE, Do.FETCH, Do.FETCH, Do.FETCH),
    (Known.UNDER_WAY, Do.LEAVE, Do.LEAVE, Do.LEAVE),
    (Known.WAITING, Do.LEAVE, Do.COMPARE, Do.COMPARE),
    (Known.SETTLED, Do.DELETE, Do.COMPARE, Do.COMPARE),
    (Known.DOUBTED, Do.COMPARE, Do.COMPARE, Do.COMPARE),
    (Known.ASKED, Do.COMPARE, Do.COMPARE, Do.COMPARE),
    (Known.PROMISED, Do.COMPARE, Do.COMPARE, Do.COMPARE),
    (Known.IGNORED, Do.DELETE, Do.COMPARE, Do.COMPARE),
    (Known.HUNG, Do.DELETE, Do.COMPARE, Do.COMPARE),
    (Known.KEPT, Do.LEAVE, Do.COMPARE, Do.COMPARE),
]
SAMPLES: dict[Known, Entry | None] = {
    Known.NOTHING: None,
    Known.TROUBLE: uid(b"a", Status.TROUBLED, troubles=1, announced=100),
    Known.UNDER_WAY: known(uid_key(b"a"), Status.SPOOLED, number=1, announced=100),
    Known.WAITING: known(uid_key(b"a"), Status.SPOOLED, number=1, announced=100),
    Known.SETTLED: uid(b"a", announced=100),
    Known.DOUBTED: uid(b"a", announced=100, deletion=DOUBTED),
    Known.ASKED: uid(b"a", announced=100, deletion=ASKED),
    Known.PROMISED: uid(b"a", announced=100, deletion=PROMISED),
    Known.IGNORED: uid(b"a", announced=100, deletion=IGNORED),
    Known.HUNG: uid(b"a", announced=100, deletion=HUNG),
    Known.KEPT: uid(b"a", announced=100, deletion=KEPT),
}


def action(entry: Entry | None, size: int = 100, here: Here | None = None, rules: Rules | None = None) -> Action:
    """Return what follows for a message listed as a."""
    entries = {} if entry is None else {entry.key: entry}
    done = plan([Listed(1, b"a", size)], entries, rules or Rules(), NOW, here or Here())
    return done.actions[0]


def test_the_table_is_whole() -> None:
    assert set(TABLE) == {(known, sight) for known in Known for sight in Sight}
    assert [row[0] for row in ROWS] == list(Known)


@pytest.mark.parametrize(("row", "same", "changed", "back"), ROWS, ids=[row[0].name for row in ROWS])
def test_what_is_known_and_how_it_is_listed_decide(row: Known, same: Do, changed: Do, back: Do) -> None:
    sample = SAMPLES[row]
    here = Here(under_way={uid_key(b"a")}) if row is Known.UNDER_WAY else Here()
    assert action(sample, 100, here).do is same
    assert action(sample, 5000, here).do is changed
    if sample is not None:
        sample.vanished = NOW - 1
        assert action(sample, 100, here).do is back
        sample.vanished = None


def test_what_waits_may_be_doubted() -> None:
    waiting = known(uid_key(b"a"), Status.SPOOLED, number=1, announced=100, deletion=DOUBTED)
    assert action(waiting).do is Do.COMPARE
    assert (
        action(waiting, here=Here(under_way={uid_key(b"a")})).do is Do.LEAVE
    )  # a delivery thread knows it by this name


def test_an_unknown_word_of_a_later_version_is_looked_at() -> None:
    assert action(uid(b"a", announced=100, deletion="what?")).do is Do.COMPARE


@pytest.mark.parametrize(("announced", "listed"), [(None, 5000), (0, 5000), (100, 0)])
def test_a_size_that_is_not_known_has_not_changed(announced: int | None, listed: int) -> None:
    assert action(uid(b"a", announced=announced), listed).do is Do.DELETE


def test_the_size_of_what_an_older_version_fetched_is_learned() -> None:
    entries = {entry.key: entry for entry in (uid(b"a"), uid(b"b", announced=7), trouble(b"c", sha=""))}
    done = plan([Listed(number, uid, 7) for number, uid in enumerate((b"a", b"b", b"c"), 1)], entries, Rules(), NOW)
    assert done.learned == {uid_key(b"a"): 7}


@pytest.mark.parametrize("word", [ASKED, PROMISED, DOUBTED])
def test_top_tells_where_it_is_offered_and_the_size_is_nearly_the_same(word: str) -> None:
    entry = uid(b"a", deletion=word, announced=100, header="ab")
    offered = Here(top=True)
    assert not action(entry).top
    assert action(entry, here=offered).top
    assert action(entry, 100 + MARKED, offered).top
    assert not action(entry, 101 + MARKED, offered).top
    entry.header = ""
    assert not action(entry, here=offered).top


def test_what_broke_a_session_when_it_was_compared_is_compared_alone_and_without_top() -> None:
    entry = uid(b"a", deletion=ASKED, announced=100, header="ab", troubles=1)
    compared = action(entry, here=Here(top=True))
    assert (compared.do, compared.turn, compared.top) == (Do.COMPARE, Turn.ALONE, False)


def test_what_top_tells_may_be_over_pf_max_size_and_what_retr_must_tell_is_reported() -> None:
    entry = uid(b"a", deletion=ASKED, announced=100, header="ab")
    assert action(entry, here=Here(top=True), rules=Rules(max_size=99)).top
    assert action(entry, rules=Rules(max_size=99)).do is Do.REPORT


def test_what_broke_a_session_is_fetched_and_what_hung_is_deleted_in_a_session_of_its_own() -> None:
    assert action(SAMPLES[Known.TROUBLE]).turn is Turn.ALONE
    assert action(SAMPLES[Known.HUNG]).turn is Turn.ALONE
    assert action(SAMPLES[Known.SETTLED]).turn is Turn.NOW


def test_what_was_tried_alone_in_this_pass_is_left() -> None:
    here = Here(tried={uid_key(b"a")})
    for row in (Known.TROUBLE, Known.HUNG, Known.DOUBTED):
        left = action(SAMPLES[row], here=here)
        assert (left.do, left.why) == (Do.LEAVE, Why.TRIED)


@pytest.mark.parametrize("keep", [0, 1])
def test_what_may_not_have_come_whole_is_never_due(keep: int) -> None:
    assert not due(uid(b"a", deletion=KEPT, settled=LONG_AGO), keep, NOW)


def test_what_vanished_from_the_spool_s_point_of_view_is_noted_once() -> None:
    waiting = known(uid_key(b"a"), Status.SPOOLED, number=1, vanished=NOW - 1)
    assert planned("", waiting) == Todo()
