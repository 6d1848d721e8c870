"""What an attempt came to, as the journal has it. Pure."""

from collections.abc import Iterator

from lib.delivery.envelope import CARETAKER, NOT_YET
from lib.delivery.queued import Cause, DeliveryAttempt, QueuedMessage
from lib.store.journal_facts import DEFERRED, REFUSED, ContentRefused, Entry, Loss, Lost, Record, Verdicts
from lib.visible import kept


def in_circles(queued: QueuedMessage, now: float) -> Iterator[Record]:
    """Yield what is to be noted of a message that goes in circles: nobody whom it is still owed is asked."""
    if queued.deferred:
        refused = dict.fromkeys(queued.deferred, (REFUSED, queued.circles.encode()))
        yield Verdicts(queued.account, queued.key, queued.sender, refused, now)
        yield ContentRefused(queued.account, queued.key, queued.deferred)


def records(result: DeliveryAttempt, entry: Entry, now: float) -> Iterator[Record]:
    """Yield what is to be noted of *result*, of a message of which *entry* is known: nothing where nobody answered.

    A pass that is killed between two verdicts must not leave out whom it had still to hear: from the first verdict on
    the journal's recipients hold. So either all of them are in it, or nobody is.
    """
    request, queued = result.request, result.request.queued
    if not result.answers:
        return
    mark = CARETAKER if request.to_caretaker else b""
    answers = {mark + who: answer for who, answer in result.answers.items()}
    said = {who: (answer.status, kept(answer.text)) for who, answer in answers.items()}
    if not result.final and queued.deferred[0] not in entry.recipients:
        said = dict.fromkeys(queued.deferred, (DEFERRED, NOT_YET)) | said
    yield Verdicts(queued.account, queued.key, queued.sender, said, now)
    content = tuple(who for who, answer in answers.items() if answer.cause is Cause.CONTENT)
    if content:
        yield ContentRefused(queued.account, queued.key, content)
    lost = [who for who, answer in answers.items() if answer.cause is Cause.DOUBT]
    if lost:
        counted = {who: Loss(entry.losses.get(who, Loss(0, now)).number + 1, now) for who in lost}
        yield Lost(queued.account, queued.key, counted)
