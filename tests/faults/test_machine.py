"""A machine that is not well: full, failing, read-only, at another time, with strange files where ours should be."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.faults import books, damage, failing, powercut, torture
from tests.faults.killing import FINE, Ring, Shape, drain
from tests.faults.mails import CARETAKER, GREY, Mail, plain, stock
from tests.faults.zygote import Zygote
from tests.passes import Conf, StartPass, account

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a POSIX machine")

SEED = "ci"
KIND = Shape(0, hides=False, uidl=True, lmtp=False, boxes=1)
NOBODY = 65534
OURS = (
    "popfetch.journal",
    "popfetch.lock",
    "popfetch.log",
    "popfetch_state.toml",
    "popfetch_state.toml.new",
    "popfetch.line",
    "duds.dat",
    "msg.dat",
    "msg.2.dat",
    "msg.7.dat",
)


@pytest.fixture
def ring() -> Iterator[Ring]:
    with Ring() as ring:
        yield ring


@pytest.fixture
def root(lack: Callable[[str], None]) -> None:
    if os.geteuid() != 0:
        lack("this needs root")


def begin(ring: Ring, kind: Shape = KIND, seed: int = 1) -> list[Mail]:
    mails = list(stock(seed))
    ring.world.fill(mails, kind.boxes)
    ring.world.hides, ring.world.uidl, ring.world.lmtp = kind.hides, kind.uidl, kind.lmtp
    return mails


def well(ring: Ring, conf: Path, mails: list[Mail], kind: Shape = KIND) -> None:
    """Run passes until all is drained; every promise must have held."""
    troubles = list(drain(ring, conf, kind))
    told = books.judge(mails, ring.world.letters, ring.work / "duds.dat")
    assert not troubles
    assert told.clean, told.words


# --- calls that fail --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_calls_to_the_system_that_fail_lose_nothing_and_are_no_bug() -> None:
    told: list[str] = []
    total = torture.table(torture.spread(failing.rounds, torture.in_chunks(SEED, 160)), told.append)
    assert total.clean, "\n".join(told)
    assert total.kills == 160


@pytest.mark.slow
@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("uidl", [True, False])
def test_a_full_disk_loses_nothing_however_full_it_was(ring: Ring, uidl: bool) -> None:
    """A real one: a tmpfs that is a little larger every time, so that it is full at another write each time."""
    kind = KIND._replace(uidl=uidl)
    unwritten = 0
    for pages in range(1, 120, 5):
        ring.clear()
        mails = begin(ring, kind, pages)
        conf = ring.write_conf(kind)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={pages * 4}k,mode=700", "tmpfs", ring.work], check=True)
        try:
            assert ring.try_to_run(conf).code in {*FINE, 74}
            subprocess.run(["mount", "-o", "remount,size=64m", ring.work], check=True)
            well(ring, conf, mails, kind)
            unwritten += books.judge(mails, ring.world.letters, ring.work / "duds.dat").unwritten
        finally:
            subprocess.run(["umount", ring.work], check=True)
    assert unwritten == 0  # what was in memory found room in the end: the spool gives some back


@pytest.mark.parametrize("size", [0, 100, 1000, 5000, 100_000])
def test_a_limit_on_the_size_of_files_loses_nothing(ring: Ring, size: int) -> None:
    mails, conf = begin(ring), ring.write_conf(KIND)
    assert ring.try_to_run(conf, {"hook": "limit", "name": "RLIMIT_FSIZE", "value": size}).code in {*FINE, 74}
    well(ring, conf, mails)


@pytest.mark.parametrize("files", range(6, 40, 3))
def test_a_limit_on_open_files_loses_nothing(ring: Ring, files: int) -> None:
    """Whatever fails then (lock, log, connection, spool) is said, and is no bug."""
    mails, conf = begin(ring), ring.write_conf(KIND)
    ended = ring.try_to_run(conf, {"hook": "limit", "name": "RLIMIT_NOFILE", "value": files})
    assert ended.code in {*FINE, 74, 76}, ended.err
    well(ring, conf, mails)


# --- hands in our files -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_octet_that_is_changed_in_journal_or_state_crashes_nothing_and_sends_nothing_twice() -> None:
    told: list[str] = []
    total = torture.table(torture.spread(damage.every_octet, [(SEED, first, 211) for first in (0, 100)]), told.append)
    assert total.clean, "\n".join(told)
    assert total.kills > 100
    assert total.unwritten < total.kills  # what a damaged line knew, after --reset


# --- who owns what ----------------------------------------------------------------------------------------------------


def give(ring: Ring, conf: Path, owner: int) -> None:
    """Let another user run the passes."""
    for path in (ring.folder, ring.work, conf, *ring.work.iterdir()):
        os.chown(path, owner, owner, follow_symlinks=False)


def with_a_line(ring: Ring) -> Path:
    """Write settings that use every file of ours."""
    return ring.write_conf(KIND, *powercut.settings(ring, line=True))


@pytest.mark.usefixtures("root")
def test_a_folder_that_is_read_only_is_said_and_nothing_is_fetched(ring: Ring) -> None:
    mails, conf = begin(ring), ring.write_conf(KIND)
    give(ring, conf, NOBODY)
    ring.work.chmod(0o500)
    ended = ring.try_to_run(conf, {"hook": "user", "number": NOBODY})
    assert (ended.code, ring.world.letters, ring.world.seen["retr"]) == (74, [], 0)
    assert "permission denied" in ended.err
    ring.work.chmod(0o700)
    give(ring, conf, 0)
    well(ring, conf, mails)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", OURS)
def test_a_file_of_another_user_is_refused_and_left_alone(ring: Ring, name: str) -> None:
    mails, conf = begin(ring), with_a_line(ring)
    planted = ring.work / name
    planted.write_bytes(b"not yours\n")
    planted.chmod(0o666)
    give(ring, conf, NOBODY)
    os.chown(planted, 0, 0)
    before = planted.stat()
    ended = ring.try_to_run(conf, {"hook": "user", "number": NOBODY})
    after = planted.stat()
    assert ended.code == 74, ended.err
    assert f"{planted}: it belongs to user 0, and this is user {NOBODY}" in ended.err
    assert planted.read_bytes() == b"not yours\n"
    assert (before.st_mode, before.st_uid, before.st_mtime_ns) == (after.st_mode, after.st_uid, after.st_mtime_ns)
    planted.unlink()
    give(ring, conf, 0)
    well(ring, conf, mails)


def link(path: Path, target: Path) -> None:
    target.write_bytes(b"precious\n")
    path.symlink_to(target)


def hard_link(path: Path, target: Path) -> None:
    target.write_bytes(b"precious\n")
    path.hardlink_to(target)


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a link": link,
    "a link to nothing": lambda path, target: path.symlink_to(target),
    "a link to a folder": lambda path, target: path.symlink_to(target.parent),
    "a hard link": hard_link,
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
}


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("name", OURS)
def test_what_is_planted_in_place_of_a_file_of_ours_is_never_followed(ring: Ring, name: str, what: str) -> None:
    mails, conf = begin(ring), with_a_line(ring)
    planted, target = ring.work / name, ring.folder / "target"
    PLANTED[what](planted, target)
    kind = stat.S_IFMT(planted.lstat().st_mode)
    there = target.exists()
    ended = ring.try_to_run(conf)
    assert ended.code == 74, ended.err
    assert f"{planted}: it " in ended.err
    assert stat.S_IFMT(planted.lstat().st_mode) == kind
    assert target.exists() == there
    assert not there or target.read_bytes() == b"precious\n"
    shutil.rmtree(planted) if what == "a folder" else planted.unlink()
    well(ring, conf, mails)


def test_every_file_of_ours_is_readable_by_nobody_else(ring: Ring) -> None:
    begin(ring)
    conf = with_a_line(ring)
    before = os.umask(0)
    try:
        with Zygote(ring.folder) as careless:
            ring.zygote = careless
            ring.run(conf)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in ring.work.iterdir()}
    assert {"popfetch.journal", "popfetch.lock", "popfetch.log", "popfetch_state.toml", "duds.dat"} <= set(modes)
    assert any(name.startswith("msg") for name in modes)
    assert set(modes.values()) == {0o600}


# --- more than one pass -----------------------------------------------------------------------------------------------


def test_passes_that_start_at_once_deliver_everything_once(conf: Conf, start_pass: StartPass) -> None:
    mails = [b"X-Rcpt-To: b@x.example\r\nSubject: %d\r\n\r\nhello\r\n" % number for number in range(20)]
    with PopServer({"bob": ("geheim-bob", mails)}) as pop, SmtpServer() as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        started = [start_pass(path) for _ in range(5)]
        ended = [start_pass.finish(one) for one in started]
        assert {one.code for one in ended} <= {0, 75}
        assert 0 in {one.code for one in ended}
        assert all("another pass runs" in one.err for one in ended if one.code)
        assert (len(smtp.taken), pop.left("bob")) == (20, [])


# --- another time -----------------------------------------------------------------------------------------------------

YEARS = 365 * 86400.0


@pytest.mark.parametrize("jumps", [(10, 0), (-10, 0), (10, -10), (-10, 10), (0, 10), (0, -10), (-40, 0)])
@pytest.mark.parametrize("keep", [0, 7])
def test_a_clock_that_jumps_loses_nothing_and_sends_nothing_twice(
    ring: Ring, jumps: tuple[int, int], keep: int
) -> None:
    """What is owed may be given up too early then: the caretaker gets it."""
    kind = KIND._replace(keep=keep)
    mails, conf = begin(ring, kind), ring.write_conf(kind, "log_level info")
    for years in jumps:
        ended = ring.run(conf, {"hook": "clock", "seconds": years * YEARS})
        assert ended.code in FINE, ended.err
    assert not list(drain(ring, conf, kind._replace(keep=7)))
    letters = ring.world.letters
    told = books.judge([mail for mail in mails if GREY not in mail.wanted], letters, ring.work / "duds.dat")
    assert (told.lost, told.twice) == (0, 0), told.words
    for mail in mails:
        owed = [who for letter in letters if letter.number == mail.number for who in letter.recipients]
        if GREY in mail.wanted:
            assert owed.count(GREY) + owed.count(CARETAKER) >= 1
            assert max(map(owed.count, owed)) == 1


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_was_wrong_at_the_last_pass_delays_no_scheduled_one(ring: Ring, years: int) -> None:
    mails, conf = [plain(1, 1, 80)], ring.write_conf(KIND)
    ring.world.fill([])
    ring.run(conf, {"hook": "clock", "seconds": years * YEARS})
    ring.world.fill(mails)
    ring.world.begin()
    ring.zygote.start(["-i", conf, "--scheduled"])
    assert ring.zygote.end().code == 0
    assert len(ring.world.letters) == 1
