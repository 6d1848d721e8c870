"""What the pages say is what the code says."""

import re
from pathlib import Path

import pytest

from lib.commands.cli import DUDS, FLAGS, SCHEDULERS
from lib.config import account, settings
from lib.errors import Exit

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_settings_table_is_the_settings_own() -> None:
    assert settings.table_markdown().strip() in page("docs/settings.md")


def test_the_options_table_is_the_pf_user_lines_own() -> None:
    assert account.options_markdown().strip() in page("docs/settings.md")


def test_the_exit_codes_stand_there_in_the_order_of_their_gravity() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", page("docs/failures.md"), re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [(int(code), code.name) for code in Exit]


@pytest.mark.parametrize("word", [*FLAGS, "--test", "--duds", "--json", "--print-schedule", *DUDS, *SCHEDULERS])
def test_every_word_of_the_command_line_is_named(word: str) -> None:
    assert word in page("docs/command-line.md")


def test_the_readme_is_read_in_a_minute() -> None:
    assert len(page("README.md").splitlines()) <= 150


def test_the_readme_leads_to_every_page() -> None:
    assert {path.relative_to(ROOT).as_posix() for path in PAGES} - {"README.md"} <= set(links(page("README.md")))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(path: Path) -> None:
    lost = [link for link in links(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()]
    assert not lost


def links(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
