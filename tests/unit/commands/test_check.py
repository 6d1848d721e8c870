"""What --check shows."""

from pathlib import Path

import pytest

from lib.commands import check
from lib.config import account, dmail_conf, settings
from lib.config.dmail_conf import Configuration
from lib.config.grammar import File

CONF, PROGRAM = Path("/etc/dmail.conf"), Path("/opt/popfetch")


def plan(*lines: str) -> Configuration:
    text = "\n".join(lines).encode()
    return dmail_conf.load(CONF, PROGRAM, read=lambda _: File(text), system="posix")


def flat(text: str) -> str:
    return " ".join(text.split())


def test_every_setting_is_shown_with_value_origin_meaning_and_bounds() -> None:
    shown = flat(check.report(plan("pf_user bob s3cret h", "pf_max_duds 7")))
    for row in settings.rows():
        assert f"{row.meaning} allowed: {row.allowed}" in shown
    assert "pf_max_duds 7 dmail.conf:2 duds in a row" in shown
    assert "pf_spool_limit 256M default" in shown
    assert f"work_path {PROGRAM} default" in shown


def test_no_line_is_wider_than_a_hundred_columns() -> None:
    lines = ["pf_user bob s3cret h", *(f"pf_header X-Original-Recipient-{n}" for n in range(20)), "pf_tlx off"]
    report = check.report(plan(*lines, "work_path /var/spool/" + "x/" * 60))
    assert max(map(len, report.splitlines())) <= 100


def test_passwords_are_three_stars_and_where_they_come_from() -> None:
    lines = ["pf_user bob hunter2 h", 'pf_user carol "command:pass show hunter2" h', "pf_smtp_user u"]
    report = check.report(plan(*lines, "pf_smtp_password keyring:hunter2", "ras_password hunter2"))
    assert "hunter2" not in report
    assert "login bob, auth=auto, password ***\n" in report.replace("       ", " ")
    assert "password *** from command:" in report
    assert "pf_smtp_password *** from keyring:" in flat(report)


def test_accounts_are_shown_with_their_options() -> None:
    text = f"pf_user bob p [::1]:1995 tls=implicit name=Office keep=3 domain=d.example header=X pin=sha256:{'00' * 32}"
    shown = flat(check.report(plan(text, "pf_user carol p h to=c@d keep=forever", "pf_user dave p h keep=1")))
    assert "Office (dmail.conf:1) server [::1]:1995, tls=implicit, certificate pinned" in shown
    assert "recipients named in the first of X, X-Rcpt-To, X-Recip-To, To; their domain becomes d.example" in shown
    assert "kept 3 days after delivery" in shown
    assert "recipients c@d kept for ever after delivery" in shown
    assert "kept 1 day after delivery" in shown


def test_an_account_whose_mail_may_go_to_strangers_is_warned_about() -> None:
    shown = flat(check.report(plan("pf_user bob p h", "pf_user carol p h to=c@d", "pf_user dave p h domain=d")))
    assert "3 accounts, 1 warning" in shown
    assert "bob@h: a message with none of X-Rcpt-To, X-Recip-To goes to everybody in To, strangers too" in shown


@pytest.mark.parametrize("line", ["pf_domain d.example", "pf_accept_domain d.example"])
def test_a_filter_keeps_mail_from_strangers(line: str) -> None:
    assert "0 warnings" in check.report(plan("pf_user bob p h", line))


def test_warnings_and_notes_of_the_plan_are_shown() -> None:
    shown = flat(check.report(plan("pf_user bob p h", "pf_tlx off", "pf_wait 9")))
    assert f"WARNINGS - {CONF}:2: pf_tlx: no such setting; did you mean pf_tls?" in shown
    assert f"NOTES - {CONF}:3: pf_wait: is an old name of pf_retry_delay" in shown
    assert "pf_dflt_address is not set" in shown
    assert "NOTES" not in check.report(plan("pf_user bob p h", "pf_dflt_address x@y"))


def test_the_table_tells_all_options_of_an_account() -> None:
    row = next(settings.rows())
    assert row.meaning.endswith(f"its options: {' '.join(account.OPTIONS)}")


def test_tokens_are_shown_without_their_secret() -> None:
    line = "pf_oauth work provider=google client_id=abc client_secret=geheim-xyz"
    shown = flat(check.report(plan("pf_user bob - h oauth=work", line)))
    assert "work provider=google" in shown
    assert "auth=auto, a token of work" in shown
    assert "geheim" not in shown
