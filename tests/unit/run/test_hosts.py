"""How many sessions a server takes at once: every step of the value, and what is remembered."""

from collections.abc import Callable
from functools import reduce

import pytest

from lib.run.hosts import PROBE, Host
from lib.store.state import HostState

STEPS: dict[str, Callable[[Host], Host]] = {
    "b": Host.begin,
    "i": lambda host: host.admit(again=False),
    "a": lambda host: host.admit(again=True),
    "t": lambda host: host.turn_away(alone=host.open == 1),
    "m": lambda host: host.turn_away(alone=False),  # others were there meanwhile
    "e": lambda host: host.end(inside=True),
    "x": lambda host: host.end(inside=False),
    "w": lambda host: host._replace(waited=True),
}


def after(steps: str, known: HostState | None = None) -> Host:
    return reduce(lambda host, step: STEPS[step](host), steps, Host.of(known or HostState()))


@pytest.mark.parametrize(
    ("steps", "most", "opened", "full"),
    [
        ("", 0, 0, False),
        ("bbbbbbbb", 0, 8, False),
        ("bibibi", 0, 3, False),
        ("bibibibibt", 4, 4, True),
        ("bibibibibte", 4, 3, False),
        ("bbbbbbbbtttt", 4, 4, True),  # those over four may hear of it before anybody is in
        ("bbbbbbbbttttiiii", 4, 4, True),
        ("bibibtebt", 1, 1, True),
        ("bibtebt", 1, 0, False),  # alone: it was not for others
        ("bt", 0, 0, False),
        ("bbtt", 0, 0, False),  # nobody was let in: it is no limit
        ("bx", 0, 0, False),
        ("bibibbbeemmm", 2, 0, False),  # those who are only waiting say less than those who were in
        ("bibibeebm", 2, 1, False),
        ("bibem", 1, 0, False),
    ],
)
def test_who_is_turned_away_tells_how_many_there_may_be(steps: str, most: int, opened: int, full: bool) -> None:
    host = after(steps)
    assert (host.most, host.open, host.full) == (most, opened, full)


def test_a_limit_is_kept_from_the_start() -> None:
    host = after("bb", HostState(sessions=2))
    assert host.full
    assert not host.end(inside=False).full


def test_each_time_fewer_are_tried_so_that_it_ends() -> None:
    host = after("bi" * 8)
    for most in (7, 6, 5, 4, 3, 2, 1):
        host = host.end(inside=True).begin().turn_away(alone=False)
        assert host.most == most
        assert host.full
    assert host.end(inside=True).begin().turn_away(alone=True).most == 1


@pytest.mark.parametrize(
    ("known", "steps", "learned"),
    [
        (HostState(), "bi", HostState()),
        (HostState(), "bibibt", HostState()),  # who was turned away never got in: it may be down for him
        (HostState(), "bibibteba", HostState(sessions=2)),
        (HostState(4, 7), "bi", HostState(4, 7)),
        (HostState(4, 7), "biw", HostState(4, 8)),
        (HostState(4, PROBE - 1), "biw", HostState(5)),
        (HostState(5), "bibibt", HostState(5)),
        (HostState(5), "bibibteba", HostState(2)),
    ],
)
def test_what_is_remembered(known: HostState, steps: str, learned: HostState) -> None:
    assert after(steps, known).learned() == learned
