"""What an attempt came to, as the journal has it. Pure."""

from collections.abc import Iterator

from lib.delivery.envelope import CARETAKER, NOT_YET
from lib.delivery.queued import Cause, Parcel, Result
from lib.store.journal_facts import OWED, REFUSED, ContentRefused, Entry, Loss, Lost, Record, Verdicts
from lib.visible import kept


def in_circles(parcel: Parcel, now: float) -> Iterator[Record]:
    """Yield what is to be noted of a message that goes in circles: nobody whom it is still owed is asked."""
    if parcel.owed:
        refused = dict.fromkeys(parcel.owed, (REFUSED, parcel.circles.encode()))
        yield Verdicts(parcel.account, parcel.key, parcel.sender, refused, now)
        yield ContentRefused(parcel.account, parcel.key, parcel.owed)


def records(result: Result, entry: Entry, now: float) -> Iterator[Record]:
    """Yield what is to be noted of *result*, of a message of which *entry* is known: nothing where nobody answered.

    A pass that is killed between two verdicts must not leave out whom it had still to hear: from the first verdict on
    the journal's recipients hold. So either all of them are in it, or nobody is.
    """
    errand, parcel = result.errand, result.errand.parcel
    if not result.answers:
        return
    mark = CARETAKER if errand.to_caretaker else b""
    answers = {mark + who: answer for who, answer in result.answers.items()}
    said = {who: (answer.status, kept(answer.words)) for who, answer in answers.items()}
    if not result.final and parcel.owed[0] not in entry.recipients:
        said = dict.fromkeys(parcel.owed, (OWED, NOT_YET)) | said
    yield Verdicts(parcel.account, parcel.key, parcel.sender, said, now)
    content = tuple(who for who, answer in answers.items() if answer.cause is Cause.CONTENT)
    if content:
        yield ContentRefused(parcel.account, parcel.key, content)
    lost = [who for who, answer in answers.items() if answer.cause is Cause.DOUBT]
    if lost:
        counted = {who: Loss(entry.losses.get(who, Loss(0, now)).number + 1, now) for who in lost}
        yield Lost(parcel.account, parcel.key, counted)
