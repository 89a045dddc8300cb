"""Outgoing webhooks: what is asked about them beyond what every entity has. Deliveries are claimed in `notifying`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tollbridge.domain.runs import RunState
from tollbridge.store.db import Connection, Tx
from tollbridge.store.runs import Resting, put_to_rest
from tollbridge.store.schema import webhooks


@dataclass(frozen=True, slots=True)
class Counts:
    """Deliveries to a webhook, each counted up to a limit."""

    delivered: int
    pending: int
    failed: int


async def holders_of(tx: Tx, org_id: str, codes: Sequence[str]) -> dict[str, str]:
    """Which of these codes are taken, and the ids of the webhooks that have them."""
    query = select(webhooks.c.code, webhooks.c.id).where(webhooks.c.org_id == org_id, webhooks.c.code.in_(codes))
    return {row.code: row.id for row in await tx.execute(query)}


async def counts(connection: Connection, org_id: str, webhook_id: str, since: datetime, most: int) -> Counts:
    """Deliveries that ended since then, and those that have not ended; none is counted further than to `most`."""
    row = await connection.fetchrow(
        """
        WITH links AS MATERIALIZED (
            SELECT id FROM integrations WHERE org_id = $1 AND destination_id = $2 AND system = 'WEBHOOK')
        SELECT
            (SELECT count(*) FROM (
                SELECT FROM links l JOIN runs r ON r.integration_id = l.id
                WHERE r.completed_at >= $3 AND r.state = 'delivered' AND r.flow = 'notify' LIMIT $4) d),
            (SELECT count(*) FROM (
                (SELECT FROM runs r WHERE r.destination_id = $2 AND r.flow = 'notify' AND r.state = 'queued' LIMIT $4)
                UNION ALL
                (SELECT FROM runs r WHERE r.destination_id = $2 AND r.flow = 'notify' AND r.state = 'waiting' LIMIT $4)
                UNION ALL
                (SELECT FROM runs r WHERE r.destination_id = $2 AND r.flow = 'notify' AND r.state = 'running' LIMIT $4)
                UNION ALL
                (SELECT FROM links l JOIN runs r ON r.integration_id = l.id
                 WHERE r.state = 'held' AND r.flow = 'notify' LIMIT $4)
                LIMIT $4) p),
            (SELECT count(*) FROM (
                SELECT FROM runs r WHERE r.destination_id = $2 AND r.flow = 'notify' AND r.state = 'failed'
                  AND r.completed_at >= $3 LIMIT $4) f)
        """,
        org_id,
        webhook_id,
        since,
        most,
    )
    return Counts(*row)


async def end_runs(connection: Connection, webhook_id: str, note: str, now: datetime) -> None:
    """Cancel the notifications to the webhook that are not under way at this moment."""
    rows = await connection.fetch(
        """
        SELECT id FROM runs WHERE destination_id = $1 AND flow = 'notify' AND state IN ('queued', 'waiting', 'held')
        ORDER BY id FOR UPDATE
        """,
        webhook_id,
    )
    await put_to_rest(connection, [Resting(row["id"], RunState.CANCELLED, None, note) for row in rows], now)
