"""What follows from all verdicts of a message together, a row each."""

import pytest

from lib.delivery.envelope import CARETAKER
from lib.delivery.fate import Care, Fate, Next, care, fate, next_step
from lib.store.journal_facts import ACCEPTED, OWED, REFUSED

CHEF = b"chef@x"
NO = ((b"ann@x", b"550 no"),)
REFUSING, WAITING, DONE = Fate(refused=NO), Fate(owed=(b"bob@x",), refused=NO), Fate(accepted=(b"ann@x",))


@pytest.mark.parametrize(
    ("ends", "with_caretaker", "too_old", "expected"),
    [
        (DONE, Care(CHEF), False, Next.DELIVERED),
        (DONE, Care(b""), True, Next.DELIVERED),
        (WAITING, Care(CHEF), False, Next.DEFER),
        (WAITING, Care(CHEF, status=ACCEPTED), False, Next.DEFER),
        (REFUSING, Care(CHEF), False, Next.COPY),
        (REFUSING, Care(CHEF), True, Next.COPY),
        (REFUSING, Care(CHEF, status=OWED), False, Next.COPY),
        (REFUSING, Care(CHEF, status=OWED, offered=True), False, Next.DEFER_COPY),
        (REFUSING, Care(CHEF, status=OWED, offered=True), True, Next.BURY),
        (REFUSING, Care(CHEF, status=ACCEPTED, offered=True), False, Next.CARED_FOR),
        (REFUSING, Care(CHEF, status=ACCEPTED, content=True), True, Next.CARED_FOR),
        (REFUSING, Care(CHEF, status=REFUSED, offered=True), False, Next.BURY),
        (REFUSING, Care(CHEF, status=REFUSED, offered=True, content=True), False, Next.BURY_AND_TELL),
        (REFUSING, Care(CHEF, refused=True), False, Next.BURY),
        (REFUSING, Care(CHEF, refused=True, content=True), False, Next.BURY_AND_TELL),
        (REFUSING, Care(CHEF, had=True), False, Next.BURY),
        (REFUSING, Care(CHEF, had=True, refused=True, content=True), False, Next.BURY),
        (REFUSING, Care(b""), False, Next.BURY),
        (REFUSING, Care(b"", content=True), False, Next.BURY),
    ],
)
def test_every_message_with_a_refusal_goes_to_the_caretaker_else_to_the_duds(
    ends: Fate, with_caretaker: Care, too_old: bool, expected: Next
) -> None:
    assert next_step(ends, with_caretaker, too_old=too_old) is expected


def test_recipients_are_sorted_and_who_is_owed_it_for_too_long_refuses_it() -> None:
    verdicts = {b"a": (ACCEPTED, b"250"), b"b": (OWED, b"450"), b"c": (REFUSED, b"550")}
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
        ({CARETAKER + CHEF: OWED}, (), Care(CHEF, OWED)),
        ({CARETAKER + CHEF: REFUSED}, (b"ann@x",), Care(CHEF, REFUSED)),
        ({CARETAKER + CHEF: REFUSED}, (b"ann@x", CARETAKER + CHEF), Care(CHEF, REFUSED, content=True)),
    ],
)
def test_how_it_stands_with_the_caretaker(
    verdicts: dict[bytes, str], content: tuple[bytes, ...], expected: Care
) -> None:
    said = {who: (status, b"words") for who, status in verdicts.items()}
    assert care(CHEF, said, content, offered=False, had=False) == expected
