"""Dialling with RAS, against rasapi32 in Python: what is asked of Windows, in which order, and what is never done."""

import contextlib
import logging
import sys
from dataclasses import dataclass, field
from threading import Event

import pytest

from lib.errors import NoLineError, SettingsError
from lib.halt import never
from lib.line import ras, ras_api
from lib.line.ras import Call, Ras

LOG = logging.getLogger("popfetch.dial")
OURS, THEIRS = 0x7FFF00000001, 0x7FFF00000002
TEXTS = {676: "The line is busy.", 678: "There was no answer.", 691: "Access was denied.", 623: "No such entry."}
DIALLED = [(0, 0), (1, 0), (ras_api.CONNECTED, 0)]


@dataclass
class Windows:
    """The telephone of this machine: `states` are what a dial of ours goes through, look by look."""

    states: list[tuple[int, int]] = field(default_factory=lambda: list(DIALLED))
    refused: int = 0
    handle: int = OURS
    reports: list[tuple[int, int]] = field(default_factory=list)
    others: list[ras_api.Connection] = field(default_factory=list)
    phone_book: dict[str, tuple[str, str]] = field(default_factory=dict)
    lingers: int = 0  # looks for which a connection stays after its hang-up
    seen: list[dict[str, str]] = field(default_factory=list)
    params: list[ras_api.RASDIALPARAMSW] = field(default_factory=list)
    hung_up: list[int] = field(default_factory=list)

    def connections(self) -> list[ras_api.Connection]:
        return [each for each in self.others if each.handle not in self.hung_up]

    def status(self, handle: int) -> tuple[int, int]:
        if handle in self.hung_up:
            self.lingers -= 1
            return (ras_api.DISCONNECTED, 0) if self.lingers >= 0 else (ras_api.DISCONNECTED, ras_api.INVALID_HANDLE)
        if handle == OURS and not any(each.handle == OURS for each in self.others):
            return self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return ras_api.CONNECTED, 0

    def stored(self, params: ras_api.RASDIALPARAMSW) -> int:
        if ras_api.read(params.szEntryName) not in self.phone_book:
            return 623
        user, password = self.phone_book[ras_api.read(params.szEntryName)]
        ras_api.put(params.szUserName, user)
        ras_api.put(params.szPassword, password)
        ras_api.put(params.szPhoneNumber, "the entry's own")
        return 0

    def dial(self, params: ras_api.RASDIALPARAMSW, report: ras.Report) -> tuple[int, int]:
        self.params.append(params)
        names = {"entry": "szEntryName", "number": "szPhoneNumber", "user": "szUserName", "password": "szPassword"}
        self.seen.append({name: ras_api.read(getattr(params, field)) for name, field in names.items()})
        for each in self.reports:
            report(*each)
        return self.refused, self.handle

    def hang_up(self, handle: int) -> int:
        self.hung_up.append(handle)
        return 0

    def text(self, code: int) -> str:
        return TEXTS.get(code, f"error {code}")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ras, "TICK", 0.0)
    monkeypatch.setattr(ras, "DIAL_LIMIT", 0.2)
    monkeypatch.setattr(ras, "HANG_UP_LIMIT", 0.05)


def made(windows: Windows, **call: str) -> Ras:
    password = call.pop("password", "")
    told = {"entry": "Isp", "number": "", "username": "", "domain": "", **call}
    if not told["username"]:
        windows.phone_book.setdefault(told["entry"], ("stored", "****"))
    return Ras(Call(**told, password=lambda: password), lambda: windows, LOG)


def test_an_entry_is_dialled_and_hung_up() -> None:
    windows = Windows()
    line = made(windows)
    assert line.dial(never)
    assert windows.hung_up == []
    assert line.hang_up()
    assert windows.hung_up == [OURS]


