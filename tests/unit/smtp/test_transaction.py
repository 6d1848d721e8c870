"""One transaction before one receiver: what is said, and what it comes to for every recipient."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.delivery.queued import Cause, DeliveryRequest, QueuedMessage, RecipientStatus
from lib.mail.message import scan
from lib.mail.received import Trace
from lib.smtp.content import content
from lib.smtp.smtp import Features, Reply
from lib.smtp.transaction import CROWD, IN_DOUBT, Transaction, TransactionState
from lib.smtp.verdict import Past, Then

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"
ME, YOU, THEM = b"me@x.org", b"you@x.org", b"them@x.org"
UMLAUT = "müller@x.org".encode()

OK = Reply(250, (b"2.0.0 Ok",))
GO_ON = Reply(354, (b"go on",))
NOT_NOW = Reply(451, (b"4.7.1 greylisted",))
NO = Reply(550, (b"5.1.1 no such user",))
BYE = Reply(421, (b"4.3.2 bye",))
TLS_FIRST = Reply(530, (b"5.7.0 STARTTLS first",))
SPARE = b"chef@x.org"
NESTED = Reply(503, (b"5.5.1 nested MAIL command",))
BAD_SENDER = Reply(553, (b"5.7.1 <from@y.org>: Sender address rejected: not logged in",))
NO_DOMAIN = Reply(450, (b"4.1.8 <from@y.org>: Sender address rejected: Domain not found",))
TOO_MANY = Reply(452, (b"4.5.3 too many recipients",))


def request(
    *recipients: bytes,
    sender: bytes = b"from@y.org",
    message: bytes = MESSAGE,
    eightbit: bool = False,
    clean: bool = True,
) -> DeliveryRequest:
    queued = QueuedMessage(
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
        traced=0,
        trace=Trace("bob", "pop.example", "", "POP3", "mx.example", datetime.fromtimestamp(0, UTC)),
        sender=sender,
        recipients=recipients,
        deferred=recipients,
        since=0.0,
        began=0.0,
    )
    return DeliveryRequest(queued, sender, recipients, queued.opening)


def offer(*words: bytes) -> Features:
    return Features({word.split()[0]: tuple(word.split()[1:]) for word in words})


NOTHING = offer()
UTF8 = offer(b"SMTPUTF8")


def lines(transaction: Transaction) -> list[bytes]:
    return [command.line.rstrip() for command in transaction.commands]


class Around(NamedTuple):
    """What a transaction meets besides replies."""

    offered: Features = NOTHING
    past: Past = Past()


PLAIN = Around()


def heard(
    one: DeliveryRequest,
    *rcpts: Reply,
    mail: Reply = OK,
    data: Reply = GO_ON,
    dots: tuple[Reply, ...] = (),
    around: Around = PLAIN,
) -> Transaction:
    """Play a transaction as over a pipelining connection: every command is answered; *dots* are LMTP's if several."""
    offered, past = around
    transaction = Transaction(one, offered, SPARE)
    transaction.begin(past)
    if not transaction.commands:
        return transaction
    transaction.hear_mail(mail)
    for who, reply in zip(transaction.asked, rcpts, strict=True):
        if transaction.known:
            transaction.hear_rcpt(who, reply)
    if transaction.known:
        transaction.hear_data(data)
    if transaction.state is TransactionState.CONTENT:
        transaction.dotted()
        hear_dots(transaction, dots)
    return transaction


def hear_dots(transaction: Transaction, dots: tuple[Reply, ...]) -> None:
    if len(dots) == 1:
        transaction.hear_dot(dots[0])
        return
    for who, reply in zip(transaction.accepted, dots, strict=True):
        if transaction.state is TransactionState.DOTTED:
            transaction.hear_dot_for(who, reply)


def rest(transaction: Transaction) -> DeliveryRequest:
    """Return the delivery request of those who are left."""
    result = transaction.result()
    return replace(result.request, recipients=result.left)


def said(transaction: Transaction) -> dict[bytes, tuple[str, int]]:
    """Return what became of everybody: the status, and the code of the reply that made it."""
    return {who: (answer.status, int(answer.text[:3])) for who, answer in transaction.result().answers.items()}


# --- what is said -----------------------------------------------------------------------------------------------------


def test_an_envelope_is_mail_every_rcpt_and_data() -> None:
    assert lines(Transaction(request(ME, YOU), NOTHING)) == [
        b"MAIL FROM:<from@y.org>",
        b"RCPT TO:<me@x.org>",
        b"RCPT TO:<you@x.org>",
        b"DATA",
    ]


def test_the_null_sender_stays_null() -> None:
    assert lines(Transaction(request(ME, sender=b""), NOTHING))[0] == b"MAIL FROM:<>"


def test_size_is_what_will_be_sent() -> None:
    one = request(ME)
    sent = b"".join(content(one, [MESSAGE[scan(MESSAGE).end :]]))
    assert lines(Transaction(one, offer(b"SIZE")))[0] == b"MAIL FROM:<from@y.org> SIZE=%d" % len(sent)


def test_a_closing_counts_for_the_size() -> None:
    one = request(ME)
    assert replace(one, closing=b"12345").size == one.size + 5


@pytest.mark.parametrize(("eightbit", "extra"), [(False, b""), (True, b" BODY=8BITMIME")])
def test_8bitmime_is_asked_for_by_the_bytes(eightbit: bool, extra: bytes) -> None:
    transaction = Transaction(request(ME, eightbit=eightbit), offer(b"8BITMIME"))
    assert lines(transaction)[0] == b"MAIL FROM:<from@y.org>" + extra


