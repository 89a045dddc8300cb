"""Which bills become runs: scope, approval, cut-over, holds, superseding, deletion, what exists already."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.services.world import CALLER, ORG, World
from tollbridge.domain.errors import Conflict, Fault, FaultKind, NotFound
from tollbridge.domain.flows import Delivered
from tollbridge.domain.integrations import Cause, Verdict, decide, scope_of
from tollbridge.domain.known_errors import ACCOUNT_FILTER
from tollbridge.domain.runs import HoldReason, RunState, RunStatus
from tollbridge.services import runs
from tollbridge.services.dispatch import count_in_scope, dispatch_bills, send_existing
from tollbridge.services.filtering import filtered
from tollbridge.store.db import raw

WRONG = Fault(FaultKind.INVALID, "stripe.bad", "Stripe refused the line.", "Repair the bill.")


async def test_a_bill_goes_to_every_integration_in_whose_scope_it_is(world: World) -> None:
    await world.add_integration("late", sendFrom="2026-11-01")
    await world.add_integration("others", restrictedAccountIds=["a"])
    decisions = await world.dispatch(await world.add_bill("bill", "a"))
    assert {each.integration_id: each.verdict for each in decisions} == {
        "int": Verdict.SEND,
        "late": Verdict.TOO_OLD,
        "others": Verdict.OUT_OF_SCOPE,
    }
    assert "2026-11-01" in next(each.reason for each in decisions if each.integration_id == "late")
    assert len(await world.jobs()) == 1


async def test_with_only_send_on_approval_a_bill_waits_for_its_approval(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"onlySendOnApproval": True}})
    bill = await world.add_bill("bill", "a")
    (waits,) = await world.dispatch(bill)
    assert (waits.verdict, waits.run_id) == (Verdict.AWAITS_APPROVAL, None)
    (sent,) = await world.dispatch(replace(bill, status="APPROVED"), cause=Cause.APPROVED)
    assert sent.verdict is Verdict.SEND


async def test_a_version_that_a_run_carries_makes_no_second_run(world: World) -> None:
    bill = await world.add_bill("bill", "a")
    (first,) = await world.dispatch(bill)
    (again,) = await world.dispatch(replace(bill, status="APPROVED"), cause=Cause.APPROVED)
    assert (again.verdict, again.run_id) == (Verdict.ALREADY, first.run_id)


@pytest.mark.parametrize(
    ("integration", "reason", "status"),
    [
        ({"enabled": False}, HoldReason.DISABLED, RunStatus.DISABLED),
        ({"credential_id": None}, HoldReason.DISCONNECTED, RunStatus.WAITING),
    ],
)
async def test_a_bill_that_cannot_be_sent_now_is_held_and_released_later(
    world: World, integration: dict[str, object], reason: HoldReason, status: RunStatus
) -> None:
    await world.change("integrations", "int", **integration)
    run_id = await world.send("bill", "a")
    run = await world.run(run_id)
    assert (run.hold_reason, run.status) == (reason, status)
    assert await world.jobs() == set()
    await world.change("integrations", "int", enabled=True, credential_id="cred")
    async with world.db.transaction() as tx:
        assert await runs.release_for_integration(tx, ORG, "int", world.now) == 1
    assert await world.jobs() == {run_id}


async def test_a_newer_version_supersedes_a_run_that_has_not_started(world: World) -> None:
    first = await world.send("bill", "a")
    second = await world.send("bill", "a", revision=2)
    assert (await world.run(first)).state is RunState.SUPERSEDED
    assert [each.run_id for each in await world.claim(first, second)] == [second]


async def test_a_newer_version_leaves_a_run_that_has_started_alone(world: World) -> None:
    first = await world.send("bill", "a")
    (claimed,) = await world.claim(first)
    second = await world.send("bill", "a", revision=2)
    assert await world.claim(second) == []
    assert await world.settle(claimed, Delivered("in_1"))
    assert (await world.run(first)).state is RunState.DELIVERED


async def test_an_old_version_is_not_sent_while_the_new_one_waits_for_approval(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"onlySendOnApproval": True}})
    bill = await world.add_bill("bill", "a")
    (sent,) = await world.dispatch(replace(bill, status="APPROVED"), cause=Cause.APPROVED)
    await world.dispatch(await world.add_bill("bill", "a", revision=2))
    assert (await world.run(sent.run_id or "")).state is RunState.SUPERSEDED


async def test_deleting_a_bill_cancels_what_has_not_started_and_frees_the_lane(world: World) -> None:
    bill = await world.add_bill("bill", "a")
    (decision,) = await world.dispatch(bill)
    behind = await world.send("behind", "a")
    (cancelled,) = await world.dispatch(bill, cause=Cause.DELETED)
    assert (cancelled.verdict, cancelled.run_id) == (Verdict.CANCELLED, decision.run_id)
    run = await world.run(cancelled.run_id or "")
    assert (run.state, run.status, run.note) == (RunState.CANCELLED, RunStatus.ERROR, "The bill was deleted.")
    assert behind in await world.jobs()


async def test_deleting_an_integration_cancels_what_has_not_started_and_lets_the_rest_finish(world: World) -> None:
    first, second = await world.send("one", "a"), await world.send("two", "a")
    (claimed,) = await world.claim(first)
    async with world.db.transaction() as tx:
        assert await runs.cancel_for_integration(tx, ORG, "int", world.now) == 1
    assert (await world.run(second)).state is RunState.CANCELLED
    assert await world.settle(claimed, Delivered("in_1"))


async def test_a_run_that_is_rolled_back_leaves_no_job(world: World) -> None:
    bill = await world.add_bill("bill", "a")

    async def dispatch_and_fail() -> None:
        async with world.db.transaction() as tx:
            await dispatch_bills(tx, ORG, [bill], Cause.CALCULATED, world.now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await dispatch_and_fail()
    assert await world.jobs() == set()
    assert not await world.rows("SELECT FROM runs")


async def test_existing_bills_are_sent_once_and_counted_before(world: World) -> None:
    bills = [await world.add_bill(f"b{n}", "ab"[n % 2], day=date(2026, 10, 1 + n)) for n in range(6)]
    await world.deliver((await world.dispatch(bills[0]))[0].run_id or "")
    await world.dispatch(bills[1])
    await world.change("integrations", "int", body={"configData": {"sendFrom": "2026-10-02", "accountIds": ["a", "b"]}})
    async with world.db.transaction() as tx:
        counted = await count_in_scope(tx, ORG, "int")
    assert (counted.count, counted.sums) == (4, {"USD": Decimal("40.00")})
    assert await send_existing(world.db, CALLER, "int") == 4
    assert await send_existing(world.db, CALLER, "int") == 0
    with pytest.raises(NotFound):
        await send_existing(world.db, CALLER, "nothing")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"accountIds": ["a"]},
        {"restrictedAccountIds": ["a"]},
        {"sendFrom": "2026-10-03"},
        {"onlySendOnApproval": True},
        {"accountIds": ["a"], "sendFrom": "2026-10-02", "onlySendOnApproval": True},
        {"accountFilter": "address.country == US"},
        {"accountFilter": "address.country == US", "onlySendOnApproval": True},
        {"accountFilter": "id == a ? 1 / 0 == 1 : true"},
    ],
)
async def test_the_count_and_the_decision_know_the_same_scope(world: World, config: dict[str, object]) -> None:
    await world.change("integrations", "int", body={"configData": config})
    bills = [await world.add_bill(f"b{n}", "ab"[n % 2], day=date(2026, 10, 1 + n // 2)) for n in range(8)]
    bills[6:] = [replace(bill, status="APPROVED") for bill in bills[6:]]
    for bill in bills:
        await world.change("bills", bill.id, status=bill.status)
    await _set_country(world, "a", "US")
    async with world.db.transaction() as tx:
        (scope,) = await filtered(await raw(tx), ORG, [scope_of(config)])
        sent = [bill for bill in bills if decide(scope, bill)[0] is Verdict.SEND]
        counted = await count_in_scope(tx, ORG, "int")
    assert (counted.count, counted.undecided) == (len(sent), len(scope.by_filter.undecided))
    assert await send_existing(world.db, CALLER, "int") == len(sent)


# Account filters


async def test_two_integrations_share_the_bills_by_the_country_of_their_accounts(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"accountFilter": "address.country == US"}})
    await world.add_integration("uk", accountFilter="address.country == UK")
    await _set_country(world, "a", "US")
    await _set_country(world, "b", "UK")
    bills = [await world.add_bill("one", "a"), await world.add_bill("two", "b")]
    decisions = {(each.bill_id, each.integration_id): each for each in await world.dispatch(*bills)}
    assert {key for key, each in decisions.items() if each.verdict is Verdict.SEND} == {("one", "int"), ("two", "uk")}
    assert "account filter: address.country == UK" in decisions["one", "uk"].reason
    assert len(await world.jobs()) == 2


async def test_a_filter_sees_the_account_as_it_is_when_the_bill_comes(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"accountFilter": "address.country == US"}})
    (before,) = await world.dispatch(await world.add_bill("one", "a"))
    await _set_country(world, "a", "US")
    (after,) = await world.dispatch(await world.add_bill("two", "a"))
    assert (before.verdict, after.verdict) == (Verdict.OUT_OF_SCOPE, Verdict.SEND)


async def test_a_bill_on_which_the_filter_comes_to_nothing_is_told_to_people_and_sent_once_it_is_mended(
    world: World,
) -> None:
    await world.change("integrations", "int", body={"configData": {"accountFilter": "1 / customFields.seats > 0"}})
    await _change_account(world, "a", customFields={"seats": 0})
    (decision,) = await world.dispatch(await world.add_bill("bill", "a"))
    assert (decision.verdict, decision.run_id) == (Verdict.UNDECIDED, None)
    assert "division by zero, at line 1, column 3" in decision.reason
    (event,) = await world.rows("SELECT * FROM events")
    assert (event["name"], event["resource_id"], event["integration_id"]) == (
        "integration.validation.error",
        "bill",
        "int",
    )
    message = event["body"]["eventData"]["newDto"]["message"]
    assert message == f"{decision.reason} {ACCOUNT_FILTER.remedy}"
    assert await send_existing(world.db, CALLER, "int") == 0
    await _change_account(world, "a", customFields={"seats": 5})
    assert await send_existing(world.db, CALLER, "int") == 1


async def test_taking_back_an_approval_cancels_also_what_a_filter_leaves_out_by_now(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"onlySendOnApproval": True}})
    bill = await world.add_bill("bill", "a")
    (sent,) = await world.dispatch(replace(bill, status="APPROVED"), cause=Cause.APPROVED)
    config = {"onlySendOnApproval": True, "accountFilter": "1 / 0 == 1"}
    await world.change("integrations", "int", body={"configData": config})
    (cancelled,) = await world.dispatch(bill, cause=Cause.WITHDRAWN)
    assert (cancelled.verdict, cancelled.run_id) == (Verdict.CANCELLED, sent.run_id)


async def _set_country(world: World, account: str, country: str) -> None:
    await _change_account(world, account, address={"country": country})


async def _change_account(world: World, account: str, **fields: object) -> None:
    await world.change("accounts", account, body={"name": account, "code": account, **fields})


async def test_a_replay_looks_first_and_follows_a_failed_run(world: World) -> None:
    failed = await _failed(world)
    again = await runs.replay(world.db, CALLER, failed)
    assert again.replay_of == failed
    world.now = again.due_at
    (claimed,) = await world.claim(again.id)
    assert claimed.look_first
    assert await world.settle(claimed, Delivered("in_1"))
    with pytest.raises(Conflict, match="in_1"):
        await runs.replay(world.db, CALLER, failed)


async def test_a_run_under_way_or_outdated_is_not_replayed(world: World) -> None:
    failed = await _failed(world)
    newer = await world.send("bill", "a", revision=2)
    with pytest.raises(Conflict, match=newer):
        await runs.replay(world.db, CALLER, failed)
    (claimed,) = await world.claim(newer)
    assert await world.settle(claimed, WRONG)
    with pytest.raises(Conflict, match="version 2"):
        await runs.replay(world.db, CALLER, failed)


async def test_runs_are_listed_by_what_is_told_of_them(world: World) -> None:
    failed = await _failed(world)
    queued = await world.send("other", "b")
    async with world.db.transaction() as tx:

        async def listed(**filters: object) -> list[str]:
            return [run.id for run in (await runs.list_runs(tx, ORG, **filters)).data]  # type: ignore[arg-type]

        assert await listed() == [queued, failed]
        assert await listed(ascending=True) == [failed, queued]
        assert await listed(status=RunStatus.ERROR) == [failed]
        assert await listed(status=RunStatus.WAITING) == [queued]
        assert await listed(destination="stripe", entity_type="bill", entity_id="other") == [queued]
        assert await listed(started_after=world.now) == []
        assert await listed(started_until=world.now) == [failed]
        page = await runs.list_runs(tx, ORG, size=1)
        rest = await runs.list_runs(tx, ORG, size=1, token=page.next_token)
        assert [run.id for run in (*page.data, *rest.data)] == [queued, failed]
        assert rest.next_token is None
        latest = await runs.latest_runs(tx, ORG, "Bill", ["bill", "other", "none"])
        assert {id: run.id for id, run in latest.items()} == {"bill": failed, "other": queued}
        with pytest.raises(NotFound):
            await runs.get_run(tx, "another organization", failed)


async def test_five_hundred_bills_cost_a_few_statements(world: World) -> None:
    bills = [await world.add_bill("b0", "a")]
    bills += [replace(bills[0], id=f"b{n}", account_id=f"account{n}") for n in range(1, 500)]
    async with world.db.transaction() as tx:
        connection = await raw(tx)
        statements: list[str] = []
        with connection.query_logger(lambda record: statements.append(record.query)):
            await dispatch_bills(tx, ORG, bills, Cause.CALCULATED, world.now)
    assert len(statements) < 15
    assert len(await world.jobs()) == 500


async def _failed(world: World) -> str:
    run_id = await world.send("bill", "a")
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, WRONG)
    return run_id
