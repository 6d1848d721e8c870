"""The mails of our own, as bytes.

To pf_notify_address: an account keeps failing, it recovers, the safety net trips. To the caretaker: a message of which
he can have no copy.

Pure: time and Message-ID are the caller's. What comes from outside is shown escaped, masked and wrapped; no word of it
starts a header field. Lines end in CRLF; only a command or a path is not wrapped.
"""

from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Sequence
from datetime import datetime
from textwrap import fill
from typing import NamedTuple

from lib.errors import Exit, PopfetchError
from lib.visible import visible

WIDTH = 72  # characters of a line of text
LABEL = 100  # characters of an account's label
SHOWN = 20  # recipients and reasons that are named
SUBJECT, WORDS = 200, 500  # characters of a Subject, and of a receiver's words
LONGEST_LINE = 998  # octets (RFC 5322 section 2.1.1); longer ones need another coding
CHUNK = 11  # characters of an encoded word: at 4 octets each, 75 are not exceeded (RFC 2047 section 2)

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

ADVICE = {
    Exit.LOGIN: "Check the user name and the password in this account's pf_user line, and whether the provider wants"
    " an app password or another auth=. One login is tried in each pass; some providers lock an account after a few.",
}
OTHERWISE = (
    "If the words above do not say what to do: is the host right in this account's pf_user line, does its server"
    " answer, has its certificate changed? The two commands below look without changing anything."
)


class Letterhead(NamedTuple):
    """What every notice says besides its matter."""

    sender: str  # the address in From
    to: str  # pf_notify_address
    when: datetime  # with its time zone
    message_id: str  # with its angle brackets
    command: str  # how this program is called here, for the commands to type


def failing(post: Letterhead, label: str, error: PopfetchError, *, since: datetime, passes: int) -> bytes:
    """Return the notice that an account has failed in *passes* passes in a row."""
    name = visible(label, LABEL)
    return _mail(
        post,
        f"POPFetch: account {name} keeps failing",
        _paragraph(
            f"No mail could be fetched for the account {name} in the last {passes} passes, since {_date(since)}."
            " The last one says:"
        ),
        _quotation(str(error)),
        _paragraph(ADVICE.get(error.exit, OTHERWISE)),
        _commands(post, "--check", "--dry-run"),
        _paragraph(
            "Its mail stays on its server, the other accounts are fetched as usual, and every pass tries again."
            " One more notice comes when it works again, none before."
        ),
    )


def recovered(post: Letterhead, label: str, *, since: datetime, passes: int) -> bytes:
    """Return the notice that an account works again after *passes* failed passes."""
    name = visible(label, LABEL)
    return _mail(
        post,
        f"POPFetch: account {name} works again",
        _paragraph(
            f"The account {name} was drained without an error at {_date(post.when)}. It had failed in {passes} passes,"
            f" since {_date(since)}. There is nothing to do."
        ),
    )


def tripped(post: Letterhead, *, duds: int, path: str) -> bytes:
    """Return the notice that *duds* duds in a row tripped the safety net; *path* is where duds.dat lies."""
    return _mail(
        post,
        "POPFetch: stopped by the safety net",
        _paragraph(
            f"{duds} messages in a row could not be delivered to anybody, not even to the caretaker (pf_dflt_address)."
            " Something is wrong with the mail server or the settings, so fetching has stopped: no pass starts until"
            " you say so. Nothing is lost. The messages are in"
        ),
        f"    {visible(path)}",
        _paragraph("and each says there why it was refused. To see them:"),
        _commands(post, "--duds list", "--duds show 1"),
        _paragraph("When the cause is mended, start fetching again, and send again what was refused:"),
        _commands(post, "--reset", "--duds resend all"),
    )


class Matter(NamedTuple):
    """The message that a mail to the caretaker is about: what a person knows it by."""

    account: str  # its label
    sender: bytes
    recipients: Sequence[bytes]
    subject: bytes
    reasons: Sequence[bytes]  # the receiver's words, a reason a line


