"""Accounts. Extension: a new account may bring its own id."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayAdminister,
    MayReadBilling,
    MayWriteBilling,
    Paging100,
    Paging200,
    TheParts,
    TheSearch,
    described,
    entity,
    found,
    page,
)
from tollbridge.services import accounts, erasing
from tollbridge.services.accounts import ACCOUNTS

router = APIRouter(prefix=f"{ORG}/accounts", tags=["Accounts"])


@router.get("")
async def list_accounts(
    parts: TheParts,
    caller: MayReadBilling,
    paging: Paging100,
    ids: Many = [],  # noqa: B006
    codes: Many = [],  # noqa: B006
) -> Json:
    return page(await ACCOUNTS.page(parts.db, caller, {"id": ids, "code": codes}, paging.size, paging.token))


@router.post("", openapi_extra=described(ACCOUNTS.shape))
async def create_account(parts: TheParts, caller: MayWriteBilling, body: Body) -> Json:
    return Json(entity(await ACCOUNTS.create(parts.db, caller, body)))


@router.get("/search")
async def search_accounts(parts: TheParts, caller: MayReadBilling, search: TheSearch) -> Json:
    result = await accounts.find(parts.db, caller, search)
    return found([entity(account) for account in result.data], result.next_start)


@router.get("/{id}")
async def retrieve_account(parts: TheParts, caller: MayReadBilling, id: str) -> Json:
    return Json(entity(await ACCOUNTS.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=described(ACCOUNTS.shape))
async def update_account(parts: TheParts, caller: MayWriteBilling, id: str, body: Body) -> Json:
    return Json(entity(await ACCOUNTS.update(parts.db, caller, id, body)))


@router.delete("/{id}")
async def delete_account(parts: TheParts, caller: MayWriteBilling, id: str) -> Json:
    return Json(entity(await ACCOUNTS.delete(parts.db, caller, id)))


@router.get("/{id}/children")
async def list_children(parts: TheParts, caller: MayReadBilling, paging: Paging200, id: str) -> Json:
    return page(await accounts.children(parts.db, caller, id, paging.size, paging.token))


@router.put("/{id}/enddatebillingentities")
async def end_date_billing_entities(parts: TheParts, caller: MayWriteBilling, id: str, body: Body) -> Json:
    """Always refused: plans and contracts are not kept here."""
    await accounts.end_date_billing_entities(parts.db, caller, id)


@router.post("/{id}/erase", openapi_extra=described(extension=True))
async def erase_account(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    """Make the person's data unrecognisable for good, in all that is kept here; `elsewhere` is what is not."""
    done = await erasing.erase_account(parts.db, caller, id)
    elsewhere = [{"system": each.system, "table": each.table, "id": each.id} for each in done.elsewhere]
    return Json({"accountId": done.account_id, "touched": dict(done.touched), "elsewhere": elsewhere})
