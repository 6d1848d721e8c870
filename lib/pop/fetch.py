"""Drain one open mailbox: RETR ahead of the replies into the spool, hand over, DELE what is settled, QUIT.

The law: DELE is asked only for what the journal, synced, calls settled; it is a fact only after QUIT's +OK. Before
QUIT every message that was RETR'd is settled or fsynced in the spool. After an unparsable reply, or a lost connection,
nothing more is said: no QUIT, so nothing is deleted that may have been misunderstood.
"""

import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lib.delivery.parcel import Post
from lib.errors import LostError, PeerError
from lib.net.dialogue import Command
from lib.pop import doubt, plan, pop3
from lib.pop.deletions import Deletions
from lib.pop.duplicates import IGNORING, Recognition
from lib.pop.flight import Flight
from lib.pop.plan import Limits, Wanted
from lib.pop.pop3 import Body
from lib.pop.session import Mailbox
from lib.report.outcome import Tally, Watch
from lib.store.journal import Ledger
from lib.store.journal_format import Entry, Gone, Lasting, Left, Seen, Spooled, Trouble
from lib.store.spool import Spool, Stored
from lib.visible import visible

# Messages in hand at which fetching pauses until half are through; a line of ours waits for nobody.
IN_HAND, IN_HAND_OURS = 100, 20_000
# Servers close a session that says nothing for a minute (RFC 1939 says ten; few listen). Who waits for many verdicts
# looks now and then what room the other accounts have left.
NOOP_SECONDS, LOOK_SECONDS = 20.0, 0.2
TOLD = 10  # words of a server that are kept; it may refuse a million messages


class Desk(Protocol):
    """What a fetcher needs of the pass around it."""

    def hand_over(self, stored: Stored, key: str) -> None:
        """Take a spooled message to deliver; its fate comes by the post."""

    def halted(self) -> bool:
        """Say whether no further message is to be fetched: commit and leave."""

    def may_linger(self) -> bool:
        """Say whether the session may wait for verdicts; not over a line of ours."""

    def now(self) -> float:
        """Return seconds since the epoch."""


