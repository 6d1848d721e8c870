"""When a message that came in is not believed to be the whole message."""

import pytest

from lib.pop import doubt
from lib.store.journal_facts import Entry
from lib.store.spool_slot import Stored


def stored(size: int, sha: str = "5ha") -> Stored:
    return Stored(
        1, "bob", b"u", 0, size, sha, eightbit=False, clean=True, body=None, beginning=None, reread=lambda _: b""
    )


@pytest.mark.parametrize(
    ("size", "announced", "short"),
    [
        (100, 100, False),
        (100, 0, False),  # nothing was announced
        (9000, 100, False),
        (100, 1024, False),  # rounded up
        (100, 1125, True),
        (8999, 10_000, False),  # little, and more than a tenth
        (18_000, 20_000, False),
        (17_999, 20_000, True),
        (950_000, 1_000_000, False),  # line ends that were counted
        (0, 4, False),
        (0, 5, True),
        (0, 0, False),
    ],
)
def test_a_message_is_short_when_more_is_missing_than_rounding_explains(size: int, announced: int, short: bool) -> None:
    assert doubt.short(stored(size), announced) is short
    assert "octets" in doubt.told(stored(size), 7, announced)


def test_the_same_octets_a_second_time_are_believed_but_never_none() -> None:
    entry = Entry("uid:a", troubles=1, why=doubt.reason(stored(100)))
    assert doubt.cleared(entry, stored(100))
    assert not doubt.cleared(entry, stored(100, "other"))
    assert not doubt.cleared(Entry("uid:a", troubles=1, why="the server closed the connection"), stored(100))
    assert not doubt.cleared(None, stored(100))
    assert not doubt.cleared(Entry("uid:a", why=doubt.reason(stored(0))), stored(0))
