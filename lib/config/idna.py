"""A domain in its own letters in the form that the DNS and the envelope know: xn--. Pure.

The form is IDNA 2008's (RFC 5891) as far as the standard library's IDNA 2003 (RFC 3490) goes along with it. The two
letters that 2003 took for others, the sharp s and the final sigma, stay what they are: mail to one domain must not go
to another. The codec is loaded when the first such domain comes.
"""

import re

MAX_LABEL = 63  # octets: RFC 1035 section 2.3.4
DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what separates labels: RFC 3490 section 3.1
DEVIATING = re.compile("[\u00df\u03c2]")


def to_ascii(domain: str) -> str:
    """Return *domain* with every label in ASCII, in lower case where it was not. UnicodeError when there is none."""
    if domain.isascii():
        return domain
    return ".".join(_label(label) for label in DOTS.split(domain.lower()))


def _label(label: str) -> str:
    if not DEVIATING.search(label):
        return label.encode("idna").decode()
    from unicodedata import normalize  # noqa: PLC0415 - next to no domain needs it

    coded = "xn--" + normalize("NFC", label).encode("punycode").decode()
    if len(coded) > MAX_LABEL:
        raise UnicodeError("a label too long")
    return coded