def test_the_number_overrides_the_entrys_own() -> None:
    windows = Windows()
    made(windows, entry="Büro Zürich", number="1,,2345").dial(never)
    assert windows.seen == [{"entry": "Büro Zürich", "number": "1,,2345", "user": "stored", "password": "****"}]


def test_without_a_user_the_entrys_own_credentials_are_used() -> None:
    windows = Windows(phone_book={"Isp": ("bob", "****")})
    made(windows).dial(never)
    assert (windows.seen[0]["user"], windows.seen[0]["password"]) == ("bob", "****")


def test_with_a_user_the_phone_book_is_not_asked() -> None:
    windows = Windows()
    made(windows, username="carol", password="secret").dial(never)
    assert (windows.seen[0]["user"], windows.seen[0]["password"]) == ("carol", "secret")


def test_a_number_alone_is_dialled_without_an_entry() -> None:
    windows = Windows()
    made(windows, entry="", number="0123").dial(never)
    assert windows.seen == [{"entry": "", "number": "0123", "user": "", "password": ""}]


@pytest.mark.parametrize("states", [list(DIALLED), [(ras_api.DISCONNECTED, 691)]])
def test_the_password_is_wiped_however_the_dial_ends(states: list[tuple[int, int]]) -> None:
    windows = Windows(states=states)
    line = made(windows, username="carol", password="secret")
    with contextlib.suppress(NoLineError):
        line.dial(never)
    assert not any(windows.params[0].szPassword)
    assert ras_api.read(windows.params[0].szUserName) == "carol"


@pytest.mark.parametrize(
    ("code", "advice"),
    [(676, "the next pass tries again"), (678, "the next pass"), (691, "ras_password"), (629, "the next pass")],
)
def test_a_dial_that_fails_says_what_windows_says_and_what_to_do(code: int, advice: str) -> None:
    windows = Windows(states=[(0, 0), (ras_api.DISCONNECTED, code)])
    line = made(windows)
    with pytest.raises(NoLineError) as caught:
        line.dial(never)
    assert str(caught.value).startswith(f'RAS entry "Isp": {windows.text(code)} ({code}); ')
    assert advice in str(caught.value)
    assert line.hang_up()
    assert windows.hung_up == [OURS]


def test_an_entry_that_is_not_in_the_phone_book_is_not_dialled_and_nobody_is_hung_up() -> None:
    windows = Windows(others=[ras_api.Connection(THEIRS, "Isp", "modem")], phone_book={"Isp": ("bob", "****")})
    line = made(windows)
    windows.phone_book.clear()
    with pytest.raises(NoLineError, match="No such entry"):
        line.dial(never)
    assert line.hang_up()
    assert (windows.seen, windows.hung_up) == ([], [])


def test_a_dial_that_is_refused_at_once_but_left_a_handle_is_hung_up() -> None:
    windows = Windows(refused=676)
    line = made(windows)
    with pytest.raises(NoLineError, match="busy"):
        line.dial(never)
    line.hang_up()
    assert windows.hung_up == [OURS]


def test_a_dial_that_is_refused_at_once_without_a_handle_hangs_nobody_up() -> None:
    windows = Windows(refused=623, handle=0, others=[ras_api.Connection(THEIRS, "Isp", "modem")])
    line = made(windows)
    with pytest.raises(NoLineError, match="No such entry"):
        line.dial(never)
    assert line.hang_up()
    assert windows.hung_up == []


@pytest.mark.parametrize("code", [602, 633, 756])
@pytest.mark.parametrize("handle", [0, OURS])
def test_a_port_in_use_means_that_somebody_else_has_the_line(code: int, handle: int) -> None:
    windows = Windows(refused=code, handle=handle)
    assert made(windows).dial(never) is False
    assert windows.hung_up == ([handle] if handle else [])


def test_a_report_from_windows_is_believed_before_the_next_look() -> None:
    windows = Windows(states=[(0, 0)], reports=[(0, 0), (14, 0), (ras_api.CONNECTED, 0)])
    assert made(windows).dial(never)


