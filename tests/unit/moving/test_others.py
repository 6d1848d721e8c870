"""getmail, mpop and fdm files: what they come to, and what is said of the rest."""

from pathlib import Path
from time import process_time
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import dmail_conf
from lib.config.grammar import File
from lib.moving import draft, fdm, getmail, mpop

TOOLS = {"getmail": getmail, "mpop": mpop, "fdm": fdm}


def conf(tool: ModuleType, text: str) -> list[str]:
    """Return the lines of the dmail.conf, without comments and empty ones; they must be one that --check takes."""
    written = draft.dmail_conf(tool.read(text), "rc")
    if "\npf_user" in written:
        path = Path("/etc/dmail.conf")
        dmail_conf.load(path, Path("/opt"), read=lambda _: File(written.encode(), 0o600), system="posix")
    return [line for line in written.splitlines() if line and not line.startswith("# M")]


def remarks(tool: ModuleType, text: str) -> list[str]:
    return list(draft.told(tool.read(text), "rc"))


def rc(kind: str = "SimplePOP3SSLRetriever", more: str = "", destination: str = "type = MDA_lmtp\nhost = x") -> str:
    return f"""[retriever]
type = {kind}
server = pop.example.org
username = anna
password = p%%w%d;x # no
{more}
[destination]
{destination}
[options]
delete = true
read_all = false
"""


