"""Several connections at once to receivers that misbehave at random, and have room for few: nobody is kept waiting."""

import random
import time
from collections.abc import Iterable
from threading import Condition, RLock, Thread, get_ident

import pytest

from lib.delivery.queued import DeliveryAttempt, DeliveryRequest, QueuedMessage
from lib.errors import ReceiverError
from lib.smtp import session, verdict
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health
from lib.smtp.session import Session
from tests.unit.smtp.stories import Letter, Mood, Office, Played, story
from tests.unit.smtp.test_stories import PASSES, told, wrong

LONGEST, SHORT = 30.0, 0.0005  # seconds of a pass, and before a receiver hears


class Crowded:
    """A receiver with room for so many connections at once, 0 for any number."""

    def __init__(self, mood: Mood, room: int) -> None:
        self._mood, self._room = mood, room
        self._inside: list[Played] = []
        self.lock = RLock()

    def connect(self, *_: object) -> Played:
        with self.lock:
            self._inside = [one for one in self._inside if not one.closed]
            one = Locked(self._mood, self.lock)
            if 0 < self._room <= len(self._inside):
                one.said = bytearray(b"421 4.7.0 too many connections\r\n")
            else:
                self._inside.append(one)
            return one


class Locked(Played):
    """One of several connections."""

    def __init__(self, mood: Mood, lock: RLock) -> None:
        super().__init__(mood)
        self._lock = lock

    def hear(self, octets: bytes) -> None:
        time.sleep(random.random() * SHORT)  # noqa: S311 - so that the threads take turns
        with self._lock:
            super().hear(octets)


class Shared(Office):
    """A queue that several take from; who takes the next one is through with the one before."""

    def __init__(self, letters: Iterable[Letter]) -> None:
        super().__init__(letters)
        self._changed = Condition(RLock())
        self._busy: set[int] = set()

    def take(self) -> DeliveryRequest | None:
        with self._changed:
            self.through()
            while not self.stopped:
                if (request := super().take()) is not None:
                    self._busy.add(get_ident())
                    return request
                if not self._busy:
                    return None
                self._changed.wait(LONGEST)
            return None

    def through(self) -> None:
        with self._changed:
            self._busy.discard(get_ident())
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def poll(self) -> DeliveryRequest | None:
        with self._changed:
            return super().poll()

    def give_back(self, request: DeliveryRequest) -> None:
        with self._changed:
            super().give_back(request)
            self._changed.notify_all()

    def put_behind(self, request: DeliveryRequest) -> None:
        with self._changed:
            super().put_behind(request)
            self._changed.notify_all()

    def heard(self, attempt: DeliveryAttempt) -> Iterable[DeliveryRequest]:
        with self._changed:
            return super().heard(attempt)

    def broke(self, queued: QueuedMessage, why: str) -> None:
        with self._changed:
            super().broke(queued, why)

    def deliver(self, health: Health, sessions: list[Session]) -> None:
        """Carry all over these sessions, a thread each."""
        for one in sessions:
            health.opens(one)
        self.stopped = False
        threads = [Thread(target=self._carry, args=(health, one), daemon=True) for one in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST)
            assert not thread.is_alive(), "it comes to no end"

    def _carry(self, health: Health, one: Session) -> None:
        try:
            Deliver(one, health, self).run()
        except ReceiverError:
            if health.down():
                self.stop()
        finally:
            self.through()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_receiver_does_and_however_little_room_it_has(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(verdict, "PAUSES", (0.0, 0.0, 0.0))
    for turn in range(20):
        dice = random.Random(f"{seed} {turn}")  # noqa: S311 - to be repeated
        mood, letters = story(dice)
        office = Shared(letters)
        monkeypatch.setattr(session, "Wire", Crowded(mood, dice.choice((0, 1, 2))))
        for _ in range(PASSES):
            way, health = office.begin(mood)
            office.deliver(health, [Session(way) for _ in range(dice.choice((2, 4)))])
            office.learned = health.learned
        found = wrong(mood, office)
        assert not found, f"story {seed} {turn}: {found[:5]}, {told(mood)}"
        assert set(office.finals.values()) <= {1}
