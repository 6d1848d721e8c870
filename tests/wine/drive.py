"""Runs under Windows: dials as one pass does, and tells as JSON what became of it. Its words: one JSON object."""

import json
import logging
import os
import sys
import time
from pathlib import Path
from threading import Event, Timer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lib.config.settings import Secret, Settings
from lib.errors import PopfetchError
from lib.line import dial, ras


def main() -> None:
    """Bring the line up, look, hang up; `die` leaves without hanging up, `stop` stops after so many seconds."""
    wish = json.loads(sys.argv[1])
    wish.setdefault("settings", {})
    if "ras_password" in wish["settings"]:
        wish["settings"]["ras_password"] = Secret(wish["settings"]["ras_password"], "here")
    ras.DIAL_LIMIT = ras.HANG_UP_LIMIT = wish.get("limit", 10.0)
    stop = Event()
    timer = Timer(wish["stop"], stop.set) if "stop" in wish else None
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    told: dict[str, object] = {"error": "", "kind": ""}
    began = time.monotonic()
    marker, logger = Path(os.environ["RASFAKE_DIR"]).parent / "popfetch.line", logging.getLogger("popfetch.dial")
    try:
        dial.hang_up_left(marker, logger)  # as every pass does first
        line = dial.line(
            Settings(**wish["settings"]),
            marker=marker,
            logger=logger,
            reveal=lambda secret: secret.source,
        )
        told |= {"describe": line.describe, "open": line.is_up()}
        if timer:
            timer.start()
        for _ in range(wish.get("tries", 1)):
            attempt(line, stop, told)
        told |= {"ours": line.ours, "somebody_elses": line.somebody_elses, "up": line.is_up()}
        told["seconds"] = time.monotonic() - began
        if wish.get("die"):
            print(json.dumps(told), flush=True)
            os._exit(9)
        line.hang_up()
        line.hang_up()
        told["left_up"] = line.is_up()
    except PopfetchError as error:
        told |= {"error": str(error), "kind": type(error).__name__}
    if timer:
        timer.cancel()
    told["all_seconds"] = time.monotonic() - began
    print(json.dumps(told))


def attempt(line: dial.Line, stop: Event, told: dict[str, object]) -> None:
    """Bring it up, or say why not."""
    try:
        line.bring_up(stop.is_set)
    except PopfetchError as error:
        told |= {"error": str(error), "kind": type(error).__name__}


if __name__ == "__main__":
    main()
