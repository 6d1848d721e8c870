"""Who gets a message: which header decides, who is left out, who gets it when nobody is left."""

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config.settings import Account, Alias, Secret, Settings
from lib.mail import message, routing
from lib.mail.address import MAX_ADDRESSES, safe
from lib.mail.routing import Route, RoutingRules

CARETAKER = b"boss@office.example"
PLAIN = RoutingRules(None, ("X-Rcpt-To", "X-Recip-To", "To"), frozenset(), None, CARETAKER)
OURS = PLAIN._replace(accept=frozenset([b"x.example"]))
LOCAL = PLAIN._replace(domain=b"local")


def route(header: bytes, rules: RoutingRules = PLAIN) -> Route:
    return routing.route(message.scan(header + b"\r\n\r\nX-Rcpt-To: body@x\r\n"), rules)


def by(header: bytes, rules: RoutingRules = PLAIN) -> tuple[str, list[bytes]]:
    routed = route(header, rules)
    return routed.header, list(routed.recipients)


def made(settings: Settings, **options: Any) -> RoutingRules:
    account = Account("bob", Secret("x", "dmail.conf:1"), "pop.example", **options)
    return routing.rules(settings, account)


# The rules of an account


def test_without_settings_the_standard_headers_decide_for_any_domain() -> None:
    assert made(Settings()) == RoutingRules(None, ("X-Rcpt-To", "X-Recip-To", "To"), frozenset(), None, None)


def test_settings_become_octets() -> None:
    settings = Settings(pf_domain="b.example", pf_accept_domain=("X.example", "y.example"), pf_dflt_address="boss@x")
    rules = made(settings, to="j\xfcrgen@x")
    assert (rules.to, rules.domain, rules.caretaker) == (b"j\xc3\xbcrgen@x", b"b.example", b"boss@x")
    assert rules.accept == {b"x.example", b"y.example"}


def test_the_accounts_own_headers_come_first_and_none_twice() -> None:
    rules = made(Settings(pf_header=("ignored",)), headers=("Envelope-To", "to", "ENVELOPE-TO"))
    assert rules.headers == ("Envelope-To", "to", "X-Rcpt-To", "X-Recip-To")


def test_the_accounts_own_domain_comes_before_pf_domain() -> None:
    assert made(Settings(pf_domain="a.example"), domain="b.example").domain == b"b.example"


# Which header decides


@pytest.mark.parametrize(
    ("header", "decided", "recipients"),
    [
        (b"To: d@x\r\nX-Recip-To: c@x\r\nX-Rcpt-To: b@x\r\nX-Own: a@x", "X-Own", [b"a@x"]),
        (b"To: d@x\r\nX-Recip-To: c@x\r\nX-Rcpt-To: b@x", "X-Rcpt-To", [b"b@x"]),
        (b"To: d@x\r\nX-Recip-To: c@x", "X-Recip-To", [b"c@x"]),
        (b"Cc: c@x\r\nTo: d@x\r\nBcc: b@x", "To", [b"d@x"]),
        (b"x-own: a@x", "X-Own", [b"a@x"]),
        (b"X-OWN : a@x", "X-Own", [b"a@x"]),
        # a header that yields no address is no header
        (b"X-Own:\r\nTo: d@x", "To", [b"d@x"]),
        (b"X-Own: undisclosed-recipients:;\r\nTo: d@x", "To", [b"d@x"]),
        (b"X-Own: two words\r\nTo: d@x", "To", [b"d@x"]),
        (b"X-Own: <>\r\nTo: d@x", "To", [b"d@x"]),
        (b"X-Own: a%b@x, <c d@x>, e\x07@x\r\nTo: d@x", "To", [b"d@x"]),
        # many addresses, folded, in all forms
        (b"X-Own: a@x,\r\n\tB <b@x>,\r\n G: c@x;, (d) d", "X-Own", [b"a@x", b"b@x", b"c@x", b"d"]),
        (b"X-Own: <c d@x>, a@x", "X-Own", [b"a@x"]),
        # nobody
        (b"Subject: a@x", "pf_dflt_address", [CARETAKER]),
        (b"X-Own: <>\r\nTo: undisclosed-recipients:;", "pf_dflt_address", [CARETAKER]),
        (b"no header at all", "pf_dflt_address", [CARETAKER]),
    ],
)
def test_the_first_header_that_yields_an_address_decides(header: bytes, decided: str, recipients: list[bytes]) -> None:
    assert by(header, PLAIN._replace(headers=("X-Own", *PLAIN.headers))) == (decided, recipients)


