"""Readers of the tables whose rows are found by id or by a key of their own: accounts, products, external mappings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from tollbridge.domain.search import Kind
from tollbridge.store import records
from tollbridge.store.db import Tx
from tollbridge.store.records import Page, Record, RecordTable
from tollbridge.store.schema import accounts, external_mappings, integrations
from tollbridge.store.search import Field

ACCOUNT_FIELDS: Mapping[str, Field] = {
    "id": Field(Kind.TEXT, accounts.c.id),
    "ids": Field(Kind.AMONG, accounts.c.id),
    "code": Field(Kind.TEXT, accounts.c.code),
    "codes": Field(Kind.AMONG, accounts.c.code),
    "name": Field(Kind.TEXT, accounts.c.name),
    "currency": Field(Kind.TEXT, accounts.c.body["currency"].astext),
    "purchaseOrderNumber": Field(Kind.TEXT, accounts.c.body["purchaseOrderNumber"].astext),
    "parentAccountId": Field(Kind.TEXT, accounts.c.body["parentAccountId"].astext),
    "createdBy": Field(Kind.TEXT, accounts.c.created_by),
    "dtCreated": Field(Kind.MOMENT, accounts.c.created_at),
    "lastModifiedBy": Field(Kind.TEXT, accounts.c.updated_by),
}
"""By what accounts can be searched."""


async def find(
    tx: Tx, table: RecordTable, org_id: str, ids: Sequence[str], column: str, values: Sequence[str]
) -> list[Record]:
    """The records with one of the ids, or one of the values in the column; locked against change."""
    query = (
        select(table)
        .where(table.c.org_id == org_id, or_(table.c.id.in_(ids), table.c[column].in_(values)))
        .order_by(table.c.id)
        .with_for_update(key_share=True)
    )
    return [records.read(table, row) for row in await tx.execute(query)]


async def mapped_to(tx: Tx, org_id: str, system: str, table: str, external_ids: Sequence[str]) -> set[str]:
    """Those of the external ids to which something is mapped."""
    c = external_mappings.c
    query = select(c.external_id).where(
        c.org_id == org_id, c.external_system == system, c.external_table == table, c.external_id.in_(external_ids)
    )
    return {row.external_id for row in await tx.execute(query)}


async def page(
    tx: Tx, table: RecordTable, org_id: str, among: Mapping[str, Sequence[Any]], *, size: int, token: str | None
) -> Page:
    """One page of the records whose columns have one of the values named; a column without values does not count."""
    conditions = [_among(table, column, values) for column, values in among.items() if values]
    return await records.page(tx, table, org_id, conditions, size=size, token=token)


async def browse(
    tx: Tx, table: RecordTable, org_id: str, columns: Sequence[str], words: str, *, size: int, token: str | None
) -> Page:
    """One page of the records with these words in one of the columns, in capitals or not, or of that id."""
    looked = [table.c[column].icontains(words, autoescape=True) for column in columns]
    conditions = [or_(table.c.id == words, *looked)] if words else []
    return await records.page(tx, table, org_id, conditions, size=size, token=token)


async def children(tx: Tx, org_id: str, account_id: str, *, size: int, token: str | None) -> Page:
    """One page of the accounts whose parent this account is."""
    condition = accounts.c.body["parentAccountId"].astext == account_id
    return await records.page(tx, accounts, org_id, [condition], size=size, token=token)


def _among(table: RecordTable, column: str, values: Sequence[Any]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = table.c[column].in_(values)
    return found


async def account_codes(
    tx: Tx, org_id: str, ids: Collection[str] = (), codes: Collection[str] = (), *, keep: bool = False
) -> dict[str, str]:
    """The codes of these accounts by id; `keep` holds off their deletion until the transaction ends."""
    query = (
        select(accounts.c.id, accounts.c.code)
        .where(accounts.c.org_id == org_id, or_(accounts.c.id.in_(ids), accounts.c.code.in_(codes)))
        .order_by(accounts.c.id)
    )
    rows = await tx.execute(query.with_for_update(read=True, key_share=True) if keep else query)
    return {row.id: row.code for row in rows}


async def configured_systems(tx: Tx, org_id: str) -> list[str]:
    """The systems for which there is an integration."""
    query = select(integrations.c.system).where(integrations.c.org_id == org_id).distinct()
    return sorted(row.system for row in await tx.execute(query))


async def known_integrations(tx: Tx, org_id: str, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are integration configurations."""
    query = select(integrations.c.id).where(integrations.c.org_id == org_id, integrations.c.id.in_(ids))
    return {row.id for row in await tx.execute(query)}
