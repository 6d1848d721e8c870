"""Carry delivery requests over one connection after the other, and tell of every recipient what the receiver said.

With PIPELINING an envelope is one group, and the content of one message goes out with the envelope of the next: one
round trip a message. What a reply means is the verdict table's matter, what a transaction comes to the transaction's;
here is only what follows for the connection and the order of the messages:

* A connection of which it is not known what the receiver makes of the next command is closed without a dot.
* A message whose final dot went out and whose verdict never came stays in the spool for a later pass (RFC 1047).
* A message at which a connection broke goes behind all others; the second time it waits for a later pass.
"""

import logging
from collections import deque
from dataclasses import replace
from functools import partial

from lib.delivery.queued import DEFERRED, Cause, DeliveryAttempt, DeliveryRequest, RecipientStatus, Tried, Work
from lib.errors import ConnectionLostError, PeerTimeoutError, PopfetchError, ProtocolError, ReceiverError, StoppedError
from lib.report import log
from lib.smtp import exchange, smtp
from lib.smtp.exchange import MOST_REFUSALS
from lib.smtp.health import Health
from lib.smtp.session import Session
from lib.smtp.transaction import Transaction, TransactionState
from lib.smtp.verdict import Next, Past, Then
from lib.visible import visible

LOG = logging.getLogger("popfetch.deliver")


OF_THE_MESSAGE = {Then.OUT_OF_STEP, Then.BREAK_OFF, Then.DEFER_MESSAGE, Then.IN_DOUBT}
# After these nothing may be said, QUIT included: it might be taken for content.
MUTE = {Then.OUT_OF_STEP, Then.IN_DOUBT}
BREAKS = {Then.OUT_OF_STEP, Then.BREAK_OFF}
NOTHING: frozenset[bytes] = frozenset()


