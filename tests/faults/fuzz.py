"""Fuzzing: octets that nobody would send, at everything that reads some; every target asserts its one invariant.

    python tests/faults/fuzz.py --minutes 10 [--seed 1] [--target NAME] [--keep FOLDER]

Every target gets an equal share of the time in a process of its own, two side by side, guided by what of lib/ its
inputs reach. That takes atheris, which no other test needs: `.venv/bin/pip install atheris`. An input that broke an
invariant is shown with its traceback, and left in FOLDER. The exit code is 1 if there was any. CI has a short run
without guidance (test_fuzz.py).
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

GROUPS = ("fuzz_wire", "fuzz_mail", "fuzz_files", "fuzz_texts")
WORKERS = 2
LONGEST = 4096  # octets of an input; grown ones are longer
MEMORY = 1024  # MB
HUNG = 20  # seconds
SHOWN = 40  # lines of what broke
GROWING = 4  # what share of its time a target gets for inputs that are grown
RUNS = re.compile(r"(grown): (\d+)|stat::number_of_executed_units: +(\d+)")
COVERED = re.compile(r"cov: (\d+)")


class Fuzzed(NamedTuple):
    """What a target's share came to."""

    name: str
    runs: int
    covered: int
    broke: str


def targets() -> list[str]:
    """Return the names of all targets."""
    for group in GROUPS:
        import_module(f"tests.faults.{group}")
    from tests.faults.fuzz_input import TARGETS

    return list(TARGETS)


def work(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["lib"]):
        targets()
    from tests.faults.fuzz_input import TARGETS, attack

    act = TARGETS[name].act
    atheris.Setup([sys.argv[0], *arguments], lambda data: attack(act, b"\0" + data[1:]))
    atheris.Fuzz()


def grow(name: str, corpus: Path, seconds: float) -> int:
    """Attack one target with what the fuzzing has found, grown; return with how many inputs."""
    from tests.faults.fuzz_input import GROWN, TARGETS, attack

    targets()
    until = time.monotonic() + seconds
    for count, path in enumerate(sorted(corpus.iterdir())):
        if time.monotonic() > until:
            return count
        octets = bytes([GROWN]) + path.read_bytes()[1:]
        try:
            attack(TARGETS[name].act, octets)
        except BaseException as error:
            error.add_note(f"{octets!r}")
            raise
    return count + 1


def share(name: str, seconds: int, seed: int, keep: Path) -> Fuzzed:
    """Fuzz one target for so long in a process of its own."""
    from tests.faults.fuzz_input import TARGETS

    with tempfile.TemporaryDirectory() as place:
        corpus, words = Path(place) / "corpus", Path(place) / "words"
        corpus.mkdir()
        for number, octets in enumerate(TARGETS[name].seeds):
            (corpus / str(number)).write_bytes(octets)
        rows = (f'"{"".join(f"{chr(92)}x{octet:02x}" for octet in word)}"\n' for word in TARGETS[name].words)
        words.write_text("".join(rows))
        limits = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY}"]
        limits += [f"-timeout={HUNG}", f"-dict={words}", "-print_final_stats=1", f"-artifact_prefix={keep}/{name}-"]
        wrong, told = run("--work", name, "--", *limits, str(corpus))
        if not wrong:
            wrong, grown = run("--grow", name, "--minutes", str(seconds / GROWING / 60), str(corpus))
            told += grown
    runs = [int(found[2] or found[3]) for found in RUNS.finditer(told)]
    covered = [int(found[1]) for found in COVERED.finditer(told)]
    broke = "\n".join(what_broke(told)) if wrong else ""
    return Fuzzed(name, sum(runs), max(covered, default=0), broke)


def run(*words: str) -> tuple[bool, str]:
    """Run this file with *words*; say whether it ended badly, and what it said."""
    ended = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, errors="backslashreplace", check=False
    )
    return ended.returncode != 0, ended.stdout + ended.stderr


def what_broke(told: str) -> Iterator[str]:
    """Yield the traceback, without what libFuzzer says of itself."""
    lines = [line for line in told.splitlines() if not line.startswith(("#", "INFO:", "\t", "NEW_FUNC"))]
    yield from lines[-SHOWN:]


def main() -> int:
    """Fuzz what the command line asks for, and print what it came to."""
    parser = argparse.ArgumentParser(description="Fuzz everything that reads octets.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--grow", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.work:
        work(wish.work, wish.arguments)
        return 0
    if wish.grow:
        print(f"grown: {grow(wish.grow, Path(wish.arguments[0]), wish.minutes * 60)}")
        return 0
    names = wish.target or targets()
    targets()
    seconds = max(int(wish.minutes * 60 * WORKERS / len(names)), 1)
    with ThreadPool(WORKERS) as pool:
        done = list(pool.imap(lambda name: share(name, seconds, wish.seed, wish.keep), names))
    for one in done:
        if one.broke:
            print(f"--- {one.name}\n{one.broke}\n")
    print("| target | inputs | places reached | broke |\n|---|--:|--:|--:|")
    for one in done:
        print(f"| {one.name} | {one.runs:,} | {one.covered:,} | {int(bool(one.broke))} |")
    print(f"| all | {sum(one.runs for one in done):,} | | {sum(bool(one.broke) for one in done)} |")
    print(f"\n{seconds} s a target, seed {wish.seed}")
    return int(any(one.broke for one in done))


if __name__ == "__main__":
    sys.exit(main())
