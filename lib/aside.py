"""Calls that can neither be given a deadline nor be cut: a name is looked up, a keyring is asked.

Such a call goes to a thread of its own, for which nobody waits longer than agreed. If it never returns, it ends with
the process.
"""

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from lib.halt import Deadline

T = TypeVar("T")


def aside(work: Callable[[], T], deadline: Deadline) -> T:
    """Return what *work* returns, or raise what it raises.

    TimeoutError when it has done neither by *deadline*, StoppedError when it is not waited for any longer. Where no
    further thread can be started, *work* is called as it is.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            raised.append(error)

    thread = Thread(target=call, name="aside", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # can't start new thread
        return work()
    for seconds in deadline.slices():
        thread.join(seconds)
        if not thread.is_alive():
            break
    for error in raised[:1]:
        raise error
    for one in returned[:1]:
        return one
    raise TimeoutError