# --- SMTPUTF8 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "asks"),
    [
        (request(ME), False),
        (request(ME, eightbit=True), False),
        (request(ME, UMLAUT), True),
        (request(ME, sender=UMLAUT), True),
    ],
)
def test_smtputf8_is_asked_for_by_the_addresses_alone(one: DeliveryRequest, asks: bool) -> None:
    assert lines(Transaction(one, UTF8))[0].endswith(b" SMTPUTF8") is asks


def test_without_smtputf8_an_address_that_needs_it_is_refused_and_the_others_get_it() -> None:
    transaction = heard(request(ME, UMLAUT, YOU), OK, OK, dots=(OK,))
    assert said(transaction) == {UMLAUT: ("refused", 553), ME: ("accepted", 250), YOU: ("accepted", 250)}


def test_without_smtputf8_a_sender_that_needs_it_is_null() -> None:
    assert lines(Transaction(request(ME, sender=UMLAUT), NOTHING))[0] == b"MAIL FROM:<>"


def test_where_nobody_can_be_asked_nothing_is_said() -> None:
    transaction = Transaction(request(UMLAUT), NOTHING)
    assert transaction.commands == []
    assert said(transaction) == {UMLAUT: ("refused", 553)}
    assert transaction.result().final


# --- sizes and numbers ------------------------------------------------------------------------------------------------


def test_a_message_larger_than_the_receiver_takes_is_refused_without_sending_it() -> None:
    one = request(ME, YOU)
    transaction = Transaction(one, offer(b"SIZE %d" % (one.size - 1)))
    assert transaction.commands == []
    assert said(transaction) == {ME: ("refused", 552), YOU: ("refused", 552)}
    assert {answer.cause for answer in transaction.answers.values()} == {Cause.CONTENT}


@pytest.mark.parametrize("limit", [b"SIZE", b"SIZE 0", b"SIZE %d" % request(ME).size, b"SIZE many"])
def test_a_message_that_fits_is_sent(limit: bytes) -> None:
    assert lines(Transaction(request(ME), offer(limit)))


def many(count: int) -> tuple[bytes, ...]:
    return tuple(b"u%d@x.org" % number for number in range(count))


@pytest.mark.parametrize("count", [100, 101, 250])
def test_a_hundred_recipients_a_transaction(count: int) -> None:
    asked: list[bytes] = []
    one, transactions = request(*many(count)), 0
    while one.recipients:
        transaction = heard(one, *[OK] * min(len(one.recipients), 100), dots=(OK,))
        asked += transaction.accepted
        assert transaction.result().final is (len(one.recipients) <= 100)
        one, transactions = rest(transaction), transactions + 1
    assert asked == list(many(count))
    assert transactions == -(-count // 100)


def test_too_large_is_said_to_all_of_a_crowd() -> None:
    crowd = request(*many(101))
    left = rest(Transaction(crowd, offer(b"SIZE 1")))
    assert left.recipients == many(101)[100:]
    assert said(Transaction(left, offer(b"SIZE 1"))) == {many(101)[100]: ("refused", 552)}


@pytest.mark.parametrize("offered", [NOTHING, UTF8])
def test_a_hundred_thousand_recipients_take_a_moment(offered: Features) -> None:
    one = request(*("ü%d@x.org".encode() % number for number in range(100_000)))
    began, answered, asked = time.process_time(), 0, 0
    while one.recipients:
        transaction = Transaction(one, offered)
        answered += len(transaction.answers)
        asked += len(transaction.asked)
        transaction.answers.update(dict.fromkeys(transaction.asked, RecipientStatus("accepted", b"250")))
        one = rest(transaction)
    assert (answered, asked) == ((100_000, 0) if offered is NOTHING else (0, 100_000))
    assert time.process_time() - began < 5  # 0.2 s as a rule; looking at everybody a thousand times takes 20 s


# --- the verdicts, row by row -----------------------------------------------------------------------------------------


def test_accepted() -> None:
    transaction = heard(request(ME, YOU), OK, Reply(251, (b"will forward",)), dots=(OK,))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("accepted", 250)}
    assert transaction.result().final
    assert (transaction.end.then, transaction.state, transaction.closes) == (Then.GO, TransactionState.OVER, False)


def test_the_receivers_words_are_kept() -> None:
    answers = heard(request(ME, YOU), OK, NO, dots=(OK,)).result().answers
    assert answers == {
        ME: RecipientStatus("accepted", b"250 2.0.0 Ok"),
        YOU: RecipientStatus("refused", b"550 5.1.1 no such user"),
    }


PHASES = ["mail", "rcpt", "data", "dots"]


def in_phase(phase: str, reply: Reply, past: Past = Past(), *more: Reply) -> Transaction:  # noqa: B008 - a tuple
    script = {"mail": OK, "rcpt": OK, "data": GO_ON, "dots": OK} | {phase: reply}
    one = request(ME, *many(len(more)))
    dots = (script["dots"],)
    return heard(
        one, script["rcpt"], *more, mail=script["mail"], data=script["data"], dots=dots, around=Around(past=past)
    )


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("reply", [BYE, TLS_FIRST])
def test_a_receiver_that_closes_or_wants_tls_breaks_off_at_this_message(phase: str, reply: Reply) -> None:
    transaction = in_phase(phase, reply)
    assert (transaction.end.then, transaction.end.text) == (Then.BREAK_OFF, reply.text)
    assert transaction.closes
    assert transaction.result().left == (ME,)
    assert "pf_smtp_tls" in transaction.end.hint if reply is TLS_FIRST else not transaction.end.hint


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
@pytest.mark.parametrize("reply", [NESTED, "odd"])
def test_a_reply_that_does_not_fit_ends_it_without_a_dot_and_nothing_heard_holds(
    phase: str, reply: Reply | str
) -> None:
    odd = OK if phase == "data" else GO_ON
    transaction = heard(
        request(YOU, ME, THEM),
        NO,
        (reply if isinstance(reply, Reply) else odd) if phase == "rcpt" else OK,
        OK,
        mail=(reply if isinstance(reply, Reply) else odd) if phase == "mail" else OK,
        data=(reply if isinstance(reply, Reply) else odd) if phase == "data" else GO_ON,
    )
    assert (transaction.end.then, transaction.state) == (Then.OUT_OF_STEP, TransactionState.UNKNOWN)
    assert transaction.result().answers == {}
    assert transaction.result().left == (YOU, ME, THEM)
    assert rest(transaction) == request(YOU, ME, THEM)


