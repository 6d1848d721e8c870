"""Every reply belongs to exactly one command that was sent, and what nobody asked for is an error."""

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import ProtocolError
from lib.net.dialogue import Command, Dialogue, spoken
from tests.arrivals import STEPS, cut_at, in_steps, places


@dataclass(frozen=True)
class Line:
    """A reply, or with a + in front a part of one."""

    text: bytes

    @property
    def last(self) -> bool:
        return not self.text.startswith(b"+")


class Lines:
    """The smallest framing there is: a line a piece."""

    def __init__(self) -> None:
        self.buffer = b""

    @property
    def empty(self) -> bool:
        return not self.buffer

    def feed(self, octets: bytes) -> None:
        self.buffer += octets

    def piece(self, _: Command) -> Line | None:
        line, end, rest = self.buffer.partition(b"\n")
        if not end:
            return None
        self.buffer = rest
        return Line(line)


def say(word: str) -> Command:
    return Command(word.encode() + b"\n", word)


def alone(word: str) -> Command:
    return say(word)._replace(alone=True)


SILENT = Command(b"", "(silent)")
GREETING = Command(b"", "(greeting)", alone=True)


def dialogue(window: int, *commands: Command) -> Dialogue[Line]:
    one: Dialogue[Line] = Dialogue(Lines(), window)
    one.ask(*commands)
    return one


def heard(one: Dialogue[Line], octets: bytes) -> list[tuple[str, bytes]]:
    return [(command.shown, line.text) for command, line in one.receive(octets)]


def test_what_is_asked_goes_out_once_and_in_order() -> None:
    one = dialogue(9, say("a"), say("b"))
    one.ask(say("c"))
    assert one.to_send() == b"a\nb\nc\n"
    assert one.to_send() == b""


def test_nothing_goes_out_before_it_is_fetched() -> None:
    one = dialogue(9, say("a"))
    assert one.owed == 0
    assert not one.idle


@pytest.mark.parametrize(("window", "first"), [(1, b"a\n"), (2, b"a\nb\n"), (3, b"a\nb\nc\n"), (4, b"a\nb\nc\n")])
def test_no_more_than_the_window_is_owed(window: int, first: bytes) -> None:
    one = dialogue(window, say("a"), say("b"), say("c"))
    assert one.to_send() == first


def test_one_at_a_time_where_nothing_else_is_said() -> None:
    one: Dialogue[Line] = Dialogue(Lines())
    one.ask(say("a"), say("b"))
    assert one.to_send() == b"a\n"


def test_a_reply_makes_room_for_the_next_command() -> None:
    one = dialogue(2, say("a"), say("b"), say("c"), say("d"))
    one.to_send()
    assert heard(one, b"1\n") == [("a", b"1")]
    assert one.to_send() == b"c\n"


def test_a_part_of_a_reply_makes_no_room() -> None:
    one = dialogue(1, say("a"), say("b"))
    one.to_send()
    assert heard(one, b"+1\n") == [("a", b"+1")]
    assert one.to_send() == b""
    assert heard(one, b"2\n") == [("a", b"2")]
    assert one.to_send() == b"b\n"


def light(text: str) -> Command:
    return Command(f"{text}\n".encode(), light=True)


def test_light_commands_take_the_window_from_nobody() -> None:
    one = dialogue(2, say("a"), light("x"), light("y"), say("b"), say("c"))
    assert one.to_send() == b"a\nx\ny\nb\n"
    assert [piece.text for _, piece in one.receive(b"1\n2\n3\n")] == [b"1", b"2", b"3"]
    assert one.to_send() == b"c\n"


def test_five_times_the_window_of_light_commands_is_owed_at_most() -> None:
    one = dialogue(2, *map(light, "abcdefghijkl"))
    assert one.to_send() == b"".join(b"%c\n" % letter for letter in b"abcdefghij")
    list(one.receive(b"1\n"))
    assert one.to_send() == b"k\n"


def test_in_lockstep_nothing_is_light() -> None:
    one = dialogue(1, light("x"), light("y"), say("a"))
    assert one.to_send() == b"x\n"
    list(one.receive(b"1\n"))
    assert one.to_send() == b"y\n"


def test_a_wider_window_holds_from_the_next_sending_on() -> None:
    one = dialogue(1, say("a"), say("b"), say("c"))
    one.to_send()
    one.window = 3
    assert one.to_send() == b"b\nc\n"


def test_a_narrower_window_waits_until_enough_is_answered() -> None:
    one = dialogue(3, say("a"), say("b"), say("c"), say("d"))
    one.to_send()
    one.window = 1
    heard(one, b"1\n2\n")
    assert one.to_send() == b""
    heard(one, b"3\n")
    assert one.to_send() == b"d\n"


def test_a_command_that_goes_alone_is_neither_preceded_nor_followed() -> None:
    one = dialogue(9, say("a"), alone("b"), say("c"))
    assert one.to_send() == b"a\n"
    heard(one, b"1\n")
    assert one.to_send() == b"b\n"
    heard(one, b"2\n")
    assert one.to_send() == b"c\n"


def test_silent_commands_send_nothing_and_are_owed_a_reply() -> None:
    one = dialogue(1, SILENT)
    assert one.to_send() == b""
    assert one.owed == 1
    assert heard(one, b"1\n") == [("(silent)", b"1")]
    assert one.idle


@pytest.mark.parametrize("window", [1, 2, 9])
def test_the_greeting_is_heard_before_anything_is_said(window: int) -> None:
    one = dialogue(window, GREETING, say("a"))
    assert one.to_send() == b""
    assert heard(one, b"hello\n") == [("(greeting)", b"hello")]
    assert one.to_send() == b"a\n"


