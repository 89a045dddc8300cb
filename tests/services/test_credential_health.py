"""A credential that is refused: told once, everything on it held untried, and all released by one repair."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.services.test_alerts import REFUSED, all_of, told
from tests.services.test_safety import add_accounts, errors, is_enabled
from tests.services.test_watching import look
from tests.services.world import CALLER, LIMITS, NOW, ORG, World
from tollbridge.domain.alerts import AlertState, AlertType, Severity
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import clock, credentials, runs, work
from tollbridge.services.run_log import held_for, text_of
from tollbridge.services.work import Settlement
from tollbridge.store.db import connected

DAY = timedelta(days=1)
WORKS = Checked("acct_1", "Tenant one", live=False)


async def status(world: World) -> str:
    (row,) = await world.rows("SELECT status FROM credentials WHERE id = 'cred'")
    return str(row["status"])


async def send(world: World, bill: str, account: str) -> str:
    """Store and dispatch a bill; answers the id of its run in the integration that sends for the account."""
    decisions = await world.dispatch(await world.add_bill(bill, account))
    (run_id,) = [each.run_id for each in decisions if each.run_id is not None]
    return run_id


async def check(world: World, outcome: Checked | Fault) -> None:
    async with world.db.transaction() as tx:
        run_id = await runs.start_check(tx, CALLER, "cred", "STRIPE_TEST", world.now)
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, outcome)


async def test_many_refusals_at_eight_workers_are_one_event_one_alert_and_one_mail(world: World) -> None:
    await world.add_integration("other")
    accounts = [f"acc{number}" for number in range(16)]
    await add_accounts(world, accounts)
    for id, mine in (("int", accounts[:8]), ("other", accounts[8:])):
        await world.change("integrations", id, body={"configData": {"accountIds": mine}})
    run_ids = [await send(world, account, account) for account in accounts]
    claimed = await world.claim(*run_ids)
    assert len(claimed) == 16

    async def settle_some(mine: list[Any]) -> None:
        async with connected(world.db.dsn) as db:
            for each in mine:
                settlement = Settlement(
                    each.run_id, each.fence, REFUSED, timedelta(seconds=1), world.now, 0.5, sealed=each.sealed
                )
                await work.settle(db, world.vault, [settlement], LIMITS)

    await asyncio.gather(*(settle_some(claimed[number::8]) for number in range(8)))
    assert await status(world) == "INVALID"
    assert len(await world.rows("SELECT FROM events WHERE name = 'integration.authentication.error'")) == 1
    (alert,) = await all_of(world.db)
    assert (alert.type, alert.count) == (AlertType.CREDENTIAL_INVALID, 1)
    assert await told(world) == ["opened"]
    # No march to ten: it counted once, at one of the two.
    assert await errors(world) + await errors(world, "other") == 1
    assert await is_enabled(world)


async def test_what_else_is_on_it_is_held_untried_in_every_integration(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"accountIds": ["a"]}})
    await world.add_integration("other", accountIds=["b"])
    first, queued = await send(world, "one", "a"), await send(world, "two", "b")
    (claimed,) = await world.claim(first)
    await world.settle(claimed, REFUSED)
    assert await world.claim(queued) == []
    arrived = await send(world, "three", "a")
    for run_id in (first, queued, arrived):
        run = await world.run(run_id)
        assert (run.state, run.hold_reason) == (RunState.HELD, HoldReason.UNAUTHORIZED)
        assert bool(run.started_at) == (run_id == first)


async def test_a_repaired_credential_releases_all_in_one_act_and_in_order(world: World) -> None:
    first, second = await world.send("one", "a"), await world.send("two", "a")
    other = await world.send("three", "b")
    (claimed,) = await world.claim(first)
    await world.settle(claimed, REFUSED)
    assert await world.claim(second, other) == []
    await check(world, WORKS)
    assert await status(world) == "VALID"
    states = {(await world.run(id)).state for id in (first, second, other)}
    assert states == {RunState.QUEUED}
    assert await world.claim(second) == []
    await world.deliver(first)
    await world.deliver(second, "in_2")
    await world.deliver(other, "in_3")


async def test_a_run_remembers_for_how_long_it_was_held_and_for_which_cause(world: World) -> None:
    first, second = await world.send("one", "a"), await world.send("two", "b")
    (claimed,) = await world.claim(first)
    await world.settle(claimed, REFUSED)
    assert await world.claim(second) == []
    world.later(hours=31)
    await check(world, WORKS)
    (hold,) = (await world.run(first)).holds or ()
    assert (hold["reason"], hold["note"]) == ("unauthorized", REFUSED.message)
    assert held_for(hold).startswith("Held 31 h: credential, until ")
    await world.deliver(first)
    async with world.db.transaction() as tx:
        assert "Held 31 h" in text_of(await runs.run_log(tx, ORG, first))


@pytest.mark.parametrize("known", ["VALID", "INVALID"])
async def test_a_credential_is_checked_once_a_day_whether_it_works_or_not(world: World, known: str) -> None:
    await world.change("credentials", "cred", checked_at=NOW, status=known)
    assert await credentials.check_due(world.db, NOW + DAY) == 0
    due = NOW + DAY + credentials.LOOK_EVERY
    started = await asyncio.gather(*(credentials.check_due(world.db, due) for _ in range(8)))
    assert sum(started) == 1
    assert await credentials.check_due(world.db, due + credentials.LOOK_EVERY) == 0
    (row,) = await world.rows("SELECT flow, created_by, state FROM runs")
    assert tuple(row) == ("check", "SYSTEM", "queued")


async def test_that_the_daily_check_is_refused_is_told(world: World) -> None:
    await world.change("credentials", "cred", checked_at=NOW)
    world.later(days=2)
    assert await credentials.check_due(world.db, world.now) == 1
    (row,) = await world.rows("SELECT id FROM runs")
    (claimed,) = await world.claim(row["id"])
    await world.settle(claimed, REFUSED)
    assert await status(world) == "INVALID"
    (event,) = await world.rows("SELECT name, resource_id FROM events WHERE type = 'IntegrationEvent'")
    assert tuple(event) == ("integration.authentication.error", "cred")
    (alert,) = await all_of(world.db)
    assert (alert.type, alert.credential_id) == (AlertType.CREDENTIAL_INVALID, "cred")
    assert await told(world) == ["opened"]


async def test_a_check_that_finds_the_other_system_away_changes_nothing(world: World) -> None:
    await world.change("credentials", "cred", checked_at=NOW)
    world.later(days=2)
    await credentials.check_due(world.db, world.now)
    (row,) = await world.rows("SELECT id FROM runs")
    (claimed,) = await world.claim(row["id"])
    await world.settle(claimed, Fault(FaultKind.UNAVAILABLE, "http.503", "It is away.", "Wait."))
    assert await status(world) == "VALID"
    assert await all_of(world.db) == []


async def test_a_check_that_somebody_asked_for_is_looked_at_by_them(world: World) -> None:
    await check(world, REFUSED)
    assert await status(world) == "INVALID"
    assert await all_of(world.db) == []


@pytest.mark.parametrize(
    ("left", "severity"),
    [(15 * DAY, None), (13 * DAY, Severity.INFO), (6 * DAY, Severity.WARN), (DAY / 2, Severity.ERROR)],
)
async def test_people_are_told_of_a_known_end_before_it_comes(
    world: World, left: timedelta, severity: Severity | None
) -> None:
    world.now = clock.now()
    await world.change("credentials", "cred", expires_at=world.now + left)
    found = await look(world)
    assert [(each.type, each.severity) for each in found] == (
        [(AlertType.CREDENTIAL_EXPIRING, severity)] if severity else []
    )
    await world.change("credentials", "cred", expires_at=world.now + 300 * DAY)
    assert await look(world) == []
    assert {each.state for each in await all_of(world.db)} <= {AlertState.CLOSED}
