"""The definitions that --print-schedule prints, and the files in cron/ and windows_task/, which are the same."""

import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.commands.definitions import Installation, print_schedule, service, timer
from lib.errors import SettingsError

ROOT = Path(__file__).resolve().parents[3]
NS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"

UNIX = Installation(
    python="/opt/popfetch_batch/.venv/bin/python",
    program="/opt/popfetch_batch/popfetch_batch.py",
    conf="/etc/dmail.conf",
    minutes=5,
    user="popfetch",
    folders=("/var/lib/popfetch", "/var/log/popfetch"),
)
WINDOWS = Installation(
    python=r"C:\Program Files\POPFetch\.venv\Scripts\python.exe",
    program=r"C:\Program Files\POPFetch\popfetch_batch.py",
    conf=r"C:\ProgramData\POPFetch\dmail.conf",
    minutes=5,
)
names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cron/popfetch.cron.d", print_schedule("cron", UNIX)),
        ("cron/popfetch.crontab", print_schedule("cron", UNIX._replace(user=""))),
        ("cron/popfetch.service", service(UNIX)),
        ("cron/popfetch.timer", timer(UNIX)),
        ("windows_task/popfetch_task.xml", print_schedule("task", WINDOWS)),
    ],
)
def test_the_files_that_are_shipped_are_what_is_printed_for_the_documented_paths(path: str, text: str) -> None:
    assert (ROOT / path).read_bytes().decode() == text


# --- cron ----------------------------------------------------------------------------------------------------------


def entry(here: Installation) -> str:
    lines = [line for line in print_schedule("cron", here).splitlines() if not line.startswith("#")]
    return lines[-1]


def test_a_crontab_entry_has_five_fields_and_the_call() -> None:
    assert entry(UNIX._replace(user="")) == (
        "*/5 * * * * /opt/popfetch_batch/.venv/bin/python /opt/popfetch_batch/popfetch_batch.py"
        " --scheduled -i /etc/dmail.conf"
    )


def test_a_system_entry_names_the_user_and_sets_what_cron_leaves_open() -> None:
    assert entry(UNIX).startswith("*/5 * * * * popfetch /opt/")
    assert "SHELL=/bin/sh\nPATH=/" in print_schedule("cron", UNIX)


def test_a_users_entry_changes_nothing_for_the_users_other_entries() -> None:
    lines = print_schedule("cron", UNIX._replace(user="")).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [entry(UNIX._replace(user=""))]


@pytest.mark.parametrize(
    ("minutes", "interval", "field"),
    [(1, False, "*"), (5, False, "*/5"), (7, False, "*"), (45, False, "*/15"), (60, False, "0"), (5, True, "*")],
)
def test_cron_asks_at_a_step_that_meets_the_timer(minutes: int, interval: bool, field: str) -> None:
    assert entry(UNIX._replace(minutes=minutes, interval=interval)).startswith(f"{field} * * * * popfetch ")


@given(names, names)
def test_sh_gets_the_words_back_whether_or_not_cron_takes_the_backslash_off(python: str, conf: str) -> None:
    here = UNIX._replace(python=f"/opt/{python.replace(chr(92), '')}", conf=f"/etc/{conf.replace(chr(92), '')}")
    left = entry(here).removeprefix("*/5 * * * * popfetch ")
    unescaped = left.replace(r"\%", "%")
    for heard in (left, unescaped):
        assert shlex.split(heard) == [here.python, here.program, "--scheduled", "-i", here.conf]
    assert left.count("%") == left.count(r"\%")


@pytest.mark.parametrize("conf", ["/etc/a\nb", "/etc/a\\b", "/etc/a\x00b", "/etc/" + "x" * 1000, "/etc/\udc80"])
def test_a_path_that_cron_cannot_hold_is_refused(conf: str) -> None:
    with pytest.raises(SettingsError):
        print_schedule("cron", UNIX._replace(conf=conf))


@pytest.mark.parametrize("user", ["a b", "0day", "a\nb", "%x", "-x"])
def test_a_user_that_cron_cannot_hold_is_refused(user: str) -> None:
    with pytest.raises(SettingsError):
        print_schedule("cron", UNIX._replace(user=user))


# --- systemd -------------------------------------------------------------------------------------------------------


def values(unit: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(name + "=")]


