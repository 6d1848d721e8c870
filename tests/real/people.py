"""Who has mail at the receivers, who sends it, and what lies in a maildir."""

import itertools
from collections.abc import Iterator
from pathlib import Path

DOMAIN = "example.test"
NAMES = ("alice", "bob", "carol", "dave", "caretaker", "postmaster", *(f"u{n}" for n in range(400)))
BAD = "bad.invalid"  # senders of this domain are refused
SPAMMER = "spam"  # how the senders of refused content begin


def fresh() -> Iterator[str]:
    """Yield addresses that are nobody else's."""
    return (f"u{number}@{DOMAIN}" for number in itertools.count())


def letters_in(maildir: Path) -> list[bytes]:
    """Return what lies in a maildir, unread, the oldest first."""
    new = maildir / "new"
    paths = sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns) if new.exists() else []
    return [path.read_bytes() for path in paths]
