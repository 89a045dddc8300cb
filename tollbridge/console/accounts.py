"""Accounts: the list with its search, and one account with its bills and mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayReadBilling, Visit
from tollbridge.domain.access import Permission
from tollbridge.domain.catalog import ADDRESS
from tollbridge.domain.errors import NotFound
from tollbridge.domain.fields import printable
from tollbridge.services import bills, external_mappings
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.store.bills import Filters
from tollbridge.store.records import Record

router = APIRouter()

ACCOUNT = "Account"
"""What accounts are called in mappings."""
_SHOWN = 50
_BILLS_SHOWN = 10
_MAPPINGS_SHOWN = 200


@router.get("/accounts")
async def list_accounts(visit: MayReadBilling, q: str = "", after: str | None = None) -> Response:
    printable(q, "q")
    found = await ACCOUNTS.browse(visit.parts.db, visit.caller, q.strip(), _SHOWN, after)
    return visit.page("accounts.html", found=found, q=q.strip(), size=_SHOWN)


@router.get("/accounts/{id}")
async def show_account(visit: MayReadBilling, id: str) -> Response:
    db, caller = visit.parts.db, visit.caller
    account = await ACCOUNTS.retrieve(db, caller, id)
    latest = await bills.page(db, caller, Filters(account_ids=[id]), _BILLS_SHOWN, None, with_lines=False)
    mappings = await external_mappings.of_entity(db, caller, ACCOUNT, id, _MAPPINGS_SHOWN)
    mapped = {(each["external_system"].upper(), each["external_table"]) for each in mappings}
    places = await external_mappings.configured_places(db, caller, ACCOUNT)
    parent = account.body.get("parentAccountId")
    return visit.page(
        "account.html",
        account=account,
        address=_address(account),
        parent=(await known_accounts(visit, [parent])).get(parent) if parent else None,
        bills=latest,
        mappings=mappings if visit.may(Permission.READ) else [],
        unmapped=[place for place in places if (place.system.upper(), place.table) not in mapped],
    )


def _address(account: Record) -> str:
    """The address in one line, in the order in which letters have it."""
    given = account.body.get("address") or {}
    return ", ".join(str(given[name]) for name in ADDRESS.fields if given.get(name))


async def known_accounts(visit: Visit, ids: Iterable[str]) -> Mapping[str, Record]:
    """Those of the accounts that are there, by id."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found = await ACCOUNTS.page(visit.parts.db, visit.caller, {"id": wanted}, len(wanted), None)
    return {each.id: each for each in found.data}


async def account_named(visit: Visit, text: str) -> Record | None:
    """The account of that code or id, None where there is none."""
    found = await ACCOUNTS.page(visit.parts.db, visit.caller, {"code": [text]}, 1, None)
    if found.data:
        return found.data[0]
    try:
        return await ACCOUNTS.retrieve(visit.parts.db, visit.caller, text)
    except NotFound:
        return None
