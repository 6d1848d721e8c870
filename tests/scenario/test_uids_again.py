"""UIDs that stand for something else later: new mail under them arrives before it is deleted, nothing comes twice."""

from collections.abc import Iterator

import pytest

from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass
from tests.scenario.habits import CLOSE, GOOD, Odd, OddTalk
from tests.scenario.mails import mail

LATER = {b"b@example.org": b"450 4.7.1 later"}


def letter(name: str, size: int = 200, *fields: str) -> bytes:
    head = [f"Subject: {name}", f"Message-ID: <{name}@far.example>", "Date: Fri, 27 Nov 2026 10:00:00 +0000", *fields]
    return mail(*head, body=f"{name} " + "x" * size)


@pytest.fixture
def odd(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Iterator[Odd]:
    """Return a server that is to have a habit."""
    with Odd(conf, run_pass, smtp) as server:
        yield server


@pytest.fixture(params=["TOP", "no TOP"], autouse=True)
def top(request: pytest.FixtureRequest, odd: Odd) -> bool:
    """Let the server offer TOP, or not."""
    if request.param != "TOP":
        odd.capabilities = tuple(word for word in odd.capabilities if word != b"TOP")
    return bool(request.param == "TOP")


OLD, NEW, LARGE = letter("old"), letter("new"), letter("large", 5000)
BETWEEN = {"nobody saw it": False, "a pass saw it": True}


@pytest.mark.parametrize("new", [NEW, LARGE], ids=["the same size", "another size"])
@pytest.mark.parametrize("saw", BETWEEN.values(), ids=BETWEEN)
@pytest.mark.parametrize("keep", ["keep=30", "keep=forever"])
def test_new_mail_under_the_uid_of_kept_mail_that_somebody_deleted(odd: Odd, new: bytes, keep: str, saw: bool) -> None:
    odd.box.update({"1": OLD, "2": letter("other", 300)})
    odd.passes(option=keep)
    del odd.box["1"]
    if saw:
        odd.passes(option=keep)
    odd.box["1"] = new
    odd.passes(2, option=keep)
    told = len(new) != len(OLD) or saw  # of the same size, and never missed: nothing tells
    assert (new in odd.arrived) is told
    if told:
        assert odd.passes(2).code == 0
        assert sorted(odd.arrived) == sorted([OLD, letter("other", 300), new])
        assert odd.box == {}


@pytest.mark.parametrize("new", [NEW, LARGE], ids=["the same size", "another size"])
def test_new_mail_under_the_uid_of_what_waits_in_the_spool(odd: Odd, new: bytes) -> None:
    odd.box["1"] = OLD
    odd.smtp.refused = LATER
    assert odd.passes().code == 75
    odd.box.clear()
    assert odd.passes().code == 75
    odd.box["1"] = new
    assert odd.passes(2).code == 75
    assert odd.box == {"1": new}
    odd.smtp.refused = {}
    odd.passes(3)
    assert sorted(odd.arrived) == sorted([OLD, new])
    assert odd.box == {}


def test_what_waits_in_the_spool_and_was_hidden_for_a_while_is_not_fetched_again_for_nothing(
    odd: Odd, top: bool
) -> None:
    odd.box["1"] = OLD
    odd.smtp.refused = LATER
    odd.passes()
    odd.habit = {"UIDL": lambda *_: GOOD + b".\r\n", "LIST": lambda *_: GOOD + b".\r\n"}
    odd.passes()
    odd.habit = {}
    odd.passes(2)
    assert odd.count("RETR") == (1 if top else 2)
    odd.smtp.refused = {}
    odd.passes(2)
    assert (odd.arrived, odd.box) == ([OLD], {})


@pytest.mark.parametrize("new", [NEW, LARGE], ids=["the same size", "another size"])
@pytest.mark.parametrize(
    "answer", [b"-ERR some deleted messages not removed\r\n", CLOSE], ids=["refused", "unanswered"]
)
@pytest.mark.parametrize("deletes", [True, False])
def test_new_mail_under_a_uid_after_a_quit_of_which_nothing_is_known(
    odd: Odd, new: bytes, answer: bytes, deletes: bool
) -> None:
    def quit_(talk: OddTalk, _: str) -> bytes:
        if deletes:
            talk.commit()
        return answer

    odd.box.update({"1": OLD, "2": letter("other", 300)})
    odd.habit = {"QUIT": quit_}
    odd.passes()
    odd.habit = {}
    odd.box["1"] = new
    assert odd.passes(2).code == 0
    assert sorted(odd.arrived) == sorted([OLD, letter("other", 300), new])
    assert odd.box == {}


@pytest.mark.parametrize("new", [NEW, LARGE], ids=["the same size", "another size"])
def test_after_a_committed_quit_a_uid_that_comes_again_is_new_mail(odd: Odd, new: bytes) -> None:
    odd.box["1"] = OLD
    odd.passes()
    odd.box["1"] = new
    assert odd.passes().code == 0
    assert (odd.arrived, odd.box) == ([OLD, new], {})


def test_a_session_lost_before_quit_an_empty_mailbox_and_the_uid_again(odd: Odd) -> None:
    odd.box["1"] = OLD
    odd.habit = {"DELE": lambda *_: CLOSE}
    assert odd.passes().code == 76
    odd.habit = {}
    del odd.box["1"]
    odd.passes()
    odd.box["1"] = NEW
    assert odd.passes(2).code == 0
    assert (odd.arrived, odd.box) == ([OLD, NEW], {})


def test_kept_mail_whose_uids_are_message_numbers(odd: Odd) -> None:
    # The first one is deleted elsewhere: all others move up. What is fetched for that is known by its octets.
    known = [letter(name, 200 + 17 * number) for number, name in enumerate("abcd")]
    odd.box.update({str(number): octets for number, octets in enumerate(known, 1)})
    odd.passes(option="keep=30")
    odd.box = {str(number): octets for number, octets in enumerate([*known[1:], letter("e", 300)], 1)}
    odd.passes(2, option="keep=30")
    assert odd.arrived == [*known, letter("e", 300)]
    assert odd.passes(2).code == 0
    assert (len(odd.arrived), odd.box) == (5, {})


def test_a_mailbox_that_was_made_anew(odd: Odd) -> None:
    before = {str(number): letter(f"before {number}", 200 + number) for number in range(5)}
    after = {str(number): letter(f"after {number}", 900 - number) for number in range(5)}
    odd.box.update(before)
    odd.passes(option="keep=forever")
    odd.box.clear()
    odd.box.update(after)
    odd.passes(2, option="keep=forever")
    assert sorted(odd.arrived) == sorted([*before.values(), *after.values()])
    assert odd.box == after


# --- what is looked at costs no second download -----------------------------------------------------------------------


def test_after_an_unanswered_quit_a_header_tells(odd: Odd, top: bool) -> None:
    known = {f"u{number}": letter(str(number), 200 + 17 * number) for number in range(9)}
    odd.box.update(known)
    odd.habit = {"QUIT": lambda talk, _: CLOSE if talk.server.count("QUIT") == 1 else None}
    assert odd.passes().code == 0
    assert (sorted(odd.arrived), odd.box) == (sorted(known.values()), {})
    assert (odd.count("RETR"), odd.count("TOP")) == ((9, 9) if top else (18, 0))


@pytest.mark.parametrize(
    "said", [b"-ERR not for you\r\n", GOOD + b"Subject: something else\r\n\r\n.\r\n", GOOD + b".\r\n"]
)
def test_where_top_does_not_tell_all_octets_do(odd: Odd, said: bytes) -> None:
    odd.box.update({"1": OLD, "2": LARGE})
    odd.habit = {"QUIT": lambda talk, _: CLOSE if talk.server.count("QUIT") == 1 else None, "TOP": lambda *_: said}
    assert odd.passes().code == 0
    assert (odd.arrived, odd.box, odd.count("RETR")) == ([OLD, LARGE], {}, 4)


def test_kept_mail_costs_nothing_in_later_passes(odd: Odd) -> None:
    odd.box.update({f"u{number}": letter(str(number), number) for number in range(40)})
    odd.passes(option="keep=forever")
    asked = len(odd.asked)
    assert odd.passes(2, option="keep=forever").code == 0
    assert {word for word, _ in odd.asked[asked:]} == {"CAPA", "USER", "PASS", "UIDL", "LIST", "QUIT"}


# --- lines that servers write -----------------------------------------------------------------------------------------


def read(octets: bytes) -> bytes:
    """Return a message as its server shows it when it was read."""
    head, _, body = octets.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith((b"Status:", b"X-UID:"))]
    return b"\r\n".join([*lines, b"Status: RO", b"X-UID: 17", b"", body])


MARKED = letter("marked", 200, "Status: O", "X-Keywords:      ")


@pytest.mark.parametrize("octets", [OLD, MARKED], ids=["there were none", "there were some"])
@pytest.mark.parametrize("how", ["QUIT", "keep", "no UIDs", "UIDs that changed"])
def test_lines_that_a_server_writes_make_no_other_message(odd: Odd, octets: bytes, how: str) -> None:
    option = "" if how == "QUIT" else "keep=30"
    names = {"no UIDs": lambda *_: b"-ERR what?\r\n"}
    odd.box["1"] = octets
    odd.habit = {"QUIT": lambda *_: CLOSE} if how == "QUIT" else {"UIDL": names[how]} if how in names else {}
    odd.passes(option=option)
    odd.box = {"2" if how == "UIDs that changed" else "1": read(octets)}
    odd.habit = {"UIDL": names[how]} if how in names else {}
    assert odd.passes(2, option=option).code == 0
    assert odd.arrived == [octets]
    assert odd.passes().code == 0
    assert (odd.arrived, odd.box) == ([octets], {})
