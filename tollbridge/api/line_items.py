"""The line items of one bill, and of all bills, as entities of their own."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Json, MayReadBilling, Paging100, TheParts, listed, timestamp
from tollbridge.domain.billing import LineItemType
from tollbridge.services import bills
from tollbridge.store.bills import Line
from tollbridge.store.records import Record

router = APIRouter(prefix=ORG, tags=["Line items"])


@router.get("/lineitems")
async def list_all_line_items(
    parts: TheParts,
    caller: MayReadBilling,
    paging: Paging100,
    billId: str | None = None,
    lineItemType: LineItemType | None = None,
    commitmentId: str | None = None,
) -> Json:
    lines, token = await bills.all_lines(
        parts.db,
        caller,
        paging.size,
        paging.token,
        bill_id=billId or None,
        line_type=lineItemType,
        commitment_id=commitmentId or None,
    )
    return listed([_line(bill, line) for bill, line in lines], token)


@router.get("/bills/{billId}/lineitems")
async def list_line_items(parts: TheParts, caller: MayReadBilling, paging: Paging100, billId: str) -> Json:
    bill, lines, token = await bills.lines(parts.db, caller, billId, paging.size, paging.token)
    return listed([_line(bill, line) for line in lines], token)


@router.get("/bills/{billId}/lineitems/{id}")
async def retrieve_line_item(parts: TheParts, caller: MayReadBilling, billId: str, id: str) -> Json:
    return Json(_line(*await bills.line(parts.db, caller, billId, id)))


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
