"""Account filters of integrations, applied to the accounts that matter before anything is decided by a scope."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tollbridge.domain import account_filter
from tollbridge.domain.integrations import Scope
from tollbridge.store import dispatching
from tollbridge.store.db import Connection


async def filtered(
    connection: Connection,
    org_id: str,
    scopes: Sequence[Scope],
    account_ids: Collection[str] | None = None,
    *,
    bill_ids: Collection[str] | None = None,
) -> list[Scope]:
    """The scopes with their filters applied: to these accounts, to those of the bills, or to all there are."""
    if not any(scope.account_filter for scope in scopes):
        return list(scopes)
    accounts = await dispatching.accounts(connection, org_id, account_ids, bill_ids)
    return [
        replace(scope, filtered=account_filter.apply(scope.account_filter, accounts)) if scope.account_filter else scope
        for scope in scopes
    ]
