"""SMTP and LMTP as bytes: replies however they arrive, commands that smuggle nothing, dots doubled in any cut."""

from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.errors import ProtocolError
from lib.net.dialogue import Command, Dialogue
from lib.smtp import smtp
from lib.smtp.smtp import Features, Reply, SmtpFramer, Stuffing
from tests.arrivals import STEPS, WHOLE, cut_at, in_steps, places, soup

NOBODY = b""


def asked(*commands: Command, window: int = 99) -> Dialogue[Reply]:
    dialogue: Dialogue[Reply] = Dialogue(SmtpFramer(), window)
    dialogue.ask(*commands)
    dialogue.to_send()
    return dialogue


def outcome(owed: int, arriving: Iterable[bytes]) -> tuple[list[Reply], bool]:
    """Return the replies to *owed* commands, and whether the peer broke the protocol after them."""
    dialogue = asked(*[smtp.RSET] * owed)
    replies = list[Reply]()
    try:
        for octets in arriving:
            for _, reply in dialogue.receive(octets):
                replies.append(reply)
    except ProtocolError:
        return replies, True
    return replies, False


REPLIES = [
    ("a code alone", b"250\r\n", Reply(250, (b"",))),
    ("a code and a blank", b"250 \r\n", Reply(250, (b"",))),
    ("words", b"250 2.1.0 Ok\r\n", Reply(250, (b"2.1.0 Ok",))),
    ("LF alone", b"250 Ok\n", Reply(250, (b"Ok",))),
    ("CR CR LF", b"250 Ok\r\r\n", Reply(250, (b"Ok",))),
    ("only CRs go", b"250 Ok~\r\r\n", Reply(250, (b"Ok~",))),
    ("CR within", b"250 a\rb\r\n", Reply(250, (b"a\rb",))),
    ("octets", b"550 \xff\0\x1b[31m\r\n", Reply(550, (b"\xff\0\x1b[31m",))),
    ("lines", b"250-a\r\n250-b\r\n250 c\r\n", Reply(250, (b"a", b"b", b"c"))),
    ("lines without words", b"250-\r\n250\r\n", Reply(250, (b"", b""))),
    ("mixed line ends", b"250-a\n250-b\r\n250 c\n", Reply(250, (b"a", b"b", b"c"))),
    ("the last code of several counts, as for Postfix", b"250-a\r\n550 b\r\n", Reply(550, (b"a", b"b"))),
    ("354", b"354 go\r\n", Reply(354, (b"go",))),
    ("421", b"421 4.3.2 bye\r\n", Reply(421, (b"4.3.2 bye",))),
    ("599", b"599 ?\r\n", Reply(599, (b"?",))),
]
each_reply = pytest.mark.parametrize(("octets", "reply"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
each_step = pytest.mark.parametrize("step", STEPS)


@each_step
@each_reply
def test_a_reply_is_the_same_however_it_arrives(octets: bytes, reply: Reply, step: int) -> None:
    assert outcome(1, in_steps(octets, step)) == ([reply], False)


@each_step
@each_reply
def test_what_follows_a_reply_belongs_to_the_next_command(octets: bytes, reply: Reply, step: int) -> None:
    arriving = in_steps(octets + b"250 next\r\n", step)
    assert outcome(2, arriving) == ([reply, Reply(250, (b"next",))], False)


@pytest.mark.parametrize("extra", [b"250 Ok\r\n", b"2", b"\r", b"\n", b"\0"])
@each_reply
def test_what_follows_the_last_reply_is_out_of_turn(octets: bytes, reply: Reply, extra: bytes) -> None:
    assert outcome(1, [octets + extra]) == ([reply], True)


@each_reply
def test_a_reply_cut_off_is_none(octets: bytes, reply: Reply) -> None:
    assert [outcome(1, [octets[:end]]) for end in range(len(octets))] == [([], False)] * len(octets)
    assert outcome(1, [octets])[0] == [reply]


@each_step
@pytest.mark.parametrize(
    "octets",
    [
        b"\n",
        b"\r\n",
        b"25\r\n",
        b"2500\r\n",
        b"250_\r\n",
        b"250\tOk\r\n",
        b" 250 Ok\r\n",
        b"+OK\r\n",
        b"150 no such class\r\n",
        b"650 no such class\r\n",
        b"2x0 Ok\r\n",
        b"\xb250 Ok\r\n",
        b"250-a\r\nb\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_a_line_that_is_no_reply_breaks_the_session(octets: bytes, step: int) -> None:
    assert outcome(1, in_steps(octets, step)) == ([], True)


def test_a_reply_is_shown_as_one_line() -> None:
    assert Reply(250, (b"a", b"b c", b"")).text == b"250 a b c "


ANYTHING = soup(b"250", b"250-", b"250 Ok", b"\r\n", b"\n", b"\r", b"354 go\r\n", b"550-no\r\n", b" ", b"x" * 9000)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 4), ANYTHING, places)
def test_any_bytes_are_replies_or_a_peer_error_in_any_cut(owed: int, octets: bytes, cuts: list[int]) -> None:
    assert outcome(owed, cut_at(octets, cuts)) == outcome(owed, [octets])


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_at_all(octets: bytes) -> None:
    assert outcome(3, in_steps(octets, 1)) == outcome(3, [octets])


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [WHOLE, 1, 100])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\r\n"])
def test_a_long_line_is_taken(step: int, end: bytes) -> None:
    text = b"x" * (smtp.MAX_LINE - len(b"250 " + end) + 1)
    assert outcome(1, in_steps(b"250 " + text + end, step)) == ([Reply(250, (text,))], False)


@pytest.mark.parametrize("step", [WHOLE, 1, 100])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r\r\r\n", b"\r" * 9000 + b"\n"])
def test_a_line_that_is_too_long_is_none_however_it_ends_and_arrives(step: int, end: bytes) -> None:
    octets = b"250 " + b"x" * (smtp.MAX_LINE - len(b"250 " + end[:4]) + 2) + end
    assert outcome(1, in_steps(octets, step)) == ([], True)


@pytest.mark.parametrize("step", [WHOLE, 999])
@pytest.mark.parametrize("line", [b"250-\n", b"250-" + b"x" * 996 + b"\r\n"])
def test_no_reply_is_endless(line: bytes, step: int) -> None:
    octets = line * (smtp.MAX_REPLY // (len(line) - len(b"\n")) + 2)
    assert outcome(1, in_steps(octets, step)) == ([], True)


def test_each_reply_has_its_own_limit() -> None:
    reply = b"250-" + b"x" * 8000 + b"\r\n250 Ok\r\n"
    replies, broken = outcome(9, [reply * 9])
    assert len(replies) == 9
    assert not broken


@pytest.mark.parametrize("step", [WHOLE, 1, 1000])
def test_a_long_reply_is_taken(step: int) -> None:
    lines = [b"250-" + b"x" * 4092] * 7 + [b"250 " + b"x" * 4092]
    assert sum(map(len, lines)) == smtp.MAX_REPLY
    replies, broken = outcome(2, in_steps(b"".join(line + b"\n" for line in lines) * 2, step))
    assert [len(reply.lines) for reply in replies] == [8, 8]
    assert not broken


def test_what_is_still_to_be_read_of_others_makes_no_line_long() -> None:
    octets = b"250 " + b"x" * 5000 + b"\r\n"
    assert outcome(3, [octets * 2 + octets[:-1], b"\n"]) == ([Reply(250, (b"x" * 5000,))] * 3, False)


@pytest.mark.parametrize("step", [WHOLE, 1000])
def test_the_last_line_counts_as_well(step: int) -> None:
    octets = (b"250-" + b"x" * 8000 + b"\r\n") * 4 + b"250 " + b"x" * 900 + b"\r\n"
    assert outcome(1, in_steps(octets, step)) == ([], True)


# --- who is answered, and who is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("injected", [b"250 injected\r\n", b"250-a", b"\r\n", b"\x16\x03\x01"])
def test_nothing_may_be_said_between_starttls_and_the_handshake(injected: bytes) -> None:
    dialogue = asked(smtp.STARTTLS, smtp.hello(b"EHLO", b"us"))
    pairs = dialogue.receive(b"220 go\r\n" + injected)
    assert next(pairs) == (smtp.STARTTLS, Reply(220, (b"go",)))
    with pytest.raises(ProtocolError, match="out of turn"):
        next(pairs)


@pytest.mark.parametrize(
    "command", [smtp.GREETING, smtp.STARTTLS, smtp.hello(b"EHLO", b"us"), smtp.secret(b"AQ==", shown="***")]
)
def test_nothing_goes_out_with_what_decides_what_may(command: Command) -> None:
    dialogue = asked(command, smtp.RSET)
    assert dialogue.owed == 1


@pytest.mark.parametrize("window", [1, 512])
@pytest.mark.parametrize("step", STEPS)
def test_every_recipient_of_lmtp_gets_a_verdict(window: int, step: int) -> None:
    dialogue = asked(smtp.content(b"x\r\n"), smtp.FURTHER_VERDICT, smtp.FURTHER_VERDICT, smtp.RSET, window=window)
    octets = b"250 a\r\n450 b\r\n550-c\r\n550 c\r\n"
    codes = [reply.code for part in in_steps(octets, step) for _, reply in dialogue.receive(octets=part)]
    assert codes == [250, 450, 550]
    assert dialogue.to_send() == (b"RSET\r\n" if window == 1 else b"")


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "line", "shown"),
    [
        (smtp.STARTTLS, b"STARTTLS\r\n", None),
        (smtp.DATA, b"DATA\r\n", None),
        (smtp.RSET, b"RSET\r\n", None),
        (smtp.QUIT, b"QUIT\r\n", None),
        (smtp.hello(b"EHLO", b"us.example"), b"EHLO us.example\r\n", "EHLO us.example"),
        (smtp.hello(b"LHLO", b"us"), b"LHLO us\r\n", "LHLO us"),
        (smtp.mail(NOBODY, ()), b"MAIL FROM:<>\r\n", "MAIL FROM:<>"),
        (smtp.mail(b"a@b", (b"SIZE=3", b"BODY=8BITMIME")), b"MAIL FROM:<a@b> SIZE=3 BODY=8BITMIME\r\n", None),
        (smtp.mail("ü@b".encode(), ()), b"MAIL FROM:<\xc3\xbc@b>\r\n", "MAIL FROM:<ü@b>"),
        (smtp.mail(b"\xff@b", ()), b"MAIL FROM:<\xff@b>\r\n", r"MAIL FROM:<\xff@b>"),
        (smtp.rcpt(b"a b@c"), b"RCPT TO:<a b@c>\r\n", "RCPT TO:<a b@c>"),
        (smtp.rcpt(b"\xff@c"), b"RCPT TO:<\xff@c>\r\n", r"RCPT TO:<\xff@c>"),
        (smtp.etrn(b"example.org"), b"ETRN example.org\r\n", "ETRN example.org"),
        (smtp.content(b"the end\r\n"), b"the end\r\n.\r\n", "(content)."),
        (smtp.content(b""), b".\r\n", "(content)."),
        (smtp.secret(b"AUTH PLAIN", b"AHQAcA==", shown="AUTH PLAIN ***"), b"AUTH PLAIN AHQAcA==\r\n", "AUTH PLAIN ***"),
        (smtp.LONE_DOT, b".\r\n", "(no content)."),
    ],
)
def test_commands_are_what_the_rfcs_say(command: Command, line: bytes, shown: str | None) -> None:
    assert command.line == line
    assert command.told == (shown or line.decode().rstrip())


