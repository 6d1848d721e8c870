"""Threads that pass small messages to each other stay on one core; nobody else does, and nobody for good."""

import os
from collections.abc import Callable
from threading import Thread

import pytest

from lib.run.affinity import Core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not let us choose")


def cores() -> set[int]:
    return os.sched_getaffinity(0)  # of the calling thread


def in_a_thread(work: Callable[[], set[int]]) -> set[int]:
    told: list[set[int]] = []
    thread = Thread(target=lambda: told.append(work()))
    thread.start()
    thread.join()
    return told[0]


def cores_after(core: Core, *stays: bool) -> set[int]:
    for yes in stays:
        core.stay(yes)
    return cores()


def test_who_stays_has_one_core_and_it_is_the_same_for_all() -> None:
    core = Core()
    first, second = (in_a_thread(lambda: cores_after(core, True)) for _ in range(2))
    assert len(first) == 1
    assert first == second
    assert first <= cores()


def test_who_is_let_go_may_run_anywhere_again() -> None:
    everywhere, core = cores(), Core()
    assert in_a_thread(lambda: cores_after(core, True, False)) == everywhere


def test_the_others_and_the_commands_that_they_run_are_not_kept() -> None:
    everywhere, core = cores(), Core()
    in_a_thread(lambda: cores_after(core, True))
    assert cores() == everywhere


def test_a_thread_that_one_that_stays_has_started_is_let_go_as_well() -> None:
    everywhere, core = cores(), Core()

    def hire() -> set[int]:
        core.stay(True)
        return in_a_thread(lambda: cores_after(core, False))

    assert in_a_thread(hire) == everywhere


def test_where_the_core_cannot_be_chosen_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    everywhere, core = cores(), Core()
    core.stay(True)
    assert cores() == everywhere
