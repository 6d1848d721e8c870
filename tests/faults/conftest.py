"""The fixtures of the scenarios, for attacks: one end is a small real server, the other one misbehaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hostile import Office, Twisted
from tests.passes import Conf, RunPass, Secrets
from tests.scenario.conftest import mailbox, receiver, server, smtp

__all__ = ["mailbox", "office", "receiver", "server", "smtp"]


@pytest.fixture
def office(conf: Conf, run_pass: RunPass) -> Iterator[Office]:
    """Return bob's mailbox on a server that can be taught to misbehave, and a receiver that takes everything."""
    with Twisted({"bob": ("geheim-bob", [])}) as pop, Office(conf, run_pass, pop) as opened:
        yield opened


@pytest.fixture(autouse=True)
def watched(tmp_path: Path, secrets: Secrets) -> Iterator[None]:
    """Look for what every password begins with after every test, also where a test writes its own dmail.conf."""
    secrets.planted.add("geheim-")
    yield
    secrets.exempt.update(tmp_path.rglob("dmail*.conf"))
