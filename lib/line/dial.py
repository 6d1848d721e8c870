"""The line: brought up when none is open, used as it is when one is, and hung up if, and only if, it is ours.

The law: own dial, own hang-up, always, also after a failed dial, an exception or a signal. Against SIGKILL and power
cuts there is a marker file, written before the first digit is dialled and removed when the line is down again; it says
how that line is hung up. A pass that finds it hangs up before it does anything that can fail. A line that somebody else
has opened, or is opening, is used and left alone, and so is one of which nobody says whether it is up. Nothing here
lasts longer than the limits of the backends.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lib.config.settings import Secret, Settings
from lib.errors import NoLineError, PopfetchError, StoppedError, StorageError
from lib.halt import Deadline, Stop, never
from lib.line import orphan
from lib.line.backend import Backend, NoAnswerError
from lib.line.orphan import Orphan
from lib.report import log
from lib.store import ownfile
from lib.store.lock import if_nobody_has

ASKED, ASK_EVERY = 3, 1.0
"""How often it is asked whether a line is up, seconds apart, before no answer is the answer."""


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
        self._marker = Marker(marker, logger)
        self._log = logger
        self._failed: NoLineError | None = None
        self._since: float | None = None
        self._up_at = ""
        # An earlier pass has raised it, and it could not be hung up before this one.
        self.ours = backend is not None and backend.orphan in self._marker.left()

    def is_up(self, stop: Stop = never) -> bool:
        """Tell whether the line is known to be open, ours or somebody else's; without a backend there is none."""
        try:
            return self._backend is not None and self._backend.is_up(stop)
        except NoAnswerError:
            return False

    @property
    def up_for(self) -> float:
        """Return for how many seconds this pass has had a line of ours, 0 while there is none."""
        return time.monotonic() - self._since if self.ours and self._since is not None else 0.0

    def bring_up(self, stop: Stop) -> None:
        """Return with an open line: ours, or with `somebody_elses` set one that another program has or is opening.

        Does nothing without a backend. Raises NoLineError when there is none, it has been hung up then, or when nobody
        says whether there is one, which is left as it is. A dial that failed is not repeated by the same Line: a wrong
        password must not lock the provider's account, and what was busy is tried by the next pass. SettingsError and
        StorageError pass, with nothing dialled.
        """
        if self._backend is None or self._since is not None:
            return
        if self._failed:
            raise self._failed
        if self._is_surely_up(self._backend, stop):
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
        if _hung_up(self._backend, self._log):
            self._log.info(log.line("dial", line="down", **self._story(spent)))
            self.ours, self._since = False, None
            self._marker.forget(self._backend.orphan)

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

    def _is_surely_up(self, backend: Backend, stop: Stop) -> bool:
        """Ask until there is an answer, ASKED times at most; NoLineError when there is none."""
        read_timeout = NoAnswerError("it was not asked")
        for turn in range(ASKED):
            try:
                if turn:
                    Deadline.after(ASK_EVERY, stop).sleep()
                return backend.is_up(stop)
            except StoppedError:
                break
            except NoAnswerError as error:
                read_timeout = error
        if stop():
            raise NoLineError("stopped before the line was up")
        raise NoLineError(f"{read_timeout}; nothing is dialled, for a line may be up: try it by hand") from read_timeout

    def _use_open(self) -> None:
        self.somebody_elses = not self.ours
        if self.ours:
            self._comes_up()
            self._log.warning(log.line("dial", line="up", ours="yes", note="left over from an earlier pass"))
        else:
            self._log.info(log.line("dial", line="up", ours="no", note="found open", by=self.describe))

    def _comes_up(self) -> None:
        self._since, self._up_at = time.monotonic(), datetime.now().astimezone().isoformat(timespec="seconds")

    def _dial(self, backend: Backend, stop: Stop) -> None:
        self._log.info(log.line("dial", line="dialling", by=self.describe))
        began = time.monotonic()
        self._marker.remember(backend)
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
        self._marker.forget(backend.orphan)
        self._log.info(log.line("dial", line="busy", ours="no", note="another program has it, or is opening it"))