@pytest.mark.parametrize("control", [b"\r\n", b"\n", b"\r", b"\0", b"\t"])
def test_no_address_or_name_smuggles_a_command(control: bytes) -> None:
    word = b"a@b>" + control + b"DATA"
    for act in (smtp.rcpt, smtp.etrn, lambda w: smtp.mail(w, ()), lambda w: smtp.hello(b"EHLO", w)):
        with pytest.raises(ValueError, match="control"):
            act(word)


# --- what EHLO offers -------------------------------------------------------------------------------------------------


def offered(*lines: bytes) -> Features:
    return smtp.features(Reply(250, (b"host SIZE 99 PIPELINING", *lines)))


def test_what_stands_in_the_greeting_line_is_not_offered() -> None:
    assert offered().words == {}


def test_extensions_are_known_by_their_upper_case_names() -> None:
    assert b"PIPELINING" in offered(b"pipelining")
    assert b"PIPELINING" not in offered(b"X-PIPELINING")
    assert b"8BITMIME" in offered(b"", b"  ", b"8BITMIME ")


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"SIZE 1000", 1000),
        (b"size 1000", 1000),
        (b"SIZE", 0),
        (b"SIZE 0", 0),
        (b"SIZE many", 0),
        (b"SIZE -1", 0),
        (b"SIZE \xb2", 0),
        (b"SIZE " + b"9" * 18, 10**18 - 1),
        (b"SIZE " + b"9" * 19, 0),
        (b"HELP", 0),
    ],
)
def test_a_size_that_is_none_is_no_limit(line: bytes, size: int) -> None:
    assert offered(line).size == size


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        ([b"AUTH PLAIN login"], {b"PLAIN", b"LOGIN"}),
        ([b"AUTH=PLAIN LOGIN"], {b"PLAIN", b"LOGIN"}),
        ([b"AUTH PLAIN", b"AUTH=LOGIN"], {b"PLAIN", b"LOGIN"}),
        ([b"auth=plain"], {b"PLAIN"}),
        ([b"AUTH"], set()),
        ([b"HELP"], set()),
    ],
)
def test_mechanisms_stand_behind_auth_old_or_new(lines: list[bytes], mechanisms: set[bytes]) -> None:
    assert offered(*lines).mechanisms == mechanisms


