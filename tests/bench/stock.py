"""The mail: messages that can be told apart, mailboxes that are full again in a moment, and the check of what arrived.

Every message has its own X-Bench-Id; the SHA-256 of its body is known. What arrived is right if each message is there
once, with the same body (line ends aside) and with every header line it had; lines that a program adds are its
business.
"""

import base64
import hashlib
import os
import random
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.bench.rows import Work

ID = b"X-Bench-Id: "
LINE = 76
SENDER = "bench@sender.example"
DOMAIN = "bench.example"
MAIL_USER = 65534  # nobody, when we are root
TRICKS = b".\n..\n.two dots to stuff\n"  # no "From " line: getmail6 writes ">From "


class Sent(NamedTuple):
    """What must be found again of one message: its own header lines and its body's SHA-256."""

    header: frozenset[bytes]
    body: bytes


def account_names(work: Work) -> list[str]:
    return [f"u{number:04d}" for number in range(work.accounts)]


def address(account: str) -> str:
    return f"{account}@{DOMAIN}"


def message(name: str, account: str, size: int) -> bytes:
    """One message with LF line ends, about `size` octets with CRLF ones; the same name gives the same octets."""
    head = (
        f"Return-Path: <{SENDER}>\n"
        f"Received: from sender.example ([192.0.2.1]) by {DOMAIN} with ESMTP; Sun, 1 Nov 2026 12:00:00 +0000\n"
        f"From: Bench <{SENDER}>\nTo: <{address(account)}>\nSubject: message {name}\n"
        f"Date: Sun, 1 Nov 2026 12:00:00 +0000\nMessage-ID: <{name}@sender.example>\n{ID.decode()}{name}\n\n"
    ).encode() + TRICKS
    lines = max(1, (size - len(head) - head.count(b"\n")) // (LINE + 2))
    noise = random.Random(name).randbytes(lines * LINE * 3 // 4)  # noqa: S311 - filler, not a secret
    return head + base64.encodebytes(noise)


class Stock:
    """The full mailboxes of one work, kept aside, and the live ones that are filled from them with hard links."""

    def __init__(self, name: str, work: Work, scratch: Path, mail: Path) -> None:
        self._kept = scratch / "stock" / name
        self._mail = mail
        self._accounts = account_names(work)
        self.sent: dict[bytes, Sent] = {}
        for account in self._accounts:
            (self._kept / account).mkdir(parents=True)
            for number, size in enumerate(work.sizes):
                self._keep(f"{account}-{number}", account, number, size)

    def _keep(self, name: str, account: str, number: int, size: int) -> None:
        octets = message(name, account, size)
        head, _, body = octets.partition(b"\n\n")
        self.sent[name.encode()] = Sent(_own_lines(head), hashlib.sha256(body).digest())
        virtual = len(octets) + octets.count(b"\n")
        file = f"{1_700_000_000 + number}.M{number}P1.bench,S={len(octets)},W={virtual}:2,"
        (self._kept / account / file).write_bytes(octets)

    def refill(self) -> None:
        """Empty all mailboxes and fill those of this work. Nobody may be logged in."""
        self.empty()
        for account in self._accounts:
            for kept in os.scandir(self._kept / account):
                os.link(kept.path, self._mail / account / "Maildir" / "cur" / kept.name)

    def empty(self) -> None:
        """Make all mailboxes anew, without mail. Nobody may be logged in."""
        for old in self._mail.iterdir():
            shutil.rmtree(old)
        for account in self._accounts:
            home = self._mail / account
            for folder in (home, home / "Maildir", *(home / "Maildir" / name for name in ("cur", "new", "tmp"))):
                folder.mkdir()
                give_away(folder)

    def left(self) -> int:
        """Count the messages that are still in the mailboxes."""
        return sum(
            sum(1 for _ in (self._mail / account / "Maildir" / part).iterdir())
            for account in self._accounts
            for part in ("cur", "new")
        )

    def judge(self, arrived: Iterable[bytes]) -> str:
        """Say what is wrong with what arrived and what was left, or nothing."""
        wrong = judge(self.sent, arrived)
        left = self.left()
        return "; ".join(filter(None, (wrong, f"{left} left in the mailboxes" if left else "")))


def judge(sent: Mapping[bytes, Sent], arrived: Iterable[bytes]) -> str:
    """Compare what arrived with what was sent: a sentence on what is wrong, or nothing."""
    seen: set[bytes] = set()
    wrong: dict[str, list[bytes]] = {"missing": [], "twice": [], "altered": [], "unknown": []}
    for octets in arrived:
        head, _, body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
        name = head.partition(b"\n" + ID)[2].partition(b"\n")[0]
        queued = sent.get(name)
        if queued is None:
            wrong["unknown"].append(name)
        elif name in seen:
            wrong["twice"].append(name)
        elif hashlib.sha256(body.rstrip(b"\n") + b"\n").digest() != queued.body or queued.header - _own_lines(head):
            wrong["altered"].append(name)
        seen.add(name)
    wrong["missing"] = sorted(sent.keys() - seen)
    return ", ".join(f"{len(names)} {what} ({names[0].decode()} …)" for what, names in wrong.items() if names)


def _own_lines(head: bytes) -> frozenset[bytes]:
    """Give the header lines that must survive: all but the trace fields, which receivers and programs consume."""
    return frozenset(line for line in head.split(b"\n") if not line.startswith((b"Return-Path:", b"Received:")))


def give_away(path: Path) -> None:
    """Let the servers' own user write here, if we are root."""
    if os.geteuid() == 0:
        os.chown(path, MAIL_USER, MAIL_USER)
