"""A real Exim for tests, as Debian sets it up: its own template and update-exim4.conf, in a root folder of its own.

Changed is what paths, ports and people ask for: the domain, a Maildir in each home, the port. One thing more: Debian's
Exim takes everything from 127.0.0.1, unknown recipients too, and bounces later; *strict* treats the machine itself like
anybody else. Greylisting and content filters stand in the files that Debian's template leaves for them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.jail import Jail
from tests.real.people import BAD, DOMAIN, NAMES, fresh, letters_in
from tests.real.running import ServerError, folder, free_ports, process

DRAIN = 120  # seconds until the queue must be empty
SERVER = "Debian-exim"

# What debconf's answers come to, in the words of exim4-config's postinst.
ANSWERS = f"""
dc_eximconfig_configtype='local'
dc_other_hostnames='{DOMAIN}'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='maildir_home'
"""
STRICT = """
MAIN_RELAY_NETS = :
CHECK_RCPT_LOCAL_ACL_FILE = /etc/exim4/rcpt
CHECK_DATA_LOCAL_ACL_FILE = /etc/exim4/data
"""
RCPT = """
defer recipients = lsearch*@;/etc/exim4/grey
      message = 4.2.0 greylisted, come back later
"""
DATA = """
deny condition = ${if eq{$h_X-Spam:}{yes}}
     message = 5.7.1 this looks like spam
"""


class Exim:
    """A running server that takes mail for all NAMES at DOMAIN; `address()` is one that no test had before."""

    reads = True  # content is refused, whoever sends it

    def __init__(self, jail: Jail, port: int) -> None:
        self.jail = jail
        self.port = port
        self.log = jail.root / "var" / "log" / "exim4" / "mainlog"
        self._fresh = fresh()

    def address(self) -> str:
        """Return an address whose maildir is empty."""
        return next(self._fresh)

    def grey(self, *addresses: str) -> None:
        """Put off mail for *addresses* and for no others, from now on."""
        (self.jail.root / "etc" / "exim4" / "grey").write_text("".join(f"{each}:\n" for each in addresses))

    def received(self, address: str) -> list[bytes]:
        """Return what lies in the maildir (LF line ends, Exim's own lines on top) once the queue is empty."""
        self.settle()
        return letters_in(self.jail.root / "home" / address.partition("@")[0] / "Maildir")

    def settle(self) -> None:
        """Wait until nothing is on its way: from the eleventh message of a connection on Exim waits for a queue run."""
        end = time.monotonic() + DRAIN
        while self._queued():
            self.jail.run("/usr/sbin/exim4", "-q")
            if time.monotonic() > end:
                raise ServerError(f"the queue does not empty: {self.log.read_text()[-2000:]}")

    def _queued(self) -> bool:
        return any((self.jail.root / "var/spool/exim4/input").rglob("*-D"))


@contextmanager
def exim(package: Path, *, strict: bool = True, macros: str = "") -> Iterator[Exim]:
    """Run Exim from the unpacked *package*; *macros* go into Debian's exim4.conf.localmacros."""
    with folder("exim") as root:
        jail = Jail(root, package, [SERVER], NAMES)
        for path in ("var/spool/exim4", "var/log/exim4", "var/lib/exim4", "run/exim4"):
            jail.own(path, SERVER)
        for person in NAMES:
            jail.own(f"home/{person}", person)
        _configure(jail, package, (STRICT if strict else "") + macros)
        server = Exim(jail, free_ports(1)[0])
        server.grey()
        jail.run("/usr/sbin/update-exim4.conf")
        command = ("/usr/sbin/exim4", "-bdf", "-q30m", "-oX", str(server.port))
        with process(jail.argv(*command), root / "out", server.port):
            yield server


def _configure(jail: Jail, package: Path, macros: str) -> None:
    etc = jail.root / "etc" / "exim4"
    etc.mkdir()
    (jail.root / "etc" / "email-addresses").touch()
    files = {
        "exim4.conf.template": (package / "etc/exim4/exim4.conf.template").read_text(),
        "update-exim4.conf.conf": ANSWERS,
        "exim4.conf.localmacros": macros,
        "local_sender_blacklist": f"*@{BAD}\n",
        "rcpt": RCPT,
        "data": DATA,
    }
    for name, text in files.items():
        (etc / name).write_text(text)
