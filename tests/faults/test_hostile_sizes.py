"""Messages without measure: fifty megabytes of header, a million fields, a hundred thousand people or parentheses.

Nothing that a stranger writes may take time by the square of its length, nor memory by its length.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.hostile import Office, letters
from tests.faults.mills import MILLS, Mill, slow
from tests.faults.test_hostile_pop import MB, peak, reset
from tests.passes import PROGRAM, account
from tests.scenario.mails import mail

LARGE = 50 * MB
MOST = 64 * MB  # of a whole pass
LINES = LARGE // 5
# Told in the child, for what a parent is told of its children counts what they were copied from.
CHILD = """
import re, sys
from pathlib import Path
from popfetch_batch import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""
HUGE = {
    "fields": b"ab:\r\n" * LINES,
    "one list of people": b"X-Rcpt-To: b@example.org,\r\n" + b" (,(,(,(,(,(,(,(,\r\n" * (LINES // 4),
    "CRs": b"\r" * (LARGE // 4),
}


@pytest.mark.parametrize("mill", MILLS.values(), ids=MILLS)
def test_four_times_as_much_of_anything_takes_no_more_than_some_four_times_as_long(mill: Mill) -> None:
    assert not list(slow(mill, 1 << 12))


def passed(office: Office, *words: str, option: str = "to=b@example.org", **settings: object) -> tuple[int, int]:
    """Run a pass as a child; return its exit code and how many octets of memory it had at most."""
    where = {"pf_smtp_server": f"127.0.0.1:{office.smtp.port}"}
    path = office.conf(account(office.pop.port, option), **{**where, **settings})
    command = [sys.executable, "-c", CHILD, "-i", str(path), *words]
    ended = subprocess.run(command, cwd=PROGRAM.parent, capture_output=True, check=False, timeout=100)
    return ended.returncode, int(ended.stdout.split()[-1]) << 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells what a child had")
@pytest.mark.parametrize("front", HUGE.values(), ids=HUGE)
def test_fifty_megabytes_cost_a_dud_no_memory(office: Office, front: bytes) -> None:
    office.smtp.refused = {b"b@example.org": b"550 5.1.1 no such user"}
    office.put(front + b"\r\nhello\r\n")
    code, memory = passed(office)
    assert (code, memory < MOST, office.pop.left("bob")) == (65, True, [])
    code, memory = passed(office, "--duds", "list")
    assert (code, memory < MOST) == (0, True)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells what a child had")
def test_fifty_megabytes_that_the_caretaker_gets_cost_no_memory(office: Office) -> None:
    office.smtp.refused = {b"b@example.org": b"550 5.1.1 no such user"}
    front = HUGE["one list of people"]
    office.put(front + b"\r\nhello\r\n")
    code, memory = passed(office, pf_dflt_address="care@example.org")
    assert (code, memory < MOST) == (0, True)
    (letter,) = office.smtp.taken
    assert letter.recipients == (b"care@example.org",)
    assert front + b"\r\nhello\r\n" in letter.content


def test_a_million_received_lines_are_a_loop_and_stop_nothing(office: Office) -> None:
    office.put(b"Received: x\r\n" * 1_000_000 + b"\r\nhello\r\n", *letters(1))
    assert office.pass_().code == 65
    assert office.bodies == letters(1)
    assert "it goes in circles" in office.pass_("--duds", "list").out


def test_each_of_twenty_thousand_people_gets_it_once(office: Office) -> None:
    crowd = [b"%x@e.e" % number for number in range(20_000)]
    office.put(b"X-Rcpt-To: " + b", ".join(crowd) + b"\r\n\r\nhello\r\n")
    assert office.pass_(option="")[:2] == (0, "")
    assert [len(letter.recipients) for letter in office.smtp.taken] == [100] * 200
    assert [who for letter in office.smtp.taken for who in letter.recipients] == crowd


@pytest.mark.parametrize("opened", ["(", '"', "<", "g:", "[", "=?utf-8?q?", "\\", "(\\"])
def test_what_a_hundred_thousand_openings_hide_goes_to_the_caretaker_or_whom_it_names(
    office: Office, opened: str
) -> None:
    office.put(mail(f"X-Rcpt-To: {opened * 100_000} b@example.org"))
    assert office.pass_(option="", pf_dflt_address="care@example.org")[:2] == (0, "")
    (letter,) = office.smtp.taken
    assert letter.recipients in {(b"b@example.org",), (b"care@example.org",)}


def test_a_dud_with_a_subject_of_megabytes_is_listed_in_no_time(office: Office) -> None:
    office.smtp.refused = {b"b@example.org": b"550 5.1.1 no such user"}
    office.put(b"Subject: x\r\n" + (b" " + b"\xff" * 60_000 + b"\r\n") * 90 + b"\r\nhello\r\n")
    assert office.pass_().code == 65
    before = reset()
    done = office.pass_("--duds", "list")
    assert peak() - before < 4 * MB
    assert len(done.out) < 1000
