"""--duds resend: send again what lies in duds.dat; --duds drop: throw it away.

The law: what the receiver says is in the journal before anything else happens, under the dud's own name. So whoever
was killed between a 250 and the change of duds.dat finds there who has it, and nobody gets it twice. A dud that
everybody whom it was sent to has accepted leaves the file; one that some accepted stays for the others; one that is
refused again stays as it is, and counts for nothing.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from lib.commands.cli import Wish
from lib.config.dmail_conf import Configuration
from lib.delivery.envelope import NOT_YET, OURS, Origin, origins, trace
from lib.delivery.queued import DeliveryAttempt, DeliveryRequest, QueuedMessage
from lib.delivery.record import records
from lib.errors import Exit, StorageError, UsageError
from lib.mail import message, received, routing
from lib.mail.address import in_ascii, mailbox_key, safe
from lib.mail.message import MAX_HEAD
from lib.mail.routing import Route
from lib.report import console
from lib.run import stores
from lib.smtp.deliver import Deliver
from lib.smtp.health import Health
from lib.smtp.session import Session, receiver
from lib.store import state
from lib.store.duds import DudInfo, Duds
from lib.store.journal import Journal, damage_told
from lib.store.journal_facts import ACCEPTED, DEFERRED, Entry, Gone, RecipientVerdict, Verdicts
from lib.store.lock import only_pass
from lib.visible import visible

# What the journal calls the account of all duds that are sent again; no account can have this name.
ACCOUNT = "(duds)"
# Before a dud's name where it was sent to others than those whom it was meant for.
ELSEWHERE = "to "


class Target(NamedTuple):
    """What is sent again: the dud, under the number that a person knows it by, and to whom."""

    number: int
    dud: DudInfo
    to: tuple[bytes, ...]  # what --to says

    @property
    def key(self) -> str:
        """What the journal calls it."""
        return (ELSEWHERE if self.to else "") + self.dud.id


def resend(plan: Configuration, wish: Wish) -> Exit:
    """Send one dud, or all, again; DEFERRED when the receiver takes nothing now, DUDS when some stay. ReceiverError."""
    to = tuple(dict.fromkeys(_address(one) for one in wish.to))
    with _at_work(plan) as (duds, journal):
        chosen = chosen_of(duds.list(), wish)
        _finish_killed(duds, journal)
        stayed = [one for one in chosen if not _sent(plan, duds, journal, one, to)]
    return Exit.DUDS if stayed else Exit.OK


def drop(plan: Configuration, wish: Wish) -> Exit:
    """Throw one dud away, unsent."""
    with _at_work(plan) as (duds, journal):
        (dud,) = chosen_of(duds.list(), wish)
        duds.remove([dud.number])
        journal.note(Gone(ACCOUNT, (dud.id, ELSEWHERE + dud.id)))
    console.say(f"dud {dud.number} is thrown away")
    return Exit.OK


def chosen_of(found: list[DudInfo], wish: Wish) -> list[DudInfo]:
    """Return those that *wish* names, all where it names no number. UsageError."""
    if wish.number is None:
        return found
    if not 1 <= wish.number <= len(found):
        raise UsageError(f"there is no dud {wish.number}: duds.dat holds {len(found)}, see --duds list")
    return [found[wish.number - 1]]


def _address(text: str) -> bytes:
    address = in_ascii(text.encode("utf-8", "surrogateescape"))
    if not address or not safe(address):
        raise UsageError(f"--to: {visible(text)} cannot stand in RCPT TO:<...>")
    return address


@contextmanager
def _at_work(plan: Configuration) -> Iterator[tuple[Duds, Journal]]:
    """Take the lock, and open the stores as a pass does: a burial that was broken off is finished first."""
    settings = plan.settings
    with only_pass(settings.work_path / "popfetch.lock"):
        known = state.load(settings.work_path / "popfetch_state.toml")
        with stores.opened(settings, known.duds_in_a_row, "") as place:
            if place.journal.held(ACCOUNT):
                raise StorageError(damage_told(place.journal.damages))
            yield place.duds, place.journal


# --- who gets it -----------------------------------------------------------------------------------------------------


def addressees(dud: DudInfo, route: Route, to: Sequence[bytes], *, known: bool) -> tuple[bytes, ...]:
    """Return to whom a dud is sent.

    Until somebody has it, it is routed by today's settings, so that a mended dmail.conf mends it; *known*: they name
    its account. Where some have it, or nobody can tell, it goes to those whom it was meant for and who have it not.
    """
    if to:
        had = set(map(mailbox_key, dud.had))
        return tuple(who for who in to if mailbox_key(who) not in had)
    anew = known and not dud.had and not dud.by_version_1
    meant = tuple(map(in_ascii, dud.recipients))
    return (route.recipients if anew else ()) or meant or route.recipients


def after(
    dud: DudInfo, said: dict[bytes, RecipientVerdict], *, elsewhere: bool
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return for whom a dud is from now on that some have not accepted, and who has it."""
    accepted = [who for who, (status, _) in said.items() if status == ACCEPTED]
    left = [who for who in said if who not in accepted]
    had = tuple(dict.fromkeys((*dud.had, *accepted)))
    return (dud.recipients if elsewhere else tuple(left)), had


