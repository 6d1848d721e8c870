"""Domains in their own letters."""

import pytest

from lib.config import idna


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.org", "example.org"),
        ("Example.ORG", "Example.ORG"),
        ("b\xfccher.example", "xn--bcher-kva.example"),
        ("B\xdcCHER.Example", "xn--bcher-kva.example"),
        ("b\N{LATIN SMALL LETTER U}\N{COMBINING DIAERESIS}cher.example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("\u4f8b\u3048\u3002\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("stra\xdfe.example", "xn--strae-oqa.example"),  # not strasse.example, which is another
        ("STRA\u1e9eE.example", "xn--strae-oqa.example"),
        ("\u03c0\u03cc\u03bb\u03b9\u03c2.gr", "xn--uxadok1c.gr"),
        ("_mx.b\xfccher.example", "_mx.xn--bcher-kva.example"),
    ],
)
def test_every_label_gets_its_ascii_form(domain: str, expected: str) -> None:
    assert idna.to_ascii(domain) == expected


@pytest.mark.parametrize("domain", ["\xfc" * 70, "\xdf" * 70, "a\u06dd\u0627.example", "\xad\xad.example\ud800"])
def test_what_is_none_is_an_error(domain: str) -> None:
    with pytest.raises(UnicodeError):
        idna.to_ascii(domain)
