"""What this machine calls itself, by what the system and the hosts file say."""

import socket
import sys
from pathlib import Path

import pytest

from lib.config import helo
from lib.config.settings import Settings


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> "Named":
    return Named(monkeypatch)


class Named:
    """A machine that is called so, with such a hosts file."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def __call__(self, name: str, *hosts: str) -> str:
        self.patch.setattr(socket, "gethostname", lambda: name)
        self.patch.setattr(helo, "_hosts", lambda: list(hosts))
        self.patch.setattr(helo, "_of_windows", lambda: "")
        return helo.full_name()


@pytest.mark.parametrize("name", ["ship.example.org", "SHIP.Example.ORG", "ship.example.org."])
def test_a_full_name_is_taken_as_it_is(named: Named, name: str) -> None:
    assert named(name, "127.0.1.1 other.example.org ship") == name


@pytest.mark.parametrize(
    "line",
    [
        "127.0.1.1 ship.example.org ship",
        "127.0.1.1\tship\tship.example.org",
        "::1 localhost.localdomain SHIP ship.example.org # ours",
    ],
)
def test_a_short_one_is_looked_up_in_the_hosts_file(named: Named, line: str) -> None:
    assert named("ship", "# ship.wrong.org ship", "", "127.0.0.1 localhost", line) == "ship.example.org"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("vm", "127.0.0.1 vm"),
        ("vm", "127.0.0.1 localhost.localdomain vm"),
        ("vm", "127.0.0.1 other.example.org"),
        ("localhost.localdomain", ""),
        ("ship.local", ""),
        ("192.0.2.5", ""),
        ("evil (x)\r\nX-Evil: 1.example.org", ""),
        ("", ""),
    ],
)
def test_what_names_nobody_is_no_name(named: Named, name: str, line: str) -> None:
    assert named(name, line) == ""
    assert helo.name(Settings()) == "[127.0.0.1]"


def test_pf_helo_name_comes_first(named: Named) -> None:
    named("ship.example.org")
    assert helo.name(Settings()) == "ship.example.org"
    assert helo.name(Settings(pf_helo_name="[192.0.2.5]")) == "[192.0.2.5]"


def test_no_name_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        pytest.fail("the line may be down")

    for name in ("getaddrinfo", "gethostbyaddr", "gethostbyname", "getfqdn"):
        monkeypatch.setattr(socket, name, asked)
    helo.full_name()


@pytest.mark.skipif(sys.platform == "win32", reason="its hosts file is elsewhere")
def test_a_machine_without_a_hosts_file_has_no_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helo, "Path", lambda *_: Path("/nonexistent/hosts"))
    assert helo._hosts() == []


@pytest.mark.parametrize(
    ("name", "wanted", "address"),
    [
        ("ship.example.org", "", "popfetch@ship.example.org"),
        ("ship.example.org", "mail.example.org", "popfetch@mail.example.org"),
        ("ship.example.org", "[192.0.2.5]", "popfetch@ship.example.org"),
        ("vm", "", "popfetch@vm"),
        ("vm", "[IPv6:2001:db8::5]", "popfetch@vm"),
        ("", "", "popfetch@localhost"),
        ("evil (x)\r\nX-Evil: 1", "", "popfetch@localhost"),
    ],
)
def test_our_own_mails_are_from_no_literal(named: Named, name: str, wanted: str, address: str) -> None:
    named(name)
    assert helo.address(Settings(pf_helo_name=wanted)) == address
