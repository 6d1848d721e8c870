"""What is known between two passes, as values, and how --status tells it. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from lib.visible import visible

UNITS = ("years", "months", "days", "hours", "minutes", "seconds")
MANY = 20  # waiting messages that are told one by one


class AccountStatus(NamedTuple):
    """One account as the last passes left it."""

    label: str
    failures: int = 0  # passes in a row in which it failed
    last_error: str = ""
    failing_since: datetime | None = None
    last_success: datetime | None = None


class WaitingMessage(NamedTuple):
    """One message in the spool."""

    account: str
    octets: int
    since: datetime | None  # when it was fetched, if that is known
    to: tuple[bytes, ...]  # whom it is still owed to


class Overview(NamedTuple):
    """Everything --status tells."""

    started: datetime | None = None  # the last pass
    ended: datetime | None = None
    duds_in_a_row: int = 0
    max_duds: int = 0
    tripped: str = ""  # why no pass starts; empty while the safety net holds
    accounts: tuple[AccountStatus, ...] = ()
    waiting: tuple[WaitingMessage, ...] = ()
    duds: int = 0  # messages in duds.dat
    now: datetime | None = None  # for how long ago things were
    next: datetime | None = None  # when a scheduled pass is due

    def as_json(self) -> dict[str, object]:
        """Return what --status --json prints: plain values only."""
        return {
            "started": _stamp(self.started),
            "ended": _stamp(self.ended),
            "duds_in_a_row": self.duds_in_a_row,
            "max_duds": self.max_duds,
            "tripped": visible(self.tripped) or None,
            "accounts": [_account_as_json(account) for account in self.accounts],
            "waiting": [_waiting_as_json(message) for message in self.waiting],
            "duds": self.duds,
            "next": _stamp(self.next),
        }

    def lines(self) -> Iterator[str]:
        """Yield what --status prints, printable."""
        if self.tripped:
            yield f"stopped by the safety net: {visible(self.tripped)}; no pass starts until --reset"
        yield f"last pass: {_pass(self.started, self.ended)}{_ago(self.ended or self.started, self.now)}"
        if self.next is not None:
            yield f"next pass: due {_stamp(self.next)} under --scheduled"
        yield f"duds in a row: {self.duds_in_a_row} of {self.max_duds}"
        yield f"duds.dat: {_messages(self.duds)}{'; --duds list shows why' if self.duds else ''}"
        yield from _spool(self.waiting)
        yield from (_account(account) for account in self.accounts)


def _pass(started: datetime | None, ended: datetime | None) -> str:
    if started is None:
        return "none yet"
    if ended is None or ended < started:
        return f"started {_stamp(started)}, has not ended"
    return f"started {_stamp(started)}, ended {_stamp(ended)}"


def _spool(waiting: tuple[WaitingMessage, ...]) -> Iterator[str]:
    dates = [message.since for message in waiting if message.since is not None]
    oldest = f", the oldest since {_stamp(min(dates))}" if dates else ""
    yield f"spool: {_messages(len(waiting))}{oldest}"
    for message in waiting[:MANY]:
        whom = ", ".join(visible(address) for address in message.to[:MANY]) or "nobody yet"
        more = f" and {len(message.to) - MANY} more" if len(message.to) > MANY else ""
        since = f", since {_stamp(message.since)}" if message.since else ""
        yield f"  from account {visible(message.account)}, {message.octets} octets{since}, deferred for {whom}{more}"
    if len(waiting) > MANY:
        yield f"  and {len(waiting) - MANY} more"


def _account(account: AccountStatus) -> str:
    last = _stamp(account.last_success) or "never"
    label = visible(account.label)
    if not account.failures:
        return f"account {label}: last success {last}"
    passes = "1 pass" if account.failures == 1 else f"{account.failures} passes in a row"
    since = f" since {_stamp(account.failing_since)}" if account.failing_since else ""
    return f"account {label}: failing{since}, {passes}: {visible(account.last_error)}; last success {last}"


def _ago(when: datetime | None, now: datetime | None) -> str:
    """Say how long ago *when* was, in its two largest units: `, 2 days 3 hours ago`."""
    from dateutil.relativedelta import relativedelta  # noqa: PLC0415 - a pass says none of this

    if when is None or now is None or when > now:
        return ""
    since = relativedelta(now, when)
    counts = [(getattr(since, unit), unit) for unit in UNITS]
    told = [f"{count} {unit if count != 1 else unit[:-1]}" for count, unit in counts if count][:2]
    return f", {' '.join(told) or '0 seconds'} ago"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _stamp(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat(timespec="seconds")


def _account_as_json(account: AccountStatus) -> dict[str, object]:
    return {
        "label": visible(account.label),
        "failures": account.failures,
        "last_error": visible(account.last_error) or None,
        "failing_since": _stamp(account.failing_since),
        "last_success": _stamp(account.last_success),
    }


def _waiting_as_json(message: WaitingMessage) -> dict[str, object]:
    return {
        "account": visible(message.account),
        "octets": message.octets,
        "since": _stamp(message.since),
        "to": [visible(address) for address in message.to],
    }
