"""--duds: list and show what lies in duds.dat, and send it again to those whom it was meant for.

A dud that every one of them has accepted leaves the file; one that some accepted stays for the others; one that is
refused again stays as it is, and counts for nothing. A dud that had no recipient is routed by today's settings.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lib.commands.cli import Wish
from lib.config.dmail_conf import Configuration
from lib.delivery.envelope import Origin, origins, trace
from lib.delivery.queued import DeliveryAttempt, DeliveryRequest, QueuedMessage, RecipientStatus
from lib.errors import Exit, UsageError
from lib.mail import message, received, routing
from lib.mail.address import in_ascii
from lib.mail.message import MAX_HEAD
from lib.report import console
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health
from lib.smtp.session import Session, receiver
from lib.store.duds import DudInfo, Duds
from lib.store.lock import only_pass
from lib.visible import visible


def show_list(plan: Configuration, _wish: Wish) -> Exit:
    """Print a line for each dud, numbered from 1, and its reasons below."""
    for dud in _duds(plan).list():
        to = ", ".join(visible(who) for who in dud.recipients) or "nobody"
        console.say(f"{dud.number}  {dud.when:%Y-%m-%d %H:%M}  {visible(dud.account)}  {dud.size} octets  to {to}")
        console.say(f"   from <{visible(dud.sender)}>: {visible(dud.subject, 60)}")
        for reason in dud.reasons:
            console.say(f"   {visible(reason)}")
    return Exit.OK


def show_one(plan: Configuration, wish: Wish) -> Exit:
    """Print one message of duds.dat: its octets, but to a terminal control characters escaped."""
    duds = _duds(plan)
    console.pour(duds.chunks(_chosen(duds, wish)[0].number))
    return Exit.OK


def resend(plan: Configuration, wish: Wish) -> Exit:
    """Send one dud, or all, again; OWED when the receiver takes nothing now, DUDS when some stay. ReceiverError."""
    with only_pass(plan.settings.work_path / "popfetch.lock"):
        duds = _duds(plan)
        stayed = [dud for dud in reversed(_chosen(duds, wish)) if not _sent(plan, duds, dud)]
    return Exit.DUDS if stayed else Exit.OK


def _duds(plan: Configuration) -> Duds:
    return Duds(plan.settings.work_path / "duds.dat")


def _chosen(duds: Duds, wish: Wish) -> list[DudInfo]:
    found = duds.list()
    if wish.number is None:
        return found
    if not 1 <= wish.number <= len(found):
        raise UsageError(f"there is no dud {wish.number}: duds.dat holds {len(found)}, see --duds list")
    return [found[wish.number - 1]]


@dataclass(slots=True)
class _Once:
    """Work of one delivery request."""

    duds: Duds
    requests: list[DeliveryRequest]
    result: dict[bytes, RecipientStatus] = field(default_factory=dict)
    stopped: bool = False

    def take(self) -> DeliveryRequest | None:
        """See Work."""
        return self.requests.pop() if self.requests else None

    def poll(self) -> DeliveryRequest | None:
        """See Work."""
        return None

    def give_back(self, request: DeliveryRequest) -> None:
        """See Work."""
        self.requests.append(request)

    def put_behind(self, request: DeliveryRequest) -> None:
        """See Work."""
        self.requests.append(request)

    def body(self, queued: QueuedMessage) -> Iterator[bytes]:
        """See Work."""
        return _skipping(self.duds.chunks(queued.number), queued.head.end)

    def heard(self, result: DeliveryAttempt) -> Iterable[DeliveryRequest]:
        """See Work: keep what was said."""
        self.result.update(result.answers)
        return ()

    def broke(self, queued: QueuedMessage, why: str) -> None:
        """See Work: nothing is remembered of a dud."""

    def said(self, who: bytes) -> RecipientStatus:
        """Return what was heard last about *who*."""
        return self.result.get(who, RecipientStatus("", b"no answer"))


def _sent(plan: Configuration, duds: Duds, dud: DudInfo) -> bool:
    """Send one dud; say whether everybody has it now, and tell who has not."""
    origin = origins(plan.settings)(dud.account)
    octets = _beginning(duds.chunks(dud.number))
    queued = _queued(dud, octets, origin)
    if not queued.recipients:
        console.complain([f"dud {dud.number} has no recipient, and today's settings give it none"])
        return False

    once = _Once(duds, [DeliveryRequest(queued, queued.sender, queued.recipients, queued.opening)])
    try:
        Deliver(Session(receiver(plan.settings)), Health(), once).run()
    finally:  # of a crowd some may have it before the receiver goes down
        left = [who for who in queued.recipients if once.said(who).status != "accepted"]
        _take_out(duds, dud, left, len(queued.recipients))
    for who in left:
        words = once.said(who).text
        console.complain([f"dud {dud.number} stays: <{visible(who)}>: {visible(words)}"])
    return not left


def _take_out(duds: Duds, dud: DudInfo, left: list[bytes], recipients: int) -> None:
    """Take a dud out of the file if any of its *recipients* has it now; for those who are *left* it goes in again."""
    if len(left) == recipients:
        return
    if left:
        now = datetime.fromtimestamp(time.time(), UTC)
        duds.append(now, dud.account, dud.uid, dud.sender, left, dud.reasons, duds.chunks(dud.number))
    duds.remove([dud.number])
    console.say(f"dud {dud.number} is delivered to {recipients - len(left)} of {recipients}")


def _queued(dud: DudInfo, octets: bytes, origin: Origin) -> QueuedMessage:
    head, now = message.scan(octets), datetime.now(UTC)
    recipients = tuple(map(in_ascii, dud.recipients)) or routing.route(head, origin.rules).recipients
    used = message.sender(head, origin.mail_from)[1]
    told = trace(origin, int(now.timestamp()))
    line = received.line(told, recipients)
    opening = message.opening(octets, head, line, used)
    return QueuedMessage(
        account=dud.account,
        label=origin.label,
        key="",
        uid=dud.uid,
        number=dud.number,
        size=dud.size,
        sha="",
        eightbit=True,
        clean=False,  # other programs may have been in the file
        body=None,
        head=head,
        opening=opening,
        traced=len(line),
        trace=told,
        sender=dud.sender,
        recipients=recipients,
        deferred=recipients,
        since=now.timestamp(),
        began=time.monotonic(),
    )


def _beginning(chunks: Iterator[bytes]) -> bytes:
    octets = b""
    for chunk in chunks:
        octets += chunk
        if len(octets) >= MAX_HEAD or b"\r\n\r\n" in octets:
            break
    return octets[:MAX_HEAD]


def _skipping(chunks: Iterator[bytes], octets: int) -> Iterator[bytes]:
    """Yield *chunks* without the first *octets*."""
    for chunk in chunks:
        yield chunk[octets:]
        octets = max(octets - len(chunk), 0)
