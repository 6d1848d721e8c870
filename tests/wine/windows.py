"""A real Windows Python under wine, put together once from public packages and kept outside the repository.

There is no package of it as such: the interpreter and its compiled modules come out of the wheel of panda3d on PyPI,
which ships them for its users' programs; the modules in Python are those of the Python that runs this; python.exe is
ten lines of C. Run as a program, this module builds it and says where: python -m tests.wine.windows
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
DLL = f"python{sys.version_info.major}{sys.version_info.minor}.dll"
WHEEL = "panda3d==1.10.16"
SOURCES = ("launcher.c", "bcryptprimitives.c")
COMPILER = "x86_64-w64-mingw32-gcc"
PROGRAMS = ("wine", "wineboot", "wineserver", COMPILER)
PACKAGES = ("pytest", "pytest-timeout", "hypothesis", "trustme", "scramp", "colorama", "tzdata")
NOT_NEEDED = ("site-packages", "test", "lib-dynload", "idlelib", "tkinter", "turtledemo", "__pycache__", "config-*")
EDITION = 2  # of the assembly below; a new number makes everybody build anew
SECONDS = 600
"""The longest that any one step may take: the wheel has 65 MB."""


class CannotBuildError(Exception):
    """Something that is not on this machine, or not to be had from here."""


class Windows:
    """A folder with a Windows Python in it, and the Windows (wine's prefix) that it runs on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = folder / "prefix"
        self.python = folder / "python" / "python.exe"

    @property
    def system32(self) -> Path:
        return self.prefix / "drive_c" / "windows" / "system32"

    def environment(self, **more: str) -> dict[str, str]:
        """Return what wine must and must not see: no display, no dialogs, none of our Python's own variables.

        With RASFAKE_DIR it gets the telephone for tests, else wine's own rasapi32, which has none.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WINE", "COV"))}
        kept.pop("DISPLAY", None)
        overrides = "mscoree=;mshtml=;winemenubuilder.exe="  # asks to install them, and menus
        return {
            **kept,
            "WINEPREFIX": str(self.prefix),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
            "WINEDLLOVERRIDES": f"rasapi32={'n' if 'RASFAKE_DIR' in more else 'b'};{overrides}",
        }

    def wine(
        self, *words: str | Path, given: str = "", seconds: float = SECONDS, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a Windows program to its end, and a Python within it if need be.

        What they say goes through a pipe, for a Windows Python cannot write to a file of Unix, and on into a file,
        for wine's desktop may inherit the pipe and hold it open.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as output:
            cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
            done = subprocess.run(
                ["wine", *map(str, words)],
                input=given.encode(),
                stdout=cat.stdin,
                stderr=cat.stdin,
                timeout=seconds,
                env=self.environment(**more),
                cwd=self.folder,
                check=False,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                cat.communicate(timeout=2)
            cat.kill()
            cat.wait()
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")

    def run(
        self, *words: str | Path, seconds: float = SECONDS, given: str = "", cwd: Path = ROOT, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the Windows Python with *words*; pipes, for it cannot write to a file of Unix."""
        return subprocess.run(
            ["wine", str(self.python), *map(str, words)],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=seconds,
            env=self.environment(**more),
            cwd=cwd,
            check=False,
        )

    def start(self, *words: str | Path, cwd: Path = ROOT, **more: str) -> subprocess.Popen[str]:
        """Start the Windows Python and do not wait for it."""
        return subprocess.Popen(
            ["wine", str(self.python), *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(**more),
            cwd=cwd,
        )


def path(of: Path) -> str:
    """Return what Windows calls a path of ours."""
    return "Z:" + str(of).replace("/", "\\")


def home() -> Path:
    """Return where it is kept; the name tells what it is made of, so that nothing old is ever used."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    files = b"".join(part.read_bytes() for part in (*map(HERE.joinpath, SOURCES), ROOT / "requirements.txt"))
    digest = hashlib.sha256(files + repr((EDITION, WHEEL, PACKAGES)).encode()).hexdigest()
    return cache / "popfetch-wine" / f"{sys.version.split()[0]}-{digest[:12]}"


def missing() -> str:
    """Return what this machine lacks, empty if nothing."""
    return ", ".join(program for program in PROGRAMS if shutil.which(program) is None)


def build() -> Windows:
    """Return the Windows Python, built now if it is not yet there; CannotBuildError says what is lacking."""
    if lacking := missing():
        raise CannotBuildError(f"not installed: {lacking}")
    folder = home()
    folder.parent.mkdir(parents=True, exist_ok=True)
    windows = Windows(folder)
    with FileLock(str(folder) + ".lock", timeout=SECONDS):
        if not folder.exists():
            shutil.rmtree(draft := folder.with_name(folder.name + ".new"), ignore_errors=True)
            draft.mkdir()
            assemble(Windows(draft))
            draft.rename(folder)
            for older in folder.parent.glob(f"{folder.name.split('-')[0]}-*"):
                if not older.name.startswith(folder.name):
                    shutil.rmtree(older, ignore_errors=True) if older.is_dir() else older.unlink()
        install_telephone(windows)
    return windows


def install_telephone(windows: Windows) -> None:
    """Put rasapi32.c where Windows keeps its own; only what is started with RASFAKE_DIR gets to see it."""
    with tempfile.TemporaryDirectory() as scratch:
        draft, source = Path(scratch) / "rasapi32.dll", str(HERE / "rasapi32.c")
        step(COMPILER, "-O1", "-shared", "-s", "-finput-charset=UTF-8", source, "-o", str(draft), "-Wl,--kill-at")
        place = windows.system32 / "rasapi32.dll"
        fresh = place.with_suffix(".new")
        shutil.copy(draft, fresh)
        fresh.replace(place)


def assemble(windows: Windows) -> None:
    """Make the prefix and the Python."""
    windows.python.parent.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        step(sys.executable, "-m", "pip", "download", "-q", "--no-deps", *for_windows(), "-d", scratch, WHEEL)
        (wheel,) = Path(scratch).glob("*.whl")
        unpack(wheel, windows.python.parent)
    library = windows.python.parent / "Lib"
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    link(windows.python)
    packages = ("-r", str(ROOT / "requirements.txt"), *PACKAGES)
    site = str(library / "site-packages")
    step(sys.executable, "-m", "pip", "install", "-q", "--no-compile", *for_windows(), "--target", site, *packages)
    for words in (("wineboot", "-i"), ("wine", "winecfg", "-v", "win10"), ("wineserver", "-w")):
        step(*words, env=windows.environment())
    told = windows.run("-c", "import ctypes, ssl, sys; print(sys.platform, sys.version.split()[0])", cwd=windows.folder)
    if told.returncode or not told.stdout.startswith(f"win32 {MINOR}."):
        raise CannotBuildError(f"the Windows Python does not start: {told.stdout}{told.stderr}")


def link(python: Path) -> None:
    """Compile python.exe and what the wheel lacks of Python and wine of Windows: for packages with Rust in them."""
    define = f'-DPYTHON_DLL=L"{DLL}"'
    step(COMPILER, "-O2", "-municode", "-s", define, str(HERE / "launcher.c"), "-o", str(python))
    random = str(python.with_name("bcryptprimitives.dll"))
    step(COMPILER, "-O2", "-shared", "-s", str(HERE / "bcryptprimitives.c"), "-o", random, "-ladvapi32")
    # python3.dll: every name of the stable ABI is one of python311.dll's.
    told = step(COMPILER.replace("gcc", "objdump"), "-p", str(python.with_name(DLL)))
    names = re.findall(r"^\s*\[\s*\d+\]\s+(?:\S+\s+)?(_?Py\w+)$", told, re.MULTILINE)
    forwards = python.with_name("python3.def")
    forwards.write_text("EXPORTS\n" + "".join(f"{name}={DLL[:-4]}.{name}\n" for name in names))
    step(COMPILER, "-shared", "-s", "-nostdlib", str(forwards), "-o", str(python.with_name("python3.dll")))


def for_windows() -> tuple[str, ...]:
    return ("--only-binary=:all:", "--platform", "win_amd64", "--python-version", MINOR)


def unpack(wheel: Path, folder: Path) -> None:
    """Take the interpreter out of *wheel*: what python.exe loads beside it, everything else into DLLs."""
    (folder / "DLLs").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            library = Path(name).name
            if not name.startswith("deploy_libs/") or library.startswith(("api-ms-", "tcl", "tk")):
                continue
            beside = library.lower().startswith(("python", "vcruntime"))
            (folder / ("" if beside else "DLLs") / library).write_bytes(archive.read(name))


def step(*words: str, env: dict[str, str] | None = None) -> str:
    """Run one step of the assembly and return what it says."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, env=env, check=False
    )
    if done.returncode:
        raise CannotBuildError(f"{words[0]} {words[1]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    print(build().folder)
