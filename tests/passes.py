"""What a test of a whole pass needs: a dmail.conf, a run of the program, and an eye on the passwords."""

import base64
import importlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent.parent
PROGRAM = HERE / "popfetch_batch.py"
SECRET = re.compile(r'geheim-[^\s"\\]+')  # every password of a test begins like this
CHUNK = 1 << 20
Argument = str | Path


class Result(NamedTuple):
    """What a pass left behind when it ended."""

    code: int
    out: str
    err: str


class Secrets:
    """The passwords that a test has planted, and what was printed meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.planted: set[str] = set()
        self.printed: list[str] = []
        self.exempt: set[Path] = set()

    def plant(self, text: str, file: Path | None = None) -> None:
        """Take note of the passwords in *text*, and of the *file* that may hold them."""
        self.planted.update(SECRET.findall(text))
        if file:
            self.exempt.add(file)

    def leaks(self) -> list[str]:
        """Return where a planted password stands that should not: in a file, its name, or what was printed."""
        needles = {needle: secret for secret in self.planted for needle in _forms(secret)}
        found = [
            f"{secret} was printed" for needle, secret in needles.items() if needle.decode() in "".join(self.printed)
        ]
        for path in sorted(self.folder.rglob("*")) if needles else []:
            name = os.fsencode(path.name)
            seen = (
                set() if path in self.exempt or not path.is_file() or path.is_symlink() else set(_find(path, needles))
            )
            found += [f"{secret} stands in {path}" for n, secret in needles.items() if n in seen or n in name]
        return found


def _forms(secret: str) -> Iterator[bytes]:
    """Yield the secret as it is, and what of it is in base64 wherever it begins there (AUTH PLAIN)."""
    raw = secret.encode()
    yield raw
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw + b"\0" * 2)
        yield coded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]


def _find(path: Path, needles: Iterable[bytes]) -> Iterator[bytes]:
    longest = max(map(len, needles))
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            text = tail + chunk
            yield from (needle for needle in needles if needle in text)
            tail = text[-longest:]


class Conf:
    """Writes dmail.conf, readable by us alone, and plants the passwords that stand in it."""

    def __init__(self, path: Path, work: Path, secrets: Secrets) -> None:
        self.path = path
        self.work = work
        self.secrets = secrets

    def __call__(self, *lines: str, **settings: object) -> Path:
        """Write *lines* as they are and *settings* by name: a list is a line each, None leaves the setting out."""
        rows = list(lines)
        for name, value in {"work_path": self.work, **settings}.items():
            values = value if isinstance(value, list | tuple) else [] if value is None else [value]
            rows += [f"{name} {str(v).lower() if isinstance(v, bool) else v}".rstrip() for v in values]
        text = "\n".join(rows) + "\n"
        self.path.touch(mode=0o600)
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o600)
        self.secrets.plant(text, self.path)
        return self.path


def account(port: int, *options: str, user: str = "bob", host: str = "127.0.0.1") -> str:
    """Return the pf_user line of *user*, whose password is geheim- and the name."""
    return " ".join(["pf_user", user, f"geheim-{user}", f"{host}:{port}", *options])


def _in_this_process(argv: list[str]) -> Result:
    """Run the program in this process."""
    main = importlib.import_module(PROGRAM.stem).main
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", write_through=True) for _ in "oe")
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = int(main(argv))
        except SystemExit as ending:
            code = int(ending.code or 0)
    for stream in (out, err):
        stream.seek(0)
    return Result(code, out.read(), err.read())


def _as_child(argv: list[str], env: Mapping[str, str] | None, limit: float = 100) -> Result:
    """Run the program as a child; a warning there, such as a socket left open, is an error."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), *argv],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=limit,
        check=False,
    )
    texts = (text.decode("utf-8", "surrogateescape").replace("\r\n", "\n") for text in (ended.stdout, ended.stderr))
    return Result(ended.returncode, *texts)


class RunPass:
    """Runs passes to their end: `run_pass(conf)`, `run_pass(conf, "--check", child=True, env={…})`."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets

    def __call__(
        self, conf: Path, *arguments: Argument, child: bool = False, env: Mapping[str, str] | None = None
    ) -> Result:
        argv = ["-i", str(conf), *map(str, arguments)]
        result = _as_child(argv, env) if child or env else _in_this_process(argv)
        self.secrets.printed += [result.out, result.err]
        return result


class StartPass:
    """Starts passes and leaves them running: for tests that kill them. Ended, at the latest, with the test."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets
        self.running: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, conf: Path, *arguments: Argument, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        started = subprocess.Popen(
            [sys.executable, str(PROGRAM), "-i", str(conf), *map(str, arguments)],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.running.append(started)
        return started

    def finish(self, started: "subprocess.Popen[bytes]", limit: float = 100) -> Result:
        """Wait for the end of a pass."""
        out, err = (text.decode("utf-8", "surrogateescape") for text in started.communicate(timeout=limit))
        self.running.remove(started)
        self.secrets.printed += [out, err]
        return Result(started.returncode, out, err)

    def end(self) -> None:
        for started in tuple(self.running):
            started.kill()
            self.finish(started)
