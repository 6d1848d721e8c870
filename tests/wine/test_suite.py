"""The program's own tests, run by a Windows Python: all that Windows may do in another way.

Two suites side by side take two minutes; all of them, with POPFETCH_WINE=whole in the environment, take ten.
"""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tests.wine.windows import ROOT, Windows, path

pytestmark = [pytest.mark.wine, pytest.mark.slow, pytest.mark.timeout(2000)]

SECONDS = 1800
WHOLE = os.environ.get("POPFETCH_WINE") == "whole"

# Files cut at every byte: the bytes are the same on Windows, and each cut is a file. What reads our sources as well.
# And how time grows, or what a busy machine takes long for: two suites share this one, and Linux tells the same.
TIRELESS = (
    "as_long",
    "waited_for_and_killed",
    "test_layout",
    "any_byte",
    "any_bytes",
    "at_any_write",
    "ever_lost",
    "flipped_bit",
    "half_a_dud",
    "no_mixture",
    "power_cut_left",
)
# Folders of what is octets in and octets out, and nothing else.
PURE = ("auth", "delivery", "mail", "moving", "pop", "smtp")
# What files, processes, paths, sockets, consoles and clocks are to a whole pass; the rest are words of POP3 and SMTP.
SCENARIOS = ("child", "commands", "dial_command", "duds", "lmtp", "outcome", "outgoing", "passage", "pop_tls", "spool")

WORDS: dict[str, tuple[str, ...]] = {
    "unit": (
        "tests/unit",
        *(f"--ignore=tests/unit/{name}" for name in PURE),
        "-k",
        " and ".join(f"not {word}" for word in TIRELESS),
    ),
    "scenario": tuple(f"tests/scenario/test_{name}.py" for name in SCENARIOS),
}


class Ran(NamedTuple):
    """How a suite ended."""

    code: int
    told: str
    report: Path


def run(windows: Windows, suite: str, folder: Path) -> Ran:
    report = folder / f"{suite}.xml"
    what = (f"tests/{suite}",) if WHOLE else WORDS[suite]
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={path(report)}", *what)
    done = windows.run(*words, cwd=ROOT, seconds=SECONDS)
    return Ran(done.returncode, done.stdout + done.stderr[-2000:], report)


@pytest.fixture(scope="module")
def runs(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ran]]]:
    """Return both suites, which run at the same time."""
    folder = tmp_path_factory.mktemp("windows")
    with ThreadPoolExecutor(len(WORDS)) as pool:
        yield {suite: pool.submit(run, windows, suite, folder) for suite in WORDS}


@pytest.mark.parametrize("suite", WORDS)
def test_the_programs_own_tests_pass_on_windows(
    suite: str, runs: dict[str, Future[Ran]], record_property: Callable[[str, object], None]
) -> None:
    ran = runs[suite].result()
    assert ran.report.exists(), ran.told[-5000:]
    counts = {name: int(number) for name, number in ET.parse(ran.report).getroot()[0].items() if number.isdigit()}  # noqa: S314 - our own file
    record_property(f"on Windows, {suite}", counts)
    failed = re.findall(r"^(?:FAILED|ERROR) .*", ran.told, re.MULTILINE)
    assert (failed, ran.code) == ([], 0), ran.told[-5000:]
    assert counts["tests"] > counts["skipped"]


def test_what_is_to_run_there_and_what_is_not_exists() -> None:
    assert [name for name in WORDS["scenario"] if not (ROOT / name).exists()] == []
    assert [name for name in PURE if not (ROOT / "tests" / "unit" / name).is_dir()] == []
