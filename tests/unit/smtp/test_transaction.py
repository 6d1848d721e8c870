"""One transaction before one receiver: what is said, and what it comes to for every recipient."""

import time
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.delivery.parcel import Answer, Cause, Errand, Parcel
from lib.errors import ReceiverError
from lib.mail.message import scan
from lib.smtp.smtp import Features, Reply
from lib.smtp.transaction import IN_DOUBT, PART, Transaction, content
from tests.arrivals import cut_at, places, soup

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"
ME, YOU, THEM = b"me@x.org", b"you@x.org", b"them@x.org"
UMLAUT = "müller@x.org".encode()

OK = Reply(250, (b"2.0.0 Ok",))
GO_ON = Reply(354, (b"go on",))
NOT_NOW = Reply(451, (b"4.7.1 greylisted",))
NO = Reply(550, (b"5.1.1 no such user",))
BYE = Reply(421, (b"4.3.2 bye",))
TLS_FIRST = Reply(530, (b"5.7.0 STARTTLS first",))
TOO_MANY = Reply(452, (b"4.5.3 too many recipients",))


def errand(
    *recipients: bytes,
    sender: bytes = b"from@y.org",
    message: bytes = MESSAGE,
    eightbit: bool = False,
    clean: bool = True,
) -> Errand:
    parcel = Parcel(
        account="bob@pop.example.org",
        label="bob",
        key="uid:1",
        uid=b"1",
        number=1,
        size=len(message),
        sha="5ha",
        eightbit=eightbit,
        clean=clean,
        body=message,
        head=scan(message),
        opening=b"Received: by us\r\nSubject: hi\r\n",
        sender=sender,
        recipients=recipients,
        owed=recipients,
        since=0.0,
        began=0.0,
    )
    return Errand(parcel, sender, recipients, parcel.opening)


def offer(*words: bytes) -> Features:
    return Features({word.split()[0]: tuple(word.split()[1:]) for word in words})


NOTHING = offer()
UTF8 = offer(b"SMTPUTF8")


def lines(transaction: Transaction) -> list[bytes]:
    return [command.line.rstrip() for command in transaction.commands()]


def heard(
    one: Errand,
    *rcpts: Reply,
    mail: Reply = OK,
    data: Reply = GO_ON,
    dots: tuple[Reply, ...] = (),
    offered: Features = NOTHING,
) -> Transaction:
    """Play a transaction as over a pipelining connection: every command is answered; *dots* are LMTP's if several."""
    transaction = Transaction(one, offered)
    if not transaction.commands():
        return transaction
    transaction.hear_mail(mail)
    for who, reply in zip(transaction.asked, rcpts, strict=True):
        transaction.hear_rcpt(who, reply)
    transaction.hear_data(data)
    if transaction.open:
        everybody = transaction.accepted
        asked = [everybody] if len(dots) == 1 else [[who] for who in everybody]
        for whom, reply in zip(asked, dots, strict=True):
            transaction.hear_verdict(whom, reply)
    return transaction


def said(transaction: Transaction) -> dict[bytes, tuple[str, int]]:
    """Return what became of everybody: the status, and the code of the reply that made it."""
    return {who: (answer.status, int(answer.words[:3])) for who, answer in transaction.result().answers.items()}


# --- what is said -----------------------------------------------------------------------------------------------------


def test_an_envelope_is_mail_every_rcpt_and_data() -> None:
    assert lines(Transaction(errand(ME, YOU), NOTHING)) == [
        b"MAIL FROM:<from@y.org>",
        b"RCPT TO:<me@x.org>",
        b"RCPT TO:<you@x.org>",
        b"DATA",
    ]


def test_the_null_sender_stays_null() -> None:
    assert lines(Transaction(errand(ME, sender=b""), NOTHING))[0] == b"MAIL FROM:<>"


def test_size_is_what_will_be_sent() -> None:
    one = errand(ME)
    sent = b"".join(content(one, [MESSAGE[scan(MESSAGE).end :]]))
    assert lines(Transaction(one, offer(b"SIZE")))[0] == b"MAIL FROM:<from@y.org> SIZE=%d" % len(sent)


