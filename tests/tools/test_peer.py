"""The scripted peer keeps its own promises: what differs from the script fails, and says where."""

import poplib
import smtplib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from tests.peer import nobody, peer
from tests.pki import Pki
from tests.played import ScriptError
from tests.talk import stuffed

resets = pytest.mark.skipif(sys.platform == "win32", reason="wine takes a reset connection for one that was closed")


def talk(port: int, *words: bytes) -> list[bytes]:
    """Say each word and hear what comes back, until the peer closes."""
    heard = []
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        for word in words:
            heard.append(sock.recv(65536))
            sock.sendall(word)
        while data := sock.recv(65536):
            heard.append(data)
    return heard


@contextmanager
def secure(port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("localhost", port), timeout=5) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as safe,
    ):
        yield safe


def trusting(pki: Pki) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pki.ca))


def send_and_leave(port: int, words: bytes = b"", after: float = 0) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(words)
        time.sleep(after)


def fails(script: str, client: Callable[[int], object], *, wait: float = 10, tls: ssl.SSLContext | None = None) -> str:
    with pytest.raises(ScriptError) as caught, peer(script, wait=wait, tls=tls) as p:
        client(p.port)
    return str(caught.value)


def test_a_pop3_client_plays_a_session_to_its_end() -> None:
    with peer("""
        S: +OK hi
        C: USER bob
        S: +OK
        C* PASS *
        S: +OK in
        C: RETR 1
        S: +OK
        S. mail
        C~ (QUIT|quit)
        S: +OK bye
    """, given={"mail": b"Subject: x\r\n\r\n.dot\r\nend"}) as p:  # fmt: skip
        client = poplib.POP3("127.0.0.1", p.port, timeout=5)
        client.user("bob")
        client.pass_("geheim-1")
        assert client.retr(1)[1] == [b"Subject: x", b"", b".dot", b"end"]
        client.quit()
    assert p.heard == b"USER bob\r\nPASS geheim-1\r\nRETR 1\r\nQUIT\r\n"
    assert p.rounds == 4


def test_message_data_is_captured_without_its_stuffing() -> None:
    with peer(r"""
        S: 220 hi
        C* ehlo *
        S: 250 me
        C~ (?i)mail from:<a@example\.org>.*
        S: 250 ok
        C~ (?i)rcpt to:<b@example\.org>
        S: 250 ok
        C~ (?i)data
        S: 354 go
        C. letter
        S: 250 taken
        C: QUIT
        S: 221 bye
    """) as p, smtplib.SMTP("127.0.0.1", p.port, timeout=5) as client:  # fmt: skip
        client.sendmail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\n.\r\n..two\r\n")
    assert p.data == {"letter": b"Subject: x\r\n\r\n.\r\n..two\r\n"}
    assert b"\r\n...two\r\n.\r\n" in p.heard


@pytest.mark.parametrize("mail", [b"", b".", b"a", b"a\r\n", b".\r\n.\r\n", b"a\r\n.b\n.c"])
def test_stuffing_is_undone_by_the_peer_that_takes_mail(mail: bytes) -> None:
    with peer("S: 354 go\nC.") as p:
        talk(p.port, stuffed(mail))
    assert p.data["1"] == (mail if mail.endswith(b"\r\n") or not mail else mail + b"\r\n")


def test_round_trips_of_a_client_that_pipelines_do_not_grow() -> None:
    script = "-- latency 0.02\nS: +OK hi\n" + "".join(f"C: NOOP {n}\nS: +OK {n}\n" for n in range(50))
    with peer(script) as p:
        talk(p.port, b"".join(b"NOOP %d\r\n" % n for n in range(50)))
    assert p.rounds == 1


def test_round_trips_of_a_client_that_waits_are_counted_each() -> None:
    script = "S: +OK hi\n" + "".join(f"C: NOOP {n}\nS: +OK {n}\n" for n in range(10))
    with peer(script) as p:
        talk(p.port, *[b"NOOP %d\r\n" % n for n in range(10)])
    assert p.rounds == 10