def test_systemd_prints_the_service_and_the_timer() -> None:
    text = print_schedule("systemd", UNIX)
    assert text == service(UNIX) + "\n" + timer(UNIX)
    assert text.index("popfetch.service") < text.index("Install as /etc/systemd/system/popfetch.timer")


def test_the_service_is_hardened() -> None:
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "StateDirectory=popfetch"):
        assert line in service(UNIX).splitlines()
    assert values(service(UNIX), "CapabilityBoundingSet") == [""]


def test_the_service_writes_only_to_the_folders_that_dmail_conf_names() -> None:
    assert values(service(UNIX), "ReadWritePaths") == []
    here = UNIX._replace(folders=("/srv/my mail", "/var/log/popfetch", "/srv/my mail"))
    assert values(service(here), "ReadWritePaths") == ['"-/srv/my mail"']


def test_a_service_without_a_user_runs_as_root() -> None:
    assert values(service(UNIX), "User") == ["popfetch"]
    assert values(service(UNIX._replace(user="")), "User") == []


def test_what_systemd_would_expand_is_escaped() -> None:
    here = UNIX._replace(python="/opt/my py/100%", conf='/etc/$HOME "x" \\y')
    assert values(service(here), "ExecStart") == [
        '"/opt/my py/100%%" /opt/popfetch_batch/popfetch_batch.py --scheduled -i "/etc/$$HOME \\"x\\" \\\\y"'
    ]


@pytest.mark.parametrize(
    "here",
    [
        UNIX._replace(program="/opt/a\nb.py"),
        UNIX._replace(python='/opt/"/python'),
        UNIX._replace(python="/a\\b/python"),
    ],
)
def test_a_path_that_a_unit_cannot_hold_is_refused(here: Installation) -> None:
    with pytest.raises(SettingsError):
        print_schedule("systemd", here)


def test_the_timer_counts_as_the_settings_do() -> None:
    assert values(timer(UNIX._replace(minutes=7)), "OnUnitActiveSec") == ["7min"]
    interval = timer(UNIX._replace(minutes=7, interval=True))
    assert values(interval, "OnUnitInactiveSec") == ["7min"]
    assert values(interval, "OnUnitActiveSec") == []


# --- the Windows Task Scheduler: the parts of Microsoft's schema that the task uses, in the schema's order -----------

BOOLEAN = ("true", "false")
ANY = None
SCHEMA: dict[str, dict[str, object]] = {
    "Task": {"RegistrationInfo": ANY, "Triggers": ANY, "Settings": ANY, "Principals": ANY, "Actions": ANY},
    "RegistrationInfo": {"URI": ANY, "Author": ANY, "Description": ANY},
    "Triggers": {"TimeTrigger": ANY},
    "TimeTrigger": {"Enabled": BOOLEAN, "StartBoundary": ANY, "EndBoundary": ANY, "Repetition": ANY},
    "Repetition": {"Interval": ANY, "Duration": ANY, "StopAtDurationEnd": BOOLEAN},
    "Settings": {
        "AllowStartOnDemand": BOOLEAN,
        "MultipleInstancesPolicy": ("Parallel", "Queue", "IgnoreNew", "StopExisting"),
        "DisallowStartIfOnBatteries": BOOLEAN,
        "StopIfGoingOnBatteries": BOOLEAN,
        "AllowHardTerminate": BOOLEAN,
        "StartWhenAvailable": BOOLEAN,
        "RunOnlyIfNetworkAvailable": BOOLEAN,
        "WakeToRun": BOOLEAN,
        "Enabled": BOOLEAN,
        "Hidden": BOOLEAN,
        "IdleSettings": ANY,
        "ExecutionTimeLimit": ANY,
        "Priority": tuple(map(str, range(11))),
        "RunOnlyIfIdle": BOOLEAN,
    },
    "IdleSettings": {"StopOnIdleEnd": BOOLEAN, "RestartOnIdle": BOOLEAN},
    "Principals": {"Principal": ANY},
    "Principal": {
        "UserId": ANY,
        "LogonType": ("S4U", "Password", "InteractiveToken", "InteractiveTokenOrPassword"),
        "RunLevel": ("LeastPrivilege", "HighestAvailable"),
    },
    "Actions": {"Exec": ANY},
    "Exec": {"Command": ANY, "Arguments": ANY, "WorkingDirectory": ANY},
}


def parsed(here: Installation) -> ET.Element:
    return ET.fromstring(print_schedule("task", here))  # noqa: S314 — our own text


