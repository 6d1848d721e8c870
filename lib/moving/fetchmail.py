"""What a fetchmail run control file comes to here: accounts, settings, remarks. Pure."""

import re
from dataclasses import replace

from lib.moving.draft import Draft, Moved, by_shell, literal, without_password
from lib.moving.fetchmailrc import FetchmailReader, Server, User, tokens
from lib.visible import visible

PORTS = {"pop3": 110, "pop3s": 995, "110": 110, "995": 995}
POP = {"auto", "pop3", "apop", "sdps"}
SHA256 = re.compile(r"\{sha256\}(.*)", re.IGNORECASE)


WAYS = {
    "any": "",
    "password": "",
    "cram-md5": "cram-md5",
    "external": "external",
    "oauthbearer": "oauthbearer",
    "xoauth2": "xoauth2",
    "login": "login",
    "plain": "plain",
}


def read(text: str) -> Moved:
    """Return what the file *text* comes to."""
    reading = FetchmailReader(list(tokens(text)))
    reading.all()
    moved = reading.moved
    defaults, without = (reading.defaults, reading.default_user)
    for server, users in reading.servers:
        whole = replace(server, given=_over(defaults.given, server.given))
        whole.aka, whole.local_domains = (defaults.aka + server.aka, defaults.local_domains + server.local_domains)
        if not users:
            moved.remark(server.line, f"{visible(server.name)} names no user: write a pf_user line for it yourself")
        for user in users:
            _account(moved, whole, _joined(without, user), reading)
    without_password(moved, moved.accounts)
    return moved


