"""A group of error events is mended by one act: mapped, enabled, sent, with progress; stopped, and gone on with."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.console.trouble import REJECTED, fail, unmapped
from tests.services.test_safety import add_accounts
from tests.services.world import CALLER, ORG, World
from tollbridge.domain.access import Role
from tollbridge.domain.errors import Conflict, Fault, FaultKind, Forbidden, Invalid, NotFound
from tollbridge.domain.event_types import Category
from tollbridge.domain.flows import Delivered
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import clock, events, integrations, mending, work
from tollbridge.services.caller import Caller
from tollbridge.services.mending import Figures, Progress, State
from tollbridge.store.events import Filters

GONE = Fault(FaultKind.INVALID, "stripe.customer_gone", "Stripe knows no customer cus_1.", "Restore it.")


async def several(world: World, count: int, prefix: str = "m") -> None:
    """As many bills that fail for want of a mapping, each of an account of its own."""
    ids = [f"{prefix}{n:03}" for n in range(count)]
    await add_accounts(world, ids)
    for id in ids:
        await fail(world, id, id, unmapped(id))
    world.now = clock.now()


async def event_of(world: World, code: str = "mapping.missing") -> str:
    """The latest event of the group."""
    found = await events.groups(world.db, CALLER, Filters(type=Category.INTEGRATION), 50, None)
    return next(each.group.latest_id for each in found.data if each.group.cause.code == code)


async def go_on(world: World, *, failing: tuple[str, ...] = ()) -> int:
    """One step, and one round of workers; answers how many were sent."""
    await mending.step(world.db, clock.now())
    world.now = clock.now()
    due = [row["id"] for row in await world.rows("SELECT id FROM runs WHERE state = 'queued' ORDER BY id")]
    claimed = await world.claim(*due)
    for each in claimed:
        outcome = GONE if each.entity_id in failing else Delivered(f"in_{each.entity_id}")
        assert await world.settle(each, outcome)
    return len(claimed)


async def finish(world: World, id: str, *, failing: tuple[str, ...] = ()) -> Progress:
    for _ in range(20):
        told = await mending.progress(world.db, CALLER, id)
        if told.mending.state != State.SENDING:
            return told
        await go_on(world, failing=failing)
    raise AssertionError("it comes to no end")


async def test_groups_count_failed_and_held_runs_with_sums(world: World) -> None:
    await several(world, 3)
    await fail(world, "other", "a", REJECTED)
    await world.change("integrations", "int", enabled=False, errors_in_row={"mapping.missing": 3})
    await world.send("held", "b")
    found = await events.groups(world.db, CALLER, Filters(type=Category.INTEGRATION), 50, None)
    told = await mending.figures(world.db, CALLER, [each.group.cause for each in found.data])
    assert {cause.code: figures for cause, figures in told.items()} == {
        "mapping.missing": Figures(3, 1, {"USD": Decimal("40.00")}),
        "stripe.customer_gone": Figures(1, 0, {"USD": Decimal("10.00")}),
    }


async def test_one_act_maps_enables_and_sends_and_says_how_it_ended(world: World) -> None:
    await several(world, 3)
    await world.change("integrations", "int", enabled=False, errors_in_row={"mapping.missing": 3})
    held = await world.send("held", "b")
    stuck = await mending.look(world.db, CALLER, await event_of(world))
    assert (stuck.figures.count, stuck.enabled) == (4, False)
    assert stuck.unmapped == [("Account", "m000"), ("Account", "m001"), ("Account", "m002")]
    body = {"mappings": [{"m3terId": id, "externalId": f"cus_{id}"} for _, id in stuck.unmapped]}
    begun = await mending.start(world.db, CALLER, await event_of(world), body)
    assert (begun.mending.state, begun.mending.total, begun.left) == (State.SENDING, 4, 4)
    assert (await integrations.retrieve(world.db, CALLER, "int")).record["enabled"]
    mapped = await world.rows("SELECT m3ter_id, external_id, external_system, external_table FROM external_mappings")
    assert {tuple(row) for row in mapped} == {(id, f"cus_{id}", "Stripe", "Customer") for _, id in stuck.unmapped}
    # The sweep sends nothing out of turn.
    await work.sweep(world.db, clock.now())
    assert (await world.run(held)).hold_reason is HoldReason.MENDING
    ended = await finish(world, begun.mending.id, failing=("m001",))
    assert (ended.delivered, ended.failed, ended.left) == (3, 1, 0)
    assert ended.mending.note == "3 delivered, 1 still failing: 1 × stripe.customer_gone."
    assert [(each.code, each.count, each.message) for each in ended.failing] == [
        ("stripe.customer_gone", 1, "Stripe knows no customer cus_1.")
    ]


async def test_a_group_of_which_all_is_delivered_is_marked_as_actioned(world: World) -> None:
    await several(world, 2)
    begun = await mending.start(world.db, CALLER, await event_of(world))
    ended = await finish(world, begun.mending.id)
    assert ended.mending.note == "2 delivered, 0 still failing."
    found = await events.groups(world.db, CALLER, Filters(type=Category.INTEGRATION, actioned=False), 50, None)
    assert found.data == []
    with pytest.raises(Conflict, match="Nothing of this group"):
        await mending.start(world.db, CALLER, await event_of(world))


async def test_it_is_paced_and_other_accounts_go_on_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "IN_FLIGHT", 2)
    await several(world, 5)
    begun = await mending.start(world.db, CALLER, await event_of(world))
    await mending.step(world.db, clock.now())
    await mending.step(world.db, clock.now())
    states = {row["state"]: row["n"] for row in await world.rows("SELECT state, count(*) AS n FROM runs GROUP BY 1")}
    assert states == {"failed": 5, "queued": 2}
    world.now = clock.now()
    await world.deliver(await world.send("unaffected", "a"))
    ended = await finish(world, begun.mending.id)
    assert (ended.delivered, ended.failed) == (5, 0)


async def test_it_is_stopped_and_goes_on_with_what_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "IN_FLIGHT", 2)
    await several(world, 4)
    await world.change("integrations", "int", enabled=False, errors_in_row={"mapping.missing": 4})
    held = await world.send("held", "b")
    event = await event_of(world)
    begun = await mending.start(world.db, CALLER, event)
    await go_on(world)
    stopped = await mending.stop(world.db, CALLER, begun.mending.id)
    assert (stopped.mending.state, stopped.delivered) == (State.STOPPED, 2)
    assert await go_on(world) == 0
    await work.sweep(world.db, clock.now())
    assert (await world.run(held)).state is RunState.HELD
    with pytest.raises(Conflict):
        await mending.stop(world.db, CALLER, begun.mending.id)
    assert (await mending.look(world.db, CALLER, event)).figures.count == 3
    again = await mending.start(world.db, CALLER, event)
    ended = await finish(world, again.mending.id)
    assert (ended.delivered, (await world.run(held)).state) == (3, RunState.DELIVERED)


async def test_what_was_stopped_goes_out_where_the_integration_is_enabled_by_hand(world: World) -> None:
    await several(world, 1)
    await world.change("integrations", "int", enabled=False, errors_in_row={"mapping.missing": 1})
    held = await world.send("held", "b")
    begun = await mending.start(world.db, CALLER, await event_of(world))
    await mending.stop(world.db, CALLER, begun.mending.id)
    await integrations.enable(world.db, CALLER, "int")
    assert (await world.run(held)).state is RunState.QUEUED


async def test_what_was_stopped_is_dropped_where_a_person_chooses_that(world: World) -> None:
    await several(world, 1)
    await world.change("integrations", "int", enabled=False, errors_in_row={"mapping.missing": 1})
    held = await world.send("held", "b")
    begun = await mending.start(world.db, CALLER, await event_of(world))
    await mending.stop(world.db, CALLER, begun.mending.id)
    await integrations.disable(world.db, CALLER, "int", {"reason": "Enough"})
    trouble = (await integrations.retrieve(world.db, CALLER, "int")).trouble
    assert trouble is not None
    assert trouble.held.count == 1
    await integrations.enable(world.db, CALLER, "int", {"held": "drop"})
    assert (await world.run(held)).state is RunState.CANCELLED


async def test_mending_one_group_does_not_send_what_was_stopped_in_another(world: World) -> None:
    await several(world, 1)
    await world.change("integrations", "int", enabled=False, errors_in_row={"mapping.missing": 1})
    held = await world.send("held", "b")
    stopped = await mending.start(world.db, CALLER, await event_of(world))
    await mending.stop(world.db, CALLER, stopped.mending.id)
    await fail(world, "other", "a", REJECTED)
    world.now = clock.now()
    begun = await mending.start(world.db, CALLER, await event_of(world, REJECTED.code))
    ended = await finish(world, begun.mending.id)
    assert (ended.mending.total, ended.delivered) == (1, 1)
    assert ((await world.run(held)).state, (await world.run(held)).hold_reason) == (RunState.HELD, HoldReason.MENDING)


async def test_it_stops_where_the_integration_is_disabled_again(world: World) -> None:
    await several(world, 2)
    begun = await mending.start(world.db, CALLER, await event_of(world))
    await integrations.disable(world.db, CALLER, "int", {"reason": "Enough"})
    await mending.step(world.db, clock.now())
    told = await mending.progress(world.db, CALLER, begun.mending.id)
    assert (told.mending.state, told.mending.note) == (State.STOPPED, "The integration was disabled again: Enough")


async def test_eight_workers_that_step_at_once_replay_each_run_once(world: World) -> None:
    await several(world, 10)
    begun = await mending.start(world.db, CALLER, await event_of(world))
    await asyncio.gather(*(mending.step(world.db, clock.now()) for _ in range(8)))
    replays = await world.rows("SELECT replay_of, count(*) AS n FROM runs WHERE replay_of IS NOT NULL GROUP BY 1")
    assert len(replays) == 10
    assert {row["n"] for row in replays} == {1}
    assert (await finish(world, begun.mending.id)).delivered == 10


async def test_of_eight_who_begin_at_once_one_does(world: World) -> None:
    await several(world, 2)
    event = await event_of(world)
    done = await asyncio.gather(*(mending.start(world.db, CALLER, event) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in done) == 7


async def test_what_cannot_be_is_refused_and_leaves_nothing_behind(world: World) -> None:
    await several(world, 1)
    event = await event_of(world)
    with pytest.raises(Invalid) as other:
        await mending.start(world.db, CALLER, event, {"mappings": [{"m3terId": "nobody", "externalId": "x"}]})
    assert other.value.field == "mappings[0].m3terId"
    with pytest.raises(NotFound):
        await mending.start(world.db, CALLER, "none")
    with pytest.raises(NotFound):
        await mending.progress(world.db, CALLER, "none")
    await world.change("integrations", "int", enabled=False)
    with pytest.raises(Forbidden):
        await mending.start(world.db, Caller(ORG, "USER_f", Role.FINANCE), event)
    await world.change("credentials", "cred", status="INVALID")
    with pytest.raises(Conflict, match="no credential that works"):
        await mending.start(world.db, CALLER, event)
    assert await world.rows("SELECT FROM mendings") == []
    assert not (await integrations.retrieve(world.db, CALLER, "int")).record["enabled"]
