"""popfetch.line: what is remembered of lines that are up, also as older programs wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.line.orphan import COMMAND, RAS, Orphan, dump, parse

words = st.lists(st.text(st.characters(min_codepoint=1), max_size=8), max_size=4).map(tuple)
orphans = st.builds(Orphan, st.just(COMMAND), words.filter(bool), words) | st.builds(
    Orphan, st.just(RAS), entry=st.text(max_size=8), number=st.text(max_size=8)
)


@given(st.lists(orphans, max_size=4, unique=True))
def test_what_was_remembered_comes_back(left: list[Orphan]) -> None:
    assert parse(dump(left)) == left


def test_a_line_is_remembered_once() -> None:
    one = Orphan(COMMAND, ("poff",))
    assert parse(dump([one, one])) == [one]


@pytest.mark.parametrize(
    ("octets", "left"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"pon isp '|' poff isp\n", [Orphan(COMMAND, ("poff", "isp"))]),
        (b"sh -c 'up; exit' '|' sh -c 'down \"$1\"' x\n", [Orphan(COMMAND, ("sh", "-c", 'down "$1"', "x"))]),
        (b'RAS entry "Provider"\n', [Orphan(RAS, entry="Provider")]),
        (b"RAS number 0123\n", [Orphan(RAS, number="0123")]),
        (b'RAS entry "B\xc3\xbcro", number 0123\n', [Orphan(RAS, entry="B\u00fcro", number="0123")]),
        (b'{"kind": "command", "down": ["poff"], "since": 1}\n', [Orphan(COMMAND, ("poff",))]),
    ],
)
def test_older_and_later_programs_are_understood(octets: bytes, left: list[Orphan]) -> None:
    assert parse(octets) == left


@pytest.mark.parametrize(
    "octets",
    [
        b"pon isp\n",
        b"pon '|'\n",
        b"a '|' b '|' c\n",
        b"pon 'isp\n",
        b"\xff\xfe\n",
        b"{}\n",
        b"{\n",
        b'{"kind": "command"}\n',
        b'{"kind": "command", "down": []}\n',
        b'{"kind": "command", "down": [1]}\n',
        b'{"kind": "command", "down": 1}\n',
        b'{"kind": "ras", "entry": 1}\n',
        b'{"kind": "carrier pigeon"}\n',
        b"{" + b'"a":[' * 3000 + b"\n",
    ],
)
def test_what_nobody_understands_is_still_a_line(octets: bytes) -> None:
    assert parse(octets) == [Orphan("")]


def test_one_that_nobody_understands_hides_no_other() -> None:
    one = Orphan(COMMAND, ("poff",))
    assert parse(b"?\n" + dump([one])) == [Orphan(""), one]
