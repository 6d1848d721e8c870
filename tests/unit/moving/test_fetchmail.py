"""fetchmailrc files: as fetchmail reads them, and what they come to."""

from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import dmail_conf
from lib.config.grammar import File
from lib.moving import draft, fetchmail
from lib.moving.fetchmail_words import GLOBAL, SECTIONS, SERVER, SHORT, USER
from lib.moving.fetchmailrc import tokens, unescaped

# Every keyword of fetchmail(1) 6.4.37, sections USER OPTION KEYWORDS and GLOBAL OPTION STATEMENTS, and of 6.5's.
MANUAL = (
    "set logfile idfile pidfile daemon postmaster bouncemail spambounce softbounce properties syslog "
    "invisible showdots poll skip defaults via aka localdomains proto protocol port service uidl no dns "
    "checkalias interval timeout envelope qvirtual auth authenticate principal esmtpname esmtppassword "
    "interface monitor plugin plugout tracepolls badheader retrieve-error moveto user username is to here "
    "there pass password passwordfile passwordfd passwordeval folder smtphost fetchdomains smtpaddress "
    "smtpname antispam mda bsmtp lmtp preconnect postconnect keep flush limitflush fetchall rewrite "
    "forcecr stripcr pass8bits dropstatus dropdelivered mimedecode idle ssl sslkey sslcert sslproto "
    "sslcertck sslcertfile sslcertpath sslcommonname sslfingerprint limit warnings fetchlimit "
    "fetchsizelimit fastuidl batchlimit expunge "
)


def test_every_keyword_of_the_manual_is_known() -> None:
    known = {*GLOBAL, *SERVER, *USER, *SECTIONS, *SHORT, "user", "is", "to", "here", "there", "no"}
    assert set(MANUAL.split()) - known == set()


@pytest.mark.parametrize("word", sorted({**GLOBAL, **SERVER, **USER}))
def test_every_keyword_is_mapped_or_said(word: str) -> None:
    """A keyword changes the dmail.conf, or a remark names it; with a value that it may have."""
    values = {
        "protocol": "apop",
        "service": "1110",
        "port": "1110",
        "interval": "3",
        "authenticate": "cram-md5",
        "timeout": "33",
        "envelope": "2 X-To",
        "limit": "5000",
        "fetchlimit": "7",
        "sslproto": "tls1.2",
        "sslfingerprint": '"{SHA256}' + "AB:" * 31 + 'AB"',
        "daemon": "1200",
        "aka": "a.example",
        "localdomains": "b.example",
    }
    value = values.get(word, "value")
    body = "proto pop3 user anna pass x is anna a2 here"
    plain = "set daemon 300\npoll pop.example.org " + body
    if word in GLOBAL and word not in {"no", "properties"}:
        takes = f" {value}" if GLOBAL[word].takes else ""
        text = f"{plain}\nset {word}{takes}" if word != "daemon" else plain.replace("300", value)
    else:
        keyword = {**SERVER, **USER}.get(word)
        text = plain.replace("proto pop3", f"proto pop3 {word} {value if keyword and keyword.takes else ''}")
        if word in USER:
            text = f"{plain} {word} {value if keyword and keyword.takes else ''}"
    before, after = fetchmail.read(plain), fetchmail.read(text)
    harmless = {"no", "fetchall", "sslcertck"}  # what is done here anyway
    changed = draft.dmail_conf(before, "") != draft.dmail_conf(after, "")
    said = set(after.remarks) - set(before.remarks)
    assert changed or said or word in harmless, word


def conf(text: str) -> list[str]:
    """Return the lines of the dmail.conf, without comments and empty ones; they must be one that --check takes."""
    written = draft.dmail_conf(fetchmail.read(text), "rc")
    lines = [line for line in written.splitlines() if line and not line.startswith("# M")]
    path = Path("/etc/dmail.conf")
    if any(line.startswith("pf_user") for line in lines):
        dmail_conf.load(path, Path("/opt"), read=lambda _: File(written.encode(), 0o600), system="posix")
    return lines


def remarks(text: str) -> list[str]:
    return list(draft.told(fetchmail.read(text), "rc"))


