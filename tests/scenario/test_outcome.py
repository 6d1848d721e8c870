"""What a pass says when it ends: an exit code, a line for each thing that makes it, and nothing when all is well."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.peer import nobody, peer
from tests.scenario.mails import logged, mail
from tests.scenario.pop import LOGIN, listing

GOOD = mail("X-Rcpt-To: good@example.org")
BAD = mail("X-Rcpt-To: bad@example.org")
GREY = mail("X-Rcpt-To: grey@example.org")
NO = {b"bad@example.org": b"550 no such user", b"grey@example.org": b"450 later"}


class Office(NamedTuple):
    """A POP server with accounts of all kinds, and a receiver that knows some of their recipients."""

    pop: PopServer
    smtp: SmtpServer
    conf: Conf
    run_pass: RunPass

    def lines(self, *users: str) -> list[str]:
        return [account(self.pop.port, user=user) for user in users]

    def write(self, *users: str, more: str = "") -> Path:
        return self.conf(*self.lines(*users), more, pf_smtp_server=f"127.0.0.1:{self.smtp.port}", pf_timeout=1)


@pytest.fixture
def office(conf: Conf, run_pass: RunPass) -> Iterator[Office]:
    boxes = {
        "good": ("geheim-good", [GOOD, GOOD]),
        "empty": ("geheim-empty", []),
        "bad": ("geheim-bad", [BAD]),
        "grey": ("geheim-grey", [GREY]),
        "wrong": ("something else", [GOOD]),
    }
    with PopServer(boxes) as pop, SmtpServer(NO) as smtp:
        yield Office(pop, smtp, conf, run_pass)


def test_nothing_is_printed_on_success_nor_when_there_is_nothing_to_do(office: Office) -> None:
    path = office.write("good", "empty")
    for words in ([], [], ["--scheduled"]):
        assert office.run_pass(path, *words, child=True) == (0, "", "")


@pytest.mark.parametrize(
    ("users", "code", "complaints"),
    [
        (("good",), 0, 0),
        (("good", "bad"), 65, 1),
        (("good", "wrong"), 77, 1),
        (("good", "gone"), 76, 1),
        (("bad", "gone"), 76, 2),
        (("gone", "wrong"), 77, 2),
        (("wrong", "grey"), 75, 2),
        (("grey", "wrong", "gone", "bad", "good"), 75, 4),
    ],
)
def test_the_gravest_makes_the_exit_code_and_each_has_its_line(
    office: Office, users: tuple[str, ...], code: int, complaints: int
) -> None:
    there = [user for user in users if user != "gone"]
    with nobody() as port:
        path = office.write(*there, more=account(port, user="gone") if "gone" in users else "")
        result = office.run_pass(path)
    assert (result.code, result.out) == (code, "")
    lines = result.err.splitlines()
    assert len(lines) == complaints
    assert all(line.startswith("popfetch: ") for line in lines)
    known = {
        "wrong": f"popfetch: wrong@127.0.0.1:{office.pop.port}: login refused",
        "gone": "popfetch: gone@127.0.0.1:",
        "bad": "popfetch: 1 message went to duds.dat; --duds list shows why",
        "grey": "popfetch: 1 message deferred in the spool; --status shows to whom",
    }
    for user in users:
        assert user == "good" or [line for line in lines if line.startswith(known[user])]
    for line in lines:
        if "wrong@" in line or "gone@" in line:
            assert f"{path}:" in line
    if "good" in users:
        assert [letter.recipients for letter in office.smtp.taken] == [(b"good@example.org",)] * 2
        assert office.pop.left("good") == []


@pytest.mark.parametrize(
    "script",
    [
        "S: -ERR no",
        "S: 220 not a POP server",
        "S: +OK\nC: CAPA\nS: -ERR\nC: USER gone\nS: -ERR [AUTH] no",
        f"{LOGIN.replace('bob', 'gone')}C: UIDL\n-- stall",
        f"{LOGIN.replace('bob', 'gone')}C: UIDL\nS: +OK\nS: .\nC: LIST\nS: -ERR no\nC: STAT\nS: +OK 2 200",
        f'{listing({1: "a"}).replace("bob", "gone")}C: RETR 1\nS: +OK\nS> "half"\n-- cut',
        "-- stall",
        "-- reset",
    ],
)
def test_accounts_fail_alone(office: Office, script: str) -> None:
    with peer(script) as p:
        result = office.run_pass(office.write("good", more=account(p.port, user="gone")))
    assert result.code in (76, 77)
    (line,) = result.err.splitlines()
    assert line.startswith(f"popfetch: gone@127.0.0.1:{p.port}: ")
    assert f"{office.conf.path}:2" in line
    assert (len(office.smtp.taken), office.pop.left("good")) == (2, [])


def test_a_password_that_is_not_to_be_had_fails_its_account_alone(office: Office, tmp_path: Path) -> None:
    line = f"pf_user gone file:{tmp_path}/nothing 127.0.0.1:1"
    result = office.run_pass(office.write("good", more=line))
    assert result.code == 78
    assert "gone@127.0.0.1" in result.err
    assert f"{office.conf.path}:2" in result.err
    assert len(office.smtp.taken) == 2


def test_many_accounts_side_by_side(conf: Conf, run_pass: RunPass) -> None:
    users = [f"u{number}" for number in range(20)]
    boxes = {user: (f"geheim-{user}", [mail(f"X-Rcpt-To: {user}@example.org")] * 3) for user in users}
    with PopServer(boxes) as pop, SmtpServer() as smtp:
        path = conf(*(account(pop.port, user=user) for user in users), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path) == (0, "", "")
        assert not any(pop.left(user) for user in users)
    sent = sorted(letter.recipients[0].decode() for letter in smtp.taken)
    assert sent == sorted(f"{user}@example.org" for user in users for _ in range(3))


# --- --json --------------------------------------------------------------------------------------------------------


def test_json_is_one_object_on_stdout(office: Office) -> None:
    result = office.run_pass(office.write("good", "wrong", "bad", "grey", "empty"), "--json", child=True)
    summary = json.loads(result.out)
    assert result.code == summary["exit"] == 75
    assert (summary["spooled"], summary["complaints"]) == (1, [])
    total = summary["total"]
    assert {key: total[key] for key in ("listed", "fetched", "deleted")} == {"listed": 4, "fetched": 4, "deleted": 3}
    assert {key: total[key] for key in ("delivered", "deferred", "duds")} == {"delivered": 2, "deferred": 1, "duds": 1}
    assert total["octets"] == len(GOOD) * 2 + len(BAD) + len(GREY)
    accounts = {one["label"].partition("@")[0]: one for one in summary["accounts"]}
    assert set(accounts) == {"good", "wrong", "bad", "grey", "empty"}
    assert (accounts["good"]["delivered"], accounts["good"]["error"]) == (2, None)
    assert accounts["wrong"]["error"]["exit"] == 77
    assert len(result.err.splitlines()) == 3


def test_json_when_the_receiver_is_down(office: Office) -> None:
    with nobody() as port:
        path = office.conf(*office.lines("good"), pf_smtp_server=f"127.0.0.1:{port}")
        result = office.run_pass(path, "--json")
    summary = json.loads(result.out)
    assert (result.code, summary["exit"]) == (75, 75)
    assert summary["complaints"][0]["exit"] == 75
    assert "pf_smtp_server" in summary["complaints"][0]["words"]


# --- the log -------------------------------------------------------------------------------------------------------


def test_every_message_has_its_line(conf: Conf, run_pass: RunPass, work: Path) -> None:
    message = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org, c@example.org", "Subject: \x1b[31mred")
    words = b'550 "no" \x1b]0;owned\x07 such\\user'
    with PopServer({"bob": ("geheim-bob", [message])}) as pop, SmtpServer({b"c@example.org": words}) as smtp:
        path = conf(account(pop.port, "name=Bob"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path).code == 65
    (line,) = logged(work, "message")
    assert list(line) == ["account", "uid", "size", "from", "to", "status", "words", "seconds"]
    assert (line["account"], line["uid"], line["size"]) == ("Bob", "embedded-1", str(len(message)))
    assert (line["from"], line["to"]) == ("<a@far.example>", "<b@example.org>,<c@example.org>")
    assert line["status"] == "duds"
    assert "no" in line["words"]
    assert "\\x1b" in line["words"]
    assert 0 <= float(line["seconds"]) < 60
    text = (work / "popfetch.log").read_bytes()
    assert not [octet for octet in text if (octet < 32 and octet != 10) or octet == 127]


def test_a_pass_and_a_session_have_a_line_each(office: Office, work: Path) -> None:
    office.run_pass(office.write("good"))
    (session,), (summary,) = logged(work, "session"), logged(work, "pass")
    assert (session["listed"], session["fetched"], session["tls"], session["pipelining"]) == ("2", "2", "no", "yes")
    assert "delivered=2" in summary["summary"]


def test_no_password_is_written_or_printed_anywhere(office: Office) -> None:
    path = office.conf(
        *office.lines("good", "wrong"), pf_smtp_server=f"127.0.0.1:{office.smtp.port}", log_level="debug"
    )
    for words in (["-test"], ["--check"], ["--dry-run"], ["--status"], ["--json"]):
        office.run_pass(path, *words, child=words == ["-test"])
    assert "PASS ***" in (office.conf.work / "popfetch.log").read_text()  # the secrets fixture looks for the rest
