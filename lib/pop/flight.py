"""Messages on their way from the server into the spool: asked for ahead of the replies, landed one by one.

The law: no more is asked for than the window and MAX_AHEAD allow, no body is longer than BODY_MOST or fills the disk,
and what has landed is given out by whoever knows that something sound, or nothing, follows it.
"""

from collections import Counter, deque
from typing import NamedTuple

from lib.errors import ConnectionLostError
from lib.pop import pop3
from lib.pop.plan import Action
from lib.pop.pop3 import Body
from lib.pop.session import Session
from lib.store import likeness
from lib.store.spool import Incoming, Spool, Stored

# The window starts here and grows by one a reply, so that it doubles a round trip.
FIRST_WINDOW = 8
# Announced octets asked for ahead: what a session that must end soon has yet to read.
MAX_AHEAD = 2 << 20
# A body may be longer than announced (line ends counted once, sizes of compressed files), but not without end.
BODY_FACTOR, BODY_EXTRA, BODY_MOST = 4, 16 << 20, 4 << 30
# How much of the disk stays free for the others whatever one server sends, and how often that is looked at.
DISK_LEFT, DISK_LOOK = 64 << 20, 16 << 20
# A longer UID is not written into the spool file, whose header must stay readable.
LONGEST_UID = 64 << 10


class Landed(NamedTuple):
    """A message that came; *alone*: nothing else was on its way since it was asked for.

    *only*: of the others on their way, and the last, none was announced with its size; *elsewhere*: one of them with
    the size that came.
    """

    action: Action
    stored: Stored
    alone: bool
    only: bool
    elsewhere: bool


class Told(NamedTuple):
    """What came instead of a message: what TOP says its header is (a hash), or why it cannot be had."""

    action: Action
    header: str = ""
    refusal: bytes = b""


class Flight:
    """What one session has asked for; *widest* is the window that it may have in the end."""

    def __init__(self, session: Session, spool: Spool, widest: int) -> None:
        self.session = session
        self.spool = spool
        self.widest = widest
        self.landed: Landed | None = None  # what came last, while nobody has taken it
        self.begun = False  # a word of the reply that is owed next has come
        self.crowd = 0  # how many were asked for since nothing was on its way
        self._flying: deque[Action] = deque()
        self._sizes: Counter[int] = Counter()  # announced, of these
        self._last = 0  # announced for what came last
        self._ahead = 0
        self._incoming: Incoming | None = None
        self._unwatched = 0  # octets of it since the disk was looked at
        self._header = bytearray()  # what TOP gives

    def begin(self) -> None:
        """Set the window that a session starts with."""
        self.session.dialogue.window = min(FIRST_WINDOW, self.widest) if self.session.pipelining else 1

    def __len__(self) -> int:
        """Return how many messages are on their way."""
        return len(self._flying)

    @property
    def unread(self) -> bool:
        """Say whether something of the server's may still bring or confirm a message."""
        return bool(self._flying) or self.landed is not None

    @property
    def next(self) -> Action | None:
        """The one whose reply is owed next."""
        return self._flying[0] if self._flying else None

    @property
    def may_ask(self) -> bool:
        """Say whether another message may be asked for."""
        count = len(self._flying)
        return count < self.session.dialogue.window and (self._ahead <= MAX_AHEAD or count < 2)

    def ask(self, action: Action, *, hinted: bool = True) -> None:
        """Ask for a message, or with TOP for its header; *hinted*: its announced size limits how long it may be."""
        message = action.message
        hint = message.size * BODY_FACTOR + BODY_EXTRA if message.size and hinted else BODY_MOST
        command = pop3.top(message.number) if action.top else pop3.retr(message.number, min(hint, BODY_MOST))
        self.session.dialogue.ask(command)
        self.crowd = self.crowd + 1 if self._flying else 1
        self._flying.append(action)
        self._sizes[message.size] += 1
        self._ahead += message.size

    def take(self, piece: pop3.StatusLine | Body) -> Told | None:
        """Take a piece of a reply; what is no message that landed is returned. ConnectionLostError, StorageError."""
        action = self._flying[0]
        if isinstance(piece, Body):
            if action.top:
                return self._take_header(piece)
            self._take_body(piece)
            return None
        if not piece.ok:
            return Told(self._arrived(), refusal=piece.text or b"-ERR")
        self.begun = True
        if not action.top:
            message = action.message
            # A pass that finds the file must not be misled.
            uid = message.uid if message.named and len(message.uid) <= LONGEST_UID else b""
            self._incoming = self.spool.receive(self.session.account.id, uid, message.size)
            self._unwatched = 0
        return None

    def _take_header(self, piece: Body) -> Told | None:
        self._header += piece.octets
        if not piece.last:
            return None
        header = likeness.top_hash(bytes(self._header))
        self._header.clear()
        return Told(self._arrived(), header=header)

    def _take_body(self, piece: Body) -> None:
        assert self._incoming is not None  # noqa: S101 - a body follows its status
        self._incoming.write(piece.octets)
        if piece.last:
            stored, self._incoming = self._incoming.finish(), None
            size, last = self._flying[0].message.size, self._last
            action = self._arrived()
            others = (self._sizes.get(size, 0), self._sizes.get(stored.size, 0))
            alone = self.crowd == 1
            self.landed = Landed(action, stored, alone, not others[0] and size != last, bool(others[1]))
            return
        self._unwatched += len(piece.octets)
        if self._unwatched > DISK_LOOK:
            self._unwatched = 0
            if self.spool.space < DISK_LEFT:
                raise ConnectionLostError(
                    f"message {self._flying[0].message.number} does not end, and the disk is nearly full"
                )

    def _arrived(self) -> Action:
        action = self._flying.popleft()
        self.begun = False
        self._last = size = action.message.size
        self._sizes[size] -= 1
        if not self._sizes[size]:
            del self._sizes[size]
        self._ahead -= size
        if self.session.pipelining and self.session.dialogue.window < self.widest:
            self.session.dialogue.window += 1
        return action

    def drop(self) -> None:
        """Forget what came only in part; never raises."""
        if self._incoming is not None:
            self._incoming.drop()
            self._incoming = None
