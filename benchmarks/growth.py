"""`growth`: what a delivery costs in a young store and in one that has delivered much already, and by which plans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import asyncpg

from benchmarks.runs import NO_LIMIT, deliver
from benchmarks.stage import PATIENCE, Stage, stage
from tollbridge.engine.worker import Worker
from tollbridge.outbound.http import Http
from tollbridge.store.db import Database, connect

ROUNDS = 2
PLANNED = 20
"""Bills whose statements are explained."""


async def run(size: int = 300_000, young: int = 10_000, bills: int = 1000) -> dict[str, Any]:
    """`size` and `young` are finished runs in the store, each with its bill, account, steps and ledger row."""
    async with stage() as it:
        with it.sink() as url:
            await it.connect(url, "STRIPE")
            await deliver(it, url, "warm", 100)
            await fill(it, 1, young)
            before = await _cost(it, url, "young", bills)
            await fill(it, young + 1, size)
            after = await _cost(it, url, "old", bills)
            plans = await _plans(it, url)
    return {
        "finished_runs": [young, size],
        "cpu_ms_per_bill": [round(before * 1000, 3), round(after * 1000, 3)],
        "growth": round(after / before - 1, 3),
        "sequential_scans": sorted(
            f"{table}: {statement}" for statement, found in plans.items() for table in found["scanned"]
        ),
        "plans": {statement: found["indexes"] for statement, found in sorted(plans.items())},
    }


async def _cost(it: Stage, url: str, name: str, bills: int) -> float:
    """CPU seconds of worker and database together, per bill."""
    cost = 0.0
    for number in range(ROUNDS):
        spent = await deliver(it, url, f"{name}{number}", bills // ROUNDS)
        cost += spent["cpu"] + spent["database_cpu"]
    return cost / bills


async def fill(it: Stage, first: int, last: int) -> None:
    """Finished runs number first to last with all that belongs to them: copies of one that was delivered."""
    async with it.parts.db.hot() as connection:
        for table, sample, changes in _COPIED:
            await connection.execute(
                f"""
                INSERT INTO {table} SELECT copy.*
                FROM {table} s CROSS JOIN generate_series({first}, {last}) n
                CROSS JOIN LATERAL jsonb_populate_record(s, jsonb_build_object({changes})) copy
                WHERE s.{sample}
                """,  # noqa: S608 (constants)
                timeout=PATIENCE,
            )
    await it.parts.db.pool.execute("VACUUM ANALYZE", timeout=PATIENCE)


async def fill_runs(it: Stage, first: int, last: int, bills: int) -> None:
    """Finished runs alone, over so many bills that are there."""
    if last < first:
        return
    async with it.parts.db.hot() as connection:
        await connection.execute(
            f"""
            INSERT INTO runs SELECT copy.*
            FROM runs s CROSS JOIN generate_series({first}, {last}) n
            CROSS JOIN LATERAL jsonb_populate_record(s, jsonb_build_object(
              'id', '0-' || n, 'entity_id', 'old-' || (n % {bills}) + 1, 'account_id', 'old-' || (n % {bills}) + 1,
              'lane', replace(s.lane, 'warm-0', 'old-' || (n % {bills}) + 1), 'created_at', {_WHEN},
              'completed_at', {_WHEN})) copy
            WHERE s.entity_id = 'bill-warm-0'
            """,  # noqa: S608 (numbers)
            timeout=PATIENCE,
        )
    await it.parts.db.pool.execute("VACUUM ANALYZE", timeout=PATIENCE)


_RUN = "= (SELECT id FROM runs WHERE entity_id = 'bill-warm-0')"
_WHEN = "now() - n * interval '1 second'"
_COPIED = (
    ("accounts", "id = 'warm-0'", "'id', 'old-' || n, 'code', 'old-' || n"),
    ("external_mappings", "m3ter_id = 'warm-0'", "'id', 'old-' || n, 'm3ter_id', 'old-' || n"),
    ("bills", "id = 'bill-warm-0'", f"'id', 'old-' || n, 'account_id', 'old-' || n, 'created_at', {_WHEN}"),
    ("bill_revisions", "bill_id = 'bill-warm-0'", "'bill_id', 'old-' || n"),
    ("lanes", "id LIKE '%/warm-0'", "'id', replace(s.id, 'warm-0', 'old-' || n)"),
    (
        "runs",
        "entity_id = 'bill-warm-0'",
        "'id', '0-' || n, 'entity_id', 'old-' || n, 'account_id', 'old-' || n, "
        f"'lane', replace(s.lane, 'warm-0', 'old-' || n), 'created_at', {_WHEN}, 'completed_at', {_WHEN}",
    ),
    ("run_steps", f"run_id {_RUN}", f"'run_id', '0-' || n, 'started_at', {_WHEN}"),
    ("run_snapshots", f"run_id {_RUN}", "'run_id', '0-' || n"),
    ("ledger", "entity_id = 'bill-warm-0'", "'entity_id', 'old-' || n, 'run_id', '0-' || n"),
)
"""What a delivery leaves behind: the table, the row that is copied, and what is different in its copy number n."""


async def _plans(it: Stage, url: str) -> dict[str, dict[str, list[str]]]:
    """The indexes and the tables read as a whole, for each statement of some deliveries."""
    await it.add_bills("planned", PLANNED)
    seen: dict[str, tuple[Any, ...]] = {}

    async def watch(connection: Any) -> None:
        connection.add_query_logger(lambda asked: seen.setdefault(asked.query, tuple(asked.args)))

    async with asyncpg.create_pool(it.parts.db.dsn, connect=_connect, setup=watch) as pool:
        await _deliver_here(it, Database(it.parts.db.dsn, it.parts.db.engine, pool), url)
    plans = {}
    async with it.parts.db.pool.acquire() as connection:
        for query, args in seen.items():
            if query.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")) and ";" not in query:
                [[plan]] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {query}", *args)
                nodes = list(_nodes(plan[0]["Plan"]))
                plans[" ".join(query.split())[:70]] = {
                    "indexes": sorted({node["Index Name"] for node in nodes if "Index Name" in node}),
                    "scanned": sorted(
                        {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & _GROWING
                    ),
                }
    return plans


_GROWING = {table for table, _, _ in _COPIED} | {"run_records", "events", "pgqueuer", "pgqueuer_log"}


async def _deliver_here(it: Stage, db: Database, url: str) -> None:
    settings = replace(
        it.parts.settings, vendor_urls={"STRIPE": url}, rate_limits={"STRIPE": str(NO_LIMIT)}, database_url=db.dsn
    )
    stop = asyncio.Event()
    async with Http(settings) as http:
        work = asyncio.create_task(Worker(settings, db, it.parts.vault, http).run(stop))
        async with asyncio.timeout(PATIENCE):
            while await it.parts.db.pool.fetchval(  # noqa: ASYNC110 (nobody tells)
                "SELECT count(*) FROM runs WHERE account_id LIKE 'planned-%' AND state <> 'delivered'"
            ):
                await asyncio.sleep(0.2)
        stop.set()
        await work


async def _connect(dsn: str, **_: Any) -> Any:
    return await connect(dsn)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
