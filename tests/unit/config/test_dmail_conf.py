"""dmail.conf, from its text to a Plan; the files are a dict."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import dmail_conf, settings
from lib.config.dmail_conf import Configuration
from lib.config.grammar import MAX_FILES, MAX_OCTETS, File
from lib.config.settings import HostPort, Tls, UnixPath
from lib.errors import SettingsError

CONF = Path("/etc/dmail.conf")
ETC = f"{CONF.parent}{os.sep}"
PROGRAM = Path("/opt/popfetch")
USER = b"pf_user bob s3cret pop.example.com\n"
posix = pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX, told as a command of its shell")
PIN = "pin=sha256:" + "00" * 32


def plan(text: str | bytes, *, mode: int = 0o100600, system: str = "posix", **more: bytes) -> Configuration:
    """Load *text*; *more* are files beside it, NAME.conf."""
    data = text if isinstance(text, bytes) else text.encode()
    files = {CONF: data, **{CONF.parent / f"{name}.conf": octets for name, octets in more.items()}}

    def read(path: Path) -> File:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return File(files[path][: MAX_OCTETS + 1], mode)

    return dmail_conf.load(CONF, PROGRAM, read=read, system=system)


def problems(text: str | bytes, *, mode: int = 0o100600, system: str = "posix", **more: bytes) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        plan(text, mode=mode, system=system, **more)
    assert all("\n" not in problem for problem in raised.value.problems)
    return raised.value.problems


def with_user(*lines: str) -> str:
    return USER.decode() + "\n".join(lines)


def test_one_line_is_a_whole_dmail_conf() -> None:
    it = plan(USER)
    (account,) = it.settings.pf_user
    assert (account.user, account.host, account.place) == ("bob", "pop.example.com", f"{ETC}dmail.conf:1")
    assert (it.warnings, it.notes, it.path) == ((), (), CONF)
    assert (it.settings.work_path, it.settings.log_path) == (PROGRAM, PROGRAM)
    assert it.origins == {"pf_user": f"{ETC}dmail.conf:1"}


def test_names_are_read_whatever_their_case_and_blanks() -> None:
    it = plan(with_user("  PF_Max_Duds \t 7  ", "\tpf_timeout\t9"))
    assert (it.settings.pf_max_duds, it.settings.pf_timeout) == (7, 9)


def test_a_hash_is_a_comment_only_at_the_start_of_a_line() -> None:
    it = plan("# pf_user x y z\n  # indented\npf_user bob s3#cret pop.example.com\npf_max_duds 7\n#pf_max_duds 8")
    assert it.settings.pf_user[0].password.source == "s3#cret"
    assert it.settings.pf_max_duds == 7
    assert "'7 # why' is not a whole number" in problems(with_user("pf_max_duds 7 # why"))[0]


def test_windows_line_ends_and_a_bom_are_accepted() -> None:
    it = plan(b"\xef\xbb\xbfpf_user bob s3cret h\r\npf_max_duds 7\r\n\r\nras_entry\r\n")
    assert (it.settings.pf_user[0].host, it.settings.pf_max_duds) == ("h", 7)


def test_a_bare_name_is_an_empty_value() -> None:
    it = plan(with_user("ras_entry", "ras_domain", "pf_domain", "pf_dial_up", "work_path", "log_path"))
    assert (it.settings.ras_entry, it.settings.pf_domain, it.settings.pf_dial_up) == ("", None, ())
    assert it.settings.log_path == PROGRAM
    (problem,) = problems(with_user("pf_max_duds"))
    assert problem == (
        f"{ETC}dmail.conf:2: pf_max_duds: an empty value is not a whole number; allowed: 1 to 1000000 messages"
    )


def test_a_bare_list_is_a_problem() -> None:
    assert "an empty value is not a domain" in problems(with_user("pf_accept_domain"))[0]


def test_the_last_of_a_repeated_setting_counts_and_the_others_are_named() -> None:
    it = plan(with_user("pf_max_duds 7", "max_duds 8"))
    assert it.settings.pf_max_duds == 8
    assert it.warnings == (f"{ETC}dmail.conf:3: pf_max_duds: is set again; {ETC}dmail.conf:2 no longer counts",)
    assert it.origins["pf_max_duds"] == f"{ETC}dmail.conf:3"


def test_a_list_grows_with_every_line() -> None:
    it = plan(with_user("pf_header Envelope-To:", "pf_user carol s3cret h", "pf_header X-Original-To"))
    assert it.settings.pf_header == ("Envelope-To", "X-Original-To")
    assert [user.user for user in it.settings.pf_user] == ["bob", "carol"]
    assert [user.headers for user in it.settings.pf_user] == [it.settings.pf_header] * 2, "wherever pf_header stands"
    assert not it.warnings


def test_old_names_are_understood_and_noted() -> None:
    it = plan(with_user("pf_wait 50", "work_dir /var/spool/pf"))
    assert (it.settings.pf_retry_delay, it.settings.work_path) == (50, Path("/var/spool/pf").absolute())
    assert it.notes[0] == f"{ETC}dmail.conf:2: pf_wait: is an old name of pf_retry_delay"


def test_an_unknown_setting_of_ours_is_a_warning_with_the_nearest_name() -> None:
    it = plan(with_user("pf_max_dud 7", "RAS_Tiner 9", "host_domain example.com", "log_size 9"))
    assert it.warnings == (
        f"{ETC}dmail.conf:2: pf_max_dud: no such setting; did you mean pf_max_duds?",
        f"{ETC}dmail.conf:3: ras_tiner: no such setting; did you mean ras_timer?",
    )


def test_an_equals_sign_behind_a_name_is_a_problem_that_shows_no_password() -> None:
    (problem,) = problems(with_user("pf_smtp_password=hunter2"))
    assert problem == f"{ETC}dmail.conf:2: pf_smtp_password: a blank must stand between name and value"


def test_lines_of_other_programs_may_hold_anything() -> None:
    it = plan(USER + b"welcome Gr\xfc\xdfe \x00\n# J\xf6rg \x00\ndsmtp_path\n")
    assert not it.warnings


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"pf_domain b\xfccher.example", "holds octets that are not UTF-8"),
        (b"ras_entry My\x00ISP", "holds a control character"),
        (b"ras_entry My\x7fISP", "holds a control character"),
        (b"pf_user carol hun\x00ter2 h", "holds a control character"),
        (b"ras_entry My\rISP", "holds a control character"),
    ],
)
def test_what_is_no_text_in_a_line_of_ours_is_a_problem(line: bytes, why: str) -> None:
    (problem,) = problems(USER + line)
    assert problem.startswith(f"{ETC}dmail.conf:2: ")
    assert why in problem
    assert problem.isprintable()


def test_utf_16_is_recognised() -> None:
    assert problems("pf_user bob s3cret h".encode("utf-16"))[0] == f"{ETC}dmail.conf: is UTF-16; save it as UTF-8"


def test_a_file_too_large_to_be_a_dmail_conf_is_refused() -> None:
    assert "is larger than 1048576 octets" in problems(USER * 40000)[0]


def test_all_problems_come_at_once_each_in_one_line_with_its_place() -> None:
    text = "pf_max_duds 0\npf_user bob hunter2\npf_tls ssl\n#include gone.conf\npf_smtp_user bob\npf_window 501\n"
    assert problems(text) == (
        f"{ETC}dmail.conf:1: pf_max_duds: '0' is too small; allowed: 1 to 1000000 messages",
        f"{ETC}dmail.conf:2: pf_user: the line " + THREE_WORDS,
        f"{ETC}dmail.conf:3: pf_tls: 'ssl' is none of the allowed words; allowed: auto, off, starttls, implicit",
        f"{ETC}dmail.conf:4: #include: {ETC}gone.conf cannot be read: No such file or directory",
        f"{ETC}dmail.conf:6: pf_window: '501' is too large; allowed: 1 to 500 commands",
        f"{ETC}dmail.conf:5: pf_smtp_user: has no password; add a line: pf_smtp_password PASSWORD",
    )


def test_a_long_value_is_shortened_in_a_problem() -> None:
    assert len(problems(with_user("pf_max_duds " + "9" * 10000))[0]) < 250


def test_without_an_account_there_is_nothing_to_do() -> None:
    (problem,) = problems("")
    assert problem == (f"{ETC}dmail.conf: pf_user: there is no account; add a line: pf_user USER PASSWORD HOST")


def test_an_include_is_read_where_it_stands_and_relative_to_its_own_file() -> None:
    files = {
        CONF: b"#include more/a.conf\npf_max_duds 9\n",
        Path("/etc/more/a.conf"): b'pf_max_duds 7\nwork_path spool\n#INCLUDE "b c.conf"',
        Path("/etc/more/b c.conf"): USER + b"pf_smtp_password file:pw\npf_smtp_user x",
    }
    it = dmail_conf.load(CONF, PROGRAM, read=lambda path: File(files[path]), system="posix")
    assert it.settings.pf_max_duds == 9
    assert it.settings.work_path == Path("/etc/more/spool").absolute()
    assert it.settings.pf_user[0].place == f"{Path('/etc/more/b c.conf')}:1"
    assert it.settings.pf_smtp_password is not None
    assert it.settings.pf_smtp_password.folder == Path("/etc/more").absolute()
    assert it.settings.pf_smtp_password.user == "x"


def test_a_comment_about_includes_is_none() -> None:
    assert plan(USER + b"#includes gone.conf\n# include gone.conf\n").warnings == ()


@pytest.mark.parametrize(
    ("text", "beside", "why"),
    [
        (b"#include", b"", "no file is named"),
        (b"#include dmail.conf", b"", f"{ETC}dmail.conf leads back to itself"),
        (b"#include ../etc/a.conf", b"#include ./dmail.conf", f"{ETC}dmail.conf leads back to itself"),
        (b"#include a.conf\n" * (MAX_FILES + 1), b"", "more than 100 files"),
        (b"#include a\x00.conf", b"", f"{ETC}a\\x00.conf cannot be read"),
    ],
)
def test_an_include_that_cannot_be_followed_is_a_problem(text: bytes, beside: bytes, why: str) -> None:
    assert why in problems(USER + text, a=beside)[0]


def test_includes_have_a_depth() -> None:
    with pytest.raises(SettingsError, match="deeper than 10 files"):
        dmail_conf.load(CONF, PROGRAM, read=lambda _: File(b"#include x/dmail.conf\n"))


THREE_WORDS = (
    "has 2 of the three words that it needs: user, password, host; "
    "allowed: user password host[:port] [option=value ...]"
)
RULES = [
    (["ras_entry ISP", "ras_timer 4"], "ras_timer: is too small for a program that dials; allowed then: 5 minutes"),
    (["pf_dial_up a", "pf_dial_check b", "pf_dial_down c", "ras_timer 1"], "ras_timer: is too small"),
    (["pf_smtp_user x"], "pf_smtp_user: has no password"),
    (["pf_smtp_password x"], "pf_smtp_password: belongs to nobody"),
    (["pf_smtp_tls starttls", "pf_smtp_server unix:/run/lmtp"], "pf_smtp_tls: does not go with a unix socket"),
    (["pf_etrn example.com", "ras_entry x"], "pf_etrn: does not say which server; add a line: ras_smtpip HOST"),
    (["pf_user carol x h tls=off " + PIN], "pf_user: pin= needs TLS"),
    (["pf_user bob x pop.example.com:995"], f"pf_user: bob@pop.example.com is already set at {ETC}dmail.conf:1"),
    (["pf_user a x h name=n", "pf_user b x h name=n"], f"pf_user: the name n is already taken at {ETC}dmail.conf:2"),
]


@pytest.mark.parametrize(("lines", "why"), RULES)
def test_settings_that_contradict_each_other_are_a_problem(lines: list[str], why: str) -> None:
    (problem,) = problems(with_user(*lines))
    assert why in problem
    assert re.match(rf"{re.escape(str(CONF))}:\d+: ", problem)


def test_what_follows_from_a_misread_setting_is_not_told_as_well() -> None:
    assert len(problems(with_user("pf_smtp_user x", "pf_smtp_password file:"))) == 1
    assert len(problems("pf_user bob hunter2")) == 1


def test_a_unix_socket_is_a_problem_on_windows() -> None:
    text = with_user("pf_smtp_server unix:/run/lmtp")
    assert plan(text).settings.pf_smtp_server == UnixPath("/run/lmtp")
    assert "Windows" in problems(text, system="nt")[0]


DOUBTS = [
    (["pf_dial_up x", "pf_dial_down y"], "pf_dial_up: takes every line for ours, and hangs up somebody else's"),
    (["pf_dial_up x", "pf_dial_check y"], "pf_dial_up: raises a line that nothing hangs up"),
    (["pf_smtp_user a", "pf_smtp_password b", "pf_smtp_server mail.example.com"], "pf_smtp_user: its password goes"),
    (["pf_smtp_protocol lmtp", "pf_smtp_server h:25"], "pf_smtp_protocol: port 25 is not for LMTP"),
    (["pf_online_command postqueue -f"], "pf_online_command: is idle: no line is configured"),
    (["pf_etrn example.com", "ras_smtpip h"], "pf_etrn: is idle: no line is configured"),
    (["pf_dial_down x"], "pf_dial_down: is idle without pf_dial_up"),
    (["ras_password x"], "ras_password: is idle: no ras_username"),
    (["pf_user a x h:995 tls=starttls"], "pf_user: port 995 speaks TLS from the start"),
    (["ras_entry ISP"], "ras_entry: does nothing on this system, only on Windows"),
]


@pytest.mark.parametrize(("lines", "why"), DOUBTS)
def test_what_is_probably_not_meant_so_is_a_warning(lines: list[str], why: str) -> None:
    (warning,) = plan(with_user(*lines)).warnings
    assert why in warning


def test_a_usual_setup_has_no_warnings() -> None:
    lines = ["pf_smtp_user a", "pf_smtp_password b", "pf_dial_up a", "pf_dial_check b", "pf_dial_down c", "pf_etrn x"]
    assert plan(with_user(*lines, "ras_smtpip h", "pf_online_command postqueue -f")).warnings == ()


def test_what_only_windows_has_is_noted_elsewhere_and_used_there() -> None:
    text = with_user("ras_username x", "ras_password env:X", "ras_number 1,,12345678")
    assert len(plan(text).notes) == 2
    there = plan(text, system="nt")
    assert (there.notes, there.warnings, there.settings.ras_number) == ((), (), "1,,12345678")
    assert there.settings.ras_password is not None
    assert there.settings.ras_password.user == "x"


@pytest.mark.parametrize(
    ("lines", "server"),
    [
        ([], HostPort("127.0.0.1", 25)),
        (["pf_smtp_server h"], HostPort("h", 25)),
        (["pf_smtp_server h:2525", "pf_smtp_protocol lmtp"], HostPort("h", 2525)),
        (["pf_smtp_protocol lmtp"], HostPort("127.0.0.1", 24)),
        (["pf_smtp_server h", "pf_smtp_tls implicit"], HostPort("h", 465)),
        (["pf_smtp_server h", "pf_smtp_tls starttls"], HostPort("h", 25)),
    ],
)
def test_the_receivers_port_follows_from_its_protocol(lines: list[str], server: HostPort) -> None:
    assert plan(with_user(*lines)).settings.pf_smtp_server == server


def test_options_of_an_account_go_over_settings() -> None:
    text = with_user("pf_tls implicit", "pf_keep 3", "pf_domain d", "pf_user c p h tls=off keep=0 domain=e header=H")
    bob, carol = plan(text).settings.pf_user
    assert (bob.tls, bob.port, bob.keep, bob.domain) == (Tls.IMPLICIT, 995, 3, "d")
    assert (carol.tls, carol.port, carol.keep, carol.domain, carol.headers) == (Tls.OFF, 110, 0, "e", ("H",))


@posix
def test_a_dmail_conf_with_a_password_that_others_can_read_is_a_problem_with_the_command_to_type() -> None:
    for mode in (0o100640, 0o100604, 0o100644):
        assert problems(USER, mode=mode) == (
            "/etc/dmail.conf:1: others can read this file and it holds a password; run: chmod 600 /etc/dmail.conf",
        )
    assert plan(USER, mode=0o100600).settings.pf_user


@posix
def test_an_included_file_is_looked_at_as_well() -> None:
    (problem,) = problems("#include a.conf", mode=0o100644, a=USER + b"pf_smtp_password x\npf_smtp_user y\n")
    assert problem.endswith("run: chmod 600 /etc/a.conf")


@pytest.mark.parametrize("source", ["file:/x", "env:X", "command:x", "keyring:x"])
def test_a_dmail_conf_without_a_password_may_be_read_by_others(source: str) -> None:
    assert plan(f"pf_user bob {source} h\npf_smtp_user a\npf_smtp_password {source}", mode=0o100644).warnings == ()


@posix
def test_a_dmail_conf_that_everybody_can_change_is_a_problem() -> None:
    (problem,) = problems(b"pf_user bob env:X h", mode=0o100646)
    assert problem == "/etc/dmail.conf: everybody can change it; run: chmod o-w /etc/dmail.conf"


def test_a_real_file_is_read_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_bytes(USER)
    path.chmod(0o600)
    assert dmail_conf.load(path, tmp_path).settings.pf_user[0].host == "pop.example.com"
    if os.name == "posix":
        path.chmod(0o644)
        with pytest.raises(SettingsError, match=f"chmod 600 {path}"):
            dmail_conf.load(path, tmp_path)


def test_a_file_that_is_not_there_is_named_and_without_i_it_is_said_what_to_create(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"gone.conf: cannot be read: No such file or directory$"):
        dmail_conf.load(tmp_path / "gone.conf", tmp_path)
    monkeypatch.setattr(dmail_conf, "default_path", lambda: tmp_path / "dmail.conf")
    with pytest.raises(SettingsError, match=r"create it with a line: pf_user USER PASSWORD HOST, or .* -i FILE$"):
        dmail_conf.load(None, tmp_path)
    with pytest.raises(SettingsError, match="cannot be read: no such name"):
        dmail_conf.load(Path("a\0b"), tmp_path)


def test_the_usual_place_is_etc_or_program_data(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name == "posix":
        assert dmail_conf.default_path() == Path("/etc/dmail.conf")
    else:
        monkeypatch.setenv("PROGRAMDATA", r"D:\Data")
        assert dmail_conf.default_path() == Path(r"D:\Data\POPFetch\dmail.conf")


def test_the_folder_of_a_relative_dmail_conf_does_not_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    it = dmail_conf.load(Path("my.conf"), PROGRAM, read=lambda _: File(USER + b"work_path spool"))
    assert it.settings.work_path == tmp_path / "spool"
    assert it.settings.pf_user[0].place == "my.conf:1"


NAMES = st.sampled_from(sorted(settings.BY_NAME))
LINES = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda name, text: f"{name} {text}".encode(errors="replace"), NAMES, st.text(max_size=40)),
    st.builds(lambda text: f"pf_user u p {text}".encode(errors="replace"), st.text(max_size=40)),
    st.sampled_from([USER, b"#include a.conf", b"#include dmail.conf", b"\xff\xfe", b"pf_keep forever"]),
)


def reads(files: dict[Path, bytes]) -> Callable[[Path], File]:
    def read(path: Path) -> File:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return File(files[path], 0o100600)

    return read


@given(st.lists(LINES, max_size=8), st.lists(LINES, max_size=3), st.sampled_from(["posix", "nt"]))
def test_any_text_is_a_plan_or_a_list_of_problems(lines: list[bytes], more: list[bytes], system: str) -> None:
    files = {CONF: b"\n".join(lines), CONF.parent / "a.conf": b"\r\n".join(more)}
    said = said_of(files, system)
    assert all(line.isprintable() and line.startswith(ETC) for line in said)


@given(st.text(max_size=40), st.text(max_size=9))
def test_nothing_that_is_said_holds_a_password(text: str, hidden: str) -> None:
    lines = [
        f"pf_user bob hunter2{hidden} {text}",
        f"pf_user bob {hidden} hunter2{text}",
        f"pf_user bob {hidden} h hunter2{text}",
        f"pf_smtp_password hunter2{hidden}",
        f"ras_password literal:hunter2{hidden}\x00",
        f"pf_smtp_password=hunter2{hidden}",
        f"ras_passwort:hunter2{hidden}",
    ]
    files = {CONF: b"\n".join(line.encode(errors="replace") for line in lines)}
    assert "hunter2" not in "".join(said_of(files, "posix"))


def said_of(files: dict[Path, bytes], system: str) -> tuple[str, ...]:
    try:
        found = dmail_conf.load(CONF, PROGRAM, read=reads(files), system=system)
    except SettingsError as error:
        return error.problems
    return (*found.warnings, *found.notes)


@pytest.mark.parametrize("name", ["pf_dial_up", "pf_dial_check", "pf_dial_down", "pf_online_command"])
def test_a_command_line_may_hold_a_secret_and_stands_in_no_problem(name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        plan(with_user(f"{name} wvdial --password 'hunter2"))
    assert name in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_broken_dmail_conf_still_tells_where_its_files_lie() -> None:
    with pytest.raises(SettingsError) as raised:
        plan(with_user("pf_parallel many", "work_path /var/lib/elsewhere"))
    assert raised.value.work_path == Path("/var/lib/elsewhere").absolute()  # Windows adds a drive
