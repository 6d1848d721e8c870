"""Which clock can be believed: nothing is deleted for its age, and nothing is given up, because a clock jumped. Pure.

A machine tells two times: the wall's, which somebody may set, and how long it has been up, which nobody can. Where
they disagree within one boot, the wall clock was set. Where they cannot be compared, for the machine was started anew,
only a gap of more than a week gives a clock away. Whatever is in doubt is confirmed by a later pass.
"""

import time
from enum import Enum
from pathlib import Path
from typing import NamedTuple

EARLIEST = 1_577_836_800.0  # 2020: older than this program
STEP = 3600.0  # seconds by which two clocks may disagree
GAP = 7 * 86400.0  # seconds between two passes that are no surprise
CONFIRMED = 3600.0  # seconds on which a later pass must be to confirm the time
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Reading(NamedTuple):
    """Both clocks at one moment, in seconds; *boot* names the start of the machine from which *up* counts, if known."""

    wall: float
    up: float
    boot: str


class Doubt(Enum):
    """Why the time is in doubt."""

    NONE = ""
    EARLY = "the clock stands before 2020"
    STEPPED = "the clock was set"
    BACK = "the clock stands before the last pass"
    GAP = "the last pass was more than a week ago"
    PENDING = "the time was in doubt less than an hour ago"


class ClockMemory(NamedTuple):
    """What a pass leaves for the next one: its reading, and since when the time is in doubt (None: it is not)."""

    reading: Reading
    doubtful_since: float | None = None


class Shift(NamedTuple):
    """How noted times move: by *by* those between *began* and *until*; impossible ones become *now* (0: not yet)."""

    began: float
    until: float
    by: float
    now: float

    def of(self, moment: float) -> float:
        """Return a noted time as it stands by today's clock; 0 is none."""
        if not moment:
            return moment
        if self.began <= moment <= self.until:
            moment += self.by
        impossible = moment < EARLIEST or moment > self.now + STEP
        return self.now if self.now and impossible else moment


UNMOVED = Shift(0.0, 0.0, 0.0, 0.0)


class ClockJudgement(NamedTuple):
    """What is to be thought of the time, what the next pass is to know, and how noted times move."""

    doubt: Doubt
    seen: ClockMemory
    shift: Shift

    @property
    def trusted(self) -> bool:
        """Say whether something may be deleted for its age, or given up."""
        return self.doubt is Doubt.NONE


def judge(before: ClockMemory | None, now: Reading) -> ClockJudgement:
    """Return what is to be thought of *now* after what the last pass saw; None: there was none."""
    if now.wall < EARLIEST:
        return ClockJudgement(
            Doubt.EARLY, ClockMemory(now, now.wall), _shift(before, now, _step(before, now), believed=False)
        )
    step = _step(before, now)
    doubt = _doubt(before, now, step)
    since = now.wall if doubt.value else before.doubtful_since if before is not None else None
    if doubt is Doubt.NONE and since is not None and now.wall - since < CONFIRMED:
        doubt = Doubt.PENDING
    seen = ClockMemory(now, since if doubt.value else None)
    return ClockJudgement(doubt, seen, _shift(before, now, step, believed=True))


def _step(before: ClockMemory | None, now: Reading) -> float:
    """Return by how much the wall clock was set since *before*, 0 where nobody can tell or it is no matter."""
    if before is None or not _one_boot(before.reading, now):
        return 0.0
    step = (now.wall - before.reading.wall) - (now.up - before.reading.up)
    return step if abs(step) > STEP else 0.0


def _one_boot(past: Reading, now: Reading) -> bool:
    return bool(now.boot) and now.boot == past.boot and now.up >= past.up


def _doubt(before: ClockMemory | None, now: Reading, step: float) -> Doubt:
    if before is None:
        return Doubt.NONE
    if step:
        return Doubt.STEPPED
    gap = now.wall - before.reading.wall
    if gap < -STEP:
        return Doubt.BACK
    return Doubt.GAP if gap > GAP else Doubt.NONE


def _shift(before: ClockMemory | None, now: Reading, step: float, *, believed: bool) -> Shift:
    """Return how times move: those that were noted in this boot, by the clock that was set since."""
    past = before.reading if before is not None else now
    return Shift(past.wall - past.up, past.wall + STEP, step, now.wall if believed else 0.0)


def ended(judged: ClockJudgement, now: Reading) -> ClockMemory:
    """Return what a pass that began as *judged* leaves when it ends; a step meanwhile is the next one's matter."""
    return judged.seen if _step(judged.seen, now) else judged.seen._replace(reading=now)


def read() -> Reading:
    """Return both clocks of this machine."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    up = time.clock_gettime(clock) if clock is not None else time.monotonic()  # on Windows that counts from the boot
    try:
        boot = BOOT_ID.read_text(encoding="ascii").strip()[:64]
    except (OSError, ValueError):
        boot = ""
    return Reading(time.time(), up, boot)
