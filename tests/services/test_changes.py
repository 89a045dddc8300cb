"""Bills that change or are deleted after they were sent: what a run is told, who decides, what becomes of the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.services.world import CALLER, ORG, World, intent
from tollbridge.domain.changes import Choice, Correction, Earlier, MoneyTo, Offer
from tollbridge.domain.conversation import Entry, StepState
from tollbridge.domain.errors import Conflict, Fault, FaultKind, Invalid
from tollbridge.domain.flows import NeedsChoice, Skipped, Withdrawn
from tollbridge.domain.integrations import Cause
from tollbridge.domain.runs import Flow, HoldReason, RunState, RunStatus
from tollbridge.services import changes, runs, work

CREDIT = Offer(Choice.CREDIT_AND_REISSUE, "Credit it.", money=True)
ASKED = NeedsChoice("It changed.", (CREDIT, Offer(Choice.LEAVE, "Leave it.")))
WRONG = Fault(FaultKind.INVALID, "stripe.bad", "Stripe refused the line.", "Repair the bill.")


async def held(world: World) -> str:
    """A run of the second version of a delivered bill, held for a choice."""
    await world.deliver(await world.send("bill", "a"))
    changed = await world.send("bill", "a", revision=2)
    (claimed,) = await world.claim(changed)
    assert claimed.earlier == Earlier(1, "in_1")
    assert claimed.correction == Correction()
    assert await world.settle(claimed, ASKED)
    return changed


async def test_a_changed_bill_waits_for_a_person_and_lets_the_others_of_its_account_pass(world: World) -> None:
    changed = await held(world)
    run = await world.run(changed)
    assert (run.state, run.hold_reason, run.status) == (RunState.HELD, HoldReason.CHANGED, RunStatus.WAITING)
    assert [offer["choice"] for offer in run.offers or ()] == ["credit_and_reissue", "leave"]
    behind = await world.send("other", "a")
    assert [each.run_id for each in await world.claim(behind)] == [behind]
    await work.sweep(world.db, world.now)
    assert (await world.run(changed)).state is RunState.HELD


async def test_people_hear_once_of_each_run_that_waits_for_their_choice(world: World) -> None:
    changed = await held(world)
    ((name, run_id, body),) = await world.rows("SELECT name, run_id, body FROM events WHERE type = 'IntegrationEvent'")
    assert (name, run_id) == ("integration.validation.error", changed)
    assert body["eventData"]["newDto"]["message"].startswith("It changed. Go to the run")
    assert "credit_and_reissue, leave" in body["eventData"]["newDto"]["message"]
    assert body["eventData"]["newDto"]["action"] == "Go to run"
    await work.sweep(world.db, world.now)
    assert len(await world.rows("SELECT FROM events")) == 1
    # Held again after a decision, it needs a person again.
    await changes.decide(world.db, CALLER, changed, {"choice": "leave"})
    world.now = (await world.run(changed)).due_at
    (claimed,) = await world.claim(changed)
    assert await world.settle(claimed, ASKED)
    assert len(await world.rows("SELECT FROM events")) == 2


async def failed_as_decided(world: World) -> str:
    """A run that was decided by a person and then failed for another cause."""
    changed = await held(world)
    body = {"choice": "credit_and_reissue", "money": "refund", "mailCustomer": False}
    world.now = (await changes.decide(world.db, CALLER, changed, body)).due_at
    (claimed,) = await world.claim(changed)
    assert await world.settle(claimed, WRONG)
    return changed


async def test_a_replay_does_as_was_decided_for_the_run_that_failed(world: World) -> None:
    first = await failed_as_decided(world)
    again = await runs.replay(world.db, CALLER, first)
    assert again.decision == {"decidedIn": first, **(await world.run(first)).decision}
    world.now = again.due_at
    (claimed,) = await world.claim(again.id)
    assert claimed.correction == Correction(Choice.CREDIT_AND_REISSUE, MoneyTo.REFUND, mail=False)
    assert await world.settle(claimed, WRONG)
    third = await runs.replay(world.db, CALLER, again.id)
    assert third.decision["decidedIn"] == first


async def test_a_replay_asks_again_where_a_person_wants_it(world: World) -> None:
    again = await runs.replay(world.db, CALLER, await failed_as_decided(world), {"askAgain": True})
    assert again.decision is None
    world.now = again.due_at
    (claimed,) = await world.claim(again.id)
    assert claimed.correction == Correction()


async def test_what_a_person_decides_is_kept_with_name_and_moment_and_the_run_goes_on(world: World) -> None:
    changed = await held(world)
    await world.drop_jobs()
    body = {"choice": "credit_and_reissue", "money": "out_of_band", "mailCustomer": False, "note": "Agreed by phone."}
    decided = await changes.decide(world.db, CALLER, changed, body)
    assert decided.state is RunState.QUEUED
    assert decided.offers is None
    assert decided.decision["by"] == CALLER.principal
    assert decided.decision["note"] == "Agreed by phone."
    assert await world.jobs() == {changed}
    (world.now,) = [decided.due_at]
    (claimed,) = await world.claim(changed)
    assert claimed.correction == Correction(Choice.CREDIT_AND_REISSUE, MoneyTo.OUT_OF_BAND, mail=False)
    assert await world.settle(claimed, Skipped("left as it is"))
    assert (await world.run(changed)).decision["choice"] == "credit_and_reissue"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"choice": "delta"}, "choice"), ({"choice": "credit_and_reissue"}, "money"), ({"choice": "burn"}, "choice")],
)
async def test_a_decision_that_is_not_possible_is_refused(world: World, body: dict[str, str], field: str) -> None:
    changed = await held(world)
    with pytest.raises(Invalid) as refused:
        await changes.decide(world.db, CALLER, changed, body)
    assert refused.value.field == field
    assert (await world.run(changed)).state is RunState.HELD


async def test_a_run_that_waits_for_no_choice_is_not_decided(world: World) -> None:
    run_id = await world.send("bill", "a")
    with pytest.raises(Conflict):
        await changes.decide(world.db, CALLER, run_id, {"choice": "leave"})


async def test_the_policy_of_the_integration_decides_where_it_says_so(world: World) -> None:
    config = {"onChange": "void_and_reissue", "changeMoney": "refund", "changeMail": False}
    await world.change("integrations", "int", body={"destination": "Stripe", "configData": config})
    await world.deliver(await world.send("bill", "a"))
    (claimed,) = await world.claim(await world.send("bill", "a", revision=2))
    assert claimed.correction == Correction(Choice.VOID_AND_REISSUE, MoneyTo.REFUND, mail=False)


async def test_what_was_paid_already_is_told_on_the_wire_and_can_be_decided(world: World) -> None:
    changed = await held(world)
    await changes.decide(world.db, CALLER, changed, {"choice": "leave"})
    world.now = (await world.run(changed)).due_at
    (claimed,) = await world.claim(changed)
    paid = Fault(FaultKind.ALREADY_PAID, "stripe.already_paid", "in_1 is paid.", "Choose another way.")
    assert await world.settle(claimed, NeedsChoice("It is paid.", (CREDIT,), paid))
    assert (await world.run(changed)).status is RunStatus.INVOICE_ALREADY_PAID
    again = await changes.decide(world.db, CALLER, changed, {"choice": "credit_and_reissue", "money": "balance"})
    assert (again.state, again.fault_kind) == (RunState.QUEUED, None)


async def test_what_stood_before_is_remembered_when_the_newer_version_fails_half_way(world: World) -> None:
    await world.deliver(await world.send("bill", "a"))
    (second,) = await world.claim(await world.send("bill", "a", revision=2))
    assert await work.record(world.db, world.vault, [Entry(second.run_id, second.fence, intent=intent(second))]) == [
        True
    ]
    assert await world.settle(second, WRONG)
    (third,) = await world.claim(await world.send("bill", "a", revision=3))
    assert third.earlier == Earlier(1, "in_1")
    assert third.ledgers["Bill", "bill", "invoice"].steps["invoice"].state is StepState.SENT


async def test_a_bill_that_failed_half_way_is_delivered_when_it_was_corrected(world: World) -> None:
    (first,) = await world.claim(await world.send("bill", "a"))
    await work.record(world.db, world.vault, [Entry(first.run_id, first.fence, intent=intent(first))])
    assert await world.settle(first, WRONG)
    (second,) = await world.claim(await world.send("bill", "a", revision=2))
    assert second.earlier == Earlier(1)


async def test_a_replay_knows_that_a_failed_run_of_this_version_left_something_there(world: World) -> None:
    (first,) = await world.claim(await world.send("bill", "a"))
    assert first.earlier is None
    await work.record(world.db, world.vault, [Entry(first.run_id, first.fence, intent=intent(first))])
    assert await world.settle(first, WRONG)
    again = await runs.replay(world.db, CALLER, first.run_id)
    world.now = again.due_at
    (claimed,) = await world.claim(again.id)
    assert claimed.earlier == Earlier(1)


async def test_a_replay_of_what_never_went_out_looks_for_nothing(world: World) -> None:
    (first,) = await world.claim(await world.send("bill", "a"))
    assert await world.settle(first, WRONG)
    again = await runs.replay(world.db, CALLER, first.run_id)
    world.now = again.due_at
    (claimed,) = await world.claim(again.id)
    assert claimed.earlier is None


async def test_an_older_version_that_waits_for_its_next_try_makes_way(world: World) -> None:
    first = await world.send("bill", "a")
    (claimed,) = await world.claim(first)
    down = Fault(FaultKind.UNAVAILABLE, "http.503", "Stripe answered 503.", "It is tried again.")
    assert await world.settle(claimed, down)
    second = await world.send("bill", "a", revision=2)
    world.later(minutes=20)
    assert await world.claim(first) == []
    assert (await world.run(first)).state is RunState.SUPERSEDED
    assert [each.run_id for each in await world.claim(second)] == [second]


# Deleted


async def delete(world: World, id: str = "bill", revision: int = 1) -> list[str]:
    """Delete the bill as its service does; answers the runs that take it back."""
    facts = await world.add_bill(id, "a", revision=revision)
    decisions = await world.dispatch(facts, cause=Cause.DELETED)
    await world.db.pool.execute("DELETE FROM bills WHERE id = $1", id)
    found = [await world.run(each.run_id or "") for each in decisions]
    return [run.id for run in found if run.flow is Flow.WITHDRAW]


async def test_a_deleted_bill_is_taken_back_where_it_was_sent(world: World) -> None:
    delivered = await world.send("bill", "a")
    await world.deliver(delivered)
    (run_id,) = await delete(world)
    (claimed,) = await world.claim(run_id)
    assert (claimed.flow, claimed.earlier, claimed.document) == (Flow.WITHDRAW, Earlier(1, "in_1"), "withdrawal")
    assert claimed.bill is not None
    assert await world.settle(claimed, Withdrawn("Voided in_1."))
    assert (await world.run(run_id)).status is RunStatus.COMPLETE
    # What happened stays readable.
    assert (await world.run(delivered)).external_id == "in_1"


async def test_a_bill_that_was_never_sent_leaves_nothing_to_take_back(world: World) -> None:
    run_id = await world.send("bill", "a")
    assert await delete(world) == []
    assert (await world.run(run_id)).state is RunState.CANCELLED


async def test_what_is_under_way_ends_before_the_deleted_bill_is_taken_back(world: World) -> None:
    first = await world.send("bill", "a")
    (running,) = await world.claim(first)
    (run_id,) = await delete(world)
    assert await world.claim(run_id) == []
    assert await world.settle(running, Fault(FaultKind.UNAVAILABLE, "http.503", "503", "It is tried again."))
    world.later(minutes=20)
    assert await world.claim(first) == []
    assert (await world.run(first)).state is RunState.CANCELLED
    assert [each.run_id for each in await world.claim(run_id)] == [run_id]


async def test_a_bill_that_comes_again_takes_the_place_of_its_withdrawal(world: World) -> None:
    await world.deliver(await world.send("bill", "a"))
    (run_id,) = await delete(world)
    again = await world.send("bill", "a", revision=2)
    assert (await world.run(run_id)).state is RunState.SUPERSEDED
    (claimed,) = await world.claim(again)
    assert claimed.earlier == Earlier(1, "in_1")


async def test_a_failed_withdrawal_is_replayed(world: World) -> None:
    await world.deliver(await world.send("bill", "a"))
    (run_id,) = await delete(world)
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, WRONG)
    again = await runs.replay(world.db, CALLER, run_id)
    assert (again.flow, again.state) == (Flow.WITHDRAW, RunState.QUEUED)


async def test_a_deleted_integration_ends_what_waits_and_leaves_its_history(world: World) -> None:
    await world.deliver(await world.send("one", "a"))
    (waiting,) = await world.claim(await world.send("two", "b"))
    assert await world.settle(waiting, Fault(FaultKind.UNAVAILABLE, "http.503", "503", "It is tried again."))
    async with world.db.transaction() as tx:
        await runs.cancel_for_integration(tx, ORG, "int", world.now)
    await world.db.pool.execute("DELETE FROM integrations")
    world.later(minutes=20)
    assert await world.claim(waiting.run_id) == []
    assert (await world.run(waiting.run_id)).note == "The integration was deleted."
    assert await delete(world, "one") == []
    async with world.db.transaction() as tx:
        found = await runs.list_runs(tx, ORG, integration_id="int")
        assert {run.state for run in found.data} == {RunState.DELIVERED, RunState.CANCELLED}
        assert (await runs.run_log(tx, ORG, waiting.run_id)).account is not None


async def test_a_run_that_would_be_held_for_a_deleted_integration_is_cancelled(world: World) -> None:
    (running,) = await world.claim(await world.send("bill", "a"))
    async with world.db.transaction() as tx:
        await runs.cancel_for_integration(tx, ORG, "int", world.now)
    await world.db.pool.execute("DELETE FROM integrations")
    assert await world.settle(running, Fault(FaultKind.UNAUTHORIZED, "stripe.401", "401", "Replace the key."))
    assert (await world.run(running.run_id)).state is RunState.HELD
    await work.sweep(world.db, world.now)
    assert await world.claim(running.run_id) == []
    run = await world.run(running.run_id)
    assert (run.state, run.note) == (RunState.CANCELLED, "The integration was deleted.")


async def test_a_mapping_that_was_deleted_is_missing_from_the_next_try_on(world: World) -> None:
    run_id = await world.send("bill", "a")
    await world.db.pool.execute(
        "INSERT INTO external_mappings (org_id, id, version, created_at, created_by, updated_at, updated_by, body,"
        " m3ter_entity, m3ter_id, external_system, external_table, external_id)"
        " VALUES ('org', 'm', 1, now(), 't', now(), 't', '{}', 'Account', 'a', 'Stripe', 'Customer', 'cus_1')"
    )
    (claimed,) = await world.claim(run_id)
    assert claimed.mappings.find("Account", "a", "Customer") == "cus_1"
    assert await world.settle(claimed, Fault(FaultKind.UNAVAILABLE, "http.503", "503", "It is tried again."))
    await world.db.pool.execute("DELETE FROM external_mappings")
    world.now += timedelta(minutes=20)
    (again,) = await world.claim(run_id)
    assert again.mappings.find("Account", "a", "Customer") is None
