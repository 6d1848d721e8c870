"""What became of the mails: lost, twice, altered. A second copy is excused in two cases only, and counted apart.

*unread*: when the client was killed the 250 of the copy before had not been read (RFC 1047); *unwritten*: it had been
read, and was not yet on record. Everything else that came twice is held against the program, and so is a second copy
in duds.dat or with the caretaker.
"""

import mailbox
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import add
from pathlib import Path
from typing import NamedTuple

from tests.faults.mails import CARETAKER, DUDS, REFUSED, Mail, canonical, ident
from tests.faults.world import READ, UNREAD, Letter

OURS = "x-popfetch-dud-"


class Books(NamedTuple):
    """How many deliveries were lost, twice, altered, excused for which reason; how many passes ended badly."""

    lost: int = 0
    twice: int = 0
    altered: int = 0
    unread: int = 0
    unwritten: int = 0
    stuck: int = 0
    kills: int = 0
    words: tuple[str, ...] = ()

    def plus(self, other: "Books") -> "Books":
        """Add up, field by field."""
        return Books(*map(add, self, other))

    @property
    def clean(self) -> bool:
        """Say whether every promise held."""
        return not (self.lost or self.twice or self.altered or self.stuck)


def as_it_was(mail: Mail, letter: Letter) -> bool:
    """Say whether a letter is the mail, with our Received line on top and nothing else changed."""
    if letter.recipients == (CARETAKER,):
        return letter.tells or (letter.content.endswith(mail.body) and REFUSED in letter.content)
    received, rest = _first_field(letter.content)
    return received.startswith(b"Received: from ") and rest == mail.arrives


def judge(
    mails: Iterable[Mail], letters: Sequence[Letter], duds: Path, right: Callable[[Mail, Letter], bool] = as_it_was
) -> Books:
    """Compare what was sent with what was taken."""
    known = {mail.number: mail for mail in mails}
    came: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    altered = []
    for letter in letters:
        mail = known.get(letter.number)
        if mail is None or not right(mail, letter):
            altered.append(f"mail {letter.number} of pass {letter.turn} is altered")
        for who in letter.recipients:
            came[letter.number, who].append(letter.known)
    for number, whole in buried(duds, known):
        came[number, DUDS].append("")
        if not whole:
            altered.append(f"dud {number} is altered")
    lost = [f"{n} for {who.decode()} is lost" for n, m in known.items() for who in m.wanted if not came[n, who]]
    extra = {(n, who): states for (n, who), states in came.items() if n in known and who not in known[n].wanted}
    strange = [f"{n} went to {who.decode()}" for (n, who), states in extra.items() if states]
    return _books([*altered, *strange], lost, came)


def _books(altered: list[str], lost: list[str], came: dict[tuple[int, bytes], list[str]]) -> Books:
    """Add up. Each copy but the last is what the one behind it is excused with."""
    before = [(number, who, state) for (number, who), states in came.items() for state in states[:-1]]
    unread = sum(state == UNREAD for _, _, state in before)
    unwritten = sum(state == READ for _, _, state in before)
    twice = [f"{n} came twice to {who.decode()}" for n, who, state in before if state not in {UNREAD, READ}]
    return Books(len(lost), len(twice), len(altered), unread, unwritten, words=(*lost, *twice, *altered))


def _first_field(content: bytes) -> tuple[bytes, bytes]:
    """Return the first header field, with its folded lines, and what follows."""
    end = content.find(b"\r\n") + 2
    while content[end : end + 1] in {b" ", b"\t"}:
        end = content.find(b"\r\n", end) + 2
    return content[:end], content[end:]


def buried(path: Path, known: dict[int, Mail]) -> Iterable[tuple[int, bool]]:
    """Yield the number of each mail in duds.dat as Python's own mailbox reads it, and whether it is unaltered."""
    if not path.exists():
        return
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.keys():  # noqa: SIM118 - an mbox iterates over its messages
            lines = box.get_bytes(key).split(b"\n")
            while lines and lines[0].lower().startswith(OURS.encode()):
                lines.pop(0)
            octets = b"\r\n".join(line[1:] if line.startswith(b">") else line for line in lines)
            mail = known.get(ident(octets))
            yield ident(octets), mail is not None and octets == canonical(mail.octets)
    finally:
        box.close()
