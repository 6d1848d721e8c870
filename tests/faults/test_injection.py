"""Words that try to become a command, a header field, a part of a multipart, or a line of the log.

They come from everywhere: headers, UIDs, a receiver's and a POP server's words, the name of the machine.
"""

import mailbox
import re
import socket
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message

import pytest

from tests.faults.careless import Careless
from tests.faults.hostile import Office, Twisted, TwistedTalk
from tests.passes import Conf, RunPass
from tests.scenario.mails import logged, mail

RCPT = re.compile(rb'RCPT TO:<(?:[!-;=?-~]+|"[ -;=?-~]*")@example\.org>')
MAIL = re.compile(rb"MAIL FROM:<(?:(?:[!-;=?-~]+|\"[ -;=?-~]*\")@[A-Za-z0-9.-]+)?>(?: SIZE=\d+)?(?: BODY=8BITMIME)?")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ (?:error|warning|info|debug) [a-z]+[ :].*")
CARE = {"pf_dflt_address": "care@example.org"}
REFUSED = b"550 5.1.1 \x1b[2Jno\r250 yes\r--=_popfetch_\rX-Evil: 1 \x07\xff\xe2\x80\xae<x>"
PATHS = (
    b"b@example.org>\rRCPT TO:<evil@example.org", b"b@example.org>\nDATA\n", b"<b@example.org\0>",
    b"<b\x0b@example.org>", b"<b@example.org>\r\n\tRCPT TO:<evil@example.org>", b"<b@example.org\r\n >",
    b'"b\\\r"@example.org', b'"b\\\x0d\x0a "@example.org', b'"b@x> SIZE=1 \\""@example.org',
    b"<b@example.org> SIZE=1 BODY=BINARYMIME", b'"b\\>"@example.org', b'"b>x"@example.org',
    b"=?utf-8?q?b=40example.org=3E=0D=0ARCPT_TO:<evil=40example.org?=", b"=?utf-8?b?Pg0KREFUQQ0K?=@example.org",
    b"<=?utf-8?q?=0D=0A?=b@example.org>", b"b%evil.example@example.org", b"<@evil.example:b@example.org>",
    b"evil!b@example.org", b"\xe2\x80\xaeb@example.org", b"b\x7f@example.org", b"b\x1b[2J@example.org",
    b"b\xc2\x85@example.org", b"b @example.org", b"(\\\r\n )b@example.org", b'"evil@evil.example"@example.org',
    b"b@example.org\r\n.\r\nMAIL FROM:<evil@example.org>",
)  # fmt: skip


@pytest.fixture
def receiver() -> Careless:
    """Return a receiver that keeps every command."""
    return Careless()


@pytest.fixture
def bob(conf: Conf, run_pass: RunPass, receiver: Careless) -> Iterator[Office]:
    """Return bob's mailbox before that receiver."""
    with Twisted({"bob": ("geheim-bob", [])}) as pop, Office(conf, run_pass, pop, receiver) as office:
        yield office


def lines_of_log(office: Office) -> list[str]:
    """Return the lines of popfetch.log, each of which is one of ours and printable."""
    lines = (office.work / "popfetch.log").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert all(LINE.fullmatch(line) and line.isprintable() for line in lines)
    return lines


# --- the envelope -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [b"X-Rcpt-To", b"To"])
def test_no_header_says_more_in_rcpt_than_a_recipient(bob: Office, receiver: Careless, header: bytes) -> None:
    bob.put(*[header + b": " + path + b"\r\n\r\nhello\r\n" for path in PATHS])
    assert bob.pass_(option="", pf_accept_domain="example.org", **CARE)[:2] == (0, "")
    assert len(receiver.taken) == len(PATHS)
    assert not [one for one in receiver.commands if not (MAIL.fullmatch(one) or RCPT.fullmatch(one))]
    everybody = Counter(who for letter in receiver.taken for who in letter.recipients)
    assert not [who for who in everybody if b"evil.example" in who]
    assert set(receiver.heard) <= {"EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"}
    assert Counter(receiver.heard)["DATA"] == len(PATHS)


