"""From an empty folder to delivered mail by tokens: --login by each flow, a provider that rotates, a real Dovecot."""

import http.client
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Thread
from types import SimpleNamespace
from typing import TextIO
from urllib.parse import urlsplit

import pytest

from tests.embedded import SmtpServer
from tests.granting import Granting, granting
from tests.passes import Conf, Result, RunPass
from tests.pki import Pki
from tests.real import dovecot as dovecot_server
from tests.real import mail
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.running import folder


def told_by(place: Granting) -> str:
    return f"""
introspection_mode = post
introspection_url = http://127.0.0.1:{place.plain}/introspect
username_attribute = username
active_attribute = active
active_value = true
"""


@pytest.fixture
def provider(pki: Pki) -> Iterator[Granting]:
    with granting(pki) as found:
        yield found


@pytest.fixture(scope="module")
def scram(make_dovecot: Callable[..., Dovecot]) -> Dovecot:
    """Return a Dovecot that offers SCRAM."""
    return make_dovecot(auth_mechanisms="plain scram-sha-1 scram-sha-256")


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture
def introspecting(need: Callable[[str], str], pki: Pki, provider: Granting) -> Iterator[Dovecot]:
    """Return a Dovecot that takes what *provider* gives."""
    with folder("introspection") as place:
        conf = place / "oauth2.conf"
        conf.write_text(told_by(provider))
        passdb = f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {conf}\n}}\n"
        words = "plain xoauth2 oauthbearer"
        with dovecot_server.dovecot(need("dovecot"), pki, blocks=passdb, auth_mechanisms=words) as made:
            yield made


class Office:
    """One account that logs in by token, a receiver, and a clock that can be moved."""

    def __init__(self, dovecot: Dovecot, provider: Granting, smtp: SmtpServer, run: tuple[Conf, RunPass]) -> None:
        self.dovecot, self.provider, self.smtp = dovecot, provider, smtp
        self._conf, self._run = run
        self.user = provider.user = dovecot.user()
        self.path = self._conf.path
        self.now = time.time()
        self.ahead = 0.0  # of our clock, before the provider's

    def settings(self, pki: Pki, words: str = "", auth: str = "auto") -> None:
        line = f"pf_oauth corp provider=generic issuer={self.provider.issuer} {words}"
        options = f"tls=implicit oauth=corp auth={auth} to=a@example.test"
        user = f"pf_user {self.user} - localhost:{self.dovecot.pop3s} {options}"
        self.path = self._conf(user, line, pf_smtp_server=f"127.0.0.1:{self.smtp.port}", pf_tls_ca=pki.ca, pf_timeout=9)

    def __call__(self, *words: str) -> Result:
        return self._run(self.path, *words)

    def delivers(self, messages: int = 1) -> None:
        """One pass that fetches what is put there."""
        before = len(self.smtp.taken)
        self.dovecot.fill(self.user, [mail.plain(number, 500).sent for number in range(messages)])
        done = self()
        assert done == (0, "", "")
        assert len(self.smtp.taken) - before == messages
        assert self.dovecot.left(self.user) == 0


@pytest.fixture
def run(conf: Conf, run_pass: RunPass) -> tuple[Conf, RunPass]:
    return conf, run_pass


@pytest.fixture
def office(
    introspecting: Dovecot,
    provider: Granting,
    run: tuple[Conf, RunPass],
    pki: Pki,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Office]:
    with SmtpServer() as smtp:
        made = Office(introspecting, provider, smtp, run)
        made.settings(pki)
        provider.now = lambda: made.now
        ours = SimpleNamespace(time=lambda: made.now + made.ahead, monotonic=time.monotonic, sleep=lambda _: None)
        monkeypatch.setattr("lib.auth.proof.time", ours)
        monkeypatch.setattr("lib.commands.login.time", ours)
        yield made


def followed(address: str, pki: Pki) -> str:
    """Be a browser whose person says yes; return where it was sent to."""
    place = urlsplit(address)
    asked = http.client.HTTPSConnection("localhost", place.port, context=ssl.create_default_context(cafile=pki.ca))
    with closing(asked):
        asked.request("GET", f"{place.path}?{place.query}")
        return asked.getresponse().headers["Location"]


def arrives(address: str) -> None:
    place = urlsplit(address)
    with closing(http.client.HTTPConnection("127.0.0.1", place.port or 0)) as asked:
        asked.request("GET", f"/?{place.query}")
        assert asked.getresponse().status == 200


def when_told(monkeypatch: pytest.MonkeyPatch, act: Callable[[str], None]) -> None:
    """Let *act* have the address that --login prints."""

    def say(text: str, *where: TextIO) -> None:
        print(text, file=where[0] if where else None)
        if found := re.search(r"https://\S+/authorize\S+", text):
            Thread(target=act, args=(found[0],)).start()

    monkeypatch.setattr("lib.commands.login.console.say", say)


