"""POP3 as bytes: however they arrive, whatever they are, and however hostile whoever sends them."""

import re
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.errors import ProtocolError
from lib.net.dialogue import Command, Dialogue
from lib.pop import pop3
from lib.pop.pop3 import Body, Pop3Framer, StatusLine
from tests.arrivals import STEPS, WHOLE, cut_at, in_steps, places, soup

RETR = pop3.retr(1, 0)
RETR_2 = pop3.retr(2, 0)
NOOP = pop3.NOOP
AUTH = pop3.secret(b"AUTH CRAM-MD5", shown="AUTH CRAM-MD5", challenge=True)
# The framing of a challenge, with which others may go out, as far as this file is concerned.
CHALLENGE = AUTH._replace(alone=False)


def asked(*commands: Command) -> Dialogue[StatusLine | Body]:
    dialogue: Dialogue[StatusLine | Body] = Dialogue(Pop3Framer(), 99)
    dialogue.ask(*commands)
    dialogue.to_send()
    return dialogue


# What a reply came to: ok, the status text, the whole body (None without one).
Told = tuple[bool, bytes, bytes | None]


def told(commands: Iterable[Command], arriving: Iterable[bytes]) -> list[Told]:
    """Return the replies that are whole; ProtocolError as the dialogue raises it."""
    return list(_told(commands, arriving))


def _told(commands: Iterable[Command], arriving: Iterable[bytes]) -> Iterator[Told]:
    dialogue = asked(*commands)
    status, parts = StatusLine(ok=False, text=b"", last=False), list[bytes]()
    for octets in arriving:
        for _, piece in dialogue.receive(octets):
            if isinstance(piece, StatusLine):
                status, parts = piece, []
            else:
                parts.append(piece.octets)
            if piece.last:
                yield status.ok, status.text, b"".join(parts) if isinstance(piece, Body) else None


def outcome(commands: Iterable[Command], arriving: Iterable[bytes]) -> tuple[list[Told], bool]:
    """Return the replies that are whole, and whether the peer broke the protocol after them."""
    replies = list[Told]()
    try:
        replies.extend(_told(commands, arriving))
    except ProtocolError:
        return replies, True
    return replies, False


def stuff(body: bytes) -> bytes:
    """Return *body* as an honest server sends it: only what follows CRLF is a line start."""
    lines = body.removesuffix(b"\r\n").split(b"\r\n") if body else []
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


