"""What of an open mailbox is to be deleted: DELE in groups, and QUIT, which alone makes them facts (RFC 1939 §6).

The law: a DELE goes out only when the journal that calls its message settled is on disk. While messages still come in,
a group goes out every second or so, so that a slow line has few left at the end and a fast one pays for few syncs.
"""

import time

from lib.errors import LostError, PeerError
from lib.net.dialogue import Command
from lib.pop import pop3
from lib.pop.session import Mailbox
from lib.store.journal import Ledger
from lib.store.journal_facts import ASKED, PROMISED, UID, Deleting, Gone
from lib.visible import visible

GROUP_SECONDS = 1.0


class Deletions:
    """The deletions of one session."""

    def __init__(self, mailbox: Mailbox, ledger: Ledger) -> None:
        self.mailbox = mailbox
        self.ledger = ledger
        self._waiting: dict[str, int] = {}  # key → message number
        self._asked: dict[bytes, str] = {}  # the command's line → key
        self._gone: set[str] = set()
        self._quit: pop3.Status | None = None
        self._last = time.monotonic()

    def add(self, key: str, number: int) -> None:
        """Let the message be deleted in this session."""
        self._waiting[key] = number

    def ask_some(self) -> None:
        """Ask what waits, if that has not been done for a while. StorageError."""
        if self._waiting and time.monotonic() - self._last >= GROUP_SECONDS:
            self._ask(quitting=False)

    def _ask(self, *, quitting: bool) -> None:
        commands = {key: pop3.dele(number) for key, number in self._waiting.items()}
        self._waiting.clear()
        self._asked.update((command.line, key) for key, command in commands.items())
        if quitting and self._asked:
            # From here on these may be deleted without our knowing: what is listed under their UIDs is looked at again.
            self.ledger.note(Deleting(self.mailbox.account.id, tuple(self._asked.values()), ASKED))
        self.ledger.sync()
        self.mailbox.dialogue.ask(*commands.values())
        self._last = time.monotonic()

    def hear(self, command: Command, status: pop3.Status) -> None:
        """Take the reply to a command of a line; those that are no DELE do not count."""
        if command is pop3.QUIT:
            self._quit = status
        elif status.ok and command.line in self._asked:
            self._gone.add(self._asked[command.line])

    def take_leave(self, window: int) -> tuple[int, list[str]]:
        """Ask what is left and QUIT, in one round trip with PIPELINING; return how many are gone, and complaints.

        Without deletions QUIT is not waited for: there is nothing in its answer that is worth a round trip.
        """
        dialogue = self.mailbox.dialogue
        self._ask(quitting=True)
        if not self._asked:
            self.mailbox.wire.send(pop3.QUIT.line)
            return 0, []
        dialogue.window = window if self.mailbox.pipelining else 1
        dialogue.ask(pop3.QUIT)
        account = self.mailbox.account.id
        try:
            self._hear_all()
        except (LostError, PeerError):
            if dialogue.unsent:  # QUIT among them: nothing was deleted, and nothing need be looked at again
                self.ledger.note(Deleting(account, tuple(self._asked.values()), ""))
            raise
        if self._quit is None or not self._quit.ok:
            self.ledger.note(Deleting(account, tuple(self._asked.values()), ""))
            words = visible(self._quit.text) if self._quit else ""
            return 0, [f"QUIT refused, deletions are not sure: {words}"]
        refused = tuple(set(self._asked.values()) - self._gone)
        if refused:
            self.ledger.note(Deleting(account, refused, ""))
        self.ledger.note(Deleting(account, () if self._alone else tuple(self._gone), PROMISED))
        # What only its bytes name is new when it comes again: two messages may well be alike.
        self.ledger.note(Gone(account, tuple(key for key in self._gone if not key.startswith(UID))))
        return len(self._gone), [f"{len(refused)} deletions refused"] if refused else []

    @property
    def _alone(self) -> bool:
        """Say whether no earlier session asked for deletions of which nothing is known yet: one word does for all."""
        asked = set(self._asked.values())
        entries = self.ledger.of(self.mailbox.account.id).items()
        return all(key in asked for key, entry in entries if entry.deletion == ASKED)

    def _hear_all(self) -> None:
        while not self.mailbox.dialogue.idle:
            for command, piece in self.mailbox.wire.step(self.mailbox.dialogue):
                if isinstance(piece, pop3.Status):
                    self.hear(command, piece)
