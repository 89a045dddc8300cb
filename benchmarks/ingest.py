"""`ingest`: how many bills a server takes in, one per request and as newline-delimited JSON; each makes a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from benchmarks.processes import running
from benchmarks.stage import ORG, Stage, bill, ndjson, stage
from tollbridge.domain import json_text

AT_ONCE = 8
JSON = {"Content-Type": "application/json"}


async def run(size: int = 4000) -> dict[str, Any]:
    """`size` bills in bulk, a quarter of that one by one."""
    bills, singles = size, size // 4
    async with stage() as it:
        with it.sink() as sink:
            await it.connect(sink, "STRIPE")
        for name, count in (("single", singles), ("bulk", bills)):
            await it.add_accounts(name, count)
        with running(
            it.folder / "serve.log", "tollbridge.cli.main", "serve", "--port", "0", environ=it.environ
        ) as server:
            server_url = server.first_line()
            url = f"{server_url}/organizations/{ORG}"
            async with aiohttp.ClientSession(headers=await _authorized(server_url, it)) as session:
                single = await _one_by_one(session, url, singles)
                bulk = await _at_once(session, url, bills)
    return {
        "single_bills_per_s": round(singles / single, 1),
        "ndjson_bills_per_s": round(bills / bulk, 1),
        "ratio": round((bills / bulk) / (singles / single), 2),
    }


async def _authorized(server: str, it: Stage) -> dict[str, str]:
    auth = aiohttp.BasicAuth(it.made.key_id, it.made.secret)
    async with (
        aiohttp.ClientSession(auth=auth) as session,
        session.post(f"{server}/oauth/token", json={"grant_type": "client_credentials"}) as response,
    ):
        return {"Authorization": f"Bearer {(await response.json())['access_token']}"}


async def _one_by_one(session: aiohttp.ClientSession, url: str, count: int) -> float:
    bills = [bill(f"bill-single-{number}", f"single-{number}") for number in range(count)]
    rest = iter([(each["id"], json_text.dump(each).encode()) for each in bills])

    async def send(rest: Iterator[tuple[str, bytes]]) -> None:
        for id, body in rest:
            async with session.put(f"{url}/bills/{id}", data=body, headers=JSON) as response:
                if response.status >= 300:
                    raise RuntimeError(await response.text())
                await response.read()

    start = time.monotonic()
    await asyncio.gather(*(send(rest) for _ in range(AT_ONCE)))
    return time.monotonic() - start


async def _at_once(session: aiohttp.ClientSession, url: str, count: int) -> float:
    body = ndjson([bill(f"bill-bulk-{number}", f"bulk-{number}") for number in range(count)])
    start = time.monotonic()
    async with session.post(
        f"{url}/imports/bills", data=body, headers={"Content-Type": "application/x-ndjson"}
    ) as response:
        report = json_text.parse(await response.read())
        if response.status >= 300 or report["accepted"] != count:
            raise RuntimeError(str(report)[:1000])
    return time.monotonic() - start
