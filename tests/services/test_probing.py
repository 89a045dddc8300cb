"""Half-open: one held run of an integration that errors disabled is tried after a while."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.services.notifying_world import AWAY, NotifyingWorld
from tests.services.test_safety import WRONG, open_alerts
from tests.services.world import CALLER, LIMITS, World
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import integrations, probing, work
from tollbridge.store.db import Database, connected

WAIT = LIMITS.probe_after


@pytest.fixture
async def hooks(db: Database) -> NotifyingWorld:
    """An integration that one failure disabled, with two notifications held since."""
    world = NotifyingWorld(db)
    await world.begin()
    await world.add_webhook()
    await world.add_rule()
    await world.link(disableAfter=1)
    await world.fire("a")
    await world.fail()
    world.later(seconds=1)
    await world.fire("b")
    world.later(seconds=1)
    await world.fire("c")
    return world


async def enabled(world: NotifyingWorld | World) -> bool:
    (row,) = await world.rows("SELECT enabled FROM integrations")
    return bool(row["enabled"])


async def test_nothing_is_tried_before_its_time(hooks: NotifyingWorld) -> None:
    assert not await probing.step(hooks.db, hooks.now)
    assert await hooks.claim() == []


async def test_a_success_enables_the_integration_and_the_rest_follows(hooks: NotifyingWorld) -> None:
    hooks.now += WAIT
    assert await probing.step(hooks.db, hooks.now)
    assert not await probing.step(hooks.db, hooks.now)
    (claimed,) = await hooks.claim()
    (first,) = await hooks.rows("SELECT id FROM runs WHERE account_id = 'b'")
    assert claimed.run_id == first["id"]
    await hooks.settle(claimed)
    (row,) = await hooks.rows("SELECT enabled, disabled_reason, errors_in_row, probe_at FROM integrations")
    assert tuple(row) == (True, None, {}, None)
    assert "INTEGRATION_DISABLED" not in await open_alerts(hooks)
    await work.sweep(hooks.db, hooks.now)
    assert len(await hooks.deliver_all()) == 1
    rows = await hooks.rows("SELECT action, principal FROM audit_log ORDER BY at, id")
    assert tuple(rows[-1]) == ("ENABLE", "SYSTEM")


async def test_a_failure_doubles_the_wait_and_the_notification_is_held_as_before(hooks: NotifyingWorld) -> None:
    for times in (1, 2, 4):
        hooks.now += WAIT * times
        begun = hooks.now
        assert await probing.step(hooks.db, hooks.now), times
        await hooks.fail()
        hooks.now = begun
        assert not await enabled(hooks)
        assert await hooks.states() == ["failed", "held", "held"]
        assert not await probing.step(hooks.db, begun + WAIT * times * 2 - timedelta(seconds=1))
    (row,) = await hooks.rows("SELECT id FROM runs WHERE account_id = 'b'")
    run = await hooks.run(row["id"])
    assert (run.hold_reason, run.attempt, run.error) == (HoldReason.DISABLED, 1, AWAY.message)
    # That it is still down is no news.
    assert len(await hooks.rows("SELECT FROM events WHERE name = 'integration.perform.error'")) == 1


async def test_of_eight_workers_one_tries(hooks: NotifyingWorld) -> None:
    hooks.now += WAIT

    async def look() -> bool:
        async with connected(hooks.db.dsn) as db:
            return await probing.step(db, hooks.now)

    assert sum(await asyncio.gather(*(look() for _ in range(8)))) == 1
    assert len(await hooks.claim()) == 1


async def test_what_a_person_disabled_is_not_tried(hooks: NotifyingWorld) -> None:
    await integrations.enable(hooks.db, CALLER, "rule-hook", {"held": "drop"})
    await integrations.disable(hooks.db, CALLER, "rule-hook", {"reason": "Holiday"})
    await hooks.fire("d")
    assert not await probing.step(hooks.db, hooks.now + 1000 * WAIT)


@pytest.mark.parametrize("probe", [None, True])
async def test_bills_are_tried_only_where_that_is_chosen(world: World, probe: bool | None) -> None:
    chosen = {} if probe is None else {"probe": probe}
    await world.change("integrations", "int", body={"configData": {"disableAfter": 1, **chosen}})
    (claimed,) = await world.claim(await world.send("one", "a"))
    await world.settle(claimed, WRONG)
    first, second = await world.send("two", "a"), await world.send("three", "a")
    world.now += WAIT
    assert await probing.step(world.db, world.now) is bool(probe)
    assert await world.claim(second) == []
    if probe:
        await world.deliver(first)
        assert await enabled(world)
        await work.sweep(world.db, world.now)
        await world.deliver(second, "in_2")


async def test_a_bill_that_fails_as_a_probe_has_failed(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"disableAfter": 1, "probe": True}})
    (claimed,) = await world.claim(await world.send("one", "a"))
    await world.settle(claimed, WRONG)
    tried = await world.send("two", "b")
    world.now += WAIT
    await probing.step(world.db, world.now)
    (claimed,) = await world.claim(tried)
    await world.settle(claimed, WRONG)
    assert (await world.run(tried)).state is RunState.FAILED
    assert not await enabled(world)
