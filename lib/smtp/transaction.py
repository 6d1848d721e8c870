"""One SMTP or LMTP transaction as a value: what is said, what was heard, what it comes to. No I/O.

What is heard is judged by the verdict table; here it is only kept for whom it was said. Whoever is not decided by it is
left: recipients over the hundred of a transaction, those that the receiver wants in another one, all of them when the
sender was refused or the connection takes no more. An attempt decides or leaves each of its recipients, and no other:
accepted + deferred + refused = asked.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum, auto
from typing import NamedTuple

from lib.delivery.queued import ACCEPTED, DEFERRED, REFUSED, Cause, DeliveryAttempt, DeliveryRequest, RecipientStatus
from lib.net.dialogue import Command
from lib.smtp import smtp, verdict
from lib.smtp.smtp import Features, Reply
from lib.smtp.verdict import Past, Phase, Stage, Then

CROWD = 8
"""So many recipients too many, and the next transaction asks no more than were accepted: each is an error of ours."""

IN_DOUBT = b"connection lost after the final dot; it may have been taken"
NO_UTF8 = b"553 5.6.7 the receiver offers no SMTPUTF8 for this address"
TOO_LARGE = b"552 5.3.4 larger than the %d octets that the receiver takes"
# What a recipient is told to be by a verdict that decides, and what that was about.
ANSWERS = {
    Then.GO: (ACCEPTED, Cause.RECIPIENT),
    Then.DEFER_RECIPIENT: (DEFERRED, Cause.RECIPIENT),
    Then.REFUSE_RECIPIENT: (REFUSED, Cause.RECIPIENT),
    Then.DEFER_MESSAGE: (DEFERRED, Cause.MESSAGE),
    Then.REFUSE_CONTENT: (REFUSED, Cause.CONTENT),
    Then.IN_DOUBT: (DEFERRED, Cause.DOUBT),
}
# What ends a transaction at once: nothing more of it is said or heard.
ENDS = {Then.RECEIVER_DOWN, Then.TURNED_AWAY, Then.OUT_OF_STEP, Then.BREAK_OFF}
# What a recipient's reply may mean, if those of the others allow it.
WAIT_AND_SEE = {Then.ANOTHER_TRANSACTION, Then.USED_UP, Then.NEXT_SENDER}
# What closes the connection.
CLOSES = {*ENDS, Then.USED_UP}


class TransactionState(Enum):
    """What the receiver holds of a transaction."""

    UNASKED = auto()  # nothing was heard of it
    OPEN = auto()  # its sender; recipients are added
    REFUSED = auto()  # not even its sender: what is said to its recipients counts for nobody
    CONTENT = auto()  # its recipients; the content is due
    NOBODY = auto()  # no recipient, and yet content is due: a lone dot
    DOTTED = auto()  # all of it, and has not said what becomes of it
    OVER = auto()  # nothing any more
    LEFT_OPEN = auto()  # perhaps all of it: RSET before anything else
    UNKNOWN = auto()  # not known: the connection is closed, without a dot


class End(NamedTuple):
    """How a transaction ended: what follows, the receiver's words, and the setting that may help."""

    then: Then
    text: bytes = b""
    hint: str = ""


DECIDED = {TransactionState.REFUSED, TransactionState.NOBODY, TransactionState.OVER, TransactionState.LEFT_OPEN}


