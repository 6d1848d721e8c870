"""Days that pass, for passes in this process: both clocks of the machine go on, or the wall's alone is set."""

import time

import pytest

from lib.store import clock
from lib.store.clock import Reading

DAY = 86400.0


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let it be *days* later than before."""
    wall, read = time.time, clock.read
    monkeypatch.setattr(time, "time", lambda: wall() + days * DAY)

    def both() -> Reading:
        found = read()
        return found._replace(wall=time.time(), up=found.up + days * DAY)

    monkeypatch.setattr(clock, "read", both)


def set_clock(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let somebody set the wall clock by *days*."""
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + days * DAY)


def start_anew(monkeypatch: pytest.MonkeyPatch, name: str, up: float = 100.0) -> None:
    """Let the machine be started anew, *up* seconds ago."""
    began = time.monotonic()
    monkeypatch.setattr(clock, "read", lambda: Reading(time.time(), up + time.monotonic() - began, name))
