"""One SMTP or LMTP transaction as a value: what is said, what was heard, what it comes to. No I/O.

What is heard is judged by the verdict table. A transaction takes at most 100 recipients; those that are left over, or
that the receiver wants in another transaction, come back as a further errand, and so does a message whose sender was
refused, with the null sender.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lib.delivery.parcel import Answer, Cause, Errand, Result
from lib.errors import ReceiverError
from lib.mail.message import Canon
from lib.net.dialogue import Command
from lib.smtp import smtp, verdict
from lib.smtp.smtp import Features, Reply, Stuffing
from lib.smtp.verdict import Phase, Then
from lib.visible import visible

# Content is written in parts of about this size.
PART = 128 << 10
IN_DOUBT = b"connection lost after the final dot; it may have been taken"
NO_UTF8 = b"553 5.6.7 the receiver offers no SMTPUTF8 for this address"
TOO_LARGE = b"552 5.3.4 larger than the %d octets that the receiver takes"

STATUS = {Then.GO: "accepted", Then.OWED: "owed", Then.ANOTHER: "owed", Then.LATER: "owed", Then.REFUSED: "refused"}


class Transaction:
    """One errand before one receiver."""

    def __init__(self, errand: Errand, offered: Features) -> None:
        """Choose whom it is for, by what the receiver offered."""
        utf8 = b"SMTPUTF8" in offered
        self.errand = errand
        self.offered = offered
        self.sender = errand.sender if utf8 or errand.sender.isascii() else b""
        first, self._rest = errand.recipients[: smtp.MAX_RECIPIENTS], errand.recipients[smtp.MAX_RECIPIENTS :]
        self.asked = [who for who in first if utf8 or who.isascii()]
        self.answers = {who: Answer("refused", NO_UTF8) for who in first if not (utf8 or who.isascii())}
        self._another: list[bytes] = []
        self.accepted: list[bytes] = []
        self._mail = Then.GO
        self._null_sender = False
        self._commands: list[Command] = []
        self.begun = False
        self.open = False
        self.lone_dot = False
        self.faults: list[bytes] = []
        if offered.size and errand.size > offered.size:
            self._all(self.asked, Then.REFUSED, TOO_LARGE % offered.size, Cause.CONTENT)
            self.asked = []

    def commands(self) -> list[Command]:
        """Return MAIL, the RCPTs and DATA; nothing when nobody can be asked."""
        if not self.asked or self._commands:
            return self._commands
        utf8 = not all(address.isascii() for address in (self.sender, *self.asked))
        eightbit = self.errand.parcel.eightbit
        extras = smtp.parameters(self.offered, size=self.errand.size, eightbit=eightbit, utf8=utf8)
        self._commands = [smtp.mail(self.sender, tuple(extras)), *map(smtp.rcpt, self.asked), smtp.DATA]
        return self._commands

    def hear_mail(self, reply: Reply) -> bool:
        """Note the reply to MAIL; say whether the recipients may be asked."""
        self._mail = judged(Phase.MAIL, reply)
        self.begun = self._mail is Then.GO
        if self._mail is Then.NO_SENDER and self.sender:
            self._null_sender = True
        elif not self.begun:
            refused = self._mail is Then.NO_SENDER
            then, cause = (Then.REFUSED, Cause.SENDER) if refused else (self._mail, Cause.MESSAGE)
            self._all(self.asked, then, reply.words, cause)
        return self.begun

    def hear_rcpt(self, who: bytes, reply: Reply) -> None:
        """Note the reply to the RCPT of *who*; what a receiver says that has refused MAIL does not count."""
        then = judged(Phase.RCPT, reply)
        if not self.begun:
            return
        if then is Then.GO:
            self.accepted.append(who)
        elif then is Then.ANOTHER and self.accepted:
            self._another.append(who)
        else:
            self.answers[who] = Answer(STATUS[then], reply.words)

    def hear_data(self, reply: Reply) -> None:
        """Note the reply to DATA; 354 although nobody was accepted asks for a lone dot."""
        if not self.accepted:
            self.lone_dot = reply.code == 354
            if reply.code == 421:
                judged(Phase.DATA, reply)
            return
        then = judged(Phase.DATA, reply)
        self.open = then is Then.GO
        if not self.open:
            self._all(self.accepted, then, reply.words, _of_content(then))

    def hear_verdict(self, who: list[bytes], reply: Reply) -> None:
        """Note what came after the final dot for *who*: everybody with SMTP, one by one with LMTP.

        Once somebody has accepted it, a word about the receiver itself is no error: that must be written down first.
        """
        self.begun = self.open = False
        then = Then.LATER if self._taken and _of_receiver(reply) else judged(Phase.DOT, reply)
        self._all(who, then, reply.words, _of_content(then))

    def hear_last_words(self, reply: Reply) -> bool:
        """Note why the receiver broke off before the final dot; say whether it is a verdict, which a 250 is not."""
        if judged(Phase.DOT, reply) is Then.GO:
            return False
        self.hear_verdict(self.accepted, reply)
        return True

    def in_doubt(self) -> None:
        """Note that the connection broke after the final dot: owed, and not to be sent again in this pass."""
        self._all([who for who in self.accepted if who not in self.answers], Then.LATER, IN_DOUBT, Cause.DOUBT)

    def broken_off(self, why: bytes) -> None:
        """Note that the connection broke before the final dot: owed, and not to be tried again in this pass."""
        self._null_sender = False
        self._all([who for who in self.asked if who not in self.answers], Then.LATER, why, Cause.MESSAGE)

    def _all(self, who: list[bytes], then: Then, words: bytes, cause: Cause) -> None:
        if who and then is Then.LATER:
            self.faults.append(words)
        self.answers.update((one, Answer(STATUS[then], words, cause)) for one in who)

    @property
    def _taken(self) -> bool:
        return any(answer.status == "accepted" for answer in self.answers.values())

    @property
    def fault(self) -> bytes:
        """Return why the message as a whole was not taken now, b"" when somebody has it."""
        return b"" if self._taken or not self.faults else self.faults[-1]

    def further(self) -> list[Errand]:
        """Return what is to be tried at once in another transaction; nothing when the message is not taken now."""
        if self._null_sender:
            return [replace(self.errand, sender=b"")]
        left = (*self._rest, *self._another)
        return [replace(self.errand, recipients=left)] if left and not self.fault else []

    def result(self) -> Result:
        """Return the answers; the message is not decided while there are further errands."""
        further = self.further()
        owed = () if further else (*self._rest, *self._another)
        answers = self.answers | dict.fromkeys(owed, Answer("owed", self.fault, Cause.MESSAGE))
        return Result(self.errand, answers, final=not further)


def _of_content(then: Then) -> Cause:
    """Return what a word at DATA or the final dot was about."""
    return {Then.REFUSED: Cause.CONTENT, Then.LATER: Cause.MESSAGE}.get(then, Cause.RECIPIENT)


def _of_receiver(reply: Reply) -> bool:
    return verdict.judge(Phase.DOT, reply.code, reply.words) is Then.RECEIVER


def judged(phase: Phase, reply: Reply) -> Then:
    """Return what *reply* means; ReceiverError when it is about the receiver itself."""
    if verdict.fine(phase, reply.code):
        return Then.GO
    then = verdict.judge(phase, reply.code, reply.words)
    if then is Then.RECEIVER:
        hint = verdict.HINTS.get(reply.code, "")
        raise ReceiverError(f"the receiver takes no mail now ({phase.name}: {visible(reply.words)}){hint}")
    return then


def content(errand: Errand, body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the message as it goes over the wire: line ends mended where they must be, dots doubled; no final dot.

    *body* is the spooled message from the end of its header on. Never yields nothing at all.
    """
    stuffing, canon, clean = Stuffing(), Canon(), errand.parcel.clean
    buffer = stuffing.feed(errand.opening if clean else canon.feed(errand.opening))
    for part in body:
        buffer += stuffing.feed(part if clean else canon.feed(part))
        if len(buffer) >= PART:
            yield buffer
            buffer = b""
    tail = errand.closing if clean else canon.feed(errand.closing) + canon.finish()
    yield buffer + stuffing.feed(tail)
