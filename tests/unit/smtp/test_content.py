"""A message as it goes over the wire: the same octets, whatever pieces it comes in, and no dot that ends it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from lib.delivery.queued import DeliveryRequest
from lib.smtp.content import PART, content
from tests.arrivals import cut_at, places, soup
from tests.unit.smtp.test_transaction import ME, request


def wire(one: DeliveryRequest, *body: bytes) -> bytes:
    return b"".join(content(one, body))


def test_a_clean_message_is_sent_as_it_is_with_its_dots_doubled() -> None:
    message = b"Subject: hi\r\n\r\n.\r\n..\r\nx\r\n"
    one = request(ME, message=message)
    assert wire(one, b"\r\n.\r\n..\r\nx\r\n") == b"Received: by us\r\nSubject: hi\r\n\r\n..\r\n...\r\nx\r\n"


def test_a_message_that_is_not_clean_is_mended() -> None:
    one = request(ME, clean=False)
    assert wire(one, b"\n.a\rb\r\r\nc\0") == b"Received: by us\r\nSubject: hi\r\n\r\n..a\r\nb\r\nc\r\n"


@pytest.mark.parametrize("clean", [True, False])
def test_the_caretakers_copy_ends_in_its_closing(clean: bool) -> None:
    one = replace(request(ME, clean=clean), opening=b"To: c\r\n\r\n", closing=b"\r\n--end--\r\n")
    assert wire(one, b"x\r\n") == b"To: c\r\n\r\nx\r\n\r\n--end--\r\n"


def test_a_dot_at_the_seams_is_doubled() -> None:
    one = replace(request(ME), opening=b".a\r\n", closing=b".c\r\n")
    assert wire(one, b".b\r", b"\n", b".b\r\n") == b"..a\r\n..b\r\n..b\r\n..c\r\n"


@pytest.mark.parametrize("clean", [True, False])
def test_there_is_always_something_to_send(clean: bool) -> None:
    one = replace(request(ME, clean=clean), opening=b"")
    assert list(content(one, [])) == [b""]


def test_a_large_message_comes_in_parts_and_stays_whole() -> None:
    body = b"x" * 998 + b"\r\n"
    parts = list(content(request(ME), [body * 100] * 50))
    assert b"".join(parts) == b"Received: by us\r\nSubject: hi\r\n" + body * 5000
    assert len(parts) > 10
    assert all(PART <= len(part) <= PART + 200_000 for part in parts[:-1])


BODY = soup(b"\r\n.", b".", b"\r", b"\n", b"\r\n", b"\0", b"x")


@settings(deadline=None)
@given(BODY, places)
def test_no_message_ends_its_own_content_or_holds_a_bare_line_end(body: bytes, cuts: list[int]) -> None:
    one = request(ME, clean=False)
    sent = wire(one, *cut_at(body, cuts))
    assert sent == wire(one, body)
    assert sent.endswith(b"\r\n")
    assert b"\r\n.\r\n" not in b"\r\n" + sent
    assert b"\0" not in sent
    plain = sent.replace(b"\r\n", b"")
    assert b"\r" not in plain
    assert b"\n" not in plain
