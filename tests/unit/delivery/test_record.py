"""What an attempt came to, as the journal has it, a row each."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lib.delivery.envelope import CARETAKER, NOT_YET
from lib.delivery.queued import Cause, DeliveryAttempt, DeliveryRequest, QueuedMessage, RecipientStatus
from lib.delivery.record import records
from lib.mail.message import scan
from lib.mail.received import Trace
from lib.store.journal_facts import DEFERRED, ContentRefused, Entry, Loss, Lost, Record, Verdicts

ANN, BEN, NOW = b"ann@x", b"ben@x", 2e9
QUEUED = QueuedMessage(
    account="bob",
    label="bob",
    key="uid:1",
    uid=b"1",
    number=1,
    size=1,
    sha="",
    eightbit=False,
    clean=True,
    body=b"",
    head=scan(b""),
    opening=b"",
    traced=0,
    trace=Trace("bob", "pop.example", "", "POP3", "mx.example", datetime.fromtimestamp(0, UTC)),
    sender=b"s@y",
    recipients=(ANN, BEN),
    deferred=(ANN, BEN),
    since=0.0,
    began=0.0,
)
REQUEST = DeliveryRequest(QUEUED, b"s@y", (ANN, BEN), b"")
TAKEN, NO = RecipientStatus("accepted", b"250"), RecipientStatus("refused", b"550")
SPAM, LOST = RecipientStatus("refused", b"554", Cause.CONTENT), RecipientStatus("owed", b"lost", Cause.DOUBT)


def verdicts(**said: tuple[str, bytes]) -> Verdicts:
    return Verdicts("bob", "uid:1", b"s@y", {who.encode() + b"@x": one for who, one in said.items()}, NOW)


@pytest.mark.parametrize(
    ("answers", "known", "expected"),
    [
        ({}, Entry("uid:1"), []),
        ({ANN: TAKEN, BEN: NO}, Entry("uid:1"), [verdicts(ann=("accepted", b"250"), ben=("refused", b"550"))]),
        (
            {ANN: SPAM, BEN: NO},
            Entry("uid:1"),
            [verdicts(ann=("refused", b"554"), ben=("refused", b"550")), ContentRefused("bob", "uid:1", (ANN,))],
        ),
        (
            {ANN: LOST},
            Entry("uid:1"),
            [verdicts(ann=("owed", b"lost")), Lost("bob", "uid:1", {ANN: Loss(1, NOW)})],
        ),
        (
            {ANN: LOST},
            Entry("uid:1", losses={ANN: Loss(3, 1.0), BEN: Loss(1, 1.0)}),
            [verdicts(ann=("owed", b"lost")), Lost("bob", "uid:1", {ANN: Loss(4, NOW)})],
        ),
    ],
)
def test_what_was_heard_is_noted_with_what_it_was_about(
    answers: dict[bytes, RecipientStatus], known: Entry, expected: list[Record]
) -> None:
    assert list(records(DeliveryAttempt(REQUEST, answers), known, NOW)) == expected


def test_who_has_still_to_be_heard_is_noted_with_the_first_verdict() -> None:
    (first,) = records(DeliveryAttempt(REQUEST, {ANN: TAKEN}, (BEN,)), Entry("uid:1"), NOW)
    assert first == verdicts(ann=("accepted", b"250"), ben=(DEFERRED, NOT_YET))
    known = Entry("uid:1", recipients={ANN: ("accepted", b"250"), BEN: (DEFERRED, NOT_YET)})
    (second,) = records(DeliveryAttempt(REQUEST, {BEN: NO}, (ANN,)), known, NOW)
    assert second == verdicts(ben=("refused", b"550"))


def test_what_the_caretaker_says_to_his_copy_stands_under_a_name_of_its_own() -> None:
    copy = replace(REQUEST, recipients=(ANN,), to_caretaker=True)
    facts = list(records(DeliveryAttempt(copy, {ANN: SPAM}), Entry("uid:1"), NOW))
    assert facts == [
        Verdicts("bob", "uid:1", b"s@y", {CARETAKER + ANN: ("refused", b"554")}, NOW),
        ContentRefused("bob", "uid:1", (CARETAKER + ANN,)),
    ]
