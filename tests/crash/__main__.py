"""`python -m tests.crash --bills 500 --kills 100`: the proof; exit status 1 where a bill is lost, doubled or wrong.

Progress and a histogram of the kills go to stderr, one JSON line to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.conftest import PREFIX, SESSIONS, new_home, remove
from tests.crash.bills import Verdict, audit
from tests.crash.chaos import Chaos, say
from tests.crash.nursery import all_deaths
from tests.crash.stage import raised


async def prove(
    home: Path, bills: int, kills: int, seed: int, minutes: float = float("inf")
) -> tuple[dict[str, object], Verdict]:
    """Run it all in this folder and compare with the books."""
    began = time.monotonic()
    async with raised(home) as stage:
        chaos = Chaos(stage, bills, kills, random.Random(seed), minutes * 60)
        await chaos.run()
        if chaos.killed < kills or len(chaos.sent) < bills:
            say(f"{minutes:g} minutes were over at {len(chaos.sent)} of {bills} bills, {chaos.killed} of {kills} kills")
        held = await stage.fetch("SELECT entity_id FROM runs WHERE state = 'held' AND hold_reason = 'changed'")
        verdict = audit(chaos.sent, [row[0] for row in held], await stage.admin("GET", "books"), chaos.messages)
        _histogram(chaos)
    counts = asdict(verdict)
    del counts["told"]
    line = {"bills": len(chaos.sent), "kills": chaos.killed, "faults": chaos.faults, **counts}
    return {**line, "seconds": round(time.monotonic() - began, 1)}, verdict


def _histogram(chaos: Chaos) -> None:
    rest = [each for each in chaos.kills if each not in {str(death) for death in all_deaths()}]
    for name in [*map(str, all_deaths()), *rest]:
        say(f"{chaos.kills[name]:5} killed: {name}")
    for name, times in chaos.changes.items():
        say(f"{times:5} {name}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="crash")
    parser.add_argument("--bills", type=int, default=40)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="compare what was done by then, where more was asked for"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with the database and the logs")
    given = parser.parse_args()
    home = new_home(SESSIONS, f"{PREFIX}crash-")
    say(f"seed {given.seed}, in {home}")
    try:
        line, verdict = asyncio.run(prove(home, given.bills, given.kills, given.seed, given.minutes))
    finally:
        if not given.keep:
            remove(home)
    for sentence in verdict.told:
        say(sentence)
    print(json.dumps(line))  # noqa: T201
    sys.exit(1 if verdict.duplicates or verdict.lost or verdict.wrong_total else 0)


if __name__ == "__main__":
    main()
