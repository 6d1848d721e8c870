"""Receivers that misbehave by message, by recipient, by connection, by count: a story each, without sockets or threads.

A Mood says what one kind of receiver does; Played is one connection to it, octets in and octets out, and writes down
what it takes. Office is a queue that keeps, from pass to pass, what the real one keeps.
"""

import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lib.config.settings import HostPort, Tls
from lib.delivery.queued import DeliveryAttempt, DeliveryRequest, QueuedMessage, Tried
from lib.errors import ConnectionLostError, ReceiverError
from lib.mail.message import scan
from lib.net.dialogue import Dialogue
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health, Learned
from lib.smtp.session import Receiver, Session
from lib.smtp.smtp import Reply

SPARE = b"popfetch@us.example"
CUT, TAKEN_AND_CUT, NONSENSE = b"cut", b"taken and cut", b"what do you say"
OPENING = b"Received: by us\r\nSubject: %b\r\n"
BODY = b"\r\nthis is %b\r\n.and a dot\r\n"

ODD_WORDS = (
    *(b"421 4.3.2 closing", b"454 4.7.0 no TLS", b"530 5.7.0 log in", b"535 5.7.8 not you", b"503 5.5.1 what?"),
    *(CUT, NONSENSE, b"354 go on", b"250 ok", b"451 4.3.0 not now", b"450 4.7.1 not now", b"554 5.7.1 no"),
)
DOT_WORDS = (
    b"421 4.3.2 closing",
    b"451 4.7.1 not now",
    b"554 5.7.1 spam",
    b"503 5.5.1 what?",
    CUT,
    TAKEN_AND_CUT,
    NONSENSE,
)
RCPT_WORDS = (b"450 4.2.0 later", b"451 4.7.1 greylisted", b"452 4.2.2 full", b"550 5.1.1 nobody", b"552 5.2.2 full")
LIMITS = (b"421 4.4.5 enough", b"451 4.4.5 enough", b"452 4.5.3 Too many messages sent", CUT)
CROWDS = (b"452 4.5.3 too many recipients", b"552 5.5.3 too many recipients", b"451 too many recipients")
SENDER_WORDS = (b"553 5.7.1 Sender address rejected", b"450 4.1.8 Sender address rejected: no such domain")


class Letter(NamedTuple):
    """A message, and what is the matter with it."""

    name: bytes
    recipients: tuple[bytes, ...]
    phase: str = ""  # where *word* is said to it, always
    word: bytes = b""

    @property
    def sender(self) -> bytes:
        return self.name + b"@sender.example"


@dataclass(slots=True)
class Mood:
    """One receiver."""

    ahead: bool = True
    lmtp: bool = False
    sticky: bool = False  # leaves a transaction open that it refuses at DATA or the dot
    guarded: bool = False  # bears nothing behind a final dot
    limit: int = 0  # messages a connection
    limit_phase: str = "MAIL"
    limit_word: bytes = b""
    errors: int = 0  # refusals after which it hangs up
    crowd: int = 0  # recipients a transaction
    crowd_word: bytes = b""
    senders: str = ""  # where it refuses senders that begin with "odd"
    sender_word: bytes = b""
    null: bool = True  # it takes the null sender
    twice: bool = False  # says 250 twice to some letters
    letters: dict[bytes, Letter] = field(default_factory=dict)
    people: dict[bytes, bytes] = field(default_factory=dict)  # what a recipient is told
    taken: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)  # letter, sender, recipient
    unheard: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)  # taken, and its 250 never said
    wrong: list[str] = field(default_factory=list)
    connections: int = 0

    def letter_of(self, sender: bytes) -> Letter | None:
        return self.letters.get(sender.partition(b"@")[0])


