"""Tokens on disk: had once, renewed before they end, never lost.

The law: a token's file is changed only by who holds its lock, and has read it again under it. Room for the new file is
on disk before a refresh token is used; the new one is on disk, fsynced, before its access token is. What is not an
answer (a network that fails, a server out of order) changes nothing. One renewal serves all accounts that name the
token, in this pass and in others that run meanwhile. No token stands in a log, a complaint or a traceback.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from lib.auth import oauth
from lib.auth.oauth import InvalidGrantError, Token
from lib.config.oauth import Oauth, Provider
from lib.config.values import Secret
from lib.errors import AccountError, LoginError, StorageError
from lib.halt import Deadline, Stop, never
from lib.net.https import HttpReply
from lib.store import ownfile
from lib.visible import hide, visible

FOLDER = "popfetch_tokens.d"
SCHEMA = 1
LOCK_SECONDS = 90.0  # somebody else renews it; three requests' time
LOOK_SECONDS = 0.05
ROOM = 32 << 10  # octets of a token file: Microsoft's tokens are 2 to 5 KB each
USABLE = 30  # seconds that an access token must last to be used when its renewal failed
ENDPOINTS = ("authorize", "token", "device", "register")

PostForm = Callable[[str, Mapping[str, str]], HttpReply]


class StoredToken(NamedTuple):
    """What a token's file holds: the token, and what an issuer told of itself and registered for us."""

    token: Token = Token("", 0.0)
    client_id: str = ""
    endpoints: tuple[tuple[str, str], ...] = ()

    def applied(self, it: Oauth) -> Oauth:
        """Return *it* with what was found out at its login."""
        known = {name: url for name, url in self.endpoints if name in ENDPOINTS}
        provider: Provider = it.provider._replace(**known)  # type: ignore[arg-type] # its text fields
        return it._replace(provider=provider, client_id=it.client_id or self.client_id)


