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
from lib.delivery.fate import Fate, Next, care, fate, next_step
from lib.delivery.letters import Letters
from lib.delivery.queued import Errand, Parcel, Post, Result
from lib.delivery.safety_net import COUNTS, Ground, Streak
from lib.errors import StorageError
from lib.mail import caretaker, received
from lib.report import log, notice
from lib.report.outcome import Tally, Watch
from lib.store.duds import Duds
from lib.store.journal import Ledger
from lib.store.journal_facts import (
    ACCEPTED,
    REFUSED,
    Delivered,
    Dud,
    Lost,
    Record,
    Spooled,
    Trouble,
    Verdict,
    Verdicts,
)
from lib.store.spool import Spool, Stored

LOG = logging.getLogger("popfetch.deliver")
DAY = 86400.0


class Terms(NamedTuple):
    """pf_dflt_address, and pf_give_up in days."""

    caretaker: bytes
    give_up: int


@dataclass(slots=True, eq=False, repr=False)
class Clerk:
    """Decides and writes down; called by every courier."""

    ledger: Ledger
    spool: Spool
    duds: Duds
    terms: Terms
    streak: Streak
    watch: Watch
    now: Callable[[], float]
    letters: Letters
    _lock: Lock = field(default_factory=Lock)
    _posts: dict[str, Post] = field(default_factory=dict)
    _tallies: dict[str, Tally] = field(default_factory=dict)
    _copied: set[tuple[str, str]] = field(default_factory=set)  # whose copy the caretaker was offered in this pass
    _warned: set[str] = field(default_factory=set)  # accounts whose mail may go to strangers

    def expect(self, account: str, post: Post) -> None:
        """Send news of *account* to *post* from now on."""
        self._posts[account] = post

    def tally(self, account: str) -> Tally:
        """Return what was settled for *account* so far."""
        return self._tallies.setdefault(account, Tally())

    def accounts(self) -> tuple[str, ...]:
        """Return those for which anything was settled so far."""
        return tuple(account for account, tally in self._tallies.items() if any(tally.counts()))

    def first(self, parcel: Parcel) -> Iterable[Errand]:
        """Return the first errand of a parcel; none when it is a dud at once. SafetyNetError."""
        if parcel.unfiltered:
            self._warn_of_strangers(parcel)
        if parcel.fault:
            self._bury(parcel, Fate(), [parcel.fault.encode()], Ground.NOBODY)
            return ()
        if parcel.circles:
            self.ledger.note(*record.in_circles(parcel, self.now()))
            self.ledger.flush()
            return self._conclude(parcel)
        entry, due = self.ledger.of(parcel.account).get(parcel.key), parcel.owed
        if entry is not None and entry.losses:
            due = tuple(who for who in due if retry.due(entry.losses.get(who), self.now()))
        errand = Errand(parcel, parcel.sender, due, parcel.opening)
        return (errand.measured(contents.body(self.spool, parcel)),) if due else self._conclude(parcel)

    def consider(self, result: Result) -> Iterable[Errand]:
        """Write down what a transaction came to, and return what follows at once: copy or letter to the caretaker."""
        parcel = result.errand.parcel
        accepted = any(answer.status == ACCEPTED for answer in result.answers.values())
        if accepted:
            self.streak.delivered()
        if accepted and _all_at_once(result):
            self._delivered(parcel, {who: (said.status, said.words) for who, said in result.answers.items()})
            return ()
        facts = list(record.records(result, self.ledger.of(parcel.account)[parcel.key], self.now()))
        letter = self._tell_of_losses(parcel, facts)  # first: a pass that is killed now finds it written
        self.ledger.note(*facts)
        try:
            self.ledger.flush()
        except StorageError:  # a full disk, perhaps
            self.spool.make_room()
            self.ledger.flush()
        return (*_errand(letter), *(self._conclude(parcel) if result.final else ()))

    def _tell_of_losses(self, parcel: Parcel, facts: list[Record]) -> Parcel | None:
        """Write to the caretaker, once, when the verdict on a message got lost time and again."""
        lost = next((fact.losses for fact in facts if type(fact) is Lost), {})
        whom = [who for who, loss in lost.items() if loss.number >= retry.TOLD_AFTER and not who.startswith(CARETAKER)]
        if not whom or not self.terms.caretaker or parcel.account in OURS:
            return None
        reasons = {fact.recipients[who][1] for fact in facts if type(fact) is Verdicts for who in whom}
        about = letters.matter(parcel, contents.beginning(self.spool, parcel), whom, sorted(reasons))
        return self.letters.to_caretaker(
            self.terms.caretaker,
            letters.name("doubt", parcel),
            lambda post: notice.may_have_come(post, about, times=lost[whom[0]].number),
            self.now(),
        )

    def _warn_of_strangers(self, parcel: Parcel) -> None:
        with self._lock:
            known = parcel.account in self._warned
            self._warned.add(parcel.account)
        if not known:
            why = "routed by To, which may name strangers; better: pf_accept_domain, pf_domain or to="
            LOG.warning("%s", log.line("account", account=parcel.label, warning=why))

    def leave(self, stored: Stored, key: str) -> None:
        """Let the fetcher know that a message stays in the spool, whatever the reason."""
        self.spool.put_off(stored.number)
        post = self._posts.get(stored.account)
        if post is not None:
            post.put(key, settled=False)

    def blame(self, parcel: Parcel, why: str) -> None:
        """Remember that the receiver broke off at *parcel*: later passes send it last, so that it blocks nobody."""
        self.ledger.note(Trouble(parcel.account, parcel.key, why, self.now()))
        self.ledger.flush()

    def _conclude(self, parcel: Parcel) -> Iterable[Errand]:
        entry = self.ledger.of(parcel.account)[parcel.key]
        too_old = self.now() - parcel.since > self.terms.give_up * DAY
        verdicts = dict(entry.recipients)
        ends = fate(recipients(verdicts), too_old=too_old)
        offered = (parcel.account, parcel.key) in self._copied or not retry.due(
            entry.losses.get(CARETAKER + self.terms.caretaker), self.now()
        )
        his = care(self.terms.caretaker, verdicts, entry.content, offered=offered, had=parcel.spent)
        what = next_step(ends, his, too_old=too_old)
        match what:
            case Next.DELIVERED | Next.CARED_FOR:
                self._delivered(parcel, verdicts, refused=what is Next.CARED_FOR)
            case Next.DEFER:
                self._defer(parcel, ends.owed, verdicts)
            case Next.DEFER_COPY:
                self._defer(parcel, (his.address,), verdicts)
            case Next.COPY:
                self._copied.add((parcel.account, parcel.key))
                return (self._copy(parcel, ends),)
            case Next.BURY | Next.BURY_AND_TELL:
                return self._to_duds(parcel, ends, verdicts, tell=what is Next.BURY_AND_TELL)
        return ()

    def _to_duds(self, parcel: Parcel, ends: Fate, verdicts: dict[bytes, Verdict], *, tell: bool) -> Iterable[Errand]:
        """Bury a message that not even the caretaker would take; *tell* him of it by a letter."""
        if tell and parcel.account == CARE:
            return self._plainer(parcel, verdicts)
        address, entry = self.terms.caretaker, self.ledger.of(parcel.account)[parcel.key]
        reasons = [b"<%b>: %b" % one for one in ends.refused]
        status, words = verdicts.get(CARETAKER + address, ("", b""))
        if status:
            reasons.append(b"the caretaker <%b>: %b" % (address, words))
        ours = parcel.account in OURS
        ground = Ground.CIRCLES if parcel.circles else safety_net.ground(content=bool(entry.content), ours=ours)
        return _errand(self._bury(parcel, ends, reasons, ground, tell=tell and parcel.account != PLAIN))

    def _plainer(self, letter: Parcel, verdicts: dict[bytes, Verdict]) -> Iterable[Errand]:
        """Write to the caretaker without a stranger's words in place of a letter that was refused for what is in it."""
        name = letters.name("plain", letter)
        plain = self.letters.to_caretaker(self.terms.caretaker, name, notice.refused_letter, self.now(), plain=True)
        self.letters.take_back(letter)
        self._end(letter, "refused", verdicts, settled=True)
        return _errand(plain)

    def _copy(self, parcel: Parcel, ends: Fate) -> Errand:
        """Return the errand of the caretaker's copy, the paragraph of who got it and who did not on top.

        Its sender is null: nothing may bounce to a stranger, nor be refused for his sake.
        """
        octets = contents.beginning(self.spool, parcel)
        paragraph = caretaker.paragraph(list(ends.accepted), list(ends.refused))
        line = received.line(parcel.trace, (self.terms.caretaker,))  # by which he is known if it comes again
        copy = caretaker.copy(octets, parcel.head, line + parcel.opening[parcel.traced :], paragraph, parcel.sha)
        errand = Errand(parcel, b"", (self.terms.caretaker,), copy.opening, closing=copy.closing, to_caretaker=True)
        return errand.measured(contents.body(self.spool, parcel))

    def _delivered(self, parcel: Parcel, verdicts: dict[bytes, Verdict], *, refused: bool = False) -> None:
        self.ledger.note(Delivered(parcel.account, parcel.key, parcel.sha, self.now()))
        try:
            self.ledger.flush()
        except StorageError:  # a full disk; its own room is enough for the line that says that everybody has it
            self.spool.free(parcel.number)
            self.spool.make_room()
            self.ledger.flush()
        else:
            self.spool.free(parcel.number)
        self._end(parcel, "refused" if refused else "delivered", verdicts, settled=True)

    def _defer(self, parcel: Parcel, owed: tuple[bytes, ...], verdicts: dict[bytes, Verdict]) -> None:
        entry = self.ledger.of(parcel.account)[parcel.key]
        refetchable = not entry.lasting and parcel.account not in OURS
        if refetchable and not self.spool.has_place_for(parcel.number):
            # Its server still has it, and gives it again when there is room: nothing that comes behind it is blocked.
            self.ledger.note(Spooled(parcel.account, parcel.key, 0, parcel.uid, parcel.sha, parcel.size, parcel.since))
            self.ledger.flush()
            self.spool.free(parcel.number)
        else:
            self.spool.put_off(parcel.number)
        self._end(parcel._replace(recipients=owed), "deferred", verdicts, settled=False)

    def _bury(
        self, parcel: Parcel, ends: Fate, reasons: list[bytes], ground: Ground, *, tell: bool = False
    ) -> Parcel | None:
        """Write a dud, fsynced; only then is the message settled. Return the letter that tells the caretaker of it."""
        whom = tuple(who for who, _ in ends.refused)
        with self._lock:
            letter = self._tell_of_dud(parcel, whom, reasons) if tell else None
            try:
                Burial(self.ledger, self.spool, self.duds).write(parcel, whom, reasons, self.now())
            except StorageError:
                if letter is not None:
                    self.letters.take_back(letter)
                raise
        self.streak.dud(ground, Dud(parcel.account, parcel.key, parcel.sha, self.now()))
        self.ledger.flush()
        self.spool.free(parcel.number)
        self._end(parcel, "duds", {b"": (REFUSED, b"; ".join(reasons))}, settled=True)
        if COUNTS[ground]:
            self.streak.check()
        return letter

    def _tell_of_dud(self, parcel: Parcel, whom: tuple[bytes, ...], reasons: list[bytes]) -> Parcel | None:
        """Write to the caretaker that a message will be the next dud, for he would not take it for what it contains."""
        number = self.duds.count() + 1
        about = letters.matter(parcel, contents.beginning(self.spool, parcel), whom, reasons)
        return self.letters.to_caretaker(
            self.terms.caretaker,
            letters.name("content", parcel),
            lambda post: notice.refused_for_content(post, about, dud=number),
            self.now(),
        )

    def _end(self, parcel: Parcel, how: str, verdicts: dict[bytes, Verdict], *, settled: bool) -> None:
        with self._lock:
            tally = self.tally(parcel.account)
            setattr(tally, how, getattr(tally, how) + 1)
        post = self._posts.get(parcel.account)
        if post is not None:
            post.put(parcel.key, settled=settled)
        self.watch.message_settled(parcel.label, how)
        words = b" | ".join(dict.fromkeys(words for _, words in verdicts.values()))
        LOG.info(
            "%s",
            log.line(
                "message",
                account=parcel.label,
                uid=parcel.uid,
                size=parcel.size,
                from_=b"<%b>" % parcel.sender,
                to=parcel.recipients,
                status=how,
                words=words,
                seconds=time.monotonic() - parcel.began,
            ),
        )


def _errand(parcel: Parcel | None) -> Iterable[Errand]:
    """Return the first errand of a message, if there is one."""
    return (Errand(parcel, parcel.sender, parcel.owed, parcel.opening),) if parcel is not None else ()


def _all_at_once(result: Result) -> bool:
    """Say whether everybody whom the message was routed to has just accepted it; most messages end here."""
    if result.errand.to_caretaker or not result.final:
        return False
    answers = result.answers
    return all(who in answers and answers[who].status == ACCEPTED for who in result.errand.parcel.recipients)
