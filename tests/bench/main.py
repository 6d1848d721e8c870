"""One bench: set up the servers and the lines, run every program in every row in turn, check and print."""

import argparse
import contextlib
import fnmatch
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import clients, measure, place, report, rows, servers
from tests.bench.measure import Bounds, Cost
from tests.bench.place import LOOPBACK, BenchError, Place
from tests.bench.rows import Row
from tests.bench.stock import Stock, account_names

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")  # the mailboxes are not what is measured
ROOT = os.geteuid() == 0
SYSTEM = ("PATH", "LANG", "LC_ALL", "TZ")


class Site:
    """All that stands while rows are run: folders, servers and the line, each set up when first needed."""

    def __init__(self, stack: contextlib.ExitStack, disk: Path, memory: Path) -> None:
        self._stack = stack
        self._disk = disk
        self._memory = memory
        self._line = stack.enter_context(contextlib.ExitStack())
        self._line_name = ""
        self._ports: Sequence[int] = ()
        self._dovecots: dict[Place, servers.Dovecot] = {}
        self._receivers: dict[str, servers.Receiver] = {}
        (memory / "mail").mkdir()
        self.timed = place.compiled(HERE / "timed.c", disk)

    @functools.cached_property
    def _ends(self) -> tuple[Place, Place]:
        return self._stack.enter_context(place.namespaces()) if ROOT else (LOOPBACK, LOOPBACK)

    def near(self, line: str) -> Place:
        return LOOPBACK if line == "loop" else self._ends[0]

    def dovecot(self, where: Place) -> servers.Dovecot:
        if where not in self._dovecots:
            start = servers.dovecot(where, self._disk / f"dovecot-{where.name}", self._memory / "mail")
            self._dovecots[where] = self._stack.enter_context(start)
        return self._dovecots[where]

    def receiver(self, kind: str, where: Place) -> servers.Receiver:
        name = f"{kind}-{where.name}"
        if name not in self._receivers:
            start = servers.RECEIVERS[kind](where, self._disk / name, self._memory / name)
            self._receivers[name] = self._stack.enter_context(start)
        return self._receivers[name]

    def pop(self, line: str) -> servers.Dovecot:
        """Give the Dovecot at the far end of that line."""
        return self.dovecot(LOOPBACK if line == "loop" else self._ends[1])

    def ports(self, line: str) -> Sequence[int]:
        """Lay the line, and give the plain and the TLS port that clients see through it."""
        if line != self._line_name:
            self._line.close()
            self._line_name, self._ports = line, self._lay(rows.LINES[line], self.pop(line))
        return self._ports

    def _lay(self, line: rows.Line | None, pop: servers.Dovecot) -> Sequence[int]:
        ports = (pop.plain, pop.tls)
        log = self._disk / "line.log"
        if line is None:
            return ports
        if not ROOT:
            return self._line.enter_context(place.relay(ports, line, log))
        self._line.enter_context(place.link(*self._ends, line, self._link, log))
        return ports

    @functools.cached_property
    def _link(self) -> Path:
        return place.compiled(HERE / "link.c", self._disk)

    @contextlib.contextmanager
    def stock(self, work: str) -> Iterator[Stock]:
        """Make the mail of one work; it goes again afterwards."""
        try:
            yield Stock(work, rows.WORKS[work], self._memory, self._memory / "mail")
        finally:
            shutil.rmtree(self._memory / "stock")

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a program its own empty folder on disk."""
        with tempfile.TemporaryDirectory(dir=self._disk, prefix="run-") as path:
            yield Path(path)


def one_run(site: Site, row: Row, stock: Stock, name: str, bounds: Bounds) -> Cost:
    """Fill the mailboxes, run one program, check what arrived."""
    pop, near = site.pop(row.line), site.near(row.line)
    receiver, ports = site.receiver(row.receiver, near), site.ports(row.line)
    accounts = account_names(rows.WORKS[row.work])
    receiver.clear()
    with site.folder() as folder:
        job = clients.Job(
            folder, accounts, (pop.host, ports[row.tls]), ("127.0.0.1", receiver.port), pop.cert if row.tls else None
        )
        client = clients.CLIENTS[name]
        command = near.argv(site.timed, folder / "cost", *client.prepare(job))
        environment = {key: os.environ[key] for key in SYSTEM if key in os.environ} | {
            "HOME": str(folder),
            "FETCHMAILHOME": str(folder),
        }
        if client.remembers and row.line != "loop":  # it has been there before, and found nothing
            stock.empty()
            measure.run(command, folder, environment, client.fine, bounds)
        stock.refill()
        pop.warm(accounts)
        cost = measure.run(command, folder, environment, client.fine, bounds)
        last = measure.last_line(folder / "output")
    wrong = stock.judge(receiver.arrived())
    return cost if cost.failed or not wrong else cost._replace(failed=f"{wrong}; it said: {last}")


def one_row(site: Site, row: Row, names: Sequence[str], arguments: argparse.Namespace) -> report.Table:
    """Run the programs in turn, A B A B. One that failed, or is too slow to be worth it, is not run again."""
    runs: dict[str, list[Cost]] = {name: [] for name in names}
    bounds = Bounds(_seconds(row, arguments.limit), arguments.memory << 20)
    with site.stock(row.work) as stock:
        for turn in range(arguments.runs):
            for name, costs in runs.items():
                if costs and (costs[-1].failed or (costs[-1].wall > arguments.once_over and name not in clients.OURS)):
                    continue
                cost = one_run(site, row, stock, name, bounds)
                costs.append(cost)
                said = cost.failed or f"{cost.wall:.3f} s, {cost.cpu:.3f} s CPU, {cost.largest / 1e6:.1f} MB"
                print(f"{row.name} {turn + 1}/{arguments.runs} {name}: {said}", file=sys.stderr)
    return report.Table(row, runs)


def _seconds(row: Row, limit: float) -> float:
    """Give the limit, or three times what the line needs for the octets alone if that is more."""
    line = rows.LINES[row.line]
    return limit if line is None else max(limit, 3 * 8 * rows.WORKS[row.work].octets / line.down)


def chosen_rows(patterns: Sequence[str], lines: Sequence[str]) -> list[Row]:
    """Give the rows whose names match, and those that are written out although no table has them."""
    found = [row for row in rows.ROWS if not patterns or any(fnmatch.fnmatch(row.name, each) for each in patterns)]
    extra = [each for each in patterns if not fnmatch.filter([row.name for row in rows.ROWS], each)]
    found += map(rows.parse, extra)
    return [row for row in found if not lines or row.line in lines]


def chosen_clients(names: Sequence[str]) -> dict[str, str]:
    """Give the programs and their versions; what is not installed is left out, with a word."""
    found = {}
    for name in names or clients.CLIENTS:
        try:
            found[name] = clients.CLIENTS[name].version()
        except (OSError, BenchError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument(
        "--rows", nargs="+", default=[], help="names or patterns of rows, e.g. 'empty@*' 20x10m@loop/sink"
    )
    parser.add_argument("--lines", nargs="+", default=[], choices=rows.LINES, help="only rows over these lines")
    parser.add_argument("--peers", nargs="+", default=[], choices=clients.CLIENTS, help="only these programs")
    parser.add_argument("--runs", type=int, default=5, help="runs of each program in each row (default 5)")
    parser.add_argument(
        "--once-over", type=float, default=60, help="a peer that takes more seconds runs once (default 60)"
    )
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a run is ended (default 600)")
    parser.add_argument("--memory", type=int, default=4096, help="MiB at which a run is ended (default 4096)")
    parser.add_argument(
        "--json", type=Path, default=Path(tempfile.gettempdir()) / "popfetch-bench.json", help="results"
    )
    parser.add_argument("--list", action="store_true", help="print the rows and lines, and stop")
    return parser.parse_args(argv)


def bench(arguments: argparse.Namespace, picked: Sequence[Row]) -> None:
    """Run the rows, print each when it is done, and keep all that is known in the JSON file after each."""
    versions = chosen_clients(arguments.peers)
    facts = report.circumstances(versions)
    print(report.opening(facts))
    tables: list[report.Table] = []
    memory = MEMORY if MEMORY.is_dir() else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(place.stoppable())
        disk, fast = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pfb-", dir=where))) for where in (None, memory)
        )
        for folder in (disk, fast):
            folder.chmod(0o755)  # the servers work as other users
        site = Site(stack, disk, fast)
        for row in picked:
            names = [name for name in versions if arguments.peers or clients.belongs(name, row)]
            try:
                tables.append(one_row(site, row, names, arguments))
            except BenchError as error:
                print(f"{row.name} is left out: {error}", file=sys.stderr)
                continue
            print(report.markdown(tables[-1]), flush=True)
            arguments.json.write_text(json.dumps(report.as_json(facts, tables), indent=1))
    print(report.lines_table())
    print(report.summary(tables))
    print(f"JSON: {arguments.json}", file=sys.stderr)


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; 130 after Ctrl-C, 1 if the bench itself cannot work."""
    arguments = options(argv)
    try:
        picked = chosen_rows(arguments.rows, arguments.lines)
        if arguments.list:
            print("\n".join(row.name for row in picked) + "\n\n" + report.lines_table())
        else:
            bench(arguments, picked)
    except (BenchError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
