"""Bills: the list with its filters, one bill with what became of it, and bills approved or locked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Response

from tollbridge.console.accounts import account_named, known_accounts
from tollbridge.console.bill_filter import BillFilter, TheFilter, sent_with
from tollbridge.console.runs import title_of_system
from tollbridge.console.visit import MayApprove, MayDeliver, MayReadBilling, Visit, trying
from tollbridge.domain.access import Permission
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.deliveries import UNDELIVERED, DeliveryState
from tollbridge.domain.errors import Refusal
from tollbridge.domain.fields import read_day
from tollbridge.services import bill_batches, bills, deliveries, runs, send_now
from tollbridge.services.bill_batches import Deed
from tollbridge.services.deliveries import Delivery
from tollbridge.services.runs import Run
from tollbridge.store.bills import Filters
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
_LINES_SHOWN = 200
_RUNS_SHOWN = 200
_PREVIEWABLE = frozenset(
    {
        DeliveryState.HELD,
        DeliveryState.FAILED,
        DeliveryState.WAITING_FOR_APPROVAL,
        DeliveryState.SUPERSEDED,
        DeliveryState.BEFORE_CUT_OVER,
    }
)
"""States in which it is of use to see what would be sent."""


FACTS = {
    "startDate": "Period from",
    "endDate": "Period until",
    "dueDate": "Due",
    "billingFrequency": "Frequency",
    "purchaseOrderNumber": "Purchase order",
    "externalInvoiceReference": "Invoice reference",
}
"""Fields of a bill that are shown where it has them, and their words."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A bill in an integration, with its newest run and what a person can do there."""

    delivery: Delivery
    latest: Run | None
    sendable: bool
    previewable: bool


@router.get("/bills")
async def list_bills(visit: MayReadBilling, wanted: TheFilter, after: str | None = None) -> Response:
    account = await account_named(visit, wanted.account) if wanted.account else None
    # An account that there is none of finds no bill.
    account_id = account.id if account else wanted.account or None
    found, next_token = await _page(visit, wanted, account_id, after)
    sees = visit.may(Permission.READ)
    return visit.page(
        "bills.html",
        bills=found,
        next_token=next_token,
        size=_SHOWN,
        wanted=wanted,
        account=account,
        accounts=await known_accounts(visit, {each["account_id"] for each in found}),
        stands=await deliveries.of_bills(visit.parts.db, visit.caller, [each.id for each in found]) if sees else {},
        statuses=list(BillStatus),
        title_of_system=title_of_system,
    )


@router.get("/bills/approve")
async def ask_approve(visit: MayApprove, wanted: TheFilter) -> Response:
    """The question how many bills, and what they come to, before anything happens."""
    return await _confirm(visit, Deed.APPROVE, wanted)


@router.get("/bills/lock")
async def ask_lock(visit: MayApprove, wanted: TheFilter) -> Response:
    return await _confirm(visit, Deed.LOCK, wanted)


@router.post("/bills/approve")
async def approve(visit: MayApprove) -> Response:
    return await _perform(visit, Deed.APPROVE)


@router.post("/bills/lock")
async def lock_found(visit: MayApprove) -> Response:
    return await _perform(visit, Deed.LOCK)


async def _perform(visit: Visit, deed: Deed) -> Response:
    form = await visit.form()
    wanted = sent_with(form)
    async with trying() as again:
        filters = await _filters(visit, wanted)
        done = await bill_batches.perform(visit.parts.db, visit.caller, deed, filters, form.text("mark"))
    if again.refusal:
        return await _confirm(visit, deed, wanted, again.refusal)
    bills_were = "bill was" if done.count == 1 else "bills were"
    what = "approved" if deed is Deed.APPROVE else "locked"
    return visit.go(f"/bills{wanted.query}", f"{done.count} {bills_were} {what}.")


