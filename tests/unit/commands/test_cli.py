"""The command line."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.commands import cli
from lib.commands.cli import Verb, Wish
from lib.errors import Exit, UsageError

HERE = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("", Wish(Verb.PASS)),
        ("-i my.conf", Wish(Verb.PASS, Path("my.conf"))),
        ("--scheduled", Wish(Verb.SCHEDULED)),
        ("--scheduled -i my.conf", Wish(Verb.SCHEDULED, Path("my.conf"))),
        ("-i my.conf --scheduled", Wish(Verb.SCHEDULED, Path("my.conf"))),
        ("-imy.conf", Wish(Verb.PASS, Path("my.conf"))),
        ("-test", Wish(Verb.TEST)),
        ("--test -i my.conf", Wish(Verb.TEST, Path("my.conf"))),
        ("--check", Wish(Verb.CHECK)),
        ("--status", Wish(Verb.STATUS)),
        ("--reset", Wish(Verb.RESET)),
        ("--dry-run", Wish(Verb.DRY_RUN)),
        ("--json", Wish(Verb.PASS, json=True)),
        ("--scheduled --json", Wish(Verb.SCHEDULED, json=True)),
        ("-test --json", Wish(Verb.TEST, json=True)),
        ("--duds list", Wish(Verb.DUDS_LIST)),
        ("--duds list -i my.conf", Wish(Verb.DUDS_LIST, Path("my.conf"))),
        ("--duds show 12", Wish(Verb.DUDS_SHOW, number=12)),
        ("--duds resend 1", Wish(Verb.DUDS_RESEND, number=1)),
        ("--duds resend all", Wish(Verb.DUDS_RESEND)),
        ("--duds resend 3 --to a@x b", Wish(Verb.DUDS_RESEND, number=3, to=("a@x", "b"))),
        ("--duds resend all --to a@x -i my.conf", Wish(Verb.DUDS_RESEND, Path("my.conf"), to=("a@x",))),
        ("--duds drop 2", Wish(Verb.DUDS_DROP, number=2)),
        ("--print-schedule cron", Wish(Verb.PRINT_SCHEDULE, scheduler="cron")),
        ("--print-schedule systemd", Wish(Verb.PRINT_SCHEDULE, scheduler="systemd")),
        ("--print-schedule task", Wish(Verb.PRINT_SCHEDULE, scheduler="task")),
    ],
)
def test_words_become_a_wish(line: str, wish: Wish) -> None:
    assert cli.parse(line.split()) == wish


@pytest.mark.parametrize(
    "line",
    [
        *("-i", "-i -test", "-i my.conf -i", "-i=", "--check --status", "-test --scheduled", "--tes", "--bogus", "bob"),
        *(
            "--duds",
            "--duds show",
            "--duds show 0",
            "--duds show x",
            "--duds show 1 2",
            "--duds list 1",
            "--duds drop",
            "--duds drop all",
            "--duds drop 1 --to a@x",
            "--duds list --to a@x",
            "--duds resend 1 --to",
            "--to a@x",
            "--check --to a@x",
        ),
        *("--duds show \u0665", "--duds show -1", "--duds show all", "--duds resend " + "9" * 5000),
        *("--print-schedule", "--print-schedule at", "--check --json", "--duds list --json", "--scheduled=1"),
    ],
)
def test_a_command_line_without_sense_is_one_line_and_64(line: str) -> None:
    with pytest.raises(UsageError, match=r"^[^\n]+$") as raised:
        cli.parse(line.split())
    assert raised.value.exit is Exit.USAGE


def test_an_empty_file_name_is_refused() -> None:
    with pytest.raises(UsageError):
        cli.parse(["-i", ""])


def test_help_names_every_verb_and_every_exit_code() -> None:
    for word in ("-h", "--help"):
        wish = cli.parse([word])
        assert wish.verb is Verb.SAY
        options = ("-test", "--scheduled", "--check", "--status", "--reset", "--dry-run", "--duds", "--print-schedule")
        assert all(option in wish.text for option in (*options, "--json", "-i FILE", "--version"))
        assert all(str(code.value) in wish.text for code in Exit)


def test_the_version_is_told() -> None:
    assert cli.parse(["--version"]).text == f"{cli.PROGRAM} {cli.VERSION}\n"


@pytest.mark.parametrize("words", [[], ["--scheduled"], ["-i", "x"], ["--scheduled", "-i", "x"]])
def test_what_cron_calls_costs_no_argparse(words: list[str]) -> None:
    code = f"import sys; from lib.commands import cli; cli.parse({words!r}); sys.exit('argparse' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE, check=False).returncode == 0


@given(
    st.lists(
        st.one_of(st.text(max_size=5), st.sampled_from(["-i", "--duds", "show", "1", "-test", "--json"])), max_size=5
    )
)
def test_any_words_are_a_wish_or_a_usage_error(words: list[str]) -> None:
    try:
        wish = cli.parse(words)
    except UsageError as error:
        said = str(error)
    else:
        said = wish.verb.value
    assert said.isprintable()


def test_who_measures_the_program_is_not_left_without_a_result() -> None:
    run = [sys.executable, "-m", "cProfile", str(HERE / "popfetch_batch.py"), "--version"]
    assert b"function calls" in subprocess.run(run, check=True, capture_output=True).stdout
