"""The promise in its hardest cases, each by itself: see docs/reliability.md."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from tests.e2e.stage import Process, Stage, set_up
from tollbridge.services import restores, runs
from tollbridge.settings import Settings
from tollbridge.store.db import connected
from tollbridge.wiring import connect

A_DAY_AND_MORE = timedelta(hours=26)
THREE_DAYS = timedelta(days=3)
TOO_LATE = timedelta(seconds=100)
"""Longer than a write may still take effect."""


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with set_up(database_url, tmp_path) as stage:
        yield stage


async def all_stop(stage: Stage, *workers: Process) -> None:
    """Kill the workers; their jobs are lost with them, since the queue counts with the clock of the database."""
    for worker in workers:
        worker.signal(signal.SIGKILL)
        await worker.gone()
    async with stage.parts.db.hot() as connection:
        await connection.execute("DELETE FROM queue.pgqueuer")


async def pass_time(stage: Stage, span: timedelta) -> Process:
    """The time passes for the vendor; a worker starts that knows it."""
    stage.vendor.stand_in.clock.forward(span.total_seconds())
    return await stage.start_worker(span)


async def ask_vendor(stage: Stage, path: str, **form: str) -> dict[str, Any]:
    """What a person does at the vendor's."""
    headers = {"Authorization": f"Bearer {stage.vendor.key}"}
    async with aiohttp.ClientSession(stage.vendor.url, headers=headers, raise_for_status=True) as web:
        return dict(await (await web.post(path, data=form)).json())


async def step_names(stage: Stage, run_id: str) -> list[str]:
    async with stage.parts.db.hot() as connection:
        rows = await connection.fetch("SELECT name FROM run_steps WHERE run_id = $1 ORDER BY seq", run_id)
    return [row["name"] for row in rows]


async def test_a_write_that_takes_effect_after_a_look_up_said_absent_is_not_sent_again(stage: Stage) -> None:
    worker = await stage.start_worker(TOLLBRIDGE_RUN_ATTEMPTS="1")
    await stage.connect()
    stage.fault(kind="late_commit", method="POST", path="/v1/invoices", times=1, seconds=60)
    await stage.bill("b1", "a0", "12.34")
    [failed] = await stage.ended(1)
    assert failed["state"] == "failed"
    again = await runs.replay(stage.parts.db, stage.caller, failed["id"])
    await stage.reaches("waiting")
    assert (await step_names(stage, again.id))[-1] == "Look for an earlier effect"
    assert stage.invoices() == []
    await all_stop(stage, worker)
    await pass_time(stage, TOO_LATE)
    assert (await stage.ended(2))[1]["state"] == "delivered"
    assert [each["total"] for each in stage.invoices()] == [1234]


async def test_when_the_key_is_forgotten_the_books_are_read_before_anything_is_sent(stage: Stage) -> None:
    worker = await stage.start_worker()
    await stage.connect()
    stage.fault(kind="reply_lost", method="POST", path="/v1/invoices", times=1)
    await stage.bill("b1", "a0", "12.34")
    await stage.reaches("waiting")
    await all_stop(stage, worker)
    await pass_time(stage, A_DAY_AND_MORE)
    [run] = await stage.ended(1)
    assert run["state"] == "delivered"
    assert "Look for an earlier effect" in await step_names(stage, run["id"])
    assert [each["total"] for each in stage.invoices()] == [1234]


async def test_a_worker_that_froze_past_its_lease_has_nothing_more_to_say(stage: Stage) -> None:
    frozen = await stage.start_worker(TOLLBRIDGE_LEASE="2")
    await stage.connect()
    stage.fault(kind="latency", method="POST", path="/v1/invoices", times=1, seconds=1)
    await stage.bill("b1", "a0", "12.34")
    await stage.struck(1)
    frozen.signal(signal.SIGSTOP)
    await stage.start_worker(TOLLBRIDGE_LEASE="2")
    [run] = await stage.ended(1)
    frozen.signal(signal.SIGCONT)
    await frozen.says("run lost to another worker")
    [after] = await stage.runs()
    assert (after["state"], after["version"], after["fence"]) == ("delivered", run["version"], 2)
    assert [each["total"] for each in stage.invoices()] == [1234]


async def test_a_refusal_that_the_vendor_keeps_does_not_outlive_its_repair(stage: Stage) -> None:
    rate = (await ask_vendor(stage, "/v1/tax_rates", display_name="VAT", percentage="19", inclusive="false"))["id"]
    await ask_vendor(stage, f"/v1/tax_rates/{rate}", active="false")
    await stage.start_worker()
    await stage.connect(tax="rates", taxRates={"*": [rate]})
    await stage.bill("b1", "a0", "100.00")
    [failed] = await stage.ended(1)
    assert "archived" in failed["error"]
    await ask_vendor(stage, f"/v1/tax_rates/{rate}", active="true")
    await runs.replay(stage.parts.db, stage.caller, failed["id"])
    assert [run["state"] for run in await stage.ended(2)] == ["failed", "delivered"]
    assert [each["total"] for each in stage.invoices()] == [11900]


async def test_a_database_from_three_days_ago_sends_nothing_twice(stage: Stage) -> None:
    worker = await stage.start_worker()
    await stage.connect(accounts=3)
    worker.signal(signal.SIGTERM)
    await worker.gone()
    await stage.bill("b1", "a0", "12.34")
    await stage.bill("b2", "a1", "5.00")
    backup = await copied(stage)
    worker = await stage.start_worker()
    await stage.bill("b3", "a2", "7.77")
    delivered = {run["entity_id"]: run["external_id"] for run in await stage.ended(3)}
    await all_stop(stage, worker)

    settings = {**stage.environment, "TOLLBRIDGE_DATABASE_URL": backup}
    async with connected(backup) as db:
        restored = replace(stage, parts=connect(Settings.read(settings), db), environment=settings)
        await restores.note(db, THREE_DAYS * 2)
        # What the backup has is old enough to be looked for anyway; the rest the source sends once more, today.
        await restored.bill("b3", "a2", "7.77")
        async with db.hot() as connection:
            await connection.execute(
                "UPDATE bill_revisions SET created_at = created_at + $1 WHERE bill_id = 'b3'", THREE_DAYS
            )
        await pass_time(restored, THREE_DAYS)
        found = {run["entity_id"]: run["external_id"] for run in await restored.ended(3)}
    assert found == delivered
    assert sorted(each["total"] for each in stage.invoices()) == [500, 777, 1234]


async def copied(stage: Stage) -> str:
    """A copy of the stage's database; its connections are cut for that."""
    dsn = urlsplit(stage.parts.db.dsn)
    name = dsn.path[1:]
    server = await asyncpg.connect(dsn._replace(path="/postgres").geturl())
    try:
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await server.execute(f"CREATE DATABASE {name}_backup TEMPLATE {name} STRATEGY wal_log")
    finally:
        await server.close()
    return dsn._replace(path=f"/{name}_backup").geturl()
