"""What a mailbox costs that holds some mail for nobody: python -m tests.bench.mixed [--count 1000] [--runs 3].

Before each real receiver of tests/real: so many letters of which five in a hundred are for nobody, five are put off by
a greylist, two are refused for what they contain and two for their sender; and beside it as many that are all good. The
greylist is lifted between the first pass and the second. A row of Markdown a receiver and pass goes to stdout.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests import pki
from tests.conftest import SERVERS
from tests.passes import Conf, Result, RunPass, Secrets
from tests.real.dovecot import Dovecot, dovecot
from tests.real.mixed import SHARES, Kind, Round, Step, kinds
from tests.real.receivers import RECEIVERS, Receiver, running

COLUMNS = (
    "receiver",
    "pass",
    "seconds",
    "code",
    "delivered",
    "deferred",
    "caretaker",
    "duds",
    "twice",
    "lost",
    "wrong",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


class Runs(NamedTuple):
    """The passes of one run: over good letters, over mixed ones, and over what the greylist held."""

    good: Step
    mixed: Step
    later: Step


class Bench:
    """A Dovecot, and the folders of passes."""

    def __init__(self, home: Path, server: Dovecot) -> None:
        self._home = home
        self._dovecot = server
        self._secrets = Secrets(home)
        self._pass = RunPass(self._secrets)

    def run(self, receiver: Receiver, count: int) -> Runs:
        """Carry both mailboxes once."""
        return Runs(
            *self._steps(receiver, [Kind.GOOD] * count, 1),
            *self._steps(receiver, kinds(count, SHARES), 2),
        )

    def _steps(self, receiver: Receiver, drawn: list[Kind], passes: int) -> Iterator[Step]:
        with tempfile.TemporaryDirectory(dir=self._home) as folder:
            work = Path(folder) / "work"
            work.mkdir(mode=0o700)
            office = Round(self._dovecot, receiver, Conf(Path(folder) / "dmail.conf", work, self._secrets), drawn)
            for _ in range(passes):
                yield office.carry(self._one_pass)
                office.lift()

    def _one_pass(self, path: Path) -> Result:
        return self._pass(path, child=True)


def rows(name: str, runs: Sequence[Runs]) -> Iterator[str]:
    """Write the median of the seconds, and for each pass the outcome of the run that came out worst."""
    for which, steps in zip(("all good", "mixed", "greylist lifted"), zip(*runs, strict=True), strict=True):
        worst = max((step.outcome for step in steps), key=lambda o: (o.lost + o.twice + o.wrong, -o.delivered))
        seconds = statistics.median(step.seconds for step in steps)
        code = max(step.result.code for step in steps)
        ends = (worst.delivered, worst.deferred, worst.caretaker, worst.duds, worst.twice, worst.lost, worst.wrong)
        yield f"| {' | '.join(map(str, (name, which, f'{seconds:.2f}', code, *ends)))} |"


def bench(names: Sequence[str], count: int, runs: int) -> None:
    """Run all of it; each server is up only while it is measured."""
    program = shutil.which("postfix") or ""
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="pf-mixed-") as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "pki").mkdir()
        certificates = pki.make(home / "pki")
        office = Bench(home, stack.enter_context(dovecot("dovecot", certificates)))
        for name in names:
            with running(name, program, certificates) as receiver:
                done = [office.run(receiver, count) for _ in range(runs)]
            print("\n".join(rows(name, done)), flush=True)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="mixed", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="letters in a mailbox (default 1000)")
    parser.add_argument("--runs", type=int, default=3, help="runs before each receiver (default 3)")
    parser.add_argument("--receivers", nargs="+", default=RECEIVERS, choices=RECEIVERS, help="only these")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("mixed: the servers need root")
    os.environ["PATH"] = SERVERS
    bench(asked.receivers, asked.count, asked.runs)


if __name__ == "__main__":
    main()