@pytest.mark.parametrize("reply", [GO_ON, NESTED])
def test_a_reply_to_the_dot_that_does_not_fit_leaves_it_in_doubt(reply: Reply) -> None:
    transaction = in_phase("dots", reply)
    assert transaction.end.then is Then.IN_DOUBT
    assert transaction.result().answers == {ME: RecipientStatus("owed", IN_DOUBT, Cause.DOUBT)}
    assert transaction.closes


def test_what_was_heard_of_recipients_holds_when_the_receiver_breaks_off() -> None:
    transaction = heard(request(ME, YOU, THEM), NO, OK, BYE)
    assert said(transaction) == {ME: ("refused", 550)}
    assert transaction.result().left == (YOU, THEM)


@pytest.mark.parametrize(("phase", "reply"), [("mail", BYE), ("rcpt", BYE), ("data", BYE), ("mail", NOT_NOW)])
def test_a_connection_that_took_mail_before_is_used_up(phase: str, reply: Reply) -> None:
    transaction = in_phase(phase, reply, Past(fresh=False, took=True))
    assert transaction.end.then is Then.USED_UP
    assert transaction.closes
    assert rest(transaction) == request(ME)


def test_one_recipient_that_is_put_off_does_not_use_up_a_connection() -> None:
    transaction = heard(request(ME, YOU), NOT_NOW, OK, dots=(OK,), around=Around(past=Past(fresh=False, took=True)))
    assert said(transaction) == {ME: ("owed", 451), YOU: ("accepted", 250)}
    assert not transaction.closes


def test_all_that_are_put_off_are_asked_over_a_fresh_one() -> None:
    transaction = heard(
        request(ME, YOU, THEM), NOT_NOW, NO, NOT_NOW, data=NO, around=Around(past=Past(fresh=False, took=True))
    )
    assert transaction.end.then is Then.USED_UP
    assert said(transaction) == {YOU: ("refused", 550)}
    assert rest(transaction).recipients == (ME, THEM)


def test_a_further_connection_that_is_turned_away_while_another_works_blames_nobody() -> None:
    transaction = in_phase("mail", BYE, Past(others=True))
    assert transaction.end.then is Then.TURNED_AWAY
    assert rest(transaction) == request(ME)


def test_mail_4xx_leaves_the_message_for_a_later_pass() -> None:
    # What a pipelining receiver says to RCPT and DATA then says nothing of anybody.
    transaction = heard(request(ME, YOU), Reply(503, (b"5.5.1 need MAIL",)), NO, mail=NOT_NOW, data=Reply(503, ()))
    assert said(transaction) == {ME: ("owed", 451), YOU: ("owed", 451)}
    assert (transaction.end.then, transaction.end.text) == (Then.DEFER_MESSAGE, NOT_NOW.text)
    assert transaction.result().final
    assert (transaction.state, transaction.unreset) == (TransactionState.OVER, False)


def test_after_a_refused_mail_nobody_need_be_asked() -> None:
    transaction = Transaction(request(ME), NOTHING)
    assert not transaction.hear_mail(NOT_NOW)
    assert Transaction(request(ME), NOTHING).hear_mail(OK)


# --- senders ----------------------------------------------------------------------------------------------------------


def senders_tried(one: DeliveryRequest, *script: dict[str, Reply]) -> tuple[list[bytes], Transaction]:
    """Play attempt after attempt; return who was the sender of each, and the last."""
    tried: list[bytes] = []
    transaction = Transaction(one, NOTHING)
    for replies in script:
        said = {"mail": OK, "rcpt": OK, "data": GO_ON, "dot": OK} | replies
        rcpts = [said["rcpt"]] * len(one.recipients)
        transaction = heard(one, *rcpts, mail=said["mail"], data=said["data"], dots=(said["dot"],))
        tried.append(transaction.sender)
        one = rest(transaction)
    assert transaction.result().final
    return tried, transaction


@pytest.mark.parametrize(
    "refused",
    [{"mail": NO, "rcpt": NESTED, "data": NESTED}, {"rcpt": BAD_SENDER, "data": NO}, {"rcpt": NO_DOMAIN, "data": NO}],
)
def test_a_refused_sender_is_followed_by_none_and_then_by_ours(refused: dict[str, Reply]) -> None:
    tried, last = senders_tried(request(ME, YOU), refused, refused, {})
    assert tried == [b"from@y.org", b"", SPARE]
    assert said(last) == {ME: ("accepted", 250), YOU: ("accepted", 250)}


def test_a_sender_may_be_refused_at_data_too() -> None:
    tried, last = senders_tried(request(ME), {"data": BAD_SENDER}, {})
    assert tried == [b"from@y.org", b""]
    assert said(last) == {ME: ("accepted", 250)}


