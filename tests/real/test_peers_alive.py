"""The real peers are what the other tests take them for, seen with Python's own clients."""

import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.pki import Pki
from tests.real.dovecot import DOMAIN, PASSWORD, Dovecot
from tests.real.postfix import Postfix, unpacked

MAIL = b"Subject: hi\r\n\r\n.\r\n..\r\n8-bit: \xc3\xa4\r\n" + b"x" * 1500 + b"\r\n"


def fetch(client: poplib.POP3, user: str) -> list[bytes]:
    client.user(user)
    client.pass_(PASSWORD)
    mails = [b"\r\n".join([*client.retr(n + 1)[1], b""]) for n in range(client.stat()[0])]
    for number in range(len(mails)):
        client.dele(number + 1)
    client.quit()
    return mails


def test_dovecot_gives_what_was_put_in_and_in_that_order(dovecot: Dovecot) -> None:
    user = dovecot.user()
    dovecot.fill(user, [MAIL, *(b"Subject: %d\r\n\r\n" % n for n in range(20)), b"Subject: LF\n\nlone\nend"])
    assert dovecot.left(user) == 22
    mails = fetch(poplib.POP3("127.0.0.1", dovecot.pop3, timeout=10), user)
    assert mails[0] == MAIL
    assert mails[1:21] == [b"Subject: %d\r\n\r\n" % n for n in range(20)]
    assert mails[21] == b"Subject: LF\r\n\r\nlone\r\nend\r\n"
    assert dovecot.left(user) == 0


def test_dovecot_leaves_lone_cr_nul_and_odd_line_ends_as_they_are(dovecot: Dovecot) -> None:
    user = dovecot.user()
    mail = b"Subject: x\r\n\r\na\rb\x00c\r\r\n\r\n"
    dovecot.fill(user, [mail])
    with socket.create_connection(("127.0.0.1", dovecot.pop3), timeout=10) as sock:
        sock.sendall(b"USER %s\r\nPASS %s\r\nRETR 1\r\nQUIT\r\n" % (user.encode(), PASSWORD.encode()))
        heard = b"".join(iter(lambda: sock.recv(65536), b""))
    assert mail + b".\r\n" in heard


def test_dovecot_pipelines_and_speaks_tls_with_the_sessions_certificate(dovecot: Dovecot, pki: Pki) -> None:
    user = dovecot.user()
    dovecot.fill(user, [MAIL])
    context = ssl.create_default_context(cafile=str(pki.ca))
    client = poplib.POP3_SSL("localhost", dovecot.pop3s, timeout=10, context=context)
    assert {"PIPELINING", "UIDL", "SASL"} <= set(client.capa())
    assert fetch(client, user) == [MAIL]
    upgraded = poplib.POP3("localhost", dovecot.pop3, timeout=10)
    upgraded.stls(context)
    upgraded.quit()


def test_dovecot_refuses_a_wrong_password(dovecot: Dovecot) -> None:
    client = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=10)
    client.user("bob")
    with pytest.raises(poplib.error_proto, match="AUTH"):
        client.pass_("geheim-wrong")
    client.close()


def test_dovecot_takes_mail_by_lmtp_and_knows_whom_it_does_not_know(dovecot: Dovecot) -> None:
    user = dovecot.user()
    for client in (smtplib.LMTP("127.0.0.1", dovecot.lmtp), smtplib.LMTP(str(dovecot.lmtp_socket))):
        with client:
            refused = client.sendmail("a@example.org", [f"{user}@{DOMAIN}", f"stranger@{DOMAIN}"], MAIL)
        assert refused[f"stranger@{DOMAIN}"][0] == 550
    one, two = dovecot.received(user)
    assert one.endswith(MAIL.replace(b"\r\n", b"\n"))
    assert two.endswith(MAIL.replace(b"\r\n", b"\n"))


def test_a_dovecot_with_a_setting_of_its_own(make_dovecot: Callable[..., Dovecot]) -> None:
    other = make_dovecot(pop3_uidl_format="%g")
    other.fill("bob", [MAIL])
    client = poplib.POP3("127.0.0.1", other.pop3, timeout=10)
    client.user("bob")
    client.pass_(PASSWORD)
    assert b"," in client.uidl()[1][0] or b"." in client.uidl()[1][0]
    client.quit()


def test_postfix_delivers_what_it_took_and_refuses_whom_it_does_not_know(postfix: Postfix, pki: Pki) -> None:
    address = postfix.address()
    with smtplib.SMTP("localhost", postfix.port, timeout=30) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(pki.ca)))
        refused = client.sendmail("a@example.org", [address, f"stranger@{DOMAIN}"], MAIL, ["BODY=8BITMIME"])
        assert client.has_extn("pipelining")
        assert int(client.esmtp_features["size"]) > 1000 << 20
    assert refused[f"stranger@{DOMAIN}"][0] == 550
    (mail,) = postfix.received(address)
    assert unpacked(mail) == MAIL.replace(b"\r\n", b"\n")


def test_postfix_leaves_long_lines_as_they_are_and_sets_off_a_body_without_header(postfix: Postfix) -> None:
    address = postfix.address()
    mails = [b"Subject: long\r\n\r\n" + b"y" * 20_000 + b"\r\n", b"\r\nbody only\r\n", b"no header here\r\n"]
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
        for mail in mails:
            client.sendmail("a@example.org", [address], mail)
    arrived = [unpacked(mail) for mail in postfix.received(address)]
    assert sorted(arrived) == sorted([*(m.replace(b"\r\n", b"\n") for m in mails[:2]), b"\nno header here\n"])


def test_the_sink_takes_and_forgets(sink: Callable[..., int]) -> None:
    with smtplib.SMTP("127.0.0.1", sink(), timeout=10) as client:
        client.sendmail("a@example.org", ["b@example.org"], MAIL)
        assert client.has_extn("pipelining")
    with smtplib.SMTP("127.0.0.1", sink("-p"), timeout=10) as client:
        client.ehlo()
        assert not client.has_extn("pipelining")
