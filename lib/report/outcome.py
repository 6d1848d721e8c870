"""What a pass achieved, as values; and Observer, who looks on while it happens. No I/O, no clock, no printing."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import NamedTuple, Protocol

from lib.errors import Exit, PopfetchError, SettingsError, gravest
from lib.visible import visible


@dataclass(slots=True)
class Tally:
    """Messages counted by what became of them, and octets downloaded; adds up over accounts.

    One thread counts; share a Tally only when it is done.
    """

    listed: int = 0  # messages in the mailbox when it was opened
    fetched: int = 0  # downloaded in this pass
    octets: int = 0  # downloaded in this pass, as the server meant them
    delivered: int = 0  # taken over by the receiver for every recipient owed
    deferred: int = 0  # still owed to somebody, in the spool
    refused: int = 0  # refused for at least one recipient; the caretaker has a copy
    duds: int = 0  # written to duds.dat
    deleted: int = 0  # deletions that the POP server confirmed
    left: int = 0  # left on the server by pf_keep, pf_max_messages or pf_max_size
    oversize: int = 0  # of those left: the ones over pf_max_size

    def __add__(self, other: "Tally") -> "Tally":
        """Return the sum, field by field."""
        return Tally(*(mine + theirs for mine, theirs in zip(self.counts(), other.counts(), strict=True)))

    def counts(self) -> Iterator[int]:
        """Yield the counts in the order of the fields."""
        return (getattr(self, field.name) for field in fields(self))


class AccountOutcome(NamedTuple):
    """What became of one account in this pass."""

    account: str  # Account.id, as journal and state know it
    label: str  # Account.name, as people know it
    tally: Tally
    seconds: float
    error: PopfetchError | None = None
    warnings: tuple[str, ...] = ()
    judged: bool = True  # else the pass ended before it could be said whether the account works


class Outcome(NamedTuple):
    """What became of the whole pass."""

    accounts: tuple[AccountOutcome, ...] = ()
    complaints: tuple[PopfetchError, ...] = ()  # of no single account: receiver, line, storage, safety net
    spooled: int = 0  # messages deferred in the spool
    duds_in_a_row: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> Tally:
        """The sum over all accounts."""
        return sum((account.tally for account in self.accounts), Tally())

    @property
    def errors(self) -> tuple[PopfetchError, ...]:
        """Every complaint, then every account's error, in the order of the accounts."""
        failed = (account.error for account in self.accounts if account.error is not None)
        return (*self.complaints, *failed)

    @property
    def why(self) -> tuple[str, ...]:
        """One printable line for each thing that makes the exit code; none when there is nothing to complain of."""
        lines = [line for error in self.complaints for line in error_lines(error)]
        lines += [_of_account(account) for account in self.accounts if account.error is not None]
        if self.spooled:
            lines.append(f"{_messages(self.spooled)} deferred in the spool; --status shows to whom")
        if self.total.duds:
            lines.append(f"{_messages(self.total.duds)} went to duds.dat; --duds list shows why")
        return tuple(lines)

    @property
    def exit(self) -> Exit:
        """The gravest of all errors, of mail still owed, and of duds."""
        deferred = (Exit.DEFERRED,) if self.spooled else ()
        duds = (Exit.DUDS,) if self.total.duds else ()
        return gravest((*(error.exit for error in self.errors), *deferred, *duds))

    def as_json(self, now: datetime) -> dict[str, object]:
        """Return what --json prints: plain values only; *now* is when the pass ended, with its time zone."""
        return {
            "ended": now.isoformat(timespec="seconds"),
            "exit": int(self.exit),
            "seconds": round(self.seconds, 3),
            "spooled": self.spooled,
            "duds_in_a_row": self.duds_in_a_row,
            "complaints": [_error_as_json(error) for error in self.complaints],
            "total": asdict(self.total),
            "accounts": [_account_as_json(account) for account in self.accounts],
        }

    def summary(self) -> str:
        """Return the pass in one key=value line for the log; no text from outside is in it."""
        failed = sum(account.error is not None for account in self.accounts)
        counts = " ".join(f"{name}={count}" for name, count in asdict(self.total).items())
        return (
            f"exit={int(self.exit)} accounts={len(self.accounts)} failed={failed} {counts}"
            f" spooled={self.spooled} duds_in_a_row={self.duds_in_a_row} seconds={self.seconds:.2f}"
        )


def error_lines(error: PopfetchError) -> list[str]:
    """Return the problems that *error* tells of, a printable line each: most errors have one."""
    problems = error.problems if isinstance(error, SettingsError) else (str(error),)
    return [visible(problem) for problem in problems]


def _of_account(account: AccountOutcome) -> str:
    words, label = visible(str(account.error)), visible(account.label)
    return words if label in words else f"{label}: {words}"


def _messages(count: int) -> str:
    return f"{count} message" if count == 1 else f"{count} messages"


def _error_as_json(error: PopfetchError) -> dict[str, object]:
    return {"exit": int(error.exit), "words": visible(str(error))}


def _account_as_json(account: AccountOutcome) -> dict[str, object]:
    return {
        "account": visible(account.account),
        "label": visible(account.label),
        "seconds": round(account.seconds, 3),
        "error": None if account.error is None else _error_as_json(account.error),
        "warnings": [visible(warning) for warning in account.warnings],
        **asdict(account.tally),
    }


class Observer(Protocol):
    """Looks on while a pass runs. Called from several threads at once; never raises, never blocks."""

    def account_started(self, label: str, messages: int, octets: int) -> None:
        """Say that the mailbox is open and *messages* of about *octets* are to be downloaded."""

    def message_fetched(self, label: str, octets: int) -> None:
        """Say that one message of *octets* is downloaded."""

    def message_settled(self, label: str, how: str) -> None:
        """Say what became of one message: a field name of Tally such as delivered, deferred, refused or duds."""

    def account_ended(self, label: str, error: PopfetchError | None) -> None:
        """Say that nothing more comes from this account, and what went wrong if something did."""


class Unobserved:
    """Nobody looks on."""

    def account_started(self, label: str, messages: int, octets: int) -> None:
        """Do nothing."""

    def message_fetched(self, label: str, octets: int) -> None:
        """Do nothing."""

    def message_settled(self, label: str, how: str) -> None:
        """Do nothing."""

    def account_ended(self, label: str, error: PopfetchError | None) -> None:
        """Do nothing."""
