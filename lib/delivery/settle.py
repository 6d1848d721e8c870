"""What becomes of a message when the receiver has spoken is done here, and written down; fate says what it is.

The order of every end: the journal's line is written (a killed pass keeps it), then the spool file is free, then the
fetcher hears of it, which deletes only after the journal is synced. A dud is fsynced in duds.dat before any of that.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from lib.delivery import contents, letters, record, retry, safety_net
from lib.delivery.burial import Burial
from lib.delivery.envelope import CARE, CARETAKER, OURS, PLAIN, recipients
from lib.delivery.fate import Fate, NextStep, care, fate, next_step
from lib.delivery.letters import Letters
from lib.delivery.queued import DeliveryAttempt, DeliveryRequest, QueuedMessage, Receipts
from lib.delivery.safety_net import COUNTS, Ground, SafetyNet
from lib.errors import StorageError
from lib.mail import caretaker, received
from lib.report import log, notice
from lib.report.outcome import Observer, Tally
from lib.store.duds import Duds
from lib.store.journal import Journal
from lib.store.journal_facts import (
    ACCEPTED,
    REFUSED,
    Delivered,
    Dud,
    Lost,
    RecipientVerdict,
    Record,
    Spooled,
    Trouble,
    Verdicts,
)
from lib.store.spool import Spool, Stored

LOG = logging.getLogger("popfetch.deliver")
DAY = 86400.0


class Defaults(NamedTuple):
    """pf_dflt_address, and pf_give_up in days."""

    caretaker: bytes
    give_up: int


@dataclass(slots=True, eq=False, repr=False)
class Settlement:
    """Decides and writes down; called by every delivery thread."""

    journal: Journal
    spool: Spool
    duds: Duds
    terms: Defaults
    safety_net: SafetyNet
    observer: Observer
    now: Callable[[], float]
    letters: Letters
    _lock: Lock = field(default_factory=Lock)
    _receipts: dict[str, Receipts] = field(default_factory=dict)
    _tallies: dict[str, Tally] = field(default_factory=dict)
    _copied: set[tuple[str, str]] = field(default_factory=set)  # whose copy the caretaker was offered in this pass
    _warned: set[str] = field(default_factory=set)  # accounts whose mail may go to strangers

    def expect(self, account: str, receipts: Receipts) -> None:
        """Send news of *account* to *receipts* from now on."""
        self._receipts[account] = receipts

    def tally(self, account: str) -> Tally:
        """Return what was settled for *account* so far."""
        return self._tallies.setdefault(account, Tally())

    def accounts(self) -> tuple[str, ...]:
        """Return those for which anything was settled so far."""
        return tuple(account for account, tally in self._tallies.items() if any(tally.counts()))

    def first(self, queued: QueuedMessage) -> Iterable[DeliveryRequest]:
        """Return the first delivery request of a queued message; none when it is a dud at once. SafetyNetError."""
        if queued.unfiltered:
            self._warn_of_strangers(queued)
        if queued.fault:
            self._bury(queued, Fate(), [queued.fault.encode()], Ground.NOBODY)
            return ()
        if queued.circles:
            self.journal.note(*record.in_circles(queued, self.now()))
            self.journal.flush()
            return self._conclude(queued)
        entry, due = self.journal.of(queued.account).get(queued.key), queued.deferred
        if entry is not None and entry.losses:
            due = tuple(who for who in due if retry.due(entry.losses.get(who), self.now()))
        request = DeliveryRequest(queued, queued.sender, due, queued.opening)
        return (request.measured(contents.body(self.spool, queued)),) if due else self._conclude(queued)

    def consider(self, result: DeliveryAttempt) -> Iterable[DeliveryRequest]:
        """Write down what a transaction came to, and return what follows at once: copy or letter to the caretaker."""
        queued = result.request.queued
        accepted = any(answer.status == ACCEPTED for answer in result.answers.values())
        if accepted:
            self.safety_net.delivered()
        if accepted and _all_at_once(result):
            self._delivered(queued, {who: (said.status, said.text) for who, said in result.answers.items()})
            return ()
        facts = list(record.records(result, self.journal.of(queued.account)[queued.key], self.now()))
        letter = self._tell_of_losses(queued, facts)  # first: a pass that is killed now finds it written
        self.journal.note(*facts)
        try:
            self.journal.flush()
        except StorageError:  # a full disk, perhaps
            self.spool.make_room()
            self.journal.flush()
        return (*_request(letter), *(self._conclude(queued) if result.final else ()))

    def _tell_of_losses(self, queued: QueuedMessage, facts: list[Record]) -> QueuedMessage | None:
        """Write to the caretaker, once, when the verdict on a message got lost time and again."""
        lost = next((fact.losses for fact in facts if type(fact) is Lost), {})
        whom = [who for who, loss in lost.items() if loss.number >= retry.TOLD_AFTER and not who.startswith(CARETAKER)]
        if not whom or not self.terms.caretaker or queued.account in OURS:
            return None
        reasons = {fact.recipients[who][1] for fact in facts if type(fact) is Verdicts for who in whom}
        about = letters.matter(queued, contents.beginning(self.spool, queued), whom, sorted(reasons))
        return self.letters.to_caretaker(
            self.terms.caretaker,
            letters.name("doubt", queued),
            lambda head: notice.may_have_come(head, about, times=lost[whom[0]].number),
            self.now(),
        )

    def _warn_of_strangers(self, queued: QueuedMessage) -> None:
        with self._lock:
            known = queued.account in self._warned
            self._warned.add(queued.account)
        if not known:
            why = "routed by To, which may name strangers; better: pf_accept_domain, pf_domain or to="
            LOG.warning("%s", log.line("account", account=queued.label, warning=why))

    def leave(self, stored: Stored, key: str) -> None:
        """Let the fetcher know that a message stays in the spool, whatever the reason."""
        self.spool.put_off(stored.number)
        receipts = self._receipts.get(stored.account)
        if receipts is not None:
            receipts.put(key, settled=False)

    def blame(self, queued: QueuedMessage, why: str) -> None:
        """Remember that the receiver broke off at *queued*: later passes send it last, so that it blocks nobody."""
        self.journal.note(Trouble(queued.account, queued.key, why, self.now()))
        self.journal.flush()

    def _conclude(self, queued: QueuedMessage) -> Iterable[DeliveryRequest]:
        entry = self.journal.of(queued.account)[queued.key]
        too_old = self.now() - queued.since > self.terms.give_up * DAY
        verdicts = dict(entry.recipients)
        ends = fate(recipients(verdicts), too_old=too_old)
        offered = (queued.account, queued.key) in self._copied or not retry.due(
            entry.losses.get(CARETAKER + self.terms.caretaker), self.now()
        )
        his = care(self.terms.caretaker, verdicts, entry.content, offered=offered, had=queued.spent)
        what = next_step(ends, his, too_old=too_old)
        match what:
            case NextStep.DELIVERED | NextStep.CARED_FOR:
                self._delivered(queued, verdicts, refused=what is NextStep.CARED_FOR)
            case NextStep.DEFER:
                self._defer(queued, ends.deferred, verdicts)
            case NextStep.DEFER_COPY:
                self._defer(queued, (his.address,), verdicts)
            case NextStep.COPY:
                self._copied.add((queued.account, queued.key))
                return (self._copy(queued, ends),)
            case NextStep.BURY | NextStep.BURY_AND_TELL:
                return self._to_duds(queued, ends, verdicts, tell=what is NextStep.BURY_AND_TELL)
        return ()

    def _to_duds(
        self, queued: QueuedMessage, ends: Fate, verdicts: dict[bytes, RecipientVerdict], *, tell: bool
    ) -> Iterable[DeliveryRequest]:
        """Bury a message that not even the caretaker would take; *tell* him of it by a letter."""
        if tell and queued.account == CARE:
            return self._plainer(queued, verdicts)
        address, entry = self.terms.caretaker, self.journal.of(queued.account)[queued.key]
        reasons = [b"<%b>: %b" % one for one in ends.refused]
        status, words = verdicts.get(CARETAKER + address, ("", b""))
        if status:
            reasons.append(b"the caretaker <%b>: %b" % (address, words))
        ours = queued.account in OURS
        ground = Ground.CIRCLES if queued.circles else safety_net.ground(content=bool(entry.content), ours=ours)
        return _request(self._bury(queued, ends, reasons, ground, tell=tell and queued.account != PLAIN))

    def _plainer(self, letter: QueuedMessage, verdicts: dict[bytes, RecipientVerdict]) -> Iterable[DeliveryRequest]:
        """Write to the caretaker without a stranger's words in place of a letter that was refused for what is in it."""
        name = letters.name("plain", letter)
        plain = self.letters.to_caretaker(self.terms.caretaker, name, notice.refused_letter, self.now(), plain=True)
        self.letters.take_back(letter)
        self._end(letter, "refused", verdicts, settled=True)
        return _request(plain)

    def _copy(self, queued: QueuedMessage, ends: Fate) -> DeliveryRequest:
        """Return the delivery request of the caretaker's copy, the paragraph of who got it and who did not on top.

        Its sender is null: nothing may bounce to a stranger, nor be refused for his sake.
        """
        octets = contents.beginning(self.spool, queued)
        paragraph = caretaker.paragraph(list(ends.accepted), list(ends.refused))
        line = received.line(queued.trace, (self.terms.caretaker,))  # by which he is known if it comes again
        copy = caretaker.copy(octets, queued.head, line + queued.opening[queued.traced :], paragraph, queued.sha)
        request = DeliveryRequest(
            queued, b"", (self.terms.caretaker,), copy.opening, closing=copy.closing, to_caretaker=True
        )
        return request.measured(contents.body(self.spool, queued))

    def _delivered(
        self, queued: QueuedMessage, verdicts: dict[bytes, RecipientVerdict], *, refused: bool = False
    ) -> None:
        self.journal.note(Delivered(queued.account, queued.key, queued.sha, self.now()))
        try:
            self.journal.flush()
        except StorageError:  # a full disk; its own room is enough for the line that says that everybody has it
            self.spool.free(queued.number)
            self.spool.make_room()
            self.journal.flush()
        else:
            self.spool.free(queued.number)
        self._end(queued, "refused" if refused else "delivered", verdicts, settled=True)

    def _defer(
        self, queued: QueuedMessage, deferred: tuple[bytes, ...], verdicts: dict[bytes, RecipientVerdict]
    ) -> None:
        entry = self.journal.of(queued.account)[queued.key]
        refetchable = not entry.lasting and queued.account not in OURS
        if refetchable and not self.spool.has_place_for(queued.number):
            # Its server still has it, and gives it again when there is room: nothing that comes behind it is blocked.
            self.journal.note(Spooled(queued.account, queued.key, 0, queued.uid, queued.sha, queued.size, queued.since))
            self.journal.flush()
            self.spool.free(queued.number)
        else:
            self.spool.put_off(queued.number)
        self._end(queued._replace(recipients=deferred), "deferred", verdicts, settled=False)

    def _bury(
        self, queued: QueuedMessage, ends: Fate, reasons: list[bytes], ground: Ground, *, tell: bool = False
    ) -> QueuedMessage | None:
        """Write a dud, fsynced; only then is the message settled. Return the letter that tells the caretaker of it."""
        whom = tuple(who for who, _ in ends.refused)
        with self._lock:
            letter = self._tell_of_dud(queued, whom, reasons) if tell else None
            try:
                Burial(self.journal, self.spool, self.duds).write(queued, ends, reasons, self.now())
            except StorageError:
                if letter is not None:
                    self.letters.take_back(letter)
                raise
        self.safety_net.dud(ground, Dud(queued.account, queued.key, queued.sha, self.now()))
        self.journal.flush()
        self.spool.free(queued.number)
        self._end(queued, "duds", {b"": (REFUSED, b"; ".join(reasons))}, settled=True)
        if COUNTS[ground]:
            self.safety_net.check()
        return letter

    def _tell_of_dud(
        self, queued: QueuedMessage, whom: tuple[bytes, ...], reasons: list[bytes]
    ) -> QueuedMessage | None:
        """Write to the caretaker that a message will be the next dud, for he would not take it for what it contains."""
        number = self.duds.count() + 1
        about = letters.matter(queued, contents.beginning(self.spool, queued), whom, reasons)
        return self.letters.to_caretaker(
            self.terms.caretaker,
            letters.name("content", queued),
            lambda head: notice.refused_for_content(head, about, dud=number),
            self.now(),
        )

    def _end(self, queued: QueuedMessage, how: str, verdicts: dict[bytes, RecipientVerdict], *, settled: bool) -> None:
        with self._lock:
            tally = self.tally(queued.account)
            setattr(tally, how, getattr(tally, how) + 1)
        receipts = self._receipts.get(queued.account)
        if receipts is not None:
            receipts.put(queued.key, settled=settled)
        self.observer.message_settled(queued.label, how)
        words = b" | ".join(dict.fromkeys(words for _, words in verdicts.values()))
        LOG.info(
            "%s",
            log.line(
                "message",
                account=queued.label,
                uid=queued.uid,
                size=queued.size,
                from_=b"<%b>" % queued.sender,
                to=queued.recipients,
                status=how,
                words=words,
                seconds=time.monotonic() - queued.began,
            ),
        )


def _request(queued: QueuedMessage | None) -> Iterable[DeliveryRequest]:
    """Return the first delivery request of a message, if there is one."""
    return (DeliveryRequest(queued, queued.sender, queued.deferred, queued.opening),) if queued is not None else ()


def _all_at_once(result: DeliveryAttempt) -> bool:
    """Say whether everybody whom the message was routed to has just accepted it; most messages end here."""
    if result.request.to_caretaker or not result.final:
        return False
    answers = result.answers
    return all(who in answers and answers[who].status == ACCEPTED for who in result.request.queued.recipients)
