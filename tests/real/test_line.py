"""The line of pf_dial_up, in earnest: network namespaces and a cable that is down until it is raised."""

import sys
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, Result, account
from tests.real.netns import ADDRESS, DialUp

pytestmark = pytest.mark.netns

NOTHING = Result(0, "", "")
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"


def log(work: Path) -> list[str]:
    """Return what popfetch.log says of the line, without times."""
    lines = (work / "popfetch.log").read_text().splitlines()
    return [line.partition(" dial ")[2] for line in lines if " dial " in line]


def test_the_providers_servers_cannot_be_reached_while_the_line_is_down(line: DialUp) -> None:
    with PopServer({"bob": ("geheim-bob", [])}) as pop:
        port = str(line.provide(pop.port))
        assert not line.is_up
        assert line.run(sys.executable, "-c", REACH, ADDRESS, port) != 0
        assert line.run(line.up) == 0
        assert line.is_up
        assert line.run(sys.executable, "-c", REACH, ADDRESS, port) == 0
        assert line.run(line.down) == 0
        assert not line.is_up
    assert [event.what for event in line.story] == ["up", "down"]


def test_a_pass_raises_the_line_fetches_over_it_and_drops_it(line: DialUp, conf: Conf, work: Path) -> None:
    with PopServer({"bob": ("geheim-bob", [b"Subject: one\r\n\r\nhello\r\n"])}) as pop, SmtpServer() as smtp:
        path = conf(
            account(line.provide(pop.port), "to=bob@example.org", host=ADDRESS),
            pf_smtp_server=f"127.0.0.1:{line.let_in(smtp.port)}",
            pf_tls="off",
            **line.settings,
        )
        for _ in range(2):  # what is not delivered when the line is dropped is deleted by the next pass
            assert line.fetch(path) == NOTHING
            assert not line.is_up
        assert len(smtp.taken) == 1
        assert pop.left("bob") == []
    assert [event.what for event in line.story] == ["up", "down"] * 2
    assert not (work / "popfetch.line").exists()
    assert "line=up ours=yes" in log(work)[1]
