"""What a login that went wrong means: a test a row."""

import pytest

from lib.errors import CertificateError, ConnectionLostError, PeerTimeoutError, PopfetchError, ProtocolError, TlsError
from lib.pop import login
from lib.pop.login import Consequence, Haste, LoginStage, Said

FAIL, AWAY, WAIT, LOCKSTEP, WITHOUT = (
    Consequence.FAIL,
    Consequence.AWAY,
    Consequence.WAIT,
    Consequence.LOCKSTEP,
    Consequence.WITHOUT,
)
DOOR = [LoginStage.CONNECT, LoginStage.TLS, LoginStage.GREETING]
ASKED = [LoginStage.NAME, LoginStage.PASSWORD]
INSIDE = [LoginStage.INSIDE, LoginStage.UIDL, LoginStage.LIST]


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("stage", DOOR)
@pytest.mark.parametrize(
    ("said", "first", "later"),
    [
        (Said.REFUSED, AWAY, WAIT),
        (Said.DENIED, FAIL, FAIL),
        (Said.LATER, AWAY, WAIT),
        (Said.DELAY, AWAY, FAIL),
        (Said.IN_USE, AWAY, WAIT),
        (Said.CROWDED, AWAY, WAIT),
        (Said.CLOSED, AWAY, WAIT),
        (Said.SILENT, AWAY, FAIL),
        (Said.NONSENSE, FAIL, FAIL),
    ],
)
def test_at_the_door(stage: LoginStage, said: Said, first: Consequence, later: Consequence, ahead: bool) -> None:
    assert login.then(stage, said, ahead=ahead, taken=False) is first
    assert login.then(stage, said, ahead=ahead, taken=True) is later


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("stage", ASKED)
@pytest.mark.parametrize(
    ("said", "first", "later"),
    [
        (Said.REFUSED, FAIL, WAIT),
        (Said.DENIED, FAIL, FAIL),
        (Said.LATER, FAIL, WAIT),
        (Said.DELAY, FAIL, FAIL),
        (Said.IN_USE, FAIL, WAIT),
        (Said.CROWDED, AWAY, WAIT),
        (Said.CLOSED, FAIL, WAIT),
        (Said.SILENT, FAIL, FAIL),
        (Said.NONSENSE, FAIL, FAIL),
    ],
)
def test_at_the_login(stage: LoginStage, said: Said, first: Consequence, later: Consequence, ahead: bool) -> None:
    assert login.then(stage, said, ahead=ahead, taken=False) is first
    assert login.then(stage, said, ahead=ahead, taken=True) is later


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize(
    ("stage", "said", "alone", "ahead"),
    [
        (LoginStage.CAPA, Said.CLOSED, WITHOUT, WITHOUT),
        (LoginStage.CAPA, Said.SILENT, WITHOUT, WITHOUT),
        (LoginStage.CAPA, Said.NONSENSE, WITHOUT, WITHOUT),
        (LoginStage.SECURED, Said.CLOSED, FAIL, FAIL),
        (LoginStage.SECURED, Said.SILENT, FAIL, FAIL),
        (LoginStage.SECURED, Said.NONSENSE, FAIL, FAIL),
        (LoginStage.INSIDE, Said.CLOSED, WITHOUT, LOCKSTEP),
        (LoginStage.INSIDE, Said.SILENT, WITHOUT, LOCKSTEP),
        (LoginStage.INSIDE, Said.NONSENSE, WITHOUT, LOCKSTEP),
        (LoginStage.UIDL, Said.CLOSED, FAIL, LOCKSTEP),
        (LoginStage.UIDL, Said.SILENT, FAIL, LOCKSTEP),
        (LoginStage.UIDL, Said.NONSENSE, FAIL, LOCKSTEP),
        (LoginStage.LIST, Said.CLOSED, FAIL, LOCKSTEP),
        (LoginStage.LIST, Said.SILENT, FAIL, LOCKSTEP),
        (LoginStage.LIST, Said.NONSENSE, FAIL, LOCKSTEP),
        (LoginStage.LIST, Said.REFUSED, FAIL, FAIL),
        (LoginStage.LIST, Said.LATER, FAIL, FAIL),
    ],
)
def test_around_the_login(stage: LoginStage, said: Said, alone: Consequence, ahead: Consequence, taken: bool) -> None:
    assert login.then(stage, said, ahead=False, taken=taken) is alone
    assert login.then(stage, said, ahead=True, taken=taken) is ahead


