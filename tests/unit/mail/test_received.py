"""Our Received field, and how a message shows by it that it goes in circles."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.mail import message, received
from lib.mail.received import Trace, digest

ACCOUNT = "bob@pop.example"
NOON = datetime(2026, 11, 23, 12, 0, 5, tzinfo=timezone(timedelta(hours=1)))


def ours(
    *recipients: bytes,
    account: str = ACCOUNT,
    host: str = "pop.example",
    ip: str = "192.0.2.1",
    when: datetime = NOON,
) -> bytes:
    return received.line(Trace(account, host, ip, "POP3S", "mail.example", when), recipients)


# The Received field


def test_the_received_field_says_where_the_message_came_from() -> None:
    assert ours() == (
        b"Received: from pop.example ([192.0.2.1]) by mail.example (popfetch\r\n"
        b"\tbob@pop.example) with POP3S; Mon, 23 Nov 2026 12:00:05 +0100\r\n"
    )


@pytest.mark.parametrize(
    ("recipients", "told"),
    [
        ((b"anna@example.org",), b"(popfetch bob@pop.example) with POP3S for <anna@example.org>; Mon,"),
        ((b"a@x", b"b@x"), b"(popfetch bob@pop.example %b %b) with POP3S; Mon," % (digest(b"a@x"), digest(b"b@x"))),
        ((b"anna",), b"(popfetch bob@pop.example %b) with POP3S; Mon," % digest(b"anna")),
        ((b'"a b"@x',), b"(popfetch bob@pop.example %b) with POP3S; Mon," % digest(b'"a b"@x')),
        (("m\xfcller@x".encode(),), b"(popfetch bob@pop.example %b) with POP3S; Mon," % digest("m\xfcller@x".encode())),
        ([b"%d@x" % one for one in range(21)], b"(popfetch bob@pop.example) with POP3S; Mon,"),
    ],
)
def test_it_tells_whom_it_was_for_one_by_name_and_several_by_digests(recipients: Sequence[bytes], told: bytes) -> None:
    assert told in ours(*recipients).replace(b"\r\n\t", b" ")


@pytest.mark.parametrize(
    ("host", "ip", "line"),
    [
        ("2001:db8::1", "2001:db8::1", b"from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by"),
        ("192.0.2.1", "192.0.2.1", b"from [192.0.2.1] ([192.0.2.1]) by"),
        ("fe80::1%eth0", "fe80::1%eth0", b"from [IPv6:fe80::1%25eth0] ([IPv6:fe80::1%25eth0])"),
        ("[127.0.0.1]", "", b"from [127.0.0.1] by"),
        ("", "", b"from unknown by"),
        ("b\xfccher.example", "192.0.2.1", b"from b%C3%BCcher.example ("),
        ("a\r\nBcc: (x)", "1;\r\n2", b"from [IPv6:a%0D%0ABcc:%20%28x%29] ([1%3B%0D%0A2]) by"),
        ("\udcff", "1", b"from %5Cudcff ("),
    ],
)
def test_hostile_and_odd_hosts_make_one_word(host: str, ip: str, line: bytes) -> None:
    assert line in ours(host=host, ip=ip).replace(b"\r\n\t", b" ")


@pytest.mark.parametrize(
    ("when", "date"),
    [
        (NOON, b"Mon, 23 Nov 2026 12:00:05 +0100"),
        (datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC), b"Sat, 2 Jan 2027 03:04:05 +0000"),
        (datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone(-timedelta(hours=3, minutes=30))), b"03:04:05 -0330"),
        (datetime(2027, 1, 2, 3, 4, 5), b"03:04:05 -0000"),  # noqa: DTZ001 - RFC 5322 has a word for it
    ],
)
def test_the_date_is_rfc_5322(when: datetime, date: bytes) -> None:
    assert ours(when=when).replace(b"\r\n\t", b" ").endswith(date + b"\r\n")


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(minutes=345))])))
def test_the_date_is_read_by_others_as_it_was(when: datetime) -> None:
    date = ours(when=when).rpartition(b";")[2].replace(b"\r\n\t", b" ").decode()
    assert parsedate_to_datetime(date) == when.replace(microsecond=0) or when.year < 1000


@given(st.tuples(*[st.text(max_size=500)] * 5), st.lists(st.binary(max_size=400), min_size=1, max_size=20))
def test_whatever_the_names_hold_it_is_one_field_and_known_again(names: tuple[str, ...], whom: list[bytes]) -> None:
    account, host, ip, protocol, by = names
    line = received.line(Trace(account, host, ip, f"POP3{protocol}", by, NOON), whom)
    head = message.scan(line + b"A: b\r\n\r\n")
    assert [field.name for field in head.fields] == [b"received", b"a"]
    assert line.replace(b"\r\n\t", b" ").removesuffix(b"\r\n").decode("ascii").isprintable()
    assert max(map(len, line.split(b"\r\n"))) <= 998
    assert received.circles(head, account, whom)


@given(st.text("ab (-_.@/", min_size=1, max_size=90), st.text("abc.", min_size=1, max_size=60))
def test_lines_are_folded_below_78_columns_where_a_word_allows(account: str, host: str) -> None:
    for line in ours(account=account, host=host).split(b"\r\n"):
        assert len(line.expandtabs(8)) <= 78 or line.strip().count(b" ") <= 1


# Circles

ANN, BEN, CAT, CHEF = b"ann@x.org", b"ben@x.org", b"cat@x.org", b"chef@x.org"
OLD = b"Received: from pop.example by mail.example (popfetch bob@pop.example) with POP3S; Mon, 23 Nov 2026 12:00\r\n"
OTHER = b"Received: from a by b; x\r\n"
SAME, OFTEN, MANY = "for the same recipients", "by this program 5 times", "more than 100 Received lines"


def circles(*fields: bytes, to: Sequence[bytes] = (ANN,), account: str = ACCOUNT) -> str:
    return received.circles(message.scan(b"".join(fields) + b"A: b\r\n\r\n"), account, to)


@pytest.mark.parametrize(
    ("fields", "to", "why"),
    [
        ((), (ANN,), ""),
        ((OTHER,), (ANN,), ""),
        ((OTHER, ours(ANN)), (ANN,), SAME),
        ((ours(ANN), OTHER), (b"Ann@X.org",), SAME),
        ((ours(ANN),), (BEN,), ""),  # ann resent it to ben, whose mail comes by the same account
        ((ours(ANN), ours(BEN)), (CAT,), ""),
        ((ours(ANN), ours(BEN)), (BEN,), SAME),
        ((ours(ANN), ours(BEN)), (BEN, ANN), SAME),
        ((ours(ANN, BEN),), (ANN, BEN), SAME),
        ((ours(ANN, BEN),), (BEN,), SAME),
        ((ours(ANN, BEN),), (ANN, CAT), ""),  # cat has not had it
        ((ours(ANN, BEN),), (CAT,), ""),
        ((ours(ANN, account="carl@pop.example"),), (ANN,), ""),
        ((ours(ANN, account="bob@pop.example:1110"),), (ANN,), ""),
        ((OLD,), (ANN,), ""),  # it does not tell whom it was for: ann may have resent it
        ((OLD, OLD), (ANN,), SAME),
        ((OLD, ours(BEN)), (ANN,), ""),
        ((OLD, ours(ANN)), (ANN,), SAME),
        ((ours(*[b"%d@x" % one for one in range(21)]),), (ANN,), ""),
        ((ours(*[b"%d@x" % one for one in range(21)]),) * 2, (ANN,), SAME),
        ((*(ours(b"%d@x" % one) for one in range(4)),), (ANN,), ""),
        ((*(ours(b"%d@x" % one) for one in range(5)),), (ANN,), OFTEN),
        ((*(ours(b"%d@x" % one, account=f"{one}@y") for one in range(5)),), (ANN,), OFTEN),
        ((OTHER,) * 100, (ANN,), ""),
        ((OTHER,) * 101, (ANN,), MANY),
        ((ours(ANN),), (), ""),
        ((OTHER,) * 101, (), MANY),
        (
            (b"Received: from x (popfetch bob@pop.example) by provider.example with ESMTP for <ann@x.org>; x\r\n",),
            (ANN,),
            "",
        ),
        (
            (b"Received: from (popfetch bob@pop.example) ([1.2.3.4]) by mx with ESMTP for <ann@x.org>; x\r\n",),
            (ANN,),
            "",
        ),
        ((b"X-Note: " + ours(ANN),), (ANN,), ""),
        ((b"Subject: x\r\n\r\n" + ours(ANN),), (ANN,), ""),
    ],
)
def test_who_has_had_it_by_this_account_does_not_get_it_again(
    fields: tuple[bytes, ...], to: tuple[bytes, ...], why: str
) -> None:
    found = circles(*fields, to=to)
    assert found == (found if why and why in found else "")
    assert bool(found) == bool(why)


@pytest.mark.parametrize("account", ["bob@pop.example", "Bob@pop.example:1110", "J\xfcrgen (home)", "50%\\", "a b", ""])
@pytest.mark.parametrize("to", [(ANN,), (ANN, BEN), (b"\xff",)])
def test_whatever_an_account_is_called_it_is_known_again(account: str, to: tuple[bytes, ...]) -> None:
    assert circles(OTHER, ours(*to, account=account), to=to, account=account)


@pytest.mark.parametrize(
    "change",
    [bytes.lower, bytes.upper, lambda line: line.replace(b" ", b"\n \t").replace(b"Received:\n", b"Received:")],
)
@pytest.mark.parametrize("to", [(ANN,), (ANN, BEN)])
def test_case_and_folding_hide_nothing(change: object, to: tuple[bytes, ...]) -> None:
    assert callable(change)
    assert circles(change(ours(*to)), to=to)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [((), False), ((ours(ANN),), False), ((ours(CHEF),), True), ((ours(ANN), ours(CHEF)), True), ((OLD,) * 9, False)],
)
def test_who_had_it_is_known(fields: tuple[bytes, ...], expected: bool) -> None:
    head = message.scan(b"".join(fields) + b"\r\n")
    assert received.had(head, ACCOUNT, CHEF) is expected
    assert not received.had(head, "another", CHEF)
