"""/metrics: what it tells, and whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from tests.services.world import World
from tollbridge.services import clock, metrics
from tollbridge.services.metrics import Counted
from tollbridge.services.parts import Parts
from tollbridge.store import workers
from tollbridge.store.db import Database


async def read(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of the labels' names."""
    answer = await client.get("http://api/metrics")
    assert answer.status_code == 200
    return {
        (
            sample.name.removeprefix("tollbridge_"),
            *(sample.labels[name] for name in sorted(sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_runs_that_have_not_ended_are_told_by_system_and_state_with_their_age(
    visitor: httpx.AsyncClient, db: Database
) -> None:
    world = World(db, now=clock.now() - timedelta(hours=1))
    await world.begin("a1", "a2")
    await world.add_integration()
    for bill, account in (("b1", "a1"), ("b2", "a1"), ("b3", "a2")):
        run_id = await world.send(bill, account)
    await world.deliver(run_id)
    told = await read(visitor)
    assert told["runs", "queued", "STRIPE_TEST"] == told["queue_runs",] == 2
    assert ("runs", "delivered", "STRIPE_TEST") not in told
    assert 3600 <= told["queue_age_seconds",] < 4000
    assert 3600 <= told["oldest_undelivered_bill_seconds",] < 4000


async def test_what_workers_count_is_added_up_and_durations_are_a_histogram(
    visitor: httpx.AsyncClient, db: Database
) -> None:
    for _ in range(2):
        await metrics.add(
            db,
            {
                (Counted.SETTLED, ("STRIPE", "deliver", "delivered")): 3,
                (Counted.STEP, ("STRIPE", "write", "0.1")): 2,
                (Counted.STEP, ("STRIPE", "write", "+Inf")): 1,
                (Counted.STEP_SECONDS, ("STRIPE", "write")): 70.5,
            },
        )
    told = await read(visitor)
    assert told["runs_settled_total", "deliver", "delivered", "STRIPE"] == 6
    assert told["step_seconds_sum", "write", "STRIPE"] == 141
    assert told["step_seconds_count", "write", "STRIPE"] == 6
    buckets = {labels[2]: value for labels, value in told.items() if labels[0] == "step_seconds_bucket"}
    assert (buckets["0.05"], buckets["0.1"], buckets["60.0"], buckets["+Inf"]) == (0, 4, 4, 6)


async def test_workers_are_told_by_version_as_long_as_they_live(visitor: httpx.AsyncClient, db: Database) -> None:
    async with db.hot() as connection:
        now = clock.now()
        for id, version, seen in (("w1", "1", now), ("w2", "1", now), ("w3", "2", now - timedelta(minutes=5))):
            await workers.register(connection, id, "host", 1, version, seen, now - timedelta(hours=1))
    told = await read(visitor)
    assert {labels[1:]: value for labels, value in told.items() if labels[0] == "workers"} == {("1",): 2}


async def test_without_a_token_it_answers_this_machine_alone(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as stranger:
        refused = await stranger.get("/metrics")
    assert (refused.status_code, refused.json()["code"]) == (403, "metrics.remote")


@pytest.mark.parametrize(("given", "status"), [("Bearer hush", 200), ("Bearer wrong", 403), ("", 403)])
async def test_with_a_token_whoever_sends_it_may_read_and_nobody_else(
    app: FastAPI, parts: Parts, given: str, status: int
) -> None:
    app.state.parts = replace(parts, settings=replace(parts.settings, metrics_token="hush"))
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await client.get("/metrics", headers={"Authorization": given})).status_code == status
