"""When a message is tried again whose verdict got lost after the final dot. Pure.

The receiver may have taken it (RFC 1047), so each attempt may make one copy more. One loss is an accident, of the line
as a rule, and the next pass tries again; from the second on it is the message's own habit.
"""

from lib.store.journal_facts import Loss

HOUR = 3600.0
# Seconds from the first, the second, ... loss to the next attempt; the last holds for all that follow.
INTERVALS = (0.0, HOUR, 4 * HOUR, 24 * HOUR)
# Losses after which the caretaker is told, once.
TOLD_AFTER = 2


def due(loss: Loss | None, now: float) -> bool:
    """Say whether who has had this *loss* is to be asked again.

    A loss that lies in the future is due: the clock was set back, and the next loss will be noted by today's.
    """
    if loss is None or loss.number < 1:
        return True
    waited = now - loss.at
    return not 0 <= waited < INTERVALS[min(loss.number, len(INTERVALS)) - 1]