@settings(deadline=None)
@given(st.lists(soup(b"SIZE", b"AUTH=", b"AUTH", b" ", b"1", b"="), max_size=5))
def test_any_words_are_an_offer(lines: list[bytes]) -> None:
    found = offered(*lines)
    assert 0 <= found.size < 10**18
    assert all(word == word.upper() for word in found.mechanisms)


EVERYTHING = offered(b"SIZE", b"8BITMIME", b"SMTPUTF8")


@pytest.mark.parametrize(
    ("features", "eightbit", "utf8", "said"),
    [
        (EVERYTHING, False, False, [b"SIZE=7"]),
        (EVERYTHING, True, False, [b"SIZE=7", b"BODY=8BITMIME"]),
        (EVERYTHING, False, True, [b"SIZE=7", b"SMTPUTF8"]),
        (EVERYTHING, True, True, [b"SIZE=7", b"BODY=8BITMIME", b"SMTPUTF8"]),
        (offered(b"8BITMIME"), True, True, [b"BODY=8BITMIME"]),
        (offered(), True, True, []),
    ],
)
def test_mail_says_what_is_offered_and_needed(
    features: Features, eightbit: bool, utf8: bool, said: list[bytes]
) -> None:
    assert list(smtp.parameters(features, size=7, eightbit=eightbit, utf8=utf8)) == said


