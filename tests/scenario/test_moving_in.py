"""--import as it is typed: a dmail.conf on stdout that --check takes, remarks on stderr with file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.passes import Result, RunPass

GETMAILRC = """\
[retriever]
type = SimplePOP3SSLRetriever
server = pop.example.org
username = anna
password = x1
[destination]
type = Maildir
path = ~/M/
[options]
delete = true
read_all = false
"""
MPOPRC = """\
account x
host pop.example.org
user anna
password x1
tls on
tls_starttls off
delivery maildir ~/M
"""
RC = {
    "fetchmail": "poll pop.example.org proto pop3 user anna pass x1 is anna here ssl\nmda cat\n",
    "getmail": GETMAILRC,
    "mpop": MPOPRC,
    "fdm": 'account "x" pop3s server "pop.example.org" user "anna" pass "x1"\nmatch all action "x"\n',
}


@pytest.fixture
def moved(tmp_path: Path, run_pass: RunPass) -> Callable[..., Result]:
    """Run --import of *texts*, each a file of *tool*."""

    def import_(tool: str, *texts: str) -> Result:
        paths = [tmp_path / f"rc{number}" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return run_pass(tmp_path / "none", "--import", tool, *paths)

    return import_


@pytest.mark.parametrize("tool", RC)
def test_what_is_printed_is_a_dmail_conf_that_check_takes(
    moved: Callable[..., Result], run_pass: RunPass, tmp_path: Path, tool: str
) -> None:
    done = moved(tool, RC[tool])
    assert done.code == 0
    assert "\npf_user anna x1 pop.example.org to=anna tls=implicit" in done.out
    assert all(f"{tmp_path}/rc0:" in line for line in done.err.splitlines())
    assert done.err
    conf = tmp_path / "dmail.conf"
    conf.write_text(f"{done.out}work_path {tmp_path}\n")
    conf.chmod(0o600)
    assert run_pass(conf, "--check").code == 0


def test_several_files_come_to_one_dmail_conf(moved: Callable[..., Result]) -> None:
    done = moved("mpop", MPOPRC + "timeout 5\n", MPOPRC.replace("anna", "bob") + "timeout 6\n")
    assert done.out.count("\npf_user ") == 2
    assert done.out.count("pf_timeout") == 1
    assert "pf_timeout is 6 already" in done.err


@pytest.mark.parametrize("words", [["--import"], ["--import", "frob", "x"], ["--import", "mpop"]])
def test_what_makes_no_sense_is_said(run_pass: RunPass, tmp_path: Path, words: list[str]) -> None:
    done = run_pass(tmp_path / "none", *words)
    assert done.code == 64
    assert "--import" in done.err


def test_a_file_that_is_not_there_is_said(run_pass: RunPass, tmp_path: Path) -> None:
    done = run_pass(tmp_path / "none", "--import", "fetchmail", tmp_path / "rc")
    assert done.code == 64
    assert "cannot be read: No such file or directory" in done.err


def test_octets_that_are_not_utf8_are_read_as_latin1(run_pass: RunPass, tmp_path: Path) -> None:
    rc = tmp_path / "rc"
    rc.write_bytes(b"poll pop.example.org user anna pass x\xe41 ssl\n")
    assert "pf_user anna x\u00e41 pop.example.org" in run_pass(tmp_path / "none", "--import", "fetchmail", rc).out