class Deliver:
    """One delivery thread's work: a connection at a time, and what is on its way over it."""

    def __init__(self, session: Session, health: Health, work: Work) -> None:
        """Use *session*, which may be open already."""
        self._session = session
        self._health = health
        self._work = work
        self._todo: deque[DeliveryRequest] = deque()
        self._announced: deque[Transaction] = deque()
        self._in_hand: Transaction | None = None
        self._limit = 0  # messages that this connection may carry
        self._behind_one = session.connected  # of ours, which the receiver may still count

    def run(self) -> None:
        """Carry delivery requests until there are no more.

        Raises ReceiverError when this connection, or the receiver, is refused; StoppedError when the pass is halted and
        this connection has had its time. What was not decided by then is given back.
        """
        self._health.opens(self._session)
        try:
            while (request := self._next()) is not None:
                self._serve(request)
        except PopfetchError:
            raise
        except Exception:
            if self._in_hand is not None:  # a bug of ours: the message must not be carried round for ever
                self._work.broke(self._in_hand.request.queued, "a bug of this program")
                self._announced = deque(one for one in self._announced if one is not self._in_hand)
            raise
        finally:
            for request in reversed((*(one.request for one in self._announced), *self._todo)):
                self._work.give_back(request)
            self._session.close()
            self._health.ended(self._session)

    def _next(self) -> DeliveryRequest | None:
        self._in_hand = None
        if self._todo and not self._work.stopped:
            return self._todo.popleft()
        return None if self._todo else self._work.take()

    def _serve(self, request: DeliveryRequest) -> None:
        """Carry *request*, and whatever follows it over the same connection."""
        try:
            self._make_ready(request)
        except PopfetchError:
            self._todo.appendleft(request)
            raise
        self._announce(request, behind=False)
        while self._announced:
            transaction = self._announced[0]
            self._in_hand = transaction
            slow = False
            try:
                self._carry(transaction)
            except StoppedError:
                self._stopped(transaction)
                raise
            except (ConnectionLostError, ProtocolError) as error:
                slow = isinstance(error, PeerTimeoutError)
                transaction.broken(str(error).encode(), nonsense=isinstance(error, ProtocolError))
            self._conclude(transaction, slow=slow)

    # --- the connection ---------------------------------------------------------------------------------------------

    def _make_ready(self, request: DeliveryRequest) -> None:
        """See to it that there is a connection that takes *request*. ReceiverError, StoppedError.

        One at which a connection broke gets one that has refused nothing: a receiver may count errors.
        """
        session = self._session
        wary = request.tried is Tried.BROKE and session.refusals
        if session.connected and (self._worn or session.spoilt or wary):
            session.close()
        if not session.connected:
            if self._behind_one and not self._health.others(session):
                session.reopen()
            else:
                session.open()
            self._behind_one = True
        if not session.begun:
            self._health.works(session)
            self._limit = self._health.limit()

    @property
    def _worn(self) -> bool:
        """Say whether this connection should carry nothing more."""
        session = self._session
        return session.refusals >= MOST_REFUSALS or 0 < self._limit <= session.taken

    def _announce(self, request: DeliveryRequest, *, behind: bool) -> None:
        session = self._session
        transaction = Transaction(request, session.features, session.way.spare)
        transaction.begin(Past(behind=behind))
        self._announced.append(transaction)
        if session.pipelining and transaction.commands:
            resets = (smtp.RSET,) if session.unreset and not behind else ()
            session.dialogue.ask(*resets, *transaction.commands)

    # --- a transaction ----------------------------------------------------------------------------------------------

    def _carry(self, transaction: Transaction) -> None:
        """Bring a transaction to its verdicts; the next one's envelope goes out with its content."""
        if not transaction.commands:
            return
        session, health = self._session, self._health
        fresh, behind, unreset = not session.begun, transaction.past.behind, session.unreset
        others = fresh and not transaction.request.turned_away and health.others(session)
        # The second time in a row it may be the connection all the same, of a receiver with the same words for both.
        afresh = health.said_afresh if session.just_taken else NOTHING
        transaction.begin(Past(fresh, session.taken > 0, 0, health.passed, others, behind, unreset, False, afresh))
        session.begun += 1
        exchange.hear_envelope(session, transaction)
        if transaction.state is TransactionState.CONTENT:
            session.must_be_in_step()
            if exchange.send_content(session, transaction, self._work.body(transaction.request.queued)):
                self._announce_the_next()
                exchange.hear_verdicts(session, transaction, partial(self._told, transaction))
        elif transaction.state is TransactionState.NOBODY:
            transaction.hear_lone_dot(session.ask(smtp.LONE_DOT))
        elif session.broken and not transaction.past.fresh:
            transaction.misled()

    def _announce_the_next(self) -> None:
        session = self._session
        last = session.refusals >= MOST_REFUSALS or 0 < self._limit <= session.taken + 1
        if last or self._health.alone or not session.pipelining:
            return
        follower = self._todo.popleft() if self._todo else self._work.poll()
        if follower is not None:
            self._announce(follower, behind=True)

    def _told(self, transaction: Transaction, who: bytes) -> None:
        """Have a verdict of LMTP written down while others are still to come."""
        left = tuple(one for one in transaction.accepted if one not in transaction.answers)
        self._tell(transaction.request, {who: transaction.answers[who]}, left)

    # --- what it comes to -------------------------------------------------------------------------------------------

    def _tell(self, request: DeliveryRequest, answers: dict[bytes, RecipientStatus], left: tuple[bytes, ...]) -> None:
        """Have answers written down; what follows from them is done next."""
        if answers:
            self._todo.extend(self._work.heard(DeliveryAttempt(request, answers, left)))

    def _conclude(self, transaction: Transaction, *, slow: bool) -> None:
        """Tell what a transaction came to, and do what follows for connection and message."""
        session = self._session
        self._announced.popleft()
        if transaction.closes:
            if transaction.end.then in MUTE:
                session.abandon()
            else:
                session.close()
            self._todo.extendleft(reversed([one.request for one in self._announced]))
            self._announced.clear()
        else:
            session.unreset = transaction.unreset
        session.just_taken = transaction.taken
        if transaction.said_afresh:
            self._health.heard_afresh(transaction.said_afresh)
        result = transaction.result()
        if transaction.end.then in OF_THE_MESSAGE:
            self._failed(transaction, result, slow=slow)
            return
        self._tell(result.request, result.answers, result.left)
        if transaction.taken:
            session.taken += 1
            self._health.taken(transaction.request, session.taken)
        if result.left:
            self._go_on(transaction, replace(result.request, recipients=result.left))

    def _go_on(self, transaction: Transaction, rest: DeliveryRequest) -> None:
        """Ask those who are left, over this connection or the next; ReceiverError where that cannot be."""
        then, words = transaction.end.then, transaction.end.text
        self._todo.appendleft(rest)
        if then is Then.USED_UP and words:
            rest.used_up = self._session.taken
            self._note("used up", words)
        elif then is Then.TURNED_AWAY:
            rest.turned_away = True
            raise ReceiverError(f"the receiver takes no mail over this connection: {visible(words)}")
        elif then is Then.RECEIVER_DOWN:
            self._health.condemn()
            raise ReceiverError(f"the receiver takes no mail now: {visible(words)}{transaction.end.hint}")

    def _failed(self, transaction: Transaction, result: DeliveryAttempt, *, slow: bool) -> None:
        """Put off a message that was not taken: at once to a new connection, behind all others, or to a later pass."""
        rest = replace(result.request, recipients=result.left)
        then, words, fresh = transaction.end.then, transaction.end.text, transaction.past.fresh
        if then is Then.OUT_OF_STEP and transaction.past.behind:
            self._health.stumbled()
        if then in BREAKS:
            self._note("out of step" if then is Then.OUT_OF_STEP else "broken off", words)
        hint = transaction.end.hint
        advice = f"the receiver would not take a message: {visible(words)}{hint}" if hint else ""
        found = self._health.failed(rest, then, fresh=fresh, slow=slow, advice=advice)
        if found is Next.AT_ONCE:
            self._todo.appendleft(rest)
            return
        deferred = dict.fromkeys(result.left, RecipientStatus(DEFERRED, words, Cause.MESSAGE))
        if then in BREAKS:
            self._work.broke(rest.queued, words.decode("utf-8", "backslashreplace"))
            rest.broke = True
        behind = found is Next.BEHIND
        self._tell(rest, result.answers | deferred, result.left if behind else ())
        if behind:
            self._work.put_behind(rest)
        if found is Next.STOPS:
            told = f"the receiver would not take {self._health.in_a_row} messages in a row"
            raise ReceiverError(f"{told}: {visible(words)}{hint}")

    def _stopped(self, transaction: Transaction) -> None:
        """Leave all as it is: who was halted tells nothing of the receiver, or of a message whose dot is not out."""
        self._session.abandon()
        if transaction.state is TransactionState.DOTTED:
            self._announced.popleft()
            transaction.in_doubt()
            result = transaction.result()
            self._tell(transaction.request, result.answers, result.left)

    def _note(self, what: str, words: bytes) -> None:
        LOG.info("%s", log.line("delivery", note=what, messages=self._session.taken, words=words))
