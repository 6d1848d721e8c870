"""From Dovecot over TLS into Postfix and out to a maildir: every message once, with the bytes that it had."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import dkim  # type: ignore[import-untyped] # has no types
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.embedded import PopServer
from tests.passes import Conf, RunPass, account
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.mail import Sample
from tests.real.office import NOTHING, Office, below, lines_with, pop3, pop3s, read
from tests.real.people import DOMAIN
from tests.real.postfix import Postfix, unpacked

Names = Callable[..., bytes]


@pytest.fixture(scope="module")
def transparent(make_postfix: Callable[..., Postfix]) -> Postfix:
    """Return a Postfix that leaves every header field where it is, and takes no line that ends in LF alone."""
    return make_postfix(message_drop_headers="", smtpd_forbid_bare_newline="yes")


@pytest.fixture
def office(dovecot: Dovecot, transparent: Postfix, pki: Pki, conf: Conf, run_pass: RunPass) -> Office:
    return Office(dovecot, transparent, pki, conf, run_pass)


def prints(messages: Iterable[bytes]) -> Counter[str]:
    return Counter(hashlib.sha256(message).hexdigest() for message in messages)


def compare(samples: Sequence[Sample], arrived: Sequence[bytes]) -> None:
    """Say what is missing, by the kinds of the messages, and what came that nobody sent."""
    wanted = prints(sample.wanted for sample in samples)
    came = prints(below(message) for message in arrived)
    names = {hashlib.sha256(sample.wanted).hexdigest(): sample.what for sample in samples}
    missing = Counter(names[one] for one in (wanted - came).elements())
    strange = [below(message)[:200] for message in arrived if prints([below(message)]) - wanted]
    assert (missing, strange) == (Counter(), [])
    assert came == wanted


@pytest.mark.slow
def test_five_hundred_mixed_messages_arrive_once_with_the_bytes_that_they_had(office: Office) -> None:
    samples = list(mail.mixed())
    assert len(samples) == 500
    assert min(len(sample.sent) for sample in samples) == 1
    assert max(len(sample.sent) for sample in samples) > 19 * mail.MEGABYTE
    user, address = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, (sample.sent for sample in samples))
    path = office.settings(pop3s(office.dovecot, user, f"to={address}"))
    assert office.run_pass(path, child=True) == NOTHING
    assert office.dovecot.left(user) == 0
    compare(samples, office.postfix.received(address))
    assert office.run_pass(path, child=True) == NOTHING
    assert len(office.postfix.received(address)) == len(samples)


def test_lone_line_feeds_on_the_wire_reach_a_postfix_that_refuses_them(office: Office) -> None:
    bare, odd = mail.bare_lf(1, 3000), mail.odd_line_ends(2, 3000)
    both = Sample("both", b"Subject: 3\n\na\nb\r\nc\rd\n.\ne\n.\r\n", b"Subject: 3\n\na\nb\nc\nd\n.\ne\n.\n")
    samples, address = [bare, odd, both], office.postfix.address()
    with PopServer({"bob": ("geheim-bob", [bare.sent.removesuffix(b"\n"), odd.sent, both.sent])}) as pop:
        assert office.run_pass(office.settings(account(pop.port, f"to={address}"))) == NOTHING
        assert pop.left("bob") == []
    compare(samples, office.postfix.received(address))


def test_the_return_path_is_the_envelope_sender(office: Office) -> None:
    arrived = office.carry([mail.return_path(7, 100).sent, mail.plain(8, 100).sent])
    with_path, without = sorted(arrived, key=lambda message: b"sender8@" in message)
    assert with_path.startswith(b"Return-Path: <bounce+7@example.org>\n")
    assert without.startswith(b"Return-Path: <>\n")


def test_our_received_line_tells_where_the_message_was(office: Office) -> None:
    (message,) = office.carry([mail.plain(1, 100).sent])
    ours = " ".join(read(unpacked(message)).get_all("Received", [])[0].split())
    assert ours.startswith("from localhost ([127.0.0.1]) by ")
    assert f"@localhost:{office.dovecot.pop3s}) with POP3S for <" in ours


def test_stls_is_used_where_it_is_offered(office: Office) -> None:
    user, address = office.dovecot.user(), office.postfix.address()
    office.dovecot.fill(user, [mail.plain(1, 100).sent])
    assert office.run_pass(office.settings(pop3(office.dovecot, user, f"to={address}"))) == NOTHING
    (message,) = office.postfix.received(address)
    assert b"with POP3S for" in message
    (login,) = lines_with(office.dovecot.log, f"Login: user=<{user}>", 1)
    assert ", TLS," in login


def test_everybody_whom_the_header_names_gets_it_once_in_one_transaction(office: Office) -> None:
    user, people = office.dovecot.user(), [office.postfix.address() for _ in range(3)]
    twice = [*people, people[0].upper()]
    fields = b"X-Envelope-To: " + ", ".join(f"Some Body <{who}>" for who in twice).encode() + b"\r\n"
    sample = mail.plain(9, 2000)
    office.dovecot.fill(user, [fields + sample.sent])
    path = office.settings(pop3s(office.dovecot, user, "header=X-Envelope-To:"), pf_accept_domain=DOMAIN)
    assert office.run_pass(path) == NOTHING
    for who in people:
        (message,) = office.postfix.received(who)
        assert below(message) == fields.replace(b"\r\n", b"\n") + sample.wanted


def test_what_dovecot_cannot_send_stays_there_and_holds_up_nobody(office: Office) -> None:
    """Dovecot 2.3 does not double a dot that a message begins with, so that one ends where it begins."""
    user, address = office.dovecot.user(), office.postfix.address()
    good = [mail.plain(number, 500) for number in range(4)]
    messages = [sample.sent for sample in good]
    office.dovecot.fill(user, [messages[0], b".\r\nlost if this were believed\r\n", *messages[1:]])
    path = office.settings(pop3s(office.dovecot, user, f"to={address}", "name=mine"))
    for _ in range(2):
        code, _, err = office.run_pass(path)
        assert code == 76
        assert err.startswith("popfetch: mine: ")
    assert office.dovecot.left(user) == 1
    compare(good, office.postfix.received(address))


@pytest.fixture(scope="module")
def signer() -> tuple[bytes, Names]:
    """Return a private key as dkimpy wants it, and what stands in for the DNS with the public one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    return private, lambda name, **_: record if name == b"key._domainkey.example.org." else b""


@pytest.mark.parametrize("canonical", [b"simple", b"relaxed"])
def test_a_signed_message_still_verifies(signer: tuple[bytes, Names], canonical: bytes, office: Office) -> None:
    key, names = signer
    fields = [b"From", b"To", b"Subject", b"Date", b"Message-ID"]
    kinds = (mail.plain, mail.multipart, mail.eight_bit, mail.pgp_signed, mail.dots, mail.no_line_at_all)
    signed = []
    for number, kind in enumerate(kinds):
        message = kind(number, 30_000).sent.removesuffix(b"\r\n") + b"\r\n"
        how = {"canonicalize": (canonical, canonical), "include_headers": fields}
        signed.append(dkim.sign(message, b"key", b"example.org", key, **how) + message)
    arrived = [
        message.replace(b"\n", b"\r\n")
        for message in office.carry(b"Return-Path: <list@example.org>\r\n" + message for message in signed)
    ]
    assert [dkim.verify(message, dnsfunc=names) for message in arrived] == [True] * len(kinds)
    assert not dkim.verify(arrived[0] + b"one more line\r\n", dnsfunc=names)
    assert not dkim.verify(arrived[0].replace(b"Subject:  two", b"Subject:  too"), dnsfunc=names)