REPLIES = [
    ("+OK", NOOP, b"+OK\r\n", (True, b"", None)),
    ("words", NOOP, b"+OK two words\r\n", (True, b"two words", None)),
    ("blanks stay", NOOP, b"+OK  two \r\n", (True, b" two ", None)),
    ("lower case", NOOP, b"+ok hi\r\n", (True, b"hi", None)),
    ("-ERR", NOOP, b"-ERR no\r\n", (False, b"no", None)),
    ("-ERR has no body", RETR, b"-ERR no such message\r\n", (False, b"no such message", None)),
    ("a lone LF in a status", NOOP, b"+OK a\n+OK b\r\n", (True, b"a\n+OK b", None)),
    ("a lone CR in a status", NOOP, b"+OK a\r+OK b\r\n", (True, b"a\r+OK b", None)),
    ("octets in a status", NOOP, b"-ERR \xff\0\r\n", (False, b"\xff\0", None)),
    ("no line at all", RETR, b"+OK\r\n.\r\n", (True, b"", b"")),
    ("an empty line", RETR, b"+OK\r\n\r\n.\r\n", (True, b"", b"\r\n")),
    ("empty lines", RETR, b"+OK\r\n\r\n\r\n\r\n.\r\n", (True, b"", b"\r\n\r\n\r\n")),
    ("a line", RETR, b"+OK 3 octets\r\na\r\n.\r\n", (True, b"3 octets", b"a\r\n")),
    ("a stuffed dot", RETR, b"+OK\r\n..\r\n.\r\n", (True, b"", b".\r\n")),
    ("two dots", RETR, b"+OK\r\n...\r\n.\r\n", (True, b"", b"..\r\n")),
    ("a stuffed first line", RETR, b"+OK\r\n..a\r\n.\r\n", (True, b"", b".a\r\n")),
    ("a stuffed last line", RETR, b"+OK\r\na\r\n..\r\n.\r\n", (True, b"", b"a\r\n.\r\n")),
    ("stuffed lines in a row", RETR, b"+OK\r\n..\r\n..\r\n..\r\n.\r\n", (True, b"", b".\r\n.\r\n.\r\n")),
    ("a dot within a line", RETR, b"+OK\r\na.\r\n.\r\n", (True, b"", b"a.\r\n")),
    ("dots after a lone LF", RETR, b"+OK\r\na\n..b\r\n.\r\n", (True, b"", b"a\n..b\r\n")),
    # Servers that do not stuff: what was not doubled is not halved.
    ("an unstuffed dot", RETR, b"+OK\r\n.a\r\n.\r\n", (True, b"", b".a\r\n")),
    ("CR CR LF dot", RETR, b"+OK\r\na\r\r\n.\r\n", (True, b"", b"a\r\r\n")),
    ("a challenge", CHALLENGE, b"+ PDE4OTY=\r\n", (True, b"PDE4OTY=", None)),
    ("an empty challenge", CHALLENGE, b"+ \r\n", (True, b"", None)),
    ("a challenge without blank", CHALLENGE, b"+\r\n", (True, b"", None)),
    ("+OK for a challenge", CHALLENGE, b"+OK go on\r\n", (True, b"go on", None)),
    ("a challenge refused", CHALLENGE, b"-ERR no\r\n", (False, b"no", None)),
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("command", "octets", "reply"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_a_reply_is_the_same_however_it_arrives(command: Command, octets: bytes, reply: Told, step: int) -> None:
    assert told([command], in_steps(octets, step)) == [reply]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("command", "octets", "reply"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_what_follows_a_reply_belongs_to_the_next_command(
    command: Command, octets: bytes, reply: Told, step: int
) -> None:
    arriving = in_steps(octets + b"+OK next\r\n", step)
    assert told([command, NOOP], arriving) == [reply, (True, b"next", None)]


@pytest.mark.parametrize("extra", [b"+OK\r\n", b"+", b".", b".\r\n", b"\r\n", b"\n", b"\0"])
@pytest.mark.parametrize(("command", "octets"), [row[1:3] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_what_follows_the_last_reply_is_out_of_turn(command: Command, octets: bytes, extra: bytes) -> None:
    replies, broken = outcome([command], [octets + extra])
    assert len(replies) == 1
    assert broken


@pytest.mark.parametrize(("command", "octets"), [row[1:3] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_a_reply_cut_off_is_none(command: Command, octets: bytes) -> None:
    assert [told([command], [octets[:end]]) for end in range(len(octets))] == [[]] * len(octets)


@pytest.mark.parametrize("octets", [b"\r\n", b" +OK\r\n", b"+OKAY\r\n", b"OK\r\n", b"+\r\n", b"+ x\r\n", b"220 hi\r\n"])
@pytest.mark.parametrize("step", STEPS)
def test_a_status_line_that_is_none_breaks_the_session(octets: bytes, step: int) -> None:
    with pytest.raises(ProtocolError, match="a reply that is none"):
        told([NOOP], in_steps(octets, step))


def test_only_a_login_is_challenged() -> None:
    (_, piece), *_ = list(asked(AUTH).receive(b"+ YQ==\r\n"))
    assert piece == StatusLine(ok=True, text=b"YQ==", last=True, challenge=True)
    (_, piece), *_ = list(asked(AUTH).receive(b"+OK\r\n"))
    assert piece == StatusLine(ok=True, text=b"", last=True, challenge=False)


# --- the end of a body ----------------------------------------------------------------------------------------------

FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r.\r\n",
    b"\r\n. \r\n",
    b"\n.\n+OK\n",
    b"\r.\r+OK 7 octets\r",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("end", FALSE_ENDS)
def test_only_crlf_dot_crlf_ends_a_body(end: bytes, step: int) -> None:
    body = b"Subject: x" + end + b"+OK forged\r\n"
    assert told([RETR, RETR_2], in_steps(b"+OK\r\n" + body + b".\r\n-ERR\r\n", step)) == [
        (True, b"", body),
        (False, b"", None),
    ]


LINES = soup(b"\r\n", b"\r\n.", b"\r\n..", b"\r\n.\r", b"\n.\n", b"\r.\r", b".", b"\r", b"\n", b"+OK\r\n")


@settings(deadline=None)
@given(LINES, places)
@example(b".\r\n", [])
@example(b".", [1, 500, 999])
def test_a_body_comes_out_as_it_was_stuffed_in_any_cut(lines: bytes, cuts: list[int]) -> None:
    body = lines + b"\r\n" if lines else b""
    octets = b"+OK\r\n" + stuff(body)
    assert told([RETR], cut_at(octets, cuts)) == [(True, b"", body)]
    assert told([RETR], in_steps(octets, 1)) == [(True, b"", body)]


ANYTHING = soup(
    b"+OK", b"-ERR", b"+OK x\r\n", b"-ERR\r\n", b"\r\n.\r\n", b"\r\n", b"\r", b"\n", b".", b"..", b"+", b" "
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([RETR, NOOP, CHALLENGE]), max_size=4), ANYTHING, places)
def test_any_bytes_are_replies_or_a_peer_error_in_any_cut(
    commands: list[Command], octets: bytes, cuts: list[int]
) -> None:
    assert outcome(commands, cut_at(octets, cuts)) == outcome(commands, [octets] if octets else [])


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([RETR, NOOP, CHALLENGE]))
def test_any_bytes_at_all(octets: bytes, command: Command) -> None:
    assert outcome([command], in_steps(octets, 1)) == outcome([command], [octets] if octets else [])


# --- limits -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(soup(b"\r\n", b"\r\n.", b"\r\n.\r", b"\r", b"x"), places)
def test_no_more_than_four_bytes_of_a_body_are_held_back(octets: bytes, cuts: list[int]) -> None:
    octets = re.sub(rb"(\r\n\.)(?=\r\n)", rb"\1.", b"\r\n" + octets)[2:]  # which then does not end the body
    came, gone = b"", b""
    framer = Pop3Framer()
    framer.feed(b"+OK\r\n")
    framer.piece(RETR)
    for part in cut_at(octets, cuts):
        framer.feed(part)
        came += part
        while (piece := framer.piece(RETR)) is not None:
            assert isinstance(piece, Body)
            gone += piece.octets
        held = (b"\r\n" + came).replace(b"\r\n..", b"\r\n.")[2:][len(gone) :]
        assert held in {b"", b".", b"..", b"\r", b"\r\n", b"\r\n.", b"\r\n.\r", b".\r"}


@pytest.mark.parametrize("octets", [b"\r", b"\n", b".", b"\r\n", b"\r\n.\r", b"x"])
def test_a_long_body_that_drips_is_never_read_twice(octets: bytes) -> None:
    framer = Pop3Framer()
    framer.feed(b"+OK\r\n")
    framer.piece(RETR)
    most = 0
    for part in in_steps(octets * 9_999, 1):
        framer.feed(part)
        framer.piece(RETR)
        most = max(most, len(framer._buffer))
    assert most <= 5


@pytest.mark.parametrize("step", [WHOLE, 1, 3, 1024])
def test_a_long_status_line_is_taken(step: int) -> None:
    text = b"x" * (pop3.MAX_STATUS - len(b"+OK \r\n"))
    assert told([NOOP], in_steps(b"+OK " + text + b"\r\n", step)) == [(True, text, None)]


@pytest.mark.parametrize("step", [WHOLE, 1, 3, 1024])
@pytest.mark.parametrize("end", [b"", b"\r", b"\r\n", b"\n" * 9000])
def test_a_status_line_without_end_is_not_waited_for(step: int, end: bytes) -> None:
    octets = b"+OK " + b"x" * (pop3.MAX_STATUS - 5) + end
    replies, broken = outcome([NOOP], in_steps(octets + b"x", step))
    assert (replies, broken) == ([], True)


def test_what_is_still_to_be_read_of_others_makes_no_status_line_long() -> None:
    octets = b"+OK " + b"x" * 5000 + b"\r\n"
    assert outcome([NOOP] * 3, [octets * 2 + octets[:-1], b"\n"])[0] == [(True, b"x" * 5000, None)] * 3


@pytest.mark.parametrize("step", [WHOLE, 1, 2, 7])
@pytest.mark.parametrize(("body", "broken"), [(b"a\r\n" * 3, False), (b"12345678\r\n", True), (b"\r\n" * 5, True)])
def test_a_body_over_its_limit_breaks_the_session(body: bytes, broken: bool, step: int) -> None:
    arriving = in_steps(b"+OK\r\n" + body + b".\r\n", step)
    assert outcome([pop3.retr(1, 9)], arriving) == ([] if broken else [(True, b"", body)], broken)


def test_a_body_over_its_limit_is_not_waited_for() -> None:
    with pytest.raises(ProtocolError, match="more than 9 octets"):
        told([pop3.retr(1, 9)], [b"+OK\r\n", b"0123456789"])


def test_each_body_has_its_own_limit() -> None:
    limited = [pop3.retr(number, 9) for number in range(3)]
    assert len(told(limited, [b"+OK\r\n1234567\r\n.\r\n" * 3])) == 3


def test_unstuffed_octets_are_what_counts() -> None:
    assert told([pop3.retr(1, 9)], [b"+OK\r\n..\r\n..\r\n..\r\n.\r\n"]) == [(True, b"", b".\r\n" * 3)]


@pytest.mark.parametrize("command", [pop3.UIDL, pop3.LIST, pop3.CAPA, pop3.top(1)])
def test_no_listing_is_endless(command: Command) -> None:
    assert 0 < command.limit <= 64 << 20
    line = b"1 " + b"x" * (command.limit >> 4) + b"\r\n"
    assert outcome([command], [b"+OK\r\n", *[line] * 16]) == ([], True)


def test_the_largest_listing_that_is_expected_fits() -> None:
    assert 100_000 * len(b"100000 \r\n" + b"u" * 200) < pop3.MAX_LISTING


# --- who is answered, and who is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("injected", [b"+OK injected\r\n", b"+OK", b"+", b"\r\n", b"-ERR\r\n", b"\x16\x03\x01"])
def test_nothing_may_be_said_between_stls_and_the_handshake(injected: bytes) -> None:
    dialogue = asked(pop3.STLS, pop3.CAPA)
    pairs = dialogue.receive(b"+OK begin TLS\r\n" + injected)
    assert next(pairs) == (pop3.STLS, StatusLine(ok=True, text=b"begin TLS", last=True))
    with pytest.raises(ProtocolError, match="out of turn"):
        next(pairs)


def test_nothing_goes_out_with_stls() -> None:
    dialogue = asked(NOOP, pop3.STLS, pop3.CAPA)
    list(dialogue.receive(b"+OK\r\n"))
    assert dialogue.to_send() == b"STLS\r\n"
    assert dialogue.to_send() == b""


def test_a_greeting_is_owed_before_anything_is_said() -> None:
    dialogue = asked(pop3.GREETING, pop3.CAPA)
    assert dialogue.owed == 1
    list(dialogue.receive(b"+OK <1@x>\r\n"))
    assert dialogue.to_send() == b"CAPA\r\n"


def test_two_greetings_are_one_too_many() -> None:
    assert outcome([pop3.GREETING], [b"+OK hi\r\n+OK hi\r\n"]) == ([(True, b"hi", None)], True)


def test_the_refused_among_many_do_not_shift_the_others() -> None:
    commands = [pop3.retr(number, 0) for number in range(1, 5)]
    octets = b"+OK\r\na\r\n.\r\n-ERR gone\r\n+OK\r\n.\r\n+OK\r\nd\r\n.\r\n"
    for step in STEPS:
        assert [body for _, _, body in told(commands, in_steps(octets, step))] == [b"a\r\n", None, b"", b"d\r\n"]


def test_a_server_that_answers_twice_is_not_believed() -> None:
    # FTGate said +OK twice to TOP: the second would be the body's first line, or the next command's answer.
    assert outcome([NOOP, RETR], [b"+OK\r\n+OK\r\n+OK\r\nx\r\n.\r\n+OK\r\n"])[1]


def test_a_body_may_look_like_replies() -> None:
    body = b"+OK\r\n-ERR\r\n+OK 3 octets\r\n"
    assert told([RETR], [b"+OK\r\n" + stuff(body)]) == [(True, b"", body)]


# --- what is said -----------------------------------------------------------------------------------------------------


def test_commands_are_what_the_rfc_says() -> None:
    said = [pop3.CAPA, pop3.STLS, pop3.UIDL, pop3.LIST, NOOP, pop3.QUIT, pop3.retr(7, 0), pop3.dele(8), pop3.top(9)]
    assert b"".join(command.line for command in said) == (
        b"CAPA\r\nSTLS\r\nUIDL\r\nLIST\r\nNOOP\r\nQUIT\r\nRETR 7\r\nDELE 8\r\nTOP 9 0\r\n"
    )
    assert [command.multiline for command in said] == [True, False, True, True, False, False, True, False, True]


def test_a_transcript_shows_no_password() -> None:
    command = pop3.secret(b"PASS", b"hunter2", shown="PASS ***")
    assert command.line == b"PASS hunter2\r\n"
    assert command.shown == "PASS ***"


@pytest.mark.parametrize("word", [b"x\r\nDELE 1", b"x\n", b"\0"])
def test_a_password_cannot_smuggle_a_command(word: bytes) -> None:
    with pytest.raises(ValueError, match="control"):
        pop3.secret(b"PASS", word, shown="PASS ***")


def test_a_step_of_a_login_goes_alone_and_a_password_need_not() -> None:
    assert AUTH.alone
    assert not pop3.secret(b"PASS", b"x", shown="PASS ***").alone


# --- what listings say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (b"", {}),
        (b"UIDL\r\nPIPELINING\r\n", {b"UIDL": (), b"PIPELINING": ()}),
        (b"sasl PLAIN login\r\n", {b"SASL": (b"PLAIN", b"login")}),
        (b"EXPIRE 0 USER\r\n\r\n  TOP \r\n", {b"EXPIRE": (b"0", b"USER"), b"TOP": ()}),
        (b"SASL PLAIN\r\nSASL LOGIN\r\n", {b"SASL": (b"PLAIN", b"LOGIN")}),
    ],
)
def test_capabilities_are_read_tolerantly(listing: bytes, words: dict[bytes, tuple[bytes, ...]]) -> None:
    assert pop3.capabilities(listing).words == words


def test_mechanisms_are_known_by_their_upper_case_names() -> None:
    offered = pop3.capabilities(b"SASL plain Cram-MD5\r\n")
    assert b"SASL" in offered
    assert b"STLS" not in offered
    assert offered.mechanisms == {b"PLAIN", b"CRAM-MD5"}
    assert pop3.capabilities(b"").mechanisms == frozenset()


@pytest.mark.parametrize(
    ("line", "uids"),
    [
        (b"1 abc", {1: b"abc"}),
        (b"1", {1: b""}),
        (b"1 ", {1: b""}),
        (b"1   abc", {1: b"abc"}),
        (b"1 abc ", {1: b"abc"}),
        (b"1 abc with blanks in it", {1: b"abc"}),
        (b"1\tabc", {1: b"abc"}),
        (b"1 \t abc\t", {1: b"abc"}),
        (b"1 abc\t120\tseen", {1: b"abc"}),
        (b"1 abc\x0b\x0c", {1: b"abc"}),
        (b"~1 abc", {}),
        (b"1 ~abc~", {1: b"~abc~"}),
        (b"  7 abc", {7: b"abc"}),
        (b"007 abc", {7: b"abc"}),
        (b"+OK 1 abc", {1: b"abc"}),
        (b"1 \xff\0\x1b[31m", {1: b"\xff\0\x1b[31m"}),
        (b"1 a\nb", {1: b"a"}),
        (b"1 " + b"u" * 5000, {1: b"u" * 5000}),
        (b"-1 abc", {}),
        (b"one abc", {}),
        (b"1234567890 abc", {}),
        ("\N{ARABIC-INDIC DIGIT ONE} abc".encode(), {}),
        (b"1\t2 abc", {1: b"2"}),
        (b"", {}),
        (b"-ERR", {}),
    ],
)
def test_uids_may_be_anything(line: bytes, uids: dict[int, bytes]) -> None:
    assert pop3.uids(line + b"\r\n") == uids


@pytest.mark.parametrize(
    ("line", "sizes"),
    [
        (b"1 120", {1: 120}),
        (b"1 120 octets, they say", {1: 120}),
        (b"+OK 1 120", {1: 120}),
        (b" 1  120 ", {1: 120}),
        (b"1", {1: 0}),
        (b"1 -1", {1: 0}),
        (b"1 many", {1: 0}),
        (b"1 " + b"9" * 15, {1: 10**15 - 1}),
        (b"1 " + b"9" * 16, {1: 0}),
        (b"-1 5", {}),
        (b"1234567890 5", {}),
        (b"", {}),
        (b"\0", {}),
    ],
)
def test_sizes_are_hints(line: bytes, sizes: dict[int, int]) -> None:
    assert pop3.sizes(line + b"\r\n") == sizes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"0 0", 0),
        (b"2 320", 2),
        (b" 0", 0),
        (b"0 messages", 0),
        (b"no messages", None),
        (b"-1 0", None),
        (b"1234567890 0", None),
        (b"", None),
    ],
)
def test_stat_counts_or_does_not(text: bytes, count: int | None) -> None:
    assert pop3.count(text) == count