class Played:
    """One connection: a wire to the program, a receiver behind it."""

    encrypted, address, own_address = False, "", ""

    def __init__(self, mood: Mood) -> None:
        self.mood = mood
        mood.connections += 1
        self.read_timeout, self.whole, self.stop = 60.0, False, bool
        self.said = bytearray(b"220 mx\r\n")
        self.heard = b""
        self.closed = False
        self.sender: bytes | None = None
        self.to: list[bytes] = []
        self.content: bytes | None = None
        self.count = self.errors = 0

    # --- what a Wire does -------------------------------------------------------------------------------------------

    @property
    def stale(self) -> bool:
        return self.closed or bool(self.said)

    def send(self, octets: bytes) -> None:
        if self.closed:
            raise ConnectionLostError("gone")
        self.hear(octets)

    def step(self, dialogue: Dialogue[Reply]) -> Iterator[Any]:
        if octets := dialogue.to_send():
            self.hear(octets)
        if not dialogue.owed:
            return
        if not self.said:
            assert self.closed, f"it waits for {dialogue.owed} replies that nobody owes"
            raise ConnectionLostError("gone")
        said, self.said = bytes(self.said), bytearray()
        yield from dialogue.receive(said)

    def close(self) -> None:
        self.closed = True

    # --- what a receiver does ---------------------------------------------------------------------------------------

    def hear(self, octets: bytes) -> None:
        self.heard += octets
        while not self.closed and self.heard:
            if self.content is not None:
                if not self._hear_content():
                    return
                continue
            line, end, rest = self.heard.partition(b"\r\n")
            if not end:
                return
            self.heard = rest
            self._command(line)

    def say(self, word: bytes) -> bool:
        """Say *word*; say whether it was a good one."""
        if word == CUT:
            self.closed = True
            return False
        self.said += word + b"\r\n"
        self.errors += word[:1] in b"45"
        if word[:3] in {b"421", b"454", b"530", b"535"}:
            self.closed = True
        return word[:1] == b"2"

    def _command(self, line: bytes) -> None:
        verb = line[:4]
        if verb in {b"EHLO", b"LHLO"}:
            self.say(b"250-mx\r\n250-PIPELINING\r\n250 8BITMIME" if self.mood.ahead else b"250-mx\r\n250 8BITMIME")
        elif verb == b"RSET":
            self.sender, self.to = None, []
            self.say(b"250 flushed")
        elif verb == b"QUIT":
            self.closed = True
        else:
            {b"MAIL": self._mail, b"RCPT": self._rcpt, b"DATA": self._data}[verb](line)

    def _odd(self, phase: str) -> bytes:
        """Return what the letter in hand is told at *phase*, or the connection for its limit."""
        mood = self.mood
        if 0 < mood.limit <= self.count and phase == mood.limit_phase:
            return mood.limit_word
        letter = mood.letter_of(self.sender or b"")
        return letter.word if letter is not None and letter.phase == phase else b""

    def _mail(self, line: bytes) -> None:
        if self.sender is not None:
            self.say(b"503 5.5.1 nested MAIL")
            return
        self.sender = line.partition(b"<")[2].partition(b">")[0]
        word = self._odd("MAIL") or self._of_sender("MAIL") or b"250 sender ok"
        if not self.say(word):
            self.sender = None

    def _of_sender(self, phase: str) -> bytes:
        mood, sender = self.mood, self.sender or b""
        bad = sender.startswith(b"odd") or (not sender and not mood.null)
        return mood.sender_word if mood.senders == phase and bad else b""

    def _rcpt(self, line: bytes) -> None:
        who, mood = line.partition(b"<")[2].partition(b">")[0], self.mood
        if self.sender is None:
            self.say(b"503 5.5.1 MAIL first")
            return
        if 0 < mood.errors <= self.errors:
            self.say(b"421 4.7.0 too many errors")
            return
        if 0 < mood.crowd <= len(self.to):
            self.say(mood.crowd_word)
            return
        if self.say(self._odd("RCPT") or self._of_sender("RCPT") or mood.people.get(who, b"250 recipient ok")):
            self.to.append(who)

    def _data(self, _: bytes) -> None:
        if self.sender is None or not self.to:
            self.say(b"554 5.5.1 no valid recipients" if self.sender is not None else b"503 5.5.1 MAIL first")
            return
        word = self._odd("DATA") or b"354 go on"
        self.say(word)
        if word.startswith(b"354"):
            self.content = b""
        elif not self.mood.sticky:
            self.to = []

    def _hear_content(self) -> bool:
        octets, end, rest = (b"\r\n" + self.heard).partition(b"\r\n.\r\n")
        if not end:
            return False
        self.content, self.heard = None, b"" if self.mood.guarded else rest
        self._judge(octets[2:] + b"\r\n" if octets else b"")
        if self.mood.guarded:
            for _ in range(rest.count(b"\r\n")):
                self.say(b"503 5.5.1 pipelined after end of DATA")
        return True

    def _judge(self, octets: bytes) -> None:
        """Say what becomes of a message: once, or once a recipient."""
        name = octets.partition(b"Subject: ")[2].partition(b"\r\n")[0]
        letter = self.mood.letters.get(name)
        whole = (OPENING + BODY) % (name, name)
        if letter is None or octets != whole.replace(b"\r\n.", b"\r\n.."):
            self.mood.wrong.append(f"it was sent {octets!r} for {self.to}")
            return
        word = letter.word if letter.phase == "dot" else b"250 taken"
        crowds = [[who] for who in self.to] if self.mood.lmtp else [self.to]
        for some in crowds:
            if word[:3] == b"250" or word == TAKEN_AND_CUT:
                self._take(letter, some, heard=word[:3] == b"250")
            self.say(CUT if word == TAKEN_AND_CUT else word)
        good = word.startswith(b"250")
        if good and self.mood.twice and len(name) % 2:
            self.say(b"250 really")
        self.count += good
        if good or not self.mood.sticky:
            self.sender, self.to = None, []

    def _take(self, letter: Letter, some: list[bytes], *, heard: bool) -> None:
        for who in some:
            self.mood.taken.append((letter.name, self.sender or b"", who))
            if not heard:
                self.mood.unheard[letter.name, who] += 1
            if who not in letter.recipients:
                self.mood.wrong.append(f"{letter.name!r} went to {who!r}")


