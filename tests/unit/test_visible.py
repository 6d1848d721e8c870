"""What is shown of words from outside."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.visible import LONGEST, Mask, escaped, quoted, shortened, visible


@given(st.one_of(st.text(), st.binary()))
def test_nothing_unprintable_is_ever_seen(words: str | bytes) -> None:
    assert visible(words).isprintable()


@given(st.text(st.characters(), max_size=50))
def test_lone_surrogates_are_seen_too(words: str) -> None:
    visible(words).encode("utf-8")


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ("plain words", "plain words"),
        (b"Gr\xc3\xbc\xc3\x9fe", "Grüße"),
        (b"caf\xe9", r"caf\xe9"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("line\r\nline", r"line\x0d\x0aline"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("tag\U000e0041", r"tag\U000e0041"),
        (r"C:\mail", r"C:\mail"),
    ],
)
def test_what_is_not_printable_is_escaped(words: str | bytes, seen: str) -> None:
    assert visible(words) == seen


def test_what_is_too_long_is_cut_and_its_length_told() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * 100_000) == "x" * LONGEST + "...(100000 in all)"
    assert visible(b"\0" * 9, 3) == r"\x00\x00\x00...(9 in all)"


def test_quotes_can_be_undone() -> None:
    assert quoted('say "a\\b"') == r'"say \"a\\b\""'


def test_no_secret_is_seen_as_it_stands() -> None:
    mask = Mask()
    mask.hide("hunter22")
    assert mask.masked("-ERR hunter22 is wrong, hunter22!") == "-ERR *** is wrong, ***!"


def test_short_secrets_do_not_black_out_the_log() -> None:
    mask = Mask()
    mask.hide("12345")
    assert mask.masked("size=12345") == "size=12345"


def test_the_longer_of_two_secrets_wins() -> None:
    mask = Mask()
    mask.hide("hunter22")
    mask.hide("hunter22-and-more")
    assert mask.masked("hunter22-and-more") == "***"


SECRETS = st.text(st.characters(codec="utf-8"), min_size=6, max_size=40)


@given(SECRETS, st.binary(max_size=9), st.binary(max_size=9))
def test_no_secret_is_seen_inside_base64(secret: str, before: bytes, after: bytes) -> None:
    mask = Mask()
    mask.hide(secret)
    coded = b64encode(before + secret.encode() + after).decode()
    shown = mask.masked(coded)
    assert "***" in shown
    # At most the characters that mix bits of the secret with a neighbour's are left of it.
    assert len(shown) - 3 <= (len(before + after) + 2) // 3 * 4 + 8


@given(st.lists(SECRETS, min_size=20, max_size=30), st.text(max_size=9), st.text(max_size=9))
def test_no_secret_is_seen_among_many(secrets: list[str], before: str, after: str) -> None:
    mask = Mask()
    for secret in secrets:
        mask.hide(secret)
    for secret in secrets:
        assert "***" in mask.masked(before + secret + after)
    assert mask.masked("***") == "***"


@given(SECRETS)
def test_no_secret_is_seen_escaped_or_quoted(secret: str) -> None:
    mask = Mask()
    mask.hide(secret)
    for spelling in (secret, escaped(secret), escaped(quoted(secret)), repr(secret), repr(secret.encode())):
        assert "***" in mask.masked(spelling)


def test_a_secret_is_masked_before_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = Mask()
    monkeypatch.setattr("lib.visible.masked", mask.masked)
    token = "t0ken" * LONGEST
    mask.hide(token)
    assert visible(f"auth={token}") == "auth=***...(10005 in all)"
