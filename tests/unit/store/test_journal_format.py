import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.store import journal_facts, journal_format
from lib.store.journal_facts import (
    ACCEPTED,
    ASKED,
    DEFERRED,
    DOUBTED,
    HUNG,
    IGNORED,
    KEPT,
    PROMISED,
    REFUSED,
    Announced,
    ContentRefused,
    Deleting,
    Delivered,
    Dud,
    DudsInARow,
    Entries,
    Entry,
    Gone,
    Left,
    Looked,
    Loss,
    Lost,
    Mark,
    Record,
    Renamed,
    Seen,
    Spooled,
    Status,
    Stepped,
    Trouble,
    Vanished,
    Verdicts,
    Whole,
)
from lib.store.journal_format import Damage, Replay

BOB, ANN = "bob@example.org", "ann@example.net"
SHA, OTHER = "a" * 64, "b" * 64
DAY = 86400.0


def key(number: int) -> str:
    return journal_facts.uid_key(b"uid%d" % number)


def spooled(number: int, *, account: str = BOB, sha: str = SHA, at: float = 1.0) -> Spooled:
    return Spooled(account, key(number), number, b"uid%d" % number, sha, 4096, at)


def written(*records: Record) -> bytes:
    return b"".join(map(journal_format.encode, records))


def known(*records: Record) -> Entries:
    journal: Entries = {}
    for record in records:
        journal_format.apply(journal, record)
    return journal


def told(journal: Entries) -> Entries:
    """Leave out accounts of which nothing is known."""
    return {account: entries for account, entries in journal.items() if entries}


# --- records of every kind, with few names so that they meet ---------------------------------------------------------

accounts = st.sampled_from([BOB, ANN, "odd one\n@%41 €", "\ud800"])
uids = st.sampled_from([b"", b"1", b"uid 2", b"\xff\x00\n", b"long" * 100])
keys = st.one_of(
    uids.map(journal_facts.uid_key),
    st.sampled_from([journal_facts.sha_key(SHA, 0), journal_facts.sha_key(OTHER, 3)]),
)
shas = st.sampled_from([SHA, OTHER])
times = st.floats(0, 4e9, allow_nan=False)
octets = st.binary(max_size=20)
verdicts = st.dictionaries(octets, st.tuples(st.sampled_from([ACCEPTED, DEFERRED, REFUSED]), octets), max_size=3)
fates: st.SearchStrategy[Record] = st.one_of(
    st.builds(lambda account, uid, *rest: Spooled(account, journal_facts.uid_key(uid), rest[0], uid, *rest[1:]),
              accounts, uids, st.integers(1, 9), shas, st.integers(0, 1 << 40), times),
    st.builds(
        Spooled, accounts, st.just(journal_facts.sha_key(SHA, 0)), st.integers(1, 9), uids, shas, st.just(1), times
    ),
    st.builds(Verdicts, accounts, keys, octets, verdicts, times),
    st.builds(Delivered, accounts, keys, shas, times),
    st.builds(Dud, accounts, keys, shas, times),
    st.builds(Left, accounts, keys, st.integers(0, 1 << 40), times),
    st.builds(Gone, accounts, st.lists(keys, max_size=3).map(tuple)),
    st.builds(Trouble, accounts, keys, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), times),
    st.builds(Renamed, accounts, keys, keys),
    st.builds(Vanished, accounts, keys, times),
    st.builds(Seen, accounts, keys),
    st.builds(Looked, accounts),
    st.builds(Announced, accounts, st.just((journal_facts.uid_key(b"1"), journal_facts.sha_key(SHA, 0))),
              st.just((7, 8))),
    st.builds(lambda account, uid, *rest: Spooled(account, journal_facts.uid_key(uid), 1, uid, SHA, 5, 1.0, *rest),
              accounts, uids, st.integers(0, 9), st.sampled_from(["", "ab"]), st.sampled_from(["", OTHER]),
              st.sampled_from(["", DOUBTED, KEPT])),
    st.builds(Deleting, accounts, st.lists(keys, max_size=2).map(tuple),
              st.sampled_from(["", ASKED, PROMISED, IGNORED, DOUBTED, HUNG, KEPT])),
    st.builds(ContentRefused, accounts, keys, st.lists(octets, max_size=3).map(tuple)),
    st.builds(Lost, accounts, keys, st.dictionaries(octets, st.builds(Loss, st.integers(0, 99), times), max_size=3)),
)  # fmt: skip
histories = st.lists(fates, max_size=25)
journals = st.lists(st.one_of(fates, st.just(Mark()), st.builds(DudsInARow, st.integers(0, 99))), max_size=25)


