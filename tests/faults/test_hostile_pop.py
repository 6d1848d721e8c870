"""Hostile and broken POP servers. Each loses its own mail at most; it is never believed once it has talked nonsense."""

from pathlib import Path

import pytest

from lib.net import wire
from lib.pop import flight
from lib.store.spool import Spool
from tests.faults.hostile import (
    FALSE_ENDS,
    LOCKSTEP,
    Office,
    Row,
    TwistedTalk,
    in_lockstep,
    letters,
    mended,
    opened,
)
from tests.passes import Conf, RunPass, account
from tests.peer import peer
from tests.pki import Pki
from tests.scenario.conftest import Server
from tests.scenario.mails import logged, mail, spooled
from tests.talk import stuffed

FORGED = b"+OK 60 octets%bSubject: forged%b%bPay at once.%b.%b"
# A size did not fit: QUIT waits for the last answer.
DELETING = """
    C: DELE 1
    S: +OK
    C: QUIT
    S: +OK
"""


# --- replies that a message forges ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", FALSE_ENDS.values(), ids=FALSE_ENDS)
def test_no_message_can_end_itself_and_forge_the_next_reply(office: Office, end: bytes) -> None:
    eol = end.partition(b".")[2]
    evil = mail("Subject: one", body="Look:") + end.removeprefix(b"\r\n") + FORGED % ((eol,) * 5) + b"+OK deleted" + eol
    office.put(evil, *letters(2))
    assert office.pass_()[:2] == (0, "")
    assert office.bodies == [mended(evil if evil.endswith(b"\r\n") else evil + b"\r\n"), *letters(2)]
    assert not office.box.messages


@pytest.mark.parametrize("nonsense", ["OK", "+OKAY", "ok", "-OK", "+ go on", "220 hello", "", "+ERR", " +OK"])
def test_after_a_reply_that_is_none_nothing_is_believed_and_nothing_deleted(office: Office, nonsense: str) -> None:
    office.put(*letters(3))

    def retr(talk: TwistedTalk, number: bytes) -> None:
        if number == b"2" and not hasattr(office, "spoken"):
            office.spoken = True  # type: ignore[attr-defined]
            talk.say(nonsense.encode(), b"+OK", b"+OK", b"+OK", b"+OK")
        else:
            talk.retr(number)

    office.teach(RETR=retr)
    office.pass_()
    assert sorted(office.bodies) == letters(3)
    assert not office.box.messages
    first = office.pop.heard[: office.pop.heard.index("RETR") + 3]
    assert not {"QUIT", "DELE"}.intersection(first)


# --- STLS -------------------------------------------------------------------------------------------------------------

STLS = "S: +OK hi\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\n"
INJECTED = {
    "with the answer": r'S> "+OK go on\r\n+OK you are in\r\n"',
    "as a listing": r'S> "+OK go on\r\n+OK\r\nPIPELINING\r\n.\r\n"',
    "half a line": r'S> "+OK go on\r\n+O"',
}


@pytest.mark.parametrize("said", INJECTED.values(), ids=INJECTED)
def test_what_is_injected_in_front_of_the_handshake_ends_the_session(server: Server, pki: Pki, said: str) -> None:
    session = f"{STLS}{said}\n-- expect-close\n"
    done = server(session, tls=pki.good, host="localhost", pf_tls_ca=pki.ca)
    assert (done.code, done.heard) == (76, b"CAPA\r\nSTLS\r\n")


def test_what_is_injected_later_is_no_handshake(server: Server, pki: Pki) -> None:
    done = server(f"{STLS}S: +OK go on\n-- sleep 0.1\nS: +OK you are in\n-- stall", host="localhost", pf_tls_ca=pki.ca)
    assert done.code == 76
    assert b"USER" not in done.heard
    assert b"geheim" not in done.heard


