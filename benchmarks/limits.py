"""`limits`: how much of the vendor's own rate limit is used where each of its answers takes 200 ms."""

from __future__ import annotations

from typing import Any

from benchmarks.stage import books_of, stage
from tollbridge.connectors.stripe import LIVE, TEST

LATENCY = 0.2
SETTLED = 2.0
"""Seconds at the beginning that do not count: the burst that has gathered. Nor does the last one, which runs dry."""


async def run(size: int = 12) -> dict[str, Any]:
    """`size` seconds of work. Live mode admits 100 requests a second and test mode 25; each with one worker."""
    used = {}
    for system in (LIVE, TEST):
        limit = system.limits.requests_per_second
        bills = int(limit * size / 4)
        async with stage() as it:
            with it.sink(LATENCY) as url:
                await it.connect(url, system.key)
                await it.add_bills("limited", bills)
                await books_of(url)
                with it.worker(url) as worker:
                    await it.delivered(worker, bills)
                moments = (await books_of(url))["moments"]
        begin, end = moments[0] + SETTLED, moments[-1] - 1
        sent = sum(begin <= moment < end for moment in moments)
        used[system.key] = round(sent / (end - begin) / limit, 3)
    return {"latency_ms": LATENCY * 1000, "used_of_the_limit": used, "least_used": min(used.values())}
