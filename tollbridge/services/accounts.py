"""Accounts: whom bills are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain.catalog import ACCOUNT
from tollbridge.domain.errors import Conflict
from tollbridge.services.catalog import Catalog
from tollbridge.store import bills
from tollbridge.store.db import Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import accounts


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


ACCOUNTS = Catalog("account", accounts, ACCOUNT, _columns, ("code",), "code", "code", free=_without_bills)
