"""One message at which a POP server goes wrong: it blocks no other, comes last, alone, and is told of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.pop import entrance
from lib.pop.session import SessionTerms
from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass
from tests.scenario.habits import CLOSE, SILENT, Habit, Odd, OddTalk
from tests.scenario.mails import mail, warnings

NAMES = ("a", "b", "c", "d", "e")
NO = b"-ERR no such thing\r\n"


def letter(name: str, size: int = 200) -> bytes:
    head = (f"Subject: {name}", f"Message-ID: <{name}@far.example>", "Date: Fri, 27 Nov 2026 10:00:00 +0000")
    return mail(*head, body=f"{name} " + "x" * size)


def letters(*names: str) -> dict[str, bytes]:
    return {name: letter(name, 200 + 13 * number) for number, name in enumerate(names)}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server be silent for less than a second, which is the least that dmail.conf may say."""
    monkeypatch.setattr(entrance, "SessionTerms", lambda _, *more, **named: SessionTerms(0.4, *more, **named))
    monkeypatch.setattr(entrance, "BREATH", 0.0)


@pytest.fixture
def odd(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Iterator[Odd]:
    """Return a server that is to have a habit."""
    with Odd(conf, run_pass, smtp) as server:
        yield server


@pytest.fixture
def one_by_one(odd: Odd) -> None:
    """Let the server offer no PIPELINING."""
    odd.capabilities = tuple(word for word in odd.capabilities if word != b"PIPELINING")


def put(odd: Odd, place: int, *poisons: str) -> dict[str, bytes]:
    """Put five good messages into the mailbox, and the bad ones at *place*; return the good ones."""
    good = letters(*NAMES)
    names = list(good)
    names[place:place] = poisons
    odd.box.update({name: good.get(name, letter(name, 777)) for name in names})
    return good


def at(said: bytes, *poisons: str) -> Habit:
    return lambda _, uid: said if uid in poisons else None


def check(odd: Odd, good: dict[str, bytes], *left: str) -> None:
    """Assert that the good ones arrived once and are gone, and only these are left."""
    assert sorted(odd.arrived) == sorted(good.values())
    assert sorted(odd.box) == sorted(left)


PLACES = {"in front": 0, "in the middle": 2, "at the end": 5}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("said", [CLOSE, SILENT, b"what?\r\n", NO], ids=["hangs up", "silent", "nonsense", "refuses"])
@pytest.mark.parametrize("ahead", [True, False])
def test_at_its_retr(odd: Odd, request: pytest.FixtureRequest, said: bytes, place: int, ahead: bool) -> None:
    if not ahead:
        request.getfixturevalue("one_by_one")
    good = put(odd, place, "poison")
    odd.habit = {"RETR": at(said, "poison")}
    first = odd.passes()
    assert first.code == 76
    later = letters("new")
    odd.box.update(later)
    done = odd.passes(3)
    check(odd, {**good, **later}, "poison")
    assert done.code == 76
    assert len(done.err.splitlines()) == 1
    sessions, asked = odd.count("PASS"), odd.count("RETR")
    odd.passes()
    assert odd.count("RETR") == asked + 1  # it is asked for once in a pass
    assert odd.count("PASS") - sessions <= 1
    odd.habit = {}
    assert odd.passes().code == 0
    check(odd, {**good, **later, "poison": letter("poison", 777)})


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("said", [CLOSE, SILENT, NO], ids=["hangs up", "silent", "refuses"])
@pytest.mark.parametrize("ahead", [True, False])
def test_at_its_dele(odd: Odd, request: pytest.FixtureRequest, said: bytes, place: int, ahead: bool) -> None:
    if not ahead:
        request.getfixturevalue("one_by_one")
    good = put(odd, place, "poison")
    odd.habit = {"DELE": at(said, "poison")}
    known = {**good, "poison": letter("poison", 777)}
    assert odd.passes().code == 76
    check(odd, known, "poison")
    assert odd.count("RETR") == 6  # what was looked at again was told by its header
    odd.box.update(letters("new"))
    odd.passes(2)
    check(odd, {**known, **letters("new")}, "poison")
    odd.habit = {}
    assert odd.passes(2).code == 0
    check(odd, {**known, **letters("new")})
    assert odd.count("RETR") == 7


@pytest.mark.parametrize("said", [CLOSE, SILENT, NO], ids=["hangs up", "silent", "refuses"])
def test_at_its_top(odd: Odd, said: bytes) -> None:
    good = put(odd, 2, "poison")
    known = {**good, "poison": letter("poison", 777)}
    odd.habit = {"QUIT": lambda talk, _: CLOSE if talk.server.count("QUIT") == 1 else None, "TOP": at(said, "poison")}
    odd.passes(3)
    check(odd, known)
    assert odd.count("RETR") == 7


@pytest.mark.parametrize("said", [CLOSE, NO], ids=["hangs up", "refuses"])
@pytest.mark.parametrize("word", ["RETR", "DELE"])
def test_as_many_of_them_in_front_as_pf_max_messages_allows(odd: Odd, word: str, said: bytes) -> None:
    poisons = ("p1", "p2", "p3")
    good = put(odd, 0, *poisons)
    odd.habit = {word: at(said, *poisons)}
    odd.passes(7, pf_max_messages=2)
    bad = {name: letter(name, 777) for name in poisons if word == "DELE"}
    check(odd, {**good, **bad}, *poisons)
    odd.habit = {}
    odd.passes(2)
    check(odd, {**good, **{name: letter(name, 777) for name in poisons}})


def test_two_of_them_hold_up_neither_the_others_nor_each_other(odd: Odd) -> None:
    good = put(odd, 1, "p1", "p2")
    odd.habit = {"RETR": at(CLOSE, "p1", "p2")}
    odd.passes(3)
    check(odd, good, "p1", "p2")
    odd.habit = {"RETR": at(CLOSE, "p1")}
    odd.passes(2)
    check(odd, {**good, "p2": letter("p2", 777)}, "p1")


# --- bodies that break off, are shorter, or longer --------------------------------------------------------------------


def half(talk: OddTalk, uid: str) -> bytes:
    """Send half of the message, and hang up."""
    talk.sock.sendall(b"+OK\r\n" + talk.server.box[uid][:150])
    return CLOSE


@pytest.mark.parametrize("ahead", [True, False])
def test_bodies_that_break_off_in_the_middle_are_told_of_when_the_last_session_ends_well(
    odd: Odd, request: pytest.FixtureRequest, ahead: bool
) -> None:
    if not ahead:
        request.getfixturevalue("one_by_one")
    good = put(odd, 1, "p1", "p2")
    odd.habit = {"RETR": lambda talk, uid: half(talk, uid) if uid in {"p1", "p2"} else None}
    assert odd.passes().code == 76
    assert odd.passes(2).code == 76
    check(odd, good, "p1", "p2")
    odd.habit = {}
    assert odd.passes().code == 0
    check(odd, {**good, "p1": letter("p1", 777), "p2": letter("p2", 777)})


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("option", ["", "keep=30"])
def test_one_that_is_shorter_each_time_is_delivered_as_it_comes_and_stays(
    odd: Odd, request: pytest.FixtureRequest, work: Path, ahead: bool, option: str
) -> None:
    if not ahead:
        request.getfixturevalue("one_by_one")
    good = put(odd, 1)
    original = odd.box["virus"] = letter("virus", 50_000)

    def notice(talk: OddTalk, uid: str) -> bytes | None:
        number = talk.server.count("RETR")
        text = b"+OK\r\nSubject: blocked\r\nMessage-ID: <%d@firewall>\r\n\r\nIt had a virus in it.\r\n.\r\n" % number
        return text if uid == "virus" else None

    odd.habit = {"RETR": notice}
    codes = [odd.passes(option=option).code for _ in range(5)]
    assert (codes[0], codes[-2:]) == (76, [0, 0])
    notices = [octets for octets in odd.arrived if octets not in good.values()]
    assert [b"It had a virus in it." in octets for octets in notices] == [True]
    assert odd.box["virus"] == original
    assert sum("its original stays on the server" in warning for warning in warnings(work)) == 1
    asked = odd.count("RETR")
    assert odd.passes(2).code == 0  # not even where nothing is kept
    assert (odd.count("RETR"), list(odd.box)) == (asked, ["virus"])


@pytest.mark.parametrize("ahead", [True, False])
def test_a_message_that_is_a_thousand_times_as_long_as_announced(
    odd: Odd, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    monkeypatch.setattr("lib.pop.flight.BODY_EXTRA", 100_000)
    if not ahead:
        request.getfixturevalue("one_by_one")
    good = put(odd, 1)
    good["long"] = odd.box["long"] = letter("long", 400_000)
    odd.size = lambda octets: len(octets) // 1000
    assert odd.passes(2).code == 0
    check(odd, good)


def test_a_message_without_end_is_told_of_and_holds_up_no_other(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.pop.flight.BODY_EXTRA", 100_000)
    monkeypatch.setattr("lib.pop.flight.BODY_MOST", 300_000)
    good = put(odd, 2, "endless")
    odd.habit = {"RETR": at(b"+OK\r\n" + b"for ever\r\n" * 100_000, "endless")}
    odd.passes(2)
    check(odd, good, "endless")
    assert odd.passes().code == 76
