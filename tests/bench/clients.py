"""The programs that are measured. One row each: how its settings are written, which exit codes are fine, its version.

All of them fetch the same accounts from the same server, deliver everything to ACCOUNT@bench.example at the same
receiver and delete what they delivered, in one process or as many as they start by themselves; certificates are
verified. A floor writes how long its dialogues took into a file `dialogue`: it is not charged for the start of its
Python.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.place import BenchError
from tests.bench.rows import WORKS, Row
from tests.bench.servers import PASSWORD
from tests.bench.stock import SENDER, address

ROOT = Path(__file__).resolve().parents[2]
GETMAIL = "getmail6==6.20.2"
GETMAIL_VENV = Path(tempfile.gettempdir()) / "popfetch-bench-getmail6"
FLOOR_SESSIONS = 8


class Job(NamedTuple):
    """One run: an empty folder of its own, the accounts, the servers; `ca` is set when POP runs over TLS.

    `patience`: the seconds for which a silent server is waited for; 0: each program's own.
    """

    folder: Path
    accounts: Sequence[str]
    pop: tuple[str, int]
    smtp: tuple[str, int]
    ca: Path | None
    patience: int = 0

    def patient(self, *lines: str) -> list[str]:
        """Return the settings that say so, if it is to be said."""
        return [line % self.patience for line in lines] if self.patience else []


class Client(NamedTuple):
    """How to prepare a run (settings into job.folder, the words of the command), and how to read it."""

    prepare: Callable[[Job], list[str]]
    version: Callable[[], str]
    fine: frozenset[int] = frozenset({0})
    remembers: bool = True  # from run to run what it learned of its servers; floors do not


def write(path: Path, *lines: str) -> Path:
    """Write a file of settings that only we can read, as all of them demand."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as out:
        out.write("".join(f"{line}\n" for line in lines))
    return path