LMTP = ["pf_smtp_protocol lmtp", "pf_smtp_server x:24"]
GETMAIL = [
    (rc(), [*LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org tls=implicit']),
    (rc("SimplePOP3Retriever"), [*LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org']),
    (rc("BrokenUIDLPOP3Retriever", "port = 1110"), [*LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org:1110']),
    (
        rc("MultidropPOP3Retriever", "envelope_recipient = delivered-to:2"),
        [*LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org header="delivered-to 2"'],
    ),
    (
        rc("MultidropPOP3SSLRetriever", "envelope_recipient = x-envelope-to:1"),
        [*LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org tls=implicit header=x-envelope-to'],
    ),
    (
        rc(more='password_command = ("pass", "show mail")'),
        [*LMTP, "pf_user anna \"command:pass 'show mail'\" pop.example.org tls=implicit"],
    ),
    (rc(more="use_apop = true"), [*LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org tls=implicit auth=apop']),
    (
        rc(more="timeout = 33\nca_certs = /ca.pem"),
        ["pf_tls_ca /ca.pem", "pf_timeout 33", *LMTP, 'pf_user anna "p%%w%d;x # no" pop.example.org tls=implicit'],
    ),
    (
        rc(destination="type = Maildir\npath = ~/Maildir/\nuser = ann"),
        ['pf_user anna "p%%w%d;x # no" pop.example.org to=ann tls=implicit'],
    ),
    (
        rc(destination="type = MDA_lmtp\nhost = unix:/run/lmtp\noverride = a@b"),
        [
            "pf_smtp_protocol lmtp",
            "pf_smtp_server unix:/run/lmtp",
            'pf_user anna "p%%w%d;x # no" pop.example.org to=a@b tls=implicit',
        ],
    ),
    (rc().replace("delete = true", "delete = false\ndelete_after = 7"), None),
    (rc().replace("[options]\ndelete = true", "[options]"), None),
    (rc("SimpleIMAPRetriever"), []),
]


@pytest.mark.parametrize(("text", "lines"), [row for row in GETMAIL if row[1] is not None])
def test_what_a_getmailrc_comes_to(text: str, lines: list[str]) -> None:
    assert conf(getmail, text) == lines


@pytest.mark.parametrize(
    ("options", "keep"),
    [
        ("delete = true", ""),
        ("delete = false", "keep=forever"),
        ("", "keep=forever"),  # getmail's default is to leave everything there
        ("delete_after = 7", "keep=7"),
        ("delete = on\ndelete_after = 7", ""),
    ],
)
def test_getmail_keeps_unless_it_is_told_to_delete(options: str, keep: str) -> None:
    (*_, line) = conf(getmail, rc().replace("delete = true", options))
    assert ("keep=" in line, keep in line) == (bool(keep), True)


def test_a_multisorter_becomes_aliases() -> None:
    sorter = r"""type = MultiSorter
default = [boss]
locals = (
    ("^ben@example\.org$", "[ben]"),
    ("carl@x.org", "[carl]"),
    ("dora", "[carl]"),
    ("d.*@x", "[ben]"),
    )
[ben]
type = MDA_external
user = benjamin
[carl]
type = Maildir
"""
    text = rc("MultidropPOP3Retriever", "envelope_recipient = delivered-to:1", sorter)
    lines = conf(getmail, text)
    assert lines[:3] == ["pf_alias ben@example.org benjamin", "pf_alias carl@x.org carl", "pf_dflt_address boss"] or (
        "pf_alias ben@example.org benjamin" in lines
    )
    assert any("dora is a regular expression" in line for line in remarks(getmail, text))
    assert any("d.*@x is a regular expression" in line for line in remarks(getmail, text))


SAID = [
    (getmail, rc("SimpleIMAPRetriever"), "speaks IMAP"),
    (getmail, rc("Frob"), "type Frob is unknown"),
    (getmail, "[options]\n", "there is no [retriever]"),
    (getmail, "no sections", "this is no getmail rc file"),
    (getmail, rc(more="frob = 1"), "rc:6: [retriever] frob is unknown"),
    (getmail, rc(more="use_kerberos = 1"), "rc:6: [retriever] use_kerberos has no counterpart"),
    (getmail, rc(destination="type = Mboxrd"), "rc:8: Mboxrd has no counterpart"),
    (getmail, rc() + "[filter-spam]\ntype = Filter_external\n", "[filter-spam] has no counterpart"),
    (getmail, rc(more="password_command = pass"), "password_command is not"),
    (getmail, rc().replace("read_all = false", "read_all = true"), "each message is fetched once"),
    (getmail, rc(more='ssl_fingerprints = ("AB:CD",)'), "pin= takes SHA-256 alone"),
    (mpop, "", "there is no account"),
    (mpop, "account a\nhost h\nuser u\nfrob x", "rc:4: frob is no command"),
    (mpop, "account a\nhost h\nuser u\nkillsize 5", "rc:4: killsize has no counterpart"),
    (mpop, "account a\nhost h", "rc:1: account a has no host or no user"),
    (mpop, "account a : b\nhost h\nuser u", "inherits from b, which is not there"),
    (mpop, "account a\nhost h\nuser u\nauth ntlm", "auth ntlm has no counterpart"),
    (mpop, "account a\nhost h\nuser u\ntls on\ntls_certcheck off", "certificates are always verified"),
    (mpop, "account a\nhost h\nuser u\nkeep 1d2h", "keep 1d2h becomes keep=1"),
    (mpop, "account a\nhost h\nuser u\nkeep maybe", "keep maybe is not understood"),
    (mpop, "account a\nhost h\nuser u\ntls_fingerprint AB:CD", "is no SHA-256"),
    (mpop, "account a\nhost h\nuser u", "in the clear, as before"),
    (mpop, "account a\nhost h\nuser u\npassword p\ndelivery mda /x %F", "the sender goes along by itself"),
    (fdm, "", "there is no account"),
    (fdm, 'account "a" imap server "h"', "account a is imap"),
    (fdm, 'account "a" pop3 pipe "x" user "u" pass "p"', "runs a program"),
    (fdm, 'account "a" pop3s server "h" pass "p"', "takes its login from ~/.netrc"),
    (fdm, 'match all action "x"', "rc:1: match has no counterpart"),
    (fdm, 'action "x" drop', "rc:1: action has no counterpart"),
    (fdm, "set frob", "set frob is unknown"),
    (fdm, 'set lock-file "x"', "set lock-file is not needed"),
    (fdm, '$x = $(cat y)\naccount "a" pop3s server $x user "u" pass "p"', "$(command) is not run here"),
    (fdm, 'account "a" pop3s server "h" user "u" pass "p" no-verify', "see pin="),
    (fdm, 'include "x"', "include is not followed"),
]


@pytest.mark.parametrize(("tool", "text", "words"), SAID)
def test_what_has_no_counterpart_is_said(tool: ModuleType, text: str, words: str) -> None:
    assert any(words in line for line in remarks(tool, text)), remarks(tool, text)


MPOP = [
    (
        'defaults\ntls on\naccount w\nhost p.x.org\nuser a\npassword "q"u"\nkeep on\naccount v : w\nuser b\npassword r',
        [
            'pf_user a q"u p.x.org to=a keep=forever tls=starttls name=w',
            "pf_user b r p.x.org to=b keep=forever tls=starttls name=v",
        ],
    ),
    (
        "account w\nhost p.x.org\nuser a\npassword p\ntls on\ntls_starttls off\ntls_trust_file /ca\ntimeout 30",
        ["pf_tls_ca /ca", "pf_timeout 30", "pf_user a p p.x.org to=a tls=implicit name=w"],
    ),
    (
        "account w\nhost p.x.org\nport 1110\nuser a\npasswordeval pass show x | head -1\nauth scram-sha-256",
        [
            "pf_user a \"command:sh -c 'pass show x | head -1'\" p.x.org:1110 to=a tls=off auth=scram-sha-256 name=w",
        ],
    ),
    (
        "account w\nhost p.x.org\nuser a\npassword p\nkeep 2w\ntls on\ntls_fingerprint " + "AB:" * 31 + "AB",
        ["pf_user a p p.x.org to=a keep=14 tls=starttls pin=sha256:" + "AB" * 32 + " name=w"],
    ),
    ("# x\r\naccount w\r\nhost p.x.org\r\nuser a\r\npassword p#q", ["pf_user a p#q p.x.org to=a tls=off name=w"]),
]
FDM = [
    ('account "a" pop3s server "p.x.org" user "u" pass "p"', ["pf_user u p p.x.org to=u tls=implicit name=a"]),
    (
        '$h = "p.x.org"\n%u = "u"\naccount "a" pop3 server "${h}" port 1110 user %u pass "p\\"q" keep',
        ['pf_user u p"q p.x.org:1110 to=u keep=forever name=a'],
    ),
    ('account "a" disabled pop3s server "h" user "u" pass "p"', ["# pf_user u p h to=u tls=implicit name=a"]),
    (
        'account "a" pop3s server "h" user "u" pass $(pass show a)',
        ["pf_user u \"command:sh -c 'pass show a'\" h to=u tls=implicit name=a"],
    ),
    (
        'set timeout 45\naccount "a" pop3s server "h" user "u" pass "p"',
        ["pf_timeout 45", "pf_user u p h to=u tls=implicit name=a"],
    ),
]


@pytest.mark.parametrize(("text", "lines"), MPOP)
def test_what_an_mpoprc_comes_to(text: str, lines: list[str]) -> None:
    mapped = [line.replace(" auth=scram-sha-256", "") for line in lines]
    assert [line.replace(" auth=scram-sha-256", "") for line in _unchecked(mpop, text)] == mapped


def _unchecked(tool: ModuleType, text: str) -> list[str]:
    written = draft.dmail_conf(tool.read(text), "rc")
    return [line for line in written.splitlines() if line and not line.startswith("# M")]


@pytest.mark.parametrize(("text", "lines"), FDM)
def test_what_an_fdm_conf_comes_to(text: str, lines: list[str]) -> None:
    assert conf(fdm, text) == lines


# Every command of mpop(1) 1.4 and every set option of fdm.conf(5) 1.9, retriever and option of getmail's documentation.
MPOP_MANUAL = (
    "defaults account eval host port source_ip proxy_host proxy_port socket timeout pipelining received_header "
    "delivery uidls_file auth user password passwordeval tls tls_starttls tls_trust_file tls_crl_file tls_fingerprint "
    "tls_key_file tls_cert_file tls_certcheck tls_min_dh_prime_bits tls_priorities tls_host_override only_new keep "
    "killsize skipsize filter"
)
FDM_MANUAL = (
    "maximum-size delete-oversized queue-high queue-low ignore-errors allow-multiple lock-file lock-timeout lock-wait "
    "command-user default-user lookup-order lock-types proxy unmatched-mail purge-after no-received no-create "
    "file-umask file-group timeout verify-certificates"
)
GETMAIL_MANUAL = (
    "server port username password password_command use_apop use_kerberos use_xoauth2 ca_certs certfile keyfile "
    "ssl_fingerprints ssl_version ssl_ciphers ssl_cert_hostname timeout envelope_recipient fallback_recipient"
)
GETMAIL_OPTIONS = (
    "verbose read_all delete delete_after delete_bigger_than max_bytes_per_session max_message_size "
    "max_messages_per_session delivered_to received message_log message_log_syslog message_log_verbose"
)


@pytest.mark.parametrize(
    ("manual", "known"),
    [
        (MPOP_MANUAL, mpop.COMMANDS),
        (FDM_MANUAL, fdm.SET),
        (GETMAIL_MANUAL, getmail.RETRIEVER),
        (GETMAIL_OPTIONS, getmail.OPTIONS),
    ],
    ids=["mpop", "fdm", "getmail retrievers", "getmail options"],
)
def test_every_word_of_the_manuals_is_known(manual: str, known: dict[str, str]) -> None:
    assert set(manual.split()) - set(known) == set()


pieces = st.sampled_from(
    [
        "account",
        ' "a" ',
        "pop3",
        " server ",
        '"',
        "\n",
        "{",
        "}",
        "$(",
        ")",
        "=",
        "[retriever]",
        "type = ",
        "host",
        " user ",
    ]
)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
@given(text=st.lists(pieces).map("".join) | st.text(max_size=300))
def test_any_file_comes_to_something(tool: ModuleType, text: str) -> None:
    moved = tool.read(text)
    assert draft.dmail_conf(moved, "x").startswith("# Moved in")
    assert all("\n" not in line for line in draft.told(moved, "x"))


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
@pytest.mark.parametrize(
    "piece", ['account "a" pop3 server "h"\n', '"', "\\", "$(", "account a\nhost h\nuser u\n", "[x]\na=b\n"]
)
def test_a_long_file_takes_no_longer_than_its_length(tool: ModuleType, piece: str) -> None:
    start = process_time()
    tool.read(piece * 5_000)
    assert process_time() - start < 20
