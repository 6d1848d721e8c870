"""TLS to the POP server: no password before it, none at all when it is refused or the certificate is not right."""

from typing import Any

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.pki import Pki
from tests.scenario.conftest import Server
from tests.scenario.mails import logged, mail

OFFERED = """
    S: +OK
    C: CAPA
    S: +OK
    S: USER
    S: STLS
    S: .
"""
LOGIN = """
    C: USER bob
    S: +OK
    C: PASS geheim-bob
    S: +OK
    C: CAPA
    S: +OK
    S: USER
    S: .
    C: UIDL
    S: +OK
    S: .
    C: LIST
    S: +OK
    S: .
    C: QUIT
    S: +OK
"""
AGREED = (
    OFFERED
    + """
    C: STLS
    S: +OK go on
    -- starttls
    C: CAPA
    S: +OK
    S: USER
    S: .
"""
)
LOCALHOST = "pf_user bob geheim-bob localhost:{port} to=b@example.org"


def one_line(server: Server, err: str) -> str:
    """Return the one complaint: it names the account and where it stands."""
    (line,) = err.splitlines()
    assert line.startswith("popfetch: bob@")
    assert f"{server.conf.path}:1" in line
    return line


@pytest.mark.parametrize("option", ["tls=auto", "tls=starttls"])
def test_stls_is_used_before_the_password_is_sent(server: Server, pki: Pki, option: str) -> None:
    line = f"{LOCALHOST} {option}"
    assert server(f"{AGREED}{LOGIN}", line=line, tls=pki.good, pf_tls_ca=pki.ca)[:3] == (0, "", "")


def test_tls_from_the_start(conf: Conf, run_pass: RunPass, pki: Pki, smtp: SmtpServer) -> None:
    boxes = {"bob": ("geheim-bob", [mail("Subject: hi")])}
    with PopServer(boxes, pki.good, implicit=True) as pop:
        path = conf(
            account(pop.port, "to=b@example.org", "tls=implicit", host="localhost"),
            pf_smtp_server=f"127.0.0.1:{smtp.port}",
            pf_tls_ca=pki.ca,
        )
        assert run_pass(path) == (0, "", "")
    assert b" with POP3S for <b@example.org>;" in smtp.taken[0].content.replace(b"\r\n\t", b" ")
    assert logged(conf.work, "session")[0]["tls"] == "yes"


def test_stls_may_be_declined(server: Server, pki: Pki) -> None:
    without = LOGIN
    script = f"{OFFERED}{without}"
    assert server(script, option="to=b@example.org tls=off", tls=pki.good)[:3] == (0, "", "")


@pytest.mark.parametrize("option", ["tls=auto", "tls=starttls"])
def test_stls_that_is_offered_and_refused_fails_the_account(server: Server, option: str) -> None:
    passed = server(f"{OFFERED}C: STLS\nS: -ERR no TLS today", option=f"to=b@example.org {option}")
    assert passed.code == 76
    assert "no TLS today" in one_line(server, passed.err)
    assert b"geheim" not in passed.heard
    assert b"USER" not in passed.heard


@pytest.mark.parametrize("capa", ["S: +OK\nS: USER\nS: .", "S: -ERR"])
def test_starttls_that_is_asked_for_and_not_offered_fails_the_account(server: Server, capa: str) -> None:
    passed = server(f"S: +OK\nC: CAPA\n{capa}\nC: STLS\nS: -ERR what?", option="to=b@example.org tls=starttls")
    assert passed.code == 76
    assert "tls=" in one_line(server, passed.err)
    assert b"USER" not in passed.heard


def test_what_is_smuggled_in_front_of_the_handshake_is_never_heard(server: Server, pki: Pki) -> None:
    smuggled = (
        OFFERED
        + r"""
        C: STLS
        S> "+OK go on\r\n+OK you are logged in\r\n"
        -- cut
    """
    )
    passed = server(smuggled, tls=pki.good)
    assert passed.code == 76
    assert "out of turn" in one_line(server, passed.err)
    assert b"USER" not in passed.heard


@pytest.mark.parametrize("how", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("certificate", "said"),
    [("wrong_host", "Hostname mismatch"), ("expired", "expired"), ("stranger", "unable to get local issuer")],
)
def test_a_certificate_that_does_not_verify(server: Server, pki: Pki, how: str, certificate: str, said: str) -> None:
    script = f"{OFFERED}C: STLS\nS: +OK\n-- tls-refused" if how == "starttls" else "-- tls-refused"
    settings: dict[str, Any] = {"tls": getattr(pki, certificate), "pf_tls_ca": pki.ca}
    passed = server(script, line=f"{LOCALHOST} tls={how}", **settings)
    assert passed.code == 76
    line = one_line(server, passed.err)
    assert "certificate does not verify" in line
    assert said in line
    assert "pf_tls_ca" in line
    assert b"geheim" not in passed.heard


def test_without_pf_tls_ca_our_own_ca_is_unknown(server: Server, pki: Pki) -> None:
    passed = server("-- tls-refused", line=f"{LOCALHOST} tls=implicit", tls=pki.good)
    assert passed.code == 76
    assert "certificate does not verify" in one_line(server, passed.err)


def test_the_pinned_certificate_needs_neither_ca_nor_name(server: Server, pki: Pki) -> None:
    option = f"to=b@example.org tls=implicit pin={pki.pin}"
    script = f"-- tls\nS: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\n{LOGIN}"
    assert server(script, option=option, tls=pki.good)[:3] == (0, "", "")


def test_another_certificate_than_the_pinned_one(server: Server, pki: Pki) -> None:
    option = f"to=b@example.org tls=implicit pin={pki.pin}"
    passed = server("-- tls\n-- expect-close", option=option, tls=pki.stranger, pf_tls_ca=pki.ca)
    assert passed.code == 76
    line = one_line(server, passed.err)
    assert "not the pinned one but sha256:" in line


def test_tls_against_a_plain_port(server: Server) -> None:
    passed = server("S: +OK a plain POP3 server\n-- cut", option="to=b@example.org tls=implicit")
    assert passed.code == 76
    line = one_line(server, passed.err)
    assert "TLS failed" in line
    assert "tls=" in line


def test_plain_against_a_tls_port(conf: Conf, run_pass: RunPass, pki: Pki, smtp: SmtpServer) -> None:
    with PopServer({"bob": ("geheim-bob", [])}, pki.good, implicit=True) as pop:
        path = conf(account(pop.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_timeout=1)
        code, _, err = run_pass(path)
    assert code == 76
    assert "tls=implicit" in err
    assert f"{path}:1" in err
