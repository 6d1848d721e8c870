"""What Postfix refuses: the caretaker's copy as a mail reader sees it, duds.dat as Python's mailbox sees it, --duds."""

import mailbox
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.passes import Conf, RunPass
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.mail import Sample
from tests.real.office import NOTHING, Office, below, pop3s, read
from tests.real.people import DOMAIN
from tests.real.postfix import Postfix

QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)  # which Python leaves to the reader
STRANGER = f"stranger@{DOMAIN}"


@pytest.fixture
def office(dovecot: Dovecot, postfix: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, postfix, pki, conf, run_pass)


def to(*people: str) -> bytes:
    return b"X-Rcpt-To: " + ", ".join(people).encode() + b"\r\n"


def refused(office: Office, sample: Sample) -> bytes:
    """Send *sample* to somebody who gets it and to a stranger, and return the caretaker's copy."""
    user, glad, caretaker = office.dovecot.user(), office.postfix.address(), office.postfix.address()
    office.dovecot.fill(user, [to(glad, STRANGER) + sample.sent])
    assert office.run_pass(office.settings(pop3s(office.dovecot, user), pf_dflt_address=caretaker)) == NOTHING
    assert office.dovecot.left(user) == 0
    (delivered,) = office.postfix.received(glad)
    assert below(delivered).endswith(sample.wanted)
    (copy,) = office.postfix.received(caretaker)
    told = read(copy).get_body(("plain",))
    assert told is not None
    by, _, not_by = told.get_content().partition("Not received by:")
    assert glad in by
    assert STRANGER in not_by
    assert "550 5.1.1" in not_by
    return below(copy)


def test_the_caretaker_reads_in_a_plain_message_who_has_not_received_it(office: Office) -> None:
    sample = mail.plain(1, 3000)
    copy = refused(office, sample)
    top, _, body = sample.wanted.partition(b"\n\n")
    assert top in copy
    assert copy.endswith(body)
    assert read(copy).get_content_type() == "text/plain"
    assert not read(copy).defects


@pytest.mark.parametrize("kind", [mail.multipart, mail.pgp_signed, mail.binary])
def test_any_other_message_is_the_second_part_of_the_copy_and_untouched(
    office: Office, kind: Callable[[int, int], Sample]
) -> None:
    sample = kind(2, 5000)
    octets = refused(office, sample)
    copy = read(octets)
    assert copy.get_content_type() == "multipart/mixed"
    assert not copy.defects
    told, own = copy.iter_parts()
    assert told.get_content_type() == "text/plain"
    assert own.get_content_type() == read(sample.sent).get_content_type()
    assert copy["Subject"] == read(sample.sent)["Subject"]
    line = b"\n--" + str(copy.get_boundary()).encode()
    _, paragraph, inside, end = octets.split(line)
    assert paragraph
    assert inside.partition(b"\n\n")[2] == sample.wanted.partition(b"\n\n")[2]
    assert end == b"--\n"


def test_a_quoted_printable_message_is_read_as_one(office: Office) -> None:
    fields = (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"
    )
    body = b"Gr=C3=BC=C3=9Fe=20\r\nsoft =\r\nbreak\r\n"
    copy = read(refused(office, mail.as_it_is("QP", mail.header(3, fields) + body)))
    assert copy.get_content_type() == "text/plain"
    assert copy.get_content().endswith("Gr\xfc\xdfe \nsoft break\n")


def test_an_html_message_keeps_its_markup_and_gets_a_part_in_front(office: Office) -> None:
    fields = b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit"
    copy = read(refused(office, mail.as_it_is("HTML", mail.header(4, fields) + b"<p>Gr\xfc\xdfe</p>\r\n")))
    told, own = copy.iter_parts()
    assert told.get_content_type() == "text/plain"
    assert own.get_content_type() == "text/html"
    assert own.get_content() == "<p>Gr\xfc\xdfe</p>\n"


def test_a_message_for_nobody_of_ours_goes_to_the_caretaker_as_it_is(office: Office) -> None:
    user, caretaker = office.dovecot.user(), office.postfix.address()
    samples = [mail.one_octet(0, 0), mail.headerless(1, 500), mail.plain(2, 500)]
    office.dovecot.fill(user, [sample.sent for sample in samples])
    line = pop3s(office.dovecot, user)
    path = office.settings(line, pf_accept_domain=DOMAIN, pf_dflt_address=caretaker)
    assert office.run_pass(path) == NOTHING
    assert sorted(map(below, office.postfix.received(caretaker))) == sorted(sample.wanted for sample in samples)


