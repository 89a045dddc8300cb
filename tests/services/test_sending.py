"""All sending of an organization is paused: everything is held, and released when it is resumed."""

from __future__ import annotations

import asyncio

import pytest

from tests.services.notifying_world import NotifyingWorld
from tests.services.world import CALLER, World
from tollbridge.domain.deliveries import DeliveryState
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import clock, deliveries, integrations, sending, work
from tollbridge.store.db import Database

REASON = {"reason": "Closing the books"}


async def test_bills_are_held_while_sending_is_paused_and_go_out_in_order_afterwards(world: World) -> None:
    waiting = await world.send("one", "a")
    await sending.pause(world.db, CALLER, REASON)
    arrived = await world.send("two", "a")
    assert await world.claim(waiting, arrived) == []
    world.later(seconds=1)
    assert await world.claim(arrived) == []
    for id in (waiting, arrived):
        run = await world.run(id)
        assert (run.state, run.hold_reason) == (RunState.HELD, HoldReason.PAUSED)
        assert run.note == "All sending is paused: Closing the books"
    (pair,) = await deliveries.of_bill(world.db, CALLER, "one")
    assert (pair.state, pair.reason) == (DeliveryState.HELD, "All sending is paused: Closing the books")
    pause, held = await sending.retrieve(world.db, CALLER)
    assert pause is not None
    assert (pause.by, held) == (CALLER.principal, 2)
    # The sweep leaves it alone, and so does enabling.
    await work.sweep(world.db, world.now)
    assert (await world.run(waiting)).state is RunState.HELD
    assert await sending.resume(world.db, CALLER) == (None, 0)
    world.now = clock.now()
    assert await world.claim(arrived) == []
    await world.deliver(waiting)
    await world.deliver(arrived, "in_2")


async def test_what_is_under_way_ends(world: World) -> None:
    run_id = await world.send("one", "a")
    (claimed,) = await world.claim(run_id)
    await sending.pause(world.db, CALLER, REASON)
    from tests.services.test_safety import DONE

    assert await world.settle(claimed, DONE)


async def test_a_disabled_integration_that_is_enabled_meanwhile_stays_paused(world: World) -> None:
    await world.change("integrations", "int", enabled=False)
    run_id = await world.send("one", "a")
    await sending.pause(world.db, CALLER, REASON)
    await integrations.enable(world.db, CALLER, "int")
    world.now = clock.now()
    assert await world.claim(run_id) == []
    assert (await world.run(run_id)).hold_reason is HoldReason.PAUSED


async def test_what_was_left_behind_by_resuming_is_released_by_the_sweep(world: World) -> None:
    run_id = await world.send("one", "a")
    await world.change("runs", run_id, state="held", hold_reason="paused")
    await work.sweep(world.db, clock.now())
    assert (await world.run(run_id)).state is RunState.QUEUED


async def test_pausing_and_resuming_is_audited_and_refused_twice(world: World) -> None:
    with pytest.raises(Invalid) as missing:
        await sending.pause(world.db, CALLER, {})
    assert missing.value.field == "reason"
    with pytest.raises(Conflict, match="not paused"):
        await sending.resume(world.db, CALLER)
    done = await asyncio.gather(*(sending.pause(world.db, CALLER, REASON) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in done) == 3
    await sending.resume(world.db, CALLER)
    rows = await world.rows("SELECT action, after FROM audit_log WHERE entity = 'Organization' ORDER BY at, id")
    assert [(row["action"], row["after"]) for row in rows] == [("PAUSE", REASON), ("RESUME", {"runs": 0})]


async def test_notifications_are_held_too(db: Database) -> None:
    world = NotifyingWorld(db)
    await world.begin()
    await world.add_webhook()
    await world.add_rule()
    await world.link()
    await sending.pause(db, CALLER, REASON)
    (held,) = await world.fire("a")
    assert await world.claim() == []
    assert (await world.run(held)).hold_reason is HoldReason.PAUSED
    await work.sweep(db, world.now)
    assert await world.claim() == []
    await sending.resume(db, CALLER)
    world.now = clock.now()
    assert len(await world.claim()) == 1
