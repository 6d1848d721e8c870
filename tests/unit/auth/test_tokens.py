"""Token files: renewed once for all, kept through everything that is no answer."""

import json
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Barrier, Thread

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from lib.auth import tokens as tokens_module
from lib.auth.oauth import Token
from lib.auth.tokens import FOLDER, StoredToken, Tokens, decoded, encoded
from lib.config.oauth import Oauth, parse
from lib.config.values import Secret
from lib.errors import AccountError, LoginError, StoppedError, StorageError
from lib.net.https import HttpReply, ServerUnavailableError
from lib.store import ownfile

NOW = 1_800_000_000.0
WORK = parse("work provider=microsoft client_id=abc")


def reveal(secret: Secret) -> str:
    return secret.source


class Provider:
    """A provider that rotates: each refresh token works once, and what *says* returns is said first."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []
        self.refresh = "r0"
        self.says: Callable[[], HttpReply | None] = lambda: None

    def post(self, _url: str, form: Mapping[str, str]) -> HttpReply:
        self.asked.append(form)
        said = self.says()
        if said is not None:
            return said
        if form.get("grant_type") == "refresh_token" and form["refresh_token"] != self.refresh:
            return HttpReply(400, {"error": "invalid_grant"})
        number = len(self.asked)
        self.refresh = f"r{number}"
        return HttpReply(200, {"access_token": f"a{number}", "expires_in": 3600, "refresh_token": self.refresh})


class Place:
    """A work_path with tokens in it, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self.provider = Provider()
        self.now = NOW

    def tokens(self, *lines: Oauth) -> Tokens:
        known = {it.name: it for it in lines or (WORK,)}
        return Tokens(self.folder, known, self.provider.post, lambda: self.now, "popfetch_batch.py --login")

    def logged_in(self) -> Tokens:
        found = self.tokens()
        found.keep("work", StoredToken(Token("a0", NOW + 3600, "r0", NOW)))
        return found

    @property
    def stored(self) -> StoredToken:
        return decoded((self.folder / "work.json").read_bytes())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_token_that_lasts_is_not_renewed(place: Place) -> None:
    found = place.logged_in()
    assert found.access("work", "anna", reveal) == "a0"
    assert place.provider.asked == []


def test_a_token_is_renewed_when_less_than_five_minutes_are_left(place: Place) -> None:
    found = place.logged_in()
    place.now += 3301
    assert found.access("work", "anna", reveal) == "a1"
    assert place.stored.token == Token("a1", place.now + 3600, "r1", place.now)
    assert place.tokens().access("work", "bob", reveal) == "a1"
    assert len(place.provider.asked) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_what_lies_there_is_for_nobody_else(place: Place) -> None:
    place.logged_in()
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.folder.iterdir()} == {0o600}


