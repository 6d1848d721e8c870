"""The program's own tests, run by a Windows Python."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.wine.windows import ROOT, Windows, path

pytestmark = [pytest.mark.wine, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("suite", ["unit", "scenario"])
def test_the_programs_own_tests_pass_on_windows(
    suite: str, windows: Windows, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = tmp_path / "report.xml"
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={path(report)}", f"tests/{suite}")
    done = windows.run(*words, cwd=ROOT, seconds=1700)
    told = done.stdout[-5000:] + done.stderr[-2000:]
    assert report.exists(), told
    counts = {name: int(number) for name, number in ET.parse(report).getroot()[0].items() if number.isdigit()}  # noqa: S314 - our own file
    record_property("windows", counts)
    print(f"{suite} on Windows: {counts}")
    failed = re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.MULTILINE)
    assert (failed, done.returncode) == ([], 0), told
    assert counts["tests"] > counts["skipped"]
