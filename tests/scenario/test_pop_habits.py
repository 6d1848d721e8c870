"""Habits of servers at the login: none blocks an account for good, and no password of unknown fate is sent again."""

from collections.abc import Iterable

import pytest

from lib.pop import entrance
from tests.embedded import SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.peer import peer
from tests.scenario.mails import logged, mail
from tests.scenario.pop import end, numbered, retr

MAILS = {name: mail(f"Subject: {name}") for name in ("one", "two", "three")}
ANSWERED = """
    S: +OK
    S: USER
    S: PIPELINING
    S: .
"""
CAPA = f"C: CAPA{ANSWERED}"
USER = "C: USER bob\nS: +OK\n"
PASS = "C: PASS geheim-bob\n"
LOGIN = f"{USER}{PASS}S: +OK\n"
GREETED = f"S: +OK\n{CAPA}"
AHEAD = """
    C: USER bob
    C: PASS geheim-bob
    C: CAPA
    C: UIDL
    C: LIST
"""
EMPTY = f"C: UIDL\n{numbered({})}\nC: LIST\n{numbered({})}\n{end()}"
SLOWLY = f"{GREETED}{LOGIN}{CAPA}{EMPTY}"
ONE = f"C: UIDL\n{numbered({1: 'a'})}\nC: LIST\n{numbered({1: '100'})}\n"
PLAIN = f"S: +OK\nC: CAPA\nS: -ERR\n{LOGIN}"  # a server that knows no CAPA


