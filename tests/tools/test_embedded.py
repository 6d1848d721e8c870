"""The demo's servers keep their protocols, seen with Python's own clients."""

import poplib
import smtplib
import ssl

import pytest

from tests.embedded import Letter, PopServer, SmtpServer
from tests.pki import Pki


def test_pop_serves_and_forgets_only_with_quit() -> None:
    mails = [b"Subject: 1\r\n\r\n.dot", b"", b"2\r\n"]
    with PopServer({"bob": ("geheim-1", mails)}) as pop:
        client = poplib.POP3("127.0.0.1", pop.port, timeout=5)
        client.user("bob")
        client.pass_("geheim-1")
        assert client.list()[1] == [b"1 18", b"2 0", b"3 3"]
        assert client.uidl()[1] == [b"1 embedded-1", b"2 embedded-2", b"3 embedded-3"]
        assert [client.retr(n)[1] for n in (1, 2, 3)] == [[b"Subject: 1", b"", b".dot"], [], [b"2"]]
        client.dele(2)
        with pytest.raises(poplib.error_proto):
            client.retr(2)
        assert pop.left("bob") == mails
        client.quit()
        assert pop.left("bob") == [mails[0], mails[2]]


def test_pop_refuses_strangers_and_a_second_reader() -> None:
    with PopServer({"bob": ("geheim-1", [])}) as pop:
        first, second = (poplib.POP3("127.0.0.1", pop.port, timeout=5) for _ in range(2))
        for client, words, reply in [(first, "wrong", "AUTH"), (first, "geheim-1", ""), (second, "geheim-1", "IN-USE")]:
            client.user("bob")
            if reply:
                with pytest.raises(poplib.error_proto, match=reply):
                    client.pass_(words)
            else:
                client.pass_(words)
        first.quit()
        second.quit()


@pytest.mark.parametrize("implicit", [True, False])
def test_both_speak_tls(pki: Pki, implicit: bool) -> None:
    context = ssl.create_default_context(cafile=str(pki.ca))
    with PopServer({}, pki.good, implicit=implicit) as pop, SmtpServer({}, pki.good, implicit=implicit) as smtp:
        if implicit:
            poplib.POP3_SSL("localhost", pop.port, timeout=5, context=context).quit()
            smtplib.SMTP_SSL("localhost", smtp.port, timeout=5, context=context).quit()
        else:
            client = poplib.POP3("localhost", pop.port, timeout=5)
            client.stls(context)
            assert "STLS" not in client.capa()
            client.quit()
            with smtplib.SMTP("localhost", smtp.port, timeout=5) as sender:
                sender.starttls(context=context)
                sender.noop()


def test_smtp_takes_what_it_does_not_refuse() -> None:
    mail = b"Subject: x\r\n\r\n.dot\r\n..\r\n"
    with SmtpServer({b"no@example.org": b"550 5.1.1 unknown"}) as smtp:
        with smtplib.SMTP("127.0.0.1", smtp.port, timeout=5) as client:
            refused = client.sendmail("a@example.org", ["b@example.org", "no@example.org"], mail)
            assert client.has_extn("pipelining")
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@example.org", ["no@example.org"], mail)
        assert refused == {"no@example.org": (550, b"5.1.1 unknown")}
        assert smtp.taken == [Letter(b"a@example.org", (b"b@example.org",), mail)]
