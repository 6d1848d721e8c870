"""Dialling with Windows' Remote Access Service: the outside half of lib.line.ras_api.

A dial is asynchronous: rasapi32 reports from a thread of its own, and we also ask, so that neither a lost report nor a
modem that hangs can hold the pass. Every wait has a limit. Only what this pass dialled, or what an earlier pass of
ours left behind, is hung up, and once: Windows counts who has dialled a connection.
"""

import ctypes
import logging
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

from lib.errors import NoLineError, SettingsError, StoppedError
from lib.halt import Deadline, Stop, never
from lib.line import ras_api
from lib.line.backend import NoAnswerError
from lib.line.orphan import RAS, Orphan

DIAL_LIMIT = 120.0
"""Seconds that a line may take to come up: a modem needs up to 60."""

HANG_UP_LIMIT = 15.0
"""Seconds that the port may take to be free again."""

TICK = 0.1
"""Seconds between two looks at a connection that comes or goes."""

MOST_CONNECTIONS = 256
"""Connections that are asked for at most; Windows allows fewer."""

Report = Callable[[int, int], None]
"""Hears a state and an error, from another thread."""


class Rasapi(Protocol):
    """What is used of rasapi32, in Python's terms. Codes are those of RAS; 0 is success."""

    def connections(self) -> list[ras_api.Connection]:
        """Return all established connections; NoAnswerError when Windows does not say."""

    def status(self, handle: int) -> tuple[int, int]:
        """Return state and error of a connection: DISCONNECTED and INVALID_HANDLE once it is gone."""

    def stored(self, params: ras_api.RASDIALPARAMSW) -> int:
        """Fill in the credentials that the phone book holds for the entry in *params*; return the code."""

    def dial(self, params: ras_api.RASDIALPARAMSW, report: Report) -> tuple[int, int]:
        """Begin to dial; return code and handle, which must be hung up, even after an error, unless it is 0."""

    def hang_up(self, handle: int) -> int:
        """Give the connection up; return the code. It is gone only when status() says so."""

    def text(self, code: int) -> str:
        """Return what Windows says of *code*, in its own language."""


class Rasapi32:
    """The real rasapi32, by ctypes: no dependency, all codes right, and nothing on a command line."""

    def __init__(self, dll: Any, func_type: Callable[..., Any]) -> None:
        handle, pointer, dword = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
        self._reporter = func_type(None, handle, ctypes.c_uint32, ctypes.c_uint32, dword, dword)  # RasDialFunc1
        self._dll = dll
        self._pinned: list[Any] = []  # Windows may report as long as the process lives
        for name, argtypes in {
            "RasEnumConnectionsW": (pointer, pointer, pointer),
            "RasGetConnectStatusW": (handle, pointer),
            "RasGetEntryDialParamsW": (pointer, pointer, pointer),
            "RasDialW": (pointer, pointer, pointer, dword, self._reporter, pointer),
            "RasHangUpW": (handle,),
            "RasGetErrorStringW": (ctypes.c_uint32, pointer, dword),
        }.items():
            function = getattr(dll, name)
            function.argtypes, function.restype = argtypes, dword

    def connections(self) -> list[ras_api.Connection]:
        """Return all established connections."""
        found = (ras_api.RASCONNW * MOST_CONNECTIONS)(ras_api.sized(ras_api.RASCONNW))
        size, count = ctypes.c_uint32(ctypes.sizeof(found)), ctypes.c_uint32()
        code = self._dll.RasEnumConnectionsW(found, ctypes.byref(size), ctypes.byref(count))
        if code:
            raise NoAnswerError(f"Windows does not say which lines are open: {self.text(code)} ({code})")
        return [
            ras_api.Connection(each.hrasconn or 0, ras_api.read(each.szEntryName), ras_api.read(each.szDeviceType))
            for each in found[: count.value]
        ]

    def status(self, handle: int) -> tuple[int, int]:
        """Return state and error."""
        status = ras_api.sized(ras_api.RASCONNSTATUSW)
        code = self._dll.RasGetConnectStatusW(handle, ctypes.byref(status))
        return (ras_api.DISCONNECTED, code) if code else (status.rasconnstate, status.dwError)

    def stored(self, params: ras_api.RASDIALPARAMSW) -> int:
        """Fill in what the phone book holds; the password is an opaque handle that RasDial resolves."""
        has_password = ctypes.c_int()
        return int(self._dll.RasGetEntryDialParamsW(None, ctypes.byref(params), ctypes.byref(has_password)))

    def dial(self, params: ras_api.RASDIALPARAMSW, report: Report) -> tuple[int, int]:
        """Begin to dial."""

        def heard(_handle: int, _message: int, state: int, error: int, _more: int) -> None:
            report(state, error)

        reporter = self._reporter(heard)
        self._pinned.append(reporter)
        handle = ctypes.c_void_p()
        code = self._dll.RasDialW(None, None, ctypes.byref(params), 1, reporter, ctypes.byref(handle))
        return code, handle.value or 0

    def hang_up(self, handle: int) -> int:
        """Give the connection up."""
        return int(self._dll.RasHangUpW(handle))

    def text(self, code: int) -> str:
        """Return what Windows says of *code*."""
        words = (ctypes.c_uint16 * 512)()
        if self._dll.RasGetErrorStringW(code, words, len(words)):
            return f"error {code}"
        return " ".join(ras_api.read(words).split())


