"""A worker on a machine whose clock is ahead: `python -m tests.e2e.worker_ahead SECONDS`."""

from __future__ import annotations

import sys
from datetime import timedelta

from tests.crash.nursery import set_clock_ahead
from tollbridge.cli.processes import worker

if __name__ == "__main__":
    set_clock_ahead(timedelta(seconds=float(sys.argv[1])))
    worker()
