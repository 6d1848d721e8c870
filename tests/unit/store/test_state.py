import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import SafetyNetError, StorageError
from lib.store import state
from lib.store.state import AccountState, HostState, ReceiverState, State

FULL = State(
    duds_in_a_row=3,
    tripped=True,
    last_start=1.5,
    last_end=2.5,
    line="office",
    accounts={
        "bob@example.org": AccountState(
            2, "no route\nto host", 1.0, 0.5, notified=True, had_uidl=True, window_one=True
        ),
        "habits@x": AccountState(uids_gone=2, names_left_out=3),
        'odd "one"\\ ü@x': AccountState(last_success=7.0),
        "new@x": AccountState(),
    },
    receiver=ReceiverState("127.0.0.1:25", alone=True, limit=100, stopped=2),
    hosts={"pop.example.org:110": HostState(4, 2), "[::1]:995": HostState(1)},
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.none() | st.floats(1, 4e9)
receivers = st.builds(ReceiverState, words, st.booleans(), st.integers(0, 99), st.integers(0, 99))
accounts = st.builds(AccountState, st.integers(0, 99), words, times, times, st.booleans(), st.booleans(), st.booleans())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "popfetch_state.toml"


def test_no_file_is_the_first_pass(path: Path) -> None:
    assert state.load(path) == State()
    assert not path.exists()


def test_what_was_saved_is_what_is_loaded(path: Path) -> None:
    state.save(path, State())
    assert state.load(path) == State()
    state.save(path, FULL)
    assert state.load(path) == FULL
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@settings(deadline=None)
@given(
    st.builds(
        State,
        st.integers(0, 99),
        st.booleans(),
        times,
        times,
        words,
        st.dictionaries(words, accounts, max_size=3),
        st.dictionaries(words, st.builds(HostState, st.integers(0, 99), st.integers(0, 99)), max_size=3),
        clock_wall=times,
        clock_up=times,
        clock_doubt=times,
        receiver=receivers,
        damaged=st.just(""),
    )
)
def test_every_state_comes_back(known: State) -> None:
    assert state.parse(state.dump(known)) == known


def test_words_that_no_file_can_hold_do_no_harm() -> None:
    known = State(accounts={"bob\udc80@x": AccountState(last_error="\udcff")})
    assert state.parse(state.dump(known)) == State(accounts={"bob?@x": AccountState(last_error="?")})


def test_a_state_cut_at_any_byte_counts_as_a_tripped_safety_net(path: Path) -> None:
    data = state.dump(FULL)
    for cut in range(len(data) - 1):
        for tail in (b"", b"\0" * 20):
            path.write_bytes(data[:cut] + tail)
            found = state.load(path)
            assert found.tripped
            assert found.damaged.startswith(str(path))
            assert "\n" not in found.damaged
            assert path.read_bytes() == data[:cut] + tail


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_state_or_a_damaged_one(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("state") / "state.toml"
    path.write_bytes(data)
    found = state.load(path)
    assert found.tripped
    assert found.damaged


@pytest.mark.parametrize(
    "line",
    [
        'duds_in_a_row = "3"',
        "duds_in_a_row = -1",
        "duds_in_a_row = true",
        "tripped = 0",
        "last_start = 2026-11-22",
        "line = 5",
        "accounts = 5",
        'accounts = ["x"]',
        "accounts.x = 5",
        'accounts.x.failures = "1"',
        "accounts.x.notified = 1",
        "receiver = 5",
        "receiver.limit = -1",
        "receiver.alone = 1",
        "last_start = " + "[" * 5000,
    ],
)
def test_wrong_types_count_as_a_tripped_safety_net(path: Path, line: str) -> None:
    path.write_text(f"{line}\n[end]\nwhole = true\n", encoding="utf-8")
    found = state.load(path)
    assert found.tripped
    assert found.damaged


def test_a_hand_may_write_whole_numbers_and_a_newer_version_other_names(path: Path) -> None:
    path.write_text(
        "last_start = 5\nfuture = 1\n[accounts.x]\nlast_success = 7\nfuture = []\n[end]\nwhole = true\n",
        encoding="utf-8",
    )
    assert state.load(path) == State(last_start=5, accounts={"x": AccountState(last_success=7)})


def test_a_damaged_state_is_never_written_over(path: Path) -> None:
    path.write_bytes(b"?")
    with pytest.raises(SafetyNetError, match="cannot be read"):
        state.save(path, state.load(path))
    assert path.read_bytes() == b"?"


def test_reset_sets_the_safety_net_back_and_keeps_the_rest(path: Path) -> None:
    state.save(path, FULL)
    assert state.reset(path) is None
    found = state.load(path)
    assert (found.duds_in_a_row, found.tripped) == (0, False)
    assert (found.accounts, found.last_start, found.line) == (FULL.accounts, 1.5, "office")


def test_reset_sets_a_damaged_state_aside(path: Path) -> None:
    for number in (1, 2):
        path.write_bytes(b"?%d" % number)
        aside = state.reset(path)
        assert aside == path.with_name(f"popfetch_state.toml.damaged-{number}")
        assert aside.read_bytes() == b"?%d" % number
        assert state.load(path) == State()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_what_is_planted_is_refused(path: Path) -> None:
    path.symlink_to(path.with_name("victim"))
    for act in (lambda: state.load(path), lambda: state.save(path, State()), lambda: state.reset(path)):
        with pytest.raises(StorageError, match="symbolic link"):
            act()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match="regular file"):
        state.load(path)
