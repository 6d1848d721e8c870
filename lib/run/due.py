"""When a pass is due: ras_timer as a period (start to start) or as an interval (end to start).

Pure: the clock and what the state file remembers come in as arguments. Whatever cannot be believed, a lost state or
a time in the future, means due: one pass too many costs a call, one too few leaves the mail where it is for ever.
"""

from math import gcd

GRACE = 30.0
"""Seconds that a pass may come early: cron is a few seconds late, and not always as many."""

OVERLONG = 6 * 3600.0
"""Seconds after which a pass that still holds the lock is told of: no pass lasts so long, unless it hangs."""

MINUTE = 60


def due(now: float, last_start: float | None, last_end: float | None, minutes: int, interval: bool) -> bool:
    """Tell whether a pass may run now.

    *now*, *last_start* and *last_end* are seconds since the epoch, *minutes* is ras_timer. An *interval* counts from
    the end of the last pass, and from its start where no end came after it: that pass was killed.
    """
    counted = (last_start, last_end) if interval else (last_start,)
    known = [moment for moment in counted if moment is not None]
    if not known:
        return True
    # Not "since >= wait": a clock set back (negative) and a state that holds no number (nan) must be due too.
    return not 0 <= now - max(known) < minutes * MINUTE - GRACE


def overlong(now: float, last_start: float | None, last_end: float | None) -> float:
    """Return for how many seconds the pass that holds the lock has run, 0 unless that is longer than OVERLONG.

    A pass that has not written its start down by now has begun after the end of the last one, and not long ago.
    """
    if last_start is None or (last_end is not None and last_end >= last_start):
        return 0.0
    return now - last_start if now - last_start > OVERLONG else 0.0


def step(minutes: int, interval: bool) -> int:
    """Return every how many minutes, a divisor of 60, a clock such as cron's has to ask whether a pass is due.

    A period is met exactly by every divisor that it shares with the hour; an interval ends at any minute.
    """
    return 1 if interval else gcd(minutes, MINUTE)