@pytest.mark.parametrize(("first", "fate"), [(BAD_SENDER, ("refused", 553)), (NO_DOMAIN, ("owed", 450))])
def test_when_no_sender_is_taken_the_first_ones_words_count(first: Reply, fate: tuple[str, int]) -> None:
    other = {"rcpt": Reply(550, (b"5.1.8 no such senders",)), "data": NO}
    tried, last = senders_tried(request(ME, YOU), {"rcpt": first, "data": NO}, other, other)
    assert tried == [b"from@y.org", b"", SPARE]
    assert said(last) == {ME: fate, YOU: fate}
    assert {answer.cause for answer in last.result().answers.values()} == {Cause.SENDER}
    assert (last.end.then, last.unreset) == (Then.GO, True)


def test_the_null_sender_is_followed_by_ours() -> None:
    refused = {"mail": NO, "rcpt": NESTED, "data": NESTED}
    tried, last = senders_tried(request(ME, sender=b""), refused, refused)
    assert tried == [b"", SPARE]
    assert said(last) == {ME: ("refused", 550)}


def test_ours_is_not_tried_twice() -> None:
    refused = {"mail": NO, "rcpt": NESTED, "data": NESTED}
    assert senders_tried(request(ME, sender=SPARE), refused, refused)[0] == [SPARE, b""]


def test_a_sender_that_became_null_is_not_tried_as_null_again() -> None:
    refused = {"mail": NO, "rcpt": NESTED, "data": NESTED}
    assert senders_tried(request(ME, sender=UMLAUT), refused, refused)[0] == [b"", SPARE]


def test_the_next_sender_is_tried_for_everybody_of_a_crowd() -> None:
    transaction = heard(request(*many(150)), *[NO] * 100, mail=NO, data=NO)
    assert rest(transaction).recipients == many(150)


def test_of_a_crowd_all_are_refused_when_no_sender_is_taken() -> None:
    one = replace(request(*many(150)), senders=())
    transaction = heard(one, *[NO] * 100, mail=NO, data=NO)
    assert said(transaction) == dict.fromkeys(many(150), ("refused", 550))


def test_a_sender_whom_one_recipient_takes_is_not_changed_for_another() -> None:
    transaction = heard(request(ME, YOU), BAD_SENDER, OK, dots=(OK,))
    assert said(transaction) == {ME: ("refused", 553), YOU: ("accepted", 250)}
    assert transaction.result().final


def test_who_is_refused_for_himself_is_not_asked_again_with_another_sender() -> None:
    transaction = heard(request(ME, YOU), NO, BAD_SENDER, data=NO)
    assert said(transaction) == {ME: ("refused", 550)}
    assert rest(transaction).recipients == (YOU,)
    assert rest(transaction).sender == b""


# --- recipients -------------------------------------------------------------------------------------------------------


def test_rcpt_4xx_owes_this_recipient_and_the_others_get_it_now() -> None:
    transaction = heard(request(ME, YOU, THEM), OK, NOT_NOW, OK, dots=(OK,))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("owed", 451), THEM: ("accepted", 250)}
    assert transaction.end.then is Then.GO
    assert transaction.result().final


def test_rcpt_5xx_refuses_this_recipient_and_the_others_get_it_now() -> None:
    transaction = heard(request(ME, YOU), NO, OK, dots=(OK,))
    assert said(transaction) == {ME: ("refused", 550), YOU: ("accepted", 250)}


@pytest.mark.parametrize(
    "crowd",
    [TOO_MANY, Reply(552, (b"5.5.3 Too many recipients",)), Reply(451, (b"Too many recipients received this hour",))],
)
def test_too_many_recipients_are_asked_in_another_transaction(crowd: Reply) -> None:
    transaction = heard(request(ME, YOU, THEM), OK, crowd, crowd, dots=(OK,))
    assert said(transaction) == {ME: ("accepted", 250)}
    assert not transaction.result().final
    again = rest(transaction)
    assert again == replace(request(ME, YOU, THEM), recipients=(YOU, THEM))
    assert said(heard(again, OK, OK, dots=(OK,))) == {YOU: ("accepted", 250), THEM: ("accepted", 250)}


@pytest.mark.parametrize(("over", "most"), [(CROWD - 1, 100), (CROWD, 5), (95, 5)])
def test_after_a_crowd_no_more_are_asked_than_were_accepted(over: int, most: int) -> None:
    transaction = heard(request(*many(5 + over)), *[OK] * 5, *[TOO_MANY] * over, dots=(OK,))
    assert len(said(transaction)) == 5
    assert (len(rest(transaction).recipients), rest(transaction).most) == (over, most)


def test_at_data_one_of_a_crowd_is_asked_alone() -> None:
    # Exim's recipients_max_reject with a limit of one.
    over, too_many = Reply(552, (b"too many recipients",)), Reply(554, (b"Too many recipients",))
    again = rest(heard(request(ME, YOU), OK, over, data=too_many))
    assert (again.recipients, again.most) == ((ME, YOU), 1)
    assert said(heard(again, NO, data=too_many)) == {ME: ("refused", 550)}


# --- a connection that heard too many refusals ------------------------------------------------------------------------

FRESH, OLD = Past(), Past(fresh=False)


@pytest.mark.parametrize(
    ("replies", "past", "may"),
    [
        ([NO] * 8, FRESH, True),
        ([OK, *[NO] * 8], FRESH, True),
        ([OK, *[TOO_MANY] * 8], FRESH, True),  # no more are asked then than were accepted
        ([TOO_MANY] * 8, FRESH, True),  # each waits: there was nobody beside him
        ([OK, *[TOO_MANY] * 8], OLD, True),
        ([NOT_NOW] * 8, Past(fresh=False, took=True), True),
        ([BAD_SENDER] * 8, FRESH, True),
        ([OK, *[BAD_SENDER] * 8], FRESH, True),
    ],
)
def test_it_is_cut_short_only_where_the_next_attempt_has_less_to_ask(
    replies: list[Reply], past: Past, may: bool
) -> None:
    transaction = Transaction(request(*many(20)), NOTHING, SPARE)
    transaction.begin(past)
    transaction.hear_mail(OK)
    for who, reply in zip(transaction.asked, replies, strict=False):
        transaction.hear_rcpt(who, reply)
    assert transaction.may_be_cut_short is may