def test_by_device_code(office: Office) -> None:
    office.provider.trouble += ["authorization_pending", "slow_down", "503", "authorization_pending"]
    done = office("--login", "corp")
    assert done.code == 0, done.err
    assert "https://x.org/device in any browser, on any machine, and type WXYZ" in done.out
    assert "logged in for corp" in done.out
    office.delivers(3)
    assert office.provider.asked["device_code"] == 5
    assert office.provider.asked["refresh_token"] == 0


def test_by_browser(office: Office, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    office.settings(pki, "flow=browser client_id=popfetch")
    monkeypatch.setattr("sys.stdin", None)
    when_told(monkeypatch, lambda address: arrives(followed(address, pki)))
    assert office("--login", "corp").code == 0
    office.delivers()


def test_by_a_pasted_address(office: Office, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    office.settings(pki, "flow=browser client_id=popfetch")
    reader, writer = os.pipe()
    with os.fdopen(reader) as typed, os.fdopen(writer, "w") as person:
        monkeypatch.setattr("sys.stdin", typed)
        when_told(monkeypatch, lambda address: print(followed(address, pki), file=person, flush=True))
        assert office("--login", "corp").code == 0
    office.delivers()


@pytest.mark.parametrize("auth", ["auto", "xoauth2", "oauthbearer"])
def test_by_client_credentials(office: Office, pki: Pki, auth: str) -> None:
    secret = office.provider.clients["popfetch"]
    office.settings(pki, f"flow=client client_id=popfetch client_secret={secret}", auth)
    first = office()
    assert first.code == 77
    assert "nothing is known yet of the issuer of oauth=corp: run " in first.err
    assert office("--login", "corp").out == "corp needs no login: a token was given\n"
    for hours in range(3):
        office.now += hours * 4000
        office.delivers()
    assert office.provider.asked["client_credentials"] == 3


def test_a_wrong_secret_names_the_setting(office: Office, pki: Pki) -> None:
    office.settings(pki, "flow=client client_id=popfetch client_secret=not-the-secret")
    done = office("--login", "corp")
    assert done.code == 77
    assert "no token: invalid_client: see pf_oauth corp" in done.err


@pytest.fixture
def logged_in(office: Office) -> Office:
    assert office("--login", "corp").code == 0
    return office


def test_a_token_that_ends_is_renewed_and_one_that_does_not_is_not(logged_in: Office) -> None:
    logged_in.delivers()
    logged_in.now += 4000
    logged_in.delivers()
    logged_in.delivers()
    assert logged_in.provider.asked["refresh_token"] == 1


def test_a_login_that_was_revoked_says_what_to_type_until_it_was_typed(logged_in: Office) -> None:
    logged_in.provider.revoke()
    first, second = logged_in(), logged_in()
    assert (first.code, second.code) == (77, 77)
    assert "login refused" in first.err
    assert "the login has ended (invalid_grant revoked): run " in second.err
    assert "--login corp" in second.err
    assert logged_in("--login", "corp").code == 0
    logged_in.delivers()


@pytest.mark.parametrize("trouble", ["503", "temporarily_unavailable", "lost", "slow_down"])
def test_a_renewal_that_fails_loses_nothing(logged_in: Office, trouble: str) -> None:
    logged_in.now += 4000
    logged_in.provider.trouble.append(trouble)
    assert logged_in().code == 76
    logged_in.delivers()


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0, -100 * 86400.0])
def test_a_clock_that_is_wrong_costs_a_pass_at_most(logged_in: Office, ahead: float) -> None:
    logged_in.ahead = ahead
    logged_in.now += 4000
    codes = [logged_in().code for _ in range(2)]
    assert codes in ([0, 0], [77, 0])
    logged_in.delivers()


@pytest.mark.slow
def test_two_hundred_passes_in_ten_days_renew_once_an_hour_and_ask_for_no_login(logged_in: Office) -> None:
    began = logged_in.now
    for number in range(200):
        logged_in.now = began + number * 72 * 60
        assert logged_in().code == 0
    assert logged_in.provider.asked["refresh_token"] == 199
    logged_in.delivers()


# --- SCRAM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["auto", "scram-sha-1", "scram-sha-256"])
def test_scram_with_a_real_server(scram: Dovecot, conf: Conf, run_pass: RunPass, smtp: SmtpServer, auth: str) -> None:
    user = scram.user()
    scram.fill(user, [mail.plain(1, 500).sent])
    for password, code in (("geheim-no", 77), (PASSWORD, 0), (PASSWORD, 0)):
        line = f"pf_user {user} {password} 127.0.0.1:{scram.pop3} tls=off auth={auth} to=a@example.test"
        done = run_pass(conf(line, pf_smtp_server=f"127.0.0.1:{smtp.port}"))
        assert done.code == code, done.err
    assert len(smtp.taken) == 1
    assert re.findall(r"method=(\S+),", scram.log.read_text())[-1].lower() == auth.replace("auto", "scram-sha-256")
