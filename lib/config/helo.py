"""What this machine calls itself: in EHLO, in Received lines, in the Message-IDs of our own mails.

No name server is asked, for the line may be down: the system's own name, or what the hosts file makes of it.
"""

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from lib.config import values
from lib.config.settings import Settings

LITERAL = "[127.0.0.1]"
"""What stands where there is no name (RFC 5321 §4.1.3); over a connection to the receiver, its own address does."""

NO_NAMES = ("localhost", "localdomain", "local")  # the last part of names that say nothing
MAX_HOSTS = 1 << 20  # octets of a hosts file that are looked at
DNS_FULLY_QUALIFIED = 3  # of GetComputerNameExW


def name(settings: Settings) -> str:
    """Return pf_helo_name, or the machine's full name, or LITERAL."""
    return settings.pf_helo_name or full_name() or LITERAL


def address(settings: Settings) -> str:
    """Return from whom our own mails are.

    Never at an address literal: Exim as it is shipped refuses a header that holds one. A short name does not offend it.
    """
    literal = settings.pf_helo_name.startswith("[")
    host = ("" if literal else settings.pf_helo_name) or full_name() or _short() or "localhost"
    return f"popfetch@{host}"


def _short() -> str:
    try:
        return values.name_of_host(socket.gethostname())
    except ValueError:
        return ""


def full_name() -> str:
    """Return the machine's full name, "" if it has none."""
    short = socket.gethostname()
    return next((one for one in (short, _of_windows(), *_aliases(short, _hosts())) if is_full(one)), "")


def is_full(text: str) -> bool:
    """Say whether *text* is a host name with a domain."""
    try:
        host = values.name_of_host(text)
    except ValueError:
        return False
    labels = host.lower().split(".")
    return len(labels) > 1 and labels[-1] not in NO_NAMES and not labels[-1].isdigit()


def _aliases(short: str, lines: Iterable[str]) -> list[str]:
    """Return the names that a hosts file gives to the line on which *short* stands."""
    named = (line.partition("#")[0].split()[1:] for line in lines)
    return next((names for names in named if short.lower() in map(str.lower, names)), [])


def _hosts() -> list[str]:
    place = Path("/etc/hosts")
    if os.name == "nt":
        place = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "drivers", "etc", "hosts")
    try:
        with place.open("rb") as file:
            return file.read(MAX_HOSTS).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _of_windows() -> str:
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - only Windows needs it

    room = ctypes.c_uint32(values.MAX_HOST + 1)
    buffer = ctypes.create_unicode_buffer(values.MAX_HOST + 1)
    found = ctypes.windll.kernel32.GetComputerNameExW(DNS_FULLY_QUALIFIED, buffer, ctypes.byref(room))
    return buffer.value if found else ""
