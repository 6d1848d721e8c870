"""A server that lists octets and then gives none: what it has may be whole there, so it is not delivered or deleted."""

import pytest

from lib.config.values import Account
from tests.embedded import SmtpServer
from tests.scenario.conftest import Server
from tests.scenario.mails import mail
from tests.scenario.pop import LOGIN, end, numbered, retr

MAILS = {name: mail(f"Subject: {name}") for name in ("one", "two", "three")}
DELETE = "to=b@example.org name=bob"
EMPTY = "C: RETR 1\nS: +OK\nS: .\n"


@pytest.fixture(autouse=True)
def same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the account be the same from pass to pass although its port changes."""
    monkeypatch.setattr(Account, "id", property(lambda self: f"{self.user}@{self.host}"))


def listed(sizes: dict[int, str]) -> str:
    return f"{LOGIN}C: UIDL\n{numbered({n: f'uid{n}' for n in sizes})}\nC: LIST\n{numbered(sizes)}\n"


def test_it_stays_is_told_of_and_holds_up_nobody_and_comes_last_from_then_on(server: Server, smtp: SmtpServer) -> None:
    script = f"{listed({1: '700', 2: '100'})}{EMPTY}{retr(2, 'two')}{end(2)}"
    passed = server(script, option=DELETE, given=MAILS)
    assert passed.code == 76
    assert passed.err.startswith("popfetch: bob: message 1 of 700 octets comes without any, and stays on the server")
    assert len(smtp.taken) == 1
    others = f"{listed({1: '700', 3: '100'})}{retr(3, 'three')}{end(3)}"
    last = f"{listed({1: '700'})}{EMPTY}{end()}"
    assert server(f"{others}== next\n{last}", option=DELETE, given=MAILS).code == 76
    assert len(smtp.taken) == 2
    script = f"{listed({1: '100'})}{retr(1, 'one')}{end(1)}"
    assert server(script, option=DELETE, given=MAILS)[:3] == (0, "", "")
    assert len(smtp.taken) == 3


@pytest.mark.parametrize("announced", ["0", "2", "4"])
def test_none_is_empty_however_little_was_announced(server: Server, smtp: SmtpServer, announced: str) -> None:
    # A server that counts in kilobytes announces no more for a whole letter.
    passed = server(f"{listed({1: announced})}{EMPTY}{end()}", option=DELETE)
    assert passed.code == 76
    assert f"message 1 of {announced} octets comes without any, and stays on the server" in passed.err
    assert smtp.taken == []
