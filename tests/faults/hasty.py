"""A fetcher as one writes it in ten minutes, for the tortures to find out: POP_PORT SMTP_PORT USER PASSWORD TO."""

import poplib
import smtplib
import sys


def main(pop_port: str, smtp_port: str, user: str, password: str, to: str) -> None:
    """Fetch, deliver, delete, one message after the other."""
    pop, smtp = poplib.POP3("127.0.0.1", int(pop_port), 5), smtplib.SMTP("127.0.0.1", int(smtp_port))
    pop.user(user)
    pop.pass_(password)
    for number in range(1, pop.stat()[0] + 1):
        smtp.sendmail("", to, b"\r\n".join(pop.retr(number)[1]) + b"\r\n")
        pop.dele(number)
    pop.quit()
    smtp.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
