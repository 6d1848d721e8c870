"""SMTP smuggling: no message ends itself and goes on as a second one, with an envelope of its own (RFC 5321 4.1.1.4).

Every published variant, before a receiver that ends a message at any of them. What arrives is the one message with the
one recipient it was routed to, however it goes: passed on, as the caretaker's copy, as a dud that is sent again.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from lib.smtp import content
from lib.store import spool, spool_slot
from tests.faults.careless import Careless
from tests.faults.hostile import FALSE_ENDS, Office, Twisted, mended
from tests.passes import Conf, RunPass
from tests.scenario.mails import mail

ENDS = FALSE_ENDS | {
    "CRLF.CRLF": b"\r\n.\r\n",
    "CRLF..CRLF": b"\r\n..\r\n",
    "CRLF.SP": b"\r\n. \r\n",
    "CRLF.NUL.CRLF": b"\r\n.\0.\r\n",
    "LFCR.LFCR": b"\n\r.\n\r",
    "NEL.NEL": b"\xc2\x85.\xc2\x85",
    "FF.FF": b"\x0c.\x0c",
}
SMUGGLED = b"MAIL FROM:<boss@victim.example>%bRCPT TO:<c@victim.example>%bDATA%bSubject: forged%b%bPay at once.%b.%b"
US = (b"a@far.example", (b"b@example.org",))
FIELDS = ("Return-Path: <a@far.example>", "Subject: one")
CARE = {"pf_dflt_address": "care@example.org"}
REFUSED = {b"b@example.org": b"550 5.1.1 no such user"}
KINDS = {
    "text": (),
    "mixed": ('Content-Type: multipart/mixed; boundary="x"',),
    "coded": ("Content-Transfer-Encoding: quoted-printable",),
}
each_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


def smuggler(end: bytes, *fields: str) -> bytes:
    """Return a message that ends itself by *end*, with an envelope and a message behind it."""
    eol = end.partition(b".")[2].replace(b".", b"") or b"\r\n"
    return mail(*FIELDS, *fields, body="Look:").removesuffix(b"\r\n") + end + SMUGGLED % ((eol,) * 7)


def arrived(evil: bytes) -> bytes:
    """Return what may arrive of it, under our Received line: our Return-Path and odd line ends are gone."""
    text = mended(evil if evil.endswith(b"\r\n") else evil + b"\r\n")  # the server ends the last line
    return text.removeprefix(b"Return-Path: <a@far.example>\r\n")


@pytest.fixture
def careless(conf: Conf, run_pass: RunPass) -> Iterator[tuple[Office, Careless]]:
    """Return bob's mailbox before a receiver that ends messages anywhere."""
    receiver = Careless()
    with Twisted({"bob": ("geheim-bob", [])}) as pop, Office(conf, run_pass, pop, receiver) as office:
        yield office, receiver


@each_end
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_a_message_cannot_end_itself_and_begin_another(
    careless: tuple[Office, Careless], end: bytes, protocol: str
) -> None:
    office, receiver = careless
    evil = smuggler(end)
    office.put(evil)
    assert office.pass_(pf_smtp_protocol=protocol)[:2] == (0, "")
    assert receiver.envelopes() == Counter([US])
    assert office.bodies == [arrived(evil)]
    assert receiver.heard[1:4] == ["MAIL", "RCPT", "DATA"]
    assert not set(receiver.heard[4:]) - {"QUIT"}


@pytest.mark.parametrize(
    "end", [b"\r", b"\r\n.", b".", b"\r\n.\r", b"\r\n..", b"\r\n.\0", b"\n", b"\0", b"\r\r", b"\r\n\r\n."]
)
def test_a_message_that_ends_in_half_an_end_is_ended_by_us(careless: tuple[Office, Careless], end: bytes) -> None:
    office, receiver = careless
    evil = mail(*FIELDS).removesuffix(b"\r\n") + end
    office.put(evil, smuggler(b"\n.\n"))
    assert office.pass_()[:2] == (0, "")
    assert receiver.envelopes() == Counter([US, US])
    assert sorted(office.bodies) == sorted([arrived(evil), arrived(smuggler(b"\n.\n"))])


