"""Bills and their line items. Extensions: creating or replacing a bill, its `revision`, and what integrations do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
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
    Paging100,
    TheParts,
    described,
    entity,
    listed,
    timestamp,
)
from tollbridge.domain import bill_shape
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.common_fields import calendar_day
from tollbridge.services import bills
from tollbridge.services.bills import Bill
from tollbridge.services.dispatch import Decision
from tollbridge.store.bills import Filters, Line
from tollbridge.store.records import Record

router = APIRouter(prefix=f"{ORG}/bills", tags=["Bills"])
_PUT = {
    "x-extension": True,
    "requestBody": {"required": True, "content": {"application/json": {"schema": bill_shape.schema()}}},
}
_DAY = calendar_day()


def _day(value: str | None, name: str) -> date | None:
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
        _day(externalInvoiceDateStart, "externalInvoiceDateStart"),
        _day(externalInvoiceDateEnd, "externalInvoiceDateEnd"),
    )


TheInvoiceDates = Annotated[InvoiceDates, Depends(_invoice_dates)]


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
        bill_date=_day(billDate, "billDate"),
        bill_date_start=_day(billDateStart, "billDateStart"),
        bill_date_end=_day(billDateEnd, "billDateEnd"),
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
    found = await bills.page(parts.db, caller, filters, paging.size, paging.token, with_lines=not excludeLineItems)
    data = [_wire(bill) for bill in found.data]
    if not includeBillTotal:
        for bill in data:
            del bill["billTotal"]
    return listed(data, found.next_token)


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
    count, decisions = await bills.approve(parts.db, caller, body, filters)
    message = f"{count} {'bill' if count == 1 else 'bills'} approved."
    return Json(
        {"message": message, "integrations": [{"billId": each.bill_id, **_decision(each)} for each in decisions]}
    )


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


@router.get("/{billId}/lineitems")
async def list_line_items(parts: TheParts, caller: MayReadBilling, paging: Paging100, billId: str) -> Json:
    bill, lines, token = await bills.lines(parts.db, caller, billId, paging.size, paging.token)
    return listed([_line(bill, line) for line in lines], token)


@router.get("/{billId}/lineitems/{id}")
async def retrieve_line_item(parts: TheParts, caller: MayReadBilling, billId: str, id: str) -> Json:
    return Json(_line(*await bills.line(parts.db, caller, billId, id)))


def _wire(bill: Bill) -> dict[str, Any]:
    record = bill.record
    return entity(
        record,
        revision=record["revision"],
        accountCode=bill.account_code,
        status=record["status"],
        approvedBy=record["approved_by"],
        dtApproved=timestamp(record["approved_at"]),
        locked=record["locked"],
        lockedBy=record["locked_by"],
        dtLocked=timestamp(record["locked_at"]),
        lineItems=bill.lines,
    )


def _decided(bill: Bill, decisions: Sequence[Decision]) -> Json:
    return Json({**_wire(bill), "integrations": [_decision(each) for each in decisions]})


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "integrationConfigId": decision.integration_id,
        "decision": decision.verdict,
        "runId": decision.run_id,
        "reason": decision.reason,
    }


def _line(bill: Record, line: Line) -> dict[str, Any]:
    """A line as an entity of its own, where the wire calls its bands otherwise than inside a bill."""
    shown = {("bandUsage" if name == "usagePerPricingBand" else name): value for name, value in line.items()}
    return {
        **shown,
        "billId": bill.id,
        "version": bill.version,
        "createdBy": bill.created_by,
        "dtCreated": timestamp(bill.created_at),
        "lastModifiedBy": bill.updated_by,
        "dtLastModified": timestamp(bill.updated_at),
    }
