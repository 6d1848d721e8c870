"""systemd reads the units that --print-schedule prints as they are meant."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.commands.definitions import Installation, service, timer


def verified(analyze: str, *units: Path) -> str:
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stderr


def written(folder: Path, here: Installation) -> tuple[Path, Path]:
    units = folder / "popfetch.service", folder / "popfetch.timer"
    for unit, text in zip(units, (service(here), timer(here)), strict=True):
        unit.write_text(text)
    return units


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    return Installation(sys.executable, str(tmp_path / "popfetch_batch.py"), str(tmp_path / "dmail.conf"), 5)


@pytest.mark.parametrize("interval", [False, True])
def test_systemd_has_nothing_to_say_against_the_units(
    interval: bool, here: Installation, tmp_path: Path, need: Callable[[str], str]
) -> None:
    assert verified(need("systemd-analyze"), *written(tmp_path, here._replace(interval=interval, user="daemon"))) == ""


def test_a_path_of_any_kind_reaches_systemd_whole(
    here: Installation, tmp_path: Path, need: Callable[[str], str]
) -> None:
    odd = tmp_path / "my py 100% $HOME ; ä"
    odd.mkdir()
    python = odd / "python"
    python.symlink_to(sys.executable)
    folders = (str(odd), "/var/lib/popfetch")
    assert (
        verified(need("systemd-analyze"), *written(tmp_path, here._replace(python=str(python), folders=folders))) == ""
    )
    (odd / "python").unlink()
    told = verified(need("systemd-analyze"), *written(tmp_path, here._replace(python=str(python), folders=folders)))
    assert f"Command {python} is not executable" in told


def test_the_rights_that_the_comment_gives_back_are_words_of_systemd(
    here: Installation, tmp_path: Path, need: Callable[[str], str]
) -> None:
    units = written(tmp_path, here)
    drop_in = tmp_path / "popfetch.service.d"
    drop_in.mkdir()
    comment = [line.removeprefix("#   ") for line in service(here).splitlines() if line.startswith("#   ")]
    (drop_in / "rights.conf").write_text("\n".join(comment) + "\n")
    assert "ProtectSystem=no" in comment
    assert verified(need("systemd-analyze"), *units) == ""
    (drop_in / "rights.conf").write_text("\n".join(comment) + "\nNoSuchSetting=yes\n")
    assert "NoSuchSetting" in verified(need("systemd-analyze"), *units)


def test_the_hardening_counts_for_systemd(here: Installation, tmp_path: Path, need: Callable[[str], str]) -> None:
    unit, _ = written(tmp_path, here._replace(user="daemon"))
    words = [need("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    level = float(done.stdout.rpartition("popfetch.service: ")[2].split()[0])
    assert level < 4.0
