"""What the pages say is what the code says."""

import re
from pathlib import Path

import pytest

from lib.commands.cli import DUDS, FLAGS, SCHEDULERS, VERSION
from lib.config import account, settings
from lib.errors import Exit
from tests import pages

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", pages.PAGES)
def test_what_is_made_from_the_tables_is_as_they_are_now(name: str) -> None:
    assert page(name) == pages.PAGES[name](), "run: .venv/bin/python tests/pages.py"


def test_both_tables_of_settings_are_there() -> None:
    assert settings.table_markdown() in page("docs/settings.md")
    assert account.options_markdown() in page("docs/settings.md")


def test_the_version_stands_in_one_place() -> None:
    told = [
        path
        for path in [*ROOT.glob("lib/**/*.py"), *ROOT.glob("*.py"), *ROOT.glob("*.toml")]
        if VERSION in path.read_text(encoding="utf-8")
    ]
    assert [path.name for path in told] == ["cli.py"]
    assert all(f'"POPFetch batch {VERSION}"' in page(name) for name in pages.PAGES if "/man/" in name)


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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_setting_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`((?:pf|ras)_[a-z_]+)`", path.read_text(encoding="utf-8"))
    assert set(named) <= set(settings.BY_NAME)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_an_option_of_the_program_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`(?:popfetch_batch.py )?(--?[a-z][a-z-]*)", path.read_text(encoding="utf-8"))
    assert set(named) <= set(re.findall(r"--?[a-z][a-z-]*", page("docs/command-line.md")))


WORDS = [tuple(row[:2]) for row in pages.table("docs/glossary.md", "word") if len(row) == 3]


def test_the_glossary_has_words_of_the_code() -> None:
    assert len(WORDS) > 40


@pytest.mark.parametrize(("word", "module"), WORDS)
def test_a_word_of_the_glossary_is_a_class_of_its_module(word: str, module: str) -> None:
    source = (ROOT / "lib" / f"{module}.py").read_text(encoding="utf-8")
    assert re.search(rf"^class {word.strip('`')}\b", source, re.MULTILINE)
