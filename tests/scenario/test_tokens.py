"""oauth=NAME: a token takes the place of the password, in two lines, and what is refused says what to do."""

import base64
import json
import time
from pathlib import Path

import pytest

from tests.embedded import SmtpServer
from tests.passes import Conf, Result, RunPass
from tests.peer import peer
from tests.scenario.mails import mail

WORK = "pf_oauth work provider=microsoft client_id=abc"
TOKEN = "access-1"
SAID = base64.b64encode(b"user=anna@example.org\x01auth=Bearer access-1\x01\x01").decode()
LISTED = """
    C: CAPA
    S: +OK
    S: SASL XOAUTH2
    S: .
    C: UIDL
    S: +OK
    S: 1 a
    S: .
    C: LIST
    S: +OK
    S: 1 SIZE
    S: .
    C: RETR 1
    S. [one]
    C: DELE 1
    S: +OK
    C: QUIT
    S: +OK
"""


def opening(mechanisms: str) -> str:
    return f"""
    S: +OK ready
    C: CAPA
    S: +OK
    S: SASL {mechanisms}
    S: .
    """


class Place:
    """A dmail.conf with one account that logs in by token."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf, self._run, self.smtp = conf, run_pass, smtp

    def token(self, access: str = TOKEN, left: float = 3000.0, refresh: str = "") -> None:
        """Put a token where --login would have put it."""
        folder = self.conf.work / "popfetch_tokens.d"
        folder.mkdir(mode=0o700, exist_ok=True)
        said = {
            "schema": 1,
            "access_token": access,
            "expires": time.time() + left,
            "refresh_token": refresh,
            "obtained": time.time() - 60,
            "client_id": "",
            "endpoints": {},
        }
        path = folder / "work.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(said))

    def __call__(self, port: int) -> Result:
        user = f"pf_user anna@example.org - 127.0.0.1:{port} tls=off oauth=work to=anna@example.org"
        return self._run(self.conf(user, WORK, pf_smtp_server=f"127.0.0.1:{self.smtp.port}"))

    @property
    def path(self) -> Path:
        return self.conf.path


@pytest.fixture
def place(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Place:
    conf.work.mkdir(exist_ok=True)
    return Place(conf, run_pass, smtp)


def test_a_token_logs_in_in_two_lines(place: Place) -> None:
    place.token()
    script = f"{opening('PLAIN XOAUTH2')}C: AUTH XOAUTH2\nS: +\nC: {SAID}\nS: +OK\n{LISTED}"
    letter = mail("Subject: one")
    one = b"+OK\r\n" + letter + b".\r\n"
    with peer(script.replace("SIZE", str(len(letter))), given={"[one]": one}) as p:
        done = place(p.port)
    assert done.code == 0, done.err
    assert len(place.smtp.taken) == 1


def test_an_error_challenge_is_told_in_words_and_the_next_pass_has_a_new_token(place: Place) -> None:
    place.token()
    challenge = base64.b64encode(b'{"status":"400","schemes":"Bearer"}').decode()
    script = f"{opening('XOAUTH2')}C: AUTH XOAUTH2\nS: +\nC: {SAID}\nS: + {challenge}\nC:\nS: -ERR Logon failure\n"
    with peer(script) as p:
        done = place(p.port)
    assert done.code == 77
    assert "login refused (Logon failure; status=400 schemes=Bearer): check user, and pf_oauth work, in" in done.err
    assert TOKEN not in done.err
    stored = json.loads((place.conf.work / "popfetch_tokens.d" / "work.json").read_text())
    assert (stored["expires"], stored["access_token"]) == (0.0, TOKEN)


def test_where_nobody_has_logged_in_the_command_to_type_is_told_and_no_server_is_asked(place: Place) -> None:
    done = place(1)
    assert done.code == 77
    assert "nobody has logged in for oauth=work yet: run " in done.err
    assert done.err.rstrip().partition("run ")[2].startswith("/")
    assert f"-i {place.path.resolve()} --login work" in done.err
