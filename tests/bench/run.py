"""The bench, from anywhere: python tests/bench/run.py [--rows …] [--lines …] [--peers …] [--runs 5]."""

import sys
from pathlib import Path


def start() -> int:
    """Import from the repository's root, not from this folder."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.bench.main import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
