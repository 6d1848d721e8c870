"""Who is fetched next: in one thread, as several would ask."""

import pytest

from lib.config.values import Account, Secret
from lib.errors import AccountError, LoginError, PopfetchError, TurnedAwayError, UnreachableError
from lib.report.outcome import AccountOutcome, Tally
from lib.run import turns
from lib.run.turns import Turns
from lib.store.state import HostState

HOST, OTHER = "pop.example.org:110", "other.example.org:110"


@pytest.fixture(autouse=True)
def breathless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "BREATH", 0)


def account(name: str) -> Account:
    """Return an account of HOST, or in capitals of OTHER."""
    host = (OTHER if name.isupper() else HOST).partition(":")[0]
    return Account(name, Secret("geheim"), host if name != "b" else host.upper())


def outcome(one: Account, error: PopfetchError | None = None) -> AccountOutcome:
    return AccountOutcome(one.id, one.user, Tally(), 0.0, error)


class Round:
    """A round over accounts of one letter each."""

    def __init__(self, names: str, known: dict[str, HostState] | None = None) -> None:
        self.stopped = False
        self.accounts = {name: account(name) for name in names}
        self.turns = Turns(self.accounts.values(), known or {}, lambda: self.stopped)

    def take(self, names: str) -> None:
        """Let these be taken now, in this order."""
        for name in names:
            taken = self.turns.take()
            assert taken is not None
            assert taken.user == name

    def may_go(self) -> str:
        return "".join(one.user for one in self.turns._may_go())

    def let_in(self, names: str) -> None:
        for name in names:
            self.turns.let_in(self.accounts[name])

    def over(self, names: str, error: PopfetchError | None = None) -> None:
        for name in names:
            self.turns.over(self.accounts[name], outcome(self.accounts[name], error))

    def told(self, name: str) -> str:
        found = self.turns.outcomes.get(self.accounts[name].id)
        return "" if found is None else str(found.error or "well")


AWAY, DEAD = TurnedAwayError("too many"), UnreachableError("refused")


def test_accounts_come_in_their_order_and_each_once() -> None:
    one = Round("abAc")
    one.take("abAc")
    assert one.turns.take() is None
    one.let_in("abAc")
    one.over("cAba")
    assert [one.told(name) for name in "abAc"] == ["well"] * 4
    assert one.turns.learned() == {}


def test_who_is_turned_away_comes_again_when_another_one_is_through() -> None:
    one = Round("abcA")
    one.take("abc")
    one.let_in("ab")
    one.over("c", AWAY)
    assert (one.may_go(), one.told("c")) == ("A", "")
    one.over("a")
    assert one.may_go() == "Ac"
    one.take("Ac")
    one.let_in("c")
    one.over("bc")
    assert one.told("c") == "well"
    assert one.turns.learned() == {HOST: HostState(sessions=2)}


def test_who_is_turned_away_before_the_others_are_let_in() -> None:
    one = Round("abc")
    one.take("abc")
    one.over("c", AWAY)
    assert one.may_go() == ""
    one.let_in("a")
    assert one.may_go() == ""  # there are two, of which one may yet be turned away
    one.over("b", AWAY)
    assert one.may_go() == ""
    one.over("a")
    assert one.may_go() == "cb"
    one.take("c")
    assert one.may_go() == ""
    one.let_in("c")
    one.over("c")
    one.take("b")
    one.let_in("b")
    one.over("b")
    assert one.turns.take() is None
    assert one.turns.learned() == {HOST: HostState(sessions=1)}


@pytest.mark.parametrize("error", [AWAY, DEAD])
def test_a_server_that_lets_nobody_in_is_called_once_by_each(error: PopfetchError) -> None:
    one = Round("abcd")
    one.take("abc")
    one.over("ab", error)
    assert (one.told("a"), one.may_go()) == ("", "")
    one.over("c", error)
    assert [one.told(name) for name in "abc"] == [str(error)] * 3
    one.take("d")
    one.over("d", error)
    assert one.told("d") == str(error)
    assert one.turns.take() is None
    assert one.turns.learned() == {}


def test_a_server_that_dies_meanwhile_is_not_called_again_by_who_was_turned_away() -> None:
    one = Round("abc")
    one.take("abc")
    one.let_in("a")
    one.over("bc", DEAD)
    one.over("a", AccountError("the server closed the connection"))
    one.take("b")
    one.over("b", DEAD)
    assert (one.told("b"), one.told("c")) == ("refused", "refused")
    assert one.turns.take() is None
    assert one.turns.learned() == {}


def test_who_waits_in_vain_until_the_others_are_through_comes_again() -> None:
    one = Round("abcd")
    one.take("abcd")
    one.let_in("ab")
    one.over("ab")
    one.over("c", DEAD)
    one.over("d", DEAD)  # alone now, but it was not all the time
    assert (one.told("c"), one.told("d")) == ("", "")
    one.take("cd")
    one.let_in("cd")
    one.over("cd")
    assert one.turns.take() is None
    assert one.turns.learned() == {HOST: HostState(sessions=2)}


def test_but_not_for_ever() -> None:
    one = Round("ab")
    one.take("ab")
    one.let_in("a")
    for _ in range(turns.PATIENCE - 1):
        one.over("b", AWAY)
        assert one.told("b") == ""
        one.stopped = True
        one.take("b")
        one.stopped = False
    one.over("b", AWAY)
    assert one.told("b") == "too many"


def test_any_other_error_is_the_accounts_own() -> None:
    one = Round("abc")
    one.take("abc")
    one.let_in("a")
    one.over("b", LoginError("wrong password"))
    one.over("c", AccountError("no UIDs"))
    assert [one.told(name) for name in "bc"] == ["wrong password", "no UIDs"]
    assert one.turns.learned() == {}


def test_what_is_known_is_kept_to_from_the_start_and_probed_when_it_binds() -> None:
    one = Round("abcA", {HOST: HostState(2, 5), "gone:110": HostState(1)})
    assert one.may_go() == "abcA"
    one.take("ab")
    assert one.may_go() == "A"
    one.let_in("ab")
    one.over("a")
    assert one.may_go() == "cA"
    assert one.turns.learned() == {HOST: HostState(2, 6), "gone:110": HostState(1)}


def test_a_halt_makes_nobody_wait() -> None:
    one = Round("abcd", {HOST: HostState(1)})
    one.take("a")
    assert one.may_go() == ""
    one.stopped = True
    one.take("bcd")
    one.over("bcd", AWAY)
    assert [one.told(name) for name in "bcd"] == ["too many"] * 3
    one.over("a")
    assert one.turns.take() is None


def test_an_account_that_was_not_visited_to_its_end_leaves_its_place() -> None:
    one = Round("ab", {HOST: HostState(1)})
    one.take("a")
    one.let_in("a")
    one.turns.over(one.accounts["a"], None)
    assert one.told("a") == ""
    one.take("b")


def test_a_second_session_of_an_account_is_still_the_same_turn() -> None:
    one = Round("ab")
    one.take("ab")
    one.let_in("aab")
    one.over("a", AWAY)  # it was in before: that is for the next pass
    assert one.told("a") == "too many"
    one.over("b")
    assert one.turns.take() is None
