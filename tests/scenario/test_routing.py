"""Who gets it: a message goes in at one end, the envelope comes out at the other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.scenario.mails import logged, mail, warnings

LONG = "x" * 243 + "@example.org"  # 255 octets
Recipients = Callable[..., list[str]]


@pytest.fixture
def recipients(conf: Conf, run_pass: RunPass) -> Recipients:
    """Return what tells who gets a message of these fields; such a pass has nothing to complain of."""

    def whom(fields: str, option: str = "", **settings: object) -> list[str]:
        with PopServer({"bob": ("geheim-bob", [mail(fields, "Subject: hi")])}) as pop, SmtpServer() as smtp:
            path = conf(account(pop.port, option), pf_smtp_server=f"127.0.0.1:{smtp.port}", **settings)
            assert run_pass(path) == (0, "", "")
        (letter,) = smtp.taken
        return [who.decode("utf-8", "surrogateescape") for who in letter.recipients]

    return whom


# --- which header --------------------------------------------------------------------------------------------------


def test_with_to_everything_goes_there_and_no_header_is_read(recipients: Recipients) -> None:
    assert recipients("X-Rcpt-To: c@x.example\nTo: d@x.example", "to=b@example.org", pf_domain="y.example") == [
        "b@example.org"
    ]


ALL = "\n".join(f"{name}: {name}@example.org" for name in ("To", "X-Recip-To", "X-Rcpt-To", "B-For", "A-For"))


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        (ALL, "A-For"),
        (ALL.replace("A-For: A-For@example.org", "A-For: (nobody)"), "B-For"),
        (ALL.replace("A-For:", "No:").replace("B-For:", "No:"), "X-Rcpt-To"),
        (ALL.replace("A-For:", "No:").replace("B-For:", "No:").replace("X-Rcpt-To:", "No:"), "X-Recip-To"),
        ("Cc: no@example.org\nBcc: no@example.org\nTo: To@example.org\nResent-To: no@example.org", "To"),
    ],
)
def test_the_first_header_that_yields_an_address_decides(recipients: Recipients, fields: str, first: str) -> None:
    assert recipients(fields, pf_header=["A-For", "B-For:"]) == [f"{first}@example.org"]


def test_nobody_gets_it_because_of_cc_or_bcc(recipients: Recipients) -> None:
    fields = "Cc: c@stranger.example\nBcc: b@stranger.example\nResent-To: r@stranger.example"
    assert recipients(fields, pf_dflt_address="care@example.org") == ["care@example.org"]


def test_the_header_option_takes_the_place_of_pf_header(recipients: Recipients) -> None:
    assert recipients(ALL, "header=B-For", pf_header=["A-For"]) == ["B-For@example.org"]


def test_header_names_are_known_in_any_case(recipients: Recipients) -> None:
    assert recipients("a-FOR : b@example.org\nTo: no@example.org", pf_header="A-For") == ["b@example.org"]


# --- what stands in it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("b@example.org, c@example.org ,d@example.org", "b c d"),
        ("<b@example.org>\n\t(Bob),\n <c@example.org>", "b c"),
        ('"Last, First" <b@example.org>, Carol <c@example.org>', "b c"),
        ("=?utf-8?q?Evil_=3Cno=40example.org=3E?= <b@example.org>", "b"),
        ("friends: b@example.org, c@example.org;, nobody:;, d@example.org", "b c d"),
        ("<@relay.example,@other.example:b@example.org>", "b"),
        ("b@example.org, B@EXAMPLE.ORG, b@Example.org, c@example.org, b@example.org", "b c"),
        ("c@example.org, b@example.org", "c b"),
        ("b @ example.org", "b"),
        ('"b"@example.org', '"b"'),
    ],
)
def test_a_header_may_hold_many_addresses_in_any_form(recipients: Recipients, value: str, expected: str) -> None:
    assert recipients(f"X-Rcpt-To: {value}") == [f"{local}@example.org" for local in expected.split()]


def test_of_a_repeated_header_only_the_topmost_run_counts(recipients: Recipients) -> None:
    fields = """X-Rcpt-To: b@example.org