@pytest.mark.parametrize("window", [1, 2, 9])
def test_further_verdicts_are_owed_at_once_whatever_the_window(window: int) -> None:
    # They may come in one piece with the first, and would be out of turn if they were not owed by then.
    one = dialogue(window, say("."), SILENT, SILENT)
    assert one.to_send() == b".\n"
    assert one.owed == 3
    assert heard(one, b"1\n2\n3\n") == [(".", b"1"), ("(silent)", b"2"), ("(silent)", b"3")]


def test_silent_commands_fill_the_window_for_those_behind_them() -> None:
    one = dialogue(3, say("."), SILENT, SILENT, say("a"))
    assert one.to_send() == b".\n"
    heard(one, b"1\n")
    assert one.to_send() == b"a\n"


def test_nothing_follows_an_alone_command_past_a_silent_one() -> None:
    one = dialogue(9, alone("tls"), SILENT, say("a"))
    assert one.to_send() == b"tls\n"
    assert one.to_send() == b""


def test_a_silent_alone_command_waits_its_turn() -> None:
    one = dialogue(9, say("a"), GREETING)
    one.to_send()
    assert one.owed == 1


def test_what_was_not_sent_can_be_withdrawn() -> None:
    one = dialogue(1, say("a"), say("b"), say("c"))
    one.to_send()
    one.withdraw()
    assert heard(one, b"1\n") == [("a", b"1")]
    assert one.to_send() == b""
    assert one.idle


def test_what_was_sent_stays_owed_when_the_rest_is_withdrawn() -> None:
    one = dialogue(2, say("a"), say("b"), say("c"))
    one.to_send()
    one.withdraw()
    assert heard(one, b"1\n2\n") == [("a", b"1"), ("b", b"2")]


@pytest.mark.parametrize("octets", [b"1\n", b"1", b"\n", b"\0"])
def test_what_comes_when_nothing_is_owed_is_an_error(octets: bytes) -> None:
    with pytest.raises(ProtocolError, match="out of turn"):
        heard(dialogue(9), octets)


@pytest.mark.parametrize("octets", [b"1\n", b"1"])
def test_what_was_asked_but_not_sent_is_not_owed(octets: bytes) -> None:
    with pytest.raises(ProtocolError, match="out of turn"):
        heard(dialogue(9, say("a")), octets)


@pytest.mark.parametrize("extra", [b"2\n", b"2", b"\n"])
def test_the_reply_is_handed_out_before_what_follows_it_is_refused(extra: bytes) -> None:
    one = dialogue(9, say("a"))
    one.to_send()
    pairs = one.receive(b"1\n" + extra)
    assert next(pairs)[1] == Line(b"1")
    with pytest.raises(ProtocolError, match="out of turn"):
        next(pairs)


def test_an_answer_that_comes_before_its_question_is_an_error() -> None:
    # What STLS and STARTTLS injection is: an answer in the clear to what will only be asked after the handshake.
    one = dialogue(9, alone("tls"), say("login"))
    one.to_send()
    pairs = one.receive(b"go\nwelcome\n")
    next(pairs)
    with pytest.raises(ProtocolError):
        next(pairs)


def test_nothing_arriving_is_no_error() -> None:
    assert heard(dialogue(9), b"") == []


@pytest.mark.parametrize("step", STEPS)
def test_replies_do_not_depend_on_how_bytes_arrive(step: int) -> None:
    one = dialogue(9, say("a"), say("b"), say("c"))
    one.to_send()
    pairs = [pair for octets in in_steps(b"1\n+two\nmore\n\n", step) for pair in heard(one, octets)]
    assert pairs == [("a", b"1"), ("b", b"+two"), ("b", b"more"), ("c", b"")]
    assert one.idle


COMMANDS = st.lists(st.sampled_from([SILENT, say("a"), say("b"), alone("c"), GREETING]), max_size=20)


@settings(deadline=None)
@given(COMMANDS, st.integers(1, 5), places)
def test_every_reply_finds_its_command_under_every_window(
    commands: list[Command], window: int, cuts: list[int]
) -> None:
    one = dialogue(window, *commands)
    owed: deque[tuple[Command, int]] = deque()
    coming = deque(enumerate(commands))
    pairs = []
    while not one.idle:
        sent, before = one.to_send(), len(owed)
        while len(owed) < one.owed:
            owed.append(coming.popleft()[::-1])
        assert sent == b"".join(command.line for command, _ in list(owed)[before:])
        assert sum(bool(command.line) for command, _ in owed) <= window
        assert len(owed) == 1 or not any(command.alone for command, _ in owed)
        # The server answers what it has heard: each with its number.
        replies = b"".join(b"%d\n" % number for _, number in owed)
        owed.clear()
        pairs += [pair for octets in cut_at(replies, cuts) for pair in one.receive(octets)]
    assert [(command, int(line.text)) for command, line in pairs] == list(zip(commands, range(99), strict=False))


def test_words_become_a_line() -> None:
    assert spoken(b"MAIL", b"FROM:<a@b>", b"SIZE=3") == b"MAIL FROM:<a@b> SIZE=3\r\n"
    assert spoken(b"") == b"\r\n"
    assert spoken("Grüße".encode()) == b"Gr\xc3\xbc\xc3\x9fe\r\n"


@pytest.mark.parametrize("control", [*range(32), 127])
@pytest.mark.parametrize("where", [b"%c", b"a%c", b"%ca", b"a%cDELE 1"])
def test_no_word_smuggles_a_further_command(control: int, where: bytes) -> None:
    with pytest.raises(ValueError, match="control"):
        spoken(b"USER", where % control)
