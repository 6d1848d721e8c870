"""What an account proves itself by: its password, its certificate, or an access token of the pf_oauth line it names."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lib.config import password
from lib.config.settings import Account, Settings
from lib.halt import Stop, never

if TYPE_CHECKING:
    from lib.auth.tokens import Tokens
    from lib.net.https import HttpReply


def reveal(account: Account, settings: Settings, command: str, stop: Stop) -> str:
    """Return the password or the token; *command* is how this program is called, for who must log in again.

    SettingsError, LoginError (log in again), AccountError (no token now), StorageError, StoppedError.
    """
    if account.auth == "external":
        return ""  # the certificate tells
    if not account.oauth:
        return password.reveal(account.password, stop)
    tokens = _tokens(settings, command, stop)
    return tokens.access(account.oauth, account.user, lambda secret: password.reveal(secret, stop))


def refused(account: Account, settings: Settings, command: str) -> None:
    """Note that a server took the token no more: the next pass has a new one. StorageError."""
    if account.oauth:
        _tokens(settings, command, never).refused(account.oauth, account.user)


def _tokens(settings: Settings, command: str, stop: Stop) -> "Tokens":
    from lib.auth.tokens import FOLDER, Tokens  # noqa: PLC0415 - only who has tokens pays for them
    from lib.net import https  # noqa: PLC0415 - as above

    how = https.Asking(settings.pf_tls_ca, stop)

    def post(url: str, form: Mapping[str, str]) -> "HttpReply":
        return https.post(url, form, how)

    known = {line.name: line for line in settings.pf_oauth}
    tokens = Tokens(settings.work_path / FOLDER, known, post, time.time, f"{command} --login")
    tokens.stop = stop
    return tokens
