"""Notifications: fired by rules, claimed by webhook, tried four times, held and released, in order where asked for."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.services.notifying_world import AWAY, NotifyingWorld
from tests.services.world import CALLER, LEASE, ORG
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.runs import HoldReason, RunState, RunStatus
from tollbridge.services import clock, notifying, redelivery, runs, work
from tollbridge.store.db import Database


@pytest.fixture
async def world(db: Database) -> NotifyingWorld:
    """One rule that fires always, linked to the webhook `hook`."""
    world = NotifyingWorld(db)
    await world.begin()
    await world.add_webhook()
    await world.add_rule()
    await world.link()
    return world


async def test_an_event_on_which_a_rule_fires_makes_a_run_that_carries_its_payload(world: NotifyingWorld) -> None:
    [run_id] = await world.fire("acc", billTotal=12)
    [claimed] = await world.claim()
    payload = json.loads(claimed.notification.body)
    assert (claimed.run_id, claimed.attempt) == (run_id, 1)
    assert payload["id"] == claimed.notification.message_id == f"msg_{run_id}"
    assert payload["type"] == "billing.bill.created"
    assert payload["rule"] == {"id": "rule", "code": "rule", "name": "Rule rule"}
    assert (payload["accountId"], payload["new"]["billTotal"], payload["old"]) == ("acc", 12, None)
    run = await world.run(run_id)
    assert (run.entity_type, run.entity_id, run.destination_id) == ("Notification", "rule", "hook")


async def test_a_rule_fires_only_where_its_calculation_is_true(world: NotifyingWorld) -> None:
    await world.add_rule("large", "new.billTotal > 1000")
    await world.link("large")
    assert len(await world.fire(billTotal=10)) == 1
    assert len(await world.fire(billTotal=2000)) == 2


async def test_a_calculation_that_comes_to_nothing_is_seen_at_the_rule_and_replayed_when_mended(
    world: NotifyingWorld,
) -> None:
    await world.add_rule("odd", "new.billTotal / 0 > 1")
    await world.link("odd")
    failed = [await world.run(id) for id in await world.fire(billTotal=10)]
    [odd] = [run for run in failed if run.entity_id == "odd"]
    assert (odd.state, odd.fault_code) == (RunState.FAILED, "rule.calculation")
    assert "division by zero" in (odd.error or "")
    assert odd.error is not None
    assert odd.error.endswith("^")


async def test_rules_of_others_inactive_ones_and_accounts_that_are_left_out_make_no_run(world: NotifyingWorld) -> None:
    await world.change("integrations", "rule-hook", body={"configData": {"restrictedAccountIds": ["b"]}})
    assert [len(await world.fire(account)) for account in ("a", "b")] == [1, 0]
    await world.change("rules", "rule", active=False)
    assert await world.fire("a") == []


async def test_four_attempts_with_two_four_and_eight_seconds_between_them_then_it_has_failed(
    world: NotifyingWorld,
) -> None:
    [run_id] = await world.fire()
    waits = []
    for _ in range(4):
        [claimed] = await world.claim()
        change = await world.settle(claimed, AWAY)
        assert change is not None
        if change.due_at:
            waits.append((change.due_at - world.now).total_seconds())
            assert (await world.run(run_id)).status is RunStatus.AWAITING_RETRY
            world.now = change.due_at - timedelta(milliseconds=1)
            assert await world.claim() == []
            world.now = change.due_at
    assert waits == [2, 4, 8]
    run = await world.run(run_id)
    assert (run.state, run.status, run.attempt) == (RunState.FAILED, RunStatus.ERROR, 4)
    [event] = await world.rows("SELECT name, run_id FROM events WHERE type = 'IntegrationEvent'")
    assert tuple(event) == ("integration.perform.error", run_id)


@pytest.mark.parametrize(("asked", "wait"), [(1, 2), (30, 30), (600, 60)])
async def test_a_receiver_may_lengthen_a_wait_up_to_a_minute_and_never_shorten_it(
    world: NotifyingWorld, asked: int, wait: int
) -> None:
    await world.fire()
    [claimed] = await world.claim()
    busy = Fault(FaultKind.UNAVAILABLE, "webhook.http_429", "Busy.", "Wait.", retry_after=timedelta(seconds=asked))
    change = await world.settle(claimed, busy)
    assert change is not None
    assert change.due_at == world.now + timedelta(seconds=wait)


async def test_a_failure_marks_integration_and_webhook_and_the_first_success_clears_the_mark(
    world: NotifyingWorld,
) -> None:
    async def marks() -> list[bool]:
        [row] = await world.rows(
            "SELECT i.failed_at IS NOT NULL, w.down_since IS NOT NULL FROM integrations i, webhooks w"
        )
        return list(row)

    await world.fire()
    await world.fail(3)
    assert await marks() == [False, False]
    await world.fail(1)
    assert await marks() == [True, True]
    [later] = await world.fire()
    assert (await world.run(later)).state is RunState.QUEUED
    await world.deliver_all()
    assert await marks() == [False, False]


async def test_first_attempts_are_claimed_before_retries(world: NotifyingWorld) -> None:
    await world.fire("a", "b")
    for claimed in await world.claim():
        await world.settle(claimed, AWAY)
    world.later(seconds=5)
    fresh = await world.fire("c", "d", "e")
    assert [each.run_id for each in await world.claim(room=3)] == fresh
    assert len(await world.claim(room=3)) == 2


async def test_a_claim_takes_of_each_webhook_what_there_is_room_for(world: NotifyingWorld) -> None:
    await world.add_webhook("other")
    await world.link("rule", "other")
    await world.fire(*["a"] * 20)
    claimed = await world.claim(room=3)
    assert sorted(each.outlet.webhook_id for each in claimed) == ["hook"] * 3 + ["other"] * 3
    assert {each.outlet.webhook_id for each in await world.claim(room=3, only=["other"])} == {"other"}


async def test_two_workers_never_claim_the_same(world: NotifyingWorld) -> None:
    await world.fire(*["a"] * 10)
    one, two = await world.claim(room=6, worker="w1"), await world.claim(room=6, worker="w2")
    assert len(one) + len(two) == 10
    assert not {each.run_id for each in one} & {each.run_id for each in two}


async def test_what_a_dead_worker_had_claimed_is_taken_over_and_its_late_word_refused(world: NotifyingWorld) -> None:
    [run_id] = await world.fire()
    [claimed] = await world.claim()
    assert await notifying.take_over(world.db, world.now) == 0
    world.now += LEASE
    assert await notifying.take_over(world.db, world.now) == 1
    [again] = await world.claim(worker="w2")
    assert (again.run_id, again.attempt, again.notification) == (run_id, 1, claimed.notification)
    assert await world.settle(claimed) is None
    assert await world.settle(again) is not None


async def test_what_arrives_while_it_is_disabled_is_held_and_sent_when_it_is_enabled(world: NotifyingWorld) -> None:
    [early] = await world.fire()
    await world.change("integrations", "rule-hook", enabled=False)
    [late] = await world.fire()
    assert await world.claim() == []
    for id in (early, late):
        run = await world.run(id)
        assert (run.state, run.hold_reason, run.status) == (RunState.HELD, HoldReason.DISABLED, RunStatus.DISABLED)
    await world.change("integrations", "rule-hook", enabled=True)
    async with world.db.transaction() as tx:
        assert await runs.release_for_integration(tx, ORG, "rule-hook", world.now) == 2
    assert await world.deliver_all() == [f"msg_{early}", f"msg_{late}"]


async def test_a_webhook_that_is_not_active_holds_too_and_the_sweep_lets_go(world: NotifyingWorld) -> None:
    await world.change("webhooks", "hook", active=False)
    [run_id] = await world.fire()
    assert (await world.run(run_id)).state is RunState.HELD
    await world.change("webhooks", "hook", active=True)
    await work.sweep(world.db, world.now)
    assert await world.deliver_all() == [f"msg_{run_id}"]


async def test_a_rule_that_is_no_longer_linked_sends_nothing_more(world: NotifyingWorld) -> None:
    [run_id] = await world.fire()
    await world.rows("DELETE FROM integrations")
    assert await world.claim() == []
    assert (await world.run(run_id)).state is RunState.CANCELLED


async def test_ordered_notifications_of_an_account_go_one_after_the_other(world: NotifyingWorld) -> None:
    await world.change("webhooks", "hook", body={"ordered": True})
    a1, b1, a2, b2, a3 = await world.fire("a", "b", "a", "b", "a")
    first = await world.claim()
    assert {each.run_id for each in first} == {a1, b1}
    of_a, of_b = sorted(first, key=lambda each: each.run_id)
    await world.settle(of_b)
    assert [each.run_id for each in await world.claim()] == [b2]
    # One that waits for its next attempt is waited for; one that failed for good is not.
    await world.settle(of_a, AWAY)
    assert await world.claim() == []
    for _ in range(3):
        world.later(seconds=10)
        [again] = [each for each in await world.claim() if each.run_id == a1]
        await world.settle(again, AWAY)
    assert (await world.run(a1)).state is RunState.FAILED
    assert [each.run_id for each in await world.claim()] == [a2]
    assert (await world.run(a3)).state is RunState.QUEUED


async def test_a_rate_holds_over_all_workers(world: NotifyingWorld) -> None:
    await world.change("webhooks", "hook", body={"perSecond": 5})
    await world.fire(*["a"] * 20)
    assert len(await world.claim(worker="w1")) == 5
    assert await world.claim(worker="w2") == []
    world.later(seconds=0.4)
    assert len(await world.claim(worker="w2")) == 2
    world.later(seconds=60)
    assert len(await world.claim(worker="w1")) == 5


async def test_a_patient_schedule_tries_eight_times_within_twenty_eight_hours(world: NotifyingWorld) -> None:
    await world.change("webhooks", "hook", body={"schedule": "patient"})
    [run_id] = await world.fire()
    began = world.now
    while claimed := await world.claim():
        change = await world.settle(claimed[0], AWAY)
        assert change is not None
        last = world.now
        world.now = change.due_at or world.now
    assert (await world.run(run_id)).attempt == 8
    assert timedelta(hours=27) < last - began < timedelta(hours=31)


async def test_that_telling_of_an_error_failed_is_told_to_nobody(world: NotifyingWorld) -> None:
    await world.add_rule("errors", event="integration.perform.error")
    await world.link("errors")
    [first] = await world.fire()
    await world.fail()
    [echo] = [row["id"] for row in await world.rows("SELECT id FROM runs WHERE id <> $1", first)]
    assert (await world.run(echo)).entity_id == "errors"
    await world.fail()
    assert (await world.run(echo)).state is RunState.FAILED
    assert len(await world.states()) == 2
    assert len(await world.rows("SELECT FROM events WHERE name = 'integration.perform.error'")) == 2


async def test_a_test_that_fails_is_no_error_of_an_integration(world: NotifyingWorld) -> None:
    test = await redelivery.send_test(world.db, CALLER, "hook")
    world.now = clock.now()
    await world.fail()
    assert (await world.run(test.id)).state is RunState.FAILED
    assert not await world.rows("SELECT FROM events")
    assert not await world.rows("SELECT FROM alerts")


async def test_a_webhook_whose_receiver_is_gone_is_made_inactive(world: NotifyingWorld) -> None:
    await world.fire()
    [claimed] = await world.claim()
    for _ in range(2):
        await notifying.deactivate(world.db, claimed.outlet, world.now)
    [webhook] = await world.rows("SELECT active, version, body FROM webhooks")
    assert (webhook["active"], webhook["version"], webhook["body"]) == (False, 2, {"active": False})
    [line] = await world.rows(
        "SELECT principal, after::text FROM audit_log WHERE entity = 'Webhook' AND action = 'UPDATE'"
    )
    assert (line["principal"], line["after"]) == ("SYSTEM", '{"active": false}')
    [held] = await world.fire()
    assert (await world.run(held)).hold_reason is HoldReason.DISABLED
