"""The one place where a secret becomes a password: read from a file, the environment, a command or the keyring.

Nothing that is raised here holds a password, a piece of one, or what a command printed; and every password that leaves
here is known to lib.visible, which hides it wherever it might be shown.
"""

import os
import stat
from importlib import import_module
from pathlib import Path

from lib.aside import aside
from lib.config import values
from lib.config.values import Secret
from lib.errors import SettingsError, StoppedError
from lib.halt import Deadline, Stop, never
from lib.visible import hide, visible

COMMAND_SECONDS = 60  # enough for a person to answer gpg-agent; a pass must not hang on it
MAX_OCTETS = 1 << 16  # of a password file: room for any token
BOM = b"\xef\xbb\xbf"
OCTETS = ("file", "command", "env", "credential")  # where a password is octets, not text
NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # a FIFO in the file's place must not hang us


def reveal(secret: Secret, stop: Stop = never) -> str:
    """Return the password behind *secret*: the first line of a file or of a command's output, or the text itself.

    Octets that are no UTF-8 stand in it as surrogates; octets() gives them back.

    A command or a keyring has COMMAND_SECONDS, or until *stop*. Raises SettingsError, which names the place in
    dmail.conf and what to do, and StoppedError.
    """
    kind, _, rest = secret.source.partition(":")
    match secret.kind:
        case "file":
            password = _from_file(secret, secret.folder / rest)
        case "env":
            password = _from_environment(secret, rest)
        case "command":
            password = _from_command(secret, rest, stop)
        case "credential":
            password = _from_credential(secret, rest)
        case "keyring":
            password = _from_keyring(secret, rest, stop)
        case _:
            password = rest if kind == "literal" else secret.source
    if not password:
        raise _error(secret, "the password is empty")
    if any(char < " " or char == "\x7f" for char in password) or not _whole(secret, password):
        raise _error(secret, "the password holds a control character or broken text, which no server takes")
    hide(password)
    return password


def octets(password: str) -> bytes:
    """Return what goes over the wire for a password that reveal() gave."""
    return password.encode("utf-8", "surrogateescape")


def _whole(secret: Secret, password: str) -> bool:
    """Say whether this can be sent: what came as octets can; in dmail.conf and in a keyring stands text."""
    try:
        password.encode("utf-8", "surrogateescape" if secret.kind in OCTETS else "strict")
    except UnicodeEncodeError:
        return False
    return True


def _error(secret: Secret, why: str) -> SettingsError:
    return SettingsError(f"{secret.place}: {why}")


def _first_line(octets: bytes) -> str:
    line, _, _ = octets.partition(b"\n")
    return line.removesuffix(b"\r").removeprefix(BOM).decode("utf-8", "surrogateescape")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | NONBLOCK)


def _from_file(secret: Secret, path: Path) -> str:
    """Return the first line of a regular file that nobody else can read."""
    name = visible(f"file:{path}")
    try:
        with open(path, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _error(secret, f"{name} is not a regular file")
            if os.name == "posix" and values.open_to_others(status.st_mode, status.st_uid):
                raise _error(secret, f"{name} holds a password and others can read it; {values.chmod(path)}")
            octets = file.read(MAX_OCTETS)
    except (OSError, ValueError) as error:
        raise _error(secret, f"{name} cannot be read: {_words(error)}") from None
    return _first_line(octets)


def _from_credential(secret: Secret, name: str) -> str:
    """Return the first line of a credential that systemd handed to this service (LoadCredential=, SetCredential=)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        why = "there is no $CREDENTIALS_DIRECTORY: only a service of systemd has one (LoadCredential= in its unit)"
        raise _error(secret, f"credential:{visible(name)}: {why}")
    return _from_file(secret, Path(folder) / name)


def _from_environment(secret: Secret, name: str) -> str:
    password = os.environ.get(name)
    if password is None:
        raise _error(secret, f"the environment has no {visible(name)} (cron passes on almost nothing: set it there)")
    return password


def _from_command(secret: Secret, line: str, stop: Stop) -> str:
    from lib import child  # noqa: PLC0415 - only who has such a password pays for it

    argv = values.argv(line)
    program = f"command:{visible(argv[0])}"
    ended = child.run(argv, COMMAND_SECONDS, stop, secret=True)
    if ended.code is None and stop():
        raise StoppedError(f"{secret.place}: stopped while {program} ran")
    if ended.why:
        raise _error(secret, f"{program} {ended.why}")
    if ended.code:
        raise _error(secret, f"{program} {ended.reason}; run it by hand to see why")
    return _first_line(ended.output)


def _words(error: OSError | ValueError) -> str:
    """Return the system's words alone: str(error) would repeat what was run or opened."""
    return (error.strerror if isinstance(error, OSError) else None) or "no such name"


def _from_keyring(secret: Secret, service: str, stop: Stop) -> str:
    """Ask the system's keyring (Secret Service, Windows Credential Locker, Keychain) through the keyring package."""
    try:
        keyring = import_module("keyring")
    except ImportError:
        raise _error(secret, "keyring: needs a package that is not installed; run: pip install keyring") from None
    name = f"keyring:{visible(service)}"
    try:
        password = aside(lambda: keyring.get_password(service, secret.user), Deadline.after(COMMAND_SECONDS, stop))
    except TimeoutError:
        raise _error(secret, f"{name} took longer than {COMMAND_SECONDS} s") from None
    except keyring.errors.KeyringError:
        raise _error(secret, f"{name} cannot be opened (a keyring is locked until its owner logs in)") from None
    if password is None:
        raise _error(secret, f"{name} has no password for {visible(secret.user)!r}; run: keyring set SERVICE USER")
    return str(password)
