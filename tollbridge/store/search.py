"""Search over tables of wire entities: conditions become SQL with bound values. Knows no table in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from tollbridge.domain.search import Comparator, Condition, Kind, Search, Span, read_query, sortable
from tollbridge.store import records
from tollbridge.store.db import Tx
from tollbridge.store.records import Record, RecordTable


@dataclass(frozen=True, slots=True)
class Field:
    """A field that one can search by, and what it is in SQL."""

    kind: Kind
    column: ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Found:
    """Some records, and from which one on to continue, if there are more."""

    data: Sequence[Record]
    next_start: int | None


async def find(tx: Tx, table: RecordTable, fields: Mapping[str, Field], org_id: str, asked: Search) -> Found:
    """The records that the search finds, newest first where no order is asked for; raises Invalid."""
    kinds = {name: field.kind for name, field in fields.items()}
    conditions = [_sql(fields[each.field].column, each) for each in read_query(asked.query, kinds)]
    query = select(table).where(table.c.org_id == org_id)
    if conditions:
        query = query.where(or_(*conditions) if asked.any_of else and_(*conditions))
    key = fields[sortable(asked.sort_by, kinds)].column if asked.sort_by else None
    order = [table.c.created_at.desc(), table.c.id.desc()]
    if key is not None:
        order = [(key.desc() if asked.descending else key.asc()).nulls_last(), table.c.id.asc()]
    rows = await tx.execute(query.order_by(*order).offset(asked.start).limit(asked.size + 1))
    found = [records.read(table, row) for row in rows]
    more = len(found) > asked.size
    return Found(found[: asked.size], asked.start + asked.size if more else None)


def _sql(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    value = condition.value
    if isinstance(value, Span):
        return _within(column, condition.comparator, value)
    if isinstance(value, list):
        return column.in_(value)
    match condition.comparator:
        case Comparator.EQUAL:
            return column == value
        case Comparator.LIKE:
            return column.icontains(value, autoescape=True)
        case Comparator.MORE:
            return column > value
        case Comparator.LEAST:
            return column >= value
        case Comparator.LESS:
            return column < value
        case Comparator.MOST:
            return column <= value


def _within(column: ColumnElement[Any], comparator: Comparator, span: Span) -> ColumnElement[bool]:
    match comparator:
        case Comparator.MORE:
            return column >= span.end
        case Comparator.LEAST:
            return column >= span.start
        case Comparator.LESS:
            return column < span.start
        case Comparator.MOST:
            return column < span.end
        case _:
            return (column >= span.start) & (column < span.end)
