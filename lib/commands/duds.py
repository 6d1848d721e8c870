"""--duds list and show: what lies in duds.dat, and why."""

from lib.commands.cli import Wish
from lib.commands.resend import chosen_of
from lib.config.dmail_conf import Configuration
from lib.errors import Exit
from lib.report import console
from lib.store.duds import Duds
from lib.visible import visible


def show_list(plan: Configuration, _wish: Wish) -> Exit:
    """Print a line for each dud, numbered from 1, and its reasons below."""
    for dud in _duds(plan).list():
        to = ", ".join(visible(who) for who in dud.recipients) or "nobody"
        console.say(f"{dud.number}  {dud.when:%Y-%m-%d %H:%M}  {visible(dud.account)}  {dud.size} octets  to {to}")
        console.say(f"   from <{visible(dud.sender)}>: {visible(dud.subject, 60)}")
        for reason in dud.reasons:
            console.say(f"   {visible(reason)}")
        if dud.had:
            console.say(f"   received by {', '.join(map(visible, dud.had))}")
    return Exit.OK


def show_one(plan: Configuration, wish: Wish) -> Exit:
    """Print one message of duds.dat: its octets, but to a terminal control characters escaped."""
    duds = _duds(plan)
    console.pour(duds.chunks(chosen_of(duds.list(), wish)[0].number))
    return Exit.OK


def _duds(plan: Configuration) -> Duds:
    return Duds(plan.settings.work_path / "duds.dat")
