"""The bench's own judgement must be able to fail."""

import hashlib

import pytest

from tests.bench.main import chosen_rows
from tests.bench.measure import Cost
from tests.bench.report import number
from tests.bench.rows import ROWS, parse
from tests.bench.stock import Sent, judge, message

NAMES = ("u0000-0", "u0000-1")
SENT = [message(name, "u0000", 2000) for name in NAMES]


def sent() -> dict[bytes, Sent]:
    found = {}
    for name, octets in zip(NAMES, SENT, strict=True):
        head, _, body = octets.partition(b"\n\n")
        lines = [line for line in head.split(b"\n") if not line.startswith((b"Return-Path:", b"Received:"))]
        found[name.encode()] = Sent(frozenset(lines), hashlib.sha256(body).digest())
    return found


def test_what_arrives_as_it_was_sent_is_right_with_a_trace_and_other_line_ends() -> None:
    traced = [b"Received: by us\r\n" + octets.replace(b"\n", b"\r\n") + b"\r\n" for octets in SENT]
    assert judge(sent(), traced) == ""


@pytest.mark.parametrize(
    ("arrived", "verdict"),
    [
        (SENT[:1], "1 missing (u0000-1 …)"),
        ([*SENT, SENT[0]], "1 twice (u0000-0 …)"),
        ([SENT[0], SENT[1].replace(b"\n..\n", b"\n.\n")], "1 altered (u0000-1 …)"),
        ([SENT[0], SENT[1].replace(b"From: Bench", b"From: Bank")], "1 altered (u0000-1 …)"),
        ([*SENT, b"Subject: stranger\n\nhello\n"], "1 unknown ( …)"),
    ],
)
def test_what_is_lost_or_doubled_or_altered_or_strange_is_said(arrived: list[bytes], verdict: str) -> None:
    assert judge(sent(), arrived) == verdict


def test_one_failed_run_takes_the_number_away() -> None:
    good = Cost(1.0, 0.1, 1, 1, "")
    assert number([good, good]).wall == 1.0
    assert number([good, good._replace(failed="1 missing")]).failed == "1 missing"


def test_rows_are_picked_by_pattern_or_written_out() -> None:
    assert chosen_rows([], []) == list(ROWS)
    assert [row.name for row in chosen_rows(["empty@*"], ["1m200"])] == ["empty@1m200/sink"]
    assert chosen_rows(["lognormal@56k150/postfix+tls"], []) == [parse("lognormal@56k150/postfix+tls")]
    with pytest.raises(ValueError, match="no such row"):
        chosen_rows(["lognormal@avian/sink"], [])
