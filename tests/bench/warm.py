"""Wait for a server's greeting; then let it list each mailbox once, so that its index is there as after a delivery.

python warm.py HOST PORT SECONDS PASSWORD < account names
Exit 1 if nobody greets in that many seconds. Runs inside the server's own namespace, so it never waits for a line.
"""

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 4


def greeted(host: str, port: int, deadline: float) -> socket.socket | None:
    """Connect and hear the greeting, or give up at the deadline."""
    while time.monotonic() < deadline:
        try:
            connection = socket.create_connection((host, port), timeout=deadline - time.monotonic())
        except OSError:
            time.sleep(0.02)
            continue
        if connection.recv(4096):
            return connection
        connection.close()
    return None


def list_once(host: str, port: int, deadline: float, account: str, password: str) -> None:
    connection = greeted(host, port, deadline)
    if connection is None:
        raise TimeoutError(account)
    with connection, connection.makefile("rb") as replies:
        connection.sendall(f"USER {account}\r\nPASS {password}\r\nUIDL\r\nLIST\r\nQUIT\r\n".encode())
        if any(line.startswith(b"-ERR") for line in replies):
            raise ConnectionRefusedError(account)


def main(host: str, port: int, seconds: float, password: str) -> int:
    deadline = time.monotonic() + seconds
    first = greeted(host, port, deadline)
    if first is None:
        return 1
    first.close()
    if password:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda account: list_once(host, port, deadline, account, password), sys.stdin.read().split()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