def buried(office: Office, *samples: Sample, whom: str) -> Path:
    """Let a pass write *samples* to duds.dat, and return the dmail.conf."""
    user = office.dovecot.user()
    office.dovecot.fill(user, [b"Return-Path: <bounce@example.org>\r\n" + to(whom) + sample.sent for sample in samples])
    path = office.settings(pop3s(office.dovecot, user))
    code, out, err = office.run_pass(path)
    assert (code, out) == (65, "")
    assert f"{len(samples)} message" in err
    assert "duds.dat; --duds list shows why" in err
    assert office.dovecot.left(user) == 0
    return path


def test_duds_are_read_by_pythons_mailbox_byte_for_byte(office: Office, work: Path) -> None:
    first = mail.from_line(1, 2000)
    first = first._replace(sent=first.sent.partition(b"\r\n")[2])  # the lines of its body stay
    samples = [first, mail.dots(2, 2000), mail.multipart(3, 2000)]
    buried(office, *samples, whom=STRANGER)
    with closing(mailbox.mbox(work / "duds.dat", create=False)) as box:
        for dud in box:
            assert dud["X-POPFetch-Dud-For"] == STRANGER
            assert "550 5.1.1" in dud["X-POPFetch-Dud-Why"]
        octets = [QUOTED.sub(rb"\1", box.get_bytes(key).replace(b"\r\n", b"\n")) for key, _ in box.items()]
    found = sorted(each.partition(b"From: Ren")[2] for each in octets)
    assert found == sorted(sample.wanted.partition(b"From: Ren")[2] for sample in samples)


def test_a_dud_is_sent_again_once_the_cause_is_mended_and_leaves_the_file(office: Office, work: Path) -> None:
    late = f"late@{DOMAIN}"
    samples = [mail.dots(5, 3000), mail.eight_bit(6, 3000)]
    path = buried(office, *samples, whom=late)
    listed = office.run_pass(path, "--duds", "list")
    assert listed.code == 0
    assert listed.out.count(f"to {late}") == 2
    assert "550 5.1.1" in listed.out
    shown = office.run_pass(path, "--duds", "show", "2")
    assert "Message-ID: <6@example.org>" in shown.out
    again = office.run_pass(path, "--duds", "resend", "1")
    assert again.code == 65
    assert f"dud 1 stays: <{late}>: 550 5.1.1" in again.err
    with closing(mailbox.mbox(work / "duds.dat", create=False)) as box:
        assert len(box) == 2
    office.admit(late)
    assert office.run_pass(path, "--duds", "resend", "1").code == 0
    (first,) = office.postfix.received(late)
    assert first.startswith(b"Return-Path: <bounce@example.org>\n")
    assert below(first).endswith(samples[0].wanted)
    assert office.run_pass(path, "--duds", "list").out.count(f"to {late}") == 1
    assert office.run_pass(path, "--duds", "resend", "all").code == 0
    assert sorted(below(message)[-500:] for message in office.postfix.received(late)) == sorted(
        sample.wanted[-500:] for sample in samples
    )
    assert office.run_pass(path, "--duds", "list").out == ""
    assert office.run_pass(path, "--duds", "resend", "1").code == 64


def test_the_safety_net_stops_until_somebody_resets_it(office: Office) -> None:
    user, glad = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, [to(STRANGER) + mail.plain(number, 300).sent for number in range(5)])
    path = office.settings(pop3s(office.dovecot, user), pf_max_duds=3)
    code, _, err = office.run_pass(path)
    assert code == 79
    assert "3 duds in a row" in err
    assert "--reset" in err
    left = office.dovecot.left(user)
    assert left >= 2
    assert office.run_pass(path).code == 79
    assert office.dovecot.left(user) == left
    assert office.run_pass(path, "--reset").code == 0
    assert office.run_pass(office.settings(pop3s(office.dovecot, user), pf_dflt_address=glad)) == NOTHING
    assert office.dovecot.left(user) == 0
    copies = [read(message).get_content() for message in office.postfix.received(glad)]
    assert len(copies) == 2
    assert all(STRANGER in copy for copy in copies)
