"""What a pass that finds nothing costs is its start: it imports no more than it needs. No clock is asked here."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.embedded import PopServer
from tests.passes import HERE, PROGRAM, Conf, account

# What only a message, TLS, a typed command line, a complaint or a line to raise needs.
NOT_NEEDED = {
    "argparse",
    "asyncio",
    "ctypes",
    "dateutil",
    "difflib",
    "email",
    "rich",
    "shlex",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "lib.commands.check",
    "lib.commands.verbs",
    "lib.report.console",
    "lib.line.command",
    "lib.line.ras",
    "lib.commands.dry_run",
    "lib.report.status",
}
# Runs the program as its scheduler does; what is printed is what was imported, and whether the collector looked on.
REPORT = """
import gc, os, runpy, sys
_, asked, *sys.argv = sys.argv
os._exit = sys.exit  # the program does not wait for the interpreter to be taken to pieces, and we want to look
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ending:
    frozen = gc.isenabled() and gc.get_freeze_count() > 10000
    print(int(ending.code), frozen, *(name for name in asked.split() if name in sys.modules))
"""


@pytest.fixture
def start() -> Callable[..., list[str]]:
    """Return what is printed by a Python that runs *code* with *words*."""

    def run(code: str, *words: str) -> list[str]:
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        child = [sys.executable, "-c", code, *words]
        return subprocess.run(child, env=environment, check=True, capture_output=True, text=True).stdout.split()

    return run


def test_an_empty_mailbox_is_found_empty_without_what_a_message_needs(
    conf: Conf, start: Callable[..., list[str]]
) -> None:
    the_lock_needs = start("import filelock, sys; filelock.FileLock; print(*sys.modules)")
    asked = sorted(NOT_NEEDED.difference(the_lock_needs))
    with PopServer({"bob": ("geheim-bob", [])}) as server:
        path = conf(account(server.port, "tls=off", "to=b@example.org"))
        for _ in ("the first pass", "one that finds the state of another"):
            code, frozen, *imported = start(REPORT, " ".join(asked), str(PROGRAM), "-i", str(path))
            assert (code, frozen, imported) == ("0", "True", [])
