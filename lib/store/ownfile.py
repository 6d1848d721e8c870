"""How a file of ours is opened, written and made to last: the one impure word on the first floor.

The law: a file of ours is a regular file with one name, belongs to the user that we run as, and is 0600. Whatever else
stands in its place (a planted link, FIFO, device, hard link, another user's file) is refused and left as it is. Every
OSError leaves here as a StorageError with one line that says what to do.
"""

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lib.errors import StorageError

CHUNK = 1 << 16
REPLACE_TRIES = 10  # virus scanners and indexers on Windows hold a new file open for a moment
REPLACE_PAUSE = 0.05  # seconds
FILE_ATTRIBUTE_REPARSE_POINT = 0x400

_COMMON = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_flush_data = getattr(os, "fdatasync", os.fsync)  # the size is part of what fdatasync keeps; the times are not needed

_ADVICE = {
    "ENOSPC": "the disk is full; make room, or move work_path to another disk",
    "EDQUOT": "the disk quota is used up; make room, or move work_path to another disk",
    "EROFS": "the file system is read-only; mount it writable, or move work_path",
    "EACCES": "permission denied; work_path and what is in it must belong to the user that runs this program",
    "EPERM": "permission denied; work_path and what is in it must belong to the user that runs this program",
    "ENOENT": "there is no such folder; create it, or mend work_path or log_path",
    "ENOTDIR": "its folder is a file; mend work_path or log_path",
    "ELOOP": "it is a symbolic link, and no file of ours is one; remove it",
    "EMFILE": "too many open files; lower pf_parallel, or raise the limit (ulimit -n)",
    "ENFILE": "the whole system has too many open files",
    "ENOSYS": "this file system knows no locks; move work_path to another",
    "ENOLCK": "this file system knows no locks; move work_path to another",
    "EIO": "the disk failed to read or write; check it",
}


class MissingError(StorageError, FileNotFoundError):
    """There is no such file."""


def trouble(error: OSError, path: Path) -> StorageError:
    """Say *error* about *path* in one line that a user can act on."""
    code = errno.errorcode.get(error.errno or 0, "")
    return StorageError(f"{path}: {_ADVICE.get(code) or error.strerror or error}")


@contextlib.contextmanager
def saying(path: Path) -> Iterator[None]:
    """Turn every OSError inside into a StorageError about *path*; our own errors pass."""
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        if path.parent.is_dir():
            raise MissingError(f"{path}: there is no such file") from error
        raise trouble(error, path) from error
    except OSError as error:
        raise trouble(error, path) from error


def open_own(path: Path, *, create: bool, truncate: bool = False, append: bool = False) -> int:
    """Open *path* for reading and writing and return its descriptor.

    Raises MissingError without *create* when it is not there, StorageError when it is not a file of ours.
    """
    return _open(path, os.O_RDWR | (os.O_CREAT if create else 0) | (os.O_APPEND if append else 0), truncate=truncate)


def read(path: Path) -> bytes | None:
    """Return the whole of *path*, None when it is not there."""
    try:
        descriptor = _open(path, os.O_RDONLY)
    except MissingError:
        return None
    with saying(path), os.fdopen(descriptor, "rb") as file:
        return file.read()


def write(descriptor: int, data: bytes, path: Path, *, at: int = -1) -> None:
    """Write all of *data*, however little the system takes at a time; at offset *at*, or where the last write ended."""
    try:
        if at >= 0:
            os.lseek(descriptor, at, os.SEEK_SET)
        written = os.write(descriptor, data)
        if written < len(data):
            rest = memoryview(data)
            while written < len(data):
                written += os.write(descriptor, rest[written:])
    except OSError as error:
        raise trouble(error, path) from error