def test_listings_have_many_lines() -> None:
    assert pop3.uids(b"1 a\r\n2 b\r\n\r\nrubbish\r\n3 c\r\n") == {1: b"a", 2: b"b", 3: b"c"}
    assert pop3.sizes(b"1 5\r\n2 6\r\n\r\nrubbish\r\n3 x\r\n") == {1: 5, 2: 6, 3: 0}


def test_no_listing_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pop3.MAX_MESSAGES >= 100_000
    monkeypatch.setattr(pop3, "MAX_MESSAGES", 3)
    listing = b"".join(b"%d %d\r\n" % (number, number) for number in range(1, 9))
    assert pop3.uids(listing) == {1: b"1", 2: b"2", 3: b"3"}
    assert pop3.sizes(listing) == {1: 1, 2: 2, 3: 3}


@settings(deadline=None)
@given(soup(b"1", b" ", b"\r\n", b"+OK ", b"-ERR ", b"9" * 9, b"\t", b"["))
def test_any_listing_is_a_listing(octets: bytes) -> None:
    uids, sizes = pop3.uids(octets), pop3.sizes(octets)
    assert all(0 <= number < 10**9 and b"\r\n" not in uid for number, uid in uids.items())
    assert all(0 <= number < 10**9 and 0 <= size < 10**15 for number, size in sizes.items())
    assert len(uids) <= octets.count(b"\r\n") + 1
    pop3.capabilities(octets)