def test_what_was_announced_in_the_clear_does_not_count_behind_tls(server: Server, pki: Pki) -> None:
    script = """
        S: +OK
        C: CAPA
        S: +OK
        S: STLS
        S: PIPELINING
        S: SASL XOAUTH2 LOGIN
        S: .
        C: STLS
        S: +OK
        -- starttls
        C: CAPA
        S: +OK
        S: UIDL
        S: USER
        S: .
        C: USER bob
        S: +OK
        C: PASS geheim-bob
        S: +OK
        C: CAPA
        S: -ERR
        C: UIDL
        S: +OK
        S: .
        C: LIST
        S: +OK
        S: .
        C: QUIT
    """
    assert server(script, tls=pki.good, host="localhost", pf_tls_ca=pki.ca)[:3] == (0, "", "")


# --- what has no end --------------------------------------------------------------------------------------------------

ENDLESS_LOGIN = 'S: +OK\nC: USER bob\n-- endless "+OK who? "'  # without CAPA
CHATTER = {
    "a greeting": '-- endless "+OK welcome "',
    "an answer to CAPA": 'S: +OK\nC: CAPA\n-- endless "+OK I know "\n== next\n' + ENDLESS_LOGIN,
    "capabilities": "S: +OK\nC: CAPA\nS: +OK\n" + r'-- endless "UIDL\r\n"' + "\n== next\n" + ENDLESS_LOGIN,
    "an answer to a password": LOCKSTEP.rpartition("S: +OK\n")[0] + '-- endless "+OK you are in "',
    "a list of UIDs": LOCKSTEP + "C: UIDL\nS: +OK\n" + r'-- endless "1 a\r\n"',
    "one UID": LOCKSTEP + 'C: UIDL\nS: +OK\nS> "1 "\n-- endless "abcdefgh"',
    "a list of sizes": LOCKSTEP + "C: UIDL\nS: +OK\nS: .\nC: LIST\nS: +OK\n" + r'-- endless "1 100\r\n"',
}
MB = 1 << 20


@pytest.mark.parametrize("session", CHATTER.values(), ids=CHATTER)
def test_no_reply_is_listened_to_without_end(server: Server, session: str) -> None:
    assert server(session).code == 76


def peak() -> int:
    """Return how many octets of memory this process has had at most since the last reset()."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def reset() -> int:
    """Forget the peak; return what is in use."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak()


@pytest.mark.parametrize("announced", ["100", "0", "-1", "", "999999999999999"])
def test_an_endless_body_costs_little_memory_and_no_disk_in_the_end(
    server: Server, work: Path, announced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight, "BODY_MOST", 24 * MB)
    endless = r'-- endless "0123456789012345678901234567890123456789012345678901234567890\r\n"'
    session = f"{{}}C: RETR 1\nS: +OK\nS: Subject: endless\n{endless}\n"
    scripts = [opened(Row(1, "a", announced))] * 2  # the second time its announced size limits nothing
    before = reset()
    done = server("== next\n".join(session.format(script) for script in scripts))
    assert done.code == 76
    assert peak() - before < 20 * MB
    assert not spooled(work)
    assert not server.smtp.taken


def test_an_endless_body_does_not_use_up_the_disk_and_stops_no_other_account(
    conf: Conf, run_pass: RunPass, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spool, "space", 10 * MB)
    office.put(*letters(3))
    endless = r'-- endless "0123456789012345678901234567890123456789012345678901234567890\r\n"'
    with peer(f"{opened(Row(1, 'a', '0'))}C: RETR 1\nS: +OK\n{endless}") as bad:
        accounts = [account(bad.port, "to=b@example.org"), account(office.pop.port, "to=b@example.org")]
        done = run_pass(conf(*accounts, pf_smtp_server=f"127.0.0.1:{office.smtp.port}"))
    assert done.code == 76
    assert "message 1 does not end, and the disk is nearly full" in done.err
    assert (sorted(office.bodies), spooled(office.work)) == (letters(3), [])


