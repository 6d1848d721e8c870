"""Whose mailbox it is: which earlier account a new one is taken for, and that one that merely looks alike is not."""

import pytest

from lib.store.identity import Who, claim, same_user
from lib.store.journal_facts import Entry, Status, uid_key

DELIVERED, SPOOLED, LEFT = Status.DELIVERED, Status.SPOOLED, Status.LEFT
Entries = dict[str, Entry]


def who(name: str, user: str = "", address: str = "") -> Who:
    user = user or name.rpartition("@")[0]
    return Who(name, user, address or name)


def kept(*uids: str, size: int = 0) -> Entries:
    return {uid_key(uid.encode()): Entry(uid_key(uid.encode()), DELIVERED, size=size) for uid in uids}


def gone(*uids: str) -> Entries:
    entries = kept(*uids)
    for entry in entries.values():
        entry.deletion = "promised"
    return entries


def listed(*uids: str, size: int = 100) -> dict[bytes, int]:
    return {uid.encode(): size for uid in uids}


OLD = "anna@pop.example.org"
CASES = {
    "a host respelt": (who("anna@pop3.example.org"), kept("a", "b"), listed("a", "b", "c"), "UIDs"),
    "another port": (who("anna@pop.example.org:1110"), kept("a"), listed("a"), "UIDs"),
    "a login with its domain": (who("anna@example.org@pop.example.org"), kept("a"), listed("a"), "UIDs"),
    "a login in capitals": (who("ANNA@pop.example.org"), kept("a"), listed("a"), "UIDs"),
    "a name= that was added": (who("work", "anna", OLD), kept("a"), listed("a"), "UIDs"),
    "most of it was deleted by hand": (who("anna@new"), kept("a", "b", "c", "d"), listed("d"), "UIDs"),
    "nothing was kept there": (who("anna@new"), gone("a"), listed("x"), "user"),
    "an empty mailbox": (who("anna@new"), gone("a"), {}, "user"),
    "the user's name at another provider": (who("anna@new"), kept("a", "b"), listed("x", "y"), None),
    "one UID of many by chance": (who("anna@new"), kept("1", "2", "3"), listed("1", "7", "8", "9"), None),
    "what was deleted there is here": (who("anna@new"), gone("a"), listed("a"), None),
    "another user, the same UIDs and sizes": (
        who("info@new"),
        kept("a", "b", "c", size=100),
        listed("a", "b", "c", "d"),
        "UIDs and sizes",
    ),
    "another user, UIDs that count from 1": (who("info@new"), kept("1", "2", "3", size=7), listed("1", "2", "3"), None),
    "another user, too few": (who("info@new"), kept("a", "b", size=100), listed("a", "b"), None),
    "another user, less than half": (
        who("info@new"),
        kept("a", "b", "c", size=100),
        listed("a", "b", "c", "d", "e", "f", "g"),
        None,
    ),
    "another user whose name begins alike": (who("annabel@new"), kept("a"), listed("a"), None),
    "two domains": (who("anna@one.org@h", "anna@one.org"), kept("a"), listed("a"), "UIDs"),
}


@pytest.mark.parametrize("case", CASES)
def test_which_earlier_account_it_is(case: str) -> None:
    account, entries, uids, why = CASES[case]
    found = claim(account, uids, {OLD: entries}, [account])
    assert (found is not None) == (why is not None)
    if found is not None and why is not None:
        assert found.old == OLD
        assert why in found.why


def test_an_account_that_dmail_conf_still_names_is_nobody_elses() -> None:
    new = who("anna@new")
    assert claim(new, listed("a"), {OLD: kept("a")}, [new, who(OLD)]) is None


def test_an_account_that_the_journal_knows_is_itself() -> None:
    new = who("anna@new")
    assert claim(new, listed("a"), {OLD: kept("a"), new.id: kept("z")}, [new]) is None


def test_of_two_earlier_ones_the_uids_decide() -> None:
    new = who("anna@new")
    known = {OLD: kept("a"), "anna@older": kept("b")}
    found = claim(new, listed("b"), known, [new])
    assert found is not None
    assert found.old == "anna@older"
    assert claim(new, listed("a", "b"), known, [new]) is None
    assert claim(new, {}, {OLD: gone("a"), "anna@older": gone("b")}, [new]) is None


def test_of_two_new_ones_the_uids_decide() -> None:
    one, other = who("anna@one"), who("anna@other")
    assert claim(one, listed("x"), {OLD: gone("a")}, [one, other]) is None
    found = claim(one, listed("a"), {OLD: kept("a")}, [one, other])
    assert found is not None


def test_ones_own_address_comes_first() -> None:
    new = who("work", "anna", OLD)
    found = claim(new, {}, {OLD: gone("a"), "anna@older": gone("b")}, [new])
    assert found is not None
    assert found.old == OLD


def test_what_the_program_writes_itself_is_no_account() -> None:
    new = who("(notices)@new", "(notices)")
    assert claim(new, {}, {"(notices)": gone("a")}, [new]) is None


def test_mail_in_the_spool_should_be_listed_until_it_may_be_deleted() -> None:
    new = who("anna@new")
    entry = Entry(uid_key(b"a"), SPOOLED, number=1)
    assert claim(new, listed("x"), {OLD: {entry.key: entry}}, [new]) is None
    entry.lasting = True  # its DELE may have gone out
    assert claim(new, listed("x"), {OLD: {entry.key: entry}}, [new]) is not None


@pytest.mark.parametrize(
    ("old", "user", "same"),
    [
        ("anna@h", "anna", True),
        ("anna@h", "anna@x.org", True),
        ("anna@x.org@h", "anna", True),
        ("anna@x.org@h", "anna@y.org", False),
        ("anna@x.org@h", "anna@X.ORG", True),
        ("work", "anna", False),
        ("anna@h", "ann", False),
    ],
)
def test_whether_two_have_the_same_user(old: str, user: str, same: bool) -> None:
    assert same_user(old, Who("new", user, "new")) is same
