"""A few stories of odd servers each, and that the models would see what they look for.

Many more by hand: tests/faults/torture.py pop-model, receiver-model.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults import model_run, model_stage, pop_model, receiver_model
from tests.faults.model_stage import Kill
from tests.faults.odd_pop import Fault, Habits, Held, OddWorld
from tests.faults.odd_smtp import Manner, OddReceivers
from tests.faults.pop_story import Mail, Pass, Story
from tests.faults.receiver_story import Mail as Sending
from tests.faults.receiver_story import Story as ReceiverStory
from tests.faults.world import Letter

STORIES = 8


@pytest.mark.parametrize("model", ["tests.faults.pop_model", "tests.faults.receiver_model"])
def test_odd_servers_lose_nothing_and_send_nothing_twice(model: str) -> None:
    """Without odd luck: the same stories each time."""
    assert [f"{seed}: {wrong}" for seed, wrong, _ in model_run.play(model, "suite", 0, STORIES) if wrong] == []


class Forgetful(list[Letter]):
    """A receiver that says 250 and throws the mail away."""

    def append(self, _: Letter) -> None:
        """Forget it."""


class Doubling(list[Letter]):
    """A program that sends everything twice."""

    def append(self, letter: Letter) -> None:
        """Keep it twice."""
        super().append(letter)
        super().append(replace(letter))


class Altering(list[Letter]):
    """A line that alters an octet."""

    def append(self, letter: Letter) -> None:
        """Keep another letter."""
        super().append(replace(letter, content=letter.content.replace(b"ends", b"bends")))


class Anybody(list[Any]):
    """A program that forgets whose mail it is."""

    def append(self, letter: Any) -> None:
        """Keep it without its sender."""
        super().append(replace(letter, sender=b"other@sender.example"))


FAULTS = [(Forgetful, "lost"), (Doubling, "twice"), (Altering, "altered")]
ORDINARY = Story(Habits(), Habits(), (Mail(1, "bob", 120), Mail(2, "bob", 700), Pass()))
SIMPLE = ReceiverStory(Manner(), (), (Sending(1), Sending(2)))


@pytest.mark.parametrize(("kind", "wrong"), FAULTS)
def test_the_model_of_pop_servers_sees_what_goes_wrong(kind: type[list[Letter]], wrong: str) -> None:
    class World(OddWorld):
        def clear(self) -> None:
            super().clear()
            self.letters = kind()

    with model_stage.Stage(World, pop_model.PopPlay) as stage:
        assert stage.play(ORDINARY).startswith(f"in pass 1: {wrong}: ")


@pytest.mark.parametrize(("kind", "wrong"), [*FAULTS, (Anybody, "sender")])
def test_the_model_of_receivers_sees_what_goes_wrong(kind: type[list[Letter]], wrong: str) -> None:
    class World(OddReceivers):
        def clear(self) -> None:
            super().clear()
            self.letters = kind()

    with model_stage.Stage(World, receiver_model.ReceiverPlay) as stage:
        assert stage.play(SIMPLE).startswith(f"in pass 1: {wrong}: ")


class Greedy(OddWorld):
    """A server that deletes whatever is there at any QUIT: as if all had been asked for."""

    def remove(self, user: str, _: list[Held]) -> None:
        """Delete all."""
        super().remove(user, list(self.boxes[user]))


def test_a_mail_that_is_deleted_unread_is_lost() -> None:
    hidden = Story(
        Habits(), Habits(), (Mail(1, "bob", 120), Pass((Fault("LIST", "missing", 1), Fault("UIDL", "missing", 1))))
    )
    with model_stage.Stage(Greedy, pop_model.PopPlay) as stage:
        assert stage.play(hidden).startswith("in pass 1: lost: [1]")


class Lazy(OddReceivers):
    """A receiver that never takes what it would take."""

    def refusal(self, who: bytes, phase: str) -> bytes:
        """Put everybody off."""
        return b"450 4.7.1 later" if phase == "RCPT" else super().refusal(who, phase)


def test_a_mail_that_never_arrives_is_late() -> None:
    with model_stage.Stage(Lazy, receiver_model.ReceiverPlay) as stage:
        assert ": late: 1 for " in stage.play(SIMPLE)


def test_a_story_is_the_same_whenever_it_is_told() -> None:
    for model in (pop_model, receiver_model):
        assert model.told("suite-7") == model.told("suite-7") != model.told("suite-8")


def test_a_story_is_shortened_step_by_step() -> None:
    story = Story(
        Habits(uidl="tabs"), Habits(), (Mail(1, "bob", 700), Pass((Fault("RETR", "no dot"),), Kill(("dot", 1))))
    )
    less = list(pop_model.lighter(story))
    assert Story(Habits(), Habits(), story.events) in less
    assert story._replace(events=(story.events[0], Pass((Fault("RETR", "no dot"),)))) in less
    assert all(one != story for one in less)
