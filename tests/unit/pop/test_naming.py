"""What a listing says of UIDs: a row of the tables each."""

import pytest

from lib.pop.naming import PATIENCE, Finding, Named, Naming, judge, listed
from lib.pop.plan import Listed

NOTHING, ALL, SOME, NONE = Naming.NOTHING_LISTED, Naming.ALL, Naming.SOME, Naming.NONE


@pytest.mark.parametrize(
    ("uids", "sizes", "messages", "naming"),
    [
        ({}, {}, [], NOTHING),
        (None, {}, [], NOTHING),
        ({1: b"a"}, {1: 5}, [(1, b"a", 5)], ALL),
        ({1: b""}, {1: 5}, [(1, b"", 5)], ALL),  # a UID, if an odd one: it was always believed
        (None, {1: 5, 2: 6}, [(1, b"", 5), (2, b"", 6)], NONE),
        ({}, {1: 5}, [(1, b"", 5)], NONE),
        ({2: b"b"}, {1: 5, 2: 6}, [(1, b"", 5), (2, b"b", 6)], SOME),
        ({1: b"a", 3: b"c"}, {1: 5}, [(1, b"a", 5), (3, b"c", 0)], ALL),
        ({1: b"a"}, {}, [(1, b"a", 0)], ALL),
    ],
)
def test_every_message_that_either_listing_names_is_there(
    uids: dict[int, bytes] | None, sizes: dict[int, int], messages: list[tuple[int, bytes, int]], naming: Naming
) -> None:
    assert listed(uids, sizes) == ([Listed(*one) for one in messages], naming)


@pytest.mark.parametrize(
    ("before", "naming", "keeps", "named"),
    [
        (Named(), NOTHING, False, Named()),
        (Named(had=True, gone=2, left_out=1), NOTHING, False, Named(had=True, gone=2, left_out=1)),
        (Named(), ALL, False, Named(had=True)),
        (Named(had=True, gone=3, left_out=4), ALL, True, Named(had=True)),
        (Named(), NONE, False, Named()),
        (Named(), NONE, True, Named()),
        (Named(), SOME, False, Named(had=True, left_out=1)),
        (Named(had=True, gone=2), SOME, False, Named(had=True, left_out=1)),
    ],
)
def test_what_fetches_in_peace(before: Named, naming: Naming, keeps: bool, named: Named) -> None:
    assert judge(before, naming, keeps=keeps) == Finding(named)


@pytest.mark.parametrize("passes", [1, 2, 9])
def test_names_left_out_twice_in_a_row_are_warned_of(passes: int) -> None:
    found = judge(Named(had=True, left_out=passes), SOME, keeps=True)
    assert (found.named, found.failure) == (Named(had=True, left_out=passes + 1), "")
    assert "UIDL leaves out" in found.warning


@pytest.mark.parametrize(
    ("gone", "told"), [(0, "after 3 more such passes"), (1, "after 2 more"), (2, "after one more such pass")]
)
def test_uids_that_are_gone_fail_a_few_passes(gone: int, told: str) -> None:
    found = judge(Named(had=True, gone=gone), NONE, keeps=False)
    assert (found.named, found.warning) == (Named(had=True, gone=gone + 1), "")
    assert "gives no UIDs although it did" in found.failure
    assert told in found.failure


@pytest.mark.parametrize("gone", [PATIENCE, PATIENCE + 5])
def test_then_the_server_is_taken_at_its_word(gone: int) -> None:
    found = judge(Named(had=True, gone=gone), NONE, keeps=False)
    assert (found.named, found.failure) == (Named(), "")
    assert "no UIDs any more" in found.warning


@pytest.mark.parametrize("gone", [0, PATIENCE, 1000])
def test_where_mail_is_kept_a_person_must_act_and_hears_how(gone: int) -> None:
    found = judge(Named(had=True, gone=gone), NONE, keeps=True)
    assert (found.named, found.warning) == (Named(had=True, gone=gone + 1), "")
    assert "set keep=0" in found.failure