COMES_TO = [
    ("poll pop.example.org proto pop3 user anna pass x", ["pf_user anna x pop.example.org to=anna"]),
    (
        'poll p.x.org user "anna" there is ann here pass "a b" ssl keep',
        ['pf_user anna "a b" p.x.org to=ann keep=forever tls=implicit'],
    ),
    ("poll p.x.org user ann here is anna there pass x", ["pf_user anna x p.x.org to=ann"]),
    ("server p.x.org via 10.0.0.1 port 1110 user a pass x", ["pf_user a x 10.0.0.1:1110 to=a"]),
    ("poll p.x.org service pop3s user a pass x", ["pf_user a x p.x.org to=a tls=implicit"]),
    ("poll p.x.org sslproto '' user a pass x", ["pf_user a x p.x.org to=a tls=off"]),
    ("poll p.x.org user a pass x sslproto tls1+", ["pf_user a x p.x.org to=a tls=starttls"]),
    ("poll p.x.org proto apop user a pass x", ["pf_user a x p.x.org to=a auth=apop"]),
    ("poll p.x.org user a pass 'file:x'", ["pf_user a literal:file:x p.x.org to=a"]),
    ("poll p.x.org user a pass 'quo\"te'", ['pf_user a quo"te p.x.org to=a']),
    (
        "poll p.x.org user a passwordeval 'pass show a | head -1'",
        ["pf_user a \"command:sh -c 'pass show a | head -1'\" p.x.org to=a"],
    ),
    ("poll p.x.org user a pass x smtpname b@y.org", ["pf_user a x p.x.org to=b@y.org"]),
    ("poll p.x.org user a pass x smtpaddress y.org", ["pf_user a x p.x.org to=a@y.org"]),
    (
        "poll p.x.org localdomains x.org y.org user a pass x to ben=b * here",
        [
            "pf_accept_domain x.org",
            "pf_accept_domain y.org",
            "pf_accept_domain p.x.org",
            "pf_alias ben@* b",
            "pf_user a x p.x.org header=Received",
        ],
    ),
    (
        "poll p.x.org envelope 1 Delivered-To qvirtual mbox- no dns user a pass x is * here",
        ["pf_accept_domain p.x.org", "pf_strip_prefix mbox-", 'pf_user a x p.x.org header="Delivered-To 2"'],
    ),
    ("poll p.x.org no envelope user a pass x is * here", ["pf_accept_domain p.x.org", "pf_user a x p.x.org"]),
    ("set daemon 600 poll p.x.org interval 6 user a pass x", ["ras_timer 10", "pf_user a x p.x.org to=a every=60"]),
    ("set postmaster boss poll p.x.org user a pass x", ["pf_dflt_address boss", "pf_user a x p.x.org to=a"]),
    ("poll p.x.org user a pass x smtphost mx.y.org/2525", ["pf_smtp_server mx.y.org:2525", "pf_user a x p.x.org to=a"]),
    (
        "poll p.x.org user a pass x smtphost /run/lmtp lmtp",
        ["pf_smtp_protocol lmtp", "pf_smtp_server unix:/run/lmtp", "pf_user a x p.x.org to=a"],
    ),
    (
        "defaults proto pop3 keep poll p.x.org user a pass x no keep user b pass y",
        ["pf_user a x p.x.org to=a", "pf_user b y p.x.org to=b keep=forever"],
    ),
    ("skip p.x.org user a pass x", ["# pf_user a x p.x.org to=a"]),
    ("poll p.x.org # comment user z\nuser a # x\npass x", ["pf_user a x p.x.org to=a"]),
    ("poll p.x.org with proto pop3 and wants user a, with password x;", ["pf_user a x p.x.org to=a"]),
    ("poll p.x.org user a pass 12345", ["pf_user a 12345 p.x.org to=a"]),
    ("poll p.x.org user a", ["pf_user a file:/etc/popfetch/a_p.x.org.secret p.x.org to=a"]),
    ("poll p.x.org proto imap user a pass x", []),
]


@pytest.mark.parametrize(("text", "lines"), COMES_TO)
def test_what_a_file_comes_to(text: str, lines: list[str]) -> None:
    assert conf(text) == lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("poll p.x.org proto imap user a pass x", "rc:1: p.x.org speaks IMAP: only POP3 is fetched here"),
        ("poll p.x.org\nuser a\npass x\nmda cat", "rc:4: mda has no counterpart"),
        ("poll p.x.org user a pass x frob", "rc:1: 'frob' is no word that fetchmail knows here"),
        ("frob", "rc:1: 'frob' is no word"),
        ("poll p.x.org", "rc:1: p.x.org names no user"),
        (
            "poll p.x.org user a",
            "no password of a@p.x.org stands here: write it into /etc/popfetch/a_p.x.org.secret",
        ),
        ("poll p.x.org user a pass x is b c here", "everybody else for the postmaster"),
        ("poll p.x.org user a pass x timeout 3\npoll q.x.org user b pass y timeout 4", "rc:2: pf_timeout is 3 already"),
        ("poll p.x.org user a pass x smtphost a b", "only the first of a, b is tried"),
        ("poll p.x.org interval 3 user a pass x", "write every=MINUTES"),
        ("poll p.x.org auth gssapi user a pass x", "auth gssapi has no counterpart"),
        ("poll p.x.org user a pass x no sslcertck", "certificates are always verified"),
        ("poll p.x.org user a pass", "the file ends where a value should stand"),
        ("skip p.x.org user a pass x", "was skipped"),
    ],
)
def test_what_has_no_counterpart_is_said_with_its_line(text: str, words: str) -> None:
    assert any(words in line for line in remarks(text)), remarks(text)


def test_a_whole_file_without_surprises_has_no_remark() -> None:
    assert (
        remarks("set daemon 300 poll p.x.org proto pop3 user a there is a here pass x ssl sslcertck keep fetchall")
        == []
    )


ESCAPES = [
    (r"\n\t\b\r\\", "\n\t\b\r\\"),
    (r"\x41\x4z", "A\x04z"),
    (r"\0101\0", "A\x00"),
    (r"\65\9", "A\t"),
    (r"\q", "q"),
]


@pytest.mark.parametrize(("text", "plain"), ESCAPES)
def test_escapes_are_read_as_fetchmail_reads_them(text: str, plain: str) -> None:
    assert unescaped(text) == plain


def test_a_quoted_word_with_something_behind_it_is_a_bare_one() -> None:
    assert [token.text for token in tokens("""pass "p"x 'q' "r";""")] == ["pass", '"p"x', "q", "r"]


words = st.sampled_from(
    [*GLOBAL, *SERVER, *USER, *SECTIONS, *SHORT, "is", "to", "=", "*", "#", "\n", '"x y"', "'", "5", "é"]
)


@given(st.lists(words).map(" ".join) | st.text(max_size=300))
def test_any_file_comes_to_something(text: str) -> None:
    moved = fetchmail.read(text)
    assert draft.dmail_conf(moved, "x").startswith("# Moved in")
    assert all("\n" not in line for line in draft.told(moved, "x"))


@pytest.mark.parametrize("piece", ["poll a user b ", "user b is c ", "aka x ", '"', "\\", "= ", "is a=b "])
def test_a_long_file_takes_no_longer_than_its_length(piece: str) -> None:
    start = process_time()
    fetchmail.read("poll x " + piece * 20_000)
    assert process_time() - start < 20