def test_a_closing_counts_for_the_size() -> None:
    one = errand(ME)
    assert replace(one, closing=b"12345").size == one.size + 5


@pytest.mark.parametrize(("eightbit", "extra"), [(False, b""), (True, b" BODY=8BITMIME")])
def test_8bitmime_is_asked_for_by_the_bytes(eightbit: bool, extra: bytes) -> None:
    transaction = Transaction(errand(ME, eightbit=eightbit), offer(b"8BITMIME"))
    assert lines(transaction)[0] == b"MAIL FROM:<from@y.org>" + extra


# --- SMTPUTF8 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "asks"),
    [
        (errand(ME), False),
        (errand(ME, eightbit=True), False),
        (errand(ME, UMLAUT), True),
        (errand(ME, sender=UMLAUT), True),
    ],
)
def test_smtputf8_is_asked_for_by_the_addresses_alone(one: Errand, asks: bool) -> None:
    assert lines(Transaction(one, UTF8))[0].endswith(b" SMTPUTF8") is asks


def test_without_smtputf8_an_address_that_needs_it_is_refused_and_the_others_get_it() -> None:
    transaction = heard(errand(ME, UMLAUT, YOU), OK, OK, dots=(OK,))
    assert said(transaction) == {UMLAUT: ("refused", 553), ME: ("accepted", 250), YOU: ("accepted", 250)}


def test_without_smtputf8_a_sender_that_needs_it_is_null() -> None:
    assert lines(Transaction(errand(ME, sender=UMLAUT), NOTHING))[0] == b"MAIL FROM:<>"


def test_where_nobody_can_be_asked_nothing_is_said() -> None:
    transaction = Transaction(errand(UMLAUT), NOTHING)
    assert transaction.commands() == []
    assert said(transaction) == {UMLAUT: ("refused", 553)}
    assert transaction.result().final
    assert transaction.fault == b""


# --- sizes and numbers ------------------------------------------------------------------------------------------------


def test_a_message_larger_than_the_receiver_takes_is_refused_without_sending_it() -> None:
    one = errand(ME, YOU)
    transaction = Transaction(one, offer(b"SIZE %d" % (one.size - 1)))
    assert transaction.commands() == []
    assert said(transaction) == {ME: ("refused", 552), YOU: ("refused", 552)}
    assert transaction.fault == b""


@pytest.mark.parametrize("limit", [b"SIZE", b"SIZE 0", b"SIZE %d" % errand(ME).size, b"SIZE many"])
def test_a_message_that_fits_is_sent(limit: bytes) -> None:
    assert lines(Transaction(errand(ME), offer(limit)))


def many(count: int) -> tuple[bytes, ...]:
    return tuple(b"u%d@x.org" % number for number in range(count))


@pytest.mark.parametrize("count", [100, 101, 250])
def test_a_hundred_recipients_a_transaction(count: int) -> None:
    asked: list[bytes] = []
    errands, transactions = [errand(*many(count))], 0
    while errands:
        one = errands.pop()
        transaction = heard(one, *[OK] * min(len(one.recipients), 100), dots=(OK,))
        asked += transaction.accepted
        assert transaction.result().final is (len(one.recipients) <= 100)
        errands += transaction.further()
        transactions += 1
    assert asked == list(many(count))
    assert transactions == -(-count // 100)


def test_too_large_is_said_to_all_of_a_crowd() -> None:
    crowd = errand(*many(101))
    transaction = Transaction(crowd, offer(b"SIZE 1"))
    (rest,) = transaction.further()
    assert rest.recipients == many(101)[100:]
    assert said(Transaction(rest, offer(b"SIZE 1"))) == {many(101)[100]: ("refused", 552)}


@pytest.mark.parametrize("offered", [NOTHING, UTF8])
def test_a_hundred_thousand_recipients_take_a_moment(offered: Features) -> None:
    errands = [errand(*("ü%d@x.org".encode() % number for number in range(100_000)))]
    began, answered, asked = time.process_time(), 0, 0
    while errands:
        transaction = Transaction(errands.pop(), offered)
        answered += len(transaction.answers)
        asked += len(transaction.asked)
        errands += transaction.further()
    assert (answered, asked) == ((100_000, 0) if offered is NOTHING else (0, 100_000))
    assert time.process_time() - began < 5  # 0.2 s as a rule; looking at everybody a thousand times takes 20 s


# --- the verdicts, row by row -----------------------------------------------------------------------------------------


def test_accepted() -> None:
    transaction = heard(errand(ME, YOU), OK, Reply(251, (b"will forward",)), dots=(OK,))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("accepted", 250)}
    assert transaction.result().final
    assert transaction.fault == b""
    assert not transaction.begun


