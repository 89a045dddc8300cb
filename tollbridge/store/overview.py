"""What the frame and the first page of the Console say of an organization, each in one cheap question. Only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tollbridge.store.db import Connection

MOST_COUNTED = 10_000
"""Runs that are counted one by one; more are told as so many and more."""


MOST_EVENTS = 1_000
"""Error events that are counted for every page, at most."""


async def standing(connection: Connection, org_id: str, alive_since: datetime) -> Mapping[str, Any]:
    """The organization's name, its error events that nobody saw to, its open alerts, the workers that are alive, and
    whether its set-up is over: something arrived, and its only integration for bills does not wait for a first look."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT name FROM organizations WHERE id = $1) AS name,
          (SELECT count(*) FROM (SELECT FROM events
            WHERE org_id = $1 AND type = 'IntegrationEvent' AND actioned_at IS NULL LIMIT $3) AS open) AS events,
          (SELECT count(*) FROM alerts WHERE org_id = $1 AND state <> 'CLOSED') AS alerts,
          (SELECT count(*) FROM workers WHERE seen_at >= $2) AS workers,
          EXISTS (SELECT FROM ledger WHERE org_id = $1) AND NOT (
            SELECT count(*) = 1 AND coalesce(bool_or(first_waiting), false)
            FROM integrations WHERE org_id = $1 AND entity_type = 'Bill') AS settled
        """,
        org_id,
        alive_since,
        MOST_EVENTS,
    )
    assert row is not None
    return dict(row)


async def runs_since(connection: Connection, org_id: str, since: datetime) -> Mapping[str, int]:
    """How many of the newest runs since that moment are in each state."""
    rows = await connection.fetch(
        """
        SELECT state, count(*) AS count FROM (
          SELECT state FROM runs WHERE org_id = $1 AND created_at >= $2 ORDER BY created_at DESC LIMIT $3
        ) AS latest GROUP BY state
        """,
        org_id,
        since,
        MOST_COUNTED,
    )
    return {row["state"]: row["count"] for row in rows}


async def held(
    connection: Connection, org_id: str, integration_ids: Sequence[str] | None = None
) -> Sequence[Mapping[str, Any]]:
    """The held runs, of all integrations or of these, by integration, reason and currency: sums, and the oldest of
    each."""
    rows: Sequence[Mapping[str, Any]] = await connection.fetch(
        """
        SELECT r.integration_id, i.name, r.hold_reason, coalesce(r.currency, b.currency) AS currency,
          count(*) AS count, sum(coalesce(r.total, b.total)) AS total, min(r.created_at) AS since
        FROM integrations i
        JOIN runs r ON r.integration_id = i.id AND r.state = 'held'
        LEFT JOIN bills b ON r.entity_type = 'Bill' AND b.org_id = r.org_id AND b.id = r.entity_id
        WHERE i.org_id = $1 AND ($2::text[] IS NULL OR i.id = ANY($2))
        GROUP BY 1, 2, 3, 4 ORDER BY min(r.created_at)
        """,
        org_id,
        integration_ids,
    )
    return rows


async def oldest_waiting(connection: Connection, org_id: str) -> datetime | None:
    """Since when the oldest run that has not ended waits."""
    # Looked for among those that wait, by their indexes: by age, all that ended would come first. That it is due some
    # time is true of each, and what the indexes ask for.
    found: datetime | None = await connection.fetchval(
        """
        WITH waiting AS MATERIALIZED (
          SELECT created_at FROM runs
          WHERE org_id = $1 AND flow <> 'notify' AND state IN ('queued', 'waiting') AND due_at <= 'infinity'
          UNION ALL
          SELECT created_at FROM runs
          WHERE org_id = $1 AND flow = 'notify' AND state = 'queued' AND due_at <= 'infinity'
          UNION ALL
          SELECT created_at FROM runs
          WHERE org_id = $1 AND flow = 'notify' AND state = 'waiting' AND due_at <= 'infinity')
        SELECT min(created_at) FROM waiting
        """,
        org_id,
    )
    return found


async def set_up(connection: Connection, org_id: str) -> Mapping[str, Any]:
    """What there is of a first set-up: the latest credential and its system, the first integration for bills and how it
    stands, and which of bills, mappings, previews, runs and documents there are. For organizations that sent little."""
    row = await connection.fetchrow(
        """
        SELECT c.id AS credential_id, c.system, i.id AS integration_id, coalesce(i.first_waiting, false) AS waiting,
          i.body #>> '{configData,onlySendOnApproval}' = 'true'
            AND EXISTS (SELECT FROM bills WHERE org_id = $1 AND status = 'PENDING') AS approvable,
          EXISTS (SELECT FROM bills WHERE org_id = $1) AS bills,
          EXISTS (SELECT FROM external_mappings WHERE org_id = $1) AS mappings,
          EXISTS (SELECT FROM runs WHERE org_id = $1 AND flow = 'preview') AS previewed,
          EXISTS (SELECT FROM runs WHERE org_id = $1 AND flow = 'deliver') AS sent,
          EXISTS (SELECT FROM ledger WHERE org_id = $1) AS delivered
        FROM (SELECT) one
        LEFT JOIN LATERAL (SELECT id, system FROM credentials WHERE org_id = $1 AND system <> 'WEBHOOK'
          ORDER BY created_at DESC LIMIT 1) c ON true
        LEFT JOIN LATERAL (SELECT id, first_waiting, body FROM integrations WHERE org_id = $1 AND entity_type = 'Bill'
          ORDER BY created_at LIMIT 1) i ON true
        """,
        org_id,
    )
    assert row is not None
    return dict(row)
