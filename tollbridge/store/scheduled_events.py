"""Rows of scheduled events: what is configured, when it is due for which entity, and what was told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.schedules import ScheduledEvent
from tollbridge.store.db import Connection

_CONFIGURED = "id, name, entity, body::text AS text, updated_at"


@dataclass(frozen=True, slots=True)
class Due:
    """That an event is due for an entity at that moment, or, where that is None, not at all."""

    scheduled_event_id: str
    entity_id: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A configuration whose rows are made for entities up to `filled_to` only."""

    org_id: str
    version: int
    configured: ScheduledEvent
    filled_to: str


@dataclass(frozen=True, slots=True)
class Came:
    """An event that is due; without configuration where that is gone."""

    org_id: str
    scheduled_event_id: str
    entity_id: str
    due_at: datetime
    configured: ScheduledEvent | None


async def names(connection: Connection, org_ids: Collection[str]) -> set[tuple[str, str]]:
    """The names of the scheduled events of these organizations, each with its organization."""
    rows = await connection.fetch(
        "SELECT org_id, name FROM scheduled_events WHERE org_id = ANY($1::text[])", list(org_ids)
    )
    return {(row["org_id"], row["name"]) for row in rows}


async def lock(connection: Connection) -> None:
    """Until the transaction ends nobody else reads configurations to work by them, or changes one.

    Who writes entities reads them before it ends: so each entity is seen either by its writer, or by who fills the
    rows of a new configuration.
    """
    await connection.execute("LOCK TABLE scheduled_events IN EXCLUSIVE MODE")


async def of_entity(connection: Connection, org_id: str, entity: str) -> list[ScheduledEvent]:
    """What is configured for an entity; it does not change until the transaction ends."""
    rows = await connection.fetch(
        f"SELECT {_CONFIGURED} FROM scheduled_events WHERE org_id = $1 AND entity = $2 FOR KEY SHARE",  # noqa: S608
        org_id,
        entity,
    )
    return [_configured(row) for row in rows]


async def put_dues(connection: Connection, org_id: str, dues: Sequence[Due]) -> None:
    """Say when events are due from now on. What was told stays, so that it is not told again for that moment."""
    if not dues:
        return
    values = (
        org_id,
        [due.scheduled_event_id for due in dues],
        [due.entity_id for due in dues],
        [due.due_at for due in dues],
    )
    await connection.execute(
        """
        DELETE FROM scheduled_dues AS d
        USING unnest($2::text[], $3::text[], $4::timestamptz[]) AS n(event, entity, due)
        WHERE d.org_id = $1 AND d.scheduled_event_id = n.event AND d.entity_id = n.entity AND d.fired_at IS NULL
            AND d.due_at IS DISTINCT FROM n.due
        """,
        *values,
    )
    await connection.execute(
        """
        INSERT INTO scheduled_dues (org_id, scheduled_event_id, entity_id, due_at)
        SELECT $1, event, entity, due FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS n(event, entity, due)
        WHERE due IS NOT NULL ORDER BY event, entity ON CONFLICT DO NOTHING
        """,
        *values,
    )


async def drop_dues(connection: Connection, org_id: str, id: str) -> None:
    """Forget all about a configuration that goes."""
    await connection.execute("DELETE FROM scheduled_dues WHERE org_id = $1 AND scheduled_event_id = $2", org_id, id)


async def next_unfilled(connection: Connection) -> Unfilled | None:
    """A configuration whose rows are not all made and that nobody else is at; locked until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT org_id, version, filled_to, {_CONFIGURED} FROM scheduled_events WHERE NOT filled"  # noqa: S608
        " ORDER BY created_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
    )
    return Unfilled(row["org_id"], row["version"], _configured(row), row["filled_to"]) if row else None


async def mark_filled(connection: Connection, found: Unfilled, to: str, *, done: bool) -> None:
    """Note how far the rows are made."""
    await connection.execute(
        "UPDATE scheduled_events SET filled = $4, filled_to = $3 WHERE org_id = $1 AND id = $2",
        found.org_id,
        found.configured.id,
        to,
        done,
    )


async def came(connection: Connection, now: datetime, most: int) -> list[Came]:
    """Some of what is due and was not told, oldest first; nobody else gets it until the transaction ends."""
    rows = await connection.fetch(
        """
        SELECT d.org_id, d.scheduled_event_id, d.entity_id, d.due_at,
            s.id, s.name, s.entity, s.body::text AS text, s.updated_at
        FROM scheduled_dues AS d
        LEFT JOIN scheduled_events AS s ON s.org_id = d.org_id AND s.id = d.scheduled_event_id
        WHERE d.fired_at IS NULL AND d.due_at <= $1
        ORDER BY d.due_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED
        """,
        now,
        most,
    )
    return [
        Came(
            row["org_id"],
            row["scheduled_event_id"],
            row["entity_id"],
            row["due_at"],
            _configured(row) if row["id"] is not None else None,
        )
        for row in rows
    ]


async def mark_told(connection: Connection, told: Sequence[Came], now: datetime) -> None:
    """Note that these were told, for good."""
    await connection.execute(
        f"UPDATE scheduled_dues AS d SET fired_at = $5 {_THESE}",  # noqa: S608
        *_keys(told),
        now,
    )


async def drop(connection: Connection, stale: Sequence[Came]) -> None:
    """Forget what is not due after all."""
    await connection.execute(
        f"DELETE FROM scheduled_dues AS d USING {_GIVEN} WHERE {_SAME}",  # noqa: S608
        *_keys(stale),
    )


async def forget(connection: Connection, before: datetime, most: int) -> bool:
    """Delete some of what was told and was due before that moment; answers whether there may be more."""
    status = await connection.execute(
        """
        DELETE FROM scheduled_dues WHERE ctid IN (
            SELECT ctid FROM scheduled_dues WHERE fired_at IS NOT NULL AND due_at < $1 ORDER BY due_at LIMIT $2
        )
        """,
        before,
        most,
    )
    return int(status.split()[1]) == most


_GIVEN = "unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS n(org, event, entity, due)"
_SAME = "d.org_id = n.org AND d.scheduled_event_id = n.event AND d.entity_id = n.entity AND d.due_at = n.due"
_THESE = f"FROM {_GIVEN} WHERE {_SAME}"


def _keys(found: Sequence[Came]) -> tuple[list[Any], ...]:
    return (
        [each.org_id for each in found],
        [each.scheduled_event_id for each in found],
        [each.entity_id for each in found],
        [each.due_at for each in found],
    )


def _configured(row: Any) -> ScheduledEvent:
    body = json_text.parse(row["text"])
    return ScheduledEvent(row["id"], row["name"], row["entity"], body["field"], body["offset"], row["updated_at"])
