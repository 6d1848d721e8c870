"""What is said and heard of one transaction over an open connection; what follows from it is deliver's.

With PIPELINING all of an envelope was sent before its first reply is heard; without, each command is asked when the
one before was answered. Whoever loses the connection here raises ConnectionLostError, ProtocolError or StoppedError.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

from lib.errors import ConnectionLostError, ProtocolError
from lib.net.dialogue import Command
from lib.smtp import smtp
from lib.smtp.content import content
from lib.smtp.session import Session
from lib.smtp.smtp import Reply
from lib.smtp.transaction import Transaction, TransactionState

LAST_WORDS = 2.0
"""How long to listen for the reason why a server broke off while the content was sent, seconds."""

MOST_REFUSALS = 8
"""Refusals that a connection hears: Postfix is slow from the tenth on, and hangs up at the twentieth."""


def hear_envelope(session: Session, transaction: Transaction) -> None:
    """Hear RSET where one went before, MAIL, each RCPT and DATA."""
    ahead = session.pipelining
    mail, *rcpts, data = transaction.commands

    def said(command: Command) -> Reply:
        return session.hear()[1] if ahead else session.ask(command)

    if transaction.resets:
        transaction.hear_reset(said(smtp.RSET))
        if not transaction.known:
            return
    if not (transaction.hear_mail(said(mail)) or (ahead and transaction.known)):
        return
    for who, rcpt in zip(transaction.asked, rcpts, strict=True):
        transaction.hear_rcpt(who, said(rcpt))
        if session.refusals >= MOST_REFUSALS and who != transaction.asked[-1] and transaction.may_be_cut_short:
            transaction.cut_short()
        if not transaction.known:
            return
    if ahead or transaction.accepted:
        transaction.hear_data(said(data))
    else:
        transaction.no_data()


def send_content(session: Session, transaction: Transaction, body: Iterator[bytes]) -> bool:
    """Send the content and the final dot; say whether a verdict is owed for it."""
    last = b""
    try:
        for part in content(transaction.request, body):
            session.send(last)
            last = part
    except ConnectionLostError:
        hear_last_words(session, transaction)
        if transaction.state is TransactionState.CONTENT:
            raise
        transaction.closing = True
        return False
    further = (smtp.FURTHER_VERDICT,) * (len(transaction.accepted) - 1) if session.way.lmtp else ()
    session.dialogue.ask(smtp.content(last), *further)
    transaction.dotted()
    return True


def hear_last_words(session: Session, transaction: Transaction) -> None:
    """Look for the reason why the server broke off in the middle: a refusal of the message, as a rule."""
    session.be_patient(LAST_WORDS)
    session.dialogue.ask(smtp.FURTHER_VERDICT)
    with suppress(ConnectionLostError, ProtocolError):
        transaction.hear_last_words(session.hear()[1])


def hear_verdicts(session: Session, transaction: Transaction, told: Callable[[bytes], None]) -> None:
    """Hear what became of it; *told* is called after each verdict of LMTP but the last, which may be long in coming."""
    session.await_verdict(True)
    if session.way.lmtp:
        for who in transaction.accepted:
            transaction.hear_dot_for(who, session.hear()[1])
            if transaction.state is not TransactionState.DOTTED:
                break
            told(who)
    else:
        transaction.hear_dot(session.hear()[1])
    session.await_verdict(False)
