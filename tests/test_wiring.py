from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
import structlog
from tollbridge.wiring import set_up_logs

set_up_logs("info")
log = structlog.get_logger("tollbridge.engine")
with structlog.contextvars.bound_contextvars(run_id="r1"):
    log.info("settled", state="delivered")
logging.getLogger("library").warning("odd %s", "thing")
log.debug("hidden")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("incident", incident="i1")
"""


def test_every_log_line_is_json_and_carries_the_run() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    settled, odd, incident = (json.loads(line) for line in done.stderr.splitlines())
    assert settled.pop("at")
    assert settled == {
        "event": "settled",
        "level": "info",
        "logger": "tollbridge.engine",
        "run_id": "r1",
        "state": "delivered",
    }
    assert (odd["event"], odd["level"], odd["logger"]) == ("odd thing", "warning", "library")
    assert "ZeroDivisionError" in incident["exception"]
    assert done.stdout == ""
