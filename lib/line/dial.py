"""The line: brought up when none is open, used as it is when one is, and hung up if, and only if, it is ours.

The law: own dial, own hang-up, always, also after a failed dial, an exception or a signal. Against SIGKILL and power
cuts there is a marker file, written before the first digit is dialled and removed when the line is down again: a pass
that finds it has an orphan of ours on its hands, takes it over, and hangs it up at its end. A line that somebody else
has opened, or is opening, is used and left alone. Nothing here lasts longer than the limits of the backends.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from lib.config.settings import Secret, Settings
from lib.errors import NoLineError, PopfetchError
from lib.halt import Stop, never
from lib.report import log
from lib.store import ownfile


class Backend(Protocol):
    """One way to raise a line. *identity* is what an orphan is recognised by; empty: it cannot be hung up."""

    describe: str
    identity: str

    def is_up(self, stop: Stop = never) -> bool:
        """Tell whether the line is open, by whomever it was opened."""

    def dial(self, stop: Stop) -> bool:
        """Raise it; False when another program has it or is raising it; NoLineError when it does not come up."""

    def hang_up(self) -> bool:
        """Drop what dial() raised, or an orphan; also after a failed dial. Tell whether there is nothing left."""


class Spent(NamedTuple):
    """What a line of ours was good for, and how its use ended."""

    messages: int = 0
    octets: int = 0
    ended: str = "all fetched"


class Line:
    """The line of one pass. To be made under the lock, for the marker belongs to whoever holds that."""

    def __init__(self, backend: Backend | None, marker: Path, logger: logging.Logger) -> None:
        self.configured = backend is not None
        self.describe = backend.describe if backend else "none"
        self.somebody_elses = False
        self._backend = backend
        self._marker = marker
        self._log = logger
        self._failed: NoLineError | None = None
        self._since: float | None = None
        self._up_at = ""
        self.ours = self._is_orphaned()

    def is_up(self) -> bool:
        """Tell whether the line is open, ours or somebody else's; without a backend there is none to be told of."""
        return self._backend is not None and self._backend.is_up()

    @property
    def up_for(self) -> float:
        """Return for how many seconds this pass has had a line of ours, 0 while there is none."""
        return time.monotonic() - self._since if self.ours and self._since is not None else 0.0

    def bring_up(self, stop: Stop) -> None:
        """Return with an open line: ours, or with `somebody_elses` set one that another program has or is opening.

        Does nothing without a backend. Raises NoLineError when there is none; it has been hung up then. A dial that
        failed is not repeated by the same Line: a wrong password must not lock the provider's account, and what was
        busy is tried by the next pass. SettingsError and StorageError pass, with nothing dialled.
        """
        if self._backend is None or self._since is not None:
            return
        if self._failed:
            raise self._failed
        if self._backend.is_up(stop):
            self._use_open()
        elif stop():
            raise NoLineError("stopped before the line was up")
        else:
            self._dial(self._backend, stop)

    def hang_up(self, spent: Spent | None = None) -> None:
        """Hang up if the line is ours, and log what it was good for, if somebody knows.

        Never raises, and may be called again; a marker stays until the line is down.
        """
        if not self.ours or self._backend is None:
            return
        try:
            if not self._backend.hang_up():
                self._log.error(log.line("dial", line="up", ours="yes", note="it could not be hung up"))
                return
            self._log.info(log.line("dial", line="down", **self._story(spent)))
            self.ours, self._since = False, None
            ownfile.remove(self._marker)
        except PopfetchError as error:
            self._log.error(log.line("dial", note=f"trouble while hanging up: {error}"))

    def _story(self, spent: Spent | None) -> dict[str, object]:
        """Return where the money went: up at, for how long, messages and octets, how it ended."""
        if self._since is None:
            return {}
        seconds = self.up_for
        story: dict[str, object] = {"up_at": self._up_at, "seconds": seconds}
        if spent is not None:
            each = seconds / spent.messages if spent.messages else None
            story |= {"messages": spent.messages, "octets": spent.octets, "seconds_each": each, "ended": spent.ended}
        return story

    def _use_open(self) -> None:
        self.somebody_elses = not self.ours
        if self.ours:
            self._comes_up()
            self._log.warning(log.line("dial", line="up", ours="yes", note="left over from a pass that was killed"))
        else:
            self._log.info(log.line("dial", line="up", ours="no", note="found open", by=self.describe))

    def _comes_up(self) -> None:
        self._since, self._up_at = time.monotonic(), datetime.now().astimezone().isoformat(timespec="seconds")

    def _dial(self, backend: Backend, stop: Stop) -> None:
        self._log.info(log.line("dial", line="dialling", by=self.describe))
        began = time.monotonic()
        if backend.identity:
            ownfile.replace(self._marker, _mark(backend))
        self.ours = True
        try:
            ours = backend.dial(stop)
        except BaseException as error:
            self._failed = error if isinstance(error, NoLineError) else None
            self._log.info(log.line("dial", line="failed", seconds=time.monotonic() - began, note=str(error)))
            self.hang_up()
            raise
        if ours:
            self.somebody_elses = False
            self._comes_up()
            self._log.info(log.line("dial", line="up", ours="yes", seconds=time.monotonic() - began))
            return
        self.ours, self.somebody_elses = False, True
        ownfile.remove(self._marker)
        self._log.info(log.line("dial", line="busy", ours="no", note="another program has it, or is opening it"))

    def _is_orphaned(self) -> bool:
        """Tell whether a pass of ours left this very line behind; forget what cannot be hung up from here."""
        left = ownfile.read(self._marker)
        if left is None:
            return False
        if self._backend and self._backend.identity and left == _mark(self._backend):
            return True
        note = "a killed pass raised a line with other settings; look whether it is still up"
        self._log.warning(log.line("dial", note=note, was=left.strip()))
        ownfile.remove(self._marker)
        return False


