import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import filelock
import pytest

from lib.errors import AnotherPassError, StorageError
from lib.store import ownfile
from lib.store.lock import if_nobody_has, only_pass

ROOT = Path(__file__).resolve().parents[3]
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")

HOLD = """
import sys
from pathlib import Path
from lib.store.lock import only_pass
with only_pass(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "popfetch.lock"


def test_a_second_pass_is_turned_away_at_once(path: Path) -> None:
    with only_pass(path), pytest.raises(AnotherPassError, match=r"popfetch\.lock"), only_pass(path):
        pytest.fail("two passes at once")
    with only_pass(path):
        pass


def test_the_lock_is_given_back_whatever_happens_inside(path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), only_pass(path):
        raise ValueError("inside")
    with only_pass(path):
        pass


def test_the_lock_of_a_killed_pass_is_free(path: Path) -> None:
    held = subprocess.Popen([sys.executable, "-c", HOLD, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None
        assert held.stdout.readline().strip() == b"held"
        with pytest.raises(AnotherPassError), only_pass(path):
            pytest.fail("two passes at once")
    finally:
        held.kill()
        held.communicate()
    with only_pass(path):
        pass


@posix
def test_the_lock_file_is_never_removed(path: Path) -> None:
    with only_pass(path):
        before = path.stat()
    assert os.path.samestat(before, path.stat())
    assert before.st_mode & 0o777 == 0o600


@posix
def test_what_is_planted_is_refused(path: Path) -> None:
    path.symlink_to(path.with_name("victim"))
    with pytest.raises(StorageError, match="symbolic link"), only_pass(path):
        pytest.fail("locked a link")
    assert not path.with_name("victim").exists()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match="regular file"), only_pass(path):
        pytest.fail("locked a FIFO")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="work_path"), only_pass(tmp_path / "no" / "lock"):
        pytest.fail("locked nothing")


@posix
def test_a_file_system_without_locks_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match="knows no locks"), only_pass(path):
        pytest.fail("locked softly")


class OldLock:
    """A filelock from before `fallback_to_soft`, on a file system without locks."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        del path, timeout

    def acquire(self) -> None:
        raise NotImplementedError


class SoftenedLock(filelock.SoftFileLock):
    """One that falls back to a file that merely exists."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__(path.with_suffix(".soft"), timeout=timeout)


@pytest.mark.parametrize("old", [OldLock, SoftenedLock])
def test_older_versions_of_filelock_are_not_trusted_either(
    path: Path, monkeypatch: pytest.MonkeyPatch, old: type
) -> None:
    monkeypatch.setattr(filelock, "FileLock", old)
    with pytest.raises(StorageError, match="knows no locks"), only_pass(path):
        pytest.fail("locked softly")
    assert [found.name for found in path.parent.iterdir()] == [path.name]


# --- what must be done also where no pass can begin ------------------------------------------------------------------


@contextmanager
def held_elsewhere(path: Path) -> Iterator[None]:
    held = subprocess.Popen([sys.executable, "-c", HOLD, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None
        assert held.stdout.readline().strip() == b"held"
        yield
    finally:
        held.communicate()


@pytest.mark.parametrize("held", [False, True])
def test_whether_nobody_has_it(held: bool, path: Path) -> None:
    with held_elsewhere(path) if held else nullcontext(), if_nobody_has(path) as free:
        assert free is not held
        with pytest.raises(AnotherPassError), only_pass(path):
            pytest.fail("two passes at once")


@posix
@pytest.mark.parametrize(("there", "held"), [(False, False), (True, False), (True, True)])
def test_where_nothing_can_be_written_it_is_known_all_the_same(
    there: bool, held: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        path.touch(mode=0o600)
    with held_elsewhere(path) if held else nullcontext():
        monkeypatch.setattr(ownfile, "open_own", read_only)
        with if_nobody_has(path) as free:
            assert free is not held
    assert path.exists() is there


@posix
def test_a_pass_cannot_begin_inside_where_nothing_can_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch(mode=0o600)
    with monkeypatch.context() as patch:
        patch.setattr(ownfile, "open_own", read_only)
        with if_nobody_has(path) as free:
            assert free
            patch.undo()
            with pytest.raises(AnotherPassError), only_pass(path):
                pytest.fail("two passes at once")


def read_only(path: Path, **_more: object) -> int:
    raise StorageError(f"{path}: the file system is read-only")


@posix
def test_what_is_planted_in_its_place_is_nobodys_word(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with if_nobody_has(path) as free:
        assert not free
