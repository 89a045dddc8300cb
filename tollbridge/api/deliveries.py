"""What became of each bill in each integration: of one bill, as lists, as totals. All of it is ours."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from tollbridge.api.wire import ORG, Json, MayRead, Paging200, TheParts, described, listed
from tollbridge.domain.common_fields import calendar_day
from tollbridge.domain.deliveries import DeliveryState
from tollbridge.services import deliveries
from tollbridge.services.deliveries import Delivery, Total
from tollbridge.store.deliveries import Gap, GapBill, Wanted

router = APIRouter(prefix=ORG, tags=["Deliveries"])
OURS = described(extension=True)
_DAY = calendar_day()


def _day(value: str | None, name: str) -> date | None:
    return date.fromisoformat(_DAY.check(value, name)) if value else None


def _wanted(
    accountId: str | None = None,
    currency: str | None = None,
    billDateStart: Annotated[str | None, Query(description="Inclusive.")] = None,
    billDateEnd: Annotated[str | None, Query(description="Exclusive.")] = None,
) -> Wanted:
    return Wanted(
        account_id=accountId or None,
        currency=currency.upper() if currency else None,
        start=_day(billDateStart, "billDateStart"),
        end=_day(billDateEnd, "billDateEnd"),
    )


TheWanted = Annotated[Wanted, Depends(_wanted)]


@router.get("/bills/{id}/deliveries", openapi_extra=OURS)
async def list_deliveries_of_bill(parts: TheParts, caller: MayRead, id: str) -> Json:
    """The bill in every integration that sends bills, with exactly one state in each."""
    return listed([_delivery(each) for each in await deliveries.of_bill(parts.db, caller, id)])


@router.get("/deliveries", openapi_extra=OURS)
async def list_deliveries(
    parts: TheParts,
    caller: MayRead,
    paging: Paging200,
    wanted: TheWanted,
    state: DeliveryState | None = None,
    integrationConfigId: str | None = None,
    system: str | None = None,
) -> Json:
    """The bills behind the totals, by bill and integration."""
    found, token = await deliveries.page(
        parts.db,
        caller,
        wanted,
        integration_id=integrationConfigId,
        system=system,
        states=[state] if state else [],
        size=paging.size,
        token=paging.token,
    )
    return listed([_delivery(each) for each in found], token)


@router.get("/deliveries/summary", openapi_extra=OURS)
async def summarize_deliveries(
    parts: TheParts,
    caller: MayRead,
    wanted: TheWanted,
    integrationConfigId: str | None = None,
    system: str | None = None,
) -> Json:
    """How many bills are in which state, and their exact sums, by month, integration and currency; besides, the bills
    that no integration is responsible for, and those that two of one category are."""
    found = await deliveries.summary(parts.db, caller, wanted, integration_id=integrationConfigId, system=system)
    return Json(
        {
            "totals": [_total(each) for each in found.totals],
            "unmatched": [_gap(each) for each in found.unmatched],
            "doubled": [_gap(each) for each in found.doubled],
        }
    )


@router.get("/deliveries/unmatched", openapi_extra=OURS)
async def list_unmatched_bills(parts: TheParts, caller: MayRead, paging: Paging200, wanted: TheWanted) -> Json:
    """Bills that no integration is responsible for: all leave them out by their lists or their cut-over."""
    found, token = await deliveries.gap_bills(
        parts.db, caller, wanted, doubled=False, size=paging.size, token=paging.token
    )
    return listed([_gap_bill(each) for each in found], token)


@router.get("/deliveries/doubled", openapi_extra=OURS)
async def list_doubled_bills(parts: TheParts, caller: MayRead, paging: Paging200, wanted: TheWanted) -> Json:
    """Bills that two integrations of one category are responsible for, by bill and category."""
    found, token = await deliveries.gap_bills(
        parts.db, caller, wanted, doubled=True, size=paging.size, token=paging.token
    )
    return listed([_gap_bill(each) for each in found], token)


def _delivery(each: Delivery) -> dict[str, Any]:
    values = {
        "billId": each.bill.id,
        "revision": each.bill.revision,
        "accountId": each.bill.account_id,
        "billDate": each.bill.bill_date.isoformat(),
        "currency": each.currency,
        "billTotal": each.total,
        "integrationConfigId": each.integration_id,
        "integrationName": each.integration_name,
        "system": each.system,
        "state": each.state,
        "reason": each.reason,
        "runId": each.run_id,
        "externalId": each.external_id,
        "url": each.url,
    }
    return {name: value for name, value in values.items() if value is not None}


def _total(each: Total) -> dict[str, Any]:
    return {
        "period": f"{each.month:%Y-%m}",
        "system": each.system,
        "integrationConfigId": each.integration_id,
        "integrationName": each.integration_name,
        "currency": each.currency,
        "state": each.state,
        "count": each.count,
        "sum": each.total,
    }


def _gap(each: Gap) -> dict[str, Any]:
    values = {
        "period": f"{each.month:%Y-%m}",
        "category": each.category,
        "currency": each.currency,
        "count": each.count,
        "sum": each.total,
    }
    return {name: value for name, value in values.items() if value is not None}


def _gap_bill(each: GapBill) -> dict[str, Any]:
    values = {
        "billId": each.bill.id,
        "accountId": each.bill.account_id,
        "billDate": each.bill.bill_date.isoformat(),
        "currency": each.currency,
        "billTotal": each.total,
        "category": each.category,
        "integrationConfigIds": list(each.integration_ids),
    }
    return {name: value for name, value in values.items() if value is not None}