def test_sixty_four_accounts_cause_one_renewal(place: Place) -> None:
    passes = [place.logged_in(), place.tokens()]
    place.now += 4000
    begin, found = Barrier(64), list[str]()

    def account(number: int) -> None:
        begin.wait()
        found.append(passes[number % 2].access("work", f"user{number}", reveal))

    threads = [Thread(target=account, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["a1"] * 64
    assert len(place.provider.asked) == 1


def unreachable() -> HttpReply:
    raise ServerUnavailableError("login.example.org: no answer in time")


PASSING = {
    "the network fails": unreachable,
    "503": lambda: HttpReply(503, {}),
    "500 with invalid_grant": lambda: HttpReply(500, {"error": "invalid_grant"}),
    "a captive portal": lambda: HttpReply(200, {}),
    "temporarily_unavailable": lambda: HttpReply(400, {"error": "temporarily_unavailable"}),
}


@pytest.mark.parametrize("trouble", PASSING)
def test_what_is_no_answer_changes_nothing(place: Place, trouble: str) -> None:
    found = place.logged_in()
    before = (place.folder / "work.json").read_bytes()
    place.now += 4000
    place.provider.says = PASSING[trouble]
    with pytest.raises(AccountError) as error:
        found.access("work", "anna", reveal)
    assert not isinstance(error.value, LoginError)
    assert (place.folder / "work.json").read_bytes() == before
    assert sorted(path.name for path in place.folder.iterdir()) == ["work.json", "work.lock"]
    place.provider.says = lambda: None
    assert found.access("work", "anna", reveal) == "a2"


def test_a_token_with_four_minutes_left_is_good_when_its_renewal_fails(place: Place) -> None:
    found = place.logged_in()
    place.now += 3400
    place.provider.says = unreachable
    assert found.access("work", "anna", reveal) == "a0"


def test_a_login_that_has_ended_says_what_to_type(place: Place) -> None:
    found = place.logged_in()
    place.now += 4000
    place.provider.refresh = "revoked"
    with pytest.raises(LoginError, match=r"run popfetch_batch.py --login work"):
        found.access("work", "anna", reveal)
    assert place.stored.token.refresh == "r0"


def test_a_name_that_nobody_has_logged_in_for_says_what_to_type(place: Place) -> None:
    with pytest.raises(LoginError, match=r"nobody has logged in .*: run popfetch_batch.py --login work"):
        place.tokens().access("work", "anna", reveal)
    assert place.provider.asked == []


@pytest.mark.parametrize("octets", [b"", b"{}", b"[]", b'{"schema": 2}', b"\xff", encoded(StoredToken())[:-20]])
def test_a_damaged_file_says_what_to_type(place: Place, octets: bytes) -> None:
    found = place.logged_in()
    (place.folder / "work.json").write_bytes(octets)
    with pytest.raises(LoginError, match="damaged: run"):
        found.access("work", "anna", reveal)


def test_a_token_that_a_server_takes_no_more_is_renewed(place: Place) -> None:
    found = place.logged_in()
    found.refused("work", "anna")
    assert found.access("work", "anna", reveal) == "a1"


def test_a_clock_that_was_ahead_at_the_login_does_not_keep_a_token_for_ever(place: Place) -> None:
    found = place.logged_in()
    place.now -= 86400
    assert found.access("work", "anna", reveal) == "a1"


def test_room_is_made_before_the_refresh_token_is_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = place.logged_in()
    place.now += 4000

    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(ownfile, "write", full)
    with pytest.raises(StorageError):
        found.access("work", "anna", reveal)
    assert place.provider.asked == []
    monkeypatch.undo()
    assert found.access("work", "anna", reveal) == "a1"


def test_the_new_refresh_token_is_on_disk_before_the_access_token_is_used(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = place.logged_in()
    place.now += 4000
    order: list[str] = []
    monkeypatch.setattr(ownfile, "sync", lambda _descriptor, path: order.append(path.name))
    monkeypatch.setattr(tokens_module, "hide", lambda _: order.append("used"))
    found.access("work", "anna", reveal)
    assert order[-1] == "used"
    assert order.count("work.json.new") == 2  # its room, and what it holds


def test_somebody_elses_lock_is_not_waited_for_without_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    found = place.logged_in()
    place.now += 4000
    monkeypatch.setattr(tokens_module, "LOCK_SECONDS", 0.2)
    with FileLock(place.folder / "work.lock"), pytest.raises(AccountError, match="another pass"):
        found.access("work", "anna", reveal)


def test_a_planted_link_is_refused(place: Place, tmp_path: Path) -> None:
    found = place.logged_in()
    (place.folder / "work.json").unlink()
    (place.folder / "work.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        found.access("work", "anna", reveal)


APP = parse("app provider=microsoft-app tenant=x.org client_id=abc client_secret=geheim")


def test_a_program_that_is_its_own_user_needs_no_login(place: Place) -> None:
    found = place.tokens(APP)
    assert found.access("app", "anna", reveal) == "a1"
    assert found.access("app", "bob", reveal) == "a1"
    (asked,) = place.provider.asked
    assert (asked["grant_type"], asked["client_secret"]) == ("client_credentials", "geheim")


def test_what_an_issuer_told_is_used_for_the_renewal(place: Place) -> None:
    own = parse("own provider=generic issuer=https://i.org")
    urls: list[str] = []

    def post(url: str, form: Mapping[str, str]) -> HttpReply:
        urls.append(url)
        return place.provider.post(url, form)

    found = Tokens(place.folder, {"own": own}, post, lambda: place.now, "x")
    endpoints = (("token", "https://i.org/token"), ("planted", "x"))
    found.keep("own", StoredToken(Token("a0", 0.0, "r0"), "registered", endpoints))
    assert found.access("own", "anna", reveal) == "a1"
    assert urls == ["https://i.org/token"]
    assert place.provider.asked[0]["client_id"] == "registered"


texts = st.text(max_size=50)
times = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        StoredToken,
        st.builds(Token, texts, times, texts, times),
        texts,
        st.dictionaries(texts, texts, max_size=3).map(lambda found: tuple(found.items())),
    )
)
def test_what_was_written_is_read(stored: StoredToken) -> None:
    assert decoded(encoded(stored).ljust(5000, b"\n")) == stored


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps).map(str.encode)
)
def test_any_file_is_read_or_refused(octets: bytes) -> None:
    try:
        decoded(octets)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


# --- at the same time, and for long ----------------------------------------------------------------------------------


def test_passes_at_the_same_time_and_a_login_renew_once_and_end_with_what_works(place: Place) -> None:
    place.logged_in()
    place.now += 3600
    start, found = Barrier(9), []
    place.provider.says = lambda: time.sleep(0.05)

    def one_pass() -> None:
        start.wait()
        found.append(place.tokens().access("work", "anna", reveal))  # a Tokens a process

    def login() -> None:
        start.wait()
        place.tokens().keep("work", StoredToken(Token("of the login", place.now + 3600, "r-login", place.now)))

    threads = [*(Thread(target=one_pass) for _ in range(8)), Thread(target=login)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.provider.asked) <= 1
    assert set(found) <= {"a1", "of the login"}
    assert place.stored.token.refresh == "r-login"


def test_a_signal_ends_the_wait_for_who_renews_at_this_moment(place: Place) -> None:
    place.logged_in()
    place.now += 3600
    found = place.tokens()
    found.stop = lambda: True
    with FileLock(place.folder / "work.lock"), pytest.raises(StoppedError):
        found.access("work", "anna", reveal)
    assert place.provider.asked == []


@pytest.mark.parametrize(
    ("minutes", "passes", "renewals"),
    [
        (72, 200, 199),  # ten days; every pass comes after the hour is over, but the first
        (20, 720, 239),  # every third
        (5, 288, 23),  # a day: renewed with less than five minutes left, so at 60 minutes and not at 55
        (56, 257, 256),
    ],
)
def test_no_renewal_more_than_needed(place: Place, minutes: int, passes: int, renewals: int) -> None:
    place.logged_in()
    for number in range(passes):
        place.now = NOW + number * minutes * 60
        place.tokens().access("work", "anna", reveal)
    assert len(place.provider.asked) == renewals
