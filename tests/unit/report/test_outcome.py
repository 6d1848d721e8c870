"""What a pass achieved: exit code, reasons, log line, JSON."""

import json
from datetime import UTC, datetime

import pytest

from lib.errors import AccountError, Exit, LoginError, ReceiverError, SafetyNetError, SettingsError, StorageError
from lib.report.outcome import AccountOutcome, Observer, Outcome, Tally, Unobserved

NOW = datetime(2026, 11, 22, 12, 39, tzinfo=UTC)


def account(tally: Tally | None = None, error: AccountError | None = None) -> AccountOutcome:
    return AccountOutcome("bob@pop.example", "bob", tally or Tally(), 1.5, error)


def test_tallies_add_up_field_by_field() -> None:
    one = Tally(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert one + one == Tally(2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    assert Outcome(accounts=(account(one), account(one), account(one))).total == one + one + one


def test_a_pass_with_nothing_to_do_is_ok_and_has_nothing_to_say() -> None:
    assert Outcome().exit is Exit.OK
    assert Outcome().why == ()


def test_refused_mail_that_the_caretaker_took_is_ok() -> None:
    assert Outcome(accounts=(account(Tally(listed=1, refused=1)),)).exit is Exit.OK


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(accounts=(account(Tally(duds=1)),)), Exit.DUDS),
        (Outcome(accounts=(account(Tally(duds=1), AccountError("x")),)), Exit.ACCOUNT),
        (Outcome(accounts=(account(error=AccountError("x")), account(error=LoginError("x")))), Exit.LOGIN),
        (Outcome(accounts=(account(error=LoginError("x")),), spooled=1), Exit.DEFERRED),
        (Outcome(complaints=(ReceiverError("x"),)), Exit.DEFERRED),
        (Outcome(complaints=(ReceiverError("x"), StorageError("x"))), Exit.STORAGE),
        (Outcome(complaints=(StorageError("x"), SafetyNetError("x")), spooled=3), Exit.SAFETY_NET),
    ],
)
def test_the_gravest_thing_decides_the_exit_code(outcome: Outcome, code: Exit) -> None:
    assert outcome.exit is code
    assert outcome.why


def test_each_reason_is_one_printable_line_that_names_its_account() -> None:
    outcome = Outcome(
        accounts=(
            account(Tally(duds=2)),
            account(error=LoginError("-ERR go\r\naway\x1b[2J")),
            account(error=AccountError("bob: mailbox is locked")),
        ),
        complaints=(SettingsError("dmail.conf:1: no", "dmail.conf:2: no"),),
        spooled=1,
    )
    assert outcome.why == (
        "dmail.conf:1: no",
        "dmail.conf:2: no",
        r"bob: -ERR go\x0d\x0aaway\x1b[2J",
        "bob: mailbox is locked",
        "1 message deferred in the spool; --status shows to whom",
        "2 messages went to duds.dat; --duds list shows why",
    )


def test_json_holds_plain_values_only() -> None:
    outcome = Outcome(
        (account(Tally(listed=2, fetched=2), LoginError("no\x1b")),), (StorageError("full"),), 1, 2, 3.14159
    )
    told = json.loads(json.dumps(outcome.as_json(NOW)))
    assert told["ended"] == "2026-11-22T12:39:00+00:00"
    assert told["exit"] == 74
    assert (told["seconds"], told["spooled"], told["duds_in_a_row"]) == (3.142, 1, 2)
    assert told["complaints"] == [{"exit": 74, "words": "full"}]
    assert told["total"]["listed"] == 2
    first = told["accounts"][0]
    assert (first["account"], first["label"], first["fetched"]) == ("bob@pop.example", "bob", 2)
    assert first["error"] == {"exit": 77, "words": "no\\x1b"}


def test_the_summary_is_one_line_of_key_and_value() -> None:
    outcome = Outcome((account(Tally(listed=2, octets=99), LoginError("no")), account()), spooled=1, seconds=3.14159)
    assert outcome.summary() == (
        "exit=75 accounts=2 failed=1 listed=2 fetched=0 octets=99 delivered=0 deferred=0 refused=0 duds=0 deleted=0"
        " left=0 oversize=0 spooled=1 duds_in_a_row=0 seconds=3.14"
    )


def test_nobody_need_look_on() -> None:
    observer: Observer = Unobserved()
    observer.account_started("bob", 1, 1)
    observer.message_fetched("bob", 1)
    observer.message_settled("bob", "delivered")
    observer.account_ended("bob", None)