def test_the_receivers_words_are_kept() -> None:
    answers = heard(errand(ME, YOU), OK, NO, dots=(OK,)).result().answers
    assert answers == {ME: Answer("accepted", b"250 2.0.0 Ok"), YOU: Answer("refused", b"550 5.1.1 no such user")}


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dots"])
@pytest.mark.parametrize("reply", [BYE, TLS_FIRST])
def test_a_receiver_that_closes_or_wants_tls_blames_nobody(phase: str, reply: Reply) -> None:
    script = {"mail": OK, "rcpt": OK, "data": GO_ON, "dots": OK} | {phase: reply}
    with pytest.raises(ReceiverError, match=f"takes no mail now.*{reply.code}"):
        heard(errand(ME), script["rcpt"], mail=script["mail"], data=script["data"], dots=(script["dots"],))


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dots"])
def test_a_reply_that_makes_no_sense_is_the_receivers(phase: str) -> None:
    script = {"mail": OK, "rcpt": OK, "data": GO_ON, "dots": OK}
    script[phase] = OK if phase == "data" else GO_ON
    with pytest.raises(ReceiverError):
        heard(errand(ME), script["rcpt"], mail=script["mail"], data=script["data"], dots=(script["dots"],))


@pytest.mark.parametrize("code", [530, 535, 538])
def test_a_receiver_that_wants_tls_or_a_login_says_where_to_set_it(code: int) -> None:
    with pytest.raises(ReceiverError, match="see pf_smtp_tls and pf_smtp_user"):
        Transaction(errand(ME), NOTHING).hear_mail(Reply(code, ()))


def test_no_setting_helps_against_421() -> None:
    with pytest.raises(ReceiverError) as caught:
        Transaction(errand(ME), NOTHING).hear_mail(BYE)
    assert "see pf_" not in str(caught.value)


def test_the_receivers_words_are_shown_without_controls() -> None:
    with pytest.raises(ReceiverError) as caught:
        Transaction(errand(ME), NOTHING).hear_mail(Reply(421, (b"\x1b[31m\0",)))
    assert str(caught.value).isprintable()


def test_mail_4xx_leaves_the_message_for_a_later_pass() -> None:
    # What a pipelining receiver says to RCPT and DATA then says nothing of anybody.
    transaction = heard(errand(ME, YOU), Reply(503, (b"5.5.1 need MAIL",)), NO, mail=NOT_NOW, data=Reply(503, ()))
    assert said(transaction) == {ME: ("owed", 451), YOU: ("owed", 451)}
    assert transaction.fault == NOT_NOW.words
    assert transaction.result().final
    assert not transaction.begun


def test_after_a_refused_mail_nobody_need_be_asked() -> None:
    transaction = Transaction(errand(ME), NOTHING)
    assert not transaction.hear_mail(NOT_NOW)
    assert Transaction(errand(ME), NOTHING).hear_mail(OK)


def test_mail_5xx_is_tried_once_more_with_the_null_sender() -> None:
    transaction = heard(errand(ME, YOU), NO, NO, mail=NO, data=NO)
    assert not transaction.result().final
    assert transaction.fault == b""
    (again,) = transaction.further()
    assert again == replace(transaction.errand, sender=b"")
    second = heard(again, OK, OK, dots=(OK,))
    assert said(second) == {ME: ("accepted", 250), YOU: ("accepted", 250)}