def test_no_password_of_unknown_fate_is_sent_again() -> None:
    for stage in ASKED:
        for said in Said:
            if said is not Said.CROWDED:  # the server has said that it was not for the password
                for ahead in (False, True):
                    assert login.then(stage, said, ahead=ahead, taken=False) is FAIL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", Said.REFUSED),
        (b"no", Said.REFUSED),
        (b"maildrop already locked", Said.REFUSED),
        (b"[AUTH] wrong password", Said.DENIED),
        (b"[auth]", Said.DENIED),
        (b"[AUTH] too many sessions with a wrong password", Said.DENIED),
        (b"[SYS/TEMP] try later", Said.LATER),
        (b"[SYS/PERM] call us", Said.LATER),
        (b"[IN-USE] locked", Said.IN_USE),
        (b"[LOGIN-DELAY] not that often", Said.DELAY),
        (b"[SOMETHING] else", Said.REFUSED),
        (b"[SYS/TEMP] too many connections", Said.CROWDED),
        (b"Too many simultaneous connections from your address", Said.CROWDED),
        (b"[IN-USE] Maximum number of connections from user+IP exceeded", Said.CROWDED),
        (b"Maximum sessions reached", Said.CROWDED),
        (b"connection limit exceeded", Said.CROWDED),
        (b"too many failed logins", Said.REFUSED),
        (b"too many messages", Said.REFUSED),
    ],
)
def test_what_a_refusal_says(text: bytes, said: Said) -> None:
    assert login.refusal(text) is said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionLostError(""), Said.CLOSED),
        (TlsError(""), Said.CLOSED),
        (CertificateError(""), Said.CLOSED),
        (PeerTimeoutError(""), Said.SILENT),
        (ProtocolError(""), Said.NONSENSE),
    ],
)
def test_what_an_error_says(error: PopfetchError, said: Said) -> None:
    assert login.said(error) is said


# --- what is remembered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (Haste(), Said.CLOSED, Haste(one=True)),
        (Haste(), Said.SILENT, Haste(one=True)),
        (Haste(), Said.NONSENSE, Haste(one=True)),
        (Haste(bore=True), Said.CLOSED, Haste(careful=True)),
        (Haste(bore=True), Said.SILENT, Haste(careful=True)),
        (Haste(bore=True), Said.NONSENSE, Haste(one=True)),
    ],
)
def test_a_login_sent_ahead_that_breaks_is_followed_by_one_a_word_at_a_time(
    before: Haste, said: Said, after: Haste
) -> None:
    assert before.stumbled(said) == after
    assert after.lockstep


@pytest.mark.parametrize(
    ("before", "ahead", "after"),
    [
        (Haste(), False, Haste()),
        (Haste(), True, Haste(bore=True)),
        (Haste(bore=True), False, Haste(bore=True)),
        (Haste(careful=True), False, Haste()),  # once more, and not again if that breaks too
        (Haste(one=True), False, Haste(one=True)),
    ],
)
def test_what_is_known_after_a_login_that_went_well(before: Haste, ahead: bool, after: Haste) -> None:
    assert before.well(ahead=ahead) == after


@pytest.mark.parametrize(
    ("habits", "stage", "after"),
    [
        ("", LoginStage.CAPA, "capa?"),
        ("capa?", LoginStage.CAPA, "capa"),
        ("capa", LoginStage.CAPA, "capa"),
        ("capa?", LoginStage.UIDL, "capa? uidl?"),
        ("capa inside?", LoginStage.INSIDE, "capa inside"),
    ],
)
def test_what_breaks_twice_is_a_habit(habits: str, stage: LoginStage, after: str) -> None:
    assert login.suspected(habits, stage) == after


@pytest.mark.parametrize(
    ("habits", "stages", "after"),
    [
        ("", {LoginStage.CAPA}, ""),
        ("capa?", {LoginStage.CAPA}, ""),
        ("capa inside?", {LoginStage.INSIDE, LoginStage.UIDL}, "capa"),
        ("capa? uidl", {LoginStage.LIST}, "capa? uidl"),
    ],
)
def test_what_was_answered_is_none(habits: str, stages: set[LoginStage], after: str) -> None:
    assert login.cleared(habits, frozenset(stages)) == after


@pytest.mark.parametrize(
    ("habits", "stages"),
    [
        ("", set()),
        ("capa? uidl?", set()),
        ("capa inside?", {LoginStage.CAPA}),
        ("capa inside uidl list password", {LoginStage.CAPA, LoginStage.INSIDE, LoginStage.UIDL}),
    ],
)
def test_only_habits_are_shunned(habits: str, stages: set[LoginStage]) -> None:
    assert login.shunned(habits) == stages