def test_cut_short_for_a_crowd_it_asks_no_more_than_were_accepted() -> None:
    transaction = Transaction(request(*many(20)), NOTHING, SPARE)
    transaction.hear_mail(OK)
    for who, reply in zip(transaction.asked, [OK, OK, *[TOO_MANY] * 8], strict=False):
        transaction.hear_rcpt(who, reply)
    transaction.cut_short()
    assert (rest(transaction).recipients, rest(transaction).most) == (many(20), 2)


@pytest.mark.parametrize("broken", [True, False])
def test_nor_does_it_where_the_receiver_breaks_off_at_the_crowd(broken: bool) -> None:
    transaction = Transaction(request(*many(20)), NOTHING, SPARE)
    transaction.hear_mail(OK)
    for who, reply in zip(transaction.asked, [OK, *[TOO_MANY] * 3], strict=False):
        transaction.hear_rcpt(who, reply)
    if broken:
        transaction.broken(b"gone", nonsense=False)
    else:
        transaction.hear_rcpt(transaction.asked[4], BYE)
    assert (transaction.end.then, rest(transaction).most) == (Then.BREAK_OFF, 1)


def test_cut_short_for_its_sender_it_goes_on_with_the_next_one() -> None:
    transaction = Transaction(request(*many(20)), NOTHING, SPARE)
    transaction.begin(FRESH)
    transaction.hear_mail(OK)
    for who in transaction.asked[:8]:
        transaction.hear_rcpt(who, BAD_SENDER)
    transaction.cut_short()
    assert transaction.closes
    again = rest(transaction)
    assert (again.sender, len(again.recipients)) == (b"", 20)


@pytest.mark.parametrize("crowd", [TOO_MANY, Reply(552, (b"5.5.3 Too many recipients",))])
def test_too_many_recipients_when_there_are_none_are_owed(crowd: Reply) -> None:
    # Else they would be asked again for ever.
    transaction = heard(request(ME, YOU), crowd, crowd, data=NO)
    assert said(transaction) == {ME: ("owed", crowd.code), YOU: ("owed", crowd.code)}
    assert transaction.result().final


def test_too_many_recipients_at_data_are_asked_in_parts() -> None:
    # Exim's recipients_max_reject: who came before the limit is refused as well.
    over, too_many = Reply(552, (b"too many recipients",)), Reply(554, (b"Too many recipients",))
    transaction = heard(request(ME, YOU, THEM), OK, OK, over, data=too_many)
    again = rest(transaction)
    assert (again.recipients, again.most) == ((ME, YOU, THEM), 2)
    second = heard(again, OK, OK, dots=(OK,))
    assert said(heard(rest(second), OK, dots=(OK,))) == {THEM: ("accepted", 250)}


def test_at_data_without_another_word_they_are_halved() -> None:
    too_many = Reply(452, (b"4.5.3 Too many recipients",))
    transaction = heard(request(*many(5)), *[OK] * 5, data=too_many)
    asked = [len(transaction.asked)]
    while transaction.result().left:
        one = rest(transaction)
        transaction = heard(one, *[OK] * min(len(one.recipients), one.most), data=too_many)
        asked.append(len(transaction.asked))
    assert asked == [5, 3, 2, 1]  # and then it is the message that waits
    assert transaction.end.then is Then.DEFER_MESSAGE
    assert said(transaction).keys() == set(many(5))


@pytest.mark.parametrize("phase", ["mail", "data", "dots"])
def test_a_message_that_is_not_taken_now_is_not_tried_at_once_for_others(phase: str) -> None:
    # Three messages in a row are the receiver's fault; one message to 300 people is one.
    script = {"mail": OK, "data": GO_ON, "dots": OK} | {phase: NOT_NOW}
    one = request(*many(300))
    rcpts = [OK if phase != "mail" else NO] * 100
    transaction = heard(one, *rcpts, mail=script["mail"], data=script["data"], dots=(script["dots"],))
    assert transaction.result().left == ()
    assert said(transaction) == dict.fromkeys(many(300), ("owed", 451))


def test_a_connection_that_has_heard_too_many_refusals_is_left_with_all_who_are_undecided() -> None:
    transaction = Transaction(request(ME, YOU, *many(3)), NOTHING)
    transaction.hear_mail(OK)
    transaction.hear_rcpt(ME, NO)
    transaction.hear_rcpt(YOU, OK)
    transaction.cut_short()
    assert (transaction.end.then, transaction.closes) == (Then.USED_UP, True)
    assert said(transaction) == {ME: ("refused", 550)}
    assert transaction.result().left == (YOU, *many(3))


# --- DATA and the dot -------------------------------------------------------------------------------------------------


def test_data_4xx_leaves_the_message_for_a_later_pass() -> None:
    transaction = heard(request(ME, YOU), OK, NO, data=NOT_NOW)
    assert said(transaction) == {ME: ("owed", 451), YOU: ("refused", 550)}
    assert (transaction.end.then, transaction.end.text) == (Then.DEFER_MESSAGE, NOT_NOW.text)
    assert transaction.unreset


def test_data_5xx_is_a_refusal_by_all_who_were_accepted() -> None:
    transaction = heard(request(ME, YOU), OK, NOT_NOW, data=NO)
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451)}
    assert (transaction.end.then, transaction.unreset) == (Then.GO, True)


