"""Signals that end a pass: noticed, not obeyed at once, so that it can commit, hang up and write its state."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread

# SIGHUP and SIGBREAK are not everywhere; a closed console on Windows comes as SIGBREAK.
ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


@contextmanager
def ended_by() -> Iterator[Event]:
    """Yield an event that is set by the first signal that asks this process to end; the old handlers come back.

    Signals that are ignored (nohup) stay ignored. Outside of the main thread nothing is changed.
    """
    killed = Event()
    before = {}
    if current_thread() is main_thread():
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, lambda *_: killed.set())
    try:
        yield killed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
