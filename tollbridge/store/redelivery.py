"""Notifications that are sent once more: what failed, what was held, what was never made. Every statement takes a
batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.events import Event
from tollbridge.domain.runs import RunState
from tollbridge.store.db import Connection
from tollbridge.store.notifying import DUE_CHANNEL
from tollbridge.store.runs import held_until
from tollbridge.store.runs import let_go as go_on


@dataclass(frozen=True, slots=True)
class Sent:
    """A notification run as it stands, with what it sends; `body` is None where that is no longer kept."""

    id: str
    org_id: str
    state: RunState
    integration_id: str | None
    credential_id: str
    webhook_id: str
    entity: tuple[str, str]
    event_id: str | None
    account_id: str | None
    lane: str | None
    message_id: str
    body: str | None
    replayed: bool


_SENT = """
    SELECT r.id, r.org_id, r.state, r.integration_id, r.credential_id, r.destination_id, r.entity_type, r.entity_id,
           r.event_id, r.account_id, r.lane, r.message_id, p.body,
           EXISTS (SELECT FROM runs o WHERE o.replay_of = r.id AND o.state <> 'cancelled') AS replayed
    FROM runs r LEFT JOIN run_payloads p ON p.run_id = r.id
"""


async def sent(connection: Connection, org_id: str, run_id: str) -> Sent | None:
    """The notification run, locked; None where there is none."""
    row = await connection.fetchrow(
        f"{_SENT} WHERE r.org_id = $1 AND r.id = $2 AND r.flow = 'notify' FOR UPDATE OF r", org_id, run_id
    )
    return _sent(row) if row else None


async def failed(
    connection: Connection, org_id: str, webhook_id: str, since: datetime, until: datetime, limit: int
) -> list[Sent]:
    """The oldest notifications to the webhook that failed between these moments and were not sent again yet."""
    rows = await connection.fetch(
        f"""
        {_SENT} WHERE r.org_id = $1 AND r.flow = 'notify' AND r.state = 'failed' AND r.destination_id = $2
          AND r.completed_at BETWEEN $3 AND $4 AND r.integration_id IS NOT NULL AND r.fault_code <> 'rule.calculation'
          AND p.run_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM runs o WHERE o.replay_of = r.id AND o.state <> 'cancelled')
        ORDER BY r.completed_at, r.id LIMIT $5
        """,
        org_id,
        webhook_id,
        since,
        until,
        limit,
    )
    return [_sent(row) for row in rows]


def _sent(row: Any) -> Sent:
    return Sent(
        row["id"],
        row["org_id"],
        RunState(row["state"]),
        row["integration_id"],
        row["credential_id"],
        row["destination_id"],
        (row["entity_type"], row["entity_id"]),
        row["event_id"],
        row["account_id"],
        row["lane"],
        row["message_id"],
        row["body"],
        row["replayed"],
    )


async def without_run(
    connection: Connection,
    org_id: str,
    webhook_id: str,
    since: datetime,
    after: tuple[datetime, str],
    limit: int,
) -> list[tuple[Event, datetime]]:
    """The next events since that moment (by `received_at` and id, after those) on which a rule that is linked to the
    webhook may fire, and of which a link has no run."""
    rows = await connection.fetch(
        """
        SELECT e.org_id, e.id, e.name, e.type, e.happened_at, e.account_id, e.resource_id, e.integration_id, e.run_id,
               e.body::text AS body, e.received_at
        FROM events e
        WHERE e.org_id = $1 AND e.received_at >= $3 AND (e.received_at, e.id) > ($4, $5) AND EXISTS (
            SELECT FROM integrations i JOIN rules u ON (u.org_id, u.id) = (i.org_id, i.entity_id)
            WHERE i.org_id = $1 AND i.destination_id = $2 AND i.system = 'WEBHOOK' AND u.active
              AND u.event_name = e.name AND NOT EXISTS (
                SELECT FROM runs r WHERE r.event_id = e.id AND r.integration_id = i.id))
        ORDER BY e.received_at, e.id LIMIT $6
        """,
        org_id,
        webhook_id,
        since,
        *after,
        limit,
    )
    return [
        (
            Event(
                row["org_id"],
                row["id"],
                row["name"],
                row["type"],
                row["happened_at"],
                json_text.parse(row["body"]),
                row["account_id"],
                row["resource_id"],
                row["integration_id"],
                row["run_id"],
            ),
            row["received_at"],
        )
        for row in rows
    ]


async def links_with_run(connection: Connection, event_ids: Sequence[str]) -> set[tuple[str, str]]:
    """The (event, integration)s that have a run."""
    rows = await connection.fetch(
        "SELECT event_id, integration_id FROM runs WHERE event_id = ANY($1::text[]) AND integration_id IS NOT NULL",
        event_ids,
    )
    return {(row["event_id"], row["integration_id"]) for row in rows}


# Bringing back


@dataclass(frozen=True, slots=True)
class BringBack:
    """How far a webhook is brought back. Its runs are the children of the test run; of what failed it takes what did so
    since that moment."""

    org_id: str
    webhook_id: str
    test_run_id: str
    state: str
    note: str | None
    total: int
    since: datetime
    started_at: datetime
    started_by: str
    updated_at: datetime


_COLUMNS = "org_id, webhook_id, test_run_id, state, note, total, since, started_at, started_by, updated_at"


async def begin(connection: Connection, fresh: BringBack) -> None:
    """Keep it in place of an earlier one of the webhook."""
    await connection.execute(
        """
        INSERT INTO bring_backs (org_id, webhook_id, test_run_id, state, note, total, since, started_at, started_by,
            updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (org_id, webhook_id) DO UPDATE SET test_run_id = excluded.test_run_id, state = excluded.state,
            note = excluded.note, total = excluded.total, since = excluded.since, started_at = excluded.started_at,
            started_by = excluded.started_by, updated_at = excluded.updated_at
        """,
        fresh.org_id,
        fresh.webhook_id,
        fresh.test_run_id,
        fresh.state,
        fresh.note,
        fresh.total,
        fresh.since,
        fresh.started_at,
        fresh.started_by,
        fresh.updated_at,
    )


async def bring_back(connection: Connection, org_id: str, webhook_id: str, *, lock: bool = False) -> BringBack | None:
    """The latest bringing back of the webhook."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM bring_backs WHERE org_id = $1 AND webhook_id = $2{' FOR UPDATE' if lock else ''}",  # noqa: S608
        org_id,
        webhook_id,
    )
    return BringBack(*row) if row else None


