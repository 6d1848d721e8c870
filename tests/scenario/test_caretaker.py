"""The caretaker's copy: one for each message that not everybody has received, with a paragraph on top."""

from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.scenario.conftest import Mailbox, Passed, Receiver
from tests.scenario.mails import logged, mail, spooled

HEAD = ("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org, c@example.org, d@example.org", "Subject: one")
GREETED = """
    S: 220 mx.example ESMTP
    C* EHLO *
    S: 250-mx.example
    S: 250 8BITMIME
"""
ENVELOPE = """
    C* MAIL FROM:<a@far.example>*
    S: 250 ok
    C: RCPT TO:<b@example.org>
    S: 250 ok
    C: RCPT TO:<c@example.org>
    S: 550 5.1.1 no such user
    C: RCPT TO:<d@example.org>
    S: 550 5.2.1 account closed
    C: DATA
    S: 354 go on
    C. [b]
    S: 250 taken
"""
COPY = """
    C* MAIL FROM:<>*
    S: 250 ok
    C: RCPT TO:<care@example.org>
    S: 250 ok
    C: DATA
    S: 354 go on
    C. [care]
"""
PARAGRAPH = [
    "This message has not been received by everybody that it is for, so that a copy",
    "goes to the caretaker (pf_dflt_address).",
    "Received by:",
    "    b@example.org",
    "Not received by:",
    "    c@example.org",
    "        550 5.1.1 no such user",
    "    d@example.org",
    "        550 5.2.1 account closed",
]


def cared_for(receiver: Receiver, script: str = f"{GREETED}{ENVELOPE}{COPY}S: 250 taken\nC: QUIT") -> Passed:
    return receiver(script, pf_dflt_address="care@example.org")


def text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def test_the_caretaker_gets_one_copy_however_many_were_refused(
    receiver: Receiver, mailbox: Mailbox, work: Path
) -> None:
    mailbox.put(mail(*HEAD))
    passed = cared_for(receiver)
    assert passed[:3] == (0, "", "")
    assert (mailbox.left, spooled(work), (work / "duds.dat").exists()) == ([], [], False)
    (line,) = logged(work, "message")
    assert line["status"] == "refused"
    assert "550 5.1.1 no such user" in line["words"]


def test_in_a_plain_text_message_the_paragraph_opens_the_body(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(mail(*HEAD, "Content-Type: text/plain; charset=utf-8", "MIME-Version: 1.0", body="good day\n\nyours"))
    data = cared_for(receiver).data
    original, copy = message_from_bytes(data["[b]"]), message_from_bytes(data["[care]"])
    assert copy.items()[1:] == original.items()[1:]
    assert "for <care@example.org>;" in copy["Received"]
    lines = text_of(copy).split("\n")
    assert lines[: len(PARAGRAPH)] == PARAGRAPH
    assert lines[-4:] == ["good day", "", "yours", ""]


def test_a_quoted_printable_text_gets_it_in_that_encoding(receiver: Receiver, mailbox: Mailbox) -> None:
    fields = ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable")
    mailbox.put(mail(*HEAD, *fields, body="caf=C3=A9"))
    lines = text_of(message_from_bytes(cared_for(receiver).data["[care]"])).split("\n")
    assert (lines[: len(PARAGRAPH)], lines[-2]) == (PARAGRAPH, "café")


MIXED = 'Content-Type: multipart/mixed; boundary="xx"'
PARTS = "preamble\n--xx\nContent-Type: text/plain\n\nhi\n--xx\nContent-Type: image/png\n\n.\n..\n--xx--\nepilogue"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ((MIXED, "MIME-Version: 1.0"), PARTS),
        (("Content-Type: text/html", "Content-Disposition: inline"), "<p>hi"),
        (("Content-Type: text/plain", "Content-Transfer-Encoding: base64"), "aGVsbG8="),
        (("Content-Type: multipart/signed; protocol=x; micalg=y; boundary=zz",), "--zz\n\nhi  \n--zz--"),
        (("Content-Type: text/plain; charset=utf-16",), "hello"),
    ],
)
def test_any_other_message_becomes_the_second_part_untouched(
    receiver: Receiver, mailbox: Mailbox, fields: tuple[str, ...], body: str
) -> None:
    mailbox.put(mail(*HEAD, *fields, body=body))
    data = cared_for(receiver).data
    copy, original = message_from_bytes(data["[care]"]), message_from_bytes(data["[b]"])
    assert (copy.get_content_type(), copy["Subject"], copy["MIME-Version"]) == ("multipart/mixed", "one", "1.0")
    _, first, second = list(copy.walk())[:3]
    assert text_of(first).split("\n")[: len(PARAGRAPH)] == PARAGRAPH
    assert second.get_all("Content-Type") == original.get_all("Content-Type")
    assert not copy.defects
    boundary = b"\r\n--" + copy.get_boundary("").encode()
    body_sent = data["[care]"].split(boundary)[2].partition(b"\r\n\r\n")[2]
    assert body_sent == data["[b]"].partition(b"\r\n\r\n")[2]


