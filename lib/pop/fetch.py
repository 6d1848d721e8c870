"""Drain one open mailbox: RETR ahead of the replies into the spool, hand over, DELE what is settled, QUIT.

The law: DELE is asked only for what the journal, synced, calls settled; it is a fact only after QUIT's +OK. Before
QUIT every message that was RETR'd is settled or fsynced in the spool. After a reply that cannot be right, or a lost
connection, nothing more is said: no QUIT, so nothing is deleted that may have been misunderstood.
"""

import time
from collections.abc import Iterable

from lib.errors import ConnectionLostError, EndlessError, OutOfStepError, PeerTimeoutError, ProtocolError
from lib.net.dialogue import Command
from lib.pop import broken, plan, pop3
from lib.pop.belief import Certainty, Ready
from lib.pop.broken import Asked, Blame, How, Pace, Where
from lib.pop.course import Course, Given
from lib.pop.deletions import Deletions
from lib.pop.plan import Action, Do, Here, Plan, Turn, Why
from lib.pop.pop3 import Body
from lib.pop.retrieval import Retrieval
from lib.pop.session import Session
from lib.store.journal_facts import Announced, Gone, Lasting, Left

# Servers close a session that says nothing for a minute (RFC 1939 says ten; few listen). Who waits for many verdicts
# looks now and then what room the other accounts have left.
NOOP_SECONDS, LOOK_SECONDS = 20.0, 0.2