X-Rcpt-To: c@example.org
Received: from the.world
X-Rcpt-To: forged@example.org"""
    assert recipients(fields) == ["b@example.org", "c@example.org"]


def test_of_to_every_line_counts(recipients: Recipients) -> None:
    fields = "To: b@example.org\nSubject: x\nTo: c@example.org"
    assert recipients(fields, pf_accept_domain="example.org") == ["b@example.org", "c@example.org"]


# --- filtered and rewritten ----------------------------------------------------------------------------------------


def test_recipients_of_other_domains_are_ignored(recipients: Recipients) -> None:
    fields = "To: a@far.example, b@Example.ORG., c@sub.example.org, d@example.net, e"
    assert recipients(fields, pf_accept_domain=["example.org", "example.net"]) == [
        "b@Example.ORG.",
        "d@example.net",
        "e",
    ]


def test_the_domain_of_every_recipient_is_replaced_and_appended_to_bare_names(recipients: Recipients) -> None:
    fields = "To: a@far.example, b, c@example.org, A@near.example"
    expected = ["a@in.example", "b@in.example", "c@in.example"]
    assert recipients(fields, pf_domain="in.example") == expected
    assert recipients(fields, "domain=in.example", pf_domain="no.example") == expected


def test_the_filter_sees_the_domain_that_was_there_before_it_is_replaced(recipients: Recipients) -> None:
    settings = {"pf_domain": "in.example", "pf_accept_domain": "example.org"}
    assert recipients("To: a@in.example, b@example.org", **settings) == ["b@in.example"]


@pytest.mark.parametrize(
    ("unsafe", "what_is_left_of_it"),
    [
        ("<b@example.org> SIZE=0@example.org", ["b@example.org"]),
        ('"a\tb"@example.org', []),
        ("a\x01b@example.org", []),
        ("a\x1bb@example.org", []),
        ("b%far.example@example.org", []),
        ("far.example!b@example.org", []),
        ('"b@far.example"@example.org', []),
        (LONG, []),
        ("<b@exam ple.org>x", []),
        ("@example.org", []),
    ],
)
def test_what_cannot_stand_in_rcpt_to_is_no_address(
    recipients: Recipients, unsafe: str, what_is_left_of_it: list[str]
) -> None:
    fields = f"X-Rcpt-To: {unsafe}, good@example.org\nTo: no@example.org"
    assert recipients(fields, pf_accept_domain="example.org") == [*what_is_left_of_it, "good@example.org"]


def test_a_header_of_nothing_but_unsafe_addresses_yields_none(recipients: Recipients) -> None:
    fields = f"X-Rcpt-To: {LONG}\nTo: good@example.org"
    assert recipients(fields, pf_accept_domain="example.org") == ["good@example.org"]


# --- nobody left ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        "From: a@far.example",
        "X-Rcpt-To: a@far.example\nTo: b@example.org",  # nobody whom a lower header names instead
        f"To: {LONG}",
        "To: undisclosed-recipients:;",
    ],
)
def test_what_is_for_nobody_goes_to_the_caretaker_as_it_stands(recipients: Recipients, fields: str) -> None:
    settings = {"pf_dflt_address": "care@taker.example", "pf_accept_domain": "example.org", "pf_domain": "in.example"}
    assert recipients(fields, **settings) == ["care@taker.example"]


def test_without_a_caretaker_it_becomes_a_dud_and_the_receiver_is_not_asked(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    with PopServer({"bob": ("geheim-bob", [mail("Subject: for nobody")])}) as pop, SmtpServer() as smtp:
        result = run_pass(conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}"))
        assert result == (65, "", "popfetch: 1 message went to duds.dat; --duds list shows why\n")
        assert (smtp.taken, smtp.heard, pop.left("bob")) == ([], [], [])
    dud = (work / "duds.dat").read_text()
    assert "\nX-POPFetch-Dud-Why: no recipient found, and no pf_dflt_address is set\n" in dud
    assert "\nSubject: for nobody\n\nhello\n" in dud


# --- in circles ----------------------------------------------------------------------------------------------------


def test_a_message_that_was_fetched_from_this_account_before_is_a_dud(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    with SmtpServer() as smtp, PopServer({"bob": ("geheim-bob", [mail("Subject: hi")])}) as pop:
        path = conf(account(pop.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path).code == 0
        pop.mailboxes["bob"].messages[7] = smtp.taken[0].content
        assert run_pass(path).code == 65
        assert (len(smtp.taken), pop.left("bob")) == (1, [])
    why = "Dud-Why: <b@example.org>: it goes in circles: it has been fetched from this account before"
    assert why in (work / "duds.dat").read_text()


def test_a_message_that_another_account_of_ours_has_fetched_is_welcome(conf: Conf, run_pass: RunPass) -> None:
    boxes = {user: (f"geheim-{user}", [mail("Subject: hi")] if user == "bob" else []) for user in ("bob", "ann")}
    with SmtpServer() as smtp, PopServer(boxes) as pop:
        accounts = account(pop.port, "to=b@example.org"), account(pop.port, "to=a@example.org", user="ann")
        path = conf(*accounts, pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path).code == 0
        pop.mailboxes["ann"].messages[1] = smtp.taken[0].content
        assert run_pass(path).code == 0
    assert [letter.recipients for letter in smtp.taken] == [(b"b@example.org",), (b"a@example.org",)]


@pytest.mark.parametrize(("hops", "code"), [(100, 0), (101, 65)])
def test_a_message_of_more_than_a_hundred_hops_is_a_dud(conf: Conf, run_pass: RunPass, hops: int, code: int) -> None:
    message = mail(*["Received: from a by b; Sun, 22 Nov 2026 12:00:00 +0000"] * hops)
    with SmtpServer() as smtp, PopServer({"bob": ("geheim-bob", [message])}) as pop:
        path = conf(account(pop.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path).code == code
    assert len(smtp.taken) == (code == 0)


# --- strangers -----------------------------------------------------------------------------------------------------


def test_a_pass_that_routes_by_to_unfiltered_warns_once_and_check_says_so(
    recipients: Recipients, conf: Conf, run_pass: RunPass, work: Path
) -> None:
    assert recipients("To: b@example.org, stranger@far.example") == ["b@example.org", "stranger@far.example"]
    (warning,) = [line for line in warnings(work) if "strangers" in line]
    assert "account=bob@127.0.0.1" in warning
    assert "pf_accept_domain" in warning
    assert "strangers" in run_pass(conf.path, "--check").out


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("", {"pf_accept_domain": "example.org"}),
        ("", {"pf_domain": "example.org"}),
        ("domain=example.org", {}),
        ("to=b@example.org", {}),
    ],
)
def test_what_is_filtered_is_not_warned_of(
    recipients: Recipients, work: Path, option: str, settings: dict[str, object]
) -> None:
    assert recipients("To: b@example.org", option, **settings) == ["b@example.org"]
    assert not [line for line in warnings(work) if "strangers" in line]
    assert [line["to"] for line in logged(work, "message")] == ["<b@example.org>"]