def _over(defaults: dict[str, tuple[str, int]], given: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Return what holds where *defaults* said something before; `no keep` takes their keep away."""
    return {name: said for name, said in (defaults | given).items() if f"no {name}" not in given}


def _joined(default: User, user: User) -> User:
    names = user.names or default.names
    others = user.others or (default.others and not user.names)
    return replace(
        user, names=names, others=others, given=_over(default.given, user.given), lists=default.lists | user.lists
    )


# --- what an account comes to ----------------------------------------------------------------------------------------


def _account(moved: Moved, server: Server, user: User, reading: FetchmailReader) -> None:
    given = server.given | user.given
    protocol, line = given.get("protocol", ("auto", user.line))
    host = given.get("via", (server.name, 0))[0]
    if protocol.lower() not in POP:
        moved.remark(line, f"{visible(server.name)} speaks {visible(protocol.upper(), 20)}: only POP3 is fetched here")
        return
    if not user.remote and not user.names:
        moved.remark(user.line, f"a user of {visible(server.name)} has no name: write a pf_user line for it yourself")
        return
    draft = Draft(user.remote or user.names[0][0], host, user.line, asleep=server.asleep)
    if protocol.lower() == "apop":
        draft.options["auth"] = "apop"
    if protocol.lower() == "sdps":
        moved.remark(line, "SDPS has no counterpart: see pf_header for where the recipient stands")
    if server.asleep:
        moved.remark(server.line, f"{visible(server.name)} was skipped: its line is written as a comment")
    _port(moved, draft, given)
    _tls(moved, draft, given)
    _password(draft, given)
    _recipients(moved, draft, server, user)
    _others(moved, draft, given, reading)
    _receiver(moved, user, given)
    moved.accounts.append(draft)


def _port(moved: Moved, draft: Draft, given: dict[str, tuple[str, int]]) -> None:
    written, line = given.get("port") or given.get("service") or ("", 0)
    if written.isdigit() or written in PORTS:
        draft.port = PORTS.get(written) or int(written)
    elif written:
        moved.remark(line, f"the service {visible(written, 40)} is no number: write its port behind the host")


def _tls(moved: Moved, draft: Draft, given: dict[str, tuple[str, int]]) -> None:
    protocol, line = given.get("sslproto", ("auto", 0))
    if "ssl" in given or draft.port == 995:
        draft.options["tls"] = "implicit"
        draft.port = draft.port or 995
    elif not protocol:
        draft.options["tls"] = "off"
        moved.remark(
            line, f"the password of {visible(draft.name)} goes over the network in the clear, as before (tls=off)"
        )
    elif protocol.lower() != "auto":
        draft.options["tls"] = "starttls"
    if protocol.lower() not in ("", "auto"):
        moved.remark(line, f"sslproto {visible(protocol, 20)}: TLS 1.2 or newer is always used")
    for keyword, name in (("sslcertfile", "pf_tls_ca"), ("sslcert", "pf_tls_cert"), ("sslkey", "pf_tls_key")):
        if keyword in given:
            moved.set(name, *given[keyword])
    print_, line = given.get("sslfingerprint", ("", 0))
    match = SHA256.fullmatch(print_)
    if match:
        draft.options["pin"] = f"sha256:{match[1]}"
    elif print_:
        moved.remark(line, "sslfingerprint is MD5; --check of a wrong pin=sha256:… tells the right one")


def _password(draft: Draft, given: dict[str, tuple[str, int]]) -> None:
    if "passwordeval" in given:
        draft.password = by_shell(given["passwordeval"][0])
    elif "passwordfile" in given:
        draft.password = f"file:{given['passwordfile'][0]}"
    elif "password" in given:
        draft.password = literal(given["password"][0])


def _recipients(moved: Moved, draft: Draft, server: Server, user: User) -> None:
    """One name here: to=. Several, or a *: the recipients stand in the header, as they did."""
    given = server.given | user.given
    domain = given.get("smtpaddress", ("", 0))[0]
    if "smtpname" in given:
        draft.options["to"] = given["smtpname"][0]
        return
    names = user.names or [(draft.user.partition("@")[0], draft.user.partition("@")[0])]
    if len(names) == 1 and not user.others:
        local = names[0][1]
        draft.options["to"] = local if "@" in local or not domain else f"{local}@{domain}"
        return
    if domain:
        draft.options["domain"] = domain
    _multidrop(moved, draft, server, user)


def _multidrop(moved: Moved, draft: Draft, server: Server, user: User) -> None:
    given = server.given | user.given
    header, line = given.get("envelope", ("", 0))
    if "no envelope" not in given:
        draft.headers.append(header or "Received")
    for domain in (*server.local_domains, *server.aka, server.name):
        if "." in domain:
            moved.add("pf_accept_domain", domain)
    if "qvirtual" in given:
        moved.add("pf_strip_prefix", given["qvirtual"][0])
    for remote, local in user.names:
        if remote != local:
            moved.add("pf_alias", f"{remote if '@' in remote else remote + '@*'} {local}")
    if not user.others:
        listed = visible(", ".join(local for _, local in user.names))
        moved.remark(
            line or user.line,
            f"{visible(draft.name)} was for {listed} alone, everybody else for the postmaster: if that is to stay, "
            "write a line pf_alias NAME@* NAME for each of these, and a last one pf_alias * POSTMASTER",
        )


def _others(moved: Moved, draft: Draft, given: dict[str, tuple[str, int]], reading: FetchmailReader) -> None:
    if "keep" in given:
        draft.options["keep"] = "forever"
    for keyword, name in (("limit", "pf_max_size"), ("fetchlimit", "pf_max_messages"), ("timeout", "pf_timeout")):
        if keyword in given and given[keyword][0].isdigit():
            moved.set(name, *given[keyword])
    way, line = given.get("authenticate", ("any", 0))
    if way.lower() not in WAYS:
        moved.remark(line, f"auth {visible(way, 20)} has no counterpart; see auth= and docs/providers.md")
    elif WAYS[way.lower()]:
        draft.options["auth"] = WAYS[way.lower()]
    polls, line = given.get("interval", ("0", 0))
    if polls.isdigit() and int(polls) > 1:
        if reading.daemon:
            draft.options["every"] = str(max(round(int(polls) * reading.daemon / 60), 1))
        else:
            moved.remark(
                line, f"interval {polls} counts polls of a daemon; write every=MINUTES for {visible(draft.name)}"
            )


def _receiver(moved: Moved, user: User, given: dict[str, tuple[str, int]]) -> None:
    if "lmtp" in given:
        moved.set("pf_smtp_protocol", "lmtp", given["lmtp"][1])
    for keyword, name in (("esmtpname", "pf_smtp_user"), ("esmtppassword", "pf_smtp_password")):
        if keyword in given:
            moved.set(name, *given[keyword])
    hosts = user.lists.get("smtphost", [])
    if not hosts:
        return
    line = given["smtphost"][1]
    first, slash, port = hosts[0].partition("/")
    moved.set("pf_smtp_server", f"unix:{hosts[0]}" if not first else f"{first}:{port}" if slash else first, line)
    if len(hosts) > 1:
        moved.remark(line, f"only the first of {visible(', '.join(hosts))} is tried: there is one receiver")
