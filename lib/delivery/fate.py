"""What follows from all verdicts of a message together. Pure.

Nobody but this module looks at who is owed a message, who refused it and what the caretaker said, all at once.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import NamedTuple

from lib.delivery.envelope import CARETAKER, recipients
from lib.store.journal_facts import ACCEPTED, DEFERRED, REFUSED, RecipientVerdict


class Fate(NamedTuple):
    """The recipients of a message by what became of it for them."""

    deferred: tuple[bytes, ...] = ()
    refused: tuple[tuple[bytes, bytes], ...] = ()
    accepted: tuple[bytes, ...] = ()


class Care(NamedTuple):
    """How it stands between a message and the caretaker."""

    address: bytes  # b"" where there is none
    status: str = ""  # what he said to his copy, "" for nothing yet
    refused: bool = False  # he is one of those who refused the message itself
    content: bool = False  # and for what it contains, the message or the copy
    offered: bool = False  # the copy, in this pass
    had: bool = False  # he has had it before, and it came back: it goes in circles


class NextStep(Enum):
    """What is to be done with the message."""

    DELIVERED = "everybody has it"
    CARED_FOR = "the caretaker has a copy"
    DEFER = "somebody is still owed it"
    DEFER_COPY = "the caretaker is still owed his copy"
    COPY = "offer the caretaker a copy"
    BURY = "to the duds"
    BURY_AND_TELL = "to the duds, and a notice to the caretaker, who could not be sent a copy"


def fate(verdicts: Mapping[bytes, RecipientVerdict], *, too_old: bool) -> Fate:
    """Sort the recipients; who is owed a message that is *too_old* counts as refused."""
    refusing = (REFUSED, DEFERRED) if too_old else (REFUSED,)
    return Fate(
        deferred=tuple(who for who, (status, _) in verdicts.items() if status == DEFERRED and not too_old),
        refused=tuple((who, words) for who, (status, words) in verdicts.items() if status in refusing),
        accepted=tuple(who for who, (status, _) in verdicts.items() if status == ACCEPTED),
    )


def care(
    address: bytes, verdicts: Mapping[bytes, RecipientVerdict], content: Collection[bytes], *, offered: bool, had: bool
) -> Care:
    """Return how it stands with the caretaker; *content*: who refused for what the message contains."""
    own = recipients(verdicts).get(address, ("", b""))[0] == REFUSED
    by_content = CARETAKER + address in content or (own and address in content)
    return Care(address, verdicts.get(CARETAKER + address, ("", b""))[0], own, by_content, offered, had)


def next_step(ends: Fate, care: Care, *, too_old: bool) -> NextStep:
    """Return what follows. Every message with a refusal goes to the caretaker, else to the duds."""
    if ends.deferred:
        return NextStep.DEFER
    if not ends.refused:
        return NextStep.DELIVERED
    if care.status == ACCEPTED:
        return NextStep.CARED_FOR
    if not care.address or care.had:
        return NextStep.BURY
    if care.refused or care.status == REFUSED or (care.status and too_old):
        return NextStep.BURY_AND_TELL if care.content else NextStep.BURY
    return NextStep.DEFER_COPY if care.offered else NextStep.COPY