def _mark(backend: Backend) -> bytes:
    return backend.identity.encode("utf-8", "backslashreplace") + b"\n"


def line(settings: Settings, *, marker: Path, logger: logging.Logger, reveal: Callable[[Secret], str]) -> Line:
    """Return the line that dmail.conf describes, to be called under the lock; StorageError about *marker*.

    *reveal* is asked for ras_password when it is needed, and not before.
    """
    for build in BACKENDS.values():
        backend = build(settings, marker.parent, logger, reveal)
        if backend:
            return Line(backend, marker, logger)
    return Line(None, marker, logger)


def ras(settings: Settings, _folder: Path, logger: logging.Logger, reveal: Callable[[Secret], str]) -> Backend | None:
    """Return the Remote Access Service's line; elsewhere than on Windows the settings are ignored."""
    if sys.platform != "win32" or not (settings.ras_entry or settings.ras_number):
        return None
    from lib.line.ras import Call, Ras, rasapi32  # noqa: PLC0415 - ctypes is only for who dials with it

    secret = settings.ras_password
    call = Call(
        settings.ras_entry,
        settings.ras_number,
        settings.ras_username,
        lambda: reveal(secret) if secret else "",
        settings.ras_domain,
    )
    return Ras(call, rasapi32, logger)


def command(settings: Settings, folder: Path, logger: logging.Logger, _reveal: object) -> Backend | None:
    """Return the line of pf_dial_up and pf_dial_check; with the latter alone, somebody else has to raise it."""
    if not (settings.pf_dial_up or settings.pf_dial_check):
        return None
    from lib.line.command import Command  # noqa: PLC0415 - subprocess is only for who has such a command

    return Command(settings.pf_dial_up, settings.pf_dial_check, settings.pf_dial_down, folder, logger)


Build = Callable[[Settings, Path, logging.Logger, Callable[[Secret], str]], Backend | None]

BACKENDS: Mapping[str, Build] = {"ras": ras, "command": command}
"""Every way to raise a line, the first that dmail.conf asks for wins; where it asks for none there is no line."""
