"""What follows from all verdicts of a message together, a row each."""

import pytest

from lib.delivery.envelope import CARETAKER
from lib.delivery.fate import Care, Fate, NextStep, care, fate, next_step
from lib.store.journal_facts import ACCEPTED, DEFERRED, REFUSED

CHEF = b"chef@x"
NO = ((b"ann@x", b"550 no"),)
REFUSING, WAITING, DONE = Fate(refused=NO), Fate(deferred=(b"bob@x",), refused=NO), Fate(accepted=(b"ann@x",))


@pytest.mark.parametrize(
    ("ends", "with_caretaker", "too_old", "expected"),
    [
        (DONE, Care(CHEF), False, NextStep.DELIVERED),
        (DONE, Care(b""), True, NextStep.DELIVERED),
        (WAITING, Care(CHEF), False, NextStep.DEFER),
        (WAITING, Care(CHEF, status=ACCEPTED), False, NextStep.DEFER),
        (REFUSING, Care(CHEF), False, NextStep.COPY),
        (REFUSING, Care(CHEF), True, NextStep.COPY),
        (REFUSING, Care(CHEF, status=DEFERRED), False, NextStep.COPY),
        (REFUSING, Care(CHEF, status=DEFERRED, offered=True), False, NextStep.DEFER_COPY),
        (REFUSING, Care(CHEF, status=DEFERRED, offered=True), True, NextStep.BURY),
        (REFUSING, Care(CHEF, status=ACCEPTED, offered=True), False, NextStep.CARED_FOR),
        (REFUSING, Care(CHEF, status=ACCEPTED, content=True), True, NextStep.CARED_FOR),
        (REFUSING, Care(CHEF, status=REFUSED, offered=True), False, NextStep.BURY),
        (REFUSING, Care(CHEF, status=REFUSED, offered=True, content=True), False, NextStep.BURY_AND_TELL),
        (REFUSING, Care(CHEF, refused=True), False, NextStep.BURY),
        (REFUSING, Care(CHEF, refused=True, content=True), False, NextStep.BURY_AND_TELL),
        (REFUSING, Care(CHEF, had=True), False, NextStep.BURY),
        (REFUSING, Care(CHEF, had=True, refused=True, content=True), False, NextStep.BURY),
        (REFUSING, Care(b""), False, NextStep.BURY),
        (REFUSING, Care(b"", content=True), False, NextStep.BURY),
    ],
)
def test_every_message_with_a_refusal_goes_to_the_caretaker_else_to_the_duds(
    ends: Fate, with_caretaker: Care, too_old: bool, expected: NextStep
) -> None:
    assert next_step(ends, with_caretaker, too_old=too_old) is expected


def test_recipients_are_sorted_and_who_is_owed_it_for_too_long_refuses_it() -> None:
    verdicts = {b"a": (ACCEPTED, b"250"), b"b": (DEFERRED, b"450"), b"c": (REFUSED, b"550")}
    assert fate(verdicts, too_old=False) == Fate((b"b",), ((b"c", b"550"),), (b"a",))
    assert fate(verdicts, too_old=True) == Fate((), ((b"b", b"450"), (b"c", b"550")), (b"a",))


@pytest.mark.parametrize(
    ("verdicts", "content", "expected"),
    [
        ({}, (), Care(CHEF)),
        ({b"ann@x": REFUSED}, (b"ann@x",), Care(CHEF)),
        ({CHEF: REFUSED}, (), Care(CHEF, refused=True)),
        ({CHEF: REFUSED}, (CHEF,), Care(CHEF, refused=True, content=True)),
        ({CHEF: ACCEPTED}, (), Care(CHEF)),
        ({CARETAKER + CHEF: DEFERRED}, (), Care(CHEF, DEFERRED)),
        ({CARETAKER + CHEF: REFUSED}, (b"ann@x",), Care(CHEF, REFUSED)),
        ({CARETAKER + CHEF: REFUSED}, (b"ann@x", CARETAKER + CHEF), Care(CHEF, REFUSED, content=True)),
    ],
)
def test_how_it_stands_with_the_caretaker(
    verdicts: dict[bytes, str], content: tuple[bytes, ...], expected: Care
) -> None:
    said = {who: (status, b"words") for who, status in verdicts.items()}
    assert care(CHEF, said, content, offered=False, had=False) == expected
