"""popfetch.log: one event a line, key=value, for grep and for people; no control character and no secret in it.

Every module logs through logging.getLogger("popfetch.<module>"). A line costs some 10 µs, reaches the system at once
and is never fsynced; a log that cannot be written is told of when the pass ends, and never stops mail.
"""

import logging
import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from traceback import TracebackException

from lib.errors import StorageError
from lib.store import ownfile
from lib.visible import LONGEST, MASK, escaped, quoted, shortened, visible

NAME = "popfetch.log"
LARGEST = 5 << 20  # octets; then the file is turned
KEPT = 5  # turned files: popfetch.log.1 is the youngest
LONGEST_LINE = 1 << 16  # characters; one line of a debug transcript at most
FRAMES = 40  # of a traceback: enough for any honest call chain
LONGEST_TRACEBACK = 200  # lines

ROOT = logging.getLogger("popfetch")
ROOT.addHandler(logging.NullHandler())  # or Python prints on stderr what is said while there is no log
LEVELS = {"error": logging.ERROR, "info": logging.INFO, "debug": logging.DEBUG}
WORDS = {logging.ERROR: "error", logging.WARNING: "warning", logging.INFO: "info", logging.DEBUG: "debug"}


def start(folder: Path, level: str, *, console: bool) -> None:
    """Log to popfetch.log in *folder* from *level* (error, info or debug) on; with *console*, everything to stderr too.

    Raises StorageError when the file cannot be opened or is not ours; nothing is logged then.
    """
    stop()
    # The logging HOWTO's optimisations: nothing of this is shown, and it is a third of the cost of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there
    handlers: list[_File | _Stderr] = [_File(folder / NAME, LEVELS[level])]
    if console:
        handlers.append(_Stderr())
    layout = _Layout()
    for handler in handlers:
        handler.setFormatter(layout)
        ROOT.addHandler(handler)
    ROOT.setLevel(min(handler.level for handler in handlers))
    ROOT.propagate = False


def stop() -> StorageError | None:
    """End logging; return what kept lines from being written, if anything did."""
    trouble = None
    for handler in ROOT.handlers[:]:
        if isinstance(handler, _File | _Stderr):
            trouble = trouble or handler.trouble
            ROOT.removeHandler(handler)
            handler.close()
    ROOT.setLevel(logging.NOTSET)
    ROOT.propagate = True
    return trouble


def hide(secret: str) -> None:
    """Show *secret* as *** from now on, in every line, notice and on the console, whatever its spelling."""
    MASK.hide(secret)


def line(event: str, **fields: object) -> str:
    """Return *event* (none if empty) and key=value for each field; printable, one line, bounded. Pure.

    None is left out; a float has two decimals; a tuple is addresses, each in angle brackets; a value with blanks,
    quotes or backslashes is quoted. A trailing underscore makes a keyword a name: from_= is shown as from=.
    """
    words = [f"{name.rstrip('_')}={_value(value)}" for name, value in fields.items() if value is not None]
    return " ".join([event, *words] if event else words)


def bug(error: BaseException) -> None:
    """Log the traceback of *error*, a line each, without local variables; secrets in its words are masked.

    Where there is no log, in a command that only shows something, it goes to stderr.
    """
    told = TracebackException.from_exception(error, limit=FRAMES, capture_locals=False)
    lines = "".join(told.format()).splitlines()
    logged = any(isinstance(handler, _File | _Stderr) for handler in ROOT.handlers)
    aside = logging.NullHandler() if logged else _Stderr()
    aside.setFormatter(_Layout())
    ROOT.addHandler(aside)
    for text in lines[:LONGEST_TRACEBACK]:
        ROOT.error("bug: %s", text)
    ROOT.removeHandler(aside)


def _value(value: object) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, bytes):
        text = value.decode("utf-8", "surrogateescape")
    elif isinstance(value, int):
        return str(value)
    elif isinstance(value, float):
        return f"{value:.2f}"
    elif isinstance(value, tuple):
        text = _addresses(value)
    else:
        value = text = str(value)
    if len(text) > LONGEST and isinstance(value, (str, bytes)):
        text = shortened(value)
    if text and text.isprintable() and " " not in text and '"' not in text and "\\" not in text:
        return text
    return escaped(quoted(text))  # so that it can be undone


def _addresses(addresses: tuple[str | bytes, ...]) -> str:
    texts = [
        address if isinstance(address, str) else address.decode("utf-8", "surrogateescape")
        for address in addresses[:LONGEST]
    ]
    shown = f"<{'>,<'.join(texts)}>" if texts else ""
    if len(shown) <= LONGEST and len(addresses) <= LONGEST:
        return shown
    return f"{shown[:LONGEST]}...({len(addresses)} in all)"


class _Layout(logging.Formatter):
    """Time with its zone, level, message: printable, masked, one line."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._stamp = ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._stamp = datetime.fromtimestamp(second).astimezone().isoformat(timespec="seconds")
            self._second = second
        level = WORDS.get(record.levelno, "error")
        return f"{self._stamp} {level} {visible(record.getMessage(), LONGEST_LINE)}"


class _Stderr(logging.Handler):
    """Everything to whatever sys.stderr is now: a progress bar may have put itself in front of it."""

    trouble: StorageError | None = None

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        text = self.format(record).encode(encoding, "backslashreplace").decode(encoding)
        with suppress(OSError, ValueError, AttributeError):  # gone, closed, or never there (pythonw)
            sys.stderr.write(text + "\n")


class _File(logging.Handler):
    """popfetch.log and its turned predecessors. Two processes may write to it at once."""

    def __init__(self, path: Path, level: int) -> None:
        super().__init__(level)
        self.trouble: StorageError | None = None
        self._path = path
        self._fd = -1
        self._size = 0
        self._turn_at = LARGEST
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        octets = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._fd < 0:
                self._open()
            elif self._size >= self._turn_at:
                self._turn()
            ownfile.write(self._fd, octets, self._path)
            self._size += len(octets)
        except StorageError as error:
            self.trouble = self.trouble or error

    def close(self) -> None:
        self._close()
        super().close()

    def _open(self) -> None:
        self._fd = ownfile.open_own(self._path, create=True, append=True)
        self._size = os.fstat(self._fd).st_size

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _turn(self) -> None:
        """Begin a new file. Where that cannot be (on Windows: somebody reads it), go on in the old one for a while."""
        self._close()
        self._open()
        if self._size >= LARGEST:  # else another process has turned it
            self._close()
            self._shift()
            self._open()
        self._turn_at = max(LARGEST, self._size + LARGEST // 8)

    def _shift(self) -> None:
        """Rename .4 to .5 first, the file itself to .1 last; stop at the first that will not."""
        names = [self._path, *(self._path.with_name(f"{NAME}.{number}") for number in range(1, KEPT + 1))]
        with suppress(OSError):
            for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
                with suppress(FileNotFoundError):
                    newer.replace(older)
