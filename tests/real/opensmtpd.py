"""A real OpenSMTPD for tests, in a root folder of its own: Debian's package, its settings but for people and filters.

It ends a connection after a hundred messages (`smtp limit max-mails`). Content is looked at by a filter that speaks
smtpd-filters(7): mawk is on every Debian.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.jail import Jail
from tests.real.people import BAD, DOMAIN, NAMES, fresh, letters_in
from tests.real.running import ServerError, folder, free_ports, process

NOBODY = "nobody@grey.invalid"  # an empty table is taken for one of another kind
DRAIN = 120  # seconds until the queue must be empty

CONF = """
table people file:/etc/people
table grey file:/etc/grey
table bad {{ "@{bad}" }}
filter "senders" phase mail-from match mail-from <bad> reject "550 5.1.8 Sender rejected"
filter "grey" phase rcpt-to match rcpt-to <grey> reject "451 4.7.1 Greylisted, come back later"
filter "content" proc-exec "/usr/bin/mawk -W interactive -f /etc/content.awk" user mail
filter "chain" chain {{ "senders", "grey", "content" }}
{more}
listen on 127.0.0.1 port {port} hostname opensmtpd.{domain} filter "chain"
action "in" maildir "/var/mail/%{{rcpt.user}}" virtual <people>
match from any for domain "{domain}" action "in"
"""

# A filter's lines: kind|version|time|smtp-in|phase|session|token|what the client said.
CONTENT = r"""
BEGIN { FS = "|" }
$2 == "config" || $1 == "config" {
    if ($0 ~ /ready$/) {
        print "register|filter|smtp-in|data-line"
        print "register|filter|smtp-in|commit"
        print "register|ready"
    }
    next
}
$5 == "data-line" {
    line = $0
    for (n = 0; n < 7; n++) sub(/^[^|]*\|/, "", line)
    if (line == "X-Spam: yes") spam[$6] = 1
    print "filter-dataline|" $6 "|" $7 "|" line
}
$5 == "commit" {
    print "filter-result|" $6 "|" $7 "|" ($6 in spam ? "reject|550 5.7.1 This looks like spam" : "proceed")
    delete spam[$6]
}
"""


class OpenSmtpd:
    """A running server that takes mail for all NAMES at DOMAIN; `address()` is one that no test had before."""

    reads = True  # content is refused, whoever sends it

    def __init__(self, jail: Jail, port: int) -> None:
        self.jail = jail
        self.port = port
        self.log = jail.root / "out"
        self._fresh = fresh()

    def address(self) -> str:
        """Return an address whose maildir is empty."""
        return next(self._fresh)

    def grey(self, *addresses: str) -> None:
        """Put off mail for *addresses* and for no others, from now on."""
        (self.jail.root / "etc" / "grey").write_text("".join(f"{each}\n" for each in (NOBODY, *addresses)))
        self.jail.run("setpriv", "--regid=opensmtpq", "--clear-groups", "/usr/sbin/smtpctl", "update", "table", "grey")

    def received(self, address: str) -> list[bytes]:
        """Return what lies in the maildir (LF line ends, OpenSMTPD's own lines on top) once the queue is empty."""
        self.settle()
        return letters_in(self.jail.root / "var" / "mail" / address.partition("@")[0])

    def settle(self) -> None:
        """Wait until nothing is on its way."""
        end = time.monotonic() + DRAIN
        while self._queued():
            if time.monotonic() > end:
                raise ServerError(f"the queue does not empty: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def _queued(self) -> bool:
        return any(path.is_file() for path in (self.jail.root / "var/spool/smtpd/queue").rglob("*"))


@contextmanager
def opensmtpd(package: Path, *more: str) -> Iterator[OpenSmtpd]:
    """Run OpenSMTPD from the unpacked *package*, with *more* lines in smtpd.conf."""
    with folder("opensmtpd") as root:
        jail = Jail(root, package, ["opensmtpd", "opensmtpq"], ())
        jail.own("var/mail", "mail")
        jail.own("var/lib/opensmtpd/empty", "root")
        (port,) = free_ports(1)
        files = {
            "smtpd.conf": CONF.format(port=port, domain=DOMAIN, bad=BAD, more="\n".join(more)),
            "content.awk": CONTENT,
            "people": "".join(f"{name}@{DOMAIN}: mail\n" for name in NAMES),
            "grey": f"{NOBODY}\n",
        }
        for name, text in files.items():
            (root / "etc" / name).write_text(text)
        with process(jail.argv("/usr/sbin/smtpd", "-d"), root / "out", port):
            yield OpenSmtpd(jail, port)
