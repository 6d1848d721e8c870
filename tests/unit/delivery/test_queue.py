"""Errands on their way from the fetchers to the couriers: none lost, none twice, nobody waits for ever."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import pytest

from lib.delivery.queue import Outbox
from lib.delivery.queued import Errand, Tried

PATIENCE = 20.0  # seconds: only a test that fails waits so long


class Named(NamedTuple):
    """What stands for an errand; an outbox looks no further into it."""

    name: object
    tried: Tried


def errand(name: object, tried: Tried = Tried.NEVER) -> Errand:
    return cast("Errand", Named(name, tried))


ONE, TWO, THREE = errand("one"), errand("two"), errand("three")


class Doing(threading.Thread):
    """Something that is done meanwhile; result() waits for it."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._act = act
        self._found: Any = None
        self.start()

    def run(self) -> None:
        self._found = self._act()

    def result(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "it waits for ever"
        return self._found


def until(claim: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if claim():
            return
        pause.wait(0.001)
    pytest.fail("it never came true")


def courier(outbox: Outbox) -> Doing:
    """Hire a courier that waits for its first errand."""
    outbox.enter()
    waiting = _waiting(outbox)
    one = Doing(outbox.take)
    until(lambda: _waiting(outbox) > waiting)
    return one


def _waiting(outbox: Outbox) -> int:
    return len(cast("Any", outbox._work)._waiters)


def resting(outbox: Outbox) -> Doing:
    """Wait in settle()."""
    one = Doing(lambda: outbox.settle(PATIENCE))
    until(lambda: len(cast("Any", outbox._rest)._waiters) == 1)
    return one


def test_errands_come_out_in_the_order_in_which_they_were_put() -> None:
    outbox = Outbox()
    outbox.enter()
    assert [outbox.put(one) for one in (ONE, TWO, THREE)] == [1, 2, 3]
    assert [outbox.take(), outbox.take(), outbox.take()] == [ONE, TWO, THREE]


def test_a_courier_waits_for_an_errand() -> None:
    outbox = Outbox()
    waiting = courier(outbox)
    outbox.put(ONE)
    assert waiting.result() is ONE


def test_an_errand_reaches_a_courier_while_somebody_waits_for_the_end() -> None:
    # One wake-up goes to one waiter: it must not be the one who waits for the end.
    outbox = Outbox()
    outbox.enter()
    settled = resting(outbox)
    waiting = courier(outbox)
    outbox.put(ONE)
    assert waiting.result() is ONE
    outbox.leave()
    outbox.leave()
    assert settled.result()


def test_an_errand_that_is_given_back_reaches_another_courier_while_somebody_waits_for_the_end() -> None:
    outbox = Outbox()
    outbox.enter()
    settled = resting(outbox)
    waiting = courier(outbox)
    outbox.give_back(ONE)
    assert waiting.result() is ONE
    outbox.stop()
    assert settled.result()


def test_what_is_given_back_comes_first() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    outbox.put(TWO)
    outbox.give_back(THREE)
    assert outbox.take() is THREE
    assert outbox.take() is ONE


def test_polling_does_not_wait() -> None:
    outbox = Outbox()
    assert outbox.poll() is None
    outbox.put(ONE)
    assert outbox.poll() is ONE
    assert outbox.poll() is None


def test_after_the_end_what_is_there_is_still_delivered() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    outbox.put(TWO)
    outbox.close()
    assert outbox.take() is ONE
    assert outbox.poll() is TWO
    assert outbox.take() is None


def test_once_stopped_nothing_is_delivered() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    outbox.stop()
    assert outbox.take() is None
    assert outbox.poll() is None


@pytest.mark.parametrize("end", [Outbox.close, Outbox.stop])
def test_the_end_wakes_every_courier(end: Callable[[Outbox], None]) -> None:
    outbox = Outbox()
    waiting = [courier(outbox) for _ in range(4)]
    end(outbox)
    assert [one.result() for one in waiting] == [None] * 4


# --- whether anything is left to do -----------------------------------------------------------------------------------


def test_nothing_is_left_to_do_at_first() -> None:
    assert Outbox().settle(0)


def test_an_errand_that_waits_is_left_to_do() -> None:
    outbox = Outbox()
    outbox.put(ONE)
    assert not outbox.settle(0)


def test_a_courier_on_its_way_is_left_to_wait_for() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    outbox.take()
    assert not outbox.settle(0)


def test_a_courier_that_was_hired_counts_before_it_asks() -> None:
    outbox = Outbox()
    outbox.enter()
    assert not outbox.settle(0)


def test_nothing_is_left_when_all_couriers_wait_again() -> None:
    outbox = Outbox()
    outbox.enter()
    settled = resting(outbox)
    waiting = Doing(outbox.take)
    assert settled.result()
    outbox.close()
    waiting.result()


def test_nothing_is_left_when_the_last_courier_has_gone() -> None:
    outbox = Outbox()
    outbox.enter()
    settled = resting(outbox)
    outbox.leave()
    assert settled.result()


def test_a_courier_that_goes_without_its_errand_leaves_it_to_do() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    outbox.take()
    outbox.give_back(ONE)
    outbox.leave()
    assert not outbox.settle(0)


def test_couriers_that_were_told_of_the_end_are_counted_out_once() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.close()
    assert outbox.take() is None
    assert not outbox.settle(0)
    outbox.leave()
    assert outbox.settle(0)


def test_once_stopped_nothing_is_waited_for() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    settled = resting(outbox)
    outbox.stop()
    assert settled.result()


def test_many_couriers_carry_every_errand_once() -> None:
    outbox, count = Outbox(), 2000
    carried: list[list[Errand]] = [[] for _ in range(4)]

    def carry(mine: list[Errand]) -> None:
        while (one := outbox.take()) is not None:
            mine.append(one)
            if (follower := outbox.poll()) is not None:
                outbox.give_back(follower)
        outbox.leave()

    for _ in carried:
        outbox.enter()
    couriers = [Doing(partial(carry, mine)) for mine in carried]
    for number in range(count):
        outbox.put(errand(number))
    assert outbox.settle(PATIENCE)
    outbox.close()
    for one in couriers:
        one.result()
    assert Counter(number for mine in carried for number in mine) == Counter(map(errand, range(count)))


POISON = errand("poison", Tried.BROKE)


def test_what_broke_a_connection_comes_behind_all_others_and_is_never_offered_beside_another() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put_behind(ONE)
    for one in (POISON, TWO, THREE):
        outbox.put(one)
    assert outbox.poll() == TWO
    outbox.give_back(TWO)
    assert [outbox.take(), outbox.take(), outbox.poll(), outbox.take(), outbox.take()] == [
        TWO,
        THREE,
        None,
        ONE,
        POISON,
    ]


def test_what_is_given_back_after_it_broke_a_connection_stays_behind() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put(ONE)
    outbox.give_back(POISON)
    assert [outbox.take(), outbox.take()] == [ONE, POISON]


def test_nothing_is_settled_while_something_waits_behind() -> None:
    outbox = Outbox()
    outbox.put_behind(ONE)
    assert not outbox.settle(0)


def test_a_courier_that_waits_is_woken_by_what_comes_behind() -> None:
    outbox = Outbox()
    waiting = courier(outbox)
    outbox.put_behind(ONE)
    assert waiting.result() == ONE


def test_a_closed_outbox_still_gives_out_what_waits_behind() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put_behind(ONE)
    outbox.close()
    assert [outbox.take(), outbox.take()] == [ONE, None]


def test_a_stopped_outbox_says_so_and_gives_out_nothing() -> None:
    outbox = Outbox()
    outbox.enter()
    outbox.put_behind(ONE)
    assert not outbox.stopped
    outbox.stop()
    assert outbox.stopped
    assert outbox.take() is None