@pytest.mark.parametrize("state", sorted(ras_api.PAUSED))
def test_a_dial_that_waits_for_a_person_fails(state: int) -> None:
    with pytest.raises(NoLineError):
        made(Windows(states=[(state, 0)])).dial(never)


def test_a_pending_error_is_no_error() -> None:
    assert made(Windows(states=[(3, ras_api.PENDING), (ras_api.CONNECTED, 0)])).dial(never)


def test_a_modem_that_never_answers_is_given_up() -> None:
    windows = Windows(states=[(5, 0)])
    line = made(windows)
    with pytest.raises(NoLineError, match="no line within"):
        line.dial(never)
    line.hang_up()
    assert windows.hung_up == [OURS]


def test_a_stop_ends_the_dial() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(NoLineError, match="stopped"):
        made(Windows(states=[(5, 0)])).dial(stop.is_set)


def test_a_text_that_is_too_long_for_windows_is_a_matter_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="ras_domain is longer than 15"):
        made(Windows(), domain="x" * 16).dial(never)


@pytest.mark.parametrize(
    ("entry", "device", "expected"),
    [("Isp", "modem", True), ("iSP", "vpn", True), ("Other", "modem", False), ("Office", "vpn", False)],
)
def test_an_entry_is_up_when_that_entry_is_connected(entry: str, device: str, expected: bool) -> None:
    assert made(Windows(others=[ras_api.Connection(THEIRS, entry, device)])).is_up() is expected


@pytest.mark.parametrize(
    ("entry", "device", "expected"),
    [(".0123", "modem", True), ("Isp", "MODEM", True), ("Isp", "isdn", True), ("Office", "vpn", False)],
)
def test_a_number_alone_is_up_when_any_telephone_line_is(entry: str, device: str, expected: bool) -> None:
    windows = Windows(others=[ras_api.Connection(THEIRS, entry, device)])
    assert made(windows, entry="", number="0123").is_up() is expected


def test_a_connection_that_is_listed_but_not_through_is_not_up(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows(others=[ras_api.Connection(THEIRS, "Isp", "modem")])
    monkeypatch.setattr(windows, "status", lambda _handle: (14, 0))
    assert not made(windows).is_up()


@pytest.mark.parametrize(("call", "left"), [({}, "Isp"), ({"entry": "", "number": "0123"}, ".0123")])
def test_an_orphan_is_found_by_its_name_and_hung_up(call: dict[str, str], left: str) -> None:
    windows = Windows(others=[ras_api.Connection(THEIRS, "Other", "modem"), ras_api.Connection(OURS, left, "modem")])
    assert made(windows, **call).hang_up()
    assert windows.hung_up == [OURS]


def test_a_hang_up_waits_until_the_port_is_free() -> None:
    windows = Windows(lingers=3)
    line = made(windows)
    line.dial(never)
    assert line.hang_up()
    assert windows.lingers < 0


def test_a_connection_that_another_program_uses_too_is_given_up_once(caplog: pytest.LogCaptureFixture) -> None:
    windows = Windows(lingers=10**9)
    line = made(windows)
    line.dial(never)
    assert line.hang_up()
    assert line.hang_up()
    assert windows.hung_up == [OURS]
    assert "does another program use it too" in caplog.text


def test_a_hang_up_that_windows_refuses_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows()
    line = made(windows)
    line.dial(never)
    monkeypatch.setattr(windows, "hang_up", lambda _handle: 668)
    windows.states = [(ras_api.CONNECTED, 0)]
    assert not line.hang_up()
    monkeypatch.undo()
    monkeypatch.setattr(ras, "TICK", 0.0)
    assert line.hang_up()
    assert windows.hung_up == [OURS]


def test_elsewhere_than_on_windows_there_is_no_rasapi32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    ras.rasapi32.cache_clear()
    with pytest.raises(NoLineError, match="need Windows"):
        ras.rasapi32()
