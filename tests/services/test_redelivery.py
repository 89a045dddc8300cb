"""Sending once more: a test, one again, all that failed, what never was sent, and a whole webhook brought back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.services.notifying_world import AWAY, NotifyingWorld
from tests.services.world import CALLER, NOW, ORG
from tollbridge.domain.errors import Conflict, NotFound
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import bringing_back, clock, redelivery, runs
from tollbridge.services.bringing_back import State
from tollbridge.store.db import Database


@pytest.fixture
async def world(db: Database, monkeypatch: pytest.MonkeyPatch) -> NotifyingWorld:
    """One rule that fires always, linked to the webhook `hook`; all clocks are the world's."""
    world = NotifyingWorld(db)
    monkeypatch.setattr(clock, "now", lambda: world.now)
    await world.begin()
    await world.add_webhook()
    await world.add_rule()
    await world.link()
    return world


async def step(world: NotifyingWorld) -> None:
    world.later(seconds=0.5)
    await bringing_back.step(world.db, world.now)


async def gather(world: NotifyingWorld) -> None:
    """From a test that arrived to the moment in which all goes out."""
    await world.deliver_all()
    while (await bringing_back.progress(world.db, CALLER, "hook")).state in (State.TESTING, State.GATHERING):
        await step(world)


async def test_a_test_is_sent_whatever_stands_and_belongs_to_no_rule(world: NotifyingWorld) -> None:
    await world.change("integrations", "rule-hook", enabled=False)
    run = await redelivery.send_test(world.db, CALLER, "hook")
    assert (run.entity_type, run.entity_id) == ("Webhook", "hook")
    [claimed] = await world.claim()
    assert b'"type":"webhook.test"' in claimed.notification.body
    await world.settle(claimed)
    assert (await world.run(run.id)).state is RunState.DELIVERED


async def test_one_that_failed_is_sent_again_under_its_message_id(world: NotifyingWorld) -> None:
    [run_id] = await world.fire()
    with pytest.raises(Conflict, match="goes on by itself"):
        await redelivery.resend(world.db, CALLER, run_id)
    [before] = await world.claim()
    await world.settle(before, AWAY)
    await world.fail()
    again = await redelivery.resend(world.db, CALLER, run_id)
    assert again.replay_of == run_id
    [claimed] = await world.claim()
    assert claimed.notification == before.notification


async def test_what_is_no_longer_kept_cannot_be_sent_again(world: NotifyingWorld) -> None:
    [run_id] = await world.fire()
    await world.deliver_all()
    await world.rows("DELETE FROM run_payloads")
    with pytest.raises(Conflict, match="no longer kept"):
        await redelivery.resend(world.db, CALLER, run_id)
    with pytest.raises(NotFound):
        await redelivery.resend(world.db, CALLER, "nowhere")


async def test_all_that_failed_since_a_moment_is_sent_again_once(world: NotifyingWorld) -> None:
    [old] = await world.fire()
    await world.fail()
    world.later(hours=1)
    since = world.now
    failed = await world.fire("a", "b")
    await world.fail()
    assert await redelivery.recover(world.db, CALLER, "hook", since) == 2
    assert await redelivery.recover(world.db, CALLER, "hook", since) == 0
    assert await world.deliver_all() == [f"msg_{id}" for id in failed]
    assert (await world.run(old)).state is RunState.FAILED


async def test_what_never_was_sent_is_sent_as_the_rules_are_now(world: NotifyingWorld) -> None:
    await world.fire("a")
    await world.deliver_all()
    await world.rows("DELETE FROM integrations")
    assert await world.fire("b", billTotal=5) == []
    assert await world.fire("c", billTotal=50) == []
    await world.change("rules", "rule", body={"calculation": "new.billTotal > 10"})
    await world.link()
    since = world.now - timedelta(hours=1)
    assert await redelivery.replay_missing(world.db, CALLER, "hook", since) == 1
    assert await redelivery.replay_missing(world.db, CALLER, "hook", since) == 0
    [claimed] = await world.claim()
    assert b'"accountId":"c"' in claimed.notification.body