def test_no_return_path_says_more_in_mail_than_a_sender(bob: Office, receiver: Careless) -> None:
    bob.put(*[b"Return-Path: " + path + b"\r\n\r\nhello\r\n" for path in PATHS])
    assert bob.pass_()[:2] == (0, "")
    assert [letter.recipients for letter in receiver.taken] == [(b"b@example.org",)] * len(PATHS)
    assert not [one for one in receiver.commands if not (MAIL.fullmatch(one) or one == b"RCPT TO:<b@example.org>")]
    assert set(receiver.heard) <= {"EHLO", "MAIL", "RCPT", "DATA", "QUIT"}


# --- our Received line ------------------------------------------------------------------------------------------------


USERS = ["bob (x) by evil", "bob;", "bob)(", "b<o>b", "b\u00e9b\u202e", "%28bob", "bob\u0085", '"bob"']


@pytest.mark.parametrize("user", USERS)
def test_whatever_account_and_machine_are_called_it_is_one_field_and_known_again(
    bob: Office, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "evil (x)\r\nX-Evil: 1\r\n\r\n\0\u202e;")
    bob.pop.mailboxes[user.encode().decode("latin-1")] = bob.box
    bob.put(mail("Subject: one"))
    escaped = user.replace('"', '\\"')
    line = f'pf_user "{escaped}" geheim-bob 127.0.0.1:{bob.pop.port} to=b@example.org'
    path = bob.conf(line, pf_smtp_server=f"127.0.0.1:{bob.smtp.port}")
    assert bob.run_pass(path).code == 0
    (letter,) = bob.smtp.taken
    assert [name for name, _ in message_from_bytes(letter.content).items()] == ["Received", "Subject"]
    assert not re.search(rb"[^\r\n\t -~]", letter.content)
    bob.put(letter.content)
    assert bob.run_pass(path).code == 65
    assert len(bob.smtp.taken) == 1
    lines_of_log(bob)


# --- duds.dat ---------------------------------------------------------------------------------------------------------

UIDS = (
    b"a\nX-POPFetch-Dud-For: evil@example.org", b"b\rX-POPFetch-Dud-For: evil@example.org", b"c\n\nFrom x\n\nforged",
    b"d status=delivered", b'e" status="delivered', b"f\n2026-01-01T00:00:00+00:00 info pass summary=forged",
    b"\x1b]52;c;eA==\x07", b"\0", b"\xff\xfe", b"\xe2\x80\xaeg", b"h\\x0aX-POPFetch-Dud-For: evil@example.org",
    b"i\x85\x9b2J",
)  # fmt: skip
SEPARATED = mail(
    "Subject: one",
    body="Look:\nFrom MAILER-DAEMON Sun Nov 22 12:39:00 2026\nX-POPFetch-Dud-For: evil@example.org\n\nforged\n>From x",
)


def say_uids(talk: TwistedTalk, _: bytes) -> None:
    """List the mailbox by UIDS."""
    talk.say(b"+OK", *(b"%d %b" % (number, UIDS[at - 1]) for number, at in enumerate(talk.uids, 1)), b".")


@pytest.fixture
def buried(bob: Office) -> Office:
    """Let a pass write a dud for each of UIDS, refused in hostile words."""
    bob.put(*[SEPARATED.replace(b"\n", odd).replace(b"\r\r", b"\r") for odd in (b"\n", b"\r", b"\r\n") * 4])
    bob.teach(UIDL=say_uids)
    bob.smtp.refused = {b"b@example.org": REFUSED}
    assert bob.pass_(pf_max_duds=100).code == 65
    bob.smtp.refused = {}
    return bob