def said(*command: str | Path) -> str:
    """Give the first line that a command says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def package(name: str) -> str:
    return f"{name} {said('dpkg-query', '-W', '-f', '${Version}', name)}"


def popfetch(job: Job) -> list[str]:
    options = f"tls={'implicit' if job.ca else 'off'}"
    host = f"{job.pop[0]}:{job.pop[1]}"
    settings = [f'pf_user "{name}" "{PASSWORD}" {host} to={address(name)} {options}' for name in job.accounts]
    settings += [f"pf_smtp_server {job.smtp[0]}:{job.smtp[1]}", f"work_path {job.folder}"]
    settings += job.patient("pf_timeout %d", "pf_smtp_timeout %d")
    if job.ca:
        settings.append(f"pf_tls_ca {job.ca}")
    python = ROOT / ".venv" / "bin" / "python"
    command = [str(python if python.exists() else sys.executable), str(ROOT / "popfetch_batch.py")]
    return [*command, "-i", str(write(job.folder / "dmail.conf", *settings))]


def floor(sessions: int, connections: int) -> Callable[[Job], list[str]]:
    """Make a floor with so many SMTP connections for one account, or so many sessions for many."""

    def prepare(job: Job) -> list[str]:
        many = len(job.accounts) > 1
        servers = [f"{host}:{port}" for host, port in (job.pop, job.smtp)]
        shape = [str(sessions if many else 1), str(1 if many else connections)]
        words = [
            str(Path(__file__).with_name("floor.py")),
            *servers,
            PASSWORD,
            *shape,
            *([str(job.ca)] if job.ca else []),
        ]
        names = write(job.folder / "accounts", *job.accounts)
        return ["sh", "-c", f'exec "$@" < {names}', "sh", sys.executable, "-S", *words]

    return prepare


def fetchmail(job: Job) -> list[str]:
    tls = f"ssl sslcertck sslcertfile {job.ca}" if job.ca else 'sslproto ""'
    patience = "".join(job.patient("timeout %d "))
    settings = [
        f"poll {name}.bench via {job.pop[0]} proto pop3 port {job.pop[1]} {patience}"
        f'user "{name}" password "{PASSWORD}" '
        f'smtphost {job.smtp[0]}/{job.smtp[1]} smtpname "{address(name)}" fetchall nokeep {tls}'
        for name in job.accounts
    ]
    return ["fetchmail", "--silent", "-f", str(write(job.folder / "fetchmailrc", *settings))]


def getmail(job: Job) -> list[str]:
    files = []
    for name in job.accounts:
        settings = [
            "[retriever]",
            f"type = SimplePOP3{'SSL' if job.ca else ''}Retriever",
            *([f"ca_certs = {job.ca}"] if job.ca else []),
            *job.patient("timeout = %d"),
            f"server = {job.pop[0]}\nport = {job.pop[1]}\nusername = {name}\npassword = {PASSWORD}",
            f"[destination]\ntype = MDA_smtp\nhost = {job.smtp[0]}\nport = {job.smtp[1]}\noverride = {address(name)}",
            "[options]\nread_all = true\ndelete = true\nverbose = 0",
        ]
        files += ["--rcfile", str(write(job.folder / f"{name}.rc", *settings))]
    return [str(GETMAIL_VENV / "bin" / "getmail"), "--getmaildir", str(job.folder), *files]


def getmail_version() -> str:
    """Install it, if it is not there yet, into a folder of its own."""
    if not (GETMAIL_VENV / "bin" / "getmail").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", GETMAIL_VENV], check=True)
            subprocess.run([GETMAIL_VENV / "bin" / "pip", "install", "--quiet", GETMAIL], check=True)
        except subprocess.CalledProcessError as error:
            raise BenchError(f"{GETMAIL} cannot be installed: {error}") from error
    return f"getmail6 {said(GETMAIL_VENV / 'bin' / 'getmail', '--version')}"


def mpop(job: Job) -> list[str]:
    msmtp = f"msmtp --host={job.smtp[0]} --port={job.smtp[1]} --auth=off --tls=off -f %F"
    settings = ["defaults", f"host {job.pop[0]}", f"port {job.pop[1]}", f"password {PASSWORD}", "keep off", "auth user"]
    settings += ["tls on", "tls_starttls off", f"tls_trust_file {job.ca}"] if job.ca else ["tls off"]
    settings += job.patient("timeout %d")
    for name in job.accounts:
        settings += [f"account {name}", f"user {name}", f"delivery mda {msmtp} -- {address(name)}"]
        settings += [f"uidls_file {job.folder}/uidls-{name}"]
    return ["mpop", "--quiet", f"--file={write(job.folder / 'mpoprc', *settings)}", "--all-accounts"]


def fdm(job: Job) -> list[str]:
    host, port = job.smtp
    settings = [f'set lock-file "{job.folder}/lock"', 'set default-user "root"', "set maximum-size 1G"]
    settings += ["set verify-certificates"] if job.ca else []
    settings += job.patient("set timeout %d")
    for name in job.accounts:
        kind = "pop3s" if job.ca else "pop3"
        settings += [
            f'account "{name}" {kind} server "{job.pop[0]}" port {job.pop[1]} user "{name}" pass "{PASSWORD}"',
            f'action "{name}" smtp server "{host}" port {port} from "{SENDER}" to "{address(name)}"',
            f'match account "{name}" action "{name}"',
        ]
    trust = ["env", f"SSL_CERT_FILE={job.ca}"] if job.ca else []  # it knows the system's authorities only
    return [*trust, "fdm", "-q", "-f", str(write(job.folder / "fdm.conf", *settings)), "fetch"]


def popfetch_version() -> str:
    commit = said("git", "-C", ROOT, "log", "-1", "--format=%h %cs")
    changed = said("git", "-C", ROOT, "status", "--porcelain", "--", "lib", "popfetch_batch.py")
    return f"commit {commit}{' and changes' if changed else ''}"


def floor_version() -> str:
    return f"Python {sys.version.partition(' ')[0]}"


CLIENTS: Mapping[str, Client] = {
    "floor": Client(floor(1, 1), floor_version, remembers=False),
    "floor-8": Client(floor(FLOOR_SESSIONS, 4), floor_version, remembers=False),
    "popfetch": Client(popfetch, popfetch_version),
    "fetchmail": Client(fetchmail, lambda: package("fetchmail"), frozenset({0, 1})),  # 1: there was no mail
    "getmail6": Client(getmail, getmail_version),
    "mpop+msmtp": Client(mpop, lambda: f"{package('mpop')}, {package('msmtp')}"),
    "fdm": Client(fdm, lambda: package("fdm")),
}
OURS = ("floor", "floor-8", "popfetch")


def belongs(name: str, row: Row) -> bool:
    """Say whether a program runs in that row unless it is asked for: only the floors that can be the lowest do."""
    many = WORKS[row.work].accounts > 1
    if name == "floor":
        return not many
    if name == "floor-8":
        return many or row.line == "loop"
    return row.peers or name in OURS
