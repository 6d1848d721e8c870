"""A message of a gigabyte costs no more memory than a small one, whatever becomes of it."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.passes import PROGRAM, Conf, Result, RunPass
from tests.pki import Pki
from tests.real.dovecot import Dovecot
from tests.real.office import NOTHING, Office, pop3s
from tests.real.people import DOMAIN
from tests.real.postfix import Postfix

MEGABYTE = 1_000_000
MOST = 64 << 20  # octets of memory that a pass may take at its peak
LIMIT = 300  # seconds
PIECE = 1 << 20
# Runs a program as its only child and says at the end what that took at its peak, in kB. That of a child of pytest
# would not be its own: a process starts with the peak of the one that it was split off from.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], check=False).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


class Measured(NamedTuple):
    """What a pass said, and the most memory that it had at once, in octets."""

    result: Result
    peak: int


def measured(conf: Path, *arguments: str) -> Measured:
    command = [sys.executable, "-I", "-S", "-c", MEASURE, sys.executable, str(PROGRAM), "-i", str(conf), *arguments]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
    said, _, peak = ended.stderr.decode().rpartition("peak ")
    print(f"{int(peak) >> 10} MB at the peak")
    return Measured(Result(ended.returncode, ended.stdout.decode(), said), int(peak) << 10)


@pytest.fixture
def office(dovecot: Dovecot, postfix: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, postfix, pki, conf, run_pass)


def body(megabytes: int) -> Iterator[bytes]:
    """Yield a message's body with LF line ends, a megabyte a piece, every piece another; it begins with a dot."""
    line = bytes(range(33, 127)) + b"\n"
    for number in range(megabytes):
        name = b".%d\n" % number
        yield (name + line * (MEGABYTE // len(line)))[: MEGABYTE - 1] + b"\n"


def plant(dovecot: Dovecot, user: str, megabytes: int) -> str:
    """Put a large message into the mailbox, and return the SHA-256 of its body with LF line ends."""
    dovecot.fill(user, [b""])
    (empty,) = dovecot._files(user)
    digest = hashlib.sha256()
    with empty.open("wb") as file:
        file.write(b"From: a@example.org\nSubject: large\n\n")
        for piece in body(megabytes):
            digest.update(piece)
            file.write(piece)
        size = file.tell()
    empty.rename(empty.with_name(empty.name.replace("S=0", f"S={size}")))
    return digest.hexdigest()


def print_of(path: Path) -> str:
    """Return the SHA-256 of the body in a maildir's file, wherever it begins."""
    with path.open("rb") as file:
        top = file.read(PIECE)
        digest = hashlib.sha256(top[top.index(b"\n.0\n") + 1 :])
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def arrived(office: Office, address: str) -> Path:
    office.postfix.settle()
    (file,) = (office.postfix.root / "mail" / address / "new").iterdir()
    return file


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
def test_a_gigabyte_passes_in_less_than_64_megabytes_of_memory(office: Office) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    sent = plant(office.dovecot, user, 1000)
    result, peak = measured(office.settings(pop3s(office.dovecot, user, f"to={address}")))
    assert result == NOTHING
    assert office.dovecot.left(user) == 0
    file = arrived(office, address)
    assert print_of(file) == sent
    file.unlink()
    assert peak < MOST


def test_a_large_message_is_refused_buried_and_sent_again_in_as_little_memory(office: Office) -> None:
    user, address = office.dovecot.user(), f"late.large@{DOMAIN}"
    sent = plant(office.dovecot, user, 100)
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"))
    buried = measured(path)
    assert buried.result.code == 65
    assert office.dovecot.left(user) == 0
    office.admit(address)
    resent = measured(path, "--duds", "resend", "1")
    assert resent.result.code == 0
    assert print_of(arrived(office, address)) == sent
    assert max(buried.peak, resent.peak) < MOST


def test_the_caretakers_copy_of_a_large_message_takes_as_little_memory(office: Office) -> None:
    user, caretaker = office.dovecot.user(), office.postfix.address()
    sent = plant(office.dovecot, user, 100)
    line = pop3s(office.dovecot, user, f"to=stranger@{DOMAIN}")
    result, peak = measured(office.settings(line, pf_dflt_address=caretaker))
    assert result == NOTHING
    assert print_of(arrived(office, caretaker)) == sent
    assert peak < MOST