class Office:
    """The queue, the verdicts that were heard, and what is kept of them from pass to pass."""

    def __init__(self, letters: Iterable[Letter]) -> None:
        self.waiting = {one.name: list(one.recipients) for one in letters}
        self.letters = {one.name: one for one in letters}
        self.tried = dict.fromkeys(self.waiting, Tried.NEVER)
        self.accepted: set[tuple[bytes, bytes]] = set()
        self.refused: set[tuple[bytes, bytes]] = set()
        self.learned = Learned()
        self.stopped = False
        self.why: dict[bytes, str] = {}
        self._requests: deque[DeliveryRequest] = deque()
        self._behind: deque[DeliveryRequest] = deque()
        self.finals: Counter[bytes] = Counter()

    def begin(self, mood: Mood) -> tuple[Receiver, Health]:
        """Queue what waits, as a pass does; return the receiver, and what is known of it."""
        self.finals.clear()
        self._requests.clear()
        self._behind.clear()
        for name, left in sorted(self.waiting.items(), key=lambda one: self.tried[one[0]]):
            if left:
                request = _request(self.letters[name], tuple(left), self.tried[name])
                (self._behind if request.tried is Tried.BROKE else self._requests).append(request)
        way = Receiver(HostPort("mx", 25), mood.lmtp, Tls.OFF, None, None, 600.0, "us.example", SPARE)
        return way, Health(self.learned)

    def make_pass(self, mood: Mood) -> str:
        """Make one pass; return why the receiver took nothing more, "" if it is through."""
        way, health = self.begin(mood)
        try:
            Deliver(Session(way), health, self).run()
        except ReceiverError as error:
            return str(error)
        finally:
            self.learned = health.learned
        return ""

    # --- Work -------------------------------------------------------------------------------------------------------

    def take(self) -> DeliveryRequest | None:
        with suppress(IndexError):
            return (self._requests or self._behind).popleft()
        return None

    def poll(self) -> DeliveryRequest | None:
        return self._requests.popleft() if self._requests else None

    def give_back(self, request: DeliveryRequest) -> None:
        (self._behind if request.tried is Tried.BROKE else self._requests).appendleft(request)

    def put_behind(self, request: DeliveryRequest) -> None:
        self._behind.append(request)

    def body(self, queued: QueuedMessage) -> Iterator[bytes]:
        assert queued.body is not None
        return iter((queued.body[queued.head.end :],))

    def heard(self, result: DeliveryAttempt) -> Iterable[DeliveryRequest]:
        name = result.request.queued.uid
        for who, answer in result.answers.items():
            if answer.status == "owed":
                continue
            if who in self.waiting[name]:  # LMTP's verdicts are told one by one, and then together
                self.waiting[name].remove(who)
            (self.accepted if answer.status == "accepted" else self.refused).add((name, who))
        if result.final:
            self.finals[name] += 1
            self.tried[name] = max(self.tried[name], Tried.PUT_OFF)
        return ()

    def broke(self, queued: QueuedMessage, why: str) -> None:
        self.tried[queued.uid], self.why[queued.uid] = Tried.BROKE, why


