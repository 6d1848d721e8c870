"""What goes out while the line is up: pf_online_command, and ETRN (RFC 1985) for each pf_etrn to ras_smtpip.

Beside the fetching, which never waits for it, and never its trouble: whatever fails is a line in the log. It has
LIMIT seconds in all; a line of ours is held that long for it, for a queue that is flushed into a dead line is no use.

ETRN goes over STARTTLS where that is offered, as Postfix's `may` does it: the certificate is not verified, and a
handshake that fails is followed by another try in the clear. All that is said is the name of a domain.
"""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event

from lib.config import helo
from lib.config.settings import HostPort, Settings
from lib.errors import PopfetchError, ProtocolError, TlsError
from lib.net.dialogue import Command, Dialogue
from lib.net.wire import Trust, Wire
from lib.report import log
from lib.smtp import session, smtp, verdict
from lib.smtp.smtp import Features, Reply
from lib.smtp.verdict import Phase
from lib.visible import visible

LOG = logging.getLogger("popfetch.outgoing")

LIMIT = 60.0
"""Seconds for all of it; after that it is ended."""

GROUP = 100
"""ETRNs sent ahead of their replies where PIPELINING is offered."""


class Outgoing:
    """The outgoing side of one pass: `jobs` run beside each other, a thread each; none of them raises."""

    def __init__(self, settings: Settings) -> None:
        self.jobs: list[Callable[[], None]] = []
        if settings.pf_online_command:
            self.jobs.append(self.run_command)
        if settings.pf_etrn:
            self.jobs.append(self.turn)
        self.until = time.monotonic() + LIMIT
        self._settings = settings
        self._stopped = Event()

    def stop(self) -> None:
        """End the jobs, from any thread: within the grace that a command gets."""
        self._stopped.set()

    def run_command(self) -> None:
        """Run pf_online_command once; what it says goes to the log."""
        from lib import child  # noqa: PLC0415 - subprocess is only for who has such a command

        ended = child.run(self._settings.pf_online_command, LIMIT, self._stopped.is_set)
        for text in ended.said:
            LOG.info("%s", log.line("outgoing", command="pf_online_command", says=text))
        level = logging.INFO if ended.code == 0 else logging.WARNING
        why = f"exit code {ended.code}" if ended.code is not None and ended.code >= 0 else ended.reason
        LOG.log(level, "%s", log.line("outgoing", command="pf_online_command", ended=why))

    def turn(self) -> None:
        """Ask ras_smtpip to send what it holds for each pf_etrn."""
        server = self._settings.ras_smtpip
        assert server is not None  # noqa: S101 - conf asks for it beside pf_etrn
        try:
            try:
                self._ask(server, encrypted=True)
            except TlsError as error:
                LOG.info("%s", log.line("outgoing", etrn=str(server), note=f"{error}; once more without TLS"))
                self._ask(server, encrypted=False)
        except PopfetchError as error:
            LOG.warning("%s", log.line("outgoing", etrn=str(server), failed=str(error)))

    def _ask(self, server: HostPort, *, encrypted: bool) -> None:
        wire = Wire.connect(server.host, server.port, LIMIT, self._stopped.is_set)
        wire.whole = True
        try:
            dialogue = Dialogue(smtp.SmtpFramer())
            _must(wire, dialogue, smtp.GREETING)
            features = self._hello(wire, dialogue)
            if encrypted and b"STARTTLS" in features:
                _must(wire, dialogue, smtp.STARTTLS)
                wire.start_tls(Trust(server.host, verify=False))
                features = self._hello(wire, dialogue)
            dialogue.window = GROUP if b"PIPELINING" in features else 1
            commands = [smtp.etrn(domain.encode()) for domain in self._settings.pf_etrn]
            for command, reply in _replies(wire, dialogue, *commands):
                level = logging.INFO if verdict.fine(Phase.HELLO, reply.code) else logging.WARNING
                LOG.log(level, "%s", log.line("outgoing", etrn=str(server), asked=command.told, reply=reply.text))
            wire.send(smtp.QUIT.line)  # its answer is not worth a round trip
        finally:
            wire.close()

    def _hello(self, wire: Wire, dialogue: Dialogue[Reply]) -> Features:
        name = self._settings.pf_helo_name or helo.full_name()
        return smtp.features(_must(wire, dialogue, smtp.hello(b"EHLO", session.own_name(name, wire))))


def _must(wire: Wire, dialogue: Dialogue[Reply], command: Command) -> Reply:
    """Return the reply to *command*; ProtocolError if it refuses."""
    ((_, reply),) = _replies(wire, dialogue, command)
    if not verdict.fine(Phase.HELLO, reply.code):
        raise ProtocolError(f"{command.told} was refused: {visible(reply.text)}")
    return reply


def _replies(wire: Wire, dialogue: Dialogue[Reply], *commands: Command) -> Iterator[tuple[Command, Reply]]:
    dialogue.ask(*commands)
    while not dialogue.idle:
        yield from list(wire.step(dialogue))
