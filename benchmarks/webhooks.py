"""`webhooks`: how fast notifications go out, against a loop written for nothing else; how soon they arrive, also beside
receivers that are down; and what a killed worker loses.

Runs are accepted before they are delivered, so that both sides find the same work; taking in is measured apart.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from benchmarks import celery_build
from benchmarks.ceiling import SECRET
from benchmarks.processes import Process
from benchmarks.receivers import receiver
from benchmarks.stage import PATIENCE, Stage, books_of, stage
from tollbridge.services import integrations, rules, webhooks
from tollbridge.services.imports import Noun
from tollbridge.services.submissions import Submissions

ROUNDS = 4
"""Both in turn, so that what else the machine does meets both."""
EVENT = "billing.bill.created"
CELERY_MOST = 2000
"""It is slow enough for fewer to be a measure."""
PADDING = "x" * 560
"""Makes a message 1 KB long."""
PER_SECOND, SECONDS = 200, 5
AT_ONCE = 10_000
"""Events that are taken in by one import, where there are many."""
RECEIVERS, DOWN = 20, 2
"""Beside so many receivers one more hangs, and so many of them answer 500."""
LEASE = "5"
"""Seconds after which the work of a killed worker is taken over."""


async def run(size: int = 20_000) -> dict[str, Any]:
    """`size` notifications are delivered by one worker, as many by the loop, a quarter of that by two workers."""
    async with stage() as it:
        speed = await _speed(it, size)
    async with stage() as it:
        soon = await _latency(it, [200])
    async with stage() as it:
        beside = await _latency(it, [500] * DOWN + [200] * (RECEIVERS - DOWN), hangs=True)
    async with stage() as it:
        killed = await _killed(it, min(size // 2, 5000))
    return {
        **speed,
        "p50_ms": soon[0],
        "p99_ms": soon[1],
        "beside_bad_receivers_p50_ms": beside[0],
        "beside_bad_receivers_p99_ms": beside[1],
        **killed,
    }


async def memory(size: int = 200_000) -> dict[str, Any]:
    """The most memory that one worker takes for a twentieth of `size` notifications, and another for all of them."""
    async with stage() as it:
        with receiver(it.folder) as url:
            await _connect(it, [url])
            counts = (size // 20, size)
            peaks = [await _peak(it, f"of{count}", count) for count in counts]
    return {
        "deliveries": counts,
        "rss_mb": [round(peak) for peak in peaks],
        "growth": round(peaks[1] / peaks[0] - 1, 3),
    }


async def _peak(it: Stage, name: str, count: int) -> float:
    """The most memory of a worker, in MB, until all are delivered."""
    for part in range(0, count, AT_ONCE):
        await _accept(it, f"{name}-{part}", min(AT_ONCE, count - part))
    deadline = time.monotonic() + 2 * PATIENCE
    with it.worker("http://127.0.0.1") as worker:
        while await it.parts.db.pool.fetchval("SELECT EXISTS (SELECT FROM runs WHERE state <> 'delivered')"):
            if not worker.running or time.monotonic() > deadline:
                raise RuntimeError(f"the notifications were not delivered; {worker.log.read_text()[-1500:]}")
            await asyncio.sleep(1)
        return worker.peak_memory


async def _speed(it: Stage, size: int) -> dict[str, Any]:
    some = size // ROUNDS
    ours = {"seconds": 0.0, "cpu": 0.0, "database_cpu": 0.0}
    ceiling = {"seconds": 0.0, "cpu": 0.0}
    accepting, memory = 0.0, []
    with receiver(it.folder) as url:
        await _connect(it, [url])
        for number in range(ROUNDS):
            began = time.monotonic()
            await _accept(it, f"round{number}", some)
            accepting += time.monotonic() - began
            spent = await _deliver(it, some)
            memory.append(spent.pop("memory"))
            ours = {name: ours[name] + spent[name] for name in ours}
            loop = await _ceiling(it, url, some)
            ceiling = {name: ceiling[name] + loop[name] for name in ceiling}
        await _accept(it, "two", some)
        two = await _deliver(it, some, workers=2)
        celery = await _celery(it, url, min(some, CELERY_MOST))
    done = some * ROUNDS
    return {
        "deliveries_per_s": round(done / ours["seconds"]),
        "ceiling_per_s": round(done / ceiling["seconds"]),
        "ratio": round(ceiling["seconds"] / ours["seconds"], 3),
        "two_workers_per_s": round(some / two["seconds"]),
        "cpu_s_per_1000": round(ours["cpu"] / done * 1000, 3),
        "ceiling_cpu_s_per_1000": round(ceiling["cpu"] / done * 1000, 3),
        "database_cpu_s_per_1000": round(ours["database_cpu"] / done * 1000, 3),
        "accepted_per_s": round(done / accepting),
        "rss_mb": round(max(memory)),
        "celery_per_s": celery,
    }


async def _connect(it: Stage, urls: Sequence[str]) -> None:
    """A webhook to each address, and a rule for each that fires on the events of its account."""
    signed = {"type": webhooks.CREDENTIAL_TYPE, "apiKey": "key", "secret": SECRET}
    for number, url in enumerate(urls):
        about = {"name": f"Hook {number}", "description": "Of a benchmark."}
        hook = await webhooks.create(it.parts, it.caller, {**about, "url": url, "credentials": signed})
        calculation = f"new.billTotal > 1000 AND new.accountId == 'account-{number}'"
        given = {**about, "code": f"rule{number}", "eventName": EVENT, "calculation": calculation}
        rule = await rules.RULES.create(it.parts.db, it.caller, given)
        link = {"entityType": "Notification", "entityId": rule.id, "destination": "Webhook"}
        await integrations.create(it.parts.db, it.caller, {**link, "destinationId": hook.record.id})


def _event(name: str, number: int, receivers: int = 1) -> dict[str, Any]:
    new = {
        "id": f"bill-{name}-{number}",
        "accountId": f"account-{number % receivers}",
        "billTotal": Decimal("1250.50"),
        "currency": "EUR",
        "purchaseOrderNumber": PADDING,
    }
    return {"id": f"{name}-{number}", "eventName": EVENT, "accountId": new["accountId"], "new": new}


async def _accept(it: Stage, name: str, count: int) -> None:
    await it.take_in(Noun.EVENTS, [_event(name, number) for number in range(count)])


async def _deliver(it: Stage, count: int, workers: int = 1) -> dict[str, float]:
    """Let workers deliver what was accepted; seconds, CPU seconds and MB."""
    with it.worker("http://127.0.0.1") as worker:
        cpu, database = worker.cpu, it.database_cpu
        if workers == 1:
            await it.delivered(worker, count)
        else:
            with it.worker("http://127.0.0.1", name="second"):
                await it.delivered(worker, count)
        return {
            "cpu": worker.cpu - cpu,
            "database_cpu": it.database_cpu - database,
            "memory": worker.peak_memory,
            "seconds": await it.seconds(count),
        }


async def _ceiling(it: Stage, url: str, count: int) -> dict[str, float]:
    body = await it.parts.db.pool.fetchval("SELECT body FROM run_payloads LIMIT 1")
    order = {"dsn": it.parts.db.dsn, "url": url, "count": count, "body": body}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.ceiling", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(json.dumps(order).encode() + b"\n")
    answer: dict[str, float] = json.loads(said)
    if answer["done"] != count:
        raise RuntimeError(f"the loop delivered {answer['done']} of {count}")
    return answer


async def _latency(it: Stage, statuses: Sequence[int], *, hangs: bool = False) -> tuple[float, float]:
    """Median and 99th percentile, in ms, from an event's acceptance to the arrival of its message at the receivers that
    answer 200; those that answer 500, and one that hangs, get as many messages each."""
    count = PER_SECOND * SECONDS
    async with _hanging() as stuck:
        with it.sink() as good, receiver(it.folder, 500) as bad, it.worker(good) as worker:
            urls = [good if status == 200 else bad for status in statuses] + [stuck] * hangs
            await _connect(it, urls)
            wanted = sum(urls[number % len(urls)] == good for number in range(count))
            # The first second warms up; by its end those that are down are known to be.
            await _submit(it, "warm", PER_SECOND, len(urls))
            await asyncio.sleep(2)
            await books_of(good)
            accepted = await _submit(it, "timed", count, len(urls))
            arrived = await _arrived(worker, good, wanted)
    firsts = {json.loads(body)["event"]["id"]: moment for body, moment in reversed(arrived)}
    waits = [max(firsts[id] - accepted[id], 0.0) * 1000 for id in firsts]
    return round(statistics.median(waits), 1), round(statistics.quantiles(waits, n=100)[98], 1)


async def _submit(it: Stage, name: str, count: int, receivers: int) -> dict[str, float]:
    """Submit events one by one at an even pace; the moment at which each was accepted, by its id."""
    submissions, accepted = Submissions(it.parts.db), {}
    begin = time.monotonic()

    async def submit(number: int) -> None:
        await asyncio.sleep(max(begin + number / PER_SECOND - time.monotonic(), 0.0))
        kept = await submissions.submit(it.caller, _event(name, number, receivers))
        accepted[kept.stored.event.id] = time.monotonic()

    await asyncio.gather(*(submit(number) for number in range(count)))
    return accepted


async def _arrived(worker: Process, sink: str, count: int) -> list[tuple[bytes, float]]:
    """The messages that came in at the sink, with their moments, once there are so many."""
    arrived: list[tuple[bytes, float]] = []
    deadline = time.monotonic() + PATIENCE
    while len(arrived) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(arrived)} of {count} messages arrived; {worker.log.read_text()[-1500:]}")
        await asyncio.sleep(0.2)
        arrived += await _messages(sink)
    return arrived


async def _messages(sink: str) -> list[tuple[bytes, float]]:
    """What came in since it was asked last."""
    books = await books_of(sink)
    bodies = (base64.b64decode(each).partition(b"\r\n\r\n")[2] for each in books["requests"])
    return list(zip(bodies, books["moments"], strict=True))


@asynccontextmanager
async def _hanging() -> AsyncIterator[str]:
    """The address of a receiver that takes everything and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _killed(it: Stage, count: int) -> dict[str, int]:
    """What a worker that is killed half-way loses, and what arrives more than once: counted by the receiver."""
    with it.sink() as url:
        await _connect(it, [url])
        await _accept(it, "killed", count)
        with it.worker(url, TOLLBRIDGE_LEASE=LEASE) as doomed:
            arrived = await _arrived(doomed, url, count // 2)
            doomed.kill()
        with it.worker(url, TOLLBRIDGE_LEASE=LEASE) as worker:
            await it.delivered(worker, count)
        arrived += await _messages(url)
    ids = {json.loads(body)["id"] for body, _ in arrived}
    return {"killed_lost": count - len(ids), "killed_repeated": len(arrived) - len(ids)}


async def _celery(it: Stage, url: str, count: int) -> float | str:
    """What the usual build delivers in a second, or why it is not in the same run."""
    if missing := celery_build.missing():
        return f"not compared: {', '.join(missing)} not installed"
    body = await it.parts.db.pool.fetchval("SELECT body FROM run_payloads LIMIT 1")
    return round(await asyncio.to_thread(celery_build.per_second, it.folder, url, body, count))
