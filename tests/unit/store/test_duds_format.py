import email
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.store import duds_format
from lib.store.duds_format import DudHeader, Quoter, Unquoter

NOON = datetime(2026, 11, 22, 12, 39, tzinfo=UTC)
DUD = DudHeader(NOON, "bob@example.org", b"0001a2b3", b"alice@example.net", (b"carol@example.org",), (b"550 no",))

lines = st.lists(
    st.one_of(
        st.sampled_from(
            [b"", b"From ", b"From x", b">From ", b">>From you", b">", b"Fro", b"From", b" From ", b">" * 9]
        ),
        st.binary(max_size=12).map(lambda line: line.replace(b"\r", b"").replace(b"\n", b"")),
    ),
    max_size=12,
)
canonical = lines.map(lambda found: b"".join(line + b"\r\n" for line in found))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


def through(codec: Quoter | Unquoter, pieces: list[bytes]) -> bytes:
    return b"".join([*map(codec.feed, pieces), codec.finish()])


@settings(deadline=None)
@given(canonical, st.lists(st.integers(0, 7), max_size=40), st.lists(st.integers(0, 7), max_size=40))
def test_what_goes_in_comes_out_however_it_is_cut(data: bytes, these: list[int], those: list[int]) -> None:
    quoted = through(Quoter(), cut(data, these))
    assert quoted == through(Quoter(), [data])
    assert b"\r\n" not in quoted
    assert not quoted.startswith(b"From ")
    assert b"\nFrom " not in quoted
    assert through(Unquoter(), cut(quoted, those)) == data


@settings(deadline=None)
@given(canonical)
def test_byte_by_byte_is_as_good_as_whole(data: bytes) -> None:
    quoted = through(Quoter(), cut(data, [1] * len(data)))
    assert quoted == through(Quoter(), [data])
    assert through(Unquoter(), cut(quoted, [1] * len(quoted))) == data


def test_a_lone_cr_comes_through() -> None:
    data = b"a\rb\r\r\nFrom \r\r\n"
    assert through(Unquoter(), [through(Quoter(), [data])]) == data


def test_a_last_line_that_was_not_ended_is_ended() -> None:
    assert through(Quoter(), [b"a\r\nb"]) == b"a\nb\n"
    assert through(Quoter(), [b"a\r"]) == b"a\r\n"
    assert through(Quoter(), [b"From"]) == b"From\n"


def test_a_message_of_nothing_but_quotes_is_not_collected() -> None:
    quoter, out = Quoter(), 0
    for _ in range(1000):
        out += len(quoter.feed(b">" * 1000))
    assert out == 1_000_000
    assert quoter.feed(b"From ") == b">From "


@given(st.binary())
def test_anything_is_escaped_to_one_printable_line_and_back(octets: bytes) -> None:
    text = duds_format.escape(octets)
    assert text.decode("ascii").isprintable()
    assert text == text.strip()
    assert duds_format.unescape(text) == octets


def finished(dud: DudHeader, message: bytes) -> bytes:
    opening, at = duds_format.opening(dud, message[: duds_format.FIRST_LINE])
    quoted = through(Quoter(), [message])
    size = duds_format.size(len(quoted))
    assert opening[at : at + len(size)] == duds_format.UNFINISHED
    return opening[:at] + size + opening[at + len(size) :] + quoted


@settings(deadline=None)
@given(
    st.builds(
        DudHeader,
        st.just(NOON),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.binary(max_size=300),
        st.binary(max_size=300),
        st.lists(st.binary(max_size=300)).map(tuple),
        st.lists(st.binary(max_size=300)).map(tuple),
        st.lists(st.binary(max_size=300)).map(tuple),
        st.from_regex(r"([0-9a-f-]{1,80})?", fullmatch=True),
    ),
    canonical,
)
def test_what_is_told_of_a_dud_can_be_read_back(dud: DudHeader, message: bytes) -> None:
    rows = finished(dud, message).split(b"\n")
    told = duds_format.read(row + b"\n" for row in rows)
    assert told.dud == dud
    begin, behind = told.ours
    text = b"\n".join(rows)
    assert text[:begin].endswith(b"\n")
    assert text[begin:behind] == duds_format.lines(dud)
    assert text[behind:].startswith(b"X-POPFetch-Dud-Size: ")
    quoted = through(Quoter(), [message])
    assert told.size == len(quoted)


def test_the_message_begins_where_ours_ends() -> None:
    for message in (
        b"",
        b"\r\n",
        b"A: b\r\n\r\nx\r\n",
        b"no header\r\n",
        b"X-POPFetch-Dud-Size: 5\r\n\r\n",
        b"From x\r\n",
    ):
        data = finished(DUD, message)
        told = duds_format.read(line + b"\n" for line in data.split(b"\n"))
        assert through(Unquoter(), [data[told.length :]]) == message