class Transaction:
    """One attempt at a delivery request, before one receiver."""

    def __init__(self, request: DeliveryRequest, offered: Features, spare: bytes = b"") -> None:
        """Choose whom it is for, by what the receiver offered; *spare* is the last sender to be tried."""
        utf8 = b"SMTPUTF8" in offered
        self.request = self._again = request
        self.sender = request.sender if utf8 or request.sender.isascii() else b""
        self._spare = spare if utf8 or spare.isascii() else b""
        first = request.recipients[: request.most]
        self.asked = [who for who in first if utf8 or who.isascii()]
        self.answers = {who: RecipientStatus(REFUSED, NO_UTF8) for who in first if not (utf8 or who.isascii())}
        self.accepted: list[bytes] = []
        # Whose reply means what it means by those of the others.
        self._held: dict[bytes, tuple[Then, RecipientStatus]] = {}
        self.state = TransactionState.UNASKED
        self.end = End(Then.GO)
        self.past = Past()
        self.said_afresh: set[bytes] = set()  # see Past
        self.closing = False  # the receiver has said that it closes the connection
        if offered.size and request.size > offered.size:
            self._decide(self.asked, Then.REFUSE_CONTENT, TOO_LARGE % offered.size)
            self.asked = []
        self.commands = self._commands(offered) if self.asked else []

    def _commands(self, offered: Features) -> list[Command]:
        """Return MAIL, the RCPTs and DATA."""
        utf8 = not all(address.isascii() for address in (self.sender, *self.asked))
        eightbit = self.request.queued.eightbit
        extras = smtp.parameters(offered, size=self.request.size, eightbit=eightbit, utf8=utf8)
        return [smtp.mail(self.sender, tuple(extras)), *map(smtp.rcpt, self.asked), smtp.DATA]

    # --- what is heard ----------------------------------------------------------------------------------------------

    def begin(self, past: Past) -> None:
        """Note what came before its first command is answered."""
        self.past = past

    def hear_reset(self, reply: Reply) -> None:
        """Note the reply to an RSET that went before MAIL."""
        if self._judged(Phase.RSET, reply) is Then.GO:
            self.past = self.past._replace(unreset=False)

    def hear_mail(self, reply: Reply) -> bool:
        """Note the reply to MAIL; say whether the recipients may be asked."""
        then = self._judged(Phase.MAIL, reply)
        if then is Then.GO:
            self.state = TransactionState.OPEN
            if self.past.unreset:  # to MAIL within a transaction it would have said 503
                self.past = self.past._replace(unreset=False)
            return True
        if then is Then.USED_UP:
            self._end(then, reply.text, reply.code)
        elif then not in ENDS:
            self.state = TransactionState.REFUSED
            if then is Then.NEXT_SENDER:
                self._next_sender(self._undecided(), Then.REFUSE_RECIPIENT, reply)
            else:
                self._fail(then, reply.text)
        return False

    def hear_rcpt(self, who: bytes, reply: Reply) -> None:
        """Note the reply to the RCPT of *who*."""
        if self.state is TransactionState.REFUSED:
            self._hear_unasked(reply)
            return
        then = self._judged(Phase.RCPT, reply)
        if then is Then.GO:
            self.accepted.append(who)
        elif then is Then.USED_UP and verdict.closing(reply.code):
            self._end(then, reply.text, reply.code)
        elif then in WAIT_AND_SEE:
            self._held[who] = then, _for_now(then, reply)
        elif then not in ENDS:
            self._decide([who], then, reply.text)

    def _hear_unasked(self, reply: Reply) -> None:
        """Note what is said to a RCPT behind a refused MAIL: a recipient that it accepts belongs to something else."""
        self.closing = self.closing or verdict.closing(reply.code)
        if verdict.fine(Phase.RCPT, reply.code):
            self._end(Then.OUT_OF_STEP, reply.text, reply.code)

    def no_data(self) -> None:
        """Note that DATA is not asked, for nobody was accepted."""
        if self.state is TransactionState.OPEN:
            self.state = TransactionState.LEFT_OPEN
            self._nobody_accepted()

    def hear_data(self, reply: Reply) -> None:
        """Note the reply to DATA; 354 although nobody was accepted asks for a lone dot."""
        if not self.accepted:
            self._hear_data_for_nobody(reply)
            return
        then = self._judged(Phase.DATA, reply)
        if then is Then.GO:
            self.state = TransactionState.CONTENT
            if self._crowd >= CROWD:
                self._ask_fewer()
        elif then is Then.USED_UP:
            self._end(then, reply.text, reply.code)
        elif then not in ENDS:
            self.state = TransactionState.LEFT_OPEN
            self._refused_at_data(then, reply)

    def _hear_data_for_nobody(self, reply: Reply) -> None:
        asked, self.closing = self.state is TransactionState.OPEN, self.closing or verdict.closing(reply.code)
        content_due = verdict.fine(Phase.DATA, reply.code)
        if not (content_due or verdict.refused(reply.code)) or (content_due and self.past.unreset):
            # A lone dot would send the transaction that it holds: an empty message to somebody else.
            self._end(Then.OUT_OF_STEP, reply.text, reply.code)
            return
        ended = TransactionState.LEFT_OPEN if asked else TransactionState.OVER
        self.state = TransactionState.NOBODY if content_due else ended
        if asked:
            self._nobody_accepted()

    def _nobody_accepted(self) -> None:
        meant = {then for then, _ in self._held.values()}
        if Then.USED_UP in meant:
            self.cut_short()
        elif Then.NEXT_SENDER in meant:
            self._held_for_the_sender()

    def _held_for_the_sender(self) -> None:
        refused = {who: answer for who, (then, answer) in self._held.items() if then is Then.NEXT_SENDER}
        self._held = {who: held for who, held in self._held.items() if who not in refused}
        self._sender_refused(refused)

    def _refused_at_data(self, then: Then, reply: Reply) -> None:
        if then is Then.NEXT_SENDER:
            self._next_sender(self.accepted, verdict.plainly(Phase.DATA, reply.code), reply)
        elif then is Then.ANOTHER_TRANSACTION:
            most = len(self.accepted) if self._crowd else (len(self.accepted) + 1) // 2
            self._again = replace(self.request, most=most)
        else:
            self._tell(self.accepted, then, reply.text)

    def hear_lone_dot(self, reply: Reply) -> None:
        """Note the reply to a dot for nobody; whatever it is, it counts for nobody."""
        self.closing = self.closing or verdict.closing(reply.code)
        self.state = TransactionState.OVER if verdict.fine(Phase.DOT, reply.code) else TransactionState.LEFT_OPEN

    def dotted(self) -> None:
        """Note that the final dot goes out."""
        self.state = TransactionState.DOTTED

    def hear_dot(self, reply: Reply) -> None:
        """Note what came after the final dot for all recipients together."""
        then = self._judged(Phase.DOT, reply)
        if then is Then.IN_DOUBT:
            self.in_doubt()
        elif then not in ENDS:
            self.state = TransactionState.OVER if then is Then.GO else TransactionState.LEFT_OPEN
            self._tell(self.accepted, then, reply.text)

    def hear_dot_for(self, who: bytes, reply: Reply) -> None:
        """Note what came after the final dot for *who*, as LMTP says it; for the last of them it is the end."""
        then = self._judged(Phase.LMTP_DOT, reply)
        self.closing = self.closing or verdict.closing(reply.code)
        if then is Then.IN_DOUBT:
            self.in_doubt()
        elif then not in ENDS:
            self._decide([who], then, reply.text)
            if who == self.accepted[-1]:
                self._all_heard(reply.text)

    def _all_heard(self, words: bytes) -> None:
        self.state = TransactionState.OVER if self.taken else TransactionState.LEFT_OPEN
        if not self.taken and not self._crowd and any(self.answers[who].status == DEFERRED for who in self.accepted):
            self._fail(Then.DEFER_MESSAGE, words)

    def hear_last_words(self, reply: Reply) -> None:
        """Note why the receiver broke off before the final dot; a 250 is no verdict."""
        if verdict.refused(reply.code):
            self.hear_dot(reply)

    # --- how it ends ------------------------------------------------------------------------------------------------

    @property
    def may_be_cut_short(self) -> bool:
        """Say whether there will be less to ask on the next connection, or less was heard on it: else it never ends."""
        less = bool(self.answers) or not self.past.fresh or self._of_the_sender or bool(self.accepted and self._crowd)
        return less and self.state is TransactionState.OPEN

    def cut_short(self) -> None:
        """Give up a connection that has heard too many refusals; who has no answer is left."""
        self._end(Then.USED_UP)
        if self._of_the_sender:
            self._held_for_the_sender()

    def _ask_fewer(self) -> None:
        """Let the next attempt ask no more recipients than were accepted here, where others were too many."""
        if self.accepted and self._crowd:
            self._again = replace(self.request, most=len(self.accepted))

    def in_doubt(self) -> None:
        """Note that no verdict came for the final dot: owed, and not to be sent again in this pass."""
        self.state = TransactionState.UNKNOWN
        self._decide([who for who in self.accepted if who not in self.answers], Then.IN_DOUBT, IN_DOUBT)
        if not self.taken:
            self._fail(Then.IN_DOUBT, IN_DOUBT)

    def misled(self) -> None:
        """Note that more came than was asked for: which reply was whose is not known."""
        self.end, self.state = End(Then.OUT_OF_STEP, b"a reply that nobody asked for"), TransactionState.UNKNOWN

    def broken(self, why: bytes, *, nonsense: bool) -> None:
        """Note that the connection broke: it hung up, was silent, or (*nonsense*) said what is no reply."""
        if self.state in DECIDED:
            self.closing = True
            return
        stages = {TransactionState.UNASKED: Stage.BETWEEN, TransactionState.DOTTED: Stage.DOTTED}
        then = verdict.lost(stages.get(self.state, Stage.WITHIN), self.past, nonsense=nonsense)
        if then is Then.IN_DOUBT:
            self.in_doubt()
        else:
            self._end(then, why)

    def _judged(self, phase: Phase, reply: Reply) -> Then:
        """Return what *reply* means; what ends the transaction is noted."""
        if verdict.fine(phase, reply.code):
            return Then.GO
        if self.past.fresh and reply.code in verdict.SAID_OF_MUCH:
            self.said_afresh.add(verdict.gist(reply.text))
        past = self.past._replace(accepted=len(self.accepted), crowded=self._crowd > 0)
        then = verdict.judge(phase, reply.code, reply.text, past)
        if then in ENDS:
            self._end(then, reply.text, reply.code)
        return then

    def _end(self, then: Then, words: bytes = b"", code: int = 0) -> None:
        self._ask_fewer()
        self.end, self.state = End(then, words, verdict.hint(code, words)), TransactionState.UNKNOWN

    def _decide(self, who: Iterable[bytes], then: Then, words: bytes) -> None:
        status, cause = ANSWERS[then]
        self.answers.update((one, RecipientStatus(status, words, cause)) for one in who)

    def _tell(self, who: list[bytes], then: Then, words: bytes) -> None:
        """Note what all of *who* are told together; a message that waits does so for everybody."""
        if then is Then.DEFER_MESSAGE:
            self._fail(then, words)
        else:
            self._decide(who, then, words)

    def _undecided(self) -> list[bytes]:
        return [who for who in self.request.recipients if who not in self.answers]

    def _fail(self, then: Then, words: bytes) -> None:
        """Note that the message is not taken now: nobody is asked any further."""
        self.end = End(then, words)
        self.answers.update((who, answer) for who, (_, answer) in self._held.items())
        self._decide(self._undecided(), Then.DEFER_MESSAGE, words)

    def _next_sender(self, who: list[bytes], then: Then, reply: Reply) -> None:
        """Note that the sender is refused for *who*; where none is left to be tried, it is as the first was told."""
        answer = RecipientStatus(ANSWERS[then][0], reply.text, Cause.SENDER)
        self._sender_refused(dict.fromkeys(who, answer))

    def _sender_refused(self, refusals: dict[bytes, RecipientStatus]) -> None:
        senders = self.request.senders
        if senders is None:
            senders = tuple(dict.fromkeys((self.sender, b"", self._spare)))[1:]
        first = refusals | {who: said for who, said in self.request.refusals.items() if who in refusals}
        if senders:
            self.end = End(Then.NEXT_SENDER)
            self._again = replace(self.request, sender=senders[0], senders=senders[1:], refusals=first)
        else:
            self.answers.update(first)

    @property
    def _of_the_sender(self) -> bool:
        """Say whether so far it is refused by all for its sender."""
        return not self.accepted and {then for then, _ in self._held.values()} == {Then.NEXT_SENDER}

    @property
    def _crowd(self) -> int:
        """How many were too many beside the others: they are asked next, or never had their turn."""
        return sum(then is Then.ANOTHER_TRANSACTION for then, _ in self._held.values())

    # --- what it comes to -------------------------------------------------------------------------------------------

    @property
    def taken(self) -> bool:
        """Say whether somebody has it."""
        return any(answer.status == ACCEPTED for answer in self.answers.values())

    @property
    def resets(self) -> bool:
        """Say whether an RSET went before it."""
        return self.past.unreset and not self.past.behind

    @property
    def known(self) -> bool:
        """Say whether it is known what the receiver holds."""
        return self.state is not TransactionState.UNKNOWN

    @property
    def closes(self) -> bool:
        """Say whether the connection may carry nothing more."""
        return self.closing or self.state is TransactionState.UNKNOWN

    @property
    def unreset(self) -> bool:
        """Say whether the receiver may still hold this transaction, or the one before."""
        return self.past.unreset or self.state is TransactionState.LEFT_OPEN

    def result(self) -> DeliveryAttempt:
        """Return the answers; the message is not decided while somebody is left."""
        if self.end.then is Then.OUT_OF_STEP:  # which reply was whose is not known
            sure = {who: said for who, said in self.answers.items() if said.text == NO_UTF8}
            return _complete(self.request, sure)
        held = {} if self.end.then in CLOSES else self._held
        decided = {who: said for who, (then, said) in held.items() if then is not Then.ANOTHER_TRANSACTION}
        return _complete(self._again, decided | self.answers)


def _complete(request: DeliveryRequest, answers: dict[bytes, RecipientStatus]) -> DeliveryAttempt:
    """Return what an attempt came to. AssertionError where it is not all of whom it was asked for, and nobody else."""
    left = tuple(who for who in request.recipients if who not in answers)
    if len(left) + len(answers) != len(request.recipients):
        raise AssertionError("accepted, deferred and refused are not those who were asked")
    return DeliveryAttempt(request, answers, left)


def _for_now(then: Then, reply: Reply) -> RecipientStatus:
    """Return what a recipient is told if nothing better comes of it."""
    if then is Then.NEXT_SENDER:
        return RecipientStatus(ANSWERS[verdict.plainly(Phase.RCPT, reply.code)][0], reply.text, Cause.SENDER)
    return RecipientStatus(DEFERRED, reply.text)