@dataclass(slots=True, eq=False, repr=False)
class Fetch:
    """One session's work; *complaints* tell what could not be done, *remarks* what was not meant to be."""

    mailbox: Mailbox
    ledger: Ledger
    spool: Spool
    post: Post
    desk: Desk
    watch: Watch
    tally: Tally
    limits: Limits
    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    carried: Mapping[str, int] = field(default_factory=dict)  # what an earlier session handed over: key → spool file
    handed: Collection[str] = ()  # what all sessions of this pass handed over
    sizes_lie: bool = False  # what LIST announces was found to be wrong
    more: bool = False  # messages at which a session died wait for a session of their own
    troubled: bool = False  # it is this one
    _deletions: Deletions = field(init=False)
    _queue: deque[Wanted] = field(default_factory=deque)
    _flight: Flight = field(init=False)
    _paused: bool = False
    _surplus: int = 0  # messages in hand that must be through before the next one is asked for
    _pending: dict[str, tuple[int, int]] = field(default_factory=dict)  # key → message number, spool file
    _spooled: list[int] = field(default_factory=list)
    _recognition: Recognition = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing to delete."""
        self._deletions = Deletions(self.mailbox, self.ledger)
        self._flight = Flight(self.mailbox, self.spool, self.limits.window)
        self._recognition = Recognition(self.mailbox.account.id, self.ledger)

    @property
    def unfinished(self) -> bool:
        """Say whether messages that should be fetched are not."""
        return bool(self._queue or self._flight)

    @property
    def overtaxed(self) -> bool:
        """Say whether the server gave no answer at all when it was asked for several messages."""
        return self._flight.overtaxed

    @property
    def in_hand(self) -> dict[str, int]:
        """The spool files, by key, of what was handed over and of which nothing was heard yet."""
        return {key: file for key, (_, file) in self._pending.items()}

    @property
    def _entries(self) -> dict[str, Entry]:
        return self.ledger.of(self.mailbox.account.id)

    def drain(self) -> None:
        """Fetch, hand over, wait for verdicts as far as allowed, delete, QUIT. LostError, PeerError, StorageError."""
        self._plan()
        try:
            self._retrieve()
            self._await_verdicts()
            self._leave()
        except (LostError, PeerError) as error:
            self._note_trouble(error)
            raise
        finally:
            self._flight.drop()
            self.mailbox.close()

    def _plan(self) -> None:
        now, account = self.desk.now(), self.mailbox.account.id
        todo = plan.plan(self.mailbox.messages, self._entries, self.limits.rules, now)
        self.tally.listed = max(self.tally.listed, len(self.mailbox.messages))
        self.tally.left, self.tally.oversize = todo.left, len(todo.oversize)
        for message in todo.oversize:
            if message.named and message.key not in self._entries:
                self.ledger.note(Left(account, message.key, message.size, now))
                _tell(self.remarks, f"a message of {message.size} octets is over pf_max_size and stays on the server")
        self._recognition.remember(todo, self.handed, kept=bool(self.limits.rules.keep))
        self.ledger.note(*(Seen(account, key) for key in todo.seen))
        if todo.forgotten:
            self.ledger.note(Gone(account, tuple(todo.forgotten)))
        others = (todo.fetch or todo.delete) and not (self.troubled and todo.last)
        first, self.more = (todo.fetch, bool(todo.last)) if others else (todo.last, False)
        self._queue = deque(first)
        for key, number in todo.delete.items():
            self._deletions.add(key, number)
        in_hand = self.carried.keys() & todo.waiting.keys()
        self._pending.update((key, (todo.waiting[key], self.carried[key])) for key in in_hand)
        self._flight.begin()
        self.watch.account_started(self.mailbox.account.name, len(first), sum(message.size for message in first))

    def _retrieve(self) -> None:
        """Fetch until nothing is left to ask for; what is still owed then are replies to DELE."""
        dialogue, flight = self.mailbox.dialogue, self._flight
        while True:
            self._ask_more()
            if self._queue:  # the last ones go with QUIT
                self._deletions.ask_some()
            more = self._queue and not self.desk.halted()
            if not dialogue.idle and (more or flight.unread):
                self._step()
            elif flight.landed is not None:
                self._believe()  # nothing follows it
                self.ledger.flush()
            elif more:
                self._idle()  # the spool is full: the receiver is slower than the line
            else:
                return
            self._read_post()

    def _step(self) -> None:
        for command, piece in self.mailbox.wire.step(self.mailbox.dialogue):
            self._take(command, piece)
        self.ledger.flush()  # whoever is killed now finds in the journal what is whole in the spool

    def _ask_more(self) -> None:
        while self._queue and self._flight.may_ask and not self.desk.halted() and self._has_room():
            self._flight.ask(self._queue.popleft())

    def _has_room(self) -> bool:
        most = IN_HAND if self.desk.may_linger() else IN_HAND_OURS
        self._surplus = self.spool.messages - (most // 2 if self._paused else most) + 1
        self._paused = self.spool.full or self._surplus > 0
        return not self._paused

    def _take(self, command: Command, piece: pop3.Status | Body) -> None:
        if isinstance(piece, Body):
            self.tally.octets += len(piece.octets)
            self._flight.take(piece)
            return
        self._believe()
        if not command.multiline:
            self._deletions.hear(command, piece)
        elif refused := self._flight.take(piece):
            _tell(self.complaints, f"message {refused.number} cannot be retrieved: {visible(piece.text)}")

    def _believe(self) -> None:
        """Take what landed last for the whole message, for a reply follows it, or nothing."""
        if self._flight.landed is None:
            return
        (message, stored), self._flight.landed = self._flight.landed, None
        if not doubt.short(stored, message.size) or (stored.size and self.sizes_lie):
            self._finish(message, stored)
        elif doubt.cleared(self._entries.get(message.key), stored):
            self.sizes_lie = True
            self._finish(message, stored)
        else:
            _tell(self.complaints, doubt.told(stored, message.number, message.size))
            self._doubt(message, stored)

    def _doubt(self, message: Wanted, stored: Stored) -> None:
        """Let it stay on its server; it is fetched again, last of all."""
        self.spool.free(stored.number)
        self._trouble(message, doubt.reason(stored))

    def _finish(self, message: Wanted, stored: Stored) -> None:
        self.tally.fetched += 1
        self.watch.message_fetched(self.mailbox.account.name, stored.size)
        key = self._recognition.name(message, stored.sha)
        known = self._recognition.known(key, message, stored.sha)
        if known is not None:
            self.spool.free(stored.number)
            self._delete_or_leave(known, message)
            return
        self._pending[key] = (message.number, stored.number)
        now = self.desk.now()
        self.ledger.note(Spooled(self.mailbox.account.id, key, stored.number, stored.uid, stored.sha, stored.size, now))
        self.desk.hand_over(stored, key)

    def _delete_or_leave(self, known: Entry, message: Wanted) -> None:
        if plan.due(known, self.limits.rules.keep, self.desk.now()):
            self._deletions.add(known.key, message.number)
        else:
            self.tally.left += 1
        if plan.waits(known):
            self._spooled.append(known.number)  # of an earlier session, and perhaps not on disk yet

    def _read_post(self) -> None:
        for key, settled in self.post.take():
            number, file = self._pending.pop(key, (0, 0))
            if not number:
                continue
            if not settled:
                self._spooled.append(file)
            elif self.limits.rules.keep:
                self.tally.left += 1
            else:
                self._deletions.add(key, number)

    def _idle(self) -> None:
        """Wait for news, woken once for many of them; say NOOP so that the server does not hang up meanwhile."""
        began = time.monotonic()
        while time.monotonic() - began < NOOP_SECONDS:
            before = len(self._pending)
            self.post.wait(min(LOOK_SECONDS, NOOP_SECONDS), min(self._surplus, before) if self._queue else before)
            self._read_post()
            if self.desk.halted() or (self._has_room() if self._queue else len(self._pending) != before):
                return
        self._deletions.ask_some()
        self.mailbox.dialogue.ask(pop3.NOOP)
        while not self.mailbox.dialogue.idle:
            self._step()

    def _await_verdicts(self) -> None:
        waited, before = time.monotonic(), len(self._pending)
        while self._pending and self.desk.may_linger() and not self.desk.halted():
            self._idle()
            if len(self._pending) < before:
                waited, before = time.monotonic(), len(self._pending)
            if time.monotonic() - waited > self.limits.patience:
                return

    def _leave(self) -> None:
        """Make sure of what is not settled, then delete what is, and QUIT."""
        self._read_post()
        if not (self.unfinished or self.more):
            self._recognition.looked_at_all(self.desk.now())
        if self._recognition.ignoring:
            self.remarks.append(IGNORING)
        files = (*self._spooled, *(file for _, file in self._pending.values()))
        if files:
            self.spool.sync(files)
            self.ledger.note(Lasting(self.mailbox.account.id, files))
        deleted, complaints = self._deletions.take_leave(self.limits.window)
        self.tally.deleted += deleted
        self.complaints.extend(complaints)

    def _note_trouble(self, error: LostError | PeerError) -> None:
        """Remember the message in whose reply the session died, or behind which: it is tried last from now on."""
        if self._flight.landed is not None:
            message, stored = self._flight.landed
            cleared = doubt.cleared(self._entries.get(message.key), stored) and stored.size >= message.size
            if cleared or isinstance(error, LostError):
                self._believe()
            else:
                self._doubt(message, stored)
        culprit = self._flight.culprit(error)
        if culprit is not None:
            self._trouble(culprit, str(error))

    def _trouble(self, message: Wanted, why: str) -> None:
        self.ledger.note(Trouble(self.mailbox.account.id, message.key, why, self.desk.now()))
        self.ledger.flush()


def _tell(told: list[str], words: str) -> None:
    if words not in told and len(told) < TOLD:
        told.append(words)
