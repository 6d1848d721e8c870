"""Dialling on Windows: the real Windows ABI, a telephone of our own behind it (rasapi32.c), no Python in between."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.wine.windows import ROOT, Windows, path

pytestmark = [pytest.mark.wine, pytest.mark.timeout(300)]

DRIVE = path(ROOT / "tests" / "wine" / "drive.py")
THEIRS = 0x7FFE00000010


class Telephone:
    """The telephone of one test, and what was done with it."""

    def __init__(self, windows: Windows, folder: Path) -> None:
        self._windows = windows
        self.folder = folder
        self.folder.mkdir()
        self.marker = folder.parent / "popfetch.line"

    def opened_by_somebody_else(self, entry: str, device: str = "modem", users: int = 1) -> None:
        name = self.folder / f"{THEIRS:016x}.con"
        name.write_text(f"{units(entry)} {device} {users}\n")

    def dial(self, settings: dict[str, str], **wish: object) -> dict[str, Any]:
        done = self._windows.run(
            DRIVE, json.dumps({"settings": settings, **wish}), RASFAKE_DIR=path(self.folder), seconds=120
        )
        assert done.stdout, done.stderr
        return {"log": done.stderr, **json.loads(done.stdout)}

    @property
    def calls(self) -> list[str]:
        """Return what was asked of Windows: "dial good 0123 nobody", "hang up good"."""
        log = self.folder / "calls.log"
        return [spoken(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def open(self) -> list[str]:
        return [text(each.read_text().split()[0]) for each in self.folder.glob("*.con")]


def units(entry: str) -> str:
    return "".join(f"{int.from_bytes(pair, 'little'):04x}" for pair in pairs(entry.encode("utf-16-le")))


def pairs(octets: bytes) -> list[bytes]:
    return [octets[at : at + 2] for at in range(0, len(octets), 2)]


def text(units: str) -> str:
    return b"".join(int(units[at : at + 4], 16).to_bytes(2, "little") for at in range(0, len(units), 4)).decode(
        "utf-16-le"
    )


def spoken(line: str) -> str:
    what, _, rest = line.partition(" [")
    entry, number = rest.split("]")[0], rest.split("[")[1].split("]")[0]
    more = rest.rpartition("] ")[2]
    words = [what, text(entry), text(number), more if what == "dial" else ""]
    return " ".join(filter(None, words))


@pytest.fixture
def telephone(windows: Windows, tmp_path: Path) -> Telephone:
    return Telephone(windows, tmp_path / "telephone")


def test_an_entry_is_dialled_used_and_hung_up(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "good"})
    assert (told["open"], told["ours"], told["up"], told["left_up"]) == (False, True, True, False)
    assert telephone.calls == ["dial good nobody", "hang up good"]
    assert telephone.open == []
    assert not telephone.marker.exists()
    assert told["seconds"] < 5


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("busy", "The line is busy. (676); the next pass tries again"),
        ("no answer", "There was no answer. (678); the next pass"),
        ("refuses", "The line is busy. (676)"),
        ("silent busy", "The line is busy. (676)"),
    ],
)
def test_a_dial_that_fails_says_why_and_is_hung_up(entry: str, words: str, telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": entry}, tries=2)
    assert told["kind"] == "NoLineError"
    assert words in told["error"]
    assert telephone.calls == [f"dial {entry} nobody", "hang up"]
    assert not telephone.marker.exists()


def test_a_wrong_password_is_said_in_windows_words_and_never_tried_twice(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "guarded", "ras_username": "bob", "ras_password": "wrong"}, tries=3)
    assert "Zugriff verweigert \u2013 falsches Kennwort. (691); look at ras_username, ras_password" in told["error"]
    assert telephone.calls == ["dial guarded user", "hang up"]


def test_the_right_password_opens_the_line(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "guarded", "ras_username": "bob", "ras_password": "secret"})
    assert (told["error"], told["up"]) == ("", True)


def test_without_a_user_the_credentials_of_the_phone_book_are_used(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "guarded"})
    assert (told["error"], told["up"]) == ("", True)
    assert telephone.calls == ["dial guarded user", "hang up guarded"]


def test_an_entry_that_is_not_in_the_phone_book_is_a_matter_of_the_settings(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "nowhere"})
    assert "The phone book has no such entry. (623); look at ras_entry" in told["error"]
    assert telephone.calls == []


@pytest.mark.parametrize("entry", ["Büro \u2013 Zürich 📞"])
def test_an_entry_may_have_any_name_and_a_number_of_its_own(entry: str, telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": entry, "ras_number": "1,,2345"})
    assert told["up"]
    assert told["describe"] == f'RAS entry "{entry}", number 1,,2345'
    assert telephone.calls == [f"dial {entry} 1,,2345 nobody", f"hang up {entry}"]


def test_a_number_alone_is_dialled(telephone: Telephone) -> None:
    told = telephone.dial({"ras_number": "0123"})
    assert (told["ours"], told["up"], told["left_up"]) == (True, True, False)
    assert telephone.calls == ["dial 0123 nobody", "hang up .0123"]


def test_a_modem_that_never_answers_is_given_up_in_time(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "stuck"}, limit=1.0)
    assert "no line within 1 s" in told["error"]
    assert 0.9 < told["seconds"] < 4
    assert telephone.calls == ["dial stuck nobody", "hang up"]


def test_a_stop_ends_a_dial_at_once(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "stuck"}, stop=0.5)
    assert "stopped" in told["error"]
    assert told["seconds"] < 2
    assert telephone.calls == ["dial stuck nobody", "hang up"]


def test_a_line_whose_report_is_lost_is_seen_all_the_same(telephone: Telephone) -> None:
    assert telephone.dial({"ras_entry": "silent"})["up"]


def test_a_hang_up_that_takes_its_time_is_waited_for(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "slow to go"})
    assert told["all_seconds"] - told["seconds"] > 1.4
    assert telephone.open == []


def test_a_line_that_somebody_else_has_open_is_used_and_left_alone(telephone: Telephone) -> None:
    telephone.opened_by_somebody_else("good")
    told = telephone.dial({"ras_entry": "good"})
    assert (told["open"], told["ours"], told["somebody_elses"], told["left_up"]) == (True, False, True, True)
    assert telephone.calls == []
    assert telephone.open == ["good"]


def test_for_a_number_any_open_telephone_line_will_do_but_no_vpn(telephone: Telephone) -> None:
    telephone.opened_by_somebody_else("another", "isdn")
    assert telephone.dial({"ras_number": "0123"})["somebody_elses"]
    assert telephone.calls == []
    telephone.opened_by_somebody_else("office", "vpn")
    assert telephone.dial({"ras_number": "0123"})["ours"]
    assert telephone.calls == ["dial 0123 nobody", "hang up .0123"]
    assert telephone.open == ["office"]


def test_a_port_that_another_program_uses_means_that_the_line_is_somebody_elses(telephone: Telephone) -> None:
    told = telephone.dial({"ras_entry": "port in use"})
    assert (told["error"], told["ours"], told["somebody_elses"]) == ("", False, True)
    assert telephone.calls == ["dial port in use nobody"]
    assert not telephone.marker.exists()


def test_the_next_pass_hangs_up_what_a_killed_one_left_and_dials_anew(telephone: Telephone) -> None:
    assert telephone.dial({"ras_entry": "good"}, die=True)["up"]
    assert telephone.open == ["good"]
    assert telephone.marker.exists()
    told = telephone.dial({"ras_entry": "good"})
    assert (told["open"], told["ours"], told["left_up"]) == (False, True, False)
    assert "left over from an earlier pass" in told["log"]
    assert telephone.calls == ["dial good nobody", "hang up good"] * 2
    assert telephone.open == []
    assert not telephone.marker.exists()


def test_an_orphan_is_hung_up_although_something_else_is_dialled_now(telephone: Telephone) -> None:
    telephone.dial({"ras_entry": "good"}, die=True)
    told = telephone.dial({"ras_entry": "vpn"})
    assert (told["ours"], told["left_up"]) == (True, False)
    assert telephone.calls == ["dial good nobody", "hang up good", "dial vpn nobody", "hang up vpn"]
    assert telephone.open == []


def test_a_line_that_another_program_joined_is_left_to_it(telephone: Telephone) -> None:
    telephone.dial({"ras_entry": "good"}, die=True)
    (connection,) = (telephone.folder).glob("*.con")
    connection.write_text(connection.read_text().replace(" 1", " 2"))
    told = telephone.dial({"ras_entry": "good"}, limit=1.0)
    assert (told["ours"], told["somebody_elses"], told["left_up"]) == (False, True, True)
    assert telephone.calls == ["dial good nobody", "hang up good"]
    assert "does another program use it too" in told["log"]


def test_wines_own_rasapi32_has_no_line_for_us(windows: Windows) -> None:
    code = (
        "from lib.line import ras; import logging; from lib.halt import never;"
        "line = ras.Ras(ras.Call('x', '', '', str, ''), ras.rasapi32, logging.getLogger());"
        "print(line.is_up()); line.dial(never)"
    )
    done = windows.run("-c", code, seconds=60)
    assert done.stdout == "False\n"
    assert "NoLineError" in done.stderr
