"""The receivers that a mixed mailbox is carried to: as they are installed, and as their admins make them.

Each knows the same people, puts off the recipients it is told to, refuses content with `X-Spam: yes` (or, at the dot,
what comes from `spam…`), and senders at BAD.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from tests.pki import Pki
from tests.real.exim import exim
from tests.real.opensmtpd import opensmtpd
from tests.real.people import BAD, SPAMMER
from tests.real.policy import Policy, policy_service
from tests.real.postfix import SHIPPED, Postfix, postfix

UNPACKED = Path(sys.prefix) / "servers"  # by tests/run


class Receiver(Protocol):
    """A server with people in it."""

    port: int
    log: Path
    reads: bool  # it refuses content, whoever sends it: a copy for the caretaker as well

    def address(self) -> str:
        """Return an address that no test had before."""

    def grey(self, *addresses: str) -> None:
        """Put off mail for *addresses* and for no others, from now on."""

    def received(self, address: str) -> list[bytes]:
        """Return what lies in the maildir, with LF line ends, once the queue is empty."""


class Moody:
    """A Postfix that asks a policy service."""

    def __init__(self, server: Postfix, policy: Policy) -> None:
        self.port = server.port
        self.log = server.log
        self.reads = policy.spent is None
        self.address = server.address
        self.received = server.received
        self._policy = policy

    def grey(self, *addresses: str) -> None:
        self._policy.grey = set(addresses)


def senders(reply: str) -> dict[str, str]:
    """Return the settings that make Postfix refuse senders at BAD with *reply*, which it says at RCPT."""
    return {"smtpd_sender_restrictions": f"check_sender_access inline:{{{{ {BAD} = {reply} }}}}"}


STRICT = {
    "smtpd_helo_restrictions": "reject_invalid_helo_hostname",
    "smtpd_client_restrictions": "reject_unauth_pipelining",
    "smtpd_data_restrictions": "reject_unauth_pipelining, reject_multi_recipient_bounce",
    "strict_rfc821_envelopes": "yes",
}
SPAM = {"header_checks": "regexp:{{/^X-Spam: yes/ REJECT this looks like spam}}"}
POSTFIX: dict[str, tuple[dict[str, str], bool]] = {
    "postfix": ({**SPAM, **senders("550 5.1.8 Domain not found")}, False),
    "postfix-end-of-data": (senders("550 5.1.8 Domain not found"), True),
    "postfix-reject": ({**SPAM, **senders("450 4.1.8 Domain not found"), **STRICT}, False),
}


@contextmanager
def moody(program: str, pki: Pki, name: str, **limits: str) -> Iterator[Moody]:
    """Run the Postfix of that *name* in POSTFIX, with a policy service beside it and *limits* of its own."""
    settings, at_the_dot = POSTFIX[name]
    with policy_service() as policy, ExitStack() as stack:
        more = {"smtpd_recipient_restrictions": policy.check}
        if at_the_dot:
            policy.spent = SPAMMER
            more["smtpd_end_of_data_restrictions"] = policy.check
        yield Moody(stack.enter_context(postfix(program, pki, **{**SHIPPED, **settings, **more, **limits})), policy)


@contextmanager
def running(name: str, program: str, pki: Pki) -> Iterator[Receiver]:
    """Run a receiver of RECEIVERS; *program* is Postfix's."""
    with ExitStack() as stack:
        server: Receiver
        if name == "exim":
            server = stack.enter_context(exim(UNPACKED / name))
        elif name == "opensmtpd":
            server = stack.enter_context(opensmtpd(UNPACKED / name))
        else:
            server = stack.enter_context(moody(program, pki, name))
        yield server


RECEIVERS = (*POSTFIX, "exim", "opensmtpd")
