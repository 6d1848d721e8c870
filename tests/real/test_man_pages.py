"""The manual pages as who reads manuals has them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs" / "man").glob("*.[0-9]"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_manual_page_is_without_fault_and_can_be_read(page: Path, need: Callable[[str], str]) -> None:
    program = need("mandoc")
    linted = subprocess.run([program, "-T", "lint", "-W", "style", page], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
    shown = subprocess.run([program, "-T", "utf8", page], capture_output=True, text=True, check=True).stdout
    assert len(shown.splitlines()) > 60


def test_there_are_two() -> None:
    assert [page.name for page in PAGES] == ["dmail.conf.5", "popfetch.8"]
