"""Bills. Extensions: creating or replacing a bill, its `revision`, and what integrations do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayApprove,
    MayReadBilling,
    MayWriteBilling,
    Paging,
    Paging100,
    TheParts,
    TheSearch,
    described,
    found,
    listed,
)
from tollbridge.domain import bill_shape
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.common_fields import calendar_day
from tollbridge.domain.fields import one_of, refuse
from tollbridge.services import bills, wire_form
from tollbridge.services.bills import Bill
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import Decision
from tollbridge.services.parts import Parts
from tollbridge.store.bills import Filters

router = APIRouter(prefix=f"{ORG}/bills", tags=["Bills"])
_PUT = {
    "x-extension": True,
    "requestBody": {"required": True, "content": {"application/json": {"schema": bill_shape.schema()}}},
}
_DAY = calendar_day()


def day_of(value: str | None, name: str) -> date | None:
    """A query parameter that is a day; raises Invalid."""
    return date.fromisoformat(_DAY.check(value, name)) if value else None


@dataclass(frozen=True, slots=True)
class InvoiceDates:
    """Inclusive start and exclusive end."""

    start: date | None
    end: date | None


def _invoice_dates(
    externalInvoiceDateStart: str | None = None, externalInvoiceDateEnd: str | None = None
) -> InvoiceDates:
    return InvoiceDates(
        day_of(externalInvoiceDateStart, "externalInvoiceDateStart"),
        day_of(externalInvoiceDateEnd, "externalInvoiceDateEnd"),
    )


TheInvoiceDates = Annotated[InvoiceDates, Depends(_invoice_dates)]


PERIOD = "/billingperiod/{lastDateInBillingPeriod}/{billingFrequency}"
_FREQUENCY = one_of(bill_shape.BILLING_FREQUENCIES)


def _period(lastDateInBillingPeriod: str, billingFrequency: str) -> Filters:
    last = date.fromisoformat(_DAY.check(lastDateInBillingPeriod, "lastDateInBillingPeriod"))
    if last == date.max:
        refuse("lastDateInBillingPeriod", lastDateInBillingPeriod, "a day that another one follows")
    _FREQUENCY.check(billingFrequency, "billingFrequency")
    return Filters(period_end=last + timedelta(days=1), billing_frequency=billingFrequency)


ThePeriod = Annotated[Filters, Depends(_period)]


def _filters(
    invoiced: TheInvoiceDates,
    ids: Many = [],  # noqa: B006
    accountId: str | None = None,
    status: BillStatus | None = None,
    locked: Annotated[bool | None, Query(description="false leaves locked bills out.")] = None,
    billDate: str | None = None,
    billDateStart: Annotated[str | None, Query(description="Inclusive.")] = None,
    billDateEnd: Annotated[str | None, Query(description="Exclusive.")] = None,
    billingFrequency: str | None = None,
    billJobId: str | None = None,
) -> Filters:
    return Filters(
        ids=ids,
        account_ids=[accountId] if accountId else [],
        status=status,
        locked=locked,
        bill_date=day_of(billDate, "billDate"),
        bill_date_start=day_of(billDateStart, "billDateStart"),
        bill_date_end=day_of(billDateEnd, "billDateEnd"),
        external_invoice_date_start=invoiced.start,
        external_invoice_date_end=invoiced.end,
        billing_frequency=billingFrequency or None,
        bill_job_id=billJobId or None,
    )


@router.get("")
async def list_bills(
    parts: TheParts,
    caller: MayReadBilling,
    paging: Paging100,
    filters: Annotated[Filters, Depends(_filters)],
    excludeLineItems: bool = False,
    includeBillTotal: bool = True,
) -> Json:
    page = await bills.page(parts.db, caller, filters, paging.size, paging.token, with_lines=not excludeLineItems)
    data = [_wire(bill) for bill in page.data]
    if not includeBillTotal:
        for bill in data:
            del bill["billTotal"]
    return listed(data, page.next_token)


@router.get("/search")
async def search_bills(parts: TheParts, caller: MayReadBilling, search: TheSearch) -> Json:
    data, next_start = await bills.find(parts.db, caller, search)
    return found([_wire(bill) for bill in data], next_start)


@router.get("/accountid/{accountId}")
async def list_bills_of_account(parts: TheParts, caller: MayReadBilling, paging: Paging100, accountId: str) -> Json:
    return await _page(parts, caller, paging, Filters(account_ids=[accountId]))


@router.get(PERIOD)
async def list_bills_of_period(parts: TheParts, caller: MayReadBilling, paging: Paging100, period: ThePeriod) -> Json:
    """The bills whose billing period has this last day, that is, whose endDate is the day after it."""
    return await _page(parts, caller, paging, period)


@router.post(PERIOD + "/approve")
async def approve_bills_of_period(parts: TheParts, caller: MayApprove, period: ThePeriod) -> Json:
    return _approved(*await bills.approve(parts.db, caller, {}, period))


@router.post("/approve", openapi_extra=described(bills.APPROVE))
async def approve_bills(
    parts: TheParts,
    caller: MayApprove,
    body: Body,
    invoiced: TheInvoiceDates,
    accountIds: Many = [],  # noqa: B006
) -> Json:
    """Approve the bills named, or, where none is named, those that the query finds."""
    filters = Filters(
        account_ids=accountIds, external_invoice_date_start=invoiced.start, external_invoice_date_end=invoiced.end
    )
    return _approved(*await bills.approve(parts.db, caller, body, filters))


@router.get("/latest/{accountId}")
async def latest_bill(parts: TheParts, caller: MayReadBilling, accountId: str) -> Json:
    return Json(_wire(await bills.latest(parts.db, caller, accountId)))


@router.get("/{id}")
async def retrieve_bill(parts: TheParts, caller: MayReadBilling, id: str) -> Json:
    return Json(_wire(await bills.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=_PUT)
async def put_bill(parts: TheParts, caller: MayWriteBilling, id: str, body: Body) -> Json:
    """Create or replace a bill; replacing one by the same changes nothing."""
    return _decided(*await bills.put(parts.db, caller, id, body))


@router.delete("/{id}")
async def delete_bill(parts: TheParts, caller: MayWriteBilling, id: str) -> Json:
    return Json(_wire(await bills.delete(parts.db, caller, id)))


@router.put("/{id}/status", openapi_extra=described(bills.STATUS))
async def update_bill_status(parts: TheParts, caller: MayApprove, id: str, body: Body) -> Json:
    return _decided(*await bills.set_status(parts.db, caller, id, body))


@router.put("/{id}/lock")
async def lock_bill(parts: TheParts, caller: MayApprove, id: str) -> Json:
    return Json(_wire(await bills.lock(parts.db, caller, id)))


async def _page(parts: Parts, caller: Caller, paging: Paging, filters: Filters) -> Json:
    page = await bills.page(parts.db, caller, filters, paging.size, paging.token, with_lines=True)
    return listed([_wire(bill) for bill in page.data], page.next_token)


def _approved(count: int, decisions: Sequence[Decision]) -> Json:
    message = f"{count} {'bill' if count == 1 else 'bills'} approved."
    return Json(
        {"message": message, "integrations": [{"billId": each.bill_id, **_decision(each)} for each in decisions]}
    )


def _wire(bill: Bill) -> dict[str, Any]:
    return wire_form.bill(bill.record, bill.account_code, lineItems=bill.lines)


def _decided(bill: Bill, decisions: Sequence[Decision]) -> Json:
    return Json({**_wire(bill), "integrations": [_decision(each) for each in decisions]})


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "integrationConfigId": decision.integration_id,
        "decision": decision.verdict,
        "runId": decision.run_id,
        "reason": decision.reason,
    }
