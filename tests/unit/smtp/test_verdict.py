"""What a reply means: every row of the table, and what is not in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.delivery.queued import Tried
from lib.smtp import verdict
from lib.smtp.verdict import Failure, Next, Past, Phase, Stage, Then, gist, judge

GO, DOWN, ODD, DOUBT = Then.GO, Then.RECEIVER_DOWN, Then.OUT_OF_STEP, Then.IN_DOUBT
LATER, DEFERRED, REFUSED, CONTENT = Then.DEFER_MESSAGE, Then.DEFER_RECIPIENT, Then.REFUSE_RECIPIENT, Then.REFUSE_CONTENT

# As DESIGN tells it, by phase: what a 2xx, 3xx, 4xx and 5xx mean, on a fresh connection and without special words.
ROWS = [
    (Phase.GREETING, (GO, DOWN, DOWN, DOWN)),
    (Phase.HELLO, (GO, DOWN, DOWN, DOWN)),
    (Phase.TLS, (GO, DOWN, DOWN, DOWN)),
    (Phase.AUTH, (GO, GO, DOWN, DOWN)),
    (Phase.RSET, (GO, ODD, ODD, ODD)),
    (Phase.MAIL, (GO, ODD, LATER, Then.NEXT_SENDER)),
    (Phase.RCPT, (GO, ODD, DEFERRED, REFUSED)),
    (Phase.DATA, (ODD, GO, LATER, CONTENT)),
    (Phase.DOT, (GO, DOUBT, LATER, CONTENT)),
    (Phase.LMTP_DOT, (GO, DOUBT, DEFERRED, CONTENT)),
]
CELLS = [(phase, kind, then) for phase, row in ROWS for kind, then in enumerate(row, 2)]
ENVELOPE = (Phase.MAIL, Phase.RCPT, Phase.DATA)
CLOSING = (421, 454, 530, 535, 538)
FRESH, USED = Past(), Past(fresh=False, took=True)


def words(code: int) -> bytes:
    return b"%d some words" % code


def test_every_phase_has_its_row() -> None:
    assert [phase for phase, _ in ROWS] == list(Phase) == list(verdict.TABLE)


@pytest.mark.parametrize(("phase", "kind", "then"), CELLS)
@pytest.mark.parametrize("rest", [0, 1, 50, 52, 99])
def test_a_reply_means_what_its_class_means_in_its_phase(phase: Phase, kind: int, then: Then, rest: int) -> None:
    assert judge(phase, kind * 100 + rest, words(kind * 100 + rest)) is then
    assert verdict.fine(phase, kind * 100 + rest) is (then is GO)
    assert verdict.plainly(phase, kind * 100 + rest) is then


# --- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.GREETING, Phase.HELLO, Phase.TLS, Phase.AUTH])
@pytest.mark.parametrize("code", CLOSING)
def test_before_there_is_any_message_it_is_the_receiver(phase: Phase, code: int) -> None:
    assert judge(phase, code, words(code)) is DOWN


@pytest.mark.parametrize("phase", [Phase.RSET, *ENVELOPE, Phase.DOT])
@pytest.mark.parametrize("code", CLOSING)
def test_within_a_transaction_it_is_the_messages_until_others_prove_it_the_receiver(phase: Phase, code: int) -> None:
    assert judge(phase, code, words(code)) is Then.BREAK_OFF
    assert verdict.closing(code)


@pytest.mark.parametrize("code", CLOSING)
def test_to_one_recipient_of_lmtp_it_is_his(code: int) -> None:
    assert judge(Phase.LMTP_DOT, code, words(code)) is DEFERRED
    assert judge(Phase.LMTP_DOT, code, words(code), USED) is DEFERRED


@pytest.mark.parametrize("phase", ENVELOPE)
@pytest.mark.parametrize("code", [421, 451, 452])
def test_a_connection_that_took_a_message_before_is_used_up(phase: Phase, code: int) -> None:
    assert judge(phase, code, words(code), USED) is Then.USED_UP
    assert judge(phase, code, words(code), Past(fresh=False)) is not Then.USED_UP


@pytest.mark.parametrize("code", [450, 454, 530, 535, 550])
def test_no_other_word_uses_up_a_connection(code: int) -> None:
    assert all(judge(phase, code, words(code), USED) is judge(phase, code, words(code)) for phase in Phase)


@pytest.mark.parametrize("code", [421, 451, 452])
def test_nor_does_one_behind_the_dot(code: int) -> None:
    assert judge(Phase.DOT, code, words(code), USED) is judge(Phase.DOT, code, words(code), FRESH)


def test_one_recipient_that_is_put_off_beside_others_does_not_use_it_up() -> None:
    assert judge(Phase.RCPT, 451, words(451), USED._replace(accepted=1)) is DEFERRED
    assert judge(Phase.RCPT, 421, words(421), USED._replace(accepted=1)) is Then.USED_UP


def test_a_further_connection_that_is_closed_at_its_first_mail_is_one_too_many() -> None:
    others = Past(others=True)
    assert judge(Phase.MAIL, 421, words(421), others) is Then.TURNED_AWAY
    assert judge(Phase.MAIL, 421, words(421), Past()) is Then.BREAK_OFF
    assert judge(Phase.MAIL, 421, words(421), others._replace(fresh=False)) is Then.BREAK_OFF
    assert judge(Phase.RCPT, 421, words(421), others) is Then.BREAK_OFF
    assert judge(Phase.MAIL, 530, words(530), others) is Then.BREAK_OFF


@pytest.mark.parametrize("past", [FRESH, USED, Past(accepted=3)])
@pytest.mark.parametrize(
    ("phase", "then"), [*((phase, ODD) for phase in ENVELOPE), (Phase.DOT, DOUBT), (Phase.LMTP_DOT, DOUBT)]
)
def test_bad_sequence_of_commands_is_out_of_step(phase: Phase, then: Then, past: Past) -> None:
    assert judge(phase, 503, words(503), past) is then


@pytest.mark.parametrize(
    ("code", "known"), [(500, False), (502, False), (550, False), (530, True), (421, True), (250, True)]
)
def test_who_may_yet_know_helo(code: int, known: bool) -> None:
    assert verdict.knows_no_ehlo(code) is not known


@pytest.mark.parametrize(("code", "more"), [(334, True), (235, False), (535, False)])
def test_who_asks_for_a_further_response(code: int, more: bool) -> None:
    assert verdict.asks_on(code) is more


@pytest.mark.parametrize(
    ("code", "another"), [(535, True), (504, True), (534, True), (530, False), (454, False), (235, False)]
)
def test_whose_login_another_mechanism_may_help(code: int, another: bool) -> None:
    assert verdict.refuses_this_login(code) is another


# --- HELO -------------------------------------------------------------------------------------------------------------

OF_HELO = [
    b"550 5.7.1 <vm>: Helo command rejected: Access denied",
    b"450 4.7.1 <vm>: Helo command rejected: Host not found",
    b"504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname",
    b"504 5.5.2 <vm>: need fully-qualified hostname",
    b"550 EHLO command rejected: no",
]


@pytest.mark.parametrize("said", OF_HELO)
@pytest.mark.parametrize("phase", [*ENVELOPE, Phase.DOT])
def test_words_about_helo_are_the_receivers_and_name_the_setting(phase: Phase, said: bytes) -> None:
    assert judge(phase, int(said[:3]), said) is DOWN
    assert "pf_helo_name" in verdict.hint(int(said[:3]), said)


def test_a_receiver_that_has_taken_a_message_knows_our_name() -> None:
    assert judge(Phase.RCPT, 550, OF_HELO[0], Past(passed=True)) is REFUSED


@pytest.mark.parametrize(
    "said",
    [
        b"504 5.5.2 <root@web01>: Recipient address rejected: need fully-qualified address",
        b"550 5.1.1 <helo command rejected@far.test>: user unknown",
        b'550 5.1.1 <"helo command rejected: "@far.test>: user unknown',
        b'550 5.1.1 "Helo command rejected"@far.test: user unknown',
        b"554 5.7.1 spam: the subject was Helo command rejected",
        b"550 5.1.1 helo@far.test: user unknown",
    ],
)
def test_words_that_a_stranger_can_choose_are_not_about_helo(said: bytes) -> None:
    assert judge(Phase.RCPT, int(said[:3]), said) is REFUSED
    assert judge(Phase.DOT, int(said[:3]), said) is CONTENT


@pytest.mark.parametrize("code", [454, 530, 535, 538])
def test_who_wants_tls_or_a_login_says_where_to_set_it(code: int) -> None:
    assert verdict.hint(code, words(code)) == ": see pf_smtp_tls and pf_smtp_user"


@pytest.mark.parametrize("code", [421, 451, 550])
def test_no_setting_helps_against_other_words(code: int) -> None:
    assert not verdict.hint(code, words(code))


# --- the sender -------------------------------------------------------------------------------------------------------

OF_SENDER = [
    b"553 5.7.1 <a@b.test>: Sender address rejected: not owned by user",
    b"504 5.5.2 <root@web01>: Sender address rejected: need fully-qualified address",
    b"450 4.1.8 <a@b.test>: Sender address rejected: Domain not found",
    b"451 4.1.8 Domain of a@b.test does not resolve",
    b"550 5.1.7 bad reverse-path",
    b"550 Invalid sender",
]


@pytest.mark.parametrize("said", OF_SENDER)
@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA])
def test_words_about_the_sender_ask_for_the_next_one(phase: Phase, said: bytes) -> None:
    assert judge(phase, int(said[:3]), said) is Then.NEXT_SENDER


@pytest.mark.parametrize("said", OF_SENDER)
def test_whom_others_take_the_sender_of_is_refused_himself(said: bytes) -> None:
    assert judge(Phase.RCPT, int(said[:3]), said, Past(accepted=1)) is (DEFERRED if said.startswith(b"4") else REFUSED)


@pytest.mark.parametrize(
    "said",
    [
        b"550 5.1.1 <sender@b.test>: Recipient address rejected: User unknown",
        b"550 5.1.1 sender@b.test unknown",
        b"550 5.7.10 no such code",
        b"550 5.1.70 nor this",
        b"450 4.7.1 greylisted: sender is new here",
        b"450 4.7.1 gray-listing in action for this sender",
    ],
)
def test_other_words_at_rcpt_are_the_recipients(said: bytes) -> None:
    assert judge(Phase.RCPT, int(said[:3]), said) is (DEFERRED if said.startswith(b"4") else REFUSED)


def test_mail_5xx_is_the_sender_whatever_its_words_and_4xx_the_message() -> None:
    assert judge(Phase.MAIL, 550, b"550 5.7.0 no") is Then.NEXT_SENDER
    assert judge(Phase.MAIL, 451, b"451 4.1.8 Domain of sender address does not resolve") is LATER


@pytest.mark.parametrize("code", [220, 221])
@pytest.mark.parametrize("past", [FRESH, USED])
def test_what_greets_or_closes_answers_nothing_that_is_said_of_a_message(code: int, past: Past) -> None:
    for phase in (Phase.RSET, *ENVELOPE):
        assert judge(phase, code, words(code), past) is ODD
        assert not verdict.fine(phase, code)
    for phase in (Phase.DOT, Phase.LMTP_DOT):
        assert judge(phase, code, words(code), past) is DOUBT
        assert not verdict.fine(phase, code)
    assert verdict.fine(Phase.TLS, code)


def test_behind_the_dot_it_is_the_content() -> None:
    assert judge(Phase.DOT, 554, b"554 5.7.1 Sender is a spammer") is CONTENT


# --- recipients -------------------------------------------------------------------------------------------------------

SOME = Past(accepted=1)


@pytest.mark.parametrize(
    "said",
    [
        b"452 4.5.3 Error: too many recipients",
        b"452 4.5.3",
        b"452 Too many recipients",
        b"452 too many RCPTs, try again",
        b"552 5.5.3 Too many recipients",
        b"552 too many recipients",
        b"451 too many recipients",
        b"451 4.5.3 another time",
    ],
)
@pytest.mark.parametrize("past", [SOME, USED._replace(accepted=1)])
def test_too_many_recipients_go_into_another_transaction(said: bytes, past: Past) -> None:
    assert judge(Phase.RCPT, int(said[:3]), said, past) is Then.ANOTHER_TRANSACTION


@pytest.mark.parametrize("said", [b"452 4.5.3 too many recipients", b"552 5.5.3 too many recipients"])
def test_where_even_one_is_too_many_he_is_owed(said: bytes) -> None:
    assert judge(Phase.RCPT, int(said[:3]), said) is DEFERRED


@pytest.mark.parametrize(
    "said",
    [
        b"452 4.2.2 mailbox full: too many messages",
        b"452 4.3.1 insufficient system storage",
        b"452 4.5.30 no such code",
        b"452 insufficient system storage",
        b"452 4.5.3x",
        b"452 ",
        b"452",
    ],
)
def test_another_452_is_owed(said: bytes) -> None:
    assert judge(Phase.RCPT, 452, said, SOME) is DEFERRED


@pytest.mark.parametrize("said", [b"552 5.2.2 mailbox full", b"552 5.2.2 <too many recipients@x>: full"])
def test_another_552_is_refused(said: bytes) -> None:
    assert judge(Phase.RCPT, 552, said, SOME) is REFUSED


def test_too_many_recipients_is_said_of_recipients_only() -> None:
    said = b"452 4.5.3 too many recipients"
    assert judge(Phase.MAIL, 452, said) is LATER
    assert judge(Phase.DOT, 452, said, SOME) is LATER
    assert judge(Phase.RCPT, 450, b"450 4.5.3 too many recipients", SOME) is DEFERRED


@pytest.mark.parametrize("said", [b"554 Too many recipients", b"452 4.5.3 too many recipients"])
def test_at_data_it_is_said_of_all_unless_there_is_but_one(said: bytes) -> None:
    assert judge(Phase.DATA, int(said[:3]), said, Past(accepted=2)) is Then.ANOTHER_TRANSACTION
    assert judge(Phase.DATA, int(said[:3]), said, Past(accepted=1)) is (LATER if said.startswith(b"4") else CONTENT)
    assert judge(Phase.DATA, int(said[:3]), said, Past(accepted=1, crowded=True)) is Then.ANOTHER_TRANSACTION


@pytest.mark.parametrize(
    ("said", "then"),
    [
        (b"552 5.2.2 quota exceeded", REFUSED),
        (b"550 5.1.1 no such mailbox", REFUSED),
        (b"452 4.2.2 quota exceeded", DEFERRED),
        (b"554 5.7.1 spam", CONTENT),
        (b"554 no", CONTENT),
    ],
)
def test_behind_the_dot_lmtp_speaks_of_a_recipient_or_of_the_content(said: bytes, then: Then) -> None:
    assert judge(Phase.LMTP_DOT, int(said[:3]), said) is then


# --- a connection that breaks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "past", "nonsense", "then"),
    [
        (Stage.BETWEEN, FRESH, False, Then.BREAK_OFF),
        (Stage.BETWEEN, Past(fresh=False), False, Then.BREAK_OFF),
        (Stage.BETWEEN, USED, False, Then.USED_UP),
        (Stage.WITHIN, FRESH, False, Then.BREAK_OFF),
        (Stage.WITHIN, USED, False, Then.BREAK_OFF),
        (Stage.BETWEEN, USED, True, ODD),
        (Stage.WITHIN, FRESH, True, ODD),
        (Stage.DOTTED, USED, False, DOUBT),
        (Stage.DOTTED, FRESH, True, DOUBT),
    ],
)
def test_a_lost_connection(stage: Stage, past: Past, nonsense: bool, then: Then) -> None:
    assert verdict.lost(stage, past, nonsense=nonsense) is then


# --- what becomes of a message that was not taken ---------------------------------------------------------------------

NEVER, PUT_OFF, BROKE = Tried
BREAK = Then.BREAK_OFF


@pytest.mark.parametrize(
    ("failure", "following"),
    [
        # out of step: at once on a new connection; on a fresh one it is as if it had broken off
        (Failure(ODD, NEVER, False, 2, 3), Next.AT_ONCE),
        (Failure(ODD, BROKE, False, 2, 3), Next.AT_ONCE),
        (Failure(ODD, NEVER, True, 0, 3), Next.BEHIND),
        (Failure(ODD, BROKE, True, 0, 3), Next.WAITS),
        # broken off: behind all others, and the second time it waits
        (Failure(BREAK, NEVER, True, 0, 3), Next.BEHIND),
        (Failure(BREAK, NEVER, True, 1, 3), Next.BEHIND),
        (Failure(BREAK, BROKE, True, 0, 3), Next.WAITS),
        # three on fresh connections are the receiver
        (Failure(BREAK, NEVER, True, 2, 3), Next.STOPS),
        (Failure(ODD, NEVER, True, 2, 3), Next.STOPS),
        (Failure(BREAK, NEVER, False, 2, 3), Next.BEHIND),
        # put off: it waits, and three are the receiver
        (Failure(LATER, NEVER, False, 0, 3), Next.WAITS),
        (Failure(LATER, NEVER, False, 1, 3), Next.WAITS),
        (Failure(LATER, NEVER, False, 2, 3), Next.STOPS),
        (Failure(DOUBT, NEVER, True, 2, 3), Next.STOPS),
        # what failed before counts for nothing, and nothing that stands in front stops the others
        (Failure(LATER, PUT_OFF, True, 2, 3), Next.WAITS),
        (Failure(DOUBT, BROKE, True, 2, 3), Next.WAITS),
        (Failure(BREAK, PUT_OFF, True, 2, 3), Next.BEHIND),
        (Failure(BREAK, BROKE, True, 2, 3), Next.WAITS),
    ],
)
def test_what_becomes_of_a_message(failure: Failure, following: Next) -> None:
    assert verdict.weigh(failure) is following


def test_three_are_enough_and_four_times_as_many_after_each_pass_that_they_ended() -> None:
    assert [verdict.enough(stopped) for stopped in range(4)] == [3, 12, 48, 192]
    assert verdict.enough(10**9) == verdict.enough(5)


# --- whatever is said -------------------------------------------------------------------------------------------------

PASTS = st.builds(
    Past, st.booleans(), st.booleans(), st.integers(0, 2), st.booleans(), st.booleans(), st.booleans(), st.booleans()
)


@settings(deadline=None)
@given(st.sampled_from(list(Phase)), st.integers(200, 599), st.binary(max_size=40), PASTS)
def test_every_reply_means_something(phase: Phase, code: int, text: bytes, past: Past) -> None:
    then = judge(phase, code, b"%d %b" % (code, text), past)
    assert then in Then
    assert (then is GO) is verdict.fine(phase, code)


def test_long_words_are_looked_at_for_a_moment_only() -> None:
    for text in (b"<" * 30_000, b'"' * 30_000, b"x" * 30_000, b"@" * 30_000, b"too many " * 3_000):
        assert judge(Phase.RCPT, 550, b"550 " + text) is REFUSED


# --- greylisting is no limit of a connection --------------------------------------------------------------------------

GREY = b"451 4.7.1 <a@x.org>: greylisted, come back in 300 seconds"


@pytest.mark.parametrize(
    "said",
    [
        GREY,
        b"451 4.7.1 <b@y.org>: greylisted, come back in 12 seconds",
        b"451 4.7.1 <>: Greylisted, come back in 1 seconds",
    ],
)
@pytest.mark.parametrize(("phase", "then"), [(Phase.MAIL, LATER), (Phase.RCPT, DEFERRED), (Phase.DATA, LATER)])
def test_what_a_fresh_connection_said_as_well_uses_none_up(phase: Phase, then: Then, said: bytes) -> None:
    assert judge(phase, 451, said, USED) is Then.USED_UP
    assert judge(phase, 451, said, USED._replace(said_afresh=frozenset([gist(GREY)]))) is then


@pytest.mark.parametrize(
    "said", [b"452 4.7.1 <a@x.org>: greylisted, come back in 300 seconds", b"451 4.7.1 enough", b"421 bye"]
)
def test_other_words_do(said: bytes) -> None:
    past = USED._replace(said_afresh=frozenset([gist(GREY)]))
    assert judge(Phase.RCPT, int(said[:3]), said, past) is Then.USED_UP


def test_421_always_does() -> None:
    past = USED._replace(said_afresh=frozenset([gist(b"421 4.7.0 too much")]))
    assert judge(Phase.MAIL, 421, b"421 4.7.0 too much", past) is Then.USED_UP