@settings(deadline=None)
@given(journals)
def test_what_was_written_is_what_is_read(records: list[Record]) -> None:
    said = journal_format.replay(written(*records))
    rows = [record.duds for record in records if type(record) is DudsInARow]
    assert said == Replay(known(*records), (), 0, 0, len(records), rows[-1] if rows else None)


@settings(deadline=None)
@given(histories)
def test_a_compacted_journal_says_the_same(records: list[Record]) -> None:
    journal = known(*records)
    said = journal_format.replay(journal_format.compact(journal, now=0.0))
    assert said.journal == told(journal)
    assert (said.damages, said.torn, said.holes) == ((), 0, 0)
    entries = [entry for known in journal.values() for entry in known.values()]
    assert said.lines == sum(1 + bool(entry.content) + bool(entry.losses) for entry in entries)


@settings(deadline=None)
@given(histories, histories)
def test_a_compacted_journal_goes_on_as_the_long_one_would(before: list[Record], after: list[Record]) -> None:
    long = journal_format.replay(written(*before, *after))
    short = journal_format.replay(journal_format.compact(known(*before), now=0.0) + written(*after))
    assert told(short.journal) == told(long.journal)


@settings(max_examples=25, deadline=None)
@given(st.lists(fates, min_size=1, max_size=3), st.binary(max_size=4))
def test_a_journal_cut_at_any_byte_says_all_that_was_written_before(records: list[Record], junk: bytes) -> None:
    data = written(*records)
    start = 0
    for count, record in enumerate(records):
        journal, text = told(known(*records[:count])), journal_format.encode(record)
        for cut in range(len(text)):
            for tail in (b"", b"\0" * 40, junk.replace(b"\n", b"")):
                said = journal_format.replay(data[: start + cut] + tail)
                assert told(said.journal) == journal
                assert (said.damages, said.torn) == ((), cut + len(tail))
        start += len(text)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    said = journal_format.replay(data)
    assert len(said.damages) + said.holes <= data.count(b"\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def line(body: bytes, account: bytes = b"bob@x") -> bytes:
    """Return a line of which all checksums are right."""
    start = b"%b %x " % (account, len(body))
    return start + b"%08x %08x %b\n" % (zlib.crc32(start), zlib.crc32(start + body), body)


@settings(deadline=None)
@given(st.sampled_from("SVDXLGTR-+E=?"), st.lists(json_values, max_size=13))
def test_a_line_with_right_checksums_and_wrong_fields_is_damage_or_a_record(letter: str, fields: list[object]) -> None:
    data = line(journal_format._json([letter, *fields]).encode())
    said = journal_format.replay(data)
    assert said.damages in {(), (Damage(1, "bob@x"),)}
    again = journal_format.replay(journal_format.compact(said.journal, 0.0))
    assert again.damages == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"[1]", b"5", b'"S"', b'["future",1]', b'["D","k"]', b'["D","k","s",1]', b'["D","k","s",1.0,2]',
     b'["V","k","s",{"r":["maybe","w"]},1.0]', b'["V","k","s",{"r":["owed"]},1.0]', b'["V","k","s",{"r":7},1.0]',
     b'["V","k","\\u0100",{},1.0]', b'["E","k","?"]', b'["E"]', b"[" * 100_000, b"\xff",
     b'["D","k","s",1e999]', b'["D","k","s",-Infinity]', b'["D","k","s",NaN]', b'["E","k","s","",NaN]',
     b'["F",[[]]]', b'["F",[1e999]]', b'["B","k",[1e999]]',
     b'["E","k","s","",0.0,0.0,0,1,"",{},0,"",[],"",[1e999]]'],
)  # fmt: skip
def test_what_a_newer_or_madder_version_wrote_is_damage(body: bytes) -> None:
    said = journal_format.replay(line(body))
    assert (said.damages, said.journal) == ((Damage(1, "bob@x"),), {})


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_damaged_line_is_told_with_its_account_and_the_others_count() -> None:
    first, second, third = map(journal_format.encode, (spooled(1), spooled(2, account=ANN), spooled(3)))
    said = journal_format.replay(first + second.replace(b"4096", b"4097") + third)
    assert said.damages == (Damage(2, ANN),)
    assert list(said.journal[BOB]) == [key(1), key(3)]
    assert said.lines == 2


