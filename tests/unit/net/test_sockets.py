"""Of sockets what can be said without a socket: which address of a host is tried when."""

from socket import AF_INET, AF_INET6, SOCK_STREAM

import pytest

from lib.net.sockets import Address, interleaved


def at(*places: str) -> list[Address]:
    return [Address(AF_INET6 if ":" in place else AF_INET, SOCK_STREAM, 6, (place, 110)) for place in places]


@pytest.mark.parametrize(
    ("found", "tried"),
    [
        ([], []),
        (["192.0.2.1"], ["192.0.2.1"]),
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.2"]),
        (["2001:db8::1", "192.0.2.1"], ["2001:db8::1", "192.0.2.1"]),
        (["2001:db8::1", "2001:db8::2", "192.0.2.1"], ["2001:db8::1", "192.0.2.1", "2001:db8::2"]),
        (["192.0.2.1", "2001:db8::1", "2001:db8::2"], ["192.0.2.1", "2001:db8::1", "2001:db8::2"]),
        (["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"], ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]),
    ],
)
def test_families_take_turns_and_keep_their_order(found: list[str], tried: list[str]) -> None:
    assert interleaved(at(*found)) == at(*tried)
