"""A real Dovecot 2.3 for tests: POP3, POP3S and LMTP on loopback, with settings, state and mail in a folder of its own.

As root its parts run as the users of Debian's package (dovecot, dovenull) and mail belongs to nobody; as another user
all of it runs as that user. Needs dovecot-core, dovecot-pop3d and dovecot-lmtpd.
"""

import grp
import itertools
import os
import pwd
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pki import Pki
from tests.real.running import folder, free_ports, process

PASSWORD = "geheim-dovecot"
DOMAIN = "example.test"
NAMES = ("alice", "bob", "carol", "dave", "caretaker", *(f"u{n}" for n in range(2000)))

SETTINGS = """
base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/dovecot.log
protocols = pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{pki.cert}
ssl_key = <{pki.key}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 apop
auth_username_format = %Ln
auth_failure_delay = 0
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
postmaster_address = postmaster@{domain}
hostname = dovecot.{domain}
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
service pop3-login {{
  {chroot}
  service_count = 0
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  {chroot}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  {chroot}
}}
"""


class Dovecot:
    """A running server. Every user of NAMES exists, with the one PASSWORD; `user()` is one that no test had before."""

    def __init__(self, root: Path, ports: tuple[int, int, int]) -> None:
        self.root = root
        self.pop3, self.pop3s, self.lmtp = ports
        self.lmtp_socket = root / "run" / "lmtp"
        self.log = root / "dovecot.log"
        self._owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._fresh = (name for name in NAMES if name.startswith("u"))
        self._serial = itertools.count(1)

    def user(self) -> str:
        """Return a user whose mailbox is empty."""
        return next(self._fresh)

    def fill(self, user: str, messages: Iterable[bytes]) -> None:
        """Put *messages* into the mailbox in this order, as they are.

        On the wire Dovecot sends every LF that no CR precedes as CRLF and leaves all else as it is (lone CR, NUL,
        CR CR LF); a message without a last line end gets one. So a lone LF cannot be had from a Dovecot: scripted
        peers send those.
        """
        new = self._maildir(user) / "new"
        start = int(time.time())
        for message in messages:
            number = next(self._serial)
            path = new.parent / "tmp" / f"{start + number}.M{number}P1.{DOMAIN},S={len(message)}"
            path.write_bytes(message)
            self._give(path)
            path.rename(new / path.name)

    def left(self, user: str) -> int:
        """Return how many messages are in the mailbox."""
        return len(self._files(user))

    def received(self, user: str) -> list[bytes]:
        """Return what is in the mailbox, as it is on the disk: LMTP's messages have LF line ends."""
        return [path.read_bytes() for path in self._files(user)]

    def _files(self, user: str) -> list[Path]:
        maildir = self._maildir(user)
        return sorted((*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()), key=_age)

    def _maildir(self, user: str) -> Path:
        maildir = self.root / "mail" / user / "Maildir"
        if not maildir.exists():
            for path in (maildir.parent, maildir, *(maildir / name for name in ("cur", "new", "tmp"))):
                path.mkdir()
                self._give(path)
        return maildir

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)


def _age(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", path.name)[:2]))


def _settings(root: Path, pki: Pki, ports: tuple[int, int, int]) -> str:
    me = pwd.getpwuid(os.geteuid())
    root_runs = os.geteuid() == 0
    return SETTINGS.format(
        root=root,
        pki=pki,
        domain=DOMAIN,
        login="dovenull" if root_runs else me.pw_name,
        internal="dovecot" if root_runs else me.pw_name,
        group="dovecot" if root_runs else grp.getgrgid(me.pw_gid).gr_name,
        chroot="" if root_runs else "chroot =",
        pop3=ports[0],
        pop3s=ports[1],
        lmtp=ports[2],
    )


@contextmanager
def dovecot(program: str, pki: Pki, blocks: str = "", **settings: object) -> Iterator[Dovecot]:
    """Run Dovecot with *settings* besides its own (`pop3_uidl_duplicates="rename"`), and *blocks* behind all."""
    with folder("dovecot") as root:
        pop3, pop3s, lmtp = free_ports(3)
        server = Dovecot(root, (pop3, pop3s, lmtp))
        owner = server._owner
        (root / "mail").mkdir()
        server._give(root / "mail")
        users = (f"{u}:{{PLAIN}}{PASSWORD}:{owner.pw_uid}:{owner.pw_gid}::{root}/mail/{u}::" for u in NAMES)
        (root / "users").write_text("\n".join(users) + "\n")
        more = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (root / "dovecot.conf").write_text(_settings(root, pki, (pop3, pop3s, lmtp)) + more + blocks)
        with process([program, "-F", "-c", root / "dovecot.conf"], root / "out", pop3, pop3s, lmtp):
            yield server