def test_a_damaged_last_line_is_damage_too() -> None:
    assert journal_format.replay(journal_format.encode(spooled(1)).replace(b"4096", b"4097")).damages == (
        Damage(1, BOB),
    )


def test_every_flipped_bit_is_noticed_and_blamed_on_the_right_account_or_on_all() -> None:
    first, second = journal_format.encode(spooled(1)), journal_format.encode(spooled(2, account=ANN))
    for at in range(len(first) + len(second)):
        for bit in range(8):
            data = bytearray(first + second)
            data[at] ^= 1 << bit
            said = journal_format.replay(bytes(data))
            if at == len(data) - 1:  # the last newline: a line that was not ended yet
                assert (said.torn, said.damages, list(said.journal)) == (len(second), (), [BOB])
                continue
            hurt = {damage.account for damage in said.damages}
            lost = {BOB, ANN} - told(said.journal).keys()
            assert hurt
            assert None in hurt or lost <= hurt


def test_two_lines_run_together_concern_everybody() -> None:
    first, second = journal_format.encode(spooled(1)), journal_format.encode(spooled(2, account=ANN))
    assert journal_format.replay(first[:-1] + b"?" + second).damages == (Damage(1, None),)
    assert journal_format.replay(first[:20] + second).damages == (Damage(1, None),)


