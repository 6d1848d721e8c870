"""Addresses in header values: what is found, what may be sent to, what is one mailbox."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.mail.address import MAX_ADDRESS, MAX_ADDRESSES, in_ascii, mailbox_key, parse, safe

OCTETS = 48 << 10


@pytest.mark.parametrize(
    ("value", "found"),
    [
        # RFC 5322, appendix A, and what is usual
        (b"", []),
        (b"anna@x.example", [b"anna@x.example"]),
        (b"anna+tag=1@x-y.example", [b"anna+tag=1@x-y.example"]),
        (b"<anna@x.example>", [b"anna@x.example"]),
        (b"Anna Smith <anna@x.example>", [b"anna@x.example"]),
        (b'"Smith, Anna" <anna@x>, Bob <bob@y>,carl@z', [b"anna@x", b"bob@y", b"carl@z"]),
        (b'"Giant; \\"Big\\" Box" <sysservices@example.net>', [b"sysservices@example.net"]),
        (b"Joe Q. Public <john.q.public@example.com>", [b"john.q.public@example.com"]),
        (b"bob", [b"bob"]),
        (b"bob, carl,dora", [b"bob", b"carl", b"dora"]),
        (b"Bob <bob>", [b"bob"]),
        (b"a@x;b@y;", [b"a@x", b"b@y"]),
        (b",, a@x ,,b@y, ,", [b"a@x", b"b@y"]),
        # groups
        (b"undisclosed-recipients:;", []),
        (b"undisclosed recipients: ;", []),
        (
            b"A Group:Ed Jones <joe@a.test>,joe@b.test,John <jdoe@c.test>;",
            [b"joe@a.test", b"joe@b.test", b"jdoe@c.test"],
        ),
        (b"G: a@x, H: b@y;;, c@z", [b"a@x", b"b@y", b"c@z"]),
        (b'"a@x": b@y;', [b"b@y"]),
        # comments
        (b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", [b"pete@silly.test"]),
        (b"bob@x (Bob (the) Builder), (alone)", [b"bob@x"]),
        (b"(a@x) b (c@y) @ (d) z (<e@f>)", [b"b@z"]),
        (b"bob(Smith)", [b"bob"]),
        # quotes
        (b'"anna b"@x', [b'"anna b"@x']),
        (b'<"anna, b"@x>', [b'"anna, b"@x']),
        (b'"a@b"@x', [b'"a@b"@x']),
        (b'"a@x" <b@y>', [b"b@y"]),
        (b'"a@x"', []),
        (b'"Anna"', []),
        # obsolete forms
        (b"<@a,@b:anna@x>", [b"anna@x"]),
        (b"Anna <@a.example,,@[192.0.2.1] , @b : anna@x>", [b"anna@x"]),
        (b"@a,@b:anna@x", [b"@a", b"anna@x"]),
        (b"anna @ x.example", [b"anna@x.example"]),
        (b"< anna @ x >", [b"anna@x"]),
        # literals
        (b"anna@[192.0.2.1]", [b"anna@[192.0.2.1]"]),
        (b"Anna <anna@[IPv6:2001:db8::1]>, b@y", [b"anna@[IPv6:2001:db8::1]", b"b@y"]),
        # encoded words are names, and within an address they are what they are
        (b"=?utf-8?q?J=C3=BCrgen?= <j@x>", [b"j@x"]),
        (b"=?utf-8?q?bob@y?= <j@x>", [b"j@x"]),
        (b"=?utf-8?q?bob@y?=", []),
        (b"=?utf-8?b?Ym9iQHk=?=", []),
        (b"=?utf-8?q?<bob@y>,carl@z:?= <j@x>", [b"j@x"]),
        (b"=?utf-8?q?bob?=@x", [b"=?utf-8?q?bob?=@x"]),
        (b"=?broken", []),
        # UTF-8
        (b"J\xc3\xbcrgen <j\xc3\xbcrgen@b\xc3\xbccher.example>", [b"j\xc3\xbcrgen@b\xc3\xbccher.example"]),
        # mistakes
        (b"Anna Smith", []),
        (b"a@x b@y", [b"a@x", b"b@y"]),
        (b"Anna anna@x", [b"anna@x"]),
        (b"a@x <b@y>", [b"b@y"]),
        (b"<a@x> b@y, c@z", [b"a@x", b"c@z"]),
        (b"<a@x><b@y> <c@z>", [b"a@x", b"b@y", b"c@z"]),
        (b"<a@x", [b"a@x"]),
        (b"Anna <a@x, Bob <b@y; c@z", [b"a@x", b"b@y", b"c@z"]),
        (b"<<a@x>>", [b"a@x"]),
        (b"a@x>", [b"a@x"]),
        (b"<>", []),
        (b"Anna <>, <   >", []),
        (b'"Anna <a@x>', [b"a@x"]),
        (b'Anna" <a@x>, "B" <b@y>', [b"b@y"]),
        (b"a@x (Anna", [b"a@x"]),
        (b"a@x (Anna (b)", [b"a@x"]),
        (b"a@x ) , b@y", [b"a@x", b"b@y"]),
        (b"a@[192.0.2.1", [b"a@[192.0.2.1"]),
        (b"<mailto:a@x>", [b"mailto:a@x"]),
        (b"<a b@x>", [b"a b@x"]),
        (b"a@@x", [b"a@@x"]),
        (b"<a@x\r\nDATA>", [b"a@x\r\nDATA"]),
        (b"<a@x\0>", [b"a@x\0"]),
    ],
)
def test_addresses_are_found_as_people_meant_them(value: bytes, found: list[bytes]) -> None:
    assert parse(value) == found


def test_only_quotes_that_close_hide_anything() -> None:
    assert parse(b'Anna" <a@x>, b@y') == [b"a@x", b"b@y"]


@pytest.mark.parametrize(
    "address",
    [
        b"bob",
        b"bob@x.example",
        b"b..ob.@x",
        b"-bob/+#$&'*=?^_`{|}~@x",
        b'"anna b"@x',
        b'"a\\"b\\\\"@x',
        b'""@x',
        b"bob@[192.0.2.1]",
        b"bob@[IPv6:2001:db8::1]",
        b"bob@x_y.example.",
        b"j\xc3\xbcrgen@b\xc3\xbccher.example",
        b'"j\xc3\xbc"@x',
        b"=?utf-8?q?bob?=@x",
        b"b" * (MAX_ADDRESS - 2) + b"@x",
    ],
)
def test_an_address_that_a_receiver_can_be_given_is_safe(address: bytes) -> None:
    assert safe(address)


@pytest.mark.parametrize(
    "address",
    [
        b"",
        b"@",
        b"@x",
        b"bob@",
        b"a@b@x",
        b"a b@x",
        b"bob@x y",
        b"bob @x",
        b"bob@x\r\nDATA",
        b"bob@x\n",
        b"bob\r@x",
        b"bob\0@x",
        b"bob\x1b[2J@x",
        b"bob\x7f@x",
        b'"bob\r\n"@x',
        b'"bob\\\n"@x',
        b'"bob\t"@x',
        b"<bob@x>",
        b"bob>@x",
        b'"bob>"@x',
        b'"bob\\<"@x',
        b"bob@x> SIZE=0",
        b'"bob"smith@x',
        b'"bob@x',
        b'bob"@x',
        b"bob,carl@x",
        b"@a:bob@x",
        b"bob@[192.0.2.1",
        b"bob@[a]b]",
        b"bob@[a b]",
        b"bob@[a@b]",
        b"bob@[a>]",
        b"mailto:bob@x",
        b"(c)bob@x",
        # a route in disguise
        b"victim%victim.example@x",
        b"victim%victim.example",
        b"victim.example!victim@x",
        b"victim.example!victim",
        b'"victim@victim.example"@x',
        b'"victim\\@victim.example"@x',
        b'"victim%victim.example"@x',
        b'"victim.example!victim"@x',
        # octets over 127 that are not text, or not to be seen
        b"j\xfcrgen@x",
        b"bob@\xff",
        b"bob\xc2\x85@x",
        b"bob\xe2\x80\xae@x",
        b"bob\xe2\x80\xa8@x",
        b"bob\xed\xa0\x80@x",
        b"b" * (MAX_ADDRESS - 1) + b"@x",
    ],
)
def test_what_might_say_more_than_an_address_is_not_safe(address: bytes) -> None:
    assert not safe(address)


@given(st.one_of(st.binary(max_size=300), st.text('ab"\\@<>%! .\r\n[]:\xfc', max_size=30).map(str.encode)))
def test_a_safe_address_ends_no_command(address: bytes) -> None:
    if safe(address):
        assert not set(address) & {*range(32), 127, *b"<>%!"}
        assert address.count(b"@") <= 1
        assert b" " not in address or address.startswith(b'"')
        assert len(address) <= 254


VALUES = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"bob@x",
                b'"',
                b"\\",
                b"(",
                b")",
                b"<",
                b">",
                b",",
                b";",
                b":",
                b"@",
                b"[",
                b"]",
                b" ",
                b"=?u?q?x?=",
            ]
        ),
        max_size=30,
    ).map(b"".join),
)


@given(VALUES)
def test_any_value_has_addresses_that_stand_in_it(value: bytes) -> None:
    for address in parse(value):
        assert address
        assert set(address) <= set(value.replace(b"\t", b" "))  # white space between words is one space
        assert not address.startswith(b" ")
        assert not address.endswith(b" ")


@given(st.lists(st.from_regex(rb"[a-z]{1,9}@[a-z]{1,9}", fullmatch=True), max_size=9), VALUES)
def test_what_follows_a_list_does_not_change_what_was_found_before(addresses: list[bytes], junk: bytes) -> None:
    listed = b"".join(b"A B <%b>, " % address for address in addresses)
    assert parse(listed + junk)[: len(addresses)] == addresses or b'"' in junk or b"(" in junk


@given(VALUES)
def test_what_safe_says_of_a_safe_address_it_says_when_it_is_read_again(value: bytes) -> None:
    for address in parse(value):
        if safe(address):
            assert parse(b"<%b>" % address) == [address]


def seconds(value: bytes) -> float:
    began = process_time()
    parse(value)
    return process_time() - began


@pytest.mark.parametrize(
    "piece",
    [
        *(bytes([octet]) for octet in b'()"\\<>,;:@[] a\xff'),
        *(b"()", b"(\\", b'"\\', b'\\"', b"<@a:", b"<@", b"[[", b"a ", b"a@", b"=?", b"=?a?q?", b"=?a?q?b?=", b"<>"),
        *(b'""', b"((\\)", b"a:", b'("', b"<a", b'"(', b"@a:", b"a,", b"a@b "),
    ],
    ids=repr,
)
def test_four_times_as_much_of_anything_takes_about_four_times_as_long(piece: bytes) -> None:
    value = piece * (OCTETS // len(piece))
    assert any(seconds(value * 4) < 10 * max(seconds(value), 0.005) for _ in range(5))


def test_more_addresses_than_anybody_has_are_not_told_apart() -> None:
    assert len(parse(b"a@x," * MAX_ADDRESSES)) == MAX_ADDRESSES
    assert len(parse(b"a@x," * (MAX_ADDRESSES + 5))) == MAX_ADDRESSES + 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"Bob@X.Example", b"bob@x.example"),
        (b"J\xc3\x9cRGEN@x", b"j\xc3\xbcrgen@X"),
        (b"stra\xc3\x9fe@x", b"STRASSE@x"),
        (b"\xff@X", b"\xff@x"),
    ],
)
def test_case_makes_no_other_mailbox(one: bytes, other: bytes) -> None:
    assert mailbox_key(one) == mailbox_key(other)


@pytest.mark.parametrize(("one", "other"), [(b"bob@x", b"bob@y"), (b"bob", b"bob@x"), (b"a\xff@x", b"a\xfe@x")])
def test_another_mailbox_is_another(one: bytes, other: bytes) -> None:
    assert mailbox_key(one) != mailbox_key(other)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("a@example.org", "a@example.org"),
        ("a@b\xfccher.example", "a@xn--bcher-kva.example"),
        ("\xe4@b\xfccher.example", "\xe4@xn--bcher-kva.example"),
        ("\xe4@example.org", "\xe4@example.org"),
        ("m\xfcller", "m\xfcller"),
        ("a@" + "\xfc" * 70, "a@" + "\xfc" * 70),
    ],
)
def test_a_domain_goes_out_in_ascii_and_a_local_part_as_it_is(written: str, sent: str) -> None:
    assert in_ascii(written.encode()) == sent.encode()
    assert in_ascii(b"\xff@\xff") == b"\xff@\xff"
