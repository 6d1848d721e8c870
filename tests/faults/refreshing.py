"""Renewals of a token that are killed at any step, and a provider that lets a refresh token be used once.

    python tests/faults/refreshing.py ROUNDS SEED

The provider forgets a refresh token when the one that it gave in its place is used for the first time: the grace that
real ones have, for an answer may be lost. After every round the refresh token on disk must work. A line a round in
which it does not, then the sums; the exit code is 1 if there was any.
"""

import json
import os
import random
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import filelock  # noqa: F401 - as a pass has it by then

from lib.auth import oauth
from lib.auth.oauth import Token
from lib.auth.tokens import FOLDER, StoredToken, Tokens, decoded
from lib.config.oauth import parse
from lib.config.values import Secret
from lib.errors import PopfetchError
from lib.net.https import HttpReply, ServerUnavailableError

HOUR = 3600.0
WORK = parse("work provider=microsoft client_id=abc")
ANSWERS = ("well", "well", "well", "lost before", "lost after", "503")
LONGEST = 4096


class Grants:
    """The provider: what it gave last, and what that took the place of and still works."""

    def __init__(self) -> None:
        self.number = 0
        self.works = {"r0"}

    def renewed(self, refresh: str) -> dict[str, object]:
        """Answer a renewal."""
        if refresh not in self.works:
            return {"error": "invalid_grant"}
        self.number += 1
        self.works = {refresh, f"r{self.number}"}
        return {"access_token": f"a{self.number}", "refresh_token": f"r{self.number}", "expires_in": 3600}


class Line:
    """The child's way to the provider."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def post(self, _url: str, form: Mapping[str, str]) -> HttpReply:
        """Ask."""
        self._sock.sendall(form["refresh_token"].encode())
        said = self._sock.recv(LONGEST)
        if not said:
            raise ServerUnavailableError("reset")
        found = json.loads(said)
        return HttpReply(503 if not found else 400 if "error" in found else 200, found)


def reveal(secret: Secret) -> str:
    """Return a secret of the client, of which there is none."""
    return secret.source


def child(folder: Path, sock: socket.socket, now: float, last_step: int) -> tuple[int, int]:
    """Renew, and be killed at step *last_step*; return how many steps a whole renewal has, and at which it asks."""
    steps = asked = 0

    def step(_frame: FrameType, _event: str, _arg: object) -> None:
        nonlocal steps
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def post(url: str, form: Mapping[str, str]) -> HttpReply:
        nonlocal asked
        asked = steps
        return Line(sock).post(url, form)

    found = Tokens(folder, {"work": WORK}, post, lambda: now, "--login")
    sys.setprofile(step)
    try:
        found.access("work", "anna", reveal)
    except PopfetchError:
        pass
    finally:
        sys.setprofile(None)
    return steps, asked


def serve(sock: socket.socket, grants: Grants, how: str) -> None:
    """Answer until the child is gone."""
    while asked := sock.recv(LONGEST):
        if how == "lost before":
            sock.shutdown(socket.SHUT_WR)
            continue
        said = {} if how == "503" else grants.renewed(asked.decode())
        if how == "lost after":
            sock.shutdown(socket.SHUT_WR)
            continue
        try:
            sock.sendall(json.dumps(said).encode())
        except OSError:
            return


def killed_at(folder: Path, grants: Grants, now: float, last_step: int, how: str) -> tuple[int, ...]:
    """Let one renewal be killed; return what child() does, nothing if it was killed."""
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.write(writer, "{} {}".format(*child(folder, theirs, now, last_step)).encode())
        os._exit(0)
    theirs.close()
    os.close(writer)
    with ours:
        serve(ours, grants, how)
    os.waitpid(pid, 0)
    steps = os.read(reader, 40)
    os.close(reader)
    return tuple(map(int, steps.split()))


def play(rounds: int, seed: str) -> tuple[list[str], Counter[str]]:
    """Return what was broken, and what happened how often."""
    chance = random.Random(seed)  # noqa: S311 - is for no key
    grants, wrong, sums = Grants(), list[str](), Counter[str]()
    oauth.library()  # its import is no step
    with tempfile.TemporaryDirectory() as temporary:
        folder, now = Path(temporary) / FOLDER, 1_800_000_000.0
        Tokens(folder, {"work": WORK}, Line(socket.socket()).post, lambda: now, "").keep(
            "work", StoredToken(Token("a0", now, "r0", now))
        )
        most, asked = killed_at(folder, grants, now + HOUR, 0, "well")
        for number in range(rounds):
            now += 2 * HOUR
            # Most steps come before the question, and what can be lost comes behind it.
            at = chance.randint(1, asked) if number % 4 == 0 else chance.randint(asked, most)
            how = chance.choice(ANSWERS)
            whole = killed_at(folder, grants, now, at, how)
            sums[how] += 1
            sums["killed"] += not whole
            kept = decoded((folder / "work.json").read_bytes()).token.refresh
            if kept not in grants.works:
                wrong.append(f"round {number}, killed at step {at} of {most}, answer {how}: {kept} works no more")
                break
    sums["steps"], sums["renewals"] = most, grants.number
    return wrong, sums


if __name__ == "__main__":
    told, counted = play(int(sys.argv[1]), sys.argv[2])
    print("\n".join([*told, json.dumps(counted)]))
    sys.exit(bool(told))