class Marker:
    """The file that remembers the lines that were raised, and how each is hung up. To be used under the lock."""

    def __init__(self, path: Path, logger: logging.Logger) -> None:
        self._path = path
        self._log = logger

    def left(self) -> list[Orphan]:
        """Return what is remembered. StorageError."""
        return orphan.parse(ownfile.read(self._path) or b"")

    def remember(self, backend: Backend) -> None:
        """Remember a line that is about to be raised, if it can be hung up. StorageError."""
        if backend.orphan is not None:
            ownfile.replace(self._path, orphan.dump([*self.left(), backend.orphan]))

    def forget(self, *gone: Orphan | None) -> None:
        """Forget lines that are down; never raises, for then a later pass hangs up once more."""
        try:
            left = self.left()
            rest = [one for one in left if one not in gone]
            if not rest:
                self._remove()
            elif rest != left:
                ownfile.replace(self._path, orphan.dump(rest))
        except PopfetchError as error:
            note = f"{error}; the next pass hangs up once more"
            self._log.error(log.line("dial", note=note))

    def _remove(self) -> None:
        """Remove the file, or empty it where its folder takes no change."""
        try:
            ownfile.remove(self._path)
        except StorageError:
            os.close(ownfile.open_own(self._path, create=False, truncate=True))


def hang_up_left(path: Path, logger: logging.Logger) -> None:
    """Hang up what earlier passes have left up, as the marker *path* says; to be called under the lock.

    It needs no settings, raises nothing, and does nothing where there is no marker, as a rule.
    """
    marker = Marker(path, logger)
    try:
        left = marker.left()
    except PopfetchError as error:
        logger.error(log.line("dial", note=f"{error}; look whether a line is still up"))  # noqa: TRY400 - no bug
        return
    for one in left:
        backend = _raiser(one, logger)
        if backend is None:
            note = "an earlier pass raised a line that cannot be hung up from here; look whether it is still up"
            logger.warning(log.line("dial", note=note))
        elif _hung_up(backend, logger):
            logger.warning(log.line("dial", line="down", ours="yes", note="left over from an earlier pass"))
        else:
            continue
        marker.forget(one)


def hang_up_all_the_same(path: Path, lock: Path, logger: logging.Logger) -> None:
    """Do that where a pass cannot begin: dmail.conf is broken, nothing can be written. Not beside another pass."""
    if os.path.lexists(path):
        with if_nobody_has(lock) as free:
            if free:
                hang_up_left(path, logger)


def _hung_up(backend: Backend, logger: logging.Logger) -> bool:
    """Hang up; tell whether the line is down. What goes wrong is logged, and never raised."""
    try:
        if backend.hang_up():
            return True
        logger.error(log.line("dial", line="up", ours="yes", note="it could not be hung up"))
    except (PopfetchError, OSError) as error:
        note = f"trouble while hanging up: {error}"
        logger.error(log.line("dial", line="up", ours="yes", note=note))  # noqa: TRY400 - no bug
    return False


def _raiser(one: Orphan, logger: logging.Logger) -> Backend | None:
    """Return what can hang *one* up, None where nothing here can."""
    if one.kind == orphan.COMMAND:
        from lib.line.command import LineCommands  # noqa: PLC0415 - see command

        return LineCommands((), one.check, one.down, logger)
    if one.kind == orphan.RAS and sys.platform == "win32":
        from lib.line.ras import Call, Ras, rasapi32  # noqa: PLC0415 - see ras

        return Ras(Call(one.entry, one.number, "", str, ""), rasapi32, logger)
    return None


def line(settings: Settings, *, marker: Path, logger: logging.Logger, reveal: Callable[[Secret], str]) -> Line:
    """Return the line that dmail.conf describes, to be called under the lock; StorageError about *marker*.

    *reveal* is asked for ras_password when it is needed, and not before.
    """
    for build in BACKENDS.values():
        backend = build(settings, logger, reveal)
        if backend:
            return Line(backend, marker, logger)
    return Line(None, marker, logger)


def ras(settings: Settings, logger: logging.Logger, reveal: Callable[[Secret], str]) -> Backend | None:
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


def command(settings: Settings, logger: logging.Logger, _reveal: object) -> Backend | None:
    """Return the line of pf_dial_up and pf_dial_check; with the latter alone, somebody else has to raise it."""
    if not (settings.pf_dial_up or settings.pf_dial_check):
        return None
    from lib.line.command import LineCommands  # noqa: PLC0415 - subprocess is only for who has such a command

    return LineCommands(settings.pf_dial_up, settings.pf_dial_check, settings.pf_dial_down, logger)


Build = Callable[[Settings, logging.Logger, Callable[[Secret], str]], Backend | None]

BACKENDS: Mapping[str, Build] = {"ras": ras, "command": command}
"""Every way to raise a line, the first that dmail.conf asks for wins; where it asks for none there is no line."""