def test_a_large_message_that_does_not_come_on_makes_no_other_account_wait(
    conf: Conf, run_pass: RunPass, office: Office
) -> None:
    office.put(*letters(8))
    half = f'{opened(Row(1, "a", "9999999"))}C: RETR 1\nS: +OK\nS> "{"x" * 100}" * 20000\n-- stall'
    with peer(half.replace('" * 20000', "x" * 2_000_000 + '"')) as bad:
        accounts = [account(bad.port, "to=b@example.org", "name=bad"), account(office.pop.port, "to=b@example.org")]
        settings = {"pf_spool_limit": "1M", "pf_timeout": 2, "pf_smtp_server": f"127.0.0.1:{office.smtp.port}"}
        assert run_pass(conf(*accounts, **settings)).code == 76
    ends = [line["account"] for line in logged(office.work, "session")]
    assert (ends[0] != "bad", ends[-1]) == (True, "bad")
    assert sorted(office.bodies) == letters(8)


# --- what drips -------------------------------------------------------------------------------------------------------


def test_a_server_that_lets_octets_drip_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "DRIP_SILENCES", 0.04)
    drip = 'S> "x"\n-- sleep 0.05\n' * 20
    done = server(f"{LOCKSTEP}C: UIDL\nS: +OK\n{drip}-- stall", pf_timeout=2)
    assert done.code == 76
    assert "octets in" in done.err


def test_a_slow_line_with_short_answers_is_no_drip(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "DRIP_SILENCES", 0.02)
    rows = [Row(number, f"u{number}", "50") for number in range(1, 13)]
    retrs = "".join(f"C: RETR {row.number}\nS: +OK\nS. mail\n" for row in rows)
    deles = "".join(f"C: DELE {row.number}\n-- sleep 0.03\nS: +OK\n" for row in rows)
    done = server(f"{in_lockstep(*rows)}{retrs}{deles}C: QUIT\nS: +OK", given={"mail": letters(1)[0]})
    assert done.code == 0


# --- numbers that do not add up ---------------------------------------------------------------------------------------


def test_what_either_list_names_is_fetched(server: Server) -> None:
    rows = [Row(1, None, "50"), Row(2, "b", "50"), Row(3, "c", None), Row(9, None, "50")]
    retrs = "".join(f"C: RETR {row.number}\n" for row in rows)
    bodies = "".join(f"S: +OK\nS. {row.number}\n" for row in rows)
    deles = "".join(f"C: DELE {row.number}\n" for row in rows)
    script = f"{opened(*rows)}{retrs}{bodies}{deles}" + "S: +OK\n" * 4 + "C: QUIT\nS: +OK"
    given = {str(row.number): letter for row, letter in zip(rows, letters(4), strict=True)}
    assert server(script, given=given).code == 0


@pytest.mark.parametrize("size", ["0", "1", "-1", "-9999999999", "", "many", "1024", "9" * 40])
def test_a_size_is_a_hint(server: Server, size: str) -> None:
    (one,) = letters(1)
    assert server(f"{opened(Row(1, 'a', size))}C: RETR 1\nS: +OK\nS. one{DELETING}", given={"one": one}).code == 0
    assert [letter.content.endswith(one) for letter in server.smtp.taken] == [True]


LARGE = mail("Subject: large", body="0123456789\n" * 500)


