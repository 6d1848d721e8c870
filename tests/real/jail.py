"""A root of its own for a server whose paths and users are compiled in: the machine's programs, and nothing it keeps.

The server's package is unpacked, not installed (tests/run does it). A mount namespace holds the machine's /usr beside
the package; /etc and /var are made here, so neither the machine's users nor its mail are seen or touched. Needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.real.running import ServerError

# The machine's, as they are; /usr/sbin and /usr/libexec are the package's.
SHARED = ("dev", "proc", "usr/bin", "usr/lib", "usr/lib64", "usr/local", "usr/share")
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
OWN = ("etc", "home", "opt/package", "run", "tmp", "usr", "var/lib", "var/log", "var/mail", "var/spool")
ENTER = f"""
set -e
for place in {" ".join(SHARED)}; do
    [ ! -e "/$place" ] || mount --rbind "/$place" "$1/$place"
done
mount --bind "$2" "$1/opt/package"
[ -s "$1/etc/ld.so.cache" ] || ldconfig -r "$1"
root=$1
shift 2
exec chroot "$root" "$@"
"""
ACCOUNT = "{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n"
FIRST_UID = 61_000
PATIENCE = 60  # seconds for a command in there


class Jail:
    """A root folder, and what runs a program inside it."""

    def __init__(self, root: Path, package: Path, servers: Iterable[str], people: Iterable[str]) -> None:
        """Lay out *root* for the unpacked *package*; *servers* are users of the server, *people* have mail."""
        self.root = root
        self._package = package
        for name in (*OWN, *SHARED):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("sbin", "libexec"):
            (root / "usr" / name).symlink_to(f"/opt/package/usr/{name}")
        for name, target in LINKS.items():
            (root / name).symlink_to(target)
        (root / "tmp").chmod(0o1777)
        (root / "var" / "run").symlink_to("/run")
        uids = {"root": 0, "mail": 8, "uucp": 10, "nobody": 65_534}
        self.uids = {**uids, **{name: FIRST_UID + at for at, name in enumerate((*servers, *people))}}
        self._describe()

    def _describe(self) -> None:
        host = os.uname().nodename
        libraries = ("/opt/package/usr/lib", "/opt/package/lib")
        files = {
            "passwd": "".join(ACCOUNT.format(name=name, uid=uid) for name, uid in self.uids.items()),
            "group": "".join(f"{name}:x:{uid}:\n" for name, uid in self.uids.items()),
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
            "hosts": f"127.0.0.1 localhost\n127.0.1.1 {host}.example.test {host}\n",
            "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",  # nobody there: no DNS, no waiting
            "mailname": f"{host}.example.test\n",
            "aliases": "",
            "ld.so.conf": "".join(f"{each}\n{each}/{os.uname().machine}-linux-gnu\n" for each in libraries)
            + Path("/etc/ld.so.conf").read_text().replace("include ", "include /"),
        }
        for name, text in files.items():
            (self.root / "etc" / name).write_text(text)
        more = Path("/etc/ld.so.conf.d")
        if more.is_dir():
            shutil.copytree(more, self.root / "etc" / more.name)

    def own(self, path: str, owner: str, mode: int = 0o755) -> Path:
        """Make a folder in there that belongs to *owner*."""
        made = self.root / path
        made.mkdir(parents=True, exist_ok=True)
        made.chmod(mode)
        os.chown(made, self.uids[owner], self.uids[owner])
        return made

    def argv(self, *command: str) -> list[str]:
        """Return what runs *command* in there, as the same process."""
        return ["unshare", "--mount", "sh", "-c", ENTER, "jail", str(self.root), str(self._package), *command]

    def run(self, *command: str) -> str:
        """Run *command* in there to its end and return what it printed; ServerError where it fails."""
        done = subprocess.run(
            self.argv(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=PATIENCE, check=False, text=True,
        )  # fmt: skip
        if done.returncode:
            raise ServerError(f"{' '.join(command)} ends with {done.returncode}: {done.stdout[-2000:]}")
        return done.stdout
