"""The README's tables say what the code says."""

import re
from pathlib import Path

import pytest

from lib.commands.cli import DUDS, FLAGS, SCHEDULERS
from lib.config import account, settings
from lib.errors import Exit

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_the_settings_own() -> None:
    assert settings.table_markdown().strip() in README


def test_the_options_table_is_the_pf_user_lines_own() -> None:
    assert account.options_markdown().strip() in README


def test_the_exit_codes_stand_there_in_the_order_of_their_gravity() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", README, re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [(int(code), code.name) for code in Exit]


@pytest.mark.parametrize("word", [*FLAGS, "--test", "--duds", "--json", "--print-schedule", *DUDS, *SCHEDULERS])
def test_every_word_of_the_command_line_is_named(word: str) -> None:
    assert word in README
