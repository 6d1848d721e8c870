"""Delivery requests between fetchers and delivery threads: none lost, none twice, nobody waits for ever."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import pytest

from lib.delivery.queue import DeliveryQueue
from lib.delivery.queued import DeliveryRequest, Tried

PATIENCE = 20.0  # seconds: only a test that fails waits so long


class Named(NamedTuple):
    """What stands for a delivery request; a queue looks no further into it."""

    name: object
    tried: Tried


def request(name: object, tried: Tried = Tried.NEVER) -> DeliveryRequest:
    return cast("DeliveryRequest", Named(name, tried))


ONE, TWO, THREE = request("one"), request("two"), request("three")


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


def session(queue: DeliveryQueue) -> Doing:
    """Hire a delivery thread that waits for its first delivery request."""
    queue.enter()
    waiting = _waiting(queue)
    one = Doing(queue.take)
    until(lambda: _waiting(queue) > waiting)
    return one


def _waiting(queue: DeliveryQueue) -> int:
    return len(cast("Any", queue._work)._waiters)


def resting(queue: DeliveryQueue) -> Doing:
    """Wait in settle()."""
    one = Doing(lambda: queue.settle(PATIENCE))
    until(lambda: len(cast("Any", queue._rest)._waiters) == 1)
    return one


def test_errands_come_out_in_the_order_in_which_they_were_put() -> None:
    queue = DeliveryQueue()
    queue.enter()
    assert [queue.put(one) for one in (ONE, TWO, THREE)] == [1, 2, 3]
    assert [queue.take(), queue.take(), queue.take()] == [ONE, TWO, THREE]


def test_a_courier_waits_for_an_errand() -> None:
    queue = DeliveryQueue()
    waiting = session(queue)
    queue.put(ONE)
    assert waiting.result() is ONE


def test_an_errand_reaches_a_courier_while_somebody_waits_for_the_end() -> None:
    # One wake-up goes to one waiter: it must not be the one who waits for the end.
    queue = DeliveryQueue()
    queue.enter()
    settled = resting(queue)
    waiting = session(queue)
    queue.put(ONE)
    assert waiting.result() is ONE
    queue.leave()
    queue.leave()
    assert settled.result()


def test_an_errand_that_is_given_back_reaches_another_courier_while_somebody_waits_for_the_end() -> None:
    queue = DeliveryQueue()
    queue.enter()
    settled = resting(queue)
    waiting = session(queue)
    queue.give_back(ONE)
    assert waiting.result() is ONE
    queue.stop()
    assert settled.result()


def test_what_is_given_back_comes_first() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    queue.put(TWO)
    queue.give_back(THREE)
    assert queue.take() is THREE
    assert queue.take() is ONE


def test_polling_does_not_wait() -> None:
    queue = DeliveryQueue()
    assert queue.poll() is None
    queue.put(ONE)
    assert queue.poll() is ONE
    assert queue.poll() is None


def test_after_the_end_what_is_there_is_still_delivered() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    queue.put(TWO)
    queue.close()
    assert queue.take() is ONE
    assert queue.poll() is TWO
    assert queue.take() is None


def test_once_stopped_nothing_is_delivered() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    queue.stop()
    assert queue.take() is None
    assert queue.poll() is None


@pytest.mark.parametrize("end", [DeliveryQueue.close, DeliveryQueue.stop])
def test_the_end_wakes_every_courier(end: Callable[[DeliveryQueue], None]) -> None:
    queue = DeliveryQueue()
    waiting = [session(queue) for _ in range(4)]
    end(queue)
    assert [one.result() for one in waiting] == [None] * 4


# --- whether anything is left to do -----------------------------------------------------------------------------------


def test_nothing_is_left_to_do_at_first() -> None:
    assert DeliveryQueue().settle(0)


def test_an_errand_that_waits_is_left_to_do() -> None:
    queue = DeliveryQueue()
    queue.put(ONE)
    assert not queue.settle(0)


def test_a_courier_on_its_way_is_left_to_wait_for() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    queue.take()
    assert not queue.settle(0)


def test_a_courier_that_was_hired_counts_before_it_asks() -> None:
    queue = DeliveryQueue()
    queue.enter()
    assert not queue.settle(0)


def test_nothing_is_left_when_all_couriers_wait_again() -> None:
    queue = DeliveryQueue()
    queue.enter()
    settled = resting(queue)
    waiting = Doing(queue.take)
    assert settled.result()
    queue.close()
    waiting.result()


def test_nothing_is_left_when_the_last_courier_has_gone() -> None:
    queue = DeliveryQueue()
    queue.enter()
    settled = resting(queue)
    queue.leave()
    assert settled.result()


def test_a_courier_that_goes_without_its_errand_leaves_it_to_do() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    queue.take()
    queue.give_back(ONE)
    queue.leave()
    assert not queue.settle(0)


def test_couriers_that_were_told_of_the_end_are_counted_out_once() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.close()
    assert queue.take() is None
    assert not queue.settle(0)
    queue.leave()
    assert queue.settle(0)


def test_once_stopped_nothing_is_waited_for() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    settled = resting(queue)
    queue.stop()
    assert settled.result()


def test_many_couriers_carry_every_errand_once() -> None:
    queue, count = DeliveryQueue(), 2000
    carried: list[list[DeliveryRequest]] = [[] for _ in range(4)]

    def carry(mine: list[DeliveryRequest]) -> None:
        while (one := queue.take()) is not None:
            mine.append(one)
            if (follower := queue.poll()) is not None:
                queue.give_back(follower)
        queue.leave()

    for _ in carried:
        queue.enter()
    sessions = [Doing(partial(carry, mine)) for mine in carried]
    for number in range(count):
        queue.put(request(number))
    assert queue.settle(PATIENCE)
    queue.close()
    for one in sessions:
        one.result()
    assert Counter(number for mine in carried for number in mine) == Counter(map(request, range(count)))


POISON = request("poison", Tried.BROKE)


def test_what_broke_a_connection_comes_behind_all_others_and_is_never_offered_beside_another() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put_behind(ONE)
    for one in (POISON, TWO, THREE):
        queue.put(one)
    assert queue.poll() == TWO
    queue.give_back(TWO)
    assert [queue.take(), queue.take(), queue.poll(), queue.take(), queue.take()] == [
        TWO,
        THREE,
        None,
        ONE,
        POISON,
    ]


def test_what_is_given_back_after_it_broke_a_connection_stays_behind() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put(ONE)
    queue.give_back(POISON)
    assert [queue.take(), queue.take()] == [ONE, POISON]


def test_nothing_is_settled_while_something_waits_behind() -> None:
    queue = DeliveryQueue()
    queue.put_behind(ONE)
    assert not queue.settle(0)


def test_a_courier_that_waits_is_woken_by_what_comes_behind() -> None:
    queue = DeliveryQueue()
    waiting = session(queue)
    queue.put_behind(ONE)
    assert waiting.result() == ONE


def test_a_closed_outbox_still_gives_out_what_waits_behind() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put_behind(ONE)
    queue.close()
    assert [queue.take(), queue.take()] == [ONE, None]


def test_a_stopped_outbox_says_so_and_gives_out_nothing() -> None:
    queue = DeliveryQueue()
    queue.enter()
    queue.put_behind(ONE)
    assert not queue.stopped
    queue.stop()
    assert queue.stopped
    assert queue.take() is None
