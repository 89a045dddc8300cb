"""Questions for things in another system: their runs, with what was asked in the snapshot; what they found lies beside
what previews found. Kept for a short while. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tollbridge.store.db import Connection
from tollbridge.store.leases import lapsed


async def lock_due(
    connection: Connection, run_ids: Sequence[str], now: datetime
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Lock and read those of the runs that are questions and may be claimed, each with what is asked."""
    rows = await connection.fetch(
        f"""
        SELECT r.*, s.config FROM runs r JOIN run_snapshots s ON s.run_id = r.id
        WHERE r.id = ANY($1::text[]) AND r.flow = 'ask'
          AND ((r.state = 'queued' AND r.due_at <= $2) OR (r.state = 'running'
            AND {lapsed("r.lease_until", "$2")}))
        ORDER BY r.id FOR UPDATE OF r
        """,  # noqa: S608 (constants)
        run_ids,
        now,
    )
    return [(row, row["config"]) for row in rows]


async def credential_for(
    connection: Connection, org_id: str, systems: Sequence[str], integration_id: str | None
) -> str | None:
    """A credential that works for one of the systems: that of the integration where one is named, else one that an
    integration uses, the newest, else the newest of all; None where there is none."""
    found: str | None = await connection.fetchval(
        """
        SELECT c.id FROM credentials c
        LEFT JOIN integrations i ON (i.org_id, i.credential_id) = (c.org_id, c.id)
        WHERE c.org_id = $1 AND c.system = ANY($2::text[]) AND c.status = 'VALID' AND ($3::text IS NULL OR i.id = $3)
        ORDER BY i.created_at DESC NULLS LAST, c.created_at DESC, c.id LIMIT 1
        """,
        org_id,
        systems,
        integration_id,
    )
    return found


async def forget(connection: Connection, before: datetime, limit: int, org_id: str | None = None) -> bool:
    """Delete questions that were asked before that moment, with all that is kept of them, so many at once; of one
    organization where it is named. Answers whether there may be more."""
    gone = await connection.fetch(
        "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE flow = 'ask' AND created_at < $1"
        " AND ($3::text IS NULL OR org_id = $3) ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id",
        before,
        limit,
        org_id,
    )
    ids = [row["id"] for row in gone]
    for table in ("run_steps", "run_records", "run_snapshots", "run_previews"):
        await connection.execute(f"DELETE FROM {table} WHERE run_id = ANY($1::text[])", ids)  # noqa: S608 fixed names
    return len(ids) == limit
