"""Whatever happens at once: no lane is stuck, no run is forgotten, nothing is delivered twice."""

from __future__ import annotations

import asyncio
import random

from tests.services.world import CALLER, ORG, World
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked, Delivered, Outcome, Skipped
from tollbridge.domain.integrations import BillFacts, Cause
from tollbridge.domain.runs import Flow
from tollbridge.services import runs, work
from tollbridge.services.work import Claimed
from tollbridge.store.db import connected

REFUSED = Fault(FaultKind.UNAUTHORIZED, "stripe.401", "Refused.", "Enter another key.")
WRONG = Fault(FaultKind.INVALID, "stripe.400", "Wrong.", "Repair the bill.")
REVISIONS = 4


async def test_changes_deletions_checks_and_workers_get_along(world: World) -> None:
    await world.add_integration("int2")
    bills = [
        await world.add_bill(f"b{n}", "ab"[n % 2], revision=revision)
        for n in range(8)
        for revision in range(1, REVISIONS + 1)
    ]
    stop = asyncio.Event()
    workers = [asyncio.create_task(_work(world, f"w{n}", stop)) for n in range(3)]
    await asyncio.gather(*(_change(world, bills, seed) for seed in range(3)))
    stop.set()
    await asyncio.gather(*workers)

    stuck = (
        "SELECT l.id FROM lanes l JOIN runs r ON r.id = l.run_id WHERE r.state NOT IN ('queued', 'running', 'waiting')"
    )
    forgotten = "SELECT r.id FROM runs r JOIN lanes l ON l.id = r.lane WHERE r.state = 'queued' AND l.run_id IS NULL"
    twice = "SELECT entity_id FROM runs WHERE state = 'delivered' AND flow = 'deliver' GROUP BY 1 HAVING count(*) > 1"
    for query in (stuck, forgotten, twice):
        assert await world.rows(query) == []
    assert await world.rows("SELECT FROM runs WHERE state = 'delivered' AND flow = 'deliver'")


async def _change(world: World, bills: list[BillFacts], seed: int) -> None:
    """Bills change and are deleted, the credential is checked, what is held is released."""
    chance = random.Random(seed)
    async with connected(world.db.dsn) as db:
        mine = World(db, world.vault, world.now)
        for _ in range(12):
            some = {bill.id: bill for bill in chance.sample(bills, 8)}
            await mine.dispatch(*some.values(), cause=chance.choice([Cause.CALCULATED] * 3 + [Cause.DELETED]))
            async with db.transaction() as tx:
                await runs.release_for_integration(tx, ORG, "int", mine.now)
            async with db.transaction() as tx:
                await runs.start_check(tx, CALLER, "cred", "STRIPE_TEST", mine.now)


async def _work(world: World, name: str, stop: asyncio.Event) -> None:
    """A worker that meets with everything."""
    chance = random.Random(name)
    async with connected(world.db.dsn) as db:
        mine = World(db, world.vault, world.now)
        while not stop.is_set():
            rows = await mine.rows("SELECT id FROM runs WHERE state IN ('queued', 'waiting')")
            for claimed in await mine.claim(*(row["id"] for row in rows), worker=name):
                await mine.settle(claimed, _outcome(claimed, chance))
            await work.sweep(db, mine.now)


def _outcome(claimed: Claimed, chance: random.Random) -> Outcome:
    if claimed.flow is Flow.CHECK:
        return Checked("acct_1", "Tenant one", False)
    outcomes: list[Outcome] = [Delivered(f"in_{claimed.run_id}"), Skipped("Zero."), REFUSED, WRONG]
    return chance.choice(outcomes)
