"""pf_strip_prefix and pf_alias: what becomes of an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import values
from lib.mail.alias import aliased, rewriting, stripped_of

ALIASES = tuple(
    rewriting(values.alias(line))
    for line in (
        "info@example.org anna@example.org ben@example.org",
        "*@old.example *@new.example",
        "anna.*@example.org anna@example.org",
        "sales-*@example.org sales+*@example.org *@elsewhere.example",
        "*@example.org caught@example.org",
        "root postmaster@example.org",
    )
)
BECOMES = [
    (b"info@example.org", (b"anna@example.org", b"ben@example.org")),
    (b"INFO@Example.ORG", (b"anna@example.org", b"ben@example.org")),
    (b"Carl@old.example", (b"Carl@new.example",)),
    (b"anna.lists@example.org", (b"anna@example.org",)),
    (b"Anna.@example.org", (b"anna@example.org",)),
    (b"sales-de@example.org", (b"sales+de@example.org", b"de@elsewhere.example")),
    (b"anna@example.org", (b"caught@example.org",)),  # the first that fits, and not applied twice
    (b"root", (b"postmaster@example.org",)),
    (b"root@other.example", (b"root@other.example",)),
    (b"carl@old.example.evil", (b"carl@old.example.evil",)),
    (b"@old.example", (b"@new.example",)),
]


@pytest.mark.parametrize(("recipient", "becomes"), BECOMES)
def test_the_first_line_that_fits_decides(recipient: bytes, becomes: tuple[bytes, ...]) -> None:
    assert aliased(recipient, ALIASES)[0] == becomes


def test_what_stands_before_and_behind_the_star_may_not_be_the_same_octets() -> None:
    assert aliased(b"aba", (rewriting(values.Alias("ab*ba", ("x",))),)) == ((b"aba",), None)


STRIPPED = [
    (b"mbox-example-ben", b"ben"),
    (b"MBOX-example-Ben", b"Ben"),
    (b"mbox-ben", b"ben"),
    (b"mbox-example-", b"example-"),  # the longer one would leave nothing
    (b"mbox-", b"mbox-"),
    (b"ben", b"ben"),
    (b"xmbox-ben", b"xmbox-ben"),
]


@pytest.mark.parametrize(("local", "left"), STRIPPED)
def test_the_longest_prefix_goes_and_something_is_left(local: bytes, left: bytes) -> None:
    assert stripped_of(local, (b"mbox-", b"mbox-example-")) == left


@given(st.binary(max_size=80))
def test_any_octets_go_through(octets: bytes) -> None:
    assert aliased(octets, ALIASES)[0]
    assert octets.endswith(stripped_of(octets, (b"mbox-",)))


WRONG = [
    ("", "names nobody"),
    ("info@example.org", "names nobody"),
    ("a*b*c x@y", "more than one"),
    ("info@x *@y", "stands for nothing"),
    ("*@x **@y", "stands for nothing"),
    ("<a@x> b@y", "plain mail address"),
    ("a@x b@y,c@z", "plain mail address"),
    ("@x b@y", "not a mail address"),
]


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_a_line_that_is_wrong_says_why(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        values.alias(line)


@pytest.mark.parametrize("text", ["", "a b", "<x", "a@b", "a\x07", "x" * 65])
def test_what_is_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        values.prefix(text)


HEADERS = [
    ("Delivered-To", "Delivered-To"),
    ("Delivered-To:", "Delivered-To"),
    ("Delivered-To 2", "Delivered-To 2"),
    ("Delivered-To:  2", "Delivered-To 2"),
    ("Received", "Received"),
]


@pytest.mark.parametrize(("text", "value"), HEADERS)
def test_a_header_may_have_a_number_behind_it(text: str, value: str) -> None:
    assert values.header_place(text) == value


@pytest.mark.parametrize("text", ["X 0", "X -1", "X 1 2", "X 1001", "3", "X y", " 3"])
def test_what_is_no_header_and_number(text: str) -> None:
    if text.strip() == "3":
        assert values.header_place("3") == "3"  # an odd name, but one
        return
    with pytest.raises(ValueError, match="is "):
        values.header_place(text)
