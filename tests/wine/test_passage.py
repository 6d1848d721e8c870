"""Whole passes on Windows: from Dovecot over TLS into Postfix, both on the Linux side; over RAS; ended by force."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import PROGRAM, Conf, Result, account
from tests.peer import nobody, peer
from tests.pki import Pki
from tests.real import mail
from tests.real.dovecot import Dovecot
from tests.real.office import NOTHING, below, pop3s
from tests.real.postfix import Postfix
from tests.scenario.pop import LOGIN
from tests.wine.test_ras import Telephone
from tests.wine.windows import Windows, path

pytestmark = [pytest.mark.wine, pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

MAIL = b"X-Rcpt-To: b@example.org\r\nSubject: %b\r\n\r\nhello\r\n"


class Passes:
    """Runs passes under Windows over one dmail.conf."""

    def __init__(self, windows: Windows, conf: Conf, telephone: Telephone) -> None:
        self.windows, self.conf, self.telephone = windows, conf, telephone
        self.work = conf.work

    def write(self, *lines: str, **settings: object) -> None:
        """Write dmail.conf; a folder or file of ours is called what Windows calls it."""
        named = {name: path(value) if isinstance(value, Path) else value for name, value in settings.items()}
        self.conf(*lines, work_path=path(self.work), **named)

    @property
    def words(self) -> tuple[str, ...]:
        return ("-W", "error", path(PROGRAM), "-i", path(self.conf.path))

    def run(self, *words: str) -> Result:
        done = self.windows.run(*self.words, *words, RASFAKE_DIR=path(self.telephone.folder), seconds=300)
        self.conf.secrets.printed += [done.stdout, done.stderr]
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self) -> subprocess.Popen[str]:
        return self.windows.start(*self.words, RASFAKE_DIR=path(self.telephone.folder))

    @property
    def log(self) -> str:
        return (self.work / "popfetch.log").read_text(encoding="utf-8")


@pytest.fixture
def passes(windows: Windows, conf: Conf, tmp_path: Path) -> Passes:
    return Passes(windows, conf, Telephone(windows, tmp_path / "telephone"))


@pytest.fixture(scope="module")
def transparent(make_postfix: Callable[..., Postfix]) -> Postfix:
    """Return a Postfix that leaves every header field where it is, and takes no line that ends in LF alone."""
    return make_postfix(message_drop_headers="", smtpd_forbid_bare_newline="yes")


def counted(messages: Iterable[bytes]) -> Counter[bytes]:
    return Counter(messages)


def test_sixty_mixed_messages_go_from_dovecot_to_postfix_once_with_the_bytes_that_they_had(
    passes: Passes, dovecot: Dovecot, transparent: Postfix, pki: Pki
) -> None:
    samples = list(mail.mixed(60))
    user, address = dovecot.user(), transparent.address()
    dovecot.fill(user, (sample.sent for sample in samples))
    server = f"127.0.0.1:{transparent.port}"
    passes.write(pop3s(dovecot, user, f"to={address}"), pf_smtp_server=server, pf_tls_ca=pki.ca)
    assert passes.run() == NOTHING
    assert dovecot.left(user) == 0
    wanted = counted(sample.wanted for sample in samples)
    assert counted(map(below, transparent.received(address))) == wanted
    assert passes.run() == NOTHING
    assert counted(map(below, transparent.received(address))) == wanted
    assert sorted(file.name for file in passes.work.iterdir()) == [
        "popfetch.journal",
        "popfetch.log",
        "popfetch_state.toml",
    ]


def test_a_certificate_that_nobody_vouches_for_is_refused(passes: Passes, dovecot: Dovecot, smtp: SmtpServer) -> None:
    user = dovecot.user()
    passes.write(pop3s(dovecot, user, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
    result = passes.run()
    assert result.code == 76
    assert "certificate" in result.err


def test_a_pass_dials_the_entry_of_the_phone_book_fetches_and_hangs_up(passes: Passes, smtp: SmtpServer) -> None:
    with PopServer({"bob": ("geheim-bob", [MAIL % b"one"])}) as pop:
        server = f"127.0.0.1:{smtp.port}"
        passes.write(account(pop.port, "to=b@example.org"), ras_entry="good", pf_smtp_server=server)
        assert [passes.run(), passes.run()] == [NOTHING, NOTHING]
        assert pop.left("bob") == []
    assert len(smtp.taken) == 1
    assert passes.telephone.calls == ["dial good nobody", "hang up good"] * 2
    assert " messages=1 octets=" in passes.log
    assert 'ended="all fetched"' in passes.log


@pytest.mark.parametrize(("entry", "words"), [("busy", "The line is busy"), ("no answer", "There was no answer")])
def test_a_dial_that_fails_is_no_line_and_nothing_is_fetched(
    entry: str, words: str, passes: Passes, smtp: SmtpServer
) -> None:
    with PopServer({"bob": ("geheim-bob", [MAIL % b"one"])}) as pop:
        server = f"127.0.0.1:{smtp.port}"
        passes.write(account(pop.port, "to=b@example.org"), ras_entry=entry, pf_smtp_server=server)
        result = passes.run()
        assert pop.heard == []
    assert result.code == 69
    assert words in result.err


def test_nothing_is_dialled_while_the_receiver_is_down(passes: Passes) -> None:
    with nobody() as port:
        passes.write(account(port, "to=b@example.org"), ras_entry="good", pf_smtp_server=f"127.0.0.1:{port}")
        assert passes.run().code == 75
    assert not any(call.startswith("dial") for call in passes.telephone.calls)


def test_a_pass_that_was_ended_by_force_leaves_a_line_that_the_next_one_hangs_up(
    passes: Passes, smtp: SmtpServer
) -> None:
    server = f"127.0.0.1:{smtp.port}"
    with peer(f"{LOGIN}\nC: UIDL\n-- stall", wait=60) as p:
        passes.write(account(p.port, "to=b@example.org"), ras_entry="good", pf_smtp_server=server)
        started = passes.start()
        while b"UIDL" not in p.heard:
            assert started.poll() is None
        started.kill()
        started.communicate(timeout=60)
    assert passes.telephone.open == ["good"]
    with PopServer({"bob": ("geheim-bob", [MAIL % b"one"])}) as pop:
        passes.write(account(pop.port, "to=b@example.org"), ras_entry="good", pf_smtp_server=server)
        assert passes.run() == NOTHING
    assert len(smtp.taken) == 1
    assert passes.telephone.open == []
    assert passes.telephone.calls[-1] == "hang up good"
    assert "left over from an earlier pass" in passes.log


def test_scheduled_passes_wait_for_their_time(passes: Passes, smtp: SmtpServer) -> None:
    with PopServer({"bob": ("geheim-bob", [MAIL % b"one"])}) as pop:
        passes.write(account(pop.port, "to=b@example.org"), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert passes.run("--scheduled") == NOTHING
        pop.mailboxes["bob"].messages[2] = MAIL % b"two"
        assert passes.run("--scheduled") == NOTHING
    assert len(smtp.taken) == 1