@pytest.mark.parametrize(
    ("header", "recipients"),
    [
        (b"X-Rcpt-To: a@x\r\nX-Rcpt-To: b@x", [b"a@x", b"b@x"]),
        (b"X-Rcpt-To: a@x\r\nx-rcpt-to: b@x,\r\n c@x\r\nX-RCPT-TO: d@x", [b"a@x", b"b@x", b"c@x", b"d@x"]),
        (b"X-Rcpt-To: a@x\r\nReceived: x\r\nX-Rcpt-To: forged@y", [b"a@x"]),
        (b"A: b\r\nX-Rcpt-To: a@x\r\nX-Rcpt-To: b@x\r\nA: b\r\nX-Rcpt-To: f@y\r\nX-Rcpt-To: g@y", [b"a@x", b"b@x"]),
        (b"X-Rcpt-To:\r\nReceived: x\r\nX-Rcpt-To: forged@y", [CARETAKER]),
        (b"To: a@x\r\nReceived: x\r\nTo: b@x", [b"a@x", b"b@x"]),
        (b"To: a@x\r\nTo: b@x\r\nA: b\r\nTO: a@x", [b"a@x", b"b@x"]),
    ],
)
def test_of_a_repeated_header_only_the_topmost_run_counts_but_every_to(header: bytes, recipients: list[bytes]) -> None:
    assert list(route(header).recipients) == recipients


def test_every_to_counts_where_pf_header_names_it_too() -> None:
    rules = PLAIN._replace(headers=("TO", "X-Rcpt-To"))
    assert by(b"To: a@x\r\nX-Rcpt-To: c@x\r\nTo: b@x", rules) == ("TO", [b"a@x", b"b@x"])


def test_to_an_address_leaves_the_header_unread() -> None:
    routed = route(b"X-Rcpt-To: a@x", OURS._replace(to=b"bob@y", domain=b"local"))
    assert routed == Route((b"bob@y",), "to=", "to= gives bob@y", by_to_unfiltered=False)


# Who is left out


@pytest.mark.parametrize(
    ("addresses", "recipients"),
    [
        (b"a@x.example, b@y.example, c@X.EXAMPLE, d@x.example.", [b"a@x.example", b"c@X.EXAMPLE", b"d@x.example."]),
        (b"a@sub.x.example", [CARETAKER]),
        (b"a@xx.example", [CARETAKER]),
        (b"a@x.example.evil.example", [CARETAKER]),
        (b'"a@x.example"@y.example', [CARETAKER]),
        (b"bob", [b"bob"]),  # a bare name is of no other domain
        (b"bob, a@y.example", [b"bob"]),
    ],
)
def test_recipients_of_other_domains_are_ignored(addresses: bytes, recipients: list[bytes]) -> None:
    assert list(route(b"X-Rcpt-To: " + addresses, OURS).recipients) == recipients


def test_the_header_is_chosen_before_domains_are_looked_at() -> None:
    assert by(b"X-Rcpt-To: a@y\r\nTo: b@x.example", OURS) == ("pf_dflt_address", [CARETAKER])


