"""No bill without a state: what became of each bill in each integration, alone, as lists and as totals. Only reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from tollbridge.domain.deliveries import MATCHED, DeliveryState, reason_of, state_of
from tollbridge.domain.integrations import BillFacts, decide
from tollbridge.domain.runs import HoldReason
from tollbridge.services import systems
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load, missing
from tollbridge.services.filtering import filtered
from tollbridge.store import deliveries as rows
from tollbridge.store.db import Connection, Database
from tollbridge.store.deliveries import Gap, GapBill, Pair, Sender, Wanted
from tollbridge.store.schema import bills

MOST_SENDERS = 1000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bill in an integration: its state and why. `run_id`, `external_id` and `url` where there are such."""

    bill: BillFacts
    currency: str
    total: Decimal
    integration_id: str
    integration_name: str
    system: str
    state: DeliveryState
    reason: str
    run_id: str | None
    external_id: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Total:
    """How many bills of a month (its first day) and currency are in a state in an integration, and their sum."""

    month: date
    system: str
    integration_id: str
    integration_name: str
    currency: str
    state: DeliveryState
    count: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """All totals; the bills that no integration is responsible for, and those that two of one category are."""

    totals: Sequence[Total]
    unmatched: Sequence[Gap]
    doubled: Sequence[Gap]


async def of_bill(db: Database, caller: Caller, bill_id: str) -> list[Delivery]:
    """The bill in every integration that sends bills; raises NotFound."""
    async with db.transaction() as tx:
        await load(tx, bills, caller.org_id, bill_id, "bill")
    found, _ = await page(db, caller, Wanted(bill_ids=[bill_id]), size=MOST_SENDERS)
    return found


async def of_bills(db: Database, caller: Caller, bill_ids: Sequence[str]) -> dict[str, list[Delivery]]:
    """What became of each of the bills in the integrations that are responsible for it, by bill id; a few at a time."""
    found: dict[str, list[Delivery]] = {id: [] for id in bill_ids}
    token: str | None = None
    while bill_ids:
        some, token = await page(
            db, caller, Wanted(bill_ids=bill_ids), states=list(MATCHED), size=MOST_SENDERS, token=token
        )
        for each in some:
            found[each.bill.id].append(each)
        if token is None:
            break
    return found


async def page(
    db: Database,
    caller: Caller,
    wanted: Wanted,
    *,
    integration_id: str | None = None,
    system: str | None = None,
    states: Sequence[DeliveryState] = (),
    size: int,
    token: str | None = None,
) -> tuple[list[Delivery], str | None]:
    """One page of the bills in the integrations, by bill; raises NotFound where there is no such integration."""
    async with db.hot() as connection:
        among = await _senders(connection, caller, wanted, integration_id, system)
        found, next_token = await rows.pairs(
            connection, caller.org_id, among, wanted, states or list(DeliveryState), size=size, token=token
        )
    known = {sender.id: sender for sender in among}
    return [_delivery(pair, known[pair.integration_id]) for pair in found], next_token


async def summary(
    db: Database, caller: Caller, wanted: Wanted, *, integration_id: str | None = None, system: str | None = None
) -> Summary:
    """Counts and exact sums by month, integration, currency and state; they add up to what `page` lists.

    What no integration is responsible for is told only where all integrations are looked at.
    """
    async with db.hot() as connection:
        among = await _senders(connection, caller, wanted, integration_id, system)
        sums = await rows.sums(connection, caller.org_id, among, wanted)
        gaps: Sequence[Gap] = ()
        if integration_id is None and system is None:
            gaps = await rows.gaps(connection, caller.org_id, among, _categories(), wanted)
    known = {sender.id: sender for sender in among}
    added: dict[tuple[date, str, str, DeliveryState], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for each in sums:
        key = (each.month, each.integration_id, each.currency, state_of(each.facts))
        count, total = added[key]
        added[key] = count + each.count, total + each.total
    order = list(known)
    totals = [
        Total(month, known[id].system, id, known[id].name, currency, state, count, total)
        for (month, id, currency, state), (count, total) in added.items()
    ]
    states = list(DeliveryState)
    totals.sort(
        key=lambda each: (each.month, order.index(each.integration_id), each.currency, states.index(each.state))
    )
    return Summary(
        totals,
        [gap for gap in gaps if gap.category is None],
        [gap for gap in gaps if gap.category is not None],
    )


async def gap_bills(
    db: Database, caller: Caller, wanted: Wanted, *, doubled: bool, size: int, token: str | None
) -> tuple[list[GapBill], str | None]:
    """One page of the bills that no integration is responsible for, or that two of one category are."""
    async with db.hot() as connection:
        among = await _senders(connection, caller, wanted)
        return await rows.gap_bills(
            connection, caller.org_id, among, _categories(), wanted, doubled=doubled, size=size, token=token
        )


async def _senders(
    connection: Connection,
    caller: Caller,
    wanted: Wanted,
    integration_id: str | None = None,
    system: str | None = None,
) -> list[Sender]:
    """The integrations, with their account filters applied to the accounts of the bills that are wanted."""
    key = systems.find(system, "systemName").system.key if system else None
    found = await rows.senders(connection, caller.org_id, integration_id)
    if integration_id is not None and not found:
        raise missing("integration configuration", integration_id)
    among = [sender for sender in found if key in (None, sender.system)]
    accounts = None if wanted.account_id is None else [wanted.account_id]
    scopes = await filtered(
        connection, caller.org_id, [sender.scope for sender in among], accounts, bill_ids=wanted.bill_ids
    )
    return [replace(sender, scope=scope) for sender, scope in zip(among, scopes, strict=True)]


def _categories() -> dict[str, str]:
    """The category of each system."""
    return {destination.system.key: destination.connector.category for destination in systems.destinations()}


def _delivery(pair: Pair, sender: Sender) -> Delivery:
    _, verdict_reason = decide(sender.scope, pair.bill)
    hold_reason = HoldReason(pair.hold_reason) if pair.hold_reason else None
    state = state_of(pair.facts)
    carried = pair.facts.present or pair.facts.done
    return Delivery(
        bill=pair.bill,
        currency=pair.currency,
        total=pair.total,
        integration_id=sender.id,
        integration_name=sender.name,
        system=sender.system,
        state=state,
        reason=reason_of(pair.facts, verdict_reason, hold_reason, pair.told, pair.external_id),
        run_id=pair.run_id,
        external_id=pair.external_id if carried else None,
        url=pair.url if carried else None,
    )
