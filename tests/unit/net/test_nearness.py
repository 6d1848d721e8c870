"""Who may listen: only what is certainly near is near."""

import pytest

from lib.net.nearness import is_near

NEAR = "127.0.0.1 127.9.9.9 ::1 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 fe80::1%eth0 fd00::1 fc00::1"
FAR = "8.8.8.8 172.15.255.255 172.32.0.0 100.64.0.1 192.88.99.7 0.0.0.0 :: 2001:db8::1 2002:a00:1:: 64:ff9b::a00:1"
MAPPED = [("::ffff:10.0.0.1", True), ("::ffff:8.8.8.8", False), ("::ffff:127.0.0.1", True)]
NONE = ["", "localhost", "10.0.0", "10.0.0.1:110", "/run/pop.sock"]


@pytest.mark.parametrize(
    ("address", "near"),
    [*((one, True) for one in NEAR.split()), *((one, False) for one in (*FAR.split(), *NONE)), *MAPPED],
)
def test_who_is_near(address: str, near: bool) -> None:
    assert is_near(address) is near
