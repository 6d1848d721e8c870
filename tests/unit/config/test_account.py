"""pf_user lines."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import account
from lib.config.account import Standing
from lib.config.settings import KEEP_FOREVER, Account, Secret, Tls

STANDING = Standing(Tls.AUTO, ("Envelope-To",), "home.example", 3)


def made(line: str, standing: Standing = STANDING) -> Account:
    return account.join(account.login(line), standing, "dmail.conf:4", Path("/etc"))


def test_three_words_make_an_account() -> None:
    it = made("bob s3cret pop.example.com")
    assert (it.user, it.host, it.port, it.tls, it.auth) == ("bob", "pop.example.com", 110, Tls.AUTO, "auto")
    assert it.password == Secret("s3cret", "dmail.conf:4", "bob", Path("/etc"))
    assert (it.headers, it.domain, it.keep, it.to, it.pin) == (("Envelope-To",), "home.example", 3, None, ())
    assert (it.name, it.id, it.place) == ("bob@pop.example.com", "bob@pop.example.com", "dmail.conf:4")


def test_options_go_over_settings() -> None:
    it = made(
        "bob s3cret pop.example.com to=carol@x header=A: header=B domain=d.example keep=forever TLS=starttls auth=APOP "
        f'pin=sha256:{"00" * 32} name="Head office"'
    )
    assert (it.to, it.headers, it.domain, it.keep) == ("carol@x", ("A", "B"), "d.example", KEEP_FOREVER)
    assert (it.tls, it.auth, it.pin, it.name) == (Tls.STARTTLS, "apop", (bytes(32),), "Head office")


@pytest.mark.parametrize(
    ("line", "port", "tls"),
    [
        ("u p h", 110, Tls.AUTO),
        ("u p h:995", 995, Tls.IMPLICIT),
        ("u p h:995 tls=auto", 995, Tls.IMPLICIT),
        ("u p h:1100", 1100, Tls.AUTO),
        ("u p h tls=implicit", 995, Tls.IMPLICIT),
        ("u p h:1995 tls=implicit", 1995, Tls.IMPLICIT),
        ("u p h tls=off", 110, Tls.OFF),
        ("u p h:995 tls=off", 995, Tls.OFF),
    ],
)
def test_port_and_tls_follow_from_each_other(line: str, port: int, tls: Tls) -> None:
    it = made(line)
    assert (it.port, it.tls) == (port, tls)


def test_pf_tls_holds_where_no_option_does() -> None:
    assert made("u p h", STANDING._replace(tls=Tls.IMPLICIT)).port == 995


@pytest.mark.parametrize(
    ("line", "mailbox"),
    [
        ("Bob p POP.Example.COM", "Bob@pop.example.com"),
        ("bob p h:995", "bob@h"),
        ("bob p h:1100", "bob@h:1100"),
        ("bob@isp p [::1]:1100", "bob@isp@[::1]:1100"),
    ],
)
def test_a_mailbox_has_one_name_whatever_its_usual_port(line: str, mailbox: str) -> None:
    assert made(line).id == mailbox


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b c", ["a", "b", "c"]),
        ("  a\t b  ", ["a", "b"]),
        ("", []),
        (r'"a b" "say \"hi\" c:\dir\\" x', ["a b", 'say "hi" c:\\dir\\', "x"]),
        ('a p"a"s s', ["a", 'p"a"s', "s"]),
        ('a b="c d', ["a", 'b="c', "d"]),
        ('a "" c name="x y" "name=x y" n=p"q', ["a", "", "c", "name=x y", "name=x y", 'n=p"q']),
        ("a b#c h", ["a", "b#c", "h"]),
    ],
)
def test_words_are_split_at_blanks_outside_quotes(line: str, words: list[str]) -> None:
    assert account.words(line, plain=3) == words


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "0 of the three words"),
        ("bob", "1 of the three words"),
        ("bob hunter2", "2 of the three words"),
        ('"" hunter2 h', "empty user"),
        ('bob "" h', "password that is empty"),
        ("bob file: h", "password that is empty"),
        ("bob hunter2 h:0", "the host, that has a port"),
        ("bob my hunter2! h", "the host, that is not a host name; text with blanks goes into double quotes"),
        ("bob hunter2 h keeep=3", "did you mean keep=?"),
        ("bob hunter2 h keep", "did you mean keep=?"),
        ("bob hunter2 h zzz=hunter2", "known are to, header, domain, keep, tls, pin, auth, every, oauth, name"),
        ("bob hunter2 h keep=1 keep=2", "keep= twice"),
        ("bob hunter2 h keep=x", "keep= that is not a whole number; allowed there: days, or forever"),
        ("bob hunter2 h keep=", "keep= that is not"),
        ("bob hunter2 h tls=ssl", "allowed there: auto, off, starttls, implicit"),
        ("bob hunter2 h auth=ntlm", "allowed there: auto, user, apop, plain"),
        ("bob hunter2 h to=a@b,c@d", "to= that is not one plain mail address"),
        ("bob hunter2 h pin=sha256:00", "pin= that is not sha256: and 64 hex digits"),
        ("bob hunter2 h name=", "name= that is empty"),
        ("bob hunter2 h name=" + "x" * 81, "longer than 80"),
        ("bob hunter2 h header=A:B", "header= that is not the name"),
        ("bob hunter2 h domain=@x", "domain= that is not a domain"),
        ('bob "hunter2 h', "double quote that is not closed"),
        ('bob "hunter2"x h', "double quote that is not closed, or text behind it"),
        ('bob hunter2 h name="x', "double quote that is not closed"),
    ],
)
def test_a_broken_line_says_why_and_never_shows_a_password(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^has ") as raised:
        account.login(line)
    assert why in str(raised.value)
    assert "hunter2" not in str(raised.value)


@given(st.text(), st.text())
def test_any_line_is_a_login_or_a_value_error(start: str, end: str) -> None:
    with suppress(ValueError):
        assert account.login(f"{start} {end}").user


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=9)))
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    line = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert account.words(line, plain=3) == words


def test_a_pin_without_tls_contradicts_itself() -> None:
    pin = f"pin=sha256:{'00' * 32}"
    assert list(account.contradictions(made(f"u p h tls=off {pin}"))) == [
        "pin= needs TLS, and tls is off; remove one of them"
    ]
    assert not list(account.contradictions(made(f"u p h tls=starttls {pin}")))


@pytest.mark.parametrize(
    ("line", "doubt"),
    [
        ("u p pop.example.com tls=off", "unencrypted"),
        ("u p 8.8.8.8 tls=off auth=xoauth2", "unencrypted"),
        ("u p h:995 tls=starttls", "port 995 speaks TLS from the start"),
        ("u p h:110 tls=implicit", "port 110 does not"),
        (f"u p h pin=sha256:{'00' * 32}", "only if the server offers STLS"),
    ],
)
def test_what_is_probably_not_meant_is_doubted(line: str, doubt: str) -> None:
    (words,) = account.doubts(made(line))
    assert doubt in words


@pytest.mark.parametrize(
    "line",
    [
        *("u p h", "u p h:995", "u p h tls=implicit", "u p localhost tls=off", "u p 127.0.0.1 tls=off"),
        *("u p 192.168.1.9 tls=off", "u p [fd00::1] tls=off", "u p pop.example.com tls=off auth=apop"),
    ],
)
def test_what_is_usual_is_not_doubted(line: str) -> None:
    assert not list(account.doubts(made(line)))


def test_one_mailbox_or_one_name_twice_is_told_with_both_places() -> None:
    first, second = made("bob p h"), made("bob q h:995")
    third, fourth = made("carol p h name=x"), made("dave p h name=x")
    told = list(account.twins((first, second, third, fourth)))
    assert told == [
        (second, "bob@h is already set at dmail.conf:4; remove one of the two"),
        (fourth, "the name x is already taken at dmail.conf:4; change name="),
    ]


def test_the_readmes_table_has_a_line_for_every_option() -> None:
    lines = account.options_markdown().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == [f"{name}=" for name in account.OPTIONS]
