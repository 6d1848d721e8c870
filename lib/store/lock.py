"""One pass at a time: a lock that the system gives back whatever ends the process.

The law: the file is never removed by us, for who removes a lock file may remove the one that somebody else has just
taken. (On Windows filelock removes it, which is safe there.) A file system that cannot lock is refused, for a lock file
that merely exists would be left behind by a killed pass and stop all later ones.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lib.errors import AnotherPassError, StorageError
from lib.store import ownfile


@contextlib.contextmanager
def if_nobody_has(path: Path) -> Iterator[bool]:
    """Yield whether no other pass holds the lock *path*; nobody takes it inside, as far as can be. Raises nothing.

    For what must be done also where only_pass fails, for the disk is full, read-only or damaged.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_pass(path))
            free = True
        except AnotherPassError:
            free = False
        except StorageError:
            free = stack.enter_context(_read_only(path))
        yield free


@contextlib.contextmanager
def _read_only(path: Path) -> Iterator[bool]:
    """Take the same lock by a descriptor that cannot write; False where that cannot be (Windows) or it is held."""
    try:
        import fcntl  # noqa: PLC0415 - Windows has none

        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        yield True
        return
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_pass(path: Path) -> Iterator[None]:
    """Hold the lock *path* inside. Raises AnotherPassError when it is held, StorageError when it is not ours to use."""
    from filelock import FileLock, SoftFileLock, Timeout  # noqa: PLC0415 - what only shows something needs no lock

    os.close(ownfile.open_own(path, create=True))  # refuses what is planted, before the lock would open it
    try:
        lock = FileLock(path, timeout=0, fallback_to_soft=False)
    except TypeError:  # a filelock older than the option
        lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise AnotherPassError(f"another pass runs (it holds {path})") from error
    except OSError as error:
        raise ownfile.trouble(error, path) from error
    except NotImplementedError as error:
        raise StorageError(f"{path}: this file system knows no locks; move work_path to another") from error
    try:
        if isinstance(lock, SoftFileLock):
            raise StorageError(f"{path}: this file system knows no locks; move work_path to another")
        yield
    finally:
        lock.release()
