"""THE table and the kinds of values in it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import settings, values
from lib.config.settings import KEEP_FOREVER, HostPort, Row, Secret, Settings, Tls, UnixPath

ROWS = tuple(settings.rows())
NUMBERS = tuple(row for row in ROWS if row.low is not None)
ROW = {row.name: row for row in ROWS}
ARABIC_FIVE = "\u0665"


def ids(rows: tuple[Row, ...]) -> list[str]:
    return [row.name for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
def test_every_row_says_what_it_means_and_allows(row: Row) -> None:
    assert len(row.meaning) > 8
    assert row.allowed
    assert row.default
    assert not set("|\n") & set(row.meaning + row.allowed + row.default), "it stands in a table of docs/settings.md"


@pytest.mark.parametrize("row", NUMBERS, ids=ids(NUMBERS))
def test_a_number_accepts_both_of_its_bounds(row: Row) -> None:
    assert row.parse(str(row.low)) == row.low
    assert row.parse(str(row.high)) == row.high


@pytest.mark.parametrize("row", NUMBERS, ids=ids(NUMBERS))
def test_a_number_refuses_what_lies_beyond_its_bounds_and_what_is_no_number(row: Row) -> None:
    assert row.low is not None
    assert row.high is not None
    wrong = [
        str(row.low - 1),
        str(row.high + 1),
        "9" * 5000,
        "",
        "x",
        "1.5",
        ARABIC_FIVE,
        "+5",
        "5 5",
        "0x5",
        "1e1",
        "\u00b2",
    ]
    for text in wrong:
        with pytest.raises(ValueError, match=r"^(is|has) "):
            row.parse(text)


def test_the_table_holds_the_settings_of_the_manual_and_ours() -> None:
    assert ids(ROWS) == [
        *(
            "pf_user",
            "pf_header",
            "pf_domain",
            "pf_accept_domain",
            "pf_strip_prefix",
            "pf_alias",
            "pf_dflt_address",
            "pf_max_duds",
            "pf_retry_delay",
        ),
        *("pf_isinterval", "ras_timer", "ras_entry", "ras_number", "ras_username", "ras_password", "ras_domain"),
        *("ras_smtpip", "ras_timeout", "work_path", "log_path", "log_level", "pf_smtp_server", "pf_smtp_protocol"),
        *("pf_smtp_tls", "pf_smtp_user", "pf_smtp_password", "pf_helo_name", "pf_mail_from"),
        *("pf_tls", "pf_tls_ca", "pf_tls_cert", "pf_tls_key", "pf_keep"),
        *("pf_max_size", "pf_max_messages", "pf_parallel", "pf_window", "pf_timeout", "pf_smtp_timeout"),
        *("pf_time_limit", "pf_spool_limit", "pf_give_up", "pf_dial_up", "pf_dial_check", "pf_dial_down"),
        *("pf_online_command", "pf_etrn", "pf_notify_address", "pf_oauth"),
    ]


def test_the_old_manuals_other_names_are_known() -> None:
    assert {row.name: row.old for row in ROWS if row.old} == {
        "pf_max_duds": ("max_duds",),
        "pf_retry_delay": ("pf_wait",),
        "work_path": ("work_dir",),
    }


def test_without_any_argument_settings_are_the_defaults() -> None:
    it = Settings()
    assert (it.pf_max_duds, it.pf_retry_delay, it.ras_timer, it.pf_spool_limit) == (10, 40, 5, 256 << 20)
    assert (it.pf_smtp_server, it.pf_smtp_tls, it.pf_tls) == (HostPort("127.0.0.1", 25), Tls.OFF, Tls.AUTO)
    assert (it.pf_user, it.pf_domain, it.pf_tls_ca, it.pf_mail_from) == ((), None, None, "return-path")


DECLARED = tuple(row for row in NUMBERS if row.default.isdigit())


@pytest.mark.parametrize("row", DECLARED, ids=ids(DECLARED))
def test_the_default_that_is_shown_is_the_default_that_is_used(row: Row) -> None:
    assert row.parse(row.default) == getattr(Settings(), row.name)


@pytest.mark.parametrize(
    ("text", "octets"), [("0", 0), ("1k", 1024), ("1K", 1024), ("256M", 256 << 20), ("2g", 2 << 30), ("1024G", 1 << 40)]
)
def test_a_size_takes_k_m_and_g(text: str, octets: int) -> None:
    assert ROW["pf_max_size"].parse(text) == octets


@pytest.mark.parametrize("text", ["K", "1025G", "1KB", "1 K", "1T", "-1K", "1.5M"])
def test_a_size_refuses_other_units_and_fractions(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        ROW["pf_max_size"].parse(text)


@given(st.integers(0, 1 << 40))
def test_a_shown_size_is_read_back_as_it_was(octets: int) -> None:
    assert ROW["pf_max_size"].parse(settings.shown_size(octets)) == octets


def test_mail_may_be_kept_forever() -> None:
    assert ROW["pf_keep"].parse("Forever") == KEEP_FOREVER
    assert ROW["pf_keep"].show(KEEP_FOREVER) == "forever"
    assert ROW["pf_keep"].show(7) == "7"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("mail", HostPort("mail", 7)),
        ("mail.example.com:110", HostPort("mail.example.com", 110)),
        ("mail.example.com.", HostPort("mail.example.com", 7)),
        ("192.0.2.4:1100", HostPort("192.0.2.4", 1100)),
        ("[2001:DB8::5]", HostPort("2001:db8::5", 7)),
        ("[::1]:65535", HostPort("::1", 65535)),
        ("[fe80::1%eth0]:1", HostPort("fe80::1%eth0", 1)),
        ("b\u00fccher.example:1", HostPort("xn--bcher-kva.example", 1)),
        ("under_score-1.x", HostPort("under_score-1.x", 7)),
    ],
)
def test_a_host_may_have_a_port(text: str, server: HostPort) -> None:
    assert values.host(text, port=7) == server


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":25",
            "mail:",
            "mail:0",
            "mail:65536",
            "mail:x",
            "mail: 25",
            "1..2.3.4",
            "1.2.3",
            "1.2.3.256",
            "-x",
            "a b",
        ),
        *(
            "2001:db8::5",
            "::1",
            "[::1",
            "[::1]25",
            "[]",
            "[mail]:25",
            "a" * 64,
            "a." * 127 + "aa",
            "\u00fc" * 300,
            "a/b",
        ),
        *("\udcff", "caf\u00e9\u3002\u3002x", "http://mail", "mail\n", "user@mail"),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^has |^is "):
        values.host(text)


def test_the_receiver_may_sit_behind_a_unix_socket() -> None:
    assert values.server("unix:/run/lmtp") == UnixPath("/run/lmtp")
    assert str(UnixPath("/run/lmtp")) == "unix:/run/lmtp"
    with pytest.raises(ValueError, match="whole path"):
        values.server("unix:lmtp")


def test_a_server_is_shown_as_it_is_written() -> None:
    assert str(HostPort("::1", 25)) == "[::1]:25"
    assert str(HostPort("mail", 0)) == "mail"


@pytest.mark.parametrize(
    "text", ["bob@example.com", "postmaster", "o'hara+x@[192.0.2.1]", '"b.b"@x', "j\u00f6rg@example.com", "a" * 254]
)
def test_what_can_stand_in_rcpt_is_an_address(text: str) -> None:
    assert values.address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "bob@", "@example.com", "a b@c", "<bob@example.com>", "a@b,c@d", "a@b;", "a@b\r\nDATA", "a\x00@b"),
        *("a" * 255, "\u00f6" * 128, "a\u2028b@c", "a\u00a0b@c", "a@b\x7f", "\udcff@x"),
    ],
)
def test_what_cannot_safely_stand_in_rcpt_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        values.address(text)


def test_a_header_name_may_carry_its_colon() -> None:
    assert values.header("X-Rcpt-To:") == values.header("X-Rcpt-To") == "X-Rcpt-To"


@pytest.mark.parametrize("text", ["", ":", "X Y", "X:Y", "X\x07", "\u00dcber", "X" * 101])
def test_what_is_no_field_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="header field"):
        values.header(text)


@pytest.mark.parametrize("text", ["example.com", "local", "b\u00fccher.example"])
def test_a_domain_is_kept_in_ascii(text: str) -> None:
    assert values.domain(text).isascii()


@pytest.mark.parametrize(
    "text", ["", "@example.com", "example..com", "192.0.2.1", "[192.0.2.1]", "a b", "*.example.com"]
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        values.domain(text)


def test_a_command_line_is_split_like_a_shell_would() -> None:
    assert values.argv("sh -c 'echo $X; true' \"a b\" c#d") == ("sh", "-c", "echo $X; true", "a b", "c#d")
    assert values.argv("") == ()


@pytest.mark.parametrize("text", ["sh -c 'echo", 'say "x', '"" x'])
def test_a_command_line_that_cannot_be_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has a quote|empty word"):
        values.argv(text)


def test_backslashes_are_kept_in_the_commands_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.name", "nt")
    assert values.argv(r'C:\tools\dial.exe "C:\My ISP"') == (r"C:\tools\dial.exe", r"C:\My ISP")


def test_a_path_may_be_quoted_but_not_start_at_home() -> None:
    assert values.path('"/var/my spool"') == Path("/var/my spool")
    for wrong in ("~/spool", "~bob", '""'):
        with pytest.raises(ValueError, match="path"):
            values.path(wrong)


def test_a_pin_may_be_written_as_openssl_prints_it() -> None:
    plain = "0A" * 32
    assert values.pin(f"sha256:{plain}") == values.pin("SHA256:" + ":".join(["0a"] * 32)) == (b"\n" * 32,)
    assert values.pin(f"sha256:{plain},sha256:{'00' * 32}") == (b"\n" * 32, bytes(32))
    for wrong in ("", plain, f"sha1:{plain}", f"sha256:{plain}0", "sha256:" + "g" * 64):
        with pytest.raises(ValueError, match="64 hex digits"):
            values.pin(wrong)


def test_words_and_truth_are_read_whatever_their_case() -> None:
    assert ROW["log_level"].parse("DEBUG") == "debug"
    assert ROW["pf_isinterval"].parse("True") is True
    assert ROW["pf_isinterval"].parse("false") is False
    assert ROW["pf_smtp_tls"].parse("StartTLS") is Tls.STARTTLS
    assert ROW["pf_mail_from"].parse("NULL") == "null"
    with pytest.raises(ValueError, match="no IPv6 address"):
        ROW["pf_helo_name"].parse("[IPv6:192.0.2.5]")
    names = ("ship.example.org", "vm", "[192.0.2.5]", "[IPv6:2001:db8::5]")
    assert [ROW["pf_helo_name"].parse(name) for name in ("", *names)] == ["", *names]
    assert ROW["pf_mail_from"].parse("bounces@example.com") == "bounces@example.com"
    for name, wrong in (
        ("log_level", "warn"),
        ("pf_isinterval", "yes"),
        ("pf_smtp_tls", "auto"),
        ("pf_mail_from", "<>"),
        ("pf_helo_name", "two words"),
        ("pf_helo_name", "[ship.example.org]"),
        ("pf_helo_name", "[192.0.2]"),
    ):
        with pytest.raises(ValueError, match="is "):
            ROW[name].parse(wrong)


def test_a_bare_name_of_an_optional_setting_says_that_there_is_none() -> None:
    for name in ("pf_domain", "pf_dflt_address", "ras_smtpip", "pf_smtp_user", "pf_smtp_password", "pf_tls_ca"):
        assert ROW[name].parse("") is None
    assert ROW["ras_entry"].parse("") == ""
    assert ROW["pf_dial_up"].parse("") == ()


def test_a_secret_shows_nothing_to_whoever_prints_it() -> None:
    secret = Secret("hunter2", "dmail.conf:3")
    account = settings.Account("bob", secret, "pop.example.com")
    shown = f"{secret} {secret!r} {account} {Settings(pf_smtp_password=secret)} {[secret]}"
    assert "hunter2" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        *(
            ("file:x", "file"),
            ("env:X", "env"),
            ("command:x", "command"),
            ("keyring:x", "keyring"),
            ("literal:file:x", "literal"),
        ),
        *(("file", "literal"), ("secret", "literal"), ("a:b", "literal"), ("FILE:x", "literal")),
    ],
)
def test_a_secret_knows_whether_it_is_the_password_itself(source: str, kind: str) -> None:
    assert Secret(source).kind == kind


@pytest.mark.parametrize(
    "source", ["", "file:", "env: ", "command:", "keyring:", "literal:", "file:~/pw", "command:x 'y"]
)
def test_a_secret_that_leads_nowhere_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"is |has |starts "):
        values.source(source)


def test_a_misspelt_name_is_told_the_nearest_one() -> None:
    assert settings.misspelt("pf_max_dud") == "pf_max_dud: no such setting; did you mean pf_max_duds?"
    assert settings.misspelt("ras_xyzzy_qwert") == "ras_xyzzy_qwert: no such setting"
    assert settings.misspelt("host_domain") == ""


def test_a_misspelt_name_shows_no_password_that_hangs_on_it() -> None:
    assert (
        settings.misspelt("pf_smtp_password=hunter2") == "pf_smtp_password: a blank must stand between name and value"
    )
    assert "hunter2" not in settings.misspelt("pf_smtp_pasword=hunter2")
    assert "hunter2" not in settings.misspelt("pf_smtp_pasword:hunter2")


def test_values_are_shown_as_they_are_written() -> None:
    assert ROW["pf_isinterval"].show(True) == "true"
    assert ROW["pf_tls"].show(Tls.AUTO) == "auto"
    assert ROW["pf_header"].show(("A", "B")) == "A, B"
    assert ROW["pf_header"].show(()) == "none"
    assert ROW["pf_dial_up"].show(("sh", "-c", "a b")) == "sh -c 'a b'"
    assert ROW["pf_smtp_server"].show(HostPort("::1", 25)) == "[::1]:25"


def test_the_readmes_table_has_a_line_for_every_row() -> None:
    lines = settings.table_markdown().splitlines()
    assert len(lines) == len(ROWS) + 2
    assert all(line.count("|") == 5 for line in lines)
    assert "| pf_retry_delay (pf_wait) | `0 to 3600 seconds` | 40 |" in settings.table_markdown()