def test_a_differing_line_fails_and_shows_the_place() -> None:
    said = fails("S: +OK hi\nC: RETR 1\nS: +OK", lambda port: send_and_leave(port, b"DELE 1\r\n"))
    assert "expected 'RETR 1'\n   heard 'DELE 1'" in said
    assert "  > C: RETR 1\n" in said


@pytest.mark.parametrize("step", ["C* RETR ?", "C~ RETR \\d"])
def test_a_line_unlike_the_pattern_fails(step: str) -> None:
    assert "heard 'RETR 10'" in fails(f"S: +OK hi\n{step}", lambda port: send_and_leave(port, b"RETR 10\r\n"))


def test_a_line_is_one_only_with_crlf() -> None:
    assert "went away, after b'QUIT\\n'" in fails("C: QUIT", lambda port: send_and_leave(port, b"QUIT\n"))


def test_a_script_that_is_not_played_to_its_end_fails() -> None:
    assert "went away" in fails("S: +OK hi\nC: QUIT", send_and_leave)


def test_words_after_the_end_of_the_script_fail() -> None:
    said = fails("S: +OK hi\nC: QUIT\nS: +OK", lambda port: talk(port, b"QUIT\r\nNOOP\r\n"))
    assert "more than the script has: b'NOOP\\r\\n'" in said


def test_silence_fails_when_the_wait_is_over() -> None:
    said = fails("C: QUIT", lambda port: send_and_leave(port, after=0.3), wait=0.1)
    assert "heard nothing more for 0.1 s" in said


def test_a_connection_that_never_comes_fails() -> None:
    said = fails("S: hi\n== next\nS: hi", talk)
    assert said == "connection 2 of the script's 2 never came"


@resets
def test_a_connection_too_many_fails_and_is_reset() -> None:
    def twice(port: int) -> None:
        talk(port)
        with pytest.raises(ConnectionError):
            talk(port)

    assert "more connections than the script's 1" in fails("S: hi", twice)


def test_the_failure_of_the_test_itself_comes_first() -> None:
    with pytest.raises(KeyError) as caught, peer("S: hi\nC: QUIT"):
        raise KeyError("mine")
    assert "never came" in caught.value.__notes__[0]


@pytest.mark.parametrize("script", ["X: what", "-- jump", "S; +OK", "S:nospace"])
def test_what_is_no_step_is_refused(script: str) -> None:
    with pytest.raises(ScriptError, match="no step"):
        peer(script)


def test_connections_one_after_the_other_and_side_by_side() -> None:
    with peer("S: one\n== next\nS: two\nC: A\nS: a\n== also\nS: three\nC: B") as p:
        assert talk(p.port) == [b"one\r\n"]
        with socket.create_connection(("127.0.0.1", p.port), timeout=5) as second:
            assert second.recv(100) == b"two\r\n"
            assert talk(p.port, b"B\r\n") == [b"three\r\n"]
            second.sendall(b"A\r\n")
            assert second.recv(100) == b"a\r\n"
    assert p.heard == b"A\r\nB\r\n"


def test_raw_bytes_go_out_as_they_are() -> None:
    with peer(r"""S> "+OK\r.\r\n.\n\x00\xff" """) as p:
        assert b"".join(talk(p.port)) == b"+OK\r.\r\n.\n\x00\xff"


@resets
def test_a_cut_is_an_end_and_a_reset_is_none() -> None:
    with peer("S: half\n-- cut\n== next\n-- reset") as p:
        assert talk(p.port, b"unheard\r\n") == [b"half\r\n"]
        with pytest.raises(ConnectionError):
            talk(p.port)


def test_a_stall_lasts_until_the_client_goes() -> None:
    with peer("S: hi\n-- stall") as p, socket.create_connection(("127.0.0.1", p.port)) as sock:
        assert sock.recv(100) == b"hi\r\n"
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(100)


def test_an_endless_reply_ends_with_the_client() -> None:
    with peer(r'-- endless "x\r\n"') as p, socket.create_connection(("127.0.0.1", p.port)) as sock:
        assert sock.recv(3) == b"x\r\n"


