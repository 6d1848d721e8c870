import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lib.errors import StorageError
from lib.store import ownfile

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes and links")


def modes(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_a_new_file_is_ours_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        os.close(ownfile.open_own(tmp_path / "f", create=True))
    finally:
        os.umask(old)
    assert modes(tmp_path / "f") == 0o600


@posix
def test_an_old_file_of_ours_becomes_ours_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0o644)
    os.close(ownfile.open_own(tmp_path / "f", create=False))
    assert modes(tmp_path / "f") == 0o600
    assert (tmp_path / "f").read_bytes() == b"x"


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def plant_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def plant_hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def plant_fifo(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def plant_socket(path: Path, _victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        old = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may be no longer than 107 octets
        listener.bind(path.name)
        os.chdir(old)


def plant_folder(path: Path, _victim: Path) -> None:
    path.mkdir()


PLANTS = [plant_link, plant_hard_link, plant_fifo, plant_socket, plant_folder]


@posix
@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_is_refused_and_left_as_it_is(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    victim, path = tmp_path / "victim", tmp_path / "f"
    victim.write_bytes(b"precious")
    victim.chmod(0o644)
    plant(path, victim)
    before = path.lstat()
    attempts: list[Callable[[], object]] = [
        lambda: ownfile.open_own(path, create=True, truncate=True),
        lambda: ownfile.open_own(path, create=False),
        lambda: ownfile.open_own(path, create=True, append=True),
        lambda: ownfile.read(path),
        lambda: ownfile.replace(path, b"new"),
        lambda: ownfile.remove(path),
    ]
    for attempt in attempts:
        with pytest.raises(StorageError, match=r"f: it "):
            attempt()
    assert os.path.samestat(before, path.lstat())
    assert victim.read_bytes() == b"precious"
    assert modes(victim) == 0o644


@posix
def test_a_link_to_nothing_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="symbolic link"):
        ownfile.open_own(tmp_path / "f", create=True)
    assert not (tmp_path / "elsewhere").exists()


@posix
def test_a_link_planted_after_the_look_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "f").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(ownfile, "_look", lambda _path: None)
    with pytest.raises(StorageError, match="symbolic link"):
        ownfile.open_own(tmp_path / "f", create=True, truncate=True)
    assert (tmp_path / "victim").read_bytes() == b"precious"


@posix
def test_another_users_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"theirs")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StorageError, match="belongs to user"):
        ownfile.open_own(tmp_path / "f", create=True, truncate=True)
    assert (tmp_path / "f").read_bytes() == b"theirs"


@posix
def test_a_refused_file_leaves_no_descriptor_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"theirs")
    before = open_descriptors()
    monkeypatch.setattr(ownfile, "_look", lambda _path: None)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StorageError):
        ownfile.open_own(tmp_path / "f", create=False)
    assert open_descriptors() == before


def test_what_is_missing_is_told_from_what_is_forbidden(tmp_path: Path) -> None:
    assert ownfile.read(tmp_path / "f") is None
    with pytest.raises(ownfile.MissingError):
        ownfile.open_own(tmp_path / "f", create=False)
    ownfile.remove(tmp_path / "f")


def test_a_missing_folder_is_named_with_the_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="mend work_path"):
        ownfile.open_own(tmp_path / "no" / "f", create=True)
    with pytest.raises(StorageError, match="mend work_path"):
        ownfile.read(tmp_path / "no" / "f")


def test_replace_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    ownfile.replace(path, b"old")
    ownfile.replace(path, [b"n", b"e", b"w"])
    assert ownfile.read(path) == b"new"

    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("broke")

    with pytest.raises(ValueError, match="broke"):
        ownfile.replace(path, breaks())
    assert names(tmp_path) == ["f"]
    assert path.read_bytes() == b"new"


def test_a_draft_left_by_a_killed_pass_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "f.new").write_bytes(b"half")
    ownfile.replace(tmp_path / "f", b"whole")
    assert names(tmp_path) == ["f"]


def test_replace_syncs_the_draft_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _fd, path: told.append(f"sync {path.name} {names(tmp_path)}"))
    monkeypatch.setattr(ownfile, "sync_folder", lambda _folder: told.append(f"folder {names(tmp_path)}"))
    ownfile.replace(tmp_path / "f", b"x")
    assert told == ["sync f.new ['f.new']", "folder ['f']"]


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    descriptor = ownfile.open_own(tmp_path / "f", create=True)
    ownfile.write(descriptor, b"0123456789", tmp_path / "f")
    os.close(descriptor)
    assert (tmp_path / "f").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EMFILE, "pf_parallel"), (errno.EIO, "disk")],
)
def test_the_systems_errors_say_what_to_do(tmp_path: Path, code: int, said: str) -> None:
    text = str(ownfile.trouble(OSError(code, os.strerror(code)), tmp_path / "f"))
    assert said in text
    assert str(tmp_path / "f") in text
    assert "\n" not in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(StorageError, match="disk is full"):
            ownfile.write(descriptor, b"x", tmp_path / "f")
    finally:
        os.close(descriptor)


@posix
@pytest.mark.parametrize(("code", "silent"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_synced_by_its_nature_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, silent: bool
) -> None:
    before = open_descriptors()

    def fails(_descriptor: int) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(os, "fsync", fails)
    if silent:
        ownfile.sync_folder(tmp_path)
    else:
        with pytest.raises(StorageError, match="disk"):
            ownfile.sync_folder(tmp_path)
    assert open_descriptors() == before


def test_a_name_to_set_something_aside_is_never_taken(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert ownfile.aside(path) == tmp_path / "f.damaged-1"
    (tmp_path / "f.damaged-1").mkdir()
    (tmp_path / "f.damaged-2").write_bytes(b"")
    assert ownfile.aside(path) == tmp_path / "f.damaged-3"


@posix
def test_a_folder_that_may_not_be_searched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "lstat", fails)
    with pytest.raises(StorageError, match="must belong to the user"):
        ownfile.read(tmp_path / "f")
