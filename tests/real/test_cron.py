"""Debian's cron runs the entries that we ship: in a mount namespace, with an /etc and a /run of its own."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import HERE, Secrets, account
from tests.real.running import folder, process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PATIENCE = 150  # seconds: cron wakes once a minute
MAIL = b"X-Rcpt-To: %b@example.org\r\nSubject: by cron\r\n\r\nhello\r\n"
MOUNTS = {  # ours, below the test's folder, over the machine's, and only in the namespace
    "etc": "/etc",
    "run": "/run",
    "crontabs": "/var/spool/cron/crontabs",
    "opt": "/opt",
    "sendmail": "/usr/sbin/sendmail",
}
SENDMAIL = """#!/bin/sh
# What cron mails its complaints with.
cat > "$(mktemp {mails}/XXXXXX)"
"""


class Machine:
    """What cron sees: the shipped files in the places that the README names, a user called popfetch, no other job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc, self.mails = root / "etc", root / "mails"
        for name in ("run", "opt/popfetch_batch", "crontabs", "mails", "bob", "carol"):
            (root / name).mkdir(parents=True)
        shutil.copytree("/etc", self.etc, symlinks=True)
        for job in (*(self.etc / "cron.d").iterdir(), self.etc / "crontab"):
            job.unlink(missing_ok=True)
        # The Python of the tests may lie where only root can read, so that this user has root's number.
        with (self.etc / "passwd").open("a") as file:
            file.write("popfetch:x:0:0::/:/bin/sh\n")
        with (self.etc / "shadow").open("a") as file:
            file.write("popfetch:*:19000:0:99999:7:::\n")
        pam = self.etc / "pam.d" / "cron"
        pam.write_text(pam.read_text().replace("session    required     pam_loginuid.so", ""))  # the machine's to allow
        self.write("sendmail", SENDMAIL.format(mails=self.mails), 0o755)

    def write(self, name: str, text: str, mode: int) -> None:
        path = self.root / name
        path.write_text(text)
        path.chmod(mode)

    def every_minute(self, name: str, text: str) -> None:
        """Install an entry that is shipped, due every minute where it says every five."""
        assert len(re.findall(r"(?m)^\*/5 \* \* \* \* ", text)) == 1
        self.write(name, text.replace("\n*/5 * ", "\n* * "), 0o644 if name.startswith("etc") else 0o600)

    @property
    def command(self) -> list[str]:
        """Return the words that start cron in its namespace."""
        # First of all the program: its folder may itself lie below one of the others.
        mounts = [["mount", "--bind", str(HERE), str(self.root / "opt" / "popfetch_batch")]]
        mounts += [["mount", "--rbind", str(self.root / ours), theirs] for ours, theirs in MOUNTS.items()]
        script = " && ".join([*map(shlex.join, mounts), "exec cron -f"])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


@pytest.fixture
def machine(need: Callable[[str], str], lack: Callable[[str], None]) -> Iterator[Machine]:
    need("cron")
    need("unshare")
    if os.geteuid() != 0:
        lack("a cron of one's own needs root")
    if not (HERE / ".venv" / "bin" / "python").exists():
        lack("the shipped entry wants .venv/bin/python in the program's folder")
    with folder("cron") as root:
        yield Machine(root)


def test_cron_runs_the_shipped_entries_at_the_minute_and_has_nothing_to_mail(
    machine: Machine, secrets: Secrets
) -> None:
    with ExitStack() as servers:
        smtp = servers.enter_context(SmtpServer())
        for name, path in (("bob", "dmail.conf"), ("carol", "carol.conf")):
            pop = servers.enter_context(PopServer({name: (f"geheim-{name}", [MAIL % name.encode()])}))
            rows = [account(pop.port, user=name), f"pf_smtp_server 127.0.0.1:{smtp.port}", "ras_timer 1"]
            rows += [f"work_path {machine.root / name}", "pf_accept_domain example.org"]
            secrets.plant("\n".join(rows))
            machine.write(f"etc/{path}", "\n".join(rows) + "\n", 0o600)
        machine.every_minute("etc/cron.d/popfetch", (HERE / "cron" / "popfetch.cron.d").read_text())
        mine = (HERE / "cron" / "popfetch.crontab").read_text().replace("/etc/dmail.conf", "/etc/carol.conf")
        machine.every_minute("crontabs/root", mine)
        machine.write("etc/cron.d/complaint", "* * * * * popfetch echo a complaint\n", 0o644)
        with process(machine.command, machine.root / "cron.log"):
            end = time.monotonic() + PATIENCE
            while len(smtp.taken) < 2 or not list(machine.mails.iterdir()):
                assert time.monotonic() < end, (machine.root / "cron.log").read_text()
                time.sleep(0.2)
            time.sleep(2)  # for a mail that should not come
    assert {letter.recipients for letter in smtp.taken} == {(b"bob@example.org",), (b"carol@example.org",)}
    for name in ("bob", "carol"):
        first = (machine.root / name / "popfetch.log").read_text().split(" ", 1)[0]
        assert datetime.fromisoformat(first).second < 20
    (mailed,) = [path.read_text() for path in machine.mails.iterdir()]
    assert "Subject: Cron <popfetch@" in mailed
    assert mailed.endswith("\n\na complaint\n")


def test_the_machines_own_cron_is_left_alone(machine: Machine) -> None:
    """What is mounted for our cron is not seen by anybody else."""
    before = Path("/proc/self/mounts").read_text()
    with process(machine.command, machine.root / "cron.log") as started:
        end = time.monotonic() + 20
        while not (machine.root / "run" / "crond.pid").exists():
            assert time.monotonic() < end, (machine.root / "cron.log").read_text()
            time.sleep(0.05)
        theirs = Path(f"/proc/{started.pid}/mounts").read_text()
        assert " /var/spool/cron/crontabs " in theirs
        assert Path("/proc/self/mounts").read_text() == before
    assert subprocess.run(["mountpoint", "-q", "/var/spool/cron/crontabs"], check=False).returncode != 0