def test_mail_5xx_for_the_null_sender_is_a_refusal_by_all() -> None:
    transaction = heard(errand(ME, YOU, sender=b""), NO, NO, mail=NO, data=NO)
    assert said(transaction) == {ME: ("refused", 550), YOU: ("refused", 550)}
    assert transaction.further() == []


def test_mail_5xx_for_a_sender_that_became_null_is_a_refusal_by_all() -> None:
    transaction = heard(errand(ME, sender=UMLAUT), NO, mail=NO, data=NO)
    assert said(transaction) == {ME: ("refused", 550)}
    assert transaction.further() == []


def test_the_null_sender_is_tried_for_everybody_of_a_crowd() -> None:
    transaction = heard(errand(*many(150)), *[NO] * 100, mail=NO, data=NO)
    (again,) = transaction.further()
    assert again.recipients == many(150)


def test_rcpt_4xx_owes_this_recipient_and_the_others_get_it_now() -> None:
    transaction = heard(errand(ME, YOU, THEM), OK, NOT_NOW, OK, dots=(OK,))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("owed", 451), THEM: ("accepted", 250)}
    assert transaction.fault == b""
    assert transaction.result().final


def test_rcpt_5xx_refuses_this_recipient_and_the_others_get_it_now() -> None:
    transaction = heard(errand(ME, YOU), NO, OK, dots=(OK,))
    assert said(transaction) == {ME: ("refused", 550), YOU: ("accepted", 250)}


def test_too_many_recipients_are_asked_in_another_transaction() -> None:
    transaction = heard(errand(ME, YOU, THEM), OK, TOO_MANY, TOO_MANY, dots=(OK,))
    assert said(transaction) == {ME: ("accepted", 250)}
    assert not transaction.result().final
    (rest,) = transaction.further()
    assert rest == replace(transaction.errand, recipients=(YOU, THEM))
    assert said(heard(rest, OK, OK, dots=(OK,))) == {YOU: ("accepted", 250), THEM: ("accepted", 250)}


def test_too_many_recipients_when_there_are_none_are_owed() -> None:
    # Else they would be asked again for ever.
    transaction = heard(errand(ME, YOU), TOO_MANY, TOO_MANY, data=NO)
    assert said(transaction) == {ME: ("owed", 452), YOU: ("owed", 452)}
    assert transaction.result().final


@pytest.mark.parametrize("phase", ["mail", "data", "dots"])
def test_a_message_that_is_not_taken_now_is_not_tried_at_once_for_others(phase: str) -> None:
    # Three messages in a row are the receiver's fault; one message to 300 people is one.
    script = {"mail": OK, "data": GO_ON, "dots": OK} | {phase: NOT_NOW}
    one = errand(*many(300))
    transaction = heard(one, *[OK] * 100, mail=script["mail"], data=script["data"], dots=(script["dots"],))
    assert transaction.further() == []
    assert transaction.result().final
    assert said(transaction) == dict.fromkeys(many(300), ("owed", 451))


def test_data_4xx_leaves_the_message_for_a_later_pass() -> None:
    transaction = heard(errand(ME, YOU), OK, NO, data=NOT_NOW)
    assert said(transaction) == {ME: ("owed", 451), YOU: ("refused", 550)}
    assert transaction.fault == NOT_NOW.words
    assert transaction.begun  # and must be reset


def test_data_5xx_is_a_refusal_by_all_who_were_accepted() -> None:
    transaction = heard(errand(ME, YOU), OK, NOT_NOW, data=NO)
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451)}
    assert transaction.fault == b""


def test_the_dot_4xx_leaves_the_message_for_a_later_pass() -> None:
    transaction = heard(errand(ME, YOU), OK, OK, dots=(NOT_NOW,))
    assert said(transaction) == {ME: ("owed", 451), YOU: ("owed", 451)}
    assert transaction.fault == NOT_NOW.words
    assert not transaction.begun


def test_the_dot_5xx_is_a_refusal_by_all_who_were_accepted() -> None:
    transaction = heard(errand(ME, YOU, THEM), OK, NOT_NOW, OK, dots=(NO,))
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451), THEM: ("refused", 550)}
    assert transaction.fault == b""


