"""First sends and the volume of a month: never more goes out before somebody had a look and continued."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.services.test_safety import WRONG, add_accounts
from tests.services.world import CALLER, ORG, World
from tollbridge.domain.deliveries import DeliveryState
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.flows import Delivered, Skipped
from tollbridge.domain.runs import HoldReason, RunState, RunStatus
from tollbridge.services import clock, deliveries, guarding, integrations, runs, work
from tollbridge.services.caller import Caller
from tollbridge.store.db import connected

WORKERS = 8


async def made(world: World, **options: Any) -> str:
    """An integration with these options, as the API makes it."""
    body = {
        "destination": "STRIPE_TEST",
        "entityType": "Bill",
        "name": "Invoices",
        "integrationCredentialsId": "cred",
        "configData": options,
    }
    await integrations.delete(world.db, CALLER, "int")
    world.now = clock.now()
    return (await integrations.create(world.db, CALLER, body)).record.id


async def changed(world: World, id: str, **options: Any) -> None:
    record = (await integrations.retrieve(world.db, CALLER, id)).record
    body = {**record.body, "name": record["name"], "configData": options}
    await integrations.update(world.db, CALLER, id, body)
    world.now = clock.now()


async def bills(world: World, count: int, *, day: date = date(2026, 10, 31), prefix: str = "bill") -> list[str]:
    """Bills of as many accounts; answers their runs."""
    found = []
    for n in range(count):
        account = f"{prefix}{n}"
        await add_accounts(world, [account])
        (decision,) = await world.dispatch(await world.add_bill(account, account, day=day))
        assert decision.run_id
        found.append(decision.run_id)
    return found


async def work_off(world: World, run_ids: list[str]) -> list[str]:
    """Claim and deliver what is let through; answers which."""
    done = []
    for claimed in await world.claim(*run_ids):
        assert await world.settle(claimed, Delivered(f"in_{claimed.entity_id}", f"https://there/{claimed.entity_id}"))
        done.append(claimed.run_id)
    return done


async def states(world: World, run_ids: list[str]) -> list[RunState]:
    return [(await world.run(id)).state for id in run_ids]


async def test_eight_workers_that_race_never_send_more_than_was_said(world: World) -> None:
    id = await made(world, firstSends=3)
    run_ids = await bills(world, 24)

    async def worker(number: int) -> list[str]:
        """Each claims over a connection of its own, in an order of its own, one by one and again."""
        got: list[str] = []
        async with connected(world.db.dsn) as db:
            for run_id in run_ids[number * 3 :] + run_ids[: number * 3]:
                claimed = await work.claim(db, world.vault, [run_id], f"w{number}", clock.now(), work.SLOT_LEASE)
                got += [each.run_id for each in claimed]
        return got

    got = [run_id for each in await asyncio.gather(*map(worker, range(WORKERS))) for run_id in each]
    assert len(got) == len(set(got)) == 3
    found = await guarding.waiting(world.db, CALLER, id)
    assert (found.first, found.sent_count, found.held.count) == (3, 3, 21)
    assert found.held.totals == {"USD": Decimal("210.00")}
    # What is under way ends, the sweep comes by, workers come back: nothing more goes out.
    await world.change("runs", got[0], lease_until=clock.now())
    await work.sweep(world.db, clock.now())
    again = [run_id for each in await asyncio.gather(*map(worker, range(WORKERS))) for run_id in each]
    assert set(again) <= set(got)


async def test_many_at_once_are_held_to_the_number_too(world: World) -> None:
    await made(world, firstSends=2)
    run_ids = await bills(world, 5)
    assert await work_off(world, run_ids) == run_ids[:2]
    assert await states(world, run_ids) == [RunState.DELIVERED] * 2 + [RunState.HELD] * 3


async def test_what_is_held_says_so_in_the_log_the_lists_and_the_reconciliation(world: World) -> None:
    await made(world, firstSends=1)
    run_ids = await bills(world, 2)
    await work_off(world, run_ids)
    run = await world.run(run_ids[1])
    assert (run.state, run.hold_reason, run.status) == (RunState.HELD, HoldReason.FIRST_SENDS, RunStatus.WAITING)
    told = "The first bill goes out, then the integration waits for a look at them. Continue it, and this is sent."
    assert run.note == told
    (pair,) = await deliveries.of_bill(world.db, CALLER, "bill1")
    assert (pair.state, pair.reason) == (DeliveryState.HELD, told)


async def test_before_it_goes_on_links_and_totals_of_what_was_sent_are_shown(world: World) -> None:
    id = await made(world, firstSends=2)
    run_ids = await bills(world, 4)
    await work_off(world, run_ids)
    found, released = await guarding.go_on(world.db, CALLER, id)
    assert {(each.bill_id, each.external_id, each.url) for each in found.sent} == {
        ("bill0", "in_bill0", "https://there/bill0"),
        ("bill1", "in_bill1", "https://there/bill1"),
    }
    assert (found.delivered_count, found.totals) == (2, {"USD": Decimal("20.00")})
    assert released == 2
    world.now = clock.now()
    assert await work_off(world, run_ids) == run_ids[2:]
    later = await bills(world, 3, prefix="later")
    assert await work_off(world, later) == later
    with pytest.raises(Conflict, match="does not wait"):
        await guarding.go_on(world.db, CALLER, id)
    rows = await world.rows("SELECT principal FROM audit_log WHERE action = 'CONTINUE'")
    assert [row["principal"] for row in rows] == [CALLER.principal]


async def test_of_eight_who_continue_at_once_one_does(world: World) -> None:
    id = await made(world, firstSends=1)
    await work_off(world, await bills(world, 3))
    people = [Caller(ORG, f"USER_{n}") for n in range(WORKERS)]
    done = await asyncio.gather(*(guarding.go_on(world.db, each, id) for each in people), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in done) == WORKERS - 1


async def test_a_bill_that_failed_may_be_sent_again_and_takes_no_second_place(world: World) -> None:
    id = await made(world, firstSends=1)
    first, second = await bills(world, 2)
    (claimed,) = await world.claim(first, second)
    await world.settle(claimed, WRONG)
    again = await runs.replay(world.db, CALLER, first)
    world.now = clock.now()
    assert await work_off(world, [again.id, second]) == [again.id]
    assert (await guarding.waiting(world.db, CALLER, id)).sent_count == 1


async def test_a_bill_for_which_nothing_was_sent_gives_its_place_to_another(world: World) -> None:
    await made(world, firstSends=1)
    run_ids = await bills(world, 3)
    (claimed,) = await world.claim(*run_ids)
    await work.sweep(world.db, world.now)
    assert (await states(world, run_ids))[1:] == [RunState.HELD] * 2
    await world.settle(claimed, Skipped("Nothing is due."))
    await work.sweep(world.db, clock.now())
    world.now = clock.now()
    assert await work_off(world, run_ids) == [run_ids[1]]


async def test_another_number_takes_hold_and_begins_anew_once_it_was_continued(world: World) -> None:
    id = await made(world, firstSends=1)
    run_ids = await bills(world, 8)
    assert await work_off(world, run_ids) == run_ids[:1]
    await changed(world, id, firstSends=2)
    assert await work_off(world, run_ids) == run_ids[1:2]
    await changed(world, id, firstSends=2, probe=True)
    assert await work_off(world, run_ids) == []
    await guarding.go_on(world.db, CALLER, id)
    await changed(world, id, firstSends=2)
    await changed(world, id, firstSends=3)
    assert await work_off(world, run_ids) == run_ids[2:5]
    await changed(world, id)
    assert await work_off(world, run_ids) == run_ids[5:]


async def test_pausing_disabling_and_the_guards_do_not_release_each_others_runs(world: World) -> None:
    id = await made(world, firstSends=1)
    run_ids = await bills(world, 3)
    await work_off(world, run_ids)
    await integrations.disable(world.db, CALLER, id, {"reason": "Closing"})
    await integrations.enable(world.db, CALLER, id)
    await work.sweep(world.db, clock.now())
    assert (await world.run(run_ids[1])).hold_reason is HoldReason.FIRST_SENDS
    await integrations.disable(world.db, CALLER, id, {"reason": "Closing"})
    await guarding.go_on(world.db, CALLER, id)
    world.now = clock.now()
    assert await work_off(world, run_ids) == []
    assert (await world.run(run_ids[1])).hold_reason is HoldReason.DISABLED


@pytest.mark.parametrize("odd", [Decimal("2.0"), True, "2"])
async def test_a_number_that_was_written_oddly_stops_no_sweep(world: World, odd: Any) -> None:
    id = await made(world, firstSends=odd)
    run_ids = await bills(world, 4)
    let_through = len(await work_off(world, run_ids))
    await work.sweep(world.db, clock.now())
    assert (let_through, (await world.run(run_ids[3])).hold_reason) == (int(odd), HoldReason.FIRST_SENDS)
    assert (await guarding.waiting(world.db, CALLER, id)).any


async def test_a_month_of_more_than_twice_the_last_waits_until_it_is_continued(world: World) -> None:
    id = await made(world, volumeGuard=True)
    await work_off(world, await bills(world, 2, day=date(2026, 9, 30), prefix="last"))
    run_ids = await bills(world, 6)
    assert await work_off(world, run_ids) == run_ids[:4]
    run = await world.run(run_ids[4])
    assert (run.state, run.hold_reason) == (RunState.HELD, HoldReason.VOLUME)
    assert run.note is not None
    assert run.note.startswith("2026-10 would come to 5 bills, more than twice the 2 of 2026-09.")
    found, released = await guarding.go_on(world.db, CALLER, id)
    assert [(month.period, month.last_period) for month in found.months] == [("2026-10", "2026-09")]
    assert (found.delivered_count, found.totals, released) == (4, {"USD": Decimal("40.00")}, 2)
    world.now = clock.now()
    assert await work_off(world, run_ids) == run_ids[4:]
    more = await bills(world, 3, prefix="more")
    assert await work_off(world, more) == more
    with pytest.raises(Conflict):
        await guarding.go_on(world.db, CALLER, id)


async def test_what_was_delivered_before_the_guard_was_set_is_what_it_compares_with(world: World) -> None:
    id = await made(world)
    await work_off(world, await bills(world, 1, day=date(2026, 9, 30), prefix="last"))
    await changed(world, id, volumeGuard=True)
    run_ids = await bills(world, 3)
    assert await work_off(world, run_ids) == run_ids[:2]
    await changed(world, id)
    assert await work_off(world, run_ids) == run_ids[2:]


async def test_eight_workers_that_race_never_send_more_of_a_month(world: World) -> None:
    await made(world, volumeGuard=True)
    await work_off(world, await bills(world, 2, day=date(2026, 9, 30), prefix="last"))
    run_ids = await bills(world, 24)
    mine = [run_ids[n::WORKERS] for n in range(WORKERS)]
    got = await asyncio.gather(*(world.claim(*each, worker=f"w{n}") for n, each in enumerate(mine)))
    assert sum(map(len, got)) == 4


@pytest.mark.parametrize("number", [-1, 1001, "three"])
async def test_a_number_that_cannot_be_is_refused_by_name(world: World, number: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await made(world, firstSends=number)
    assert refused.value.field == "configData.firstSends"


async def test_the_largest_number_is_taken(world: World) -> None:
    assert await made(world, firstSends=1000)
