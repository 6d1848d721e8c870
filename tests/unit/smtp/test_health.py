"""What all connections together know of the receiver."""

import pytest

from lib.delivery.queued import DeliveryRequest, QueuedMessage, Tried
from lib.mail.message import scan
from lib.smtp.health import Health, Learned
from lib.smtp.verdict import Next, Then

LATER, BREAK = Then.DEFER_MESSAGE, Then.BREAK_OFF


def request(key: str, tried: Tried = Tried.NEVER, account: str = "bob@x") -> DeliveryRequest:
    values = dict.fromkeys(QueuedMessage._fields, b"") | {
        "account": account,
        "key": key,
        "tried": tried,
        "head": scan(b""),
    }
    return DeliveryRequest(QueuedMessage(**values), b"", (b"me@x.org",), b"")  # type: ignore[arg-type]


def failed(health: Health, one: DeliveryRequest, then: Then = LATER, *, fresh: bool = True, slow: bool = False) -> Next:
    return health.failed(one, then, fresh=fresh, slow=slow)


# --- connections ------------------------------------------------------------------------------------------------------


def test_the_receiver_is_down_when_no_connection_works_and_says_so_once() -> None:
    health = Health()
    health.opens("one")
    health.ended("one")
    assert health.down()
    assert not health.down()


def test_it_is_not_down_while_another_is_open_or_being_opened() -> None:
    health = Health()
    health.opens("one")
    health.opens("two")
    assert not health.others("one")  # it may yet be refused
    health.works("two")
    assert health.others("one")
    assert not health.others("two")
    health.ended("two")
    assert not health.down()
    assert not health.others("one")
    health.ended("one")
    assert health.down()


def test_a_receiver_that_is_condemned_is_down_whoever_works() -> None:
    health = Health()
    health.opens("one")
    health.condemn()
    assert health.down()


# --- a setting that may help ------------------------------------------------------------------------------------------


def test_advice_is_given_where_nothing_was_taken() -> None:
    health = Health()
    assert health.advice == ""
    health.failed(request("a"), BREAK, fresh=True, slow=False, advice="see pf_smtp_tls")
    failed(health, request("b"), BREAK)
    assert health.advice == "see pf_smtp_tls"


def test_none_is_needed_where_a_message_was_taken_or_the_receiver_is_down() -> None:
    well, down = Health(), Health()
    for health in (well, down):
        health.failed(request("a"), BREAK, fresh=True, slow=False, advice="see pf_smtp_tls")
    well.taken(request("b"), 1)
    down.condemn()
    assert (well.advice, down.advice) == ("", "")


# --- messages ---------------------------------------------------------------------------------------------------------


def test_three_different_messages_in_a_row_are_the_receiver() -> None:
    health = Health()
    found = [failed(health, request(key)) for key in "abc"]
    assert found == [Next.WAITS, Next.WAITS, Next.STOPS]
    assert health.in_a_row == 3
    assert health.down()


def test_the_same_message_counts_once_and_those_of_two_accounts_are_two() -> None:
    health = Health()
    assert [failed(health, request("a"), BREAK) for _ in range(4)] == [Next.BEHIND] * 4
    assert failed(health, request("a", account="ann@x")) is Next.WAITS
    assert failed(health, request("b")) is Next.STOPS


def test_a_message_that_is_taken_between_them_resets_the_count() -> None:
    health = Health()
    for key in "abcdef":
        assert failed(health, request(key)) is Next.WAITS
        if key in "bd":
            health.taken(request("x"), 1)
    assert health.in_a_row == 2
    assert health.passed


@pytest.mark.parametrize("tried", [Tried.PUT_OFF, Tried.BROKE])
def test_what_failed_before_counts_for_nothing(tried: Tried) -> None:
    health = Health()
    assert {failed(health, request(str(number), tried)) for number in range(9)} == {Next.WAITS}
    assert health.in_a_row == 0


def test_a_second_failure_in_this_pass_counts_for_nothing_either() -> None:
    health = Health()
    failed(health, request("a"))
    failed(health, request("b"))
    one = request("c")
    one.broke = True
    assert failed(health, one) is Next.WAITS


def test_after_a_pass_that_ended_like_that_more_are_needed_unless_it_was_silent() -> None:
    health = Health(Learned(stopped=1))
    assert [failed(health, request(str(number))) for number in range(12)] == [Next.WAITS] * 11 + [Next.STOPS]
    assert health.learned.stopped == 2
    slow = Health(Learned(stopped=1))
    assert [failed(slow, request(key), slow=True) for key in "abc"][-1] is Next.STOPS


@pytest.mark.parametrize(("taken", "stopped"), [(True, 0), (False, 1)])
def test_a_pass_that_ended_otherwise_is_no_such_pass(taken: bool, stopped: int) -> None:
    health = Health(Learned(stopped=1))
    if taken:
        health.taken(request("a"), 1)
    assert health.learned.stopped == stopped


# --- what it cannot bear ----------------------------------------------------------------------------------------------


def used_up(number: int) -> DeliveryRequest:
    one = request("x")
    one.used_up = number
    return one


def test_a_limit_is_known_when_two_connections_ended_at_it_and_a_fresh_one_went_on() -> None:
    health = Health()
    health.taken(used_up(100), 1)
    assert (health.limit(), health.learned.limit) == (0, 0)
    health.taken(used_up(7), 1)
    health.taken(used_up(100), 1)
    assert (health.limit(), health.learned.limit) == (100, 100)


def test_the_first_connection_of_a_pass_shows_whether_a_limit_still_holds() -> None:
    health = Health(Learned(limit=10))
    assert [health.limit(), health.limit()] == [0, 10]
    health.taken(request("x"), 10)
    assert health.learned.limit == 10
    health.taken(request("x"), 11)
    assert (health.limit(), health.learned.limit) == (0, 0)


def test_a_receiver_that_stumbled_is_remembered() -> None:
    health = Health()
    assert not health.alone
    health.stumbled()
    assert health.alone
    assert Health(health.learned).alone


# --- what is said of messages and not of connections ------------------------------------------------------------------


def test_gists_are_kept_up_to_a_hundred_and_then_no_more() -> None:
    health = Health()
    for number in range(200):
        health.heard_afresh({b"451 %d" % number})
    assert health.said_afresh == {b"451 %d" % number for number in range(100)}
