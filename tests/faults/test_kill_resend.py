"""--duds resend, killed at every call to the system: nothing lost, and nobody gets twice what is on record."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import PopServer, SmtpServer
from tests.faults.zygote import Zygote
from tests.passes import account
from tests.scenario.mails import mail

NO = b"550 5.1.1 no such user"
WHOM = [f"{who}@example.org" for who in "bcd"]
MAILS = [mail(f"X-Rcpt-To: {', '.join(WHOM)}", f"Subject: mail {number}") for number in range(2)]


class Office:
    """A folder with two duds for three people each, as often as it is wanted."""

    def __init__(self, folder: Path, zygote: Zygote, smtp: SmtpServer) -> None:
        self.work, self.kept, self.conf = folder / "work", folder / "kept", folder / "dmail.conf"
        self.zygote, self.smtp = zygote, smtp
        self.work.mkdir(mode=0o700)

    def fill(self) -> None:
        self.smtp.refused = dict.fromkeys((who.encode() for who in WHOM), NO)
        with PopServer({"bob": ("geheim-bob", MAILS)}) as pop:
            lines = (account(pop.port), f"pf_smtp_server 127.0.0.1:{self.smtp.port}", f"work_path {self.work}")
            self.conf.write_text("\n".join(lines) + "\n", encoding="ascii")
            self.conf.chmod(0o600)
            assert self.run() == 65
        shutil.copytree(self.work, self.kept)

    def again(self) -> None:
        """Put the duds back."""
        shutil.rmtree(self.work)
        shutil.copytree(self.kept, self.work)
        self.smtp.taken.clear()

    def run(self, *words: str, hook: dict[str, object] | None = None) -> int:
        """Run the program; it is killed where *hook* stops it: -9."""
        self.zygote.start(["-i", self.conf, *words], [hook] if hook else [])
        news = self.zygote.wait(60)
        while news and not news.startswith(("stopped", "ended")):  # what the program prints
            news = self.zygote.wait(60)
        if news == "stopped":
            self.zygote.kill()
            news = ""
        return self.zygote.end(news).code

    def came(self) -> Counter[tuple[bytes, bytes]]:
        """Return who got which mail how often."""
        return Counter(
            (who, one.content.partition(b"Subject: ")[2].partition(b"\r")[0])
            for one in self.smtp.taken
            for who in one.recipients
        )


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Zygote(tmp_path) as zygote, SmtpServer() as smtp:
        office = Office(tmp_path, zygote, smtp)
        office.fill()
        yield office


EVERY = [
    (call, file, when)
    for file in ("popfetch.journal", "duds.dat")
    for call in ("write", "open", "replace", "fdatasync", "fsync")
    for when in ("before", "half", "after")
    if when != "half" or call == "write"
]


@pytest.mark.parametrize(
    ("words", "refused"),
    [(("all",), {b"c@example.org": NO}), (("1", "--to", "x@example.org", "c@example.org"), {})],
    ids=["resend, and one does not take it", "to others, who take it"],
)
@pytest.mark.timeout(600)
def test_nobody_gets_twice_what_is_on_record(
    office: Office, words: tuple[str, ...], refused: dict[bytes, bytes]
) -> None:
    kills, unwritten = 0, 0
    for call, file, when in EVERY:
        for nth in range(1, 99):
            office.again()
            office.smtp.refused = refused
            hook = {"hook": "stop", "call": call, "nth": nth, "file": file, "when": when}
            code = office.run("--duds", "resend", *words, hook=hook)
            kills += code == -9
            assert office.run("--duds", "resend", *words) in {0, 64, 65}
            office.smtp.refused = {}
            assert office.run("--duds", "resend", "all") == 0
            came = office.came()
            twice = [(who, number) for who, number in came if came[who, number] > 1]
            place = (call, file, when, nth)
            assert not twice or ((file, call) == ("popfetch.journal", "write") and when != "after"), place
            unwritten += bool(twice)
            assert len(twice) <= len(WHOM)
            missing = [one for one in WHOM for each in (b"mail 0", b"mail 1") if not came[one.encode(), each]]
            assert not missing or "--to" in words, place
            assert (office.work / "duds.dat").read_bytes() == b""
            if code != -9:
                break
    assert kills > 30
    assert unwritten < kills / 4
