"""The eye on the passwords sees, dmail.conf is written as it was asked for, and passes run."""

import base64
import os
import threading
from pathlib import Path

import pytest

from tests.passes import CHUNK, Conf, RunPass, Secrets, StartPass, account
from tests.peer import peer


def planted(tmp_path: Path) -> Secrets:
    secrets = Secrets(tmp_path)
    secrets.plant("pf_user bob geheim-b0b! 127.0.0.1")
    return secrets


def test_a_password_in_a_file_is_seen(tmp_path: Path) -> None:
    secrets = planted(tmp_path)
    (tmp_path / "log").write_text("all well\n")
    assert secrets.leaks() == []
    (tmp_path / "log").write_text("PASS geheim-b0b!\n")
    assert secrets.leaks() == [f"geheim-b0b! stands in {tmp_path / 'log'}"]


@pytest.mark.parametrize("user", ["", "b", "bo", "bob"])
def test_a_password_in_base64_is_seen_wherever_it_begins(tmp_path: Path, user: str) -> None:
    secrets = planted(tmp_path)
    (tmp_path / "log").write_bytes(b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0geheim-b0b!".encode()))
    assert len(secrets.leaks()) == 1


def test_a_password_over_the_edge_of_a_chunk_is_seen(tmp_path: Path) -> None:
    secrets = planted(tmp_path)
    (tmp_path / "log").write_bytes(b"x" * (CHUNK - 4) + b"geheim-b0b!")
    assert len(secrets.leaks()) == 1


def test_a_password_in_a_name_or_in_what_was_printed_is_seen(tmp_path: Path) -> None:
    secrets = planted(tmp_path)
    (tmp_path / "geheim-b0b!").mkdir()
    secrets.printed.append("login with geheim-b0b! failed")
    assert len(secrets.leaks()) == 2


def test_dmail_conf_holds_what_was_asked_for_and_may_hold_passwords(conf: Conf, secrets: Secrets) -> None:
    path = conf(account(110, "to=b@example.org"), pf_header=["A", "B"], pf_isinterval=True, pf_domain=None, pf_keep=3)
    assert path.read_text() == (
        "pf_user bob geheim-bob 127.0.0.1:110 to=b@example.org\n"
        f"work_path {conf.work}\npf_header A\npf_header B\npf_isinterval true\npf_keep 3\n"
    )
    assert os.name == "nt" or path.stat().st_mode & 0o077 == 0
    assert secrets.planted == {"geheim-bob"}
    assert secrets.leaks() == []


@pytest.mark.parametrize("child", [False, True])
def test_the_program_runs_here_and_as_a_child(conf: Conf, run_pass: RunPass, child: bool) -> None:
    path = conf(account(110, "to=b@example.org"))
    code, out, err = run_pass(path, "--version", child=child)
    assert (code, err) == (0, "")
    assert out.startswith("popfetch_batch.py ")
    assert run_pass(path, "--no-such-option", child=child).code == 64


def test_a_started_pass_can_be_waited_for_and_killed(conf: Conf, start_pass: StartPass) -> None:
    greeted = threading.Event()
    with peer("-- call greeted\n-- stall", given={"greeted": greeted.set}) as p:
        running = start_pass(conf(account(p.port, "to=b@example.org")))
        assert greeted.wait(30)
        assert running.poll() is None
        running.kill()
        assert start_pass.finish(running).code != 0
