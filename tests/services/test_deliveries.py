"""No bill without a state: whatever happened, each bill has one in each integration, and the sums are the lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.services.world import CALLER, NOW, ORG, TENANT, World
from tollbridge.domain.deliveries import DeliveryFacts, DeliveryState, facts_of, state_of
from tollbridge.domain.errors import Fault, FaultKind, NotFound, Refusal
from tollbridge.domain.flows import Delivered, Skipped
from tollbridge.domain.integrations import BillFacts, Cause, Scope, Verdict, decide, position_of, scope_of
from tollbridge.services import deliveries, integrations, runs
from tollbridge.services.deliveries import Delivery, Summary
from tollbridge.services.filtering import filtered
from tollbridge.store import deliveries as store
from tollbridge.store.deliveries import Wanted

State = DeliveryState
WRONG = Fault(FaultKind.INVALID, "stripe.wrong", "It is wrong.", "Correct it.")


async def listed(world: World, **filters: Any) -> list[Delivery]:
    """All pages of the list, few entries each."""
    found: list[Delivery] = []
    token = None
    while True:
        some, token = await deliveries.page(world.db, CALLER, Wanted(), size=7, token=token, **filters)
        found += some
        if token is None:
            return found


async def state(world: World, bill: str, integration: str = "int") -> Delivery:
    of_bill = await deliveries.of_bill(world.db, CALLER, bill)
    (found,) = [each for each in of_bill if each.integration_id == integration]
    return found


async def summed(world: World) -> Summary:
    return await deliveries.summary(world.db, CALLER, Wanted())


# One bill


async def test_a_bill_runs_and_is_delivered(world: World) -> None:
    run_id = await world.send("b", "a")
    found = await state(world, "b")
    assert (found.state, found.run_id, found.external_id) == (State.RUNNING, run_id, None)
    await world.deliver(run_id, "in_7")
    found = await state(world, "b")
    assert (found.state, found.run_id, found.external_id) == (State.DELIVERED, run_id, "in_7")
    assert "in_7" in found.reason


async def test_what_was_delivered_stays_so_when_its_account_is_excluded_later(world: World) -> None:
    await world.deliver(await world.send("b", "a"))
    await world.send("c", "b")
    await world.change("integrations", "int", body={"configData": {"accountIds": ["nobody"]}})
    assert (await state(world, "b")).state is State.DELIVERED
    assert (await state(world, "c")).state is State.RUNNING
    await world.add_bill("late", "a")
    late = await state(world, "late")
    assert (late.state, late.run_id) == (State.OUT_OF_SCOPE, None)
    assert "account ids" in late.reason


async def test_a_failed_a_skipped_and_a_held_bill_say_why(world: World) -> None:
    (failing,) = await world.claim(await world.send("b", "a"))
    assert await world.settle(failing, WRONG)
    (skipping,) = await world.claim(await world.send("c", "b"))
    assert await world.settle(skipping, Skipped("zeroTotal is skip"))
    await world.change("integrations", "int", enabled=False)
    await world.send("d", "b")
    found = [await state(world, bill) for bill in "bcd"]
    assert [each.state for each in found] == [State.FAILED, State.SKIPPED, State.HELD]
    assert [each.reason for each in found][:2] == ["It is wrong.", "zeroTotal is skip"]
    assert "enable" in found[2].reason


async def test_a_bill_that_was_there_before_the_integration_is_held_until_a_person_sends_it(world: World) -> None:
    await world.add_bill("b", "a")
    found = await state(world, "b")
    assert (found.state, found.run_id) == (State.HELD, None)
    assert "send it" in found.reason


async def test_another_integration_of_the_same_tenant_sees_the_document_and_names_its_run(world: World) -> None:
    run_id = await world.send("b", "a")
    await world.deliver(run_id, "in_7")
    await world.add_integration("again")
    found = await state(world, "b", "again")
    assert (found.state, found.run_id, found.external_id) == (State.DELIVERED, run_id, "in_7")


async def test_a_new_version_that_waits_for_approval_does_so_whatever_became_of_the_old(world: World) -> None:
    await world.deliver(await world.send("b", "a"))
    await world.change("integrations", "int", body={"configData": {"onlySendOnApproval": True}})
    await world.dispatch(await world.add_bill("b", "a", revision=2))
    assert (await state(world, "b")).state is State.WAITING_FOR_APPROVAL
    await world.change("integrations", "int", body={"configData": {}})
    found = await state(world, "b")
    assert (found.state, found.external_id) == (State.SUPERSEDED, None)


async def test_a_bill_or_an_integration_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await deliveries.of_bill(world.db, CALLER, "nothing")
    with pytest.raises(NotFound):
        await listed(world, integration_id="nothing")


async def test_a_bill_whose_account_a_filter_leaves_out_says_which(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"accountFilter": "currency == USD"}})
    await world.add_bill("b", "a")
    found = await state(world, "b")
    assert found.state is State.OUT_OF_SCOPE
    assert "account filter: currency == USD" in found.reason
    assert [gap.count for gap in (await summed(world)).unmatched] == [1]


async def test_a_bill_on_which_the_filter_comes_to_nothing_is_held_whatever_became_of_an_older_version(
    world: World,
) -> None:
    await world.deliver(await world.send("b", "a"))
    await world.change("integrations", "int", body={"configData": {"accountFilter": "1 / 0 == 1"}})
    assert (await state(world, "b")).state is State.DELIVERED
    await world.dispatch(await world.add_bill("b", "a", revision=2))
    await world.dispatch(await world.add_bill("c", "b"))
    for bill in "bc":
        found = await state(world, bill)
        assert found.state is State.HELD
        assert "division by zero" in found.reason
    (total,) = (await summed(world)).totals
    assert (total.state, total.count, total.total) == (State.HELD, 2, Decimal("20.00"))
    assert (await summed(world)).unmatched == []


# Gaps


async def test_bills_of_no_integration_and_of_two_of_one_category_are_counted_and_listed(world: World) -> None:
    await world.change("integrations", "int", body={"configData": {"accountIds": ["a"]}})
    await world.add_integration("twin", sendFrom="2026-10-02", accountIds=["a"])
    await world.add_bill("none", "b")
    await world.add_bill("once", "a", day=date(2026, 10, 1))
    await world.add_bill("twice", "a", day=date(2026, 11, 1))
    summary = await summed(world)
    assert [(gap.month, gap.currency, gap.count, gap.total) for gap in summary.unmatched] == [
        (date(2026, 10, 1), "USD", 1, Decimal("10.00"))
    ]
    assert [(gap.month, gap.category, gap.count) for gap in summary.doubled] == [(date(2026, 11, 1), "AR", 1)]
    (unmatched,), _ = await deliveries.gap_bills(world.db, CALLER, Wanted(), doubled=False, size=5, token=None)
    (doubled,), _ = await deliveries.gap_bills(world.db, CALLER, Wanted(), doubled=True, size=5, token=None)
    assert (unmatched.bill.id, unmatched.integration_ids) == ("none", [])
    assert (doubled.bill.id, doubled.integration_ids) == ("twice", ["int", "twin"])


async def test_without_any_integration_every_bill_is_one_of_none(world: World) -> None:
    await world.add_bill("b", "a")
    await integrations.delete(world.db, CALLER, "int")
    summary = await summed(world)
    assert (summary.totals, [gap.count for gap in summary.unmatched]) == ([], [1])


# Any history


async def applied(world: World, scopes: dict[str, Scope]) -> dict[str, Scope]:
    """The scopes with their account filters applied to all accounts."""
    async with world.db.hot() as connection:
        found = await filtered(connection, ORG, list(scopes.values()))
    return dict(zip(scopes, found, strict=True))


@dataclass
class History:
    """Random things that happen to bills, integrations and runs; the same for the same seed."""

    world: World
    random: Random
    revisions: dict[str, int] = field(default_factory=dict)
    bills: dict[str, BillFacts] = field(default_factory=dict)
    number: int = 0

    async def happen(self) -> None:
        await self.random.choice(
            [
                *(self.put, self.put, self.approve, self.configure, self.toggle, self.work, self.work, self.work),
                *(self.add_integration, self.delete_integration, self.delete_bill, self.replay),
            ]
        )()

    async def put(self) -> None:
        """A bill comes in, or a newer version of one."""
        id = f"b{self.random.randrange(9)}"
        revision = self.revisions[id] = self.revisions.get(id, 0) + 1
        day = date(2026, self.random.randint(9, 10), self.random.randint(1, 28))
        self.bills[id] = await self.world.add_bill(id, self.random.choice("ab"), revision=revision, day=day)
        await self.world.dispatch(self.bills[id])

    async def approve(self) -> None:
        if self.bills:
            id = self.random.choice(sorted(self.bills))
            bill = self.bills[id] = replace(self.bills[id], status="APPROVED")
            await self.world.change("bills", id, status="APPROVED", locked=True)
            await self.world.dispatch(bill, cause=Cause.APPROVED)

    async def delete_bill(self) -> None:
        if self.bills and self.random.random() < 0.3:
            bill = self.bills.pop(self.random.choice(sorted(self.bills)))
            await self.world.dispatch(bill, cause=Cause.DELETED)
            await self.world.rows("DELETE FROM bills WHERE id = $1", bill.id)

    async def add_integration(self) -> None:
        if len(await self._integrations()) < 4:
            self.number += 1
            credential = self.random.choice(["cred", "other", None])
            await self.world.add_integration(f"i{self.number}", credential, **self._config())

    async def delete_integration(self) -> None:
        found = await self._integrations()
        if len(found) > 2:
            await integrations.delete(self.world.db, CALLER, self.random.choice(found))

    async def configure(self) -> None:
        for id in await self._integrations():
            if self.random.random() < 0.4:
                await self.world.change("integrations", id, body={"configData": self._config()})

    async def toggle(self) -> None:
        id = self.random.choice(await self._integrations())
        if self.random.random() < 0.5:
            await integrations.enable(self.world.db, CALLER, id)
        else:
            await integrations.disable(self.world.db, CALLER, id, {})

    async def replay(self) -> None:
        failed = await self.world.rows("SELECT id FROM runs WHERE state = 'failed' ORDER BY id")
        for row in failed[-1:]:
            with suppress(Refusal):
                await runs.replay(self.world.db, CALLER, row["id"])

    async def work(self) -> None:
        """A worker takes what it gets, and some of it comes to an end."""
        self.world.now = NOW.replace(year=2099)
        due = await self.world.rows("SELECT id FROM runs WHERE state IN ('queued', 'waiting') ORDER BY id")
        for claimed in await self.world.claim(*[row["id"] for row in due]):
            delivered = Delivered(f"in_{claimed.run_id}", total=Decimal("10.00"), currency="USD")
            outcome = self.random.choice([delivered, delivered, WRONG, Skipped("zero"), None])
            if outcome is not None:
                assert await self.world.settle(claimed, outcome)

    def _config(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "accountIds": self.random.choice([["a"], ["a", "b"]]),
            "restrictedAccountIds": ["b"],
            "sendFrom": "2026-10-01",
            "onlySendOnApproval": True,
            "accountFilter": self.random.choice(["id == a", "id == b ? 1 / 0 == 1 : true", "true"]),
        }
        return {name: value for name, value in options.items() if self.random.random() < 0.3}

    async def _integrations(self) -> list[str]:
        return [row["id"] for row in await self.world.rows("SELECT id FROM integrations ORDER BY id")]


def count(found: Sequence[Delivery]) -> Counter[tuple[str, str, State]]:
    return Counter((f"{each.bill.bill_date:%Y-%m}", each.integration_id, each.state) for each in found)


@pytest.mark.parametrize("seed", range(8))
async def test_after_any_history_each_pair_has_one_state_and_the_sums_are_the_lists(world: World, seed: int) -> None:
    history = History(world, Random(seed))
    await world.add_credential("other", "VALID", "STRIPE_TEST:acct_2")
    for _ in range(50):
        await history.happen()
    found = await listed(world)
    senders = {row["id"]: row for row in await world.rows("SELECT * FROM integrations")}
    assert Counter((each.bill.id, each.integration_id) for each in found) == Counter(
        (bill, integration) for bill in history.bills for integration in senders
    )
    assert all(each.reason for each in found)
    # The sums are the lists, as a whole and state by state.
    summary = await summed(world)
    sums = {
        (f"{each.month:%Y-%m}", each.integration_id, each.state): (each.count, each.total) for each in summary.totals
    }
    assert sums == {key: (number, Decimal(10 * number)) for key, number in count(found).items()}
    for one in State:
        some = await listed(world, states=[one])
        assert some == [each for each in found if each.state is one]
    # What was decided and what stands in the ledger agree with the states.
    ledger = {
        (row["tenant"], row["entity_id"]): row["version"]
        for row in await world.rows("SELECT * FROM ledger WHERE state = 'done' AND document = 'invoice'")
    }
    scopes = await applied(world, {id: scope_of(row["body"]["configData"]) for id, row in senders.items()})
    tenants = {None: None, "cred": TENANT, "other": "STRIPE_TEST:acct_2"}
    for each in found:
        sender = senders[each.integration_id]
        stands = ledger.get((tenants[sender["credential_id"]], each.bill.id)) == each.bill.revision
        assert not stands or each.state is State.DELIVERED
        if each.run_id is None:
            verdict, _ = decide(scopes[each.integration_id], each.bill)
            assert (
                each.state
                is {
                    Verdict.SEND: State.HELD,
                    Verdict.AWAITS_APPROVAL: State.WAITING_FOR_APPROVAL,
                    Verdict.UNDECIDED: State.HELD,
                    Verdict.OUT_OF_SCOPE: State.OUT_OF_SCOPE,
                    Verdict.TOO_OLD: State.BEFORE_CUT_OVER,
                }[verdict]
            )
    # Nobody's bills are those that every integration leaves alone.
    left = {each.bill.id for each in found if each.state in (State.OUT_OF_SCOPE, State.BEFORE_CUT_OVER)}
    matched = {each.bill.id for each in found if each.state not in (State.OUT_OF_SCOPE, State.BEFORE_CUT_OVER)}
    assert sum(gap.count for gap in summary.unmatched) == len(left - matched)


async def test_many_bills_lie_to_a_scope_as_one_does(world: World) -> None:
    history = History(world, Random(7))
    for _ in range(60):
        await history.happen()
    async with world.db.hot() as connection:
        senders = await store.senders(connection, ORG)
        scopes = await applied(world, {sender.id: sender.scope for sender in senders})
        senders = [replace(sender, scope=scopes[sender.id]) for sender in senders]
        pairs, _ = await store.pairs(connection, ORG, senders, Wanted(), list(State), size=1000, token=None)
    assert pairs
    for pair in pairs:
        assert pair.facts.position == position_of(scopes[pair.integration_id], pair.bill)


def test_every_combination_of_facts_makes_a_state_and_is_found_by_it() -> None:
    by_state: dict[State, list[DeliveryFacts]] = {one: facts_of([one]) for one in State}
    assert all(by_state.values())
    assert sum(map(len, by_state.values())) == len(facts_of(list(State)))
    assert all(state_of(facts) is one for one, some in by_state.items() for facts in some)
