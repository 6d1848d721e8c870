"""Accounts that may be earlier ones under another name: what waits for those is held until a listing has told.

Mail in the spool of an account that dmail.conf no longer names goes to its recipients by the rules of the account
that has taken its place. Which that is shows when it lists its mailbox; without any new account it is nobody's.
"""

import logging
from collections.abc import Mapping, Sequence
from threading import Lock

from lib.config.settings import Account
from lib.report import log
from lib.store import identity
from lib.store.identity import Who
from lib.store.journal import Journal
from lib.store.journal_facts import Adopted
from lib.store.spool import Stored

LOG = logging.getLogger("popfetch.account")
SpooledMessage = tuple[Stored, str]


class Successors:
    """The accounts of a pass. Thread-safe."""

    def __init__(self, accounts: Sequence[Account], journal: Journal) -> None:
        self._journal = journal
        self._accounts = [whose(account) for account in accounts]
        known = [name for name, entries in journal.entries.items() if entries]
        self._undecided = {who.id for who in identity.strangers(known, self._accounts)}
        self._orphans = set(identity.orphans(known, self._accounts))
        self._heirs: dict[str, str] = {}
        self._lock = Lock()

    def adopt(self, account: Account, listed: Mapping[bytes, int]) -> None:
        """Let *account*, if the journal does not know it, be the earlier one that its listing shows it to be."""
        with self._lock:
            if account.id not in self._undecided:
                return
            self._undecided.discard(account.id)
            claim = identity.claim(whose(account), listed, self._journal.entries, self._accounts)
            if claim is None:
                return
            self._journal.note(Adopted(account.id, claim.old))
            self._journal.flush()
            self._heirs[claim.old] = account.id
        LOG.warning("%s", log.line("account", account=account.name, note=f"is taken for {claim.old}", why=claim.why))

    def at_once(self, found: Sequence[SpooledMessage]) -> list[SpooledMessage]:
        """Return what of the spool need not wait until the accounts have listed their mailboxes."""
        return [one for one in found if not self._waits(one)]

    def _waits(self, one: SpooledMessage) -> bool:
        return bool(self._undecided) and one[0].account in self._orphans

    def later(self, found: Sequence[SpooledMessage]) -> list[SpooledMessage]:
        """Return what had to wait, and may go now; of what may not the account could not be asked."""
        heirs = self._heirs
        mine = [one for one in found if one[0].account in self._orphans]
        named = [(stored._replace(account=heirs.get(stored.account, stored.account)), key) for stored, key in mine]
        return [one for one in named if not self._waits(one)]


def whose(account: Account) -> Who:
    """Return what tells an account from others."""
    return Who(account.id, account.user, account.address)
