"""Rows of bills and of their revisions. A revision's row is never changed, and outlives its bill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Date, Integer, and_, cast, column, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from tollbridge.domain.search import Kind
from tollbridge.store import bulk, records
from tollbridge.store.db import Tx
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import bill_revisions, bills
from tollbridge.store.search import Field

Line = Mapping[str, Any]


def _body_day(name: str) -> ColumnElement[date]:
    return cast(bills.c.body[name].astext, Date)


FIELDS: Mapping[str, Field] = {
    "id": Field(Kind.TEXT, bills.c.id),
    "ids": Field(Kind.AMONG, bills.c.id),
    "accountId": Field(Kind.TEXT, bills.c.account_id),
    "locked": Field(Kind.FLAG, bills.c.locked),
    "billDate": Field(Kind.DAY, bills.c.bill_date),
    "startDate": Field(Kind.DAY, _body_day("startDate")),
    "endDate": Field(Kind.DAY, _body_day("endDate")),
    "dueDate": Field(Kind.DAY, _body_day("dueDate")),
    "billingFrequency": Field(Kind.TEXT, bills.c.billing_frequency),
    "createdBy": Field(Kind.TEXT, bills.c.created_by),
    "dtCreated": Field(Kind.MOMENT, bills.c.created_at),
    "lastModifiedBy": Field(Kind.TEXT, bills.c.updated_by),
}
"""By what bills can be searched."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which bills; what is None does not count. Starts are inclusive, ends exclusive."""

    ids: Sequence[str] = ()
    account_ids: Sequence[str] = ()
    status: str | None = None
    currency: str | None = None
    locked: bool | None = None
    """False leaves locked bills out; True, as on the wire, includes them."""
    bill_date: date | None = None
    bill_date_start: date | None = None
    bill_date_end: date | None = None
    external_invoice_date_start: date | None = None
    external_invoice_date_end: date | None = None
    billing_frequency: str | None = None
    bill_job_id: str | None = None
    period_end: date | None = None
    """The day after the last of the billing period."""

    @property
    def find_all(self) -> bool:
        return not self.conditions()

    def conditions(self) -> list[ColumnElement[bool]]:
        c = bills.c
        equal = (
            (c.status, self.status),
            (c.currency, self.currency),
            (c.bill_date, self.bill_date),
            (c.billing_frequency, self.billing_frequency),
            (c.bill_job_id, self.bill_job_id),
            (_body_day("endDate"), self.period_end),
        )
        among = ((c.id, self.ids), (c.account_id, self.account_ids))
        starts = (
            (c.bill_date, self.bill_date_start),
            (c.external_invoice_date, self.external_invoice_date_start),
        )
        ends = ((c.bill_date, self.bill_date_end), (c.external_invoice_date, self.external_invoice_date_end))
        return [
            *(column == value for column, value in equal if value is not None),
            *(column.in_(values) for column, values in among if values),
            *(column >= value for column, value in starts if value is not None),
            *(column < value for column, value in ends if value is not None),
            *([~c.locked] if self.locked is False else []),
        ]


async def lock(tx: Tx, org_id: str, filters: Filters) -> list[Record]:
    """The bills, ordered by id and locked until the transaction ends."""
    query = select(bills).where(bills.c.org_id == org_id, *filters.conditions()).order_by(bills.c.id).with_for_update()
    return [records.read(bills, row) for row in await tx.execute(query)]


async def unlocked_until(tx: Tx, org_id: str, day: date, *, after: str, size: int) -> list[Record]:
    """Some bills dated up to that day that are not locked, by id from the one after that; locked against change."""
    c = bills.c
    query = (
        select(bills)
        .where(c.org_id == org_id, c.bill_date <= day, ~c.locked, c.id > after)
        .order_by(c.id)
        .limit(size)
        .with_for_update()
    )
    return [records.read(bills, row) for row in await tx.execute(query)]


async def page(tx: Tx, org_id: str, filters: Filters, *, size: int, token: str | None) -> Page:
    return await records.page(tx, bills, org_id, filters.conditions(), size=size, token=token)


@dataclass(frozen=True, slots=True)
class Sum:
    """How many bills of one currency, and their exact sum."""

    currency: str
    count: int
    total: Decimal


async def sums(tx: Tx, org_id: str, filters: Filters) -> list[Sum]:
    """Counts and sums of the bills, by currency."""
    c = bills.c
    query = (
        select(c.currency, func.count().label("count"), func.sum(c.total).label("total"))
        .where(c.org_id == org_id, *filters.conditions())
        .group_by(c.currency)
        .order_by(c.currency)
    )
    return [Sum(row.currency, row._mapping["count"], row.total) for row in await tx.execute(query)]


