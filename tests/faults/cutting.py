"""Rounds of the cut-line torture: a small session whose connection breaks at one octet, then passes until all is done.

The line is reset, closed cleanly, or falls silent. Whether the client was told of a letter is known from the octets
that got through to it: a second copy is excused only if the 250 of the first did not get through whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests import pki
from tests.faults import books
from tests.faults.books import Books
from tests.faults.killing import FINE, Dice, Ring, Shape, drain
from tests.faults.mails import Mail, chance, crowd, plain
from tests.faults.proxy import DOWN, HOWS, UP, Break, Proxy
from tests.faults.world import Letter

KIND = Shape(0, hides=False, uidl=True, lmtp=False, boxes=1)
SIZE = 60  # octets of a mail's text
SILENCE = ("pf_timeout 1", "pf_smtp_timeout 1")
HOOKS: tuple[dict[str, Any], ...] = (
    {"hook": "constant", "module": "lib.smtp.session", "name": "SILENCE", "value": 1.0},
    {"hook": "constant", "module": "lib.smtp.deliver", "name": "SILENCE", "value": 1.0},
    {"hook": "constant", "module": "lib.smtp.deliver", "name": "LAST_WORDS", "value": 0.2},
)
BROKEN = {*FINE, 76}  # a pass whose line broke may end with these


class Cut(NamedTuple):
    """Which of the two connections breaks, and where."""

    end: str
    broken: Break

    def __str__(self) -> str:
        """Name it for the table."""
        return f"{self.end.upper()}, {'to' if self.broken.way == UP else 'from'} the server: {self.broken.how}"


class Lines(NamedTuple):
    """A ring, a breakable line before each server, and what a whole session brings over them."""

    ring: Ring
    proxies: dict[str, Proxy]
    kind: Shape
    more: tuple[str, ...]

    def session(self) -> dict[tuple[str, str], bytes]:
        """Run a pass on lines that hold; return what went over the first connection to each end, each way."""
        mails = list(stock())
        self.begin(mails)
        self.ring.run(self.ring.write_conf(self.kind, *self.more), *HOOKS)
        assert books.judge(mails, self.ring.world.letters, self.ring.work / "duds.dat").clean
        first = {end: proxy.connections[0] for end, proxy in self.proxies.items()}
        return {(end, way): bytes(line.heard[way]) for end, line in first.items() for way in (UP, DOWN)}

    def begin(self, mails: list[Mail], *cuts: Cut) -> None:
        """Fill the mailbox; let lines break."""
        self.ring.clear()
        self.ring.world.fill(mails)
        self.ring.world.lmtp = self.kind.lmtp
        for end, proxy in self.proxies.items():
            proxy.arm(*(cut.broken for cut in cuts if cut.end == end))

    def told(self) -> set[Letter]:
        """Return the letters whose 250 got through to the client."""
        through = {line.port: len(line.heard[DOWN]) for line in self.proxies["smtp"].connections}
        return {letter for letter in self.ring.world.letters if 0 < letter.said <= through.get(letter.talk.port, 0)}


@contextmanager
def lines(*, tls: bool = False, lmtp: bool = False) -> Iterator[Lines]:
    """Yield the place of these rounds; with *tls* the POP connection is encrypted from the start."""
    with Ring() as ring:
        more: tuple[str, ...] = SILENCE
        if tls:
            certificates = pki.make(ring.folder)
            ring.world.pop.tls, ring.world.pop.implicit = certificates.good, True
            more = (*SILENCE, "pf_tls implicit", f"pf_tls_ca {certificates.ca}")
        with Proxy(ring.world.pop.port) as pop, Proxy(ring.world.smtp.port) as smtp:
            ring.ports = (pop.port, smtp.port)
            yield Lines(ring, {"pop": pop, "smtp": smtp}, KIND._replace(lmtp=lmtp), more)


def stock() -> Iterator[Mail]:
    """Yield three small mails; the second is for two."""
    yield plain(1, 1, SIZE)
    yield crowd(2, 2)
    yield plain(3, 1, SIZE)


def play(place: Lines, cut: Cut, *more: Cut) -> tuple[str, Books]:
    """Run a pass whose lines break, then passes until all is drained."""
    ring, mails = place.ring, list(stock())
    place.begin(mails, cut, *more)
    conf = ring.write_conf(place.kind, *place.more)
    ring.world.begin()
    ring.zygote.start(["-i", conf], HOOKS)
    ended = ring.zygote.end()
    ring.world.end(place.told())
    troubles = [f"exit {ended.code}: {ended.err}"] if ended.code not in BROKEN else []
    for proxy in place.proxies.values():
        proxy.arm()
    troubles += dict.fromkeys(drain(ring, conf, place.kind))
    told = books.judge(mails, ring.world.letters, ring.work / "duds.dat")
    heading = [f"{(cut, *more)} ({place.kind}):"] if told.words or troubles else []
    return str(cut), told._replace(stuck=len(troubles), kills=1, words=(*heading, *told.words, *troubles))


def every_cut(session: dict[tuple[str, str], bytes], hows: tuple[str, ...] = HOWS) -> Iterator[Cut]:
    """Yield every place at which a line can break."""
    for (end, way), octets in session.items():
        for place in range(len(octets) + 1):
            for how in hows:
                yield Cut(end, Break(way, place, how))


def at_every_octet(which: str, first: int, step: int) -> list[tuple[str, Books]]:
    """Break the line at every *step*-th place, from the *first* on; *which* holds "tls" and "lmtp", or not."""
    with lines(tls="tls" in which, lmtp="lmtp" in which) as place:
        cuts = list(every_cut(place.session()))
        return [play(place, cut) for cut in cuts[first::step]]


def at_every_line(end: str, first: int, step: int) -> list[tuple[str, Books]]:
    """Close or reset one end's connection behind every line and before its last octet, both ways."""
    with lines() as place:
        session = {(side, way): octets for (side, way), octets in place.session().items() if side == end}
        cuts = [cut for cut in every_cut(session, ("close", "reset")) if _at_a_line(cut, session[end, cut.broken.way])]
        return [play(place, cut) for cut in cuts[first::step]]


def _at_a_line(cut: Cut, octets: bytes) -> bool:
    """Say whether a line ends where it breaks (closed), or one octet further on (reset)."""
    last = cut.broken.octets - (cut.broken.how == "close")
    return octets[max(last, 0) : last + 1] == b"\n"


def at_chance(seed: str, first: int, rounds: int) -> list[tuple[str, Books]]:
    """Break the line so many times, anywhere, with TLS and LMTP now and then."""
    dice = chance(f"{seed}-{first}")
    with lines(tls=dice.random() < 0.3, lmtp=dice.random() < 0.3) as place:
        cuts = list(every_cut(place.session()))
        return [play(place, *some(dice, cuts)) for _ in range(rounds)]


def some(dice: Dice, cuts: list[Cut]) -> tuple[Cut, ...]:
    """Draw where the line breaks: once as a rule, the next connection as well, or every one."""
    first = dice.choice(cuts)
    again = dice.choice([cut for cut in cuts if cut.end == first.end])
    at_every_connection = (first._replace(broken=first.broken._replace(nth=0)),)
    and_the_next = (first, again._replace(broken=again.broken._replace(nth=2)))
    return dice.choice(((first,), (first,), at_every_connection, and_the_next))
