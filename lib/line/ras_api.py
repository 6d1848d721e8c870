"""The words of Windows' Remote Access Service: its structures, connection states and error codes. Pure.

Layouts as in Microsoft's ras.h, which packs by four even on 64 bits. Each structure has its oldest size that has the
fields we use, for dwSize tells rasapi32 which version is spoken. Texts are c_uint16 arrays, so that sizes and offsets
are the same, and tested, where wchar_t has four bytes. No method here calls anything.
"""

import ctypes
from enum import Enum
from typing import NamedTuple, TypeVar

S = TypeVar("S", bound=ctypes.Structure)

MAX_ENTRY, MAX_NUMBER, MAX_USER, MAX_PASSWORD, MAX_DOMAIN = 256, 128, 256, 256, 15
"""UTF-16 units that a text of each kind may have, the final NUL not counted."""

SUCCESS, INVALID_HANDLE, BUFFER_TOO_SMALL, PENDING = 0, 6, 603, 600
CONNECTED, DISCONNECTED = 0x2000, 0x2001
DROPPED = 668
"""The error that stands for a connection that is simply gone."""

PAUSED = {0x1000: 703, 0x1001: 691, 0x1002: 704, 0x1003: 648}
"""States in which RAS waits for a person; the error that the same thing has where nobody is there to ask."""

ON_DIAL_LINES = frozenset({"modem", "isdn"})
"""Device types that a number alone can dial. A VPN that is open says nothing about the telephone line."""


class RASDIALPARAMSW(ctypes.Structure):
    """What to dial and as whom (WINVER 0x400)."""

    _layout_ = "ms"
    _pack_ = 4
    _fields_ = (
        ("dwSize", ctypes.c_uint32),
        ("szEntryName", ctypes.c_uint16 * (MAX_ENTRY + 1)),
        ("szPhoneNumber", ctypes.c_uint16 * (MAX_NUMBER + 1)),
        ("szCallbackNumber", ctypes.c_uint16 * (MAX_NUMBER + 1)),
        ("szUserName", ctypes.c_uint16 * (MAX_USER + 1)),
        ("szPassword", ctypes.c_uint16 * (MAX_PASSWORD + 1)),
        ("szDomain", ctypes.c_uint16 * (MAX_DOMAIN + 1)),
        ("dwSubEntry", ctypes.c_uint32),
        ("dwCallbackId", ctypes.c_size_t),
    )


class RASCONNW(ctypes.Structure):
    """One connection (WINVER 0x501)."""

    _layout_ = "ms"
    _pack_ = 4
    _fields_ = (
        ("dwSize", ctypes.c_uint32),
        ("hrasconn", ctypes.c_void_p),
        ("szEntryName", ctypes.c_uint16 * (MAX_ENTRY + 1)),
        ("szDeviceType", ctypes.c_uint16 * 17),
        ("szDeviceName", ctypes.c_uint16 * 129),
        ("szPhonebook", ctypes.c_uint16 * 260),
        ("dwSubEntry", ctypes.c_uint32),
        ("guidEntry", ctypes.c_uint8 * 16),
        ("dwFlags", ctypes.c_uint32),
        ("luid", ctypes.c_uint32 * 2),
    )


class RASCONNSTATUSW(ctypes.Structure):
    """How far a connection is (WINVER 0x401)."""

    _layout_ = "ms"
    _pack_ = 4
    _fields_ = (
        ("dwSize", ctypes.c_uint32),
        ("rasconnstate", ctypes.c_uint32),
        ("dwError", ctypes.c_uint32),
        ("szDeviceType", ctypes.c_uint16 * 17),
        ("szDeviceName", ctypes.c_uint16 * 129),
        ("szPhoneNumber", ctypes.c_uint16 * 129),
    )


class Connection(NamedTuple):
    """An established connection, ours or anybody's; *entry* is "." and the number where only a number was dialled."""

    handle: int
    entry: str
    device: str


class Kind(Enum):
    """What an error means for us; the value is the advice that follows it."""

    LATER = "the next pass tries again"
    SETTINGS = "look at ras_entry and ras_number, and at the phone book of the account that runs this program"
    LOGIN = "look at ras_username, ras_password and ras_domain; the provider is not asked again in this pass"
    TAKEN = "another program has the line, or is opening it"


KINDS = {
    **dict.fromkeys((602, 633, 756), Kind.TAKEN),
    **dict.fromkeys((615, 617, 619, 629, 630, 631, 651, 668, 676, 678, 679, 680, 692, 718, 809), Kind.LATER),
    **dict.fromkeys((603, 610, 621, 622, 623, 632, 703, 704), Kind.SETTINGS),
    **dict.fromkeys((647, 648, 649, 691), Kind.LOGIN),
}


def kind(code: int) -> Kind:
    """Return what *code* means; one that is not known may be over by the next pass."""
    return KINDS.get(code, Kind.LATER)


def ended(state: int, error: int) -> int | None:
    """Return how a dial ended, 0 or the error's code; None while it goes on."""
    if state == CONNECTED:
        return SUCCESS
    if error not in (SUCCESS, PENDING):
        return error
    return DROPPED if state == DISCONNECTED else PAUSED.get(state)


def sized(struct: type[S]) -> S:
    """Return an empty structure that says its size."""
    return struct(dwSize=ctypes.sizeof(struct))


def put(units: ctypes.Array[ctypes.c_uint16], text: str) -> None:
    """Write *text* and its NUL into *units*; ValueError when it does not fit or holds a NUL."""
    octets = text.encode("utf-16-le", "surrogatepass")
    if len(octets) > ctypes.sizeof(units) - 2 or "\0" in text:
        raise ValueError(f"is longer than {len(units) - 1} characters, or holds a NUL")
    ctypes.memmove(units, octets + b"\0\0", len(octets) + 2)


def read(units: ctypes.Array[ctypes.c_uint16]) -> str:
    """Return the text in *units*, up to its NUL."""
    return bytes(units).decode("utf-16-le", "replace").partition("\0")[0]


def wipe(units: ctypes.Array[ctypes.c_uint16]) -> None:
    """Leave nothing of a password in *units*."""
    ctypes.memset(units, 0, ctypes.sizeof(units))
