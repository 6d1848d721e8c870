"""The for clause of a Received field, as servers write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.mail.trace import for_clause

FOUND = [
    (
        b"from a (a [192.0.2.1]) by mx.example.org (Postfix) with ESMTPS id 4X for <ben@example.org>; Fri, 27 Nov",
        b"ben@example.org",
    ),
    (b"from a by b with ESMTP id 5 for ben@example.org; Fri, 27 Nov 2026", b"ben@example.org"),
    (b"from a by b FOR <Ben@Example.org>", b"Ben@Example.org"),
    (b"from x (for <liar@evil.example>) by b id 1 for <ben@example.org>; d", b"ben@example.org"),
    (b"from x (a (for <liar@evil.example>) b) by b for <ben@example.org>; d", b"ben@example.org"),
    (b"from a by b id 1 (envelope-from <x@y>) for <ben@example.org> (single-drop); d", b"ben@example.org"),
    (b"for <ben@example.org>; d", b"ben@example.org"),
]
NONE = [
    b"from a by b with SMTP id 3; Fri, 27 Nov 2026 10:00:00 +0000",
    b"from a by b for some reason; d",
    b"from a by b for <postmaster>; d",
    b"from a by b; Fri for <liar@evil.example>",  # behind the semicolon stands the date
    b"from a by b (for <liar@evil.example>); d",
    b"from before@x by b wherefor <x@y>; d",
    b"",
]


@pytest.mark.parametrize(("value", "address"), FOUND)
def test_a_for_clause_names_the_recipient(value: bytes, address: bytes) -> None:
    assert for_clause(value) == [address]


@pytest.mark.parametrize("value", NONE)
def test_without_a_for_clause_nobody_is_named(value: bytes) -> None:
    assert for_clause(value) == []


@given(st.binary(max_size=300))
def test_any_value_names_one_or_nobody(value: bytes) -> None:
    assert len(for_clause(value)) <= 1
