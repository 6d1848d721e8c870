"""The line is money: a line that is really down until it is raised, Dovecot behind it, a receiver in the office."""

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.embedded import Letter, SmtpServer
from tests.passes import Conf, Result
from tests.real.dovecot import PASSWORD, Dovecot
from tests.real.mail import text
from tests.real.netns import ADDRESS, DialUp

pytestmark = [pytest.mark.netns, pytest.mark.slow]

NOTHING = Result(0, "", "")
RATE = 150_000  # octets a second: a line of 1.2 Mbit/s
DELAY = 0.02  # seconds, each way


class SlowList(list[Letter]):
    """Takes its time for every letter, and remembers when it had it."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.when: list[float] = []

    def append(self, letter: Letter) -> None:
        time.sleep(self.seconds)
        self.when.append(time.time())
        super().append(letter)


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


def mails(name: str, count: int, octets: int) -> list[bytes]:
    return [b"Subject: %s-%d\n\n%s" % (name.encode(), n, text(f"{name}{n}", octets)) for n in range(count)]


def subjects(letters: list[Letter]) -> Counter[bytes]:
    lines = (letter.content.partition(b"Subject: ")[2] for letter in letters)
    return Counter(rest.partition(b"\r\n")[0] for rest in lines)


def test_the_line_is_up_no_longer_than_the_transfer_and_down_while_a_slow_receiver_swallows(
    line: DialUp, dovecot: Dovecot, smtp: SmtpServer, conf: Conf
) -> None:
    user, taken = dovecot.user(), SlowList(0.25)
    smtp.taken = taken
    dovecot.fill(user, mails("much", 200, 5000))
    port = line.provide(dovecot.pop3, delay=DELAY, rate=RATE)
    path = conf(
        f"pf_user {user} {PASSWORD} {ADDRESS}:{port} to=bob@example.org",
        pf_smtp_server=f"127.0.0.1:{line.let_in(smtp.port)}",
        pf_tls="off",
        **line.settings,
    )
    assert line.fetch(path) == NOTHING
    transfer, up = line.carried / RATE, line.up_seconds()
    late = sum(when > line.story[-1].when for when in taken.when)
    print(f"line up for {up:.2f} s, transfer alone {transfer:.2f} s ({up / transfer:.2f}), {late} delivered afterwards")
    assert up <= 1.2 * transfer
    assert late >= 20
    assert [event.what for event in line.story] == ["up", "down"]
    assert subjects(taken) == Counter({b"much-%d" % n: 1 for n in range(200)})
    assert line.fetch(path) == NOTHING
    assert dovecot.left(user) == 0
    assert len(taken) == 200


def test_twenty_signals_at_random_moments_leave_no_line_up_and_cost_no_message(
    line: DialUp, dovecot: Dovecot, smtp: SmtpServer, conf: Conf
) -> None:
    user, dice = dovecot.user(), random.Random(7)  # noqa: S311 - dice, no secrets
    port = line.provide(dovecot.pop3, delay=DELAY / 2, rate=RATE)
    path = conf(
        f"pf_user {user} {PASSWORD} {ADDRESS}:{port} to=bob@example.org",
        pf_smtp_server=f"127.0.0.1:{line.let_in(smtp.port)}",
        pf_tls="off",
        **line.settings,
    )
    expected: Counter[bytes] = Counter()
    hit = 0
    for turn in range(20):
        dovecot.fill(user, mails(f"turn{turn}", 6, 6000))
        expected.update(b"turn%d-%d" % (turn, n) for n in range(6))
        before = len(line.story)
        with subprocess.Popen(line.passing(path), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as started:
            if turn % 2:  # every other signal waits for the line, however busy this machine is
                limit = time.monotonic() + 20
                while not line.story[before:] and started.poll() is None and time.monotonic() < limit:
                    time.sleep(0.01)
                time.sleep(dice.uniform(0, 0.3))
            else:
                time.sleep(dice.uniform(0.1, 1.2))
            hit += line.story[before:] != [] and line.story[-1].what == "up"
            started.send_signal(dice.choice([signal.SIGTERM, signal.SIGINT]))
            started.communicate(timeout=60)
        assert not line.is_up, f"turn {turn}"
        assert not (conf.work / "popfetch.line").exists()
        assert line.fetch(path).code == 0
        assert not line.is_up
        assert subjects(smtp.taken) == expected, f"turn {turn}"
    print(f"{hit} of 20 signals came while the line was up")
    assert hit >= 5
    assert line.fetch(path) == NOTHING
    assert dovecot.left(user) == 0
    assert subjects(smtp.taken) == expected
