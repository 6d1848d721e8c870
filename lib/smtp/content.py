"""A message as it goes over the wire. Pure."""

from collections.abc import Iterable, Iterator

from lib.delivery.queued import DeliveryRequest
from lib.mail.message import Canon
from lib.smtp.smtp import Stuffing

PART = 128 << 10
"""Content is written in parts of about this size, octets."""


def content(request: DeliveryRequest, body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the message as it goes over the wire: line ends mended where they must be, dots doubled; no final dot.

    *body* is the spooled message from the end of its header on. Never yields nothing at all.
    """
    stuffing, canon, clean = Stuffing(), Canon(), request.queued.clean
    buffer = stuffing.feed(request.opening if clean else canon.feed(request.opening))
    for part in body:
        buffer += stuffing.feed(part if clean else canon.feed(part))
        if len(buffer) >= PART:
            yield buffer
            buffer = b""
    tail = request.closing if clean else canon.feed(request.closing) + canon.finish()
    yield buffer + stuffing.feed(tail)