# --- dots -------------------------------------------------------------------------------------------------------------


def stuffed(parts: Iterable[bytes]) -> bytes:
    stuffing = Stuffing()
    return b"".join(stuffing.feed(part) for part in parts)


@each_step
@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"", b""),
        (b".", b".."),
        (b"..", b"..."),
        (b".\r\n", b"..\r\n"),
        (b".\r\n.\r\n.", b"..\r\n..\r\n.."),
        (b"a\r\n.b\r\n", b"a\r\n..b\r\n"),
        (b"a.\r\n", b"a.\r\n"),
        (b"a\n.b", b"a\n.b"),
        (b"a\r.b", b"a\r.b"),
        (b"\r\n\r\n.", b"\r\n\r\n.."),
        (b"\r\r\n.\r", b"\r\r\n..\r"),
    ],
)
def test_dots_at_line_starts_are_doubled(content: bytes, sent: bytes, step: int) -> None:
    assert stuffed(in_steps(content, step)) == sent


CONTENT = soup(b"\r\n.", b"\r\n..", b".", b"\r", b"\n", b"\r\n", b"x")


@settings(deadline=None, max_examples=300)
@given(CONTENT, places)
@example(b".", [])
def test_stuffing_cut_anywhere_is_stuffing_the_whole(content: bytes, cuts: list[int]) -> None:
    whole = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    assert stuffed(cut_at(content, cuts)) == whole
    assert stuffed([b"", *in_steps(content, 1), b""]) == whole


@settings(deadline=None)
@given(CONTENT)
def test_no_content_ends_itself(content: bytes) -> None:
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed([content + b"\r\n"])
