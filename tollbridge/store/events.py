"""Rows of events: added once by their id, listed newest first by when they came in, forgotten after a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select, tuple_

from tollbridge.domain import json_text
from tollbridge.domain.event_types import Category
from tollbridge.domain.events import Cause, Event
from tollbridge.store import records
from tollbridge.store.db import Connection, Tx
from tollbridge.store.schema import events

Key = tuple[str, str]
"""Organization and id."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it is kept."""

    event: Event
    received_at: datetime
    actioned_at: datetime | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events; what is None does not count. `ids` stand alone."""

    ids: Sequence[str] = ()
    name: str | None = None
    type: Category | None = None
    account_id: str | None = None
    resource_id: str | None = None
    rule_id: str | None = None
    rule_code: str | None = None
    actioned: bool = True
    """False leaves out those marked as actioned."""
    since: datetime | None = None
    """Only those that came in then or later."""
    until: datetime | None = None
    """Only those that came in then or earlier."""
    integration_id: str | None = None
    cause: Cause | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        c = events.c
        equal = (
            (c.name, self.name),
            (c.account_id, self.account_id),
            (c.resource_id, self.resource_id),
            (c.integration_id, self.integration_id),
        )
        rules = ((c.rule_ids, self.rule_id), (c.rule_codes, self.rule_code))
        return [
            *(column == value for column, value in equal if value is not None),
            *(column.contains([value]) for column, value in rules if value is not None),
            # Follows from the line above; the index that has only these is known by it.
            *([c.rule_ids.is_not(None)] if any(value is not None for _, value in rules) else []),
            *([_of_type(self.type)] if self.type else []),
            *([c.id.in_(self.ids)] if self.ids else []),
            *([] if self.actioned else [c.actioned_at.is_(None)]),
            *([c.received_at >= self.since] if self.since else []),
            *([c.received_at <= self.until] if self.until else []),
            *(_of_cause(self.cause) if self.cause else []),
        ]


CODE = func.coalesce(events.c.body[("eventData", "newDto", "code")].astext, "")
_MISSING = ("eventData", "newDto", "missing")
MISSING = func.coalesce(
    events.c.body[(*_MISSING, "system")].astext + "/" + events.c.body[(*_MISSING, "table")].astext, ""
)
"""The same as `domain.events.cause_of` says."""


def _of_cause(cause: Cause) -> list[ColumnElement[bool]]:
    c = events.c
    same = c.integration_id.is_not_distinct_from(cause.integration_id)
    return [same, c.name == cause.name, CODE.op("=")(cause.code), MISSING.op("=")(cause.missing)]


def _of_type(type: Category) -> ColumnElement[bool]:
    if type is Category.NOTIFICATION:
        # An event on which a rule fired tells of the notification too.
        return events.c.rule_ids.is_not(None)
    # Written out, since the index of one type is known by it.
    same: ColumnElement[bool] = events.c.type == literal_column(f"'{type.value}'")
    return same


@dataclass(frozen=True, slots=True)
class Page:
    """Some events and the token that continues after them, if there are more."""

    data: Sequence[Stored]
    next_token: str | None


async def page(tx: Tx, org_id: str, filters: Filters, *, ascending: bool = False, size: int, token: str | None) -> Page:
    """One page of the organization's events by when they came in, newest first unless asked otherwise."""
    keys = (events.c.received_at, events.c.id)
    query = select(events).where(events.c.org_id == org_id, *filters.conditions())
    if token:
        place, here = tuple_(*keys), tuple_(*records.read_token(token))
        query = query.where(place > here if ascending else place < here)
    query = query.order_by(*(key.asc() if ascending else key.desc() for key in keys)).limit(size + 1)
    found = [_read(row._mapping) for row in await tx.execute(query)]
    last = found[size - 1] if len(found) > size else None
    return Page(found[:size], records.make_token(last.received_at, last.event.id) if last else None)


