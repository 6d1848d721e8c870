"""What a reply means: every row of the table, and what is not in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.smtp import verdict
from lib.smtp.verdict import Phase, Then, judge

# As DESIGN tells it, by phase: what a 2xx, 3xx, 4xx and 5xx mean.
GO, RECEIVER, LATER, OWED, REFUSED, NO_SENDER = (
    Then.GO,
    Then.RECEIVER,
    Then.LATER,
    Then.OWED,
    Then.REFUSED,
    Then.NO_SENDER,
)
ROWS = [
    (Phase.GREETING, (GO, RECEIVER, RECEIVER, RECEIVER)),
    (Phase.HELLO, (GO, RECEIVER, RECEIVER, RECEIVER)),
    (Phase.TLS, (GO, RECEIVER, RECEIVER, RECEIVER)),
    (Phase.AUTH, (GO, GO, RECEIVER, RECEIVER)),
    (Phase.MAIL, (GO, RECEIVER, LATER, NO_SENDER)),
    (Phase.RCPT, (GO, RECEIVER, OWED, REFUSED)),
    (Phase.DATA, (RECEIVER, GO, LATER, REFUSED)),
    (Phase.DOT, (GO, RECEIVER, LATER, REFUSED)),
]
CELLS = [(phase, kind, then) for phase, row in ROWS for kind, then in enumerate(row, 2)]
EVERYWHERE = (421, 530, 535, 538)


def words(code: int) -> bytes:
    return b"%d some words" % code


def test_every_phase_has_its_row() -> None:
    assert [phase for phase, _ in ROWS] == list(Phase) == list(verdict.TABLE)


@pytest.mark.parametrize(("phase", "kind", "then"), CELLS)
@pytest.mark.parametrize("rest", [0, 1, 50, 52, 99])
def test_a_reply_means_what_its_class_means_in_its_phase(phase: Phase, kind: int, then: Then, rest: int) -> None:
    assert judge(phase, kind * 100 + rest, words(kind * 100 + rest)) is then


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("code", EVERYWHERE)
def test_a_server_that_closes_or_wants_a_login_takes_nothing_now(phase: Phase, code: int) -> None:
    assert judge(phase, code, words(code)) is RECEIVER


def test_no_other_code_is_special() -> None:
    assert tuple(verdict.ANYWHERE) == EVERYWHERE
    odd = {
        code
        for phase, row in ROWS
        for code in range(200, 600)
        if judge(phase, code, words(code)) is not row[code // 100 - 2]
    }
    assert odd == set(EVERYWHERE)


@pytest.mark.parametrize(
    "said",
    [
        b"452 4.5.3 Error: too many recipients",
        b"452 4.5.3",
        b"452 Too many recipients",
        b"452 too many RCPTs, try again",
    ],
)
def test_too_many_recipients_go_into_another_transaction(said: bytes) -> None:
    assert judge(Phase.RCPT, 452, said) is Then.ANOTHER


@pytest.mark.parametrize(
    "said",
    [
        b"452 4.2.2 mailbox full: too many messages",
        b"452 4.3.1 insufficient system storage",
        b"452 4.5.30 no such code",
        b"452 insufficient system storage",
        b"452 4.5.3x",
        b"452 ",
        b"452",
    ],
)
def test_another_452_is_owed(said: bytes) -> None:
    assert judge(Phase.RCPT, 452, said) is OWED


def test_too_many_recipients_is_said_of_recipients_only() -> None:
    said = b"452 4.5.3 too many recipients"
    assert judge(Phase.MAIL, 452, said) is LATER
    assert judge(Phase.DATA, 452, said) is LATER
    assert judge(Phase.DOT, 452, said) is LATER
    assert judge(Phase.RCPT, 450, b"450 4.5.3 too many recipients") is OWED


@settings(deadline=None)
@given(st.sampled_from(list(Phase)), st.integers(200, 599), st.binary(max_size=40))
def test_every_reply_means_something(phase: Phase, code: int, text: bytes) -> None:
    assert judge(phase, code, b"%d %b" % (code, text)) in Then
