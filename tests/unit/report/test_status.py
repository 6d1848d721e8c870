"""What --status tells."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lib.report.status import MANY, AccountStatus, Overview, WaitingMessage

NOW = datetime(2026, 11, 22, 12, 39, tzinfo=UTC)
FULL = Overview(
    started=NOW,
    ended=NOW + timedelta(seconds=7),
    duds_in_a_row=10,
    max_duds=10,
    tripped="10 duds in a row",
    accounts=(
        AccountStatus("amy", last_success=NOW),
        AccountStatus("bob", 1, "login refused"),
        AccountStatus("eve", 4, "no route\x1b", NOW, NOW - timedelta(days=1)),
    ),
    waiting=(
        WaitingMessage("amy", 1234, NOW, (b"a@example.org", b"b@example.org")),
        WaitingMessage("bob", 1, None, ()),
    ),
    duds=12,
)


def test_status_tells_everything_in_lines() -> None:
    assert list(FULL.lines()) == [
        "stopped by the safety net: 10 duds in a row; no pass starts until --reset",
        "last pass: started 2026-11-22T12:39:00+00:00, ended 2026-11-22T12:39:07+00:00",
        "duds in a row: 10 of 10",
        "duds.dat: 12 messages; --duds list shows why",
        "spool: 2 messages, the oldest since 2026-11-22T12:39:00+00:00",
        "  from account amy, 1234 octets, since 2026-11-22T12:39:00+00:00, deferred for a@example.org, b@example.org",
        "  from account bob, 1 octets, deferred for nobody yet",
        "account amy: last success 2026-11-22T12:39:00+00:00",
        "account bob: failing, 1 pass: login refused; last success never",
        (
            r"account eve: failing since 2026-11-22T12:39:00+00:00, 4 passes in a row: no route\x1b;"
            " last success 2026-11-21T12:39:00+00:00"
        ),
    ]


def test_before_the_first_pass_there_is_little_to_tell() -> None:
    assert list(Overview(max_duds=10, duds=1).lines()) == [
        "last pass: none yet",
        "duds in a row: 0 of 10",
        "duds.dat: 1 message; --duds list shows why",
        "spool: 0 messages",
    ]


def test_a_pass_that_was_killed_has_not_ended() -> None:
    for ended in (None, NOW - timedelta(hours=1)):
        assert "last pass: started 2026-11-22T12:39:00+00:00, has not ended" in list(Overview(NOW, ended).lines())


def test_a_long_spool_is_not_told_message_by_message() -> None:
    waiting = (WaitingMessage("amy", 1, NOW, (b"a@example.org",) * 50),) * 500
    told = list(Overview(waiting=waiting).lines())
    assert len(told) == MANY + 5
    assert told[-1] == "  and 480 more"
    assert told[4].endswith(" and 30 more")


def test_json_holds_the_same() -> None:
    told = json.loads(json.dumps(FULL.as_json()))
    assert told["tripped"] == "10 duds in a row"
    assert told["accounts"][2]["last_error"] == "no route\\x1b"
    assert told["waiting"][0] == {
        "account": "amy",
        "octets": 1234,
        "since": "2026-11-22T12:39:00+00:00",
        "to": ["a@example.org", "b@example.org"],
    }
    assert told["started"] == "2026-11-22T12:39:00+00:00"
    assert Overview().as_json()["tripped"] is None


@given(st.text(), st.text(), st.binary())
def test_no_raw_control_character_leaves_it(label: str, error: str, address: bytes) -> None:
    told = Overview(
        tripped=error, accounts=(AccountStatus(label, 3, error),), waiting=(WaitingMessage(label, 1, NOW, (address,)),)
    )
    assert all(line.isprintable() for line in told.lines())
