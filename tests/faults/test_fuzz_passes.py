"""Any story of mail, passes, kills and power cuts: whatever was put on the server is in the end with everybody whom it
is for, once; twice only where no 250 was on record. Nothing leaves the server before.

CI plays the same short stories every time; POPFETCH_STORIES=2000 lets hypothesis tell so many new ones, and
tests/faults/stories.py plays any number by dice.
"""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.faults import stories
from tests.faults.disk import PowerCut
from tests.faults.model import NAMES, Ways, World

STORIES = int(os.environ.get("POPFETCH_STORIES", "0"))
DICE = 100

seeds = st.integers(0, 1 << 32)
tapes = seeds.map(stories.tape)
cuts = seeds.map(stories.power_cut)
places = st.integers(0, 5000)


def test_stories_by_dice_end_well() -> None:
    ends = {number: stories.play(stories.told(f"ci {number}")) for number in range(DICE)}
    assert not any(ends.values()), {number: words for number, words in ends.items() if words}


class Story(RuleBasedStateMachine):
    """What may happen to an office and its mail."""

    @initialize(ways=st.sampled_from(stories.WAYS))
    def begin(self, ways: Ways) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=stories.MEMORY if os.access(stories.MEMORY, os.W_OK) else None))
        self.world = World(self.folder, ways)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
        finally:
            self.world.end()
            shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(NAMES), seed=seeds)
    def mail_comes(self, name: str, seed: int) -> None:
        stories.mail(self.world, name, seed)

    @rule(tape=tapes)
    def pass_(self, tape: list[int]) -> None:
        self.world.run(tape)

    @rule(tape=tapes, breaks=st.integers(0, 30))
    def pass_over_a_line_that_breaks(self, tape: list[int], breaks: int) -> None:
        self.world.run(tape, breaks=breaks)

    @rule(tape=tapes, calls=st.integers(0, 120))
    def pass_that_is_killed(self, tape: list[int], calls: int) -> None:
        self.world.run(tape, calls=calls)

    @rule(tape=tapes, calls=st.integers(0, 120), cut=cuts)
    def pass_that_a_power_cut_ends(self, tape: list[int], calls: int, cut: PowerCut) -> None:
        self.world.run(tape, calls=calls, cut=cut)

    @rule(cut=cuts)
    def power_cut(self, cut: PowerCut) -> None:
        self.world.cut(cut)

    @rule(name=st.sampled_from(NAMES))
    def renumber(self, name: str) -> None:
        self.world.renumber(name)

    @rule()
    def day_goes_by(self) -> None:
        self.world.days += 1

    @precondition(lambda self: not self.world.ways.reuse)
    @rule(place=places, flip=st.integers(1, 255))
    def journal_is_damaged(self, place: int, flip: int) -> None:
        self.world.damage(place, flip)

    @rule()
    def reset(self) -> None:
        self.world.reset()

    @invariant()
    def nothing_came_twice(self) -> None:
        if hasattr(self, "world"):
            self.world.look()


TestStory = Story.TestCase
TestStory.settings = settings(
    max_examples=STORIES or 25,
    stateful_step_count=50 if STORIES else 15,
    derandomize=not STORIES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
