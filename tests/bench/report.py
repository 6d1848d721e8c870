"""What the runs came to: medians, the ratio to the floor, Markdown for people and JSON for programs."""

import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.bench.clients import said
from tests.bench.measure import Cost
from tests.bench.rows import LINES, WORKS, Row

HEAD = (
    "| program | wall s | from to | / floor | messages/s | CPU s | CPU ms/message | largest MB | all MB | runs |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)
MB = 1_000_000
NONE = "-"


class Number(NamedTuple):
    """The medians of one program in one row, or the reason why it has none."""

    wall: float
    fastest: float
    slowest: float
    cpu: float
    largest: int
    sum: int
    runs: int
    failed: str


class Table(NamedTuple):
    """One row's runs, by program."""

    row: Row
    runs: Mapping[str, Sequence[Cost]]

    def numbers(self) -> dict[str, Number]:
        return {name: number(costs) for name, costs in self.runs.items()}


def number(costs: Sequence[Cost]) -> Number:
    """Take the medians. One run that failed, in whatever way, takes the number away."""
    failed = next((cost.failed for cost in costs if cost.failed), "")
    if failed or not costs:
        return Number(0, 0, 0, 0, 0, 0, len(costs), failed or "not run")
    walls = [cost.wall for cost in costs]
    return Number(
        statistics.median(walls),
        min(walls),
        max(walls),
        statistics.median(cost.cpu for cost in costs),
        max(cost.largest for cost in costs),
        max(cost.sum for cost in costs),
        len(costs),
        "",
    )


def floor(numbers: Mapping[str, Number]) -> float:
    """Give the wall time of the fastest floor, or 0 if none has a number."""
    walls = [each.wall for name, each in numbers.items() if name.startswith("floor") and not each.failed]
    return min(walls, default=0.0)


def markdown(table: Table) -> str:
    """Write one row as a table of its programs."""
    numbers, work = table.numbers(), WORKS[table.row.work]
    size = f"{work.accounts} account(s), {work.messages} messages, {work.octets / MB:.1f} MB"
    lines = [
        f"| {name} | {' | '.join(_columns(each, work.messages, floor(numbers)))} |" for name, each in numbers.items()
    ]
    return f"### {table.row.name}: {size}\n\n{HEAD}" + "\n".join(lines) + "\n"


def _columns(each: Number, messages: int, base: float) -> tuple[str, ...]:
    if each.failed:
        return (NONE, "", "", "", "", "", "", "", f"{each.runs}: {each.failed}")
    return (
        f"{each.wall:.3f}",
        f"{each.fastest:.2f} to {each.slowest:.2f}",
        f"{each.wall / base:.2f}" if base else NONE,
        f"{messages / each.wall:,.0f}" if messages else NONE,
        f"{each.cpu:.3f}",
        f"{1000 * each.cpu / messages:.3f}" if messages else NONE,
        f"{each.largest / MB:.1f}",
        f"{each.sum / MB:.1f}",
        str(each.runs),
    )


def summary(tables: Sequence[Table]) -> str:
    """Write all rows in one table: the wall time of each program, and how many times the floor that is."""
    names = list(dict.fromkeys(name for table in tables for name in table.runs))
    text = f"### Wall seconds (/ floor)\n\n| row | {' | '.join(names)} |\n|---|{'---|' * len(names)}\n"
    for table in tables:
        numbers = table.numbers()
        base = floor(numbers)
        cells = [_cell(numbers.get(name), base) for name in names]
        text += f"| {table.row.name} | {' | '.join(cells)} |\n"
    return text


def _cell(each: Number | None, base: float) -> str:
    if each is None:
        return ""
    if each.failed:
        return each.failed
    return f"{each.wall:.2f} ({each.wall / base:.2f})" if base else f"{each.wall:.2f}"


def circumstances(versions: Mapping[str, str]) -> dict[str, str]:
    """Say when and on what the numbers were made."""
    cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) or ["of an unknown kind"]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{len(cpu)} CPUs {cpu[0]}, {int(memory) >> 20} GiB, Linux {platform.release()}",
        "dovecot": said("dovecot", "--version"),
        "postfix": said("postconf", "-h", "mail_version"),
        **versions,
    }


def opening(facts: Mapping[str, str]) -> str:
    return "".join(f"* {name}: {fact}\n" for name, fact in facts.items())


def lines_table() -> str:
    """Say what the lines are."""
    text = "| line | down | up | round trip | queues |\n|---|---|---|---|---|\n"
    for name, line in LINES.items():
        if line is None:
            text += f"| {name} | loopback | | | |\n"
        else:
            queues = f"{line.down_queue // 1024} / {line.up_queue // 1024} KiB"
            text += (
                f"| {name} | {line.down / 1e6:g} Mbit/s | {line.up / 1e6:g} Mbit/s | {2 * line.delay} ms | {queues} |\n"
            )
    return text


def as_json(facts: Mapping[str, str], tables: Sequence[Table]) -> dict[str, object]:
    """Give everything, every single run included."""
    return {
        "circumstances": dict(facts),
        "rows": {
            table.row.name: {
                name: {**number(costs)._asdict(), "each": [cost._asdict() for cost in costs]}
                for name, costs in table.runs.items()
            }
            for table in tables
        },
    }
