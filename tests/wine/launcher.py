"""Runs under Windows: starts passes, and ends them by TerminateProcess. Its words, a line each:

`next` is answered with the number of the Python that waits to be the next pass: it has imported the program, which
takes long under wine, and a few of them wait. A line of JSON lets it begin, `kill` ends it by force, `ended CODE` tells
of its end.
"""

import json
import subprocess
import sys
from collections import deque
from pathlib import Path
from threading import Lock, Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

PASS = "pass"
AHEAD = 3
SAYING = Lock()


def say(news: str) -> None:
    with SAYING:
        print(news, flush=True)


def prepare(number: int, errors: str) -> "subprocess.Popen[bytes]":
    """Start the Python of a pass; what it does is told to its stdin."""
    words = [sys.executable, "-W", "error", __file__, PASS, errors, str(number)]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere)


def tell_of_the_end(running: "subprocess.Popen[bytes]") -> None:
    say(f"ended {running.wait()}")


def serve(errors: str) -> None:
    """Do what stdin says until it ends."""
    waiting = deque((number, prepare(number, errors)) for number in range(AHEAD))
    running = waiting[0][1]
    for line in sys.stdin:
        if line.strip() == "next":
            number, running = waiting.popleft()
            say(str(number))
            waiting.append((number + AHEAD, prepare(number + AHEAD, errors)))
        elif line.strip() == "kill":
            running.kill()
        else:
            Thread(target=tell_of_the_end, args=(running,), daemon=True).start()
            assert running.stdin
            running.stdin.write(line.encode())
            running.stdin.close()
    for _, idle in waiting:
        idle.kill()
        idle.wait()


def be_a_pass(errors: str) -> int:
    """Wait for the word to begin."""
    import filelock  # noqa: F401
    import tomli_w  # noqa: F401

    from lib.commands import verbs  # noqa: F401
    from popfetch_batch import main

    job = json.loads(sys.stdin.readline())
    with Path(errors).open("w", encoding="utf-8") as sys.stderr:
        return int(main(job["argv"]))


if __name__ == "__main__":
    if sys.argv[1] == PASS:
        sys.exit(be_a_pass(sys.argv[2]))
    serve(sys.argv[1])