def cut_short(talk: TwistedTalk, number: bytes) -> None:
    """Give half a large message as if it were all: what Dovecot does when it cannot read on."""
    message = talk.mailbox.messages[talk.uids[int(number) - 1]]  # type: ignore[union-attr]
    half = message[: message.rindex(b"\r\n", 0, len(message) // 2) + 2] if len(message) > 1000 else message
    talk.sock.sendall(b"+OK\r\n" + stuffed(half))


def test_a_body_far_shorter_than_announced_stays_until_it_comes_whole(office: Office) -> None:
    office.put(LARGE, *letters(1))
    office.teach(RETR=cut_short)
    done = office.pass_()
    assert done.code == 76
    assert "octets announced" in done.err
    assert (office.bodies, office.pop.left("bob")) == (letters(1), [LARGE])
    office.teach()
    assert office.pass_().code == 0
    assert (office.bodies[1:], office.pop.left("bob")) == ([LARGE], [])


def test_sizes_that_are_found_to_be_wrong_are_not_believed_any_more(office: Office) -> None:
    office.put(LARGE)
    office.teach(RETR=cut_short)
    assert [office.pass_().code for _ in range(2)] == [76, 0]
    office.put(LARGE + b"more", LARGE + b"and more")
    assert office.pass_().code == 0
    assert (len(office.bodies), office.pop.left("bob")) == (3, [])
    assert office.pop.heard.count("RETR") == 4


def test_a_message_that_cannot_be_retrieved_stops_no_other_and_is_asked_for_once(office: Office) -> None:
    office.put(*letters(3))
    office.teach(RETR=lambda talk, n: talk.say(b"-ERR System error") if n == b"2" else talk.retr(n))
    done = office.pass_()
    assert done.code == 76
    assert "System error" in done.err
    assert office.bodies == [letters(3)[0], letters(3)[2]]
    assert office.pop.heard.count("RETR") == 3
    assert office.pop.left("bob") == [letters(3)[1]]
    office.teach()
    assert office.pass_().code == 0
    assert office.bodies[2:] == [letters(3)[1]]


def test_a_server_that_retrieves_nothing_costs_no_memory_for_its_words(office: Office) -> None:
    office.put(*[b"x"] * 3000)
    office.teach(RETR=lambda talk, _: talk.say(b"-ERR " + b"no" * 2000))
    before = reset()
    assert office.pass_().code == 76
    assert peak() - before < 4 * MB


def test_a_line_that_is_not_ended_before_the_dot_is_no_message(server: Server) -> None:
    # Exchange 2000: the dot right behind the last octet. The server waits, and so do we, as long as pf_timeout says.
    body = r'S> "+OK\r\nSubject: one\r\n\r\nno end.\r\n"' + "\n-- stall"
    assert server(f"{in_lockstep(Row(1, 'a', '30'))}C: RETR 1\n{body}", pf_timeout=1).code == 76
    assert not server.smtp.taken


def test_a_server_that_ends_its_lines_with_lf_alone_is_told_of(server: Server) -> None:
    done = server(r'S> "+OK hello\n"' + "\n-- stall", pf_timeout=1)
    assert done.code == 76
    assert "no greeting" in done.err


# --- commands sent ahead ----------------------------------------------------------------------------------------------


def test_a_server_that_mixes_up_two_bodies_delivers_neither_of_them_mixed(office: Office) -> None:
    # WildDuck until 2026: the next reply began before the dot of the one before it was written.
    office.put(*letters(3))

    def retr(talk: TwistedTalk, number: bytes) -> None:
        message = talk.mailbox.messages[int(number)]  # type: ignore[union-attr]
        if "CAPA" in office.pop.heard[-2:] or office.pop.heard.count("USER") > 1:
            talk.retr(number)
        elif number == b"1":
            talk.sock.sendall(b"+OK\r\n" + stuffed(message)[:-3])
        elif number == b"2":
            talk.sock.sendall(b"+OK\r\n.\r\n" + stuffed(message))
        else:
            talk.retr(number)

    office.teach(RETR=retr)
    office.pass_()
    assert sorted(office.bodies) == letters(3)
    assert not office.box.messages


def test_a_body_with_a_dot_that_was_not_doubled_is_not_delivered_in_part(office: Office) -> None:
    evil = mail("Subject: one", body="Above.\n.\nBelow.")
    office.put(evil, *letters(1))

    def retr(talk: TwistedTalk, number: bytes) -> None:
        if number == b"1":
            talk.sock.sendall(b"+OK\r\n" + evil + b".\r\n")
        else:
            talk.retr(number)

    office.teach(RETR=retr)
    for _ in range(2):
        assert office.pass_().code == 76
    assert office.bodies == letters(1)
    assert office.pop.left("bob") == [evil]


@pytest.mark.parametrize("ahead", [2, 4])
def test_a_server_that_hangs_up_when_commands_come_ahead_is_asked_one_at_a_time(office: Office, ahead: int) -> None:
    # o2.pl: announced PIPELINING and disconnected during a batch of RETRs.
    office.put(*letters(6))

    def retr(talk: TwistedTalk, number: bytes) -> object:
        return talk.ahead() + 1 < ahead and talk.retr(number)

    office.teach(RETR=retr)
    for _ in range(2):
        office.pass_()
    assert sorted(office.bodies) == letters(6)
    assert not office.box.messages


# --- what a server does to its mailbox meanwhile ----------------------------------------------------------------------


def test_what_a_server_hides_once_it_was_retrieved_is_in_the_spool(office: Office) -> None:
    # Gmail, and others: RETR and QUIT, and the message is never listed again, deleted or not.
    office.put(*letters(3))
    seen: list[int] = []

    def retr(talk: TwistedTalk, number: bytes) -> None:
        seen.append(talk.uids[int(number) - 1])
        talk.retr(number)

    def leave(talk: TwistedTalk, rest: bytes) -> object:
        talk.gone.update(uid for uid in seen if uid in office.box.messages)
        return talk.leave(rest)

    office.teach(RETR=retr, QUIT=leave)
    office.smtp.refused = {b"b@example.org": b"450 4.7.1 later"}
    assert office.pass_().code == 75
    assert (office.bodies, office.pop.left("bob")) == ([], [])
    office.smtp.refused = {}
    assert office.pass_().code == 0
    assert (sorted(office.bodies), spooled(office.work)) == (letters(3), [])


def test_mail_that_a_server_removes_by_itself_shifts_no_other(office: Office) -> None:
    # Yahoo: numbers are never those of the session before.
    office.put(*letters(4))

    def retr(talk: TwistedTalk, number: bytes) -> object:
        if number == b"2" and len(office.box.messages) == 4:
            del office.box.messages[1]
            return False
        return talk.retr(number)

    office.teach(RETR=retr)
    office.pass_()
    office.pass_()
    assert sorted(office.bodies) == letters(4)
    assert not office.box.messages


@pytest.mark.parametrize("answer", [b"", b"\r\n", b"what?", b"+OK\r\n+OK"])
def test_nonsense_in_answer_to_dele_deletes_nothing_and_sends_nothing_again(office: Office, answer: bytes) -> None:
    # outlook.office365.com, in mailboxes of 20,000 messages.
    office.put(*letters(3))
    office.teach(DELE=lambda talk, _: talk.say(answer))
    office.pass_()
    assert (sorted(office.bodies), office.pop.left("bob")) == (letters(3), letters(3))
    office.teach()
    assert office.pass_().code == 0
    assert (sorted(office.bodies), office.pop.left("bob")) == (letters(3), [])
    assert office.pop.heard.count("RETR") <= 6  # once more, for QUIT was on its way with the first DELEs


def test_a_uid_of_a_megabyte_is_survived_by_the_spool(office: Office) -> None:
    office.put(*letters(1))
    uid = b"u" * MB
    office.teach(UIDL=lambda talk, _: talk.say(b"+OK", *([b"1 " + uid] if office.box.messages else []), b"."))
    office.smtp.refused = {b"b@example.org": b"450 4.7.1 later"}
    assert office.pass_().code == 75
    office.smtp.refused = {}
    assert office.pass_().code == 0
    assert (office.bodies, office.pop.left("bob")) == (letters(1), [])
    assert not (office.work / "duds.dat").exists()
    assert office.pop.heard.count("RETR") == 1


def test_a_server_that_does_not_answer_capa_is_asked_for_nothing_of_the_kind(server: Server) -> None:
    rest = LOCKSTEP.replace("C: CAPA\nS: -ERR\n", "")
    empty = "C: UIDL\nS: +OK\nS: .\nC: LIST\nS: +OK\nS: .\nC: QUIT\n"
    assert server(f"S: +OK\nC: CAPA\n-- stall\n== next\n{rest}{empty}", pf_timeout=1).code == 0


@pytest.mark.parametrize("said", ["-ERR no TOP here", "what?", None])
def test_a_dry_run_survives_what_a_pass_does(office: Office, said: str | None) -> None:
    office.put(*letters(2))
    top = {"TOP": lambda talk, _: talk.say(said.encode())} if said else {}
    office.teach(**top)
    done = office.pass_("--dry-run", option="")
    assert done.code in (0, 76)
    assert "message 1" in done.out
    assert (len(office.pop.left("bob")), office.pop.heard.count("DELE")) == (2, 0)
