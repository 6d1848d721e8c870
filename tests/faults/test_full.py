"""The spool holds much, and nobody waits for what will not go."""

from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.passes import Conf, RunPass, account
from tests.scenario.mails import mail, spooled

PEOPLE = [f"grey{number}@x.example" for number in range(12)]


@pytest.mark.parametrize("again", [0, 2])
def test_a_spool_full_of_mail_that_is_put_off_stops_no_other_mail(
    conf: Conf, run_pass: RunPass, work: Path, again: int
) -> None:
    mails = [mail(f"X-Rcpt-To: {who}", body="x" * 9000) for who in (*PEOPLE, "now@x.example")]
    refused = {who.encode(): b"450 4.7.1 later" for who in PEOPLE}
    with PopServer({"bob": ("geheim-bob", mails)}) as pop, SmtpServer(refused) as smtp:
        path = conf(account(pop.port), pf_smtp_server=f"127.0.0.1:{smtp.port}", pf_spool_limit="10K")
        for _ in range(1 + again):
            assert run_pass(path).code == 75
        assert [letter.recipients for letter in smtp.taken] == [(b"now@x.example",)]
        assert (len(spooled(work)), len(pop.left("bob"))) == (1, len(PEOPLE))  # the others wait for room, there
        refused.clear()
        assert run_pass(path).code == 0
        assert (len(smtp.taken), pop.left("bob")) == (len(mails), [])
