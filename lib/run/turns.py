"""Which account is fetched next: in the order of dmail.conf, but no more of a server at once than it takes.

The law: every account has its turn in the pass. One that its server turned away while others were in has another one
when they are through, a bounded number of times; where nobody was let in it was not for them, and is not called again.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from threading import Condition

from lib.config.settings import Account
from lib.errors import TurnedAwayError, UnreachableError
from lib.halt import SLICE, Stop
from lib.report.outcome import AccountOutcome
from lib.run.hosts import Host
from lib.store.state import HostState

# How often an account may be turned away in a pass.
PATIENCE = 5
# A server needs a moment to notice that a session is over, seconds.
BREATH = 0.2


def server(account: Account) -> str:
    """Return what tells the server of an account from others."""
    return f"{account.host.lower()}:{account.port}"


class Turns:
    """The accounts of one round, handed out to several threads."""

    def __init__(self, accounts: Iterable[Account], known: Mapping[str, HostState], stop: Stop) -> None:
        """Begin; *stop* lets nobody wait for a turn any more."""
        self.outcomes: dict[str, AccountOutcome] = {}
        self._waiting = deque(accounts)
        self._hosts = {server(one): Host.of(known.get(server(one), HostState())) for one in self._waiting}
        self._known = known
        self._stop = stop
        self._inside: set[str] = set()
        self._met: dict[str, tuple[int, int]] = {}  # how many were in, and had been let in, when a turn began
        self._away: dict[str, AccountOutcome] = {}  # who was turned away, and how, while that may change
        self._times: Counter[str] = Counter()
        self._changed = Condition()

    def take(self) -> Account | None:
        """Return the next account, waiting for one that may have its turn; None when there is none left."""
        with self._changed:
            while self._waiting:
                for account in self._may_go():
                    self._waiting.remove(account)
                    host = self._host(account)
                    self._met[account.id] = host.inside, host.let_in
                    self._set(account, host.begin())
                    return account
                self._changed.wait(SLICE)
        return None

    def _may_go(self) -> Iterator[Account]:
        stopped = self._stop()
        for account in self._waiting:
            host = self._host(account)
            if stopped or not (host.full or (account.id in self._away and not host.let_in)):
                yield account
            else:
                self._set(account, host._replace(waited=True))

    def let_in(self, account: Account) -> None:
        """Take note that the server let *account* in."""
        with self._changed:
            if account.id not in self._inside:
                self._inside.add(account.id)
                self._set(account, self._host(account).admit(again=account.id in self._away))
            self._away.pop(account.id, None)

    def over(self, account: Account, outcome: AccountOutcome | None) -> None:
        """Take note of what an account's turn came to: the end of it, or another one later. None: nothing to tell."""
        if self._is_awaited(account):
            time.sleep(BREATH)
        with self._changed:
            inside = account.id in self._inside
            self._inside.discard(account.id)
            if outcome is not None and isinstance(outcome.error, TurnedAwayError) and not inside:
                self._turned_away(account, outcome)
            else:
                self._set(account, self._host(account).end(inside=inside))
                self._close(account, outcome)
            if not self._host(account).open and not self._host(account).let_in:
                self._give_up(account)
            self._changed.notify_all()

    def _is_awaited(self, account: Account) -> bool:
        with self._changed:
            if account.id not in self._inside or not self._host(account).full:
                return False
            return any(server(one) == server(account) for one in self._waiting)

    def _turned_away(self, account: Account, outcome: AccountOutcome) -> None:
        host = self._host(account)
        inside, let_in = self._met[account.id]
        alone = host.open == 1 and not inside and host.let_in == let_in
        self._set(account, host.turn_away(alone=alone))
        self._times[account.id] += 1
        if not alone and self._times[account.id] < PATIENCE and not self._stop():
            self._away[account.id] = outcome
            self._waiting.append(account)
            return
        self._close(account, outcome)
        if isinstance(outcome.error, UnreachableError) and alone:
            self._give_up(account)  # it was not for the others

    def _give_up(self, account: Account) -> None:
        """Let nobody wait any more who was turned away by the server of *account*."""
        for other in [one for one in self._waiting if one.id in self._away and server(one) == server(account)]:
            self._waiting.remove(other)
            self._close(other, self._away[other.id])

    def _close(self, account: Account, outcome: AccountOutcome | None) -> None:
        self._away.pop(account.id, None)
        if outcome is not None:
            self.outcomes[account.id] = outcome

    def _host(self, account: Account) -> Host:
        return self._hosts[server(account)]

    def _set(self, account: Account, host: Host) -> None:
        self._hosts[server(account)] = host

    def learned(self) -> dict[str, HostState]:
        """Return what is known of servers now, those included that had no account in this round."""
        found = {**self._known, **{name: host.learned() for name, host in self._hosts.items()}}
        return {name: host for name, host in found.items() if host.sessions}
