"""Runs the benchmarks by name, or all; each is one JSON line on stdout."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from benchmarks import console, growth, ingest, limits, runs, webhooks
from tollbridge.wiring import set_up_logs

BENCHMARKS = {
    "runs": runs.run,
    "limits": limits.run,
    "ingest": ingest.run,
    "growth": growth.run,
    "webhooks": webhooks.run,
    "memory": webhooks.memory,
    "console": console.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="One JSON line per benchmark.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; none means all")
    parser.add_argument(
        "--size",
        type=int,
        help="of one benchmark: bills (runs, ingest), seconds (limits), runs (growth, console), notifications"
        " (webhooks, memory)",
    )
    given = parser.parse_args()
    sized = {} if given.size is None else {"size": given.size}
    unknown = set(given.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    set_up_logs("warning")
    # Ended as by Ctrl-C: no process and no folder is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in given.names or BENCHMARKS:
        figures = asyncio.run(BENCHMARKS[name](**sized))
        sys.stdout.write(json.dumps({"benchmark": name, **figures}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
