"""What plays with other fetchers judges rightly: it finds out who is careless, and has nothing to say against us."""

import sys
from pathlib import Path

import pytest

from tests.bench.clients import Client, Job
from tests.bench.servers import PASSWORD
from tests.faults import rivalry, rivals
from tests.faults.rivals import ACCOUNT, ALL

HASTY = str(Path(__file__).with_name("hasty.py"))
FORGING = next(attack for attack in rivalry.ATTACKS if r"\n.\n" in attack)


def hasty(job: Job) -> list[str]:
    return [sys.executable, HASTY, str(job.pop[1]), str(job.smtp[1]), ACCOUNT, PASSWORD, ALL.decode()]


@pytest.mark.parametrize(("name", "clean"), [("popfetch", True), ("hasty", False)])
def test_who_is_taken_in_by_a_forged_reply_is_found_out(
    name: str, clean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rivals.PROGRAMS, "hasty", Client(hasty, str))
    fates = [fate for _, _, fate in rivalry.rounds(name, FORGING, 2)]
    assert all(fate.books.clean for fate in fates) == clean
    assert any(fate.books.altered for fate in fates) != clean
    assert (rivalry.cell(fates) == "0") == clean
