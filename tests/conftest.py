"""What all tests share; the classes behind the fixtures stand in tests/passes.py, tests/pki.py and tests/peer.py."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.passes import Conf, RunPass, Secrets, StartPass
from tests.pki import Pki

# Machines that run tests are busy: no deadline. In CI the same cases every time.
settings.register_profile("ours", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ours")

SERVERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/dovecot"])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-real", action="store_true", help="a real peer that is missing fails its tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that none of them is what the others are waited for at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    windows = {item.path for item in items if item.get_closest_marker("wine")}
    items.sort(key=lambda item: (item.path not in windows, item.path not in long))


@pytest.fixture(scope="session")
def lack(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Return what ends a test for want of something: skipped, or failed with --require-real."""

    def end(reason: str) -> None:
        if pytestconfig.getoption("require_real"):
            pytest.fail(f"{reason} (--require-real)")
        pytest.skip(reason)

    return end


@pytest.fixture(scope="session")
def need(lack: Callable[[str], None]) -> Callable[[str], str]:
    """Return what finds a program of this machine: `need("dovecot")` is its path."""

    def find(program: str) -> str:
        path = shutil.which(program, path=SERVERS)
        if path is None:
            lack(f"{program} is not installed")
        return str(path)

    return find


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Return the session's CA and certificates."""
    from tests import pki

    return pki.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return the work_path that `conf` writes: spool, journal, log and state."""
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[Secrets]:
    """Watch the passwords of the test: outside dmail.conf none may show up, as it is or in base64."""
    watched = Secrets(tmp_path)
    yield watched
    leaks = watched.leaks()
    assert not leaks, "\n".join(leaks)


@pytest.fixture
def conf(tmp_path: Path, work: Path, secrets: Secrets) -> Conf:
    """Return what writes dmail.conf: `conf(account(p.port, "to=b@example.org"), pf_smtp_server=…)` is its path."""
    return Conf(tmp_path / "dmail.conf", work, secrets)


@pytest.fixture
def run_pass(secrets: Secrets) -> RunPass:
    """Return what runs one pass to its end: `run_pass(conf, "--json", child=True)`."""
    return RunPass(secrets)


@pytest.fixture
def start_pass(secrets: Secrets) -> Iterator[StartPass]:
    """Return what starts a pass and does not wait for it."""
    starter = StartPass(secrets)
    yield starter
    starter.end()