@cache
def rasapi32() -> Rasapi:
    """Load rasapi32, from Windows' own folder only; NoLineError where it is missing."""
    if sys.platform != "win32":
        raise NoLineError("ras_entry and ras_number need Windows; here a line is raised by pf_dial_up")
    try:
        return Rasapi32(ctypes.WinDLL("rasapi32.dll", winmode=0x800), ctypes.WINFUNCTYPE)  # SEARCH_SYSTEM32
    except (OSError, AttributeError) as error:
        raise NoLineError(f"this Windows has no Remote Access Service: {error}") from error


class Call(NamedTuple):
    """What to dial, and as whom; *password* is asked for when it is needed."""

    entry: str
    number: str
    username: str
    password: Callable[[], str]
    domain: str


class Ras:
    """The line that one phone-book entry, or one telephone number, makes."""

    def __init__(self, call: Call, api: Callable[[], Rasapi], log: logging.Logger) -> None:
        named = [f'entry "{call.entry}"' if call.entry else "", f"number {call.number}" if call.number else ""]
        self.describe = "RAS " + ", ".join(filter(None, named))
        self.orphan = Orphan(RAS, entry=call.entry, number=call.number)
        self._call = call
        self._name = (call.entry or f".{call.number}").casefold()
        self._api = api
        self._log = log
        self._handles: list[int] | None = None  # to be hung up; None: nothing was dialled by this pass

    def is_up(self, _stop: Stop = never) -> bool:
        """Tell whether the entry is connected, by whomever; for a number alone, whether any telephone line is."""
        return any(self._serves(each) and self._connected(each.handle) for each in self._api().connections())

    def dial(self, stop: Stop) -> bool:
        """Dial and wait; False when another program has the line or is opening it; NoLineError when it fails."""
        self._handles = []
        params = self._params()
        reports: list[tuple[int, int]] = []
        try:
            code, handle = self._api().dial(params, lambda *report: reports.append(report))
            self._handles = [handle] if handle else []
            code = code or self._wait(handle, stop, reports)
        finally:
            ras_api.wipe(params.szPassword)
        if code == ras_api.SUCCESS:
            return True
        if ras_api.kind(code) is not ras_api.Kind.TAKEN:
            raise self._no_line(code)
        self.hang_up()
        return False

    def hang_up(self) -> bool:
        """Give up what this pass dialled, or else what an earlier pass left; tell whether Windows let it go."""
        handles = self._handles
        if handles is None:
            handles = [each.handle for each in self._api().connections() if each.entry.casefold() == self._name]
        self._handles = [handle for handle in handles if not self._released(handle)]
        return not self._handles

    def _params(self) -> ras_api.RASDIALPARAMSW:
        call, params = self._call, ras_api.sized(ras_api.RASDIALPARAMSW)
        self._put("ras_entry", params.szEntryName, call.entry)
        if call.entry and not call.username:
            code = self._api().stored(params)
            if code:
                raise self._no_line(code)
        # The number comes after what the phone book filled in, for it overrides the entry's.
        self._put("ras_number", params.szPhoneNumber, call.number)
        self._put("ras_username", params.szUserName, call.username)
        self._put("ras_password", params.szPassword, call.password())
        self._put("ras_domain", params.szDomain, call.domain)
        return params

    def _put(self, setting: str, units: Any, text: str) -> None:
        if not text:
            return
        try:
            ras_api.put(units, text)
        except ValueError as error:
            raise SettingsError(f"{setting} {error}") from error

    def _wait(self, handle: int, stop: Stop, reports: list[tuple[int, int]]) -> int:
        """Return how the dial ended; NoLineError when it did not in time, or is not wanted any more."""
        deadline = Deadline.after(DIAL_LIMIT, stop)
        try:
            for seconds in deadline.slices():
                codes = (ras_api.ended(state, error) for state, error in (*reports, self._api().status(handle)))
                code = next((code for code in codes if code is not None), None)
                if code is not None:
                    return code
                time.sleep(min(seconds, TICK))
        except StoppedError:
            raise NoLineError(f"{self.describe}: stopped while it was being dialled") from None
        raise NoLineError(f"{self.describe}: no line within {DIAL_LIMIT:.0f} s; {ras_api.Kind.LATER.value}")

    def _no_line(self, code: int) -> NoLineError:
        return NoLineError(f"{self.describe}: {self._api().text(code)} ({code}); {ras_api.kind(code).value}")

    def _serves(self, each: ras_api.Connection) -> bool:
        by_number = not self._call.entry and each.device.casefold() in ras_api.ON_DIAL_LINES
        return by_number or each.entry.casefold() == self._name

    def _connected(self, handle: int) -> bool:
        return self._api().status(handle)[0] == ras_api.CONNECTED

    def _released(self, handle: int) -> bool:
        """Hang up and wait until the port is free; leaving earlier could leave it in a state that nobody can use."""
        code = self._api().hang_up(handle)
        deadline = time.monotonic() + HANG_UP_LIMIT
        while time.monotonic() < deadline:
            if self._api().status(handle)[1] == ras_api.INVALID_HANDLE:
                return True
            time.sleep(TICK)
        self._log.warning(
            "dial: %s is still there %.0f s after RasHangUp said %d; does another program use it too?",
            self.describe,
            HANG_UP_LIMIT,
            code,
        )
        return code in (ras_api.SUCCESS, ras_api.INVALID_HANDLE)
