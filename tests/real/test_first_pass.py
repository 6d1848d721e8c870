"""A newcomer types what README.md shows, as root, on a machine of his own: its commands are read out of the page.

The machine is a mount namespace with an /etc, an /opt and a /var/lib of its own. Dovecot and Postfix are the session's.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.passes import HERE
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.postfix import Postfix
from tests.real.running import folder

CLONE = "opt/popfetch_batch"
EDITOR = """#!/bin/sh
# The newcomer, who types one line into the file that he was told of.
echo '{password}' > "$1"
"""


def first_pass() -> tuple[list[str], str]:
    """Return the commands of README's first pass, up to cron, and its dmail.conf."""
    page = (HERE / "README.md").read_text(encoding="utf-8")
    section = page[page.index("## Your first pass") : page.index("Or systemd, instead of cron")]
    blocks = re.findall(r"(?ms)^```(sh)?\n(.*?)^```$", section)
    (conf,) = [text for kind, text in blocks if kind != "sh"]
    return [text for kind, text in blocks if kind == "sh"], conf


class Machine:
    """What is a root's own in the namespace: *root* holds what lies over the machine's folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in (CLONE, "opt/bin", "lib", "home", "python"):
            (root / name).mkdir(parents=True)
        subprocess.run(["cp", "-a", "/etc", root / "etc"], check=True)
        editor = root / "opt" / "bin" / "editor"
        editor.write_text(EDITOR.format(password=PASSWORD))
        editor.chmod(0o755)

    def mounts(self) -> Iterator[tuple[Path, Path]]:
        """Yield what is mounted over what, in this order."""
        yield HERE, self.root / CLONE
        python = Path(sys.base_prefix)
        closed = [path for path in reversed(python.parents) if not path.stat().st_mode & stat.S_IXOTH]
        if closed:  # a Python that only root can reach is everybody's here
            (self.root / "home" / python.relative_to(closed[0])).mkdir(parents=True)
            yield python, self.root / "python"
            yield self.root / "home", closed[0]
            yield self.root / "python", python
        for ours, theirs in (("etc", "/etc"), ("opt", "/opt"), ("lib", "/var/lib")):
            yield self.root / ours, Path(theirs)

    def type(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run *script* as root there; it ends at the first command that fails."""
        mounts = "\n".join(shlex.join(["mount", "--rbind", str(ours), str(theirs)]) for ours, theirs in self.mounts())
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-euc", f"{mounts}\ncd /\n{script}"],
            env={"PATH": f"/opt/bin:{os.defpath}:/usr/sbin:/sbin", "HOME": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(need: Callable[[str], str], lack: Callable[[str], None]) -> Iterator[Machine]:
    need("unshare")
    need("runuser")
    if os.geteuid() != 0:
        lack("a newcomer who is root needs root")
    if not (HERE / ".venv" / "bin" / "python").exists():
        lack("the page wants .venv/bin/python in the program's folder")
    with folder("newcomer") as root:
        yield Machine(root)


def changed(text: str, names: dict[str, str]) -> str:
    """Return *text* with the newcomer's own names; each of the page's is there."""
    for page, own in names.items():
        assert page in text
        text = text.replace(page, own)
    return text


def test_what_the_readme_shows_leads_from_nothing_to_a_scheduled_pass(
    machine: Machine, dovecot: Dovecot, postfix: Postfix, pki: Pki
) -> None:
    user, address = dovecot.user(), postfix.address()
    dovecot.fill(user, [mail.plain(1, 300).sent])
    (machine.root / "etc" / "ca.pem").write_bytes(pki.ca.read_bytes())
    commands, conf = first_pass()
    own = changed(
        conf,
        {
            "pf_user anna@example.org": f"pf_user {user}",
            "to=anna@example.org": f"to={address}",
            "pop.example.org": f"localhost:{dovecot.pop3}",
            "127.0.0.1:25": f"127.0.0.1:{postfix.port}",
        },
    )
    user_and_folders, secret, checks, schedule = commands
    written = f"cat > /etc/dmail.conf <<'END'\n{own}pf_tls_ca /etc/ca.pem\nEND\n"
    done = machine.type(f"{user_and_folders}{secret}{written}{checks}{schedule}")
    assert done.returncode == 0, done
    assert not [line for line in done.stderr.splitlines() if line.startswith("popfetch: ")]
    assert "1 account, 0 warnings" in done.stdout
    assert len(postfix.received(address)) == 1
    assert dovecot.left(user) == 0
    assert (machine.root / "lib" / "popfetch" / "popfetch.log").stat().st_uid != 0
    job = machine.root / "etc" / "cron.d" / "popfetch"
    assert job.read_bytes() == (HERE / "cron" / "popfetch.cron.d").read_bytes()
    assert stat.S_IMODE(job.stat().st_mode) == 0o644


def test_what_goes_wrong_on_the_way_ends_it(machine: Machine) -> None:
    """The test above would notice: without the secret, --check says so and the next command is not typed."""
    (user_and_folders, _, checks, _), conf = first_pass()
    done = machine.type(f"{user_and_folders}cat > /etc/dmail.conf <<'END'\n{conf}END\n{checks}")
    assert done.returncode == 78
    assert "anna.secret cannot be read" in done.stderr