def value(here: Installation, path: str) -> str | None:
    found = parsed(here).find("/".join(NS + part for part in path.split("/")))
    assert found is not None
    return found.text


@pytest.mark.parametrize(
    "here",
    [WINDOWS, WINDOWS._replace(user=r"HOST\mail", minutes=120, limit=20), WINDOWS._replace(interval=True)],
)
def test_the_tasks_elements_stand_in_the_schemas_order_and_hold_its_words(here: Installation) -> None:
    for parent in parsed(here).iter():
        children = [child.tag.removeprefix(NS) for child in parent]
        if not children:
            continue
        allowed = SCHEMA[parent.tag.removeprefix(NS)]
        order = list(allowed)
        assert [order.index(child) for child in children] == sorted({order.index(child) for child in children})
        for child in parent:
            words = allowed[child.tag.removeprefix(NS)]
            assert words is ANY or (isinstance(words, tuple) and child.text in words)


def test_the_task_is_ascii_and_names_no_encoding() -> None:
    text = print_schedule("task", WINDOWS._replace(conf="C:\\Büro Zürich\\dmail.conf", user="Büro\\Jürgen"))
    assert text.isascii()
    assert text.startswith('<?xml version="1.0"?>\n')


def test_the_task_calls_the_program_with_its_words_quoted() -> None:
    here = WINDOWS._replace(conf="C:\\Büro & <Söhne>\\dmail.conf")
    assert value(here, "Actions/Exec/Command") == WINDOWS.python
    assert value(here, "Actions/Exec/Arguments") == (
        r'"C:\Program Files\POPFetch\popfetch_batch.py" --scheduled -i "C:\Büro & <Söhne>\dmail.conf"'
    )
    assert value(here, "Actions/Exec/WorkingDirectory") == r"C:\Program Files\POPFetch"


@pytest.mark.parametrize(
    ("minutes", "interval", "expected"),
    [(5, False, "PT5M"), (7, False, "PT7M"), (1440, False, "PT1440M"), (99999, False, "PT44640M"), (5, True, "PT1M")],
)
def test_the_task_repeats_for_ever_within_the_schemas_bounds(minutes: int, interval: bool, expected: str) -> None:
    here = WINDOWS._replace(minutes=minutes, interval=interval)
    assert value(here, "Triggers/TimeTrigger/Repetition/Interval") == expected
    assert "<Duration>" not in print_schedule("task", here)


def test_windows_ends_a_pass_only_well_after_its_own_limit() -> None:
    assert value(WINDOWS, "Settings/ExecutionTimeLimit") == "PT72H"
    assert value(WINDOWS._replace(limit=20), "Settings/ExecutionTimeLimit") == "PT50M"


def test_the_task_runs_as_system_unless_an_account_is_named() -> None:
    assert value(WINDOWS, "Principals/Principal/UserId") == "S-1-5-18"
    assert "LogonType" not in print_schedule("task", WINDOWS)
    mail = WINDOWS._replace(user=r"HOST\mail")
    assert value(mail, "Principals/Principal/UserId") == r"HOST\mail"
    assert value(mail, "Principals/Principal/LogonType") == "Password"


def test_the_task_needs_no_network_to_start_for_it_may_have_to_dial() -> None:
    assert value(WINDOWS, "Settings/RunOnlyIfNetworkAvailable") == "false"
    assert value(WINDOWS, "Settings/DisallowStartIfOnBatteries") == "false"


@pytest.mark.parametrize("conf", ['C:\\a"b', "C:\\a\nb", "C:\\\ud800"])
def test_a_path_that_a_task_cannot_hold_is_refused(conf: str) -> None:
    with pytest.raises(SettingsError):
        print_schedule("task", WINDOWS._replace(conf=conf))


@pytest.mark.parametrize("path", ["windows_task/install_task.cmd", "windows_task/remove_task.cmd"])
def test_command_files_are_ascii_with_windows_line_ends(path: str) -> None:
    data = (ROOT / path).read_bytes()
    assert data.isascii()
    assert data.count(b"\n") == data.count(b"\r\n") > 0


@pytest.mark.parametrize("kind", ["cron", "systemd", "task"])
def test_no_definition_takes_the_programs_folder_off_pythons_path(kind: str) -> None:
    words = print_schedule(kind, WINDOWS if kind == "task" else UNIX).split()
    assert not {"-I", "-P"} & set(words)
