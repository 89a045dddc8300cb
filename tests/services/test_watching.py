"""The look for trouble that nobody reports: what is found, once, and closed by itself when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.services.test_alerts import UNMAPPED, WRONG, all_of, fail, told
from tests.services.world import CALLER, World
from tollbridge.domain.alerts import AlertState, AlertType
from tollbridge.domain.flows import Delivered
from tollbridge.services import alerts, clock, integrations, runs, watching
from tollbridge.settings import Settings
from tollbridge.store import workers
from tollbridge.store.alerts import Note, Row
from tollbridge.store.db import Database, connected

QUICK = Settings(database_lag=timedelta(hours=1))


@pytest.fixture
async def world(db: Database) -> World:
    """As elsewhere, but at the present moment: clocks are compared with the database's."""
    world = World(db, now=clock.now())
    await world.begin("a", "b")
    await world.add_integration()
    return world


async def look(world: World, settings: Settings = QUICK) -> Sequence[Row]:
    """Look a period later; answers the alerts that are open then."""
    world.now += watching.PERIOD
    assert await watching.watch(world.db, settings, world.now)
    return [alert for alert in await all_of(world.db) if alert.state is not AlertState.CLOSED]


async def a_worker(world: World) -> None:
    async with world.db.hot() as connection:
        await workers.register(connection, "w1", "host", 1, "1", world.now + timedelta(hours=1), world.now)


async def test_where_all_is_well_nothing_is_found(world: World) -> None:
    await world.deliver(await world.send("one", "a"))
    assert await look(world) == []


async def test_of_many_that_look_one_does(world: World) -> None:
    async def one() -> int:
        async with connected(world.db.dsn) as db:
            return sum([await watching.watch(db, QUICK, world.now) for _ in range(3)])

    assert sum(await asyncio.gather(*(one() for _ in range(6)))) == 1
    world.now += watching.PERIOD
    assert await watching.watch(world.db, QUICK, world.now)


async def test_a_queue_without_a_worker_is_told_once_and_over_when_it_moves(world: World) -> None:
    run_id = await world.send("one", "a")
    await world.send("two", "a")
    assert await look(world) == []
    world.now += QUICK.queue_patience
    (alert,) = await look(world)
    assert (alert.type, alert.run_id, alert.count) == (AlertType.QUEUE_STUCK, run_id, 1)
    assert "no worker is alive" in alert.description
    assert alert.remedy == "Start one: tollbridge worker"
    assert len(await look(world)) == 1
    await world.deliver(run_id)
    assert await look(world) == []
    assert await told(world) == ["opened", "closed"]


async def test_a_queue_that_stands_still_under_live_workers_is_told(world: World) -> None:
    await a_worker(world)
    await world.send("one", "a")
    world.now += QUICK.queue_patience
    (alert,) = await look(world)
    assert "1 workers are alive" in alert.description


async def test_a_long_queue_that_moves_is_no_alert(world: World) -> None:
    first, _ = await world.send("one", "a"), await world.send("two", "b")
    world.now += QUICK.queue_patience
    await world.deliver(first)
    assert await look(world) == []


async def test_a_run_that_waits_behind_another_of_its_lane_is_not_stuck(world: World) -> None:
    first = await world.send("one", "a")
    await world.send("two", "a")
    (claimed,) = await world.claim(first)
    await world.settle(claimed, replace(WRONG, kind=WRONG.kind.RATE_LIMITED, retry_after=timedelta(hours=3)))
    world.now += timedelta(hours=2)
    assert await look(world) == []


async def test_bills_under_way_or_held_for_too_long_are_one_alert_of_their_integration(world: World) -> None:
    await a_worker(world)
    await integrations.disable(world.db, CALLER, "int", {})
    for bill in ("one", "two"):
        await world.send(bill, "a")
        world.later(minutes=1)
    world.now += QUICK.undelivered_after - timedelta(minutes=3, seconds=1)
    assert AlertType.BILL_UNDELIVERED not in {alert.type for alert in await look(world)}
    found = {alert.type: alert for alert in await look(world)}
    alert = found[AlertType.BILL_UNDELIVERED]
    assert (alert.count, alert.integration_id) == (1, "int")
    assert alert.description.startswith("1 bill of int is not delivered yet; bill one has waited since ")
    world.later(minutes=1)
    found = {alert.type: alert for alert in await look(world)}
    assert found[AlertType.BILL_UNDELIVERED].count == 2


