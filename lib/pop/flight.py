"""Messages on their way from the server into the spool: asked for ahead of the replies, landed one by one.

The law: no more is asked for than the window and MAX_AHEAD allow, no body is longer than BODY_MOST or fills the disk,
and what has landed is given out by whoever knows that something sound, or nothing, follows it.
"""

from collections import deque

from lib.errors import LostError, PeerError
from lib.pop import pop3
from lib.pop.plan import Wanted
from lib.pop.pop3 import Body
from lib.pop.session import Mailbox
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


class Flight:
    """What one session has asked for; *widest* is the window that it may have in the end."""

    def __init__(self, mailbox: Mailbox, spool: Spool, widest: int) -> None:
        self.mailbox = mailbox
        self.spool = spool
        self.widest = widest
        self.landed: tuple[Wanted, Stored] | None = None  # what came last, while nobody has taken it
        self._flying: deque[Wanted] = deque()
        self._ahead = 0
        self._incoming: Incoming | None = None
        self._unwatched = 0  # octets of it since the disk was looked at

    def begin(self) -> None:
        """Set the window that a session starts with."""
        self.mailbox.dialogue.window = min(FIRST_WINDOW, self.widest) if self.mailbox.pipelining else 1

    def __len__(self) -> int:
        """Return how many messages are on their way."""
        return len(self._flying)

    @property
    def unread(self) -> bool:
        """Say whether something of the server's may still bring or confirm a message."""
        return bool(self._flying) or self.landed is not None

    @property
    def may_ask(self) -> bool:
        """Say whether another message may be asked for."""
        count = len(self._flying)
        return count < self.mailbox.dialogue.window and (self._ahead <= MAX_AHEAD or count < 2)

    def ask(self, message: Wanted) -> None:
        """Ask for *message*."""
        limit = min(message.size * BODY_FACTOR + BODY_EXTRA if message.size else BODY_MOST, BODY_MOST)
        self.mailbox.dialogue.ask(pop3.retr(message.number, limit))
        self._flying.append(message)
        self._ahead += message.size

    def take(self, piece: pop3.Status | Body) -> Wanted | None:
        """Take a piece of the reply to RETR; return the message when it is refused. LostError, StorageError."""
        if isinstance(piece, Body):
            self._take_body(piece)
        elif not piece.ok:
            return self._arrived()
        else:
            message = self._flying[0]
            # A pass that finds the file must not be misled.
            uid = message.uid if message.named and len(message.uid) <= LONGEST_UID else b""
            self._incoming = self.spool.receive(self.mailbox.account.id, uid, message.size)
            self._unwatched = 0
        return None

    def _take_body(self, piece: Body) -> None:
        assert self._incoming is not None  # noqa: S101 - a body follows its status
        self._incoming.write(piece.octets)
        if piece.last:
            stored, self._incoming = self._incoming.finish(), None
            self.landed = self._arrived(), stored
            return
        self._unwatched += len(piece.octets)
        if self._unwatched > DISK_LOOK:
            self._unwatched = 0
            if self.spool.space < DISK_LEFT:
                raise LostError(f"message {self._flying[0].number} does not end, and the disk is nearly full")

    def _arrived(self) -> Wanted:
        message = self._flying.popleft()
        self._ahead -= message.size
        if self.mailbox.pipelining and self.mailbox.dialogue.window < self.widest:
            self.mailbox.dialogue.window += 1
        return message

    @property
    def overtaxed(self) -> bool:
        """Say whether several messages were asked for ahead, and not even for the first a word came back."""
        return len(self._flying) > 1 and self._incoming is None

    def culprit(self, error: LostError | PeerError) -> Wanted | None:
        """Return the message in whose reply the session died of *error*, if it was in one."""
        inside = self._incoming is not None or isinstance(error, PeerError)
        return self._flying[0] if self._flying and inside else None

    def drop(self) -> None:
        """Forget what came only in part; never raises."""
        if self._incoming is not None:
            self._incoming.drop()
            self._incoming = None
