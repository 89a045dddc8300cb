"""Runs the benchmarks by name, or all; each is one JSON line on stdout."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from benchmarks import runs

BENCHMARKS = {"runs": runs.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="One JSON line per benchmark.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; none means all")
    given = parser.parse_args()
    unknown = set(given.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in given.names or BENCHMARKS:
        figures = asyncio.run(BENCHMARKS[name]())
        sys.stdout.write(json.dumps({"benchmark": name, **figures}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