def test_the_dot_4xx_leaves_the_message_for_a_later_pass() -> None:
    transaction = heard(request(ME, YOU), OK, OK, dots=(NOT_NOW,))
    assert said(transaction) == {ME: ("owed", 451), YOU: ("owed", 451)}
    assert (transaction.end.then, transaction.unreset) == (Then.DEFER_MESSAGE, True)


def test_the_dot_5xx_is_a_refusal_by_all_who_were_accepted() -> None:
    transaction = heard(request(ME, YOU, THEM), OK, NOT_NOW, OK, dots=(NO,))
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451), THEM: ("refused", 550)}
    assert (transaction.end.then, transaction.unreset) == (Then.GO, True)


def test_354_although_nobody_was_accepted_gets_a_lone_dot() -> None:
    transaction = heard(request(ME, YOU), NO, NOT_NOW, data=GO_ON)
    assert transaction.state is TransactionState.NOBODY
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451)}


def test_354_after_a_refused_mail_gets_a_lone_dot_too() -> None:
    transaction = heard(request(ME), NO, mail=NOT_NOW, data=GO_ON)
    assert transaction.state is TransactionState.NOBODY
    assert said(transaction) == {ME: ("owed", 451)}


@pytest.mark.parametrize("data", [GO_ON, NO])
@pytest.mark.parametrize("mail", [NOT_NOW, NO])
def test_a_recipient_that_is_accepted_behind_a_refused_mail_is_of_another_transaction(mail: Reply, data: Reply) -> None:
    transaction = heard(request(ME), OK, mail=mail, data=data)
    assert (transaction.end.then, transaction.state) == (Then.OUT_OF_STEP, TransactionState.UNKNOWN)
    assert rest(transaction) == request(ME)


def test_no_lone_dot_while_the_receiver_may_hold_another_transaction() -> None:
    transaction = heard(request(ME), NO, mail=NOT_NOW, data=GO_ON, around=Around(past=Past(behind=True, unreset=True)))
    assert (transaction.end.then, transaction.state) == (Then.OUT_OF_STEP, TransactionState.UNKNOWN)


@pytest.mark.parametrize(("reply", "unreset"), [(OK, False), (NO, True), (NOT_NOW, True)])
def test_whatever_is_said_to_a_lone_dot_counts_for_nobody(reply: Reply, unreset: bool) -> None:
    transaction = heard(request(ME), NO, data=GO_ON)
    transaction.hear_lone_dot(reply)
    assert said(transaction) == {ME: ("refused", 550)}
    assert transaction.unreset is unreset


@pytest.mark.parametrize("reply", [NO, NOT_NOW, NESTED])
def test_without_a_recipient_the_reply_to_data_says_nothing(reply: Reply) -> None:
    transaction = heard(request(ME), NO, data=reply)
    assert said(transaction) == {ME: ("refused", 550)}
    assert (transaction.end.then, transaction.unreset) == (Then.GO, True)


def test_without_a_recipient_421_for_data_ends_the_connection_and_what_was_heard_holds() -> None:
    transaction = heard(request(ME), NO, data=BYE)
    assert said(transaction) == {ME: ("refused", 550)}
    assert (transaction.end.then, transaction.closes) == (Then.GO, True)


def test_without_a_recipient_250_for_data_does_not_fit() -> None:
    assert heard(request(ME), NO, data=OK).end.then is Then.OUT_OF_STEP


# --- RSET -------------------------------------------------------------------------------------------------------------

UNRESET = Past(fresh=False, unreset=True)


def test_an_rset_goes_before_a_transaction_whose_predecessor_may_be_open() -> None:
    transaction = Transaction(request(ME), NOTHING)
    transaction.begin(UNRESET)
    assert transaction.resets
    transaction.hear_reset(OK)
    assert not transaction.unreset


@pytest.mark.parametrize("reply", [NO, NOT_NOW, GO_ON])
def test_a_refused_rset_is_out_of_step(reply: Reply) -> None:
    transaction = Transaction(request(ME), NOTHING)
    transaction.begin(UNRESET)
    transaction.hear_reset(reply)
    assert (transaction.end.then, transaction.state) == (Then.OUT_OF_STEP, TransactionState.UNKNOWN)


def test_an_envelope_behind_a_dot_needs_no_rset_where_mail_is_accepted() -> None:
    transaction = Transaction(request(ME), NOTHING)
    transaction.begin(UNRESET._replace(behind=True))
    assert not transaction.resets
    assert transaction.hear_mail(OK)
    assert not transaction.unreset


# --- LMTP -------------------------------------------------------------------------------------------------------------


def test_lmtp_gives_a_verdict_per_recipient() -> None:
    transaction = heard(request(ME, YOU, THEM), OK, OK, OK, dots=(OK, NOT_NOW, NO))
    assert said(transaction) == {ME: ("accepted", 250), YOU: ("owed", 451), THEM: ("refused", 550)}
    assert (transaction.end.then, transaction.state) == (Then.GO, TransactionState.OVER)


def test_lmtp_verdicts_are_for_those_who_were_accepted() -> None:
    transaction = heard(request(ME, YOU, THEM), NO, OK, OK, dots=(OK, NOT_NOW))
    assert said(transaction) == {ME: ("refused", 550), YOU: ("accepted", 250), THEM: ("owed", 451)}


def test_lmtp_that_takes_it_for_nobody_now_puts_the_message_off() -> None:
    transaction = heard(request(ME, YOU), OK, OK, dots=(NO, NOT_NOW))
    assert (transaction.end.then, transaction.end.text) == (Then.DEFER_MESSAGE, NOT_NOW.text)
    assert said(transaction) == {ME: ("refused", 550), YOU: ("owed", 451)}


