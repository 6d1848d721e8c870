"""The mails to pf_notify_address, read back with Python's own parser."""

import email
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import AccountError, LoginError, PopfetchError
from lib.report import notice

NOW = datetime(2026, 11, 2, 12, 39, tzinfo=timezone(timedelta(hours=1)))
SINCE = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
POST = notice.Letterhead(
    "popfetch@example.org", "chief@example.org", NOW, "<1@example.org>", "python popfetch_batch.py -i /etc/dmail.conf"
)


def read(mail: bytes) -> EmailMessage:
    message = email.message_from_bytes(mail, policy=default)
    assert isinstance(message, EmailMessage)
    assert message.defects == []
    return message


def text_of(mail: EmailMessage) -> str:
    text = mail.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def matter(label: str, words: str) -> notice.Matter:
    octets = words.encode("utf-8", "backslashreplace")
    return notice.Matter(label, octets, (octets, octets), octets, (octets,) * 30)


def all_kinds(label: str, words: str, post: notice.Letterhead = POST) -> list[bytes]:
    return [
        notice.failing(post, label, AccountError(words), since=SINCE, passes=3),
        notice.recovered(post, label, since=SINCE, passes=3),
        notice.tripped(post, duds=10, path=words),
        notice.refused_for_content(post, matter(label, words), dud=3),
        notice.refused_letter(post),
        notice.may_have_come(post, matter(label, words), times=2),
    ]


def test_an_account_that_keeps_failing_is_told_with_what_to_do() -> None:
    mail = read(notice.failing(POST, "bob", LoginError("pop.example: -ERR [AUTH] no"), since=SINCE, passes=3))
    assert mail["From"] == "POPFetch <popfetch@example.org>"
    assert mail["To"] == "chief@example.org"
    assert mail["Message-ID"] == "<1@example.org>"
    assert mail["Subject"] == "POPFetch: account bob keeps failing"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(mail["Date"]) == NOW
    text = text_of(mail)
    assert "in the last 3 passes" in " ".join(text.split())
    assert "since Sun, 1 Nov 2026 03:00:00 +0000" in " ".join(text.split())
    assert "\n    pop.example: -ERR [AUTH] no\n" in text
    assert "Check the user name and the password" in text
    assert "\n    python popfetch_batch.py -i /etc/dmail.conf --dry-run\n" in text


def test_an_account_that_fails_otherwise_gets_other_advice() -> None:
    mail = read(notice.failing(POST, "bob", AccountError("no route"), since=SINCE, passes=3))
    assert "does its server answer" in " ".join(text_of(mail).split())


def test_a_recovery_is_told() -> None:
    mail = read(notice.recovered(POST, "bob", since=SINCE, passes=17))
    assert mail["Subject"] == "POPFetch: account bob works again"
    assert "failed in 17 passes" in " ".join(text_of(mail).split())


def test_a_tripped_safety_net_is_told_with_the_commands_to_type() -> None:
    mail = read(notice.tripped(POST, duds=10, path="/var/spool/popfetch/duds.dat"))
    text = text_of(mail)
    assert text.startswith("10 messages in a row")
    assert "\n    /var/spool/popfetch/duds.dat\n" in text
    for option in ("--duds list", "--duds show 1", "--reset", "--duds resend all"):
        assert f"\n    {POST.command} {option}\n" in text


@pytest.mark.parametrize("kind", range(3))
def test_words_of_any_script_arrive(kind: int) -> None:
    mail = read(
        all_kinds("Büro Zürich " + "日本" * 40, "Benutzer ungültig: 日本", POST._replace(command="C:\\Büro\\x"))[kind]
    )
    text = " ".join(text_of(mail).split())
    if kind < 2:
        assert "Büro Zürich 日本" in mail["Subject"]
        assert "Büro Zürich" in text
    if kind != 1:
        assert "ungültig: 日本" in text
        assert "C:\\Büro\\x" in text


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_no_word_of_anybody_makes_a_header_a_control_character_or_a_broken_line(
    label: str, words: str, sender: str, to: str, command: str
) -> None:
    for mail in all_kinds(label, words, notice.Letterhead(sender, to, NOW, f"<{to}>", command)):
        assert mail.replace(b"\r\n", b"").find(b"\r") == mail.replace(b"\r\n", b"").find(b"\n") == -1
        head, _, body = mail.partition(b"\r\n\r\n")
        names = [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
        assert names == [
            b"From",
            b"To",
            b"Date",
            b"Message-ID",
            b"Subject",
            b"Auto-Submitted",
            b"MIME-Version",
            b"Content-Type",
            b"Content-Transfer-Encoding",
        ]
        assert body.isascii()
        assert all(char >= " " or char in "\r\n" for char in body.decode("ascii"))


def test_a_long_command_is_neither_wrapped_nor_a_line_too_long() -> None:
    command = "python " + "x" * 1500
    mail = notice.tripped(POST._replace(command=command), duds=10, path="y" * 1500)
    assert all(len(line) <= 998 for line in mail.split(b"\r\n"))
    assert f"\n    {command} --reset\n" in text_of(read(mail))


@given(st.text(min_size=1))
def test_endless_words_do_not_make_an_endless_mail(words: str) -> None:
    error = PopfetchError(words * 10_000)
    assert len(notice.failing(POST, "x" * 10_000, error, since=SINCE, passes=3)) < 60_000


def test_a_message_that_the_caretaker_cannot_have_is_told_by_what_a_person_knows_it_by() -> None:
    about = notice.Matter("bob", b"a@far.example", (b"b@x", b"c@x"), b"hello", (b"<b@x>: 550 too long a line",))
    text = text_of(read(notice.refused_for_content(POST, about, dud=7)))
    told = ["account: bob", "from: <a@far.example>", "for: b@x", "for: c@x", "subject: hello"]
    assert "".join(f"    {line}\n" for line in [*told, "reason: <b@x>: 550 too long a line"]) in text
    for verb in ("show 7", "resend 7 --to ADDRESS", "drop 7"):
        assert f"\n    python popfetch_batch.py -i /etc/dmail.conf --duds {verb}\n" in text


def test_a_crowd_is_counted() -> None:
    about = notice.Matter("bob", b"", [b"%d@x" % one for one in range(30)], b"", ())
    text = text_of(read(notice.refused_for_content(POST, about, dud=1)))
    assert ("for: 19@x\n    and 10 more\n" in text, "20@x" in text) == (True, False)


def test_the_letter_about_a_letter_holds_no_word_of_a_stranger() -> None:
    text = text_of(read(notice.refused_letter(POST)))
    assert "--duds list" in text


def test_a_message_that_may_have_come_is_told_with_what_happens_next() -> None:
    about = notice.Matter("bob", b"a@far.example", (b"b@x",), b"hello", (b"connection lost",))
    text = " ".join(text_of(read(notice.may_have_come(POST, about, times=2))).split())
    assert text.startswith("2 times a message was sent whole to the mail server")
    assert "tried again an hour from now, after four hours, and then once a day" in text
    assert "-i /etc/dmail.conf --status" in text
