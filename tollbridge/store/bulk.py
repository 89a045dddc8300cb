"""Many records in one statement: bulk imports cost a few statements per batch, not a few per record.

Knows no table in particular. Rows are written in the order of their ids, so that two batches never wait for each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tollbridge.domain import json_text
from tollbridge.domain.errors import TooMany
from tollbridge.store import audit
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Record, by_ids, values_of
from tollbridge.store.trouble import state_of

T = TypeVar("T")

TRIES = 5
"""How often work is done again when others wrote the same rows at the same moment."""

_RACES = {"23505", "40001", "40P01"}  # unique violation, serialisation failure, deadlock

_ARRAYS = {
    Text: "text[]",
    BigInteger: "bigint[]",
    Boolean: "boolean[]",
    Date: "date[]",
    DateTime: "timestamptz[]",
    Numeric: "numeric[]",
    JSONB: "text[]",
}


class Raced(Exception):
    """Somebody else wrote the same rows since they were read; doing the work again settles it."""


async def settle_races(db: Database, work: Callable[[Tx], Awaitable[T]]) -> T:
    """Do the work in one transaction, and again from its start where others wrote the same rows meanwhile."""
    for _ in range(TRIES):
        try:
            async with db.transaction() as tx:
                return await work(tx)
        except Raced:
            continue
        except (DBAPIError, asyncpg.PostgresError) as error:
            if state_of(error) not in _RACES:
                raise
    raise TooMany(
        "store.busy", "Others keep changing the same entities at this moment.", "Try again when they have finished."
    )


async def write(tx: Tx, table: Table, fresh: Sequence[Record], changed: Sequence[Record]) -> None:
    """Insert the fresh records and replace the changed ones; raises Raced where any is not as it was read.

    All are of one organization. Of an audited table each change is noted, in one statement for all.
    """
    audited = audit.entity_of(table) is not None
    before = await by_ids(tx, table, changed[0].org_id, [each.id for each in changed]) if audited and changed else {}
    if len(await insert(tx, table, fresh)) < len(fresh) or len(await replace(tx, table, changed)) < len(changed):
        raise Raced
    if audited:
        await audit.note(tx, [*audit.created(table, fresh), *audit.changed(table, before, changed)])


async def insert(tx: AsyncConnection, table: Table, records: Sequence[Record]) -> set[str]:
    """Insert the records that collide with no stored one, and answer their ids."""
    return await insert_rows(tx, table, [values_of(record) for record in _ordered(records)])


async def insert_rows(
    tx: AsyncConnection, table: Table, rows: Sequence[dict[str, Any]], *, returning: str = "id"
) -> set[str]:
    """Insert the rows that collide with no stored one, and answer their `returning` column."""
    if not rows:
        return set()
    names = [column.name for column in table.columns]
    statement = (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {_selected(table)} FROM {_unnest(table)}"  # noqa: S608
        f" ON CONFLICT DO NOTHING RETURNING {returning}"
    )
    return {row[0] for row in await tx.exec_driver_sql(statement, _arrays(table, rows))}


async def replace(tx: AsyncConnection, table: Table, records: Sequence[Record]) -> set[str]:
    """Write the records whose previous version is the stored one, and answer their ids."""
    if not records:
        return set()
    fixed = {"org_id", "id", "created_at", "created_by"}
    changes = ", ".join(f"{c.name} = {_cast(c, 'new.')}" for c in table.columns if c.name not in fixed)
    statement = (
        f"UPDATE {table.name} AS old SET {changes} FROM {_unnest(table)}"  # noqa: S608
        " WHERE old.org_id = new.org_id AND old.id = new.id AND old.version = new.version - 1 RETURNING old.id"
    )
    rows = [values_of(record) for record in _ordered(records)]
    return {row[0] for row in await tx.exec_driver_sql(statement, _arrays(table, rows))}


def _ordered(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.id)


def _unnest(table: Table) -> str:
    names = [column.name for column in table.columns]
    arrays = [f"${i}::{_ARRAYS[type(column.type)]}" for i, column in enumerate(table.columns, 1)]
    return f"unnest({', '.join(arrays)}) AS new ({', '.join(names)})"


def _selected(table: Table) -> str:
    return ", ".join(_cast(column, "") for column in table.columns)


def _cast(column: Column[Any], prefix: str) -> str:
    return f"{prefix}{column.name}::jsonb" if isinstance(column.type, JSONB) else f"{prefix}{column.name}"


def _arrays(table: Table, rows: Sequence[dict[str, Any]]) -> tuple[list[Any], ...]:
    return tuple(
        [json_text.dump(row[column.name]) for row in rows]
        if isinstance(column.type, JSONB)
        else [row[column.name] for row in rows]
        for column in table.columns
    )
