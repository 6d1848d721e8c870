"""Replies that are not those to their commands: nothing is deleted that did not arrive, nothing comes twice."""

from collections.abc import Callable, Iterator

import pytest

from lib.pop import entrance
from lib.pop.session import SessionTerms
from tests.embedded import SmtpServer
from tests.passes import Conf, RunPass
from tests.scenario.habits import CLOSE, GOOD, SILENT, Habit, Odd, OddTalk
from tests.scenario.mails import mail

NAMES = [f"u{number}" for number in range(1, 8)]
SIZES = {"sizes that differ": 17, "sizes that are all the same": 0}


def letters(step: int, names: list[str] = NAMES) -> dict[str, bytes]:
    """Return messages that are *step* octets longer each time."""
    return {
        name: mail(
            f"Subject: {name}", f"Message-ID: <{name}@far.example>", body=f"{name} " + "x" * (200 + step * number)
        )
        for number, name in enumerate(names)
    }


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


def at(uid: str, said: Habit) -> dict[str, Habit]:
    """Return the habit of doing something at the RETR of *uid*."""
    return {"RETR": lambda talk, asked: said(talk, asked) if asked == uid else None}


def without_lf(talk: OddTalk, uid: str) -> bytes:
    return talk.usual("RETR", uid)[:-1]


def without_crlf(talk: OddTalk, uid: str) -> bytes:
    return talk.usual("RETR", uid)[:-5] + b".\r\n"


def swallowed(_: OddTalk, __: str) -> bytes:
    return SILENT


def twice(talk: OddTalk, uid: str) -> bytes:
    return talk.usual("RETR", uid) * 2


def two_status_lines(talk: OddTalk, uid: str) -> bytes:
    return GOOD + talk.usual("RETR", uid)


def a_status_line_more(talk: OddTalk, uid: str) -> bytes:
    return talk.usual("RETR", uid) + GOOD


def with_that_of_the_next(talk: OddTalk, uid: str) -> bytes:
    following = talk.view[(talk.view.index(uid) + 1) % len(talk.view)]
    return talk.usual("RETR", following)


SLIPS: dict[str, Habit] = {
    "the last LF is missing": without_lf,
    "the CRLF before the dot is missing": without_crlf,
    "no reply": swallowed,
    "the reply comes twice": twice,
    "two status lines": two_status_lines,
    "a status line too many": a_status_line_more,
}


def check(odd: Odd, known: dict[str, bytes]) -> None:
    """Assert that each message arrived once, or is still there, and nothing else arrived."""
    arrived = odd.arrived
    assert [one for one in arrived if one not in known.values()] == []
    assert len(arrived) == len(set(arrived))
    lost = [name for name, octets in known.items() if octets not in arrived and odd.box.get(name) != octets]
    assert lost == []