def test_354_although_nobody_was_accepted_gets_a_lone_dot() -> None:
    transaction = heard(errand(ME, YOU), NO, NOT_NOW, data=GO_ON)
    assert transaction.lone_dot
    assert not transaction.open
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451)}


def test_354_after_a_refused_mail_gets_a_lone_dot_too() -> None:
    transaction = heard(errand(ME), OK, mail=NOT_NOW, data=GO_ON)
    assert transaction.lone_dot
    assert said(transaction) == {ME: ("owed", 451)}


@pytest.mark.parametrize("reply", [NO, NOT_NOW, OK])
def test_without_a_recipient_the_reply_to_data_says_nothing(reply: Reply) -> None:
    transaction = heard(errand(ME), NO, data=reply)
    assert not transaction.lone_dot
    assert said(transaction) == {ME: ("refused", 550)}
    assert transaction.fault == b""


def test_without_a_recipient_421_for_data_is_the_receivers_all_the_same() -> None:
    with pytest.raises(ReceiverError):
        heard(errand(ME), NO, data=BYE)


# --- LMTP -------------------------------------------------------------------------------------------------------------


def test_lmtp_gives_a_verdict_per_recipient() -> None:
    transaction = heard(errand(ME, YOU, THEM), OK, OK, OK, dots=(OK, NOT_NOW, NO))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("owed", 451), THEM: ("refused", 550)}
    assert transaction.fault == b""


def test_lmtp_verdicts_are_for_those_who_were_accepted() -> None:
    transaction = heard(errand(ME, YOU, THEM), NO, OK, OK, dots=(OK, NOT_NOW))
    assert said(transaction) == {ME: ("refused", 550), YOU: ("accepted", 250), THEM: ("owed", 451)}


def test_lmtp_that_takes_it_for_nobody_now_is_a_fault() -> None:
    transaction = heard(errand(ME, YOU), OK, OK, dots=(NO, NOT_NOW))
    assert transaction.fault == NOT_NOW.words


@pytest.mark.parametrize("reply", [BYE, TLS_FIRST, GO_ON])
def test_lmtp_that_closes_after_somebody_accepted_does_not_make_us_forget_that(reply: Reply) -> None:
    # Else he would get it twice.
    transaction = heard(errand(ME, YOU), OK, OK, dots=(OK, reply))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("owed", reply.code)}
    assert transaction.result().final
    assert transaction.fault == b""


def test_lmtp_that_closes_before_anybody_accepted_is_the_receivers() -> None:
    with pytest.raises(ReceiverError):
        heard(errand(ME, YOU), OK, OK, dots=(NO, BYE))


# --- connections that break -------------------------------------------------------------------------------------------


def dotted(*recipients: bytes) -> Transaction:
    """Return a transaction whose final dot went out."""
    transaction = Transaction(errand(*recipients), NOTHING)
    transaction.hear_mail(OK)
    for who in transaction.asked:
        transaction.hear_rcpt(who, OK)
    transaction.hear_data(GO_ON)
    return transaction


def test_a_connection_lost_after_the_dot_leaves_it_for_a_later_pass() -> None:
    transaction = dotted(ME, YOU)
    transaction.in_doubt()
    assert transaction.result().answers == dict.fromkeys([ME, YOU], Answer("owed", IN_DOUBT, Cause.DOUBT))
    assert transaction.fault == IN_DOUBT
    assert transaction.result().final


def test_what_was_said_before_it_broke_stays_said() -> None:
    transaction = dotted(ME, YOU, THEM)
    transaction.hear_verdict([ME], OK)
    transaction.hear_verdict([YOU], NO)
    transaction.in_doubt()
    assert transaction.result().answers == {
        ME: Answer("accepted", OK.words),
        YOU: Answer("refused", NO.words, Cause.CONTENT),
        THEM: Answer("owed", IN_DOUBT, Cause.DOUBT),
    }
    assert transaction.fault == b""


