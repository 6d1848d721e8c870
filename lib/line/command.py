"""A line that command lines raise and drop: pf_dial_up, pf_dial_check, pf_dial_down.

What a command says goes to the log, never further; of a command line, which may hold a secret, only the program is
named. Every wait has a limit, and `stop` ends the waits for a line that comes; none ends the hanging up.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from pathlib import PurePath

from lib import child
from lib.child import Ended
from lib.errors import NoLineError, StoppedError
from lib.halt import Deadline, Stop, never
from lib.line.backend import NoAnswerError
from lib.line.orphan import COMMAND, Orphan
from lib.visible import quoted, visible

UP_LIMIT = 180.0
"""Seconds that pf_dial_up may run: modems and VPNs have 60 to 90 of their own before they give up."""

COME_LIMIT = 60.0
"""Seconds after pf_dial_up in which pf_dial_check must see the line."""

CHECK_LIMIT = 20.0
"""Seconds that pf_dial_check may run; it only looks."""

DOWN_LIMIT = 60.0
"""Seconds that pf_dial_down may run."""

GO_LIMIT = 10.0
"""Seconds after pf_dial_down in which pf_dial_check must see that the line is gone."""

ASK_EVERY = 1.0
"""Seconds between two calls of pf_dial_check."""

DOWN_TRIES = 5
"""How often pf_dial_down is tried, ASK_EVERY apart, while the machine is short of what it takes to run anything."""

SPARE = 8
"""Descriptors that are kept for the hanging up: a command takes four to be started."""

NO_ANSWER = frozenset({126, 127, 9009, *range(129, 193)})
"""Exit codes by which a shell says that the check was not found, could not be run, or was killed by a signal."""

CRASHED = 0x8000_0000
"""From here on Windows' exit codes are those of a crash."""


class LineCommands:
    """The line that the three command lines make; each of them may be missing."""

    def __init__(self, up: tuple[str, ...], check: tuple[str, ...], down: tuple[str, ...], log: logging.Logger) -> None:
        self.describe = f"pf_dial_up {program(up)}" if up else f"pf_dial_check {program(check)}"
        # What cannot be hung up leaves nothing that a later pass could.
        self.orphan = Orphan(COMMAND, down, check) if up and down else None
        self._up, self._check, self._down = up, check, down
        self._log = log
        self._spare: list[int] = []

    def is_up(self, stop: Stop = never) -> bool:
        """Tell whether pf_dial_check says that the line is up; without it nobody knows, and so it is not."""
        if not self._check:
            return False
        ended = self._run("pf_dial_check", self._check, CHECK_LIMIT, stop)
        if ended.code is None or ended.code < 0 or ended.code in NO_ANSWER or ended.code >= CRASHED:
            raise NoAnswerError(f"pf_dial_check ({program(self._check)}) gives no answer: it {ended.told}")
        return ended.code == 0

    def dial(self, stop: Stop) -> bool:
        """Raise the line and wait until it is there; NoLineError when it does not come."""
        if not self._up:
            raise NoLineError("the line is down (says pf_dial_check), and there is no pf_dial_up to raise it")
        self._keep_spare()
        ended = self._run("pf_dial_up", self._up, UP_LIMIT, stop)
        if ended.code != 0:
            raise NoLineError(f"pf_dial_up ({program(self._up)}) {ended.told}")
        if self._check:
            self._await_line(stop)
        return True

    def hang_up(self) -> bool:
        """Drop the line; tell whether it is down, as far as anybody can know."""
        if not self._down:
            self._log.info("dial: the line is left to itself, there is no pf_dial_down")
            return True
        self._free_spare()
        ended = self._run("pf_dial_down", self._down, DOWN_LIMIT, never)
        for _ in range(DOWN_TRIES - 1):
            if not ended.lacking:
                break
            Deadline.after(ASK_EVERY).sleep()
            ended = self._run("pf_dial_down", self._down, DOWN_LIMIT, never)
        why_not = self._why_not_gone() if self._check else ""
        if ended.code == 0 and why_not:
            self._log.warning("dial: pf_dial_down ended well, but %s", why_not)
        if ended.code == 0 or (self._check and not why_not):
            return True
        self._log.error("dial: pf_dial_down (%s) %s; look whether the line is down", program(self._down), ended.told)
        return False

    def _await_line(self, stop: Stop) -> None:
        deadline = Deadline.after(COME_LIMIT, stop)
        try:
            while not self._seems_up(stop):
                deadline.within(ASK_EVERY).sleep()
                if not deadline.left:
                    raise NoLineError(
                        f"pf_dial_up ({program(self._up)}) ended well, but pf_dial_check saw no line within "
                        f"{COME_LIMIT:.0f} s"
                    )
        except StoppedError:
            raise NoLineError("stopped while the line was coming up") from None

    def _seems_up(self, stop: Stop) -> bool:
        try:
            return self.is_up(stop)
        except NoAnswerError:
            return False  # not yet

    def _why_not_gone(self) -> str:
        """Wait for the line to go; return "" once it is down, else what is to be said of it."""
        deadline = Deadline.after(GO_LIMIT)
        while True:
            try:
                why = "pf_dial_check still says that a line is up" if self.is_up() else ""
            except NoAnswerError as error:
                why = str(error)
            if not why or not deadline.left:
                return why
            deadline.within(ASK_EVERY).sleep()

    def _run(self, setting: str, words: tuple[str, ...], limit: float, stop: Stop) -> Ended:
        began = time.monotonic()
        ended = child.run(words, limit, stop)
        looks = setting == "pf_dial_check"  # once a second: only who looks for a fault wants to read it
        for text in ended.said:
            self._log.log(logging.DEBUG if looks else logging.INFO, "dial: command=%s says=%s", setting, quoted(text))
        self._log.debug("dial: command=%s %s seconds=%.2f", setting, ended.told, time.monotonic() - began)
        return ended

    def _keep_spare(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._spare) < SPARE:
                self._spare.append(os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))

    def _free_spare(self) -> None:
        _close(self._spare)
        self._spare = []


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def program(words: tuple[str, ...]) -> str:
    """Return what may be shown of a command line: the program, without its folder."""
    return visible(PurePath(words[0]).name, child.SHOWN_WIDTH) if words else "none"
