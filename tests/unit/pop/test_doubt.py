"""When a message that came in is not believed to be the whole message."""

import pytest

from lib.pop import doubt
from lib.pop.doubt import Verdict
from lib.store.journal_facts import Entry
from lib.store.spool_slot import Stored

SHA, OTHER = "ab" * 32, "cd" * 32


def stored(size: int, sha: str = SHA) -> Stored:
    return Stored(
        1, "bob", b"u", 0, size, sha, eightbit=False, clean=True, body=None, beginning=None, reread=lambda _: b""
    )


def troubled(why: str, troubles: int = 1) -> Entry:
    return Entry("uid:a", troubles=troubles, why=why)


@pytest.mark.parametrize(
    ("size", "announced", "odd"),
    [
        (100, 100, False),
        (100, 0, False),  # nothing was announced
        (9000, 100, False),
        (100, 1024, False),  # rounded up
        (100, 1125, True),
        (8999, 10_000, True),
        (9001, 10_000, False),  # less than a tenth
        (200, 328, False),  # a trifle
        (200, 329, True),  # a notice in place of the message, perhaps
        (18_000, 20_000, False),
        (17_999, 20_000, True),
        (950_000, 1_000_000, False),  # line ends that were counted
    ],
)
def test_a_message_is_short_when_more_is_missing_than_rounding_explains(size: int, announced: int, odd: bool) -> None:
    assert doubt.odd(stored(size), announced) is odd
    assert "octets" in doubt.told(stored(size), 7, announced)


@pytest.mark.parametrize(
    ("size", "announced", "odd"),
    [(99, 100, True), (100, 100, False), (101, 100, True), (9, 0, False)],
)
def test_where_sizes_are_known_each_octet_counts(size: int, announced: int, odd: bool) -> None:
    assert doubt.odd(stored(size), announced, knows=True) is odd


ROWS = [
    # size, announced, the sizes are known, they lie, what was before, what follows
    (9000, 100, False, False, "", Verdict.WHOLE),
    (9000, 100, True, False, "", Verdict.DOUBT),  # another message, perhaps
    (99, 100, False, False, "", Verdict.WHOLE),
    (99, 100, True, False, "", Verdict.DOUBT),
    (99, 100, False, True, "", Verdict.WHOLE),
    (50, 5000, False, False, "", Verdict.DOUBT),
    (50, 5000, False, True, "", Verdict.WHOLE),
    (0, 5000, False, True, "", Verdict.DOUBT),
    (0, 4, False, False, "", Verdict.DOUBT),  # no octets are no message, however little was announced
    (0, 0, True, False, "", Verdict.DOUBT),
    (0, 0, False, True, f"in doubt (1): {SHA}", Verdict.DOUBT),
    (50, 5000, False, False, f"in doubt: {SHA}", Verdict.EXPLAINED),  # as older versions wrote it
    (50, 5000, True, False, f"in doubt (1): {SHA}", Verdict.EXPLAINED),
    (
        9000,
        5000,
        False,
        False,
        f"in doubt (0): {SHA}",
        Verdict.EXPLAINED,
    ),  # out of step it came, and nothing is missing
    (50, 5000, False, False, f"in doubt (0): {SHA}", Verdict.DOUBT),
    (50, 5000, False, False, f"in doubt (1): {OTHER}", Verdict.DOUBT),
    (50, 5000, False, False, f"in doubt (2): {OTHER}", Verdict.AS_IT_COMES),
    (0, 5000, False, False, f"in doubt (2): {OTHER}", Verdict.DOUBT),
    (0, 5000, False, False, f"in doubt (9): {SHA}", Verdict.DOUBT),
    (50, 5000, False, False, "the server closed the connection", Verdict.DOUBT),
]


@pytest.mark.parametrize("row", ROWS)
def test_what_is_done_with_it(row: tuple[int, int, bool, bool, str, Verdict]) -> None:
    size, announced, knows, lies, why, verdict = row
    entry = troubled(why) if why else None
    assert doubt.weigh(stored(size), announced, entry, knows=knows, lies=lies) is verdict


def test_arrivals_are_counted_and_a_reply_out_of_step_is_none() -> None:
    assert doubt.reason(None, stored(50), counts=False) == f"in doubt (0): {SHA}"
    assert doubt.reason(None, stored(50), counts=True) == f"in doubt (1): {SHA}"
    entry = troubled(doubt.reason(troubled(f"in doubt: {OTHER}"), stored(50), counts=True), 2)
    assert doubt.told_before(entry) == (2, SHA)
    assert doubt.told_before(troubled("in doubt (x): 5")) == (0, "")
    assert doubt.told_before(None) == (0, "")


def test_what_is_delivered_as_it_comes_is_told_with_its_sizes() -> None:
    assert "5000" in doubt.told_at_last(stored(50), 5000)
    assert "original stays on the server" in doubt.told_at_last(stored(50), 5000)
