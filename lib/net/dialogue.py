"""Who is owed a reply: every reply belongs to exactly one command that was sent.

A Dialogue does no I/O. Commands wait in a queue, go out as far as the window allows, and are owed a reply until it
is whole. What arrives while nothing is owed is a ProtocolError, so that text smuggled in front of a TLS handshake can
never be taken for an answer to what is asked after it. A Dialogue that has raised must not be used again.
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from lib.errors import ProtocolError

# So many times the window of light commands may be owed besides: some 30 KB in either direction.
LIGHT_FACTOR = 5
CONTROLS = bytes([*range(32), 127])


class Command(NamedTuple):
    """One thing said to the peer and the shape of what it owes us for it.

    *line* holds the bytes as sent, line end included; empty means that nothing is said, but a reply is owed all the
    same (a greeting, the further verdicts of LMTP). *alone* commands are neither preceded nor followed by another
    before they are answered. *light* ones, whose reply is a short line, do not take the window from others. *shown*
    stands for the line in a transcript, where it is not the line itself.
    """

    line: bytes
    shown: str = ""
    alone: bool = False
    light: bool = False
    multiline: bool = False
    challenge: bool = False
    limit: int = 0

    @property
    def told(self) -> str:
        """What a transcript shows for it."""
        return self.shown or self.line.decode("utf-8", "backslashreplace").rstrip()


class Piece(Protocol):
    """A reply, or a part of one."""

    @property
    def last(self) -> bool:
        """Say whether the reply ends with this piece."""


P = TypeVar("P", bound=Piece)
P_co = TypeVar("P_co", bound=Piece, covariant=True)


class Framer(Protocol[P_co]):
    """Cuts what the peer sent into pieces; knows the protocol's framing and nothing else."""

    def feed(self, octets: bytes) -> None:
        """Take what the connection brought."""

    def piece(self, command: Command) -> P_co | None:
        """Return the next piece of the reply to *command*, None when more bytes are needed; ProtocolError."""

    @property
    def empty(self) -> bool:
        """Say whether every byte was used."""


class Dialogue(Generic[P]):
    """A queue of commands that wait and of commands that are owed a reply."""

    def __init__(self, framer: Framer[P], window: int = 1) -> None:
        """Start with nothing asked; at most *window* commands are owed a reply at a time."""
        self.window = window
        self._framer = framer
        self._waiting: deque[Command] = deque()
        self._owed: deque[Command] = deque()
        self._heavy = 0  # of these, not light

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent and nothing is owed."""
        return not self._owed and not self._waiting

    @property
    def owed(self) -> int:
        """How many commands were sent and are not answered in full."""
        return len(self._owed)

    @property
    def unsent(self) -> bool:
        """Say whether something that was asked waits to be sent."""
        return bool(self._waiting)

    def ask(self, *commands: Command) -> None:
        """Queue *commands*; they go out with the next to_send()."""
        self._waiting.extend(commands)

    def withdraw(self) -> None:
        """Forget what was asked and not yet sent."""
        self._waiting.clear()

    def to_send(self) -> bytes:
        """Return what may be sent now, in one piece; its commands are owed a reply from here on."""
        out = []
        while self._waiting and self._may_go(self._waiting[0]):
            command = self._waiting.popleft()
            self._owed.append(command)
            self._heavy += not command.light
            out.append(command.line)
        return b"".join(out)

    def _may_go(self, command: Command) -> bool:
        if not self._owed:
            return True
        if command.alone or self._owed[0].alone:
            return False
        if not command.line or self.window == 1:
            return not command.line
        if command.light:
            return len(self._owed) - self._heavy < self.window * LIGHT_FACTOR
        return self._heavy < self.window

    def receive(self, octets: bytes) -> Iterator[tuple[Command, P]]:
        """Pair what arrived with what was asked, in order; ProtocolError for what nobody asked for."""
        self._framer.feed(octets)
        while self._owed:
            command = self._owed[0]
            piece = self._framer.piece(command)
            if piece is None:
                return
            if piece.last:
                self._owed.popleft()
                self._heavy -= not command.light
            yield command, piece
        if not self._framer.empty:
            raise ProtocolError("the server spoke out of turn")


def spoken(*words: bytes) -> bytes:
    """Join *words* to a line with its CRLF; ValueError for a control character, which would start a further command."""
    line = b" ".join(words)
    if line.translate(None, CONTROLS) != line:
        raise ValueError("a command may not hold control characters")
    return line + b"\r\n"
