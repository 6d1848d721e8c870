"""What is known of providers, and that docs/providers.md says what --check takes."""

import re
from pathlib import Path

import pytest

from lib.config import dmail_conf, hosts
from lib.config.grammar import File
from lib.config.settings import Account
from lib.config.values import Secret

ROOT = Path(__file__).parents[3]
BLOCKS = re.findall(
    r"^```\n(.*?)^```$", (ROOT / "docs" / "providers.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
CONFS = [block for block in BLOCKS if block.startswith("pf_")]


@pytest.mark.parametrize("conf", CONFS)
def test_each_line_in_the_docs_is_right(conf: str) -> None:
    octets = conf.encode() + b"pf_dflt_address postmaster@example.org\n"
    plan = dmail_conf.load(ROOT / "dmail.conf", ROOT, read=lambda _: File(octets, 0o600), system="posix")
    assert plan.settings.pf_user
    assert plan.warnings == ()
    assert plan.notes == ()


def test_every_line_in_the_docs_is_in_a_block_that_is_tested() -> None:
    text = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^pf_", text, re.MULTILINE)) == sum(block.count("\npf_") + 1 for block in CONFS) > 20


def account(host: str, source: str = "hunter2", oauth: str = "") -> Account:
    return Account(user="anna", password=Secret(source), host=host, oauth=oauth)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (account("outlook.office365.com"), "Microsoft takes no account passwords: it wants a token: oauth=NAME"),
        (account("Outlook.Office365.com", "file:/x"), "Microsoft takes no account passwords"),
        (account("pop.gmail.com"), "Google takes no account passwords: it wants an app password (16 letters)"),
        (account("pop.mail.yahoo.com", "literal:abc"), "Yahoo takes no account passwords"),
        (account("imap.mail.me.com"), "iCloud has no POP3 servers"),
        (account("outlook.office365.com", "-", "work"), ""),
        (account("pop.gmail.com", "abcdefghijklmnop"), ""),
        (account("pop.gmail.com", "abcd efgh ijkl mnop"), ""),
        (account("pop.gmail.com", "file:/x"), ""),
        (account("pop.gmail.com.example.org"), ""),
        (account("notpop.gmail.com"), ""),
        (account("pop.example.org"), ""),
    ],
)
def test_what_an_account_lacks(given: Account, words: str) -> None:
    said = hosts.missing(given)
    assert said.startswith(words) if words else said == ""


def test_what_a_refusal_means_there() -> None:
    assert hosts.refused("pop.gmail.com").startswith("; Google wants an app password")
    assert hosts.refused("pop.example.org") == ""
