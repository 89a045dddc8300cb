"""What workers ask of the database: one run of a lane in flight, stale workers refused, lost work taken over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.services.world import CALLER, LEASE, LIMITS, NOW, ORG, TENANT, World, intent
from tollbridge.domain.conversation import Entry, LedgerState, StepDone, StepKind, StepState
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked, Delivered, Reply, Skipped, Subject, Written
from tollbridge.domain.integrations import IntegrationStatus
from tollbridge.domain.runs import Flow, HoldReason, Paused, RunState, RunStatus
from tollbridge.services import integrations, runs, work
from tollbridge.services.sealing import seal_fields
from tollbridge.services.work import Settlement
from tollbridge.store import restores
from tollbridge.store.db import connected

DOWN = Fault(FaultKind.UNAVAILABLE, "http.503", "Stripe answered 503.", "It is tried again.")
REFUSED = Fault(FaultKind.UNAUTHORIZED, "stripe.401", "Stripe refused the key.", "Enter another key.")
WRONG = Fault(FaultKind.INVALID, "stripe.bad", "Stripe refused the line.", "Repair the bill.")


async def test_a_claimed_run_has_all_that_its_flow_needs(world: World) -> None:
    await world.change("integrations", "int", body={"destination": "Stripe", "configData": {"finish": "draft"}})
    run_id = await world.send("bill", "a")
    (claimed,) = await world.claim(run_id)
    assert claimed.secrets == {"apiKey": "key of cred"}
    assert claimed.config == {"finish": "draft"}
    assert claimed.tenant == TENANT
    assert claimed.bill is not None
    bill = claimed.bill()
    assert bill.total == Decimal("10.00")
    assert bill.account.email == "a@example.org"
    assert (claimed.fence, claimed.attempt, claimed.next_seq, claimed.started_at) == (1, 1, 1, NOW)
    assert claimed.ledgers["Bill", "bill", "invoice"].state is LedgerState.NONE
    assert (await world.run(run_id)).status is RunStatus.STARTED


async def test_a_claimed_run_is_not_claimed_again(world: World) -> None:
    run_id = await world.send("bill", "a")
    assert await world.claim(run_id)
    assert await world.claim(run_id, worker="w2") == []


async def test_a_linked_mapping_beats_a_general_one_and_other_tenants_do_not_count(world: World) -> None:
    mapping = (
        "INSERT INTO external_mappings SELECT 'org', $1, 1, now(), '', now(), '', '{}', 'Account', 'a', 'Stripe',"
        " 'Customer', $1, $2, $3"
    )
    for id, integration, tenant in [
        ("cus_linked", "int", None),
        ("cus_learnt", None, TENANT),
        ("cus_general", None, None),
        ("cus_other_tenant", None, "STRIPE_TEST:acct_2"),
        ("cus_other_integration", "int2", TENANT),
    ]:
        await world.db.pool.execute(mapping, id, integration, tenant)
    (claimed,) = await world.claim(await world.send("bill", "a"))
    assert claimed.mappings.find("Account", "a", "Customer") == "cus_linked"
    async with world.db.transaction() as tx:
        log = await runs.run_log(tx, ORG, claimed.run_id)
    assert [entry["externalId"] for entry in log.mappings] == ["cus_linked"]


async def test_at_most_one_run_of_a_lane_is_in_flight_and_in_order(world: World) -> None:
    lanes = {account: [await world.send(f"{account}{n}", account) for n in range(5)] for account in "ab"}
    everything = [run_id for run_ids in lanes.values() for run_id in run_ids]
    started: dict[str, list[str]] = {"a": [], "b": []}
    in_flight: dict[str, int] = {"a": 0, "b": 0}

    async def worker(name: str) -> None:
        async with connected(world.db.dsn) as db:
            mine = World(db, world.vault, world.now)
            while sum(map(len, started.values())) < len(everything):
                claimed = await mine.claim(*everything, worker=name)
                for each in claimed:
                    assert each.account_id is not None
                    started[each.account_id].append(each.run_id)
                    in_flight[each.account_id] += 1
                    assert in_flight[each.account_id] == 1
                await asyncio.sleep(0)
                for each in claimed:
                    assert each.account_id is not None
                    in_flight[each.account_id] -= 1
                    assert await mine.settle(each, Delivered(f"in_{each.entity_id}"))

    await asyncio.gather(*(worker(f"w{n}") for n in range(4)))
    assert started == lanes


async def test_settling_a_run_enqueues_the_next_of_its_lane(world: World) -> None:
    first, second = await world.send("one", "a"), await world.send("two", "a")
    assert await world.jobs() == {first}
    await world.drop_jobs()
    await world.deliver(first)
    assert await world.jobs() == {second}


async def test_a_run_that_waits_keeps_its_lane(world: World) -> None:
    first, second = await world.send("one", "a"), await world.send("two", "a")
    (claimed,) = await world.claim(first)
    assert await world.settle(claimed, DOWN)
    world.later(days=1)
    assert [each.run_id for each in await world.claim(first, second)] == [first]


async def test_a_stale_worker_can_neither_record_nor_settle(world: World) -> None:
    run_id = await world.send("bill", "a")
    (stale,) = await world.claim(run_id)
    world.later(seconds=11)
    (fresh,) = await world.claim(run_id, worker="w2")
    assert fresh.fence == stale.fence + 1
    assert await work.record(world.db, world.vault, [Entry(run_id, stale.fence, intent=intent(stale))]) == [False]
    assert not await world.settle(stale, Delivered("in_stale"))
    assert (await world.run(run_id)).state is RunState.RUNNING
    assert not await world.rows("SELECT FROM run_steps")
    assert [row["state"] for row in await world.rows("SELECT state FROM ledger")] == ["none"]
    assert await work.heartbeat(world.db, "w1", [(run_id, stale.fence)], world.now, LEASE) == {run_id}
    assert await work.heartbeat(world.db, "w2", [(run_id, fresh.fence)], world.now, LEASE) == set()


async def test_what_was_recorded_is_there_on_the_takeover(world: World) -> None:
    run_id = await world.send("bill", "a")
    (first,) = await world.claim(run_id)
    kept = Reply(200, {"x": "y"}, b'{"id":"in_1"}')
    done = _write_done(first, kept)
    assert await work.record(world.db, world.vault, [Entry(run_id, first.fence, intent=intent(first))]) == [True]
    entry = Entry(run_id, first.fence, done=done, intent=intent(first, "finalise", 2))
    assert await work.record(world.db, world.vault, [entry]) == [True]
    world.later(seconds=11)
    (second,) = await world.claim(run_id, worker="w2")
    assert second.records["invoice"].reply == kept
    assert second.records["invoice"].writes
    assert second.next_seq == 3
    steps = second.ledgers["Bill", "bill", "invoice"].steps
    assert {key: step.state for key, step in steps.items()} == {
        "invoice": StepState.DONE,
        "finalise": StepState.SENT,
    }
    assert steps["invoice"].first_sent_at == NOW
    assert second.ledgers["Bill", "bill", "invoice"].state is LedgerState.SENT


async def test_a_second_send_of_an_epoch_keeps_the_time_of_the_first(world: World) -> None:
    (claimed,) = await world.claim(await world.send("bill", "a"))
    first = intent(claimed)
    again = replace(first, at=NOW + timedelta(hours=1))
    renewed = replace(first, at=NOW + timedelta(hours=2), epoch=2)
    for each, first_sent_at in [(first, NOW), (again, NOW), (renewed, renewed.at)]:
        await work.record(world.db, world.vault, [Entry(claimed.run_id, claimed.fence, intent=each)])
        ((steps,),) = await world.rows("SELECT steps FROM ledger")
        assert steps["invoice"]["first_sent_at"] == first_sent_at.isoformat()
        assert steps["invoice"]["last_sent_at"] == each.at.isoformat()


async def test_an_account_made_there_is_learnt_for_the_tenant(world: World) -> None:
    (claimed,) = await world.claim(await world.send("bill", "a"))
    done = _write_done(
        claimed,
        Reply(200),
        key="customer",
        subject=Subject("Account", "a", 1, "customer"),
        learnt=Written("Account", "a", "Customer", "cus_1"),
    )
    await work.record(world.db, world.vault, [Entry(claimed.run_id, claimed.fence, done=done)])
    await work.record(world.db, world.vault, [Entry(claimed.run_id, claimed.fence, done=done)])
    mappings = await world.rows("SELECT external_id, tenant, created_by FROM external_mappings")
    assert [tuple(row) for row in mappings] == [("cus_1", TENANT, "INTEGRATION_int")]
    world.later(seconds=11)
    (again,) = await world.claim(claimed.run_id)
    assert again.ledgers["Account", "a", "customer"].external_id == "cus_1"
    assert again.mappings.find("Account", "a", "Customer") == "cus_1"


async def test_a_delivery_stands_in_the_ledger_and_nothing_of_the_conversation_is_left(world: World) -> None:
    (claimed,) = await world.claim(await world.send("bill", "a"))
    outcome = Delivered("in_1", "https://stripe.example/in_1", Decimal("10.00"), "USD")
    settlement = Settlement(
        claimed.run_id, claimed.fence, outcome, timedelta(seconds=2), NOW, 0.5, _write_done(claimed, Reply(200))
    )
    assert all(await work.settle(world.db, world.vault, [settlement], LIMITS))
    run = await world.run(claimed.run_id)
    assert (run.state, run.external_id, run.total) == (RunState.DELIVERED, "in_1", Decimal("10.00"))
    ((state, version, external_id, total),) = await world.rows("SELECT state, version, external_id, total FROM ledger")
    assert (state, version, external_id, total) == ("done", 1, "in_1", Decimal("10.00"))
    assert not await world.rows("SELECT FROM run_records")
    assert len(await world.rows("SELECT FROM run_steps")) == 1


async def test_a_delivered_bill_is_not_delivered_again_by_another_integration_of_the_tenant(world: World) -> None:
    await world.add_integration("int2")
    bill = await world.add_bill("bill", "a")
    first, second = [each.run_id or "" for each in await world.dispatch(bill)]
    claimed = await world.claim(first, second)
    assert [each.run_id for each in claimed] == [first]
    assert await world.settle(claimed[0], Delivered("in_1"))
    assert await world.claim(second) == []
    skipped = await world.run(second)
    assert skipped.state is RunState.SKIPPED
    assert skipped.note == f"Already delivered as in_1 by run {first}."


@pytest.mark.parametrize(
    ("table", "id", "change", "reason"),
    [
        ("integrations", "int", {"enabled": False}, HoldReason.DISABLED),
        ("integrations", "int", {"credential_id": None}, HoldReason.DISCONNECTED),
        ("credentials", "cred", {"status": "INVALID"}, HoldReason.UNAUTHORIZED),
        ("credentials", "cred", {"status": "UNCHECKED"}, HoldReason.DISCONNECTED),
    ],
)
async def test_a_run_that_may_not_start_is_held_and_goes_on_when_the_cause_is_gone(
    world: World, table: str, id: str, change: dict[str, object], reason: HoldReason
) -> None:
    run_id = await world.send("bill", "a")
    before = {"enabled": True, "credential_id": "cred"} if table == "integrations" else {"status": "VALID"}
    await world.change(table, id, **change)
    assert await world.claim(run_id) == []
    assert (await world.run(run_id)).hold_reason is reason
    await world.drop_jobs()
    await work.sweep(world.db, world.now)
    assert await world.jobs() == set()
    await world.change(table, id, **before)
    await work.sweep(world.db, world.now)
    assert await world.jobs() == {run_id}
    assert [each.run_id for each in await world.claim(run_id)] == [run_id]


async def test_a_run_whose_bill_was_deleted_is_cancelled(world: World) -> None:
    run_id = await world.send("bill", "a")
    await world.db.pool.execute("DELETE FROM bill_revisions")
    assert await world.claim(run_id) == []
    assert (await world.run(run_id)).state is RunState.CANCELLED


async def test_a_run_whose_job_was_lost_is_enqueued_again(world: World) -> None:
    first, second = await world.send("one", "a"), await world.send("two", "a")
    await world.drop_jobs()
    assert await work.sweep(world.db, world.now) == 1
    assert await work.sweep(world.db, world.now) == 0
    assert await world.jobs() == {first}
    assert second not in await world.jobs()


async def test_a_run_of_a_killed_worker_is_enqueued_when_its_lease_ends(world: World) -> None:
    run_id = await world.send("bill", "a")
    await world.claim(run_id)
    assert await work.sweep(world.db, world.now) == 0
    world.later(seconds=11)
    # The job of the killed worker is still there; the new one has another key.
    assert await work.sweep(world.db, world.now) == 1
    assert [each.run_id for each in await world.claim(run_id, worker="w2")] == [run_id]


async def test_a_vendor_that_is_not_available_is_tried_again_and_then_given_up(world: World) -> None:
    run_id = await world.send("bill", "a")
    for attempt in (1, 2):
        (claimed,) = await world.claim(run_id)
        assert claimed.attempt == attempt
        assert await world.settle(claimed, DOWN)
        waiting = await world.run(run_id)
        assert (waiting.state, waiting.status) == (RunState.WAITING, RunStatus.AWAITING_RETRY)
        assert await world.claim(run_id) == []
        world.later(minutes=20)
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, DOWN)
    assert (await world.run(run_id)).status is RunStatus.ERROR
    ((name, body),) = await world.rows("SELECT name, body FROM events WHERE type = 'IntegrationEvent'")
    assert name == "integration.perform.error"
    assert body["eventData"]["newDto"]["message"] == "Stripe answered 503. It is tried again."
    assert body["eventData"]["newDto"]["runId"] == run_id


async def test_a_pause_is_no_attempt(world: World) -> None:
    run_id = await world.send("bill", "a")
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, Paused(NOW + timedelta(minutes=1), "Waits for Stripe."))
    assert await world.claim(run_id) == []
    world.later(minutes=2)
    (again,) = await world.claim(run_id)
    assert (again.attempt, again.worked) == (1, timedelta(seconds=1))


async def test_a_refused_key_holds_all_runs_on_it_and_is_told_once(world: World) -> None:
    one, two, three = await world.send("one", "a"), await world.send("two", "b"), await world.send("three", "b")
    first, second = await world.claim(one, two)
    assert await world.settle(first, REFUSED)
    assert await world.settle(second, REFUSED)
    assert await world.claim(three) == []
    for run_id in (one, two, three):
        run = await world.run(run_id)
        assert (run.hold_reason, run.status) == (HoldReason.UNAUTHORIZED, RunStatus.AUTH_FAILED)
    events = await world.rows("SELECT name FROM events WHERE type = 'IntegrationEvent'")
    assert [row["name"] for row in events] == ["integration.authentication.error"]
    ((status, error),) = await world.rows("SELECT status, error FROM credentials")
    assert (status, error) == ("INVALID", "Stripe refused the key.")


async def test_a_refusal_of_the_old_key_says_nothing_of_the_new_one(world: World) -> None:
    one, two = await world.send("one", "a"), await world.send("two", "b")
    first, second = await world.claim(one, two)
    # While they were at work the key was replaced, and the old one revoked.
    await world.change("credentials", "cred", candidate=seal_fields(world.vault, "cred", {"apiKey": "new"}))
    (checking,) = await world.claim(await _start_check(world))
    assert await world.settle(checking, Checked("acct_1", "Tenant one", False))
    assert await world.settle(first, REFUSED)
    ((status, error),) = await world.rows("SELECT status, error FROM credentials")
    assert (status, error) == ("VALID", None)
    assert not await world.rows("SELECT FROM events WHERE type = 'IntegrationEvent'")
    assert (await world.run(one)).state is RunState.HELD
    await work.sweep(world.db, world.now)
    (again,) = await world.claim(one)
    assert again.secrets == {"apiKey": "new"}
    # What the new key cannot do counts.
    assert await world.settle(again, REFUSED)
    assert await world.settle(second, REFUSED)
    assert [row["status"] for row in await world.rows("SELECT status FROM credentials")] == ["INVALID"]
    assert len(await world.rows("SELECT FROM events WHERE type = 'IntegrationEvent'")) == 1


async def test_a_check_that_succeeds_lets_the_held_runs_go_on(world: World) -> None:
    run_id = await world.send("bill", "a")
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, REFUSED)
    await world.drop_jobs()
    check = await _start_check(world)
    (checking,) = await world.claim(check)
    assert (checking.flow, checking.bill, checking.tenant) == (Flow.CHECK, None, "")
    assert await world.settle(checking, Checked("acct_1", "Tenant one", False))
    assert (await world.run(check)).state is RunState.DELIVERED
    assert await world.jobs() == {check, run_id}
    ((status, error),) = await world.rows("SELECT status, error FROM credentials")
    assert (status, error) == ("VALID", None)


async def test_a_new_secret_takes_the_place_of_the_old_one_when_it_opens_the_same_tenant(world: World) -> None:
    await world.change("credentials", "cred", candidate=seal_fields(world.vault, "cred", {"apiKey": "new"}))
    (checking,) = await world.claim(await _start_check(world))
    assert checking.secrets == {"apiKey": "new"}
    assert await world.settle(checking, Checked("acct_1", "Tenant one", False))
    (claimed,) = await world.claim(await world.send("bill", "a"))
    assert claimed.secrets == {"apiKey": "new"}


async def test_a_new_secret_that_opens_another_tenant_is_refused_with_both_names(world: World) -> None:
    await world.change("credentials", "cred", candidate=seal_fields(world.vault, "cred", {"apiKey": "new"}))
    check = await _start_check(world)
    (checking,) = await world.claim(check)
    assert await world.settle(checking, Checked("acct_2", "Tenant two", False))
    run = await world.run(check)
    assert run.status is RunStatus.ERROR
    assert "Tenant one" in (run.error or "")
    assert "Tenant two" in (run.error or "")
    (claimed,) = await world.claim(await world.send("bill", "a"))
    assert claimed.secrets == {"apiKey": "key of cred"}
    ((candidate,),) = await world.rows("SELECT candidate FROM credentials")
    assert candidate is None


async def test_a_newer_check_cuts_the_older_one_off(world: World) -> None:
    (old,) = await world.claim(await _start_check(world))
    newer = await _start_check(world)
    assert not await world.settle(old, Checked("acct_1", "Tenant one", False))
    assert (await world.run(old.run_id)).state is RunState.CANCELLED
    assert [each.run_id for each in await world.claim(newer)] == [newer]


async def test_an_outage_during_a_check_leaves_the_credential_as_it_was(world: World) -> None:
    (checking,) = await world.claim(await _start_check(world))
    assert await world.settle(checking, DOWN)
    assert (await world.run(checking.run_id)).state is RunState.FAILED
    ((status,),) = await world.rows("SELECT status FROM credentials")
    assert status == "VALID"


async def test_who_waits_for_a_run_learns_when_it_settles(world: World) -> None:
    run_id = await world.send("bill", "a")
    waiting = asyncio.create_task(runs.wait_settled(world.db, ORG, run_id, timedelta(seconds=20)))
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, Skipped("The total is zero."))
    assert (await waiting).state is RunState.SKIPPED
    assert (await runs.wait_settled(world.db, ORG, run_id, timedelta(seconds=20))).note == "The total is zero."


async def test_a_settled_group_changes_each_run_by_itself(world: World) -> None:
    one, two = await world.send("one", "a"), await world.send("two", "b")
    first, second = await world.claim(one, two)
    settlements = [
        Settlement(first.run_id, first.fence, Delivered("in_1"), timedelta(0), NOW, 0.5),
        Settlement(second.run_id, second.fence + 1, Delivered("in_2"), timedelta(0), NOW, 0.5),
    ]
    settled, refused = await work.settle(world.db, world.vault, settlements, LIMITS)
    assert settled
    assert refused is None
    assert (await world.run(one)).state is RunState.DELIVERED
    assert (await world.run(two)).state is RunState.RUNNING


async def test_a_fault_for_good_fails_the_run_and_tells_what_to_do(world: World) -> None:
    (claimed,) = await world.claim(await world.send("bill", "a"))
    assert await world.settle(claimed, WRONG)
    run = await world.run(claimed.run_id)
    assert (run.state, run.error, run.hint) == (RunState.FAILED, WRONG.message, WRONG.hint)
    ((name,),) = await world.rows("SELECT name FROM events WHERE type = 'IntegrationEvent'")
    assert name == "integration.validation.error"
    assert (await integrations.retrieve(world.db, CALLER, "int")).standing.status is IntegrationStatus.FAILED
    await world.deliver(await world.send("next", "a"))
    assert (await integrations.retrieve(world.db, CALLER, "int")).standing.status is IntegrationStatus.CONNECTED


async def test_workers_share_the_requests_and_slots_of_a_credential(world: World) -> None:
    async def ask(worker: str, tokens: int, slots: int) -> tuple[int, int, timedelta]:
        return await work.permits(
            world.db,
            "cred",
            worker,
            want_tokens=tokens,
            want_slots=slots,
            rate=10,
            burst=10,
            concurrency=6,
            now=world.now,
        )

    answers = await asyncio.gather(*(ask(f"w{n}", 4, 6) for n in range(3)))
    assert sum(tokens for tokens, _, _ in answers) == 10
    assert sum(slots for _, slots, _ in answers) <= 6
    # Who came first gives up what is more than its share as soon as it asks again.
    shares = [await ask(f"w{n}", 4, 6) for _ in range(2) for n in range(3)][3:]
    assert shares == [(0, 2, timedelta(seconds=0.1))] * 3
    world.later(seconds=16)
    assert await ask("w9", 20, 6) == (10, 6, timedelta(0))
    await work.block_until(world.db, "cred", world.now + timedelta(seconds=5))
    world.later(seconds=2)
    assert await ask("w9", 1, 0) == (0, 0, timedelta(seconds=3))
    world.later(seconds=3)
    assert (await ask("w9", 1, 0))[0] == 1


async def test_a_worker_is_alive_as_long_as_it_gives_signs(world: World) -> None:
    async def alive() -> bool:
        async with world.db.transaction() as tx:
            return await runs.any_worker_alive(tx, world.now)

    assert not await alive()
    await work.register_worker(world.db, "w1", "host", 1, "0.1.0", world.now)
    assert await alive()
    world.later(minutes=1)
    assert not await alive()
    await work.heartbeat(world.db, "w1", [], world.now, LEASE)
    assert await alive()
    await work.leave(world.db, "w1")
    assert not await alive()


async def _start_check(world: World) -> str:
    async with world.db.transaction() as tx:
        return await runs.start_check(tx, CALLER, "cred", "STRIPE_TEST", world.now)


def _write_done(
    claimed: work.Claimed,
    reply: Reply,
    *,
    key: str = "invoice",
    subject: Subject | None = None,
    learnt: Written | None = None,
) -> StepDone:
    own = Subject(claimed.entity_type, claimed.entity_id, claimed.revision, claimed.document)
    return StepDone(
        seq=1,
        key=key,
        name="Create",
        kind=StepKind.WRITE,
        attempt=1,
        started_at=NOW,
        completed_at=NOW,
        request_hash="hash",
        request_shown='{"method":"POST"}',
        status=reply.status,
        epoch=1,
        reply=reply,
        ledger=(subject or own, key, StepState.DONE),
        learnt=learnt,
    )


async def test_old_bodies_leave_the_run_log_and_its_steps_stay(world: World) -> None:
    for seq, age in ((1, 91), (2, 90), (3, 1)):
        await world.rows(
            "INSERT INTO run_steps (run_id, seq, key, name, kind, attempt, started_at, request, reply)"
            " VALUES ('run', $1, 'k', 'Create', 'write', 1, $2, '{}', '{}')",
            seq,
            NOW - timedelta(days=age),
        )
    kept = "SELECT seq FROM run_steps WHERE request IS NOT NULL AND reply IS NOT NULL ORDER BY seq"
    await work.trim(world.db, NOW, timedelta(0), timedelta(days=28))
    assert [row["seq"] for row in await world.rows(kept)] == [1, 2, 3]
    await work.trim(world.db, NOW, timedelta(days=90), timedelta(days=28))
    assert [row["seq"] for row in await world.rows(kept)] == [2, 3]
    assert len(await world.rows("SELECT FROM run_steps WHERE name = 'Create'")) == 3


async def test_a_bill_that_comes_in_now_is_sent_without_a_look(world: World) -> None:
    (claimed,) = await world.claim(await world.send("bill", "a"))
    assert not claimed.look_first


async def test_a_bill_older_than_the_keys_that_protect_it_is_looked_for_first(world: World) -> None:
    run_id = await world.send("bill", "a")
    world.later(hours=24)
    (claimed,) = await world.claim(run_id)
    assert claimed.look_first


async def test_after_a_restore_every_bill_is_looked_for_first_for_a_while(world: World) -> None:
    async with world.db.hot() as connection:
        await restores.add(connection, NOW, NOW + timedelta(days=7))
    (claimed,) = await world.claim(await world.send("bill", "a"))
    assert claimed.look_first
    world.later(days=7)
    await world.rows("UPDATE bill_revisions SET created_at = $1", world.now)
    (claimed,) = await world.claim(claimed.run_id)
    assert not claimed.look_first
