"""What a broken session means, a row a case: whom to blame, and how the rest of the pass goes."""

import pytest

from lib.pop.broken import TABLE, Asked, Blame, How, Meaning, Pace, Where, meaning

# What is told: whom to blame; whether the rest goes one by one, and for good; whether there is another session.
ROWS = [
    # where, how, when more was asked for, when only that, when only that in a session of its own
    (Where.RETR, How.CLOSED, "haste, one by one, again", "message, one by one, again", "message, one by one"),
    (Where.RETR, How.SILENT, "haste, one by one, again", "message, one by one, again", "message, one by one"),
    (
        Where.RETR,
        How.NONSENSE,
        "suspect, one by one, for good, again",
        "suspect, one by one, for good, again",
        "message, one by one, for good",
    ),
    (Where.BODY, How.CLOSED, "suspect", "suspect", "suspect"),
    (Where.BODY, How.SILENT, "suspect, one by one", "suspect, one by one", "suspect, one by one"),
    (
        Where.BODY,
        How.NONSENSE,
        "suspect, one by one, for good, again",
        "suspect, one by one, for good, again",
        "message, one by one, for good",
    ),
    (Where.BODY, How.OUT_OF_STEP, "haste, one by one, again", "haste, one by one, again", "message, one by one"),
    (Where.BODY, How.ENDLESS, "size, again", "size, again", "size, again"),
    (Where.BODY, How.BOUNDLESS, "suspect, one by one", "message, one by one, again", "message, one by one"),
    (Where.TOP, How.CLOSED, "haste, one by one, again", "message, one by one, again", "message, one by one"),
    (Where.TOP, How.SILENT, "haste, one by one, again", "message, one by one, again", "message, one by one"),
    (
        Where.TOP,
        How.NONSENSE,
        "suspect, one by one, for good, again",
        "message, one by one, for good, again",
        "message, one by one, for good",
    ),
    (Where.DELE, How.CLOSED, "haste, one by one, again", "message, one by one, again", "message, one by one"),
    (Where.DELE, How.SILENT, "haste, one by one, again", "message, one by one, again", "message, one by one"),
    (
        Where.DELE,
        How.NONSENSE,
        "haste, one by one, for good, again",
        "message, one by one, for good, again",
        "message, one by one, for good",
    ),
    (Where.QUIT, How.CLOSED, "nobody", "nobody", "nobody"),
    (Where.QUIT, How.SILENT, "nobody", "nobody", "nobody"),
    (
        Where.QUIT,
        How.NONSENSE,
        "haste, one by one, for good, again",
        "haste, one by one, for good, again",
        "haste, one by one, for good, again",
    ),
    (Where.NOTHING, How.CLOSED, "nobody", "nobody", "nobody"),
    (Where.NOTHING, How.SILENT, "nobody", "nobody", "nobody"),
    (
        Where.NOTHING,
        How.NONSENSE,
        "haste, one by one, for good, again",
        "haste, one by one, for good, again",
        "haste, one by one, for good, again",
    ),
]


def told(meant: Meaning) -> str:
    words = {"one by one": meant.pace is Pace.LOCKSTEP, "for good": meant.lasting, "again": meant.again}
    return ", ".join([meant.blame.name.lower(), *(word for word, holds in words.items() if holds)])


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0].name} {row[1].name}" for row in ROWS])
def test_what_a_broken_session_means(row: tuple[Where, How, str, str, str]) -> None:
    where, how, *meant = row
    assert [told(meaning(where, how, asked)) for asked in (Asked.AHEAD, Asked.ALONE, Asked.APART)] == meant


def test_every_row_is_told() -> None:
    assert {(where, how) for where, how, *_ in ROWS} == set(TABLE)


@pytest.mark.parametrize("where", Where)
@pytest.mark.parametrize("how", How)
def test_nobody_is_blamed_who_was_not_alone(where: Where, how: How) -> None:
    assert meaning(where, how, Asked.AHEAD).blame is not Blame.MESSAGE
    assert meaning(where, how, Asked.ALONE).blame in Blame
    assert not (meaning(where, how, Asked.APART).blame is Blame.MESSAGE and meaning(where, how, Asked.APART).again)
