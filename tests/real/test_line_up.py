"""Whatever goes wrong in mid-pass, with our own files or with pf_dial_check, the line is down at the end.

The line is a cable between two network namespaces, work_path a small file system of its own; what goes wrong does so
when the provider is asked for the second message.
"""

import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.embedded import PopServer, PopTalk, SmtpServer
from tests.passes import PROGRAM, Conf, Result, account
from tests.real.netns import ADDRESS, CHECK, DialUp
from tests.talk import Talk

pytestmark = [pytest.mark.netns, pytest.mark.skipif(sys.platform != "linux", reason="namespaces and mounts of Linux")]

MAILS = [b"Subject: %d\r\n\r\n%b" % (number, b"hello, this is a line\r\n" * 200) for number in range(6)]
# So that the mode of a folder counts for root as it does for any other user.
MODES_COUNT = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
SIZE, INODES = 2 << 20, 40


class Interrupted(PopServer):
    """Lets something happen at the second RETR of a session, once, before it is answered."""

    happens: Callable[[], object] | None = None

    def talk(self, sock: object) -> Talk:
        talk = super().talk(sock)  # type: ignore[arg-type]
        assert isinstance(talk, PopTalk)
        real, asked = talk.inside[b"RETR"], [0]

        def retr(number: bytes) -> bool | None:
            asked[0] += 1
            if asked[0] == 2 and self.happens is not None:
                happens, self.happens = self.happens, None
                happens()
            return real(number)

        talk.inside = {**talk.inside, b"RETR": retr}
        return talk


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system."""
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={SIZE},nr_inodes={INODES},mode=700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False, timeout=60)


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, timeout=60)


class Office:
    """An office with a line and a mailbox at the far end, whose passes may meet with trouble."""

    def __init__(self, line: DialUp, conf: Conf, work: Path, pop: Interrupted, smtp: SmtpServer) -> None:
        self.line, self.conf, self.work, self.pop, self.smtp = line, conf, work, pop, smtp
        self.check = work.parent / "check-of-ours"
        self.mend_check()
        self.path = conf(
            account(line.provide(pop.port), "to=bob@example.org", host=ADDRESS),
            pf_smtp_server=f"127.0.0.1:{line.let_in(smtp.port)}",
            pf_tls="off",
            work_path=work,
            **{**line.settings, "pf_dial_check": self.check},
        )
        self.running: subprocess.Popen[bytes] | None = None

    def mend_check(self) -> None:
        self.spoil_check(CHECK.format(address=ADDRESS))

    def spoil_check(self, text: str) -> None:
        draft = self.check.with_suffix(".new")
        draft.write_text(text)
        draft.chmod(0o755)
        draft.replace(self.check)

    def run(self, happens: Callable[[], object] | None = None) -> Result:
        """Make a pass in which that happens."""
        self.pop.happens = happens
        argv = self.line.inside(*MODES_COUNT, sys.executable, "-W", "error", PROGRAM, "-i", self.path)
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as started:
            self.running = started
            out, err = started.communicate(timeout=100)
        return Result(started.returncode, out.decode(), err.decode())

    # --- what may happen ------------------------------------------------------------------------------------------

    def read_only(self) -> None:
        """No new file, no new name; what is open for writing goes on (the kernel remounts nothing under a writer)."""
        self.work.chmod(0o500)

    def remounted(self) -> None:
        mount("-o", "remount,ro", str(self.work))

    def full(self) -> None:
        with suppress(OSError), (self.work / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)

    def no_inodes(self) -> None:
        with suppress(OSError):
            for number in range(INODES + 1):
                (self.work / f"filler{number}").touch()

    def no_descriptors(self) -> None:
        assert self.running is not None
        pid = self.running.pid
        most = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))

    def killed(self) -> None:
        assert self.running is not None
        self.running.kill()

    def mend(self) -> None:
        mount("-o", "remount,rw", str(self.work))
        self.work.chmod(0o700)
        for filler in self.work.glob("filler*"):
            filler.unlink()
        self.mend_check()


@pytest.fixture
def office(line: DialUp, conf: Conf, tmp_path: Path) -> Iterator[Office]:
    with (
        small_disk(tmp_path / "disk") as work,
        Interrupted({"bob": ("geheim-bob", MAILS)}) as pop,
        SmtpServer() as smtp,
    ):
        yield Office(line, conf, work, pop, smtp)


def happenings(office: Office) -> dict[str, Callable[[], object]]:
    return {
        "read-only": office.read_only,
        "remounted": office.remounted,
        "full": office.full,
        "no inodes": office.no_inodes,
        "no descriptors": office.no_descriptors,
        "the check hangs": lambda: office.spoil_check("#!/bin/sh\nsleep 600\n"),
        "the check fails": lambda: office.spoil_check("#!/bin/sh\nexit 77\n"),
        "the check is killed": lambda: office.spoil_check("#!/bin/sh\nkill -9 $$\n"),
        "the check is not there": office.check.unlink,
        "the check cannot be run": lambda: office.check.chmod(0),
    }


HAPPENS = [
    *("read-only", "full", "no inodes", "no descriptors"),
    *("the check hangs", "the check fails", "the check is killed", "the check is not there", "the check cannot be run"),
]
OF_THE_DISK = {"read-only", "full", "no inodes"}


@pytest.mark.parametrize("what", HAPPENS)
def test_what_happens_in_mid_pass_leaves_no_line_up_and_costs_no_message(what: str, office: Office) -> None:
    told = office.run(happenings(office)[what])
    assert office.pop.happens is None, "it did not come to that"
    assert not office.line.is_up, told
    assert [event.what for event in office.line.story][:2] == ["up", "down"]
    assert "Traceback" not in told.err
    if what in OF_THE_DISK:
        assert told.code == 74, told
    office.mend()
    for _ in range(3):
        told = office.run()
        assert not office.line.is_up, told
    assert (told.code, told.err) == (0, "")
    assert Counter(letter.content.partition(b"Subject: ")[2][:1] for letter in office.smtp.taken) == Counter(
        mail[9:10] for mail in MAILS
    )
    assert office.pop.left("bob") == []
    assert not (office.work / "popfetch.line").exists()


@pytest.mark.parametrize("what", ["read-only", "remounted", "full", "no inodes"])
def test_the_line_of_a_killed_pass_is_hung_up_although_nothing_can_be_written(what: str, office: Office) -> None:
    assert office.run(office.killed).code == -9
    assert office.line.is_up
    happenings(office)[what]()
    told = office.run()
    assert not office.line.is_up, told
    assert told.code in {69, 74}, told
    office.mend()
    for _ in range(3):
        told = office.run()
    assert (told.code, office.line.is_up, office.pop.left("bob")) == (0, False, [])
    assert len(office.smtp.taken) == len(MAILS)