async def test_only_bills_in_scope_are_missed(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"restrictedAccountIds": ["a"]}})
    await world.dispatch(await world.add_bill("one", "a"))
    world.now += QUICK.undelivered_after
    assert await look(world) == []


async def test_an_alert_of_failed_runs_closes_when_the_last_of_them_is_made_good(world: World) -> None:
    first = await fail(world, "one", UNMAPPED, "a")
    second = await fail(world, "two", UNMAPPED, "b")
    world.later(seconds=1)
    # That another bill gets through says nothing about those that did not.
    await world.deliver(await world.send("three", "a"), "in_3")
    (alert,) = await look(world)
    assert alert.run_id == second
    await replay(world, second)
    (alert,) = await look(world)
    assert alert.run_id == first, "it names a run that is still to be mended"
    await replay(world, first)
    assert await look(world) == []
    assert await told(world) == ["opened", "closed"]


async def test_a_replay_under_way_does_not_close_the_alert(world: World) -> None:
    run = await runs.replay(world.db, CALLER, await fail(world, "one", WRONG))
    assert len(await look(world)) == 1
    (claimed,) = await world.claim(run.id)
    await world.settle(claimed, WRONG)
    (alert,) = await look(world)
    assert (alert.count, alert.run_id) == (2, run.id)
    assert await told(world) == ["opened"]


async def test_a_failed_run_of_a_bill_that_is_gone_is_not_waited_for(world: World) -> None:
    await fail(world, "one", WRONG)
    await world.db.pool.execute("DELETE FROM bills")
    assert await look(world) == []


async def test_alerts_of_what_was_deleted_or_mended_behind_our_back_close(world: World) -> None:
    await fail(world, "one", WRONG)
    await integrations.disable(world.db, CALLER, "int", {})
    assert len(await look(world)) == 2
    await world.db.pool.execute("DELETE FROM integrations")
    assert await look(world) == []
    notes = [note.text for alert in await all_of(world.db) for note in await notes_of(world, alert)]
    assert notes == ["Closed by itself: the integration was deleted."] * 2


async def test_a_database_that_answers_late_is_told_to_every_organization_but_mailed_once(world: World) -> None:
    await world.db.pool.execute("INSERT INTO organizations VALUES ('other', 'Other', now())")
    (alert,) = await look(world, replace(QUICK, database_lag=timedelta(microseconds=1)))
    assert (alert.type, alert.cause) == (AlertType.DATABASE_LAG, "database_lag:answer")
    assert await world.db.pool.fetchval("SELECT count(*) FROM alerts") == 2
    assert await told(world) == ["opened"]
    assert await look(world) == []
    assert await told(world) == ["opened", "closed"]


async def test_a_clock_that_differs_from_the_databases_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = clock.now
    monkeypatch.setattr(clock, "now", lambda: ahead() + timedelta(seconds=5))
    (alert,) = await look(world, replace(QUICK, database_lag=timedelta(seconds=2)))
    assert alert.cause == "database_lag:clock"
    assert "differ by 5.0 s" in alert.description or "differ by 4.9 s" in alert.description


async def test_a_source_that_falls_silent_is_told_until_a_bill_comes_in(world: World) -> None:
    for day in range(20):
        await world.add_bill(f"b{day}", "a", day=date(2026, 10, 31))
        at = world.now - timedelta(days=19 - day)
        await world.db.pool.execute("UPDATE bills SET created_at = $1 WHERE id = $2", at, f"b{day}")
    world.now += timedelta(days=3, hours=1)
    (alert,) = await look(world)
    assert alert.type is AlertType.SOURCE_SILENT
    assert "usually 24 h" in alert.description
    await world.add_bill("again", "a")
    await world.db.pool.execute("UPDATE bills SET created_at = $1 WHERE id = 'again'", world.now)
    world.now += watching.SILENCE_PERIOD
    assert await look(world) == []
    assert await told(world) == ["opened", "closed"]


async def test_a_newer_version_that_gets_through_makes_the_failure_good(world: World) -> None:
    await fail(world, "one", WRONG)
    newer = await world.send("one", "a", revision=2)
    (claimed,) = await world.claim(newer)
    await world.settle(claimed, Delivered("in_1"))
    assert await look(world) == []


async def replay(world: World, run_id: str) -> None:
    world.later(seconds=1)
    run = await runs.replay(world.db, CALLER, run_id)
    (claimed,) = await world.claim(run.id)
    assert await world.settle(claimed, Delivered(f"in_{run.entity_id}"))


async def notes_of(world: World, alert: Row) -> Sequence[Note]:
    return (await alerts.retrieve(world.db, CALLER, alert.id)).notes
