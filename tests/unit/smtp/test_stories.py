"""Receivers that misbehave at random: nothing is lost, twice, altered, empty or another's, and nobody waits long."""

import random
from collections import Counter

import pytest

from lib.smtp import session
from tests.unit.smtp.stories import SPARE, Letter, Mood, Office, Played, story

PASSES = 3


def due(mood: Mood, letter: Letter) -> list[bytes]:
    """Return whom a letter must have reached: nothing is the matter with it, with them, or with its sender."""
    put_off = mood.senders == "MAIL" and mood.sender_word.startswith(b"4") and letter.name.startswith(b"odd")
    if letter.phase or mood.twice or put_off:
        return []
    return [who for who in letter.recipients if who not in mood.people]


def wrong(mood: Mood, office: Office) -> list[str]:
    """Return what is not as it must be after the last pass."""
    found = list(mood.wrong)
    count = Counter((name, who) for name, _, who in mood.taken)
    found += [f"{one} came {n} times" for one, n in count.items() if n > 1 + mood.unheard[one]]
    found += [f"{one} counts as accepted and never came" for one in office.accepted if not count[one]]
    found += [f"{one} counts as refused and came" for one in office.refused if count[one] > mood.unheard[one]]
    for name, sender, _ in mood.taken:
        letter = mood.letters[name]
        by_policy = bool(mood.senders) and name.startswith(b"odd")
        refused = by_policy or (letter.phase == "MAIL" and letter.word.startswith(b"5"))
        fine = sender == letter.sender or (refused and sender in {b"", SPARE})
        found += [] if fine else [f"{name!r} came from {sender!r}"]
    for letter in mood.letters.values():
        found += [f"{letter.name!r} never reached {who!r}" for who in due(mood, letter) if not count[letter.name, who]]
    return found


def told(mood: Mood) -> str:
    """Say what is odd about a receiver."""
    usual = Mood()
    facts = ("letters", "taken", "unheard", "wrong", "connections")
    odd = {name: getattr(mood, name) for name in mood.__slots__ if name not in facts}
    letters = [f"{one.name!r}({len(one.recipients)}) {one.phase} {one.word!r}" for one in mood.letters.values()]
    return f"{ {name: value for name, value in odd.items() if value != getattr(usual, name)} } {letters}"


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_receiver_does(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for turn in range(100):
        dice = random.Random(f"{seed} {turn}")  # noqa: S311 - to be repeated
        mood, letters = story(dice)
        office = Office(letters)

        class Wires:
            """What opens connections to this receiver."""

            @staticmethod
            def connect(*_: object, mood: Mood = mood) -> Played:
                assert mood.connections < 3000, "it comes to no end"
                return Played(mood)

        monkeypatch.setattr(session, "Wire", Wires)
        ends = [office.make_pass(mood) for _ in range(PASSES)]
        found = wrong(mood, office)
        assert not found, f"story {seed} {turn}: {found[:5]}, passes {ends}, {told(mood)}"
        assert set(office.finals.values()) <= {1}
