"""How a thread is started, and what is said when the system gives none."""

from collections.abc import Callable
from threading import Thread

from lib.errors import ThreadError


def started(work: Callable[..., None], *arguments: object, name: str) -> Thread:
    """Return the running thread that does *work*; it ends with the process at the latest. ThreadError."""
    thread = Thread(target=work, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # can't start new thread
        raise ThreadError(
            "the system gives us no further thread: it is short of memory or processes, or a limit is too low "
            "(ulimit -u, TasksMax= of the service, pids.max of the container)"
        ) from error
    return thread