class Fetch:
    """One session's work; what it leaves to the next one stands in *course*."""

    def __init__(self, session: Session, given: Given, course: Course) -> None:
        self.session = session
        self.given = given
        self.course = course
        self._deletions = Deletions(session, given.journal)
        self._retrieval = Retrieval(session, given, course, self._deletions)
        self._belief = self._retrieval.belief
        self._window = given.limits.window
        self._paused = False
        self._surplus = 0  # messages in hand that must be through before the next one is asked for

    @property
    def _pending(self) -> dict[str, Ready]:
        return self._belief.pending

    def drain(self) -> None:
        """Fetch, hand over, wait for verdicts as far as allowed, delete, QUIT.

        ConnectionLostError, ProtocolError, StorageError.
        """
        try:
            self._begin()
            self._retrieve()
            self._await_verdicts()
            self._leave()
        except (ConnectionLostError, ProtocolError) as error:
            self._break_off(error)
            raise
        finally:
            self._belief.drop()
            self._retrieval.flight.drop()
            self.course.unfinished = self._retrieval.unfinished
            self.session.close()

    # --- the plan ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Decide what is to be done with every message, and note what is known of the listing."""
        given, account = self.given, self.session.account
        self._read_receipts()
        here = Here(self.course.under_way.keys(), self.course.tried, top=b"TOP" in self.session.capabilities)
        entries, messages = given.journal.of(account.id), self.session.messages
        done = plan.plan(messages, entries, given.rules, given.now(), here)
        given.tally.listed = max(given.tally.listed, len(messages))
        given.tally.left = given.tally.oversize = 0
        if done.forgotten:
            given.journal.note(Gone(account.id, tuple(done.forgotten)))
        if done.learned:
            given.journal.note(Announced(account.id, tuple(done.learned), tuple(done.learned.values())))
        now = self._now(done)
        self._do(done.of(Do.LEAVE, Do.REPORT, Do.DELETE), now)
        wanted = list(done.of(Do.FETCH, Do.COMPARE, turn=now))
        if now is Turn.ALONE:  # lest one starve behind another
            wanted.sort(key=lambda one: entries[one.message.key].troubles)
        self._retrieval.begin(done, wanted)
        given.observer.account_started(account.name, len(wanted), sum(one.message.size for one in wanted))

    def _now(self, done: Plan) -> Turn:
        """Return whose turn it is: what broke a session before gets one of its own, when all others are through."""
        work = (Do.FETCH, Do.COMPARE, Do.DELETE)
        others = any(one.turn is not Turn.ALONE for one in done.of(*work))
        alone = any(one.turn is Turn.ALONE for one in done.of(*work))
        if alone and (self.course.turn is Turn.ALONE or not others):
            self.course.turn = Turn.ALONE
            self._window = self._retrieval.flight.widest = 1
            return Turn.ALONE
        self.course.more = alone
        return Turn.NOW

    def _do(self, actions: Iterable[Action], now: Turn) -> None:
        """Do all but what needs the server's answer."""
        given, account = self.given, self.session.account
        entries, tally = given.journal.of(account.id), given.tally
        for do, why, message, turn, _ in actions:
            if do is Do.DELETE:
                if turn is now:
                    self._deletions.add(message.key, message.number)
            elif why is Why.WAITS:
                self._wait_for(message.key, message.number)
            else:
                tally.left += 1
                tally.oversize += do is Do.REPORT
            if do is Do.REPORT and message.named and message.key not in entries:
                given.journal.note(Left(account.id, message.key, message.size, given.now()))
                words = f"a message of {message.size} octets is over pf_max_size and stays on the server"
                self.course.remark(words)

    def _wait_for(self, key: str, number: int) -> None:
        """Wait for a message that an earlier session of this pass handed over: it is deleted when it is settled."""
        file = self.course.under_way.get(key)
        if file is not None and not self.given.journal.of(self.session.account.id)[key].deletion:
            self._pending[key] = Ready(number, file)

    # --- fetched ----------------------------------------------------------------------------------------------------

    def _retrieve(self) -> None:
        """Fetch until nothing is left to ask for; what is still owed then are replies to DELE."""
        dialogue, retrieval = self.session.dialogue, self._retrieval
        while True:
            retrieval.ask_more(self._may_ask)
            if retrieval.waits:  # the last ones go with QUIT
                self._deletions.ask_some()
            more = retrieval.waits and not self.given.halt.halted
            if not dialogue.idle and (more or retrieval.unread):
                self._step()
            elif retrieval.flight.unread or retrieval.at_rest:
                self._come_to_rest()
            elif more and self._belief.holds:
                self._probe()  # it takes the room that others need
            elif more:
                self._idle()  # the spool is full: the receiver is slower than the line
            else:
                return
            self._read_receipts()

    def _come_to_rest(self) -> None:
        """Nothing is owed: believe what landed."""
        self._retrieval.land(followed=False)
        self.given.journal.flush()

    def _probe(self) -> None:
        """Ask something short, and believe that no reply came twice if the answer is that of a short command."""
        self._deletions.ask_all()
        if self.session.dialogue.idle and self.session.pipelining:
            # The first line of a reply that came too much may pass for an answer, what follows it does not.
            self.session.dialogue.ask(pop3.NOOP, pop3.NOOP)
        self._hear_all()
        self._retrieval.land(followed=True, probed=True)
        self.given.journal.flush()

    def _step(self) -> None:
        for command, piece in self.session.wire.step(self.session.dialogue):
            self._take(command, piece)
        self.given.journal.flush()  # whoever is killed now finds in the journal what is whole in the spool

    def _hear_all(self) -> None:
        while not self.session.dialogue.idle:
            self._step()

    def _take(self, command: Command, piece: pop3.StatusLine | Body) -> None:
        self._retrieval.take(command, piece)

    def _may_ask(self) -> bool:
        return not self.given.halt.halted and self._has_room()

    def _has_room(self) -> bool:
        most = self.given.limits.in_hand()
        self._surplus = len(self._pending) - (most // 2 if self._paused else most) + 1
        self._paused = self.given.spool.full or self._surplus > 0
        return not self._paused

    # --- settled ----------------------------------------------------------------------------------------------------

    def _read_receipts(self) -> None:
        for key, settled in self.given.receipts.take():
            self.course.under_way.pop(key, None)
            ready = self._pending.pop(key, None)
            if ready is None:
                continue
            entry = self.given.journal.of(self.session.account.id).get(key)
            if not settled:
                self._belief.spooled.append(ready.file)
            elif entry is None or not plan.due(entry, self.given.rules.keep, self.given.now()):
                self.given.tally.left += 1
            else:
                self._deletions.add(key, ready.number, doubted=key in self._belief.doubted)

    def _idle(self) -> None:
        """Wait for news, woken once for many of them; say NOOP so that the server does not hang up meanwhile."""
        began, more = time.monotonic(), self._retrieval.waits
        while time.monotonic() - began < NOOP_SECONDS:
            before = len(self._pending)
            enough = min(self._surplus, before) if more else before
            self.given.receipts.wait(min(LOOK_SECONDS, NOOP_SECONDS), enough)
            self._read_receipts()
            if self.given.halt.halted or (self._has_room() if more else len(self._pending) != before):
                return
        self._deletions.ask_some()
        self.session.dialogue.ask(pop3.NOOP)
        self._hear_all()

    def _await_verdicts(self) -> None:
        halt, limits = self.given.halt, self.given.limits
        waited, before = time.monotonic(), len(self._pending)
        while self._pending and limits.may_linger and not halt.halted:
            self._idle()
            if len(self._pending) < before:
                waited, before = time.monotonic(), len(self._pending)
            if time.monotonic() - waited > limits.patience:
                return

    # --- the end ----------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Make sure of what is not settled, then delete what is, and QUIT."""
        given, belief, account = self.given, self._belief, self.session.account.id
        self._read_receipts()
        if belief.certainty is Certainty.PROBED:
            self._probe()
            self._await_verdicts()
            self._read_receipts()
        if not (self._retrieval.unfinished or self.course.more):
            belief.recognition.looked_at_all()
        files = (*belief.spooled, *(ready.file for ready in self._pending.values()))
        if files:
            given.spool.sync(files)
            given.journal.note(Lasting(account, files))
        proof = None if belief.measure.exact and not belief.doubted else belief.prove
        deleted, complaints = self._deletions.take_leave(self._window, proof)
        given.tally.deleted += deleted
        for words in complaints:
            self.course.complain(words)

    # --- when it breaks ---------------------------------------------------------------------------------------------

    def _break_off(self, error: ConnectionLostError | ProtocolError) -> None:
        """Decide what it means that the session broke, and remember that. StorageError."""
        action, where = self._retrieval.flight.next, self._retrieval.where
        if isinstance(error, OutOfStepError):
            where = Where.BODY
        elif where is Where.NOTHING:
            where = self._deletions.where
        ahead = self.session.dialogue.owed > 1 or (action is not None and self._retrieval.flight.crowd > 1)
        asked = Asked.AHEAD if ahead else Asked.APART if self.course.turn is Turn.ALONE else Asked.ALONE
        self._retrieval.break_off(error)
        meant = broken.meaning(where, self._how(error), asked)
        self._blame(meant.blame, where, action, error)
        if meant.pace is Pace.LOCKSTEP:
            self.course.pace = Pace.LOCKSTEP
        self.course.stumbles = self.course.stumbles or meant.lasting
        self.course.again = meant.again and (meant.blame is not Blame.MESSAGE or self._leaves_work)

    def _how(self, error: Exception) -> How:
        """Name what happened."""
        if isinstance(error, EndlessError):
            return How.BOUNDLESS if self.course.sizes_lie else How.ENDLESS
        kinds: dict[type[Exception], How] = {PeerTimeoutError: How.SILENT, OutOfStepError: How.OUT_OF_STEP}
        return kinds.get(type(error), How.CLOSED if isinstance(error, ConnectionLostError) else How.NONSENSE)

    @property
    def _leaves_work(self) -> bool:
        """Say whether there is something to do but what the session broke at."""
        retrieval = self._retrieval
        return bool(retrieval.waits or len(retrieval.flight) > 1 or len(self._deletions) > 1 or self._pending)

    def _blame(self, blame: Blame, where: Where, action: Action | None, error: Exception) -> None:
        """Remember who is to blame. StorageError."""
        if blame is Blame.SIZE:
            self.course.sizes_lie = True
        if blame not in {Blame.SUSPECT, Blame.MESSAGE}:
            return
        key, what = "", ""
        if where is Where.DELE and blame is Blame.MESSAGE:
            key, what = self._deletions.blame()
        elif action is not None:
            key, what = action.message.key, f"message {action.message.number}"
            self._belief.trouble(action, f"{where.value}: {error}")
        if key and blame is Blame.MESSAGE:
            self.course.tried.add(key)
            self.course.complain(f"{what} broke the session {where.value}: {error}")
