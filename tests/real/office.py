"""A mailbox at Dovecot, a maildir behind Postfix, and passes between them: what tests of whole passages need."""

import os
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from tests.conftest import SERVERS
from tests.passes import Conf, Result, RunPass
from tests.pki import Pki
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.postfix import Postfix, unpacked

OURS = re.compile(rb"Received: from [^\n]*(?:\n[ \t][^\n]*)*\n")
CONTROL, PATIENCE = 30, 5  # seconds
NOTHING = Result(0, "", "")  # what a pass says that has nothing to complain of


@dataclass(frozen=True)
class Office:
    """Two servers and the program between them."""

    dovecot: Dovecot
    postfix: Postfix
    pki: Pki
    conf: Conf
    run_pass: RunPass

    def settings(self, *lines: str, **settings: object) -> Path:
        """Write a dmail.conf that delivers to our Postfix and trusts the session's CA."""
        ours = {"pf_tls_ca": self.pki.ca, "pf_smtp_server": f"127.0.0.1:{self.postfix.port}"}
        return self.conf(*lines, **{**ours, **settings})

    def carry(self, messages: Iterable[bytes], *options: str, **settings: object) -> list[bytes]:
        """Let a pass carry *messages* from a fresh mailbox to a fresh address, and return what arrived there."""
        user, address = self.dovecot.user(), self.postfix.address()
        self.dovecot.fill(user, messages)
        path = self.settings(pop3s(self.dovecot, user, f"to={address}", *options), **settings)
        assert self.run_pass(path, child=True) == NOTHING
        assert self.dovecot.left(user) == 0
        return self.postfix.received(address)

    def admit(self, address: str) -> None:
        """Let Postfix know one more of its people, and forget at once that it did not."""
        with (self.postfix.root / "etc" / "users").open("a") as users:
            users.write(f"{address} {address}/\n")
        self.control("reload")

    def control(self, word: str) -> None:
        """Tell Postfix to stop, start, abort or reload."""
        if self.postfix.log.exists():
            self.postfix.log.chmod(0o666)  # postsuper tells there, as Postfix's user, what an abort has left
        done = self._postfix(word)
        assert done.returncode == 0, done

    def running(self) -> bool:
        return self._postfix("status").returncode == 0

    def _postfix(self, word: str) -> "subprocess.CompletedProcess[bytes]":
        command = ["postfix", "-c", str(self.postfix.root / "etc"), word]
        found = {**os.environ, "PATH": SERVERS}
        return subprocess.run(command, env=found, capture_output=True, timeout=CONTROL, check=False)


def pop3s(dovecot: Dovecot, user: str, *options: str, password: str = PASSWORD) -> str:
    """Return the pf_user line of a mailbox, by TLS from the first octet on."""
    return " ".join(["pf_user", user, password, f"localhost:{dovecot.pop3s}", "tls=implicit", *options])


def pop3(dovecot: Dovecot, user: str, *options: str, password: str = PASSWORD) -> str:
    """Return the pf_user line of a mailbox; STLS is offered there, so it is used."""
    return " ".join(["pf_user", user, password, f"localhost:{dovecot.pop3}", *options])


def lines_with(log: Path, words: str, count: int) -> list[str]:
    """Return the lines of a server's log that hold *words*, once there are *count*: servers write when they like."""
    end = time.monotonic() + PATIENCE
    while True:
        found = [line for line in log.read_text().splitlines() if words in line]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.02)


def below(received: bytes) -> bytes:
    """Return what lies below our Received line in a message of a maildir."""
    message = unpacked(received)
    ours = OURS.match(message)
    assert ours, message[:300]
    assert b"(popfetch " in b" ".join(ours[0].split()), ours[0]
    return message[ours.end() :]


def read(received: bytes) -> EmailMessage:
    """Return a message as a mail reader sees it."""
    return BytesParser(policy=policy.default).parsebytes(received)
