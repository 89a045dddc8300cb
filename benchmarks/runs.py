"""`runs`: how much one worker delivers, against a bare loop that makes the same HTTP calls and records nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from itertools import cycle, islice
from typing import Any

from benchmarks.stage import Stage, books_of, stage

WARM = 100
"""Bills that are delivered before; their requests are those of the bare loop."""
NO_LIMIT = 1_000_000
STEPS = (b"/v1/invoices HTTP", b"/add_lines HTTP", b"/finalize HTTP", b"/send HTTP")
"""The steps of one delivery, as they stand in a request's first line."""


async def run(bills: int = 3000) -> dict[str, Any]:
    async with stage() as it:
        with it.sink() as url:
            await it.connect(url, "STRIPE")
            await books_of(url)
            await deliver(it, url, "warm", WARM)
            recorded = [base64.b64decode(each) for each in (await books_of(url))["requests"]]
            ours = await deliver(it, url, "timed", bills)
            bare = await _bare(url, recorded, bills)
    steps = bills * len(STEPS)
    return {
        "bills_per_s": round(bills / ours["seconds"], 1),
        "bare_bills_per_s": round(bills / bare["seconds"], 1),
        "ratio": round(bare["seconds"] / ours["seconds"], 3),
        "cpu_ratio": round(ours["cpu"] / bare["cpu"], 2),
        "cpu_s_per_1000_steps": round(ours["cpu"] / steps * 1000, 3),
        "rss_mb": round(ours["memory"]),
        "database_cpu_s_per_1000_steps": round(ours["database_cpu"] / steps * 1000, 3),
    }


async def deliver(it: Stage, url: str, name: str, bills: int) -> dict[str, float]:
    """Take in the bills, then let a worker deliver them; seconds, CPU seconds of both sides, MB."""
    await it.add_bills(name, bills)
    with it.worker(url, TOLLBRIDGE_RATE_LIMITS=f"STRIPE={NO_LIMIT}", TOLLBRIDGE_LOG_LEVEL="info") as worker:
        cpu, database = worker.cpu, it.database_cpu
        await it.delivered(worker, name, bills)
        return {
            "seconds": await it.seconds(name),
            "cpu": worker.cpu - cpu,
            "database_cpu": it.database_cpu - database,
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
