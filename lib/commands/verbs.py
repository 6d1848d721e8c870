"""What the program does besides a pass: show, reset, explain, send a dud again. One function a verb, one table."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from lib.commands import check as settings_check
from lib.commands import definitions, dry_run, duds, resend
from lib.commands.cli import Verb, Wish, called
from lib.commands.definitions import Installation
from lib.config import dmail_conf
from lib.config.dmail_conf import Configuration
from lib.config.settings import Settings
from lib.errors import Exit, SettingsError, StorageError
from lib.report import console, log
from lib.report.status import AccountStatus, Overview, WaitingMessage
from lib.store import journal_facts, journal_format, ownfile, recovery, state
from lib.store.duds import Duds
from lib.store.journal import Journal, damage_told
from lib.store.journal_facts import DEFERRED
from lib.store.journal_facts import Status as Known
from lib.store.lock import only_pass
from lib.store.spool import Spool


def obey(wish: Wish, program_folder: Path) -> Exit:
    """Do what *wish* asks for; any PopfetchError comes out."""
    if wish.verb is Verb.SAY:
        console.say(wish.text)
        return Exit.OK
    if wish.verb is Verb.IMPORT:
        from lib.commands import moving_in  # noqa: PLC0415 - once in a program's life

        return moving_in.show(wish)
    plan = dmail_conf.load(wish.conf, program_folder)
    if wish.verb in LOGGED:
        log.start(plan.settings.log_path, plan.settings.log_level, console=False)
    return VERBS[wish.verb](plan, wish)


def check(plan: Configuration, _wish: Wish) -> Exit:
    """Show every setting, where it comes from and what is doubtful about it."""
    from lib.net import certificates  # noqa: PLC0415 - asked of a person's patience, not of every pass's

    console.say(settings_check.report(plan))
    if found := [f"{plan.path}: {words}" for words in certificates.problems(*plan.settings.tls_files)]:
        raise SettingsError(*found)
    return Exit.OK


def status(plan: Configuration, wish: Wish) -> Exit:
    """Show what the last passes left: the state, what waits in the spool, what lies in duds.dat. Nothing is changed."""
    settings = plan.settings
    known = state.load(settings.work_path / "popfetch_state.toml")
    said = journal_format.replay(ownfile.read(settings.work_path / "popfetch.journal") or b"")
    labels = {account.id: account.name for account in settings.pf_user}
    shown = Overview(
        started=_time(known.last_start),
        ended=_time(known.last_end),
        duds_in_a_row=known.duds_in_a_row if said.row is None else said.row,
        max_duds=settings.pf_max_duds,
        tripped="" if not known.tripped else "the state file is damaged" if known.damaged else "too many duds in a row",
        accounts=tuple(_account(labels.get(name, name), one) for name, one in sorted(known.accounts.items())),
        waiting=tuple(_waiting(said.journal, labels)),
        duds=len(Duds(settings.work_path / "duds.dat").list()),
        now=datetime.now().astimezone(),
        next=_next(known, settings),
    )
    console.status(shown, json=wish.json)
    if said.damages:
        raise StorageError(damage_told(said.damages))
    return Exit.OK


def _next(known: state.State, settings: Settings) -> datetime | None:
    """Return when a scheduled pass is due, None when that is now, or never while the safety net is tripped."""
    last = known.last_end if settings.pf_isinterval else known.last_start
    if last is None or known.tripped:
        return None
    return _time(last + settings.ras_timer * 60)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone()


def _account(label: str, known: state.AccountState) -> AccountStatus:
    since, success = _time(known.failing_since), _time(known.last_success)
    return AccountStatus(label, known.failures, known.last_error, since, success)


def _waiting(journal: journal_facts.Entries, labels: dict[str, str]) -> Iterator[WaitingMessage]:
    for account, entries in journal.items():
        for entry in entries.values():
            if entry.status is Known.SPOOLED and entry.number:
                deferred = tuple(who for who, (said, _) in entry.recipients.items() if said == DEFERRED)
                yield WaitingMessage(labels.get(account, account), entry.size, _time(entry.since), deferred)


def reset(plan: Configuration, _wish: Wish) -> Exit:
    """Set the safety net back, and a damaged state or journal aside."""
    settings = plan.settings
    with only_pass(settings.work_path / "popfetch.lock"):
        aside = state.reset(settings.work_path / "popfetch_state.toml")
        journal = Journal(settings.work_path / "popfetch.journal")
        spool = Spool(settings.work_path, settings.pf_spool_limit)
        try:
            journal.load(time.time())
            damaged = recovery.reset(journal, spool, time.time())
        finally:
            spool.close()
            journal.close()
    for path in (aside, damaged):
        if path is not None:
            console.say(f"set aside as {path}")
    console.say("the safety net is set back; the next pass runs")
    return Exit.OK


def print_schedule(plan: Configuration, wish: Wish) -> Exit:
    """Print the definition for cron, systemd or the Windows Task Scheduler with this machine's paths."""
    settings = plan.settings
    here = Installation(
        python=sys.executable,
        program=str(Path(sys.argv[0]).resolve()),
        conf=str(plan.path.resolve()),
        minutes=settings.ras_timer,
        interval=settings.pf_isinterval,
        folders=tuple(dict.fromkeys((str(settings.work_path), str(settings.log_path)))),
        limit=settings.pf_time_limit,
    )
    console.say(definitions.print_schedule(wish.scheduler, here).rstrip("\n"))
    return Exit.OK


def log_in(plan: Configuration, wish: Wish) -> Exit:
    """Have a token for a pf_oauth line."""
    from lib.commands import login  # noqa: PLC0415 - a browser's matter, and seldom

    return login.log_in(plan, wish.text, f"{called(plan.path)} --login")


LOGGED = (Verb.RESET, Verb.DUDS_RESEND, Verb.DUDS_DROP)  # what they do changes what the next pass does
VERBS: dict[Verb, Callable[[Configuration, Wish], Exit]] = {
    Verb.CHECK: check,
    Verb.STATUS: status,
    Verb.RESET: reset,
    Verb.DRY_RUN: dry_run.explain,
    Verb.DUDS_LIST: duds.show_list,
    Verb.DUDS_SHOW: duds.show_one,
    Verb.DUDS_RESEND: resend.resend,
    Verb.DUDS_DROP: resend.drop,
    Verb.PRINT_SCHEDULE: print_schedule,
    Verb.LOGIN: log_in,
}
