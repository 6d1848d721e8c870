"""Real peers, each started once a session and only when a test asks for it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pki import Pki
from tests.real import dovecot as dovecot_server
from tests.real import postfix as postfix_server
from tests.real.dovecot import Dovecot
from tests.real.exim import Exim, exim
from tests.real.netns import DialUp, dial_up
from tests.real.opensmtpd import OpenSmtpd, opensmtpd
from tests.real.postfix import Postfix
from tests.real.receivers import POSTFIX, RECEIVERS, UNPACKED, Receiver, running

HERE = Path(__file__).parent
Need = Callable[[str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("real")


@pytest.fixture(scope="session")
def make_dovecot(need: Need, pki: Pki) -> Iterator[Callable[..., Dovecot]]:
    """Return what starts a Dovecot with settings of its own: `make_dovecot(pop3_uidl_duplicates="rename")`."""
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(dovecot_server.dovecot(need("dovecot"), pki, **settings))


@pytest.fixture(scope="session")
def dovecot(make_dovecot: Callable[..., Dovecot]) -> Dovecot:
    """Return the session's Dovecot."""
    return make_dovecot()


@pytest.fixture(scope="session")
def make_postfix(need: Need, lack: Callable[[str], None], pki: Pki) -> Iterator[Callable[..., Postfix]]:
    """Return what starts a Postfix with settings of its own: `make_postfix(message_size_limit=1000)`."""
    program = need("postfix")
    if os.geteuid() != 0:
        lack("Postfix needs root")
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(postfix_server.postfix(program, pki, **settings))


@pytest.fixture(scope="session")
def postfix(make_postfix: Callable[..., Postfix]) -> Postfix:
    """Return the session's Postfix."""
    return make_postfix()


@pytest.fixture(scope="session")
def unpacked(need: Need, lack: Callable[[str], None]) -> Callable[[str], Path]:
    """Return what finds a server that tests/run has unpacked: `unpacked("exim")` is its folder."""
    enter = [need("unshare"), "--mount", "true"]
    able = os.geteuid() == 0 and subprocess.run(enter, check=False, capture_output=True).returncode == 0

    def find(name: str) -> Path:
        if not able:
            lack("a root folder of one's own needs root")
        path = UNPACKED / name
        if not path.is_dir():
            lack(f"{path} is missing: tests/run unpacks it")
        return path

    return find


@pytest.fixture(scope="module")
def make_exim(unpacked: Callable[[str], Path]) -> Iterator[Callable[..., Exim]]:
    """Return what starts an Exim: `make_exim(macros="smtp_accept_max_per_connection = 10")`."""
    with ExitStack() as running:
        yield lambda **how: running.enter_context(exim(unpacked("exim"), **how))


@pytest.fixture(scope="module")
def make_opensmtpd(unpacked: Callable[[str], Path]) -> Iterator[Callable[..., OpenSmtpd]]:
    """Return what starts an OpenSMTPD: `make_opensmtpd("smtp limit max-mails 10")`."""
    with ExitStack() as running:
        yield lambda *more: running.enter_context(opensmtpd(unpacked("opensmtpd"), *more))


@pytest.fixture(scope="module", params=RECEIVERS)
def receiver(
    request: pytest.FixtureRequest,
    need: Need,
    lack: Callable[[str], None],
    unpacked: Callable[[str], Path],
    pki: Pki,
) -> Iterator[Receiver]:
    """Return each of the receivers in turn."""
    if request.param not in POSTFIX:
        unpacked(request.param)
    elif os.geteuid() != 0:
        lack("Postfix needs root")
    with running(request.param, need("postfix"), pki) as server:
        yield server


@pytest.fixture
def sink(need: Need) -> Iterator[Callable[..., int]]:
    """Return what starts an smtp-sink with options: `sink("-p")` is the port of one without pipelining."""
    with ExitStack() as running:
        yield lambda *options: running.enter_context(postfix_server.sink(need("smtp-sink"), *options))


@pytest.fixture
def line(tmp_path: Path, need: Need, lack: Callable[[str], None]) -> Iterator[DialUp]:
    """Return an office and a line to its provider that is down until pf_dial_up raises it."""
    need("ip")
    if os.geteuid() != 0:
        lack("namespaces need root")
    with dial_up(tmp_path) as made:
        yield made
