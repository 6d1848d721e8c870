"""Whose work_path it is."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.errors import SettingsError
from lib.store.owner import claimed


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def conf(folder: Path, name: str = "dmail.conf") -> Path:
    (folder / name).write_text("")
    return folder / name


def reads(work: Path | None) -> Callable[[Path], Path]:
    def work_path_of(_conf: Path) -> Path:
        if work is None:
            raise SettingsError("cannot be read")
        return work

    return work_path_of


def test_the_first_pass_makes_it_ones_own(tmp_path: Path, work: Path) -> None:
    mine = conf(tmp_path)
    assert claimed("", mine, work, reads(work)) == str(mine.resolve())


@pytest.mark.parametrize("readable", [True, False])
def test_another_ones_is_refused_as_long_as_that_names_it_or_cannot_be_read(
    tmp_path: Path, work: Path, readable: bool
) -> None:
    other, mine = conf(tmp_path, "other.conf"), conf(tmp_path)
    with pytest.raises(SettingsError, match=re.escape(f"{mine}: work_path {work} belongs to {other}: give this")):
        claimed(str(other), mine, work, reads(work if readable else None))


def test_one_that_is_gone_or_names_another_folder_by_now_owns_nothing(tmp_path: Path, work: Path) -> None:
    other, mine = conf(tmp_path, "other.conf"), conf(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    assert claimed(str(other), mine, work, reads(elsewhere)) == str(mine.resolve())
    other.unlink()
    assert claimed(str(other), mine, work, reads(work)) == str(mine.resolve())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_a_link_to_it_is_the_same_one(tmp_path: Path, work: Path) -> None:
    mine = conf(tmp_path)
    link = tmp_path / "link.conf"
    link.symlink_to(mine)
    assert claimed(str(mine.resolve()), link, work, reads(work)) == str(mine.resolve())


def test_another_name_and_a_path_from_here_are_the_same_one(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = conf(tmp_path)
    twin = tmp_path / "twin.conf"
    twin.hardlink_to(mine)
    monkeypatch.chdir(tmp_path)
    for name in (twin, Path("dmail.conf"), tmp_path / "work" / ".." / "dmail.conf"):
        assert claimed(str(mine.resolve()), name, work, reads(work)) == str(mine.resolve())