@pytest.mark.parametrize("reply", [BYE, TLS_FIRST])
@pytest.mark.parametrize("first", [True, False])
def test_lmtp_that_closes_says_it_to_one_recipient_and_the_others_are_heard(reply: Reply, first: bool) -> None:
    dots = (reply, OK) if first else (OK, reply)
    transaction = heard(request(ME, YOU), OK, OK, dots=dots)
    one, other = (ME, YOU) if first else (YOU, ME)
    assert said(transaction) == {one: ("owed", reply.code), other: ("accepted", 250)}
    assert (transaction.end.then, transaction.closes) == (Then.GO, True)


def test_lmtp_that_loses_its_step_leaves_the_others_in_doubt() -> None:
    transaction = heard(request(ME, YOU, THEM), OK, OK, OK, dots=(OK, GO_ON, OK))
    assert {who: answer.text for who, answer in transaction.result().answers.items()} == {
        ME: OK.text,
        YOU: IN_DOUBT,
        THEM: IN_DOUBT,
    }
    assert (transaction.end.then, transaction.closes) == (Then.GO, True)


def test_lmtp_that_closes_before_anybody_accepted_puts_the_message_off() -> None:
    transaction = heard(request(ME, YOU), OK, OK, dots=(NO, BYE))
    assert (transaction.end.then, transaction.closes) == (Then.DEFER_MESSAGE, True)


# --- connections that break -------------------------------------------------------------------------------------------


def dotted(*recipients: bytes) -> Transaction:
    """Return a transaction whose final dot went out."""
    transaction = Transaction(request(*recipients), NOTHING)
    transaction.hear_mail(OK)
    for who in transaction.asked:
        transaction.hear_rcpt(who, OK)
    transaction.hear_data(GO_ON)
    transaction.dotted()
    return transaction


@pytest.mark.parametrize("nonsense", [False, True])
def test_a_connection_lost_after_the_dot_leaves_it_for_a_later_pass(nonsense: bool) -> None:
    transaction = dotted(ME, YOU)
    transaction.broken(b"gone", nonsense=nonsense)
    assert transaction.result().answers == dict.fromkeys([ME, YOU], RecipientStatus("owed", IN_DOUBT, Cause.DOUBT))
    assert transaction.end.then is Then.IN_DOUBT
    assert transaction.result().final


def test_what_was_said_before_it_broke_stays_said() -> None:
    transaction = dotted(ME, YOU, THEM)
    transaction.hear_dot_for(ME, OK)
    transaction.hear_dot_for(YOU, NOT_NOW)
    transaction.broken(b"gone", nonsense=False)
    assert transaction.result().answers == {
        ME: RecipientStatus("accepted", OK.text),
        YOU: RecipientStatus("owed", NOT_NOW.text),
        THEM: RecipientStatus("owed", IN_DOUBT, Cause.DOUBT),
    }
    assert transaction.end.then is Then.GO


def with_content_due(*recipients: bytes) -> Transaction:
    transaction = dotted(*recipients)
    transaction.state = TransactionState.CONTENT
    return transaction


@pytest.mark.parametrize(
    ("reply", "status", "cause", "then"),
    [(NO, "refused", Cause.CONTENT, Then.GO), (NOT_NOW, "owed", Cause.MESSAGE, Then.DEFER_MESSAGE)],
)
def test_a_refusal_in_the_middle_of_the_content_is_a_verdict(
    reply: Reply, status: str, cause: Cause, then: Then
) -> None:
    transaction = with_content_due(ME, YOU)
    transaction.hear_last_words(reply)
    transaction.broken(b"gone", nonsense=False)
    assert transaction.result().answers == {who: RecipientStatus(status, reply.text, cause) for who in (ME, YOU)}
    assert (transaction.end.then, transaction.closes) == (then, True)


@pytest.mark.parametrize(("past", "then"), [(Past(), Then.BREAK_OFF), (Past(fresh=False, took=True), Then.BREAK_OFF)])
def test_a_connection_lost_before_the_dot_leaves_who_was_not_refused(past: Past, then: Then) -> None:
    transaction = Transaction(request(ME, YOU, THEM), NOTHING)
    transaction.begin(past)
    transaction.hear_mail(OK)
    transaction.hear_rcpt(ME, NO)
    transaction.hear_rcpt(YOU, OK)
    transaction.broken(b"the server closed the connection", nonsense=False)
    assert said(transaction) == {ME: ("refused", 550)}
    assert transaction.result().left == (YOU, THEM)
    assert (transaction.end.then, transaction.end.text) == (then, b"the server closed the connection")


@pytest.mark.parametrize(
    ("past", "then"),
    [
        (Past(), Then.BREAK_OFF),
        (Past(fresh=False), Then.BREAK_OFF),
        (Past(fresh=False, took=True), Then.USED_UP),
    ],
)
def test_a_connection_lost_between_messages(past: Past, then: Then) -> None:
    transaction = Transaction(request(ME), NOTHING)
    transaction.begin(past)
    transaction.broken(b"gone", nonsense=False)
    assert transaction.end.then is then
    assert rest(transaction) == request(ME)


def test_a_reply_that_is_none_is_out_of_step() -> None:
    transaction = Transaction(request(ME), NOTHING)
    transaction.broken(b"what?", nonsense=True)
    assert transaction.end.then is Then.OUT_OF_STEP


def test_a_connection_that_breaks_when_all_is_decided_changes_nothing() -> None:
    transaction = heard(request(ME), NO, data=GO_ON)
    transaction.broken(b"gone", nonsense=False)
    assert said(transaction) == {ME: ("refused", 550)}
    assert (transaction.end.then, transaction.closes) == (Then.GO, True)