def refused_for_content(post: Letterhead, matter: Matter, *, dud: int) -> bytes:
    """Return the notice that a message, and the caretaker's copy of it, was refused for what it contains.

    *dud* is its number in duds.dat.
    """
    return _mail(
        post,
        "POPFetch: a message was refused for what it contains",
        _paragraph(
            "A message was refused for what it contains, or for its size, and so would be a copy of it for you, the"
            " caretaker (pf_dflt_address). It has been put into duds.dat."
        ),
        _told(matter),
        _paragraph("To see it, to send it to somebody whose mail server may take it, or to throw it away:"),
        _commands(post, f"--duds show {dud}", f"--duds resend {dud} --to ADDRESS", f"--duds drop {dud}"),
    )


def may_have_come(post: Letterhead, matter: Matter, *, times: int) -> bytes:
    """Return the notice that the verdict on a message got lost so many *times* after all of it had been sent."""
    return _mail(
        post,
        "POPFetch: a message may have come more than once",
        _paragraph(
            f"{times} times a message was sent whole to the mail server, and the connection was lost before the server"
            " had said whether it keeps it. Nobody can tell: it may have come already, more than once, or never."
        ),
        _told(matter),
        _paragraph(
            "Something in the mail server breaks off at this message, a content filter as a rule: its log may say"
            " what. The message is tried again an hour from now, after four hours, and then once a day, until"
            " pf_give_up. To see what waits:"
        ),
        _commands(post, "--status"),
    )


def refused_letter(post: Letterhead) -> bytes:
    """Return what is sent when the receiver would not take refused_for_content() either: no word of a stranger."""
    return _mail(
        post,
        "POPFetch: a message was put into duds.dat",
        _paragraph(
            "The mail server refused a message for what it contains, and then the notice that told of it. The message"
            " has been put into duds.dat. To see which one it is:"
        ),
        _commands(post, "--duds list"),
    )


def _told(matter: Matter) -> str:
    """Return the lines that say which message it is, and what the receiver said."""
    some = matter.recipients[:SHOWN]
    lines = [f"account: {visible(matter.account, LABEL)}", f"from: <{visible(matter.sender)}>"]
    lines += [f"for: {visible(one)}" for one in some] or ["for: nobody"]
    if len(matter.recipients) > SHOWN:
        lines.append(f"and {len(matter.recipients) - SHOWN} more")
    lines.append(f"subject: {visible(matter.subject, SUBJECT)}")
    lines += [f"reason: {visible(one, WORDS)}" for one in matter.reasons[:SHOWN]]
    return "\n".join(_wrapped(line, "    ") for line in lines)


def _mail(post: Letterhead, subject: str, *paragraphs: str) -> bytes:
    text = "\n\n".join(paragraphs) + "\n"
    plain = text.isascii() and max(map(len, text.split("\n"))) <= LONGEST_LINE
    body, coding = (text.encode(), b"7bit") if plain else (b2a_qp(text.encode()), b"quoted-printable")
    fields = (
        ("From", f"POPFetch <{visible(post.sender)}>"),
        ("To", f"<{visible(post.to)}>"),
        ("Date", _date(post.when)),
        ("Message-ID", visible(post.message_id)),
        ("Subject", _unstructured(subject)),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f"text/plain; charset={'us-ascii' if text.isascii() else 'utf-8'}"),
    )
    head = "".join(f"{name}: {value}\n" for name, value in fields).encode()
    return (head + b"Content-Transfer-Encoding: " + coding + b"\n\n" + body).replace(b"\n", b"\r\n")


def _unstructured(text: str) -> str:
    """Return *text* as a field of words: as it is, or folded encoded words (RFC 2047)."""
    if text.isascii():
        return _wrapped(text, " ").lstrip()
    chunks = (text[at : at + CHUNK] for at in range(0, len(text), CHUNK))
    return "\n ".join(f"=?utf-8?b?{b64encode(chunk.encode()).decode()}?=" for chunk in chunks)


def _paragraph(text: str) -> str:
    return _wrapped(text, "")


def _quotation(words: str) -> str:
    return _wrapped(visible(words), "    ")


def _wrapped(text: str, indent: str) -> str:
    return fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _commands(post: Letterhead, *options: str) -> str:
    return "\n".join(f"    {visible(post.command)} {option}" for option in options)


def _date(when: datetime) -> str:
    """Return *when* as RFC 5322 section 3.3 writes it, whatever the locale."""
    return f"{DAYS[when.weekday()]}, {when.day} {MONTHS[when.month - 1]} {when:%Y %H:%M:%S %z}"
