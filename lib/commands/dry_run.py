"""--dry-run: log in, list, and say of every message who would get it and why. Nothing is changed anywhere.

Headers are read with TOP, which marks nothing as read; the journal is read and not opened for writing.
"""

import time
from collections.abc import Iterator

from lib.auth import proof
from lib.commands.cli import Wish, called
from lib.config.dmail_conf import Configuration
from lib.config.settings import Account, Settings
from lib.errors import Exit, PopfetchError, gravest
from lib.halt import never
from lib.mail import message, routing
from lib.pop import plan, pop3
from lib.pop.entrance import Entrance
from lib.pop.plan import Do, Listed, Rules, Turn, Why
from lib.pop.plan import Plan as Done
from lib.pop.session import Session
from lib.report import console
from lib.store import journal_format, ownfile
from lib.store.journal_facts import Entry
from lib.store.state import AccountState
from lib.visible import visible

UNTOUCHED = "would stay as it is (delivered and kept, waiting in the spool, or over pf_max_messages)"


def explain(plan: Configuration, _wish: Wish) -> Exit:
    """Explain every account; the exit code says whether each could be listed."""
    data = ownfile.read(plan.settings.work_path / "popfetch.journal") or b""
    journal = journal_format.replay(data).journal
    command = called(plan.path)
    exits = [_account(one, plan.settings, journal.get(one.id, {}), command) for one in plan.settings.pf_user]
    return gravest(exits)


def _account(account: Account, settings: Settings, entries: dict[str, Entry], command: str) -> Exit:
    try:
        word = proof.reveal(account, settings, command, never)
        session = Entrance(account, word, settings, AccountState(), never).open()
        try:
            for line in _lines(session, settings, entries):
                console.say(line)
            session.whole(pop3.QUIT)
        finally:
            session.close()
    except PopfetchError as error:
        place = "" if account.place in str(error) else f" ({account.place})"
        console.complain([f"{account.name}: {error}{place}"])
        return error.exit
    return Exit.OK


def _lines(session: Session, settings: Settings, entries: dict[str, Entry]) -> Iterator[str]:
    account = session.account
    safe = "TLS" if session.wire.encrypted else "no TLS"
    yield f"{account.name}: {len(session.messages)} messages, {safe}"
    yield from (f"  warning: {warning}" for warning in session.warnings)
    rules = Rules(account.keep, settings.pf_max_size, settings.pf_max_messages)
    todo = plan.plan(session.messages, entries, rules, time.time())
    fetches = {one.message.number for one in todo.of(Do.FETCH, Do.COMPARE)}
    routes = routing.rules(settings, account)
    fates = _fates(todo)
    for one in session.messages:
        name = visible(one.uid, 40) or "no UID"
        yield f"  message {one.number} ({name}, {one.size} octets): {fates.get(one.number, UNTOUCHED)}"
        if one.number in fetches:
            yield f"    {_route(session, one, routes)}"


def _fates(todo: Done) -> dict[int, str]:
    """Say in words what a pass would do with each listed message that it would touch."""
    fates = {}
    for do, why, one, turn, _ in todo.actions:
        if do is Do.DELETE:
            fates[one.number] = "is delivered already; would be deleted"
        elif why is Why.OVERSIZE:
            fates[one.number] = "is over pf_max_size; would stay on the server"
        elif do is Do.COMPARE:
            fates[one.number] = f"would be compared with what was fetched: {why.value}"
        elif do is Do.FETCH:
            late = turn is not Turn.NOW
            fates[one.number] = "broke a session before; would be fetched last" if late else "would be fetched"
    return fates


def _route(session: Session, one: Listed, rules: routing.RoutingRules) -> str:
    status, octets = session.whole(pop3.top(one.number))
    if not status.ok and not session.account.to:
        return f"who would get it cannot be said: the server refuses TOP ({visible(status.text)})"
    route = routing.route(message.scan(octets), rules)
    who = ", ".join(visible(address) for address in route.recipients) or "nobody: it would be a dud"
    strangers = "; these may be strangers: set pf_accept_domain or pf_domain" if route.by_to_unfiltered else ""
    return f"-> {who}: {visible(route.why)}{strangers}"
