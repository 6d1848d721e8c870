"""popfetch_state.toml: what a pass must know of the ones before, besides the messages.

The law: it is written all or nothing, and one that cannot be believed counts as a tripped safety net and is not touched
until --reset, which sets it aside. So no damage ever lets the next pass run as if nothing had been.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from lib.errors import SafetyNetError
from lib.store import ownfile
from lib.store.clock import ClockMemory, Reading, Shift

END = {"end": {"whole": True}}  # the last table: without it the file was cut off


@dataclass(slots=True)
class AccountState:
    """What is remembered of one account; times in seconds since the epoch."""

    failures: int = 0  # passes in a row in which it failed
    last_error: str = ""
    failing_since: float | None = None
    last_success: float | None = None
    notified: bool = False  # pf_notify_address was told that it fails
    had_uidl: bool = False
    window_one: bool = False  # its server stumbles over commands sent ahead
    sizes_lie: bool = False  # what its LIST announces was found to be wrong
    counts: str = ""  # how its LIST counts, where that was seen to hold
    ahead: str = ""  # how its server is logged in to without being asked first what it can do
    stls: str = ""  # the host:port that took STLS, and has to take it again
    bore_ahead: bool = False  # it has borne a login whose words were sent ahead
    careful: bool = False  # it broke off at the last one: the next login goes a word at a time
    hangs_at: str = ""  # commands at which it breaks off, and which are not sent any more
    uids_gone: int = 0  # passes in a row in which its server gave no UIDs although it had
    names_left_out: int = 0  # passes in a row in which its UIDL left out messages
    last_poll: float | None = None  # when it was asked last, for every=


class ReceiverState(NamedTuple):
    """What is remembered of the receiver at *place*; of another one nothing is known."""

    place: str = ""
    alone: bool = False  # it bears no envelope behind a final dot
    limit: int = 0  # messages that it takes over one connection; 0: no limit is known
    stopped: int = 0  # passes in a row that ended because it would not take several messages in a row


class HostState(NamedTuple):
    """What is remembered of a server, whichever account lives there."""

    sessions: int = 0  # how many it takes at once; 0: no limit was met
    passes: int = 0  # passes in a row that kept to that although more waited


class State(NamedTuple):
    """What is remembered of all passes; times in seconds since the epoch."""

    duds_in_a_row: int = 0
    tripped: bool = False
    last_start: float | None = None
    last_end: float | None = None
    line: str = ""  # what marks a line that we raised and have not hung up
    accounts: Mapping[str, AccountState] = MappingProxyType({})
    hosts: Mapping[str, HostState] = MappingProxyType({})
    owner: str = ""  # the dmail.conf whose passes use this folder
    clock_boot: str = ""  # what the last pass read of both clocks (lib/store/clock.py)
    clock_wall: float | None = None
    clock_up: float | None = None
    clock_doubt: float | None = None
    receiver: ReceiverState = ReceiverState()
    damaged: str = ""  # why the file cannot be believed

    @property
    def clock(self) -> ClockMemory | None:
        """What the last pass left of the time, None if it left nothing."""
        if self.clock_wall is None or self.clock_up is None:
            return None
        return ClockMemory(Reading(self.clock_wall, self.clock_up, self.clock_boot), self.clock_doubt)

    def with_clock(self, seen: ClockMemory) -> "State":
        """Return the state with *seen* in it."""
        wall, up, boot = seen.reading
        return self._replace(clock_boot=boot, clock_wall=wall, clock_up=up, clock_doubt=seen.doubtful_since)

    def shifted(self, shift: Shift) -> "State":
        """Return the state with the times noted of its accounts moved along."""
        moved = {name: _shifted(account, shift) for name, account in self.accounts.items()}
        return self._replace(accounts=moved)


def _shifted(account: AccountState, shift: Shift) -> AccountState:
    since, success = account.failing_since, account.last_success
    return replace(
        account,
        failing_since=since and shift.of(since),
        last_success=success and shift.of(success),
        last_poll=account.last_poll and shift.of(account.last_poll),
    )


def load(path: Path) -> State:
    """Return what *path* remembers; nothing at the first pass. Raises StorageError when it is not a file of ours."""
    data = ownfile.read(path)
    if data is None:
        return State()
    try:
        return parse(data)
    except (ValueError, TypeError, RecursionError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        return State(tripped=True, damaged=f"{path} cannot be read: {why}")


def save(path: Path, state: State) -> None:
    """Write *state*, all or nothing. Raises StorageError."""
    if state.damaged:
        raise SafetyNetError(state.damaged)
    ownfile.replace(path, dump(state))


def reset(path: Path) -> Path | None:
    """Set the safety net back; return where a file that could not be believed lies now."""
    state = load(path)
    if not state.damaged:
        save(path, state._replace(duds_in_a_row=0, tripped=False))
        return None
    aside = ownfile.aside(path)
    ownfile.replace(aside, ownfile.read(path) or b"")
    save(path, State())
    return aside


def parse(data: bytes) -> State:
    """Return the state that *data* holds. ValueError when it cannot be believed."""
    import tomllib  # noqa: PLC0415 - the first pass needs none

    table = tomllib.loads(data.decode())
    if {"end": table.pop("end", None)} != END:
        raise ValueError("its end is missing")
    accounts, hosts = _table(table.pop("accounts", {})), _table(table.pop("hosts", {}))
    receiver = table.pop("receiver", {})
    return State(
        **_checked(_STATE, table),
        accounts={name: AccountState(**_checked(_ACCOUNT, told)) for name, told in accounts.items()},
        receiver=ReceiverState(**_checked(_RECEIVER, receiver)),
        hosts={name: HostState(**_checked(_HOST, told)) for name, told in hosts.items()},
    )


def dump(state: State) -> bytes:
    """Return what parse() makes *state* of; what is as at the beginning is left out."""
    import tomli_w  # noqa: PLC0415 - what only shows the state needs none

    accounts = {_plain(name): _told(account, _ACCOUNT) for name, account in state.accounts.items()}
    table = {"duds_in_a_row": state.duds_in_a_row, "tripped": state.tripped, **_told(state, _STATE)}
    receiver = _told(state.receiver, _RECEIVER)
    hosts = {_plain(name): _told(host, _HOST) for name, host in state.hosts.items()}
    beside = {"hosts": hosts} if hosts else {}
    return tomli_w.dumps({**table, "receiver": receiver, "accounts": accounts, **beside, **END}).encode()


def _told(of: State | AccountState | ReceiverState | HostState, rows: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    told = {name: getattr(of, name) for name in rows}
    return {name: _plain(value) if isinstance(value, str) else value for name, value in told.items() if value}


def _plain(text: str) -> str:
    """Return *text* without what UTF-8 cannot hold."""
    return text.encode(errors="replace").decode()


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("a table is something else")
    return value


def _checked(rows: Mapping[str, tuple[type, ...]], told: object) -> dict[str, Any]:
    """Return what *told* says of the fields of *rows*; other names are a newer version's."""
    table = {name: value for name, value in _table(told).items() if name in rows}
    for name, value in table.items():
        if type(value) not in rows[name] or (type(value) is int and value < 0):
            raise ValueError(f"{name} cannot be {value!r:.40}")
    return table


def _rows(of: type[State | AccountState | ReceiverState | HostState]) -> dict[str, tuple[type, ...]]:
    kinds: dict[object, tuple[type, ...]] = {int: (int,), str: (str,), bool: (bool,), float | None: (float, int)}
    return {name: kinds[kind] for name, kind in of.__annotations__.items() if kind in kinds and name != "damaged"}


_STATE = _rows(State)
_ACCOUNT = _rows(AccountState)
_RECEIVER = _rows(ReceiverState)
_HOST = _rows(HostState)