def test_a_message_that_was_refused_as_a_whole_goes_to_the_caretaker(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(mail(*HEAD))
    refused = ENVELOPE.replace("S: 250 taken", "S: 554 5.7.1 spam")
    passed = cared_for(receiver, f"{GREETED}{refused}C: RSET\nS: 250 ok\n{COPY}S: 250 taken\nC: QUIT")
    assert passed[:3] == (0, "", "")
    text = text_of(message_from_bytes(passed.data["[care]"]))
    assert "\nReceived by: nobody\nNot received by:\n" in text
    assert "\n    b@example.org\n        554 5.7.1 spam\n" in text
    assert "\n    c@example.org\n        550 5.1.1 no such user\n" in text


def test_it_waits_until_all_verdicts_are_in(receiver: Receiver, mailbox: Mailbox, work: Path) -> None:
    mailbox.put(mail(*HEAD))
    greylisted = ENVELOPE.replace("550 5.2.1 account closed", "450 4.2.0 greylisted")
    assert cared_for(receiver, f"{GREETED}{greylisted}C: QUIT").code == 75
    assert spooled(work) == ["msg.dat"]
    again = """
        C* MAIL *
        S: 250 ok
        C: RCPT TO:<d@example.org>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. [d]
        S: 250 taken
    """
    passed = cared_for(receiver, f"{GREETED}{again}{COPY}S: 250 taken\nC: QUIT")
    assert passed[:3] == (0, "", "")
    text = text_of(message_from_bytes(passed.data["[care]"]))
    has, has_not = text.partition("Received by:\n")[2].split("Not received by:\n")
    assert sorted(has.split()) == ["b@example.org", "d@example.org"]
    assert has_not.startswith("    c@example.org\n        550 5.1.1 no such user\n\n")


@pytest.mark.parametrize("not_now", ["S: 451 not now\nC: QUIT", "-- cut"])
def test_a_caretaker_who_cannot_take_it_now_gets_it_later_and_nobody_else_again(
    receiver: Receiver, mailbox: Mailbox, work: Path, not_now: str
) -> None:
    mailbox.put(mail(*HEAD))
    assert cared_for(receiver, f"{GREETED}{ENVELOPE}{COPY}{not_now}").code == 75
    assert (len(mailbox.left), spooled(work)) == (1, ["msg.dat"])
    assert cared_for(receiver, f"{GREETED}{COPY}S: 250 taken\nC: QUIT")[:3] == (0, "", "")
    assert (mailbox.left, spooled(work), mailbox.retrieved()) == ([], [], 1)


@pytest.mark.parametrize("no", ["552 5.2.2 full", "550 no"])
def test_a_caretaker_who_refuses_it_makes_it_a_dud(receiver: Receiver, mailbox: Mailbox, work: Path, no: str) -> None:
    mailbox.put(mail(*HEAD))
    refused = COPY.partition("S: 250 ok\n    C: DATA")[0] + f"S: {no}\nC: QUIT"
    passed = cared_for(receiver, f"{GREETED}{ENVELOPE}{refused}")
    assert (passed.code, mailbox.left, spooled(work)) == (65, [], [])
    dud = (work / "duds.dat").read_text()
    for line in (
        "For: c@example.org",
        "For: d@example.org",
        "Why: <c@example.org>: 550 5.1.1 no such user",
        f"Why: the caretaker <care@example.org>: {no}",
    ):
        assert f"\nX-POPFetch-Dud-{line}\n" in dud
    assert "This message has not been received" not in dud  # the message as it came, not the copy
    assert "For: b@example.org" not in dud


def test_a_caretaker_who_is_the_one_that_was_refused_is_not_asked_again(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(mail("Return-Path: <a@far.example>", "Subject: for nobody of ours"))
    refused = """
        C: MAIL FROM:<a@far.example>
        S: 250 ok
        C: RCPT TO:<care@example.org>
        S: 550 no
    """
    assert cared_for(receiver, f"{GREETED}{refused}\nC: QUIT").code == 65


def test_eightbit_octets_in_the_copy_are_declared(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(mail(*HEAD, "Content-Type: text/html; charset=utf-8", body="café"))
    passed = cared_for(receiver)
    assert passed.heard.count(b"BODY=8BITMIME") == 2
    assert "café".encode() in passed.data["[care]"]
