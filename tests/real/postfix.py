"""A real Postfix for tests: smtpd on loopback, its own settings, queue and state, delivery into maildirs.

Nothing of the machine's own Postfix is touched or read. Needs root (Postfix starts no other way) and Debian's postfix.
"""

import itertools
import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pki import Pki
from tests.real.people import DOMAIN, letters_in
from tests.real.running import ServerError, folder, free_ports, listening, process

DRAIN = 60  # seconds until the queue must be empty
MEGABYTE = 1 << 20

MAIN = {
    "compatibility_level": "3.6",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "myhostname": f"postfix.{DOMAIN}",
    "mynetworks": "127.0.0.0/8",
    "mydestination": "",
    "alias_maps": "",
    "alias_database": "",
    "virtual_mailbox_domains": DOMAIN,
    "virtual_minimum_uid": "1",
    "virtual_mailbox_limit": "0",
    "message_size_limit": str(2000 * MEGABYTE),
    "local_header_rewrite_clients": "",  # headers stay as they come
    "default_transport": "error:nothing leaves this machine",
    "smtpd_relay_restrictions": "permit_mynetworks reject",
    "disable_dns_lookups": "yes",
    "smtpd_peername_lookup": "no",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_error_sleep_time": "0",
    "smtpd_hard_error_limit": "1000",
    "smtpd_soft_error_limit": "1000",
    "smtpd_tls_security_level": "may",
    "in_flow_delay": "0",
    "notify_classes": "",
}

# What of that is there to make tests fast: without it Postfix is as Debian ships it.
SHIPPED = dict.fromkeys(
    (
        "smtpd_client_connection_count_limit",
        "smtpd_error_sleep_time",
        "smtpd_hard_error_limit",
        "smtpd_soft_error_limit",
        "in_flow_delay",
        "notify_classes",
    )
)

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""
NAMES = ("alice", "bob", "carol", "dave", "caretaker", "postmaster", *(f"u{n}" for n in range(2000)))


class Postfix:
    """A running server that takes mail for all NAMES at DOMAIN; `address()` is one that no test had before."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.log = root / "maillog"
        self._numbers = itertools.count()

    def address(self) -> str:
        """Return an address whose maildir is empty."""
        return f"u{next(self._numbers)}@{DOMAIN}"

    def received(self, address: str) -> list[bytes]:
        """Return what lies in the maildir (LF line ends, Postfix's own lines on top) once the queue is empty."""
        self.settle()
        return letters_in(self.root / "mail" / address)

    def settle(self) -> None:
        """Wait until nothing is on its way."""
        end = time.monotonic() + DRAIN
        while self._queued() or self._queued():  # twice: a file may move against the order once
            if time.monotonic() > end:
                raise ServerError(f"the queue does not empty: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def _queued(self) -> bool:
        parts = (self.root / "queue" / name for name in ("incoming", "active", "deferred"))
        return any(path.is_file() for part in parts for path in part.rglob("*"))


def unpacked(received: bytes) -> bytes:
    """Return a message from a maildir without what Postfix put on top: the rest is what it was sent, with LF."""
    own = (b"return-path:", b"x-original-to:", b"delivered-to:", b"received:")
    lines = received.split(b"\n")
    at = 0
    for name in own:
        if lines[at].lower().startswith(name):
            at += 1
        while at and lines[at].startswith((b" ", b"\t")):
            at += 1
    return b"\n".join(lines[at:])


@contextmanager
def postfix(program: str, pki: Pki, **settings: object) -> Iterator[Postfix]:
    """Run Postfix with *settings* besides its own; None leaves one of those out."""
    with folder("postfix") as root:
        for name in ("etc", "queue", "data", "mail"):
            (root / name).mkdir()
        nobody, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        os.chown(root / "data", owner.pw_uid, owner.pw_gid)
        os.chown(root / "mail", nobody.pw_uid, nobody.pw_gid)
        (port,) = free_ports(1)
        rows = {
            **MAIN,
            "queue_directory": root / "queue",
            "data_directory": root / "data",
            "maillog_file": root / "maillog",
            "maillog_file_prefixes": root,
            "virtual_mailbox_base": root / "mail",
            "virtual_mailbox_maps": f"texthash:{root}/etc/users",
            "virtual_uid_maps": f"static:{nobody.pw_uid}",
            "virtual_gid_maps": f"static:{nobody.pw_gid}",
            "smtpd_tls_cert_file": pki.cert,
            "smtpd_tls_key_file": pki.key,
            **settings,
        }
        lines = (f"{name} = {value}\n" for name, value in rows.items() if value is not None)
        (root / "etc" / "main.cf").write_text("".join(lines))
        (root / "etc" / "master.cf").write_text(MASTER.format(port=port))
        (root / "etc" / "users").write_text("".join(f"{n}@{DOMAIN} {n}@{DOMAIN}/\n" for n in NAMES))
        with _started(program, root):
            listening(port)
            yield Postfix(root, port)


@contextmanager
def _started(program: str, root: Path) -> Iterator[None]:
    with (root / "out").open("wb") as out:
        command = [program, "-c", str(root / "etc")]
        started = subprocess.run([*command, "start"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
        if started.returncode:
            raise ServerError((root / "out").read_text() + (root / "maillog").read_text())
        try:
            yield
        finally:
            subprocess.run([*command, "stop"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)


@contextmanager
def sink(program: str, *options: str) -> Iterator[int]:
    """Run Postfix's smtp-sink, which takes all mail and forgets it; yield its port."""
    with folder("sink") as root:
        (port,) = free_ports(1)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with process([program, *user, *options, f"127.0.0.1:{port}", "100"], root / "out", port):
            yield port