class Tokens:
    """The tokens of dmail.conf's pf_oauth lines, in *folder*. Thread-safe."""

    def __init__(
        self, folder: Path, known: Mapping[str, Oauth], post: PostForm, now: Callable[[], float], login: str
    ) -> None:
        """*post* asks a provider; *login* is the command that logs in, the name still to be put behind it."""
        self.stop: Stop = never
        """Ends a wait for somebody else who renews a token at this moment."""
        self._folder = folder
        self._known = known
        self._post = post
        self._now = now
        self._login = login
        self._locks: dict[str, Lock] = {}
        self._locking = Lock()

    def access(self, name: str, user: str, reveal: Callable[[Secret], str]) -> str:
        """Return an access token for the mailbox *user*.

        LoginError: log in again, or mend the settings. AccountError: not now. StorageError, SettingsError, and
        StoppedError.
        """
        it = self._known[name]
        with self._locking:
            lock = self._locks.setdefault(self._file(it, user), Lock())
        with lock:
            stored = self._read(it, user)
            if not stored.token.fresh(self._now()):
                stored = self._renewed(it, user, reveal)
        hide(stored.token.access)
        return stored.token.access

    def refused(self, name: str, user: str) -> None:
        """Note that a server took an access token no more, whatever its time: the next one asked for is a new one."""
        it = self._known[name]
        with self._held(it, user):
            stored = self._read(it, user)
            self._write(it, user, stored._replace(token=stored.token._replace(expires=0.0)))

    def keep(self, name: str, stored: StoredToken) -> None:
        """Put what a login brought in the place of what was there. StorageError."""
        it = self._known[name]
        with self._held(it, ""):
            self._write(it, "", stored)

    def room(self, name: str) -> None:
        """Return when a login's token can be written. StorageError."""
        with self._held(self._known[name], ""):
            pass

    def _renewed(self, it: Oauth, user: str, reveal: Callable[[Secret], str]) -> StoredToken:
        with self._held(it, user):
            stored, now = self._read(it, user), self._now()
            if stored.token.fresh(now):
                return stored  # another pass was faster
            with ownfile.reserved(self._path(it, user), ROOM) as put:
                token = self._asked_or_kept(stored, it, user, reveal)
                if token is not stored.token:
                    put(encoded(stored._replace(token=token)))
            return stored._replace(token=token)

    def _asked_or_kept(self, stored: StoredToken, it: Oauth, user: str, reveal: Callable[[Secret], str]) -> Token:
        """Return a new token, or the old one if it is good for this pass and there is no answer."""
        try:
            return self._asked(stored.applied(it), stored.token, user, reveal)
        except AccountError as error:
            if not isinstance(error, LoginError) and stored.token.fresh(self._now(), USABLE):
                return stored.token
            raise

    def _asked(self, it: Oauth, before: Token, user: str, reveal: Callable[[Secret], str]) -> Token:
        if not it.provider.token:
            raise LoginError(f"nothing is known yet of the issuer of oauth={it.name}: run {self._login} {it.name}")
        secret = reveal(it.client_secret) if it.client_secret else ""
        hide(before.refresh)
        now = self._now()
        if it.flow == "client":
            form = oauth.credentials(it, secret, user, now)
        elif before.refresh:
            form = oauth.refresh(it, before, secret)
        else:
            raise LoginError(f"nobody has logged in for oauth={it.name} yet: run {self._login} {it.name}")
        try:
            found = oauth.token(self._post(it.provider.token, form), now, before)
        except InvalidGrantError as error:
            words = "the login has ended" if it.flow != "client" else "the provider knows no such user or key"
            raise LoginError(f"{words} ({error}): run {self._login} {it.name}") from None
        except LoginError as error:
            raise LoginError(f"{error}: see pf_oauth {it.name}") from None
        hide(found.access)
        hide(found.refresh)
        return found

    # --- files ------------------------------------------------------------------------------------------------------

    def _file(self, it: Oauth, user: str) -> str:
        if not it.provider.each_mailbox:
            return it.name
        return f"{it.name}.{hashlib.sha256(user.encode()).hexdigest()[:16]}"

    def _path(self, it: Oauth, user: str) -> Path:
        return self._folder / f"{self._file(it, user)}.json"

    @contextlib.contextmanager
    def _held(self, it: Oauth, user: str) -> Iterator[None]:
        """Hold the token's lock inside; its folder is there by then. AccountError when somebody else holds it long."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - only a renewal needs it

        with ownfile.saying(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(it, user).with_suffix(".lock")
        os.close(ownfile.open_own(path, create=True))  # refuses what is planted
        lock = FileLock(path)
        try:
            for seconds in Deadline.after(LOCK_SECONDS, self.stop).slices():
                try:
                    lock.acquire(timeout=0)
                    break
                except Timeout:
                    time.sleep(min(seconds, LOOK_SECONDS))
            else:
                raise AccountError(f"another pass has been renewing oauth={it.name} for {LOCK_SECONDS:.0f} s")
        except OSError as error:
            raise ownfile.trouble(error, path) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self, it: Oauth, user: str) -> StoredToken:
        path = self._path(it, user)
        try:
            octets = ownfile.read(path)
        except ownfile.MissingError:
            return StoredToken()
        except StorageError:
            if not self._folder.is_dir():
                return StoredToken()
            raise
        if octets is None:
            return StoredToken()
        try:
            return decoded(octets)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LoginError(f"{visible(str(path))} is damaged: run {self._login} {it.name}") from None

    def _write(self, it: Oauth, user: str, stored: StoredToken) -> None:
        ownfile.replace(self._path(it, user), encoded(stored))


def encoded(stored: StoredToken) -> bytes:
    """Return a token's file."""
    token = stored.token
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "access_token": token.access,
        "expires": token.expires,
        "refresh_token": token.refresh,
        "obtained": token.obtained,
        "client_id": stored.client_id,
        "endpoints": dict(stored.endpoints),
    }
    return json.dumps(said, indent=1).encode() + b"\n"


def decoded(octets: bytes) -> StoredToken:
    """Read a token's file. ValueError, KeyError, TypeError or AttributeError for what is none."""
    said = json.loads(octets)
    if said["schema"] != SCHEMA:
        raise ValueError("a later schema")
    texts = {name: said[name] for name in ("access_token", "refresh_token", "client_id")}
    if not all(isinstance(one, str) for one in (*texts.values(), *said["endpoints"].values())):
        raise ValueError("no text")
    token = Token(texts["access_token"], float(said["expires"]), texts["refresh_token"], float(said["obtained"]))
    return StoredToken(token, texts["client_id"], tuple(said["endpoints"].items()))