@router.get("/bills/{id}")
async def show_bill(visit: MayReadBilling, id: str, after: str | None = None) -> Response:
    record, lines, more = await bills.lines(visit.parts.db, visit.caller, id, _LINES_SHOWN, after)
    stands, elsewhere = await _stands(visit, id)
    account = (await known_accounts(visit, [record["account_id"]])).get(record["account_id"])
    return visit.page(
        "bill.html",
        bill=record,
        number=_number(record),
        facts=[(word, _fact(record, name)) for name, word in FACTS.items() if record.body.get(name)],
        account=account,
        lines=lines,
        next_token=more,
        lines_shown=_LINES_SHOWN,
        stands=stands,
        elsewhere=elsewhere,
        title_of_system=title_of_system,
    )


@router.post("/bills/{id}/status")
async def set_status(visit: MayApprove, id: str) -> Response:
    form = await visit.form()
    bill, _ = await bills.set_status(visit.parts.db, visit.caller, id, {"status": form.text("status")})
    approved = bill.record["status"] == BillStatus.APPROVED
    return visit.go(f"/bills/{id}", "It is approved." if approved else "The approval was taken back.")


@router.post("/bills/{id}/lock")
async def lock(visit: MayApprove, id: str) -> Response:
    await visit.form()
    await bills.lock(visit.parts.db, visit.caller, id)
    return visit.go(f"/bills/{id}", "It is locked for good.")


@router.post("/bills/{id}/send")
async def send(visit: MayDeliver, id: str) -> Response:
    """Send the bill to one integration, by a new run; on to the run."""
    form = await visit.form()
    run_id = await send_now.send_now(visit.parts.db, visit.caller, form.text("integration"), id)
    return visit.go(f"/runs/{run_id}", "It is on its way.")


async def _page(
    visit: Visit, wanted: BillFilter, account_id: str | None, after: str | None
) -> tuple[Sequence[Record], str | None]:
    """The bills in the order of their list; those not delivered come by id, the others newest first."""
    db, caller = visit.parts.db, visit.caller
    if not wanted.not_delivered:
        found = await bills.page(db, caller, wanted.filters(account_id), _SHOWN, after, with_lines=False)
        return [each.record for each in found.data], found.next_token
    open_ones, token = await deliveries.page(
        db, caller, wanted.wanted(account_id), states=list(UNDELIVERED), size=_SHOWN, token=after
    )
    ids = list(dict.fromkeys(each.bill.id for each in open_ones))
    if not ids:
        return [], token
    records = await bills.page(db, caller, Filters(ids=ids), len(ids), None, with_lines=False)
    return sorted((each.record for each in records.data), key=lambda record: ids.index(record.id)), token


async def _filters(visit: Visit, wanted: BillFilter) -> Filters:
    account = await account_named(visit, wanted.account) if wanted.account else None
    return wanted.filters(account.id if account else wanted.account or None)


async def _confirm(visit: Visit, deed: Deed, wanted: BillFilter, refusal: Refusal | None = None) -> Response:
    batch = await bill_batches.count(visit.parts.db, visit.caller, deed, await _filters(visit, wanted))
    return visit.page(
        "bills-confirm.html",
        409 if refusal else 200,
        deed=deed,
        verb=deed.value.capitalize(),
        batch=batch,
        wanted=wanted,
        refusal=refusal,
    )


async def _stands(visit: Visit, id: str) -> tuple[list[Stand], bool]:
    """The bill in every integration, and whether it has runs of integrations that are no more."""
    if not visit.may(Permission.READ):
        return [], False
    found = await deliveries.of_bill(visit.parts.db, visit.caller, id)
    async with visit.parts.db.transaction() as tx:
        made = await runs.list_runs(tx, visit.caller.org_id, entity_type="Bill", entity_id=id, size=_RUNS_SHOWN)
    latest: Mapping[str | None, Run] = {run.integration_id: run for run in reversed(made.data)}
    stands = [
        Stand(each, latest.get(each.integration_id), send_now.sendable(each), each.state in _PREVIEWABLE)
        for each in found
    ]
    return stands, bool(set(latest) - {each.integration_id for each in found})


def _fact(bill: Record, name: str) -> str | date:
    """A field of the bill for people; a day where it is one."""
    value = str(bill.body[name])
    return (read_day(value) if name.endswith("Date") else None) or value


def _number(bill: Record) -> str:
    """How people call the bill."""
    return str(bill.body.get("sequentialInvoiceNumber") or bill.id)
