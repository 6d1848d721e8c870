"""The servers on both ends: Dovecot that holds the mailboxes, and smtp-sink or a Postfix that takes the mail.

All are instances of their own, with generated settings, on free ports, in the bench's own folder.
"""

import contextlib
import grp
import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.place import FAR, LOOPBACK, START, BenchError, Place, answers, free_port, process
from tests.bench.stock import DOMAIN, MAIL_USER, give_away

PASSWORD = "bench-pass"
DRAIN = 120  # seconds Postfix has to empty its queue after a run
SESSIONS = 2000  # more at once than any client here opens

DOVECOT = """
base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/dovecot.log
protocols = pop3
listen = {listen}
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 0
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_process_limit = {sessions}
default_client_limit = {clients}
first_valid_uid = 1
mail_location = maildir:%h/Maildir
mail_max_userip_connections = 0
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%u allow_all_users=yes
}}
service pop3-login {{
  {no_chroot}
  service_count = 0
  client_limit = {sessions}
  process_limit = 2
  inet_listener pop3 {{
    port = {pop}
  }}
  inet_listener pop3s {{
    port = {pops}
    ssl = yes
  }}
}}
service anvil {{
  {no_chroot}
}}
service stats {{
  {no_chroot}
}}
"""

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {root}/maillog
maillog_file_prefixes = {root}
myhostname = receiver.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
message_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = static:inbox/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
"""

MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Dovecot(NamedTuple):
    """A POP server that runs: at home at `place`, on two ports; where clients see it is the line's business."""

    place: Place
    host: str
    plain: int
    tls: int
    cert: Path

    def warm(self, accounts: list[str]) -> None:
        """Let it index each mailbox, as it would have after a delivery of its own."""
        probe: list[str | Path] = [
            Path(__file__).with_name("warm.py"),
            "127.0.0.1",
            str(self.plain),
            str(10 * START),
            PASSWORD,
        ]
        names = "\n".join(accounts).encode()
        if subprocess.run(self.place.argv("python3", "-S", *probe), input=names, check=False).returncode:
            raise BenchError("Dovecot does not list its mailboxes")


class Receiver(NamedTuple):
    """An SMTP server that runs, and the folder in which each message it took is a file."""

    port: int
    folder: Path
    queue: Path | None

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()

    def arrived(self) -> Iterator[bytes]:
        """Give what was taken, once it is all in the folder; BenchError if the queue does not empty."""
        deadline = time.monotonic() + DRAIN
        while self.queue is not None and _queued(self.queue):
            if time.monotonic() > deadline:
                raise BenchError("Postfix's queue does not empty")
            time.sleep(0.05)
        return (path.read_bytes() for path in sorted(self.folder.iterdir()))


def _queued(queue: Path) -> bool:
    return any(
        path.is_file() for part in ("maildrop", "incoming", "active", "deferred") for path in (queue / part).rglob("*")
    )


@contextlib.contextmanager
def dovecot(place: Place, root: Path, mail: Path) -> Iterator[Dovecot]:
    """Run Dovecot there, with its mailboxes under `mail`."""
    root.mkdir()
    host = "127.0.0.1" if place == LOOPBACK else FAR
    server = Dovecot(place, host, free_port(), free_port(), root / "cert.pem")
    _certificate(root, host)
    ours = os.geteuid() != 0
    me = pwd.getpwuid(os.geteuid()).pw_name
    settings = DOVECOT.format(
        root=root, listen="127.0.0.1" if place == LOOPBACK else "0.0.0.0",  # noqa: S104 - a namespace of ours
        cert=server.cert, key=root / "key.pem",
        login_user=me if ours else "dovenull", internal_user=me if ours else "dovecot",
        internal_group=grp.getgrgid(os.getegid()).gr_name if ours else "dovecot",
        sessions=SESSIONS, clients=4 * SESSIONS, password=PASSWORD, mail=mail,
        uid=os.geteuid() if ours else MAIL_USER, gid=os.getegid() if ours else MAIL_USER,
        no_chroot="chroot =" if ours else "", pop=server.plain, pops=server.tls,
    )  # fmt: skip
    (root / "dovecot.conf").write_text(settings)
    with process(place.argv("dovecot", "-F", "-c", root / "dovecot.conf"), root / "out"):
        answers(place, "127.0.0.1", server.plain)
        yield server


def _certificate(root: Path, host: str) -> None:
    """Make a certificate for that address, under all the names by which programs look for one; its own authority."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={host}",
         "-addext", f"subjectAltName=IP:{host},DNS:{host}", "-keyout", root / "key.pem", "-out", root / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


@contextlib.contextmanager
def sink(place: Place, root: Path, mail: Path) -> Iterator[Receiver]:
    """Run Postfix's smtp-sink there; it writes each message into a file of its own in memory (`mail`)."""
    root.mkdir()
    mail.mkdir()
    give_away(mail)
    server = Receiver(free_port(), mail, None)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command: list[str | Path] = [
        "smtp-sink",
        *user,
        "-d",
        mail / "m.",
        "-m",
        str(SESSIONS),
        f"127.0.0.1:{server.port}",
        "1024",
    ]
    with process(place.argv(*command), root / "out"):
        answers(place, "127.0.0.1", server.port)
        yield server


@contextlib.contextmanager
def postfix(place: Place, root: Path, mail: Path) -> Iterator[Receiver]:
    """Run a whole Postfix there, its queue on disk, that delivers into one Maildir (`mail`)."""
    if os.geteuid() != 0:
        raise BenchError("Postfix needs root")
    for folder in (root, root / "etc", root / "queue", root / "data", mail):
        folder.mkdir()
    give_away(mail)
    os.chown(root / "data", pwd.getpwnam("postfix").pw_uid, -1)
    server = Receiver(free_port(), mail / "inbox" / "new", root / "queue")
    for part in ("cur", "new", "tmp"):
        (mail / "inbox" / part).mkdir(parents=True)
    for folder in (mail / "inbox", *(mail / "inbox").iterdir()):
        give_away(folder)
    (root / "etc" / "main.cf").write_text(MAIN_CF.format(root=root, domain=DOMAIN, mail=mail, uid=MAIL_USER))
    (root / "etc" / "master.cf").write_text(MASTER_CF.format(port=server.port))
    command = place.argv("postfix", "-c", root / "etc")
    with (root / "out").open("wb") as out:
        subprocess.run([*command, "start"], check=True, stdout=out, stderr=out)
        try:
            answers(place, "127.0.0.1", server.port)
            yield server
        finally:
            subprocess.run([*command, "stop"], check=False, stdout=out, stderr=out)


RECEIVERS = {"sink": sink, "postfix": postfix}