@pytest.mark.parametrize(
    ("reply", "status", "cause", "fault"),
    [(NO, "refused", Cause.CONTENT, b""), (NOT_NOW, "owed", Cause.MESSAGE, NOT_NOW.words)],
)
def test_a_refusal_in_the_middle_of_the_content_is_a_verdict(
    reply: Reply, status: str, cause: Cause, fault: bytes
) -> None:
    transaction = dotted(ME, YOU)
    assert transaction.hear_last_words(reply)
    transaction.in_doubt()  # nobody is: the refusal is no fault of the receiver
    assert transaction.result().answers == {who: Answer(status, reply.words, cause) for who in (ME, YOU)}
    assert transaction.fault == fault


def test_a_connection_lost_before_the_dot_owes_it_to_who_was_not_refused() -> None:
    transaction = Transaction(errand(ME, YOU, THEM), NOTHING)
    transaction.hear_mail(OK)
    transaction.hear_rcpt(ME, NO)
    transaction.hear_rcpt(YOU, OK)
    transaction.broken_off(b"the server closed the connection")
    lost = Answer("owed", b"the server closed the connection", Cause.MESSAGE)
    assert transaction.result().answers == {ME: Answer("refused", NO.words), YOU: lost, THEM: lost}
    assert transaction.result().final
    assert transaction.fault == lost.words


def test_a_connection_lost_before_the_null_sender_was_tried_owes_it_to_all() -> None:
    transaction = Transaction(errand(*many(150)), NOTHING)
    transaction.hear_mail(NO)
    transaction.broken_off(b"gone")
    assert transaction.result().answers == dict.fromkeys(many(150), Answer("owed", b"gone", Cause.MESSAGE))
    assert transaction.result().final


def test_a_message_is_never_taken_before_its_last_dot() -> None:
    transaction = dotted(ME)
    assert not transaction.hear_last_words(OK)
    assert transaction.result().answers == {}


def test_last_words_about_itself_are_the_receivers() -> None:
    with pytest.raises(ReceiverError):
        dotted(ME).hear_last_words(BYE)


# --- everybody has an answer ------------------------------------------------------------------------------------------

REPLY = st.sampled_from([OK, GO_ON, NOT_NOW, NO, BYE, TOO_MANY, TLS_FIRST])
WHO = st.lists(st.sampled_from([ME, YOU, THEM, UMLAUT, *many(120)]), unique=True, min_size=1)


@settings(deadline=None, max_examples=300)
@given(
    WHO,
    st.sampled_from([b"", b"from@y.org", UMLAUT]),
    st.sampled_from([NOTHING, UTF8, offer(b"SIZE 1")]),
    st.data(),
    st.booleans(),
)
def test_whatever_is_said_nobody_is_left_without_an_answer(
    who: list[bytes], sender: bytes, offered: Features, data: st.DataObject, lmtp: bool
) -> None:
    errands, statuses = [errand(*who, sender=sender)], dict[bytes, str]()
    usually_ok = st.one_of(st.just(OK), REPLY)
    for _ in range(2 * len(who) + 2):  # it comes to an end
        if not errands:
            break
        one = errands.pop()
        rcpts = [data.draw(usually_ok) for _ in Transaction(one, offered).asked]
        taken = [reply for reply in rcpts if reply is OK]
        dots = [data.draw(usually_ok) for _ in taken] if lmtp else [data.draw(usually_ok)]
        mail, answer = data.draw(usually_ok), data.draw(st.one_of(st.just(GO_ON), REPLY))
        try:
            transaction = heard(one, *rcpts, mail=mail, data=answer, dots=tuple(dots), offered=offered)
        except ReceiverError:
            return
        errands += transaction.further()
        statuses |= {who: answer.status for who, answer in transaction.result().answers.items()}
        assert transaction.result().final is not bool(transaction.further())
    assert not errands
    assert statuses.keys() == set(who)


# --- the content ------------------------------------------------------------------------------------------------------


def wire(one: Errand, *body: bytes) -> bytes:
    return b"".join(content(one, body))


