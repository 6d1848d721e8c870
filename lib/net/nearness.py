"""Who may be listening on the way to an address: nobody but us and our own network, or anybody. Pure.

The law: only what is certainly near is near. An address that is not known, or of which it is not certain, is far, for
what follows is a password in the clear.
"""

from functools import cache
from typing import Any

# This machine; private use (RFC 1918, RFC 4193); the link itself (RFC 3927, RFC 4291).
NEAR = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "169.254.0.0/16",
    "fe80::/10",
)


def is_near(address: str) -> bool:
    """Say whether *address* is this machine, in a private network, or on the same link; "" is not."""
    import ipaddress  # noqa: PLC0415 - only for logins in the clear

    try:
        place = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    place = getattr(place, "ipv4_mapped", None) or place
    return any(place in network for network in _networks())


@cache
def _networks() -> tuple[Any, ...]:
    import ipaddress  # noqa: PLC0415 - as above

    return tuple(map(ipaddress.ip_network, NEAR))
