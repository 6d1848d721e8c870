"""--duds: what nobody would take is listed, shown, and sent again once the cause is mended."""

import mailbox as mbox
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, Result, RunPass, account
from tests.peer import nobody, peer
from tests.scenario.conftest import Mailbox, Receiver
from tests.scenario.mails import mail

NO = b"550 5.1.1 no such user"
BODY = "good day\nFrom here on\n>From there\n.\n..dots\n\ncaf\xe9"
FIELDS = ("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org, c@example.org", "Subject: one")
LETTER = mail(*FIELDS, body=BODY)


class DudsFile:
    """Asks for duds while a receiver of this kind is there."""

    def __init__(self, conf: Conf, run_pass: RunPass) -> None:
        self.conf = conf
        self.run_pass = run_pass
        self.smtp = SmtpServer()

    def __call__(self, *words: str, no: dict[bytes, bytes] | None = None, **settings: object) -> Result:
        with SmtpServer(no) as self.smtp:
            where = {"pf_smtp_server": f"127.0.0.1:{self.smtp.port}", **settings}
            return self.run_pass(self.conf(account(110), **where), "--duds", *words)


@pytest.fixture
def duds(conf: Conf, run_pass: RunPass) -> DudsFile:
    """Let a pass write two duds, one that b and c refused and one for d; return what asks for them."""
    no = {f"{who}@example.org".encode(): NO for who in "bcd"}
    letters = [LETTER, mail("X-Rcpt-To: d@example.org", "Subject: \x1b[31mtwo")]
    with PopServer({"bob": ("geheim-bob", letters)}) as pop, SmtpServer(no) as smtp:
        assert run_pass(conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")).code == 65
        assert pop.left("bob") == []
    return DudsFile(conf, run_pass)


def test_they_are_listed_with_number_account_recipients_and_reasons(duds: DudsFile) -> None:
    code, out, err = duds("list")
    assert (code, err) == (0, "")
    first, who, why, other, second, *_ = out.splitlines()
    assert first.startswith("1  20")
    assert "bob@127.0.0.1" in first
    assert first.endswith("to b@example.org, c@example.org")
    assert who == "   from <a@far.example>: one"
    assert why == "   <b@example.org>: 550 5.1.1 no such user"
    assert other == "   <c@example.org>: 550 5.1.1 no such user"
    assert second.startswith("2  20")
    assert "\x1b" not in out


def test_one_is_shown_as_it_came(duds: DudsFile) -> None:
    code, out, err = duds("show", "1")
    assert (code, err) == (0, "")
    assert out == LETTER.decode().replace("\r\n", "\n")
    assert "\nSubject: \x1b[31mtwo\n" in duds("show", "2").out


@pytest.mark.usefixtures("duds")
def test_any_mbox_reader_reads_them(work: Path) -> None:
    box = mbox.mbox(work / "duds.dat", create=False)
    first, second = box
    box.close()
    assert (first["Subject"], first["X-POPFetch-Dud-Account"][:13]) == ("one", "bob@127.0.0.1")
    assert first.get_all("X-POPFetch-Dud-For") == ["b@example.org", "c@example.org"]
    assert second["X-POPFetch-Dud-Why"] == "<d@example.org>: 550 5.1.1 no such user"


def test_one_is_sent_again_to_whom_it_was_meant_for_and_leaves_the_file(duds: DudsFile, work: Path) -> None:
    assert duds("resend", "1") == (0, "dud 1 is delivered to 2 of 2\n", "")
    (letter,) = duds.smtp.taken
    assert (letter.sender, letter.recipients) == (b"a@far.example", (b"b@example.org", b"c@example.org"))
    assert letter.content.endswith(LETTER.partition(b"\r\n")[2])
    assert letter.content.startswith(b"Received: from ")
    assert b"Dud" not in letter.content
    left = duds("list").out
    assert left.count("\n") == 3
    assert left.startswith("1  ")
    assert "d@example.org" in left
    assert (work / "duds.dat").read_bytes().count(b"X-POPFetch-Dud-When") == 1


def test_all_are_sent_again(duds: DudsFile, work: Path) -> None:
    code, out, err = duds("resend", "all")
    assert (code, len(out.splitlines()), err) == (0, 2, "")
    assert len(duds.smtp.taken) == 2
    assert (work / "duds.dat").read_bytes() == b""
    assert duds("list") == (0, "", "")
    assert duds("resend", "all") == (0, "", "")


def test_one_that_some_still_refuse_stays_for_those(duds: DudsFile) -> None:
    code, out, err = duds("resend", "1", no={b"c@example.org": b"550 still no"})
    assert (code, out) == (65, "dud 1 is delivered to 1 of 2\n")
    assert err == "popfetch: dud 1 stays: <c@example.org>: 550 still no\n"
    assert duds.smtp.taken[0].recipients == (b"b@example.org",)
    listed = duds("list").out
    assert "to c@example.org\n   from <a@far.example>: one\n" in listed
    assert "b@example.org," not in listed
    assert duds("resend", "all").code == 0
    assert [(letter.recipients, b"caf\xc3\xa9" in letter.content) for letter in duds.smtp.taken] == [
        ((b"c@example.org",), True),
        ((b"d@example.org",), False),
    ]


def test_one_that_is_refused_again_stays_as_it_is(duds: DudsFile, work: Path) -> None:
    before = (work / "duds.dat").read_bytes()
    result = duds("resend", "2", no={b"d@example.org": b"450 not now"})
    assert result == (65, "", "popfetch: dud 2 stays: <d@example.org>: 450 not now\n")
    assert (work / "duds.dat").read_bytes() == before


def test_what_a_receiver_could_not_save_although_it_says_554_is_sent_again_whole(
    conf: Conf, run_pass: RunPass, receiver: Receiver, mailbox: Mailbox, smtp: SmtpServer
) -> None:
    """By that hMailServer means a full disk: a 5xx may be temporary, so no message is thrown away for it."""
    mailbox.put(LETTER)
    script = """
        S: 220 mx ESMTP
        C* EHLO *
        S: 250 mx
        C: MAIL FROM:<a@far.example>
        S: 250 OK
        C* RCPT *
        S: 250 OK
        C* RCPT *
        S: 250 OK
        C: DATA
        S: 354 OK, send.
        C.
        S: 554 Your message was received but it could not be saved. Please retry later.
        C: QUIT
    """
    assert (receiver(script).code, mailbox.left) == (65, [])
    where = conf(account(mailbox.port), pf_smtp_server=f"127.0.0.1:{smtp.port}")
    assert run_pass(where, "--duds", "resend", "all").code == 0
    (letter,) = smtp.taken
    assert letter.recipients == (b"b@example.org", b"c@example.org")
    assert letter.content.endswith(LETTER.partition(b"\r\n")[2])


def test_while_the_receiver_is_down_nothing_changes(duds: DudsFile, work: Path) -> None:
    before = (work / "duds.dat").read_bytes()
    with nobody() as port:
        code, out, err = duds("resend", "all", pf_smtp_server=f"127.0.0.1:{port}")
    assert (code, out) == (75, "")
    assert "pf_smtp_server" in err
    assert (work / "duds.dat").read_bytes() == before


def test_who_accepted_before_the_receiver_went_down_is_not_asked_again(duds: DudsFile) -> None:
    script = """
        S: 220 mx LMTP
        C* LHLO *
        S: 250 mx
        C: MAIL FROM:<a@far.example>
        S: 250 ok
        C: RCPT TO:<b@example.org>
        S: 250 ok
        C: RCPT TO:<c@example.org>
        S: 250 ok
        C: DATA
        S: 354 go on
        C. [one]
        S: 250 b has it
        S: 421 going down
        -- cut
    """
    with peer(script) as p:
        duds("resend", "1", pf_smtp_server=f"127.0.0.1:{p.port}", pf_smtp_protocol="lmtp")
    assert duds("resend", "all").code == 0
    assert [letter.recipients for letter in duds.smtp.taken] == [(b"c@example.org",), (b"d@example.org",)]


def test_of_a_crowd_those_who_accepted_are_not_asked_again_either(
    conf: Conf, run_pass: RunPass, smtp: SmtpServer
) -> None:
    crowd = [f"u{number}@example.org" for number in range(150)]
    message = mail("X-Rcpt-To: " + ", ".join(crowd))
    no = dict.fromkeys((who.encode() for who in crowd), NO)
    with PopServer({"bob": ("geheim-bob", [message])}) as pop, SmtpServer(no) as refusing:
        assert run_pass(conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{refusing.port}")).code == 65
    rcpts = "".join(f"C: RCPT TO:<{who}>\nS: 250 ok\n" for who in crowd[:100])
    script = f"""
        S: 220 mx
        C* EHLO *
        S: 250 mx
        C: MAIL FROM:<>
        S: 250 ok
        {rcpts}
        C: DATA
        S: 354 go on
        C. [one]
        S: 250 taken
        C: MAIL FROM:<>
        S: 421 going down
        C: QUIT
    """
    with peer(script + "== next\nS: 421 gone down\nC: QUIT\n" * 4) as p:
        path = conf(account(110), pf_smtp_server=f"127.0.0.1:{p.port}")
        assert run_pass(path, "--duds", "resend", "1").code == 75
    path = conf(account(110), pf_smtp_server=f"127.0.0.1:{smtp.port}")
    assert run_pass(path, "--duds", "resend", "1").code == 0
    assert [letter.recipients for letter in smtp.taken] == [tuple(who.encode() for who in crowd[100:])]


def test_one_that_had_no_recipient_is_routed_by_todays_settings(conf: Conf, run_pass: RunPass) -> None:
    with PopServer({"bob": ("geheim-bob", [mail("Subject: for nobody")])}) as pop, SmtpServer() as smtp:
        server = {"pf_smtp_server": f"127.0.0.1:{smtp.port}"}
        assert run_pass(conf(account(pop.port), **server)).code == 65
        code, out, err = run_pass(conf(account(pop.port), **server), "--duds", "resend", "1")
        assert (code, out) == (65, "")
        assert "no recipient" in err
        path = conf(account(pop.port), pf_dflt_address="care@example.org", **server)
        assert run_pass(path, "--duds", "resend", "1").code == 0
    assert smtp.taken[0].recipients == (b"care@example.org",)


def test_a_number_that_is_none_of_them_is_told_of(duds: DudsFile) -> None:
    assert duds("show", "3").code == 64
    assert "there is no dud 3: duds.dat holds 2" in duds("resend", "3").err
    assert duds("show", "0").code == 64


def test_a_dud_does_not_come_back_when_its_server_still_has_it(conf: Conf, run_pass: RunPass) -> None:
    with (
        PopServer({"bob": ("geheim-bob", [LETTER])}) as pop,
        SmtpServer({b"b@example.org": NO, b"c@example.org": NO}) as smtp,
    ):
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_keep=7)
        assert run_pass(path).code == 65
        smtp.refused = {}
        assert run_pass(path, "--duds", "resend", "1").code == 0
        assert run_pass(path) == (0, "", "")
        assert (len(smtp.taken), pop.heard.count("RETR")) == (1, 1)


# --- to whom, by which settings --------------------------------------------------------------------------------------


def test_until_somebody_has_it_todays_settings_say_who_gets_it(conf: Conf, run_pass: RunPass, work: Path) -> None:
    letter = mail("Return-Path: <a@far.example>", "X-Rcpt-To: b@example.org", "X-Original-To: ann@example.org")
    with PopServer({"bob": ("geheim-bob", [letter])}) as pop, SmtpServer({b"b@wrong.example": NO}) as smtp:
        where = {"pf_smtp_server": f"127.0.0.1:{smtp.port}"}
        assert run_pass(conf(account(pop.port), pf_domain="wrong.example", **where)).code == 65
        mended = conf(account(pop.port), pf_header="X-Original-To", pf_mail_from="null", **where)
        assert run_pass(mended, "--duds", "resend", "1") == (0, "dud 1 is delivered to 1 of 1\n", "")
    assert [(one.sender, one.recipients) for one in smtp.taken] == [(b"", (b"ann@example.org",))]
    assert (work / "duds.dat").read_bytes() == b""


def test_where_some_have_it_the_others_get_it_whatever_the_settings_say(
    conf: Conf, run_pass: RunPass, work: Path
) -> None:
    with PopServer({"bob": ("geheim-bob", [LETTER])}) as pop, SmtpServer({b"c@example.org": NO}) as smtp:
        where = {"pf_smtp_server": f"127.0.0.1:{smtp.port}"}
        assert run_pass(conf(account(pop.port), **where)).code == 65
        assert b"X-POPFetch-Dud-Received-By: b@example.org\n" in (work / "duds.dat").read_bytes()
        smtp.refused = {}
        path = conf(account(pop.port, "to=ann@example.org"), **where)
        assert "received by b@example.org\n" in run_pass(path, "--duds", "list").out
        assert run_pass(path, "--duds", "resend", "all").code == 0
    assert [letter.recipients for letter in smtp.taken] == [(b"b@example.org",), (b"c@example.org",)]


def test_it_may_go_to_others(duds: DudsFile, work: Path) -> None:
    result = duds("resend", "1", "--to", "ann@example.org", "chef@b\xfccher.example", "ann@example.org")
    assert result == (0, "dud 1 is delivered to 2 of 2\n", "")
    assert duds.smtp.taken[0].recipients == (b"ann@example.org", b"chef@xn--bcher-kva.example")
    assert (work / "duds.dat").read_bytes().count(b"X-POPFetch-Dud-When") == 1


def test_where_some_of_these_refuse_it_it_stays_for_whom_it_was_meant(duds: DudsFile) -> None:
    words = ("resend", "1", "--to", "ann@example.org", "nobody@example.org")
    code, out, err = duds(*words, no={b"nobody@example.org": NO})
    assert (code, out) == (65, "dud 1 is delivered to 1 of 2\n")
    assert err == "popfetch: dud 1 stays: <nobody@example.org>: 550 5.1.1 no such user\n"
    listed = duds("list").out
    assert "to b@example.org, c@example.org\n" in listed
    assert "   received by ann@example.org\n" in listed
    assert duds(*words).code == 0
    assert [letter.recipients for letter in duds.smtp.taken] == [(b"nobody@example.org",)]


def test_who_has_it_already_is_not_sent_it_again(duds: DudsFile) -> None:
    duds("resend", "1", "--to", "ann@example.org", "x@example.org", no={b"x@example.org": NO})
    code, out, err = duds("resend", "1", "--to", "ANN@example.org")
    assert (code, out, err) == (65, "", "popfetch: dud 1 stays: everybody has it already\n")
    assert duds.smtp.taken == []


@pytest.mark.parametrize("address", ["a b@x", "a@x>\r\nRCPT TO:<b@x", "a%b@x", "@x", "a@"])
def test_an_address_that_cannot_be_one_is_refused_and_nothing_happens(duds: DudsFile, work: Path, address: str) -> None:
    before = (work / "duds.dat").read_bytes()
    result = duds("resend", "all", "--to", address)
    assert (result.code, result.out) == (64, "")
    assert "--to: " in result.err
    assert (work / "duds.dat").read_bytes() == before


def test_one_is_thrown_away(duds: DudsFile) -> None:
    assert duds("drop", "1") == (0, "dud 1 is thrown away\n", "")
    assert duds.smtp.heard == []
    assert "d@example.org" in duds("list").out.splitlines()[0]
    assert duds("drop", "2").code == 64
    assert duds("drop", "1").code == 0
    assert duds("list") == (0, "", "")
