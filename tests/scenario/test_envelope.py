"""What MAIL and RCPT say: exactly as many octets as come, and domains in ASCII."""

import re
from pathlib import Path

import pytest

from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail

GREETED = "S: 220 mx.example ESMTP\nC* EHLO *\nS: 250-mx.example\nS: 250 SIZE 1000000\n"


def taken(sender: str, who: str) -> str:
    return f"""
        C* MAIL FROM:<{sender}> SIZE=*
        S: 250 ok
        C: RCPT TO:<{who}>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. [one]
        S: 250 taken
        C: QUIT
    """


@pytest.mark.parametrize(
    "octets",
    [
        mail("Subject: one", body="hello\n.\n..dots"),
        mail("Subject: one").replace(b"\r\n", b"\n"),
        mail("Subject: one", body="x\ny" * 60_000).replace(b"\r\n", b"\n"),  # too large to be kept in memory
        b"Subject: one\r\n\r\nlone\rCR and CR\r\r\nCR\0 and no end",
        b"Return-Path: <a@b.example>\nSubject: one\n\nhello\n",
    ],
)
def test_size_is_what_comes(receiver: Receiver, mailbox: Mailbox, octets: bytes) -> None:
    mailbox.put(octets)
    passed = receiver(GREETED + taken("*", "b@example.org"), option="to=b@example.org")
    assert passed[:3] == (0, "", "")
    found = re.search(rb"SIZE=([0-9]+)", passed.heard)
    assert found
    assert int(found[1]) == len(passed.data["[one]"])


@pytest.mark.parametrize(
    ("option", "fields"),
    [
        ("to=b@bücher.example", ()),
        ("", ("X-Rcpt-To: b@bücher.example",)),
        ("", ("X-Rcpt-To: b@BÜCHER.example, b@xn--bcher-kva.example",)),
    ],
)
def test_a_domain_in_its_own_letters_needs_no_smtputf8(
    receiver: Receiver, mailbox: Mailbox, option: str, fields: tuple[str, ...]
) -> None:
    mailbox.put(mail("Return-Path: <a@straße.example>", *fields, "Subject: one"))
    passed = receiver(GREETED + taken("a@xn--strae-oqa.example", "b@xn--bcher-kva.example"), option=option)
    assert passed[:3] == (0, "", "")


def test_a_caretaker_in_his_own_letters_neither(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    mailbox.put(mail("Return-Path: <a@far.example>", "Subject: for nobody"))
    passed = receiver(GREETED + taken("a@far.example", "c@xn--bcher-kva.example"), pf_dflt_address="c@bücher.example")
    assert passed[:3] == (0, "", "")
    assert not (work / "duds.dat").exists()
