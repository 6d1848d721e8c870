"""kill -9, at chance and at chosen moments: nothing lost, nothing altered, nothing twice that was on record."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.embedded import PopServer
from tests.faults import books, torture
from tests.faults.killing import Moment, Ring, Shape, drain
from tests.faults.mails import crowd, plain
from tests.faults.world import READ, RECORDED, UNREAD
from tests.passes import Conf, RunPass, StartPass, account
from tests.peer import peer

ROUNDS, SEED = 500, "ci"
PLAIN = Shape(0, hides=False, uidl=True, lmtp=False, boxes=1)


@pytest.fixture
def ring() -> Iterator[Ring]:
    with Ring() as ring:
        yield ring


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_hundred_killed_passes_lose_nothing_and_send_nothing_twice() -> None:
    told: list[str] = []
    total = torture.table(torture.spread(torture.kill, torture.in_chunks(SEED, ROUNDS)), told.append)
    assert total.kills > ROUNDS / 2
    assert total.clean, "\n".join(told)


def at(call: str, nth: int, file: str, when: str) -> Moment:
    return Moment(hooks=({"hook": "stop", "call": call, "nth": nth, "file": file, "when": when},))


@pytest.mark.parametrize(
    ("moment", "known"),
    [
        (Moment(seen=("taken", 1)), UNREAD),
        (at("write", 2, "popfetch.journal", "before"), READ),
        (at("write", 2, "popfetch.journal", "half"), READ),
        (at("write", 2, "popfetch.journal", "after"), RECORDED),
        (Moment(seen=("dele", 1)), RECORDED),
        (Moment(seen=("quit", 1)), RECORDED),
        (Moment(seen=("quit done", 1)), RECORDED),
    ],
)
@pytest.mark.parametrize("uidl", [True, False])
def test_a_second_copy_is_sent_only_while_the_first_is_not_on_record(
    ring: Ring, moment: Moment, known: str, uidl: bool
) -> None:
    """One mail, one recipient: so it is certain which moment that is, and that the world knows it."""
    mails = [plain(1, 1, 600)]
    ring.world.fill(mails)
    ring.world.uidl = uidl
    conf = ring.write_conf(PLAIN)
    assert ring.kill(conf, moment).code == -9
    assert [letter.known for letter in ring.world.letters] == [known]
    assert not list(drain(ring, conf, PLAIN))
    assert len(ring.world.letters) == (1 if known == RECORDED else 2)
    assert books.judge(mails, ring.world.letters, ring.work / "duds.dat").clean


@pytest.mark.parametrize("lmtp", [True, False])
@pytest.mark.parametrize("moment", [Moment(seen=("data", 2)), Moment(seen=("taken", 2)), Moment(seen=("taken", 101))])
def test_nobody_is_forgotten_between_two_transactions_of_one_message(ring: Ring, moment: Moment, lmtp: bool) -> None:
    mails = [crowd(1, 250)]
    ring.world.fill(mails)
    ring.world.lmtp = lmtp
    kind = PLAIN._replace(lmtp=lmtp)
    conf = ring.write_conf(kind)
    ring.kill(conf, moment)
    assert not list(drain(ring, conf, kind))
    told = books.judge(mails, ring.world.letters, ring.work / "duds.dat")
    assert told.clean, told.words


def test_a_verdict_of_lmtp_is_on_record_before_the_next_one_comes(
    conf: Conf, run_pass: RunPass, start_pass: StartPass
) -> None:
    envelope = """
        S: 220 mx.example LMTP
        C* LHLO *
        S: 250-mx.example
        S: 250 PIPELINING
        C: MAIL FROM:<>
        {}
        C: DATA
        S: 250 ok
        {}
        S: 354 go on
        C.
        S: 250 2.0.0 taken
    """
    first = envelope.format("C: RCPT TO:<b@x.example>\nC: RCPT TO:<c@x.example>", "S: 250 ok\nS: 250 ok")
    again = envelope.format("C: RCPT TO:<c@x.example>", "S: 250 ok")
    taken = threading.Event()
    mail = b"X-Rcpt-To: b@x.example, c@x.example\r\n\r\nhello\r\n"
    with PopServer({"bob": ("geheim-bob", [mail])}) as pop:
        with peer(f"{first}\n-- call taken\n-- stall", given={"taken": taken.set}) as p:
            where = {"pf_smtp_server": f"127.0.0.1:{p.port}", "pf_smtp_protocol": "lmtp"}
            running = start_pass(conf(account(pop.port), **where))
            assert taken.wait(30)
            time.sleep(0.5)  # far longer than it takes to write a line
            running.kill()
            start_pass.finish(running)
        with peer(f"{again}\nC: QUIT") as p:
            where["pf_smtp_server"] = f"127.0.0.1:{p.port}"
            assert run_pass(conf(account(pop.port), **where)).code == 0
        assert pop.left("bob") == []
