"""What a pass leaves behind in the state of its accounts, and what is to be told to pf_notify_address. Pure.

An account that fails in its third pass in a row is told of once, and once more when it is drained again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from lib.errors import PopfetchError
from lib.report import notice
from lib.report.notice import Letterhead
from lib.report.outcome import AccountOutcome
from lib.store.state import AccountState

# Passes in a row after which somebody is told: two may be a server that is restarted.
TOLD_AFTER = 3


class News(NamedTuple):
    """An account that keeps failing (*error*), or works again (None), after *passes* failures since *since*."""

    label: str
    error: PopfetchError | None
    since: float
    passes: int


def judge(
    before: Mapping[str, AccountState], outcomes: Sequence[AccountOutcome], now: float
) -> tuple[dict[str, AccountState], list[News]]:
    """Return the accounts' states after a pass that ended *now* (seconds since the epoch), and the news."""
    after, news = dict(before), list[News]()
    for outcome in (one for one in outcomes if one.judged):
        old = before.get(outcome.account, AccountState())
        new, told = _one(old, outcome, now)
        after[outcome.account] = new
        news.extend(told)
    return after, news


def _one(old: AccountState, outcome: AccountOutcome, now: float) -> tuple[AccountState, list[News]]:
    if outcome.error is None:
        told = [News(outcome.label, None, old.failing_since or now, old.failures)] if old.notified else []
        new = replace(old, failures=0, last_error="", failing_since=None, last_success=now, notified=False)
        return new, told
    since = old.failing_since or now
    failures = old.failures + 1
    tell = failures >= TOLD_AFTER and not old.notified
    new = replace(
        old, failures=failures, last_error=str(outcome.error), failing_since=since, notified=old.notified or tell
    )
    return new, [News(outcome.label, outcome.error, since, failures)] if tell else []


def mails(post: Letterhead, news: Sequence[News], duds: int, path: str) -> Iterator[bytes]:
    """Yield the mails that tell the news and, with *duds* over 0, that so many of them (in *path*) tripped the net."""
    for number, one in enumerate(news):
        numbered = post._replace(message_id=f"<{number}.{post.message_id[1:]}")
        since = datetime.fromtimestamp(one.since, UTC)
        if one.error is None:
            yield notice.recovered(numbered, one.label, since=since, passes=one.passes)
        else:
            yield notice.failing(numbered, one.label, one.error, since=since, passes=one.passes)
    if duds:
        yield notice.tripped(post, duds=duds, path=path)
