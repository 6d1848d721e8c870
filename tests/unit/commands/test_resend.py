"""To whom a dud is sent again, and for whom it stays, a row each."""

from datetime import UTC, datetime

import pytest

from lib.commands.resend import addressees, after
from lib.mail.routing import Route
from lib.store.duds import DudInfo
from lib.store.journal_facts import ACCEPTED, DEFERRED, REFUSED

ANN, BEN, CAT, CHEF = b"ann@x", b"ben@x", b"cat@x", b"chef@x"
TODAY, NOBODY = Route((CAT,), "To", "", False), Route((), "", "", False)


def dud(*recipients: bytes, had: tuple[bytes, ...] = (), by_version_1: bool = False) -> DudInfo:
    when = datetime(2026, 11, 22, tzinfo=UTC)
    return DudInfo(1, when, "bob", b"1", b"", recipients, (), 0, "", True, had, "1", by_version_1)


@pytest.mark.parametrize(
    ("one", "route", "to", "known", "expected"),
    [
        (dud(ANN, BEN), TODAY, (), True, (CAT,)),  # nobody has it: today's settings
        (dud(ANN, BEN), NOBODY, (), True, (ANN, BEN)),
        (dud(ANN, BEN), TODAY, (), False, (ANN, BEN)),  # they do not name its account any more
        (dud(BEN, had=(ANN,)), TODAY, (), True, (BEN,)),  # who has it is not asked again
        (dud(ANN, by_version_1=True), TODAY, (), True, (ANN,)),  # nobody can tell who has it
        (dud(), TODAY, (), True, (CAT,)),
        (dud(), TODAY, (), False, (CAT,)),
        (dud(by_version_1=True), TODAY, (), True, (CAT,)),
        (dud(), NOBODY, (), True, ()),
        (dud("b@b\xfccher.example".encode(), by_version_1=True), TODAY, (), True, (b"b@xn--bcher-kva.example",)),
        (dud(ANN, BEN), TODAY, (CHEF,), True, (CHEF,)),
        (dud(ANN, had=(b"Chef@x",)), TODAY, (CHEF, ANN), True, (ANN,)),
        (dud(ANN, had=(CHEF,)), TODAY, (CHEF,), True, ()),
    ],
)
def test_to_whom_it_is_sent(
    one: DudInfo, route: Route, to: tuple[bytes, ...], known: bool, expected: tuple[bytes, ...]
) -> None:
    assert addressees(one, route, to, known=known) == expected


@pytest.mark.parametrize(
    ("said", "elsewhere", "recipients", "had"),
    [
        ({ANN: ACCEPTED, BEN: REFUSED}, False, (BEN,), (CHEF, ANN)),
        ({ANN: ACCEPTED, BEN: DEFERRED, CAT: REFUSED}, False, (BEN, CAT), (CHEF, ANN)),
        ({CHEF: ACCEPTED, BEN: REFUSED}, False, (BEN,), (CHEF,)),
        ({ANN: ACCEPTED, CAT: REFUSED}, True, (BEN,), (CHEF, ANN)),
    ],
)
def test_for_whom_it_stays(
    said: dict[bytes, str], elsewhere: bool, recipients: tuple[bytes, ...], had: tuple[bytes, ...]
) -> None:
    verdicts = {who: (status, b"words") for who, status in said.items()}
    assert after(dud(BEN, had=(CHEF,)), verdicts, elsewhere=elsewhere) == (recipients, had)