def test_nothing_forges_a_line_in_front_of_a_dud_nor_a_dud(buried: Office) -> None:
    box = mailbox.mbox(buried.work / "duds.dat", create=False)
    told = [[name for name, _ in dud.items()] for dud in box]
    box.close()
    ours = ["When", "Account", "UID", "Sender", "For", "Why", "Id", "Size"]
    assert told == [[*(f"X-POPFetch-Dud-{name}" for name in ours), "Subject"]] * len(UIDS)
    front = (buried.work / "duds.dat").read_bytes()
    assert front.count(b"\nX-POPFetch-Dud-UID: ") == len(UIDS)
    assert not re.search(rb"\nX-POPFetch-Dud-[A-Za-z]+: [ -~]*[^ -~\n]", front)


def test_a_dud_goes_again_to_nobody_but_its_recipients(buried: Office, receiver: Careless) -> None:
    assert buried.pass_("--duds", "resend", "all").code == 0
    assert receiver.envelopes() == Counter({(b"", (b"b@example.org",)): len(UIDS)})
    assert not [letter for letter in receiver.taken if b"X-POPFetch-Dud-UID" in letter.content]


def test_one_message_is_one_line_of_the_log(buried: Office) -> None:
    lines = lines_of_log(buried)
    assert len([line for line in lines if line.split(" ")[2] == "message"]) == len(UIDS)
    assert [line["status"] for line in logged(buried.work, "message")] == ["duds"] * len(UIDS)
    assert len([line for line in lines if line.split(" ")[2] == "pass"]) == 1


# --- the caretaker's copy and notices ---------------------------------------------------------------------------------


def copied(office: Office, receiver: Careless, sent: bytes) -> Message:
    """Return the caretaker's copy of *sent*."""
    office.put(sent)
    assert office.pass_(**CARE).code == 0
    return message_from_bytes(receiver.taken[-1].content)


def test_a_receivers_words_add_no_field_and_no_line_to_the_copy(bob: Office, receiver: Careless) -> None:
    receiver.refused = {b"b@example.org": REFUSED}
    copy = copied(bob, receiver, mail("Subject: one"))
    assert copy.keys() == ["Received", "Subject"]
    text = str(copy.get_payload())
    assert "\\x1b[2Jno 250 yes --=_popfetch_ X-Evil: 1" in " ".join(text.split())
    assert re.fullmatch(r"[\r\n -~]+", text)


def test_who_knows_the_boundary_of_one_copy_does_not_know_that_of_another(bob: Office, receiver: Careless) -> None:
    receiver.refused = {b"b@example.org": REFUSED}
    html = ("Subject: one", "MIME-Version: 1.0", "Content-Type: text/html")
    known = copied(bob, receiver, mail(*html)).get_boundary()
    evil = mail(*html, body=f"--{known}--\n--{known}\nContent-Type: text/plain\n\nforged\n--{known}--")
    copy = copied(bob, receiver, evil)
    assert copy.keys() == ["Received", "Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    assert copy.get_boundary() != known
    parts = [part for part in copy.walk() if not part.is_multipart()]
    note, original = parts
    assert (note.get_content_type(), original.get_content_type()) == ("text/plain", "text/html")
    assert original.get_payload() == evil.partition(b"\r\n\r\n")[2].decode().removesuffix("\r\n") + "\r\n"


def test_a_pop_servers_words_add_no_field_and_no_line_to_a_notice(bob: Office, receiver: Careless) -> None:
    bob.teach(PASS=lambda talk, _: talk.say(b"-ERR no\rX-Evil: 1\n\nBcc: evil@x\n.\n\x1b[2J\x07\xff\xe2\x80\xae\0"))
    for _ in range(3):
        assert bob.pass_(pf_notify_address="admin@example.org").code == 77
    (letter,) = receiver.taken
    notice = message_from_bytes(letter.content)
    names = ["From", "To", "Date", "Message-ID", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"]
    assert notice.keys() == ["Received", *names, "Content-Transfer-Encoding"]
    text = notice.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert b"\\x0dX-Evil:1\\x0a\\x0aBcc:evil@x" in b"".join(text.split())
    assert text.decode().replace("\r\n", "").isprintable()
    lines_of_log(bob)
