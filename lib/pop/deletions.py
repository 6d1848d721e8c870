"""What of an open mailbox is to be deleted: DELE in groups, and QUIT, which alone makes them facts (RFC 1939 §6).

The law: a DELE goes out only when the journal that calls its message settled is on disk. While messages still come in,
a group goes out every second or so, so that a slow line has few left at the end and a fast one pays for few syncs. QUIT
goes out together with the last of them only where nothing speaks against any reply of the session; else it waits for
the last answer, and for whatever may come too much.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from lib.errors import ConnectionLostError, ProtocolError
from lib.net.dialogue import Command
from lib.pop import pop3
from lib.pop.broken import Where
from lib.pop.session import Session
from lib.store.journal import Journal
from lib.store.journal_facts import ASKED, DOUBTED, HUNG, PROMISED, UID, Deleting, Gone, Record
from lib.visible import visible

GROUP_SECONDS = 1.0


class SessionEnd(NamedTuple):
    """How a session ended: deletions that are facts, and what could not be done."""

    deleted: int
    complaints: list[str]


class Deletions:
    """The deletions of one session."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self.session = session
        self.journal = journal
        self._waiting: dict[str, int] = {}  # key → message number
        # Of these: only the end of the session proves that they are what we take them for.
        self._doubted: set[str] = set()
        self._asked: dict[bytes, str] = {}  # the command's line → key
        self._owed: deque[str] = deque()  # keys whose DELE is not answered
        self._gone: set[str] = set()
        self._quit: pop3.StatusLine | None = None
        self._quitting = False
        self._last = time.monotonic()

    def __len__(self) -> int:
        """Return how many were asked for, or wait to be."""
        return len(self._waiting) + len(self._asked)

    def add(self, key: str, number: int, *, doubted: bool = False) -> None:
        """Let the message be deleted in this session; *doubted*: in the end, if nothing speaks against it by then."""
        self._waiting[key] = number
        if doubted:
            self._doubted.add(key)

    def trust(self) -> None:
        """Nothing speaks against what was doubted so far."""
        self._doubted.clear()

    def ask_some(self) -> None:
        """Ask what waits, if that has not been done for a while. StorageError."""
        if time.monotonic() - self._last >= GROUP_SECONDS and self._waiting.keys() - self._doubted:
            self._ask({key: number for key, number in self._waiting.items() if key not in self._doubted})

    def ask_all(self) -> None:
        """Ask all that waits; none of it is a fact before QUIT. StorageError."""
        if self._waiting:
            self._ask(dict(self._waiting))

    def _ask(self, some: dict[str, int], *records: Record) -> None:
        commands = {key: pop3.dele(number) for key, number in some.items()}
        for key in some:
            del self._waiting[key]
        self._asked.update((command.line, key) for key, command in commands.items())
        self._owed.extend(commands)
        self.journal.note(*records)
        self.journal.sync()
        self.session.dialogue.ask(*commands.values())
        self._last = time.monotonic()

    def hear(self, command: Command, status: pop3.StatusLine) -> None:
        """Take the reply to a command of a line; those that are no DELE do not count."""
        if command is pop3.QUIT:
            self._quit = status
        elif command.line in self._asked:
            self._owed.popleft()
            if status.ok:
                self._gone.add(self._asked[command.line])

    @property
    def where(self) -> Where:
        """What is owed."""
        return Where.DELE if self._owed else Where.QUIT if self._quitting else Where.NOTHING

    def blame(self) -> tuple[str, str]:
        """Remember that the server broke off when the next DELE was all that was asked for; return key and command."""
        key = self._owed[0]
        self.journal.note(Deleting(self.session.account.id, (key,), HUNG))
        return key, next(line.decode().strip() for line, asked in self._asked.items() if asked == key)

    def take_leave(self, window: int, proof: Callable[[], None] | None = None) -> SessionEnd:
        """Ask what is left and QUIT. ConnectionLostError, ProtocolError, StorageError.

        With PIPELINING that is one round trip, unless *proof* waits for a sound answer: QUIT goes out when all others
        are there then. Without deletions, or proof, QUIT is not waited for: its answer is not worth a round trip.
        """
        dialogue, account = self.session.dialogue, self.session.account.id
        if not len(self) and proof is None:
            self.journal.sync()
            self.session.wire.send(pop3.QUIT.line)
            return SessionEnd(0, [])
        # From here on these may be deleted without our knowing: what is listed under their UIDs is looked at again.
        asked = (*self._asked.values(), *self._waiting)
        dialogue.window = window if self.session.pipelining else 1
        try:
            self._ask(dict(self._waiting), *([Deleting(account, asked, ASKED)] if asked else []))
            if proof is not None and self._owed:
                self._hear_all()
                proof()
            self._quitting = True
            dialogue.ask(pop3.QUIT)
            self._hear_all()
        except (ConnectionLostError, ProtocolError):
            if not asked:  # all that was wanted is a sound answer
                return SessionEnd(0, [])
            if dialogue.unsent or not self._quitting:  # no QUIT: nothing was deleted, nothing need be looked at again
                self._take_back(asked)
            raise
        if proof is not None:
            proof()
        return self._told(asked) if asked else SessionEnd(0, [])

    def _told(self, asked: tuple[str, ...]) -> SessionEnd:
        """Write down what QUIT's answer makes of it all."""
        account = self.session.account.id
        refused = tuple(key for key in asked if key not in self._gone)
        self._take_back(refused)
        complaints = [f"{len(refused)} deletions refused"] if refused else []
        if self._quit is None or not self._quit.ok:
            # Some may be gone all the same ("some deleted messages not removed"): they stay in doubt.
            words = visible(self._quit.text) if self._quit else ""
            return SessionEnd(0, [f"QUIT refused, deletions are not sure: {words}"])
        gone = tuple(key for key in asked if key in self._gone)
        self.journal.note(Deleting(account, () if self._alone(gone) else gone, PROMISED))
        # What only its bytes name is new when it comes again: two messages may well be alike.
        self.journal.note(Gone(account, tuple(key for key in gone if not key.startswith(UID))))
        return SessionEnd(len(gone), complaints)

    def _take_back(self, keys: tuple[str, ...]) -> None:
        """Note that these were not deleted after all."""
        account = self.session.account.id
        doubted = tuple(key for key in keys if key in self._doubted)
        sure = tuple(key for key in keys if key not in self._doubted)
        self.journal.note(*(Deleting(account, some, word) for some, word in ((sure, ""), (doubted, DOUBTED)) if some))

    def _alone(self, gone: tuple[str, ...]) -> bool:
        """Say whether no earlier session asked for deletions of which nothing is known yet: one word does for all."""
        entries = self.journal.of(self.session.account.id).items()
        return {key for key, entry in entries if entry.deletion == ASKED} <= set(gone)

    def _hear_all(self) -> None:
        while not self.session.dialogue.idle:
            for command, piece in self.session.wire.step(self.session.dialogue):
                if isinstance(piece, pop3.StatusLine):
                    self.hear(command, piece)