@pytest.mark.parametrize("domain", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example"])
def test_a_domain_is_the_same_in_letters_and_in_idna(domain: str) -> None:
    rules = PLAIN._replace(accept=frozenset([b"xn--bcher-kva.example"]))
    assert route(f"To: a@{domain}".encode(), rules).recipients == (b"a@xn--bcher-kva.example",)


def test_two_spellings_of_a_domain_are_one_recipient() -> None:
    found = route("To: a@bücher.example, A@xn--bcher-kva.example, ä@BÜCHER.example".encode(), PLAIN)
    assert found.recipients == (b"a@xn--bcher-kva.example", "ä@xn--bcher-kva.example".encode())


def test_whoever_stands_in_a_setting_has_his_domain_in_ascii_too() -> None:
    settings = Settings(pf_dflt_address="chef@bücher.example", pf_alias=(Alias("a@x.example", ("ä@bücher.example",)),))
    assert made(settings).caretaker == b"chef@xn--bcher-kva.example"
    found = route(b"To: a@x.example", made(settings)).recipients
    assert found == ("ä@xn--bcher-kva.example".encode(),)
    assert made(settings, to="müller").to == "müller".encode()
    assert made(settings, to="m@straße.example").to == b"m@xn--strae-oqa.example"


def test_a_domain_that_idna_does_not_know_is_another() -> None:
    domain = "ü" * 70
    assert route(f"To: a@{domain}".encode(), OURS).recipients == (CARETAKER,)
    assert made(Settings(pf_accept_domain=(domain,))).accept == {domain.encode()}


@pytest.mark.parametrize(
    ("addresses", "recipients"),
    [
        (b"a@x, b@y, carl", [b"a@local", b"b@local", b"carl@local"]),
        (b"a@x, a@y, A", [b"a@local"]),
        (b'"a b"@x, a@[192.0.2.1]', [b'"a b"@local', b"a@local"]),
        (b"j\xc3\xbc@x", [b"j\xc3\xbc@local"]),
        (b"%b, a@x" % (b"b" * 249), [b"a@local"]),  # too long with the domain
        (b"b" * 249, [CARETAKER]),
    ],
)
def test_pf_domain_replaces_every_domain_and_follows_bare_names(addresses: bytes, recipients: list[bytes]) -> None:
    assert list(route(b"X-Rcpt-To: " + addresses, LOCAL).recipients) == recipients


def test_pf_accept_domain_looks_at_the_domain_before_pf_domain_replaces_it() -> None:
    rules = OURS._replace(domain=b"local")
    assert route(b"To: a@x.example, b@y, c", rules).recipients == (b"a@local", b"c@local")


def test_duplicates_go_without_regard_to_case_and_the_order_stays() -> None:
    assert route(b"To: b@x, a@x, B@X, c@x, a@X").recipients == (b"b@x", b"a@x", b"c@x")


# Nobody is left


def test_the_caretaker_is_used_as_it_stands() -> None:
    rules = RoutingRules(None, ("To",), frozenset([b"x"]), b"local", b"Boss@Y")
    assert by(b"To: a@z", rules) == ("pf_dflt_address", [b"Boss@Y"])


def test_without_a_caretaker_nobody_gets_it() -> None:
    assert by(b"Subject: x", PLAIN._replace(caretaker=None)) == ("", [])


def test_a_message_to_more_people_than_there_are_goes_to_the_caretaker_alone() -> None:
    half = b"X-Rcpt-To: " + b"a@x," * (MAX_ADDRESSES // 2 + 1) + b"\r\n"
    assert route(half).recipients == (b"a@x",)
    assert route(half + half + half[:-2]) == Route(
        (CARETAKER,),
        "pf_dflt_address",
        "X-Rcpt-To holds more than 100000 addresses; pf_dflt_address gives boss@office.example",
        by_to_unfiltered=False,
    )


# What is said of it


@pytest.mark.parametrize(
    ("header", "rules", "why"),
    [
        (b"X-Rcpt-To: a@x, b@x", PLAIN, "X-Rcpt-To gave a@x, b@x"),
        (
            b"X-Rcpt-To: anna@x.example, carl@y, <c d@x>",
            OURS,
            (
                "X-Rcpt-To gave anna@x.example; carl@y ignored: not in pf_accept_domain; "
                "c d@x ignored: cannot stand in RCPT TO"
            ),
        ),
        (
            b"To: carl@y",
            OURS,
            (
                "To gave nobody of ours; carl@y ignored: not in pf_accept_domain; "
                "pf_dflt_address gives boss@office.example"
            ),
        ),
        (
            b"X-Rcpt-To: a%b@x\r\nTo: \x1b[2J@x",
            PLAIN._replace(caretaker=None),
            (
                "no address in X-Rcpt-To, X-Recip-To, To; a%b@x, \\x1b[2J@x ignored: cannot stand in RCPT TO; "
                "pf_dflt_address is not set"
            ),
        ),
        (b"To: a@x,b@x,c@x,d@x,e@x,f@x,g@x", PLAIN, "To gave a@x, b@x, c@x, d@x, e@x and 2 more"),
    ],
)
def test_a_sentence_says_why(header: bytes, rules: RoutingRules, why: str) -> None:
    assert route(header, rules).why == why


@pytest.mark.parametrize(
    ("header", "rules", "unfiltered"),
    [
        (b"To: a@x.example", PLAIN, True),
        (b"To: a@x.example", PLAIN._replace(headers=("to",)), True),
        (b"To: a@x.example", OURS, False),
        (b"To: a@x.example", LOCAL, False),
        (b"X-Rcpt-To: a@x.example", PLAIN, False),
        (b"To: ", PLAIN, False),
    ],
)
def test_routing_by_to_without_a_filter_is_told(header: bytes, rules: RoutingRules, unfiltered: bool) -> None:
    assert route(header, rules).by_to_unfiltered is unfiltered


# Hostile headers

VALUES = st.lists(
    st.sampled_from(
        [b"a@x.example", b"b@y", b"carl", b'"', b"(", b"<", b">", b",", b":", b";", b"@", b" ", b"\r\n ", b"\xff"]
    ),
    max_size=20,
).map(b"".join)


@given(
    VALUES,
    VALUES,
    st.sampled_from([PLAIN, OURS, LOCAL, OURS._replace(domain=b"local"), PLAIN._replace(caretaker=None)]),
)
def test_whatever_headers_hold_recipients_are_safe_and_explained(
    envelope: bytes, to: bytes, rules: RoutingRules
) -> None:
    routed = route(b"X-Rcpt-To: " + envelope + b"\r\nTo: " + to, rules)
    assert all(map(safe, routed.recipients))
    assert len({address.lower() for address in routed.recipients}) == len(routed.recipients)
    assert bool(routed.recipients) or rules.caretaker is None
    assert routed.why.isprintable()
    if rules.domain and routed.header in rules.headers:
        assert all(address.endswith(b"@local") for address in routed.recipients)
    elif rules.accept and routed.header in rules.headers:
        assert all(b"@" not in address or address.endswith(b"@x.example") for address in routed.recipients)


def test_a_header_full_of_recipients_takes_time_by_their_number() -> None:
    def seconds(number: int) -> float:
        head = message.scan(b"To: " + b",\r\n ".join(b"u%d@x" % each for each in range(number)) + b"\r\n\r\n")
        began = process_time()
        assert len(routing.route(head, LOCAL).recipients) == number
        return process_time() - began

    once = min(seconds(5000), seconds(5000))
    assert any(seconds(20000) < 10 * once for _ in range(3))


# The N-th header, Received, prefixes and aliases

TRACED = (
    b"Received: from here by inner; d\r\n"
    b"Received: from a by mx for <ben@x>; d\r\n"
    b"Delivered-To: outer@x\r\n"
    b"Subject: x\r\n"
    b"Received: from evil by b for <forged@x>; d\r\n"
    b"Delivered-To: inner@x\r\n"
    b"Delivered-To: third@x\r\n"
    b"To: listed@x"
)


@pytest.mark.parametrize(
    ("headers", "decided", "recipients"),
    [
        (("Delivered-To",), "Delivered-To", [b"outer@x"]),
        (("Delivered-To 1",), "Delivered-To 1", [b"outer@x"]),
        (("Delivered-To 2",), "Delivered-To 2", [b"inner@x"]),
        (("Delivered-To 3",), "Delivered-To 3", [b"third@x"]),
        (("Delivered-To 4", "To"), "To", [b"listed@x"]),
        (("Received",), "Received", [b"ben@x"]),
        (("received",), "received", [b"ben@x"]),
        (("Received 1", "To"), "To", [b"listed@x"]),
        (("Received 3",), "Received 3", [b"forged@x"]),  # who asks for it gets it
    ],
)
def test_a_number_names_one_header_and_received_its_for_clause(
    headers: tuple[str, ...], decided: str, recipients: list[bytes]
) -> None:
    assert by(TRACED, PLAIN._replace(headers=headers)) == (decided, recipients)


MULTIDROP = made(
    Settings(
        pf_accept_domain=("example.org",),
        pf_strip_prefix=("mbox-",),
        pf_alias=(Alias("info@example.org", ("anna@office", "ben@office")), Alias("*@example.org", ("*@office",))),
        pf_dflt_address="boss@office",
    ),
    headers=("Delivered-To",),
)


@pytest.mark.parametrize(
    ("delivered_to", "recipients", "told"),
    [
        (
            b"mbox-ben@example.org",
            [b"ben@office"],
            "becomes ben@example.org by pf_strip_prefix becomes ben@office by pf_alias *@example.org",
        ),
        (
            b"mbox-info@example.org",
            [b"anna@office", b"ben@office"],
            "becomes anna@office, ben@office by pf_alias info@example.org",
        ),
        (b"ben@example.org, mbox-BEN@example.org", [b"ben@office"], "Delivered-To gave ben@office"),
        (b"mbox-ben@evil.example", [b"boss@office"], "not in pf_accept_domain"),
        (b"mbox-%@example.org", [b"boss@office"], "no address in"),
    ],
)
def test_filter_prefix_and_alias_come_in_this_order(delivered_to: bytes, recipients: list[bytes], told: str) -> None:
    routed = route(b"Delivered-To: " + delivered_to, MULTIDROP)
    assert list(routed.recipients) == recipients
    assert told in routed.why


def test_an_alias_comes_after_pf_domain() -> None:
    rules = made(Settings(pf_domain="office", pf_alias=(Alias("ben@office", ("carl@office",)),)))
    routed = route(b"To: ben@anywhere", rules)
    assert routed.recipients == (b"carl@office",)
    assert "ben@anywhere becomes ben@office by pf_domain becomes carl@office by pf_alias ben@office" in routed.why


def test_an_alias_does_not_touch_the_caretaker_nor_to() -> None:
    everybody = (Alias("*", ("x@y",)),)
    assert route(b"Subject: x", made(Settings(pf_alias=everybody, pf_dflt_address="boss@x"))).recipients == (b"boss@x",)
    assert route(b"To: a@x", made(Settings(pf_alias=everybody), to="b@x")).recipients == (b"b@x",)


def test_what_an_alias_makes_must_be_safe() -> None:
    long = made(Settings(pf_alias=(Alias("*@x", ("*" + "a" * 200 + "@y",)),), pf_dflt_address="boss@x"))
    assert route(b"To: " + b"b" * 60 + b"@x", long).recipients == (b"boss@x",)
