"""`runs`: how much one worker delivers, against a bare loop that makes the same HTTP calls and records nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections import Counter
from itertools import cycle, islice
from typing import Any

from benchmarks.stage import Stage, books_of, stage

WARM = 100
"""Bills that are delivered before; their requests are those of the bare loop."""
ROUNDS = 4
BARE_TIMES = 3
"""How many more bills the bare loop gets, so that its rounds last."""
NO_LIMIT = 1_000_000
STEPS = (b"/v1/invoices HTTP", b"/add_lines HTTP", b"/finalize HTTP", b"/send HTTP")
"""The steps of one delivery, as they stand in a request's first line."""


async def run(size: int = 3000) -> dict[str, Any]:
    """`size` bills; both in turn, several times, so that what else the machine does meets both."""
    ours, bare = Counter[str](), Counter[str]()
    some = size // ROUNDS
    async with stage() as it:
        with it.sink() as url:
            await it.connect(url, "STRIPE")
            await books_of(url)
            await deliver(it, url, "warm", WARM)
            recorded = [base64.b64decode(each) for each in (await books_of(url))["requests"]]
            for number in range(ROUNDS):
                ours.update(await deliver(it, url, f"round{number}", some))
                bare.update(await _bare(url, recorded, some * BARE_TIMES))
    ours_bills, bare_bills = some * ROUNDS, some * ROUNDS * BARE_TIMES
    cpu, bare_cpu = ours["cpu"] / ours_bills, bare["cpu"] / bare_bills
    seconds, bare_seconds = ours["seconds"] / ours_bills, bare["seconds"] / bare_bills
    return {
        "bills_per_s": round(1 / seconds, 1),
        "bare_bills_per_s": round(1 / bare_seconds, 1),
        "ratio": round(bare_seconds / seconds, 3),
        "cpu_ratio": round(cpu / bare_cpu, 2),
        "cpu_s_per_1000_steps": round(cpu / len(STEPS) * 1000, 3),
        "rss_mb": round(ours["memory"] / ROUNDS),
        "database_cpu_s_per_1000_steps": round(ours["database_cpu"] / ours_bills / len(STEPS) * 1000, 3),
    }


async def deliver(it: Stage, url: str, name: str, bills: int) -> dict[str, float]:
    """Take in the bills, then let a worker deliver them; seconds, CPU seconds of worker and database, MB."""
    await it.add_bills(name, bills)
    with it.worker(url, TOLLBRIDGE_RATE_LIMITS=f"STRIPE={NO_LIMIT}") as worker:
        cpu, database = worker.cpu, it.database_cpu
        await it.delivered(worker, bills)
        spent = {"cpu": worker.cpu - cpu, "database_cpu": it.database_cpu - database}
        return {
            **spent,
            "seconds": await it.seconds(bills),
            "memory": worker.peak_memory,
        }


async def _bare(url: str, recorded: list[bytes], bills: int) -> dict[str, float]:
    by_step = [[each for each in recorded if step in each.partition(b"\r\n")[0]] for step in STEPS]
    samples = [[base64.b64encode(each).decode() for each in some] for some in zip(*by_step, strict=True)]
    order = {"url": url, "bills": list(islice(cycle(samples), bills)), "at_once": 50}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bare", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(json.dumps(order).encode())
    answer: dict[str, float] = json.loads(said)
    return answer