async def going_on(connection: Connection) -> BringBack | None:
    """One that is under way, least lately looked after, locked; those that others look after are left out."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM bring_backs WHERE state IN ('testing', 'gathering', 'delivering')"  # noqa: S608
        " ORDER BY updated_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    return BringBack(*row) if row else None


async def note(
    connection: Connection, found: BringBack, state: str, text: str | None, added: int, now: datetime
) -> None:
    """Write how far it is; `added` more notifications belong to it."""
    await connection.execute(
        "UPDATE bring_backs SET state = $3, note = $4, total = total + $5, updated_at = $6"
        " WHERE org_id = $1 AND webhook_id = $2",
        found.org_id,
        found.webhook_id,
        state,
        text,
        added,
        now,
    )


async def adopt(connection: Connection, found: BringBack, limit: int, now: datetime) -> int:
    """Make children of so many of the held notifications to the webhook; they stay held. Answers how many."""
    rows = await connection.fetch(
        f"""
        WITH mine AS (
            SELECT r.id FROM runs r JOIN integrations i ON (i.org_id, i.id) = (r.org_id, r.integration_id)
            WHERE i.org_id = $1 AND i.destination_id = $2 AND i.system = 'WEBHOOK' AND r.state = 'held'
              AND r.flow = 'notify' AND r.parent_id IS DISTINCT FROM $3
            ORDER BY r.id LIMIT $4 FOR UPDATE OF r)
        UPDATE runs r SET parent_id = $3, {held_until("$5")}, hold_reason = 'recovering',
            lane = $2 || '/' || coalesce(r.account_id, ''), updated_at = $5, version = r.version + 1
        FROM mine WHERE r.id = mine.id RETURNING r.id
        """,  # noqa: S608 (constants)
        found.org_id,
        found.webhook_id,
        found.test_run_id,
        limit,
        now,
    )
    return len(rows)


async def set_in_lanes(connection: Connection, found: BringBack, now: datetime) -> None:
    """Let what is still queued of the webhook wait its turn behind what is brought back."""
    await connection.execute(
        """
        UPDATE runs SET lane = $2 || '/' || coalesce(account_id, ''), updated_at = $3
        WHERE org_id = $1 AND destination_id = $2 AND flow = 'notify' AND state = 'queued' AND lane IS NULL
          AND integration_id IS NOT NULL
        """,
        found.org_id,
        found.webhook_id,
        now,
    )


async def let_go(connection: Connection, found: BringBack, now: datetime) -> None:
    """Queue the children: each goes out when those before it of its account have ended."""
    await connection.execute(
        f"""
        UPDATE runs SET {go_on("$2")}
        WHERE parent_id = $1 AND state = 'held'
        """,  # noqa: S608 (constants)
        found.test_run_id,
        now,
    )
    await connection.execute("SELECT pg_notify($1, $2)", DUE_CHANNEL, found.webhook_id)


async def hold_back(connection: Connection, found: BringBack, now: datetime) -> int:
    """Hold the children that have not started; answers how many."""
    rows = await connection.fetch(
        """
        UPDATE runs SET state = 'held', hold_reason = 'recovering', updated_at = $2, version = version + 1
        WHERE id IN (SELECT id FROM runs WHERE parent_id = $1 AND state = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        found.test_run_id,
        now,
    )
    return len(rows)


async def children(connection: Connection, test_run_id: str) -> dict[RunState, int]:
    """How many children stand in each state."""
    rows = await connection.fetch(
        "SELECT state, count(*) AS runs FROM runs WHERE parent_id = $1 GROUP BY state", test_run_id
    )
    return {RunState(row["state"]): row["runs"] for row in rows}


async def first_failure(connection: Connection, test_run_id: str) -> str | None:
    """What the first child that failed says."""
    text: str | None = await connection.fetchval(
        "SELECT error FROM runs WHERE parent_id = $1 AND state = 'failed' ORDER BY completed_at LIMIT 1", test_run_id
    )
    return text
