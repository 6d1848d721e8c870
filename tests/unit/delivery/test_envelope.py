"""Who is asked first, of those who have neither taken nor refused a message."""

import pytest

from lib.delivery.envelope import NOT_YET, _unheard_first
from lib.store.journal_facts import ACCEPTED, DEFERRED, REFUSED, RecipientVerdict

ANN, BEN, CID = b"ann@x", b"ben@x", b"cid@x"
GREY = (DEFERRED, b"450 4.2.0 greylisted")


@pytest.mark.parametrize(
    ("said", "order"),
    [
        ({}, (ANN, BEN, CID)),
        ({ANN: GREY, BEN: GREY, CID: GREY}, (ANN, BEN, CID)),
        ({ANN: GREY, BEN: (DEFERRED, b"421 4.7.0 too many errors"), CID: GREY}, (BEN, ANN, CID)),
        ({ANN: GREY, BEN: (DEFERRED, NOT_YET), CID: (DEFERRED, b"the server closed the connection")}, (BEN, CID, ANN)),
        ({ANN: GREY}, (BEN, CID, ANN)),  # routed to two more since a line of the journal was damaged
        ({ANN: GREY, BEN: (ACCEPTED, b"250 ok"), CID: (REFUSED, b"550 no")}, (ANN,)),
    ],
)
def test_whom_no_reply_told_of_himself_goes_first(
    said: dict[bytes, RecipientVerdict], order: tuple[bytes, ...]
) -> None:
    assert _unheard_first((ANN, BEN, CID), said) == order
