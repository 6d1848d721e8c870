"""What calls the program again and again: the lines for cron, the units for systemd, the task for Windows.

Pure: text out of values. The files in cron/ and windows_task/ are what this module prints for the paths that the
README names, and --print-schedule prints the same for the paths of this machine. A path that its format cannot hold
is refused with SettingsError; nothing is ever cut or changed in silence. All three call --scheduled and leave the
last word to the program; none may call Python with -I or -P, for the program is found by its own folder.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lib.errors import SettingsError
from lib.run.due import step


class Installation(NamedTuple):
    """Where the program lies on this machine, who runs it, and how often."""

    python: str
    program: str
    conf: str
    minutes: int  # ras_timer
    interval: bool = False  # pf_isinterval
    user: str = ""  # empty: the owner of the crontab, root under systemd, SYSTEM on Windows
    folders: tuple[str, ...] = ()  # what it writes to: work_path and log_path
    limit: int = 0  # pf_time_limit, minutes, 0 none


def print_schedule(kind: str, here: Installation) -> str:
    """Return the definition of *kind*, one of KINDS, for this installation; SettingsError if it cannot be written."""
    return KINDS[kind](here)


def checked(word: str, forbidden: str, where: str) -> str:
    """Return *word* if it holds neither a control character nor one of *forbidden*."""
    if not word.isprintable() or any(char in word for char in forbidden):
        raise SettingsError(f"{word!r} cannot stand in {where}: install the program under a plainer name")
    return word


# --- cron ----------------------------------------------------------------------------------------------------------

CRON_LINE = 998
"""Octets that cron reads of one line (crontab(5))."""

CRON_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")

CRON_D = """\
# POPFetch. Install this file as /etc/cron.d/popfetch: owned by root, mode 0644, no dot in its name (cron would pass
# it over). cron asks {every} whether a pass is due; ras_timer and pf_isinterval in dmail.conf have the last word.
# A pass that has nothing to complain about prints nothing, so cron mails complaints only.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
{line}
"""

CRONTAB = """\
# POPFetch. Add this line to the crontab of the user who owns dmail.conf (crontab -e). cron asks {every} whether
# a pass is due; ras_timer and pf_isinterval in dmail.conf have the last word. A pass that has nothing to complain
# about prints nothing, so cron mails complaints only. The commands of pf_dial_up need full paths here.
{line}
"""


def cron(here: Installation) -> str:
    """Return a file for /etc/cron.d where a user is named, else an entry for a user's own crontab."""
    every = step(here.minutes, here.interval)
    minute = {1: "*", 60: "0"}.get(every, f"*/{every}")
    words = [f"{minute} * * * *", *([cron_user(here.user)] if here.user else []), *map(cron_word, command(here))]
    line = " ".join(words)
    if len(line.encode()) > CRON_LINE:
        raise SettingsError(f"the paths are too long for a crontab, which holds {CRON_LINE} octets a line")
    return (CRON_D if here.user else CRONTAB).format(every=spoken(every), line=line)


def command(here: Installation) -> tuple[str, ...]:
    """Return the words of the call."""
    return (here.python, here.program, "--scheduled", "-i", here.conf)


def cron_user(user: str) -> str:
    """Return *user* if it can stand in the sixth field."""
    if not CRON_USER.match(user):
        raise SettingsError(f"{user!r} cannot stand in a crontab as a user's name")
    return user


def cron_word(word: str) -> str:
    r"""Return *word* for sh as cron hands it on: some crons take the backslash off ``\%``, some leave it to sh.

    So the percent sign stands outside the quotes, where either is right. What a pair of backslashes becomes depends
    on the cron, so there is no safe way to write one.
    """
    parts = checked(word, "\\", "a crontab").split("%")
    return r"\%".join(shlex.quote(part) if part else "" for part in parts)


def spoken(minutes: int) -> str:
    """Return how often that is, in words."""
    return {1: "every minute", 60: "every hour"}.get(minutes, f"every {minutes} minutes")


# --- systemd -------------------------------------------------------------------------------------------------------

OWN_FOLDERS = ("/var/lib/popfetch", "/var/log/popfetch")
"""What StateDirectory and LogsDirectory make, and make writable."""

SERVICE = """\
# POPFetch, one pass. Install as /etc/systemd/system/popfetch.service beside popfetch.timer.
# Where pf_dial_up or pf_online_command needs rights that are taken away here (pon, wg-quick and postqueue do, nmcli
# does not), give them back with `systemctl edit popfetch.service`:
#   [Service]
#   User=root
#   CapabilityBoundingSet=~
#   RestrictAddressFamilies=
#   ProtectSystem=no
#   PrivateDevices=no
#   ProtectKernelModules=no
#   ProtectKernelTunables=no
[Unit]
Description=POPFetch: fetch POP mail into the local mail server
After=network.target

[Service]
Type=oneshot
{user}ExecStart={command}
# No line, owed mail, an account that did not answer: the next pass mends them, nobody has to come.
SuccessExitStatus=69 75 76
# SIGTERM to the program alone, which hangs up; its dial commands are not to be shot from under it.
KillMode=mixed
TimeoutStopSec=3min
UMask=0077
StateDirectory=popfetch
StateDirectoryMode=0700
LogsDirectory=popfetch
LogsDirectoryMode=0700
{folders}NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"""