def sync(descriptor: int, path: Path) -> None:
    """Return when what was written to *descriptor* survives a power cut."""
    with saying(path):
        _flush_data(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in *folder* survive a power cut (Windows keeps them without being asked)."""
    if sys.platform == "win32":
        return
    with saying(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # network file systems that cannot sync a folder say so with EINVAL
                raise
        finally:
            os.close(descriptor)


def replace(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Put *data* in the place of *path*, all or nothing, lasting when this returns."""
    _look(path)
    draft = path.with_name(path.name + ".new")
    remove(draft)  # a pass was killed here once
    descriptor = _open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        try:
            for piece in (data,) if isinstance(data, bytes) else data:
                write(descriptor, piece, draft)
            sync(descriptor, draft)
        finally:
            os.close(descriptor)
        with saying(path):
            _patiently(lambda: draft.replace(path))
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def reserved(path: Path, room: int) -> Iterator[Callable[[bytes], None]]:
    """Make sure of *room* octets on disk, then yield what puts data of at most that size in the place of *path*.

    For what must not be lost once it was had: a disk that is full by then is no matter. What is put is padded with
    line ends. Nothing put: *path* stays as it is. StorageError.
    """
    _look(path)
    draft = path.with_name(path.name + ".new")
    remove(draft)
    descriptor = _open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def put(data: bytes) -> None:
        write(descriptor, data.ljust(room, b"\n"), draft, at=0)
        sync(descriptor, draft)
        with saying(path):
            _patiently(lambda: draft.replace(path))
        sync_folder(path.parent)

    try:
        write(descriptor, b"\n" * room, draft)
        sync(descriptor, draft)
        yield put
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            draft.unlink()


def aside(path: Path) -> Path:
    """Return a name that is not taken for what stood at *path* and cannot be believed."""
    number = 1
    while os.path.lexists(named := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    return named


def remove(path: Path) -> None:
    """Remove *path* if it is there; refuses what is not ours."""
    if _look(path) is not None:
        with saying(path):
            _patiently(lambda: path.unlink(missing_ok=True))


def _open(path: Path, flags: int, *, truncate: bool = False) -> int:
    """Open *path* if it is ours, before and after; nothing of it is changed until that is known."""
    with saying(path):
        before = _look(path)
        descriptor = os.open(path, flags | _COMMON, 0o600)
        try:
            after = os.fstat(descriptor)
            _refuse(path, after)
            _same(path, before, after)
            _tighten(descriptor, after)
            if truncate:
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _look(path: Path) -> os.stat_result | None:
    """Return what stands at *path*, None for nothing; raise StorageError when it is not ours."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise trouble(error, path) from error
    _refuse(path, found)
    return found


def _refuse(path: Path, found: os.stat_result) -> None:
    """Raise StorageError unless *found* is a regular file of ours with one name."""
    if stat.S_ISLNK(found.st_mode) or getattr(found, "st_file_attributes", 0) & FILE_ATTRIBUTE_REPARSE_POINT:
        raise StorageError(f"{path}: {_ADVICE['ELOOP']}")
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(f"{path}: it is not a regular file; remove it")
    if found.st_nlink > 1:
        raise StorageError(f"{path}: it has a second name (hard link), and no file of ours has one; remove it")
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        raise StorageError(
            f"{path}: it belongs to user {found.st_uid}, and this is user {os.geteuid()}; "
            "run as that user, or give the file to this one"
        )


def _same(path: Path, before: os.stat_result | None, after: os.stat_result) -> None:
    """Raise StorageError when a link may have been planted between the look and the opening (no O_NOFOLLOW there)."""
    if sys.platform == "win32" and before is not None and not os.path.samestat(before, after):
        raise StorageError(f"{path}: it was exchanged while it was being opened")


def _tighten(descriptor: int, found: os.stat_result) -> None:
    """Make it 0600; a file system without modes (FAT) has its own rules."""
    if sys.platform != "win32" and stat.S_IMODE(found.st_mode) != 0o600:
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o600)


def _patiently(act: Callable[[], object]) -> None:
    """Do *act*; where others hold a file open for a moment (Windows), try again for half a second."""
    for _ in range(REPLACE_TRIES - 1):
        try:
            act()
        except PermissionError:
            if sys.platform != "win32":
                raise
            time.sleep(REPLACE_PAUSE)
        else:
            return
    act()
