"""pf_oauth lines: what they say, and what is wrong with them."""

import pytest

from lib.config import oauth
from lib.config.oauth import FLOWS, KEYS, MISSING, Oauth, contradictions, parse, providers
from lib.config.values import Account, Secret

GOOD = [
    ("work provider=microsoft client_id=abc", "device", "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
    (
        "work provider=microsoft tenant=example.org client_id=abc flow=browser",
        "browser",
        "https://login.microsoftonline.com/example.org/oauth2/v2.0/token",
    ),
    (
        "app provider=microsoft-app tenant=example.org client_id=abc client_secret=file:x",
        "client",
        "https://login.microsoftonline.com/example.org/oauth2/v2.0/token",
    ),
    ("g provider=google client_id=abc client_secret=def", "browser", "https://oauth2.googleapis.com/token"),
    ("g provider=GOOGLE-workspace certificate=key.json", "client", "https://oauth2.googleapis.com/token"),
    ("f provider=fastmail client_id=abc", "browser", "https://api.fastmail.com/oauth/refresh"),
    ("own provider=generic issuer=https://id.example.org/realm/", "device", ""),
    ("m provider=mail.ru client_id=abc", "browser", "https://o2.mail.ru/token"),
]


@pytest.mark.parametrize(("line", "flow", "token"), GOOD)
def test_a_line_that_is_right(line: str, flow: str, token: str) -> None:
    found = parse(line)
    assert (found.flow, found.provider.token) == (flow, token)
    assert found.scope == found.provider.scope


def test_a_scope_of_ones_own_stands_in_quotes() -> None:
    assert parse('work provider=microsoft client_id=a scope="one two"').scope == "one two"


WRONG = [
    ("", "no name"),
    ("provider=google client_id=a", "no name"),
    ("../x provider=google", "no name"),
    ("a", "no provider="),
    ("a provider=gogle", "no provider="),
    ("a provider=microsoft", "client_id="),
    ("a provider=microsoft-app client_id=b client_secret=c", "tenant="),
    ("a provider=microsoft-app client_id=b tenant=x.org", "client_secret= nor certificate="),
    ("a provider=microsoft client_id=b tenant=../x", "tenant= that is not"),
    ("a provider=google client_id=b", "client_secret="),
    ("a provider=google-workspace client_secret=x", "certificate="),
    ("a provider=generic", "issuer="),
    ("a provider=generic issuer=http://x.org", "issuer= that is not an https"),
    ("a provider=google client_id=b client_secret=c flow=device", "flow="),
    ("a provider=google client_id=b flow=carrier", "flow= that is none"),
    ("a provider=google client_id=b client_id=c", "client_id= twice"),
    ("a provider=google clientid=b", "did you mean client_id"),
    ("a provider=google wort-geheim", "word 3"),
]


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_a_line_that_is_wrong_says_what_is_and_quotes_nothing(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        parse(line)
    assert "geheim" not in str(error.value)


def test_every_provider_is_whole() -> None:
    for name, provider in providers().items():
        assert provider.flows, name
        assert set(provider.flows) <= set(FLOWS)
        assert provider.discover or provider.token.startswith("https://")
        assert bool(provider.device) == ("device" in provider.flows) or provider.discover
        assert bool(provider.authorize) == ("browser" in provider.flows) or provider.discover
    assert {
        "microsoft",
        "microsoft-app",
        "google",
        "google-workspace",
        "fastmail",
        "yahoo",
        "comcast",
        "mail.ru",
    } < set(providers())


def test_each_thing_that_may_be_missing_is_tried_above() -> None:
    told = [words for _, words in MISSING]
    assert all(any(found in words for _, found in WRONG) for words in told)


def account(oauth: str = "") -> Account:
    return Account("anna", Secret("-"), "pop.example.org", place="f:9", oauth=oauth)


def test_an_account_must_name_a_line_that_is_there() -> None:
    line = parse("work provider=microsoft client_id=a")._replace(place="f:1")
    assert list(contradictions([line], [account(oauth="work"), account()])) == []
    (told,) = contradictions([line], [account(oauth="wrok")])
    assert told == "f:9: pf_user: oauth=wrok is the name of no pf_oauth line; did you mean work?"
    (told,) = contradictions([], [account(oauth="work")])
    assert "add a line: pf_oauth" in told


def test_two_lines_may_not_share_a_name_whatever_its_case() -> None:
    line = parse("work provider=microsoft client_id=a")
    lines = [line._replace(place="f:1"), line._replace(name="WORK", place="f:2")]
    (told,) = contradictions(lines, [])
    assert told == "f:2: pf_oauth: the name WORK is already taken at f:1; change it"


def test_the_table_names_every_key() -> None:
    assert all(f"`{name}=`" in oauth.keys_markdown() for name in KEYS)


def test_a_line_shows_no_secret() -> None:
    found = parse("g provider=google client_id=abc client_secret=geheim")
    assert "geheim" not in repr(found)
    assert isinstance(found, Oauth)