# --- what texts say ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"[IN-USE] somebody reads it", b"IN-USE"),
        (b"[in-use]", b"IN-USE"),
        (b" [SYS/TEMP] later", b"SYS/TEMP"),
        (b"[AUTH]", b"AUTH"),
        (b"[LOGIN-DELAY", b""),
        (b"[]", b""),
        (b"[" + b"A" * 65 + b"]", b""),
        (b"[AUTH\x1b]", b""),
        (b"see [AUTH]", b""),
        (b"", b""),
    ],
)
def test_response_codes_stand_in_front(text: bytes, code: bytes) -> None:
    assert pop3.response_code(text) == code


@pytest.mark.parametrize(
    ("greeting", "stamp"),
    [
        (b"POP3 ready <1896.697170952@dbc.mtview.ca.us>", b"<1896.697170952@dbc.mtview.ca.us>"),
        (b"<a@b> <c@d>", b"<a@b>"),
        (b"1 < 2 <a@b>", b"<a@b>"),
        (b"no stamp", b""),
        (b"<nobody>", b""),
        (b"<a b@c>", b""),
        (b"<@c>", b""),
        (b"<a@>", b""),
        # RFC 1939 wants a message id; other octets are what collisions of MD5 are built from (CVE-2007-1558).
        (b"<\x80@c>", b""),
        (b"<a@\0>", b""),
    ],
)
def test_an_apop_stamp_is_a_message_id(greeting: bytes, stamp: bytes) -> None:
    assert pop3.timestamp(greeting) == stamp


@settings(deadline=None)
@given(soup(b"<", b"@", b">", b"[", b"]", b"AUTH", b" "))
def test_any_text_is_a_text(text: bytes) -> None:
    assert re.fullmatch(rb"[A-Z0-9/_.-]{0,64}", pop3.response_code(text))
    assert pop3.timestamp(text) in text


def test_no_greeting_takes_long_to_read() -> None:
    # 5 ms each; without the bounds in the pattern, seconds.
    for greeting in (b"<" + b"@" * 8000, (b"<" + b"@" * 600) * 13, b"<@" * 4000):
        assert pop3.timestamp(greeting) == b""
