"""Registering with the Task Scheduler, as far as wine has one: the command lines, and that the XML is read."""

from pathlib import Path

import pytest

from lib.commands.definitions import Installation, print_schedule
from tests.wine.windows import ROOT, Windows, path

pytestmark = [pytest.mark.wine, pytest.mark.timeout(300)]

NAME = "POPFetch-test"


@pytest.mark.parametrize("user", ["", "HOST\\Jürgen"])
def test_schtasks_takes_the_xml_and_gives_the_task_up_again(user: str, windows: Windows, tmp_path: Path) -> None:
    here = Installation(
        r"C:\Program Files\Python\python.exe", r"C:\Büro & Söhne\popfetch_batch.py", r"C:\dmail.conf", 5, user=user
    )
    file = tmp_path / "task.xml"
    file.write_text(print_schedule("task", here), encoding="ascii")
    create = ("schtasks", "/create", "/tn", NAME, "/xml", path(file))
    assert windows.wine(*create, "/f").returncode == 0
    stored = windows.system32 / "tasks" / NAME
    assert "<MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>" in stored.read_text("utf-8-sig")
    assert windows.wine(*create).returncode != 0, "it is there already"
    assert windows.wine("schtasks", "/delete", "/tn", NAME, "/f").returncode == 0
    assert not stored.exists()


def test_schtasks_takes_the_file_that_is_shipped(windows: Windows) -> None:
    file = path(ROOT / "windows_task" / "popfetch_task.xml")
    assert windows.wine("schtasks", "/create", "/tn", NAME, "/xml", file, "/ru", "SYSTEM", "/f").returncode == 0
    assert windows.wine("schtasks", "/delete", "/tn", NAME, "/f").returncode == 0


def test_the_command_files_register_the_task_with_this_machines_paths_and_take_it_out(
    windows: Windows, tmp_path: Path
) -> None:
    conf = tmp_path / "dmail.conf"
    conf.write_text(
        f"pf_user bob geheim-bob pop.example.com to=bob@example.org\nras_timer 7\nwork_path {path(tmp_path)}\n"
    )
    scripts = path(ROOT / "windows_task")
    install = ("cmd", "/c", rf"{scripts}\install_task.cmd", path(windows.python), path(conf))
    done = windows.wine(*install, given="\n")  # no account: SYSTEM
    assert (done.returncode, "empty: SYSTEM" in done.stdout) == (0, True), done.stdout
    stored = windows.system32 / "tasks" / "POPFetch"
    assert "every 7 minutes" in stored.read_text("utf-8-sig")
    assert windows.wine("cmd", "/c", rf"{scripts}\remove_task.cmd").returncode == 0
    assert not stored.exists()


def test_no_task_is_registered_when_dmail_conf_is_not_usable(windows: Windows, tmp_path: Path) -> None:
    script = path(ROOT / "windows_task" / "install_task.cmd")
    done = windows.wine("cmd", "/c", script, path(windows.python), path(tmp_path / "missing.conf"), given="\n")
    assert done.returncode != 0
    assert not (windows.system32 / "tasks" / "POPFetch").exists()


@pytest.mark.parametrize(("right", "wrong"), [("<Settings>", "<Settings"), ("2004/02/mit", "2004/02/other")])
def test_a_file_that_is_no_task_is_refused(right: str, wrong: str, windows: Windows, tmp_path: Path) -> None:
    file = tmp_path / "task.xml"
    text = print_schedule("task", Installation("p", "q", "r", 5))
    file.write_text(text.replace(right, wrong), encoding="ascii")
    assert windows.wine("schtasks", "/create", "/tn", NAME, "/xml", path(file), "/f", seconds=60).returncode != 0
