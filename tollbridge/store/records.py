"""Reading and writing of the tables whose rows are wire entities: body, version, audit fields, pages.

Knows no entity in particular; the files named after nouns say which columns a body fills. Changes of rows of audited
tables are noted in the audit log, in the same transaction.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, Table, delete, insert, select, tuple_, update

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.store import audit
from tollbridge.store.db import Tx as Tx

RecordTable: TypeAlias = Table
"""A table of wire entities, for those who pass it on and do not speak SQL."""


@dataclass(frozen=True, slots=True)
class Record:
    """One stored entity: `body` as the caller sent it, `columns` the table's own beyond the common ones."""

    org_id: str
    id: str
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    body: Mapping[str, Any]
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, column: str) -> Any:
        return self.columns[column]

    def changed(self, at: datetime, by: str, *, body: Mapping[str, Any] | None = None, **columns: Any) -> Record:
        """The record one version later."""
        return replace(
            self,
            version=self.version + 1,
            updated_at=at,
            updated_by=by,
            body=self.body if body is None else body,
            columns={**self.columns, **columns},
        )

    def with_columns(self, **columns: Any) -> Record:
        """The same version with other columns."""
        return replace(self, columns={**self.columns, **columns})


@dataclass(frozen=True, slots=True)
class Page:
    """Some records and the token that continues after them, if there are more."""

    data: Sequence[Record]
    next_token: str | None


COMMON = ("org_id", "id", "version", "created_at", "created_by", "updated_at", "updated_by", "body")


def fresh(org_id: str, id: str, at: datetime, by: str, body: Mapping[str, Any], **columns: Any) -> Record:
    """A record at version 1."""
    return Record(org_id, id, 1, at, by, at, by, body, columns)


def read(table: Table, row: Row[Any]) -> Record:
    """A row of the table as a record."""
    values = row._mapping
    own = {column.name: values[column.name] for column in table.columns if column.name not in COMMON}
    return Record(**{name: values[name] for name in COMMON}, columns=own)


def values_of(record: Record) -> dict[str, Any]:
    """The record as column values."""
    return {**{name: getattr(record, name) for name in COMMON}, **record.columns}


async def add(tx: Tx, table: Table, *records: Record) -> None:
    """Insert; unique constraints raise IntegrityError, which the noun's file turns into a Conflict."""
    if records:
        await tx.execute(insert(table), [values_of(record) for record in records])
        if audit.entity_of(table):
            await audit.note(tx, audit.created(table, records))


async def get(tx: Tx, table: Table, org_id: str, id: str, *, lock: bool = False) -> Record | None:
    """The record, locked until the transaction ends where asked, or None."""
    query = select(table).where(table.c.org_id == org_id, table.c.id == id)
    row = (await tx.execute(query.with_for_update() if lock else query)).first()
    return read(table, row) if row else None


async def among(tx: Tx, table: Table, org_id: str, ids: Sequence[str]) -> list[Record]:
    """Those of the records that are there."""
    query = select(table).where(table.c.org_id == org_id, table.c.id.in_(ids))
    return [read(table, row) for row in await tx.execute(query)]


async def after(tx: Tx, table: Table, org_id: str, id: str, size: int) -> list[Record]:
    """Some records by id, from the one after that."""
    query = select(table).where(table.c.org_id == org_id, table.c.id > id).order_by(table.c.id).limit(size)
    return [read(table, row) for row in await tx.execute(query)]


async def save(tx: Tx, table: Table, record: Record, action: Action = Action.UPDATE) -> None:
    """Write a changed record; raises Conflict where its previous version is not the stored one.

    `action` is what the audit log calls the change.
    """
    before = await get(tx, table, record.org_id, record.id, lock=True) if audit.entity_of(table) else None
    query = (
        update(table)
        .where(table.c.org_id == record.org_id, table.c.id == record.id, table.c.version == record.version - 1)
        .values(values_of(record))
    )
    if (await tx.execute(query)).rowcount != 1:
        raise Conflict(
            "version.stale",
            f"{record.id} was changed by somebody else meanwhile.",
            "Read it again and repeat the change with its present version.",
            "version",
        )
    if before:
        await audit.note(tx, audit.changed(table, {record.id: before}, [record], action))


async def remove(tx: Tx, table: Table, org_id: str, id: str) -> None:
    before = await get(tx, table, org_id, id, lock=True) if audit.entity_of(table) else None
    await tx.execute(delete(table).where(table.c.org_id == org_id, table.c.id == id))
    if before:
        await audit.note(tx, [audit.removed(table, before)])


async def by_ids(tx: Tx, table: Table, org_id: str, ids: Sequence[str]) -> dict[str, Record]:
    """Those of the ids that there are, by id."""
    rows = await tx.execute(select(table).where(table.c.org_id == org_id, table.c.id.in_(ids)))
    return {row.id: read(table, row) for row in rows}


async def page(
    tx: Tx,
    table: Table,
    org_id: str,
    conditions: Sequence[ColumnElement[bool]] = (),
    *,
    size: int,
    token: str | None = None,
) -> Page:
    """One page of the organization's records, newest first; raises Invalid for a token that we did not make."""
    keys = (table.c.created_at, table.c.id)
    query = select(table).where(table.c.org_id == org_id, *conditions)
    if token:
        query = query.where(tuple_(*keys) < tuple_(*read_token(token)))
    query = query.order_by(*(key.desc() for key in keys)).limit(size + 1)
    records = [read(table, row) for row in await tx.execute(query)]
    last = records[size - 1] if len(records) > size else None
    return Page(records[:size], make_token(last.created_at, last.id) if last else None)


def make_token(at: datetime, id: str) -> str:
    """An opaque token that continues after the record made at that moment."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id}".encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[datetime, str]:
    """The moment and id that `make_token` put in."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        moment, _, id = text.partition("|")
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None:
            raise ValueError("without time zone")
    except (ValueError, binascii.Error):
        raise Invalid(
            "paging.token",
            f"nextToken {token[:80]!r} is not one of ours.",
            "Leave nextToken out to start at the first page, then pass on what the last page answered.",
            "nextToken",
        ) from None
    return at, id
