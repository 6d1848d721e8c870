"""The Windows under wine, for the tests of this folder."""

from collections.abc import Callable

import pytest

from tests.real.conftest import dovecot, make_dovecot, make_postfix
from tests.scenario.conftest import smtp
from tests.wine import windows as place

__all__ = ["dovecot", "make_dovecot", "make_postfix", "smtp", "windows"]


@pytest.fixture(scope="session")
def windows(lack: Callable[[str], None]) -> place.Windows:
    """Return a Windows with a Python; it is put together by the first test that wants it, in half a minute."""
    try:
        return place.build()
    except place.CannotBuildError as error:
        lack(str(error))
        raise


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what ran on Windows apart from what ran here."""
    reports = (one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind))
    for name, counts in (each for one in reports for each in one.user_properties if each[0].startswith("on Windows")):
        passed = counts["tests"] - counts["skipped"] - counts["failures"] - counts["errors"]
        told = ", ".join(f"{counts[kind]} {kind}" for kind in ("skipped", "failures", "errors"))
        terminalreporter.write_line(f"{name}: {passed} passed, {told}")
