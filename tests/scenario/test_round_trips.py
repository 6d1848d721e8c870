"""The line is money: how often a session waits for the server. The peer holds its replies back until we are silent."""

import pytest

from tests.scenario.conftest import Mailbox, Receiver, Server
from tests.scenario.mails import mail
from tests.scenario.pop import LOGIN, end, numbered, retr

DELE = "C~ DELE [0-9]+\nS: +OK\n"
MAIL = {"one": mail("Subject: one")}
CAPA = """
    C: CAPA
    S: +OK
    S: PIPELINING
    S: .
"""
PIPELINING = f"""
    S: +OK
    {CAPA}
    C: USER bob
    S: +OK
    C: PASS geheim-bob
    S: +OK
    {CAPA}
"""


def session(login: str, messages: int) -> str:
    """Return a session that downloads and deletes so many messages; a client may send ahead of what is said."""
    numbers = range(1, messages + 1)
    return f"""
        -- latency 0.05
        {login}
        C: UIDL
        {numbered({number: f"u{number}" for number in numbers})}
        C: LIST
        {numbered(dict.fromkeys(numbers, "100"))}
        {"".join(retr(number, "one") for number in numbers)}
        {DELE * messages}
        {end()}
    """


@pytest.fixture(autouse=True)
def one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let deletions wait for the end however slow this machine is."""
    monkeypatch.setattr("lib.pop.deletions.GROUP_SECONDS", 60.0)


@pytest.mark.parametrize(
    ("messages", "rounds"),
    [
        (1, 4),  # CAPA · login, CAPA, UIDL, LIST · RETR · DELE, QUIT
        (8, 4),
        (9, 5),  # the window begins with eight
        (50, 6),  # and doubles: 8, 16, 26
        (200, 8),  # 8, 16, 32, 64, 80
    ],
)
def test_with_pipelining_round_trips_do_not_grow_with_the_number_of_messages(
    server: Server, messages: int, rounds: int
) -> None:
    passed = server(session(PIPELINING, messages), given=MAIL)
    assert passed[:3] == (0, "", "")
    assert rounds <= passed.rounds <= rounds + 4  # a busy machine makes us look silent now and then


def test_without_pipelining_a_message_costs_two_round_trips_and_no_list(server: Server) -> None:
    passed = server(session(LOGIN, 5), given=MAIL)
    assert passed[:3] == (0, "", "")
    assert passed.rounds == 16  # CAPA, USER, PASS, UIDL, LIST, five RETR, five DELE, QUIT
    assert passed.heard.count(b"LIST") == passed.heard.count(b"UIDL") == 1
    assert b"TOP" not in passed.heard
    assert b"STAT" not in passed.heard


def test_an_empty_mailbox_costs_no_more_than_it_must(server: Server) -> None:
    assert server(session(PIPELINING, 0)).rounds <= 3


def test_no_more_than_pf_window_is_sent_ahead(server: Server) -> None:
    assert server(session(PIPELINING, 10), given=MAIL, pf_window=1).rounds >= 10 + 10
    assert server(session(PIPELINING, 10), given=MAIL, pf_window=5).rounds < 10


def test_a_server_that_stumbles_is_spared_from_then_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.config.values.Account.id", property(lambda self: f"{self.user}@{self.host}"))
    option = "to=b@example.org name=bob"
    stumbles = f"{PIPELINING}C: UIDL\nS: +OK\nS: 1 u1\nS: .\nC: LIST\nwhat?".replace("what?", "S: ... what?")
    login = LOGIN.replace("S: -ERR", "S: +OK\nS: PIPELINING\nS: .", 1)
    slow = session(f"{login}{CAPA}", 3)
    passed = server(f"{stumbles}\n-- cut\n== next\n{slow}", option=option, given=MAIL)
    assert passed[:3] == (0, "", "")
    again = server(session(f"{login}{CAPA}", 3), option=option, given=MAIL)
    assert again.code == 0
    assert again.rounds >= 11  # one command at a time, in the next pass too


# --- the receiver's side ----------------------------------------------------------------------------------------------

GREETED = "-- call all_fetched\n-- latency 0.05\nS: 220 mx.example\nC* EHLO *\nS: 250-mx.example\nS: 250 {}\n"


def letters(number: int) -> list[bytes]:
    return [mail("Return-Path: <a@far.example>", "To: b@example.org", f"Subject: {one}") for one in range(number)]


def ahead(number: int, refused: int = -1) -> str:
    """Return so many messages with PIPELINING; the envelope of each goes out with the content before."""
    envelope = "C: MAIL FROM:<a@far.example>\nC: RCPT TO:<b@example.org>\nC: DATA\n"
    said = envelope
    for one in range(number):
        following = envelope if one < number - 1 else ""
        if one == refused:
            said += f"S: 250 ok\nS: 550 no\nS: 554 nobody\nC: RSET\n{following}S: 250 flushed\n"
        else:
            said += f"S: 250 ok\nS: 250 ok\nS: 354 go on\nC.\n{following}S: 250 taken\n"
    return said


@pytest.mark.parametrize("number", [1, 5, 20])
def test_a_message_costs_one_round_trip_to_a_receiver_with_pipelining(
    receiver: Receiver, mailbox: Mailbox, number: int
) -> None:
    mailbox.put(*letters(number))
    passed = receiver(f"{GREETED.format('PIPELINING')}{ahead(number)}C: QUIT", given=mailbox.fetched(number))
    assert passed[:3] == (0, "", "")
    assert number + 2 <= passed.rounds <= number + 4  # greeting and EHLO besides; a busy machine makes us look silent


def test_a_refusal_with_its_rset_costs_none_more(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(*letters(6))
    passed = receiver(f"{GREETED.format('PIPELINING')}{ahead(6, refused=2)}C: QUIT", given=mailbox.fetched(6))
    assert passed.code == 65
    assert 8 <= passed.rounds <= 10


def test_without_pipelining_it_costs_four(receiver: Receiver, mailbox: Mailbox) -> None:
    mailbox.put(*letters(3))
    one = "C* MAIL *\nS: 250 ok\nC* RCPT *\nS: 250 ok\nC: DATA\nS: 354 go on\nC.\nS: 250 taken\n"
    passed = receiver(f"{GREETED.format('8BITMIME')}{one * 3}C: QUIT", given=mailbox.fetched(3))
    assert passed[:3] == (0, "", "")
    assert 14 <= passed.rounds <= 16
