"""Duds in a row trip the safety net: the pass ends, no later one starts until --reset."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.scenario.mails import mail, spooled

NO = b"550 5.1.1 no such user"
STOPPED = (
    "popfetch: stopped by the safety net: see --status and --duds list, mend the cause; nothing runs until --reset\n"
)


def letters(*subjects: str) -> list[bytes]:
    return [
        mail(f"X-Rcpt-To: {subject.rstrip('0123456789')}@example.org", f"Subject: {subject}") for subject in subjects
    ]


def duds(work: Path) -> int:
    return (work / "duds.dat").read_bytes().count(b"X-POPFetch-Dud-When:") if (work / "duds.dat").exists() else 0


@pytest.fixture
def refusing() -> SmtpServer:
    """Return a receiver that knows good@example.org and not bad@example.org."""
    return SmtpServer({b"bad@example.org": NO})


def test_it_trips_at_pf_max_duds_in_a_row_and_the_pass_ends_at_once(
    conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer
) -> None:
    boxes = {"bob": ("geheim-bob", letters("bad1", "bad2", "bad3", "bad4", "good5"))}
    with PopServer(boxes) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=3)
        result = run_pass(path)
        assert result.code == 79
        assert "3 duds in a row: see --duds list, mend the cause, then --reset" in result.err
        assert (duds(work), smtp.taken) == (3, [])
        assert len(pop.left("bob")) >= 2  # nothing is lost

        heard, files = len(pop.heard) + len(smtp.heard), {one.name: one.read_bytes() for one in work.iterdir()}
        assert run_pass(path) == (79, "", STOPPED)
        assert run_pass(path, "--scheduled") == (79, "", STOPPED)
        now = {one.name: one.read_bytes() for one in work.iterdir()}
        assert {name for name in now if now[name] != files.get(name)} <= {"popfetch.log", "popfetch.lock"}
        assert len(pop.heard) + len(smtp.heard) == heard
        assert "too many duds in a row" in run_pass(path, "--status").out

        smtp.refused = {}
        assert run_pass(path, "--reset").code == 0
        assert run_pass(path) == (0, "", "")
        assert (pop.left("bob"), spooled(work), duds(work)) == ([], [], 3)
        assert sorted(letter.recipients for letter in smtp.taken) == [(b"bad@example.org",), (b"good@example.org",)]


def test_duds_in_a_row_are_counted_over_passes(conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer) -> None:
    with PopServer({"bob": ("geheim-bob", [])}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=3)
        for number, code in enumerate((65, 65, 79), 1):
            pop.mailboxes["bob"].messages[number] = letters("bad")[0]
            assert run_pass(path).code == code
    assert duds(work) == 3


def test_any_delivery_ends_the_row(conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer) -> None:
    some = letters("bad1", "bad2", "good3", "bad4", "bad5")
    with PopServer({"bob": ("geheim-bob", some)}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=3)
        assert run_pass(path) == (65, "", "popfetch: 4 messages went to duds.dat; --duds list shows why\n")
        assert "duds in a row: 2 of 3" in run_pass(path, "--status").out
    assert (duds(work), len(smtp.taken)) == (4, 1)


def test_one_who_gets_it_is_a_delivery_even_if_another_does_not(
    conf: Conf, run_pass: RunPass, refusing: SmtpServer
) -> None:
    both = mail("X-Rcpt-To: good@example.org, bad@example.org")
    with PopServer({"bob": ("geheim-bob", [both, both, both])}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=2)
        assert run_pass(path).code == 65
        assert (len(smtp.taken), pop.left("bob")) == (3, [])


def test_what_the_caretaker_takes_is_no_dud(conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer) -> None:
    with PopServer({"bob": ("geheim-bob", letters(*["bad"] * 5))}) as pop, refusing as smtp:
        settings = {"pf_max_duds": 1, "pf_dflt_address": "care@example.org"}
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", **settings)
        assert run_pass(path) == (0, "", "")
    assert duds(work) == 0
    assert [letter.recipients for letter in smtp.taken] == [(b"care@example.org",)] * 5


@pytest.fixture
def state(work: Path) -> Callable[[], None]:
    """Return what puts the state back that its first call finds: as if passes had been killed at their end."""
    path, known = work / "popfetch_state.toml", list[bytes]()

    def put_back() -> None:
        known.append(path.read_bytes())
        path.write_bytes(known[0])

    return put_back


def test_what_killed_passes_buried_counts(
    conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer, state: Callable[[], None]
) -> None:
    with PopServer({"bob": ("geheim-bob", [])}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=4)
        assert run_pass(path).code == 0
        state()
        for number, code in enumerate((65, 65, 65, 79), 1):
            pop.mailboxes["bob"].messages[number] = letters("bad")[0]
            assert run_pass(path).code == code
            if code == 65:
                state()
                assert f"duds in a row: {number} of 4" in run_pass(path, "--status").out
    assert duds(work) == 4


def test_what_killed_passes_delivered_ends_the_row(
    conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer, state: Callable[[], None]
) -> None:
    with PopServer({"bob": ("geheim-bob", letters("bad1", "bad2"))}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=3)
        assert run_pass(path).code == 65
        state()
        for number, (subject, code) in enumerate((("good3", 0), ("bad4", 65), ("bad5", 65), ("bad6", 79)), 3):
            pop.mailboxes["bob"].messages[number] = letters(subject)[0]
            assert run_pass(path).code == code
            if code != 79:
                state()
    assert duds(work) == 5


def test_a_net_that_tripped_in_a_killed_pass_stops_the_next_one_before_it_touches_anything(
    conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer, state: Callable[[], None]
) -> None:
    with PopServer({"bob": ("geheim-bob", [])}) as pop, refusing as smtp:
        told = {"pf_notify_address": "admin@example.org", "pf_max_duds": 2}
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", **told)
        assert run_pass(path).code == 0
        state()
        pop.mailboxes["bob"].messages.update(enumerate(letters("bad1", "bad2", "good3"), 1))
        assert run_pass(path).code == 79
        state()  # killed before it could say so
        smtp.taken.clear()
        heard = len(pop.heard)
        result = run_pass(path)
        assert (result.code, len(pop.heard)) == (79, heard)
        assert "2 duds in a row" in result.err
        assert [letter.recipients for letter in smtp.taken] == [(b"admin@example.org",)]
        assert run_pass(path) == (79, "", STOPPED)
        assert run_pass(path, "--reset").code == 0
        assert run_pass(path) == (0, "", "")
    assert duds(work) == 2


def test_a_state_that_is_older_than_the_count_in_the_journal_counts(
    conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer
) -> None:
    with PopServer({"bob": ("geheim-bob", letters("bad"))}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_max_duds=3)
        (work / "popfetch_state.toml").write_bytes(b"duds_in_a_row = 2\n[end]\nwhole = true\n")
        (work / "popfetch_state.toml").chmod(0o600)
        assert run_pass(path).code == 79


@pytest.mark.parametrize("refused", [{b"admin@example.org": NO}, {}])
def test_a_dud_among_the_notices_trips_a_net_that_is_saved(
    conf: Conf, run_pass: RunPass, work: Path, refused: dict[bytes, bytes]
) -> None:
    def judge(content: bytes) -> bytes:
        return b"554 5.7.1 spam" if b"keeps failing" in content else b""

    with PopServer({"bob": ("another", [])}) as pop, SmtpServer(refused, judge=judge) as smtp:
        told = {"pf_notify_address": "admin@example.org", "pf_max_duds": 1}
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", **told)
        for _ in range(2):
            assert run_pass(path).code == 77
        result = run_pass(path)
        assert result.code == 79
        assert "1 duds in a row" in result.err
        assert run_pass(path) == (79, "", STOPPED)
        assert "duds in a row: 1 of 1" in run_pass(path, "--status").out
    assert duds(work) == 1


def test_a_dud_that_stays_on_its_server_is_written_once(
    conf: Conf, run_pass: RunPass, work: Path, refusing: SmtpServer
) -> None:
    with PopServer({"bob": ("geheim-bob", letters("bad"))}) as pop, refusing as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_keep="forever")
        assert run_pass(path).code == 65
        assert run_pass(path) == (0, "", "")
        assert (duds(work), len(pop.left("bob"))) == (1, 1)


def test_a_spool_file_that_is_not_what_was_written_goes_to_the_duds_and_the_message_is_fetched_again(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    with PopServer({"bob": ("geheim-bob", letters("good"))}) as pop:
        path = conf(account(pop.port), pf_smtp_server="127.0.0.1:1")
        assert run_pass(path).code == 75
        spool = work / "msg.dat"
        spool.write_bytes(spool.read_bytes().replace(b"hello", b"hullo"))
        with SmtpServer() as smtp:
            path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
            result = run_pass(path)
        assert result == (65, "", "popfetch: 1 message went to duds.dat; --duds list shows why\n")
        assert (duds(work), spooled(work), pop.left("bob"), pop.heard.count("RETR")) == (1, [], [], 2)
        assert b"hello" in smtp.taken[0].content
        assert b"hullo" in (work / "duds.dat").read_bytes()


def test_a_damaged_state_stops_every_pass_until_reset(conf: Conf, run_pass: RunPass, work: Path) -> None:
    with PopServer({"bob": ("geheim-bob", letters("good"))}) as pop, SmtpServer() as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        state = work / "popfetch_state.toml"
        state.write_bytes(b"duds_in_a_row = \x00\xff")
        state.chmod(0o600)
        code, out, err = run_pass(path)
        assert (code, out) == (79, "")
        assert err.startswith(f"popfetch: {state} cannot be read: ")
        assert err.endswith("; nothing runs until --reset\n")
        assert run_pass(path, "--scheduled").code == 79
        assert state.read_bytes() == b"duds_in_a_row = \x00\xff"
        assert pop.heard == []
        assert "the state file is damaged" in run_pass(path, "--status").out
        reset = run_pass(path, "--reset")
        assert reset.code == 0
        assert "set aside as " in reset.out
        assert run_pass(path) == (0, "", "")
    assert [one.read_bytes() for one in work.glob("popfetch_state.toml.*")] == [b"duds_in_a_row = \x00\xff"]


def test_a_missing_state_is_a_first_pass(conf: Conf, run_pass: RunPass, work: Path) -> None:
    with PopServer({"bob": ("geheim-bob", letters("good"))}) as pop, SmtpServer() as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
        assert run_pass(path) == (0, "", "")
        (work / "popfetch_state.toml").unlink()
        assert run_pass(path) == (0, "", "")