async def test_a_receiver_that_was_down_for_six_hours_gets_all_it_missed_in_order(world: NotifyingWorld) -> None:
    for number in range(1, 12):
        await world.add_rule(f"rule{number}")
        await world.link(f"rule{number}")
    arrived = await sent_by(world, await world.fire("a", "b"))
    made: list[str] = []
    for hour in range(6):
        made += await world.fire("a", "b", "c")
        if hour == 2:
            # By then the safety has disabled half of them.
            await world.rows("UPDATE integrations SET enabled = false WHERE id < 'rule5'")
        await world.fail()
        world.later(hours=1)
    states = await world.states()
    assert states.count("held") > 20
    assert states.count("failed") > 20
    begun = await bringing_back.start(world.db, CALLER, "hook")
    assert begun.state is State.TESTING
    await gather(world)
    [enabled] = await world.rows("SELECT bool_and(enabled) AS all FROM integrations")
    assert enabled["all"]
    fresh = await world.fire("a")
    order = await world.deliver_all()
    await step(world)
    progress = await bringing_back.progress(world.db, CALLER, "hook")
    assert (progress.state, progress.delivered, progress.left) == (State.DONE, len(made), 0)
    assert sorted(order) == sorted(f"msg_{id}" for id in [*made, *fresh])
    assert len(arrived) == 24
    # Of each account the oldest first, and what came meanwhile behind it.
    accounts = {f"msg_{row['id']}": row["account_id"] for row in await world.rows("SELECT id, account_id FROM runs")}
    for account in "abc":
        mine = [message for message in order if accounts[message] == account]
        assert mine == sorted(mine)


async def sent_by(world: NotifyingWorld, run_ids: list[str]) -> list[str]:
    sent = await world.deliver_all()
    assert sorted(sent) == sorted(f"msg_{id}" for id in run_ids)
    return sent


async def test_a_test_that_does_not_arrive_changes_nothing(world: NotifyingWorld) -> None:
    await world.change("integrations", "rule-hook", enabled=False)
    [held] = await world.fire()
    await bringing_back.start(world.db, CALLER, "hook")
    await world.fail()
    await step(world)
    progress = await bringing_back.progress(world.db, CALLER, "hook")
    assert progress.state is State.PAUSED
    assert "did not arrive: The receiver answered 503." in (progress.note or "")
    assert (await world.run(held)).state is RunState.HELD
    [row] = await world.rows("SELECT enabled FROM integrations")
    assert not row["enabled"]


async def test_a_new_failure_holds_the_rest_and_starting_anew_goes_on_with_it(world: NotifyingWorld) -> None:
    await world.change("integrations", "rule-hook", enabled=False)
    made = await world.fire("a", "a", "a", "b")
    await bringing_back.start(world.db, CALLER, "hook")
    await gather(world)
    await world.fail()
    await step(world)
    progress = await bringing_back.progress(world.db, CALLER, "hook")
    assert (progress.state, progress.failed) == (State.PAUSED, 2)
    held = [run for id in made if (run := await world.run(id)).state is RunState.HELD]
    assert {run.hold_reason for run in held} == {HoldReason.RECOVERING}
    assert len(held) == 2
    async with world.db.transaction() as tx:
        assert await runs.release_for_integration(tx, ORG, "rule-hook", world.now) == 0
    assert await world.claim() == []
    await bringing_back.start(world.db, CALLER, "hook")
    await gather(world)
    assert sorted(await world.deliver_all()) == sorted(f"msg_{id}" for id in made)
    await step(world)
    assert (await bringing_back.progress(world.db, CALLER, "hook")).state is State.DONE


async def test_it_can_be_stopped_and_what_is_left_stays_held(world: NotifyingWorld) -> None:
    await world.change("integrations", "rule-hook", enabled=False)
    await world.fire("a", "a", "a")
    await bringing_back.start(world.db, CALLER, "hook")
    with pytest.raises(Conflict, match="brought back already"):
        await bringing_back.start(world.db, CALLER, "hook")
    await gather(world)
    [first] = await world.claim()
    await world.settle(first)
    stopped = await bringing_back.stop(world.db, CALLER, "hook")
    assert (stopped.state, stopped.delivered, stopped.left) == (State.STOPPED, 1, 2)
    assert await world.claim() == []
    with pytest.raises(Conflict, match="not being brought back"):
        await bringing_back.stop(world.db, CALLER, "hook")


async def test_a_webhook_that_was_never_brought_back_has_no_progress(world: NotifyingWorld) -> None:
    with pytest.raises(NotFound):
        await bringing_back.progress(world.db, CALLER, "hook")
    with pytest.raises(NotFound):
        await bringing_back.start(world.db, CALLER, "nowhere")
    assert await bringing_back.step(world.db, NOW) is False
