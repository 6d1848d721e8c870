"""Whose work_path it is: one dmail.conf has one, or two would take each other's mail for that of nobody.

The law: the folder belongs to the dmail.conf whose pass was the first in it, as long as that file exists and still
names the folder. A dmail.conf that was moved is no other one.
"""

import os
from collections.abc import Callable
from pathlib import Path

from lib.errors import PopfetchError, SettingsError
from lib.visible import visible


def claimed(owner: str, conf: Path, work: Path, work_path_of: Callable[[Path], Path]) -> str:
    """Return who owns *work* from now on, the dmail.conf *conf*. SettingsError when it is another one's, *owner*.

    *work_path_of* reads a dmail.conf and returns its work_path, or raises a PopfetchError.
    """
    mine = os.path.realpath(conf)
    other = Path(owner)
    if not owner or not other.is_file():
        return mine
    if _same(other, conf):
        return owner
    try:
        if not _same(work_path_of(other), work):
            return mine
    except PopfetchError:
        pass  # it is there, and cannot be read by us: it may well be used
    told = f"work_path {visible(str(work))} belongs to {visible(owner)}"
    raise SettingsError(f"{visible(str(conf))}: {told}: give this dmail.conf a work_path of its own")


def _same(one: Path, other: Path) -> bool:
    """Say whether both names lead to one file or folder; if they cannot be looked at, whether they are one name."""
    try:
        return one.samefile(other)
    except OSError:
        names = (os.path.normcase(os.path.realpath(path)) for path in (one, other))
        return next(names) == next(names)
