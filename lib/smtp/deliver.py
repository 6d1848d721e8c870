"""Send spooled messages over one connection, and tell of every recipient what the receiver said.

With PIPELINING an envelope is one group, and the content of one message goes out with the envelope of the next: one
round trip a message. A message whose final dot went out and whose verdict never came stays in the spool for a later
pass, never for this one (RFC 1047). What fails before the dot is tried once more on a new connection; failing again is
the receiver's, but in a later pass the message's own: it waits, and the next goes on. Three messages in a row that it
would not take now are the receiver's.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import Lock

from lib.delivery.parcel import Errand, Feed, Parcel, Result
from lib.errors import LostError, PeerError, PopfetchError, ReceiverError, StoppedError
from lib.smtp import smtp
from lib.smtp.session import Courier
from lib.smtp.transaction import Transaction, content
from lib.visible import visible

# Messages in a row, over all connections, that the receiver would not take now.
FAULTS_IN_A_ROW = 3
# How long to listen for the reason why a server broke off while the content was sent, seconds.
LAST_WORDS = 2.0

Chunks = Callable[[Parcel], Iterator[bytes]]
Blame = Callable[[Parcel, str], None]
Done = Callable[[Result], Iterable[Errand]]


class Health:
    """What all connections together know of the receiver. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults = 0
        self._working: set[Courier] = set()
        self._down = False
        self._told = False

    def opened(self, courier: Courier) -> None:
        """Note that *courier* was greeted: until it is refused, the receiver is not down."""
        with self._lock:
            self._working.add(courier)

    def ended(self, courier: Courier) -> None:
        """Note that *courier* carries nothing any more, whatever the reason."""
        with self._lock:
            self._working.discard(courier)

    def fine(self) -> None:
        """Note that a message was taken."""
        with self._lock:
            self._faults = 0

    def fault(self, words: bytes) -> None:
        """Note that a message was not taken now; ReceiverError when it is the third in a row."""
        with self._lock:
            self._faults += 1
            if self._faults >= FAULTS_IN_A_ROW:
                self._down = True
                raise ReceiverError(f"the receiver would not take {self._faults} messages in a row: {visible(words)}")

    def down(self) -> bool:
        """Say, once, that the receiver is down; asked when a courier was refused: it is when no other one works."""
        with self._lock:
            down = (self._down or not self._working) and not self._told
            self._told = self._told or down
            return down