def test_a_clean_message_is_sent_as_it_is_with_its_dots_doubled() -> None:
    message = b"Subject: hi\r\n\r\n.\r\n..\r\nx\r\n"
    one = errand(ME, message=message)
    assert wire(one, b"\r\n.\r\n..\r\nx\r\n") == b"Received: by us\r\nSubject: hi\r\n\r\n..\r\n...\r\nx\r\n"


def test_a_message_that_is_not_clean_is_mended() -> None:
    one = errand(ME, clean=False)
    assert wire(one, b"\n.a\rb\r\r\nc\0") == b"Received: by us\r\nSubject: hi\r\n\r\n..a\r\nb\r\nc\r\n"


@pytest.mark.parametrize("clean", [True, False])
def test_the_caretakers_copy_ends_in_its_closing(clean: bool) -> None:
    one = replace(errand(ME, clean=clean), opening=b"To: c\r\n\r\n", closing=b"\r\n--end--\r\n")
    assert wire(one, b"x\r\n") == b"To: c\r\n\r\nx\r\n\r\n--end--\r\n"


def test_a_dot_at_the_seams_is_doubled() -> None:
    one = replace(errand(ME), opening=b".a\r\n", closing=b".c\r\n")
    assert wire(one, b".b\r", b"\n", b".b\r\n") == b"..a\r\n..b\r\n..b\r\n..c\r\n"


@pytest.mark.parametrize("clean", [True, False])
def test_there_is_always_something_to_send(clean: bool) -> None:
    one = replace(errand(ME, clean=clean), opening=b"")
    assert list(content(one, [])) == [b""]


def test_a_large_message_comes_in_parts_and_stays_whole() -> None:
    body = b"x" * 998 + b"\r\n"
    parts = list(content(errand(ME), [body * 100] * 50))
    assert b"".join(parts) == b"Received: by us\r\nSubject: hi\r\n" + body * 5000
    assert len(parts) > 10
    assert all(PART <= len(part) <= PART + 200_000 for part in parts[:-1])


BODY = soup(b"\r\n.", b".", b"\r", b"\n", b"\r\n", b"\0", b"x")


@settings(deadline=None)
@given(BODY, places)
def test_no_message_ends_its_own_content_or_holds_a_bare_line_end(body: bytes, cuts: list[int]) -> None:
    one = errand(ME, clean=False)
    sent = wire(one, *cut_at(body, cuts))
    assert sent == wire(one, body)
    assert sent.endswith(b"\r\n")
    assert b"\r\n.\r\n" not in b"\r\n" + sent
    assert b"\0" not in sent
    plain = sent.replace(b"\r\n", b"")
    assert b"\r" not in plain
    assert b"\n" not in plain


def test_every_phase_can_be_heard_in_every_way() -> None:
    # Any four replies give an answer or a ReceiverError, never anything else.
    some = [OK, GO_ON, NOT_NOW, NO, BYE, TOO_MANY, Reply(299, ()), Reply(599, (b"\xff",))]
    for mail, rcpt, data, dot in product(some, repeat=4):
        try:
            transaction = heard(errand(ME), rcpt, mail=mail, data=data, dots=(dot,))
        except ReceiverError:
            continue
        assert transaction.further() or transaction.result().answers.keys() == {ME}


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ({"rcpt": NO}, Cause.RECIPIENT),
        ({"rcpt": NOT_NOW}, Cause.RECIPIENT),
        ({"mail": NOT_NOW}, Cause.MESSAGE),
        ({"mail": NO}, Cause.SENDER),
        ({"data": NOT_NOW}, Cause.MESSAGE),
        ({"data": NO}, Cause.CONTENT),
        ({"dot": NOT_NOW}, Cause.MESSAGE),
        ({"dot": NO}, Cause.CONTENT),
    ],
)
def test_an_answer_says_what_it_was_about(script: dict[str, Reply], cause: Cause) -> None:
    replies = {"mail": OK, "rcpt": OK, "data": GO_ON, "dot": OK} | script
    one = errand(ME, sender=b"")
    said = heard(one, replies["rcpt"], mail=replies["mail"], data=replies["data"], dots=(replies["dot"],))
    assert said.result().answers[ME].cause is cause