def test_other_programs_read_it_as_a_message() -> None:
    data = finished(DUD, b"Subject: hi\r\n\r\nbody\r\n").partition(b"\n")[2]
    message = email.message_from_bytes(data)
    assert message["X-POPFetch-Dud-For"] == "carol@example.org"
    assert message["Subject"] == "hi"
    assert message.get_payload() == "body\n"


@pytest.mark.parametrize("message", [b"no header here\r\n", b" folded\r\n", b": no name\r\n", b"\xff: x\r\n"])
def test_a_message_without_header_gets_a_blank_line_so_that_ours_stay_a_header(message: bytes) -> None:
    parsed = email.message_from_bytes(finished(DUD, message).partition(b"\n")[2])
    assert [name for name in parsed if not name.startswith("X-POPFetch-Dud-")] == []
    payload = parsed.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.replace(b"\n", b"\r\n") == message


def test_hostile_words_make_no_line_of_ours() -> None:
    hostile = DUD._replace(reasons=(b"550 no\nX-POPFetch-Dud-Size: 1\n\nFrom x",), uid=b"\x1b[2J\nFrom y")
    data = finished(hostile, b"A: b\r\n\r\n")
    assert data.count(b"\nFrom ") == 0
    assert data.count(b"\nX-POPFetch-Dud-Size: ") == 1
    assert b"\x1b" not in data


def test_an_unfinished_dud_is_known_as_such() -> None:
    opening, _ = duds_format.opening(DUD, b"A: b\r\n")
    rows = [line + b"\n" for line in opening.split(b"\n")]
    assert duds_format.read(rows).size is None
    assert duds_format.read(rows[:3]).size is None
    for cut in range(len(opening)):
        assert duds_format.read(line + b"\n" for line in opening[:cut].split(b"\n")).size is None
        assert duds_format.read(line + b"\n" for line in (opening[:cut] + b"\0\0").split(b"\n")).size is None


@given(st.lists(st.binary(max_size=60)))
def test_lines_of_anybody_are_read_without_complaint(rows: list[bytes]) -> None:
    told = duds_format.read([b"From x\n", *(duds_format.OURS + row + b"\n" for row in rows), b"Subject: x\n"])
    assert told.length >= 0


def test_a_message_that_somebody_else_put_there_is_all_message() -> None:
    told = duds_format.read([b"From x\n", b"Subject: x\n", b"\n", b"body\n"])
    assert (told.size, told.length, told.dud.account) == (0, 7, "")


def test_a_when_that_somebody_mangled_is_the_epoch() -> None:
    assert duds_format.read([b"From x\n", b"X-POPFetch-Dud-When: yesterday\n"]).dud.when == duds_format.NEVER
    assert duds_format.read([b"From x\n", b"X-POPFetch-Dud-When: 2026-11-22T12:39:00\n"]).dud.when == NOON


@pytest.mark.parametrize("size", [b"9" * 19, b"9" * 5000, b"0" * 5000, b"-1", b"1_0", b""])
def test_a_size_that_somebody_mangled_is_none(size: bytes) -> None:
    assert duds_format.read([b"From MAILER-DAEMON x\n", b"X-POPFetch-Dud-Size: %b\n" % size]).size is None


def test_the_subject_is_unfolded_and_looked_for_in_the_header_only() -> None:
    assert duds_format.subject([b"A: b\n", b" c\n", b"sUBJECT: one\n", b"\ttwo\n", b"To: x\n"]) == b"one two"
    assert duds_format.subject([b"A: b\n", b"\n", b"Subject: body\n"]) == b""
    assert duds_format.subject([b"no header\n", b"Subject: body\n"]) == b""
    assert duds_format.subject([]) == b""


def test_of_an_endless_subject_the_beginning_is_told() -> None:
    lines = [b"Subject: x\n", *[b" " + b"\xff" * 60_000 + b"\n"] * 1000]
    assert duds_format.subject(lines) == b"x " + b"\xff" * (duds_format.LONGEST - 2)


@pytest.mark.parametrize("name", [b"", b"two words", b"\\xff", b"x" * 81])
def test_an_id_that_is_none_is_no_id(name: bytes) -> None:
    rows = [b"From MAILER-DAEMON x\n", b"X-POPFetch-Dud-Id: " + name + b"\n", b"X-POPFetch-Dud-Size: 0\n"]
    assert duds_format.read(rows).dud.id == ""


def test_lines_of_others_have_their_place_too() -> None:
    told = duds_format.read([b"From a@b\n", b"X-POPFetch-Dud-For: c@d\n", b"Subject: x\n"])
    assert (told.ours, told.size, told.dud.recipients) == ((9, 33), 0, (b"c@d",))