class Days:
    """Runs so many passes over sessions of one server."""

    def __init__(self, conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> None:
        self.conf, self.run_pass, self.smtp = conf, run_pass, smtp
        self.heard = b""

    def __call__(
        self, passes: int, sessions: Iterable[str], option: str = "tls=off", **settings: object
    ) -> list[Result]:
        with peer("\n== next\n".join(sessions), given=MAILS) as p:
            line = account(p.port, f"to=b@example.org {option}")
            defaults = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", "pf_timeout": 1}
            path = self.conf(line, **{**defaults, **settings})
            told = [self.run_pass(path) for _ in range(passes)]
        self.heard = p.heard
        return told

    def codes(self, passes: int, sessions: Iterable[str], option: str = "tls=off") -> list[int]:
        return [result.code for result in self(passes, sessions, option)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody as long as a pass does."""
    monkeypatch.setattr(entrance, "BREATH", 0.01)
    monkeypatch.setattr(entrance, "DELAYS", (0.02, 0.05))


@pytest.fixture
def days(conf: Conf, run_pass: RunPass, smtp: SmtpServer) -> Days:
    return Days(conf, run_pass, smtp)


# --- words sent ahead of the login's replies -----------------------------------------------------------------------


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall", "S: +OK\n-- cut", "S: +OK\n-- stall", "S: +OK\nS: what?"])
def test_who_cannot_bear_a_login_sent_ahead_gets_the_next_one_a_word_at_a_time(days: Days, breaks: str) -> None:
    assert days.codes(3, [f"{GREETED}{AHEAD}{breaks}", SLOWLY, SLOWLY]) == [76, 0, 0]
    assert days.heard.count(b"PASS") == 3  # one a pass


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall", "S: what?", f"{ANSWERED}-- stall", f"{ANSWERED}S: what?"])
def test_who_takes_the_password_and_drops_what_came_with_it_does_so_in_the_same_pass(days: Days, breaks: str) -> None:
    # A proxy that hands its connection over behind PASS.
    assert days.codes(2, [f"{GREETED}{AHEAD}S: +OK\nS: +OK\n{breaks}", SLOWLY, SLOWLY]) == [0, 0]


def test_a_refusal_says_nothing_about_words_sent_ahead(days: Days) -> None:
    refused = f"{GREETED}{AHEAD}S: +OK\nS: -ERR [AUTH] no\n-- expect-close"
    assert days.codes(2, [refused, refused]) == [77, 77]


def test_nor_does_a_login_in_steps_of_which_nothing_is_sent_ahead(days: Days) -> None:
    steps = f"{GREETED}C: AUTH CRAM-MD5\nS: + PHBAeD4=\nC* *\n"
    rest = f"C: CAPA\nC: UIDL\nC: LIST\n{ANSWERED}{numbered({})}\n{numbered({})}\n{end()}"
    codes = days.codes(2, [f"{steps}-- cut", f"{steps}S: +OK\n{rest}"], "tls=off auth=cram-md5")
    assert codes == [76, 0]


@pytest.mark.parametrize("window", [1, 2])
def test_pf_window_holds_at_the_login_too(days: Days, window: int) -> None:
    # Nothing goes out behind a password that is not answered yet, but for what is sent together with it.
    two = f"{GREETED}C: USER bob\nC: PASS geheim-bob\nS: +OK\nS: +OK\nC: CAPA\nC: UIDL{ANSWERED}C: LIST\n"
    two += f"{numbered({})}\n{numbered({})}\n{end()}"
    session = SLOWLY if window == 1 else two
    assert days(1, [session], pf_window=window) == [(0, "", "")]


# --- CAPA, UIDL ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall", "S: what?", "S: +OK", "S: 500 unknown"])
def test_who_breaks_off_at_capa_is_not_asked_again_and_in_the_end_not_at_all(days: Days, breaks: str) -> None:
    broken, rest = f"S: +OK\nC: CAPA\n{breaks}", f"S: +OK\n{LOGIN}{EMPTY}"
    assert days.codes(4, [broken, rest, broken, rest, rest, rest]) == [0, 0, 0, 0]


def test_where_stls_must_be_looked_for_capa_is_asked_in_every_pass(days: Days) -> None:
    broken, rest = "S: +OK\nC: CAPA\n-- cut", f"S: +OK\n{LOGIN}{EMPTY}"
    assert days.codes(3, [broken, rest] * 3, "tls=auto") == [0, 0, 0]


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall"])
def test_no_password_goes_out_far_away_where_capa_was_not_answered_and_stls_may_be_offered(
    days: Days, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.pop.session.is_near", lambda _: False)
    assert days.codes(2, [f"S: +OK\nC: CAPA\n{breaks}"] * 2, "tls=auto") == [76, 76]
    assert b"USER" not in days.heard


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall", "S: what?"])
def test_who_breaks_off_at_capa_behind_the_login_is_asked_before_it_only(days: Days, breaks: str) -> None:
    before = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\n"
    broken, rest = f"{before}{LOGIN}C: CAPA\n{breaks}", f"{before}{LOGIN}{EMPTY}"
    assert days.codes(3, [broken, rest, broken, rest, rest]) == [0, 0, 0]


def test_who_bears_neither_words_sent_ahead_nor_capa_behind_the_login(days: Days) -> None:
    ahead = f"{GREETED}{AHEAD}S: +OK\nS: +OK\n-- cut"
    slowly, rest = f"{GREETED}{LOGIN}C: CAPA\n-- cut", f"{GREETED}{LOGIN}{EMPTY}"
    assert days.codes(3, [ahead, slowly, rest, slowly, rest, rest]) == [0, 0, 0]


@pytest.mark.parametrize("breaks", ["-- cut", "-- stall", "S: what?"])
def test_who_breaks_off_at_uidl_is_asked_for_it_in_two_passes(days: Days, breaks: str) -> None:
    sizes = f"C: LIST\n{numbered({1: '100'})}\n"
    broken, rest = f"{PLAIN}C: UIDL\n{breaks}", f"{PLAIN}{sizes}{retr(1, 'one')}{end(1)}"
    assert days.codes(3, [broken, broken, rest]) == [76, 76, 0]


def test_what_breaks_off_once_is_the_line(days: Days) -> None:
    broken, whole = f"{PLAIN}C: UIDL\n-- cut", f"{PLAIN}{EMPTY}"
    assert days.codes(4, [broken, whole, broken, whole]) == [76, 0, 76, 0]


# --- one login a pass ----------------------------------------------------------------------------------------------

ENDS = ["S: +ERR Server error", "S: 535 no", "-- cut", "-- reset", "-- stall"]


@pytest.mark.parametrize("breaks", ENDS)
@pytest.mark.parametrize("before", ["C: CAPA\nS: -ERR\n", CAPA])
def test_a_password_whose_fate_is_unknown_is_not_sent_again(days: Days, before: str, breaks: str) -> None:
    words = AHEAD + "S: +OK\n" if "PIPELINING" in before else USER + PASS
    (passed,) = days(1, [f"S: +OK\n{before}{words}{breaks}"])
    assert passed.code == 76
    assert "the login is not tried again in this pass" in passed.err


@pytest.mark.parametrize("breaks", ENDS)
def test_nor_is_a_proof_of_it(days: Days, breaks: str) -> None:
    proof = "S: +OK\nC: CAPA\nS: -ERR\nC: AUTH CRAM-MD5\nS: + PHBAeD4=\nC* *\n"
    (passed,) = days(1, [f"{proof}{breaks}"], "auth=cram-md5")
    assert passed.code == 76
    assert "the login is not tried again in this pass" in passed.err


def test_who_does_not_greet_is_not_called_again(days: Days) -> None:
    assert days.codes(1, ["-- stall"]) == [76]
    assert days.codes(1, ["-- cut"]) == [76]


# --- the login behind a session that broke -------------------------------------------------------------------------

BROKEN = f"{PLAIN}{ONE}{retr(1, 'one')}C: DELE 1\nS: +OK\nC: QUIT\n-- cut"
AGAIN = f"{PLAIN}{ONE}{retr(1, 'one')}{end(1)}"
LOCKED = [
    f"{USER}{PASS}S: -ERR maildrop already locked",
    f"{USER}{PASS}S: -ERR",
    f"{USER}{PASS}S: -ERR [IN-USE] do you read your mail elsewhere?",
    f"{USER}{PASS}S: -ERR [SYS/TEMP] locked",
    f"{USER}{PASS}-- cut",
    "C: USER bob\nS: -ERR mailbox is busy",
]
DOORS = ["S: -ERR too many connections from your address", "-- cut"]


def asked(words: str) -> str:
    return words if words in DOORS else f"S: +OK\nC: CAPA\nS: -ERR\n{words}"


@pytest.mark.parametrize("locked", [*LOCKED, *DOORS])
def test_a_mailbox_that_is_locked_for_a_moment_is_waited_for(days: Days, locked: str) -> None:
    assert days(1, [BROKEN, asked(locked), AGAIN]) == [(0, "", "")]
    assert len(days.smtp.taken) == 1
    (broken,) = logged(days.conf.work, "broken")
    assert "closed the connection" in broken["words"]


@pytest.mark.parametrize("locked", [*LOCKED, *DOORS])
def test_one_that_stays_locked_is_no_wrong_password(days: Days, locked: str) -> None:
    (passed,) = days(1, [BROKEN, *[asked(locked)] * (1 + len(entrance.DELAYS))])
    assert passed.code == 76
    assert "check user" not in passed.err
    assert "the session before had ended" in passed.err
    if "-ERR" in locked and locked not in DOORS:
        assert "still locked" in passed.err


@pytest.mark.parametrize("said", ["[AUTH] account disabled", "[LOGIN-DELAY] not that often"])
def test_who_says_for_sure_that_it_will_not_be_is_not_asked_again(days: Days, said: str) -> None:
    (passed,) = days(1, [BROKEN, asked(f"{USER}{PASS}S: -ERR {said}")])
    assert passed.code == 76
    assert f"no further login: {said}" in passed.err
    assert "check user" not in passed.err
