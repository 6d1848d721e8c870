"""A message on its way, and the post by which its fetcher hears of it."""

import re
import threading
import time
from datetime import UTC, datetime

import pytest

from lib.delivery.queued import DeliveryRequest, QueuedMessage, Receipts
from lib.mail.message import scan
from lib.mail.received import Trace
from lib.smtp.content import content

LONG = 20.0  # seconds: only a test that fails waits so long
MESSAGE = b"From nobody\nSubject: hi\r\n\r\nbody\r\n"


def queued(opening: bytes) -> QueuedMessage:
    return QueuedMessage(
        account="bob@pop.example.org",
        label="bob",
        key="uid:1",
        uid=b"1",
        number=1,
        size=len(MESSAGE),
        sha="5ha",
        eightbit=False,
        clean=False,
        body=MESSAGE,
        head=scan(MESSAGE),
        opening=opening,
        traced=0,
        trace=Trace("bob", "pop.example", "", "POP3", "mx.example", datetime.fromtimestamp(0, UTC)),
        sender=b"",
        recipients=(b"a@b",),
        deferred=(b"a@b",),
        since=0.0,
        began=0.0,
    )


def test_an_errand_counts_what_is_sent_and_not_what_was_fetched() -> None:
    one = queued(b"Received: by us\r\nSubject: hi\r\n")
    request = DeliveryRequest(one, b"", one.recipients, one.opening)
    assert request.size == len(b"Received: by us\r\nSubject: hi\r\n\r\nbody\r\n")


def test_the_caretakers_copy_counts_its_own_words() -> None:
    one = queued(b"Received: by us\r\n")
    request = DeliveryRequest(one, b"", (b"c@d",), b"Subject: copy\r\n", closing=b"--end--\r\n", to_caretaker=True)
    assert request.size == len(b"Subject: copy\r\n\r\nbody\r\n--end--\r\n")


@pytest.mark.parametrize(
    ("opening", "body", "closing"),
    [
        (b"Subject: hi\r\n", [b"\r\nbody\r\n"], b""),
        (b"Subject: hi\n", [b"\nbo", b"dy\n\n", b".\n..dots"], b""),
        (b"A: b\r\n", [b"\r\none\r", b"\ntwo\r", b"\r\nthree\rfour\0"], b""),
        (b"A: b\n", [b"\nno end"], b"\r\n--end--\r\n"),
        (b"A: b\n", [], b""),
    ],
)
def test_size_is_exactly_what_is_sent(opening: bytes, body: list[bytes], closing: bytes) -> None:
    octets = b"".join(body)
    clean = b"\n" not in (opening + octets + closing).replace(b"\r\n", b"")
    one = queued(opening)._replace(clean=clean, size=len(octets), head=scan(b""), body=octets)
    request = DeliveryRequest(one, b"", (b"c@d",), opening, closing).measured(body)
    sent = b"".join(content(request, body))
    assert request.size == len(re.sub(rb"(?m)^\.\.", b".", sent))


def test_news_come_in_their_order_and_once() -> None:
    post = Receipts()
    post.put("a", settled=True)
    post.put("b", settled=False)
    assert list(post.take()) == [("a", True), ("b", False)]
    assert list(post.take()) == []


def test_news_that_come_while_they_are_read_are_read() -> None:
    post = Receipts()
    post.put("a", settled=True)
    news = post.take()
    next(news)
    post.put("b", settled=True)
    assert list(news) == [("b", True)]


def took(post: Receipts) -> float:
    began = time.monotonic()
    post.wait(LONG)
    return time.monotonic() - began


def test_with_news_there_is_nothing_to_wait_for() -> None:
    post = Receipts()
    post.put("a", settled=True)
    assert took(post) < LONG / 2


def test_news_end_the_wait() -> None:
    post = Receipts()
    threading.Timer(0.01, post.put, ("a",), {"settled": True}).start()
    assert took(post) < LONG / 2
    assert list(post.take()) == [("a", True)]


def test_a_nudge_ends_the_wait() -> None:
    post = Receipts()
    threading.Timer(0.01, post.nudge).start()
    assert took(post) < LONG / 2


def test_a_nudge_that_comes_just_before_the_wait_is_not_lost() -> None:
    # The fetcher looks whether the pass has halted, the pass halts and nudges, the fetcher waits: for 20 seconds.
    post = Receipts()
    post.nudge()
    assert took(post) < LONG / 2


def test_a_nudge_ends_one_wait_only() -> None:
    post = Receipts()
    post.nudge()
    post.nudge()
    post.wait(LONG)
    began = time.monotonic()
    post.wait(0.01)
    assert time.monotonic() - began >= 0.005


def test_without_news_the_wait_has_its_end() -> None:
    post = Receipts()
    post.wait(0.001)
    assert list(post.take()) == []


def test_who_waits_for_several_news_is_woken_once_by_the_last_of_them() -> None:
    post = Receipts()
    woken: list[list[tuple[str, bool]]] = []

    def fetch() -> None:
        post.wait(LONG, enough=3)
        woken.append(list(post.take()))

    fetcher = threading.Thread(target=fetch)
    fetcher.start()
    for key in "abc":
        assert fetcher.is_alive()
        post.put(key, settled=True)
    fetcher.join(LONG / 2)
    assert woken == [[("a", True), ("b", True), ("c", True)]]


def test_several_news_that_do_not_all_come_are_waited_for_no_longer_than_agreed() -> None:
    post = Receipts()
    post.put("a", settled=True)
    post.wait(0.001, enough=2)
    assert list(post.take()) == [("a", True)]