def test_a_word_too_many_makes_what_was_heard_uncertain() -> None:
    transaction = heard(request(ME), NO, data=NO, around=Around(past=Past(fresh=False)))
    transaction.misled()
    assert transaction.end.then is Then.OUT_OF_STEP
    assert transaction.result().answers == {}


def test_a_message_is_never_taken_before_its_last_dot() -> None:
    transaction = with_content_due(ME)
    transaction.hear_last_words(OK)
    assert transaction.result().answers == {}


def test_last_words_about_itself_break_it_off() -> None:
    transaction = with_content_due(ME)
    transaction.hear_last_words(BYE)
    assert transaction.end.then is Then.BREAK_OFF
    assert rest(transaction) == request(ME)


# --- everybody has an answer, or is left ------------------------------------------------------------------------------

SAID = [OK, GO_ON, NOT_NOW, NO, BYE, TOO_MANY, TLS_FIRST, NESTED, BAD_SENDER, NO_DOMAIN]
REPLY = st.sampled_from(SAID)
WHO = st.lists(st.sampled_from([ME, YOU, THEM, UMLAUT, *many(120)]), unique=True, min_size=1)
PAST = st.builds(Past, st.booleans(), st.booleans(), st.just(0), st.booleans(), st.booleans(), st.booleans())


@settings(deadline=None, max_examples=300)
@given(
    WHO,
    st.sampled_from([b"", b"from@y.org", UMLAUT]),
    st.builds(Around, st.sampled_from([NOTHING, UTF8, offer(b"SIZE 1")]), PAST),
    st.booleans(),
    st.data(),
)
def test_an_attempt_decides_or_leaves_each_of_its_recipients_and_comes_to_an_end(
    who: list[bytes], sender: bytes, around: Around, lmtp: bool, data: st.DataObject
) -> None:
    one, statuses, stops = request(*who, sender=sender), dict[bytes, str](), 0
    usually_ok = st.one_of(st.just(OK), REPLY)
    for _ in range(12 * len(who) + 12):
        rcpts = [data.draw(usually_ok) for _ in Transaction(one, around.offered).asked]
        dots = tuple(data.draw(usually_ok) for _ in range(sum(reply is OK for reply in rcpts) if lmtp else 1))
        mail, answer = data.draw(usually_ok), data.draw(st.one_of(st.just(GO_ON), REPLY))
        transaction = heard(one, *rcpts, mail=mail, data=answer, dots=dots, around=around)
        result = transaction.result()
        assert not result.answers.keys() & set(result.left)
        assert sorted([*result.answers, *result.left]) == sorted(one.recipients)
        statuses |= {who: answer.status for who, answer in result.answers.items()}
        one = rest(transaction)
        stops += transaction.end.then not in {Then.GO, Then.NEXT_SENDER}
        if result.final or stops == 3:  # what breaks off, or closes, is for the deliverer to bring to an end
            break
    assert statuses.keys() | set(one.recipients) == set(who)
    assert stops == 3 or not one.recipients


@pytest.mark.parametrize("past", [Past(), Past(fresh=False, took=True), Past(fresh=False, behind=True, unreset=True)])
def test_every_phase_can_be_heard_in_every_way(past: Past) -> None:
    # No dot goes out but for recipients that were accepted by this MAIL, and no lone one while any was.
    some = [OK, GO_ON, NOT_NOW, NO, BYE, TOO_MANY, NESTED, BAD_SENDER, Reply(299, ()), Reply(599, (b"\xff",))]
    for mail, rcpt, data, dot in product(some, repeat=4):
        transaction = heard(request(ME), rcpt, mail=mail, data=data, dots=(dot,), around=Around(past=past))
        result = transaction.result()
        assert len(result.answers) + len(result.left) == 1
        taken = result.answers.get(ME, RecipientStatus("", b"")).status == "accepted"
        fine = [reply.code // 100 for reply in (mail, rcpt, data, dot)] == [2, 2, 3, 2]
        assert taken is fine
        assert transaction.state is not TransactionState.NOBODY or rcpt.code // 100 != 2


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ({"rcpt": NO}, Cause.RECIPIENT),
        ({"rcpt": NOT_NOW}, Cause.RECIPIENT),
        ({"mail": NOT_NOW, "rcpt": NESTED}, Cause.MESSAGE),
        ({"mail": NO, "rcpt": NESTED}, Cause.SENDER),
        ({"data": NOT_NOW}, Cause.MESSAGE),
        ({"data": NO}, Cause.CONTENT),
        ({"dot": NOT_NOW}, Cause.MESSAGE),
        ({"dot": NO}, Cause.CONTENT),
    ],
)
def test_an_answer_says_what_it_was_about(script: dict[str, Reply], cause: Cause) -> None:
    replies = {"mail": OK, "rcpt": OK, "data": GO_ON, "dot": OK} | script
    one = replace(request(ME, sender=b""), senders=())
    said = heard(one, replies["rcpt"], mail=replies["mail"], data=replies["data"], dots=(replies["dot"],))
    assert said.result().answers[ME].cause is cause


@pytest.mark.parametrize(
    ("past", "gists"),
    [(Past(), {b"451 #.#.# greylisted"}), (Past(fresh=False), set()), (Past(fresh=False, took=True), set())],
)
def test_a_transaction_tells_what_the_first_message_of_a_connection_was_told(past: Past, gists: set[bytes]) -> None:
    transaction = heard(request(ME, YOU), NOT_NOW, NO, data=NO, around=Around(past=past))
    assert transaction.said_afresh == gists
