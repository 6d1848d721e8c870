"""Sizes as evidence: which body can be that of the message it is booked under, and which cannot."""

import pytest

from lib.pop.measure import Came, Measure, Place

HEAD = b"Subject: x\r\n\r\n"
ONE_BY_ONE = True


def came(announced: int, size: int, sha: str = "", *, alone: bool = False, only: bool = True) -> Came:
    """Return a body that has as many line ends as its size has tens."""
    octets = b"12345678\r\n" * (size // 10)
    return Came(announced, size, HEAD, sha or f"{announced}/{size}", lambda: (octets,), alone, only)


def begun(line: bytes, announced: int, size: int, *, alone: bool = False) -> Came:
    """Return a body that begins with *line*."""
    return came(announced, size, alone=alone)._replace(beginning=line)


def judged(*bodies: Came, lies: bool = False) -> list[Place]:
    measure = Measure(lies=lies)
    return [measure.judge(body).place for body in bodies]


SURE, LIKELY, HELD, AGAINST, TWIN = Place.SURE, Place.LIKELY, Place.HELD, Place.AGAINST, Place.TWIN
EXACT = came(700, 700)


@pytest.mark.parametrize(
    ("bodies", "places"),
    [
        # exact
        ([EXACT, came(800, 800)], [SURE, SURE]),
        ([EXACT, came(700, 700, "other", only=False)], [SURE, LIKELY]),
        ([EXACT, came(800, 1500)], [SURE, AGAINST]),  # two in one
        ([EXACT, came(800, 700, "b")], [SURE, AGAINST]),  # another one's
        ([EXACT, came(800, 799)], [SURE, AGAINST]),
        (
            [came(705, 700), came(805, 800), came(5, 0)],
            [HELD, LIKELY, AGAINST],
        ),  # nor does a way of counting explain them
        ([EXACT, came(0, 0), came(800, 800)], [SURE, HELD, SURE]),  # no octets are no message, and tell nothing
        ([came(700, 1500), came(800, 800)], [HELD, AGAINST]),  # the sizes are right, and the first one did not fit
        # a line end counted as one octet, by itself or beside exact ones
        ([came(630, 700), came(720, 800)], [LIKELY, SURE]),
        ([EXACT, came(720, 800), came(90, 100)], [SURE, LIKELY, SURE]),
        ([came(630, 700), came(720, 1500)], [LIKELY, AGAINST]),
        # a last line that was not ended on the server is ended in the reply
        ([EXACT, came(798, 800), came(900, 900)], [SURE, LIKELY, SURE]),
        ([came(629, 700), came(719, 800)], [LIKELY, SURE]),
        # rounded to 1024, or in kilobytes
        ([came(1024, 700), came(2048, 1500), came(3072, 2500)], [HELD, LIKELY, SURE]),
        ([came(5, 5000), came(9, 9000), came(3, 2500)], [HELD, LIKELY, SURE]),
        ([came(1024, 700), came(2048, 1500), came(3072, 1500, "c")], [HELD, LIKELY, AGAINST]),
        # always so many octets more, or fewer; at one size alone that may be two bodies in one, each time
        ([came(705, 700), came(805, 800), came(905, 900)], [HELD, LIKELY, SURE]),
        ([came(640, 700), came(740, 800), came(840, 900)], [HELD, LIKELY, SURE]),
        ([came(700, 1405), came(700, 1405, "b"), came(700, 1405, "c")], [HELD, HELD, HELD]),
        # no way at all, or not known
        ([came(700, 123), came(800, 4567), came(900, 8901)], [HELD, HELD, HELD]),
        ([came(0, 123), came(0, 4567)], [HELD, HELD]),
        ([EXACT, came(0, 123)], [SURE, AGAINST]),
    ],
)
def test_what_a_size_says(bodies: list[Came], places: list[Place]) -> None:
    assert judged(*bodies) == places


def test_sizes_that_lie_speak_for_a_message_and_against_none() -> None:
    assert judged(EXACT, came(800, 1500), came(900, 900), lies=True) == [SURE, HELD, SURE]


def test_what_was_asked_for_alone_is_not_another_message() -> None:
    assert judged(EXACT, came(800, 1500, alone=ONE_BY_ONE), came(900, 700, "b", alone=ONE_BY_ONE)) == [SURE, HELD, HELD]
    assert judged(came(800, 1500, alone=ONE_BY_ONE), came(700, 700, "b", alone=ONE_BY_ONE)) == [HELD, SURE]


@pytest.mark.parametrize("line", [b"+OK\r\n", b"+OK 700 octets\r\nFrom: x", b"-ERR no\r\n", b"+ok\r\n", b"-ERR"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_body_that_begins_with_a_status_line_is_none_unless_it_has_its_size(line: bytes, alone: bool) -> None:
    assert judged(begun(line, 800, 805, alone=alone)) == [AGAINST]
    assert judged(begun(line, 0, 805, alone=alone)) == [AGAINST]
    assert judged(begun(line, 805, 805, alone=alone)) == [SURE]
    assert judged(came(630, 700), begun(line, 720, 800, alone=alone)) == [LIKELY, AGAINST]


@pytest.mark.parametrize("line", [b".\r+OK\r\n", b".\r\n+OK 5 octets\r\n", b"\n-ERR no\r\n"])
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_a_status_line_within_a_body_speaks_against_it_where_sizes_say_little(line: bytes, cut: int) -> None:
    octets = b"x" * 60 + line + b"x" * 60
    glued = came(1024, 900)._replace(octets=lambda: (octets[: 60 + cut], octets[60 + cut :]))
    assert judged(came(2048, 1700), came(3072, 2500), glued) == [HELD, LIKELY, AGAINST]
    assert judged(glued._replace(announced=900)) == [SURE]
    assert judged(glued._replace(alone=True)) == [HELD]


@pytest.mark.parametrize("line", [b"+OKAY\r\n", b"", b"+\r\n", b"+OK: field\r\n", b"-ERROR: x\r\n"])
def test_no_other_line_is_a_status_line(line: bytes) -> None:
    assert judged(begun(line, 800, 805)) == [HELD]


def test_the_same_octets_twice_in_a_row_are_another_one_like_it_or_a_reply_that_came_twice() -> None:
    twice = came(700, 700, EXACT.sha, only=False)
    assert judged(EXACT, twice) == [SURE, TWIN]
    assert judged(EXACT, twice._replace(alone=True)) == [SURE, LIKELY]
    assert judged(EXACT, came(800, 700, EXACT.sha, alone=ONE_BY_ONE)) == [SURE, AGAINST]
    assert judged(came(800, 123, "a"), came(800, 123, "a")) == [HELD, TWIN]


def test_a_body_of_the_size_of_another_one_on_its_way_is_that_one() -> None:
    theirs = came(700, 717)._replace(elsewhere=True)
    assert judged(theirs) == [AGAINST]
    assert judged(theirs._replace(alone=True)) == [HELD]
    assert judged(theirs, lies=True) == [HELD]
    assert judged(came(700, 700)._replace(elsewhere=True)) == [SURE]


def test_it_is_told_when_quit_must_wait() -> None:
    measure = Measure()
    measure.judge(EXACT)
    assert (measure.exact, measure.odd, measure.twin, measure.knows) == (True, False, False, True)
    measure.judge(came(720, 800))
    assert (measure.exact, measure.odd) == (False, False)
    odd = Measure()
    odd.judge(came(700, 123))
    assert (odd.exact, odd.odd, odd.knows) == (False, True, False)
    odd.certain()
    assert (odd.exact, odd.odd) == (False, False)


def test_the_way_in_which_a_held_one_was_counted_may_be_known_later() -> None:
    measure = Measure()
    first = measure.judge(came(705, 700))
    assert not measure.fits(first.way)
    measure.judge(came(805, 800))
    assert measure.fits(first.way)
    assert not measure.odd


def test_what_earlier_sessions_learned_is_known_from_the_first_body_on() -> None:
    measure = Measure("exact")
    assert measure.judge(came(800, 1500)).place is AGAINST
    learned = Measure()
    learned.judge(came(630, 700))
    assert learned.counts == "a line end is one octet"
    assert Measure(learned.counts).judge(came(720, 800)).place is SURE


def test_a_server_that_lied_is_believed_again_when_it_counts_rightly_for_a_while() -> None:
    measure = Measure(lies=True)
    for number in range(30):
        measure.judge(came(700 + number, 700 + number))
    assert (measure.lies, measure.knows) == (False, True)
    assert measure.judge(came(800, 1500)).place is AGAINST


def test_lines_are_counted_only_where_the_size_is_not_exact() -> None:
    def never() -> list[bytes]:
        raise AssertionError

    assert judged(Came(700, 700, HEAD, "a", never), Came(800, 700, HEAD, "b", never)) == [SURE, AGAINST]
