#!/usr/bin/env python3
"""Fetch mail from POP3 accounts and deliver it to the local SMTP server: one run, one pass.

    popfetch_batch.py [-i dmail.conf] [--test | --scheduled | --check | --dry-run | --status | --help ...]

README.md and docs/ tell all. This file tells one pass, in the order in which it happens.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what is imported is no garbage: to look for some in it takes a tenth of the start

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from lib.commands import cli
from lib.commands.cli import Verb, Wish
from lib.config import dmail_conf, helo, password
from lib.config.dmail_conf import Configuration
from lib.config.settings import Settings, without_aging
from lib.errors import AnotherPassError, Exit, PopfetchError, SafetyNetError, SettingsError, StoppedError, StorageError
from lib.halt import HEARING, Halt, Signals, Stop, ended_by
from lib.line import dial
from lib.line.dial import Line, Spent
from lib.report import log
from lib.report.judge import News, judge, mails
from lib.report.notice import Letterhead
from lib.report.outcome import AccountOutcome, Observer, Outcome, Tally, Unobserved
from lib.run import due, stores
from lib.run.batch import Batch
from lib.run.outgoing import Outgoing
from lib.run.stores import Stores
from lib.store import clock, owner, state
from lib.store.lock import only_pass
from lib.store.state import State

HERE = Path(__file__).resolve().parent
LOG, DIAL = logging.getLogger("popfetch"), logging.getLogger("popfetch.dial")
MINUTE, HOUR = 60.0, 3600.0


def main(words: Sequence[str]) -> Exit:
    """Do what the command line asks for; one line on stderr for everything that makes the exit code."""
    try:
        wish = cli.parse(words)
        if wish.verb in cli.PASSES:
            return run(wish)
        from lib.commands import verbs  # noqa: PLC0415 - cron's passes need none of it

        return verbs.obey(wish, HERE)
    except PopfetchError as error:
        LOG.error("%s", log.line("end", exit=int(error.exit), words=str(error)))  # noqa: TRY400 - no bug
        complain([error])
        return error.exit
    except Exception as error:  # noqa: BLE001 - the last line of defence
        log.bug(error)
        where = "its traceback is in popfetch.log, or above"
        complain([f"a bug of this program: {type(error).__name__}: {error}; {where}"])
        return Exit.BUG
    finally:
        log.stop()


def run(wish: Wish) -> Exit:
    """Read dmail.conf, take the lock, make one pass, tell how it went."""
    with ended_by() as signals, line_down(wish) as plan:
        settings, test = plan.settings, wish.verb is Verb.TEST
        log.start(settings.log_path, settings.log_level, console=test)
        for warning in plan.warnings:
            LOG.warning("%s", log.line("settings", warning=warning))
        try:
            with only_pass(settings.work_path / "popfetch.lock"), onlooker(wish) as observer:
                outcome = one_pass(plan, observer, signals, scheduled=wish.verb is Verb.SCHEDULED)
        except AnotherPassError as error:
            return beside(error, settings, scheduled=wish.verb is Verb.SCHEDULED)
        if wish.json or test:
            from lib.report import console  # noqa: PLC0415 - see complain

            console.show(outcome, now=datetime.now(UTC), json=wish.json)
        complain(outcome.why)
        return outcome.exit


@contextmanager
def line_down(wish: Wish) -> Iterator[dmail_conf.Configuration]:
    """Read dmail.conf. Whatever cannot be read or written here or inside keeps no line of ours up."""
    work: Path | None = None
    try:
        plan = dmail_conf.load(wish.conf, HERE)
        work = plan.settings.work_path
        _look_at_certificates(plan)
        yield plan
    except (SettingsError, StorageError) as error:
        work = work or getattr(error, "work_path", None)
        if work is not None:
            dial.hang_up_all_the_same(work / "popfetch.line", work / "popfetch.lock", DIAL)
        raise


def _look_at_certificates(plan: Configuration) -> None:
    """SettingsError when a file that TLS needs cannot be used."""
    it = plan.settings
    if it.pf_tls_ca or it.pf_tls_cert:
        from lib.net import certificates  # noqa: PLC0415 - most have none

        if found := [f"{plan.path}: {words}" for words in certificates.problems(*it.tls_files)]:
            raise SettingsError(*found)


def beside(error: AnotherPassError, settings: Settings, *, scheduled: bool) -> Exit:
    """Leave it to the pass that runs, unless that has run for so long that somebody should look."""
    known = state.load(settings.work_path / "popfetch_state.toml")
    seconds = due.overlong(time.time(), known.last_start, known.last_end)
    if seconds:
        raise AnotherPassError(f"{error}, and has for {seconds / HOUR:.0f} hours; if it hangs (popfetch.log), end it")
    if scheduled:
        return Exit.OK
    raise error


def onlooker(wish: Wish) -> AbstractContextManager[Observer]:
    """Return who looks on while the pass runs: a person, or nobody."""
    if wish.verb is not Verb.TEST or wish.json:
        return nullcontext(Unobserved())
    from lib.report import console  # noqa: PLC0415 - see complain

    return console.Progress()


def complain(complaints: Sequence[PopfetchError | str]) -> None:
    """Print a line on stderr for each of *complaints*."""
    if complaints:
        from lib.report import console  # noqa: PLC0415 - most passes have nothing to say

        console.complain(complaints)


def one_pass(plan: Configuration, observer: Observer, signals: Signals, *, scheduled: bool) -> Outcome:
    """One pass under the lock: hang up what an earlier one left up; is it due, make it, remember it."""
    settings, now = plan.settings, time.time()
    path, command = settings.work_path / "popfetch_state.toml", cli.called(plan.path)
    dial.hang_up_left(settings.work_path / "popfetch.line", DIAL)
    known = state.load(path)
    if known.tripped:
        why = known.damaged or "stopped by the safety net: see --status and --duds list, mend the cause"
        raise SafetyNetError(f"{why}; nothing runs until --reset")
    known = known._replace(owner=owner.claimed(known.owner, plan.path, settings.work_path, work_path_of))
    interval = settings.pf_isinterval
    if scheduled and not due.due(now, known.last_start, known.last_end, settings.ras_timer, interval):
        return Outcome()
    judged = clock.judge(known.clock, clock.read())
    if not judged.trusted:
        settings = without_aging(settings)
        why = f"{judged.doubt.value}: nothing is deleted for its age, and nothing is given up"
        LOG.warning("%s", log.line("clock", warning=why))
    known = known._replace(last_start=now).with_clock(judged.seen).shifted(judged.shift)
    state.save(path, known)
    halt = Halt(signals)
    halt.until(settings.pf_time_limit * MINUTE, "cut short by pf_time_limit", HEARING)
    with stores.opened(settings, known.duds_in_a_row, command, judged.shift) as place:
        batch = place.batch(known, observer, halt)
        batch.scheduled = scheduled
        outcomes = attempt(settings, place, batch)
        accounts, news = judge(batch.memories, outcomes, time.time())
        row, tripped = place.safety_net.row, place.safety_net.tripped
        known = known._replace(receiver=place.remembered(batch), hosts=batch.hosts)
        ended = known._replace(accounts=accounts, duds_in_a_row=row, tripped=tripped, last_end=time.time())
        ended = ended.with_clock(clock.ended(judged, clock.read()))
        state.save(path, ended)
        outcomes += tell(settings, place, ended, news, signals)
        batch.complaints.extend(duds_among(path, ended, place))
        row = place.safety_net.row
        seconds = time.time() - now
        outcome = Outcome(tuple(outcomes), tuple(batch.complaints), place.deferred, row, seconds)
    LOG.info("%s", log.line("pass", summary=outcome.summary()))
    return outcome


def work_path_of(conf: Path) -> Path:
    """Return the work_path that another dmail.conf names. SettingsError."""
    return dmail_conf.load(conf, HERE).settings.work_path


def attempt(settings: Settings, place: Stores, batch: Batch) -> list[AccountOutcome]:
    """Send again what the spool holds, raise the line, drain every account, hang up, deliver what is left."""
    line = line_of(settings, batch.halt.begun)
    outcomes: list[AccountOutcome] = []
    try:
        place.safety_net.check()  # a killed pass may have tripped the safety net, and not have said so
        place.bury_corrupt(batch.settlement)
        if place.found or (line.configured and not line.is_up(batch.halt.begun)):
            batch.pool.greet()
        batch.send_again(batch.successors.at_once(place.found))
        if not batch.halt.halted:
            raise_line(settings, batch, line)
            waiting = [one for one in place.found if one not in batch.successors.at_once(place.found)]
            outcomes = batch.drain(on_the_way=lambda: hang_up(line, batch))
            batch.send_again(batch.successors.later(waiting))
    except StoppedError:
        pass  # told below
    except PopfetchError as error:
        batch.complaints.append(error)
    finally:
        hang_up(line, batch)
        batch.pool.finish()
    if batch.halt.told and not (outcomes or batch.complaints):
        batch.complaints.append(batch.halt.told)  # no account was there to tell it
    return batch.counted(outcomes)


def line_of(settings: Settings, stop: Stop) -> Line:
    """Return the line that dmail.conf describes."""
    marker = settings.work_path / "popfetch.line"
    return dial.line(settings, marker=marker, logger=DIAL, reveal=lambda secret: password.reveal(secret, stop))


def raise_line(settings: Settings, batch: Batch, line: Line) -> None:
    """Bring the line up where one is configured, and let outgoing mail use it. NoLineError."""
    line.bring_up(batch.halt.begun)
    batch.line_is_ours, batch.line_is_elses = line.ours, line.somebody_elses
    if line.configured:
        batch.kick(Outgoing(settings))
    if line.ours:
        batch.halt.until(settings.ras_timeout * MINUTE, "cut short by ras_timeout")


def hang_up(line: Line, batch: Batch) -> None:
    """Hang up a line of ours, and leave a line in the log that tells what it was good for."""
    total = sum((one.tally for one in batch.drained), Tally())
    failed = sum(one.error is not None for one in batch.drained)
    troubles = [str(error) for error in (batch.halt.told, *batch.complaints[-1:]) if error]
    if failed and not troubles:
        troubles = [f"{failed} of {len(batch.settings.pf_user)} accounts failed"]
    line.hang_up(Spent(total.fetched, total.octets, *troubles[:1]))


def tell(
    settings: Settings, place: Stores, known: State, news: Sequence[News], signals: Signals
) -> list[AccountOutcome]:
    """Write to pf_notify_address what has to be told after this pass; most passes have nothing to tell."""
    to = settings.pf_notify_address
    duds = place.safety_net.row if place.safety_net.tripped else 0
    if to is None or not (news or duds):
        return []
    host, when = helo.name(settings), datetime.now().astimezone()
    post = Letterhead(helo.address(settings), to, when, f"<{when.timestamp():.6f}.popfetch@{host}>", place.command)
    return place.tell(list(mails(post, news, duds, str(settings.work_path / "duds.dat"))), known, signals)


def duds_among(path: Path, known: State, place: Stores) -> list[PopfetchError]:
    """Save what duds among the notices came to; return the error when they have tripped the safety net."""
    row, tripped = place.safety_net.row, place.safety_net.tripped
    if (row, tripped) == (known.duds_in_a_row, known.tripped):
        return []
    state.save(path, known._replace(duds_in_a_row=row, tripped=tripped))
    try:
        place.safety_net.check()
    except SafetyNetError as error:
        return [error]
    return []


def leave(code: int) -> NoReturn:
    """End at once: taking to pieces what the system takes back anyway is a tenth of a short pass."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # a pipe that nobody reads, or pythonw: as Python does it
        sys.exit(code)
    if sys.gettrace() or sys.getprofile():  # somebody measures, and tells when the interpreter ends
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    gc.freeze()  # nor is it any later
    gc.enable()
    leave(main(sys.argv[1:]))