TIMER = """\
# POPFetch's clock. Install as /etc/systemd/system/popfetch.timer, then: systemctl enable --now popfetch.timer
[Unit]
Description=POPFetch: a pass {counted}

[Timer]
OnBootSec=1min
{since}={minutes}min
AccuracySec=10s

[Install]
WantedBy=timers.target
"""


def systemd(here: Installation) -> str:
    """Return the service and the timer, one below the other: each begins with a comment that names its file."""
    return service(here) + "\n" + timer(here)


def service(here: Installation) -> str:
    """Return popfetch.service."""
    checked(here.python, "\"'\\", "a unit file as the program's name")
    others = [folder for folder in dict.fromkeys(here.folders) if folder not in OWN_FOLDERS]
    return SERVICE.format(
        user=f"User={unit_word(here.user)}\n" if here.user else "",
        command=" ".join([unit_word(here.python), *(unit_word(word).replace("$", "$$") for word in command(here)[1:])]),
        # The minus: a folder that is missing is the program's to complain about, with a sentence.
        folders="".join(f"ReadWritePaths={unit_word('-' + folder)}\n" for folder in others),
    )


def timer(here: Installation) -> str:
    """Return popfetch.timer: systemd itself counts from the start or from the end of the service."""
    since = "OnUnitInactiveSec" if here.interval else "OnUnitActiveSec"
    counted = f"{spoken(here.minutes)}, counted from {'end to start' if here.interval else 'start to start'}"
    return TIMER.format(since=since, minutes=here.minutes, counted=counted)


def unit_word(word: str) -> str:
    """Return *word* for a unit file: specifiers doubled, quoted where spaces, quotes or backslashes need it."""
    plain = checked(word, "", "a unit file").replace("%", "%%")
    if not any(char in plain for char in " \"'\\;"):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- the Windows Task Scheduler ------------------------------------------------------------------------------------

SYSTEM = "<UserId>S-1-5-18</UserId>"
LONGEST_REPETITION = 31 * 24 * 60
"""Minutes: the schema ends at P31D."""

LATE = 30
"""Minutes beyond pf_time_limit after which Windows ends the process: it could not hang up any more."""

NO_LIMIT = "PT72H"
"""Without pf_time_limit: Windows' own default. Every wait of the program has a limit of its own."""

# ASCII and no encoding attribute: schtasks refuses a UTF-8 that says so. The elements stand in the schema's order.
TASK = """\
<?xml version="1.0"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <URI>\\POPFetch</URI>
    <Author>POPFetch</Author>
    <Description>Fetches POP mail into the local mail server, {every}; see ras_timer in dmail.conf.</Description>
  </RegistrationInfo>
  <Triggers>
    <TimeTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>2025-01-01T00:00:00</StartBoundary>
      <Repetition>
        <Interval>PT{minutes}M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
    </TimeTrigger>
  </Triggers>
  <Settings>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <WakeToRun>false</WakeToRun>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <IdleSettings>
      <StopOnIdleEnd>false</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
    <Priority>7</Priority>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
  </Settings>
  <Principals>
    <Principal id="Author">
      {account}
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Actions Context="Author">
    <Exec>
      <Command>{python}</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


def task(here: Installation) -> str:
    """Return the task as XML for `schtasks /create /xml`; an account's password is given there, never here."""
    every = 1 if here.interval else min(here.minutes, LONGEST_REPETITION)
    return TASK.format(
        every=spoken(every),
        minutes=every,
        limit=f"PT{here.limit + LATE}M" if here.limit else NO_LIMIT,
        account=f"<UserId>{xml(here.user)}</UserId><LogonType>Password</LogonType>" if here.user else SYSTEM,
        python=xml(here.python),
        arguments=xml(" ".join(map(windows_word, command(here)[1:]))),
        folder=xml(here.program.rpartition("\\")[0]),
    )


def windows_word(word: str) -> str:
    """Return *word* for a Windows command line; a file's name holds no quote there and ends in no backslash."""
    plain = checked(word, '"', "a Windows command line")
    return f'"{plain}"' if " " in plain else plain


def xml(text: str) -> str:
    """Return *text* for XML in ASCII."""
    escaped = checked(text, "", "XML").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.encode("ascii", "xmlcharrefreplace").decode("ascii")


KINDS: Mapping[str, Callable[[Installation], str]] = {"cron": cron, "systemd": systemd, "task": task}