# --- sending it ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Once:
    """Work of one delivery request."""

    duds: Duds
    journal: Journal
    requests: list[DeliveryRequest]
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
        """See Work: write down what was said."""
        entry = self.journal.of(ACCOUNT).get(result.request.queued.key) or Entry(result.request.queued.key)
        self.journal.note(*records(result, entry, time.time()))
        self.journal.sync()
        return ()

    def broke(self, queued: QueuedMessage, why: str) -> None:
        """See Work: nothing is remembered of a dud."""


def _sent(plan: Configuration, duds: Duds, journal: Journal, chosen: DudInfo, to: tuple[bytes, ...]) -> bool:
    """Send one dud; say whether everybody has it now, and tell who has not."""
    found = next((one for one in duds.list() if one.id == chosen.id), None)
    if found is None:
        console.say(f"dud {chosen.number} had been delivered already")
        return True
    one = Target(chosen.number, found, to)
    origin = origins(plan.settings)(found.account)
    known = found.account in {account.id for account in plan.settings.pf_user} or found.account in OURS
    queued = _queued(duds, one, origin, known=known)
    if not queued.recipients:
        why = "everybody has it already" if to else "it has no recipient, and today's settings give it none"
        console.complain([f"dud {one.number} stays: {why}"])
        return False
    asked = dict.fromkeys(queued.recipients, (DEFERRED, NOT_YET))
    journal.note(Verdicts(ACCOUNT, one.key, queued.sender, asked, time.time()))
    request = DeliveryRequest(queued, queued.sender, queued.recipients, queued.opening)
    once = _Once(duds, journal, [request.measured(_skipping(duds.chunks(found.number), queued.head.end))])
    try:
        Deliver(Session(receiver(plan.settings)), Health(), once).run()
    finally:  # of a crowd some may have it before the receiver goes down
        left = _settled(duds, journal, one)
    for who, words in left.items():
        console.complain([f"dud {one.number} stays: <{visible(who)}>: {visible(words)}"])
    return not left


def _settled(duds: Duds, journal: Journal, one: Target) -> dict[bytes, bytes]:
    """Let duds.dat say what the journal says, and the journal forget it; return who was left, and why."""
    entry = journal.of(ACCOUNT).get(one.key) or Entry(one.key)
    said = entry.recipients
    left = {who: words for who, (status, words) in said.items() if status != ACCEPTED}
    if len(left) < len(said):
        if left:
            duds.change(one.dud.number, *after(one.dud, said, elsewhere=bool(one.to)), one.dud.id)
        else:
            duds.remove([one.dud.number])
        console.say(f"dud {one.number} is delivered to {len(said) - len(left)} of {len(said)}")
    journal.note(Gone(ACCOUNT, (one.key,)))
    journal.flush()
    return {who: words if words != NOT_YET else b"no answer" for who, words in left.items()}


def _finish_killed(duds: Duds, journal: Journal) -> None:
    """Settle what a killed --duds resend had heard."""
    heard = set(journal.of(ACCOUNT))
    for dud in reversed(duds.list()) if heard else ():
        for key in {dud.id, ELSEWHERE + dud.id} & heard:
            _settled(duds, journal, Target(dud.number, dud, (b"",) if key.startswith(ELSEWHERE) else ()))
            heard.discard(key)
    journal.note(Gone(ACCOUNT, tuple(heard)))


def _queued(duds: Duds, one: Target, origin: Origin, *, known: bool) -> QueuedMessage:
    dud, octets = one.dud, _beginning(duds.chunks(one.dud.number))
    head, now = message.scan(octets), datetime.now(UTC)
    recipients = addressees(dud, routing.route(head, origin.rules), one.to, known=known)
    told = trace(origin, int(now.timestamp()))
    line = received.line(told, recipients)
    sender, used = message.sender(head, origin.mail_from)
    return QueuedMessage(
        account=ACCOUNT,
        label=origin.label,
        key=one.key,
        uid=dud.uid,
        number=dud.number,
        size=dud.size,
        sha="",
        eightbit=True,
        clean=False,  # other programs may have been in the file
        body=None,
        head=head,
        opening=message.opening(octets, head, line, used),
        traced=len(line),
        trace=told,
        sender=sender,
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