async def get(tx: Tx, org_id: str, id: str) -> Stored | None:
    """The event with that id, or None."""
    row = (await tx.execute(select(events).where(events.c.org_id == org_id, events.c.id == id))).first()
    return _read(row._mapping) if row else None


async def open_errors(tx: Tx, org_id: str, integration_id: str, size: int) -> tuple[int, Sequence[Stored]]:
    """How many error events of the integration are not marked as actioned, and the latest of them."""
    conditions = (
        events.c.org_id == org_id,
        events.c.integration_id == integration_id,
        _of_type(Category.INTEGRATION),
        events.c.actioned_at.is_(None),
    )
    count: int = (await tx.execute(select(func.count()).select_from(events).where(*conditions))).scalar_one()
    latest = select(events).where(*conditions).order_by(events.c.received_at.desc(), events.c.id.desc()).limit(size)
    return count, [_read(row._mapping) for row in await tx.execute(latest)]


async def known(connection: Connection, keys: Sequence[Key]) -> dict[Key, Stored]:
    """Those of the events that are kept."""
    rows = await connection.fetch(
        """
        SELECT org_id, id, name, type, happened_at, account_id, resource_id, integration_id, run_id, body::text AS text,
            rule_ids, rule_codes, received_at, actioned_at
        FROM events WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [org_id for org_id, _ in keys],
        [id for _, id in keys],
    )
    return {(row["org_id"], row["id"]): _read({**row, "body": json_text.parse(row["text"])}) for row in rows}


async def forget(connection: Connection, before: datetime, most: int) -> bool:
    """Delete some events that came in before that moment; answers whether there may be more."""
    status = await connection.execute(
        """
        DELETE FROM events WHERE (org_id, id) IN (
            SELECT org_id, id FROM events WHERE received_at < $1 ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        """,
        before,
        most,
    )
    return int(status.split()[1]) == most


def _read(row: Any) -> Stored:
    event = Event(
        row["org_id"],
        row["id"],
        row["name"],
        row["type"],
        row["happened_at"],
        row["body"],
        row["account_id"],
        row["resource_id"],
        row["integration_id"],
        row["run_id"],
        tuple(row["rule_ids"] or ()),
        tuple(row["rule_codes"] or ()),
    )
    return Stored(event, row["received_at"], row["actioned_at"])


async def add(connection: Connection, fresh: Sequence[tuple[Event, str]], now: datetime) -> set[Key]:
    """Add the events, each with its body as JSON, and answer those whose id was not there yet.

    Of two with one id the first counts.
    """
    if not fresh:
        return set()
    # In one order everywhere, so that two who add the same never wait for each other.
    ordered = sorted(fresh, key=lambda each: (each[0].org_id, each[0].id))
    rows = await connection.fetch(
        """
        INSERT INTO events (org_id, id, name, type, happened_at, account_id, resource_id, integration_id, run_id, body,
            rule_ids, rule_codes, received_at)
        SELECT a, b, c, d, e, f, g, h, i, j::jsonb,
            CASE WHEN k IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(k::jsonb)) END,
            CASE WHEN l IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(l::jsonb)) END,
            $13
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) AS n(a, b, c, d, e, f, g, h, i, j, k, l)
        ON CONFLICT (org_id, id) DO NOTHING
        RETURNING org_id, id
        """,
        [event.org_id for event, _ in ordered],
        [event.id for event, _ in ordered],
        [event.name for event, _ in ordered],
        [event.type for event, _ in ordered],
        [event.happened_at for event, _ in ordered],
        [event.account_id for event, _ in ordered],
        [event.resource_id for event, _ in ordered],
        [event.integration_id for event, _ in ordered],
        [event.run_id for event, _ in ordered],
        [body for _, body in ordered],
        [_list(event.rule_ids) for event, _ in ordered],
        [_list(event.rule_codes) for event, _ in ordered],
        now,
    )
    return {(row["org_id"], row["id"]) for row in rows}


def _list(values: Sequence[str]) -> str | None:
    return json_text.dump(list(values)) if values else None