async def latest(tx: Tx, org_id: str, account_id: str) -> Record | None:
    """The account's bill with the latest bill date."""
    query = (
        select(bills)
        .where(bills.c.org_id == org_id, bills.c.account_id == account_id)
        .order_by(bills.c.bill_date.desc(), bills.c.created_at.desc(), bills.c.id.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).first()
    return records.read(bills, row) if row else None


async def count_of_account(tx: Tx, org_id: str, account_id: str) -> int:
    query = select(func.count()).where(bills.c.org_id == org_id, bills.c.account_id == account_id)
    return (await tx.execute(query)).scalar_one()


async def last_revisions(tx: Tx, org_id: str, ids: Sequence[str]) -> dict[str, int]:
    """The highest revision that each of the ids ever had, deleted bills too."""
    c = bill_revisions.c
    query = (
        select(c.bill_id, func.max(c.revision).label("revision"))
        .where(c.org_id == org_id, c.bill_id.in_(ids))
        .group_by(c.bill_id)
    )
    return {row.bill_id: row.revision for row in await tx.execute(query)}


async def add_revisions(tx: Tx, revisions: Sequence[tuple[Record, Sequence[Line]]], at: datetime) -> None:
    """Keep what these bills say now as their present revisions; raises Raced where one is there already."""
    rows = [
        {
            "org_id": bill.org_id,
            "bill_id": bill.id,
            "revision": bill["revision"],
            "body": bill.body,
            "lines": lines,
            "created_at": at,
        }
        for bill, lines in revisions
    ]
    if len(await bulk.insert_rows(tx, bill_revisions, rows, returning="bill_id")) < len(rows):
        raise bulk.Raced


async def count_lines(tx: Tx, found: Sequence[Record]) -> list[int]:
    """How many lines each of the bills has."""
    c = bill_revisions.c
    query = select(c.bill_id, func.jsonb_array_length(c.lines).label("length")).where(_present(found))
    counts = {row.bill_id: row.length for row in await tx.execute(query)}
    return [counts[bill.id] for bill in found]


async def lines(tx: Tx, found: Sequence[Record]) -> dict[str, Sequence[Line]]:
    """The lines of the bills' present revisions, by bill id."""
    c = bill_revisions.c
    query = select(c.bill_id, c.lines).where(_present(found))
    return {row.bill_id: row.lines for row in await tx.execute(query)}


def _present(found: Sequence[Record]) -> ColumnElement[bool]:
    c = bill_revisions.c
    keys = [(bill.org_id, bill.id, bill["revision"]) for bill in found]
    present: ColumnElement[bool] = tuple_(c.org_id, c.bill_id, c.revision).in_(keys)
    return present


async def some_lines(tx: Tx, org_id: str, bill_id: str, revision: int, *, after: int, size: int) -> list[Line]:
    """Lines of one revision in their order, from the one after that position (the first is 1)."""
    query = text(
        "SELECT line FROM bill_revisions, jsonb_array_elements(lines) WITH ORDINALITY AS each (line, position)"
        " WHERE org_id = :org_id AND bill_id = :bill_id AND revision = :revision AND position > :after"
        " ORDER BY position LIMIT :size"
    ).columns(line=JSONB)
    values = {"org_id": org_id, "bill_id": bill_id, "revision": revision, "after": after, "size": size}
    return [row.line for row in await tx.execute(query, values)]


async def line(tx: Tx, bill: Record, id: str) -> Line | None:
    """One line of the bill's present revision."""
    query = text(
        "SELECT line FROM bill_revisions, jsonb_array_elements(lines) AS line"
        " WHERE org_id = :org_id AND bill_id = :bill_id AND revision = :revision AND line ->> 'id' = :id"
    ).columns(line=JSONB)
    values = {"org_id": bill.org_id, "bill_id": bill.id, "revision": bill["revision"], "id": id}
    found: Line | None = (await tx.execute(query, values)).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands among the lines of all bills: newest bill first, then its lines in their order from 1."""

    created_at: datetime
    bill_id: str
    position: int


async def all_lines(
    tx: Tx,
    org_id: str,
    *,
    bill_id: str | None,
    line_type: str | None,
    commitment_id: str | None,
    after: Place | None,
    size: int,
) -> list[tuple[Record, Line, Place]]:
    """Lines of the bills' present revisions, each with its bill and its place."""
    b, r = bills.c, bill_revisions.c
    each = (
        func.jsonb_array_elements(r.lines)
        .table_valued(column("line", JSONB), with_ordinality="position", name="each")
        .render_derived()
    )
    line, position = each.c.line, cast(each.c.position, Integer)
    present = and_(r.org_id == b.org_id, r.bill_id == b.id, r.revision == b.revision)
    equal = (
        (b.id, bill_id),
        (line["lineItemType"].astext, line_type),
        (line["commitmentId"].astext, commitment_id),
    )
    query = (
        select(bills, line, position.label("position"))
        .select_from(bills.join(bill_revisions, present).join(each, text("true")))
        .where(b.org_id == org_id, *(column == value for column, value in equal if value is not None))
        .order_by(b.created_at.desc(), b.id.desc(), position)
        .limit(size)
    )
    if after is not None:
        bill, key = tuple_(b.created_at, b.id), tuple_(after.created_at, after.bill_id)
        query = query.where(or_(bill < key, and_(bill == key, position > after.position)))
    return [
        (records.read(bills, row), row.line, Place(row.created_at, row.id, row.position))
        for row in await tx.execute(query)
    ]