def test_a_client_that_must_go_away_must_not_speak() -> None:
    with peer("S: hi\n-- expect-close") as p:
        send_and_leave(p.port)
    assert "heard b'QUIT\\r\\n'" in fails("-- expect-close", lambda port: send_and_leave(port, b"QUIT\r\n"))


def test_a_call_happens_at_its_place() -> None:
    seen = threading.Event()
    with peer("S: hi\nC: NOOP\n-- call look\nS: ok", given={"look": seen.set}) as p:
        assert not seen.is_set()
        talk(p.port, b"NOOP\r\n")
        assert seen.is_set()


def test_tls_from_the_start(pki: Pki) -> None:
    with peer("-- tls\nS: hi\nC: QUIT", tls=pki.good) as p, secure(p.port, trusting(pki)) as safe:
        assert safe.recv(100) == b"hi\r\n"
        safe.sendall(b"QUIT\r\n")
        assert safe.recv(100) == b""
    assert p.heard == b"QUIT\r\n"


def test_tls_on_the_way(pki: Pki) -> None:
    with peer(
        "S: +OK hi\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\nS: +OK\n-- starttls\nC: QUIT\nS: +OK bye", tls=pki.good
    ) as p:
        client = poplib.POP3("localhost", p.port, timeout=5)
        client.stls(trusting(pki))
        client.quit()


def test_words_after_the_end_fail_over_tls_too(pki: Pki) -> None:
    def chat(port: int) -> None:
        with secure(port, trusting(pki)) as safe:
            safe.sendall(b"A\r\n")
            time.sleep(0.05)
            safe.sendall(b"B\r\n")
            assert safe.recv(100) == b""
            # Who closes at once may reset the connection, and what the peer has not read by then is gone.
            socket.socket.shutdown(safe, socket.SHUT_WR)
            while socket.socket.recv(safe, 100):
                pass

    assert "more than the script has" in fails("-- tls\nC: A", chat, tls=pki.good)


@pytest.mark.parametrize("ending", ["-- cut", "-- chop"])
def test_an_end_over_tls_is_one_with_and_without_a_goodbye(pki: Pki, ending: str) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(pki).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with peer(f"-- tls\nS: hi\n{ending}", tls=pki.good) as p:
        with socket.create_connection(("localhost", p.port), timeout=5) as sock:
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            sock.sendall(outgoing.read())
            while data := sock.recv(65536):
                incoming.write(data)
                with suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                sock.sendall(outgoing.read())
        incoming.write_eof()
        assert client.read(100) == b"hi\r\n"
        with pytest.raises(ssl.SSLEOFError) if ending == "-- chop" else nullcontext():
            assert client.read(100) == b""


@pytest.mark.parametrize("name", ["wrong_host", "expired", "stranger"])
def test_a_certificate_that_does_not_verify_is_refused_by_a_good_client(pki: Pki, name: str) -> None:
    with (
        peer("-- tls-refused", tls=getattr(pki, name)) as p,
        pytest.raises(ssl.SSLCertVerificationError),
        secure(p.port, trusting(pki)),
    ):
        pass


def test_a_client_that_trusts_everybody_fails_the_test(pki: Pki) -> None:
    blind = trusting(pki)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE

    def chat(port: int) -> None:
        with secure(port, blind) as safe:
            safe.sendall(b"USER bob\r\n")
            with suppress(ConnectionError):
                safe.recv(100)

    assert "the client trusts us: b'USER bob\\r\\n'" in fails("-- tls-refused", chat, tls=pki.stranger)


def test_a_unix_socket_is_a_door_too(tmp_path: Path) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("no unix sockets here")
    with peer("S: 220 lmtp", unix=tmp_path / "s") as p, socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tmp_path / "s"))
        assert sock.recv(100) == b"220 lmtp\r\n"
        assert p.port == 0


def test_nobody_listens_where_nobody_should() -> None:
    with nobody() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