class Deliver:
    """One connection and what is on its way over it."""

    def __init__(self, courier: Courier, health: Health, chunks: Chunks, blame: Blame) -> None:
        """Use *courier*; *chunks* reads a message's body, *blame* hears of one that must go last from now on."""
        self._blame = blame
        self._courier = courier
        self._health = health
        self._chunks = chunks
        self._todo: deque[Errand] = deque()
        self._announced: deque[Transaction] = deque()
        self._dotted = False

    def run(self, feed: Feed, done: Done) -> None:
        """Carry errands until there are no more; ReceiverError when this connection, or the receiver, is refused.

        StoppedError when the pass is halted and this connection has had its time.

        What was not decided by then is given back to *feed*.
        """
        try:
            while (errand := self._todo.popleft() if self._todo else feed.take()) is not None:
                self._serve(errand, feed, done)
        except PopfetchError:
            raise
        except Exception:
            if self._announced:  # a bug of ours: the message that it happens at must not be carried round for ever
                self._blame(self._announced.popleft().errand.parcel, "a bug of this program")
            raise
        finally:
            for errand in (*(one.errand for one in self._announced), *self._todo):
                feed.give_back(errand)
            self._courier.close()
            self._health.ended(self._courier)

    def _serve(self, errand: Errand, feed: Feed, done: Done) -> None:
        courier = self._courier
        self._announced = deque([Transaction(errand, courier.features)])
        if courier.wire is not None and courier.wire.stale:
            courier.close()
        if courier.wire is None:
            courier.open()
        self._health.opened(courier)
        self._announced.clear()
        self._announce(errand)
        try:
            while self._announced:
                self._carry(self._announced[0], feed, done)
                self._conclude(self._announced.popleft(), done)
        except StoppedError as error:
            courier.close()
            if self._dotted:
                self._lost(error, done)
            raise
        except (LostError, PeerError) as error:
            courier.close()
            self._lost(error, done)

    def _lost(self, error: LostError | PeerError | StoppedError, done: Done) -> None:
        """Decide what becomes of the messages that were on their way when the connection broke."""
        transaction = self._announced[0]
        errand = transaction.errand
        decided = self._dotted or errand.tries > 0
        if self._dotted:
            transaction.in_doubt()
        elif decided:
            self._break_off(transaction, error)
        else:
            errand.tries += 1
            self._todo.append(errand)
        self._announced.popleft()
        self._todo.extend(other.errand for other in self._announced)
        self._announced.clear()
        if decided:
            self._conclude(transaction, done)

    def _break_off(self, transaction: Transaction, error: PopfetchError) -> None:
        """Blame the receiver, the first time; in later passes it is the message, lest it block all others for ever."""
        parcel = transaction.errand.parcel
        self._blame(parcel, str(error))
        if not parcel.suspect:
            raise ReceiverError(f"the receiver breaks off: {error}") from error
        transaction.broken_off(str(error).encode())

    def _announce(self, errand: Errand) -> None:
        transaction = Transaction(errand, self._courier.features)
        self._announced.append(transaction)
        if self._courier.pipelining:
            self._courier.dialogue.ask(*transaction.commands())

    def _carry(self, transaction: Transaction, feed: Feed, done: Done) -> None:
        """Bring a transaction to its verdicts; the next one's envelope goes out with its content."""
        self._dotted = False
        if transaction.asked:
            self._hear_envelope(transaction)
        if transaction.open:
            self._send_content(transaction, feed)
            self._hear_verdicts(transaction, done)
        elif transaction.lone_dot:
            self._courier.ask(smtp.LONE_DOT)
        elif transaction.begun:
            self._courier.ask(smtp.RSET)

    def _hear_envelope(self, transaction: Transaction) -> None:
        """Hear MAIL, each RCPT and DATA; without PIPELINING each is asked when the one before was heard."""
        courier = self._courier
        mail, *rcpts, data = transaction.commands()
        if courier.pipelining:
            transaction.hear_mail(courier.hear()[1])
            for who in transaction.asked:
                transaction.hear_rcpt(who, courier.hear()[1])
            transaction.hear_data(courier.hear()[1])
        elif transaction.hear_mail(courier.ask(mail)):
            for who, rcpt in zip(transaction.asked, rcpts, strict=True):
                transaction.hear_rcpt(who, courier.ask(rcpt))
            if transaction.accepted:
                transaction.hear_data(courier.ask(data))

    def _send_content(self, transaction: Transaction, feed: Feed) -> None:
        courier, errand = self._courier, transaction.errand
        wire = courier.wire
        if wire is None:
            raise LostError("the connection is closed")
        last = b""
        try:
            for part in content(errand, self._chunks(errand.parcel)):
                wire.send(last)
                last = part
        except LostError:
            self._hear_last_words(transaction)
            raise
        further = (smtp.FURTHER_VERDICT,) * (len(transaction.accepted) - 1) if courier.way.lmtp else ()
        courier.dialogue.ask(smtp.content(last), *further)
        if courier.pipelining:
            follower = self._todo.popleft() if self._todo else feed.poll()
            if follower is not None:
                self._announce(follower)
        self._dotted = True

    def _hear_last_words(self, transaction: Transaction) -> None:
        """Look for the reason why the server broke off in the middle: a refusal of the message, as a rule."""
        courier = self._courier
        if courier.wire is None:
            return
        courier.wire.silence = LAST_WORDS
        courier.dialogue.ask(smtp.FURTHER_VERDICT)
        with suppress(LostError, PeerError):
            self._dotted = transaction.hear_last_words(courier.hear()[1])

    def _hear_verdicts(self, transaction: Transaction, done: Done) -> None:
        """Hear what became of it; a verdict of LMTP is told at once, for the next one may be long in coming."""
        courier = self._courier
        courier.await_verdict(True)
        everybody = transaction.accepted
        apart = [[one] for one in everybody] if courier.way.lmtp else [everybody]
        for turn, who in enumerate(apart, 1):
            transaction.hear_verdict(who, courier.hear()[1])
            if turn < len(apart):
                done(Result(transaction.errand, {one: transaction.answers[one] for one in who}, final=False))
        courier.await_verdict(False)

    def _conclude(self, transaction: Transaction, done: Done) -> None:
        """Tell what a transaction came to, and what that says of the receiver."""
        self._todo.extend(transaction.further())
        self._todo.extend(done(transaction.result()))
        fault = transaction.fault
        if fault:
            self._health.fault(fault)
        elif any(answer.status == "accepted" for answer in transaction.answers.values()):
            self._health.fine()
