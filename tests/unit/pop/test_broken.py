"""What a broken session means, a row a case: whom to blame, and how the rest of the pass goes."""

import pytest

from lib.pop.broken import TABLE, Blame, How, Pace, Where, meaning

AHEAD, ALONE = True, False
ROWS = [
    # where, how, ahead of its reply other things were asked, blame, pace, also in later passes
    (Where.RETR, How.CLOSED, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.RETR, How.CLOSED, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, False),
    (Where.RETR, How.SILENT, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.RETR, How.SILENT, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, False),
    (Where.RETR, How.NONSENSE, AHEAD, Blame.SUSPECT, Pace.LOCKSTEP, True),
    (Where.RETR, How.NONSENSE, ALONE, Blame.SUSPECT, Pace.LOCKSTEP, True),
    (Where.BODY, How.CLOSED, AHEAD, Blame.SUSPECT, Pace.AHEAD, False),
    (Where.BODY, How.CLOSED, ALONE, Blame.SUSPECT, Pace.AHEAD, False),
    (Where.BODY, How.SILENT, AHEAD, Blame.SUSPECT, Pace.LOCKSTEP, False),
    (Where.BODY, How.SILENT, ALONE, Blame.SUSPECT, Pace.LOCKSTEP, False),
    (Where.BODY, How.NONSENSE, AHEAD, Blame.SUSPECT, Pace.LOCKSTEP, True),
    (Where.BODY, How.NONSENSE, ALONE, Blame.SUSPECT, Pace.LOCKSTEP, True),
    (Where.BODY, How.ENDLESS, AHEAD, Blame.SIZE, Pace.AHEAD, False),
    (Where.BODY, How.ENDLESS, ALONE, Blame.SIZE, Pace.AHEAD, False),
    (Where.BODY, How.OUT_OF_STEP, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.BODY, How.OUT_OF_STEP, ALONE, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.TOP, How.CLOSED, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.TOP, How.CLOSED, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, False),
    (Where.TOP, How.SILENT, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.TOP, How.SILENT, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, False),
    (Where.TOP, How.NONSENSE, AHEAD, Blame.SUSPECT, Pace.LOCKSTEP, True),
    (Where.TOP, How.NONSENSE, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, True),
    (Where.DELE, How.CLOSED, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.DELE, How.CLOSED, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, False),
    (Where.DELE, How.SILENT, AHEAD, Blame.HASTE, Pace.LOCKSTEP, False),
    (Where.DELE, How.SILENT, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, False),
    (Where.DELE, How.NONSENSE, AHEAD, Blame.HASTE, Pace.LOCKSTEP, True),
    (Where.DELE, How.NONSENSE, ALONE, Blame.MESSAGE, Pace.LOCKSTEP, True),
    (Where.QUIT, How.CLOSED, AHEAD, Blame.NOBODY, Pace.AHEAD, False),
    (Where.QUIT, How.CLOSED, ALONE, Blame.NOBODY, Pace.AHEAD, False),
    (Where.QUIT, How.SILENT, AHEAD, Blame.NOBODY, Pace.AHEAD, False),
    (Where.QUIT, How.SILENT, ALONE, Blame.NOBODY, Pace.AHEAD, False),
    (Where.QUIT, How.NONSENSE, AHEAD, Blame.HASTE, Pace.LOCKSTEP, True),
    (Where.QUIT, How.NONSENSE, ALONE, Blame.HASTE, Pace.LOCKSTEP, True),
    (Where.NOTHING, How.CLOSED, AHEAD, Blame.NOBODY, Pace.AHEAD, False),
    (Where.NOTHING, How.CLOSED, ALONE, Blame.NOBODY, Pace.AHEAD, False),
    (Where.NOTHING, How.SILENT, AHEAD, Blame.NOBODY, Pace.AHEAD, False),
    (Where.NOTHING, How.SILENT, ALONE, Blame.NOBODY, Pace.AHEAD, False),
    (Where.NOTHING, How.NONSENSE, AHEAD, Blame.HASTE, Pace.LOCKSTEP, True),
    (Where.NOTHING, How.NONSENSE, ALONE, Blame.HASTE, Pace.LOCKSTEP, True),
]


@pytest.mark.parametrize("row", ROWS)
def test_what_a_broken_session_means(row: tuple[Where, How, bool, Blame, Pace, bool]) -> None:
    where, how, ahead, *meant = row
    assert meaning(where, how, ahead=ahead) == tuple(meant)


def test_every_row_is_told() -> None:
    assert {(where, how) for where, how, *_ in ROWS} == set(TABLE)


@pytest.mark.parametrize("where", Where)
@pytest.mark.parametrize("how", How)
def test_there_is_a_meaning_for_everything(where: Where, how: How) -> None:
    for ahead in (AHEAD, ALONE):
        meant = meaning(where, how, ahead=ahead)
        assert not (ahead and meant.blame is Blame.MESSAGE)  # nobody is blamed who was not alone
