"""How many sessions a server takes at once, found out by being turned away. Pure.

Courier takes four from one address, other servers and firewalls other numbers. Who is turned away while others are in
is let wait until one of them is through; what was found out that way is remembered, and one more is tried now and then.
"""

from typing import NamedTuple

from lib.store.state import HostState

# Passes that keep to a limit before one session more is tried.
PROBE = 20


class Host(NamedTuple):
    """One server in one pass. *most* sessions are open at once, 0: as many as there are."""

    known: HostState = HostState()  # what is remembered of it
    most: int = 0
    attempting: int = 0  # sessions that are not let in yet
    inside: int = 0
    peak: int = 0  # how many were at once, in this pass
    let_in: int = 0  # how often somebody was, in this pass
    turned_away: bool = False  # so was somebody else
    proven: bool = False  # who was turned away was let in later
    waited: bool = False  # somebody had to wait for another to end

    @classmethod
    def of(cls, known: HostState) -> "Host":
        """Return a server of which this is remembered."""
        return cls(known, most=known.sessions)

    @property
    def open(self) -> int:
        """How many sessions there are."""
        return self.attempting + self.inside

    @property
    def full(self) -> bool:
        """Say whether another session has to wait."""
        return bool(self.most) and self.open >= self.most

    def begin(self) -> "Host":
        """Return it with one session more."""
        return self._replace(attempting=self.attempting + 1)

    def admit(self, *, again: bool) -> "Host":
        """Return it after a session was let in, *again*: one that had been turned away."""
        inside = self.inside + 1
        one_more = self._replace(attempting=self.attempting - 1, inside=inside, peak=max(inside, self.peak))
        return one_more._replace(let_in=self.let_in + 1, proven=self.proven or again)

    def turn_away(self, *, alone: bool) -> "Host":
        """Return it after a session was turned away: the others are as many as it takes.

        *alone*: there were none, at any time since it began. Who is merely waiting as well may be turned away, too:
        it has taken as many as were in at once.
        """
        others = self.open - 1
        if alone:
            most = self.most if self.let_in else self.known.sessions
        else:
            most = others if self.inside else max(others, self.peak)
        return self._replace(attempting=self.attempting - 1, most=most, turned_away=True)

    def end(self, *, inside: bool) -> "Host":
        """Return it after a session ended for another reason."""
        return self._replace(inside=self.inside - 1) if inside else self._replace(attempting=self.attempting - 1)

    def learned(self) -> HostState:
        """Return what to remember when the pass is over."""
        if self.turned_away:
            return HostState(self.most) if self.proven else self.known
        if not self.known.sessions or not self.waited:
            return self.known
        passes = self.known.passes + 1
        return HostState(self.known.sessions + 1) if passes >= PROBE else self.known._replace(passes=passes)