def holed(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + b"\0" * (end - start) + data[end:]


def test_a_hole_in_what_was_synced_is_damage() -> None:
    data = written(*(spooled(number) for number in range(20)), Mark())
    assert journal_format.replay(holed(data, 512, 1024)).damages == (Damage(4, None),)


def test_a_hole_in_what_was_not_synced_is_what_a_power_cut_leaves() -> None:
    before = written(spooled(1), Mark())
    data = before + written(*(spooled(number) for number in range(2, 20)))
    for start, end in ((len(before), 512), (512, 1024), (600, 1536)):
        said = journal_format.replay(holed(data, start, end))
        assert (said.damages, said.holes, said.torn) == ((), 1, 0)
        assert key(1) in said.journal[BOB]
        assert key(19) in said.journal[BOB]


def test_many_holes_are_what_a_power_cut_leaves_too() -> None:
    data = written(Mark()) + written(*(spooled(number) for number in range(40)))
    holes = holed(holed(data, 512, 1024), 2048, 2560)
    said = journal_format.replay(holes)
    assert (said.damages, said.holes, said.torn) == ((), 2, 0)


def test_a_hole_at_the_end_is_a_torn_tail() -> None:
    data = written(spooled(1), Mark())
    torn = (spooled(2).uid * 200)[: 1024 - len(data) - 100] + b"\0" * 100 + b"more of it\n"
    said = journal_format.replay(data + torn + b"and more")
    assert (said.damages, said.holes, said.torn) == ((), 0, len(torn) + 8)


def test_nuls_that_end_where_no_sector_does_are_damage() -> None:
    data = written(*(spooled(number) for number in range(20)))
    (one,) = journal_format.replay(holed(data, 300, 301)).damages
    assert one.line == 3
    assert journal_format.replay(holed(holed(data, 512, 1024), 300, 301)).damages == (one,)


# --- meaning ---------------------------------------------------------------------------------------------------------


def only(*records: Record) -> Entry:
    (entry,) = known(*records)[BOB].values()
    return entry


def said_by(status: str, words: bytes = b"", who: bytes = b"ann@x", *, at: float = 2.0) -> Verdicts:
    return Verdicts(BOB, key(1), b"sender@x", {who: (status, words)}, at)


def test_a_spooled_message_is_known_with_all_that_is_needed_to_send_it() -> None:
    entry = only(spooled(1, at=5.0))
    assert entry == Entry(key(1), Status.SPOOLED, SHA, 4096, 1, since=5.0)
    assert entry.uid == b"uid1"


def test_what_was_accepted_is_never_undone() -> None:
    entry = only(spooled(1), said_by(ACCEPTED, b"250"), said_by(DEFERRED, b"450"), said_by(REFUSED, b"550"))
    assert entry.recipients == {b"ann@x": (ACCEPTED, b"250")}


def test_later_words_about_the_others_win() -> None:
    entry = only(
        spooled(1), said_by(DEFERRED, b"450 one"), said_by(DEFERRED, b"450 two"), said_by(REFUSED, b"550", b"bob@x")
    )
    assert entry.recipients == {b"ann@x": (DEFERRED, b"450 two"), b"bob@x": (REFUSED, b"550")}
    assert entry.sender == b"sender@x"


def test_who_has_a_message_is_still_known_when_it_must_be_fetched_again() -> None:
    entry = only(spooled(1, at=1.0), said_by(ACCEPTED, b"250"), spooled(1, at=9.0))
    assert entry.recipients == {b"ann@x": (ACCEPTED, b"250")}
    assert entry.since == 1.0


def test_other_content_under_the_same_uid_is_another_message() -> None:
    entry = only(spooled(1, at=1.0), said_by(ACCEPTED), spooled(1, sha=OTHER, at=9.0))
    assert (entry.recipients, entry.sha, entry.since) == ({}, OTHER, 9.0)
    settled = only(spooled(1), Delivered(BOB, key(1), SHA, 3.0), spooled(1, sha=OTHER, at=9.0))
    assert (settled.status, settled.settled) == (Status.SPOOLED, 0.0)


@pytest.mark.parametrize("kind", [Delivered, Dud])
def test_what_is_settled_stays_settled(kind: Callable[[str, str, str, float], Record]) -> None:
    entry = only(
        spooled(1),
        said_by(DEFERRED),
        kind(BOB, key(1), SHA, 3.0),
        said_by(DEFERRED),
        spooled(1),
        Left(BOB, key(1), 1, 4.0),
    )
    assert entry.status in journal_facts.SETTLED
    assert (entry.settled, entry.recipients, entry.number) == (3.0, {}, 1)


def test_a_verdict_whose_message_was_in_a_damaged_line_is_kept_for_it() -> None:
    entry = only(said_by(ACCEPTED, b"250"), spooled(1))
    assert entry.recipients == {b"ann@x": (ACCEPTED, b"250")}
    assert entry.sha == SHA


def test_what_is_gone_is_new_when_it_comes_again() -> None:
    journal = known(spooled(1), spooled(2), Delivered(BOB, key(1), SHA, 2.0), Gone(BOB, (key(1), key(7))))
    assert list(journal[BOB]) == [key(2)]
    journal_format.apply(journal, spooled(1, at=9.0))
    assert journal[BOB][key(1)].status is Status.SPOOLED


def test_troubles_are_counted_and_survive_the_download() -> None:
    entry = only(Trouble(BOB, key(1), "cut off", 1.0), Trouble(BOB, key(1), "silent", 2.0))
    assert (entry.status, entry.troubles, entry.why) == (Status.TROUBLED, 2, "silent")
    assert only(Trouble(BOB, key(1), "x", 1.0), spooled(1)).troubles == 1


def test_what_is_left_was_reported_the_first_time() -> None:
    entry = only(Left(BOB, key(1), 10, 1.0), Left(BOB, key(1), 11, 2.0))
    assert (entry.status, entry.size, entry.settled) == (Status.LEFT, 11, 1.0)


def test_a_renamed_message_keeps_what_is_known_of_it() -> None:
    entry = only(spooled(1), Delivered(BOB, key(1), SHA, 2.0), Renamed(BOB, key(1), key(2)))
    assert (entry.key, entry.uid, entry.status) == (key(2), b"uid2", Status.DELIVERED)
    assert BOB in known(Renamed(BOB, key(1), key(2)))


def test_a_new_name_that_is_taken_keeps_what_is_settled() -> None:
    done = (spooled(2), Delivered(BOB, key(2), SHA, 2.0))
    assert only(*done, spooled(1), Renamed(BOB, key(1), key(2))).status is Status.DELIVERED
    assert only(spooled(1), *done, Renamed(BOB, key(2), key(1))).status is Status.DELIVERED


def test_a_message_vanishes_once_and_may_be_seen_again() -> None:
    seen = (spooled(1), Vanished(BOB, key(1), 3.0), Vanished(BOB, key(1), 4.0))
    assert only(*seen).vanished == 3.0
    assert only(*seen, Seen(BOB, key(1))).vanished is None
    assert known(Vanished(BOB, key(1), 3.0), Seen(BOB, key(1)))[BOB] == {}


def test_what_left_its_server_is_forgotten_after_sixty_days_unless_it_is_still_owed() -> None:
    journal = known(
        *(spooled(number) for number in (1, 2, 3)),
        *(Delivered(BOB, key(number), SHA, 2.0) for number in (1, 2)),
        Vanished(BOB, key(1), 10 * DAY),
        Vanished(BOB, key(3), 10 * DAY),
    )
    for days, left in ((69, [key(1), key(2), key(3)]), (71, [key(2), key(3)])):
        assert list(journal_format.replay(journal_format.compact(journal, days * DAY)).journal[BOB]) == left
    forgotten = journal_format.compact(journal, 13 * DAY, forget_vanished_after_days=2)
    assert list(journal_format.replay(forgotten).journal[BOB]) == [key(2), key(3)]


@given(uids, uids)
def test_uids_are_told_apart_and_come_back(one: bytes, other: bytes) -> None:
    assert (journal_facts.uid_key(one) == journal_facts.uid_key(other)) == (one == other)
    assert Entry(journal_facts.uid_key(one)).uid == (one if len(one) <= journal_facts.UID_KEPT else b"")


def test_a_long_uid_is_known_by_its_hash_and_shown_by_its_beginning() -> None:
    uid = b"x" * 100_000
    name = journal_facts.uid_key(uid)
    record = Spooled(BOB, name, 1, uid, SHA, 1, 1.0)
    assert len(name) < 100
    assert name != journal_facts.uid_key(uid + b"x")
    assert len(journal_format.encode(record)) < 600
    assert only(record).uid == b"x" * journal_facts.UID_KEPT
    assert journal_format.replay(journal_format.encode(record)).journal == known(record)


def test_no_uid_can_pass_for_the_hash_of_another() -> None:
    uid = b"x" * 1000
    forged = journal_facts.uid_key(uid)[len(journal_facts.UID) :].encode()
    assert journal_facts.uid_key(forged) != journal_facts.uid_key(uid)


def test_a_receivers_long_words_are_cut() -> None:
    entry = only(spooled(1), said_by(DEFERRED, b"x" * 100_000))
    assert entry.recipients[b"ann@x"] == (DEFERRED, b"x" * journal_facts.WORDS_KEPT)
    assert len(journal_format.encode(said_by(DEFERRED, b"x" * 100_000))) < 1500


def test_a_whole_entry_says_no_more_than_is_worth_a_word() -> None:
    plain = Entry(key(1), Status.DELIVERED, SHA, settled=5.0)
    assert journal_format.encode(Whole(BOB, plain)).endswith(b'["E","uid:uid1","d","%b",5.0]\n' % SHA.encode())
    gone = replace(plain, vanished=0.0)
    assert journal_format.replay(journal_format.encode(Whole(BOB, gone))).journal == {BOB: {key(1): gone}}


def test_who_refused_it_for_what_it_contains_is_known_until_it_is_settled() -> None:
    refused = [ContentRefused(BOB, key(1), (b"a@x",)), ContentRefused(BOB, key(1), (b"caretaker c@x", b"a@x"))]
    assert only(spooled(1), *refused).content == (b"a@x", b"caretaker c@x")
    assert only(spooled(1), *refused, Dud(BOB, key(1), SHA, 1.0)).content == ()
    assert only(spooled(1), Dud(BOB, key(1), SHA, 1.0), *refused).content == ()


def test_whose_verdict_got_lost_is_known_until_it_is_settled_and_moves_with_the_clock() -> None:
    once, twice = Loss(1, 2e9), Loss(2, 2e9 + 5)
    lost = [Lost(BOB, key(1), {b"a": once, b"b": once}), Lost(BOB, key(1), {b"a": twice})]
    assert only(spooled(1), *lost).losses == {b"a": twice, b"b": once}
    moved = only(spooled(1), *lost, Stepped(BOB, 2e9 + 4, 2e9 + 6, 100.0, 0.0))
    assert moved.losses == {b"a": Loss(2, 2e9 + 105), b"b": once}
    assert set(moved.times) == {1.0, 0.0, 2e9, 2e9 + 105}
    assert only(spooled(1), *lost, Delivered(BOB, key(1), SHA, 1.0)).losses == {}


# --- what is known of a UID, and what an older version wrote ----------------------------------------------------------


def test_a_line_of_an_older_version_says_nothing_of_sizes_and_hashes() -> None:
    old = Spooled(BOB, key(1), 1, b"uid1", SHA, 5, 1.0)
    assert written(old).count(b",") == 6
    entry = known(old)[BOB][key(1)]
    assert (entry.announced, entry.header, entry.bare, entry.deletion) == (None, "", "", "")


@pytest.mark.parametrize("announced", [0, 5])
def test_a_message_has_its_announced_size_and_its_hashes_for_good(announced: int) -> None:
    spooled = Spooled(BOB, key(1), 1, b"uid1", SHA, 5, 1.0, announced, "ab", OTHER, DOUBTED)
    gone = Spooled(BOB, key(1), 0, b"uid1", SHA, 5, 1.0)  # the spool file is gone: nothing new is known of the rest
    entry = known(spooled, gone, Delivered(BOB, key(1), SHA, 2.0))[BOB][key(1)]
    assert (entry.announced, entry.header, entry.bare, entry.deletion) == (announced, "ab", OTHER, DOUBTED)
    again = known(spooled, Announced(BOB, (key(1), key(2)), (7, 8)))[BOB]
    assert (again[key(1)].announced, list(again)) == (7, [key(1)])


def test_what_is_fetched_has_not_vanished() -> None:
    entry = known(Trouble(BOB, key(1), "lost", 1.0), Vanished(BOB, key(1), 2.0))[BOB][key(1)]
    assert (entry.vanished, entry.fresh) == (2.0, True)
    spooled = Spooled(BOB, key(1), 1, b"uid1", SHA, 5, 3.0, 5)
    entry = known(Trouble(BOB, key(1), "lost", 1.0), Vanished(BOB, key(1), 2.0), spooled)[BOB][key(1)]
    assert (entry.vanished, entry.fresh) == (None, False)


def test_all_that_vanished_is_looked_for_once() -> None:
    gone: list[Record] = [Delivered(BOB, key(1), SHA, 1.0), Vanished(BOB, key(1), 2.0)]
    gone.append(Delivered(ANN, key(1), SHA, 1.0))
    journal = known(*gone, Vanished(ANN, key(1), 2.0), Looked(BOB))
    assert [journal[who][key(1)].fresh for who in (BOB, ANN)] == [False, True]
