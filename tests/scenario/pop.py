"""What is the same in most POP3 dialogues: the login of a server that knows no CAPA, the listing, the end."""

LOGIN = """
    S: +OK
    C: CAPA
    S: -ERR
    C: USER bob
    S: +OK
    C: PASS geheim-bob
    S: +OK
"""


def numbered(lines: dict[int, str]) -> str:
    return "\n".join(["S: +OK", *(f"S: {number} {what}" for number, what in lines.items()), "S: ."])


def listing(uids: dict[int, str], size: int = 100) -> str:
    """Return the login and a listing of these UIDs by message number."""
    return f"""
        {LOGIN}
        C: UIDL
        {numbered(uids)}
        C: LIST
        {numbered(dict.fromkeys(uids, str(size)))}
    """


def retr(number: int, name: str) -> str:
    """Return the download of the mail that is given as *name*."""
    return f"C: RETR {number}\nS: +OK\nS. {name}\n"


def end(*deleted: int, reply: str = "+OK") -> str:
    """Return the deletions and QUIT, with the reply to it."""
    return "".join(f"C: DELE {number}\nS: +OK\n" for number in deleted) + f"C: QUIT\nS: {reply}\n"
