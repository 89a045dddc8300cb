"""Accounts: whom bills are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from tollbridge.domain.catalog import ACCOUNT
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.search import Search
from tollbridge.services.caller import Caller
from tollbridge.services.catalog import Catalog
from tollbridge.services.entities import load
from tollbridge.store import bills, catalog, search
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import accounts
from tollbridge.store.search import Found


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"code": body["code"], "name": body["name"]}


async def _without_bills(tx: Tx, account: Record) -> None:
    count = await bills.count_of_account(tx, account.org_id, account.id)
    if count:
        raise Conflict(
            "account.in_use",
            f"Account {account.id} has {count} bills, which would lose whom they are for.",
            "Delete its bills first, or keep the account.",
        )


ACCOUNTS = Catalog(
    "account",
    accounts,
    ACCOUNT,
    _columns,
    ("code",),
    "code",
    "code",
    free=_without_bills,
    words=("code", "name"),
    entity="account",
    account_of=lambda account: account.id,
)


async def find(db: Database, caller: Caller, asked: Search) -> Found:
    """The accounts that the search finds; raises Invalid for a query that is not right."""
    async with db.transaction() as tx:
        return await search.find(tx, accounts, catalog.ACCOUNT_FIELDS, caller.org_id, asked)


async def children(db: Database, caller: Caller, id: str, size: int, token: str | None) -> Page:
    """One page of the accounts whose parent this account is; raises NotFound."""
    async with db.transaction() as tx:
        await load(tx, accounts, caller.org_id, id, ACCOUNTS.noun)
        return await catalog.children(tx, caller.org_id, id, size=size, token=token)


async def end_date_billing_entities(db: Database, caller: Caller, id: str) -> NoReturn:
    """Always refused: what the wire ends here lies with whoever calculates the bills."""
    await ACCOUNTS.retrieve(db, caller, id)
    raise Invalid(
        "account.billing_entities",
        "Contracts, account plans, prepayments and pricings are not kept here, so there is nothing to end.",
        "End them where the bills are calculated.",
    )
