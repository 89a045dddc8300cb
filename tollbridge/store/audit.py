"""The audit log: who changed what, when and from where, in the transaction of the change itself.

`store.records` and `store.bulk` note every change of rows of tables that the schema declares as audited; what is no
change of such a row, services note by name. The log only grows: the database refuses anything else but here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic.alias_generators import to_camel
from sqlalchemy import LargeBinary, Table, select, tuple_

from tollbridge.domain import json_text
from tollbridge.domain.audit import NOTHING, Action, Fields, difference
from tollbridge.store.db import Connection, Tx, raw
from tollbridge.store.schema import audit_log

if TYPE_CHECKING:
    from tollbridge.store.records import Record

MAY_CHANGE = "SELECT set_config('tollbridge.audit_log', 'may change', true)"
"""Lets the rest of the transaction change the log: for what is past its time, and for persons who are erased."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change came from, as far as the edge knows; without an edge, who works on this machine."""

    principal: str = "SYSTEM"
    request_id: str | None = None
    address: str | None = None


_NO_EDGE = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=_NO_EDGE)


@contextmanager
def coming_from(request_id: str | None, address: str | None) -> Iterator[None]:
    """What is noted inside came with this request."""
    token = _origin.set(Origin(request_id=request_id, address=address))
    try:
        yield
    finally:
        _origin.reset(token)


def known_as(principal: str) -> None:
    """The caller of the present request is known by now."""
    _origin.set(replace(_origin.get(), principal=principal))


def present() -> Origin:
    """Where what happens now comes from."""
    return _origin.get()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log; `before` and `after` hold only what differs."""

    org_id: str
    id: str
    at: datetime
    principal: str
    action: str
    entity: str
    entity_id: str
    before: Fields
    after: Fields
    request_id: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines; what is None does not count. From `start` on, until before `end`."""

    entity: str | None = None
    entity_id: str | None = None
    principal: str | None = None
    action: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def entry(
    org_id: str,
    at: datetime,
    principal: str,
    action: Action,
    entity: str,
    entity_id: str,
    before: Fields = NOTHING,
    after: Fields = NOTHING,
) -> Entry:
    """A line with what differs between both, and where it came from."""
    origin = _origin.get()
    told = difference(before, after)
    return Entry(
        org_id, str(uuid4()), at, principal, action, entity, entity_id, *told, origin.request_id, origin.address
    )


def created(table: Table, records: Iterable[Record]) -> list[Entry]:
    return [_entry(Action.CREATE, table, record, {}, _shown(table, record)) for record in records]


def changed(
    table: Table, before: Mapping[str, Record], records: Iterable[Record], action: Action = Action.UPDATE
) -> list[Entry]:
    """Of each record what it was, by id in `before`, and is."""
    return [
        _entry(action, table, record, _shown(table, before[record.id]), _shown(table, record)) for record in records
    ]


def removed(table: Table, record: Record) -> Entry:
    """A row that is deleted says neither by whom nor when."""
    deleted = replace(record, updated_at=datetime.now(UTC), updated_by=_origin.get().principal)
    return _entry(Action.DELETE, table, deleted, _shown(table, record), {})


def entity_of(table: Table) -> str | None:
    """As what changes of the table's rows are noted; None where they are not."""
    name: str | None = table.info.get("audited")
    return name


def _entry(action: Action, table: Table, record: Record, before: Fields, after: Fields) -> Entry:
    entity = entity_of(table) or table.name
    return entry(record.org_id, record.updated_at, record.updated_by, action, entity, record.id, before, after)


def _shown(table: Table, record: Record) -> dict[str, Any]:
    """The body, and those columns that say more than it."""
    shown = dict(record.body)
    for name, value in record.columns.items():
        if value is not None and not isinstance(table.c[name].type, LargeBinary):
            shown.setdefault(to_camel(name), value)
    return shown


async def note(tx: Tx, entries: Sequence[Entry]) -> None:
    """Add lines."""
    if entries:
        await note_all(await raw(tx), entries)


async def note_all(connection: Connection, entries: Sequence[Entry]) -> None:
    """The same on a raw connection, in one statement."""
    await connection.execute(
        """
        INSERT INTO audit_log (org_id, id, at, principal, action, entity, entity_id, before, after, request_id, address)
        SELECT a, b, c, d, e, f, g, h::jsonb, i::jsonb, j, k
        FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[]) AS n(a, b, c, d, e, f, g, h, i, j, k)
        """,
        [each.org_id for each in entries],
        [each.id for each in entries],
        [each.at for each in entries],
        [each.principal for each in entries],
        [each.action for each in entries],
        [each.entity for each in entries],
        [each.entity_id for each in entries],
        [json_text.dump(each.before) for each in entries],
        [json_text.dump(each.after) for each in entries],
        [each.request_id for each in entries],
        [each.address for each in entries],
    )


async def page(
    tx: Tx, org_id: str, wanted: Wanted, *, size: int, after: tuple[datetime, str] | None = None
) -> list[Entry]:
    """Lines, newest first, from after that one on."""
    c = audit_log.c
    equal = {
        c.entity: wanted.entity,
        c.entity_id: wanted.entity_id,
        c.principal: wanted.principal,
        c.action: wanted.action,
    }
    query = select(audit_log).where(c.org_id == org_id, *(column == value for column, value in equal.items() if value))
    if wanted.start:
        query = query.where(c.at >= wanted.start)
    if wanted.end:
        query = query.where(c.at < wanted.end)
    if after:
        query = query.where(tuple_(c.at, c.id) < tuple_(*after))
    rows = await tx.execute(query.order_by(c.at.desc(), c.id.desc()).limit(size))
    return [Entry(**row._mapping) for row in rows]


async def forget_before(connection: Connection, moment: datetime, limit: int) -> bool:
    """Delete lines from before that moment, so many at most; answers whether there may be more."""
    await connection.execute(MAY_CHANGE)
    done = await connection.execute(
        "DELETE FROM audit_log WHERE (org_id, id) IN (SELECT org_id, id FROM audit_log WHERE at < $1 LIMIT $2)",
        moment,
        limit,
    )
    return int(done.split()[-1]) == limit