def _request(letter: Letter, deferred: tuple[bytes, ...], tried: Tried) -> DeliveryRequest:
    opening, name = OPENING % letter.name, letter.name
    octets = opening + BODY % name
    values: dict[str, Any] = dict.fromkeys(QueuedMessage._fields, b"")
    values |= {"account": "a", "key": name.decode(), "uid": name, "size": len(octets), "body": octets, "clean": True}
    values |= {"eightbit": False, "head": scan(octets), "opening": opening, "sender": letter.sender, "tried": tried}
    values |= {"recipients": letter.recipients, "deferred": deferred, "since": 0.0, "began": 0.0}
    return DeliveryRequest(QueuedMessage(**values), letter.sender, deferred, opening)


# --- stories ----------------------------------------------------------------------------------------------------------


def story(dice: random.Random) -> tuple[Mood, list[Letter]]:
    """Return a receiver, and what waits for it."""
    mood = Mood(ahead=dice.random() < 0.7, lmtp=dice.random() < 0.3, sticky=dice.random() < 0.3)
    mood.guarded = mood.ahead and dice.random() < 0.2
    mood.twice = dice.random() < 0.1 and not mood.lmtp
    if dice.random() < 0.3:
        mood.limit, mood.limit_word = dice.randint(1, 4), dice.choice(LIMITS)
        mood.limit_phase = dice.choice(("MAIL", "RCPT", "DATA") if mood.limit_word != CUT else ("MAIL",))
    if dice.random() < 0.2:
        mood.errors = dice.randint(9, 20)
    if dice.random() < 0.3:
        mood.crowd, mood.crowd_word = dice.randint(1, 4), dice.choice(CROWDS)
    if dice.random() < 0.3:
        mood.senders, mood.sender_word, mood.null = (
            dice.choice(("MAIL", "RCPT")),
            dice.choice(SENDER_WORDS),
            dice.random() < 0.7,
        )
    crowd = [b"u%d@x" % one for one in range(dice.choice((1, 3, 14)))]
    odd_people = dice.random() * 0.5
    mood.people = {who: dice.choice(RCPT_WORDS) for who in crowd if dice.random() < odd_people}
    share = dice.choice((0.0, 0.1, 0.4, 0.9))
    letters = [_letter(dice, number, crowd, share) for number in range(dice.randint(1, 15))]
    mood.letters = {one.name: one for one in letters}
    return mood, letters


def _letter(dice: random.Random, number: int, crowd: list[bytes], share: float) -> Letter:
    name = (b"odd" if dice.random() < 0.3 else b"m") + b"%d" % number
    one = Letter(name, tuple(dice.sample(crowd, dice.randint(1, len(crowd)))))
    if dice.random() >= share:
        return one
    phase = dice.choice(("MAIL", "RCPT", "DATA", "dot"))
    words = DOT_WORDS if phase == "dot" else [word for word in ODD_WORDS if not _usual(phase, word)]
    return one._replace(phase=phase, word=dice.choice(words))


def _usual(phase: str, word: bytes) -> bool:
    return word.startswith(b"354" if phase == "DATA" else b"250")