@pytest.mark.parametrize("step", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("where", ["u1", "u4", "u7"])
@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
def test_one_reply_that_is_not_as_it_should_be(odd: Odd, slip: Habit, where: str, step: int) -> None:
    known = letters(step)
    odd.box.update(known)
    odd.habit = at(where, slip)
    odd.passes(3, option="keep=30" if where == "u4" else "")
    check(odd, known)
    assert set(known) - {where} <= {name for name, octets in known.items() if octets in odd.arrived}
    odd.habit = {}
    assert odd.passes(2).code == 0
    check(odd, known)
    assert len(odd.arrived) == len(known)
    assert odd.box == {}


@pytest.mark.parametrize("slip", [without_lf, swallowed, twice, two_status_lines])
def test_every_third_reply_slips(odd: Odd, slip: Habit) -> None:
    known = letters(11, [f"u{number}" for number in range(1, 13)])
    odd.box.update(known)
    odd.habit = {"RETR": lambda talk, uid: slip(talk, uid) if int(uid[1:]) % 3 == 0 else None}
    odd.passes(4)
    check(odd, known)
    odd.habit = {}
    odd.passes(3)
    check(odd, known)
    assert (len(odd.arrived), odd.box) == (12, {})


@pytest.mark.parametrize("slip", [without_lf, swallowed, twice])
@pytest.mark.parametrize("size", [lambda octets: len(octets) % 97 + 40, lambda _: 0])
def test_a_slip_where_sizes_say_nothing(odd: Odd, slip: Habit, size: Callable[[bytes], int]) -> None:
    known = letters(17)
    odd.box.update(known)
    odd.size = size
    odd.habit = at("u3", slip)
    odd.passes(3)
    check(odd, known)
    odd.habit = {}
    odd.passes(3)
    check(odd, known)
    assert (len(odd.arrived), odd.box) == (7, {})


def test_a_dot_that_is_not_doubled_and_replies_that_are_forged_behind_it(odd: Odd) -> None:
    known = letters(17)
    forged = b"Subject: look\r\n\r\nabove\r\n.\r\n+OK\r\nSubject: forged\r\n\r\nbuy\r\n"
    odd.box.update({**known, "u4": forged})
    odd.habit = {"RETR": lambda talk, uid: GOOD + talk.server.box[uid] + b".\r\n"}
    odd.passes(3)
    assert set(odd.arrived) <= set(known.values())
    assert len(odd.arrived) == len(set(odd.arrived))
    assert forged in odd.box.values()


def test_two_replies_that_are_exchanged(odd: Odd) -> None:
    known = letters(17)
    odd.box.update(known)
    others = {"u3": "u4", "u4": "u3"}
    odd.habit = {"RETR": lambda talk, uid: talk.usual("RETR", others.pop(uid, uid))}
    odd.passes(2)
    odd.habit = {}
    odd.passes(3)
    check(odd, known)
    assert odd.box == {}


def test_a_server_that_stumbles_over_what_is_sent_ahead_is_asked_one_thing_at_a_time_from_then_on(odd: Odd) -> None:
    known = letters(17)
    odd.box.update(known)

    def ahead(talk: OddTalk, uid: str) -> bytes | None:
        talk.sock.setblocking(False)
        try:
            more = talk.lines.peek(1)
        finally:
            talk.sock.settimeout(5)
        return SILENT if more and uid == "u2" else None

    odd.habit = {"RETR": ahead}
    assert odd.passes().code == 0
    assert sorted(odd.arrived) == sorted(known.values())
    assert odd.box == {}
    more = letters(17, ["u8", "u9"])
    odd.box.update(more)
    sessions = odd.count("PASS")
    assert odd.passes().code == 0
    assert odd.count("PASS") == sessions + 1


def test_equal_messages_are_no_slip(odd: Odd) -> None:
    one = letters(0)["u1"]
    odd.box.update(dict.fromkeys(NAMES, one))
    assert odd.passes()[:3] == (0, "", "")
    assert odd.arrived == [one] * 7
    assert (odd.box, odd.count("PASS"), odd.count("RETR")) == ({}, 1, 7)


@pytest.mark.parametrize(
    "size",
    [
        lambda octets: len(octets) - octets.count(b"\n"),
        lambda octets: -(-len(octets) // 1024) * 1024,
        lambda octets: len(octets) + 5,
        lambda octets: len(octets) // 1024,
        lambda _: 100,
        lambda _: 0,
    ],
    ids=["LF as one", "rounded", "always more", "kilobytes", "always 100", "not known"],
)
def test_a_server_that_counts_otherwise_is_believed_in_one_session(odd: Odd, size: Callable[[bytes], int]) -> None:
    known = letters(170)
    odd.box.update(known)
    odd.size = size
    assert odd.passes()[:3] == (0, "", "")
    assert odd.arrived == list(known.values())
    assert (odd.box, odd.count("PASS"), odd.count("RETR")) == ({}, 1, 7)


def test_a_message_of_another_size_on_a_server_that_counts_rightly_is_delivered_when_it_came_twice(odd: Odd) -> None:
    known = letters(17)
    odd.box.update(known)
    odd.size = lambda octets: len(octets) - 30 * (octets == known["u4"])
    assert odd.passes(2).code == 0
    check(odd, known)
    assert (len(odd.arrived), odd.box, odd.count("RETR")) == (7, {}, 12)  # twice, and the four that were on their way


def test_what_is_lost_before_quit_is_not_deleted_where_replies_had_slipped(odd: Odd) -> None:
    # All sizes are the same: what was fetched as u4 is u5, and so on. The line breaks before anything tells.
    known = letters(0)
    odd.box.update(known)
    odd.habit = {"RETR": lambda _, uid: {"u4": SILENT, "u7": CLOSE}.get(uid)}
    odd.passes()
    odd.habit = {}
    odd.passes(2)
    check(odd, known)
    assert (len(odd.arrived), odd.box) == (7, {})
