"""Every keyword of a fetchmail run control file (manual of 6.4 and 6.5): what it takes, and what becomes of it."""

from typing import NamedTuple

from lib.moving.draft import NEEDLESS


class Keyword(NamedTuple):
    """What a keyword takes (0 or 1 words, or "list"), and what is to be said of it, "" if it has a counterpart."""

    takes: str
    remark: str = ""


def _flag(remark: str = "") -> Keyword:
    return Keyword("", remark)


def _word(remark: str = "") -> Keyword:
    return Keyword("word", remark)


PASSED_ON = "has no counterpart: mail is passed on as it came"
GLOBAL = {
    "logfile": _word("log_path names a folder; popfetch.log is written there"),
    "idfile": _word("is what --import-seen fetchmail takes"),
    "pidfile": _word(f"{NEEDLESS}: a lock in work_path keeps two passes apart"),
    "daemon": _word(),
    "postmaster": _word(),
    "bouncemail": _flag("has no counterpart: nothing is ever sent to a sender; see pf_dflt_address"),
    "spambounce": _flag("has no counterpart: nothing is ever sent to a sender; see pf_dflt_address"),
    "softbounce": _flag("has no counterpart: refused mail goes to pf_dflt_address or duds.dat"),
    "properties": _word(NEEDLESS),
    "syslog": _flag("has no counterpart: the log is popfetch.log in log_path"),
    "invisible": _flag("has no counterpart: a Received line is always written; it is what finds loops"),
    "showdots": _flag(NEEDLESS),
    "no": _flag(),
}
SERVER = {
    "via": _word(),
    "aka": Keyword("list"),
    "localdomains": Keyword("list"),
    "protocol": _word(),
    "service": _word(),
    "port": _word(),
    "interval": _word(),
    "authenticate": _word(),
    "timeout": _word(),
    "envelope": Keyword("envelope"),
    "qvirtual": _word(),
    "uidl": _flag(NEEDLESS + ": UIDs are always used"),
    "checkalias": _flag("has no counterpart: recipients are compared by pf_accept_domain, no DNS is asked"),
    "dns": _flag("has no counterpart: recipients are compared by pf_accept_domain, no DNS is asked"),
    "principal": _word("has no counterpart: there is no Kerberos here; see auth="),
    "esmtpname": _word(),
    "esmtppassword": _word(),
    "interface": _word("has no counterpart; pf_dial_check can look whether the line is up"),
    "monitor": _word("has no counterpart; pf_dial_check can look whether the line is up"),
    "plugin": _word("has no counterpart: connections are TCP; a tunnel can be raised by pf_dial_up"),
    "plugout": _word("has no counterpart: see pf_smtp_server"),
    "tracepolls": _flag(f"{NEEDLESS}: the Received line tells the account"),
    "badheader": _word("has no counterpart: mail is passed on as it came"),
    "retrieve-error": _word("has no counterpart: a message that cannot be retrieved stops no other"),
    "moveto": _word("has no counterpart: POP has no folders"),
}
USER = {
    "password": _word(),
    "passwordfile": _word(),
    "passwordfd": _word("has no counterpart; use file:PATH or command:LINE"),
    "passwordeval": _word(),
    "folder": Keyword("list", "has no counterpart: POP has no folders"),
    "smtphost": Keyword("list"),
    "fetchdomains": Keyword("list", "has no counterpart here; see pf_etrn"),
    "smtpaddress": _word(),
    "smtpname": _word(),
    "antispam": Keyword("list", "has no counterpart: what each reply means is in docs/failures.md"),
    "mda": _word("has no counterpart: mail goes to an SMTP or LMTP server; see pf_smtp_server"),
    "bsmtp": _word("has no counterpart: mail goes to an SMTP or LMTP server; see pf_smtp_server"),
    "lmtp": _flag(),
    "preconnect": _word("has no counterpart per account; pf_dial_up runs before a pass"),
    "postconnect": _word("has no counterpart per account; pf_online_command runs when the line is up"),
    "keep": _flag(),
    "flush": _flag("has no counterpart: only mail that was delivered is deleted"),
    "limitflush": _flag("has no counterpart: a message over pf_max_size stays on the server"),
    "fetchall": _flag(),
    "rewrite": _flag(PASSED_ON),
    "forcecr": _flag(f"{NEEDLESS}: line ends are mended where they must be"),
    "stripcr": _flag(f"{NEEDLESS}: line ends are mended where they must be"),
    "pass8bits": _flag(f"{NEEDLESS}: 8BITMIME is used as the receiver offers it"),
    "dropstatus": _flag(PASSED_ON),
    "dropdelivered": _flag(PASSED_ON),
    "mimedecode": _flag(PASSED_ON),
    "idle": _flag("has no counterpart: it is IMAP's; see ras_timer"),
    "ssl": _flag(),
    "sslkey": _word(),
    "sslcert": _word(),
    "sslproto": _word(),
    "sslcertck": _flag(),
    "sslcertfile": _word(),
    "sslcertpath": _word("has no counterpart: pf_tls_ca names one file with all CAs in PEM"),
    "sslcommonname": _word("has no counterpart: name the server as its certificate does, or use pin="),
    "sslfingerprint": _word(),
    "limit": _word(),
    "warnings": _word(f"{NEEDLESS}: a message that is too large is reported once"),
    "fetchlimit": _word(),
    "fetchsizelimit": _word(NEEDLESS),
    "fastuidl": _word(NEEDLESS),
    "batchlimit": _word(NEEDLESS),
    "expunge": _word(NEEDLESS),
    "properties": _word(NEEDLESS),
}
SHORT = {
    "server": "poll",
    "proto": "protocol",
    "auth": "authenticate",
    "username": "user",
    "pass": "password",
    "folders": "folder",
    "smtp": "smtphost",
    "spam": "antispam",
    "spamresponse": "antispam",
    "pre": "preconnect",
    "post": "postconnect",
}
SECTIONS = {"set", "poll", "skip", "defaults"}
PLACES = {"here", "there", "is", "to", "user"}