@pytest.mark.parametrize(
    "front", [b".", b".\r\n", b"\n.\n", b"\r\n.\r\n", b"\r.\r", b"\0.\r\n", b"\xef\xbb\xbf.\n", b"From x\n.\n"]
)
def test_a_message_that_begins_with_an_end_is_one_message(careless: tuple[Office, Careless], front: bytes) -> None:
    office, receiver = careless
    office.put(front + SMUGGLED % ((b"\r\n",) * 7))
    assert office.pass_()[:2] == (0, "")
    assert receiver.envelopes() == Counter([(b"", (b"b@example.org",))])


@pytest.mark.parametrize("at", range(9))
def test_no_end_hides_where_pieces_of_a_message_meet(
    careless: tuple[Office, Careless], at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, names in ((spool, ("BUFFER", "SMALL")), (spool_slot, ("PIECE",)), (content, ("PART",))):
        for name in names:
            monkeypatch.setattr(module, name, 9)
    office, receiver = careless
    evil = [
        mail(*FIELDS, body="." * at).removesuffix(b"\r\n") + smuggler(end).partition(b"Look:")[2]
        for end in ENDS.values()
    ]
    office.put(*evil)
    assert office.pass_()[:2] == (0, "")
    assert receiver.envelopes() == Counter([US] * len(ENDS))
    assert sorted(office.bodies) == sorted(map(arrived, evil))


@each_end
def test_no_end_hides_where_large_pieces_meet(careless: tuple[Office, Careless], end: bytes) -> None:
    office, receiver = careless
    evil = bytearray(mail(*FIELDS) + b"x" * (1200 << 10) + b"\r\n")
    start, inside = len(mail(*FIELDS, body="")) - 2, end + SMUGGLED % ((b"\n",) * 7)
    for turn, seam in enumerate(range(32 << 10, 1100 << 10, 32 << 10)):
        at = start + seam - turn % 10
        evil[at : at + len(inside)] = inside
    office.put(bytes(evil))
    assert office.pass_()[:2] == (0, "")
    assert receiver.envelopes() == Counter([US])
    assert office.bodies == [arrived(bytes(evil))]


@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
def test_the_caretakers_copy_cannot_be_ended_either(careless: tuple[Office, Careless], fields: tuple[str, ...]) -> None:
    office, receiver = careless
    receiver.refused = REFUSED
    evil = [smuggler(end, *fields) for end in ENDS.values()]
    office.put(*evil)
    assert office.pass_(**CARE)[:2] == (0, "")
    assert receiver.envelopes() == Counter([(b"", (b"care@example.org",))] * len(ENDS))
    bodies = [mended(one).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for one in evil]
    assert all(any(body in copy for copy in office.bodies) for body in bodies)
    assert all(b"Not received by:" in copy for copy in office.bodies)


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_a_dud_that_is_sent_again_cannot_end_itself(careless: tuple[Office, Careless], protocol: str) -> None:
    office, receiver = careless
    receiver.refused = REFUSED
    evil = [smuggler(end) for end in ENDS.values()]
    office.put(*evil)
    assert office.pass_(pf_max_duds=100, pf_smtp_protocol=protocol).code == 65
    receiver.refused = {}
    assert office.pass_("--duds", "resend", "all", pf_smtp_protocol=protocol).code == 0
    assert receiver.envelopes() == Counter([US] * len(ENDS))
    assert sorted(office.bodies) == sorted(map(arrived, evil))


@each_end
def test_what_other_programs_wrote_into_duds_dat_cannot_end_itself_when_it_is_sent_again(
    careless: tuple[Office, Careless], end: bytes
) -> None:
    office, receiver = careless
    front = b"From alice@far.example Sun Nov 22 12:39:00 2026\nX-POPFetch-Dud-For: b@example.org\n"
    (office.work / "duds.dat").write_bytes(front + smuggler(end).replace(b"\r\n", b"\n") + b"no end")
    (office.work / "duds.dat").chmod(0o600)
    assert office.pass_("--duds", "resend", "1").code == 0
    assert receiver.envelopes() == Counter([(b"a@far.example", (b"b@example.org",))])
    assert receiver.only().content.endswith(b"no end\r\n")
