"""A spooled message becomes a queued message: who gets it, from whom, with which Received line on top. Pure.

Until the receiver has said anything of a message it is routed by today's settings, so that a mended dmail.conf mends
what waits. From the first verdict on the journal's recipients hold: nobody who accepted it may be asked again. Only
where its lines were damaged do those count as well whom routing finds.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from lib.config import helo
from lib.config.settings import Account, Secret, Settings
from lib.delivery.queued import QueuedMessage, Tried
from lib.mail import message, received, routing
from lib.mail.received import Trace
from lib.mail.routing import Route, RoutingRules
from lib.store.journal_facts import DEFERRED, UID_KEPT, UNSURE, Entry, RecipientVerdict
from lib.store.spool import Stored

# How the journal calls what the caretaker said: an address cannot begin like this, for it holds a bare space.
CARETAKER = b"caretaker "
# How journal and log call the mails to pf_notify_address; no account can have this name.
NOTICES = "(notices)"
# And the mails to the caretaker that are no copies; PLAIN ones hold no word of a stranger.
CARE, PLAIN = "(caretaker)", "(caretaker, plain)"
OURS = (NOTICES, CARE, PLAIN)
# What is on record of a recipient while others have their verdict already.
NOT_YET = b"no verdict yet"
# With what a reply begins that is about the connection, whoever it was said of.
CLOSING = b"421"
NOBODY = "no recipient found, and no pf_dflt_address is set"


class Origin(NamedTuple):
    """Where a message comes from: what routes it, and what our Received line says of it."""

    account: str
    label: str
    host: str
    ip: str
    protocol: str
    by: str
    rules: RoutingRules
    mail_from: str


class Moment(NamedTuple):
    """When a message was fetched: in seconds since the epoch, and on the monotonic clock."""

    when: float
    tick: float


def recipients(verdicts: Mapping[bytes, RecipientVerdict]) -> dict[bytes, RecipientVerdict]:
    """Return the verdicts of the message's own recipients, without the caretaker's."""
    return {who: said for who, said in verdicts.items() if not who.startswith(CARETAKER)}


@lru_cache(maxsize=128)
def trace(origin: Origin, second: int) -> Trace:
    """Return what our Received line tells of a message; those of one account and second are the same."""
    when = datetime.fromtimestamp(second, UTC)
    return Trace(origin.account, origin.host, origin.ip, origin.protocol, origin.by, when)


@lru_cache(maxsize=128)
def _line(told: Trace, recipients: tuple[bytes, ...]) -> bytes:
    return received.line(told, recipients)


def envelope(stored: Stored, key: str, origin: Origin, entry: Entry | None, fetched: Moment) -> QueuedMessage:
    """Return the queued message of a spooled message."""
    when, tick = fetched
    head = message.scan(stored.head)
    sender, used = message.sender(head, origin.mail_from)
    said = recipients(entry.recipients) if entry is not None and entry.recipients else {}
    sure = said and UNSURE not in (entry.recipients if entry is not None else ())
    route = Route((), "", "", by_to_unfiltered=False) if sure else routing.route(head, origin.rules)
    everybody = tuple(dict.fromkeys((*said, *route.recipients)))
    circles = received.circles(head, origin.account, everybody)
    told = trace(origin, int(when))
    line = _line(told, everybody)
    return QueuedMessage(
        account=origin.account,
        label=origin.label,
        key=key,
        uid=_uid(stored, entry),
        number=stored.number,
        size=stored.size,
        sha=stored.sha,
        eightbit=stored.eightbit,
        clean=stored.clean,
        body=stored.body,
        head=head._replace(fields=()),  # thousands may wait, and nobody asks for the fields again
        opening=message.opening(stored.head, head, line, used),
        traced=len(line),
        trace=told,
        sender=entry.sender if entry is not None and said else sender,
        recipients=everybody,
        deferred=_unheard_first(everybody, said),
        since=entry.since if entry is not None and entry.since else when,
        began=tick,
        fault="" if everybody else NOBODY,
        circles=circles,
        spent=bool(circles) and received.had(head, origin.account, origin.rules.caretaker or b""),
        unfiltered=route.by_to_unfiltered,
        tried=tried(entry),
    )


def _unheard_first(everybody: tuple[bytes, ...], said: Mapping[bytes, RecipientVerdict]) -> tuple[bytes, ...]:
    """Return who has neither accepted nor refused it; in front whom no reply told of himself.

    A receiver that closes a connection after so many errors (421, RFC 5321 section 3.8) would otherwise do so at the
    same place in every pass, and never be asked about those behind it.
    """
    deferred = [who for who in everybody if said.get(who, (DEFERRED, b""))[0] == DEFERRED]
    return tuple(sorted(deferred, key=lambda who: _told_of_himself(said.get(who, (DEFERRED, b""))[1])))


def _told_of_himself(words: bytes) -> bool:
    return words[:1].isdigit() and not words.startswith(CLOSING)


def tried(entry: Entry | None) -> Tried:
    """Return what earlier passes tried; a message at which a POP session died has not been tried at all."""
    if entry is None or not any(status == DEFERRED and words != NOT_YET for status, words in entry.recipients.values()):
        return Tried.NEVER
    return Tried.BROKE if entry.troubles else Tried.PUT_OFF


def _uid(stored: Stored, entry: Entry | None) -> bytes:
    """Return the UID that the journal knows it by, of a very long one the whole; the server may have changed it."""
    if entry is None or stored.uid[:UID_KEPT] == entry.uid:
        return stored.uid
    return entry.uid


def origins(settings: Settings) -> Callable[[str], Origin]:
    """Return what tells of an account's id where its mail comes from and who routes it, known to dmail.conf or not."""
    by = helo.name(settings)

    def origin(account: Account, name: str, label: str) -> Origin:
        rules = routing.rules(settings, account)
        return Origin(name, label, account.host, "", "POP3", by, rules, settings.pf_mail_from)

    known = {account.id: origin(account, account.id, account.name) for account in settings.pf_user}

    def find(name: str) -> Origin:
        if name not in known:
            found = origin(_stranger(settings, name), name, name)
            known[name] = found if _filters(settings) else found._replace(rules=found.rules._replace(headers=()))
        return known[name]

    return find


def _filters(settings: Settings) -> bool:
    """Say whether nobody but people of ours can be a recipient, whatever the options of an account were."""
    return bool(settings.pf_accept_domain or settings.pf_domain)


def _stranger(settings: Settings, name: str) -> Account:
    """Return what stands for an account that dmail.conf does not name any more, and for those of our own mails."""
    host, colon, port = name.rpartition("@")[2].rpartition(":")
    caretaker = settings.pf_dflt_address
    to = {NOTICES: settings.pf_notify_address, CARE: caretaker, PLAIN: caretaker}.get(name)
    named = host if colon and port.isdigit() and ":" not in host else name.rpartition("@")[2]
    return Account(user=name, password=Secret("", ""), host=named, to=to, headers=settings.pf_header)
